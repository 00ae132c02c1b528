/* `muster restore`: a new home from a backup. The file is walked through and verified to its end first; then the home
 * is built beside its place and renamed. What the log knows better than the database is settled by the comparison at
 * the first start (core/reconcile.c), before anything is served; until then broker/acl lets nobody do anything. */
#include "cmd/commands.h"
#include "cmd/home.h"
#include "cmd/part.h"
#include "cmd/passphrase.h"
#include "cmd/print.h"
#include "cmd/progress.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/sandbox.h"
#include "base/vault.h"
#include "core/audit.h"
#include "core/auditpoint.h"
#include "core/feed.h"
#include "core/reconcile.h"
#include "core/settings.h"
#include "signer/log.h"
#include "store/enrol_token.h"
#include "store/job.h"
#include "store/operator.h"
#include "store/store.h"
#include "store/trust.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (512 * 1024)
#define COPY_BYTES (64 * 1024)
/* After the backup CRLs went on being numbered, at most about one a second. */
#define CRL_NUMBER_LEAP 1000000

struct restore_arguments {
	const char *file, *passphrase_file, *signer_log;
};

static const struct argp_option options[] = {
    {"signer-log", 'l', "FILE", 0,
	"The newest signer.log there is of the home that was backed up, to take instead of the backup's", 0},
    {"passphrase-file", 'p', "FILE", 0, "Take the passphrase from FILE's first line instead of asking for it", 0},
    {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct restore_arguments *a = state->input;

	switch (key) {
	case 'l':
		a->signer_log = arg;
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
    "Make the home anew from a backup that `muster backup` wrote.\v"
    "The home is the folder named by --dir, which must not exist or be empty. FILE is verified as a whole before "
    "anything is made.\n\n"
    "Nothing comes back to life that the signer's log knows to be revoked: at the first start its revocations are "
    "applied, and certificates that the backup does not know are put on hold, their devices suspended. Look at them "
    "with `muster device list --status suspended` and resume or revoke each. The backup's own log ends with the "
    "backup: pass the newest signer.log, if there is one, with --signer-log, or revoke again what was revoked since. "
    "Links that waited are withdrawn; make new packages with `muster device package`. Enrolment tokens are revoked, for "
    "they may have been used or revoked since; make new ones with `muster token create`. Manufacturers' CAs are on hold, for they may have been removed since, and devices that "
    "enrolled by them are forgotten: `muster trust resume` ends that. Operators' "
    "tokens have ended, for some may have been removed since: give those who stay another with `muster operator token`.\n\n"
    "A backup made without --with-keys lacks ca/private/issuing.key, and the keys of retired CAs, retired-N.key for each "
    "ca/retired-N.crt: put them there before `muster serve`. One of before a rollover lacks the newer CA itself, so that what "
    "that issued can only be replaced.\n\n"
    "Example:\n\n"
    "  muster restore /mnt/backup/muster-2026-11-24 --signer-log /mnt/log/signer.log\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

struct restore {
	const char *dir;
	const struct restore_arguments *arguments;
	struct vault_reader *vault;
	struct workdir work;
	struct progress progress;
	bool has_issuing_key;
	struct checkpoint checkpoint; /* the last that the database has */
	char broker_group[CONF_TEXT_SIZE];
	char made_at[CLOCK_TEXT_MAX];
};

/* ---- the file ------------------------------------------------------------------------------------------------ */

static const struct part *
part_find(const char *name, size_t *i_out)
{
	const struct part *part;
	size_t i;

	for (i = 0; (part = part_at(i)) != NULL; i++)
		if (part->backup != PART_LEFT_OUT && strcmp(part->name, name) == 0) {
			*i_out = i;
			return part;
		}
	return NULL;
}

/* Walk through all of it: every byte authentic, every part known and there once, and none missing. */
static int
verify(struct restore *r, struct err *err)
{
	const struct part *part;
	char name[VAULT_NAME_MAX + 1];
	uint64_t len, seen = 0;
	size_t i;
	int rc;

	while ((rc = vault_next(r->vault, name, &len, err)) == 1) {
		if (part_find(name, &i) == NULL)
			return err_set(err, E_INPUT, "it holds %s, which this version of Muster does not know", name);
		if ((seen & 1ULL << i) != 0)
			return err_set(err, E_INPUT, "it holds %s twice", name);
		seen |= 1ULL << i;
		r->progress.total += len;
	}
	for (i = 0; rc == 0 && (part = part_at(i)) != NULL; i++)
		if (part->backup == PART_SAVED && !part->optional && (seen & 1ULL << i) == 0)
			rc = err_set(err, E_INPUT, "it lacks %s", part->name);
	return rc;
}

static int
entry_copy(struct restore *r, int fd, uint64_t left, struct err *err)
{
	uint8_t bytes[COPY_BYTES];
	size_t n;
	int rc = 0;

	while (rc == 0 && left > 0) {
		n = left < sizeof bytes ? (size_t)left : sizeof bytes;
		if ((rc = vault_read(r->vault, bytes, n, err)) == 0)
			rc = fs_write_all(fd, bytes, n, err);
		left -= n;
		progress_add(&r->progress, n);
	}
	explicit_bzero(bytes, sizeof bytes);
	return rc;
}

static int
entry_extract(struct restore *r, const struct part *part, uint64_t len, struct err *err)
{
	char path[FS_PATH_MAX];
	int fd, rc;

	if ((rc = fs_path(path, r->work.path, part->name, err)) != 0)
		return rc;
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot create %s", path);
	if ((rc = entry_copy(r, fd, len, err)) != 0)
		(void)err_prefix(err, "%s", path);
	else if (fchmod(fd, part->mode) != 0 || fsync(fd) != 0)
		rc = err_sys(err, "cannot write %s", path);
	(void)close(fd);
	r->has_issuing_key = r->has_issuing_key || strcmp(part->name, "ca/private/issuing.key") == 0;
	return rc;
}

static int
extract(struct restore *r, struct err *err)
{
	char name[VAULT_NAME_MAX + 1];
	const struct part *part;
	uint64_t len;
	size_t i;
	int rc;

	if ((rc = vault_rewind(r->vault, err)) != 0)
		return rc;
	while ((rc = vault_next(r->vault, name, &len, err)) == 1) {
		if ((part = part_find(name, &i)) == NULL)
			return err_set(err, E_INPUT, "the file changed meanwhile");
		if ((rc = entry_extract(r, part, len, err)) != 0)
			return rc;
	}
	return rc;
}

/* ---- the signer's log ---------------------------------------------------------------------------------------- */

/* Copy what the file NEWER has beyond OLDER's LEN bytes to the end of OLDER, all before that being equal: the log only
 * ever grows, so anything else is another home's, or older. */
static int
append_rest(int older, uint64_t len, int newer, struct err *err)
{
	uint8_t a[COPY_BYTES], b[COPY_BYTES];
	uint64_t at = 0;
	size_t same;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = pread(newer, a, sizeof a, (off_t)at)) != 0) {
		if (n < 0) {
			rc = err_sys(err, "cannot read");
			break;
		}
		same = at >= len ? 0 : len - at < (uint64_t)n ? (size_t)(len - at) : (size_t)n;
		if (pread(older, b, same, (off_t)at) != (ssize_t)same)
			rc = err_sys(err, "cannot read the backup's signer.log");
		else if (memcmp(a, b, same) != 0)
			rc = err_set(err, E_CONFLICT, "it is not the log of the home that was backed up");
		else
			rc = fs_write_all(older, a + same, (size_t)n - same, err);
		at += (uint64_t)n;
	}
	if (rc == 0 && at < len)
		rc = err_set(err, E_CONFLICT, "it is older than the backup's own: leave the option out");
	if (rc == 0 && fsync(older) != 0)
		rc = err_sys(err, "cannot sync signer.log");
	return rc;
}

static int
log_extend(const char *path, const char *newer_path, struct err *err)
{
	struct stat st;
	int older, newer, rc;

	if ((newer = open(newer_path, O_RDONLY | O_CLOEXEC)) < 0)
		return err_sys(err, "cannot open %s", newer_path);
	if ((older = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW)) < 0 || fstat(older, &st) != 0)
		rc = err_sys(err, "cannot open %s", path);
	else if ((rc = append_rest(older, (uint64_t)st.st_size, newer, err)) != 0)
		(void)err_prefix(err, "%s", newer_path);
	if (older >= 0)
		(void)close(older);
	(void)close(newer);
	return rc;
}

