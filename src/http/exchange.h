/* One request and its reply, on their way through the rooms: checked and routed on the event loop, answered on a
 * worker (or at once), sent on the loop. At any moment either the loop or one worker works on it, never both. */
#ifndef MUSTER_HTTP_EXCHANGE_H
#define MUSTER_HTTP_EXCHANGE_H

#include "base/err.h"
#include "core/core.h"
#include "core/ratelimit.h"
#include "http/caller.h"
#include "http/request.h"
#include "http/router.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct conn;
struct evhttp_request;
struct loop;

struct exchange {
	struct core *core;
	struct request request;
	struct caller_proof proof;
	const struct route *route; /* NULL: none was found */
	struct http_reply reply;
	char allow[64];		   /* of a 405 */
	char who[CALLER_WHO_SIZE]; /* for the log; "-" if nobody looked */
	int64_t begun_us;
	bool is_counted;		 /* by the limits: once, however often it is looked at again */
	struct ratelimit_report quotas;	 /* what they leave, for the answer */
	bool is_last_part, is_failed; /* of a body in parts: what exchange_next found */

	/* Only the loop looks at these. */
	struct loop *loop;
	struct conn *conn;	      /* NULL: the connection is gone */
	struct evhttp_request *evreq; /* valid while conn is */
	bool is_sent;		      /* the reply was handed to libevent */
	bool is_whole;		      /* and is what the handler made */
	bool is_working;	      /* at a worker, or on its way back */
	bool is_sending, has_left;    /* a part is being handed to libevent, and has left meanwhile */
	bool is_parked;		      /* in the loop's list of those that wait for news, or for room among the workers */
	int64_t parked_until_ms;
	LIST_ENTRY(exchange) parked;
	struct exchange *next;	      /* in the loop's list of those that are done */
};

/* NULL when out of memory. TRAFFIC is what a handler may show. */
struct exchange *exchange_new(struct core *core, struct loop *loop, struct traffic *traffic);

/* On the loop: check and copy EVREQ, find its route on LISTENER, note AUTHORIZATION in the proof (the rest of which
 * the caller has filled). True if exchange_answer is to run on a worker; else the reply is ready. */
bool exchange_begin(struct exchange *x, struct evhttp_request *evreq, const char *peer, unsigned listener);

/* On a worker: who calls, may they, the handler. Always leaves a reply. */
void exchange_answer(struct exchange *x);

/* On a worker: who calls, may they still, and the next part of a body that comes in parts, into the reply's. */
void exchange_next(struct exchange *x);

/* Instead of that: the reply is the problem document of ERR (STATUS 0: by its code). */
void exchange_refuse(struct exchange *x, const struct err *err, int status);

/* The way is over: log it, tell the handler whether the whole reply left, free. On a worker if the reply has a
 * `sent`, for that may block. */
void exchange_end(struct exchange *x, bool whole);

#endif
