/* Requests that a page of somebody else's has a browser make (cross-site request forgery). */
#ifndef MUSTER_HTTP_ORIGIN_H
#define MUSTER_HTTP_ORIGIN_H

#include <stdbool.h>

struct evkeyvalq;

/* Do HEADERS say that a browser asks for a page that is not this service's? Its own pages are those of the host that was asked,
 * and of PUBLIC_URL. By Sec-Fetch-Site (W3C Fetch Metadata) and Origin (RFC 6454), which browsers send and pages cannot change;
 * other clients send neither. */
bool origin_is_foreign(const struct evkeyvalq *headers, const char *public_url);

#endif
