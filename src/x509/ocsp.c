/* Requests come from anybody: what is not DER of the one form is refused before anything is looked up. Answers are a
 * function of what they are to say, and nothing in them comes from the request but hash, serial and nonce. */
#include "x509/ocsp.h"

#include <openssl/evp.h>
#include <string.h>

#include "x509/alg.h"
#include "x509/ext.h"

#define SHA1_LEN 20
#define BASIC_RESPONSE 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01 /* id-pkix-ocsp-basic */

static const struct {
	const char *name; /* OpenSSL's */
	size_t len;
	struct oid oid;
} hashes[OCSP_HASHES] = {
    [OCSP_SHA1] = {"SHA1", SHA1_LEN, {5, {0x2b, 0x0e, 0x03, 0x02, 0x1a}}},
    [OCSP_SHA256] = {"SHA2-256", SHA256_LEN, {9, {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}}},
};

void
ocsp_error_put(struct buf *out, enum ocsp_error error)
{
	const uint8_t status = (uint8_t)error;
	size_t mark = out->len;

	der_put(out, DER_ENUMERATED, &status, sizeof status);
	der_wrap(out, mark, DER_SEQUENCE);
}

/* ---- who is named -------------------------------------------------------------------------------------------- */

static int
digest(enum ocsp_hash hash, const struct der *data, uint8_t *out, struct err *err)
{
	size_t len = 0;

	if (EVP_Q_digest(NULL, hashes[hash].name, NULL, data->at, data->len, out, &len) != 1 || len != hashes[hash].len)
		return alg_error(err, E_SYS, "cannot digest");
	return 0;
}

/* The bits of a public key, without the algorithm (RFC 6960, section 4.1.1). */
static int
key_digest(enum ocsp_hash hash, const uint8_t *spki, size_t len, uint8_t *out, struct err *err)
{
	struct der d = {spki, len}, seq, alg, bits;

	if (!der_get(&d, DER_SEQUENCE, &seq) || !der_get(&seq, DER_SEQUENCE, &alg) || !der_get_bits(&seq, &bits))
		return err_set(err, E_INPUT, "the public key is malformed");
	return digest(hash, &bits, out, err);
}

int
ocsp_issuer_init(struct ocsp_issuer *out, const struct cert_issuer *issuer, struct err *err)
{
	const struct der name = {issuer->name, issuer->name_len};
	struct ocsp_issuer made = {0};
	enum ocsp_hash hash;
	int rc = 0;

	for (hash = 0; rc == 0 && hash < OCSP_HASHES; hash++)
		if ((rc = digest(hash, &name, made.name_hash[hash], err)) == 0)
			rc = key_digest(hash, issuer->spki, issuer->spki_len, made.key_hash[hash], err);
	if (rc == 0)
		*out = made;
	return rc;
}

int
ocsp_key_hash(uint8_t *out, const uint8_t *spki, size_t len, struct err *err)
{
	return key_digest(OCSP_SHA1, spki, len, out, err);
}

bool
ocsp_id_is_of(const struct ocsp_id *id, const struct ocsp_issuer *issuer)
{
	return id->hash < OCSP_HASHES && der_equal(&id->name_hash, issuer->name_hash[id->hash], hashes[id->hash].len) &&
	    der_equal(&id->key_hash, issuer->key_hash[id->hash], hashes[id->hash].len);
}

static void
put_id(struct buf *out, const struct ocsp_issuer *issuer, enum ocsp_hash hash, const uint8_t *serial)
{
	size_t mark = out->len;

	der_put(out, DER_OID, hashes[hash].oid.bytes, hashes[hash].oid.len);
	der_put(out, DER_NULL, NULL, 0);
	der_wrap(out, mark, DER_SEQUENCE);
	der_put(out, DER_OCTET_STRING, issuer->name_hash[hash], hashes[hash].len);
	der_put(out, DER_OCTET_STRING, issuer->key_hash[hash], hashes[hash].len);
	der_put_unsigned(out, serial, SERIAL_LEN);
	der_wrap(out, mark, DER_SEQUENCE);
}

/* ---- a request ----------------------------------------------------------------------------------------------- */

void
ocsp_request_put(struct buf *out, const struct ocsp_issuer *issuer, const uint8_t *serial)
{
	size_t mark = out->len;
	int i;

	put_id(out, issuer, OCSP_SHA1, serial);
	for (i = 0; i < 4; i++) /* Request, requestList, TBSRequest, OCSPRequest */
		der_wrap(out, mark, DER_SEQUENCE);
}

static bool
hash_read(struct der alg, enum ocsp_hash *out)
{
	struct der oid, null;
	enum ocsp_hash hash;

	if (!der_get(&alg, DER_OID, &oid))
		return false;
	for (hash = 0; hash < OCSP_HASHES && !oid_is(&oid, &hashes[hash].oid); hash++)
		continue;
	*out = hash;
	return hash == OCSP_HASHES || alg.len == 0 || (der_get(&alg, DER_NULL, &null) && null.len == 0 && alg.len == 0);
}

