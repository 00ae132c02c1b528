/* Tables `device` and `device_archive`. Every query but those that feed brokers and those that archive names the tenant. */
#include "store/device.h"

#include "store/cursor.h"
#include "store/tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 1000
#define ABOVE_ALL "\xf4\x8f\xbf\xbf" /* U+10FFFF, a noncharacter that no name may hold */
#define BEFORE_ALL "00000000-0000-0000-0000-000000000000" /* no UUIDv4 is less */
#define COLUMNS_WITH(status)                                                                       \
	"id, tenant_id, name, type, location, labels, " status ", policy, created_at, updated_at, last_seen"
#define COLUMNS COLUMNS_WITH("status")
#define ARCHIVED "4" /* DEVICE_ARCHIVED: the table says it */
_Static_assert(DEVICE_ARCHIVED == 4, "see ARCHIVED");

static const char *const statuses[DEVICE_STATUSES] = {
    "pending", "active", "suspended", "revoked", "archived"};

const char *
store_device_status_name(enum device_status status)
{
	return statuses[status];
}

bool
store_device_status_parse(const char *name, enum device_status *status_out)
{
	int i;

	for (i = 0; i < DEVICE_STATUSES; i++)
		if (strcmp(name, statuses[i]) == 0) {
			*status_out = (enum device_status)i;
			return true;
		}
	return false;
}

void
store_device_clear(struct store_device *row)
{
	free(row->labels);
	*row = (struct store_device){0};
}

static void
row_read(struct db_rows *rows, struct store_device *row)
{
	*row = (struct store_device){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	db_col_text(rows, 3, row->type, sizeof row->type);
	db_col_text(rows, 4, row->location, sizeof row->location);
	db_col_strdup(rows, 5, &row->labels);
	row->status = (enum device_status)db_col_enum(rows, 6, DEVICE_STATUSES);
	db_col_text(rows, 7, row->policy, sizeof row->policy);
	row->created_at = db_col_int(rows, 8);
	row->updated_at = db_col_int(rows, 9);
	row->last_seen = db_col_int(rows, 10);
}

/* Does it count for its tenant's quota? Not the revoked. */
static bool
is_counted(const struct store_device *row)
{
	return row->status != DEVICE_REVOKED && row->status != DEVICE_ARCHIVED;
}

int
store_device_insert(struct store_tx *tx, const struct store_device *row, struct err *err)
{
	char key[STORE_NAME_SIZE];
	int rc;

	text_lower(key, sizeof key, row->name);
	if (is_counted(row) &&
	    (rc = db_exec(tx->db, "UPDATE tenant SET devices = devices + 1 WHERE id = $1", DB_ARGS(db_int(row->tenant_id)), NULL,
		 err)) != 0)
		return rc;
	return db_exec(tx->db,
	    "INSERT INTO device (id, tenant_id, name, name_key, type, location, labels, status, "
	    "policy,"
	    " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name), db_text(key),
		db_text(row->type), db_text(row->location), db_text(row->labels),
		db_int(row->status), db_text(row->policy), db_int(row->created_at),
		db_int(row->updated_at)),
	    NULL, err);
}

int
store_device_get(struct store_tx *tx, int64_t tenant_id, const char *id,
    struct store_device *row_out, struct err *err)
{
	struct store_device row = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM device WHERE id = $1 AND tenant_id = $2 UNION ALL"
	    " SELECT " COLUMNS_WITH(ARCHIVED) " FROM device_archive WHERE id = $1 AND tenant_id = $2 LIMIT 1",
	    DB_ARGS(db_text(id), db_int(tenant_id)));
	if (db_next(&rows))
		row_read(&rows, &row);
	if ((rc = db_end_one(&rows, "no such device", err)) == 0)
		*row_out = row;
	else
		store_device_clear(&row);
	return rc;
}

