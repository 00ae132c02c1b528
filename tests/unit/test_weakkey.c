/* Moduli made here by the same arithmetic as the broken generators'. They need not be products of primes: the check
 * cannot know. */
#include "check.h"

#include "x509/weakkey.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <string.h>

#define BYTES_MAX 256

static BN_CTX *ctx;

static int
check(const BIGNUM *n, struct err *err)
{
	uint8_t bytes[BYTES_MAX];
	int len = BN_bn2bin(n, bytes);

	return weakkey_check(bytes, (size_t)len, err);
}

/* The first prime of 512 bits at or above SEED * 2^500. */
static BIGNUM *
prime(unsigned seed)
{
	BIGNUM *p = BN_new();

	assert_int_equal(BN_set_word(p, seed), 1);
	assert_int_equal(BN_lshift(p, p, 500), 1);
	assert_int_equal(BN_add_word(p, 1), 1);
	while (BN_check_prime(p, ctx, NULL) != 1)
		assert_int_equal(BN_add_word(p, 2), 1);
	return p;
}

static void
test_good_moduli_pass(void **state)
{
	BIGNUM *p = prime(0x901), *q = prime(0xd55), *n = BN_new();
	struct err err = {0};

	(void)state;
	assert_int_equal(BN_mul(n, p, q, ctx), 1);
	assert_ok(check(n, &err));
	BN_free(p);
	BN_free(q);
	BN_free(n);
}

/* Each prime below 168, and the first beyond, which is nobody's business here. */
static void
test_small_factors(void **state)
{
	BIGNUM *p = prime(0x901), *q = prime(0xd55), *n = BN_new();
	unsigned small, d, found = 0;

	(void)state;
	for (small = 3; small <= 173; small += 2) {
		struct err err = {0};
		int rc;

		for (d = 3; d < small && small % d != 0; d += 2)
			;
		if (d < small)
			continue;
		assert_int_equal(BN_mul(n, p, q, ctx), 1);
		assert_int_equal(BN_mul_word(n, small), 1);
		rc = check(n, &err);
		assert_int_equal(rc, small <= 167 ? E_INPUT : 0);
		found += rc != 0;
		assert_true(rc == 0 || strstr(err.text, "divisible") != NULL);
	}
	assert_int_equal(found, 38);
	BN_free(p);
	BN_free(q);
	BN_free(n);
}

/* k * M + 65537^a mod M, with M the product of the first 39 primes (CVE-2017-15361). */
static BIGNUM *
roca_factor(unsigned k, unsigned a)
{
	BIGNUM *m = BN_new(), *x = BN_new(), *e = BN_new(), *base = BN_new();
	unsigned p, d;

	assert_int_equal(BN_set_word(m, 2), 1);
	for (p = 3; p <= 167; p += 2) {
		for (d = 3; d < p && p % d != 0; d += 2)
			;
		if (d == p)
			assert_int_equal(BN_mul_word(m, p), 1);
	}
	assert_int_equal(BN_set_word(base, 65537), 1);
	assert_int_equal(BN_set_word(e, a), 1);
	assert_int_equal(BN_mod_exp(x, base, e, m, ctx), 1);
	assert_int_equal(BN_mul_word(m, k), 1);
	assert_int_equal(BN_add(x, x, m), 1);
	BN_free(m);
	BN_free(e);
	BN_free(base);
	return x;
}

/* D4: ROCA. One factor of it alone does not give the modulus the fingerprint. */
static void
test_roca(void **state)
{
	BIGNUM *p = roca_factor(1000003, 65), *q = roca_factor(77777, 12345), *n = BN_new(), *other = prime(0x901);
	struct err err = {0};

	(void)state;
	assert_int_equal(BN_mul(n, p, q, ctx), 1);
	assert_int_equal(check(n, &err), E_INPUT);
	assert_non_null(strstr(err.text, "ROCA"));
	assert_int_equal(BN_mul(n, p, other, ctx), 1);
	assert_ok(check(n, &err));
	BN_free(p);
	BN_free(q);
	BN_free(n);
	BN_free(other);
}

/* N = (a - b)(a + b) for an a of 513 bits, with b so that Fermat's method finds it after STEPS or very few more, and
 * free of small factors. */
static BIGNUM *
close_product(uint64_t steps)
{
	BIGNUM *a = BN_new(), *b = BN_new(), *sum = BN_new(), *difference = BN_new(), *n = BN_new(), *square = BN_new();
	unsigned d;

	/* a = 2^512, 2 a STEPS = b^2: with b = 2^256 * r that is r^2 = 2 * STEPS. */
	assert_int_equal(BN_set_bit(a, 512), 1);
	assert_int_equal(BN_set_word(b, 1), 1);
	while (b != NULL) {
		assert_int_equal(BN_sqr(square, b, ctx), 1);
		if (BN_get_word(square) >= 2 * steps)
			break;
		assert_int_equal(BN_add_word(b, 1), 1);
	}
	assert_int_equal(BN_lshift(b, b, 256), 1);
	assert_int_equal(BN_add_word(b, 1), 1); /* so that the factors are odd */
	do {
		assert_int_equal(BN_add_word(a, 2), 1);
		assert_int_equal(BN_add(sum, a, b), 1);
		assert_int_equal(BN_sub(difference, a, b), 1);
		assert_int_equal(BN_mul(n, sum, difference, ctx), 1);
		for (d = 3; d <= 167 && BN_mod_word(n, d) != 0; d += 2)
			;
	} while (d <= 167);
	BN_free(a);
	BN_free(b);
	BN_free(sum);
	BN_free(difference);
	BN_free(square);
	return n;
}

/* D4: close primes. 2 * 32 = 8^2, 2 * 98 = 14^2: the last within the limit; 2 * 128 = 16^2 beyond it. */
static void
test_close_factors(void **state)
{
	static const struct {
		uint64_t steps;
		int rc;
	} cases[] = {{2, E_INPUT}, {32, E_INPUT}, {98, E_INPUT}, {128, 0}, {1000000, 0}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		BIGNUM *n = close_product(cases[i].steps);
		struct err err = {0};

		assert_int_equal(check(n, &err), cases[i].rc);
		assert_true(cases[i].rc == 0 || strstr(err.text, "close") != NULL);
		BN_free(n);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

/* p^2 is the closest of all. */
static void
test_a_square(void **state)
{
	BIGNUM *p = prime(0x901), *n = BN_new();
	struct err err = {0};

	(void)state;
	assert_int_equal(BN_sqr(n, p, ctx), 1);
	assert_int_equal(check(n, &err), E_INPUT);
	assert_non_null(strstr(err.text, "close"));
	BN_free(p);
	BN_free(n);
}

static int
open_ctx(void **state)
{
	(void)state;
	return (ctx = BN_CTX_new()) == NULL;
}

static int
close_ctx(void **state)
{
	(void)state;
	BN_CTX_free(ctx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_moduli_pass),
	    cmocka_unit_test(test_small_factors),
	    cmocka_unit_test(test_roca),
	    cmocka_unit_test(test_close_factors),
	    cmocka_unit_test(test_a_square),
	};

	return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
