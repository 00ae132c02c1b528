/* What building an archive leaves behind in memory. Not for sanitizers, whose allocators keep freed memory as it
 * was. */
#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "core/archive.h"
#include "core/password.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How often NEEDLE stands in this process's writable memory. */
static unsigned
count_in_memory(const char *needle, size_t len)
{
	uint64_t from, to;
	char line[512], flags[8];
	unsigned n = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps) != NULL) {
		const char *p, *end;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, flags) != 3 ||
		    strncmp(flags, "rw", 2) != 0 || strstr(line, "[v") != NULL)
			continue;
		p = (const char *)(uintptr_t)from;
		end = (const char *)(uintptr_t)to;
		while (p < end && (p = memmem(p, (size_t)(end - p), needle, len)) != NULL) {
			n++;
			p++;
		}
	}
	(void)fclose(maps);
	return n;
}

/* E9: beside the caller's own buffers, neither key nor password remains. Half of each is searched
 * for, so that a copy whose first bytes the allocator has since used is found too. */
static void
test_leaves_no_plaintext(void **state)
{
	struct secret key = {0};
	struct buf out = {0};
	struct err err = {0};
	char pass[PASSWORD_SIZE];

	(void)state;
	assert_ok(password_make(pass, &err));
	assert_ok(secret_alloc(&key, 1704, &err));
	/* Unlike any other bytes, and never anywhere but there. */
	for (size_t i = 0; i < key.len; i++)
		key.data[i] = (uint8_t)(33 + (i * 7 + (size_t)pass[i % 23]) % 90);
	assert_int_equal(count_in_memory((char *)key.data + 900, 24), 1);
	assert_int_equal(count_in_memory(pass + 15, 15), 1);
	const struct archive_entry entry = {"device.key", key.data, key.len};
	assert_ok(archive_build(&entry, 1, pass, &out, &err));
	assert_int_equal(count_in_memory((char *)key.data + 900, 24), 1);
	assert_int_equal(count_in_memory((char *)key.data + 1660, 24), 1);
	assert_int_equal(count_in_memory(pass + 15, 15), 1);
	secret_clear(&key);
	buf_clear(&out);
}

static int
open_heap(void **state)
{
	struct err err = {0};

	(void)state;
	return secret_heap_open(65536, &err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_leaves_no_plaintext),
	};

	return cmocka_run_group_tests(tests, open_heap, NULL);
}
