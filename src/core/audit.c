/* Audit rows: always in the transaction of what they tell, so that neither exists without the other. */
#include "core/audit.h"

#include "core/auditpoint.h"
#include "store/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_MAX 1100
#define VERIFY_ROWS 20000 /* in one transaction, which holds back the emptying of the database's log */

/* Name the request in the JSON object that TEXT is, or is to be: by that its lines in the log are found. False: no room. */
static bool
request_put(char text[DETAIL_MAX], const char *request)
{
	size_t len = strlen(text);
	int n;

	if (request[0] == '\0')
		return true;
	if (len > 0)
		len--; /* the brace */
	n = snprintf(text + len, DETAIL_MAX - len, "%s\"request\":\"%s\"}", len == 0 ? "{" : len == 1 ? "" : ",", request);
	return n >= 0 && (size_t)n < DETAIL_MAX - len;
}

int
audit_write(struct store_tx *tx, const struct caller *caller, int64_t now, const char *action,
    const char *target_kind, const char *target_id, struct err *err, const char *detail, ...)
{
	char target[STORE_NAME_SIZE + 32] = "";
	char text[DETAIL_MAX] = "";
	struct store_audit row = {.tenant_id = caller->tenant_id, .at = now, .actor = caller->who,
	    .action = action, .target = target, .detail = text};
	va_list ap;
	int n;

	(void)snprintf(target, sizeof target, "%s:%s", target_kind, target_id);
	if (detail != NULL) {
		va_start(ap, detail);
		n = vsnprintf(text, sizeof text, detail, ap);
		va_end(ap);
		if (n < 0 || (size_t)n >= sizeof text)
			return err_set(err, E_SYS, "the audit's detail of %s is too long", action);
	}
	if (!request_put(text, caller->request))
		return err_set(err, E_SYS, "the audit's detail of %s is too long", action);
	return store_audit_append(tx, &row, err);
}

static int
each_of(struct core *core, int64_t tenant_id, int64_t after, size_t limit, store_audit_each_fn *each, void *ctx,
    struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_audit_each(tx, tenant_id, after, limit, each, ctx, err);
	store_rollback(&tx);
	return rc;
}

int
audit_each(struct core *core, const struct caller *caller, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err)
{
	return each_of(core, caller->tenant_id, after, limit, each, ctx, err);
}

int
audit_trail(struct core *core, int64_t after, size_t limit, store_audit_each_fn *each, void *ctx, struct err *err)
{
	return each_of(core, 0, after, limit, each, ctx, err);
}

int
audit_find(struct core *core, const struct caller *caller, const struct store_audit_filter *filter, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_audit_find(tx, caller->tenant_id, filter, limit, each, ctx, err);
	store_rollback(&tx);
	return rc;
}

static int
verify_page(struct core *core, int64_t after, int64_t limit, struct store_audit_verdict *verdict, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_audit_verify(tx, after, limit, verdict, err)) == 0)
		rc = auditpoint_verify(tx, after, verdict->is_end ? INT64_MAX : verdict->last, err);
	store_rollback(&tx);
	return rc;
}

int
audit_verify(struct core *core, int64_t after, int64_t limit, struct store_audit_verdict *verdict_out, struct err *err)
{
	struct store_audit_verdict page = {.last = after}, all = {0};
	int64_t left;
	int rc;

	if ((rc = auditpoint_sync(core, err)) != 0)
		return rc;
	do {
		left = limit - all.rows;
		if ((rc = verify_page(core, page.last, left < VERIFY_ROWS ? left : VERIFY_ROWS, &page, err)) != 0)
			return rc;
		page.rows += all.rows;
		all = page;
	} while (!all.is_end && all.rows < limit);
	if (all.is_end && (rc = auditpoint_verify_end(core, err)) != 0)
		return rc;
	*verdict_out = all;
	return 0;
}
