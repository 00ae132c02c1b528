/* Statuses, problem documents and common headers. */
#include "http/reply.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/idempotency.h"
#include "core/ratelimit.h"
#include "http/negotiate.h"
#include "http/page.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HSTS "max-age=31536000"
#define BUSY_RETRY_S 1
#define FULL_RETRY_S 30

/* By code. E_LIMIT is too large a body, unless it says when to come back, or which field is to blame; E_CONFLICT is
 * about a thing's state, unless a key came with two requests. */
static const struct {
	int code;
	int status;
} statuses[] = {
    {E_INPUT, 400},
    {E_UNAUTH, 401},
    {E_DENIED, 403},
    {E_NOTFOUND, 404},
    {E_CONFLICT, 409},
    {E_GONE, 410},
    {E_LIMIT, 413},
    {E_BUSY, 503},
    {E_FULL, 503},
    {E_STALE, 409},
};

static const struct {
	int status;
	const char *title;
} titles[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *
title_of(int status)
{
	size_t i;

	for (i = 0; i < sizeof titles / sizeof titles[0]; i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Answer";
}

int
reply_status(const struct err *err)
{
	size_t i;

	if (err->code == E_LIMIT && err->retry_after_s > 0)
		return 429;
	if (err->code == E_LIMIT && err->field[0] != '\0')
		return 400;
	if (err->code == E_CONFLICT && strcmp(err->field, IDEMPOTENCY_FIELD) == 0)
		return 422;
	for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].code == err->code)
			return statuses[i].status;
	return 500;
}

/* NULL when out of memory, or if TEXT is not UTF-8. */
static json_t *
problem_new(const struct err *err, int status, const char *request_id)
{
	bool is_internal = status == 500;
	const char *name = is_internal ? "internal" : err_name(err->code);
	json_t *problem;
	char type[64];

	(void)snprintf(type, sizeof type, "urn:muster:problem:%s", name);
	problem = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title", title_of(status), "status",
	    status, "detail", is_internal ? "internal error" : err->text, "instance", request_id);
	if (problem != NULL && !is_internal && err->field[0] != '\0' &&
	    json_object_set_new(problem, "errors",
		json_pack("[{s:s, s:s}]", "field", err->field, "reason", err->text)) != 0) {
		json_decref(problem);
		problem = NULL;
	}
	return problem;
}

void
reply_problem(struct http_reply *reply, const struct err *err, int status, const char *request_id)
{
	json_t *problem;
	char *text = NULL;

	reply_clear(reply);
	reply->status = status != 0 ? status : reply_status(err);
	reply->retry_after_s = err->retry_after_s;
	if (reply->status == 503)
		reply->retry_after_s = err->code == E_FULL ? FULL_RETRY_S : BUSY_RETRY_S;
	reply->content_type = "application/problem+json";
	problem = problem_new(err, reply->status, request_id);
	if (problem != NULL)
		text = json_dumps(problem, JSON_COMPACT);
	if (text != NULL)
		buf_text(&reply->body, text);
	else
		buf_printf(&reply->body, "{\"type\":\"about:blank\",\"status\":%d,\"instance\":\"%s\"}",
		    reply->status, request_id);
	json_decref(problem);
	free(text);
}

void
reply_clear(struct http_reply *reply)
{
	reply->body.wipe = true; /* it may hold a package or its password */
	buf_clear(&reply->body);
	if (reply->next_free != NULL)
		reply->next_free(reply->next_ctx);
	memset(reply, 0, sizeof *reply);
}

#define LEN_UNKNOWN SIZE_MAX

