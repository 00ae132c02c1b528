/* One line of text, "muster-audit-1 FROM KEY". It is made once, when the database has no keyed row yet, and never replaced:
 * another key would make all rows look forged. */
#include "store/auditkey.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "muster-audit-1"
#define KEY_LEN SHA256_LEN
#define FILE_MAX 256

/* Beside the database, whatever that is called. */
static int
key_path(char out[FS_PATH_MAX], const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash != NULL ? (int)(slash - path) + 1 : 0;

	if (snprintf(out, FS_PATH_MAX, "%.*s%s", dir_len, path, AUDITKEY_NAME) >= FS_PATH_MAX)
		return err_set(err, E_INPUT, "path too long: %s", path);
	return 0;
}

/* TEXT is cut at its spaces. */
static bool
parse(char *text, struct auditkey *key)
{
	char *magic = strsep(&text, " "), *from = strsep(&text, " "), *hex = strsep(&text, "\n");

	return hex != NULL && text != NULL && text[0] == '\0' && strcmp(magic, MAGIC) == 0 &&
	    integer_parse(from, 1, INT64_MAX, &key->from) && strlen(hex) == 2 * KEY_LEN &&
	    hex_decode(key->key.data, KEY_LEN, hex);
}

int
auditkey_read(const char *path, struct auditkey *out, struct err *err)
{
	struct auditkey key = {0};
	char file[FS_PATH_MAX];
	struct buf text;
	int rc;

	buf_init_secret(&text);
	if ((rc = key_path(file, path, err)) != 0 || (rc = fs_read(file, FILE_MAX, &text, err)) != 0 ||
	    (rc = secret_alloc(&key.key, KEY_LEN, err)) != 0)
		goto out;
	if (text.len != strlen(buf_str(&text)) || !parse((char *)text.data, &key)) {
		rc = err_set(err, E_INPUT, "%s is damaged: put it back from a backup", file);
		goto out;
	}
	*out = key;
	key = (struct auditkey){0};
out:
	auditkey_clear(&key);
	buf_clear(&text);
	return rc;
}

/* A command of root's may be the first that opens the database of an older home. */
static int
owner_give(const char *file, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() == 0 && (stat(path, &st) != 0 || lchown(file, st.st_uid, st.st_gid) != 0))
		return err_sys(err, "cannot give %s to its user", file);
	return 0;
}

int
auditkey_make(const char *path, int64_t from, struct auditkey *out, struct err *err)
{
	struct auditkey key = {.from = from};
	char file[FS_PATH_MAX], line[FILE_MAX];
	int n, rc;

	if ((rc = key_path(file, path, err)) != 0 || (rc = secret_alloc(&key.key, KEY_LEN, err)) != 0 ||
	    (rc = random_bytes(key.key.data, KEY_LEN, err)) != 0)
		goto out;
	n = snprintf(line, sizeof line, MAGIC " %" PRId64 " ", from);
	hex_encode(line + n, key.key.data, KEY_LEN);
	n += 2 * KEY_LEN;
	line[n++] = '\n';
	if ((rc = fs_write(file, 0600, (gid_t)-1, line, (size_t)n, err)) != 0 ||
	    (rc = owner_give(file, path, err)) != 0)
		goto out;
	*out = key;
	key = (struct auditkey){0};
out:
	explicit_bzero(line, sizeof line);
	auditkey_clear(&key);
	return rc;
}

void
auditkey_mac(const struct auditkey *key, const uint8_t *hash, uint8_t *out)
{
	hmac_sha256_digest(out, key->key.data, hash);
}

void
auditkey_clear(struct auditkey *key)
{
	secret_clear(&key->key);
	*key = (struct auditkey){0};
}
