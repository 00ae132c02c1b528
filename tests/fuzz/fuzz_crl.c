/* Revocation lists. What both we and OpenSSL accept, both read alike; a list that another signed is
 * never ours. */
#include "fuzz.h"
#include "x509/crl.h"

#include <openssl/x509v3.h>
#include <time.h>

static int64_t
seconds(const ASN1_TIME *t)
{
	struct tm tm;

	FUZZ_ASSERT(ASN1_TIME_to_tm(t, &tm) == 1);
	return timegm(&tm);
}

static void
check_number(const struct crl_info *info, const X509_CRL *x)
{
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(x, NID_crl_number, NULL, NULL);
	uint64_t value;

	FUZZ_ASSERT(number != NULL && ASN1_INTEGER_get_uint64(&value, number) == 1);
	FUZZ_ASSERT(value == info->number);
	ASN1_INTEGER_free(number);
}

static void
check_with_openssl(const struct crl_info *info, const uint8_t *der, size_t len)
{
	const uint8_t *p = der;
	X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)len);
	int n;

	if (x == NULL)
		return;
	n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x));
	FUZZ_ASSERT(p == der + len);
	FUZZ_ASSERT(X509_CRL_get_version(x) == 1);
	FUZZ_ASSERT((n < 0 ? 0 : (uint64_t)n) == info->n_entries);
	FUZZ_ASSERT(seconds(X509_CRL_get0_lastUpdate(x)) == info->this_update);
	FUZZ_ASSERT(seconds(X509_CRL_get0_nextUpdate(x)) == info->next_update);
	check_number(info, x);
	X509_CRL_free(x);
}

/* An issuer whose key was made just now. */
static const struct cert_issuer *
stranger(void)
{
	static struct cert_issuer issuer;
	struct key *key;
	const uint8_t *spki;

	if (issuer.kind == KEY_NONE) {
		FUZZ_ASSERT(key_generate(KEY_EC_P256, &key, NULL) == 0);
		spki = key_spki(key, &issuer.spki_len);
		memcpy(issuer.spki, spki, issuer.spki_len);
		issuer.kind = KEY_EC_P256;
		/* What the seeds' issuer is called. */
		issuer.name_len = 20;
		memcpy(issuer.name, "\x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07Test CA",
		    issuer.name_len);
		key_free(key);
	}
	return &issuer;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct crl_info info;

	FUZZ_ASSERT(crl_info_read(data, len, stranger(), &info, NULL) != 0);
	if (crl_info_read(data, len, NULL, &info, NULL) == 0)
		check_with_openssl(&info, data, len);
	return 0;
}