/* The signer goes on from the last checkpoint that the database has: what the audit said after the backup is lost, and the row
 * that the restore writes into it tells so. */
static int
checkpoint_settle(struct restore *r, struct signer_log *log, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CHECKPOINT, .at = r->checkpoint.at, .checkpoint = r->checkpoint};
	const struct checkpoint *theirs = signer_log_checkpoint(log);

	if (theirs->number == row.checkpoint.number && memcmp(theirs->head, row.checkpoint.head, SHA256_LEN) == 0)
		return 0;
	return signer_log_add(log, &row, err);
}

/* Check the log row by row and note a CRL number above all that can have been given since: verifiers may hold a list
 * of after the backup, and would keep it rather than take one with a lower number. */
static int
log_settle(struct restore *r, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .at = clock_now()};
	struct signer_log *log = NULL;
	int64_t since = row.at - vault_made_at(r->vault);
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, r->work.path, "signer.log", err)) != 0 ||
	    (r->arguments->signer_log != NULL && (rc = log_extend(path, r->arguments->signer_log, err)) != 0) ||
	    (rc = signer_log_open(path, false, &log, err)) != 0)
		return rc;
	row.crl_number = signer_log_crl_number(log) + CRL_NUMBER_LEAP + (since > 0 ? (uint64_t)since : 0);
	if ((rc = signer_log_add(log, &row, err)) == 0 && (rc = checkpoint_settle(r, log, err)) == 0)
		rc = signer_log_sync(log, err);
	signer_log_close(log);
	return rc;
}

