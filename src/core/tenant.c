/* Tenants are made, changed and counted here. That nobody reaches another's rows is not done here: each query of a tenant's
 * rows names the tenant of its caller. */
#include "core/tenant.h"

#include "authz/policy.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/policies.h"
#include "core/rights.h"
#include "store/change.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

/* A lower-case word. Not `devices`: with that level begin the topics of every tenant's devices. */
static int
name_check(const char *name, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = name != NULL ? strlen(name) : 0;

	if (len == 0)
		return err_field(err, E_INPUT, "name", "is required");
	if (len > TENANT_NAME_MAX || strspn(name, allowed) != len || name[0] < 'a')
		return err_field(err, E_INPUT, "name", "must be 1 to %d of the characters a-z 0-9 -, the first a letter",
		    TENANT_NAME_MAX);
	if (strcmp(name, "devices") == 0)
		return err_field(err, E_INPUT, "name", "is taken: topics of every tenant's devices begin with it");
	return 0;
}

static int
profile_check(const char *name, struct err *err)
{
	return check_word("profiles", name, err);
}

/* What REQUEST says of the row. */
static int
request_apply(struct core *core, const struct tenant_request *request, struct store_tenant *row, struct err *err)
{
	struct buf json = {0};
	size_t i;
	int rc = 0;

	if (request->quota > TENANT_QUOTA_MAX)
		return err_field(err, E_INPUT, "quota", "must be at most %d", TENANT_QUOTA_MAX);
	if (request->quota >= 0)
		row->quota = request->quota;
	if (request->profiles == NULL)
		return 0;
	if (request->n_profiles > TENANT_PROFILES_MAX)
		return err_field(err, E_INPUT, "profiles", "at most %d", TENANT_PROFILES_MAX);
	for (i = 0; i < request->n_profiles; i++)
		if (profile_find(&core_config(core)->profiles, request->profiles[i]) == NULL)
			return err_field(err, E_INPUT, "profiles",
			    "there is no profile of that name; `muster profile list` shows those there are");
	rc = rights_to_json("profiles", request->profiles, request->n_profiles, profile_check, &json, err);
	if (rc == 0 && !text_copy(row->profiles, sizeof row->profiles, buf_str(&json)))
		rc = err_field(err, E_INPUT, "profiles", "are too long");
	buf_clear(&json);
	return rc;
}

int
tenant_add(struct core *core, const struct caller *caller, const char *name, const struct tenant_request *request,
    struct store_tenant *row_out, struct err *err)
{
	struct store_tenant row = {.profiles = "[]", .created_at = core->now()};
	struct store_tx *tx = NULL;
	int64_t seq;
	int rc;

	if ((rc = name_check(name, err)) != 0 || (rc = request_apply(core, request, &row, err)) != 0)
		return rc;
	(void)text_copy(row.name, sizeof row.name, name);
	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = store_tenant_insert(tx, &row, &row.id, err)) == 0 &&
	    (rc = policies_put_builtin(tx, row.id, row.created_at, err)) == 0 &&
	    (rc = store_change_append(tx, row.id, "policy", POLICY_BUILTIN, row.created_at, &seq, err)) == 0 &&
	    (rc = audit_write(tx, caller, row.created_at, "tenant.add", "tenant", row.name, err, "{\"quota\":%lld,\"profiles\":%s}",
		 (long long)row.quota, row.profiles)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		*row_out = row;
	store_rollback(&tx);
	return rc;
}

/* NAME, if CALLER may know of it. */
static int
get(struct store_tx *tx, const struct caller *caller, const char *name, struct store_tenant *row_out, struct err *err)
{
	struct store_tenant row;
	int rc;

	if ((rc = store_tenant_get(tx, name, &row, err)) != 0)
		return rc;
	if (caller->is_bound && row.id != caller->tenant_id)
		return err_set(err, E_NOTFOUND, "no such tenant");
	*row_out = row;
	return 0;
}

int
tenant_get(struct core *core, const struct caller *caller, const char *name, struct store_tenant *row_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = get(tx, caller, name, row_out, err);
	store_rollback(&tx);
	return rc;
}

int
tenant_list(struct core *core, const struct caller *caller, size_t limit, const char *after, struct store_tenant *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if (!caller->is_bound) {
		rc = store_tenant_list(tx, limit, after, rows_out, n_out, next_out, err);
	} else if ((rc = store_tenant_by_id(tx, caller->tenant_id, rows_out, err)) == 0) {
		*n_out = 1;
		next_out[0] = '\0';
	}
	store_rollback(&tx);
	return rc;
}

int
tenant_update(struct core *core, const struct caller *caller, const char *name, const struct tenant_request *request,
    struct store_tenant *row_out, struct err *err)
{
	struct store_tenant row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = get(tx, caller, name, &row, err)) == 0 &&
	    (rc = request_apply(core, request, &row, err)) == 0 && (rc = store_tenant_update(tx, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), "tenant.update", "tenant", row.name, err,
		 "{\"quota\":%lld,\"profiles\":%s}", (long long)row.quota, row.profiles)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		*row_out = row;
	store_rollback(&tx);
	return rc;
}

int
tenant_remove(struct core *core, const struct caller *caller, const char *name, struct err *err)
{
	struct store_tenant row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = get(tx, caller, name, &row, err)) == 0 &&
	    row.id == STORE_TENANT_DEFAULT)
		rc = err_set(err, E_CONFLICT, "the tenant default is the installation's own, and stays");
	if (rc == 0 && (rc = store_tenant_remove(tx, row.id, now, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, "tenant.remove", "tenant", row.name, err, NULL)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
tenant_profiles_read(struct core *core, int64_t tenant_id, struct tenant_profiles *out, struct err *err)
{
	struct store_tenant row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_tenant_by_id(tx, tenant_id, &row, err)) == 0)
		memcpy(out->json, row.profiles, sizeof out->json);
	store_rollback(&tx);
	return rc;
}

/* A profile's name is a word: it stands in the array as it is, between quotes. */
bool
tenant_profiles_have(const struct tenant_profiles *profiles, const char *name)
{
	char quoted[STORE_WORD_SIZE + 2];
	int n = snprintf(quoted, sizeof quoted, "\"%s\"", name);

	if (strcmp(profiles->json, "[]") == 0)
		return true;
	return n > 0 && (size_t)n < sizeof quoted && strstr(profiles->json, quoted) != NULL;
}

int
tenant_enter(struct core *core, struct caller *caller, const char *name, struct err *err)
{
	struct store_tenant row;
	int rc;

	if ((rc = tenant_get(core, caller, name, &row, err)) != 0)
		return rc;
	caller->tenant_id = row.id;
	caller->names_tenant = true;
	return 0;
}

int
tenant_check(struct store_tx *tx, int64_t tenant_id, struct err *err)
{
	struct store_tenant row;

	return store_tenant_by_id(tx, tenant_id, &row, err);
}

int
tenant_room(struct store_tx *tx, int64_t tenant_id, int64_t n, struct err *err)
{
	struct store_tenant row;
	int rc;

	if ((rc = store_tenant_by_id(tx, tenant_id, &row, err)) == 0 && row.quota > 0 && row.devices + n > row.quota)
		rc = err_set(err, E_CONFLICT, "the tenant %s has as many devices as it may have (%lld): revoke one first, or have its quota raised",
		    row.name, (long long)row.quota);
	return rc;
}
