/* A renewal is decided by the certificate that was shown, never by a name: it must be active when the device asks and again
 * in the transaction, so that a revocation that came first wins. A manufacturer's certificate is no less good for that: it names
 * the device, which must be active. */
#include "core/rotation.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/device.h"
#include "core/idempotency.h"
#include "core/publisher.h"
#include "core/limits.h"
#include "core/revocation.h"
#include "core/rights.h"
#include "core/vouch.h"
#include "store/certificate.h"
#include "store/change.h"
#include "store/rotation.h"
#include "store/store.h"
#include "x509/cert.h"
#include "x509/csr.h"

#include <stdlib.h>
#include <string.h>

#define WHO "device:"
#define OVERLAPS_MAX 4 /* active certificates of one device */
#define GONE "the device or its certificate is not active any more"

/* One renewal on its way. */
struct renewal {
	struct store_device device;
	bool is_vouched; /* by a manufacturer's certificate, and nothing else was shown */
	struct store_certificate shown;
	struct csr csr;
	char names[CERT_SANS_MAX + 1][CERT_SAN_SIZE]; /* and the id's own */
	const char *sans[CERT_SANS_MAX + 1];
	size_t n_sans;
	struct idempotency_request idempotency;
	char key[2 * SHA256_LEN + 2 * SERIAL_LEN + 1];
	struct buf write, read;
	char id[UUID_LEN + 1]; /* the owner's: DEVICE is read anew */
	struct credential_owner owner;
	struct credential credential;
};

static void
renewal_clear(struct renewal *r)
{
	credential_clear(&r->credential);
	store_device_clear(&r->device);
	store_certificate_clear(&r->shown);
	buf_clear(&r->write);
	buf_clear(&r->read);
}

/* The device that the manufacturer's certificate stands for, as both are now. */
static int
vouched_read(struct store_tx *tx, const struct caller *caller, struct renewal *r, struct err *err)
{
	struct vouch vouch;
	int rc;

	store_device_clear(&r->device);
	if ((rc = vouch_read(tx, caller, &vouch, err)) != 0)
		return rc;
	if (strcmp(vouch.known, r->id) != 0)
		rc = err_set(err, E_CONFLICT, GONE);
	else
		rc = store_device_get(tx, caller->tenant_id, r->id, &r->device, err);
	vouch_clear(&vouch);
	if (rc != 0 || r->device.status == DEVICE_ACTIVE)
		return rc;
	return err_set(err, E_CONFLICT, "this manufacturer's certificate has enrolled as the device %s, which is %s: %s", r->id,
	    store_device_status_name(r->device.status),
	    r->device.status == DEVICE_SUSPENDED ? "an operator lets it go on with `muster device resume`" :
						   "an operator lets it begin anew with `muster trust forget`");
}

/* Device and shown certificate as they are now. */
static int
shown_read(struct store_tx *tx, const struct caller *caller, struct renewal *r, struct err *err)
{
	const char *id = caller->who + strlen(WHO);
	int rc;

	if (r->is_vouched)
		return vouched_read(tx, caller, r, err);
	store_device_clear(&r->device);
	store_certificate_clear(&r->shown);
	if ((rc = store_device_get(tx, caller->tenant_id, id, &r->device, err)) != 0 ||
	    (rc = store_certificate_by_serial(tx, caller->serial, &r->shown, err)) != 0)
		return rc == E_NOTFOUND ? err_set(err, E_CONFLICT, GONE) : rc;
	if (r->device.status != DEVICE_ACTIVE || r->shown.state != CERTIFICATE_ACTIVE ||
	    strcmp(r->shown.owner_id, id) != 0)
		return err_set(err, E_CONFLICT, GONE);
	return 0;
}

/* The names of the shown certificate, but for the id's, which every certificate gets. */
static int
names_keep(struct renewal *r, struct err *err)
{
	size_t n = 0, i;
	int rc;

	if ((rc = cert_sans_read(r->shown.der, r->shown.der_len, r->names, CERT_SANS_MAX + 1, &n, err)) != 0)
		return rc;
	for (i = 0; i < n; i++)
		if (strncmp(r->names[i], "DNS:", 4) != 0 || strcmp(r->names[i] + 4, r->device.id) != 0)
			r->sans[r->n_sans++] = r->names[i];
	return 0;
}

/* Who sends the same key again has not had the answer; but where a key may be used again, only by the same certificate: by
 * the one that the answer brought, the next one is asked for. */
static void
idempotency_set(struct core *core, struct renewal *r)
{
	const struct profile *profile =
	    r->is_vouched ? NULL : profile_find(&core_config(core)->profiles, r->shown.profile);

	sha256(r->idempotency.digest, r->csr.spki, r->csr.spki_len);
	hex_encode(r->key, r->idempotency.digest, SHA256_LEN);
	if (profile != NULL && profile->reuse_key)
		hex_encode(r->key + 2 * SHA256_LEN, r->shown.serial, SERIAL_LEN);
	r->idempotency.key = r->key;
}

