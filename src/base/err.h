/* The one error scheme. A fallible function returns 0 or a negative E_* and fills the caller's
 * struct err; codes are few and each stands for a decision the caller can take. Only http/reply.c
 * turns codes into HTTP statuses, and only the edges (http, cmd, signer main) log them. */
#ifndef MUSTER_BASE_ERR_H
#define MUSTER_BASE_ERR_H

#include <stdarg.h>

enum err_code {
	E_INPUT = -1,	 /* what came in is wrong; err.field names the part if there is one */
	E_UNAUTH = -2,	 /* nobody we know is calling */
	E_DENIED = -3,	 /* known, but may not */
	E_NOTFOUND = -4, /* no such thing, or not the caller's */
	E_CONFLICT = -5, /* the thing's state does not allow it */
	E_GONE = -6,	 /* it was there once and is used up */
	E_LIMIT = -7,	 /* too large, too many or too often */
	E_BUSY = -8,	 /* not now; the same call may work later */
	E_NOMEM = -9,	 /* out of memory */
	E_SYS = -10,	 /* the operating system, a library or a file failed us */
	E_FULL = -11,	 /* no room on the disk for what can wait; revocations have a reserve */
	E_STALE = -12	 /* what the caller has cannot be brought up to date: begin afresh with a snapshot */
};

#define ERR_FIELD_MAX 64
#define ERR_TEXT_MAX 384

/* Fixed size, on the caller's stack, zeroed before use: struct err err = {0}. */
struct err {
	int code;
	int retry_after_s;	   /* with E_LIMIT: too often, and this long until it may work; else 0 */
	char field[ERR_FIELD_MAX]; /* the request field or config key at fault, or empty */
	char text[ERR_TEXT_MAX];   /* one sentence for the person who must act on it */
};

/* Must-check marker for fallible functions. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Fill ERR (which may be NULL) and return CODE, so that callers can write `return err_set(…)`. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, naming the field of the input that is wrong. */
int err_field(struct err *err, int code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* E_LIMIT for something done too often, which may work after RETRY_AFTER_S seconds. */
int err_too_often(struct err *err, int retry_after_s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* E_SYS, or E_FULL if errno says so, with errno's text appended. */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* E_NOMEM with the usual sentence. */
int err_nomem(struct err *err);

/* Put "PREFIX: " before the text of an error that is passed on. Returns err->code. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A short fixed name of a code ("not-found"), for logs and problem types. Never NULL. */
const char *err_name(int code);

#endif
