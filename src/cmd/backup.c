/* `muster backup`: the home's files, sealed with a passphrase. Local, on files: no process of the service can read
 * them all, and none should. The database comes first and the signer's log after it, so that the log has a row for
 * each certificate that the database knows.
 *
 * The database is copied inside the home before it is sealed, so that what must not go along can be taken out of the
 * copy: archives of packages exist only until they are delivered or expire, and a backup would keep them. */
#include "cmd/commands.h"
#include "cmd/part.h"
#include "cmd/passphrase.h"
#include "cmd/print.h"
#include "cmd/progress.h"
#include "cmd/workdir.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/vault.h"
#include "core/settings.h"
#include "signer/log.h"
#include "store/package.h"
#include "store/store.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (512 * 1024)
#define FILES_MAX 64
#define COPY_BYTES (64 * 1024)
#define SPARE_BYTES (64 * 1024 * 1024) /* of the home's disk, left to the running service */

struct backup_arguments {
	const char *file, *passphrase_file;
	bool with_keys;
};

static const struct argp_option options[] = {
    {"with-keys", 'k', NULL, 0,
	"Include the private keys of the issuing CAs, and of the root CA if it is still here", 0},
    {"passphrase-file", 'p', "FILE", 0, "Take the passphrase from FILE's first line instead of asking for it", 0},
    {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct backup_arguments *a = state->input;

	switch (key) {
	case 'k':
		a->with_keys = true;
		return 0;
	case 'p':
		a->passphrase_file = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->file != NULL)
			argp_usage(state);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->file == NULL)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "FILE",
    "Write the whole home to FILE, encrypted with a passphrase: database, signer's log, configuration, certificates, "
    "and the server's and the broker's keys.\v"
    "Run it as root or as the home's owner, on the server's host, while the service runs or not. FILE must not "
    "exist. The passphrase (12 bytes or more) is all that protects FILE, and without it FILE is worthless: keep it "
    "elsewhere.\n\n"
    "Without --with-keys the CAs' private keys stay out; keep a copy of ca/private/issuing.key where it is safe, for "
    "a restored home needs it. Packages that wait for their links stay out, too: after a restore make new ones with "
    "`muster device package`.\n\n"
    "Copy DIR/signer.log off the machine more often than you make backups: with it, `muster restore` knows what was "
    "revoked after the backup.\n\n"
    "Example:\n\n"
    "  muster backup /mnt/backup/muster-2026-11-24 --with-keys\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* One file that goes into the backup, open. */
struct source {
	const char *name;
	int fd;
	uint64_t len;
};

struct backup {
	const char *dir;
	const struct backup_arguments *arguments;
	struct workdir work;
	struct source sources[FILES_MAX];
	size_t n;
	int64_t made_at;
	struct progress progress;
};

/* Open PATH, a regular file and nothing that a link leads to, as the next source. LEN 0: all of it. */
static int
source_add(struct backup *b, const char *name, const char *path, uint64_t len, struct err *err)
{
	struct source *s = &b->sources[b->n];
	struct stat st;

	if (b->n == FILES_MAX)
		return err_set(err, E_LIMIT, "more than %d files", FILES_MAX);
	if ((s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0) {
		if (errno == ENOENT)
			return err_set(err, E_NOTFOUND, "%s: no such file", path);
		return err_sys(err, "cannot open %s", path);
	}
	b->n++;
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(err, E_INPUT, "%s is not a regular file", path);
	s->name = name;
	s->len = len > 0 ? len : (uint64_t)st.st_size;
	b->progress.total += s->len;
	return 0;
}

/* The copy must not take from the running service the space that it needs to go on. */
static int
check_space(struct backup *b, const char *db, struct err *err)
{
	char wal[FS_PATH_MAX + 8];
	struct statvfs fs;
	struct stat st;
	uint64_t need = SPARE_BYTES, have;

	(void)snprintf(wal, sizeof wal, "%s-wal", db);
	if (stat(db, &st) == 0)
		need += (uint64_t)st.st_size;
	if (stat(wal, &st) == 0)
		need += (uint64_t)st.st_size;
	if (statvfs(b->dir, &fs) != 0)
		return err_sys(err, "cannot look at the disk of %s", b->dir);
	have = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (have < need)
		return err_set(err, E_LIMIT,
		    "%s has %" PRIu64 " MB left, but copying the database needs %" PRIu64 " MB: make room there first",
		    b->dir, have / 1000000, need / 1000000);
	return 0;
}

/* Copy the database and take the waiting packages out of the copy. */
static int
database_copy(struct backup *b, struct err *err)
{
	char db[FS_PATH_MAX], copy[FS_PATH_MAX];
	struct store *store = NULL;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = fs_path(db, b->dir, "muster.db", err)) != 0 ||
	    (rc = fs_path(copy, b->work.path, "muster.db", err)) != 0 || (rc = check_space(b, db, err)) != 0 ||
	    (rc = store_copy(db, copy, err)) != 0)
		return rc;
	if ((rc = store_open(copy, &store, err)) == 0 && (rc = store_begin(store, &tx, err)) == 0 &&
	    (rc = store_package_withdraw_all(tx, b->made_at, err)) == 0 && (rc = store_commit(&tx, err)) == 0)
		rc = store_checkpoint(store, err);
	store_rollback(&tx);
	store_close(store);
	return rc == 0 ? source_add(b, "muster.db", copy, 0, err) : rc;
}

/* The log's whole rows as they are now; checks every one. */
static int
log_add(struct backup *b, struct err *err)
{
	struct signer_log *log = NULL;
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, b->dir, "signer.log", err)) != 0 || (rc = signer_log_open(path, true, &log, err)) != 0)
		return rc;
	rc = source_add(b, "signer.log", path, signer_log_size(log), err);
	signer_log_close(log);
	return rc;
}

