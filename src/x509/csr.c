/* Certification requests. Read by our own DER reader down to what is used, never by d2i_X509_REQ:
 * it takes more than DER, and twice as long. Of the attributes only a requested subjectAltName is
 * kept; whatever else a request asks for (CA:TRUE, usages) reaches no certificate from here. */
#include "x509/csr.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/text.h"
#include "x509/alg.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/spki.h"

#define GENERAL_NAME_TAG_MAX 8 /* registeredID, the last choice of GeneralName */

static const char label[] = "CERTIFICATE REQUEST";
static const char old_label[] = "NEW CERTIFICATE REQUEST"; /* RFC 7468, section 7 */

/* id-extensionRequest (RFC 2985, section 5.4.2) */
static const struct oid extension_request = {
    9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e}};

/* challengePassword (RFC 2985, section 5.4.1) */
static const struct oid challenge_password = {
    9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07}};

/* The parts of a request that is well formed; all borrowed. */
struct parts {
	struct der info; /* whole element: what is signed */
	struct der sigalg, signature;
	struct der subject, spki; /* whole elements */
	struct der attributes;	  /* content; empty if there are none */
};

/* What devices are known to sign with and Muster does not take, by name. */
static const struct {
	struct oid oid;
	const char *name;
} refused_algs[] = {
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02}}, "MD2"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04}}, "MD5"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05}}, "SHA-1"},
    {{5, {0x2b, 0x0e, 0x03, 0x02, 0x1d}}, "SHA-1"},
    {{7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01}}, "SHA-1"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e}}, "SHA-224"},
    {{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01}}, "SHA-224"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}}, "RSASSA-PSS"},
};

static int
refuse_alg(struct der sigalg, bool rsa, struct err *err)
{
	const char *family = rsa ? "RSA (PKCS #1 v1.5)" : "ECDSA";
	struct der oid = {NULL, 0};
	size_t i;

	(void)der_get(&sigalg, DER_OID, &oid);
	for (i = 0; i < sizeof refused_algs / sizeof refused_algs[0]; i++)
		if (oid_is(&oid, &refused_algs[i].oid))
			return err_set(err, E_INPUT,
			    "requests signed with %s are not taken: use %s with SHA-256, SHA-384 "
			    "or SHA-512",
			    refused_algs[i].name, family);
	return err_set(err, E_INPUT,
	    "the request's signature algorithm is not taken: use %s with SHA-256, SHA-384 or "
	    "SHA-512",
	    family);
}

/* RFC 2986 wants the attributes even if there are none; some devices leave them out then. */
static bool
read_info(struct der d, struct parts *out)
{
	struct der version;

	return der_get_unsigned(&d, &version) && version.len == 0 &&
	       der_get_whole(&d, DER_SEQUENCE, &out->subject) &&
	       der_get_whole(&d, DER_SEQUENCE, &out->spki) &&
	       (d.len == 0 || der_get(&d, DER_CONTEXT(0), &out->attributes)) && d.len == 0;
}

static int
read_parts(const struct der *der, struct parts *out, struct err *err)
{
	struct der d = *der, request, info;
	struct parts parts = {0};

	if (!der_is_sound(&d) || !der_get(&d, DER_SEQUENCE, &request))
		return err_set(err, E_INPUT, "the request is not DER");
	if (d.len != 0)
		return err_set(err, E_INPUT, "there is more behind the request: send exactly one");
	if (!der_get_whole(&request, DER_SEQUENCE, &parts.info) ||
	    !der_get(&request, DER_SEQUENCE, &parts.sigalg) ||
	    !der_get_bits(&request, &parts.signature) || request.len != 0)
		return err_set(err, E_INPUT, "the request is malformed");
	d = parts.info;
	if (!der_get(&d, DER_SEQUENCE, &info) || !read_info(info, &parts))
		return err_set(err, E_INPUT, "the request is malformed");
	*out = parts;
	return 0;
}

