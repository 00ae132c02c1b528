/* The lines of the feed between the service and a broker's plugin, version 1: one JSON object a line. Writer and
 * reader share one table, and both check everything: what one writes the other takes, and nothing else. */
#ifndef MUSTER_AUTHZ_FEED_H
#define MUSTER_AUTHZ_FEED_H

#include "authz/policy.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEED_VERSION 1
#define FEED_LINE_MAX (64 * 1024) /* bytes of a line, without its end */
#define FEED_EPOCH_LEN 32	  /* hex digits in lower case */
#define FEED_WORD_SIZE 65	  /* with NUL; policy_word_is_valid */
#define FEED_FPS_MAX 16		  /* certificates of one owner that may connect at one time */
#define FEED_SESSIONS_MAX 100	  /* of one device, where its policy allows several */

enum feed_kind {
	FEED_SNAPSHOT, /* first line of a snapshot: version, epoch, seq */
	FEED_CHANGES,  /* first line of an answer with changes: epoch, after, seq */
	FEED_POLICY,   /* tenant, name, and write, read, sessions or removed; seq */
	FEED_SERVICE,  /* id, tenant, status, fps, write, read; seq */
	FEED_DEVICE,   /* id, tenant, status, type, policy, fps; seq */
	FEED_END,      /* last line: count */
	FEED_KINDS
};

enum feed_status {
	FEED_PENDING,
	FEED_ACTIVE,
	FEED_SUSPENDED,
	FEED_REVOKED,
	FEED_ARCHIVED,
	FEED_STATUSES
};

/* A certificate that may connect until NOT_AFTER: SHA-256 of its DER. */
struct feed_fp {
	uint8_t sha256[SHA256_LEN];
	int64_t not_after;
};

struct feed_topics {
	size_t n;
	char topic[POLICY_TEMPLATES_MAX][POLICY_TOPIC_MAX + 1]; /* the first N are set */
};

/* One line; which members count is beside its kind. About 17 KiB. */
struct feed_line {
	enum feed_kind kind;
	int64_t seq; /* of an object: 0 in a snapshot, where it has none */
	int64_t after, count, sessions;
	char epoch[FEED_EPOCH_LEN + 1];
	char id[UUID_LEN + 1];
	char tenant[FEED_WORD_SIZE], name[FEED_WORD_SIZE], type[FEED_WORD_SIZE], policy[FEED_WORD_SIZE];
	enum feed_status status;
	bool removed;
	size_t n_fps; /* 0 unless active */
	struct feed_fp fps[FEED_FPS_MAX];
	struct feed_topics write, read; /* a policy's templates, a service's filters */
};

bool feed_epoch_is_valid(const char *epoch);

/* Append LINE and its \n to OUT. E_INPUT, and nothing appended, for a member that must not stand there; E_NOMEM. */
MUST_CHECK int feed_line_encode(struct buf *out, const struct feed_line *line, struct err *err);

/* Read one line of LEN bytes, without its \n. Members that its kind does not have, those that are missing or there
 * twice, and whatever feed_line_encode would refuse are E_INPUT; E_LIMIT above FEED_LINE_MAX; E_NOMEM. After a
 * failure *LINE_OUT holds nothing of use; after success only what its kind has, and of lists the first n. */
MUST_CHECK int feed_line_decode(
    const char *text, size_t len, struct feed_line *line_out, struct err *err);

#endif
