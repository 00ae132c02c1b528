/* The log's lines, each caught as the one datagram that one write(2) makes. */
#include "check.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
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

/* ---- the other formats --------------------------------------------------------------------------------------- */

/* The next datagram of FD as a JSON object; NULL if there is none. It is one line. */
static json_t *
next_json(int fd)
{
	char text[16384];
	ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	json_t *object;

	if (n < 0)
		return NULL;
	assert_ptr_equal(memchr(text, '\n', (size_t)n), text + n - 1);
	assert_non_null(object = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL));
	return object;
}

static const char *
text_of(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static const char *const hostile[] = {"x\n2026-01-01T00:00:00Z info api: all is well", "\r\n", "\x1b[2J",
    "\xe2\x80\xae" "evil", "\xc2\x9b" "31m", "\xff\xfe", "\x7f", "\",\"level\":\"debug", "\\", "\\\"", "x\nPRIORITY=0\nMESSAGE=forged",
    "\xe2\x80\xa8", "\xed\xa0\x80", "\xc0\x80", "\xef\xbb\xbf"};

#define ID "0123456789abcdef0123456789abcdef"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

/* What is shown of HOSTILE[I] has no byte that ends or turns anything. */
static void
assert_tame(const char *text)
{
	assert_true(text_is_printable(text, strlen(text)));
}

/* B7: whatever stands in whichever field, a line of JSON is one object with the members that it has anyhow. */
static void
test_json(void **state)
{
	struct err err = {0};
	json_t *line;
	size_t i, k;

	(void)state;
	log_init("api", false);
	assert_ok(log_format("json", LOG_JOURNAL_SOCKET, &err));
	assert_string_equal(log_format_name(), "json");
	log_warn("a \"%s\" %d", "quoted", 1);
	assert_non_null(line = next_json(caught[0]));
	assert_string_equal(text_of(line, "level"), "warn");
	assert_string_equal(text_of(line, "process"), "api");
	assert_string_equal(text_of(line, "message"), "a \"quoted\" 1");
	assert_int_equal(json_object_size(line), 4);
	json_decref(line);
	log_about(ID, TRACE);
	for (i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
		struct log_field fields[] = {{"method", "GET", 0}, {"status", NULL, -5}, {"caller", "x", 0}, {"address", "y", 0}};

		log_error("%s", hostile[i]);
		assert_non_null(line = next_json(caught[0]));
		assert_int_equal(json_object_size(line), 6);
		assert_string_equal(text_of(line, "request_id"), ID);
		assert_string_equal(text_of(line, "trace_id"), TRACE);
		assert_tame(text_of(line, "message"));
		json_decref(line);
		for (k = 0; k < 4; k++) {
			struct log_field was = fields[k];

			fields[k].text = hostile[i];
			log_request(fields, 4);
			fields[k] = was;
			assert_non_null(line = next_json(caught[0]));
			assert_int_equal(json_object_size(line), 10);
			assert_tame(text_of(line, was.name));
			assert_string_equal(text_of(line, "message"), "request");
			json_decref(line);
		}
		assert_null(next_json(caught[0]));
	}
	log_about(NULL, NULL);
	log_info("done");
	assert_non_null(line = next_json(caught[0]));
	assert_int_equal(json_object_size(line), 4);
	json_decref(line);
	log_init("api", false);
}

static void
test_text_names_the_request(void **state)
{
	const struct log_field fields[] = {{"method", "GET", 0}, {"status", NULL, 200}, {"caller", "a\nb", 0}};
	char line[4096];

	(void)state;
	log_init("api", false);
	log_about(ID, "");
	log_error("x");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "error api: [" ID "] x");
	log_about(ID, TRACE);
	log_request(fields, 3);
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "info api: [" ID " trace " TRACE "] request method=GET status=200 caller=a\\x0ab");
	assert_string_equal(log_about_id(), ID);
	log_about(NULL, TRACE);
	log_error("y");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "error api: y");
}

/* Is LINE one of the datagram's? */
static bool
has_line(const char *datagram, const char *line)
{
	size_t len = strlen(line);
	const char *at;

	for (at = datagram; *at != '\0'; at = strchr(at, '\n') + 1)
		if (strncmp(at, line, len) == 0 && at[len] == '\n')
			return true;
	return false;
}

