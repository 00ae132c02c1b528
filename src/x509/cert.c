/* Leaf certificates. The to-be-signed bytes come from the DER writer alone, a function of the
 * specification and nothing else, so that two processes that build them agree to the byte. */
#include "x509/cert.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/text.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/san.h"
#include "x509/spki.h"
#include "x509/tbs.h"

#define KU_ALL (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)
#define EKU_ALL (EKU_CLIENT_AUTH | EKU_SERVER_AUTH | EKU_CODE_SIGNING | EKU_OCSP_SIGNING | EKU_EMAIL_PROTECTION)

/* id-kp (RFC 5280, section 4.2.1.12) and id-ad (4.2.2.1), both 1.3.6.1.5.5.7, and the last arc. */
#define ID_PKIX 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07
#define ID_KP_SERVER_AUTH 1
#define ID_KP_CLIENT_AUTH 2
#define ID_KP_CODE_SIGNING 3
#define ID_KP_EMAIL_PROTECTION 4
#define ID_KP_OCSP_SIGNING 9
#define ID_AD_OCSP 1
#define ID_AD_CA_ISSUERS 2
#define GENERAL_NAME_URI 6

/* KeyUsage's bits as they stand in the first octet. */
static const struct {
	unsigned flag;
	uint8_t bit;
} key_usages[] = {
    {KU_DIGITAL_SIGNATURE, 0x80},
    {KU_KEY_ENCIPHERMENT, 0x20},
    {KU_KEY_AGREEMENT, 0x08},
};

static const struct {
	unsigned flag;
	uint8_t arc;
} ext_key_usages[] = {
    {EKU_CLIENT_AUTH, ID_KP_CLIENT_AUTH},
    {EKU_SERVER_AUTH, ID_KP_SERVER_AUTH},
    {EKU_CODE_SIGNING, ID_KP_CODE_SIGNING},
    {EKU_OCSP_SIGNING, ID_KP_OCSP_SIGNING},
    {EKU_EMAIL_PROTECTION, ID_KP_EMAIL_PROTECTION},
};

/* The URL of PATH below BASE into OUT[CERT_URL_SIZE]. */
static int
url_make(char *out, const char *base, const char *path, struct err *err)
{
	int n = snprintf(out, CERT_URL_SIZE, "%s%s", base, path);

	if (n < 0 || n >= CERT_URL_SIZE)
		return err_set(err, E_INPUT, "the PKI pages' URL is longer than %d characters",
		    CERT_URL_SIZE - 64);
	return 0;
}

static int
set_urls(struct cert_issuer *issuer, const char *pki_url, struct err *err)
{
	char path[sizeof "/crl/-delta.crl" + 2 * KEY_ID_LEN];
	size_t len = strlen(pki_url);
	int rc;

	if (strncmp(pki_url, "http", 4) != 0 || !san_is_uri(pki_url) || pki_url[len - 1] == '/')
		return err_set(err, E_INPUT,
		    "the PKI pages' URL wants the form http://HOST[:PORT], without a slash at its "
		    "end");
	(void)snprintf(path, sizeof path, "/crl/%s.crl", issuer->key_id_hex);
	if ((rc = url_make(issuer->crl_url, pki_url, path, err)) != 0)
		return rc;
	(void)snprintf(path, sizeof path, "/crl/%s-delta.crl", issuer->key_id_hex);
	if ((rc = url_make(issuer->delta_url, pki_url, path, err)) != 0)
		return rc;
	(void)snprintf(path, sizeof path, "/ca/%s.crt", issuer->key_id_hex);
	if ((rc = url_make(issuer->ca_url, pki_url, path, err)) != 0)
		return rc;
	return url_make(issuer->ocsp_url, pki_url, "/ocsp", err);
}

