/* A browser shows a client certificate, and Basic credentials that it was once told, to whoever makes it ask. So who calls is
 * not enough there: it must also be a page of ours that does. */
#include "http/origin.h"

#include <event2/event.h>
#include <event2/http.h>
#include <string.h>
#include <strings.h>

#define HTTPS "https://"

static bool
is_own(const char *origin, const char *host, const char *public_url)
{
	if (strcasecmp(origin, public_url) == 0)
		return true;
	return host != NULL && strncasecmp(origin, HTTPS, strlen(HTTPS)) == 0 && strcasecmp(origin + strlen(HTTPS), host) == 0;
}

bool
origin_is_foreign(const struct evkeyvalq *headers, const char *public_url)
{
	const char *site = evhttp_find_header(headers, "Sec-Fetch-Site"), *origin = evhttp_find_header(headers, "Origin");

	/* "none": a person did, by typing the address. */
	if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return true;
	return origin != NULL && !is_own(origin, evhttp_find_header(headers, "Host"), public_url);
}
