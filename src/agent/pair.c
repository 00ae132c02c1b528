/* Every file is written beside its place and renamed (base/fs.c); the order of the steps does the rest. */
#include "agent/pair.h"

#include "base/killpoint.h"
#include "base/secret.h"
#include "base/text.h"
#include "x509/chain.h"
#include "x509/pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (CHAIN_PEM_MAX + 16384)
#define RENEW_AT "Renew-At: "
#define KEY_FILE "next.key"

static const char *const names[] = {[PAIR_CURRENT] = "device.pem", [PAIR_NEXT] = "next.pem"};

bool
pair_path(const char *dir, enum pair which, char out[FS_PATH_MAX])
{
	return fs_path(out, dir, names[which], NULL) == 0 && fs_exists(out);
}

int
pair_info(const char *dir, enum pair which, struct cert_info *out, int64_t *since_out, struct err *err)
{
	char path[FS_PATH_MAX];
	struct buf pem, der = {0};
	const char *at;
	struct stat st;
	int rc;

	buf_init_secret(&pem);
	if ((rc = fs_path(path, dir, names[which], err)) != 0 || (rc = fs_read(path, FILE_MAX, &pem, err)) != 0)
		goto out;
	at = buf_str(&pem);
	if (!pem_next_block(&at, "CERTIFICATE", &der) || cert_info_read(der.data, der.len, out, err) != 0)
		rc = err_set(err, E_INPUT, "%s is damaged: enrol again", path);
	else if (since_out != NULL)
		*since_out = stat(path, &st) == 0 ? st.st_mtim.tv_sec : out->not_before;
out:
	buf_clear(&der);
	buf_clear(&pem);
	return rc;
}

int64_t
pair_renew_at(const char *dir, enum pair which)
{
	char path[FS_PATH_MAX], *end;
	int64_t when = 0;
	struct buf pem;

	buf_init_secret(&pem);
	if (fs_path(path, dir, names[which], NULL) == 0 && fs_read(path, FILE_MAX, &pem, NULL) == 0 &&
	    strncmp(buf_str(&pem), RENEW_AT, strlen(RENEW_AT)) == 0 && (end = strchr((char *)pem.data, '\n')) != NULL) {
		*end = '\0';
		(void)integer_parse((char *)pem.data + strlen(RENEW_AT), 0, INT64_MAX / 2, &when);
	}
	buf_clear(&pem);
	return when;
}

/* ---- the key ----------------------------------------------------------------------------------------------------- */

static int
key_make(const char *path, enum key_kind kind, struct key **key_out, struct err *err)
{
	struct secret pem = {0};
	struct key *key = NULL;
	int rc;

	if ((rc = key_generate(kind, &key, err)) == 0 && (rc = key_to_pem(key, &pem, err)) == 0)
		rc = fs_write(path, 0600, (gid_t)-1, pem.data, pem.len, err);
	secret_clear(&pem);
	KILLPOINT(40, "agent: the next key made, nothing asked");
	if (rc == 0)
		*key_out = key;
	else
		key_free(key);
	return rc;
}

/* A crash right after the promotion leaves the key by itself; it must not be asked for again. */
static bool
is_in_use(const char *dir, const struct key *key)
{
	struct cert_info info;

	return pair_info(dir, PAIR_CURRENT, &info, NULL, NULL) == 0 && key_is_of(key, info.spki, info.spki_len);
}

int
pair_key_next(const char *dir, enum key_kind kind, struct key **key_out, struct err *err)
{
	char path[FS_PATH_MAX];
	struct key *key = NULL;
	struct buf pem;
	int rc;

	if ((rc = fs_path(path, dir, KEY_FILE, err)) != 0)
		return rc;
	buf_init_secret(&pem);
	if (fs_read(path, FILE_MAX, &pem, NULL) == 0 && key_from_pem(pem.data, pem.len, &key, NULL) == 0 &&
	    key_kind_of(key) == kind && !is_in_use(dir, key))
		*key_out = key;
	else {
		key_free(key);
		rc = key_make(path, kind, key_out, err);
	}
	buf_clear(&pem);
	return rc;
}

/* ---- the pair ---------------------------------------------------------------------------------------------------- */

