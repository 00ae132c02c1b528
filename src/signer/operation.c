/* The ceilings are the signer's own: the profiles of the configuration and the CA's certificate, whatever a request says. What
 * an operation appends to the log is synced, with the others of its round, before its answer leaves (main.c). */
#include "signer/operation.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "x509/cert.h"
#include "x509/der.h"
#include "x509/key.h"

#include <stdlib.h>
#include <string.h>

#define LOG_PART_BYTES (512 * 1024)
#define BACKDATE_S 60 /* a device's clock may be a little behind */

/* The authority with that SKI; NULL: none. */
static struct authority *
authority_find(struct signing *s, const uint8_t *key_id)
{
	size_t i;

	for (i = 0; i < s->n_authorities; i++)
		if (memcmp(s->authorities[i].issuer.key_id, key_id, KEY_ID_LEN) == 0)
			return &s->authorities[i];
	return NULL;
}

/* The end of a certificate that begins now. A wish beyond the profile is refused, the CA's own end caps the rest. */
static int
choose_end(const struct cert_issuer *issuer, const struct profile *profile, int64_t valid_s, int64_t now, int64_t *end_out,
    struct err *err)
{
	if (valid_s < 0 || valid_s > profile->validity_s)
		return err_field(err, E_INPUT, "valid", "longer than profile %s allows", profile->name);
	if (valid_s > 0 && now + valid_s > issuer->not_after)
		return err_field(err, E_INPUT, "valid", "the certificate would outlive the issuing CA's");
	if (now >= issuer->not_after)
		return err_set(err, E_CONFLICT,
		    "the issuing CA's certificate has expired, or this machine's clock is wrong");
	*end_out = now + (valid_s > 0 ? valid_s : profile->validity_s);
	if (*end_out > issuer->not_after)
		*end_out = issuer->not_after;
	return 0;
}

static int
check_key(struct signing *s, const struct profile *profile, const struct proto_issue *request,
    enum key_kind *kind_out, struct err *err)
{
	size_t i;
	int rc;

	if ((rc = spki_check(request->spki, request->spki_len, kind_out, err)) != 0)
		return rc;
	if (!profile_allows_key(profile, *kind_out))
		return err_field(err, E_INPUT, "key", "profile %s does not take %s keys", profile->name,
		    key_kind_name(*kind_out));
	for (i = 0; i < s->n_authorities; i++)
		if (request->spki_len == s->authorities[i].issuer.spki_len &&
		    memcmp(request->spki, s->authorities[i].issuer.spki, request->spki_len) == 0)
			return err_field(err, E_CONFLICT, "key", "this is the CA's own key");
	return 0;
}

static int
sign_leaf(struct authority *a, const struct cert_spec *spec, struct buf *der, struct err *err)
{
	struct buf tbs = {0};
	int rc;

	if ((rc = cert_tbs_build(spec, &a->issuer, &tbs, err)) == 0)
		rc = cert_sign(tbs.data, tbs.len, a->key, der, err);
	buf_clear(&tbs);
	return rc;
}

static int
op_issue(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	int64_t now = clock_now();
	struct signer_log_row row = {.kind = SIGNER_LOG_ISSUED, .at = now};
	const struct profile *profile;
	struct cert_spec spec = {0};
	struct proto_issue request;
	enum key_kind kind;
	int rc;

	(void)lists;
	if ((rc = proto_issue_read(frame, &request, err)) != 0)
		return rc;
	if ((profile = profile_find(&s->profiles, request.profile)) == NULL)
		return err_field(err, E_INPUT, "profile", "the signer has no profile of that name");
	if (!uuid_is_valid(request.id))
		return err_field(err, E_INPUT, "id", "must be a UUID");
	if ((rc = check_key(s, profile, &request, &kind, err)) != 0 ||
	    (rc = choose_end(&s->authorities[0].issuer, profile, request.valid_s, now, &spec.not_after, err)) != 0 ||
	    (rc = cert_serial_make(spec.serial, err)) != 0)
		return rc;
	spec.not_before = now - BACKDATE_S;
	spec.country = profile->country;
	spec.org = profile->org;
	spec.common_name = request.id;
	spec.spki = request.spki;
	spec.spki_len = request.spki_len;
	spec.sans = request.sans;
	spec.n_sans = request.n_sans;
	spec.key_usage = profile_key_usage(profile, kind);
	spec.ext_key_usage = profile_ext_key_usage(profile);
	if ((rc = sign_leaf(&s->authorities[0], &spec, answer, err)) != 0)
		return rc;
	memcpy(row.serial, spec.serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, request.id);
	row.der = answer->data;
	row.der_len = answer->len;
	return signer_log_add(s->log, &row, err);
}

