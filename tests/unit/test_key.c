#include "check.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "x509/der.h"
#include "x509/key.h"
#include "x509/pem.h"

#define DATA "the bytes to be signed"

/* One key of each kind, made once: RSA is slow. */
static struct key *keys[KEY_KINDS];

static int
setup(void **state)
{
	struct err err = {0};
	int kind;

	(void)state;
	if (secret_heap_open(1 << 20, &err) != 0)
		return -1;
	for (kind = KEY_NONE + 1; kind < KEY_KINDS; kind++)
		if (key_generate((enum key_kind)kind, &keys[kind], &err) != 0)
			return -1;
	return 0;
}

static int
teardown(void **state)
{
	int kind;

	(void)state;
	for (kind = 0; kind < KEY_KINDS; kind++)
		key_free(keys[kind]);
	return 0;
}

static EVP_PKEY *
public_of(const struct key *key)
{
	size_t len;
	const uint8_t *at = key_spki(key, &len);
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);

	assert_non_null(pkey);
	return pkey;
}

static EVP_PKEY *
private_of(const struct key *key)
{
	struct secret pem = {0};
	struct err err = {0};
	EVP_PKEY *pkey;
	BIO *bio;

	assert_ok(key_to_pem(key, &pem, &err));
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	assert_non_null(pkey);
	BIO_free(bio);
	secret_clear(&pem);
	return pkey;
}

static void
test_names(void **state)
{
	enum key_kind kind;
	int i;

	(void)state;
	for (i = KEY_NONE + 1; i < KEY_KINDS; i++) {
		assert_true(key_kind_parse(key_kind_name((enum key_kind)i), &kind));
		assert_int_equal(kind, i);
		assert_int_equal(key_kind_is_rsa(kind), i >= KEY_RSA_2048);
	}
	assert_string_equal(key_kind_name(KEY_RSA_3072), "rsa-3072");
	assert_false(key_kind_parse("none", &kind));
	assert_false(key_kind_parse("rsa-1024", &kind));
	assert_false(key_kind_parse("", &kind));
	assert_false(key_kind_is_rsa(KEY_NONE));
	assert_non_null(key_kind_name((enum key_kind)99));
}

static void
test_spki_is_the_keys(void **state)
{
	struct err err = {0};
	const uint8_t *spki;
	uint8_t *theirs;
	enum key_kind kind;
	EVP_PKEY *pkey;
	size_t len;
	int i;

	(void)state;
	for (i = KEY_NONE + 1; i < KEY_KINDS; i++) {
		spki = key_spki(keys[i], &len);
		pkey = private_of(keys[i]);
		theirs = NULL;
		assert_int_equal(i2d_PUBKEY(pkey, &theirs), len);
		assert_memory_equal(spki, theirs, len);
		assert_ok(spki_check(spki, len, &kind, &err));
		assert_int_equal(kind, i);
		assert_int_equal(key_kind_of(keys[i]), i);
		OPENSSL_free(theirs);
		EVP_PKEY_free(pkey);
	}
}

/* Keys that are opened one behind the other are each their own, also behind one whose point is on no curve. */
static void
test_no_key_is_taken_for_the_one_before(void **state)
{
	struct key *other = NULL;
	struct buf sig = {0}, others = {0};
	struct err err = {0};
	uint8_t off_curve[KEY_SPKI_MAX];
	const uint8_t *spki, *others_spki;
	size_t len, others_len;
	enum key_kind kind;
	int i;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &other, &err));
	spki = key_spki(keys[KEY_EC_P256], &len);
	others_spki = key_spki(other, &others_len);
	memcpy(off_curve, spki, len);
	off_curve[len - 1] ^= 1;
	assert_ok(key_sign(keys[KEY_EC_P256], "data", 4, &sig, &err));
	assert_ok(key_sign(other, "data", 4, &others, &err));
	for (i = 0; i < 20; i++) {
		assert_ok(spki_verify(spki, len, KEY_EC_P256, "data", 4, sig.data, sig.len, &err));
		assert_ok(spki_verify(others_spki, others_len, KEY_EC_P256, "data", 4, others.data, others.len, &err));
		assert_int_equal(
		    spki_verify(others_spki, others_len, KEY_EC_P256, "data", 4, sig.data, sig.len, &err), E_INPUT);
		assert_int_equal(spki_check(off_curve, len, &kind, &err), E_INPUT);
		assert_int_equal(
		    spki_verify(spki, len, KEY_EC_P256, "data", 4, others.data, others.len, &err), E_INPUT);
	}
	buf_clear(&sig);
	buf_clear(&others);
	key_free(other);
}

