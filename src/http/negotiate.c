/* Headers of requests that only ask for less: one that is not understood is as one that is not there. */
#include "http/negotiate.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BLANK " \t"

void
http_date_format(char out[HTTP_DATE_SIZE], int64_t when)
{
	time_t t = (time_t)when;
	struct tm tm = {0};

	(void)gmtime_r(&t, &tm);
	if (strftime(out, HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		out[0] = '\0';
}

/* The three forms of RFC 9110, section 5.6.7. */
static bool
date_parse(const char *text, int64_t *out)
{
	static const char *const forms[] = {
	    "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
	const char *end;
	struct tm tm;
	size_t i;

	for (i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		tm = (struct tm){0};
		if ((end = strptime(text, forms[i], &tm)) != NULL && *end == '\0') {
			*out = timegm(&tm);
			return true;
		}
	}
	return false;
}

/* The entity tags in LIST, compared weakly (section 13.1.2): W/ makes no difference. */
static bool
tags_name(const char *list, const char *etag)
{
	size_t len = strlen(etag);
	const char *at = list, *end;

	if (strcmp(list, "*") == 0)
		return true;
	while ((at = strchr(at, '"')) != NULL && (end = strchr(at + 1, '"')) != NULL) {
		if ((size_t)(end + 1 - at) == len && memcmp(at, etag, len) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

bool
negotiate_unchanged(const struct http_request *req, const struct http_reply *reply)
{
	int64_t since;

	if (req->if_none_match[0] != '\0')
		return reply->etag[0] != '\0' && tags_name(req->if_none_match, reply->etag);
	return reply->last_modified > 0 && date_parse(req->if_modified_since, &since) &&
	    since >= reply->last_modified;
}

/* The weight behind a coding's name, in thousandths; -1 for what is none. */
static int
weight_parse(const char *text)
{
	int value, digit = 100;

	text += strspn(text, BLANK);
	if (*text == '\0')
		return 1000;
	if (*text++ != ';')
		return -1;
	text += strspn(text, BLANK);
	if (tolower((unsigned char)text[0]) != 'q' || text[1] != '=' || (text[2] != '0' && text[2] != '1'))
		return -1;
	value = (text[2] - '0') * 1000;
	text += 3;
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9' && digit > 0; text++, digit /= 10)
			value += (*text - '0') * digit;
	text += strspn(text, BLANK);
	return *text == '\0' && value <= 1000 ? value : -1;
}

bool
negotiate_gzip(const char *accept_encoding)
{
	char list[HTTP_HEADER_SIZE], *rest = list, *item;
	int gzip = -1, identity = -1, any = -1, weight;
	size_t len;

	if (strlen(accept_encoding) >= sizeof list)
		return false;
	memcpy(list, accept_encoding, strlen(accept_encoding) + 1);
	while ((item = strsep(&rest, ",")) != NULL) {
		item += strspn(item, BLANK);
		len = strcspn(item, BLANK ";");
		weight = weight_parse(item + len);
		if ((len == 4 && strncasecmp(item, "gzip", len) == 0) ||
		    (len == 6 && strncasecmp(item, "x-gzip", len) == 0))
			gzip = weight;
		else if (len == 8 && strncasecmp(item, "identity", len) == 0)
			identity = weight;
		else if (len == 1 && *item == '*')
			any = weight;
	}
	if (gzip < 0)
		gzip = any;
	return gzip > 0 && gzip >= identity;
}
