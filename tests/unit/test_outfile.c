#include "check.h"

#include "cmd/outfile.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], file[128], other[128];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof file, "%s/f", dir);
	(void)snprintf(other, sizeof other, "%s/g", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	(void)unlink(other);
	return rmdir(dir); /* fails if a probe was left */
}

static void
test_writable(void **state)
{
	struct buf content = {0};
	struct err err = {0};

	(void)state;
	assert_ok(outfile_check(file, &err));
	assert_false(fs_exists(file));
	assert_ok(fs_write(file, 0600, (gid_t)-1, "old", 3, &err));
	assert_ok(outfile_check(file, &err));
	assert_ok(fs_read(file, 10, &content, &err));
	assert_string_equal(buf_str(&content), "old");
	buf_clear(&content);
}

/* A rename onto these would replace them: a device, a folder, a link. */
static void
test_no_file(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(outfile_check("/dev/null", &err), E_INPUT);
	assert_int_equal(outfile_check("/dev/stdout", &err), E_INPUT);
	assert_int_equal(outfile_check(dir, &err), E_INPUT);
	assert_int_equal(symlink("/dev/null", file), 0);
	assert_int_equal(outfile_check(file, &err), E_INPUT);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(outfile_check(other, &err), E_INPUT);
}

static void
test_not_writable(void **state)
{
	struct err err = {0};
	char path[FS_PATH_MAX + 8];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/none/f", dir);
	assert_int_equal(outfile_check(path, &err), E_SYS);
	assert_int_equal(outfile_check("/proc/f", &err), E_SYS);
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	assert_int_equal(outfile_check(path, &err), E_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_writable, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_writable, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
