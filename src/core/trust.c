/* The operator's side of trust anchors. Nobody is expected until somebody says so: neither a list nor `any` lets nobody in. */
#include "core/trust.h"

#include "core/audit.h"
#include "core/ca.h"
#include "core/check.h"
#include "core/device.h"
#include "core/enrol.h"
#include "core/rights.h"
#include "core/tenant.h"
#include "store/idevid.h"
#include "store/store.h"
#include "x509/chain.h"
#include "x509/idevid.h"

#include <stdio.h>
#include <string.h>

#define DROP_BATCH 2000 /* serial numbers a transaction */

/* ---- anchors ----------------------------------------------------------------------------------------------------- */

int
trust_open(struct core *core, struct err *err)
{
	struct store_tx *tx = NULL;
	bool any = false;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_trust_any(tx, &any, err)) == 0)
		atomic_store_explicit(&core->has_trust, any, memory_order_relaxed);
	store_rollback(&tx);
	return rc;
}

/* Our own CA's certificates are known by themselves, and none of them is a manufacturer's. */
static int
certificate_check(struct core *core, const char *pem, struct chain_anchor *anchor, struct buf *der, struct err *err)
{
	int rc;

	if (pem == NULL)
		return err_field(err, E_INPUT, "certificate", "is required");
	if (strlen(pem) > CHAIN_PEM_MAX)
		return err_field(err, E_INPUT, "certificate", "must be at most %d bytes", CHAIN_PEM_MAX);
	if ((rc = chain_anchor_read(pem, core->now(), anchor, der, err)) != 0) {
		(void)text_copy(err->field, sizeof err->field, "certificate");
		return rc;
	}
	if (ca_is_own_key(core, anchor->key_hash))
		return err_field(err, E_INPUT, "certificate", "is of this service's own CA, which vouches for no manufacturer");
	return 0;
}

static int
row_make(struct core *core, const struct caller *caller, const struct trust_request *request,
    const struct chain_anchor *anchor, struct store_trust *row, struct err *err)
{
	const struct enrol_kind kind = {.type = request->type, .location = request->location, .profile = request->profile,
	    .policy = request->policy != NULL ? request->policy : POLICY_BUILTIN};
	int rc;

	if ((rc = check_word("name", request->name, err)) != 0 || (rc = enrol_kind_check(core, caller, &kind, err)) != 0 ||
	    (rc = uuid_make(row->id, err)) != 0)
		return rc;
	row->tenant_id = caller->tenant_id;
	(void)text_copy(row->name, sizeof row->name, request->name);
	(void)text_copy(row->type, sizeof row->type, kind.type);
	(void)text_copy(row->location, sizeof row->location, kind.location != NULL ? kind.location : "");
	(void)text_copy(row->profile, sizeof row->profile, kind.profile != NULL ? kind.profile : "");
	(void)text_copy(row->policy, sizeof row->policy, kind.policy);
	(void)text_copy(row->subject, sizeof row->subject, anchor->subject);
	row->name_hash = anchor->name;
	row->not_after = anchor->not_after;
	memcpy(row->key_hash, anchor->key_hash, SHA256_LEN);
	memcpy(row->fingerprint, anchor->fingerprint, SHA256_LEN);
	row->any_serial = request->any_serial;
	row->created_at = core->now();
	return 0;
}

/* Whoever shows a certificate is held against all anchors of its issuer's name: they must stay few. */
static int
room_check(struct store_tx *tx, const struct store_trust *row, struct err *err)
{
	int64_t n, n_tenants;
	int rc = store_trust_count(tx, row->name_hash, row->tenant_id, &n, &n_tenants, err);

	if (rc != 0 ||
	    (n < TRUST_SAME_NAME_MAX && (row->tenant_id == STORE_TENANT_DEFAULT || n_tenants < TRUST_SAME_NAME_TENANT_MAX)))
		return rc;
	return err_field(err, E_CONFLICT, "certificate", "there are %lld trust anchors already whose CA has that name",
	    (long long)(n < TRUST_SAME_NAME_MAX ? n_tenants : n));
}

int
trust_add(struct core *core, const struct caller *caller, const struct trust_request *request,
    struct store_trust *row_out, struct err *err)
{
	struct store_trust row = {0};
	struct chain_anchor anchor;
	struct store_tx *tx = NULL;
	char fingerprint[2 * SHA256_LEN + 1];
	struct buf der = {0};
	int rc;

