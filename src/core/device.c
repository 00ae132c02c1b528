/* Devices. Each operation is a list of steps; what a step does is in its own module. */
#include "core/device.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/control.h"
#include "core/publisher.h"
#include "core/limits.h"
#include "core/revocation.h"
#include "core/rights.h"
#include "core/tenant.h"
#include "store/change.h"
#include "store/package.h"
#include "store/rotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keep a copy of VALUE in *LABELS; NULL and an empty object are the same. */
static int
labels_set(char **labels, const char *value, struct err *err)
{
	char *copy = NULL;

	if (value != NULL && strcmp(value, "{}") != 0 && (copy = strdup(value)) == NULL)
		return err_nomem(err);
	free(*labels);
	*labels = copy;
	return 0;
}

static int
id_make(const struct device_request *request, char id_out[UUID_LEN + 1], struct err *err)
{
	if (request->order == NULL)
		return uuid_make(id_out, err);
	(void)text_copy(id_out, UUID_LEN + 1, request->order->id);
	return 0;
}

/* The row of a new device from what was asked, every field checked. */
static int
row_make(struct core *core, const struct caller *caller, const struct device_request *request,
    struct store_device *row, struct err *err)
{
	const char *policy = request->policy != NULL ? request->policy : POLICY_BUILTIN;
	int rc;

	if ((rc = check_name("name", request->name, false, err)) != 0 ||
	    (rc = check_word("type", request->type, err)) != 0 ||
	    (rc = check_name("location", request->location, true, err)) != 0 ||
	    (rc = check_labels(request->labels, err)) != 0 ||
	    (rc = check_word("policy", policy, err)) != 0 || (rc = id_make(request, row->id, err)) != 0 ||
	    (rc = labels_set(&row->labels, request->labels, err)) != 0)
		return rc;
	row->tenant_id = caller->tenant_id;
	(void)text_copy(row->name, sizeof row->name, request->name);
	(void)text_copy(row->type, sizeof row->type, request->type);
	(void)text_copy(
	    row->location, sizeof row->location, request->location != NULL ? request->location : "");
	(void)text_copy(row->policy, sizeof row->policy, policy);
	row->status = request->pending ? DEVICE_PENDING : DEVICE_ACTIVE;
	row->created_at = row->updated_at = core->now();
	return 0;
}

/* The row of the pending device that is to be the enrolling one, as it will be. */
static int
row_awaited(struct core *core, const struct caller *caller, const char *id, struct store_device *row, struct err *err)
{
	int rc;

	if ((rc = device_get(core, caller, id, row, err)) != 0)
		return rc;
	if (row->status != DEVICE_PENDING)
		return err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(row->status));
	row->status = DEVICE_ACTIVE;
	row->updated_at = core->now();
	return 0;
}

/* The owner of a credential, with DEVICE's expanded topics in WRITE and READ. For a new one there must be room, before anything
 * is signed; the transaction looks again. */
static int
owner_make(struct core *core, const struct store_device *device, bool is_new, struct buf *write, struct buf *read,
    struct credential_owner *owner, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = rights_of_device(tx, device, write, read, err)) == 0 && is_new)
		rc = tenant_room(tx, device->tenant_id, 1, err);
	store_rollback(&tx);
	*owner = (struct credential_owner){OWNER_DEVICE, device->id, device->name, device->tenant_id,
	    buf_str(write), buf_str(read)};
	return rc;
}

/* Change and audit row of ACTION on DEVICE, with the detail MEMBER (or NULL) of VALUE: what every transaction on a
 * device ends with. */
static int
finish_tx(struct store_tx **tx, const struct caller *caller, const struct store_device *device,
    const char *action, const char *member, const char *value, struct err *err)
{
	int64_t now = device->updated_at, seq;
	int rc;

	if ((rc = store_change_append(*tx, device->tenant_id, "device", device->id, now, &seq, err)) != 0)
		return rc;
	if (member != NULL)
		rc = audit_write(*tx, caller, now, action, "device", device->id, err,
		    "{\"%s\":\"%s\"}", member, value);
	else
		rc = audit_write(*tx, caller, now, action, "device", device->id, err, NULL);
	return rc == 0 ? store_commit(tx, err) : rc;
}

