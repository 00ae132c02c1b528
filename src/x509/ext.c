/* Extension ::= SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
#include "x509/ext.h"

#include <string.h>

#include "x509/key.h"

#define GENERAL_NAME_URI 6 /* of GeneralName's choices */

static const uint8_t id_ce[] = {0x55, 0x1d};

/* Those that are not in it; all 1.3.6.1.5.5.7. */
static const struct {
	enum ext_id id;
	uint8_t len;
	uint8_t oid[9];
} others[] = {
    {EXT_AUTHORITY_INFO_ACCESS, 8, {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01}},
    {EXT_OCSP_NONCE, 9, {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02}},
    {EXT_OCSP_NO_CHECK, 9, {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05}},
};
#define N_OTHERS (sizeof others / sizeof others[0])

struct ext_mark
ext_begin(struct buf *out, enum ext_id id, bool critical)
{
	const uint8_t oid[] = {id_ce[0], id_ce[1], (uint8_t)id};
	struct ext_mark mark = {.whole = out->len};
	size_t i;

	for (i = 0; i < N_OTHERS && others[i].id != id; i++)
		continue;
	if (i < N_OTHERS)
		der_put(out, DER_OID, others[i].oid, others[i].len);
	else
		der_put(out, DER_OID, oid, sizeof oid);
	if (critical)
		der_put(out, DER_BOOLEAN, "\xff", 1);
	mark.value = out->len;
	return mark;
}

void
ext_end(struct buf *out, struct ext_mark mark)
{
	der_wrap(out, mark.value, DER_OCTET_STRING);
	der_wrap(out, mark.whole, DER_SEQUENCE);
}

void
ext_put_subject_key_id(struct buf *out, const uint8_t *id)
{
	struct ext_mark mark = ext_begin(out, EXT_SUBJECT_KEY_ID, false);

	der_put(out, DER_OCTET_STRING, id, KEY_ID_LEN);
	ext_end(out, mark);
}

void
ext_put_authority_key_id(struct buf *out, const uint8_t *id)
{
	struct ext_mark mark = ext_begin(out, EXT_AUTHORITY_KEY_ID, false);

	der_put(out, DER_CONTEXT_PRIMITIVE(0), id, KEY_ID_LEN);
	der_wrap(out, mark.value, DER_SEQUENCE);
	ext_end(out, mark);
}

void
ext_put_key_usage(struct buf *out, uint8_t bits)
{
	struct ext_mark mark = ext_begin(out, EXT_KEY_USAGE, true);
	/* X.690, section 11.2.2: a named bit list ends at its last one bit. */
	const uint8_t value[] = {(uint8_t)__builtin_ctz(bits), bits};

	der_put(out, DER_BIT_STRING, value, sizeof value);
	ext_end(out, mark);
}

/* One distributionPoint: DistributionPointName [0] { fullName [0] { URI } }. */
void
ext_put_crl_url(struct buf *out, enum ext_id id, const char *url)
{
	struct ext_mark mark = ext_begin(out, id, false);

	der_put(out, DER_CONTEXT_PRIMITIVE(GENERAL_NAME_URI), url, strlen(url));
	der_wrap(out, mark.value, DER_CONTEXT(0));
	der_wrap(out, mark.value, DER_CONTEXT(0));
	der_wrap(out, mark.value, DER_SEQUENCE);
	der_wrap(out, mark.value, DER_SEQUENCE);
	ext_end(out, mark);
}

static enum ext_id
id_of(const struct der *oid)
{
	static const enum ext_id known[] = {EXT_SUBJECT_KEY_ID, EXT_KEY_USAGE, EXT_SUBJECT_ALT_NAME,
	    EXT_BASIC_CONSTRAINTS, EXT_CRL_NUMBER, EXT_REASON_CODE, EXT_DELTA_CRL_INDICATOR,
	    EXT_CRL_DISTRIBUTION_POINTS, EXT_AUTHORITY_KEY_ID, EXT_KEY_USAGE_EXTENDED, EXT_FRESHEST_CRL};
	size_t i;

	for (i = 0; i < N_OTHERS; i++)
		if (der_equal(oid, others[i].oid, others[i].len))
			return others[i].id;
	if (oid->len != 3 || memcmp(oid->at, id_ce, sizeof id_ce) != 0)
		return EXT_NONE;
	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if ((enum ext_id)oid->at[2] == known[i])
			return known[i];
	return EXT_NONE;
}

bool
ext_next(struct der *exts, struct ext *out)
{
	struct der rest = *exts, seq, flag = {NULL, 0};
	struct ext ext = {EXT_NONE, {NULL, 0}, false, {NULL, 0}};

	if (!der_get(&rest, DER_SEQUENCE, &seq) || !der_get(&seq, DER_OID, &ext.oid) ||
	    ext.oid.len == 0)
		return false;
	/* DER leaves a default out, so a FALSE that is written is malformed. */
	if (der_peek(&seq) == DER_BOOLEAN) {
		if (!der_get(&seq, DER_BOOLEAN, &flag) || !der_equal(&flag, "\xff", 1))
			return false;
		ext.critical = true;
	}
	if (!der_get(&seq, DER_OCTET_STRING, &ext.value) || seq.len != 0)
		return false;
	ext.id = id_of(&ext.oid);
	*exts = rest;
	*out = ext;
	return true;
}

bool
ext_list_is_sound(const struct der *exts)
{
	struct ext seen[EXTS_MAX];
	struct der rest = *exts;
	size_t n, i;

	for (n = 0; rest.len > 0; n++) {
		if (n == EXTS_MAX || !ext_next(&rest, &seen[n]))
			return false;
		for (i = 0; i < n; i++)
			if (der_equal(&seen[i].oid, seen[n].oid.at, seen[n].oid.len))
				return false;
	}
	return n > 0;
}

bool
ext_find(const struct der *exts, enum ext_id id, struct ext *out)
{
	struct der rest = *exts;
	struct ext ext;

	while (ext_next(&rest, &ext))
		if (ext.id == id) {
			*out = ext;
			return true;
		}
	return false;
}