/* ---- the database -------------------------------------------------------------------------------------------- */

/* In one transaction: the mark that tells the first start, the feed's epoch, so that followers take a fresh snapshot,
 * the end of all tokens, the hold of all trust anchors, and the audit row. */
static int
database_settle(struct restore *r, struct err *err)
{
	struct caller caller;
	char path[FS_PATH_MAX];
	struct store *store = NULL;
	struct store_tx *tx = NULL;
	int rc;

	home_caller(&caller);
	if ((rc = fs_path(path, r->work.path, "muster.db", err)) == 0 && (rc = store_open(path, &store, err)) == 0 &&
	    (rc = store_begin(store, &tx, err)) == 0 && (rc = auditpoint_stored(tx, &r->checkpoint, err)) == 0 &&
	    (rc = reconcile_restored(tx, err)) == 0 && (rc = feed_epoch_renew(tx, err)) == 0 &&
	    (rc = store_enrol_token_revoke_all(tx, clock_now(), err)) == 0 && (rc = store_trust_hold_all(tx, err)) == 0 &&
	    (rc = store_operator_expire_all(tx, clock_now(), err)) == 0 && (rc = store_job_cancel_all(tx, clock_now(), err)) == 0 &&
	    (rc = audit_write(tx, &caller, clock_now(), "restore", "backup", r->made_at, err, "{\"newer_log\":%s}",
		 r->arguments->signer_log != NULL ? "true" : "false")) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		rc = store_checkpoint(store, err);
	store_rollback(&tx);
	store_close(store);
	return rc;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

/* A new machine may not have the broker's group yet; muster.conf can be changed before the first start. */
static int
broker_group_find(struct restore *r, struct err *err)
{
	struct settings settings;
	gid_t gid;
	int rc;

	if ((rc = settings_load(r->work.path, &settings, err)) != 0)
		return rc;
	if (geteuid() == 0 && settings.broker_group[0] != '\0' &&
	    sandbox_group(settings.broker_group, &gid, NULL) != 0) {
		(void)fprintf(stderr,
		    "muster: there is no group %s here: make it, or change [broker] group in muster.conf, before "
		    "`muster serve`\n",
		    settings.broker_group);
		return 0;
	}
	memcpy(r->broker_group, settings.broker_group, sizeof r->broker_group);
	return 0;
}

static int
build(struct restore *r, struct err *err)
{
	int rc;

	if ((rc = home_begin(r->dir, &r->work, err)) != 0)
		return rc;
	if ((rc = extract(r, err)) == 0 && (rc = database_settle(r, err)) == 0 && (rc = log_settle(r, err)) == 0 &&
	    (rc = home_write_closed_acl(r->work.path, err)) == 0 && (rc = broker_group_find(r, err)) == 0)
		rc = home_end(r->dir, &r->work, r->broker_group, err);
	workdir_close(&r->work, true);
	return rc;
}

static int
restore(struct restore *r, int fd, struct err *err)
{
	const struct restore_arguments *a = r->arguments;
	struct secret passphrase = {0};
	int rc;

	if ((rc = home_check_place(r->dir, err)) != 0 ||
	    (rc = passphrase_get(a->passphrase_file, false, &passphrase, err)) != 0)
		return rc;
	rc = vault_open(fd, &passphrase, &r->vault, err);
	secret_clear(&passphrase);
	if (rc == 0)
		rc = verify(r, err);
	if (rc != 0)
		return err_prefix(err, "%s", a->file);
	clock_text(r->made_at, vault_made_at(r->vault));
	return build(r, err);
}

static void
print_done(const struct cli *cli, const struct restore *r)
{
	json_t *object;

	if (cli->json) {
		object = json_pack("{s:s, s:s, s:b, s:b}", "dir", r->dir, "made_at", r->made_at, "with_keys",
		    r->has_issuing_key, "newer_log", r->arguments->signer_log != NULL);
		print_json(object);
		json_decref(object);
		return;
	}
	(void)printf("Restored %s as of %s.\n", r->dir, r->made_at);
	if (r->arguments->signer_log == NULL)
		(void)printf("\nWhat was revoked after that is valid again, unless you revoke it again or restore with the newest\n"
			     "signer.log (--signer-log).\n");
	(void)printf("\nNext:\n\n");
	if (!r->has_issuing_key)
		(void)printf("  put the issuing CA's key to %s/ca/private/issuing.key, and retired ones' beside it\n", r->dir);
	(void)printf("  muster --dir %s serve\n"
		     "  muster --dir %s device list --status suspended    # issued after the backup: resume or revoke\n"
		     "  muster --dir %s operator token NAME               # the tokens of the old home have ended\n",
	    r->dir, r->dir, r->dir);
}

int
cmd_restore(struct cli *cli, int argc, char **argv)
{
	struct restore_arguments arguments = {0};
	struct restore r = {
	    .dir = cli->dir, .arguments = &arguments, .work = {.fd = -1}, .progress = {.what = "restore"}};
	struct err err = {0};
	int fd, rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return CLI_USAGE;
	if (secret_heap_open(SECRET_HEAP_BYTES, &err) != 0)
		return cli_fail(cli, &err);
	if ((fd = open(arguments.file, O_RDONLY | O_CLOEXEC)) < 0) {
		(void)err_sys(&err, "cannot open %s", arguments.file);
		return cli_fail(cli, &err);
	}
	rc = restore(&r, fd, &err);
	progress_end(&r.progress);
	vault_reader_free(r.vault);
	(void)close(fd);
	if (rc != 0)
		return cli_fail(cli, &err);
	print_done(cli, &r);
	return CLI_OK;
}