int
store_device_update(struct store_tx *tx, const struct store_device *row, struct err *err)
{
	char key[STORE_NAME_SIZE];
	int64_t changed;
	int rc;

	text_lower(key, sizeof key, row->name);
	/* $1: 1 if it will count; only if it did not, or the other way round. */
	if ((rc = db_exec(tx->db,
		 "UPDATE tenant SET devices = devices + 2 * $1 - 1 WHERE id = $2 AND $1 <>"
		 " (SELECT CASE WHEN status <= 2 THEN 1 ELSE 0 END FROM device WHERE id = $3 AND tenant_id = $2)",
		 DB_ARGS(db_int(is_counted(row)), db_int(row->tenant_id), db_text(row->id)), NULL, err)) != 0)
		return rc;
	rc = db_exec(tx->db,
	    "UPDATE device SET name = $1, name_key = $2, type = $3, location = $4, labels = $5,"
	    " status = $6, policy = $7, updated_at = $8 WHERE id = $9 AND tenant_id = $10",
	    DB_ARGS(db_text(row->name), db_text(key), db_text(row->type), db_text(row->location),
		db_text(row->labels), db_int(row->status), db_text(row->policy),
		db_int(row->updated_at), db_text(row->id), db_int(row->tenant_id)),
	    &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_NOTFOUND, "no such device");
	return rc;
}

int
store_device_seen(struct store_tx *tx, const char *id, int64_t at, struct err *err)
{
	return db_exec(tx->db, "UPDATE device SET last_seen = $1 WHERE id = $2 AND last_seen < $1",
	    DB_ARGS(db_int(at), db_text(id)), NULL, err);
}

/* The list. Each text is driven by one index that gives the order; filters beside that one are
 * tested row by row. $1 tenant, $2 and $3 where the page before ended, $4 the end of the search's
 * range, $5 how many, $6 … $9 the filters or NULL. */
#define BY_NAME_FROM(table, status, driver)                                                        \
	"SELECT " COLUMNS_WITH(status) " FROM " table " WHERE tenant_id = $1" driver               \
	" AND (name_key, id) > ($2, $3) AND name_key < $4"                                         \
	" AND ($6 IS NULL OR " status " = $6) AND ($7 IS NULL OR type = $7)"                       \
	" AND ($8 IS NULL OR location = $8) AND ($9 IS NULL OR policy = $9)"                       \
	" ORDER BY name_key, id LIMIT $5"
#define BY_NAME(driver) BY_NAME_FROM("device", "status", driver)

/* Matches by id, from $2 (after $3) to $4, but for those whose name lies in [$10, $11). The plus
 * keeps the planner from an index of the tenant, which would have to be sorted. */
#define BY_ID_FROM(table, status)                                                                  \
	"SELECT " COLUMNS_WITH(status) " FROM " table " WHERE +tenant_id = $1"                     \
	" AND id >= $2 AND id > $3 AND id < $4 AND NOT (name_key >= $10 AND name_key < $11)"       \
	" AND ($6 IS NULL OR " status " = $6) AND ($7 IS NULL OR type = $7)"                       \
	" AND ($8 IS NULL OR location = $8) AND ($9 IS NULL OR policy = $9)"                       \
	" ORDER BY id LIMIT $5"

/* The filter that is likely to leave the fewest rows drives. */
static const char *
by_name(const struct store_device_filter *filter)
{
	if (filter->status == DEVICE_ARCHIVED)
		return BY_NAME_FROM("device_archive", ARCHIVED, "");
	if (filter->location != NULL)
		return BY_NAME(" AND location = $8");
	if (filter->type != NULL)
		return BY_NAME(" AND type = $7");
	if (filter->policy != NULL)
		return BY_NAME(" AND policy = $9");
	if (filter->status >= 0)
		return BY_NAME(" AND status = $6");
	return BY_NAME("");
}

static const char *
by_id(const struct store_device_filter *filter)
{
	return filter->status == DEVICE_ARCHIVED ? BY_ID_FROM("device_archive", ARCHIVED) : BY_ID_FROM("device", "status");
}

/* By the end of the certificate without a successor: $3 and $4 where the page before ended, $2 the last end. The indexed
 * table drives; of a device there is one such certificate. */
static const char by_expiry[] =
    "SELECT d.id, d.tenant_id, d.name, d.type, d.location, d.labels, d.status, d.policy, d.created_at, d.updated_at,"
    " d.last_seen, c.not_after FROM certificate c CROSS JOIN device d ON d.id = c.owner_id"
    " WHERE c.owner_kind = 0 AND c.state = 0 AND c.retire_at = 0 AND c.tenant_id = $1 AND d.tenant_id = $1"
    " AND c.not_after <= $2 AND (c.not_after, c.owner_id) > ($3, $4)"
    " AND ($6 IS NULL OR d.status = $6) AND ($7 IS NULL OR d.type = $7)"
    " AND ($8 IS NULL OR d.location = $8) AND ($9 IS NULL OR d.policy = $9)"
    " AND ((d.name_key >= $10 AND d.name_key < $11) OR (d.id >= $10 AND d.id < $11))"
    " ORDER BY c.not_after, c.owner_id LIMIT $5";

