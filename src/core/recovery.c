/* Owners follow their certificates, as far as the signer's log knows these: a device or service that the log revoked
 * must not look active, and a device that the backup does not know must be there to be decided about. */
#include "core/recovery.h"

#include "authz/policy.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/revocation.h"
#include "store/broker.h"
#include "store/change.h"
#include "store/operator.h"
#include "store/service.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct caller caller_system = {
    .role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};

static int
device_set_status(const struct recovery *r, struct store_device *device, enum device_status status, struct err *err)
{
	int64_t seq;
	int rc;

	device->status = status;
	device->updated_at = r->now;
	if ((rc = store_device_update(r->tx, device, err)) != 0 ||
	    (rc = store_change_append(
		 r->tx, device->tenant_id, "device", device->id, device->updated_at, &seq, err)) != 0)
		return rc;
	return audit_write(r->tx, &caller_system, device->updated_at,
	    status == DEVICE_REVOKED ? "device.revoke" : "device.suspend", "device", device->id, err,
	    "{\"by\":\"signer log\"}");
}

/* CERT's device becomes STATUS, unless it is revoked already, or there is none. */
static int
device_follow(
    const struct recovery *r, const struct store_certificate *cert, enum device_status status, struct err *err)
{
	struct store_device device = {0};
	int rc;

	if ((rc = store_device_get(r->tx, cert->tenant_id, cert->owner_id, &device, err)) == 0 &&
	    device.status != status && device.status != DEVICE_REVOKED && device.status != DEVICE_ARCHIVED)
		rc = device_set_status(r, &device, status, err);
	store_device_clear(&device);
	return rc == E_NOTFOUND ? 0 : rc;
}

static int
service_revoke(const struct recovery *r, const struct store_certificate *cert, struct err *err)
{
	struct store_service service = {0};
	int64_t seq;
	int rc;

	if ((rc = store_service_get(r->tx, cert->tenant_id, cert->owner_id, &service, err)) == 0 &&
	    service.status != DEVICE_REVOKED) {
		service.status = DEVICE_REVOKED;
		service.updated_at = r->now;
		if ((rc = store_service_update(r->tx, &service, err)) == 0 &&
		    (rc = store_change_append(
			 r->tx, service.tenant_id, "service", service.id, service.updated_at, &seq, err)) == 0)
			rc = audit_write(r->tx, &caller_system, service.updated_at, "service.revoke", "service",
			    service.id, err, "{\"by\":\"signer log\"}");
	}
	store_service_clear(&service);
	return rc == E_NOTFOUND ? 0 : rc;
}

static int
broker_revoke(const struct recovery *r, const struct store_certificate *cert, struct err *err)
{
	int rc = store_broker_set_status(r->tx, cert->owner_id, DEVICE_REVOKED, err);

	if (rc == 0)
		rc = audit_write(r->tx, &caller_system, r->now, "broker.revoke", "broker", cert->owner_id, err,
		    "{\"by\":\"signer log\"}");
	return rc == E_NOTFOUND ? 0 : rc;
}

/* Has CERT's owner one that is not revoked? */
static int
owner_is_left(const struct recovery *r, const struct store_certificate *cert, bool *left_out, struct err *err)
{
	struct store_certificate *rows = calloc(REVOCATION_MAX, sizeof *rows);
	size_t n = 0, i;
	int rc;

	if (rows == NULL)
		return err_nomem(err);
	if ((rc = store_certificate_by_owner(
		 r->tx, cert->tenant_id, cert->owner_id, rows, REVOCATION_MAX, &n, err)) == 0)
		*left_out = false;
	for (i = 0; i < n; i++) {
		*left_out = *left_out || rows[i].state != CERTIFICATE_REVOKED;
		store_certificate_clear(&rows[i]);
	}
	free(rows);
	return rc;
}