/* The first of CERTS that is IS_IT's, as DER, and what it says; false: none is. */
static bool
cert_find(const char *certs, bool (*is_it)(const struct cert_info *info, const void *wanted), const void *wanted,
    struct buf *der, struct cert_info *info)
{
	while (pem_next_block(&certs, "CERTIFICATE", der))
		if (cert_info_read(der->data, der->len, info, NULL) == 0 && is_it(info, wanted))
			return true;
	return false;
}

static bool
is_of_key(const struct cert_info *info, const void *key)
{
	return key_is_of(key, info->spki, info->spki_len);
}

/* No root: it is trusted, or worth nothing. */
static bool
is_issuer(const struct cert_info *info, const void *wanted)
{
	const struct cert_info *below = wanted;

	return info->is_ca && info->subject_len == below->issuer_len &&
	       memcmp(info->subject, below->issuer, below->issuer_len) == 0 &&
	       (info->subject_len != info->issuer_len || memcmp(info->subject, info->issuer, info->issuer_len) != 0);
}

/* The certificate for KEY among CERTS, then what leads up from it but for the root, appended to OUT as PEM. */
static int
chain_order(const char *certs, const struct key *key, struct buf *out, struct err *err)
{
	struct cert_info info, above;
	struct buf der = {0};
	bool found = cert_find(certs, is_of_key, key, &der, &info);
	int n = 0;

	while (found) {
		pem_encode(out, "CERTIFICATE", der.data, der.len);
		if (++n == CHAIN_CERTS_MAX || !cert_find(certs, is_issuer, &info, &der, &above))
			break;
		info = above;
	}
	out->failed = out->failed || buf_failed(&der);
	buf_clear(&der);
	if (buf_failed(out))
		return err_nomem(err);
	return found ? 0 : err_set(err, E_INPUT, "there is no certificate for the device's key");
}

int
pair_keep(const char *dir, const struct key *key, const char *certs, const char *root_pem, int64_t now,
    int64_t renew_at, struct err *err)
{
	struct chain_question question = {.root_pem = root_pem, .use = CHAIN_CLIENT, .now = now};
	char path[FS_PATH_MAX];
	struct buf chain = {0}, file;
	struct secret pem = {0};
	int rc;

	buf_init_secret(&file);
	if ((rc = fs_path(path, dir, names[PAIR_NEXT], err)) != 0 || (rc = chain_order(certs, key, &chain, err)) != 0)
		goto out;
	question.pem = buf_str(&chain);
	if ((rc = chain_check(&question, err)) != 0) {
		(void)err_prefix(err, "the device's new certificate");
		goto out;
	}
	if ((rc = key_to_pem(key, &pem, err)) != 0)
		goto out;
	if (renew_at > 0) /* ahead of the blocks, where who reads PEM does not look */
		buf_printf(&file, RENEW_AT "%lld\n", (long long)renew_at);
	buf_append(&file, pem.data, pem.len);
	buf_append(&file, chain.data, chain.len);
	if ((rc = buf_failed(&file) ? err_nomem(err) : fs_write(path, 0600, (gid_t)-1, file.data, file.len, err)) != 0)
		goto out;
	KILLPOINT(42, "agent: the next pair kept, not used");
out:
	secret_clear(&pem);
	buf_clear(&file);
	buf_clear(&chain);
	return rc;
}

int
pair_promote(const char *dir, struct err *err)
{
	char next[FS_PATH_MAX], current[FS_PATH_MAX], key[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(key, dir, KEY_FILE, err)) != 0)
		return rc;
	if (!pair_path(dir, PAIR_NEXT, next))
		return 0;
	(void)pair_path(dir, PAIR_CURRENT, current);
	if (rename(next, current) != 0)
		return err_sys(err, "cannot rename %s", next);
	KILLPOINT(44, "agent: the next pair in its place, the folder not synced");
	if ((rc = fs_sync_parent(current, err)) != 0)
		return rc;
	KILLPOINT(45, "agent: the next pair in its place, its key still there by itself");
	(void)unlink(key);
	return 0;
}

void
pair_drop_next(const char *dir)
{
	char path[FS_PATH_MAX];

	if (pair_path(dir, PAIR_NEXT, path))
		(void)unlink(path);
	if (fs_path(path, dir, KEY_FILE, NULL) == 0)
		(void)unlink(path);
}
