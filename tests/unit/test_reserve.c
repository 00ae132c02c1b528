/* The reserve where files may not grow; on disks that are really full it is tried by tests/fault.
 */
#include "check.h"

#include "store/reserve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/muster-reserve-XXXXXX", path[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-reserve-XXXXXX");
	(void)signal(SIGXFSZ, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof path, "%s/reserve", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void
files_grow_to(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
assert_whole(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, RESERVE_BYTES);
	assert_true(st.st_blocks * 512 >= RESERVE_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
it_is_there_from_the_start_and_stays(void **state)
{
	struct reserve *r = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(reserve_open(path, &r, &err), 0);
	assert_whole();
	assert_int_equal(reserve_ask(r, &err), 0);
	reserve_use(r); /* there is other room */
	assert_whole();
	reserve_close(r);
	assert_int_equal(reserve_open(path, &r, &err), 0);
	assert_int_equal(reserve_ask(r, &err), 0);
	assert_whole();
	reserve_close(r);
}

static void
without_it_all_is_refused_until_it_can_be_had(void **state)
{
	struct reserve *r = NULL;
	struct stat st;
	struct err err = {0};

	(void)state;
	files_grow_to(RESERVE_BYTES / 2);
	assert_int_equal(reserve_open(path, &r, &err), 0);
	assert_int_equal(reserve_ask(r, &err), E_FULL);
	assert_non_null(strstr(err.text, "disk is full"));
	reserve_use(r);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0); /* half a reserve would only take away room */
	files_grow_to(RLIM_INFINITY);
	assert_int_equal(reserve_ask(r, &err), 0);
	assert_whole();
	reserve_close(r);
}

static void
a_file_of_holes_is_no_reserve(void **state)
{
	struct reserve *r = NULL;
	struct err err = {0};
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), RESERVE_BYTES), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(reserve_open(path, &r, &err), 0);
	assert_whole();
	reserve_close(r);
}

static void
no_link_is_followed(void **state)
{
	struct reserve *r = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(reserve_open(path, &r, &err), E_SYS);
	assert_null(r);
	assert_non_null(strstr(err.text, path));
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(it_is_there_from_the_start_and_stays),
	    case_of(without_it_all_is_refused_until_it_can_be_had),
	    case_of(a_file_of_holes_is_no_reserve),
	    case_of(no_link_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
