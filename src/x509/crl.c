/* Certificate revocation lists. A list may be of a million entries: each is encoded as it comes,
 * and reading is one walk, which allocates nothing. Read are complete lists of one issuer only: what makes a
 * list anything else (a delta, an indirect one) is a critical extension, and those are refused. */
#include "x509/crl.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "x509/alg.h"
#include "x509/der.h"
#include "x509/ext.h"
#include "x509/name.h"

#define VERSION_2 1
#define CRL_DER_MAX (256U << 20) /* 5 million entries */
#define HEAD_SIZE 6		 /* of any tag and length */

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

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* What does not belong in a list is left out, and the certificate is revoked all the same: with removeFromCRL in a complete
 * one readers would take it for good again. */
static bool
reason_is_listed(enum crl_reason reason, bool is_delta)
{
	return reason != REASON_UNSPECIFIED && (is_delta || reason != REASON_REMOVE_FROM_CRL) &&
	       reason_is_known(reason);
}

/* crlEntryExtensions with a reasonCode, and its value behind it. */
static const uint8_t reason_extension[] = {
    0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01};

#define REASON_SIZE (sizeof reason_extension + 1)
#define ENTRY_SIZE (2 + 2 + 1 + SERIAL_LEN + DER_TIME_SIZE + REASON_SIZE) /* so each length has one octet */

/* Where the number begins: leading zeros are not written. */
static const uint8_t *
serial_start(const uint8_t *serial, size_t *len_out, bool *pad_out)
{
	size_t len = SERIAL_LEN;

	for (; len > 1 && *serial == 0; len--)
		serial++;
	*len_out = len;
	*pad_out = (*serial & 0x80) != 0;
	return serial;
}

size_t
crl_entry_len(const struct crl_entry *entry, bool is_delta)
{
	size_t len;
	bool pad;

	(void)serial_start(entry->serial, &len, &pad);
	return 2 + 2 + pad + len + der_time_len(entry->revoked_at) +
	       (reason_is_listed(entry->reason, is_delta) ? REASON_SIZE : 0);
}

/* Not by der_put: there may be a million of them. */
void
crl_entry_put(struct buf *out, const struct crl_entry *entry, bool is_delta)
{
	uint8_t der[ENTRY_SIZE], *at = der + 2;
	const uint8_t *serial;
	size_t len, time;
	bool pad;

	serial = serial_start(entry->serial, &len, &pad);
	*at++ = DER_INTEGER;
	*at++ = (uint8_t)(len + pad);
	if (pad)
		*at++ = 0;
	memcpy(at, serial, len);
	at += len;
	if ((time = der_time_make(at, entry->revoked_at)) == 0)
		out->failed = true;
	at += time;
	if (reason_is_listed(entry->reason, is_delta)) {
		memcpy(at, reason_extension, sizeof reason_extension);
		at[sizeof reason_extension] = (uint8_t)entry->reason;
		at += REASON_SIZE;
	}
	der[0] = DER_SEQUENCE;
	der[1] = (uint8_t)(at - der - 2);
	buf_append(out, der, (size_t)(at - der));
}

static void
put_number(struct buf *out, enum ext_id id, bool critical, uint64_t number)
{
	struct ext_mark ext = ext_begin(out, id, critical);

	der_put_int(out, number);
	ext_end(out, ext);
}

static void
put_extensions(struct buf *out, const struct crl_spec *spec)
{
	size_t mark = out->len;

	ext_put_authority_key_id(out, spec->issuer->key_id);
	put_number(out, EXT_CRL_NUMBER, false, spec->number);
	if (spec->base > 0)
		put_number(out, EXT_DELTA_CRL_INDICATOR, true, spec->base);
	else if (spec->issuer->delta_url[0] != '\0')
		ext_put_crl_url(out, EXT_FRESHEST_CRL, spec->issuer->delta_url);
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_CONTEXT(0));
}

/* What stands around the entries in the part that is signed. */
struct frame {
	struct buf head, tail;
};

static void
frame_make(const struct crl_spec *spec, size_t entries_len, struct frame *out)
{
	struct buf head = {0};

	der_put_int(&head, VERSION_2);
	key_sigalg(spec->issuer->kind, &head);
	buf_append(&head, spec->issuer->name, spec->issuer->name_len);
	der_put_time(&head, spec->this_update);
	der_put_time(&head, spec->next_update);
	/* RFC 5280, section 5.1.2.6: absent, not empty. */
	if (entries_len > 0)
		der_put_head(&head, DER_SEQUENCE, entries_len);
	put_extensions(&out->tail, spec);
	der_put_head(&out->head, DER_SEQUENCE, head.len + entries_len + out->tail.len);
	buf_append(&out->head, head.data, head.len);
	out->head.failed = out->head.failed || buf_failed(&head) || buf_failed(&out->tail);
	buf_clear(&head);
}

static void
frame_clear(struct frame *frame)
{
	buf_clear(&frame->head);
	buf_clear(&frame->tail);
}