static int
read_subject(const struct der *subject, struct csr *csr, struct err *err)
{
	struct der d = *subject, name;

	if (subject->len > sizeof csr->subject)
		return err_set(err, E_LIMIT, "the request's subject is larger than %zu bytes",
		    sizeof csr->subject);
	if (!der_get(&d, DER_SEQUENCE, &name) ||
	    !name_common_name(&name, csr->common_name, sizeof csr->common_name))
		return err_set(err, E_INPUT, "the request's subject is malformed");
	memcpy(csr->subject, subject->at, subject->len);
	csr->subject_len = subject->len;
	return 0;
}

static int
read_sans(const struct der *value, struct csr *csr, struct err *err)
{
	struct der d = *value, names, name;
	int tag;

	if (!der_get(&d, DER_SEQUENCE, &names) || names.len == 0)
		return err_set(err, E_INPUT, "the request's subjectAltName is malformed");
	while ((tag = der_peek(&names)) >= 0)
		if ((tag & 0xc0) != 0x80 || (tag & 0x1f) > GENERAL_NAME_TAG_MAX ||
		    !der_get(&names, (unsigned)tag, &name))
			return err_set(err, E_INPUT, "the request's subjectAltName is malformed");
	if (value->len > sizeof csr->sans)
		return err_set(err, E_LIMIT,
		    "the request's subjectAltName is larger than %zu bytes", sizeof csr->sans);
	memcpy(csr->sans, value->at, value->len);
	csr->sans_len = value->len;
	return 0;
}

/* An extension's value is hidden in an OCTET STRING, where the check of the whole did not look. */
static bool
is_one_element(struct der d)
{
	struct der value;
	int tag = der_peek(&d);

	return der_is_sound(&d) && tag >= 0 && der_get(&d, (unsigned)tag, &value) && d.len == 0;
}

static int
read_extensions(struct der values, struct csr *csr, struct err *err)
{
	struct der exts;
	struct ext ext;
	int rc;

	if (!der_get(&values, DER_SEQUENCE, &exts) || values.len != 0 || !ext_list_is_sound(&exts))
		return err_set(err, E_INPUT, "the request's extensions are malformed");
	while (ext_next(&exts, &ext)) {
		if (!is_one_element(ext.value))
			return err_set(err, E_INPUT, "the request's extensions are malformed");
		if (ext.id == EXT_SUBJECT_ALT_NAME && (rc = read_sans(&ext.value, csr, err)) != 0)
			return rc;
	}
	return 0;
}

/* A DirectoryString in one of the two forms that are ASCII as they stand; others, and two of them, are as good as none. */
static void
read_challenge(struct der values, struct csr *csr)
{
	int tag = der_peek(&values);
	struct der text;

	if (csr->challenge[0] != '\0' || (tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING) ||
	    !der_get(&values, (unsigned)tag, &text) || values.len != 0 || text.len >= sizeof csr->challenge ||
	    !text_is_printable((const char *)text.at, text.len)) {
		csr->challenge[0] = '\0';
		return;
	}
	memcpy(csr->challenge, text.at, text.len);
	csr->challenge[text.len] = '\0';
}

/* Attribute ::= SEQUENCE { OID, SET OF value } */
static int
read_attributes(struct der attributes, struct csr *csr, struct err *err)
{
	struct der attribute, oid, values;
	bool seen = false;
	int rc;

	while (attributes.len > 0) {
		if (!der_get(&attributes, DER_SEQUENCE, &attribute) ||
		    !der_get(&attribute, DER_OID, &oid) || !der_get(&attribute, DER_SET, &values) ||
		    attribute.len != 0)
			return err_set(err, E_INPUT, "the request's attributes are malformed");
		if (oid_is(&oid, &challenge_password))
			read_challenge(values, csr);
		if (!oid_is(&oid, &extension_request))
			continue;
		if (seen)
			return err_set(
			    err, E_INPUT, "the request has more than one list of extensions");
		seen = true;
		if ((rc = read_extensions(values, csr, err)) != 0)
			return rc;
	}
	return 0;
}