/* Exactly the file that OpenSSL would write. */
static void
test_pem_is_openssls(void **state)
{
	struct secret pem = {0};
	struct err err = {0};
	struct key *again;
	const uint8_t *a, *b;
	EVP_PKEY *pkey;
	char *theirs;
	size_t a_len, b_len;
	BIO *bio;
	long n;
	int i;

	(void)state;
	for (i = KEY_NONE + 1; i < KEY_KINDS; i++) {
		assert_ok(key_to_pem(keys[i], &pem, &err));
		pkey = private_of(keys[i]);
		bio = BIO_new(BIO_s_mem());
		assert_int_equal(
		    PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
		n = BIO_get_mem_data(bio, &theirs);
		assert_int_equal(pem.len, n);
		assert_memory_equal(pem.data, theirs, (size_t)n);
		assert_ok(key_from_pem(pem.data, pem.len, &again, &err));
		a = key_spki(keys[i], &a_len);
		b = key_spki(again, &b_len);
		assert_int_equal(a_len, b_len);
		assert_memory_equal(a, b, a_len);
		key_free(again);
		BIO_free(bio);
		EVP_PKEY_free(pkey);
		secret_clear(&pem);
	}
}

/* A number with leading zeros keeps its full width in an EC key's PKCS#8 (RFC 5915, section 3). */
static void
test_short_private_number_keeps_its_width(void **state)
{
	struct secret pem = {0};
	struct buf der = {0};
	struct err err = {0};
	struct key *key;
	bool seen = false;
	int i;

	(void)state;
	for (i = 0; i < 20000 && !seen; i++) {
		assert_ok(key_generate(KEY_EC_P256, &key, &err));
		assert_ok(key_to_pem(key, &pem, &err));
		buf_reset(&der);
		assert_ok(pem_decode((char *)pem.data, pem.len, "PRIVATE KEY", &der, &err));
		assert_int_equal(der.len, 138);
		seen = der.data[36] == 0;
		secret_clear(&pem);
		if (seen)
			EVP_PKEY_free(private_of(key));
		key_free(key);
	}
	assert_true(seen);
	buf_clear(&der);
}

static void
test_signatures_verify_elsewhere(void **state)
{
	static const char *const mds[KEY_KINDS] = {
	    NULL, "SHA256", "SHA384", "SHA256", "SHA256", "SHA256"};
	struct buf sig = {0};
	struct err err = {0};
	const uint8_t *spki;
	EVP_MD_CTX *ctx;
	EVP_PKEY *pkey;
	size_t len;
	int i, round;

	(void)state;
	for (i = KEY_NONE + 1; i < KEY_KINDS; i++) {
		pkey = public_of(keys[i]);
		spki = key_spki(keys[i], &len);
		for (round = 0; round < 3; round++) {
			buf_reset(&sig);
			assert_ok(key_sign(keys[i], DATA, sizeof DATA, &sig, &err));
			ctx = EVP_MD_CTX_new();
			assert_int_equal(
			    EVP_DigestVerifyInit_ex(ctx, NULL, mds[i], NULL, NULL, pkey, NULL), 1);
			assert_int_equal(EVP_DigestVerify(ctx, sig.data, sig.len,
					     (const uint8_t *)DATA, sizeof DATA),
			    1);
			EVP_MD_CTX_free(ctx);
			assert_ok(spki_verify(spki, len, (enum key_kind)i, DATA, sizeof DATA,
			    sig.data, sig.len, &err));
		}
		EVP_PKEY_free(pkey);
	}
	buf_clear(&sig);
}

/* Each bit of the signature, a shortened one, other data, another key, another kind. */
static void
test_forged_signatures(void **state)
{
	struct buf sig = {0};
	struct err err = {0};
	const uint8_t *spki, *other;
	size_t len, other_len, bit;
	int i;

	(void)state;
	for (i = KEY_EC_P256; i <= KEY_RSA_2048; i++) {
		buf_reset(&sig);
		spki = key_spki(keys[i], &len);
		other = key_spki(keys[i == KEY_EC_P256 ? KEY_RSA_2048 : KEY_EC_P256], &other_len);
		assert_ok(key_sign(keys[i], DATA, sizeof DATA, &sig, &err));
		for (bit = 0; bit < 8 * sig.len; bit++) {
			sig.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(spki_verify(spki, len, (enum key_kind)i, DATA, sizeof DATA,
					     sig.data, sig.len, &err),
			    E_INPUT);
			sig.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(spki_verify(spki, len, (enum key_kind)i, DATA, sizeof DATA,
				     sig.data, sig.len - 1, &err),
		    E_INPUT);
		assert_int_equal(spki_verify(spki, len, (enum key_kind)i, DATA, sizeof DATA - 1,
				     sig.data, sig.len, &err),
		    E_INPUT);
		assert_int_equal(spki_verify(other, other_len, (enum key_kind)i, DATA, sizeof DATA,
				     sig.data, sig.len, &err),
		    E_INPUT);
		assert_int_equal(
		    spki_verify(spki, len, KEY_NONE, DATA, sizeof DATA, sig.data, sig.len, &err),
		    E_INPUT);
	}
	assert_int_equal(ERR_peek_error(), 0);
	buf_clear(&sig);
}

static void
test_key_id(void **state)
{
	uint8_t ours[KEY_ID_LEN], digest[SHA256_LEN];
	const uint8_t *spki;
	size_t len;

	(void)state;
	spki = key_spki(keys[KEY_EC_P256], &len);
	spki_key_id(ours, spki, len);
	sha256(digest, spki + len - 65, 65);
	assert_memory_equal(ours, digest, KEY_ID_LEN);
}

static void
refuse_pem(const void *pem, size_t len)
{
	struct key *key = NULL;
	struct err err = {0};

	assert_int_equal(key_from_pem(pem, len, &key, &err), E_INPUT);
	assert_null(key);
	assert_true(strlen(err.text) > 10);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
refuse_pkey(EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char password[] = "password", *text;
	long n;

	assert_non_null(pkey);
	assert_int_equal(
	    PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, password, 8, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &text);
	refuse_pem(text, (size_t)n);
	BIO_free(bio);
}

static void
test_refuses_private_keys(void **state)
{
	struct buf der = {0}, pem = {0}, other = {0};
	struct secret text = {0};
	struct err err = {0};
	EVP_PKEY *pkey;
	size_t len;

	(void)state;
	pkey = private_of(keys[KEY_EC_P256]);
	refuse_pkey(pkey, EVP_aes_256_cbc());
	EVP_PKEY_free(pkey);
	refuse_pkey(pkey = EVP_EC_gen("P-224"), NULL);
	EVP_PKEY_free(pkey);
	refuse_pkey(pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	EVP_PKEY_free(pkey);
	refuse_pkey(pkey = EVP_RSA_gen(1024), NULL);
	EVP_PKEY_free(pkey);
	refuse_pem("", 0);
	refuse_pem("garbage", 7);

	assert_ok(key_to_pem(keys[KEY_EC_P256], &text, &err));
	assert_ok(pem_decode((char *)text.data, text.len, "PRIVATE KEY", &der, &err));
	secret_clear(&text);
	for (len = 0; len < der.len; len++) {
		buf_reset(&pem);
		pem_encode(&pem, "PRIVATE KEY", der.data, len);
		refuse_pem(pem.data, pem.len);
	}
	buf_reset(&pem);
	buf_append(&other, der.data, der.len);
	buf_byte(&other, 0); /* trailing data */
	pem_encode(&pem, "PRIVATE KEY", other.data, other.len);
	refuse_pem(pem.data, pem.len);
	buf_reset(&pem);
	der.data[50] ^= 1; /* the private number is then not the public point's */
	pem_encode(&pem, "PRIVATE KEY", der.data, der.len);
	refuse_pem(pem.data, pem.len);
	buf_clear(&other);
	buf_clear(&pem);
	buf_clear(&der);
}

static void
test_no_such_kind(void **state)
{
	struct key *key = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_NONE, &key, NULL), E_INPUT);
	assert_int_equal(key_generate(KEY_KINDS, &key, NULL), E_INPUT);
	key_free(NULL);
}

/* The private numbers live in the locked heap, and go when the key does. */
static void
test_private_numbers_are_in_the_locked_heap(void **state)
{
	size_t before = CRYPTO_secure_used();
	struct secret pem = {0};
	struct err err = {0};
	struct key *key;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	assert_true(CRYPTO_secure_used() > before);
	assert_ok(key_to_pem(key, &pem, &err));
	assert_true(CRYPTO_secure_allocated(pem.data));
	secret_clear(&pem);
	key_free(key);
	assert_int_equal(CRYPTO_secure_used(), before);
}

/* How often the N bytes that MASKED is with 0x55 taken off occur in this process's memory. */
static size_t
count_in_memory(const uint8_t *masked, size_t n)
{
	static uint8_t page[1 << 16];
	unsigned long from, to, at;
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	const uint8_t *p;
	size_t found = 0, k;
	char line[512], mode[8];
	ssize_t got;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof line, maps) != NULL) {
		/* What is larger than any heap here is AddressSanitizer's shadow. */
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' ||
		    to - from > 1UL << 30)
			continue;
		/* Overlapping windows, so that nothing hides on a border. */
		for (at = from; at < to; at += sizeof page - 512) {
			got = pread(
			    mem, page, to - at < sizeof page ? to - at : sizeof page, (off_t)at);
			if (at <= (unsigned long)page && (unsigned long)page < at + sizeof page)
				continue; /* this window shows itself */
			for (p = page; got >= (ssize_t)n &&
				       (p = memchr(p, masked[0] ^ 0x55,
					    (size_t)(page + got - p) - n + 1)) != NULL;
			     p++) {
				for (k = 0; k < n && p[k] == (masked[k] ^ 0x55); k++)
					;
				found += k == n;
			}
		}
	}
	explicit_bzero(page, sizeof page);
	(void)close(mem);
	(void)fclose(maps);
	return found;
}

