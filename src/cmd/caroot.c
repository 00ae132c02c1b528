/* `muster ca root export|remove`: taking the root's key offline. Local, on files alone; the service goes on
 * without it. */
#include "cmd/caroot.h"

#include "cmd/commands.h"

#include "base/fs.h"
#include "base/secret.h"
#include "core/roots.h"
#include "x509/cert.h"
#include "x509/key.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (256 * 1024)
#define PEM_MAX 16384

int
caroot_key_read(const char *dir, const char *file, struct key **key_out, struct err *err)
{
	char next[FS_PATH_MAX];
	struct buf key_pem;
	struct roots roots;
	struct cert_info info;
	struct key *key = NULL;
	int rc;

	buf_init_secret(&key_pem);
	if ((rc = roots_read(dir, &roots, err)) != 0 || (rc = fs_path(next, dir, CAROOT_NEXT_KEY, err)) != 0 ||
	    (rc = cert_info_read(roots.ders[0].data, roots.ders[0].len, &info, err)) != 0 ||
	    (rc = fs_read(file, PEM_MAX, &key_pem, err)) != 0 ||
	    (rc = key_from_pem(key_pem.data, key_pem.len, &key, err)) != 0)
		goto out;
	if (!key_is_of(key, info.spki, info.spki_len)) {
		rc = err_set(err, E_CONFLICT, "%s is not the key of %s/" ROOTS_FILE "%s", file, dir,
		    fs_exists(next) ? "\nA rollover of the root was cut short: run `muster ca root rollover`, which finishes it." : "");
		goto out;
	}
	*key_out = key;
	key = NULL;
out:
	key_free(key);
	buf_clear(&key_pem);
	roots_clear(&roots);
	return rc;
}

int
caroot_key_open(const char *dir, const char *file, struct key **key_out, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (file != NULL)
		return caroot_key_read(dir, file, key_out, err);
	if ((rc = fs_path(path, dir, CAROOT_KEY, err)) == 0 && (rc = caroot_key_read(dir, path, key_out, err)) == E_NOTFOUND)
		rc = err_set(err, E_NOTFOUND,
		    "the root's key is not in the home\nIt was taken offline: give it with --root-key FILE.");
	return rc;
}

static error_t
one_file(int key, char *arg, struct argp_state *state)
{
	const char **file = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*file != NULL)
			argp_usage(state);
		*file = arg;
		return 0;
	case ARGP_KEY_END:
		if (*file == NULL)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp export_argp = {NULL, one_file, "FILE",
    "Copy the root CA's private key to FILE (mode 0600), to be kept offline.\v"
    "FILE holds the unencrypted key (PKCS#8 PEM): put it on an encrypted medium. A file that exists is refused. "
    "Afterwards take the key from this machine with `muster ca root remove FILE`.\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 usage.",
    NULL, NULL, NULL};

static const struct argp remove_argp = {NULL, one_file, "FILE",
    "Remove the root CA's private key from this machine.\v"
    "FILE is the exported copy; it is read and compared first, so that the last copy cannot be removed. Everything "
    "but making another issuing CA or root goes on without the key.\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 usage.",
    NULL, NULL, NULL};

static int
root_export(const char *dir, const char *file, struct err *err)
{
	struct secret pem = {0};
	struct key *key = NULL;
	char path[FS_PATH_MAX];
	int rc;

	if (fs_exists(file))
		return err_set(err, E_CONFLICT, "%s exists: choose another name", file);
	if ((rc = fs_path(path, dir, CAROOT_KEY, err)) != 0)
		return rc;
	if (!fs_exists(path))
		return err_set(err, E_NOTFOUND, "%s is not there: it was removed before", path);
	if ((rc = caroot_key_read(dir, path, &key, err)) == 0 && (rc = key_to_pem(key, &pem, err)) == 0)
		rc = fs_write(file, 0600, (gid_t)-1, pem.data, pem.len, err);
	secret_clear(&pem);
	key_free(key);
	return rc;
}

int
caroot_key_destroy(const char *path, struct err *err)
{
	static const char zeros[4096];
	struct stat st;
	FILE *f;
	int rc = 0;

	if (stat(path, &st) != 0 || (f = fopen(path, "r+")) == NULL)
		return err_sys(err, "cannot open %s", path);
	if (fwrite(zeros, 1, (size_t)st.st_size < sizeof zeros ? (size_t)st.st_size : sizeof zeros, f) == 0 ||
	    fflush(f) != 0 || fsync(fileno(f)) != 0)
		rc = err_sys(err, "cannot overwrite %s", path);
	(void)fclose(f);
	if (rc == 0 && unlink(path) != 0)
		rc = err_sys(err, "cannot remove %s", path);
	return rc == 0 ? fs_sync_parent(path, err) : rc;
}

static int
root_remove(const char *dir, const char *file, struct err *err)
{
	struct key *key = NULL;
	char path[FS_PATH_MAX];
	struct stat st, copy;
	int rc;

	if ((rc = fs_path(path, dir, CAROOT_KEY, err)) != 0)
		return rc;
	if (stat(path, &st) != 0)
		return err_set(err, E_NOTFOUND, "%s is not there: it was removed before", path);
	if (stat(file, &copy) == 0 && copy.st_dev == st.st_dev && copy.st_ino == st.st_ino)
		return err_set(err, E_CONFLICT, "%s is the key itself, not a copy", file);
	if ((rc = caroot_key_read(dir, file, &key, err)) != 0)
		return rc;
	key_free(key);
	return caroot_key_destroy(path, err);
}

static int
run(struct cli *cli, int argc, char **argv, const struct argp *argp,
    int (*act)(const char *dir, const char *file, struct err *err), const char *done)
{
	const char *file = NULL;
	struct err err = {0};

	if (argp_parse(argp, argc, argv, 0, NULL, &file) != 0)
		return CLI_USAGE;
	if (secret_heap_open(SECRET_HEAP_BYTES, &err) != 0 || act(cli->dir, file, &err) != 0)
		return cli_fail(cli, &err);
	(void)printf("%s\n", done);
	return CLI_OK;
}

int
cmd_ca_root_export(struct cli *cli, int argc, char **argv)
{
	return run(cli, argc, argv, &export_argp, root_export,
	    "Exported. Keep it offline; then: muster ca root remove FILE");
}

int
cmd_ca_root_remove(struct cli *cli, int argc, char **argv)
{
	return run(cli, argc, argv, &remove_argp, root_remove,
	    "Removed. Backups and snapshots of this disk may still hold it.");
}
