#include "check.h"

#include "cmd/tarfile.h"

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
	(void)snprintf(file, sizeof file, "%s/f.tar", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

static struct tarfile *
reopen(void)
{
	struct tarfile *tar = NULL;
	struct err err = {0};

	assert_ok(tarfile_open(file, &tar, &err));
	return tar;
}

static off_t
size_of(void)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	return st.st_size;
}

/* Whatever it is cut to, whole entries stay, in their order, and the rest is written anew. */
static void
test_it_goes_on_where_it_broke_off(void **state)
{
	static const char data[600] = "x";
	struct err err = {0};
	off_t whole, cut;

	(void)state;
	for (cut = 0; cut <= 512 + 1024 + 512 + 512; cut += 256) {
		struct tarfile *tar;

		(void)unlink(file);
		tar = reopen();
		assert_false(tarfile_has(tar, "a.zip"));
		assert_ok(tarfile_add(tar, "a.zip", data, sizeof data, &err));
		assert_ok(tarfile_add(tar, "b.zip", data, 1, &err));
		tarfile_free(tar);
		whole = size_of();
		assert_int_equal(whole, 512 + 1024 + 512 + 512);
		assert_int_equal(truncate(file, cut), 0);
		tar = reopen();
		assert_false(tarfile_has(tar, "b.zip")); /* only the first of those that are left */
		assert_int_equal(tarfile_has(tar, "a.zip"), cut >= 1536);
		assert_int_equal(tarfile_has(tar, "b.zip"), cut == whole);
		assert_int_equal(size_of(), cut == whole ? whole : cut >= 1536 ? 1536 : 0);
		assert_ok(tarfile_add(tar, "c.zip", "c", 1, &err));
		assert_ok(tarfile_finish(tar, &err));
		tarfile_free(tar);
		assert_int_equal(size_of() % 512, 0);
	}
}

static void
test_a_strangers_file_stays(void **state)
{
	struct tarfile *tar = NULL;
	char other[1024];
	struct err err = {0};

	(void)state;
	memset(other, 'x', sizeof other);
	assert_ok(fs_write(file, 0600, (gid_t)-1, other, sizeof other, &err));
	assert_int_equal(tarfile_open(file, &tar, &err), E_INPUT);
	assert_int_equal(size_of(), sizeof other);
	assert_int_not_equal(tarfile_open(dir, &tar, &err), 0);
}

static void
test_names(void **state)
{
	char name[TARFILE_NAME_MAX + 2];
	struct tarfile *tar;
	struct err err = {0};

	(void)state;
	(void)unlink(file);
	tar = reopen();
	memset(name, 'n', sizeof name);
	name[TARFILE_NAME_MAX + 1] = '\0';
	assert_int_equal(tarfile_add(tar, name, "x", 1, &err), E_INPUT);
	assert_int_equal(tarfile_add(tar, "", "x", 1, &err), E_INPUT);
	name[TARFILE_NAME_MAX] = '\0';
	assert_ok(tarfile_add(tar, name, "x", 1, &err));
	tarfile_free(tar);
	tar = reopen();
	assert_true(tarfile_has(tar, name));
	tarfile_free(tar);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_goes_on_where_it_broke_off),
	    cmocka_unit_test(test_a_strangers_file_stays),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