/* A page under way. */
struct page {
	const struct store_device_filter *filter;
	char prefix[STORE_NAME_SIZE], prefix_end[STORE_NAME_SIZE + 4];
	struct cursor at;
	struct store_device *rows;
	size_t n;
	bool more;
};

/* Fill the page with what SQL finds; one row beyond tells whether there is more. */
static int
fill(struct page *page, struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
    struct err *err)
{
	const struct store_device_filter *filter = page->filter;
	struct db_rows rows;

	db_query(&rows, db, sql, args, n_args);
	for (; db_next_of(&rows, page->n, filter->limit, &page->more); page->n++) {
		row_read(&rows, &page->rows[page->n]);
		if (filter->expiring_by != 0)
			page->rows[page->n].expires_at = db_col_int(&rows, 11);
	}
	return db_end(&rows, err);
}

static int
fill_by_name(struct page *page, struct db *db, struct err *err)
{
	const struct store_device_filter *f = page->filter;

	return fill(page, db, by_name(f),
	    DB_ARGS(db_int(f->tenant_id), db_text(page->at.key), db_text(page->at.id),
		db_text(page->prefix_end), db_int((int64_t)(f->limit - page->n) + 1),
		f->status >= 0 ? db_int(f->status) : db_text(NULL), db_text(f->type),
		db_text(f->location), db_text(f->policy)),
	    err);
}

static int
fill_by_id(struct page *page, struct db *db, struct err *err)
{
	const struct store_device_filter *f = page->filter;

	return fill(page, db, by_id(f),
	    DB_ARGS(db_int(f->tenant_id), db_text(page->prefix), db_text(page->at.id),
		db_text(page->prefix_end), db_int((int64_t)(f->limit - page->n) + 1),
		f->status >= 0 ? db_int(f->status) : db_text(NULL), db_text(f->type),
		db_text(f->location), db_text(f->policy), db_text(page->prefix),
		db_text(page->prefix_end)),
	    err);
}

static int
fill_by_expiry(struct page *page, struct db *db, struct err *err)
{
	const struct store_device_filter *f = page->filter;
	int64_t after = 0;

	if (page->at.key[0] != '\0' && !integer_parse(page->at.key, 0, INT64_MAX, &after))
		return err_field(err, E_INPUT, "after", "belongs to another list");
	return fill(page, db, by_expiry,
	    DB_ARGS(db_int(f->tenant_id), db_int(f->expiring_by), db_int(after), db_text(page->at.id),
		db_int((int64_t)f->limit + 1), f->status >= 0 ? db_int(f->status) : db_text(NULL), db_text(f->type),
		db_text(f->location), db_text(f->policy), db_text(page->prefix), db_text(page->prefix_end)),
	    err);
}

/* Where the page starts. Without `search` the range is everything. */
static int
page_begin(struct page *page, struct err *err)
{
	const struct store_device_filter *filter = page->filter;
	int rc;

	if (filter->limit < 1 || filter->limit > LIST_MAX)
		return err_field(err, E_INPUT, "limit", "must be from 1 to %d", LIST_MAX);
	if (filter->search != NULL) {
		if (strlen(filter->search) >= sizeof page->prefix)
			return err_field(err, E_INPUT, "search", "is longer than any name");
		text_lower(page->prefix, sizeof page->prefix, filter->search);
	}
	(void)text_copy(page->prefix_end, sizeof page->prefix_end, page->prefix);
	(void)text_copy(page->prefix_end + strlen(page->prefix), 5, ABOVE_ALL);
	if (filter->expiring_by != 0) {
		page->at.phase = 'e';
		return filter->after == NULL ? 0 : cursor_read(filter->after, "e", &page->at, err);
	}
	page->at.phase = 'n';
	/* (prefix, "") is less than every match. */
	(void)text_copy(page->at.key, sizeof page->at.key, page->prefix);
	if (filter->after == NULL)
		return 0;
	if ((rc = cursor_read(
		 filter->after, page->prefix[0] != '\0' ? "ni" : "n", &page->at, err)) != 0)
		return rc;
	if (page->at.phase == 'n' && strncmp(page->at.key, page->prefix, strlen(page->prefix)) != 0)
		return err_field(err, E_INPUT, "after", "belongs to another search");
	return 0;
}