/* The device itself, if it may still enter. An awaited one is read anew: it may have been changed or revoked meanwhile, or
 * have come another way. */
static int
row_store(struct store_tx *tx, const struct device_request *request, struct store_device *row, struct err *err)
{
	const struct device_entry *entry = request->entry;
	struct store_device there = {0};
	int rc;

	if (entry != NULL && (rc = entry->enter(tx, entry->ctx, row, err)) != 0)
		return rc;
	if (entry == NULL || entry->awaited == NULL)
		return (rc = tenant_room(tx, row->tenant_id, 1, err)) == 0 ? store_device_insert(tx, row, err) : rc;
	if ((rc = store_device_get(tx, row->tenant_id, row->id, &there, err)) == 0 && there.status != DEVICE_PENDING)
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(there.status));
	if (rc == 0) {
		there.status = row->status;
		there.updated_at = row->updated_at;
		rc = store_device_update(tx, &there, err);
	}
	if (rc == 0) {
		store_device_clear(row);
		*row = there;
		there = (struct store_device){0};
	}
	store_device_clear(&there);
	return rc;
}

/* A device without a certificate, in one transaction. Brokers need not know of it. */
static int
pending_commit(struct core *core, const struct caller *caller, const struct device_request *request,
    struct store_device *row, struct err *err)
{
	static const uint8_t none[STORE_SERIAL_LEN];
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = row_store(tx, request, row, err)) == 0 &&
	    (rc = idempotency_note(tx, caller, &request->idempotency, row->id, none, row->created_at, err)) == 0 &&
	    (rc = audit_write(tx, caller, row->created_at, "device.register", "device", row->id, err,
		 "{\"pending\":true}")) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

/* One transaction: device, certificate, package, change, audit, and what the request's key made. */
struct registration {
	const struct caller *caller;
	const struct credential_owner *owner;
	const struct device_request *request;
	struct store_device *row;
	const struct credential *credential;
};

/* A store_fn. */
static int
registration_store(struct store_tx *tx, void *ctx, struct err *err)
{
	const struct registration *r = ctx;
	const struct store_certificate *certificate = &r->credential->certificate;
	char fingerprint[2 * SHA256_LEN + 1], job[UUID_LEN + 16] = "";
	int64_t now = r->row->updated_at, seq;
	int rc;

	hex_encode(fingerprint, certificate->fingerprint, SHA256_LEN);
	if (r->request->order != NULL)
		(void)snprintf(job, sizeof job, ",\"job\":\"%s\"", r->request->order->job);
	if ((r->request->order != NULL &&
		(rc = r->request->order->store(tx, r->request->order->ctx, r->credential, err)) != 0) ||
	    (rc = row_store(tx, r->request, r->row, err)) != 0 ||
	    (rc = credential_store(tx, r->owner, r->credential, now, err)) != 0 ||
	    (rc = idempotency_note(tx, r->caller, &r->request->idempotency, r->row->id, certificate->serial, now, err)) != 0 ||
	    (rc = store_change_append(tx, r->row->tenant_id, "device", r->row->id, now, &seq, err)) != 0)
		return rc;
	return audit_write(tx, r->caller, now, r->request->entry != NULL ? "device.enrol" : "device.register", "device",
	    r->row->id, err, "{\"fingerprint\":\"%s\",\"profile\":\"%s\",\"key\":\"%s\",\"link\":%s%s}", fingerprint,
	    certificate->profile, certificate->key, r->credential->has_package ? "true" : "false", job);
}

