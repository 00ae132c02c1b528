#include "check.h"

#include "base/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEBIBYTES (64 * 1024 * 1024)

/* What is opened, and what is used, shows. */
static void
test_it_follows(void **state)
{
	struct process_use before, after;
	struct process *process = NULL;
	struct err err = {0};
	struct rlimit limit;
	int fds[3];
	char *memory;
	size_t i;

	(void)state;
	assert_ok(process_open(&process, &err));
	process_look(process, &before);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(before.max_fds, limit.rlim_cur);
	for (i = 0; i < 3; i++)
		assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
	assert_non_null(memory = malloc(MEBIBYTES));
	memset(memory, 1, MEBIBYTES);
	process_look(process, &after);
	assert_int_equal(after.open_fds, before.open_fds + 3);
	assert_true(after.resident_bytes >= before.resident_bytes + MEBIBYTES / 2 && memory[MEBIBYTES - 1] == 1);
	assert_true(after.virtual_bytes >= after.resident_bytes);
	assert_true(after.cpu_us >= before.cpu_us && after.started_at == before.started_at);
	free(memory);
	for (i = 0; i < 3; i++)
		(void)close(fds[i]);
	process_look(process, &after);
	assert_int_equal(after.open_fds, before.open_fds);
	process_close(process);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_follows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