/* E9: after the file is written and wiped and the key is freed, the private number is nowhere. */
static void
check_nothing_remains(enum key_kind kind, size_t offset, size_t n)
{
	uint8_t masked[64], text_masked[64];
	struct secret pem = {0};
	struct buf der;
	struct err err = {0};
	struct key *key;
	size_t i;

	buf_init_secret(&der);
	assert_ok(key_generate(kind, &key, &err));
	assert_ok(key_to_pem(key, &pem, &err));
	assert_ok(pem_decode((char *)pem.data, pem.len, "PRIVATE KEY", &der, &err));
	for (i = 0; i < n; i++) {
		masked[i] = der.data[offset + i] ^ 0x55;
		text_masked[i] = pem.data[28 + 65 * (offset / 48 + 1) + i] ^ 0x55;
	}
	assert_true(count_in_memory(masked, n) > 0);
	assert_true(count_in_memory(text_masked, n) > 0);
	buf_clear(&der);
	secret_clear(&pem);
	key_free(key);
	assert_int_equal(count_in_memory(masked, n), 0);
	assert_int_equal(count_in_memory(text_masked, n), 0);
}

static void
test_nothing_remains_of_a_key(void **state)
{
	(void)state;
	check_nothing_remains(KEY_EC_P256, 36, 32);
	check_nothing_remains(KEY_EC_P384, 35, 48);
	/* within the private exponent, which follows 26 bytes of frame, 7 of head, modulus and
	 * exponent */
	check_nothing_remains(KEY_RSA_2048, 26 + 7 + 261 + 5 + 11, 32);
}

/* A server that is to end waits for no prime. */
static void
test_generation_is_given_up(void **state)
{
	const atomic_bool stop = true;
	struct key *key = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(key_generate_unless(&stop, KEY_RSA_4096, &key, &err), E_SYS);
	assert_null(key);
	assert_int_equal(key_generate(KEY_EC_P256, &key, &err), 0);
	key_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_spki_is_the_keys),
	    cmocka_unit_test(test_no_key_is_taken_for_the_one_before),
	    cmocka_unit_test(test_pem_is_openssls),
	    cmocka_unit_test(test_short_private_number_keeps_its_width),
	    cmocka_unit_test(test_signatures_verify_elsewhere),
	    cmocka_unit_test(test_forged_signatures),
	    cmocka_unit_test(test_key_id),
	    cmocka_unit_test(test_refuses_private_keys),
	    cmocka_unit_test(test_no_such_kind),
	    cmocka_unit_test(test_private_numbers_are_in_the_locked_heap),
	    cmocka_unit_test(test_nothing_remains_of_a_key),
	    cmocka_unit_test(test_generation_is_given_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
