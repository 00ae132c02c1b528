/* From an evhttp request, whose form framing.c has checked, to a struct http_request: target and headers get their one
 * reading, and what a handler needs is copied, because the connection may go away meanwhile. */
#ifndef MUSTER_HTTP_REQUEST_H
#define MUSTER_HTTP_REQUEST_H

#include "base/err.h"
#include "core/idempotency.h"
#include "http/router.h"

#include <stdbool.h>

struct evhttp_request;
struct evkeyvalq;

#define REQUEST_QUERY_MAX 32 /* parameters */

struct http_query {
	size_t n;
	struct {
		const char *name, *value;
	} items[REQUEST_QUERY_MAX];
};

struct request {
	struct http_request http; /* its pointers lead into this struct: never copy it */
	struct http_query query;
	char *target;		  /* the memory of path and query */
	uint8_t *body;
	char content_type[128];
	char accept[HTTP_HEADER_SIZE];
	char accept_encoding[HTTP_HEADER_SIZE], if_none_match[HTTP_HEADER_SIZE], if_modified_since[64];
	char idempotency_key[IDEMPOTENCY_KEY_MAX + 1];
	bool is_head;
	bool must_close;	  /* after the answer: what follows need not be a request */
	int status;		  /* of a refusal, where the error's code is not precise enough; else 0 */
};

/* Give OUT, which is zeroed, an id and its PEER, the client's address: all that an answer needs. */
void request_name(struct request *out, const char *peer);

/* Note in whose trace it comes, if HEADERS have one traceparent, and that is one (base/trace). */
void request_trace(struct request *out, const struct evkeyvalq *headers);

/* Check EVREQ and copy it into OUT, which has its name. On failure is_head and must_close are valid. E_INPUT,
 * E_NOTFOUND (a path that can be no resource's), E_NOMEM. Clear OUT in any case. */
MUST_CHECK int request_read(
    struct evhttp_request *evreq, struct request *out, struct err *err);

/* Wipes what it frees: a path may hold a link's token. */
void request_clear(struct request *request);

/* Decode the percent-encoded PATH in place. E_NOTFOUND for anything that could be taken for another path:
 * NUL, an encoded slash, empty, "." or ".." segments, control characters, broken UTF-8. */
MUST_CHECK int request_path_decode(char *path, struct err *err);

/* Split and decode TEXT (behind the "?") in place; OUT points into it. E_INPUT. */
MUST_CHECK int request_query_parse(char *text, struct http_query *out, struct err *err);

#endif
