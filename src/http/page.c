/* The frame of every page. The hash in page_policy is that of page_style; the unit test compares them. */
#include "http/page.h"

#include <string.h>

const char page_style[] = "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;"
			  "color:#1a1a1a;background:#fff}h1{font-size:1.4em}button{font:inherit;padding:.6em 1.2em;"
			  "border:0;border-radius:.3em;background:#0b5cad;color:#fff;cursor:pointer}"
			  "code{background:#eee;padding:0 .2em}";

const char page_policy[] =
    "default-src 'none'; style-src 'sha256-ZokNgCM1VIOi/W3cupTw1I350dCpxORNrmUEvcSnTs8='; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

void
page_reply(struct http_reply *reply, int status, const char *title, const char *main_html)
{
	reply->status = status;
	reply->content_type = "text/html; charset=utf-8";
	reply->is_page = true;
	buf_reset(&reply->body);
	buf_text(&reply->body, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>");
	page_escape(&reply->body, title);
	buf_printf(&reply->body, "</title>\n<style>%s</style></head>\n<body><h1>", page_style);
	page_escape(&reply->body, title);
	buf_printf(&reply->body, "</h1>\n%s</body></html>\n", main_html);
}

void
page_escape(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			buf_text(out, "&amp;");
			break;
		case '<':
			buf_text(out, "&lt;");
			break;
		case '>':
			buf_text(out, "&gt;");
			break;
		case '"':
			buf_text(out, "&quot;");
			break;
		case '\'':
			buf_text(out, "&#39;");
			break;
		default:
			buf_byte(out, (uint8_t)*text);
		}
	}
}

bool
page_wanted(const struct http_request *req)
{
	return strcasestr(req->accept, "text/html") != NULL;
}
