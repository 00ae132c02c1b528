/* Certificate revocation lists. A list may be of a million entries: each is encoded as it comes,
 * and reading is one walk, which allocates nothing. Full lists of one issuer only: what makes a
 * list anything else (a delta, an indirect one) is a critical extension, and those are refused. */
#include "x509/crl.h"

#include <stddef.h>
#include <string.h>

#include "x509/alg.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"

#define VERSION_2 1
#define CRL_DER_MAX (256U << 20) /* 5 million entries */

static const struct {
	enum crl_reason reason;
	const char *name;
} reasons[] = {
    {REASON_UNSPECIFIED, "unspecified"},
    {REASON_KEY_COMPROMISE, "keyCompromise"},
    {REASON_CA_COMPROMISE, "cACompromise"},
    {REASON_AFFILIATION_CHANGED, "affiliationChanged"},
    {REASON_SUPERSEDED, "superseded"},
    {REASON_CESSATION_OF_OPERATION, "cessationOfOperation"},
    {REASON_CERTIFICATE_HOLD, "certificateHold"},
    {REASON_REMOVE_FROM_CRL, "removeFromCRL"},
    {REASON_PRIVILEGE_WITHDRAWN, "privilegeWithdrawn"},
    {REASON_AA_COMPROMISE, "aACompromise"},
};

bool
reason_is_known(unsigned reason)
{
	size_t i;

	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if ((unsigned)reasons[i].reason == reason)
			return true;
	return false;
}

const char *
reason_name(enum crl_reason reason)
{
	size_t i;

	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].reason == reason)
			return reasons[i].name;
	return reasons[0].name;
}

bool
reason_parse(const char *name, enum crl_reason *reason_out)
{
	size_t i;

	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (strcmp(reasons[i].name, name) == 0) {
			*reason_out = reasons[i].reason;
			return true;
		}
	return false;
}

/* What does not belong in a full list is left out, and the certificate is revoked all the same:
 * with removeFromCRL (a delta's only) readers would take it for good again. */
static bool
reason_is_listed(enum crl_reason reason)
{
	return reason != REASON_UNSPECIFIED && reason != REASON_REMOVE_FROM_CRL &&
	       reason_is_known(reason);
}

static void
put_reason(struct buf *out, enum crl_reason reason)
{
	const uint8_t value[] = {(uint8_t)reason};
	size_t mark = out->len;
	struct ext_mark ext = ext_begin(out, EXT_REASON_CODE, false);

	der_put(out, DER_ENUMERATED, value, sizeof value);
	ext_end(out, ext);
	der_wrap(out, mark, DER_SEQUENCE);
}

void
crl_add(struct crl *crl, const struct crl_entry *entry)
{
	size_t mark = crl->entries.len;

	der_put_unsigned(&crl->entries, entry->serial, SERIAL_LEN);
	der_put_time(&crl->entries, entry->revoked_at);
	if (reason_is_listed(entry->reason))
		put_reason(&crl->entries, entry->reason);
	der_wrap(&crl->entries, mark, DER_SEQUENCE);
	crl->n_entries++;
}

void
crl_clear(struct crl *crl)
{
	buf_clear(&crl->entries);
	crl->n_entries = 0;
}

static void
put_extensions(struct buf *out, const struct cert_issuer *issuer, uint64_t number)
{
	size_t mark = out->len;
	struct ext_mark ext;

	ext_put_authority_key_id(out, issuer->key_id);
	ext = ext_begin(out, EXT_CRL_NUMBER, false);
	der_put_int(out, number);
	ext_end(out, ext);
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_CONTEXT(0));
}

static int
check_times(int64_t this_update, int64_t next_update, struct err *err)
{
	if (this_update < 0 || next_update <= this_update || next_update > DER_TIME_MAX)
		return err_set(err, E_INPUT,
		    "a revocation list's next update lies behind this one, between 1970 and 9999");
	return 0;
}

/* Front to back, for the list may be long: only the two SEQUENCEs around it move it. */
static void
put_tbs(struct buf *out, const struct crl *crl, const struct cert_issuer *issuer, uint64_t number,
    int64_t this_update, int64_t next_update)
{
	size_t mark = out->len;

	der_put_int(out, VERSION_2);
	key_sigalg(issuer->kind, out);
	buf_append(out, issuer->name, issuer->name_len);
	der_put_time(out, this_update);
	der_put_time(out, next_update);
	/* RFC 5280, section 5.1.2.6: absent, not empty. */
	if (crl->n_entries > 0)
		der_put(out, DER_SEQUENCE, crl->entries.data, crl->entries.len);
	put_extensions(out, issuer, number);
	der_wrap(out, mark, DER_SEQUENCE);
}

