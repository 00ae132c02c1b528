#include "check.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], file[128];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof file, "%s/f", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir); /* fails if anything was left */
}

static void
test_write_and_read(void **state)
{
	struct buf out = {0};
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_ok(fs_write(file, 0640, (gid_t)-1, "one", 3, &err));
	assert_ok(fs_write(file, 0600, (gid_t)-1, "two!", 4, &err));
	assert_ok(fs_read(file, 4, &out, &err));
	assert_string_equal(buf_str(&out), "two!");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_clear(&out);
}

static void
test_limits_and_absence(void **state)
{
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(fs_read(file, 10, &out, &err), E_NOTFOUND);
	assert_ok(fs_write(file, 0600, (gid_t)-1, "12345", 5, &err));
	assert_int_equal(fs_read(file, 4, &out, &err), E_LIMIT);
	buf_reset(&out);
	assert_ok(fs_read(file, 5, &out, &err));
	assert_int_equal(fs_read(dir, 10, &out, &err), E_SYS);
	buf_clear(&out);
}

/* A planted link beside the target is replaced, never followed. */
static void
test_a_planted_link_is_not_followed(void **state)
{
	char temp[160], victim[160];
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	(void)snprintf(temp, sizeof temp, "%s.new", file);
	(void)snprintf(victim, sizeof victim, "%s/victim", dir);
	assert_ok(fs_write(victim, 0600, (gid_t)-1, "precious", 8, &err));
	assert_int_equal(symlink(victim, temp), 0);
	assert_ok(fs_write(file, 0600, (gid_t)-1, "new", 3, &err));
	assert_ok(fs_read(victim, 100, &out, &err));
	assert_string_equal(buf_str(&out), "precious");
	assert_false(fs_exists(temp));
	assert_int_equal(unlink(victim), 0);
	buf_clear(&out);
}

static int
three_parts(void *ctx, const void **data_out, size_t *len_out, struct err *err)
{
	int *left = ctx;

	(void)err;
	*data_out = "part ";
	*len_out = (*left)-- > 0 ? 5 : 0;
	return 0;
}

static int
no_part(void *ctx, const void **data_out, size_t *len_out, struct err *err)
{
	*data_out = "half";
	*len_out = 4;
	return (*(int *)ctx)++ == 0 ? 0 : err_set(err, E_BUSY, "the rest is gone");
}

/* A source that dries up leaves the old file whole, and nothing beside it. */
static void
test_parts(void **state)
{
	char temp[160];
	struct buf out = {0};
	struct err err = {0};
	int left = 3;

	(void)state;
	(void)snprintf(temp, sizeof temp, "%s.new", file);
	assert_ok(fs_write_parts(file, 0600, (gid_t)-1, three_parts, &left, &err));
	left = 0;
	assert_int_equal(fs_write_parts(file, 0600, (gid_t)-1, no_part, &left, &err), E_BUSY);
	assert_false(fs_exists(temp));
	err = (struct err){0};
	assert_ok(fs_read(file, 100, &out, &err));
	assert_string_equal(buf_str(&out), "part part part ");
	buf_clear(&out);
}

static void
test_a_failed_write_leaves_the_old_file(void **state)
{
	char path[256];
	struct err err = {0};

	(void)state;
	(void)snprintf(path, sizeof path, "%s/no/such/folder", dir);
	assert_int_equal(fs_write(path, 0600, (gid_t)-1, "x", 1, &err), E_SYS);
	assert_non_null(strstr(err.text, path));
}

static void
test_folders(void **state)
{
	char path[256];
	struct err err = {0};
	struct stat st;
	mode_t before = umask(0077);

	(void)state;
	(void)snprintf(path, sizeof path, "%s/sub", dir);
	assert_ok(fs_mkdir(path, 0755, &err));
	(void)umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(fs_mkdir(path, 0755, &err), E_CONFLICT);
	assert_int_equal(rmdir(path), 0);
}

static void
test_paths_are_bounded(void **state)
{
	char out[FS_PATH_MAX], name[FS_PATH_MAX];
	struct err err = {0};

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(fs_path(out, "/d", name, &err), E_INPUT);
	assert_ok(fs_path(out, "/d", "n", &err));
	assert_string_equal(out, "/d/n");
}

/* What nobody has read says so, and peeking leaves it so. */
static void
test_peeking_leaves_no_trace(void **state)
{
	struct buf out = {0};
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_ok(fs_write(file, 0600, (gid_t)-1, "x", 1, &err));
	assert_ok(fs_peek(file, 1, &out, &err));
	assert_string_equal(buf_str(&out), "x");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, FS_NEVER);
	assert_true(st.st_mtim.tv_sec > 1600000000);
	buf_reset(&out);
	assert_int_equal(fs_peek(file, 0, &out, &err), E_LIMIT);
	(void)unlink(file);
	assert_int_equal(fs_peek(file, 1, &out, &err), E_NOTFOUND);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_write_and_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limits_and_absence, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_planted_link_is_not_followed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_failed_write_leaves_the_old_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_peeking_leaves_no_trace, setup, teardown),
	    cmocka_unit_test(test_paths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
