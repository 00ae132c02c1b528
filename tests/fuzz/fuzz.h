/* What every harness includes. A harness is one parser of what comes from outside: it must survive any bytes, and
 * what it accepts must keep its promises. */
#ifndef MUSTER_TESTS_FUZZ_H
#define MUSTER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Like assert, but never compiled out. */
#define FUZZ_ASSERT(fact) \
	do { \
		if (!(fact)) { \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact); \
			abort(); \
		} \
	} while (0)

/* A NUL-terminated copy of exactly LEN + 1 bytes, so that ASan sees the first byte behind. */
static inline char *
fuzz_text(const void *data, size_t len)
{
	char *text = malloc(len + 1);

	FUZZ_ASSERT(text != NULL);
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

#endif
