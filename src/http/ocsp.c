/* /ocsp: the status of certificates by OCSP over HTTP (RFC 6960, appendix A; RFC 5019, sections 5 and 6). Answers that are
 * in memory leave from the event loop at once; the others take a worker. */
#include "core/ocsp.h"

#include "base/text.h"
#include "http/routes.h"

#include <string.h>

/* Errors are answers, too, with a status of 200: clients look at nothing else otherwise. A cache on the way never keeps one
 * beyond its end, and asks again long before. */
static int
answer(struct core *core, const uint8_t *der, size_t len, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	const int64_t max_age_s = core_config(core)->settings.ocsp_max_age_s;
	struct ocspcache_answer out = {.der = {0}};
	int64_t left_s;
	int rc;

	if ((rc = ocsp_answer(core, der, len, req->peer, !req->is_inline, &out, &reply->needs_worker, err)) != 0 ||
	    reply->needs_worker)
		goto out;
	reply->content_type = "application/ocsp-response";
	if (out.next_update > 0 && req->tail != NULL) {
		left_s = out.next_update - core->now() - 1;
		reply->cacheable_s = left_s < max_age_s ? left_s : max_age_s;
		reply->last_modified = out.this_update;
		(void)text_copy(reply->etag, sizeof reply->etag, out.etag);
	}
	reply->body = out.der;
	out.der = (struct buf){0};
out:
	buf_clear(&out.der);
	return rc;
}

int
ocsp_post(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	(void)caller;
	return answer(core, req->body, req->body_len, req, reply, err);
}

/* The one character at TEXT, escaped or not, into *OUT; returns how many of TEXT it took, 0 for a broken escape. */
static size_t
character(const char *text, char *out)
{
	char digits[3] = {0};
	uint8_t byte;

	*out = text[0];
	if (text[0] != '%')
		return 1;
	if (text[1] == '\0' || text[2] == '\0')
		return 0;
	memcpy(digits, text + 1, 2);
	if (!hex_decode(&byte, 1, digits))
		return 0;
	*out = (char)byte;
	return 3;
}

/* Base64 behind URL escapes (RFC 6960, appendix A.1); clients also send it with slashes as they are, in the URL's alphabet,
 * and without its padding. What is none leaves OUT empty, which is no request either. */
static int
tail_decode(const char *tail, struct buf *out, struct err *err)
{
	struct buf plain = {0};
	size_t n;
	char c;
	int rc;

	for (; *tail != '\0'; tail += n) {
		if ((n = character(tail, &c)) == 0)
			break;
		c = c == '-' ? '+' : c == '_' ? '/' : c;
		if (strchr("+/=", c) == NULL && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
			break;
		buf_byte(&plain, (uint8_t)c);
	}
	if (*tail != '\0')
		buf_reset(&plain);
	if (memchr(buf_str(&plain), '=', plain.len) == NULL)
		buf_append(&plain, "===", (4 - plain.len % 4) % 4);
	if ((rc = base64_decode(out, buf_str(&plain), plain.len, err)) == E_INPUT) {
		buf_reset(out);
		rc = 0;
	}
	buf_clear(&plain);
	return rc;
}

int
ocsp_get(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct buf der = {0};
	int rc;

	(void)caller;
	if ((rc = tail_decode(req->tail, &der, err)) == 0)
		rc = answer(core, der.data, der.len, req, reply, err);
	buf_clear(&der);
	return rc;
}
