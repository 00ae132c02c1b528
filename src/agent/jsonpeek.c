/* It looks for strings that a colon follows, and never mistakes one inside another string. */
#include "agent/jsonpeek.h"

#include "base/text.h"

#include <string.h>

#define BLANKS " \t\r\n"

/* Behind the string's closing quote; AT stands behind the opening one. NULL if it has none. */
static const char *
string_end(const char *at)
{
	for (; *at != '\0'; at++) {
		if (*at == '"')
			return at + 1;
		if (*at == '\\' && *++at == '\0')
			return NULL;
	}
	return NULL;
}

/* Where the value of the first member NAME begins, or NULL. */
static const char *
value_of(const char *json, const char *name)
{
	size_t len = strlen(name);
	const char *at = json, *end, *behind;

	while (at != NULL && (at = strchr(at, '"')) != NULL) {
		at++;
		if ((end = string_end(at)) == NULL)
			return NULL;
		behind = end + strspn(end, BLANKS);
		if (*behind == ':' && (size_t)(end - 1 - at) == len && memcmp(at, name, len) == 0)
			return behind + 1 + strspn(behind + 1, BLANKS);
		at = end;
	}
	return NULL;
}

bool
jsonpeek_text(const char *json, const char *name, char *out, size_t size)
{
	const char *at = value_of(json, name), *end;
	size_t n = 0;

	out[0] = '\0';
	if (at == NULL || *at != '"' || (end = string_end(at + 1)) == NULL)
		return false;
	for (at++; at < end - 1 && n + 1 < size; at++) {
		if (*at != '\\') {
			out[n++] = *at;
			continue;
		}
		at++;
		out[n++] = *at == 'n' || *at == 't' || *at == 'r' ? ' ' : *at == 'u' ? '?' : *at;
		if (*at == 'u')
			at += end - 1 - at > 4 ? 4 : end - 2 - at;
	}
	out[n] = '\0';
	return true;
}

bool
jsonpeek_integer(const char *json, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const char *at = value_of(json, name);
	char digits[24];
	size_t len;

	if (at == NULL || (len = strspn(at, "-0123456789")) == 0 || len >= sizeof digits)
		return false;
	memcpy(digits, at, len);
	digits[len] = '\0';
	return integer_parse(digits, min, max, out);
}