	if ((rc = certificate_check(core, request->certificate, &anchor, &der, err)) != 0 ||
	    (rc = row_make(core, caller, request, &anchor, &row, err)) != 0)
		goto out;
	row.der = der.data;
	row.der_len = der.len;
	der = (struct buf){0};
	hex_encode(fingerprint, row.fingerprint, SHA256_LEN);
	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = tenant_check(tx, row.tenant_id, err)) == 0 &&
	    (rc = room_check(tx, &row, err)) == 0 &&
	    (rc = store_trust_insert(tx, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, row.created_at, "trust.add", "trust", row.name, err,
		 "{\"fingerprint\":\"%s\",\"any_serial\":%s,\"type\":\"%s\",\"profile\":\"%s\",\"policy\":\"%s\"}", fingerprint,
		 row.any_serial ? "true" : "false", row.type, row.profile, row.policy)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		atomic_store_explicit(&core->has_trust, true, memory_order_relaxed);
		*row_out = row;
		row = (struct store_trust){0};
	}
out:
	store_rollback(&tx);
	store_trust_clear(&row);
	buf_clear(&der);
	return rc;
}

int
trust_get(struct core *core, const struct caller *caller, const char *name, struct store_trust *row_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_trust_get(tx, caller->tenant_id, name, row_out, err);
	store_rollback(&tx);
	return rc;
}

