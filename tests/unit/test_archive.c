/* Archives, opened again by two programs that nobody here wrote. */
#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/secret.h"
#include "core/archive.h"
#include "core/password.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEM_LINE "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR4c0mVt2"
#define PEM "-----BEGIN PRIVATE KEY-----\n" PEM_LINE "\n-----END PRIVATE KEY-----\n"
#define CRT "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

static const struct archive_entry entries[] = {
    {"device.key", PEM, sizeof PEM - 1},
    {"device.crt", CRT, sizeof CRT - 1},
    {"short", "x", 1},
    {"empty", "", 0},
};
#define N_ENTRIES (sizeof entries / sizeof entries[0])

static char dir[64];
static char password[PASSWORD_SIZE];

static int
make_dir(void **state)
{
	struct err err = {0};

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/test_archive.XXXXXX");
	return mkdtemp(dir) == NULL || password_make(password, &err) != 0;
}

static void
remove_tree(const char *path)
{
	char name[512];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(name, sizeof name, "%s/%s", path, e->d_name);
		if (unlink(name) != 0)
			remove_tree(name);
	}
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(path);
}

static int
drop_dir(void **state)
{
	(void)state;
	remove_tree(dir);
	return 0;
}

/* Run a program with nothing to read and its output discarded; its exit status. */
static int
run(const char *const *argv)
{
	pid_t pid = fork();
	int status = -1, null;

	assert_true(pid >= 0);
	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		(void)dup2(null, 0);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 127); /* not installed */
	return WEXITSTATUS(status);
}

