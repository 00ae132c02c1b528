/* Written by hand, for the signer builds what it signs itself; read by OpenSSL alone, so that a mistake here does not pass
 * for right. Without signed attributes the signature is over the text itself (RFC 5652, section 5.4), whose beginning no
 * other signature of Muster's has. The certificate is for emailProtection alone: that is what `openssl cms -verify` asks for,
 * and no profile gives it, so a device's key cannot make a checkpoint.
 *
 * SignedData ::= SEQUENCE { version, digestAlgorithms, encapContentInfo, [0] certificates, signerInfos } */
#include "x509/checkpoint.h"

#include "base/clock.h"
#include "base/text.h"
#include "x509/alg.h"
#include "x509/cert.h"
#include "x509/der.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CONTEXT "muster audit checkpoint 1"

static const struct oid oid_data = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}};
static const struct oid oid_signed_data = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}};
static const struct oid oid_sha256 = {9, {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}};

/* ---- the text ------------------------------------------------------------------------------------------------ */

size_t
checkpoint_text(char *out, const struct checkpoint *c)
{
	char head[2 * SHA256_LEN + 1], previous[2 * SHA256_LEN + 1], at[CLOCK_TEXT_MAX];
	int n;

	hex_encode(head, c->head, SHA256_LEN);
	hex_encode(previous, c->previous, SHA256_LEN);
	clock_text(at, c->at);
	n = snprintf(out, CHECKPOINT_TEXT_MAX,
	    "{\"context\":\"" CONTEXT "\",\"number\":%" PRIu64 ",\"seq\":%" PRId64 ",\"head\":\"%s\",\"at\":\"%s\",\"previous\":\"%s\"}\n",
	    c->number, c->seq, head, at, previous);
	return (size_t)n;
}

void
checkpoint_digest(uint8_t *out, const struct checkpoint *c)
{
	char text[CHECKPOINT_TEXT_MAX];

	if (c->number == 0)
		memset(out, 0, SHA256_LEN);
	else
		sha256(out, text, checkpoint_text(text, c));
}

/* The value between BEFORE, with which *AT begins, and the next quote or comma. */
static bool
take(const char **at, const char *before, char *out, size_t size)
{
	size_t len = strlen(before), n;

	if (strncmp(*at, before, len) != 0)
		return false;
	*at += len;
	n = strcspn(*at, "\",");
	if (n >= size)
		return false;
	memcpy(out, *at, n);
	out[n] = '\0';
	*at += n;
	return true;
}

int
checkpoint_parse(const void *text, size_t len, struct checkpoint *out, struct err *err)
{
	char copy[CHECKPOINT_TEXT_MAX], again[CHECKPOINT_TEXT_MAX];
	char number[24], seq[24], head[80], when[CLOCK_TEXT_MAX], previous[80];
	struct checkpoint c = {0};
	const char *at = copy;
	int64_t n = 0;

	if (len >= sizeof copy)
		goto malformed;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!take(&at, "{\"context\":\"" CONTEXT "\",\"number\":", number, sizeof number) ||
	    !take(&at, ",\"seq\":", seq, sizeof seq) || !take(&at, ",\"head\":\"", head, sizeof head) ||
	    !take(&at, "\",\"at\":\"", when, sizeof when) || !take(&at, "\",\"previous\":\"", previous, sizeof previous) ||
	    !integer_parse(number, 1, INT64_MAX, &n) || !integer_parse(seq, 1, INT64_MAX, &c.seq) ||
	    !hex_decode(c.head, sizeof c.head, head) || !clock_parse(when, &c.at) ||
	    !hex_decode(c.previous, sizeof c.previous, previous))
		goto malformed;
	c.number = (uint64_t)n;
	/* One text for one checkpoint, and nothing besides. */
	if (checkpoint_text(again, &c) != len || memcmp(again, text, len) != 0)
		goto malformed;
	*out = c;
	return 0;
malformed:
	return err_set(err, E_INPUT, "it is no checkpoint of an audit trail");
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static void
put_sha256(struct buf *out)
{
	size_t mark = out->len;

	der_put(out, DER_OID, oid_sha256.bytes, oid_sha256.len);
	der_wrap(out, mark, DER_SEQUENCE);
}

/* SignerInfo ::= SEQUENCE { version 1, issuerAndSerialNumber, digestAlgorithm, signatureAlgorithm, signature } */
static void
put_signer_info(struct buf *out, const struct cert_info *cert, enum key_kind kind, const struct buf *sig)
{
	size_t info = out->len, sid;

	der_put_int(out, 1);
	sid = out->len;
	buf_append(out, cert->issuer, cert->issuer_len);
	der_put_unsigned(out, cert->serial, sizeof cert->serial);
	der_wrap(out, sid, DER_SEQUENCE);
	put_sha256(out);
	key_sigalg(kind, out);
	der_put(out, DER_OCTET_STRING, sig->data, sig->len);
	der_wrap(out, info, DER_SEQUENCE);
}

