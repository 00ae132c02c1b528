/* Brokers: who may follow the feed, how far each is, and what they report of connections. */
#ifndef MUSTER_CORE_BROKER_H
#define MUSTER_CORE_BROKER_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "store/broker.h"
#include "x509/crl.h"

#include <stddef.h>
#include <stdint.h>

#define BROKER_LIST_MAX 1000

/* A broker as it is shown. */
struct broker {
	struct store_broker row; /* as of its last report or its last question to the feed, whichever came later */
	int64_t behind;		 /* changes that it does not have; -1 if nobody knows */
};

/* Add one that follows the feed with a certificate of its own. NAME: [A-Za-z0-9._-]{1,64}, no UUID. E_INPUT (field),
 * E_CONFLICT (the name is taken), E_BUSY, E_SYS. Clear CREDENTIAL_OUT. */
MUST_CHECK int broker_add(struct core *core, const struct caller *caller, const char *name,
    const struct credential_request *request, struct broker *broker_out, struct credential *credential_out,
    struct err *err);

/* Those that are not revoked, by name, at most MAX. */
MUST_CHECK int broker_list(struct core *core, const struct caller *caller, struct broker *out, size_t max,
    size_t *n_out, struct err *err);

/* Revoke, by id or name, with every certificate: refused from the next question on, also one that waits now.
 * E_NOTFOUND, E_CONFLICT if it is revoked already. */
MUST_CHECK int broker_revoke(struct core *core, const struct caller *caller, const char *id_or_name,
    enum crl_reason reason, struct broker *broker_out, struct err *err);

/* CALLER, if it is a broker, has asked for what is behind SEQ of EPOCH. In memory alone, for it asks all the time. */
void broker_note(struct core *core, const struct caller *caller, const char *epoch, int64_t seq);

/* Take in a report (authz/report.h) of CALLER: how far it is, when devices were seen, and refusals, which become audit
 * rows by the minute (core/refusals.h) and, where the configuration says so, suspend a device. E_INPUT, E_DENIED (no
 * broker), E_FULL, E_SYS. */
MUST_CHECK int broker_report(
    struct core *core, const struct caller *caller, const void *text, size_t len, struct err *err);

struct brokers;
MUST_CHECK int brokers_new(struct brokers **out, struct err *err);
void brokers_free(struct brokers *brokers);

#endif
