/* Paths and queries have one reading, or are refused; so have the headers that a handler sees. Where a request ends
 * framing.c has decided. Routes and decides nothing. */
#include "http/request.h"

#include "base/random.h"
#include "base/text.h"
#include "core/idempotency.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

/* What stands below is base64, escaped or not, whose slashes separate nothing (RFC 6960, appendix A.1). */
#define TAIL_PATH "/ocsp/"

static const char *
method_name(enum evhttp_cmd_type type)
{
	static const struct {
		enum evhttp_cmd_type type;
		const char *name;
	} methods[] = {
	    {EVHTTP_REQ_GET, "GET"},
	    {EVHTTP_REQ_HEAD, "HEAD"},
	    {EVHTTP_REQ_POST, "POST"},
	    {EVHTTP_REQ_PUT, "PUT"},
	    {EVHTTP_REQ_PATCH, "PATCH"},
	    {EVHTTP_REQ_DELETE, "DELETE"},
	    {EVHTTP_REQ_OPTIONS, "OPTIONS"},
	    {EVHTTP_REQ_TRACE, "TRACE"},
	};
	size_t i;

	for (i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (methods[i].type == type)
			return methods[i].name;
	return ""; /* framing.c knows no others */
}

/* One %XX at S (behind the percent sign), or -1. */
static int
percent_decode(const char *s)
{
	uint8_t byte;
	char digits[3];

	if (s[0] == '\0' || s[1] == '\0')
		return -1;
	memcpy(digits, s, 2);
	digits[2] = '\0';
	return hex_decode(&byte, 1, digits) ? byte : -1;
}

/* Decode in place. False for a broken escape or one of a byte in FORBIDDEN or NUL. */
static bool
text_decode(char *text, bool plus_is_space, const char *forbidden)
{
	char *out = text;
	int byte;

	for (; *text != '\0'; text++) {
		if (*text == '+' && plus_is_space) {
			*out++ = ' ';
		} else if (*text != '%') {
			*out++ = *text;
		} else {
			/* strchr finds the NUL too */
			if ((byte = percent_decode(text + 1)) < 0 || strchr(forbidden, byte) != NULL)
				return false;
			*out++ = (char)byte;
			text += 2;
		}
	}
	*out = '\0';
	return true;
}

int
request_path_decode(char *path, struct err *err)
{
	const char *segment;
	size_t len;
	bool good;

	good = path[0] == '/' && text_decode(path, false, "/\\") && text_is_printable(path, strlen(path));
	for (segment = path; good && *segment == '/'; segment += 1 + len) {
		len = strcspn(segment + 1, "/");
		if ((len == 0 && segment[1] == '/') || (len == 1 && segment[1] == '.') ||
		    (len == 2 && segment[1] == '.' && segment[2] == '.'))
			good = false;
	}
	return good ? 0 : err_set(err, E_NOTFOUND, "there is nothing at this address");
}

int
request_query_parse(char *text, struct http_query *out, struct err *err)
{
	char *pair, *value;

	out->n = 0;
	while ((pair = strsep(&text, "&")) != NULL) {
		if (*pair == '\0')
			continue;
		if ((value = strchr(pair, '=')) != NULL)
			*value++ = '\0';
		else
			value = pair + strlen(pair);
		if (!text_decode(pair, true, "") || !text_decode(value, true, "") ||
		    !text_is_printable(pair, strlen(pair)) || !text_is_printable(value, strlen(value)))
			return err_field(err, E_INPUT, "query", "is not well-formed text");
		if (out->n == REQUEST_QUERY_MAX)
			return err_field(
			    err, E_INPUT, "query", "has more than %d parameters", REQUEST_QUERY_MAX);
		out->items[out->n].name = pair;
		out->items[out->n++].value = value;
	}
	return 0;
}

static int
target_read(const char *uri, struct request *out, struct err *err)
{
	char *query;
	int rc;

	if ((out->target = strdup(uri)) == NULL)
		return err_nomem(err);
	if ((query = strchr(out->target, '?')) != NULL)
		*query++ = '\0';
	if (strncmp(out->target, TAIL_PATH, strlen(TAIL_PATH)) == 0 && out->target[strlen(TAIL_PATH)] != '\0') {
		out->http.tail = out->target + strlen(TAIL_PATH);
		out->http.path = TAIL_PATH "-";
	} else if ((rc = request_path_decode(out->target, err)) == 0) {
		out->http.path = out->target;
	} else {
		return rc;
	}
	return query != NULL ? request_query_parse(query, &out->query, err) : 0;
}

static int
body_read(struct evhttp_request *evreq, struct request *out, struct err *err)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(evreq);
	size_t len = evbuffer_get_length(input);

	if (len == 0)
		return 0;
	if ((out->body = malloc(len)) == NULL)
		return err_nomem(err);
	if (evbuffer_copyout(input, out->body, len) != (ev_ssize_t)len)
		return err_set(err, E_SYS, "cannot copy a request's body");
	out->http.body = out->body;
	out->http.body_len = len;
	return 0;
}