/* cA of basicConstraints; absent means no. False for what is not DER: other readers take any byte but 0 for yes. */
static bool
read_is_ca(const struct der *extensions, bool *out)
{
	struct der d, seq, flag;
	struct ext ext;

	*out = false;
	if (!ext_find(extensions, EXT_BASIC_CONSTRAINTS, &ext))
		return true;
	d = ext.value;
	if (!der_get(&d, DER_SEQUENCE, &seq) || d.len != 0)
		return false;
	if (der_peek(&seq) != DER_BOOLEAN)
		return true;
	if (!der_get(&seq, DER_BOOLEAN, &flag))
		return false;
	*out = der_equal(&flag, "\xff", 1);
	return *out || der_equal(&flag, "\0", 1);
}

static bool
read_key_id(const struct der *extensions, uint8_t *out)
{
	struct der d, id;
	struct ext ext;

	if (!ext_find(extensions, EXT_SUBJECT_KEY_ID, &ext))
		return false;
	d = ext.value;
	if (!der_get(&d, DER_OCTET_STRING, &id) || d.len != 0 || id.len != KEY_ID_LEN)
		return false;
	memcpy(out, id.at, KEY_ID_LEN);
	return true;
}

int
cert_issuer_init(struct cert_issuer *out, const uint8_t *ca_der, size_t len, const char *pki_url,
    struct err *err)
{
	struct cert_issuer issuer = {0};
	struct tbs_parts parts;
	struct cert_info info;
	int rc;

	if ((rc = cert_info_read(ca_der, len, &info, err)) != 0 ||
	    (rc = tbs_read(ca_der, len, &parts, err)) != 0)
		return rc;
	if (!info.is_ca)
		return err_set(err, E_INPUT, "the certificate is not a CA's");
	if (!read_key_id(&parts.extensions, issuer.key_id))
		return err_set(err, E_INPUT,
		    "the CA's certificate has no subject key identifier of %d bytes", KEY_ID_LEN);
	hex_encode(issuer.key_id_hex, issuer.key_id, KEY_ID_LEN);
	memcpy(issuer.name, info.subject, info.subject_len);
	issuer.name_len = info.subject_len;
	memcpy(issuer.spki, info.spki, info.spki_len);
	issuer.spki_len = info.spki_len;
	issuer.kind = info.kind;
	issuer.not_before = info.not_before;
	issuer.not_after = info.not_after;
	if (pki_url != NULL && pki_url[0] != '\0' && (rc = set_urls(&issuer, pki_url, err)) != 0)
		return rc;
	*out = issuer;
	return 0;
}

int
cert_serial_make(uint8_t *serial_out, struct err *err)
{
	int rc;

	if ((rc = random_bytes(serial_out, SERIAL_LEN, err)) != 0)
		return rc;
	/* A first octet of zero would be dropped and shorten the number; one bit set keeps all at
	 * 20 octets. */
	serial_out[0] = (uint8_t)((serial_out[0] & 0x3f) | 0x40);
	return 0;
}

static int
check_spec(const struct cert_spec *spec, const struct cert_issuer *issuer, struct err *err)
{
	const struct name subject = {spec->country, spec->org, spec->common_name};
	enum key_kind kind;
	size_t i;
	int rc;

	if (spec->serial[0] == 0 || (spec->serial[0] & 0x80) != 0)
		return err_set(
		    err, E_INPUT, "a serial number is positive and of %d octets", SERIAL_LEN);
	if (spec->not_before < 0 || spec->not_before > spec->not_after)
		return err_set(
		    err, E_INPUT, "the certificate would begin after its end or before 1970");
	if (spec->not_after > issuer->not_after)
		return err_set(err, E_INPUT, "the certificate would outlive its issuer's");
	if (spec->key_usage == 0 || (spec->key_usage & ~(unsigned)KU_ALL) != 0)
		return err_set(err, E_INPUT, "a certificate needs a key usage, and a known one");
	if (spec->ext_key_usage == 0 || (spec->ext_key_usage & ~(unsigned)EKU_ALL) != 0)
		return err_set(
		    err, E_INPUT, "a certificate needs an extended key usage, and a known one");
	if ((spec->ext_key_usage & EKU_OCSP_SIGNING) != 0 && spec->ext_key_usage != EKU_OCSP_SIGNING)
		return err_set(err, E_INPUT, "a certificate that signs OCSP answers does nothing else");
	if (spec->n_sans > CERT_SANS_MAX)
		return err_set(err, E_INPUT, "at most %d names in a certificate", CERT_SANS_MAX);
	for (i = 0; i < spec->n_sans; i++)
		if ((rc = san_check(spec->sans[i], err)) != 0)
			return rc;
	if ((rc = name_check(&subject, err)) != 0)
		return rc;
	return spki_kind(spec->spki, spec->spki_len, &kind, err);
}

