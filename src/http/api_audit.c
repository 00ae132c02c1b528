/* /v1/audit. */
#include "core/audit.h"
#include "core/auditpoint.h"

#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"
#include "x509/pem.h"

#include <stdio.h>

#define VERIFY_MAX 1000000

static const char *const list_names[] = {"limit", "after", NULL};
static const char *const verify_names[] = {"limit", "after", NULL};

struct page {
	json_t *items;
	size_t limit;
	bool more;
	int64_t last; /* seq of the last item */
};

/* One row more than the page holds tells whether there is a next one. */
static int
add_row(void *ctx, const struct store_audit *row, struct err *err)
{
	struct page *page = ctx;

	if (json_array_size(page->items) == page->limit) {
		page->more = true;
		return 0;
	}
	if (json_array_append_new(page->items, shape_audit(row)) != 0)
		return err_nomem(err);
	page->last = row->seq;
	return 0;
}

int
api_audit_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct page page = {0};
	const char *after_text;
	int64_t after = 0;
	char next[24] = "";
	int rc;

	if ((rc = http_query_only(req, list_names, err)) != 0 ||
	    (rc = args_page(req, &page.limit, &after_text, err)) != 0)
		return rc;
	if (after_text != NULL && !integer_parse(after_text, 0, INT64_MAX, &after))
		return err_field(err, E_INPUT, "after", "must be the number of a row");
	if ((page.items = json_array()) == NULL)
		return err_nomem(err);
	if ((rc = audit_each(core, caller, after, page.limit + 1, add_row, &page, err)) != 0) {
		json_decref(page.items);
		return rc;
	}
	if (page.more)
		(void)snprintf(next, sizeof next, "%lld", (long long)page.last);
	return json_reply_take(reply, 200, shape_page_take(page.items, next), err);
}

/* A query parameter that is a number; absent, *OUT stays. */
static int
number_arg(const struct http_request *req, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
	const char *text = http_query_get(req, name);

	if (text != NULL && !integer_parse(text, min, max, out))
		return err_field(err, E_INPUT, name, "must be a number from %lld to %lld", (long long)min, (long long)max);
	return 0;
}

int
api_audit_verify(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_audit_verdict verdict = {0};
	int64_t after = 0, limit = INT64_MAX;
	char next[24];
	json_t *cursor;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, verify_names, err)) != 0 || (rc = number_arg(req, "after", 0, INT64_MAX, &after, err)) != 0 ||
	    (rc = number_arg(req, "limit", 1, VERIFY_MAX, &limit, err)) != 0 ||
	    (rc = audit_verify(core, after, limit, &verdict, err)) != 0)
		return rc;
	(void)snprintf(next, sizeof next, "%lld", (long long)verdict.last);
	cursor = verdict.is_end ? json_null() : json_string(next);
	return json_reply_take(reply, 200,
	    json_pack("{s:I, s:I, s:b, s:o}", "rows", (json_int_t)verdict.rows, "keyed_from",
		(json_int_t)verdict.keyed_from, "intact", 1, "next", cursor),
	    err);
}

int
api_audit_checkpoint(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct buf cms = {0}, pem = {0};
	struct checkpoint checkpoint;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = auditpoint_last(core, &checkpoint, &cms, err)) != 0)
		goto out;
	pem_encode(&pem, CHECKPOINT_PEM_LABEL, cms.data, cms.len);
	if (buf_failed(&pem))
		rc = err_nomem(err);
	else
		rc = json_reply_take(reply, 200, shape_checkpoint(&checkpoint, buf_str(&pem)), err);
out:
	buf_clear(&cms);
	buf_clear(&pem);
	return rc;
}
