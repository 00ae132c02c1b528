#include "capture.h"

#include "agent/inbox.h"
#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], program[96], out[96];

/* A program that writes its argument and its input to OUT. */
static int
setup(void **state)
{
	char script[256];
	struct err err = {0};

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(program, sizeof program, "%s/program", dir);
	(void)snprintf(out, sizeof out, "%s/out", dir);
	(void)snprintf(script, sizeof script, "#!/bin/sh\n{ printf '%%s=' \"$@\"; cat; printf ' '; } >> %s\n", out);
	assert_ok(fs_write(program, 0700, (gid_t)-1, script, strlen(script), &err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(program);
	(void)unlink(out);
	return rmdir(dir);
}

/* Tick until OUT has LEN bytes. */
static void
tick_until(struct inbox *box, off_t len)
{
	struct stat st = {0};
	int i;

	for (i = 0; i < 2000 && (stat(out, &st) != 0 || st.st_size < len); i++) {
		inbox_tick(box);
		(void)usleep(5000);
	}
	assert_int_equal(st.st_size, len);
}

static void
test_order_and_bytes(void **state)
{
	struct inbox *box = inbox_new(program);
	struct err err = {0};
	struct buf got = {0};

	(void)state;
	inbox_put(box, "a/$(id)", "\0\xff\n", 3);
	inbox_put(box, "-n b", "", 0);
	inbox_put(box, "c", "3", 1);
	tick_until(box, 12 + 6 + 4);
	assert_ok(fs_read(out, 1000, &got, &err));
	assert_memory_equal(got.data, "a/$(id)=\0\xff\n -n b= c=3 ", 22);
	buf_clear(&got);
	inbox_free(box);
	(void)unlink(out);
}

static void
test_bounds(void **state)
{
	static char large[INBOX_BYTES_MAX + 1];
	struct inbox *box = inbox_new("/nonexistent");
	struct capture capture;
	struct buf said = {0};
	int i;

	(void)state;
	capture_begin(&capture);
	for (i = 0; i < INBOX_MAX; i++)
		inbox_put(box, "t", "x", 1);
	capture_end(&capture, &said);
	assert_string_equal(buf_str(&said), "");
	capture_begin(&capture);
	inbox_put(box, "one/too/many", "x", 1);
	inbox_tick(box);			 /* room for one */
	inbox_put(box, "large", large, sizeof large); /* but not for this */
	capture_end(&capture, &said);
	assert_non_null(strstr(buf_str(&said), "one/too/many was left out"));
	assert_non_null(strstr(buf_str(&said), "large was left out"));
	inbox_free(box);
	/* Alone, any size that a broker sends. */
	box = inbox_new(program);
	buf_reset(&said);
	capture_begin(&capture);
	inbox_put(box, "large", large, sizeof large);
	inbox_put(box, "next", "x", 1);
	capture_end(&capture, &said);
	assert_null(strstr(buf_str(&said), "large"));
	assert_non_null(strstr(buf_str(&said), "next was left out"));
	tick_until(box, (off_t)sizeof large + 7);
	inbox_free(box);
	inbox_free(NULL);
	buf_clear(&said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_and_bytes), cmocka_unit_test(test_bounds)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
