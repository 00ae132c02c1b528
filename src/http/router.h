/* Routes: the one table of what can be called, by whom, and on which thread it runs. A route without roles
 * cannot be written: the table's entries go through ROUTE(), which has no default. */
#ifndef MUSTER_HTTP_ROUTER_H
#define MUSTER_HTTP_ROUTER_H

#include "base/address.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/trace.h"
#include "core/caller.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_PARAMS_MAX 2
#define HTTP_PARAM_SIZE 160
#define HTTP_HEADER_SIZE 256 /* of a header that is copied; what is longer counts as absent */
#define HTTP_ETAG_SIZE 64

struct ratelimit_report;
struct traffic;

/* A request as a handler sees it: a copy, independent of the connection, which may be gone already. */
struct http_request {
	const char *method;
	const char *path;	    /* decoded and checked; without query */
	const char *tail;	    /* of a path below /ocsp/: the rest as it came, which is no path; else NULL */
	char params[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE]; /* what {…} in the pattern matched, in order */
	const uint8_t *body;
	size_t body_len;
	const char *content_type;   /* "" if none */
	const char *accept;
	const char *idempotency_key; /* "" if none */
	const char *accept_encoding, *if_none_match, *if_modified_since; /* "" if none */
	char peer[ADDRESS_TEXT_SIZE]; /* the client's address, or "socket" */
	char id[LOG_ID_SIZE];	    /* request id, in the log and in X-Request-Id */
	char trace[TRACE_ID_SIZE];  /* of the trace that it came in, for the log; "" if none */
	const struct http_query *query;
	struct traffic *traffic;    /* the server's counters, for /metrics */
	struct ratelimit_report *quotas; /* what limits leave, for the answer */
	bool must_answer;	    /* no more waiting (http_reply.wait_s) */
	bool is_inline;		    /* on the event loop, where nothing may block */
};

/* The value of a query parameter, decoded; NULL if absent. Borrowed. */
const char *http_query_get(const struct http_request *req, const char *name);

/* E_INPUT (field) if the query has a parameter that is not in NAMES (NULL-terminated), or one twice. */
MUST_CHECK int http_query_only(
    const struct http_request *req, const char *const *names, struct err *err);

struct http_reply {
	int status;		  /* 0: 200 */
	const char *content_type; /* NULL: application/json */
	struct buf body;
	char location[256];	/* "" : no header */
	int64_t renew_at;	/* Muster-Renew-At, seconds UTC; 0: no header */
	char disposition[128];	/* Content-Disposition; "" : no header */
	bool is_base64;		/* Content-Transfer-Encoding: base64, as EST has it */
	bool wants_basic;	/* of a 401: a Basic password is asked for */
	bool is_page;		/* HTML: gets the Content-Security-Policy of pages */
	int64_t cacheable_s;	/* 0: Cache-Control: no-store */
	int64_t stale_s;	/* caches may show it so much longer if nobody answers them; 0: no word of that */
	/* With one of these, a GET by who has that already is answered 304, whatever the handler put into the body. */
	char etag[HTTP_ETAG_SIZE]; /* quoted; "" : no header */
	int64_t last_modified;	   /* 0: no header */
	const char *encoding;	   /* Content-Encoding; NULL: no header */
	bool is_negotiated;	   /* another Accept-Encoding may get another body: Vary */
	int retry_after_s;	/* 0: no Retry-After */
	bool needs_worker;	/* of an inline call of a ROUTE_MEMORY: this takes a worker, ask again there */
	/* Called on a worker once it is known that the whole body has arrived (true), as far as TCP can tell, or that the
	 * connection broke first (false); NULL for most. CTX is freed by it. */
	void (*sent)(struct core *core, void *ctx, bool whole);
	void *sent_ctx;
	/* Instead of an answer: there is nothing to tell yet. Nobody waits for it meanwhile; the handler is called again,
	 * behind a new look at who calls, when the feed has news, and in the end, so many seconds after the request came,
	 * with must_answer. WAIT_GENERATION is what feed_generation said before it looked. */
	int64_t wait_s;
	uint64_t wait_generation;
	/* A body that is too large to be held: BODY is its first part. NEXT is called on a worker for each further one, when
	 * the one before has left and behind a new look at who calls; it appends to PART, which may stay empty. If it fails,
	 * the connection is cut, so a body must show its end, or BODY_LEN, its length in all, which goes ahead of it, does.
	 * NEXT_FREE frees the context, in any case. */
	size_t body_len; /* 0: unknown */
	int (*next)(struct core *core, void *ctx, struct buf *part, bool *end_out, struct err *err);
	void (*next_free)(void *ctx);
	void *next_ctx;
};

/* Runs on a worker (may block) unless the route says ROUTE_INLINE. Returns 0 with REPLY filled, or an error,
 * which reply.c turns into application/problem+json. CALLER is NULL only on routes for anybody. */
typedef int http_handler(struct core *core, const struct caller *caller,
    const struct http_request *req, struct http_reply *reply, struct err *err);

/* Who may call: an OR of enum role, or one of these. */
#define ROUTE_ANYBODY 0x1000 /* needs no credentials and looks at none */
/* Beside roles: what is of the whole installation, and so not for those who are bound to a tenant. */
#define ROUTE_WHOLE 0x2000

enum route_place {
	ROUTE_INLINE, /* on the event loop: answers from memory, at once, also when the workers are drowned */
	ROUTE_MEMORY, /* inline what is in memory; else on a worker, behind whatever else there is to do */
	ROUTE_URGENT, /* on the workers' fast lane: revocation */
	ROUTE_NORMAL
};

enum route_listener {
	ON_API = 1,    /* HTTPS and Unix socket */
	ON_PKI = 2,    /* plain HTTP for everybody */
	ON_METRICS = 4 /* plain HTTP for whom the operator let reach it */
};

struct route {
	const char *method;  /* "GET" also answers HEAD */
	const char *pattern; /* "/v1/devices/{id}/revoke" */
	unsigned who;
	enum route_place place;
	unsigned listeners;
	http_handler *handler;
};

#define ROUTE(method, pattern, who, place, listeners, handler) \
	{(method), (pattern), (who), (place), (listeners), (handler)}

extern const struct route routes[];
extern const size_t n_routes;

/* Find the route for METHOD and the decoded PATH on LISTENER and capture its parameters. E_NOTFOUND; with a
 * known path and a wrong method E_NOTFOUND too, but ALLOW_OUT (size bytes) lists the methods for a 405. */
MUST_CHECK int router_find(const char *method, const char *path, unsigned listener,
    const struct route **route_out, char params_out[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE],
    char *allow_out, size_t allow_size, struct err *err);

#endif
