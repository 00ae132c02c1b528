/* ContentInfo ::= SEQUENCE { contentType, [0] SignedData }
 * SignedData ::= SEQUENCE { version, digestAlgorithms, encapContentInfo, [0] certificates, signerInfos }
 * CsrAttrs ::= SEQUENCE OF CHOICE { OID, SEQUENCE { type, SET OF value } } */
#include "x509/estmsg.h"

#include "x509/alg.h"
#include "x509/chain.h"
#include "x509/der.h"
#include "x509/pem.h"

#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

static const struct oid oid_data = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}};
static const struct oid oid_signed_data = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}};

static const struct oid oid_challenge_password = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07}};

static void
put_oid(struct buf *out, const struct oid *oid)
{
	der_put(out, DER_OID, oid->bytes, oid->len);
}

void
estmsg_put_certs(struct buf *out, const struct buf *const *certs, size_t n)
{
	size_t info = out->len, content, data, set, i;

	put_oid(out, &oid_signed_data);
	content = out->len;
	der_put_int(out, 1);
	der_put(out, DER_SET, NULL, 0);
	data = out->len;
	put_oid(out, &oid_data);
	der_wrap(out, data, DER_SEQUENCE);
	set = out->len;
	for (i = 0; i < n; i++)
		buf_append(out, certs[i]->data, certs[i]->len);
	der_wrap(out, set, DER_CONTEXT(0));
	der_put(out, DER_SET, NULL, 0);
	der_wrap(out, content, DER_SEQUENCE);
	der_wrap(out, content, DER_CONTEXT(0));
	der_wrap(out, info, DER_SEQUENCE);
}

static void
put_pem(struct buf *out, X509 *cert)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len > 0)
		pem_encode(out, "CERTIFICATE", der, (size_t)len);
	else
		out->failed = true;
	OPENSSL_free(der);
}

/* By OpenSSL's reader, for other servers may answer in BER. */
int
estmsg_get_certs(const void *data, size_t len, struct buf *pem_out, struct err *err)
{
	const uint8_t *at = data;
	CMS_ContentInfo *message = len > LONG_MAX ? NULL : d2i_CMS_ContentInfo(NULL, &at, (long)len);
	STACK_OF(X509) *certs = message == NULL ? NULL : CMS_get1_certs(message);
	struct buf pem = {0};
	int i, n = sk_X509_num(certs), rc;

	if (n <= 0 || n > CHAIN_CERTS_MAX || at != (const uint8_t *)data + len) {
		rc = err_set(err, E_INPUT, "the answer is not a message with certificates (RFC 7030, section 4.2.3)");
		goto out;
	}
	for (i = 0; i < n; i++)
		put_pem(&pem, sk_X509_value(certs, i));
	buf_append(pem_out, pem.data, pem.len);
	rc = buf_failed(&pem) || buf_failed(pem_out) ? err_nomem(err) : 0;
out:
	buf_clear(&pem);
	sk_X509_pop_free(certs, X509_free);
	CMS_ContentInfo_free(message);
	ERR_clear_error();
	return rc;
}

void
estmsg_put_attrs(struct buf *out, enum key_kind kind, bool wants_challenge)
{
	const struct alg_kind *alg = &alg_kinds[kind];
	size_t all = out->len, attribute = out->len, values, sigalg;
	bool rsa = alg->group == NULL;
	struct der whole, algid, oid;

	put_oid(out, rsa ? &oid_rsa : &oid_ec);
	values = out->len;
	if (rsa)
		der_put_int(out, alg->bits);
	else
		put_oid(out, &alg->curve);
	der_wrap(out, values, DER_SET);
	der_wrap(out, attribute, DER_SEQUENCE);
	if (wants_challenge)
		put_oid(out, &oid_challenge_password);
	/* Of the signature's AlgorithmIdentifier only the algorithm stands here. */
	sigalg = out->len;
	alg_put(out, rsa, alg->hash);
	if (!buf_failed(out)) {
		struct buf only = {0};

		whole = (struct der){out->data + sigalg, out->len - sigalg};
		if (der_get(&whole, DER_SEQUENCE, &algid) && der_get_whole(&algid, DER_OID, &oid))
			buf_append(&only, oid.at, oid.len);
		out->len = sigalg;
		buf_append(out, only.data, only.len);
		out->failed = out->failed || buf_failed(&only);
		buf_clear(&only);
	}
	der_wrap(out, all, DER_SEQUENCE);
}