static void
put_key_usage(struct buf *out, unsigned flags)
{
	uint8_t bits = 0;
	size_t i;

	for (i = 0; i < sizeof key_usages / sizeof key_usages[0]; i++)
		if ((flags & key_usages[i].flag) != 0)
			bits |= key_usages[i].bit;
	ext_put_key_usage(out, bits);
}

static void
put_ext_key_usage(struct buf *out, unsigned flags)
{
	struct ext_mark mark = ext_begin(out, EXT_KEY_USAGE_EXTENDED, false);
	size_t i;

	for (i = 0; i < sizeof ext_key_usages / sizeof ext_key_usages[0]; i++) {
		const uint8_t oid[] = {ID_PKIX, 3, ext_key_usages[i].arc};

		if ((flags & ext_key_usages[i].flag) != 0)
			der_put(out, DER_OID, oid, sizeof oid);
	}
	der_wrap(out, mark.value, DER_SEQUENCE);
	ext_end(out, mark);
}

/* RFC 5280, section 4.2.1.6: critical where the subject is empty. */
static int
put_names(struct buf *out, const struct cert_spec *spec, struct err *err)
{
	const char *const attributes[] = {spec->country, spec->org, spec->common_name};
	struct ext_mark mark;
	bool nameless = true;
	size_t start = out->len, i;

	for (i = 0; i < 3; i++)
		nameless = nameless && (attributes[i] == NULL || attributes[i][0] == '\0');
	mark = ext_begin(out, EXT_SUBJECT_ALT_NAME, nameless);
	if (san_put(out, spec->common_name, spec->sans, spec->n_sans)) {
		ext_end(out, mark);
		return 0;
	}
	out->len = start;
	return nameless ? err_set(err, E_INPUT, "a certificate needs a name") : 0;
}

static void
put_access(struct buf *out, uint8_t method, const char *url)
{
	const uint8_t oid[] = {ID_PKIX, 48, method};
	size_t mark = out->len;

	if (url[0] == '\0')
		return;
	der_put(out, DER_OID, oid, sizeof oid);
	der_put(out, DER_CONTEXT_PRIMITIVE(GENERAL_NAME_URI), url, strlen(url));
	der_wrap(out, mark, DER_SEQUENCE);
}

static void
put_urls(struct buf *out, const struct cert_issuer *issuer)
{
	struct ext_mark mark;

	if (issuer->crl_url[0] != '\0')
		ext_put_crl_url(out, EXT_CRL_DISTRIBUTION_POINTS, issuer->crl_url);
	if (issuer->ca_url[0] == '\0' && issuer->ocsp_url[0] == '\0')
		return;
	mark = ext_begin(out, EXT_AUTHORITY_INFO_ACCESS, false);
	put_access(out, ID_AD_CA_ISSUERS, issuer->ca_url);
	put_access(out, ID_AD_OCSP, issuer->ocsp_url);
	der_wrap(out, mark.value, DER_SEQUENCE);
	ext_end(out, mark);
}

/* RFC 6960, section 4.2.2.2.1: trusted as long as it is valid, which is short. */
static void
put_no_check(struct buf *out)
{
	struct ext_mark mark = ext_begin(out, EXT_OCSP_NO_CHECK, false);

	der_put(out, DER_NULL, NULL, 0);
	ext_end(out, mark);
}

