/* What is not exactly a traceparent is nobody's, and not repeated anywhere. */
#include "base/trace.h"

#include "base/random.h"
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TRACE_AT 3
#define PARENT_AT 36
#define FLAGS_AT 53
#define PARENT_LEN 55 /* of version 00 */

static bool
is_hex(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") >= len;
}

bool
trace_parse(const char *header, char out[TRACE_ID_SIZE])
{
	size_t len = header != NULL ? strlen(header) : 0;

	out[0] = '\0';
	if (len < PARENT_LEN || header[2] != '-' || header[PARENT_AT - 1] != '-' || header[FLAGS_AT - 1] != '-' ||
	    !is_hex(header, 2) || !is_hex(header + TRACE_AT, 32) || !is_hex(header + PARENT_AT, 16) || !is_hex(header + FLAGS_AT, 2))
		return false;
	if (strncmp(header, "ff", 2) == 0 || (len > PARENT_LEN && (strncmp(header, "00", 2) == 0 || header[PARENT_LEN] != '-')) ||
	    strspn(header + TRACE_AT, "0") >= 32 || strspn(header + PARENT_AT, "0") >= 16)
		return false;
	memcpy(out, header + TRACE_AT, 32);
	out[32] = '\0';
	return true;
}

bool
trace_make(const char *parent, char out[TRACE_PARENT_SIZE])
{
	char trace[TRACE_ID_SIZE], trace_new[TRACE_ID_SIZE], span[17];
	uint8_t bytes[24];

	out[0] = '\0';
	if (random_bytes(bytes, sizeof bytes, NULL) != 0)
		return false;
	hex_encode(trace_new, bytes, 16);
	hex_encode(span, bytes + 16, 8);
	(void)snprintf(out, TRACE_PARENT_SIZE, "00-%s-%s-01", trace_parse(parent, trace) ? trace : trace_new, span);
	return true;
}