static bool
id_read(struct der d, struct ocsp_id *out)
{
	struct der alg, serial;

	*out = (struct ocsp_id){0};
	if (!der_get(&d, DER_SEQUENCE, &alg) || !hash_read(alg, &out->hash) ||
	    !der_get(&d, DER_OCTET_STRING, &out->name_hash) || !der_get(&d, DER_OCTET_STRING, &out->key_hash) ||
	    !der_get_unsigned(&d, &serial) || d.len != 0 || serial.len > SERIAL_LEN)
		return false;
	if (serial.len > 0)
		memcpy(out->serial + SERIAL_LEN - serial.len, serial.at, serial.len);
	return true;
}

/* An optional [TAG] with Extensions, none of them critical, for nobody here understands one (section 4.4). */
static bool
extensions_read(struct der *d, unsigned tag, struct der *exts_out)
{
	struct der outer, exts;
	struct ext ext;

	*exts_out = (struct der){NULL, 0};
	if (der_peek(d) != (int)DER_CONTEXT(tag))
		return true;
	if (!der_get(d, DER_CONTEXT(tag), &outer) || !der_get(&outer, DER_SEQUENCE, &exts) || outer.len != 0 ||
	    !ext_list_is_sound(&exts))
		return false;
	*exts_out = exts;
	while (ext_next(&exts, &ext))
		if (ext.critical && ext.id != EXT_OCSP_NONCE)
			return false;
	return true;
}

static bool
nonce_read(const struct der *exts, struct der *out)
{
	struct ext ext;

	*out = (struct der){NULL, 0};
	if (!ext_find(exts, EXT_OCSP_NONCE, &ext))
		return true;
	return der_get(&ext.value, DER_OCTET_STRING, out) && ext.value.len == 0 && out->len >= 1 &&
	    out->len <= OCSP_NONCE_MAX;
}

/* E_LIMIT for a list that is longer than it may be, whatever else is in it. */
static int
list_read(struct der list, size_t max, struct ocsp_request *out, struct err *err)
{
	struct der one, id, exts;

	if (max > OCSP_IDS_MAX)
		max = OCSP_IDS_MAX;
	for (out->n = 0; list.len > 0; out->n++) {
		if (out->n == max)
			return err_set(err, E_LIMIT, "more than %zu certificates in one OCSP request", max);
		if (!der_get(&list, DER_SEQUENCE, &one) || !der_get(&one, DER_SEQUENCE, &id) ||
		    !id_read(id, &out->ids[out->n]) || !extensions_read(&one, 0, &exts) || one.len != 0)
			return err_set(err, E_INPUT, "the OCSP request is malformed");
	}
	return out->n > 0 ? 0 : err_set(err, E_INPUT, "the OCSP request asks for nothing");
}

/* A version is only written where it is not the first (X.690, section 11.5), and there is no other. The requestor's name
 * and signature are nothing to us: we answer anybody. */
int
ocsp_request_read(const uint8_t *der, size_t len, size_t max, struct ocsp_request *out, struct err *err)
{
	struct der d = {der, len}, request, tbs, list, exts, ignored;

	if (len > OCSP_REQUEST_MAX)
		return err_set(err, E_LIMIT, "an OCSP request of more than %d bytes", OCSP_REQUEST_MAX);
	if (!der_is_sound(&d) || !der_get(&d, DER_SEQUENCE, &request) || d.len != 0 ||
	    !der_get(&request, DER_SEQUENCE, &tbs) ||
	    (request.len > 0 && (!der_get(&request, DER_CONTEXT(0), &ignored) || request.len != 0)) ||
	    (der_peek(&tbs) == DER_CONTEXT(1) && !der_get(&tbs, DER_CONTEXT(1), &ignored)) ||
	    !der_get(&tbs, DER_SEQUENCE, &list) || !extensions_read(&tbs, 2, &exts) || tbs.len != 0 ||
	    !nonce_read(&exts, &out->nonce))
		return err_set(err, E_INPUT, "the OCSP request is malformed");
	return list_read(list, max, out, err);
}

/* ---- an answer ----------------------------------------------------------------------------------------------- */

static void
put_revoked(struct buf *out, const struct ocsp_single *single)
{
	const uint8_t reason = (uint8_t)single->reason;
	size_t mark = out->len, reason_mark;

	der_put_generalized_time(out, single->revoked_at);
	if (single->reason != REASON_UNSPECIFIED) {
		reason_mark = out->len;
		der_put(out, DER_ENUMERATED, &reason, sizeof reason);
		der_wrap(out, reason_mark, DER_CONTEXT(0));
	}
	der_wrap(out, mark, DER_CONTEXT(OCSP_REVOKED));
}