static int
collect(struct backup *b, struct err *err)
{
	const struct part *part;
	char path[FS_PATH_MAX];
	size_t i;
	int rc;

	if ((rc = database_copy(b, err)) != 0 || (rc = log_add(b, err)) != 0)
		return rc;
	for (i = 0; (part = part_at(i)) != NULL; i++) {
		if (part->backup == PART_LEFT_OUT || (part->backup == PART_CA_KEY && !b->arguments->with_keys) ||
		    strcmp(part->name, "muster.db") == 0 || strcmp(part->name, "signer.log") == 0)
			continue;
		if ((rc = fs_path(path, b->dir, part->name, err)) != 0)
			return rc;
		if (part->optional && !fs_exists(path))
			continue;
		if ((rc = source_add(b, part->name, path, 0, err)) != 0)
			return rc;
	}
	return 0;
}

static int
source_write(struct backup *b, const struct source *s, struct vault_writer *vault, struct err *err)
{
	uint8_t bytes[COPY_BYTES];
	uint64_t at = 0, left;
	ssize_t n;
	int rc;

	if ((rc = vault_entry(vault, s->name, s->len, err)) != 0)
		return rc;
	while (rc == 0 && (left = s->len - at) > 0) {
		n = pread(s->fd, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(err, "cannot read %s", s->name);
		else if (n == 0)
			rc = err_set(err, E_CONFLICT, "%s became shorter meanwhile", s->name);
		else
			rc = vault_write(vault, bytes, (size_t)n, err);
		if (rc == 0) {
			at += (uint64_t)n;
			progress_add(&b->progress, (uint64_t)n);
		}
	}
	explicit_bzero(bytes, sizeof bytes);
	return rc;
}

static int
seal(struct backup *b, int fd, const struct secret *passphrase, struct err *err)
{
	struct vault_writer *vault = NULL;
	size_t i;
	int rc;

	rc = vault_create(fd, passphrase, VAULT_COST, b->made_at, &vault, err);
	for (i = 0; rc == 0 && i < b->n; i++)
		rc = source_write(b, &b->sources[i], vault, err);
	if (rc == 0)
		rc = vault_finish(vault, err);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(err, "cannot sync");
	vault_writer_free(vault);
	return rc;
}

/* Beside its place, then renamed: FILE is whole or not there. */
static int
write_file(struct backup *b, const char *file, const struct secret *passphrase, struct err *err)
{
	char temp[FS_PATH_MAX];
	int fd, rc;

	if (snprintf(temp, sizeof temp, "%s.new", file) >= (int)sizeof temp)
		return err_set(err, E_INPUT, "path too long: %s", file);
	(void)unlink(temp); /* what a killed one left */
	if ((fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot create %s", temp);
	if ((rc = seal(b, fd, passphrase, err)) != 0)
		(void)err_prefix(err, "%s", temp);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "cannot close %s", temp);
	if (rc == 0 && rename(temp, file) != 0)
		rc = err_sys(err, "cannot rename %s to %s", temp, file);
	if (rc != 0)
		(void)unlink(temp);
	return rc == 0 ? fs_sync_parent(file, err) : rc;
}

static int
backup(struct backup *b, struct err *err)
{
	const struct backup_arguments *a = b->arguments;
	struct secret passphrase = {0};
	char work[FS_PATH_MAX];
	struct settings settings;
	size_t i;
	int rc;

	if (fs_exists(a->file))
		return err_set(err, E_CONFLICT, "%s exists: choose another name", a->file);
	if ((rc = settings_load(b->dir, &settings, err)) != 0 ||
	    (rc = passphrase_get(a->passphrase_file, true, &passphrase, err)) != 0)
		goto out;
	b->made_at = clock_now();
	if ((rc = fs_path(work, b->dir, PART_BACKUP_WORK, err)) == 0 &&
	    (rc = workdir_open(&b->work, work, 0700, err)) == 0 && (rc = collect(b, err)) == 0)
		rc = write_file(b, a->file, &passphrase, err);
out:
	progress_end(&b->progress);
	for (i = 0; i < b->n; i++)
		(void)close(b->sources[i].fd);
	workdir_close(&b->work, true);
	secret_clear(&passphrase);
	return rc;
}

static void
print_done(const struct cli *cli, const struct backup *b)
{
	const struct backup_arguments *a = b->arguments;
	char made_at[CLOCK_TEXT_MAX];
	json_t *object;

	clock_text(made_at, b->made_at);
	if (cli->json) {
		object = json_pack("{s:s, s:s, s:b, s:I}", "file", a->file, "made_at", made_at, "with_keys", a->with_keys,
		    "bytes", (json_int_t)b->progress.total);
		print_json(object);
		json_decref(object);
		return;
	}
	(void)printf("Wrote %s: %" PRIu64 " bytes of database, log, configuration and certificates, %s the CAs' keys.\n",
	    a->file, b->progress.total, a->with_keys ? "with" : "without");
}

int
cmd_backup(struct cli *cli, int argc, char **argv)
{
	struct backup_arguments arguments = {0};
	struct backup b = {.dir = cli->dir, .arguments = &arguments, .work = {.fd = -1}, .progress = {.what = "backup"}};
	struct err err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return CLI_USAGE;
	if (secret_heap_open(SECRET_HEAP_BYTES, &err) != 0 || backup(&b, &err) != 0)
		return cli_fail(cli, &err);
	print_done(cli, &b);
	return CLI_OK;
}
