/* The file: a header (magic with the version, scrypt's cost, u64 time, salt), then chunks of 64 KiB, the last one
 * shorter or as long, each sealed by AES-256-GCM. The key comes from passphrase and salt, so it is this file's alone,
 * and the nonce may count: an 88-bit number of the chunk, and a byte that is 1 for the last one only. A chunk that was
 * moved, dropped or added, and a file that was cut, even between two chunks, do not open. The header is every chunk's
 * additional data.
 *
 * What is sealed: entries, each a u8 length of its name, the name, a u64 length, the bytes.
 *
 * CMS and zip were passed over: OpenSSL has an authenticated CMS message in memory as a whole, and libzip's AES
 * stretches a passphrase 1,000 times and leaves the directory open. */
#include "base/vault.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/random.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "MUSTBAK1"
#define MAGIC_LEN 8
#define SALT_LEN 16
#define HEADER_LEN (MAGIC_LEN + 1 + 8 + SALT_LEN)
#define CHUNK (64 * 1024)
#define TAG_LEN 16
#define NONCE_LEN 12
#define KEY_LEN 32
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_SLACK (32 * 1024 * 1024)

/* What both directions share. */
struct vault {
	int fd;
	uint8_t header[HEADER_LEN];
	EVP_CIPHER_CTX *cipher;
	uint64_t chunk;	      /* number of the next one */
	struct secret plain;  /* CHUNK bytes */
	size_t len;	      /* of them are valid */
	uint64_t entry_left;  /* bytes that the present entry still lacks */
};

struct vault_writer {
	struct vault v;
};

struct vault_reader {
	struct vault v;
	size_t at; /* of plain, the next to be handed out */
	bool last; /* plain is the last chunk */
	uint8_t ahead[CHUNK + TAG_LEN + 1]; /* one byte more than a chunk tells whether it is the last */
	size_t n_ahead;
};

static void
vault_clear(struct vault *v)
{
	EVP_CIPHER_CTX_free(v->cipher);
	secret_clear(&v->plain);
}

/* Derive the key that HEADER and PASSPHRASE make, and set the cipher up with it. */
static int
vault_key(struct vault *v, const struct secret *passphrase, bool sealing, struct err *err)
{
	uint64_t n = 1ULL << v->header[MAGIC_LEN];
	struct secret key = {0};
	int rc;

	if ((rc = secret_alloc(&key, KEY_LEN, err)) != 0 || (rc = secret_alloc(&v->plain, CHUNK, err)) != 0)
		goto out;
	if (EVP_PBE_scrypt((const char *)passphrase->data, passphrase->len, v->header + HEADER_LEN - SALT_LEN,
		SALT_LEN, n, SCRYPT_R, SCRYPT_P, n * SCRYPT_R * 128 + SCRYPT_SLACK, key.data, KEY_LEN) != 1) {
		rc = err_set(err, E_NOMEM, "cannot make a key of the passphrase: it takes %llu MiB of memory",
		    (unsigned long long)(n * SCRYPT_R * 128 / 1048576 + 1));
		goto out;
	}
	if ((v->cipher = EVP_CIPHER_CTX_new()) == NULL ||
	    EVP_CipherInit_ex2(v->cipher, EVP_aes_256_gcm(), key.data, NULL, sealing, NULL) != 1)
		rc = err_set(err, E_SYS, "cannot set up AES-256-GCM");
out:
	secret_clear(&key);
	return rc;
}

/* Seal or open LEN bytes of the next chunk from IN to OUT; TAG is written or compared. False if it does not open, or
 * if OpenSSL fails. */
