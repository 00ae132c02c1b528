/* The key is in memory only: each start of the signer makes another when it is first asked. Its certificate is valid as long
 * as the issuing CA's, for what was signed is to be verified for years; nobody else has the key. */
#include "signer/witness.h"

#include "base/text.h"

#include <string.h>

#define COMMON_NAME "Muster audit"
#define BACKDATE_S 60

void
witness_clear(struct witness *w)
{
	key_free(w->key);
	buf_clear(&w->der);
	buf_clear(&w->issuer_der);
	*w = (struct witness){0};
}

static int
certificate_make(struct witness *w, const struct witness_issuer *by, struct signer_log *log, int64_t now, struct err *err)
{
	struct cert_spec spec = {.not_before = now - BACKDATE_S, .not_after = by->issuer->not_after,
	    .common_name = COMMON_NAME, .key_usage = KU_DIGITAL_SIGNATURE, .ext_key_usage = EKU_EMAIL_PROTECTION};
	struct signer_log_row row = {.kind = SIGNER_LOG_RESPONDER, .at = now};
	struct buf tbs = {0};
	int rc;

	if (now >= by->issuer->not_after)
		return err_set(err, E_CONFLICT,
		    "the issuing CA's certificate has expired, or this machine's clock is wrong");
	spec.spki = key_spki(w->key, &spec.spki_len);
	if ((rc = cert_serial_make(spec.serial, err)) != 0 ||
	    (rc = cert_tbs_build(&spec, by->issuer, &tbs, err)) != 0 ||
	    (rc = cert_sign(tbs.data, tbs.len, by->key, &w->der, err)) != 0)
		goto out;
	memcpy(row.serial, spec.serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, by->issuer->key_id_hex);
	row.der = w->der.data;
	row.der_len = w->der.len;
	w->not_before = spec.not_before;
	w->not_after = spec.not_after;
	rc = signer_log_add(log, &row, err);
out:
	buf_clear(&tbs);
	return rc;
}

/* Another issuing CA may have taken over. */
static bool
is_ready(const struct witness *w, const struct witness_issuer *by, int64_t now)
{
	return w->key != NULL && now >= w->not_before && now < w->not_after && w->issuer_der.len == by->der->len &&
	    memcmp(w->issuer_der.data, by->der->data, by->der->len) == 0;
}

static int
make_ready(struct witness *w, const struct witness_issuer *by, struct signer_log *log, int64_t now, struct err *err)
{
	struct witness made = {0};
	int rc;

	if (is_ready(w, by, now))
		return 0;
	buf_append(&made.issuer_der, by->der->data, by->der->len);
	if (buf_failed(&made.issuer_der))
		rc = err_nomem(err);
	else if ((rc = key_generate(KEY_EC_P256, &made.key, err)) == 0 &&
	    (rc = certificate_make(&made, by, log, now, err)) == 0) {
		witness_clear(w);
		*w = made;
		return 0;
	}
	witness_clear(&made);
	return rc;
}

/* What is to be signed; E_CONFLICT if that would contradict what was. */
static int
choose(const struct checkpoint *last, int64_t seq, const uint8_t *head, int64_t now, struct checkpoint *out, struct err *err)
{
	if (seq == 0 && last->number == 0)
		return err_set(err, E_NOTFOUND, "no checkpoint was ever signed");
	*out = *last;
	if (seq == 0)
		return 0;
	if (seq < last->seq)
		return err_set(err, E_CONFLICT,
		    "the audit trail ends at row %lld, but was signed when it had row %lld: its end was cut off, or the database is an old copy",
		    (long long)seq, (long long)last->seq);
	if (seq == last->seq && memcmp(head, last->head, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT, "audit row %lld was signed with another hash: the trail was rewritten",
		    (long long)seq);
	if (seq == last->seq)
		return 0;
	checkpoint_digest(out->previous, last);
	out->number = last->number + 1;
	out->seq = seq;
	memcpy(out->head, head, SHA256_LEN);
	out->at = now;
	return 0;
}

int
witness_sign(struct witness *w, const struct witness_issuer *by, struct signer_log *log, int64_t seq, const uint8_t *head,
    int64_t now, struct checkpoint *out, struct buf *cms_out, struct err *err)
{
	const struct checkpoint *last = signer_log_checkpoint(log);
	struct signer_log_row row = {.kind = SIGNER_LOG_CHECKPOINT};
	struct checkpoint next;
	int rc;

	if ((rc = choose(last, seq, head, now, &next, err)) != 0 || (rc = make_ready(w, by, log, now, err)) != 0)
		return rc;
	if (next.number != last->number) {
		row.at = next.at;
		row.checkpoint = next;
		/* Logged first: what was never signed harms nobody, and can be had again. */
		if ((rc = signer_log_add(log, &row, err)) != 0)
			return rc;
	}
	if ((rc = checkpoint_sign(&next, &(struct checkpoint_signer){w->key, &w->der, &w->issuer_der}, cms_out, err)) == 0)
		*out = next;
	return rc;
}
