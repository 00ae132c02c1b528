/* /v1/audit. */
#include "core/audit.h"
#include "core/auditpoint.h"

#include "base/clock.h"
#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"
#include "x509/pem.h"

#include <stdio.h>
#include <string.h>

#define VERIFY_MAX 1000000


static const char *const list_names[] = {"limit", "after", "actor", "action", "target", "since", "until", NULL};
static const char *const trail_names[] = {"limit", "after", NULL};
static const char *const checkpoint_names[] = {"before", NULL};
static const char *const archive_names[] = {"until", "head", "file_sha256", NULL};
static const char *const verify_names[] = {"limit", "after", NULL};

struct page {
	json_t *(*shape)(const struct store_audit *row);
	json_t *items;
	size_t limit;
	bool more;
	int64_t at, seq; /* of the last item */
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
	if (json_array_append_new(page->items, page->shape(row)) != 0)
		return err_nomem(err);
	page->at = row->at;
	page->seq = row->seq;
	return 0;
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

static int
time_arg(const struct http_request *req, const char *name, int64_t *out, struct err *err)
{
	const char *text = http_query_get(req, name);

	if (text != NULL && (!clock_parse(text, out) || *out <= 0))
		return err_field(err, E_INPUT, name, "must be a time such as 2026-11-24T08:00:00Z");
	return 0;
}

static bool
is_filtered(const struct store_audit_filter *f)
{
	return f->actor != NULL || f->action != NULL || f->target != NULL || f->since != 0 || f->until != 0;
}

/* Where a filtered page ended: "TIME.SEQ". Without a filter it is the number alone. */
static int
after_arg(const struct http_request *req, struct store_audit_filter *f, struct err *err)
{
	const char *text = http_query_get(req, "after"), *dot = text == NULL || !is_filtered(f) ? NULL : strchr(text, '.');
	char at[24];

	if (text == NULL)
		return 0;
	if (dot != NULL && (size_t)(dot - text) < sizeof at) {
		memcpy(at, text, (size_t)(dot - text));
		at[dot - text] = '\0';
		if (integer_parse(at, 0, INT64_MAX, &f->after_at) && integer_parse(dot + 1, 1, INT64_MAX, &f->after_seq))
			return 0;
	}
	if (is_filtered(f))
		return err_field(err, E_INPUT, "after", "must be the `next` of a page with the same filters");
	return integer_parse(text, 0, INT64_MAX, &f->after_seq) ? 0
							      : err_field(err, E_INPUT, "after", "must be the number of a row");
}

static int
filter_read(const struct http_request *req, struct store_audit_filter *f, struct err *err)
{
	int rc;

	f->actor = http_query_get(req, "actor");
	f->action = http_query_get(req, "action");
	f->target = http_query_get(req, "target");
	if ((rc = time_arg(req, "since", &f->since, err)) != 0 || (rc = time_arg(req, "until", &f->until, err)) != 0)
		return rc;
	return after_arg(req, f, err);
}

static int
page_reply(struct page *page, bool is_filtered, struct http_reply *reply, struct err *err)
{
	char next[48] = "";

	if (page->more && is_filtered)
		(void)snprintf(next, sizeof next, "%lld.%lld", (long long)page->at, (long long)page->seq);
	else if (page->more)
		(void)snprintf(next, sizeof next, "%lld", (long long)page->seq);
	return json_reply_take(reply, 200, shape_page_take(page->items, next), err);
}

int
api_audit_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct page page = {.shape = shape_audit};
	struct store_audit_filter filter = {0};
	const char *after;
	int rc;

	if ((rc = http_query_only(req, list_names, err)) != 0 || (rc = args_page(req, &page.limit, &after, err)) != 0 ||
	    (rc = filter_read(req, &filter, err)) != 0)
		return rc;
	if ((page.items = json_array()) == NULL)
		return err_nomem(err);
	if (is_filtered(&filter))
		rc = audit_find(core, caller, &filter, page.limit + 1, add_row, &page, err);
	else
		rc = audit_each(core, caller, filter.after_seq, page.limit + 1, add_row, &page, err);
	if (rc != 0) {
		json_decref(page.items);
		return rc;
	}
	return page_reply(&page, is_filtered(&filter), reply, err);
}

static int
trail_reply(struct page *page, const struct store_audit_head *base, struct http_reply *reply, struct err *err)
{
	char next[24] = "";
	json_t *shape;

	if (page->more)
		(void)snprintf(next, sizeof next, "%lld", (long long)page->seq);
	if ((shape = shape_page_take(page->items, next)) != NULL &&
	    json_object_set_new(shape, "base", shape_audit_base(base)) != 0) {
		json_decref(shape);
		shape = NULL;
	}
	return json_reply_take(reply, 200, shape, err);
}

int
api_audit_trail(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct page page = {.shape = shape_audit_link};
	struct store_audit_head base = {0};
	int64_t after = 0, limit = ARGS_PAGE_MAX;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, trail_names, err)) != 0 || (rc = number_arg(req, "after", 0, INT64_MAX, &after, err)) != 0 ||
	    (rc = number_arg(req, "limit", 1, ARGS_PAGE_MAX, &limit, err)) != 0)
		return rc;
	page.limit = (size_t)limit;
	if ((page.items = json_array()) == NULL)
		return err_nomem(err);
	if ((rc = audit_trail(core, after, page.limit + 1, &base, add_row, &page, err)) != 0) {
		json_decref(page.items);
		return rc;
	}
	return trail_reply(&page, &base, reply, err);
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
	    json_pack("{s:I, s:I, s:I, s:b, s:o}", "archived", (json_int_t)verdict.archived, "rows", (json_int_t)verdict.rows,
		"keyed_from", (json_int_t)verdict.keyed_from, "intact", 1, "next", cursor),
	    err);
}

int
api_audit_checkpoint(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct buf cms = {0}, pem = {0};
	int64_t before = INT64_MAX;
	struct checkpoint checkpoint;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, checkpoint_names, err)) != 0 || (rc = time_arg(req, "before", &before, err)) != 0 ||
	    (rc = auditpoint_signed(core, before, &checkpoint, &cms, err)) != 0)
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

static int
digest_get(json_t *body, const char *name, uint8_t out[SHA256_LEN], struct err *err)
{
	const char *text = NULL;
	int rc;

	if ((rc = json_get_text(body, name, true, &text, err)) == 0 && !hex_decode(out, SHA256_LEN, text))
		rc = err_field(err, E_INPUT, name, "must be a SHA-256 in hex");
	return rc;
}

int
api_audit_archive(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	uint8_t head[SHA256_LEN], file[SHA256_LEN];
	int64_t until = 0, base = 0;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, archive_names, false, &body, err)) != 0)
		return rc;
	if ((rc = json_get_int(body, "until", 1, INT64_MAX, &until, err)) == 0 && until == 0)
		rc = err_field(err, E_INPUT, "until", "is required");
	if (rc == 0 && (rc = digest_get(body, "head", head, err)) == 0 && (rc = digest_get(body, "file_sha256", file, err)) == 0 &&
	    (rc = audit_archive(core, caller, until, head, file, &base, err)) == 0)
		rc = json_reply_take(reply, 200, json_pack("{s:I}", "archived", (json_int_t)base), err);
	json_decref(body);
	return rc;
}