static int
op_note(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_REVOKED};
	struct proto_note note;
	int rc;

	(void)lists;
	(void)answer;
	if ((rc = proto_note_read(frame, &note, err)) != 0)
		return rc;
	if (signer_log_state(s->log, note.serial) == SERIAL_UNKNOWN)
		return err_set(err, E_NOTFOUND, "this signer never issued a certificate of that serial number");
	memcpy(row.serial, note.serial, SERIAL_LEN);
	row.reason = note.reason;
	row.at = note.at;
	return signer_log_add(s->log, &row, err);
}

/* The list of this call, or a free place for it; NULL if all are taken. */
static struct list *
list_find(struct lists *lists, uint32_t id)
{
	struct list *found = NULL;
	size_t i;

	for (i = 0; i < LISTS_MAX; i++) {
		if (lists->all[i].used && lists->all[i].id == id)
			return &lists->all[i];
		if (!lists->all[i].used)
			found = &lists->all[i];
	}
	return found;
}

static void
list_clear(struct list *list)
{
	crl_signing_free(list->signing);
	*list = (struct list){0};
}

void
lists_clear(struct lists *lists)
{
	size_t i;

	for (i = 0; i < LISTS_MAX; i++)
		list_clear(&lists->all[i]);
}

/* The number of a list that begins now. */
static int
number_give(struct signing *s, struct authority *a, const struct signer_crl *crl, uint64_t *number_out, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .at = clock_now()};
	int rc;

	if (crl->is_paired) {
		if (a->pair.number == 0 || a->pair.is_delta == (crl->base > 0) || a->pair.this_update != crl->this_update ||
		    a->pair.number < crl->at_least)
			return err_set(err, E_CONFLICT, "there is no list of this moment to be paired with");
		*number_out = a->pair.number;
		a->pair.number = 0;
		return 0;
	}
	row.crl_number = signer_log_crl_number(s->log) + 1;
	if (row.crl_number < crl->at_least)
		row.crl_number = crl->at_least;
	/* Logged first: a number that was skipped harms nobody, one that is given twice does. */
	if ((rc = signer_log_add(s->log, &row, err)) != 0)
		return rc;
	a->pair.number = *number_out = row.crl_number;
	a->pair.is_delta = crl->base > 0;
	a->pair.this_update = crl->this_update;
	return 0;
}

static int
list_begin(struct signing *s, struct list *list, const struct proto_frame *frame, struct err *err)
{
	struct crl_spec spec = {0};
	struct proto_crl crl;
	int rc;

	if ((rc = proto_crl_read(frame, &crl, err)) != 0)
		return rc;
	if ((list->authority = authority_find(s, crl.crl.issuer)) == NULL)
		return err_set(err, E_NOTFOUND, "the signer has no such issuer");
	spec.issuer = &list->authority->issuer;
	if (crl.crl.at_least > INT64_MAX || crl.crl.base > INT64_MAX || crl.crl.this_update < 0 ||
	    crl.crl.next_update <= crl.crl.this_update || crl.crl.next_update > DER_TIME_MAX)
		return err_set(err, E_INPUT, "a CRL ends after it begins, and its number has 63 bits");
	if ((rc = number_give(s, list->authority, &crl.crl, &list->number, err)) != 0)
		return rc;
	list->is_delta = crl.crl.base > 0;
	spec.number = list->number;
	spec.base = crl.crl.base;
	spec.this_update = crl.crl.this_update;
	spec.next_update = crl.crl.next_update;
	return crl_signing_new(&spec, crl.entries_len, &list->signing, err);
}

/* What is wrong with it is told by its end, which alone is answered. */
static int
op_crl_begin(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(lists, frame->id);

	(void)answer;
	if (list == NULL)
		return err_set(err, E_LIMIT, "more than %d lists at once", LISTS_MAX);
	if (list->used)
		return err_set(err, E_INPUT, "a list that was begun is begun again");
	list->used = true;
	list->id = frame->id;
	(void)list_begin(s, list, frame, &list->err);
	return 0;
}

/* Answers nothing: the list's PROTO_CRL_SIGN does. A frame that is refused ends the connection, so that no list
 * that lacks entries is ever signed. */
static int
op_entries(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(lists, frame->id);
	struct buf entries = {0};
	int rc;

	(void)s;
	(void)answer;
	if (list == NULL || !list->used)
		return err_set(err, E_INPUT, "entries of a list that was not begun");
	if (list->err.code != 0)
		return 0;
	if ((rc = proto_entries_read(frame, list->is_delta, &entries, err)) == 0)
		rc = crl_signing_add(list->signing, &entries, err);
	buf_clear(&entries);
	return rc;
}

static int
op_crl_sign(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(lists, frame->id);
	struct buf sig = {0};
	int rc;

	(void)s;
	if (list == NULL || !list->used)
		return err_set(err, E_INPUT, "a list that was not begun");
	if (frame->len != 0)
		rc = err_set(err, E_INPUT, "nothing is taken with this request");
	else if ((rc = list->err.code) != 0)
		*err = list->err;
	else if ((rc = crl_signing_end(list->signing, list->authority->key, &sig, err)) == 0)
		proto_signed_put(answer, list->number, &sig);
	list_clear(list);
	buf_clear(&sig);
	return rc;
}