int
trust_list(struct core *core, const struct caller *caller, size_t limit, const char *after, struct store_trust *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_trust_list(tx, caller->tenant_id, limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

/* Begin, by BEGIN, a transaction on the anchor NAME. What takes something back is urgent. */
static int
open_named(struct core *core, int (*begin)(struct store *store, struct store_tx **tx_out, struct err *err),
    const struct caller *caller, const char *name, struct store_tx **tx_out, struct store_trust *row_out, struct err *err)
{
	int rc = begin(core->store, tx_out, err);

	return rc == 0 ? store_trust_get(*tx_out, caller->tenant_id, name, row_out, err) : rc;
}

/* A long list goes by the piece: who revokes a device meanwhile must not wait for all of it. */
static int
serials_drop(struct core *core, const char *id, struct err *err)
{
	struct store_tx *tx = NULL;
	size_t n = 0;
	int rc;

	do {
		if ((rc = store_begin_urgent(core->store, &tx, err)) == 0 &&
		    (rc = store_trust_serials_drop(tx, id, DROP_BATCH, &n, err)) == 0)
			rc = store_commit(&tx, err);
		store_rollback(&tx);
	} while (rc == 0 && n == DROP_BATCH);
	return rc;
}

/* It ends with the first transaction: an anchor on hold lets nobody in, should the others fail. */
int
trust_remove(struct core *core, const struct caller *caller, const char *name, struct err *err)
{
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = open_named(core, store_begin_urgent, caller, name, &tx, &row, err)) == 0 &&
	    (rc = store_trust_hold(tx, row.id, true, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), "trust.remove", "trust", row.name, err, NULL)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc == 0 && (rc = serials_drop(core, row.id, err)) == 0 &&
	    (rc = store_begin_urgent(core->store, &tx, err)) == 0 && (rc = store_trust_remove(tx, row.id, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}

int
trust_resume(struct core *core, const struct caller *caller, const char *name, struct store_trust *row_out, struct err *err)
{
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = open_named(core, store_begin, caller, name, &tx, &row, err)) == 0 && !row.held)
		rc = err_set(err, E_CONFLICT, "the trust anchor is not on hold");
	if (rc == 0 && (rc = store_trust_hold(tx, row.id, false, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), "trust.resume", "trust", row.name, err, NULL)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		row.held = false;
		*row_out = row;
		row = (struct store_trust){0};
	}
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}

/* ---- serial numbers ---------------------------------------------------------------------------------------------- */

static int
serials_check(const char *const *serials, size_t n, struct err *err)
{
	char field[ERR_FIELD_MAX];
	size_t i;

	if (n < 1 || n > TRUST_SERIALS_MAX)
		return err_field(err, E_INPUT, "serials", "must be 1 to %d serial numbers", TRUST_SERIALS_MAX);
	for (i = 0; i < n; i++) {
		if (idevid_serial_is_sound(serials[i]))
			continue;
		(void)snprintf(field, sizeof field, "serials[%zu]", i);
		return err_field(err, E_INPUT, field,
		    "must be 1 to %d letters, digits, blanks and ' ( ) + , - . / : = ?, as in a certificate's serialNumber",
		    IDEVID_SERIAL_SIZE - 1);
	}
	return 0;
}

/* The audit tells of one serial number by itself, and of more how many. */
static int
serials_audit(struct store_tx *tx, const struct caller *caller, int64_t now, const char *action, const char *name,
    const char *const *serials, size_t n, const char *device_id, struct err *err)
{
	if (n > 1)
		return audit_write(tx, caller, now, action, "trust", name, err, "{\"serials\":%zu}", n);
	return audit_write(tx, caller, now, action, "trust", name, err, "{\"serial\":\"%s\",\"device_id\":\"%s\"}", serials[0],
	    device_id);
}

static int
awaited_check(struct store_tx *tx, const struct caller *caller, size_t n, const char *device_id, struct err *err)
{
	struct store_device device = {0};
	int rc;

	if (n != 1)
		return err_field(err, E_INPUT, "device_id", "is for one serial number alone");
	if ((rc = check_id("device", device_id, err)) != 0 ||
	    (rc = store_device_get(tx, caller->tenant_id, device_id, &device, err)) != 0)
		return rc == E_NOTFOUND ? err_field(err, E_NOTFOUND, "device_id", "no such device") : rc;
	if (device.status != DEVICE_PENDING)
		rc = err_field(err, E_CONFLICT, "device_id", "the device is %s: only a pending one waits for its key",
		    store_device_status_name(device.status));
	store_device_clear(&device);
	return rc;
}

int
trust_expect(struct core *core, const struct caller *caller, const char *name, const char *const *serials, size_t n,
    const char *device_id, size_t *new_out, struct err *err)
{
	const char *awaited = device_id != NULL ? device_id : "";
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	size_t n_new = 0, i;
	bool is_new;
	int rc;

	if ((rc = serials_check(serials, n, err)) != 0 || (rc = open_named(core, store_begin, caller, name, &tx, &row, err)) != 0)
		goto out;
	if (device_id != NULL && (rc = awaited_check(tx, caller, n, device_id, err)) != 0)
		goto out;
	for (i = 0; i < n; i++) {
		if ((rc = store_trust_serial_put(tx, row.id, serials[i], awaited, &is_new, err)) != 0)
			goto out;
		n_new += is_new;
	}
	if ((rc = serials_audit(tx, caller, core->now(), "trust.expect", row.name, serials, n, awaited, err)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		*new_out = n_new;
out:
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}

int
trust_unexpect(struct core *core, const struct caller *caller, const char *name, const char *const *serials, size_t n,
    size_t *gone_out, struct err *err)
{
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	size_t n_gone = 0, i;
	bool is_gone;
	int rc;

	if ((rc = serials_check(serials, n, err)) != 0 ||
	    (rc = open_named(core, store_begin_urgent, caller, name, &tx, &row, err)) != 0)
		goto out;
	for (i = 0; i < n; i++) {
		if ((rc = store_trust_serial_remove(tx, row.id, serials[i], &is_gone, err)) != 0)
			goto out;
		n_gone += is_gone;
	}
	if ((rc = serials_audit(tx, caller, core->now(), "trust.unexpect", row.name, serials, n, "", err)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		*gone_out = n_gone;
out:
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}

int
trust_serials(struct core *core, const struct caller *caller, const char *name, size_t limit, const char *after,
    struct store_trust_serial *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_trust_get(tx, caller->tenant_id, name, &row, err)) == 0)
		rc = store_trust_serial_list(tx, &row, limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}

int
trust_forget(struct core *core, const struct caller *caller, const char *name, const char *serial,
    char device_id_out[UUID_LEN + 1], struct err *err)
{
	struct store_idevid idevid;
	struct store_trust row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = serials_check(&serial, 1, err)) != 0 || (rc = open_named(core, store_begin, caller, name, &tx, &row, err)) != 0)
		goto out;
	if ((rc = store_idevid_by_serial(tx, row.tenant_id, row.key_hash, serial, &idevid, err)) == 0 &&
	    (rc = store_idevid_remove(tx, &idevid, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), "trust.forget", "trust", row.name, err,
		 "{\"serial\":\"%s\",\"device_id\":\"%s\"}", serial, idevid.device_id)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		memcpy(device_id_out, idevid.device_id, sizeof idevid.device_id);
out:
	store_rollback(&tx);
	store_trust_clear(&row);
	return rc;
}