static const char *
in_dir(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

/* Extract DIR/a.zip into DIR/NAME by 7-Zip or bsdtar. */
static int
extract(bool by_7z, const char *name, const char *pass)
{
	const char *archive = in_dir("a.zip"), *into = in_dir(name);
	char p[64], o[160];
	struct err err = {0};

	assert_ok(fs_mkdir(into, 0700, &err));
	(void)snprintf(p, sizeof p, "-p%s", pass);
	(void)snprintf(o, sizeof o, "-o%s", into);
	if (by_7z)
		return run((const char *const[]){"7z", "x", "-y", p, o, archive, NULL});
	return run((const char *const[]){
	    "bsdtar", "-C", into, "--passphrase", pass, "-xf", archive, NULL});
}

static void
write_archive(const struct buf *archive)
{
	struct err err = {0};

	assert_ok(fs_write(in_dir("a.zip"), 0600, (gid_t)-1, archive->data, archive->len, &err));
}

static void
assert_content(const char *name, const struct archive_entry *entry)
{
	char path[192];
	struct buf content = {0};
	struct err err = {0};
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/%s", in_dir(name), entry->name);
	assert_ok(fs_read(path, 100000, &content, &err));
	assert_int_equal(content.len, entry->len);
	assert_memory_equal(buf_str(&content), entry->data, entry->len);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* a key that only its owner reads */
	buf_clear(&content);
}

static void
test_opens(void **state)
{
	struct buf archive = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	buf_text(&archive, "before");
	assert_ok(archive_build(entries, N_ENTRIES, password, &archive, &err));
	assert_memory_equal(archive.data, "before", 6); /* appended */
	buf_consume(&archive, 6);
	write_archive(&archive);
	assert_int_equal(extract(true, "by7z", password), 0);
	assert_int_equal(extract(false, "bybsdtar", password), 0);
	for (i = 0; i < N_ENTRIES; i++) {
		assert_content("by7z", &entries[i]);
		assert_content("bybsdtar", &entries[i]);
	}
	buf_clear(&archive);
}

/* Neither another password nor a changed byte gives the key. */
static void
test_stays_closed(void **state)
{
	char wrong[PASSWORD_SIZE];
	struct buf archive = {0};
	struct err err = {0};
	uint8_t *p;

	(void)state;
	assert_ok(archive_build(entries, 1, password, &archive, &err));
	write_archive(&archive);
	memcpy(wrong, password, sizeof wrong);
	wrong[PASSWORD_SIZE - 2] = wrong[PASSWORD_SIZE - 2] == '0' ? '1' : '0';
	assert_int_not_equal(extract(true, "wrong7z", wrong), 0);
	assert_int_not_equal(extract(false, "wrongbsdtar", wrong), 0);
	assert_int_not_equal(extract(true, "none7z", ""), 0);
	/* Behind the local header (30, the name, the AES field of 11), the salt of 16 and the check
	 * of 2. */
	p = archive.data + 30 + strlen("device.key") + 11 + 18 + 20;
	*p ^= 1;
	write_archive(&archive);
	assert_int_not_equal(extract(true, "tampered7z", password), 0);
	assert_int_not_equal(extract(false, "tamperedbsdtar", password), 0);
	*p ^= 1;
	write_archive(&archive);
	assert_int_equal(extract(true, "restored7z", password), 0);
	buf_clear(&archive);
}

/* Every entry is AES-256 (field 0x9901, strength 3), stored (method 0); none is in the clear. */
static void
test_bytes(void **state)
{
	static const uint8_t aes[] = {0x01, 0x99, 7, 0};
	struct buf archive = {0}, again = {0};
	struct err err = {0};
	size_t i, fields = 0;

	(void)state;
	assert_ok(archive_build(entries, N_ENTRIES, password, &archive, &err));
	assert_null(memmem(archive.data, archive.len, PEM_LINE, 16));
	assert_null(memmem(archive.data, archive.len, "PRIVATE", 7));
	assert_null(memmem(archive.data, archive.len, "CERTIFICATE", 11));
	assert_null(memmem(archive.data, archive.len, password, 8));
	for (i = 0; i + 11 <= archive.len; i++) {
		if (memcmp(archive.data + i, aes, sizeof aes) != 0 ||
		    memcmp(archive.data + i + 6, "AE", 2) != 0)
			continue;
		assert_int_equal(archive.data[i + 8], 3);
		assert_int_equal(archive.data[i + 9] | archive.data[i + 10], 0);
		fields++;
	}
	assert_int_equal(fields, 2 * N_ENTRIES); /* local and central headers */
	assert_ok(archive_build(entries, N_ENTRIES, password, &again, &err));
	assert_int_equal(again.len, archive.len);
	assert_memory_not_equal(again.data, archive.data, archive.len); /* salted */
	assert_memory_equal(again.data, archive.data, 30);		/* the same time and CRC */
	buf_clear(&archive);
	buf_clear(&again);
}

/* B3, B4: and a failure leaves what was there. */
static void
test_refuses(void **state)
{
	static const char *const names[] = {"", ".", "..", "../x", "a/b", "/etc/passwd", "a\nb",
	    "a\\b", "a b", "0123456789012345678901234567890123456789012345678901234567890123x"};
	static char large[ARCHIVE_ENTRY_MAX + 1];
	struct archive_entry many[ARCHIVE_ENTRIES_MAX + 1];
	char name[ARCHIVE_ENTRIES_MAX + 1][8];
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct archive_entry bad[] = {{"good", "x", 1}, {names[i], "x", 1}};

		assert_int_equal(archive_build(bad, 2, password, &out, &err), E_INPUT);
	}
	const struct archive_entry twice[] = {{"a", "x", 1}, {"b", "x", 1}, {"a", "y", 1}};
	assert_int_equal(archive_build(twice, 3, password, &out, &err), E_INPUT);
	assert_int_equal(archive_build(entries, N_ENTRIES, "", &out, &err), E_INPUT);
	assert_int_equal(
	    archive_build(entries, N_ENTRIES, "0123456789012345678901234", &out, &err), E_INPUT);
	assert_int_equal(archive_build(entries, 0, password, &out, &err), E_LIMIT);
	assert_int_equal(out.len, 0);

	for (i = 0; i <= ARCHIVE_ENTRIES_MAX; i++) {
		(void)snprintf(name[i], sizeof name[i], "e%zu", i);
		many[i] = (struct archive_entry){name[i], "x", 1};
	}
	assert_int_equal(
	    archive_build(many, ARCHIVE_ENTRIES_MAX + 1, password, &out, &err), E_LIMIT);
	many[0] = (struct archive_entry){"large", large, sizeof large};
	assert_int_equal(archive_build(many, 1, password, &out, &err), E_LIMIT);
	assert_int_equal(out.len, 0);
	many[0].len--;
	assert_ok(archive_build(many, ARCHIVE_ENTRIES_MAX, password, &out, &err));
	buf_clear(&out);
}

/* E9, E10: it is made while no file of this process may grow by a byte. */
static void
test_writes_no_file(void **state)
{
	struct rlimit before, none;
	struct buf out = {0};
	struct err err = {0};
	int rc;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	rc = archive_build(entries, N_ENTRIES, password, &out, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, 0);
	buf_clear(&out);
}

static int
open_heap(void **state)
{
	struct err err = {0};

	(void)state;
	return secret_heap_open(65536, &err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_opens, make_dir, drop_dir),
	    cmocka_unit_test_setup_teardown(test_stays_closed, make_dir, drop_dir),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_writes_no_file),
	};

	return cmocka_run_group_tests(tests, open_heap, NULL);
}