static int
op_ca_cert(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	(void)lists;
	if (frame->len != 0)
		return err_set(err, E_INPUT, "nothing is taken with this request");
	buf_append(answer, s->authorities[0].der.data, s->authorities[0].der.len);
	return 0;
}

/* Until the answer is full; the caller then asks for what follows. */
static int
put_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct buf *answer = ctx, bytes = {0};

	(void)err;
	signer_log_row_put(&bytes, row);
	buf_u32(answer, (uint32_t)bytes.len);
	buf_append(answer, bytes.data, bytes.len);
	answer->failed = answer->failed || buf_failed(&bytes);
	buf_clear(&bytes);
	return answer->len > LOG_PART_BYTES;
}

static int
op_log_read(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	uint64_t after;
	int rc;

	(void)lists;
	if ((rc = proto_log_read_read(frame, &after, err)) != 0)
		return rc;
	rc = signer_log_walk(s->log, after, put_row, answer, err);
	return rc < 0 ? rc : 0;
}

/* The answers of REQUEST, each behind its length, after when they begin and when the first ends. */
static int
sign_answers(struct signing *s, struct authority *a, const struct proto_ocsp *request, struct buf *answer, struct err *err)
{
	int64_t now = clock_now(), next = 0, first_next = INT64_MAX;
	struct buf answers = {0}, one = {0};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < request->n; i++) {
		const struct signer_ocsp *wanted = &request->wanted[i];
		const struct ocsp_spec spec = {.singles = wanted->singles, .n = wanted->n, .nonce = wanted->nonce,
		    .nonce_len = wanted->nonce_len};

		buf_reset(&one);
		rc = responder_sign(&a->responder, s->log, &spec, now, request->valid_s, &one, &next, err);
		if (rc == 0 && next < first_next)
			first_next = next;
		if (rc == E_CONFLICT) /* this one alone is refused */
			rc = 0;
		buf_u32(&answers, (uint32_t)one.len);
		buf_append(&answers, one.data, one.len);
	}
	buf_u64(answer, (uint64_t)now);
	buf_u64(answer, (uint64_t)first_next);
	buf_append(answer, answers.data, answers.len);
	answer->failed = answer->failed || buf_failed(&answers);
	buf_clear(&answers);
	buf_clear(&one);
	return rc;
}

static int
op_ocsp(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct proto_ocsp *request = malloc(sizeof *request); /* large */
	struct authority *a;
	int rc;

	(void)lists;
	if (request == NULL)
		return err_nomem(err);
	if ((rc = proto_ocsp_read(frame, request, err)) != 0)
		goto out;
	if ((a = authority_find(s, request->issuer)) == NULL)
		rc = err_set(err, E_NOTFOUND, "this signer does not have the key of that issuer");
	else if ((rc = responder_ready(&a->responder, &a->issuer, a->key, s->log, clock_now(), err)) == 0)
		rc = sign_answers(s, a, request, answer, err);
out:
	free(request);
	return rc;
}

static int
op_checkpoint(struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct authority *a = &s->authorities[0];
	const struct witness_issuer by = {&a->issuer, &a->der, a->key};
	struct checkpoint checkpoint;
	uint8_t head[SHA256_LEN];
	struct buf cms = {0};
	int64_t seq;
	int rc;

	(void)lists;
	if ((rc = proto_checkpoint_read(frame, &seq, head, err)) != 0)
		return rc;
	if ((rc = witness_sign(&s->witness, &by, s->log, seq, head, clock_now(), &checkpoint, &cms, err)) == 0) {
		proto_checkpoint_signed_put(answer, &checkpoint);
		buf_append(answer, cms.data, cms.len);
	}
	buf_clear(&cms);
	return rc;
}

static const struct operation operations[] = {
    [PROTO_ISSUE] = {op_issue, false, "issue"},
    [PROTO_NOTE] = {op_note, false, "note"},
    [PROTO_CRL_ENTRIES] = {op_entries, true, "crl entries"},
    [PROTO_CRL_SIGN] = {op_crl_sign, false, "crl sign"},
    [PROTO_CA_CERT] = {op_ca_cert, false, "ca certificate"},
    [PROTO_LOG_READ] = {op_log_read, false, "log read"},
    [PROTO_CRL_BEGIN] = {op_crl_begin, true, "crl begin"},
    [PROTO_OCSP] = {op_ocsp, false, "ocsp"},
    [PROTO_CHECKPOINT] = {op_checkpoint, false, "checkpoint"},
};

const struct operation *
operation_find(unsigned type)
{
	if (type >= sizeof operations / sizeof operations[0] || operations[type].fn == NULL)
		return NULL;
	return &operations[type];
}