int
recovery_follow(const struct recovery *r, const struct store_certificate *cert, bool hold, struct err *err)
{
	bool left = true;
	int64_t seq;
	int rc;

	/* With another certificate left, the owner stays as it is; but brokers must not take this one any more. */
	if (cert->owner_kind == OWNER_DEVICE || cert->owner_kind == OWNER_SERVICE) {
		if ((rc = store_change_append(r->tx, cert->tenant_id, store_owner_kind_name(cert->owner_kind),
			 cert->owner_id, r->now, &seq, err)) != 0)
			return rc;
	}
	if (hold)
		return cert->owner_kind == OWNER_DEVICE ? device_follow(r, cert, DEVICE_SUSPENDED, err) : 0;
	if ((rc = owner_is_left(r, cert, &left, err)) != 0 || left)
		return rc;
	if (cert->owner_kind == OWNER_SERVICE)
		return service_revoke(r, cert, err);
	if (cert->owner_kind == OWNER_BROKER)
		return broker_revoke(r, cert, err);
	return cert->owner_kind == OWNER_DEVICE ? device_follow(r, cert, DEVICE_REVOKED, err) : 0;
}

/* ---- certificates that the backup does not know ---------------------------------------------------------------- */

/* A device that was registered after the backup, as far as the log knows it. */
static int
device_make(const struct recovery *r, const struct store_certificate *cert, struct err *err)
{
	struct store_device device = {.tenant_id = cert->tenant_id, .status = DEVICE_SUSPENDED};
	int64_t seq;
	int rc;

	(void)text_copy(device.id, sizeof device.id, cert->owner_id);
	(void)snprintf(device.name, sizeof device.name, "restored-%s", cert->owner_id);
	(void)text_copy(device.type, sizeof device.type, "unknown");
	(void)text_copy(device.policy, sizeof device.policy, POLICY_BUILTIN);
	device.created_at = device.updated_at = r->now;
	if ((rc = store_device_insert(r->tx, &device, err)) != 0 ||
	    (rc = store_change_append(
		 r->tx, device.tenant_id, "device", device.id, device.created_at, &seq, err)) != 0)
		return rc;
	return audit_write(r->tx, &caller_system, device.created_at, "device.recover", "device", device.id, err, NULL);
}

int
recovery_hold(const struct recovery *r, const char *common_name, struct store_certificate *cert, struct err *err)
{
	struct store_device device = {0};
	struct store_service service = {0};
	struct store_operator operator;
	struct revocation revocation;
	bool revoked = false;
	int rc;

	if (strcmp(common_name, cert->owner_id) != 0) {
		cert->owner_kind = OWNER_SERVER;
		return 0;
	}
	if ((rc = store_device_get(r->tx, cert->tenant_id, cert->owner_id, &device, err)) == 0) {
		revoked = device.status == DEVICE_REVOKED || device.status == DEVICE_ARCHIVED;
		if (!revoked && (rc = device_follow(r, cert, DEVICE_SUSPENDED, err)) == 0)
			rc = revocation_apply(r->tx, cert->tenant_id, cert->owner_id, REASON_CERTIFICATE_HOLD,
			    cert->revoked_at, NULL, &revocation, err);
	} else if (rc == E_NOTFOUND &&
	    (rc = store_service_get(r->tx, cert->tenant_id, cert->owner_id, &service, err)) == 0) {
		cert->owner_kind = OWNER_SERVICE;
		revoked = service.status == DEVICE_REVOKED;
	} else if (rc == E_NOTFOUND &&
	    (rc = store_operator_by_id(r->tx, cert->owner_id, &operator, err)) == 0) {
		cert->owner_kind = OWNER_OPERATOR;
		revoked = operator.revoked_at != 0;
	} else if (rc == E_NOTFOUND) {
		rc = device_make(r, cert, err);
	}
	if (rc == 0 && !revoked) {
		cert->state = CERTIFICATE_HELD;
		cert->reason = REASON_CERTIFICATE_HOLD;
	}
	store_device_clear(&device);
	store_service_clear(&service);
	return rc;
}
