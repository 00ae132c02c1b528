/* What the table means for a connection and for a topic. Pure: no broker, no clock, no network. */
#ifndef MUSTER_PLUGIN_VERDICT_H
#define MUSTER_PLUGIN_VERDICT_H

#include "plugin/table.h"

#include <stdbool.h>
#include <stdint.h>

enum verdict {
	VERDICT_ALLOWED,
	VERDICT_NO_TABLE, /* no snapshot has come yet */
	VERDICT_STALE,	  /* the service has not been heard for too long */
	VERDICT_NO_ID,	  /* no client certificate, or its subject is not a device's or service's */
	VERDICT_UNKNOWN,  /* not an active device or service */
	VERDICT_CERTIFICATE, /* not one with which it may connect now */
	VERDICT_EXPIRED,
	VERDICT_CLIENT_ID, /* neither its id nor one that its policy allows */
	VERDICT_SESSIONS,  /* more at a time than its policy allows */
	VERDICT_FAILED,	   /* memory, or the broker, failed us */
	VERDICTS
};

/* For the broker's log, after "refused …: ". */
const char *verdict_text(enum verdict verdict);

/* Did a known client ask for more than its policy gives, rather than be nobody who may connect? */
bool verdict_is_of_policy(enum verdict verdict);

enum verdict_access { VERDICT_WRITE, VERDICT_READ, VERDICT_SUBSCRIBE, VERDICT_UNSUBSCRIBE };

/* May the owner ID, whose certificate has the fingerprint SHA256, connect as CLIENT_ID at the time
 * NOW? Then *NOT_AFTER_OUT is until when, and *SESSIONS_OUT how many it may have at a time; a
 * client id that was connected before is not counted twice, which the caller sees to. */
enum verdict verdict_connect(const struct table *t, const uint8_t id[UUID_BYTES],
    const uint8_t sha256[SHA256_LEN], const char *client_id, int64_t now, int64_t *not_after_out,
    int64_t *sessions_out);

/* May a session of that owner, admitted with that certificate and client id, go on? If so, it is
 * one of at most *SESSIONS_OUT. */
enum verdict verdict_session(const struct table *t, const uint8_t id[UUID_BYTES],
    const uint8_t sha256[SHA256_LEN], const char *client_id, int64_t *sessions_out);

/* May USER (an id; NULL is nobody) do this with TOPIC: a name to write and to read, a filter to
 * subscribe, which must be no wider than what may be read? With `$share/GROUP/FILTER` it is FILTER
 * that counts. */
bool verdict_topic(
    const struct table *t, const char *user, enum verdict_access access, const char *topic);

#endif