static void
put_single(struct buf *out, const struct ocsp_spec *spec, const struct ocsp_single *single)
{
	size_t mark = out->len, next_mark;

	put_id(out, spec->issuer, single->hash, single->serial);
	if (single->status == OCSP_REVOKED)
		put_revoked(out, single);
	else
		der_put(out, DER_CONTEXT_PRIMITIVE(single->status), NULL, 0);
	der_put_generalized_time(out, spec->this_update);
	next_mark = out->len;
	der_put_generalized_time(out, spec->next_update);
	der_wrap(out, next_mark, DER_CONTEXT(0));
	der_wrap(out, mark, DER_SEQUENCE);
}

static void
put_nonce(struct buf *out, const struct ocsp_spec *spec)
{
	size_t mark = out->len;
	struct ext_mark ext = ext_begin(out, EXT_OCSP_NONCE, false);

	der_put(out, DER_OCTET_STRING, spec->nonce, spec->nonce_len);
	ext_end(out, ext);
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_CONTEXT(1));
}

/* ResponseData; the responder by its key, which is shorter than its name. */
static void
put_tbs(struct buf *out, const struct ocsp_spec *spec)
{
	size_t mark = out->len, list_mark, i;

	der_put(out, DER_OCTET_STRING, spec->responder_key_hash, OCSP_KEY_HASH_LEN);
	der_wrap(out, mark, DER_CONTEXT(2));
	der_put_generalized_time(out, spec->this_update);
	list_mark = out->len;
	for (i = 0; i < spec->n; i++)
		put_single(out, spec, &spec->singles[i]);
	der_wrap(out, list_mark, DER_SEQUENCE);
	if (spec->nonce_len > 0)
		put_nonce(out, spec);
	der_wrap(out, mark, DER_SEQUENCE);
}

static int
check_spec(const struct ocsp_spec *spec, struct err *err)
{
	size_t i;

	if (spec->n == 0 || spec->n > OCSP_IDS_MAX || spec->nonce_len > OCSP_NONCE_MAX)
		return err_set(err, E_INPUT, "an OCSP answer is about one to %d certificates", OCSP_IDS_MAX);
	if (spec->this_update < 0 || spec->next_update <= spec->this_update || spec->next_update > DER_TIME_MAX)
		return err_set(err, E_INPUT, "an OCSP answer's next update lies behind this one");
	for (i = 0; i < spec->n; i++)
		if (spec->singles[i].hash >= OCSP_HASHES || spec->singles[i].status > OCSP_UNKNOWN ||
		    (spec->singles[i].status == OCSP_REVOKED && !reason_is_known(spec->singles[i].reason)))
			return err_set(err, E_INPUT, "an OCSP answer of an unknown kind");
	return 0;
}

/* BasicOCSPResponse from the ResponseData that stands in OUT alone. */
static void
put_basic(struct buf *out, const struct buf *sig, enum key_kind kind, const struct buf *responder_der)
{
	size_t mark;

	key_sigalg(kind, out);
	der_put_bits(out, sig->data, sig->len);
	mark = out->len;
	buf_append(out, responder_der->data, responder_der->len);
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_CONTEXT(0));
	der_wrap(out, 0, DER_SEQUENCE);
}

static void
put_successful(struct buf *out, const struct buf *basic)
{
	static const uint8_t basic_response[] = {BASIC_RESPONSE}, successful[] = {0};
	size_t mark = out->len, bytes_mark;

	der_put(out, DER_ENUMERATED, successful, sizeof successful);
	bytes_mark = out->len;
	der_put(out, DER_OID, basic_response, sizeof basic_response);
	der_put(out, DER_OCTET_STRING, basic->data, basic->len);
	der_wrap(out, bytes_mark, DER_SEQUENCE);
	der_wrap(out, bytes_mark, DER_CONTEXT(0));
	der_wrap(out, mark, DER_SEQUENCE);
}

int
ocsp_sign(const struct ocsp_spec *spec, struct key *key, const struct buf *responder_der, struct buf *out,
    struct err *err)
{
	struct buf basic = {0}, sig = {0};
	size_t start = out->len;
	int rc;

	if ((rc = check_spec(spec, err)) != 0)
		return rc;
	put_tbs(&basic, spec);
	if (buf_failed(&basic)) {
		rc = err_nomem(err);
		goto out;
	}
	if ((rc = key_sign(key, basic.data, basic.len, &sig, err)) != 0)
		goto out;
	put_basic(&basic, &sig, key_kind_of(key), responder_der);
	put_successful(out, &basic);
	if (buf_failed(&basic) || buf_failed(out)) {
		out->len = start;
		rc = err_nomem(err);
	}
out:
	buf_clear(&basic);
	buf_clear(&sig);
	return rc;
}
