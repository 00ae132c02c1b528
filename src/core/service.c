/* Services: like devices, but their topics are their own instead of a policy's. */
#include "core/service.h"

#include "core/audit.h"
#include "core/check.h"
#include "core/identity.h"
#include "core/publisher.h"
#include "core/revocation.h"
#include "core/rights.h"
#include "core/tenant.h"
#include "store/change.h"
#include "store/package.h"

#include <stdlib.h>
#include <string.h>

static int
topics_set(char **out, const char *field, const char *const *topics, size_t n, struct err *err)
{
	struct buf json = {0};
	int rc;

	if ((rc = rights_to_json(field, topics, n, policy_filter_check, &json, err)) == 0 &&
	    (*out = strdup(buf_str(&json))) == NULL)
		rc = err_nomem(err);
	buf_clear(&json);
	return rc;
}

static int
row_make(struct core *core, const struct caller *caller, const struct service_request *request,
    struct store_service *row, struct err *err)
{
	int rc;

	if ((rc = check_word("name", request->name, err)) != 0)
		return rc;
	if (uuid_is_valid(request->name))
		return err_field(err, E_INPUT, "name", "may not look like an id");
	if (request->n_read + request->n_write == 0)
		return err_field(err, E_INPUT, "read", "a service needs a topic to read or to write");
	if ((rc = uuid_make(row->id, err)) != 0 ||
	    (rc = topics_set(&row->read, "read", request->read, request->n_read, err)) != 0 ||
	    (rc = topics_set(&row->write, "write", request->write, request->n_write, err)) != 0)
		return rc;
	row->tenant_id = caller->tenant_id;
	(void)text_copy(row->name, sizeof row->name, request->name);
	row->status = DEVICE_ACTIVE;
	row->created_at = row->updated_at = core->now();
	return 0;
}

static struct credential_owner
owner_of(const struct store_service *row)
{
	return (struct credential_owner){
	    OWNER_SERVICE, row->id, row->name, row->tenant_id, row->write, row->read};
}

static int
finish_tx(struct store_tx **tx, const struct caller *caller, const struct store_service *row,
    const char *action, const char *reason, struct err *err)
{
	int64_t seq;
	int rc;

	if ((rc = store_change_append(*tx, row->tenant_id, "service", row->id, row->updated_at, &seq, err)) != 0)
		return rc;
	if (reason != NULL)
		rc = audit_write(*tx, caller, row->updated_at, action, "service", row->id, err,
		    "{\"name\":\"%s\",\"reason\":\"%s\"}", row->name, reason);
	else
		rc = audit_write(*tx, caller, row->updated_at, action, "service", row->id, err,
		    "{\"name\":\"%s\"}", row->name);
	return rc == 0 ? store_commit(tx, err) : rc;
}

static int
add_commit(struct core *core, const struct caller *caller, const struct store_service *row,
    const struct credential *credential, struct err *err)
{
	const struct credential_owner owner = owner_of(row);
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = tenant_check(tx, row->tenant_id, err)) == 0 && (rc = store_service_insert(tx, row, err)) == 0 &&
	    (rc = credential_store(tx, &owner, credential, row->created_at, err)) == 0)
		rc = finish_tx(&tx, caller, row, "service.add", NULL, err);
	store_rollback(&tx);
	return rc;
}

/* Only topics of its tenant. A device stays its tenant's, so the transaction need not look again. */
static int
check_topics(struct core *core, const struct caller *caller, const struct service_request *request, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = rights_own_check(tx, caller, "read", request->read, request->n_read, false, err)) == 0)
		rc = rights_own_check(tx, caller, "write", request->write, request->n_write, false, err);
	store_rollback(&tx);
	return rc;
}

/* A taken name is refused before anything is signed; the transaction looks again. */
static int
check_name_is_free(
    struct core *core, const struct caller *caller, const char *name, struct err *err)
{
	struct store_service row = {0};
	struct err none = {0};
	int rc = service_get(core, caller, name, &row, &none);

	store_service_clear(&row);
	if (rc == 0)
		return err_field(err, E_CONFLICT, "name", "there is a service %s already", name);
	if (rc != E_NOTFOUND)
		*err = none;
	return rc == E_NOTFOUND ? 0 : rc;
}

int
service_add(struct core *core, const struct caller *caller, const struct service_request *request,
    struct store_service *service_out, struct credential *credential_out, struct err *err)
{
	struct credential credential = {0};
	struct credential_owner owner;
	struct store_service row = {0};
	int rc;

