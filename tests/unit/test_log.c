/* The log's lines, each caught as the one datagram that one write(2) makes. */
#include "check.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int caught[2], stderr_copy;

static int
catch_stderr(void **state)
{
	(void)state;
	stderr_copy = dup(STDERR_FILENO);
	return stderr_copy < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, caught) != 0 ||
	    dup2(caught[1], STDERR_FILENO) < 0;
}

static int
release_stderr(void **state)
{
	(void)state;
	(void)dup2(stderr_copy, STDERR_FILENO);
	(void)close(stderr_copy);
	(void)close(caught[0]);
	(void)close(caught[1]);
	return 0;
}

/* The next line without its newline and what stands before the level; false if there is none. */
static bool
next_line(char *out, size_t size)
{
	ssize_t n = recv(caught[0], out, size - 1, MSG_DONTWAIT);
	char when[CLOCK_TEXT_MAX];
	size_t len = strlen("2026-01-01T00:00:00Z");
	int64_t at;

	if (n < 0)
		return false;
	assert_true((size_t)n > len + 1 && (size_t)n < size - 1);
	assert_ptr_equal(memchr(out, '\n', (size_t)n), out + n - 1); /* one line, all of it */
	out[n - 1] = '\0';
	memcpy(when, out, len);
	when[len] = '\0';
	assert_true(clock_parse(when, &at));
	assert_in_range(at, clock_now() - 5, clock_now());
	memmove(out, out + len + 1, strlen(out + len + 1) + 1);
	return true;
}

static void
test_lines_name_level_and_process(void **state)
{
	char line[4096];

	(void)state;
	log_init("api", false);
	log_error("a %d", 1);
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "error api: a 1");
	log_warn("b");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "warn api: b");
	log_info("c");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "info api: c");
	log_debug("d");
	assert_false(next_line(line, sizeof line));
	log_init("signer", true);
	log_debug("e");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "debug signer: e");
}

/* B7: a name from outside can neither begin a line of its own nor speak to the terminal. */
static void
test_nothing_forges_a_line(void **state)
{
	static const char *const names[] = {"x\n2026-01-01T00:00:00Z info api: all is well", "\r", "\x1b[2J",
	    "\xe2\x80\xae" "evil", "\xc2\x9b" "31m", "\xff\xfe", "\x7f"};
	char line[4096];
	size_t i, k;

	(void)state;
	log_init("api", false);
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		log_info("device %s", names[i]);
		assert_true(next_line(line, sizeof line));
		assert_memory_equal(line, "info api: device ", 17);
		assert_non_null(strstr(line, "\\x"));
		for (k = 0; line[k] != '\0'; k++)
			assert_in_range(line[k], 0x20, 0x7e);
		assert_false(next_line(line, sizeof line));
	}
}

/* B3 */
static void
test_a_long_line_is_cut_and_ends(void **state)
{
	static char name[65536], line[70000];

	(void)state;
	log_init("api", false);
	memset(name, 'n', sizeof name - 1);
	log_info("%s", name);
	assert_true(next_line(line, sizeof line));
	assert_in_range(strlen(line), 1000, 4096);
}

/* A log that nobody reads any more stops nothing. */
static void
test_a_lost_log_is_no_failure(void **state)
{
	int now = dup(STDERR_FILENO);

	(void)state;
	(void)close(STDERR_FILENO);
	log_error("nobody hears this");
	assert_int_equal(dup2(now, STDERR_FILENO), STDERR_FILENO);
	(void)close(now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_lines_name_level_and_process, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_nothing_forges_a_line, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_a_long_line_is_cut_and_ends, catch_stderr, release_stderr),
	    cmocka_unit_test(test_a_lost_log_is_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