static bool
vault_crypt(struct vault *v, bool last, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	bool sealing = EVP_CIPHER_CTX_is_encrypting(v->cipher) == 1;
	uint8_t nonce[NONCE_LEN] = {0};
	int n, i;

	for (i = 0; i < 8; i++)
		nonce[NONCE_LEN - 2 - i] = (uint8_t)(v->chunk >> (8 * i));
	nonce[NONCE_LEN - 1] = last;
	v->chunk++;
	return EVP_CipherInit_ex2(v->cipher, NULL, NULL, nonce, -1, NULL) == 1 &&
	    EVP_CipherUpdate(v->cipher, NULL, &n, v->header, HEADER_LEN) == 1 &&
	    EVP_CipherUpdate(v->cipher, out, &n, in, (int)len) == 1 &&
	    (sealing || EVP_CIPHER_CTX_ctrl(v->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1) &&
	    EVP_CipherFinal_ex(v->cipher, out + len, &n) == 1 &&
	    (!sealing || EVP_CIPHER_CTX_ctrl(v->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static int
header_make(uint8_t *header, unsigned cost, int64_t made_at, struct err *err)
{
	struct buf b = {0};
	uint8_t salt[SALT_LEN];
	int rc;

	if ((rc = random_bytes(salt, sizeof salt, err)) != 0)
		return rc;
	buf_append(&b, MAGIC, MAGIC_LEN);
	buf_byte(&b, (uint8_t)cost);
	buf_u64(&b, (uint64_t)made_at);
	buf_append(&b, salt, sizeof salt);
	if (buf_failed(&b))
		rc = err_nomem(err);
	else
		memcpy(header, b.data, HEADER_LEN);
	buf_clear(&b);
	return rc;
}

int
vault_create(int fd, const struct secret *passphrase, unsigned cost, int64_t made_at,
    struct vault_writer **writer_out, struct err *err)
{
	struct vault_writer *w;
	int rc;

	if (cost < 1 || cost > VAULT_COST_MAX)
		return err_set(err, E_INPUT, "the cost must be 1 to %d", VAULT_COST_MAX);
	if ((w = calloc(1, sizeof *w)) == NULL)
		return err_nomem(err);
	w->v.fd = fd;
	if ((rc = header_make(w->v.header, cost, made_at, err)) == 0 &&
	    (rc = vault_key(&w->v, passphrase, true, err)) == 0 &&
	    (rc = fs_write_all(fd, w->v.header, HEADER_LEN, err)) == 0)
		*writer_out = w;
	else
		vault_writer_free(w);
	return rc;
}

static int
chunk_write(struct vault_writer *w, bool last, struct err *err)
{
	uint8_t sealed[CHUNK + TAG_LEN];
	int rc;

	if (!vault_crypt(&w->v, last, w->v.plain.data, w->v.len, sealed, sealed + w->v.len))
		return err_set(err, E_SYS, "cannot encrypt");
	if ((rc = fs_write_all(w->v.fd, sealed, w->v.len + TAG_LEN, err)) == 0)
		w->v.len = 0;
	return rc;
}

/* A full chunk waits for what follows it: only then is it known not to be the last. */
static int
put(struct vault_writer *w, const uint8_t *data, size_t len, struct err *err)
{
	size_t n;
	int rc;

	while (len > 0) {
		if (w->v.len == CHUNK && (rc = chunk_write(w, false, err)) != 0)
			return rc;
		n = CHUNK - w->v.len < len ? CHUNK - w->v.len : len;
		memcpy(w->v.plain.data + w->v.len, data, n);
		w->v.len += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int
is_whole(const struct vault_writer *w, struct err *err)
{
	return w->v.entry_left == 0 ? 0 : err_set(err, E_INPUT, "an entry is shorter than it was to be");
}

int
vault_entry(struct vault_writer *w, const char *name, uint64_t len, struct err *err)
{
	size_t name_len = strlen(name);
	struct buf head = {0};
	int rc;

	if ((rc = is_whole(w, err)) != 0)
		return rc;
	if (name_len < 1 || name_len > VAULT_NAME_MAX || len > VAULT_ENTRY_MAX)
		return err_set(err, E_INPUT, "an entry's name or length is out of range");
	buf_byte(&head, (uint8_t)name_len);
	buf_text(&head, name);
	buf_u64(&head, len);
	rc = buf_failed(&head) ? err_nomem(err) : put(w, head.data, head.len, err);
	buf_clear(&head);
	if (rc == 0)
		w->v.entry_left = len;
	return rc;
}

int
vault_write(struct vault_writer *w, const void *data, size_t len, struct err *err)
{
	if (len > w->v.entry_left)
		return err_set(err, E_INPUT, "an entry is longer than it was to be");
	w->v.entry_left -= len;
	return put(w, data, len, err);
}

int
vault_finish(struct vault_writer *w, struct err *err)
{
	int rc;

	if ((rc = is_whole(w, err)) != 0)
		return rc;
	return chunk_write(w, true, err);
}

void
vault_writer_free(struct vault_writer *w)
{
	if (w == NULL)
		return;
	vault_clear(&w->v);
	free(w);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* Read until WANT bytes are ahead or the file ends. */
static int
read_ahead(struct vault_reader *r, size_t want, struct err *err)
{
	ssize_t n;

	while (r->n_ahead < want) {
		n = read(r->v.fd, r->ahead + r->n_ahead, want - r->n_ahead);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read");
		if (n == 0)
			break;
		r->n_ahead += (size_t)n;
	}
	return 0;
}

static int
does_not_open(const struct vault_reader *r, struct err *err)
{
	if (r->v.chunk <= 1)
		return err_set(err, E_INPUT, "wrong passphrase, or the file is damaged");
	return err_set(err, E_INPUT, "damaged, cut short or longer than it was, at byte %llu or behind it",
	    (unsigned long long)(HEADER_LEN + (r->v.chunk - 1) * (CHUNK + TAG_LEN)));
}

static int
chunk_read(struct vault_reader *r, struct err *err)
{
	size_t n;
	int rc;

	if ((rc = read_ahead(r, sizeof r->ahead, err)) != 0)
		return rc;
	r->last = r->n_ahead < sizeof r->ahead;
	n = r->last ? r->n_ahead : CHUNK + TAG_LEN;
	r->at = r->v.len = 0;
	if (n < TAG_LEN ||
	    !vault_crypt(&r->v, r->last, r->ahead, n - TAG_LEN, r->v.plain.data, r->ahead + n - TAG_LEN)) {
		explicit_bzero(r->v.plain.data, CHUNK); /* not to be trusted, and never handed out */
		r->last = true;
		return does_not_open(r, err);
	}
	r->v.len = n - TAG_LEN;
	r->n_ahead -= n;
	memmove(r->ahead, r->ahead + n, r->n_ahead);
	return 0;
}

/* LEN bytes of what was sealed; with DATA NULL they are passed over. E_INPUT if there are fewer. */
static int
take(struct vault_reader *r, uint8_t *data, uint64_t len, struct err *err)
{
	size_t n;
	int rc;

	while (len > 0) {
		if (r->at == r->v.len) {
			if (r->last)
				return err_set(err, E_INPUT, "the file ends within an entry");
			if ((rc = chunk_read(r, err)) != 0)
				return rc;
			continue;
		}
		n = r->v.len - r->at < len ? r->v.len - r->at : (size_t)len;
		if (data != NULL) {
			memcpy(data, r->v.plain.data + r->at, n);
			data += n;
		}
		r->at += n;
		len -= n;
	}
	return 0;
}

static int
header_read(struct vault_reader *r, struct err *err)
{
	uint8_t *h = r->v.header;
	int rc;

	if ((rc = read_ahead(r, HEADER_LEN, err)) != 0)
		return rc;
	if (r->n_ahead < HEADER_LEN || memcmp(r->ahead, MAGIC, MAGIC_LEN - 1) != 0)
		return err_set(err, E_INPUT, "this is not a backup made by Muster, or it is cut short");
	memcpy(h, r->ahead, HEADER_LEN);
	r->n_ahead = 0;
	if (h[MAGIC_LEN - 1] != MAGIC[MAGIC_LEN - 1])
		return err_set(err, E_INPUT, "the backup is of another version than this program reads");
	if (h[MAGIC_LEN] < 1 || h[MAGIC_LEN] > VAULT_COST_MAX)
		return err_set(err, E_INPUT, "the file's header is damaged");
	return 0;
}

int
vault_open(int fd, const struct secret *passphrase, struct vault_reader **reader_out, struct err *err)
{
	struct vault_reader *r = calloc(1, sizeof *r);
	int rc;

	if (r == NULL)
		return err_nomem(err);
	r->v.fd = fd;
	if ((rc = header_read(r, err)) == 0 && (rc = vault_key(&r->v, passphrase, false, err)) == 0 &&
	    (rc = chunk_read(r, err)) == 0)
		*reader_out = r;
	else
		vault_reader_free(r);
	return rc;
}

int64_t
vault_made_at(const struct vault_reader *r)
{
	struct bytes b = {r->v.header + MAGIC_LEN + 1, 8, false};

	return (int64_t)bytes_u64(&b);
}

int
vault_next(struct vault_reader *r, char name_out[VAULT_NAME_MAX + 1], uint64_t *len_out, struct err *err)
{
	uint8_t head[1 + VAULT_NAME_MAX + 8];
	struct bytes b;
	uint64_t len;
	size_t n;
	int rc;

	if ((rc = take(r, NULL, r->v.entry_left, err)) != 0)
		return rc;
	r->v.entry_left = 0;
	while (r->at == r->v.len && !r->last)
		if ((rc = chunk_read(r, err)) != 0)
			return rc;
	if (r->at == r->v.len)
		return 0;
	if ((rc = take(r, head, 1, err)) != 0)
		return rc;
	n = head[0];
	if (n < 1 || n > VAULT_NAME_MAX)
		return err_set(err, E_INPUT, "an entry's name has %zu bytes", n);
	if ((rc = take(r, head, n + 8, err)) != 0)
		return rc;
	if (memchr(head, '\0', n) != NULL)
		return err_set(err, E_INPUT, "an entry's name has a NUL in it");
	b = (struct bytes){head + n, 8, false};
	if ((len = bytes_u64(&b)) > VAULT_ENTRY_MAX)
		return err_set(err, E_INPUT, "an entry of %llu bytes", (unsigned long long)len);
	memcpy(name_out, head, n);
	name_out[n] = '\0';
	*len_out = r->v.entry_left = len;
	return 1;
}

int
vault_read(struct vault_reader *r, void *data, size_t len, struct err *err)
{
	int rc;

	if (len > r->v.entry_left)
		return err_set(err, E_INPUT, "an entry is shorter than expected");
	if ((rc = take(r, data, len, err)) == 0)
		r->v.entry_left -= len;
	return rc;
}

int
vault_rewind(struct vault_reader *r, struct err *err)
{
	if (lseek(r->v.fd, HEADER_LEN, SEEK_SET) != HEADER_LEN)
		return err_sys(err, "cannot read the file again");
	r->v.chunk = r->v.entry_left = 0;
	r->n_ahead = r->at = r->v.len = 0;
	r->last = false;
	return chunk_read(r, err);
}

void
vault_reader_free(struct vault_reader *r)
{
	if (r == NULL)
		return;
	vault_clear(&r->v);
	free(r);
}
