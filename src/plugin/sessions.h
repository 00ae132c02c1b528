/* Who is connected, by the broker's own pointer (a client id may stand for two connections for a
 * moment, when one takes over), and which of them must go. Decides nothing and kicks nobody by
 * itself. The broker's thread alone. */
#ifndef MUSTER_PLUGIN_SESSIONS_H
#define MUSTER_PLUGIN_SESSIONS_H

#include "base/err.h"
#include "plugin/peer.h"
#include "plugin/table.h"
#include "plugin/verdict.h"

#include <stddef.h>
#include <stdint.h>

struct sessions;

MUST_CHECK int sessions_new(struct sessions **out, struct err *err);
void sessions_free(struct sessions *s);

/* CLIENT, only ever compared, connects. Whoever had this pointer before is gone. E_NOMEM. */
MUST_CHECK int sessions_add(struct sessions *s, const void *client, const char *client_id,
    const struct peer *peer, int64_t not_after, struct err *err);

/* CLIENT is gone; harmless if it never was there. */
void sessions_remove(struct sessions *s, const void *client);

/* Whose connection CLIENT is; NULL if it is not there. Borrowed until it is removed. */
const uint8_t *sessions_owner(const struct sessions *s, const void *client);

/* How many connections the owner ID has under other client ids than CLIENT_ID. */
size_t sessions_count(
    const struct sessions *s, const uint8_t id[UUID_BYTES], const char *client_id);

/* All connections, and of one owner. */
size_t sessions_total(const struct sessions *s);

/* Doom whom T would not admit any more, the latest of an owner who has too many among them: of the
 * owner ID; all (another table, a policy); those expired at NOW. */
void sessions_check(struct sessions *s, const struct table *t, const uint8_t id[UUID_BYTES]);
void sessions_check_all(struct sessions *s, const struct table *t);
void sessions_expire(struct sessions *s, int64_t now);

typedef void sessions_kick_fn(void *ctx, const char *client_id, enum verdict why);

/* Hand each doomed session to KICK, the first doomed first, MAX at most; it is removed afterwards.
 * KICK may call sessions_remove. */
void sessions_kick(struct sessions *s, size_t max, sessions_kick_fn *kick, void *ctx);

#endif
