/* Certificates from outside. What both we and OpenSSL accept, both read alike. (We compare the
 * issuer's name as bytes and do not look inside; OpenSSL refuses malformed UTF-8 there.) The input
 * is PEM or DER; the same bytes are tried as a public key and as a name. */
#include "base/buf.h"
#include "base/text.h"
#include "fuzz.h"
#include "x509/cert.h"
#include "x509/estmsg.h"
#include "x509/key.h"
#include "x509/pem.h"

#include <openssl/pkcs7.h>
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
check_serial(const struct cert_info *info, const X509 *x)
{
	BIGNUM *ours = BN_bin2bn(info->serial, SERIAL_LEN, NULL);
	BIGNUM *theirs = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);

	FUZZ_ASSERT(info->serial_len >= 1 && info->serial_len <= SERIAL_LEN);
	FUZZ_ASSERT(ours != NULL && theirs != NULL && BN_cmp(ours, theirs) == 0);
	BN_free(ours);
	BN_free(theirs);
}

/* Its names are such as a certificate may have; a request with its own subject renews it; and in a message of EST OpenSSL
 * finds it as it is. */
static void
check_names(const uint8_t *der, size_t len, const struct cert_info *info)
{
	static char names[64][CERT_SAN_SIZE];
	const struct buf cert = {.data = (uint8_t *)(uintptr_t)der, .len = len};
	const struct buf *certs[] = {&cert, &cert};
	struct buf message = {0};
	const uint8_t *p;
	PKCS7 *cms;
	size_t n = 0, i;

	if (cert_sans_read(der, len, names, 64, &n, NULL) == 0)
		for (i = 0; i < n; i++)
			FUZZ_ASSERT(san_check(names[i], NULL) == 0);
	FUZZ_ASSERT(cert_is_renewal(der, len, info->subject, info->subject_len, NULL, 0, NULL) == 0);
	estmsg_put_certs(&message, certs, 2);
	p = message.data;
	FUZZ_ASSERT((cms = d2i_PKCS7(NULL, &p, (long)message.len)) != NULL && p == message.data + message.len);
	FUZZ_ASSERT(PKCS7_type_is_signed(cms) && sk_X509_num(cms->d.sign->cert) == 2);
	PKCS7_free(cms);
	buf_clear(&message);
}

static void
check_cert(const uint8_t *der, size_t len)
{
	const uint8_t *p = der;
	struct cert_issuer issuer;
	struct cert_info info;
	uint32_t flags;
	X509 *x;

	if (cert_issuer_init(&issuer, der, len, "http://pki.example", NULL) == 0)
		FUZZ_ASSERT(cert_info_read(der, len, &info, NULL) == 0 && info.is_ca);
	if (cert_info_read(der, len, &info, NULL) != 0)
		return;
	FUZZ_ASSERT(text_is_printable(info.common_name, strlen(info.common_name)));
	FUZZ_ASSERT(info.spki_len <= sizeof info.spki && info.subject_len <= sizeof info.subject);
	if ((x = d2i_X509(NULL, &p, (long)len)) == NULL)
		return;
	FUZZ_ASSERT(p == der + len);
	check_serial(&info, x);
	FUZZ_ASSERT(info.not_before == seconds(X509_get0_notBefore(x)));
	FUZZ_ASSERT(info.not_after == seconds(X509_get0_notAfter(x)));
	check_names(der, len, &info);
	flags = X509_get_extension_flags(x);
	FUZZ_ASSERT((flags & EXFLAG_INVALID) != 0 || info.is_ca == ((flags & EXFLAG_CA) != 0));
	X509_free(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = fuzz_text(data, len);
	struct buf der = {0};
	enum key_kind kind;

	if (pem_decode((const char *)data, len, "CERTIFICATE", &der, NULL) == 0)
		check_cert(der.data, der.len);
	else
		check_cert(data, len);
	if (spki_check(data, len, &kind, NULL) == 0)
		FUZZ_ASSERT(kind > KEY_NONE && kind < KEY_KINDS && len <= KEY_SPKI_MAX);
	if (san_check(text, NULL) == 0)
		FUZZ_ASSERT(strlen(text) < CERT_SAN_SIZE && text_is_printable(text, strlen(text)));
	buf_clear(&der);
	free(text);
	return 0;
}
