/* OpenSSL's secure heap, so that its own private numbers and ours live in the same locked pages. */
#include "base/secret.h"

#include <malloc.h>
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init and so on */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SMALLEST_BLOCK 32

int
secret_heap_open(size_t heap_bytes, struct err *err)
{
	/* Buffers inside libraries (libzip, libevent) hold plaintext for a moment; overwrite what they free. */
	(void)mallopt(M_PERTURB, 0x5a);
	switch (CRYPTO_secure_malloc_init(heap_bytes, SMALLEST_BLOCK)) {
	case 1:
		return 0;
	case 2:
		return err_set(err, E_SYS,
		    "cannot lock %zu bytes of memory for keys: raise LimitMEMLOCK (ulimit -l)", heap_bytes);
	default:
		return err_set(err, E_SYS, "cannot set up %zu bytes of memory for keys", heap_bytes);
	}
}

int
secret_alloc(struct secret *s, size_t len, struct err *err)
{
	uint8_t *data = OPENSSL_secure_zalloc(len > 0 ? len : 1);

	if (data == NULL)
		return err_set(err, E_NOMEM, "out of locked memory for secrets");
	s->data = data;
	s->len = len;
	return 0;
}

void
secret_clear(struct secret *s)
{
	OPENSSL_secure_clear_free(s->data, s->len);
	*s = (struct secret){0};
}

bool
secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

/* By the old interface, which allocates nothing and so cannot fail: a wrong value in the chain of a log would be there
 * for good. */
void
sha256(uint8_t *out, const void *data, size_t len)
{
	SHA256_CTX ctx;

	(void)SHA256_Init(&ctx);
	(void)SHA256_Update(&ctx, data, len);
	(void)SHA256_Final(out, &ctx);
	OPENSSL_cleanse(&ctx, sizeof ctx);
}

int
hmac_sha256(uint8_t *out, const void *key, size_t key_len, const void *data, size_t len, struct err *err)
{
	if (HMAC(EVP_sha256(), key, (int)key_len, data, len, out, NULL) == NULL) {
		ERR_clear_error();
		return err_set(err, E_SYS, "cannot compute a MAC");
	}
	return 0;
}

/* The same by the old interface, as sha256: for chains. */
void
hmac_sha256_digest(uint8_t *out, const uint8_t *key, const uint8_t *digest)
{
	uint8_t inner[SHA256_CBLOCK + SHA256_LEN], outer[SHA256_CBLOCK + SHA256_LEN];
	size_t i;

	for (i = 0; i < SHA256_CBLOCK; i++) {
		inner[i] = 0x36 ^ (i < SHA256_LEN ? key[i] : 0);
		outer[i] = 0x5c ^ (i < SHA256_LEN ? key[i] : 0);
	}
	memcpy(inner + SHA256_CBLOCK, digest, SHA256_LEN);
	sha256(outer + SHA256_CBLOCK, inner, sizeof inner);
	sha256(out, outer, sizeof outer);
	OPENSSL_cleanse(inner, sizeof inner);
	OPENSSL_cleanse(outer, sizeof outer);
}

int
secret_process_protect(struct err *err)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_sys(err, "cannot forbid core files");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_sys(err, "cannot make the process non-dumpable");
	return 0;
}
