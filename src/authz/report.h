/* What a broker's plugin reports of its connections, in batches: the body of POST /v1/brokers/reports. */
#ifndef MUSTER_AUTHZ_REPORT_H
#define MUSTER_AUTHZ_REPORT_H

#include "authz/feed.h"
#include "base/address.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

#define REPORT_EVENTS_MAX 1000
#define REPORT_BYTES_MAX 60000 /* of a report; the service's default limits.body_bytes is a little more */
#define REPORT_REASON_SIZE 97  /* with NUL; UTF-8 without control characters */
#define REPORT_COUNT_MAX 1000000

/* Refused: a connection, for who the client is. Denied: what a known one asked for beyond its policy. */
enum report_kind { REPORT_CONNECT, REPORT_DISCONNECT, REPORT_REFUSE, REPORT_DENY, REPORT_KINDS };

struct report_event {
	enum report_kind kind;
	int64_t at;			/* seconds UTC, > 0 */
	int64_t count;			/* so many like it, up to REPORT_COUNT_MAX; 0 is 1 */
	char id[UUID_LEN + 1];		/* of a device or service; "" for nobody known */
	char peer[ADDRESS_TEXT_SIZE];	/* its address, or "" */
	char fingerprint[2 * SHA256_LEN + 1]; /* SHA-256, hex in lower case, of the certificate that it came with; or "" */
	char reason[REPORT_REASON_SIZE]; /* why it was refused or denied, or how it went; or "" */
};

struct report {
	char epoch[FEED_EPOCH_LEN + 1];
	int64_t seq;	 /* how far in the feed the broker is */
	int64_t dropped; /* events that had no room since the last report */
	size_t n;
};

/* Append the report of REPORT's first fields and as many of the N events as have room in REPORT_EVENTS_MAX and
 * REPORT_BYTES_MAX to OUT; how many into *TAKEN_OUT, at least one of any. E_INPUT, and nothing appended, for a value
 * that must not stand there; E_NOMEM. */
MUST_CHECK int report_encode(struct buf *out, const struct report *report, const struct report_event *events, size_t n,
    size_t *taken_out, struct err *err);

/* Read a whole report; its events into EVENTS_OUT[REPORT_EVENTS_MAX]. E_INPUT for whatever report_encode would not
 * write, members twice, unknown or missing; E_NOMEM. After a failure the outputs hold nothing of use. */
MUST_CHECK int report_decode(
    const char *text, size_t len, struct report *report_out, struct report_event *events_out, struct err *err);

#endif