static void
cache_headers_add(struct evkeyvalq *out, const struct http_reply *reply)
{
	char text[96], stale[48] = "";

	if (reply->last_modified > 0) {
		http_date_format(text, reply->last_modified);
		(void)evhttp_add_header(out, "Last-Modified", text);
	}
	if (reply->cacheable_s == 0) {
		(void)evhttp_add_header(out, "Cache-Control", "no-store");
		return;
	}
	if (reply->stale_s > 0)
		(void)snprintf(stale, sizeof stale, ", stale-if-error=%lld", (long long)reply->stale_s);
	(void)snprintf(text, sizeof text, "public, max-age=%lld%s", (long long)reply->cacheable_s, stale);
	(void)evhttp_add_header(out, "Cache-Control", text);
	http_date_format(text, clock_now() + reply->cacheable_s);
	(void)evhttp_add_header(out, "Expires", text); /* for HTTP/1.0's caches */
}

/* RateLimit-Policy and RateLimit, draft-ietf-httpapi-ratelimit-headers (versions 09 to 11): lists of structured fields, with a
 * policy for each limit and whom it is for. `t` is until there is one more, which Retry-After agrees with. */
static void
quota_headers_add(struct evkeyvalq *out, const struct ratelimit_report *report)
{
	char policies[80 * RATELIMIT_QUOTAS_MAX] = "", states[sizeof policies] = "";
	size_t i, p = 0, s = 0;

	for (i = 0; i < report->n; i++) {
		const struct ratelimit_quota *q = &report->quotas[i];
		const char *comma = i > 0 ? ", " : "";

		p += (size_t)snprintf(policies + p, sizeof policies - p, "%s\"%s-%s\";q=%lld;w=60", comma, q->name, q->scope,
		    (long long)q->per_min);
		s += (size_t)snprintf(states + s, sizeof states - s, "%s\"%s-%s\";r=%lld;t=%lld", comma, q->name, q->scope,
		    (long long)q->left, (long long)q->next_s);
	}
	if (report->n == 0)
		return;
	(void)evhttp_add_header(out, "RateLimit-Policy", policies);
	(void)evhttp_add_header(out, "RateLimit", states);
}

static void
headers_add(struct evkeyvalq *out, const struct http_reply *reply, size_t len,
    const struct reply_options *options)
{
	static const char basic[] = "Basic realm=\"enrolment token as password\", charset=\"UTF-8\"";
	char renew_at[32];
	const struct {
		const char *name, *value;
	} headers[] = {
	    {"Content-Type", reply->content_type != NULL ? reply->content_type : "application/json"},
	    {"X-Content-Type-Options", "nosniff"},
	    {"X-Request-Id", options->request_id},
	    {"Referrer-Policy", "no-referrer"},
	    {"Content-Security-Policy",
		reply->is_page ? page_policy : "default-src 'none'; frame-ancestors 'none'"},
	    {"Strict-Transport-Security", options->is_tls ? HSTS : NULL},
	    {"Location", reply->location[0] != '\0' ? reply->location : NULL},
	    {"Muster-Renew-At", reply->renew_at != 0 ? renew_at : NULL},
	    {"Content-Disposition", reply->disposition[0] != '\0' ? reply->disposition : NULL},
	    {"Allow", options->allow},
	    {"ETag", reply->etag[0] != '\0' ? reply->etag : NULL},
	    {"Content-Encoding", reply->status != 304 ? reply->encoding : NULL},
	    {"Vary", reply->is_negotiated ? "Accept-Encoding" : NULL},
	    {"Content-Transfer-Encoding", reply->is_base64 ? "base64" : NULL},
	    {"WWW-Authenticate", reply->status != 401 ? NULL : reply->wants_basic ? basic : "Bearer realm=\"muster\""},
	    {"Connection", options->must_close ? "close" : NULL},
	};
	char number[64];
	size_t i;

	(void)snprintf(renew_at, sizeof renew_at, "%lld", (long long)reply->renew_at);

	for (i = 0; i < sizeof headers / sizeof headers[0]; i++)
		if (headers[i].value != NULL)
			(void)evhttp_add_header(out, headers[i].name, headers[i].value);
	cache_headers_add(out, reply);
	if (options->quotas != NULL)
		quota_headers_add(out, options->quotas);
	if (reply->retry_after_s > 0) {
		(void)snprintf(number, sizeof number, "%d", reply->retry_after_s);
		(void)evhttp_add_header(out, "Retry-After", number);
	}
	/* evhttp would leave it out for HTTP/1.0 and for HEAD. */
	(void)snprintf(number, sizeof number, "%zu", len);
	if (reply->status != 204 && reply->status != 304 && len != LEN_UNKNOWN)
		(void)evhttp_add_header(out, "Content-Length", number);
}