static int
header_copy(const struct evkeyvalq *headers, const char *name, char *dst, size_t size, struct err *err)
{
	const char *value = evhttp_find_header(headers, name);

	if (value != NULL && (!text_copy(dst, size, value) || !text_is_printable(value, strlen(value))))
		return err_field(err, E_INPUT, name, "is longer than %zu bytes or not text", size - 1);
	return 0;
}

/* One that a client could do without: what is too long or odd counts as absent. */
static void
header_hint(const struct evkeyvalq *headers, const char *name, char *dst, size_t size)
{
	struct err ignored = {0};

	if (header_copy(headers, name, dst, size, &ignored) != 0)
		dst[0] = '\0';
}

void
request_name(struct request *out, const char *peer)
{
	uint8_t id[16];

	/* Without randomness it is no name to find in the log, but there is an answer. */
	if (random_bytes(id, sizeof id, NULL) != 0)
		memset(id, 0, sizeof id);
	hex_encode(out->http.id, id, sizeof id);
	(void)text_copy(out->http.peer, sizeof out->http.peer, peer);
}

void
request_trace(struct request *out, const struct evkeyvalq *headers)
{
	const struct evkeyval *header;
	const char *found = NULL;
	size_t n = 0;

	TAILQ_FOREACH(header, headers, next) {
		if (strcasecmp(header->key, "traceparent") != 0)
			continue;
		found = header->value;
		n++;
	}
	(void)trace_parse(n == 1 ? found : NULL, out->http.trace);
}

/* The body of a GET has no meaning, and evhttp leaves that of some methods unread: never go on behind it. */
static bool
must_close(const struct evkeyvalq *headers, const char *method)
{
	const char *length = evhttp_find_header(headers, "Content-Length");

	return length != NULL && strspn(length, "0") != strlen(length) && strcmp(method, "POST") != 0 &&
	    strcmp(method, "PUT") != 0 && strcmp(method, "PATCH") != 0;
}

int
request_read(struct evhttp_request *evreq, struct request *out, struct err *err)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(evreq);
	struct err ignored = {0};
	int rc;

	out->http.query = &out->query;
	out->http.content_type = out->content_type;
	out->http.accept = out->accept;
	out->http.idempotency_key = out->idempotency_key;
	out->http.accept_encoding = out->accept_encoding;
	out->http.if_none_match = out->if_none_match;
	out->http.if_modified_since = out->if_modified_since;
	out->is_head = evhttp_request_get_command(evreq) == EVHTTP_REQ_HEAD;
	out->http.method = method_name(evhttp_request_get_command(evreq));
	out->must_close = must_close(headers, out->http.method);
	if ((rc = target_read(evhttp_request_get_uri(evreq), out, err)) != 0 ||
	    (rc = header_copy(headers, "Content-Type", out->content_type, sizeof out->content_type, err)) != 0 ||
	    (rc = header_copy(headers, IDEMPOTENCY_FIELD, out->idempotency_key,
		 sizeof out->idempotency_key, err)) != 0)
		return rc;
	if (out->idempotency_key[0] == '\0' && evhttp_find_header(headers, IDEMPOTENCY_FIELD) != NULL)
		return err_field(err, E_INPUT, IDEMPOTENCY_FIELD, "is empty: who sends one relies on it");
	/* A long Accept is cut: it is only looked through for text/html. */
	(void)header_copy(headers, "Accept", out->accept, sizeof out->accept, &ignored);
	header_hint(headers, "Accept-Encoding", out->accept_encoding, sizeof out->accept_encoding);
	header_hint(headers, "If-None-Match", out->if_none_match, sizeof out->if_none_match);
	header_hint(headers, "If-Modified-Since", out->if_modified_since, sizeof out->if_modified_since);
	return body_read(evreq, out, err);
}

void
request_clear(struct request *request)
{
	if (request->target != NULL)
		explicit_bzero(request->target, strlen(request->target));
	if (request->body != NULL)
		explicit_bzero(request->body, request->http.body_len);
	free(request->target);
	free(request->body);
	memset(request, 0, sizeof *request);
}

const char *
http_query_get(const struct http_request *req, const char *name)
{
	size_t i;

	for (i = 0; i < req->query->n; i++)
		if (strcmp(req->query->items[i].name, name) == 0)
			return req->query->items[i].value;
	return NULL;
}

int
http_query_only(const struct http_request *req, const char *const *names, struct err *err)
{
	size_t i, j;

	for (i = 0; i < req->query->n; i++) {
		const char *name = req->query->items[i].name;

		for (j = 0; names[j] != NULL && strcmp(names[j], name) != 0; j++)
			continue;
		if (names[j] == NULL)
			return err_field(err, E_INPUT, name, "is no parameter of this request");
		if (http_query_get(req, name) != req->query->items[i].value)
			return err_field(err, E_INPUT, name, "is there twice");
	}
	return 0;
}
