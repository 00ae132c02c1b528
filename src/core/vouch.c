/* A certificate is judged against each anchor whose CA may have issued one of those shown, by itself: of two CAs that have one
 * name only the one that signed counts (threat F1). Revocation by the manufacturer is not looked at: a device that is not to
 * be trusted is one that is not expected. */
#include "core/vouch.h"

#include "base/text.h"
#include "core/trust.h"
#include "store/store.h"
#include "x509/chain.h"
#include "x509/idevid.h"
#include "x509/pem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHORS_MAX (2 * TRUST_SAME_NAME_MAX) /* looked at for one certificate */

struct anchors {
	struct store_trust rows[ANCHORS_MAX];
	size_t n;
};

static void
anchors_free(struct anchors *a)
{
	size_t i;

	for (i = 0; a != NULL && i < a->n; i++)
		store_trust_clear(&a->rows[i]);
	free(a);
}

/* ---- does anybody vouch for it? ---------------------------------------------------------------------------------- */

/* Those that may have issued one of CHAIN, by their names. */
static int
anchors_find(struct core *core, const char *chain, struct anchors *a, struct err *err)
{
	int64_t issuers[CHAIN_CERTS_MAX];
	struct store_tx *tx = NULL;
	size_t n = 0, more, i;
	int rc;

	if ((rc = chain_issuers(chain, issuers, &n, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < n && a->n < ANCHORS_MAX; i++) {
		more = 0;
		rc = store_trust_by_name_hash(tx, issuers[i], a->rows + a->n, ANCHORS_MAX - a->n, &more, err);
		a->n += more;
	}
	store_rollback(&tx);
	return rc;
}

static int
anchor_check(const struct store_trust *anchor, const char *chain, int64_t now, struct err *err)
{
	struct chain_question question = {.pem = chain, .use = CHAIN_IDEVID, .now = now};
	struct buf pem = {0};
	int rc;

	pem_encode(&pem, "CERTIFICATE", anchor->der, anchor->der_len);
	question.root_pem = buf_str(&pem);
	rc = buf_failed(&pem) ? err_nomem(err) : chain_check(&question, err);
	buf_clear(&pem);
	return rc;
}

/* Keep those of A that vouch for CHAIN. If there is none, the error tells of the one that came nearest. */
static int
anchors_keep(struct core *core, struct anchors *a, const char *chain, struct err *err)
{
	struct err nearest = {0}, e;
	int64_t now = core->now();
	size_t kept = 0, i;

	for (i = 0; i < a->n; i++) {
		e = (struct err){0};
		if (anchor_check(&a->rows[i], chain, now, &e) != 0) {
			if (nearest.code == 0 || nearest.code == E_NOTFOUND)
				nearest = e;
			store_trust_clear(&a->rows[i]);
		} else if (kept++ != i) {
			a->rows[kept - 1] = a->rows[i];
			a->rows[i] = (struct store_trust){0};
		}
	}
	a->n = kept;
	if (kept > 0)
		return 0;
	if (nearest.code == E_NOMEM || nearest.code == E_SYS) {
		*err = nearest;
		return nearest.code;
	}
	if (nearest.code == 0)
		return err_set(err, E_UNAUTH,
		    "this client certificate is not known here: it has expired, or neither this service nor a manufacturer whose "
		    "CA it trusts (`muster trust add`) has issued it");
	return err_set(err, E_UNAUTH, "manufacturer's certificate: %s", nearest.text);
}

/* ---- is the device expected? ------------------------------------------------------------------------------------- */

static int
refuse_held(struct err *err)
{
	return err_set(err, E_DENIED,
	    "enrolment by this manufacturer's certificates is on hold since the service was restored from a backup: an operator "
	    "ends that with `muster trust resume`");
}

static int
refuse_unexpected(const char *serial, struct err *err)
{
	return err_set(err, E_DENIED,
	    "no device with the serial number %s is expected: an operator lets it in with `muster trust expect`", serial);
}

enum expected { EXPECTED_NOT, EXPECTED_AS_ANY, EXPECTED_BY_SERIAL };

static int
expected_read(struct store_tx *tx, const struct store_trust *anchor, const char *serial, enum expected *out,
    char awaited_out[UUID_LEN + 1], struct err *err)
{
	struct store_trust_serial row = {0};
	struct err e = {0};
	int rc = store_trust_serial_get(tx, anchor->id, serial, &row, &e);

	if (rc != 0 && rc != E_NOTFOUND) {
		*err = e;
		return rc;
	}
	*out = rc == 0 ? EXPECTED_BY_SERIAL : anchor->any_serial ? EXPECTED_AS_ANY : EXPECTED_NOT;
	memcpy(awaited_out, row.device_id, sizeof row.device_id);
	return 0;
}

/* Of those that vouch for SERIAL, the one that expects it: by its number rather than as any. Nothing is guessed: a device that
 * two tenants, or two anchors alike, expect is let in by neither. */
static int
choose(struct store_tx *tx, const struct anchors *a, const char *serial, const struct store_trust **chosen_out,
    struct err *err)
{
	enum expected best = EXPECTED_NOT, is;
	const struct store_trust *chosen = NULL;
	bool is_held = false, is_torn = false, is_split = false;
	char awaited[UUID_LEN + 1];
	int64_t tenant_id = 0;
	size_t i;
	int rc;

	for (i = 0; i < a->n; i++) {
		if ((rc = expected_read(tx, &a->rows[i], serial, &is, awaited, err)) != 0)
			return rc;
		if (is == EXPECTED_NOT)
			continue;
		is_held |= a->rows[i].held;
		if (a->rows[i].held)
			continue;
		is_split |= tenant_id != 0 && tenant_id != a->rows[i].tenant_id;
		tenant_id = a->rows[i].tenant_id;
		if (is < best)
			continue;
		is_torn = is == best;
		best = is;
		chosen = &a->rows[i];
	}
	if (is_split)
		return err_set(err, E_DENIED,
		    "more than one tenant expects the device with the serial number %s: all but its owner must take it off their list",
		    serial);
	if (is_torn)
		return err_set(err, E_DENIED,
		    "more than one trust anchor expects the device with the serial number %s: take it off all but one", serial);
	if (chosen == NULL)
		return is_held ? refuse_held(err) : refuse_unexpected(serial, err);
	*chosen_out = chosen;
	return 0;
}

int
vouch_authenticate(struct core *core, const char *chain, struct caller *caller_out, struct err *err)
{
	char fingerprint[2 * SHA256_LEN + 1];
	const struct store_trust *chosen = NULL;
	struct store_tx *tx = NULL;
	struct idevid idevid;
	struct anchors *a = calloc(1, sizeof *a);
	int rc;

	if (a == NULL)
		return err_nomem(err);
	if ((rc = anchors_find(core, chain, a, err)) != 0 || (rc = anchors_keep(core, a, chain, err)) != 0 ||
	    (rc = idevid_read(chain, &idevid, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		goto out;
	if ((rc = choose(tx, a, idevid.serial, &chosen, err)) != 0)
		goto out;
	hex_encode(fingerprint, idevid.fingerprint, SHA256_LEN);
	*caller_out = (struct caller){.role = ROLE_ENROLLEE, .tenant_id = chosen->tenant_id, .is_bound = true};
	(void)snprintf(caller_out->who, sizeof caller_out->who, VOUCH_WHO "%s", fingerprint);
	(void)text_copy(caller_out->trust_id, sizeof caller_out->trust_id, chosen->id);
	(void)text_copy(caller_out->device_serial, sizeof caller_out->device_serial, idevid.serial);
out:
	store_rollback(&tx);
	anchors_free(a);
	if (rc == E_INPUT) {
		rc = E_UNAUTH;
		err->code = E_UNAUTH;
	}
	return rc;
}

/* ---- in a transaction -------------------------------------------------------------------------------------------- */

void
vouch_clear(struct vouch *vouch)
{
	store_trust_clear(&vouch->anchor);
	*vouch = (struct vouch){0};
}

/* Which device the certificate has enrolled as; another one for the same serial number must not pass for it. */
static int
known_read(struct store_tx *tx, const struct caller *caller, struct vouch *v, struct err *err)
{
	struct store_idevid row;
	struct err e = {0};
	int rc;

	if ((rc = store_idevid_by_fingerprint(tx, caller->tenant_id, v->fingerprint, &row, &e)) == 0) {
		memcpy(v->known, row.device_id, sizeof row.device_id);
		return 0;
	}
	if (rc == E_NOTFOUND)
		rc = store_idevid_by_serial(tx, caller->tenant_id, v->anchor.key_hash, caller->device_serial, &row, &e);
	if (rc == 0)
		return err_set(err, E_CONFLICT,
		    "another certificate for the serial number %s has enrolled, as the device %s: if this one is to take its place, "
		    "an operator says so with `muster trust forget`", caller->device_serial, row.device_id);
	if (rc == E_NOTFOUND)
		return 0;
	*err = e;
	return rc;
}

int
vouch_read(struct store_tx *tx, const struct caller *caller, struct vouch *out, struct err *err)
{
	struct vouch v = {0};
	enum expected expected = EXPECTED_NOT;
	int rc;

	if (strncmp(caller->who, VOUCH_WHO, strlen(VOUCH_WHO)) != 0 ||
	    !hex_decode(v.fingerprint, SHA256_LEN, caller->who + strlen(VOUCH_WHO)))
		return err_set(err, E_DENIED, "only who has shown a manufacturer's certificate enrols by one");
	if ((rc = store_trust_by_id(tx, caller->tenant_id, caller->trust_id, &v.anchor, err)) == E_NOTFOUND)
		return err_set(err, E_DENIED, "the manufacturer's CA is not trusted any more");
	if (rc == 0 && v.anchor.held)
		rc = refuse_held(err);
	if (rc == 0 && (rc = expected_read(tx, &v.anchor, caller->device_serial, &expected, v.awaited, err)) == 0 &&
	    expected == EXPECTED_NOT)
		rc = refuse_unexpected(caller->device_serial, err);
	if (rc == 0 && (rc = known_read(tx, caller, &v, err)) == 0)
		*out = v;
	else
		vouch_clear(&v);
	return rc;
}

int
vouch_note(struct store_tx *tx, const struct caller *caller, const struct vouch *vouch, const char *device_id, int64_t now,
    struct err *err)
{
	struct store_idevid row = {.tenant_id = caller->tenant_id, .created_at = now};

	memcpy(row.fingerprint, vouch->fingerprint, SHA256_LEN);
	memcpy(row.key_hash, vouch->anchor.key_hash, SHA256_LEN);
	(void)text_copy(row.serial, sizeof row.serial, caller->device_serial);
	(void)text_copy(row.device_id, sizeof row.device_id, device_id);
	return store_idevid_insert(tx, &row, err);
}