static void
body_free(const void *data, size_t len, void *arg)
{
	struct buf *body = arg;

	(void)data;
	(void)len;
	buf_clear(body);
	free(body);
}

/* The body as an evbuffer that owns its memory, so that a large CRL is not copied. NULL: out of memory. */
static struct evbuffer *
body_take(struct http_reply *reply)
{
	struct evbuffer *out = evbuffer_new();
	struct buf *body = malloc(sizeof *body);

	if (out == NULL || body == NULL)
		goto fail;
	*body = reply->body;
	body->wipe = reply->cacheable_s == 0; /* it may hold a package or its password */
	if (evbuffer_add_reference(out, body->data, body->len, body_free, body) != 0)
		goto fail;
	reply->body = (struct buf){0};
	return out;
fail:
	if (out != NULL)
		evbuffer_free(out);
	free(body);
	return NULL;
}

void
reply_write(struct evbuffer *out, const struct http_reply *reply, const struct reply_options *options)
{
	struct evkeyvalq headers = TAILQ_HEAD_INITIALIZER(headers);
	const struct evkeyval *header;

	headers_add(&headers, reply, reply->body.len, options);
	(void)evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", reply->status, title_of(reply->status));
	TAILQ_FOREACH(header, &headers, next)
		(void)evbuffer_add_printf(out, "%s: %s\r\n", header->key, header->value);
	(void)evbuffer_add(out, "\r\n", 2);
	(void)evbuffer_add(out, reply->body.data, reply->body.len);
	evhttp_clear_headers(&headers);
}

bool
reply_send_take(
    struct evhttp_request *evreq, struct http_reply *reply, const struct reply_options *options)
{
	struct evbuffer *body = NULL;
	size_t len = reply->body.len;
	bool is_whole = true;

	if (reply->status == 0)
		reply->status = 200;
	if (buf_failed(&reply->body) ||
	    (!options->is_head && reply->body.len > 0 && (body = body_take(reply)) == NULL)) {
		reply->status = 500;
		buf_clear(&reply->body);
		len = 0;
		is_whole = false;
	}
	headers_add(evhttp_request_get_output_headers(evreq), reply, len, options);
	evhttp_send_reply(evreq, reply->status, title_of(reply->status), body);
	if (body != NULL)
		evbuffer_free(body);
	return is_whole;
}

void
reply_begin(struct evhttp_request *evreq, struct http_reply *reply, const struct reply_options *options)
{
	if (reply->status == 0)
		reply->status = 200;
	/* HTTP/1.0 has no chunks: there the end of the connection is the end of the body. */
	if (evreq->minor == 0)
		(void)evhttp_remove_header(evhttp_request_get_input_headers(evreq), "Connection");
	headers_add(evhttp_request_get_output_headers(evreq), reply, reply->body_len > 0 ? reply->body_len : LEN_UNKNOWN, options);
	evhttp_send_reply_start(evreq, reply->status, title_of(reply->status));
}

bool
reply_part_take(struct evhttp_request *evreq, struct http_reply *reply,
    void (*left)(struct evhttp_connection *evcon, void *arg), void *arg)
{
	struct evbuffer *body = buf_failed(&reply->body) ? NULL : body_take(reply);

	if (body == NULL)
		return false;
	evhttp_send_reply_chunk_with_cb(evreq, body, left, arg);
	evbuffer_free(body);
	return true;
}

void
reply_end(struct evhttp_request *evreq)
{
	evhttp_send_reply_end(evreq);
}
