/* The table's file: what was written is read back, and nothing that was touched. */
#include "plugin_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "plugin/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLEET 1000000

static char folder[] = "/tmp/muster-snapshot-XXXXXX";
static char path[64], beside[80];

static int
folder_make(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/table", folder);
	(void)snprintf(beside, sizeof beside, "%s.new", path);
	return 0;
}

static int
folder_remove(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder); /* nothing else may be in it */
}

static struct snapshot *
created(unsigned n_devices)
{
	struct feed_line *line = line_new(FEED_POLICY);
	struct snapshot *s = NULL;
	struct err err = {0};
	unsigned n;

	assert_ok(snapshot_create(path, EPOCH, 41, &s, &err));
	line_policy(line, "default", 2);
	assert_ok(snapshot_add(s, line, &err));
	line_service(line, n_devices);
	assert_ok(snapshot_add(s, line, &err));
	for (n = 0; n < n_devices; n++) {
		line_device(line, n, 1 + n % 2);
		assert_ok(snapshot_add(s, line, &err));
	}
	free(line);
	return s;
}

static void
write_snapshot(unsigned n_devices)
{
	struct snapshot *s = created(n_devices);
	struct err err = {0};

	assert_ok(snapshot_commit(s, 1000, &err));
	assert_int_not_equal(access(beside, F_OK), 0);
	snapshot_close(s);
}

static void
append(struct snapshot *s, unsigned gone, int64_t seq)
{
	struct feed_line *line = line_new(FEED_DEVICE);
	struct err err = {0};

	line_gone(line, gone, FEED_REVOKED);
	assert_ok(snapshot_add(s, line, &err));
	assert_ok(snapshot_mark(s, seq, 1000 + seq, &err));
	free(line);
}

/* The table's devices at PATH, or a negative code. */
static int
load(struct snapshot_info *info, struct snapshot **file, struct err *err)
{
	struct table *t = NULL;
	int rc;

	assert_int_equal(table_new(&t, err), 0);
	rc = snapshot_load(path, t, info, file, err);
	if (rc == 0)
		rc = (int)table_count(t);
	table_free(t);
	return rc;
}

static int
load_close(struct snapshot_info *info)
{
	struct snapshot *file = NULL;
	struct err err = {0};
	int rc = load(info, &file, &err);

	assert_true(rc >= 0 || err.text[0] != '\0');
	snapshot_close(file);
	return rc;
}

static void
test_round_trip(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	const struct table_owner *o;
	struct table *t = NULL;
	struct err err = {0};
	uint8_t id[UUID_BYTES], sha256[SHA256_LEN];
	struct stat st;

	(void)state;
	write_snapshot(5);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(table_new(&t, &err));
	assert_ok(snapshot_load(path, t, &info, &file, &err));
	assert_string_equal(info.epoch, EPOCH);
	assert_int_equal(info.seq, 41);
	assert_int_equal(info.contact, 1000);
	assert_int_equal(table_count(t), 6);
	id_of(id, 3);
	fp_of(sha256, 3, 1);
	o = table_find(t, id);
	assert_int_equal(table_not_after(o, sha256), NOT_AFTER + 1);
	assert_string_equal(table_type(t, o), "pump");
	assert_int_equal(table_policy(t, o)->sessions, 2);
	assert_string_equal(table_policy(t, o)->topics[3].text, "{tenant}/all");
	id_of(id, 5);
	assert_string_equal(table_policy(t, table_find(t, id))->topics[2].text, "#");
	snapshot_close(file);
	table_free(t);
}