/* Who it is that renews, with its rights. */
static int
subject_read(struct store_tx *tx, const struct caller *caller, struct renewal *r, struct err *err)
{
	int rc;

	if ((rc = shown_read(tx, caller, r, err)) != 0 ||
	    (rc = rights_of_device(tx, &r->device, &r->write, &r->read, err)) != 0)
		return rc;
	memcpy(r->id, r->device.id, sizeof r->id);
	r->owner = (struct credential_owner){OWNER_DEVICE, r->id, r->device.name, r->device.tenant_id,
	    buf_str(&r->write), buf_str(&r->read)};
	return 0;
}

static int
request_check(struct core *core, const struct caller *caller, const void *csr, size_t csr_len, const char *profile,
    struct renewal *r, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if (strncmp(caller->who, WHO, strlen(WHO)) != 0)
		return err_set(err, E_DENIED, "only a device, by its certificate, renews that");
	if ((rc = csr_parse(csr, csr_len, &r->csr, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = subject_read(tx, caller, r, err);
	store_rollback(&tx);
	if (rc != 0)
		return rc;
	if (profile != NULL && strcmp(profile, r->shown.profile) != 0)
		return err_set(err, E_DENIED, "the certificate's profile is %s", r->shown.profile);
	if ((rc = cert_is_renewal(r->shown.der, r->shown.der_len, r->csr.subject, r->csr.subject_len, r->csr.sans,
		 r->csr.sans_len, err)) != 0)
		return err_prefix(err, "the request cannot renew the certificate");
	idempotency_set(core, r);
	return names_keep(r, err);
}

/* All of a device's certificates must be within what one revocation takes (REVOCATION_MAX). */
static int
room_check(struct store_tx *tx, const struct renewal *r, int64_t now, struct err *err)
{
	struct store_fingerprint active[OVERLAPS_MAX];
	size_t n;
	int rc = store_certificate_current(tx, r->device.tenant_id, r->device.id, now, active, OVERLAPS_MAX, &n, err);

	if (rc == 0 && n == OVERLAPS_MAX)
		rc = err_set(err, E_CONFLICT, "the device has %d certificates already whose overlap is not over", OVERLAPS_MAX);
	return rc;
}

/* One transaction: the new certificate, the end of the others' time, change and audit. */
static int
renewal_commit(struct core *core, const struct caller *caller, struct renewal *r, struct err *err)
{
	const struct store_certificate *certificate = &r->credential.certificate;
	char fingerprint[2 * SHA256_LEN + 1];
	int64_t now = core->now(), seq;
	struct store_tx *tx = NULL;
	int rc;

	KILLPOINT(26, "a renewal's certificate signed and compared, nothing stored");
	hex_encode(fingerprint, certificate->fingerprint, SHA256_LEN);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = shown_read(tx, caller, r, err)) == 0 && (rc = room_check(tx, r, now, err)) == 0 &&
	    (rc = credential_store(tx, &r->owner, &r->credential, now, err)) == 0 &&
	    (rc = store_certificate_retire(tx, r->id, certificate->serial,
		 now + core_config(core)->settings.rotation_overlap_s, err)) == 0 &&
	    (rc = store_rotation_renewed(tx, r->id, err)) == 0 &&
	    (rc = idempotency_note(tx, caller, &r->idempotency, r->id, certificate->serial, now, err)) == 0 &&
	    (rc = store_change_append(tx, r->device.tenant_id, "device", r->id, now, &seq, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, r->is_vouched ? "device.reenrol" : "device.renew", "device", r->id, err,
		 "{\"fingerprint\":\"%s\",\"profile\":\"%s\",\"key\":\"%s\"}", fingerprint, certificate->profile,
		 certificate->key)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc == 0)
		KILLPOINT(27, "a renewal stored, the device not told");
	return rc;
}

/* What the same key made before. */
static int
renewed_before(
    struct core *core, const struct caller *caller, struct renewal *r, struct err *err)
{
	struct store_idempotency made;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = idempotency_find(core, caller, &r->idempotency, &made, err)) != 0 ||
	    (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_certificate_by_serial(tx, made.serial, &r->credential.certificate, err);
	store_rollback(&tx);
	if (rc == 0 && r->credential.certificate.state != CERTIFICATE_ACTIVE)
		rc = err_set(err, E_CONFLICT, "what this key was given is %s",
		    store_certificate_state_name(r->credential.certificate.state));
	return rc;
}

static int
room_look(struct core *core, const struct renewal *r, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = room_check(tx, r, core->now(), err);
	store_rollback(&tx);
	return rc;
}

/* Whoever slept through its end gets one successor, which it may ask for again if the answer was lost. */
static int
late_check(const struct caller *caller, const struct renewal *r, struct err *err)
{
	if (caller->role == ROLE_LATE && r->shown.superseded)
		return err_set(err, E_CONFLICT, "the certificate has ended and has a successor: enrol anew, with a token");
	return 0;
}

static int
renew(struct core *core, const struct caller *caller, const struct credential_request *request, struct renewal *r,
    struct err *err)
{
	struct idempotency_claim claim;
	int rc;

	if ((rc = idempotency_claim(core, caller, r->key, &claim, err)) != 0)
		return rc;
	if ((rc = renewed_before(core, caller, r, err)) == E_NOTFOUND && (rc = late_check(caller, r, err)) == 0 &&
	    (rc = room_look(core, r, err)) == 0 &&
	    (rc = credential_make(core, &r->owner, request, &r->credential, err)) == 0 &&
	    (rc = renewal_commit(core, caller, r, err)) != 0)
		credential_abandon(core, &r->owner, &r->credential);
	idempotency_release(core, &claim);
	return rc;
}

/* Hand R's device and credential over, or nothing after an error RC; R goes. */
static int
finish(struct renewal *r, int rc, struct store_device *device_out, struct credential *credential_out)
{
	if (rc == 0) {
		*device_out = r->device;
		*credential_out = r->credential;
		r->device = (struct store_device){0};
		r->credential = (struct credential){0};
	}
	renewal_clear(r);
	free(r);
	return rc;
}

int
rotation_renew(struct core *core, const struct caller *caller, const void *csr, size_t csr_len, const char *profile,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	struct credential_request request = {.caller = caller, .any_profile = true};
	struct renewal *r;
	int rc;

	if ((rc = limits_take(core, LIMIT_REGISTER, caller, err)) != 0)
		return rc;
	if ((r = calloc(1, sizeof *r)) == NULL)
		return err_nomem(err);
	if ((rc = request_check(core, caller, csr, csr_len, profile, r, err)) == 0) {
		request.parsed = &r->csr;
		request.profile = r->shown.profile;
		request.sans = r->sans;
		request.n_sans = r->n_sans;
		rc = renew(core, caller, &request, r, err);
	}
	return finish(r, rc, device_out, credential_out);
}

int
rotation_renew_vouched(struct core *core, const struct caller *caller, const char *id, const struct csr *csr,
    const char *profile, bool makes_key, struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	struct credential_request request = {.profile = profile, .caller = caller, .bare_key = makes_key};
	struct renewal *r = calloc(1, sizeof *r);
	struct store_tx *tx = NULL;
	int rc;

	if (r == NULL)
		return err_nomem(err);
	r->is_vouched = true;
	r->csr = *csr;
	(void)text_copy(r->id, sizeof r->id, id);
	idempotency_set(core, r);
	if (makes_key)
		request.key = key_kind_name(csr->kind);
	else
		request.parsed = &r->csr;
	if ((rc = store_read(core->store, &tx, err)) == 0)
		rc = subject_read(tx, caller, r, err);
	store_rollback(&tx);
	if (rc == 0)
		rc = renew(core, caller, &request, r, err);
	return finish(r, rc, device_out, credential_out);
}

/* ---- the old one's end ----------------------------------------------------------------------------------------- */

/* Revoke those of DUE, with a change each: brokers must not take them any more. */
static int
retire(struct store_tx *tx, const struct caller *system, const struct store_due *due, size_t n, int64_t now,
    struct revocation *out, struct err *err)
{
	char serial[2 * STORE_SERIAL_LEN + 1];
	int64_t seq;
	size_t i;
	int rc = 0;

	*out = (struct revocation){.reason = REASON_SUPERSEDED, .at = now};
	for (i = 0; i < n; i++) {
		hex_encode(serial, due[i].serial, STORE_SERIAL_LEN);
		if ((rc = store_certificate_set_state(tx, due[i].serial, CERTIFICATE_REVOKED, REASON_SUPERSEDED, now, NULL,
			 err)) != 0 ||
		    (rc = store_change_append(tx, due[i].tenant_id, "device", due[i].owner_id, now, &seq, err)) != 0 ||
		    (rc = store_rotation_finish(tx, due[i].owner_id, now, err)) != 0 ||
		    (rc = audit_write(tx, &(struct caller){system->role, due[i].tenant_id, .who = "system"}, now,
			 "certificate.retire", "device", due[i].owner_id, err, "{\"serial\":\"%s\"}", serial)) != 0)
			return rc;
		memcpy(out->serials[out->n++], due[i].serial, STORE_SERIAL_LEN);
	}
	return 0;
}

int
rotation_sweep(struct core *core, struct err *err)
{
	const struct caller system = {.role = ROLE_ADMIN, .who = "system"};
	struct store_due due[REVOCATION_MAX];
	struct revocation revocation;
	int64_t now = core->now();
	struct store_tx *tx = NULL;
	size_t n;
	int rc;

	do {
		if ((rc = store_read(core->store, &tx, err)) != 0)
			return rc;
		rc = store_certificate_due(tx, now, due, REVOCATION_MAX, &n, err);
		store_rollback(&tx);
		if (rc != 0 || n == 0)
			return rc;
		if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
			return rc;
		if ((rc = retire(tx, &system, due, n, now, &revocation, err)) == 0)
			rc = store_commit(&tx, err);
		store_rollback(&tx);
		if (rc != 0)
			return rc;
		KILLPOINT(28, "superseded certificates revoked, nobody told");
		rc = revocation_finish(core, &revocation, err);
	} while (rc == 0 && n == REVOCATION_MAX);
	return rc;
}