static unsigned
lines_in(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* B7: the journal's own protocol: a datagram an event, a field a line; nothing makes another field. */
static void
test_journal(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[16384], line[4096];
	struct err err = {0};
	ssize_t n;
	int fd;
	size_t i;

	(void)state;
	(void)snprintf(address.sun_path, sizeof address.sun_path, "/tmp/muster-log-%d", (int)getpid());
	(void)unlink(address.sun_path);
	assert_true((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	log_init("signer", false);
	assert_ok(log_format("journal", address.sun_path, &err));
	log_about(ID, TRACE);
	for (i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
		const struct log_field fields[] = {{"route", hostile[i], 0}, {"status", NULL, 200}};

		log_error("%s", hostile[i]);
		assert_true((n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0);
		text[n] = '\0';
		assert_int_equal(lines_in(text), 6);
		assert_true(has_line(text, "SYSLOG_IDENTIFIER=muster") && has_line(text, "PRIORITY=3") && has_line(text, "MUSTER_PROCESS=signer"));
		assert_true(has_line(text, "MUSTER_REQUEST_ID=" ID) && has_line(text, "MUSTER_TRACE_ID=" TRACE));
		log_request(fields, 2);
		assert_true((n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0);
		text[n] = '\0';
		assert_int_equal(lines_in(text), 8);
		assert_true(has_line(text, "MUSTER_STATUS=200") && has_line(text, "PRIORITY=6"));
		assert_non_null(strstr(text, "\nMESSAGE=request route="));
	}
	assert_false(next_line(line, sizeof line));
	/* A journal that is away loses nothing. */
	(void)close(fd);
	(void)unlink(address.sun_path);
	log_error("still heard");
	assert_true(next_line(line, sizeof line));
	assert_string_equal(line, "error signer: [" ID " trace " TRACE "] still heard");
	log_about(NULL, NULL);
	log_init("api", false);
}

static void
test_which_format(void **state)
{
	struct err err = {0};
	char stream[64];
	struct stat st;

	(void)state;
	log_init("api", false);
	assert_int_equal(log_format("xml", LOG_JOURNAL_SOCKET, &err), E_INPUT);
	assert_string_equal(log_format_name(), "text");
	(void)unsetenv("JOURNAL_STREAM");
	assert_ok(log_format("auto", LOG_JOURNAL_SOCKET, &err));
	assert_string_equal(log_format_name(), "text");
	/* It is inherited by who has another standard error. */
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	assert_ok(log_format("auto", LOG_JOURNAL_SOCKET, &err));
	assert_string_equal(log_format_name(), "text");
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	assert_ok(log_format("auto", "/nowhere/at/all", &err));
	assert_string_equal(log_format_name(), "journal");
	(void)unsetenv("JOURNAL_STREAM");
	log_init("api", false);
}

/* Nobody waits for a reader that does not read, and what was left out is counted. */
static void
test_a_reader_that_is_too_slow(void **state)
{
	const struct log_field fields[] = {{"method", "GET", 0}, {"route", "/v1/devices", 0}, {"status", NULL, 200}};
	unsigned long long dropped = 0;
	unsigned i, seen = 0, all = 40000;
	char line[8192], *at;
	struct err err = {0};
	struct timeval soon = {2, 0};
	ssize_t n;

	(void)state;
	log_init("api", false);
	assert_int_equal(setsockopt(caught[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
	assert_ok(log_start(&err));
	for (i = 0; i < all; i++)
		log_request(fields, 3); /* the socket holds some 200 KiB, the buffer a MiB, and these are 3 */
	while (dropped == 0 && (n = recv(caught[0], line, sizeof line - 1, 0)) > 0) {
		line[n] = '\0';
		for (at = line; (at = strstr(at, " request method=GET route=/v1/devices status=200\n")) != NULL; at++)
			seen++;
		if ((at = strstr(line, "warn api: ")) != NULL)
			(void)sscanf(at, "warn api: %llu lines about requests were left out", &dropped);
	}
	assert_true(dropped > 0 && dropped < all);
	/* What is left of the last of it. */
	log_request(fields, 3);
	log_stop();
	while ((n = recv(caught[0], line, sizeof line - 1, MSG_DONTWAIT)) > 0) {
		line[n] = '\0';
		for (at = line; (at = strstr(at, " request method=GET route=/v1/devices status=200\n")) != NULL; at++)
			seen++;
	}
	assert_int_equal(seen + dropped, all + 1);
	log_stop();
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
	    cmocka_unit_test_setup_teardown(test_json, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_text_names_the_request, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_journal, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_which_format, catch_stderr, release_stderr),
	    cmocka_unit_test_setup_teardown(test_a_reader_that_is_too_slow, catch_stderr, release_stderr),
	    cmocka_unit_test(test_a_lost_log_is_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