static void
test_changes(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	struct err err = {0};

	(void)state;
	write_snapshot(5);
	assert_int_equal(load(&info, &file, &err), 6);
	append(file, 0, 42);
	append(file, 1, 50);
	snapshot_close(file);
	/* Through another opening, so that the chain goes on from what was read. */
	assert_int_equal(load(&info, &file, &err), 4);
	assert_int_equal(info.seq, 50);
	assert_int_equal(info.contact, 1050);
	append(file, 2, 51);
	assert_ok(snapshot_mark(file, 51, 9999, &err)); /* heard, nothing new */
	assert_int_equal(snapshot_contact(file), 9999);
	assert_false(snapshot_is_worn(file));
	snapshot_close(file);
	assert_int_equal(load_close(&info), 3);
	assert_int_equal(info.seq, 51);
	assert_int_equal(info.contact, 9999);
}

static void
overwrite(const struct buf *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes->data, len), len);
	assert_int_equal(close(fd), 0);
}

/* C4: whichever byte is another, the file is refused. */
static void
test_every_byte_counts(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	struct buf bytes = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	write_snapshot(3);
	assert_int_equal(load(&info, &file, &err), 4);
	append(file, 0, 42);
	append(file, 1, 43);
	snapshot_close(file);
	assert_ok(fs_read(path, 1 << 20, &bytes, &err));
	for (i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= (uint8_t)(1u << i % 8);
		overwrite(&bytes, bytes.len);
		if (load_close(&info) != E_INPUT)
			fail_msg("byte %zu", i);
		bytes.data[i] ^= (uint8_t)(1u << i % 8);
	}
	overwrite(&bytes, bytes.len);
	assert_int_equal(load_close(&info), 2);
	buf_append(&bytes, "12345678", 8);
	overwrite(&bytes, bytes.len);
	assert_int_equal(load_close(&info), E_INPUT);
	buf_clear(&bytes);
}

/* C4: cut anywhere, it is refused, or it says what it once said as a whole, and goes on from there.
 */
static void
test_cut_anywhere(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	struct buf bytes = {0};
	struct err err = {0};
	size_t whole, first, i;
	struct stat st;
	int n;

	(void)state;
	write_snapshot(3);
	assert_int_equal(stat(path, &st), 0);
	whole = (size_t)st.st_size;
	assert_int_equal(load(&info, &file, &err), 4);
	append(file, 0, 42);
	assert_int_equal(stat(path, &st), 0);
	first = (size_t)st.st_size;
	append(file, 1, 43);
	snapshot_close(file);
	assert_ok(fs_read(path, 1 << 20, &bytes, &err));
	for (i = 0; i < bytes.len; i++) {
		overwrite(&bytes, i);
		n = load(&info, &file, &err);
		if (n != (i < whole ? E_INPUT : i < first ? 4 : 3))
			fail_msg("cut at %zu: %d", i, n);
		if (n < 0)
			continue;
		assert_int_equal(info.seq, i < first ? 41 : 42);
		if (i % 16 != 0) { /* each append waits for the disk */
			snapshot_close(file);
			continue;
		}
		append(file, 2, 60);
		snapshot_close(file);
		assert_int_equal(load_close(&info), n - 1);
		assert_int_equal(info.seq, 60);
	}
	buf_clear(&bytes);
}

static void
test_unfinished_leaves_the_old_one(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *s;

	(void)state;
	write_snapshot(3);
	s = created(9);
	assert_int_equal(access(beside, F_OK), 0);
	snapshot_close(s);
	assert_int_not_equal(access(beside, F_OK), 0);
	assert_int_equal(load_close(&info), 4);
}