int
cert_tbs_build(const struct cert_spec *spec, const struct cert_issuer *issuer, struct buf *tbs_out,
    struct err *err)
{
	const struct tbs tbs = {
	    .serial = spec->serial,
	    .signer = issuer->kind,
	    .issuer = {issuer->name, issuer->name_len},
	    .not_before = spec->not_before,
	    .not_after = spec->not_after,
	    .subject = {spec->country, spec->org, spec->common_name},
	    .spki = spec->spki,
	    .spki_len = spec->spki_len,
	};
	uint8_t key_id[KEY_ID_LEN];
	size_t start = tbs_out->len;
	struct tbs_mark mark;
	struct ext_mark basic;
	int rc;

	if ((rc = check_spec(spec, issuer, err)) != 0)
		return rc;
	spki_key_id(key_id, spec->spki, spec->spki_len);
	mark = tbs_begin(tbs_out, &tbs);
	basic = ext_begin(tbs_out, EXT_BASIC_CONSTRAINTS, true);
	der_put(tbs_out, DER_SEQUENCE, NULL, 0);
	ext_end(tbs_out, basic);
	put_key_usage(tbs_out, spec->key_usage);
	put_ext_key_usage(tbs_out, spec->ext_key_usage);
	if ((rc = put_names(tbs_out, spec, err)) != 0)
		goto out;
	ext_put_subject_key_id(tbs_out, key_id);
	ext_put_authority_key_id(tbs_out, issuer->key_id);
	if (spec->ext_key_usage == EKU_OCSP_SIGNING)
		put_no_check(tbs_out);
	else
		put_urls(tbs_out, issuer);
	tbs_end(tbs_out, mark);
	if (buf_failed(tbs_out))
		rc = err_nomem(err);
out:
	if (rc != 0)
		tbs_out->len = start;
	return rc;
}

int
cert_sign(const uint8_t *tbs, size_t len, struct key *ca_key, struct buf *der_out, struct err *err)
{
	size_t start = der_out->len;
	struct buf sig = {0};
	int rc;

	if ((rc = key_sign(ca_key, tbs, len, &sig, err)) != 0)
		goto out;
	buf_append(der_out, tbs, len);
	key_sigalg(key_kind_of(ca_key), der_out);
	der_put_bits(der_out, sig.data, sig.len);
	der_wrap(der_out, start, DER_SEQUENCE);
	if (buf_failed(der_out)) {
		der_out->len = start;
		rc = err_nomem(err);
	}
out:
	buf_clear(&sig);
	return rc;
}

/* PARTS_OUT borrows DER. */
static int
compare(const uint8_t *der, size_t len, const struct cert_spec *spec, const struct cert_issuer *issuer,
    struct tbs_parts *parts_out, struct err *err)
{
	struct buf want = {0}, sigalg = {0};
	int rc;

	if ((rc = cert_tbs_build(spec, issuer, &want, err)) != 0)
		goto out;
	key_sigalg(issuer->kind, &sigalg);
	if (buf_failed(&sigalg))
		rc = err_nomem(err);
	else if (tbs_read(der, len, parts_out, NULL) != 0)
		rc = err_set(err, E_SYS, "what came back is not a certificate");
	else if (!der_equal(&parts_out->sigalg, sigalg.data, sigalg.len))
		rc = err_set(err, E_SYS, "the certificate is signed by another algorithm");
	else if (!der_equal(&parts_out->tbs, want.data, want.len))
		rc = err_set(err, E_SYS, "the certificate is not the one that was asked for");
out:
	buf_clear(&sigalg);
	buf_clear(&want);
	return rc;
}

int
cert_says(const uint8_t *der, size_t len, const struct cert_spec *spec, const struct cert_issuer *issuer,
    struct err *err)
{
	struct tbs_parts parts;

	return compare(der, len, spec, issuer, &parts, err);
}

