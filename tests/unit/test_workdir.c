#include "check.h"

#include "cmd/workdir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[128], inside[192];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof path, "%s/work", dir);
	(void)snprintf(inside, sizeof inside, "%s/work/deep/deeper/file", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* fails if anything was left */
}

static void
fill(void)
{
	char name[192];
	struct err err = {0};

	(void)snprintf(name, sizeof name, "%s/deep", path);
	assert_ok(fs_mkdir(name, 0700, &err));
	(void)snprintf(name, sizeof name, "%s/deep/deeper", path);
	assert_ok(fs_mkdir(name, 0700, &err));
	assert_ok(fs_write(inside, 0600, (gid_t)-1, "x", 1, &err));
}

static void
test_it_goes_with_all_that_is_in_it(void **state)
{
	struct workdir w;
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_ok(workdir_open(&w, path, 0711, &err));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	fill();
	workdir_close(&w, true);
	assert_false(fs_exists(path));
	workdir_close(&w, true); /* harmless */
}

static void
test_what_a_killed_one_left_is_removed(void **state)
{
	struct workdir w = {.fd = -1};
	struct err err = {0};
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		if (workdir_open(&w, path, 0700, NULL) == 0)
			fill();
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(fs_exists(inside));
	assert_ok(workdir_open(&w, path, 0700, &err));
	assert_false(fs_exists(inside));
	fill();
	workdir_close(&w, false);
	assert_true(fs_exists(inside));
	workdir_sweep(path);
	assert_false(fs_exists(path));
	workdir_sweep(path);
}

static void
test_one_at_a_time(void **state)
{
	struct workdir w, second;
	struct err err = {0};

	(void)state;
	assert_ok(workdir_open(&w, path, 0700, &err));
	fill();
	assert_int_equal(workdir_open(&second, path, 0700, &err), E_BUSY);
	workdir_close(&second, true);
	workdir_sweep(path);
	assert_true(fs_exists(inside));
	workdir_close(&w, true);
}

/* Root must not be led elsewhere by whoever may write beside it. */
static void
test_planted_ones_are_refused(void **state)
{
	char elsewhere[128], link[192], file[192];
	struct workdir w;
	struct err err = {0};

	(void)state;
	(void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", dir);
	(void)snprintf(file, sizeof file, "%s/file", elsewhere);
	assert_ok(fs_mkdir(elsewhere, 0700, &err));
	assert_ok(fs_write(file, 0600, (gid_t)-1, "x", 1, &err));
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_int_equal(workdir_open(&w, path, 0700, &err), E_SYS);
	workdir_sweep(path);
	assert_true(fs_exists(file));
	assert_int_equal(unlink(path), 0);

	/* A link inside is removed, not followed. */
	assert_ok(fs_mkdir(path, 0700, &err));
	(void)snprintf(link, sizeof link, "%s/link", path);
	assert_int_equal(symlink(elsewhere, link), 0);
	assert_ok(workdir_open(&w, path, 0700, &err));
	assert_false(fs_exists(link));
	assert_true(fs_exists(file));
	workdir_close(&w, true);

	if (geteuid() == 0) {
		assert_ok(fs_mkdir(path, 0700, &err));
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_int_equal(workdir_open(&w, path, 0700, &err), E_CONFLICT);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(elsewhere), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_it_goes_with_all_that_is_in_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_what_a_killed_one_left_is_removed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_planted_ones_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
