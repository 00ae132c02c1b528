/* The key is made when there is something to say, and never written down: a file would have to be guarded, kept out of backups
 * and renewed, and whoever restarts the service gets another certificate within a second. */
#include "core/identity.h"

#include "core/audit.h"
#include "core/credential.h"
#include "core/publisher.h"
#include "core/revocation.h"
#include "store/change.h"

#include <stdlib.h>
#include <string.h>

#define PROFILE "short"
#define TENANT STORE_TENANT_DEFAULT

bool
identity_is(const struct store_service *row)
{
	return strcmp(row->name, IDENTITY_NAME) == 0;
}

/* One whose certificates need no proof: `short`, unless somebody has made it another. */
static const char *
profile_choose(struct core *core)
{
	const struct profiles *profiles = &core_config(core)->profiles;
	const struct profile *p = profile_find(profiles, PROFILE);
	size_t i;

	for (i = 0; p->attest && i < profiles->n; i++)
		p = &profiles->list[i];
	return p->name;
}

/* The service as it is in TX, or a new one. *IS_NEW_OUT: it is yet to be inserted. */
static int
row_get(struct store_tx *tx, int64_t now, struct store_service *row, bool *is_new_out, struct err *err)
{
	struct err none = {0};
	int rc = store_service_get(tx, TENANT, IDENTITY_NAME, row, &none);

	*is_new_out = rc == E_NOTFOUND;
	if (rc != E_NOTFOUND) {
		if (rc != 0)
			*err = none;
		row->updated_at = now;
		return rc;
	}
	row->tenant_id = TENANT;
	row->status = DEVICE_ACTIVE;
	row->created_at = row->updated_at = now;
	(void)text_copy(row->name, sizeof row->name, IDENTITY_NAME);
	if ((rc = uuid_make(row->id, err)) != 0)
		return rc;
	if ((row->read = strdup("[\"" IDENTITY_READ "\"]")) == NULL || (row->write = strdup("[\"" IDENTITY_WRITE "\"]")) == NULL)
		return err_nomem(err);
	return 0;
}

/* Written anew, or revoked meanwhile. */
static int
row_put(struct store_tx *tx, const struct store_service *row, bool is_new, struct err *err)
{
	struct store_service there = {0};
	int rc;

	if (is_new)
		return store_service_insert(tx, row, err);
	if ((rc = store_service_get(tx, TENANT, row->id, &there, err)) == 0 && there.status != DEVICE_ACTIVE)
		rc = err_set(err, E_CONFLICT, "Muster's own service was just revoked");
	store_service_clear(&there);
	return rc == 0 ? store_service_update(tx, row, err) : rc;
}

static int
commit(struct core *core, const struct store_service *row, bool is_new, const struct credential_owner *owner,
    const struct credential *credential, struct revocation *revocation, struct err *err)
{
	const struct caller system = {.role = ROLE_ADMIN, .tenant_id = TENANT, .who = "system"};
	struct store_tx *tx = NULL;
	int64_t now = row->updated_at, seq;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = row_put(tx, row, is_new, err)) == 0 &&
	    (rc = credential_store(tx, owner, credential, now, err)) == 0 &&
	    (rc = revocation_apply(tx, TENANT, row->id, REASON_SUPERSEDED, now, credential->certificate.serial, revocation, err)) ==
		0 &&
	    (rc = store_change_append(tx, TENANT, "service", row->id, now, &seq, err)) == 0 &&
	    (rc = audit_write(tx, &system, now, is_new ? "service.add" : "service.reissue", "service", row->id, err,
		 "{\"name\":\"%s\"}", row->name)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static void
take(struct identity *out, const struct store_service *row, struct credential *credential)
{
	struct store_certificate *cert = &credential->certificate;

	*out = (struct identity){.key_pem = credential->key_pem, .cert = cert->der, .cert_len = cert->der_len,
	    .renew_at = cert->not_before + (cert->not_after - cert->not_before) / 2};
	memcpy(out->id, row->id, sizeof out->id);
	memcpy(out->serial, cert->serial, sizeof out->serial);
	credential->key_pem = (struct secret){0};
	cert->der = NULL;
}

int
identity_make(struct core *core, struct identity *out, struct err *err)
{
	struct credential_request request = {.profile = profile_choose(core), .bare_key = true, .any_profile = true};
	struct credential credential = {0};
	struct store_service row = {0};
	struct credential_owner owner;
	struct revocation revocation;
	struct store_tx *tx = NULL;
	bool is_new;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = row_get(tx, core->now(), &row, &is_new, err);
	store_rollback(&tx);
	if (rc != 0)
		goto out;
	owner = (struct credential_owner){OWNER_SERVICE, row.id, row.name, TENANT, row.write, row.read};
	if ((rc = credential_make(core, &owner, &request, &credential, err)) != 0)
		goto out;
	if ((rc = commit(core, &row, is_new, &owner, &credential, &revocation, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		goto out;
	}
	/* In ACL-file mode this waits for the broker's signal, without which it would deny us. */
	if ((rc = revocation_finish(core, &revocation, err)) == 0)
		take(out, &row, &credential);
out:
	credential_clear(&credential);
	store_service_clear(&row);
	return rc;
}

bool
identity_is_good(struct core *core, const struct identity *identity)
{
	struct store_certificate cert = {0};
	struct store_service row = {0};
	struct store_tx *tx = NULL;
	bool good;

	if (identity->cert == NULL || core->now() >= identity->renew_at || store_read(core->store, &tx, NULL) != 0)
		return false;
	good = store_service_get(tx, TENANT, identity->id, &row, NULL) == 0 && row.status == DEVICE_ACTIVE &&
	    store_certificate_by_serial(tx, identity->serial, &cert, NULL) == 0 && cert.state == CERTIFICATE_ACTIVE;
	store_rollback(&tx);
	store_service_clear(&row);
	store_certificate_clear(&cert);
	return good;
}

void
identity_clear(struct identity *identity)
{
	secret_clear(&identity->key_pem);
	free(identity->cert);
	*identity = (struct identity){0};
}
