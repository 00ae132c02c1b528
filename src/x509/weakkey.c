/* Three attacks, run in their cheap forms: about 50 us for an RSA-2048 modulus. All numbers are
 * public, so nothing here needs constant time. */
#include "x509/weakkey.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <stdbool.h>

/* Infineon's primes were k * M + (65537^a mod M), M the product of at least the first 39 primes:
 * modulo each of these, such a modulus is a power of 65537. A random one is, modulo all, with
 * chance 2^-27. */
static const unsigned char primes[] = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59,
    61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163,
    167};

static bool
is_power_of_65537(unsigned residue, unsigned prime)
{
	unsigned x = 1;

	do {
		if (x == residue)
			return true;
		x = x * (65537 % prime) % prime;
	} while (x != 1);
	return false;
}

static int
check_residues(const BIGNUM *n, struct err *err)
{
	bool roca = true;
	BN_ULONG residue;
	size_t i;

	for (i = 0; i < sizeof primes; i++) {
		residue = BN_mod_word(n, primes[i]);
		if (residue == 0)
			return err_set(
			    err, E_INPUT, "the RSA modulus is divisible by %u", primes[i]);
		roca = roca && is_power_of_65537((unsigned)residue, primes[i]);
	}
	if (roca)
		return err_set(err, E_INPUT,
		    "the RSA key comes from a broken generator (ROCA, CVE-2017-15361)");
	return 0;
}

/* ROOT = floor(sqrt(N)) by Newton's method from above. */
static bool
square_root(BIGNUM *root, const BIGNUM *n, BN_CTX *ctx)
{
	BIGNUM *next;
	bool ok = false;

	BN_zero(root);
	if (BN_is_zero(n)) /* where Newton's method would divide by it */
		return true;
	BN_CTX_start(ctx);
	if ((next = BN_CTX_get(ctx)) == NULL || !BN_set_bit(root, (BN_num_bits(n) + 1) / 2))
		goto out;
	for (;;) {
		if (!BN_div(next, NULL, n, root, ctx) || !BN_add(next, next, root) ||
		    !BN_rshift1(next, next))
			goto out;
		if (BN_cmp(next, root) >= 0)
			break;
		if (BN_copy(root, next) == NULL)
			goto out;
	}
	ok = true;
out:
	BN_CTX_end(ctx);
	return ok;
}

static bool
is_square_modulo(unsigned residue, unsigned prime)
{
	unsigned x;

	for (x = 0; x < prime; x++)
		if (x * x % prime == residue)
			return true;
	return false;
}

/* Each small prime sends away half of what is no square, so a root is hardly ever taken in vain.
 * Returns 1, 0, or -1 when out of memory. */
static int
is_square(const BIGNUM *n, BN_CTX *ctx)
{
	BIGNUM *root;
	size_t i;
	int rc = -1;

	for (i = 0; i < sizeof primes; i++)
		if (!is_square_modulo((unsigned)BN_mod_word(n, primes[i]), primes[i]))
			return 0;
	BN_CTX_start(ctx);
	if ((root = BN_CTX_get(ctx)) != NULL && square_root(root, n, ctx) &&
	    BN_sqr(root, root, ctx))
		rc = BN_cmp(root, n) == 0;
	BN_CTX_end(ctx);
	return rc;
}

/* n = a^2 - b^2 = (a - b)(a + b): try each a from the square root of n upward. Returns like
 * is_square. */
static int
fermat_factors(const BIGNUM *n, BN_CTX *ctx)
{
	BIGNUM *a, *b2, *step;
	int i, rc = -1;

	BN_CTX_start(ctx);
	a = BN_CTX_get(ctx);
	b2 = BN_CTX_get(ctx);
	if ((step = BN_CTX_get(ctx)) == NULL || !square_root(a, n, ctx) || !BN_sqr(b2, a, ctx) ||
	    !BN_sub(b2, b2, n))
		goto out;
	/* From a to a + 1, b^2 grows by 2a + 1; it starts at or below zero, where a^2 <= n. */
	for (i = 0, rc = 0; i <= WEAKKEY_FERMAT_STEPS && rc == 0; i++) {
		if (!BN_is_negative(b2))
			rc = is_square(b2, ctx);
		if (!BN_lshift1(step, a) || !BN_add_word(step, 1) || !BN_add(b2, b2, step) ||
		    !BN_add_word(a, 1))
			rc = -1;
	}
out:
	BN_CTX_end(ctx);
	return rc;
}

int
weakkey_check(const uint8_t *modulus, size_t len, struct err *err)
{
	BIGNUM *n = BN_bin2bn(modulus, (int)len, NULL);
	BN_CTX *ctx = BN_CTX_new();
	int rc, found;

	if (n == NULL || ctx == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	if ((rc = check_residues(n, err)) != 0)
		goto out;
	found = fermat_factors(n, ctx);
	if (found > 0)
		rc = err_set(err, E_INPUT, "the RSA key's two primes are too close to each other");
	else if (found < 0)
		rc = err_nomem(err);
out:
	ERR_clear_error();
	BN_CTX_free(ctx);
	BN_free(n);
	return rc;
}