static int
register_new(struct core *core, const struct caller *caller, const struct device_request *request,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	struct credential credential = {0};
	struct credential_owner owner;
	struct buf write = {0}, read = {0};
	const struct device_entry *entry = request->entry;
	struct credential_request how = request->credential;
	struct store_device row = {0};
	int rc;

	how.caller = caller;
	how.is_retry = request->order != NULL;

	/* Before anything is signed; the transaction looks again. */
	if (entry != NULL && entry->refusal != NULL)
		return err_set(err, E_GONE, "%s", entry->refusal);
	rc = entry != NULL && entry->awaited != NULL ? row_awaited(core, caller, entry->awaited, &row, err) :
						       row_make(core, caller, request, &row, err);
	if (rc == 0 && request->pending && (rc = pending_commit(core, caller, request, &row, err)) == 0) {
		*device_out = row;
		return 0;
	}
	if (rc != 0 || (rc = owner_make(core, &row, entry == NULL || entry->awaited == NULL, &write, &read, &owner, err)) != 0 ||
	    (rc = credential_make(core, &owner, &how, &credential, err)) != 0)
		goto out;
	KILLPOINT(6, "key, certificate, package and link made, nothing stored");
	if ((request->order != NULL && (rc = request->order->made(request->order->ctx, &credential, err)) != 0) ||
	    (rc = store_run(core->store, registration_store,
		 &(struct registration){caller, &owner, request, &row, &credential}, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		goto out;
	}
	KILLPOINT(9, "a device stored, the publisher not woken");
	publisher_wake(core->publisher, PUBLISH_RIGHTS);
	*device_out = row;
	*credential_out = credential;
	row = (struct store_device){0};
	credential = (struct credential){0};
out:
	credential_clear(&credential);
	store_device_clear(&row);
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

/* What MADE tells of, without the package: its password was shown once. */
static int
register_again(struct core *core, const struct caller *caller, const struct store_idempotency *made,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	static const uint8_t none[STORE_SERIAL_LEN]; /* a pending device's */
	struct credential credential = {0};
	struct store_device row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_device_get(tx, caller->tenant_id, made->device_id, &row, err)) == 0 &&
	    (memcmp(made->serial, none, sizeof none) == 0 ||
		(rc = store_certificate_by_serial(tx, made->serial, &credential.certificate, err)) == 0)) {
		*device_out = row;
		*credential_out = credential;
	} else {
		store_device_clear(&row);
	}
	store_rollback(&tx);
	return rc;
}

int
device_register(struct core *core, const struct caller *caller, const struct device_request *request,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	const struct idempotency_request *idempotency = &request->idempotency;
	struct idempotency_claim claim;
	struct store_idempotency made;
	int rc;

	/* An enrolment was counted before its request was looked at. */
	if (request->entry == NULL &&
	    (rc = limits_take(core, LIMIT_REGISTER, caller, err)) != 0)
		return rc;
	if (idempotency->key == NULL)
		return register_new(core, caller, request, device_out, credential_out, err);
	if ((rc = idempotency_claim(core, caller, idempotency->key, &claim, err)) != 0)
		return rc;
	if ((rc = idempotency_find(core, caller, idempotency, &made, err)) == 0)
		rc = register_again(core, caller, &made, device_out, credential_out, err);
	else if (rc == E_NOTFOUND)
		rc = register_new(core, caller, request, device_out, credential_out, err);
	idempotency_release(core, &claim);
	return rc;
}

int
device_check(struct core *core, const struct caller *caller, const struct device_request *request, bool *has_csr_out,
    struct csr *csr_out, struct err *err)
{
	struct buf write = {0}, read = {0};
	struct credential_owner owner;
	struct store_device row = {0};
	int rc;

	if ((rc = row_make(core, caller, request, &row, err)) == 0 &&
	    (rc = owner_make(core, &row, false, &write, &read, &owner, err)) == 0)
		rc = credential_check(core, &owner, &request->credential, has_csr_out, csr_out, err);
	store_device_clear(&row);
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

int
device_get(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_device_get(tx, caller->tenant_id, id, device_out, err);
	store_rollback(&tx);
	return rc;
}

int
device_list(struct core *core, const struct caller *caller, struct store_device_filter *filter,
    struct store_device *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	filter->tenant_id = caller->tenant_id;
	if (filter->limit < 1 || filter->limit > DEVICE_LIST_MAX)
		return err_field(err, E_INPUT, "limit", "must be from 1 to %d", DEVICE_LIST_MAX);
	if (filter->search != NULL && strlen(filter->search) >= STORE_NAME_SIZE)
		return err_field(err, E_INPUT, "search", "must be at most %d bytes", STORE_NAME_SIZE - 1);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_device_list(tx, filter, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

static int
change_apply(struct store_device *row, const struct device_change *c, struct err *err)
{
	int rc;

	if (c->name != NULL) {
		if ((rc = check_name("name", c->name, false, err)) != 0)
			return rc;
		(void)text_copy(row->name, sizeof row->name, c->name);
	}
	if (c->type != NULL) {
		if ((rc = check_word("type", c->type, err)) != 0)
			return rc;
		(void)text_copy(row->type, sizeof row->type, c->type);
	}
	if (c->location != NULL) {
		if ((rc = check_name("location", c->location, true, err)) != 0)
			return rc;
		(void)text_copy(row->location, sizeof row->location, c->location);
	}
	if (c->labels != NULL) {
		if ((rc = check_labels(c->labels, err)) != 0 ||
		    (rc = labels_set(&row->labels, c->labels, err)) != 0)
			return rc;
	}
	if (c->policy != NULL) {
		if ((rc = check_word("policy", c->policy, err)) != 0)
			return rc;
		(void)text_copy(row->policy, sizeof row->policy, c->policy);
	}
	return 0;
}

int
device_update(struct core *core, const struct caller *caller, const char *id,
    const struct device_change *change, struct store_device *device_out, struct err *err)
{
	struct buf write = {0}, read = {0};
	struct store_device row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_device_get(tx, caller->tenant_id, id, &row, err)) != 0)
		goto out;
	if (row.status == DEVICE_REVOKED || row.status == DEVICE_ARCHIVED) {
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(row.status));
		goto out;
	}
	row.updated_at = core->now();
	/* Expanding shows that the new policy exists and fits the new type. */
	if ((rc = change_apply(&row, change, err)) != 0 ||
	    (rc = rights_of_device(tx, &row, &write, &read, err)) != 0 ||
	    (rc = store_device_update(tx, &row, err)) != 0 ||
	    (rc = finish_tx(&tx, caller, &row, "device.update", "policy", row.policy, err)) != 0)
		goto out;
	publisher_wake(core->publisher, PUBLISH_RIGHTS);
	*device_out = row;
	row = (struct store_device){0};
out:
	store_rollback(&tx);
	store_device_clear(&row);
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

/* One move of a device between states, and of its certificates with it. */
struct move {
	const char *action;
	unsigned from; /* bits of enum device_status */
	enum device_status to;
	int (*begin)(struct store *store, struct store_tx **tx_out, struct err *err); /* as urgent as it is */
};

static const struct move move_revoke = {"device.revoke",
    1U << DEVICE_PENDING | 1U << DEVICE_ACTIVE | 1U << DEVICE_SUSPENDED, DEVICE_REVOKED, store_begin_urgent};
static const struct move move_suspend = {"device.suspend", 1U << DEVICE_ACTIVE, DEVICE_SUSPENDED, store_begin_urgent};
static const struct move move_resume = {"device.resume", 1U << DEVICE_SUSPENDED, DEVICE_ACTIVE, store_begin};

/* Of several certificates that are good again only the newest has no end. A restored store does not know that it renewed
 * the others. */
static int
overlap_resume(struct core *core, struct store_tx *tx, const struct store_device *row, const struct revocation *released,
    struct err *err)
{
	if (released->reason != REASON_REMOVE_FROM_CRL || released->n < 2)
		return 0;
	return store_certificate_retire(
	    tx, row->id, released->serials[0], row->updated_at + core_config(core)->settings.rotation_overlap_s, err);
}

static int
device_move(struct core *core, const struct caller *caller, const char *id, const struct move *move,
    enum crl_reason reason, struct store_device *device_out, struct err *err)
{
	struct revocation revocation;
	struct store_device row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = move->begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_device_get(tx, caller->tenant_id, id, &row, err)) != 0)
		goto out;
	if ((move->from & 1U << row.status) == 0) {
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(row.status));
		goto out;
	}
	row.status = move->to;
	row.updated_at = core->now();
	if ((rc = store_device_update(tx, &row, err)) != 0 ||
	    (rc = revocation_apply(tx, row.tenant_id, row.id, reason, row.updated_at, NULL, &revocation,
		 err)) != 0 ||
	    (rc = overlap_resume(core, tx, &row, &revocation, err)) != 0 ||
	    (row.status == DEVICE_REVOKED && (rc = store_rotation_end(tx, row.id, ROTATION_VOID, row.updated_at, err)) != 0) ||
	    (rc = finish_tx(&tx, caller, &row, move->action, "reason", reason_name(reason), err)) != 0)
		goto out;
	control_wake(core->control); /* its instruction is void */
	if ((rc = revocation_finish(core, &revocation, err)) != 0)
		goto out;
	*device_out = row;
	row = (struct store_device){0};