static void
test_nothing_there(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *s = NULL;
	struct buf none = {0};
	struct err err = {0};

	(void)state;
	write_snapshot(0);
	overwrite(&none, 0);
	assert_int_equal(load_close(&info), E_INPUT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(load_close(&info), E_NOTFOUND);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(load_close(&info), E_SYS);
	assert_int_equal(snapshot_create("/nonexistent/x", EPOCH, 1, &s, &err), E_SYS);
}

/* Another order of right sections is no file of ours: the chain of digests binds each to its place.
 */
static void
test_sections_have_their_place(void **state)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	struct buf a = {0}, b = {0};
	struct err err = {0};
	size_t one, len;

	(void)state;
	write_snapshot(3);
	assert_ok(fs_read(path, 1 << 20, &a, &err));
	one = a.len;
	assert_int_equal(load(&info, &file, &err), 4);
	append(file, 0, 42);
	append(file, 1, 43);
	snapshot_close(file);
	buf_reset(&a);
	assert_ok(fs_read(path, 1 << 20, &a, &err));
	len = (a.len - one) / 2;
	buf_append(&b, a.data, one);
	buf_append(&b, a.data + one + len, len);
	overwrite(&b, b.len);
	assert_int_equal(load_close(&info), E_INPUT);
	buf_append(&b, a.data + one, len);
	overwrite(&b, b.len);
	assert_int_equal(load_close(&info), E_INPUT);
	buf_clear(&a);
	buf_clear(&b);
}

static void
test_disk_that_fails(void **state)
{
	struct feed_line *line = line_new(FEED_DEVICE);
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	struct err err = {0};
	struct stat there, st;
	int i, full, real;

	(void)state;
	write_snapshot(3);
	assert_int_equal(load(&info, &file, &err), 4);
	/* The file's descriptor becomes one of a disk that is full. */
	full = open("/dev/full", O_RDWR);
	assert_int_equal(stat(path, &there), 0);
	for (i = 3; i < full && (fstat(i, &st) != 0 || st.st_ino != there.st_ino); i++)
		continue;
	assert_true(i < full);
	real = dup(i);
	assert_int_equal(dup2(full, i), i);
	line_gone(line, 0, FEED_REVOKED);
	assert_ok(snapshot_add(file, line, &err));
	assert_int_equal(snapshot_mark(file, 42, 1042, &err), E_FULL);
	line_gone(line, 1, FEED_REVOKED);
	assert_ok(snapshot_add(file, line, &err));
	assert_int_equal(snapshot_mark(file, 43, 1043, &err), E_FULL);
	/* There is room again: both are written. */
	assert_int_equal(dup2(real, i), i);
	assert_ok(snapshot_mark(file, 44, 1044, &err));
	assert_false(snapshot_is_worn(file));
	assert_int_equal(load_close(&info), 2);
	assert_int_equal(info.seq, 44);
	/* More than may wait: the file stays behind, and says so. */
	assert_int_equal(dup2(full, i), i);
	for (i = 0; i < 200000 && !snapshot_is_worn(file); i++) {
		line_device(line, (unsigned)i, 1);
		assert_ok(snapshot_add(file, line, &err));
	}
	assert_true(snapshot_is_worn(file));
	assert_int_equal(snapshot_mark(file, 50, 1050, &err), E_SYS);
	snapshot_close(file);
	assert_int_equal(close(full), 0);
	assert_int_equal(close(real), 0);
	assert_int_equal(load_close(&info), 2);
	free(line);
}

/* Design, section 7: 1,000,000 devices in at most 5 s (here with half of them in their overlap). */
static void
test_a_million(void **state)
{
	struct snapshot_info info = {0};
	struct stat st;
	int64_t began;

	(void)state;
	began = clock_mono_ms();
	write_snapshot(FLEET);
	print_message("# written in %lld ms\n", (long long)(clock_mono_ms() - began));
	assert_int_equal(stat(path, &st), 0);
	began = clock_mono_ms();
	assert_int_equal(load_close(&info), FLEET + 1);
	print_message("# %.1f bytes a device, loaded in %lld ms\n", (double)st.st_size / FLEET,
	    (long long)(clock_mono_ms() - began));
	assert_true(st.st_size < (off_t)200 * FLEET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_every_byte_counts),
	    cmocka_unit_test(test_cut_anywhere),
	    cmocka_unit_test(test_unfinished_leaves_the_old_one),
	    cmocka_unit_test(test_nothing_there),
	    cmocka_unit_test(test_sections_have_their_place),
	    cmocka_unit_test(test_disk_that_fails),
	    cmocka_unit_test(test_a_million),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
