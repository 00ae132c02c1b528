/* What a client shows that is nobody's of ours: certificates in PEM, the first of which may be a manufacturer's (IEEE 802.1AR).
 * What is read of it is what OpenSSL reads, and nothing that could do harm in a database, an audit row or a name. */
#include "base/buf.h"
#include "fuzz.h"
#include "x509/chain.h"
#include "x509/idevid.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

static void
check_with_openssl(const struct idevid *idevid, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
	char serial[2 * IDEVID_SERIAL_SIZE], no_password[] = "";
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, no_password);
	X509_NAME *name;

	FUZZ_ASSERT(cert != NULL);
	name = X509_get_subject_name(cert);
	FUZZ_ASSERT(X509_NAME_get_text_by_NID(name, NID_serialNumber, serial, sizeof serial) > 0);
	FUZZ_ASSERT(strcmp(serial, idevid->serial) == 0);
	FUZZ_ASSERT(strpbrk(serial, "\"\\<>&;\n\r\t") == NULL && strlen(serial) < IDEVID_SERIAL_SIZE);
	X509_free(cert);
	BIO_free(bio);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int64_t issuers[CHAIN_CERTS_MAX];
	struct chain_question question = {.use = CHAIN_IDEVID, .now = 1767225600};
	struct chain_anchor anchor;
	struct idevid idevid;
	struct buf text = {0}, der = {0};
	size_t n;

	if (len > CHAIN_PEM_MAX)
		return 0;
	buf_append(&text, data, len);
	if (!buf_failed(&text)) {
		question.pem = question.root_pem = buf_str(&text);
		if (idevid_read(buf_str(&text), &idevid, NULL) == 0)
			check_with_openssl(&idevid, buf_str(&text));
		if (chain_issuers(buf_str(&text), issuers, &n, NULL) == 0)
			FUZZ_ASSERT(n >= 1 && n <= CHAIN_CERTS_MAX);
		(void)!chain_anchor_read(buf_str(&text), question.now, &anchor, &der, NULL);
		(void)!chain_check(&question, NULL);
	}
	buf_clear(&text);
	buf_clear(&der);
	return 0;
}