out:
	store_rollback(&tx);
	store_device_clear(&row);
	return rc;
}

int
device_revoke(struct core *core, const struct caller *caller, const char *id, enum crl_reason reason,
    struct store_device *device_out, struct err *err)
{
	if (reason == REASON_CERTIFICATE_HOLD || reason == REASON_REMOVE_FROM_CRL)
		return err_field(err, E_INPUT, "reason",
		    "%s is no reason to revoke for good; use suspend and resume", reason_name(reason));
	return device_move(core, caller, id, &move_revoke, reason, device_out, err);
}

int
device_suspend(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err)
{
	return device_move(core, caller, id, &move_suspend, REASON_CERTIFICATE_HOLD, device_out, err);
}

int
device_resume(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err)
{
	return device_move(core, caller, id, &move_resume, REASON_REMOVE_FROM_CRL, device_out, err);
}

/* New certificate in, all earlier ones out, in one transaction that looks again whether the device is still
 * active: a revocation that came first wins (threat F3). */
static int
reissue_commit(struct core *core, const struct caller *caller, const struct credential_owner *owner,
    struct store_device *row, const struct credential *credential, struct revocation *revocation,
    struct err *err)
{
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	store_device_clear(row);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_device_get(tx, owner->tenant_id, owner->id, row, err)) != 0)
		goto out;
	if (row->status != DEVICE_ACTIVE) {
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(row->status));
		goto out;
	}
	row->updated_at = now;
	if ((rc = store_package_withdraw(tx, owner->id, now, err)) == 0 &&
	    (rc = credential_store(tx, owner, credential, now, err)) == 0 &&
	    (rc = revocation_apply(tx, owner->tenant_id, owner->id, REASON_SUPERSEDED, now,
		 credential->certificate.serial, revocation, err)) == 0 &&
	    (rc = store_rotation_end(tx, row->id, ROTATION_DONE, now, err)) == 0 &&
	    (rc = store_device_update(tx, row, err)) == 0)
		rc = finish_tx(&tx, caller, row, "device.reissue", NULL, NULL, err);