static int
check_spec(const struct crl_spec *spec, size_t entries_len, struct err *err)
{
	if (spec->this_update < 0 || spec->next_update <= spec->this_update || spec->next_update > DER_TIME_MAX)
		return err_set(err, E_INPUT,
		    "a revocation list's next update lies behind this one, between 1970 and 9999");
	if (spec->base > spec->number)
		return err_set(err, E_INPUT, "a delta is not older than the list that it is the difference to");
	if (entries_len > CRL_DER_MAX)
		return err_set(err, E_INPUT, "a revocation list of more than %u bytes", CRL_DER_MAX);
	return 0;
}

struct crl_signing {
	struct key_digest *digest;
	struct buf tail;
	size_t left; /* bytes of entries still to come */
};

int
crl_signing_new(const struct crl_spec *spec, size_t entries_len, struct crl_signing **signing_out, struct err *err)
{
	struct crl_signing *s = NULL;
	struct frame frame = {0};
	int rc;

	if ((rc = check_spec(spec, entries_len, err)) != 0)
		return rc;
	frame_make(spec, entries_len, &frame);
	if (buf_failed(&frame.head) || (s = calloc(1, sizeof *s)) == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	s->left = entries_len;
	s->tail = frame.tail;
	frame.tail = (struct buf){0};
	if ((rc = key_digest_new(spec->issuer->kind, &s->digest, err)) == 0)
		rc = key_digest_add(s->digest, frame.head.data, frame.head.len, err);
out:
	frame_clear(&frame);
	if (rc == 0)
		*signing_out = s;
	else
		crl_signing_free(s);
	return rc;
}

int
crl_signing_add(struct crl_signing *s, const struct buf *entries, struct err *err)
{
	if (buf_failed(entries))
		return err_nomem(err);
	if (entries->len > s->left)
		return err_set(err, E_INPUT, "more entries than were announced");
	s->left -= entries->len;
	return key_digest_add(s->digest, entries->data, entries->len, err);
}

int
crl_signing_end(struct crl_signing *s, struct key *ca_key, struct buf *sig_out, struct err *err)
{
	int rc;

	if (s->left > 0)
		return err_set(err, E_INPUT, "fewer entries than were announced");
	if ((rc = key_digest_add(s->digest, s->tail.data, s->tail.len, err)) != 0)
		return rc;
	return key_digest_sign(s->digest, ca_key, sig_out, err);
}

void
crl_signing_free(struct crl_signing *s)
{
	if (s == NULL)
		return;
	key_digest_free(s->digest);
	buf_clear(&s->tail);
	free(s);
}

static size_t
entries_size(const struct crl_entry *entries, size_t n, bool is_delta)
{
	size_t len = 0, i;

	for (i = 0; i < n; i++)
		len += crl_entry_len(&entries[i], is_delta);
	return len;
}

int
crl_join(const struct crl_spec *spec, const struct crl_entry *entries, size_t n, const uint8_t *sig, size_t sig_len,
    struct buf *der_out, struct err *err)
{
	size_t entries_len = entries_size(entries, n, spec->base > 0), start = der_out->len, tbs, tbs_len, i;
	struct buf end = {0};
	struct frame frame = {0};
	int rc;

	if ((rc = check_spec(spec, entries_len, err)) != 0)
		return rc;
	frame_make(spec, entries_len, &frame);
	key_sigalg(spec->issuer->kind, &end);
	der_put_bits(&end, sig, sig_len);
	tbs_len = frame.head.len + entries_len + frame.tail.len;
	buf_reserve(der_out, HEAD_SIZE + tbs_len + end.len);
	der_put_head(der_out, DER_SEQUENCE, tbs_len + end.len);
	tbs = der_out->len;
	buf_append(der_out, frame.head.data, frame.head.len);
	for (i = 0; i < n; i++)
		crl_entry_put(der_out, &entries[i], spec->base > 0);
	buf_append(der_out, frame.tail.data, frame.tail.len);
	buf_append(der_out, end.data, end.len);
	if (buf_failed(der_out) || buf_failed(&frame.head) || buf_failed(&end))
		rc = err_nomem(err);
	else if ((rc = spki_verify(spec->issuer->spki, spec->issuer->spki_len, spec->issuer->kind, der_out->data + tbs,
		      tbs_len, sig, sig_len, err)) == E_INPUT)
		rc = err_set(err, E_SYS, "the revocation list's signature is not its issuer's");
	if (rc != 0)
		buf_cut(der_out, start);
	frame_clear(&frame);
	buf_clear(&end);
	return rc;
}

int
crl_sign(const struct crl_spec *spec, const struct crl_entry *entries, size_t n, struct key *ca_key,
    struct buf *der_out, struct err *err)
{
	bool is_delta = spec->base > 0;
	struct crl_signing *signing = NULL;
	struct buf der = {0}, sig = {0};
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		crl_entry_put(&der, &entries[i], is_delta);
	if ((rc = crl_signing_new(spec, der.len, &signing, err)) == 0 &&
	    (rc = crl_signing_add(signing, &der, err)) == 0 &&
	    (rc = crl_signing_end(signing, ca_key, &sig, err)) == 0)
		rc = crl_join(spec, entries, n, sig.data, sig.len, der_out, err);
	crl_signing_free(signing);
	buf_clear(&der);
	buf_clear(&sig);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

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
