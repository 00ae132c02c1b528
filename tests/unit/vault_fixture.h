/* Vaults made without base/vault.c's writer, from what its comment says of the format: so that tests can seal what that
 * writer never would, and so that the format is what it says. */
#ifndef MUSTER_TESTS_VAULT_FIXTURE_H
#define MUSTER_TESTS_VAULT_FIXTURE_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/vault.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VAULT_HEADER_LEN 33
#define VAULT_CHUNK 65536
#define VAULT_SEALED (VAULT_CHUNK + 16)

static inline void
vault_fixture_fail(void)
{
	abort();
}

static inline struct secret
vault_passphrase(const char *text)
{
	struct secret s = {0};

	if (secret_alloc(&s, strlen(text), NULL) != 0)
		vault_fixture_fail();
	memcpy(s.data, text, s.len);
	return s;
}

/* A file in memory with LEN bytes, to be read from its beginning. */
static inline int
vault_file(const void *data, size_t len)
{
	int fd = memfd_create("vault", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		vault_fixture_fail();
	return fd;
}

/* One sealed chunk, appended to OUT. */
static inline void
vault_seal_chunk(struct buf *out, const uint8_t *key, const uint8_t *header, uint64_t number, bool last,
    const uint8_t *plain, size_t len)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[12] = {0}, *sealed = buf_extend(out, len + 16);
	int n, i;

	for (i = 0; i < 8; i++)
		nonce[10 - i] = (uint8_t)(number >> (8 * i));
	nonce[11] = last;
	if (EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
	    EVP_EncryptUpdate(c, NULL, &n, header, VAULT_HEADER_LEN) != 1 ||
	    EVP_EncryptUpdate(c, sealed, &n, plain, (int)len) != 1 || EVP_EncryptFinal_ex(c, sealed + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, sealed + len) != 1)
		vault_fixture_fail();
	EVP_CIPHER_CTX_free(c);
}

/* LEN bytes of whatever, sealed as a vault's content with scrypt's cost 1, appended to OUT. */
static inline void
vault_seal(struct buf *out, const char *passphrase, const uint8_t *plain, size_t len)
{
	uint8_t header[VAULT_HEADER_LEN] = "MUSTBAK1\x01\0\0\0\0\0\0\x30\x39salt of 16 bytes";
	uint64_t number = 0;
	uint8_t key[32];

	if (EVP_PBE_scrypt(passphrase, strlen(passphrase), header + 17, 16, 2, 8, 1, 1 << 20, key, sizeof key) != 1)
		vault_fixture_fail();
	buf_append(out, header, sizeof header);
	for (; len > VAULT_CHUNK; plain += VAULT_CHUNK, len -= VAULT_CHUNK)
		vault_seal_chunk(out, key, header, number++, false, plain, VAULT_CHUNK);
	vault_seal_chunk(out, key, header, number, true, plain, len);
}

#endif