	if ((rc = row_make(core, caller, request, &row, err)) != 0 || (rc = check_topics(core, caller, request, err)) != 0 ||
	    (rc = check_name_is_free(core, caller, row.name, err)) != 0)
		goto out;
	owner = owner_of(&row);
	if ((rc = credential_make(core, &owner, &request->credential, &credential, err)) != 0)
		goto out;
	if ((rc = add_commit(core, caller, &row, &credential, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		goto out;
	}
	publisher_wake(core->publisher, PUBLISH_RIGHTS);
	*service_out = row;
	*credential_out = credential;
	row = (struct store_service){0};
	credential = (struct credential){0};
out:
	credential_clear(&credential);
	store_service_clear(&row);
	return rc;
}

int
service_get(struct core *core, const struct caller *caller, const char *id_or_name,
    struct store_service *service_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_service_get(tx, caller->tenant_id, id_or_name, service_out, err);
	store_rollback(&tx);
	return rc;
}

int
service_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_service *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE],
    struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_service_list(tx, caller->tenant_id, limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

/* Read the service in TX; E_CONFLICT unless it is active. */
static int
get_active(struct store_tx *tx, const struct caller *caller, const char *id_or_name,
    struct store_service *row, struct err *err)
{
	int rc;

	if ((rc = store_service_get(tx, caller->tenant_id, id_or_name, row, err)) != 0)
		return rc;
	if (row->status != DEVICE_ACTIVE)
		return err_set(
		    err, E_CONFLICT, "the service is %s", store_device_status_name(row->status));
	return 0;
}

int
service_revoke(struct core *core, const struct caller *caller, const char *id_or_name,
    enum crl_reason reason, struct store_service *service_out, struct err *err)
{
	struct revocation revocation;
	struct store_service row = {0};
	struct store_tx *tx = NULL;
	int rc;

	if (reason == REASON_CERTIFICATE_HOLD || reason == REASON_REMOVE_FROM_CRL)
		return err_field(err, E_INPUT, "reason", "%s is no reason to revoke for good",
		    reason_name(reason));
	if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = get_active(tx, caller, id_or_name, &row, err)) != 0)
		goto out;
	row.status = DEVICE_REVOKED;
	row.updated_at = core->now();
	if ((rc = store_service_update(tx, &row, err)) != 0 ||
	    (rc = revocation_apply(tx, row.tenant_id, row.id, reason, row.updated_at, NULL, &revocation,
		 err)) != 0 ||
	    (rc = finish_tx(&tx, caller, &row, "service.revoke", reason_name(reason), err)) != 0 ||
	    (rc = revocation_finish(core, &revocation, err)) != 0)
		goto out;
	*service_out = row;
	row = (struct store_service){0};
out:
	store_rollback(&tx);
	store_service_clear(&row);
	return rc;
}

/* New certificate in, earlier ones out, if the service is still active (threat F3). */
static int
reissue_commit(struct core *core, const struct caller *caller, const struct store_service *before,
    const struct credential *credential, struct revocation *revocation, struct err *err)
{
	const struct credential_owner owner = owner_of(before);
	struct store_service row = {0};
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = get_active(tx, caller, owner.id, &row, err)) != 0)
		goto out;
	row.updated_at = now;
	if ((rc = store_package_withdraw(tx, owner.id, now, err)) == 0 &&
	    (rc = credential_store(tx, &owner, credential, now, err)) == 0 &&
	    (rc = revocation_apply(tx, owner.tenant_id, owner.id, REASON_SUPERSEDED, now,
		 credential->certificate.serial, revocation, err)) == 0 &&
	    (rc = store_service_update(tx, &row, err)) == 0)
		rc = finish_tx(&tx, caller, &row, "service.reissue", NULL, err);
out:
	store_rollback(&tx);
	store_service_clear(&row);
	return rc;
}

int
service_reissue(struct core *core, const struct caller *caller, const char *id_or_name,
    const struct credential_request *request, struct store_service *service_out,
    struct credential *credential_out, struct err *err)
{
	struct credential credential = {0};
	struct credential_owner owner;
	struct revocation revocation;
	struct store_service row = {0};
	int rc;

	if ((rc = service_get(core, caller, id_or_name, &row, err)) != 0)
		return rc;
	owner = owner_of(&row);
	if (identity_is(&row)) {
		rc = err_set(err, E_DENIED, "this is Muster's own service: nobody else gets its credentials");
		goto out;
	}
	if (row.status != DEVICE_ACTIVE) {
		rc = err_set(err, E_CONFLICT, "the service is %s", store_device_status_name(row.status));
		goto out;
	}
	if ((rc = credential_make(core, &owner, request, &credential, err)) != 0)
		goto out;
	if ((rc = reissue_commit(core, caller, &row, &credential, &revocation, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		goto out;
	}
	/* As in device_reissue: the new key must not be lost for a late broker. */
	(void)revocation_finish(core, &revocation, &(struct err){0});
	*service_out = row;
	*credential_out = credential;
	row = (struct store_service){0};
	credential = (struct credential){0};
out:
	credential_clear(&credential);
	store_service_clear(&row);
	return rc;
}