/* N_BY_NAME of the page's rows were found by name; the others, at its end, by id. */
static void
page_next(const struct page *page, size_t n_by_name, char next_out[STORE_CURSOR_SIZE])
{
	const struct store_device *last = &page->rows[page->n - 1];
	struct cursor cursor = {.phase = page->at.phase, .id = BEFORE_ALL};

	if (cursor.phase == 'e')
		(void)snprintf(cursor.key, sizeof cursor.key, "%lld", (long long)last->expires_at);
	if (cursor.phase == 'n')
		text_lower(cursor.key, sizeof cursor.key, last->name);
	if (cursor.phase == 'n' || page->n > n_by_name)
		(void)text_copy(cursor.id, sizeof cursor.id, last->id);
	cursor_write(&cursor, next_out);
}

int
store_device_list(struct store_tx *tx, const struct store_device_filter *filter,
    struct store_device *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct page page = {.filter = filter, .rows = rows_out};
	size_t n_by_name;
	int rc;

	if ((rc = page_begin(&page, err)) != 0)
		return rc;
	if (page.at.phase == 'n')
		rc = fill_by_name(&page, tx->db, err);
	else if (page.at.phase == 'e')
		rc = fill_by_expiry(&page, tx->db, err);
	n_by_name = page.at.phase == 'e' ? 0 : page.n;
	if (rc == 0 && !page.more && page.at.phase != 'e' && page.prefix[0] != '\0') {
		if (page.at.phase == 'n')
			page.at = (struct cursor){.phase = 'i'};
		rc = fill_by_id(&page, tx->db, err);
	}
	if (rc != 0) {
		while (page.n > 0)
			store_device_clear(&rows_out[--page.n]);
		return rc;
	}
	*n_out = page.n;
	next_out[0] = '\0';
	if (page.more)
		page_next(&page, n_by_name, next_out);
	return 0;
}

/* Hand each row to EACH, and end the query. */
static int
rows_each(struct db_rows *rows, store_device_each_fn *each, void *ctx, size_t *n_out, struct err *err)
{
	struct store_device row;
	size_t n = 0;
	int rc;

	for (; db_next(rows); n++) {
		row_read(rows, &row);
		if (rows->rc == 0)
			rows->rc = each(ctx, &row, &rows->err);
		store_device_clear(&row);
	}
	if ((rc = db_end(rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_device_each(struct store_tx *tx, enum device_status status, store_device_each_fn *each,
    void *ctx, struct err *err)
{
	struct db_rows rows;
	size_t n;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM device WHERE status = $1 ORDER BY id",
	    DB_ARGS(db_int(status)));
	return rows_each(&rows, each, ctx, &n, err);
}

int
store_device_page(struct store_tx *tx, const char *after, size_t max, store_device_each_fn *each, void *ctx,
    size_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM device WHERE id > $1 ORDER BY id LIMIT $2",
	    DB_ARGS(db_text(after), db_int((int64_t)max)));
	return rows_each(&rows, each, ctx, n_out, err);
}

int
store_device_archive(struct store_tx *tx, int64_t before, int64_t now, struct store_archived *out, size_t max, size_t *n_out,
    struct err *err)
{
	struct db_rows rows;
	size_t n = 0, i;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT id, tenant_id FROM device WHERE status = 3 AND updated_at < $1 ORDER BY updated_at, id LIMIT $2",
	    DB_ARGS(db_int(before), db_int((int64_t)max)));
	for (; db_next(&rows); n++) {
		db_col_text(&rows, 0, out[n].id, sizeof out[n].id);
		out[n].tenant_id = db_col_int(&rows, 1);
	}
	rc = db_end(&rows, err);
	for (i = 0; rc == 0 && i < n; i++) {
		if ((rc = db_exec(tx->db,
			 "INSERT INTO device_archive (id, tenant_id, name, name_key, type, location, labels, policy, created_at,"
			 " updated_at, last_seen) SELECT id, tenant_id, name, name_key, type, location, labels, policy,"
			 " created_at, $1, last_seen FROM device WHERE id = $2",
			 DB_ARGS(db_int(now), db_text(out[i].id)), NULL, err)) == 0 &&
		    (rc = db_exec(tx->db, "DELETE FROM rotation WHERE device_id = $1 AND cleared = 1", DB_ARGS(db_text(out[i].id)),
			 NULL, err)) == 0)
			rc = db_exec(tx->db, "DELETE FROM device WHERE id = $1", DB_ARGS(db_text(out[i].id)), NULL, err);
	}
	if (rc == 0)
		*n_out = n;
	return rc;
}