out:
	store_rollback(&tx);
	return rc;
}

int
device_reissue(struct core *core, const struct caller *caller, const char *id,
    const struct credential_request *request, struct store_device *device_out,
    struct credential *credential_out, struct err *err)
{
	char owner_id[UUID_LEN + 1], owner_name[STORE_NAME_SIZE];
	struct credential_request how = *request;
	struct credential credential = {0};
	struct credential_owner owner;
	struct revocation revocation;
	struct buf write = {0}, read = {0};
	struct store_device row = {0};
	int rc;

	if ((rc = device_get(core, caller, id, &row, err)) != 0)
		return rc;
	if (row.status != DEVICE_ACTIVE) {
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(row.status));
		goto out;
	}
	if ((rc = owner_make(core, &row, false, &write, &read, &owner, err)) != 0)
		goto out;
	/* The row is read again in the transaction; the owner outlives this one. */
	memcpy(owner_id, row.id, sizeof owner_id);
	memcpy(owner_name, row.name, sizeof owner_name);
	owner.id = owner_id;
	owner.name = owner_name;
	how.caller = caller;
	if ((rc = credential_make(core, &owner, &how, &credential, err)) != 0)
		goto out;
	if ((rc = reissue_commit(core, caller, &owner, &row, &credential, &revocation, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		goto out;
	}
	/* Stored, and tried until it is published; the new key must not be lost for a late broker. */
	control_wake(core->control);
	(void)revocation_finish(core, &revocation, &(struct err){0});
	*device_out = row;
	*credential_out = credential;
	row = (struct store_device){0};
	credential = (struct credential){0};
out:
	credential_clear(&credential);
	store_device_clear(&row);
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

int
device_certificates(struct core *core, const struct caller *caller, const char *id,
    struct store_certificate *rows_out, size_t max, size_t *n_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_certificate_by_owner(tx, caller->tenant_id, id, rows_out, max, n_out, err);
	if (rc == 0 && *n_out == 0)
		rc = err_set(err, E_NOTFOUND, "no such device, or it never had a certificate");
	store_rollback(&tx);
	return rc;
}
