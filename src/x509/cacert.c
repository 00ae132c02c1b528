/* The two CA certificates. The only code that writes CA:TRUE, and in a file of its own so that the
 * signer, which issues all day, need not call it. */
#include "x509/cacert.h"

#include <string.h>

#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/tbs.h"

/* KeyUsage's bits as they stand in the first octet. */
#define KEY_CERT_SIGN 0x04
#define CRL_SIGN 0x02

enum level { LEVEL_ROOT, LEVEL_ISSUING };

static int
check_spec(const struct cacert_spec *spec, const struct name *subject, struct err *err)
{
	if (spec->serial[0] == 0 || (spec->serial[0] & 0x80) != 0)
		return err_set(
		    err, E_INPUT, "a serial number is positive and of %d octets", SERIAL_LEN);
	if (spec->not_before < 0 || spec->not_before > spec->not_after ||
	    spec->not_after > DER_TIME_MAX)
		return err_set(err, E_INPUT,
		    "the CA's certificate would begin after its end, before 1970, or end after "
		    "9999");
	/* Its subject becomes an issuer, which is never empty (RFC 5280, section 4.1.2.4). */
	if (subject->common_name == NULL || subject->common_name[0] == '\0')
		return err_set(err, E_INPUT, "a CA needs a common name");
	return name_check(subject, err);
}

/* Below the issuing CA there is no other (RFC 5280, section 4.2.1.9). */
static void
put_basic_constraints(struct buf *out, enum level level)
{
	struct ext_mark mark = ext_begin(out, EXT_BASIC_CONSTRAINTS, true);

	der_put(out, DER_BOOLEAN, "\xff", 1);
	if (level == LEVEL_ISSUING)
		der_put_int(out, 0);
	der_wrap(out, mark.value, DER_SEQUENCE);
	ext_end(out, mark);
}

/* Build and sign. ISSUER_KEY_ID is NULL for the root, whose own it would be. */
static int
make(const struct tbs *tbs, enum level level, const uint8_t *issuer_key_id, struct key *signer,
    struct buf *der_out, struct err *err)
{
	uint8_t key_id[KEY_ID_LEN];
	struct buf out = {0};
	struct tbs_mark mark;
	int rc;

	spki_key_id(key_id, tbs->spki, tbs->spki_len);
	mark = tbs_begin(&out, tbs);
	put_basic_constraints(&out, level);
	ext_put_key_usage(&out, KEY_CERT_SIGN | CRL_SIGN);
	ext_put_subject_key_id(&out, key_id);
	if (issuer_key_id != NULL)
		ext_put_authority_key_id(&out, issuer_key_id);
	tbs_end(&out, mark);
	if (buf_failed(&out))
		rc = err_nomem(err);
	else
		rc = cert_sign(out.data, out.len, signer, der_out, err);
	buf_clear(&out);
	return rc;
}

int
cacert_make_root(
    const struct cacert_spec *spec, struct key *key, struct buf *der_out, struct err *err)
{
	struct tbs tbs = {
	    .serial = spec->serial,
	    .signer = key_kind_of(key),
	    .not_before = spec->not_before,
	    .not_after = spec->not_after,
	    .subject = {spec->country, spec->org, spec->common_name},
	};
	struct buf name = {0};
	int rc;

	if ((rc = check_spec(spec, &tbs.subject, err)) != 0)
		return rc;
	name_put(&name, &tbs.subject);
	tbs.issuer = (struct der){name.data, name.len};
	tbs.spki = key_spki(key, &tbs.spki_len);
	if (buf_failed(&name))
		rc = err_nomem(err);
	else
		rc = make(&tbs, LEVEL_ROOT, NULL, key, der_out, err);
	buf_clear(&name);
	return rc;
}

static bool
is_key_of(const struct cert_issuer *root, const uint8_t *spki, size_t len)
{
	return len == root->spki_len && memcmp(spki, root->spki, len) == 0;
}

/* The root's certificate as an issuer. An issuing CA's will not do: its pathlen is 0. */
static int
read_root(const uint8_t *der, size_t len, struct cert_issuer *root_out, struct err *err)
{
	struct cert_info info;
	int rc;

	if ((rc = cert_issuer_init(root_out, der, len, NULL, err)) != 0 ||
	    (rc = cert_info_read(der, len, &info, err)) != 0) {
		(void)err_prefix(err, "the root's certificate");
		return rc;
	}
	if (info.issuer_len != info.subject_len ||
	    memcmp(info.issuer, info.subject, info.subject_len) != 0)
		return err_set(err, E_INPUT, "the root's certificate is not a root's");
	return 0;
}

static int
check_below(const struct cert_issuer *root, const struct cacert_spec *spec, const uint8_t *spki,
    size_t spki_len, const struct key *root_key, struct err *err)
{
	const uint8_t *root_spki;
	size_t root_spki_len;
	enum key_kind kind;

	root_spki = key_spki(root_key, &root_spki_len);
	if (!is_key_of(root, root_spki, root_spki_len))
		return err_set(err, E_INPUT, "the root's key is not its certificate's");
	if (is_key_of(root, spki, spki_len))
		return err_set(
		    err, E_INPUT, "the issuing CA's key is the root's: it needs its own");
	if (spec->not_before < root->not_before || spec->not_after > root->not_after)
		return err_set(err, E_INPUT, "the issuing CA's validity is not within the root's");
	return spki_check(spki, spki_len, &kind, err);
}

static int
make_below(enum level level, const struct cacert_spec *spec, const uint8_t *spki, size_t spki_len,
    const uint8_t *root_der, size_t root_len, struct key *root_key, struct buf *der_out,
    struct err *err)
{
	struct cert_issuer root;
	struct tbs tbs = {
	    .serial = spec->serial,
	    .signer = key_kind_of(root_key),
	    .not_before = spec->not_before,
	    .not_after = spec->not_after,
	    .subject = {spec->country, spec->org, spec->common_name},
	    .spki = spki,
	    .spki_len = spki_len,
	};
	int rc;

	if ((rc = check_spec(spec, &tbs.subject, err)) != 0 ||
	    (rc = read_root(root_der, root_len, &root, err)) != 0 ||
	    (rc = check_below(&root, spec, spki, spki_len, root_key, err)) != 0)
		return rc;
	tbs.issuer = (struct der){root.name, root.name_len};
	return make(&tbs, level, root.key_id, root_key, der_out, err);
}

int
cacert_make_issuing(const struct cacert_spec *spec, const uint8_t *spki, size_t spki_len,
    const uint8_t *root_der, size_t root_len, struct key *root_key, struct buf *der_out,
    struct err *err)
{
	return make_below(LEVEL_ISSUING, spec, spki, spki_len, root_der, root_len, root_key, der_out, err);
}

int
cacert_make_cross(const struct cacert_spec *spec, const uint8_t *spki, size_t spki_len,
    const uint8_t *root_der, size_t root_len, struct key *root_key, struct buf *der_out,
    struct err *err)
{
	return make_below(LEVEL_ROOT, spec, spki, spki_len, root_der, root_len, root_key, der_out, err);
}