int
crl_sign(const struct crl *crl, const struct cert_issuer *issuer, uint64_t number,
    int64_t this_update, int64_t next_update, struct key *ca_key, struct buf *der_out,
    struct err *err)
{
	size_t start = der_out->len;
	struct buf sig = {0};
	int rc;

	if ((rc = check_times(this_update, next_update, err)) != 0)
		return rc;
	if (key_kind_of(ca_key) != issuer->kind)
		return err_set(
		    err, E_INPUT, "the CA's key is of another kind than its certificate's");
	if (buf_failed(&crl->entries))
		return err_nomem(err);
	put_tbs(der_out, crl, issuer, number, this_update, next_update);
	if (buf_failed(der_out)) {
		rc = err_nomem(err);
		goto out;
	}
	if ((rc = key_sign(ca_key, der_out->data + start, der_out->len - start, &sig, err)) != 0)
		goto out;
	key_sigalg(issuer->kind, der_out);
	der_put_bits(der_out, sig.data, sig.len);
	der_wrap(der_out, start, DER_SEQUENCE);
	if (buf_failed(der_out))
		rc = err_nomem(err);
out:
	if (rc != 0)
		der_out->len = start;
	buf_clear(&sig);
	return rc;
}

/* The parts of a list that is well formed; all borrowed. */
struct parts {
	struct der tbs;	      /* whole element */
	struct der sigalg;    /* whole element; the same inside and outside */
	struct der signature; /* the BIT STRING's bytes */
	struct der issuer;    /* whole Name */
	int64_t this_update, next_update;
	struct der entries;    /* content; empty if there are none */
	struct der extensions; /* content of the list */
};

/* RFC 5280 wants nextUpdate (section 5.1.2.5) and extensions (5.2) in every list, and no
 * revokedCertificates without an entry (5.1.2.6). */
static bool
read_tbs(struct der d, struct parts *out)
{
	struct der version, sigalg, list;

	if (!der_get_unsigned(&d, &version) || !der_equal(&version, "\x01", 1) ||
	    !der_get_whole(&d, DER_SEQUENCE, &sigalg) ||
	    !der_equal(&sigalg, out->sigalg.at, out->sigalg.len) ||
	    !der_get_whole(&d, DER_SEQUENCE, &out->issuer) ||
	    !der_get_time(&d, &out->this_update) || !der_get_time(&d, &out->next_update))
		return false;
	if (der_peek(&d) == DER_SEQUENCE &&
	    (!der_get(&d, DER_SEQUENCE, &out->entries) || out->entries.len == 0))
		return false;
	return der_get(&d, DER_CONTEXT(0), &list) && d.len == 0 &&
	       der_get(&list, DER_SEQUENCE, &out->extensions) && list.len == 0 &&
	       ext_list_is_sound(&out->extensions);
}

static bool
is_sigalg(struct der whole)
{
	enum alg_hash hash;
	struct der alg;

	return der_get(&whole, DER_SEQUENCE, &alg) &&
	       (alg_read(&alg, true, &hash) || alg_read(&alg, false, &hash));
}

static bool
is_name(struct der whole)
{
	char common_name[CERT_NAME_MAX + 1];
	struct der name;

	return der_get(&whole, DER_SEQUENCE, &name) &&
	       name_common_name(&name, common_name, sizeof common_name);
}

static bool
read_parts(const uint8_t *der, size_t len, struct parts *out)
{
	struct der d = {der, len}, list, tbs;

	*out = (struct parts){0};
	if (!der_get(&d, DER_SEQUENCE, &list) || d.len != 0 ||
	    !der_get_whole(&list, DER_SEQUENCE, &out->tbs) ||
	    !der_get_whole(&list, DER_SEQUENCE, &out->sigalg) ||
	    !der_get_bits(&list, &out->signature) || list.len != 0)
		return false;
	d = out->tbs;
	return der_get(&d, DER_SEQUENCE, &tbs) && read_tbs(tbs, out) && is_sigalg(out->sigalg) &&
	       is_name(out->issuer);
}

static bool
reason_is_sound(const struct ext *ext)
{
	struct der d = ext->value, value;

	return der_get(&d, DER_ENUMERATED, &value) && d.len == 0 && value.len == 1 &&
	       reason_is_known(value.at[0]);
}