/* The key, and the proof that whoever sends the request has its private half. */
static int
check_key(const struct parts *parts, struct csr *csr, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	enum alg_hash hash;
	bool rsa;
	int rc;

	if ((rc = spki_open(parts->spki.at, parts->spki.len, &csr->kind, &pkey, err)) != 0)
		return rc;
	rsa = key_kind_is_rsa(csr->kind);
	if (!alg_read(&parts->sigalg, rsa, &hash))
		rc = refuse_alg(parts->sigalg, rsa, err);
	else if ((rc = spki_verify_by(pkey, csr->kind, hash, parts->info.at, parts->info.len,
		      parts->signature.at, parts->signature.len, err)) == E_INPUT)
		rc = err_set(err, E_INPUT, "the request is not signed by its own key");
	spki_close(csr->kind, pkey);
	if (rc != 0)
		return rc;
	memcpy(csr->spki, parts->spki.at, parts->spki.len);
	csr->spki_len = parts->spki.len;
	return 0;
}

static int
parse(const struct der *der, struct csr *csr_out, struct err *err)
{
	struct csr csr = {0};
	struct parts parts;
	int rc;

	if ((rc = read_parts(der, &parts, err)) != 0 ||
	    (rc = read_subject(&parts.subject, &csr, err)) != 0 ||
	    (rc = read_attributes(parts.attributes, &csr, err)) != 0 ||
	    (rc = check_key(&parts, &csr, err)) != 0)
		return rc;
	*csr_out = csr;
	return 0;
}

static const char *
label_in(const void *text, size_t len)
{
	static const char begin[] = "-----BEGIN NEW CERTIFICATE REQUEST-----";

	return memmem(text, len, begin, strlen(begin)) != NULL ? old_label : label;
}

int
csr_parse(const void *data, size_t len, struct csr *csr_out, struct err *err)
{
	struct der d = {data, len};
	struct buf der = {0};
	int rc;

	if (len == 0)
		return err_set(err, E_INPUT, "the request is empty");
	if (len > CSR_MAX)
		return err_set(err, E_LIMIT, "the request is larger than %d bytes", CSR_MAX);
	if (d.at[0] == DER_SEQUENCE)
		return parse(&d, csr_out, err);
	if ((rc = pem_decode(data, len, label_in(data, len), &der, err)) == 0)
		rc = parse(&(struct der){der.data, der.len}, csr_out, err);
	buf_clear(&der);
	return rc;
}

/* [0] IMPLICIT SET OF Attribute: none, or the one. */
static void
put_attributes(struct buf *out, const char *challenge)
{
	size_t mark = out->len, values;

	if (challenge[0] != '\0') {
		der_put(out, DER_OID, challenge_password.bytes, challenge_password.len);
		values = out->len;
		der_put(out, DER_UTF8_STRING, challenge, strlen(challenge));
		der_wrap(out, values, DER_SET);
		der_wrap(out, mark, DER_SEQUENCE);
	}
	der_wrap(out, mark, DER_CONTEXT(0));
}

/* CertificationRequest ::= SEQUENCE { CertificationRequestInfo, AlgorithmIdentifier, BIT STRING } */
int
csr_build(struct key *key, const uint8_t *subject, size_t subject_len, const char *challenge, struct buf *der_out,
    struct err *err)
{
	struct buf request = {0}, signature = {0};
	const uint8_t *spki;
	size_t spki_len;
	int rc;

	spki = key_spki(key, &spki_len);
	der_put_int(&request, 0);
	buf_append(&request, subject, subject_len);
	buf_append(&request, spki, spki_len);
	put_attributes(&request, challenge);
	der_wrap(&request, 0, DER_SEQUENCE);
	if (buf_failed(&request))
		rc = err_nomem(err);
	else if ((rc = key_sign(key, request.data, request.len, &signature, err)) == 0) {
		key_sigalg(key_kind_of(key), &request);
		der_put_bits(&request, signature.data, signature.len);
		der_wrap(&request, 0, DER_SEQUENCE);
		buf_append(der_out, request.data, request.len);
		rc = buf_failed(&request) || buf_failed(der_out) ? err_nomem(err) : 0;
	}
	buf_clear(&signature);
	buf_clear(&request);
	return rc;
}
