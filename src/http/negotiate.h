/* What a client has already, and what it can read (RFC 9110, sections 12.5.3 and 13). */
#ifndef MUSTER_HTTP_NEGOTIATE_H
#define MUSTER_HTTP_NEGOTIATE_H

#include "http/router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Does the client of REQ, a GET, have what REPLY says already, by its ETag or, if it names none, its Last-Modified? */
bool negotiate_unchanged(const struct http_request *req, const struct http_reply *reply);

/* Does an Accept-Encoding of this value ("" if there is none) prefer gzip to the plain bytes? */
bool negotiate_gzip(const char *accept_encoding);

/* A time as HTTP writes it. */
void http_date_format(char out[HTTP_DATE_SIZE], int64_t when);

#endif
