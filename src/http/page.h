/* The plain HTML pages people see: no scripts, one inline style that the Content-Security-Policy names by its
 * hash. */
#ifndef MUSTER_HTTP_PAGE_H
#define MUSTER_HTTP_PAGE_H

#include "base/buf.h"
#include "http/router.h"

/* The inline style, and the Content-Security-Policy that allows it and nothing else. */
extern const char page_style[];
extern const char page_policy[];

/* Fill REPLY with a whole page of STATUS. MAIN_HTML is trusted markup: what comes from outside is escaped into it
 * with page_escape. */
void page_reply(struct http_reply *reply, int status, const char *title, const char *main_html);

/* Append TEXT so that it is text between tags and in quoted attributes. */
void page_escape(struct buf *out, const char *text);

/* Does the client want a page rather than JSON? */
bool page_wanted(const struct http_request *req);

#endif