int
checkpoint_sign(
    const struct checkpoint *checkpoint, const struct checkpoint_signer *signer, struct buf *out, struct err *err)
{
	char text[CHECKPOINT_TEXT_MAX];
	size_t len = checkpoint_text(text, checkpoint), start = out->len, info, signed_data, mark;
	struct buf sig = {0};
	struct cert_info cert;
	int rc;

	if ((rc = cert_info_read(signer->der->data, signer->der->len, &cert, err)) != 0 ||
	    (rc = key_sign(signer->key, text, len, &sig, err)) != 0)
		goto out;
	info = out->len;
	der_put(out, DER_OID, oid_signed_data.bytes, oid_signed_data.len);
	signed_data = out->len;
	der_put_int(out, 1);
	mark = out->len;
	put_sha256(out);
	der_wrap(out, mark, DER_SET);
	mark = out->len;
	der_put(out, DER_OID, oid_data.bytes, oid_data.len);
	{
		size_t content = out->len;

		der_put(out, DER_OCTET_STRING, text, len);
		der_wrap(out, content, DER_CONTEXT(0));
	}
	der_wrap(out, mark, DER_SEQUENCE);
	mark = out->len;
	buf_append(out, signer->der->data, signer->der->len);
	buf_append(out, signer->issuer_der->data, signer->issuer_der->len);
	der_wrap(out, mark, DER_CONTEXT(0));
	mark = out->len;
	put_signer_info(out, &cert, key_kind_of(signer->key), &sig);
	der_wrap(out, mark, DER_SET);
	der_wrap(out, signed_data, DER_SEQUENCE);
	der_wrap(out, signed_data, DER_CONTEXT(0));
	der_wrap(out, info, DER_SEQUENCE);
	if (buf_failed(out))
		rc = err_nomem(err);
out:
	if (rc != 0)
		out->len = start;
	buf_clear(&sig);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* All certificates in PEM are trusted. */
static int
roots_read(const char *pem, X509_STORE *store, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	bool failed = bio == NULL;
	int n = 0;
	X509 *cert;

	while (!failed && (cert = PEM_read_bio_X509(bio, NULL, NULL, (void *)"")) != NULL) {
		failed = X509_STORE_add_cert(store, cert) != 1;
		X509_free(cert);
		n++;
	}
	ERR_clear_error();
	BIO_free(bio);
	if (failed)
		return err_nomem(err);
	return n > 0 ? 0 : err_set(err, E_INPUT, "there is no CA certificate to verify it with");
}

/* Whatever else a key of this CA may sign: one signer, whose certificate is for this alone. */
static int
signer_check(CMS_ContentInfo *message, struct err *err)
{
	STACK_OF(X509) *signers = CMS_get0_signers(message);
	X509 *cert = sk_X509_num(signers) == 1 ? sk_X509_value(signers, 0) : NULL;
	bool is_ours = cert != NULL && X509_get_extended_key_usage(cert) == XKU_SMIME;

	sk_X509_free(signers);
	return is_ours ? 0 : err_set(err, E_INPUT, "it was not signed by the signer's own certificate");
}

static int
content_read(BIO *content, struct checkpoint *out, struct err *err)
{
	char *text;
	long len = BIO_get_mem_data(content, &text);

	return checkpoint_parse(text, len > 0 ? (size_t)len : 0, out, err);
}

int
checkpoint_verify(const void *cms, size_t len, const char *root_pem, struct checkpoint *out, struct err *err)
{
	const uint8_t *at = cms;
	CMS_ContentInfo *message = len > CHECKPOINT_CMS_MAX ? NULL : d2i_CMS_ContentInfo(NULL, &at, (long)len);
	X509_STORE *store = X509_STORE_new();
	BIO *content = BIO_new(BIO_s_mem());
	int rc;

	if (store == NULL || content == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	if (message == NULL || at != (const uint8_t *)cms + len) {
		rc = err_set(err, E_INPUT, "it is no CMS message");
		goto out;
	}
	if ((rc = roots_read(root_pem, store, err)) != 0)
		goto out;
	(void)X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME);
	if (CMS_verify(message, NULL, store, NULL, content, CMS_BINARY) != 1)
		rc = err_set(err, E_INPUT, "its signature is not by a signer under this CA");
	else if ((rc = signer_check(message, err)) == 0)
		rc = content_read(content, out, err);
out:
	ERR_clear_error();
	BIO_free(content);
	X509_STORE_free(store);
	CMS_ContentInfo_free(message);
	return rc;
}
