/* The key is in memory only: each start of the signer makes another, and answers that an earlier one signed carry its
 * certificate and end before it does. */
#include "signer/responder.h"

#include <string.h>

#include "base/text.h"

#define COMMON_NAME "Muster OCSP"
#define BACKDATE_S 60 /* a client's clock may be a little behind */

void
responder_clear(struct responder *r)
{
	key_free(r->key);
	buf_clear(&r->der);
	*r = (struct responder){0};
}

/* Never an answer by one who is not valid; a clock that was set back counts, too. */
static bool
is_valid(const struct responder *r, int64_t now)
{
	return r->key != NULL && now >= r->not_before && now < r->not_after;
}

static int
certificate_make(struct responder *r, const struct cert_issuer *issuer, struct key *ca_key, struct signer_log *log,
    int64_t now, struct err *err)
{
	struct cert_spec spec = {.not_before = now - BACKDATE_S, .not_after = now + RESPONDER_VALIDITY_S,
	    .common_name = COMMON_NAME, .key_usage = KU_DIGITAL_SIGNATURE, .ext_key_usage = EKU_OCSP_SIGNING};
	struct signer_log_row row = {.kind = SIGNER_LOG_RESPONDER, .at = now};
	struct buf tbs = {0};
	int rc;

	if (now >= issuer->not_after)
		return err_set(err, E_CONFLICT,
		    "the issuing CA's certificate has expired, or this machine's clock is wrong");
	if (spec.not_after > issuer->not_after)
		spec.not_after = issuer->not_after;
	spec.spki = key_spki(r->key, &spec.spki_len);
	if ((rc = ocsp_key_hash(r->key_hash, spec.spki, spec.spki_len, err)) != 0 ||
	    (rc = cert_serial_make(spec.serial, err)) != 0 || (rc = cert_tbs_build(&spec, issuer, &tbs, err)) != 0 ||
	    (rc = cert_sign(tbs.data, tbs.len, ca_key, &r->der, err)) != 0)
		goto out;
	memcpy(row.serial, spec.serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, issuer->key_id_hex);
	row.der = r->der.data;
	row.der_len = r->der.len;
	r->not_before = spec.not_before;
	r->not_after = spec.not_after;
	rc = signer_log_add(log, &row, err);
out:
	buf_clear(&tbs);
	return rc;
}

int
responder_ready(struct responder *r, const struct cert_issuer *issuer, struct key *ca_key, struct signer_log *log,
    int64_t now, struct err *err)
{
	struct responder made = {0};
	int rc;

	if (is_valid(r, now) && (now < r->not_after - RESPONDER_RENEW_S || r->not_after == issuer->not_after))
		return 0;
	if ((rc = ocsp_issuer_init(&made.ids, issuer, err)) == 0 &&
	    (rc = key_generate(KEY_EC_P256, &made.key, err)) == 0 &&
	    (rc = certificate_make(&made, issuer, ca_key, log, now, err)) == 0) {
		responder_clear(r);
		*r = made;
		return 0;
	}
	responder_clear(&made);
	return is_valid(r, now) ? 0 : rc;
}

int
responder_sign(struct responder *r, const struct signer_log *log, const struct ocsp_spec *wanted, int64_t now,
    int64_t valid_s, struct buf *out, int64_t *next_update_out, struct err *err)
{
	struct ocsp_spec spec = *wanted;
	size_t i;
	int rc;

	for (i = 0; i < spec.n; i++)
		if (spec.singles[i].status == OCSP_GOOD &&
		    signer_log_state(log, spec.singles[i].serial) != SERIAL_ISSUED)
			return err_set(err, E_CONFLICT, "the signer's log does not know this certificate as valid");
	if (valid_s <= 0)
		return err_set(err, E_INPUT, "an OCSP answer is valid for a while");
	spec.issuer = &r->ids;
	spec.responder_key_hash = r->key_hash;
	spec.this_update = now;
	spec.next_update = valid_s < r->not_after - now ? now + valid_s : r->not_after;
	if ((rc = ocsp_sign(&spec, r->key, &r->der, out, err)) == 0)
		*next_update_out = spec.next_update;
	return rc;
}
