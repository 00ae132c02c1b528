/* The store decides first, so that revocation works while the signer is away; what the signer's log then lacks is
 * added when it is back. */
#include "core/revocation.h"

#include "base/killpoint.h"
#include "core/metrics.h"
#include "core/ocsp.h"
#include "core/publisher.h"
#include "core/reconcile.h"
#include "core/sweeper.h"
#include "store/package.h"

#include <stdlib.h>
#include <string.h>

/* Does REASON move a certificate in this state, and where to? */
static bool
moves(enum certificate_state state, enum crl_reason reason, enum certificate_state *to_out)
{
	switch (reason) {
	case REASON_CERTIFICATE_HOLD:
		*to_out = CERTIFICATE_HELD;
		return state == CERTIFICATE_ACTIVE;
	case REASON_REMOVE_FROM_CRL:
		*to_out = CERTIFICATE_ACTIVE;
		return state == CERTIFICATE_HELD;
	default:
		*to_out = CERTIFICATE_REVOKED;
		return state != CERTIFICATE_REVOKED;
	}
}

int
revocation_apply(struct store_tx *tx, int64_t tenant_id, const char *owner_id, enum crl_reason reason,
    int64_t at, const uint8_t *superseded_by, struct revocation *out, struct err *err)
{
	struct store_certificate *rows = calloc(REVOCATION_MAX, sizeof *rows);
	bool release = reason == REASON_REMOVE_FROM_CRL;
	enum certificate_state to;
	size_t n = 0, i;
	int rc;

	out->n = 0;
	out->reason = reason;
	out->at = at;
	if (rows == NULL)
		return err_nomem(err);
	if ((rc = store_certificate_unrevoked(tx, tenant_id, owner_id, rows, REVOCATION_MAX, &n, err)) != 0)
		goto out;
	for (i = 0; i < n; i++) {
		if (!moves(rows[i].state, reason, &to) ||
		    (superseded_by != NULL && memcmp(rows[i].serial, superseded_by, SERIAL_LEN) == 0))
			continue;
		if ((rc = store_certificate_set_state(tx, rows[i].serial, to, release ? 0 : (int)reason,
			 release ? 0 : at, superseded_by, err)) != 0)
			goto out;
		memcpy(out->serials[out->n++], rows[i].serial, SERIAL_LEN);
	}
	if (!release && superseded_by == NULL)
		rc = store_package_withdraw(tx, owner_id, at, err);
out:
	for (i = 0; i < n; i++)
		store_certificate_clear(&rows[i]);
	free(rows);
	return rc;
}

int
revocation_finish(struct core *core, const struct revocation *r, struct err *err)
{
	const unsigned work = PUBLISH_CRL | PUBLISH_RIGHTS;
	bool must_wait = strcmp(core_config(core)->settings.broker_mode, "acl-file") == 0;
	struct err note_err = {0};
	int rc = 0, note_rc = 0;
	uint64_t ticket = 0;
	size_t i;

	metrics_revoked(core->metrics, r->reason, r->n);
	KILLPOINT(11, "a revocation committed, neither noted nor published");
	for (i = 0; i < r->n; i++)
		ocsp_forget(core, r->serials[i]);
	sweeper_wake(core->sweeper); /* a withdrawn package's bytes */
	/* Publication and notes side by side: a dead signer must not keep a stolen device alive. */
	if (must_wait)
		ticket = publisher_ask(core->publisher, work);
	else
		publisher_wake(core->publisher, work);
	for (i = 0; i < r->n; i++)
		if (reconcile_note(core, r->serials[i], r->reason, r->at, &note_err) != 0)
			note_rc = note_err.code;
	KILLPOINT(12, "a revocation noted in the signer's log, perhaps not published");
	if (must_wait)
		rc = publisher_wait(core->publisher, ticket, work, err);
	if (rc == 0 && note_rc != 0) {
		*err = note_err;
		rc = err_prefix(err, "stored, but not yet in the signer's log");
	}
	return rc;
}