int
cert_matches(const uint8_t *der, size_t len, const struct cert_spec *spec,
    const struct cert_issuer *issuer, struct err *err)
{
	struct tbs_parts parts;
	int rc;

	if ((rc = compare(der, len, spec, issuer, &parts, err)) != 0)
		return rc;
	if (spki_verify(issuer->spki, issuer->spki_len, issuer->kind, parts.tbs.at, parts.tbs.len, parts.signature.at,
		parts.signature.len, NULL) != 0)
		return err_set(err, E_SYS, "the certificate's signature is not its issuer's");
	return 0;
}

int
cert_info_read(const uint8_t *der, size_t len, struct cert_info *out, struct err *err)
{
	struct cert_info info = {0};
	struct tbs_parts parts;
	struct der d, name;
	int rc;

	if ((rc = tbs_read(der, len, &parts, err)) != 0 ||
	    (rc = spki_kind(parts.spki.at, parts.spki.len, &info.kind, err)) != 0)
		return rc;
	if (parts.subject.len > sizeof info.subject || parts.issuer.len > sizeof info.issuer)
		return err_set(err, E_INPUT, "the certificate's names are too long");
	d = parts.subject;
	if (!der_get(&d, DER_SEQUENCE, &name) ||
	    !name_common_name(&name, info.common_name, sizeof info.common_name))
		return err_set(err, E_INPUT, "the certificate's subject is malformed");
	memcpy(info.serial + SERIAL_LEN - parts.serial.len, parts.serial.at, parts.serial.len);
	info.serial_len = parts.serial.len;
	info.not_before = parts.not_before;
	info.not_after = parts.not_after;
	memcpy(info.spki, parts.spki.at, parts.spki.len);
	info.spki_len = parts.spki.len;
	memcpy(info.subject, parts.subject.at, parts.subject.len);
	info.subject_len = parts.subject.len;
	memcpy(info.issuer, parts.issuer.at, parts.issuer.len);
	info.issuer_len = parts.issuer.len;
	if (!read_is_ca(&parts.extensions, &info.is_ca))
		return err_set(err, E_INPUT, "the certificate's basicConstraints are malformed");
	*out = info;
	return 0;
}

int
cert_sans_read(const uint8_t *der, size_t len, char (*sans_out)[CERT_SAN_SIZE], size_t max, size_t *n_out,
    struct err *err)
{
	char san[CERT_SAN_SIZE];
	struct tbs_parts parts;
	struct der d, names;
	struct ext ext;
	size_t n = 0;
	int rc;

	if ((rc = tbs_read(der, len, &parts, err)) != 0)
		return rc;
	if (ext_find(&parts.extensions, EXT_SUBJECT_ALT_NAME, &ext)) {
		d = ext.value;
		if (!der_get(&d, DER_SEQUENCE, &names) || d.len != 0)
			return err_set(err, E_INPUT, "the certificate's names are malformed");
		while (san_next(&names, san)) {
			if (san[0] == '\0')
				continue;
			if (n == max)
				return err_set(err, E_LIMIT, "the certificate has more than %zu names", max);
			memcpy(sans_out[n++], san, sizeof san);
		}
		if (names.len != 0)
			return err_set(err, E_INPUT, "the certificate's names are malformed");
	}
	*n_out = n;
	return 0;
}

int
cert_is_renewal(const uint8_t *der, size_t len, const uint8_t *subject, size_t subject_len, const uint8_t *sans,
    size_t sans_len, struct err *err)
{
	struct tbs_parts parts;
	struct ext ext;
	int rc;

	if ((rc = tbs_read(der, len, &parts, err)) != 0)
		return rc;
	if (!name_equal(parts.subject.at, parts.subject.len, subject, subject_len))
		return err_set(err, E_INPUT, "its subject is not that of the present certificate");
	if (sans_len > 0 && (!ext_find(&parts.extensions, EXT_SUBJECT_ALT_NAME, &ext) ||
				!der_equal(&ext.value, sans, sans_len)))
		return err_set(err, E_INPUT, "its subjectAltName is not that of the present certificate");
	return 0;
}