/* A critical extension (certificateIssuer) would change whose certificate the entry means. */
static bool
entry_extensions_are_sound(struct der exts)
{
	struct ext ext;

	if (!ext_list_is_sound(&exts))
		return false;
	while (ext_next(&exts, &ext))
		if (ext.critical || (ext.id == EXT_REASON_CODE && !reason_is_sound(&ext)))
			return false;
	return true;
}

static bool
count_entries(struct der list, uint64_t *n_out)
{
	struct der entry, serial, exts;
	int64_t revoked_at;
	uint64_t n;

	for (n = 0; list.len > 0; n++) {
		if (!der_get(&list, DER_SEQUENCE, &entry) || !der_get_unsigned(&entry, &serial) ||
		    serial.len == 0 || serial.len > SERIAL_LEN ||
		    !der_get_time(&entry, &revoked_at))
			return false;
		if (entry.len > 0 && (!der_get(&entry, DER_SEQUENCE, &exts) || entry.len != 0 ||
					 !entry_extensions_are_sound(exts)))
			return false;
	}
	*n_out = n;
	return true;
}

static int
read_number(const struct der *extensions, uint64_t *number_out, struct err *err)
{
	struct der rest = *extensions, number;
	struct ext ext;
	uint64_t value = 0;
	size_t i;

	/* RFC 5280, section 5.2: who does not know a critical extension must not use the list. */
	while (ext_next(&rest, &ext))
		if (ext.critical)
			return err_set(err, E_INPUT,
			    "the revocation list is not a full one: it has a critical extension");
	if (!ext_find(extensions, EXT_CRL_NUMBER, &ext))
		return err_set(err, E_INPUT, "the revocation list has no number");
	if (!der_get_unsigned(&ext.value, &number) || ext.value.len != 0 ||
	    number.len > sizeof value)
		return err_set(
		    err, E_INPUT, "the revocation list's number is malformed or beyond 64 bits");
	for (i = 0; i < number.len; i++)
		value = value << 8 | number.at[i];
	*number_out = value;
	return 0;
}

static int
check_issuer(const struct parts *parts, const struct cert_issuer *issuer, struct err *err)
{
	struct buf sigalg = {0};
	int rc;

	key_sigalg(issuer->kind, &sigalg);
	if (buf_failed(&sigalg))
		rc = err_nomem(err);
	else if (!der_equal(&parts->issuer, issuer->name, issuer->name_len))
		rc = err_set(err, E_INPUT, "the revocation list is another issuer's");
	else if (!der_equal(&parts->sigalg, sigalg.data, sigalg.len))
		rc = err_set(err, E_INPUT, "the revocation list is signed by another algorithm");
	else if ((rc = spki_verify(issuer->spki, issuer->spki_len, issuer->kind, parts->tbs.at,
		      parts->tbs.len, parts->signature.at, parts->signature.len, err)) == E_INPUT)
		rc = err_set(err, E_INPUT, "the revocation list's signature is not its issuer's");
	buf_clear(&sigalg);
	return rc;
}

int
crl_info_read(const uint8_t *der, size_t len, const struct cert_issuer *issuer,
    struct crl_info *out, struct err *err)
{
	struct crl_info info;
	struct parts parts;
	int rc;

	if (len > CRL_DER_MAX)
		return err_set(
		    err, E_INPUT, "the revocation list is larger than %u bytes", CRL_DER_MAX);
	if (!read_parts(der, len, &parts) || !count_entries(parts.entries, &info.n_entries))
		return err_set(err, E_INPUT, "the revocation list is malformed");
	if ((rc = read_number(&parts.extensions, &info.number, err)) != 0)
		return rc;
	if (issuer != NULL && (rc = check_issuer(&parts, issuer, err)) != 0)
		return rc;
	info.this_update = parts.this_update;
	info.next_update = parts.next_update;
	*out = info;
	return 0;
}

int
crl_find(const uint8_t *der, size_t len, const uint8_t *serial, bool *listed_out, struct err *err)
{
	uint8_t padded[SERIAL_LEN];
	struct der entry, number;
	struct parts parts;
	bool listed = false;
	uint64_t n;

	if (len > CRL_DER_MAX || !read_parts(der, len, &parts) || !count_entries(parts.entries, &n))
		return err_set(err, E_INPUT, "the revocation list is malformed");
	while (!listed && der_get(&parts.entries, DER_SEQUENCE, &entry) && der_get_unsigned(&entry, &number)) {
		memset(padded, 0, sizeof padded);
		memcpy(padded + SERIAL_LEN - number.len, number.at, number.len);
		listed = memcmp(padded, serial, SERIAL_LEN) == 0;
	}
	*listed_out = listed;
	return 0;
}
