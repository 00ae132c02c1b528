/* Setting a policy is one row, one change and one publication, however many devices use it. */
#include "core/policies.h"

#include "authz/feed.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/publisher.h"
#include "core/rights.h"
#include "store/change.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* Rights may have shrunk: in ACL-file mode the answer waits until the broker has been told. */
static int
publish(struct core *core, struct err *err)
{
	if (strcmp(core_config(core)->settings.broker_mode, "acl-file") == 0)
		return publisher_wait(
		    core->publisher, publisher_ask(core->publisher, PUBLISH_RIGHTS), PUBLISH_RIGHTS, err);
	publisher_wake(core->publisher, PUBLISH_RIGHTS);
	return 0;
}

static int
row_make(struct core *core, const struct caller *caller, const char *name,
    const struct policies_request *request, struct store_policy *row, struct err *err)
{
	struct buf write = {0}, read = {0};
	int rc;

	if ((rc = check_word("name", name, err)) != 0 ||
	    (rc = rights_to_json("write", request->write, request->n_write, policy_template_check,
		 &write, err)) != 0 ||
	    (rc = rights_to_json("read", request->read, request->n_read, policy_template_check, &read,
		 err)) != 0)
		goto out;
	if (request->sessions < 0 || request->sessions > FEED_SESSIONS_MAX) {
		rc = err_field(err, E_INPUT, "sessions", "must be 1 to %d", FEED_SESSIONS_MAX);
		goto out;
	}
	row->tenant_id = caller->tenant_id;
	row->sessions = request->sessions > 0 ? request->sessions : 1;
	row->updated_at = core->now();
	(void)text_copy(row->name, sizeof row->name, name);
	row->write = strdup(buf_str(&write));
	row->read = strdup(buf_str(&read));
	if (row->write == NULL || row->read == NULL)
		rc = err_nomem(err);
out:
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

int
policies_put_builtin(struct store_tx *tx, int64_t tenant_id, int64_t now, struct err *err)
{
	struct store_policy row = {.tenant_id = tenant_id, .updated_at = now};
	struct buf write = {0}, read = {0};
	int rc;

	(void)text_copy(row.name, sizeof row.name, POLICY_BUILTIN);
	if ((rc = rights_to_json(
		 "write", policy_builtin_write, policy_builtin_n_write, policy_template_check, &write, err)) == 0 &&
	    (rc = rights_to_json(
		 "read", policy_builtin_read, policy_builtin_n_read, policy_template_check, &read, err)) == 0) {
		row.write = (char *)write.data;
		row.read = (char *)read.data;
		rc = store_policy_put(tx, &row, err);
	}
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

int
policies_set(struct core *core, const struct caller *caller, const char *name,
    const struct policies_request *request, struct store_policy *policy_out, struct err *err)
{
	struct store_policy row = {0};
	struct store_tx *tx = NULL;
	int64_t seq;
	int rc;

	if ((rc = row_make(core, caller, name, request, &row, err)) != 0 ||
	    (rc = store_begin(core->store, &tx, err)) != 0 ||
	    (rc = rights_own_check(tx, caller, "write", request->write, request->n_write, true, err)) != 0 ||
	    (rc = rights_own_check(tx, caller, "read", request->read, request->n_read, true, err)) != 0 ||
	    (rc = store_policy_put(tx, &row, err)) != 0 ||
	    (rc = store_change_append(tx, row.tenant_id, "policy", name, row.updated_at, &seq, err)) != 0 ||
	    (rc = audit_write(tx, caller, row.updated_at, "policy.set", "policy", name, err,
		 "{\"write\":%zu,\"read\":%zu,\"sessions\":%lld}", request->n_write, request->n_read,
		 (long long)row.sessions)) != 0 ||
	    (rc = store_commit(&tx, err)) != 0 || (rc = publish(core, err)) != 0)
		goto out;
	*policy_out = row;
	row = (struct store_policy){0};
out:
	store_rollback(&tx);
	store_policy_clear(&row);
	return rc;
}

int
policies_get(struct core *core, const struct caller *caller, const char *name,
    struct store_policy *policy_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_policy_get(tx, caller->tenant_id, name, policy_out, err);
	store_rollback(&tx);
	return rc;
}

int
policies_remove(struct core *core, const struct caller *caller, const char *name, struct err *err)
{
	struct store_tx *tx = NULL;
	int64_t now = core->now(), seq;
	int rc;

	if (strcmp(name, POLICY_BUILTIN) == 0)
		return err_set(err, E_CONFLICT, "the built-in policy stays; it can be set to no topics");
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_policy_remove(tx, caller->tenant_id, name, err)) == 0 &&
	    (rc = store_change_append(tx, caller->tenant_id, "policy", name, now, &seq, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, "policy.remove", "policy", name, err, NULL)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
policies_each(struct core *core, const struct caller *caller, store_policy_each_fn *each, void *ctx,
    struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_policy_each(tx, caller->tenant_id, each, ctx, err);
	store_rollback(&tx);
	return rc;
}
