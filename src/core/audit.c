/* Audit rows: always in the transaction of what they tell, so that neither exists without the other. */
#include "core/audit.h"

#include "core/auditpoint.h"
#include "base/text.h"
#include "store/auditpoint.h"
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

int
audit_each(struct core *core, const struct caller *caller, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_audit_each(tx, caller->tenant_id, after, limit, each, ctx, err);
	store_rollback(&tx);
	return rc;
}

int
audit_trail(struct core *core, int64_t after, size_t limit, struct store_audit_head *base_out, store_audit_each_fn *each,
    void *ctx, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_audit_base(tx, base_out, err)) == 0)
		rc = store_audit_each(tx, 0, after, limit, each, ctx, err);
	store_rollback(&tx);
	return rc;
}

/* Up to POINT, in TX. The row that tells of it is what makes it no cut. */
static int
drop_upto(struct core *core, struct store_tx *tx, const struct caller *caller, const struct store_auditpoint *point,
    const uint8_t *digest, struct err *err)
{
	struct caller whole = *caller;
	char head[2 * SHA256_LEN + 1], file[2 * SHA256_LEN + 1], seq[24];
	int rc;

	whole.tenant_id = STORE_TENANT_DEFAULT;
	hex_encode(head, point->head, SHA256_LEN);
	hex_encode(file, digest, SHA256_LEN);
	(void)snprintf(seq, sizeof seq, "%lld", (long long)point->seq);
	if ((rc = audit_write(tx, &whole, core->now(), STORE_AUDIT_ARCHIVE, "audit", seq, err,
		 "{\"head\":\"%s\",\"file_sha256\":\"%s\"}", head, file)) != 0 ||
	    (rc = store_auditpoint_drop(tx, point->number, err)) != 0)
		return rc;
	return store_audit_drop(tx, point->seq, point->head, err);
}

/* Where the next step ends: at a checkpoint up to the one about UNTIL, which is as the caller has it. */
static int
step_find(struct store_tx *tx, int64_t until, const uint8_t *head, struct store_auditpoint *out, struct err *err)
{
	struct store_auditpoint last;
	struct store_audit_head base;
	int64_t upto;
	int rc;

	if ((rc = store_audit_base(tx, &base, err)) != 0)
		return rc;
	if (until <= base.seq)
		return err_set(err, E_CONFLICT, "the rows up to %lld were removed before", (long long)base.seq);
	if ((rc = store_auditpoint_at(tx, until, &last, err)) == E_NOTFOUND ||
	    (rc == 0 && memcmp(last.head, head, SHA256_LEN) != 0))
		return err_set(err, E_CONFLICT, "there is no such checkpoint");
	if (rc != 0)
		return rc;
	upto = until - base.seq > AUDIT_ARCHIVE_ROWS ? base.seq + AUDIT_ARCHIVE_ROWS : until;
	return store_auditpoint_step(tx, base.seq, upto, out, err);
}

int
audit_archive(struct core *core, const struct caller *caller, int64_t until, const uint8_t *head, const uint8_t *digest,
    int64_t *base_out, struct err *err)
{
	struct store_auditpoint point;
	struct store_tx *tx = NULL;
	int rc;

	if (strcmp(caller->from, "socket") != 0 || strncmp(caller->who, "uid:", 4) != 0)
		return err_set(err, E_DENIED, "audit rows are removed on the server's own host alone");
	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = step_find(tx, until, head, &point, err)) == 0 &&
	    (rc = drop_upto(core, tx, caller, &point, digest, err)) == 0 && (rc = store_commit(&tx, err)) == 0)
		*base_out = point.seq;
	store_rollback(&tx);
	return rc;
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
		rc = auditpoint_verify(tx, after > verdict->archived ? after : verdict->archived,
		    verdict->is_end ? INT64_MAX : verdict->last, err);
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
