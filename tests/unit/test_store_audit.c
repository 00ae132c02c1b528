/* Table `audit`: the chain, and every way to break it (H6). */
#include "store_fixture.h"

#include "base/buf.h"
#include "base/secret.h"
#include "base/text.h"
#include "store/audit.h"
#include "store/tx.h"

#define ROWS 8

static struct store_audit
row_of(unsigned n)
{
	return (struct store_audit){.tenant_id = n % 2 + 1,
	    .at = 1000 + n,
	    .actor = "operator:admin",
	    .action = n % 3 == 0 ? "device.register" : "device.revoke",
	    .target = n == 4 ? "" : "device:00000001-0000-4000-8000-000000000000",
	    .detail = n == 5 ? "" : "{\"reason\":\"keyCompromise\"}"};
}

static void
append(struct fixture *f, unsigned n)
{
	struct store_audit row = row_of(n);
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	assert_ok(store_commit(&tx, &err));
}

static int
setup_rows(void **state)
{
	struct fixture *f;
	unsigned n;

	(void)fixture_setup(state);
	f = *state;
	for (n = 1; n <= ROWS; n++)
		append(f, n);
	return 0;
}

static int
verify(struct fixture *f, int64_t *rows_out, struct err *err)
{
	struct store_audit_verdict verdict = {0};
	struct store_tx *tx = NULL;
	int rc;

	assert_int_equal(store_read(f->store, &tx, err), 0);
	if ((rc = store_audit_verify(tx, 0, INT64_MAX, &verdict, err)) == 0)
		*rows_out = verdict.rows;
	store_rollback(&tx);
	return rc;
}

static int
collect(void *ctx, const struct store_audit *row, struct err *err)
{
	struct store_audit want = row_of((unsigned)row->seq);
	int64_t *seen = ctx;

	assert_string_equal(row->actor, want.actor);
	assert_string_equal(row->action, want.action);
	assert_string_equal(row->target, want.target);
	assert_string_equal(row->detail, want.detail);
	assert_int_equal(row->at, want.at);
	assert_int_equal(row->tenant_id, want.tenant_id);
	seen[++seen[0]] = row->seq;
	return row->seq == 7 ? err_set(err, E_LIMIT, "enough") : 0;
}

static void
test_each(void **state)
{
	struct fixture *f = *state;
	int64_t seen[ROWS + 1] = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_audit_each(tx, 0, 2, 3, collect, seen, &err));
	assert_int_equal(seen[0], 3);
	assert_int_equal(seen[1], 3);
	assert_int_equal(seen[3], 5);
	seen[0] = 0;
	assert_ok(store_audit_each(tx, 1, 0, 99, collect, seen, &err)); /* the even ones */
	assert_int_equal(seen[0], 4);
	assert_int_equal(seen[4], 8);
	seen[0] = 0;
	assert_int_equal(store_audit_each(tx, 2, 0, 99, collect, seen, &err), E_LIMIT);
	assert_ok(store_audit_each(tx, 3, 0, 99, collect, seen, &err));
	assert_int_equal(seen[0], 4);
	store_rollback(&tx);
}

/* A rolled back row leaves the chain as it was, and its number is given again. */
static void
test_rollback_keeps_the_chain(void **state)
{
	struct fixture *f = *state;
	struct store_audit row = row_of(99);
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t rows = 0;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	store_rollback(&tx);
	append(f, ROWS + 1);
	assert_ok(verify(f, &rows, &err));
	assert_int_equal(rows, ROWS + 1);
}

static void
test_empty_chain(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	int64_t rows = 99;

	assert_ok(verify(f, &rows, &err));
	assert_int_equal(rows, 0);
}

/* H6: behind the store's back, and what verify must then name. */
static void
test_every_tampering_is_detected(void **state)
{
	static const struct {
		const char *sql;
		const char *text;
	} cases[] = {
	    {"UPDATE audit SET actor = 'operator:bdmin' WHERE seq = 3", "row 3 was changed"},
	    {"UPDATE audit SET action = 'device.revokf' WHERE seq = 4", "row 4 was changed"},
	    {"UPDATE audit SET target = 'x' WHERE seq = 4", "row 4 was changed"},
	    {"UPDATE audit SET detail = ' ' WHERE seq = 5", "row 5 was changed"},
	    {"UPDATE audit SET detail = detail || char(0) || 'x' WHERE seq = 6", "row 6 was changed"},
	    {"UPDATE audit SET at = at + 1 WHERE seq = 1", "row 1 was changed"},
	    {"UPDATE audit SET tenant_id = 9 WHERE seq = 8", "row 8 was changed"},
	    {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", "row 2 was changed"},
	    /* One byte moved from a field to the next: lengths are part of the hash. */
	    {"UPDATE audit SET actor = 'operator:admi', action = 'n' || action WHERE seq = 3",
		"row 3 was changed"},
	    {"DELETE FROM audit WHERE seq = 1", "row 1 is missing"},
	    {"DELETE FROM audit WHERE seq = 5", "row 5 is missing"},
	    /* Deleted, and the rest moved up. */
	    {"DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
		"row 5 was changed"},
	    /* Two rows in each other's place, hashes and all. */
	    {"UPDATE audit SET seq = 100 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
	     "UPDATE audit SET seq = 4 WHERE seq = 100",
		"row 3 was changed"},
	    /* The tail cut: one row, several, all. */
	    {"DELETE FROM audit WHERE seq = 8", "row 8 is missing"},
	    {"DELETE FROM audit WHERE seq > 2", "row 3 is missing"},
	    {"DELETE FROM audit", "row 1 is missing"},
	    {"INSERT INTO audit SELECT 9, tenant_id, at, actor, action, target, detail, hash, mac"
	     " FROM audit WHERE seq = 8",
		"row 9 was changed"},
	    {"DELETE FROM setting WHERE name = 'audit_head'", "head is missing"},
	    {"UPDATE setting SET value = '8' WHERE name = 'audit_head'", "head is damaged"},
	    {"UPDATE setting SET value = '8 00' WHERE name = 'audit_head'", "head is damaged"},
	    {"UPDATE setting SET value = replace(value, '8 ', '7 ') WHERE name = 'audit_head'",
		"row 8 is not the one"},
	    {"UPDATE setting SET value = '8 ' || hex(zeroblob(32)) WHERE name = 'audit_head'",
		"row 8 is not the one"},
	    {"UPDATE audit SET mac = NULL WHERE seq = 6", "row 6 was written by somebody who does not have"},
	    {"UPDATE audit SET mac = hash WHERE seq = 1", "row 1 was written by somebody who does not have"},
	    {"UPDATE audit SET mac = (SELECT mac FROM audit WHERE seq = 2) WHERE seq = 3", "row 3 was written by somebody"},
	};
	int64_t rows = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};
		void *own = NULL;
		struct fixture *f;
		int rc;

		(void)setup_rows(&own);
		f = own;
		assert_ok(verify(f, &rows, &err));
		assert_int_equal(rows, ROWS);
		fixture_tamper(f, cases[i].sql);
		rc = verify(f, &rows, &err);
		if (rc != E_CONFLICT || strstr(err.text, cases[i].text) == NULL)
			fail_msg("%s: %d %s", cases[i].sql, rc, err.text);
		(void)fixture_teardown(&own);
	}
}

/* Nothing is appended to a chain whose head is gone or behind: changes stop. */
static void
test_append_refuses_a_broken_chain(void **state)
{
	static const char *const breaks[] = {
	    "UPDATE setting SET value = '3 ' || hex(zeroblob(32)) WHERE name = 'audit_head'",
	    "UPDATE setting SET value = 'nonsense' WHERE name = 'audit_head'",
	    "DELETE FROM setting WHERE name = 'audit_head'",
	};
	struct fixture *f = *state;
	struct store_audit row = row_of(1);
	size_t i;

	for (i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
		struct store_tx *tx = NULL;
		struct err err = {0};

		fixture_tamper(f, breaks[i]);
		assert_ok(store_begin(f->store, &tx, &err));
		assert_int_equal(store_audit_append(tx, &row, &err), E_SYS);
		assert_non_null(strstr(err.text, "muster audit verify"));
		store_rollback(&tx);
		assert_int_equal(fixture_number(f, "SELECT count(*) FROM audit"), ROWS);
	}
}

static void
put_text(struct buf *b, const unsigned char *text)
{
	buf_u32(b, (uint32_t)strlen((const char *)text));
	buf_text(b, (const char *)text);
}

/* What who can write the database can do: give the rows from FROM on the hashes that fit, and the head the last of them. */
static void
forge_hashes(struct fixture *f, int from)
{
	sqlite3_stmt *rows, *put;
	uint8_t hash[SHA256_LEN] = {0};
	char head[32 + 2 * SHA256_LEN + 1];
	struct buf bytes = {0};
	sqlite3 *db;
	int seq, n;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT seq, tenant_id, at, actor, action, target, detail, hash FROM audit ORDER BY seq",
			     -1, &rows, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "UPDATE audit SET hash = ? WHERE seq = ?", -1, &put, NULL), SQLITE_OK);
	for (seq = 0; sqlite3_step(rows) == SQLITE_ROW;) {
		seq = sqlite3_column_int(rows, 0);
		if (seq < from) {
			memcpy(hash, sqlite3_column_blob(rows, 7), sizeof hash);
			continue;
		}
		buf_reset(&bytes);
		buf_append(&bytes, hash, sizeof hash);
		for (n = 0; n < 3; n++)
			buf_u64(&bytes, (uint64_t)sqlite3_column_int64(rows, n));
		for (; n < 7; n++)
			put_text(&bytes, sqlite3_column_text(rows, n));
		sha256(hash, bytes.data, bytes.len);
		(void)sqlite3_bind_blob(put, 1, hash, sizeof hash, SQLITE_TRANSIENT);
		(void)sqlite3_bind_int(put, 2, seq);
		assert_int_equal(sqlite3_step(put), SQLITE_DONE);
		(void)sqlite3_reset(put);
	}
	(void)sqlite3_finalize(rows);
	(void)sqlite3_finalize(put);
	n = snprintf(head, sizeof head, "%d ", seq);
	hex_encode(head + n, hash, sizeof hash);
	assert_int_equal(sqlite3_prepare_v2(db, "UPDATE setting SET value = ? WHERE name = 'audit_head'", -1, &put, NULL), SQLITE_OK);
	(void)sqlite3_bind_text(put, 1, head, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(put), SQLITE_DONE);
	(void)sqlite3_finalize(put);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	buf_clear(&bytes);
}

/* The rows lose what they have of the key, as an older version would have left them. */
static void
forget_key(struct fixture *f, const char *sql)
{
	char file[256];

	fixture_tamper(f, sql);
	store_close(f->store);
	f->store = NULL;
	(void)snprintf(file, sizeof file, "%s/audit.key", f->dir);
	assert_int_equal(unlink(file), 0);
}

/* H6: a chain that fits, made by somebody without the key. */
static void
test_a_forged_chain_is_detected(void **state)
{
	static const struct {
		const char *sql;
		int from;
		const char *text;
	} cases[] = {
	    {"UPDATE audit SET actor = 'operator:x' WHERE seq = 3", 3, "row 3 was written by somebody"},
	    {"UPDATE audit SET at = at + 1 WHERE seq = 8", 8, "row 8 was written by somebody"},
	    {"DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5", 5, "row 5 was written by somebody"},
	    {"UPDATE audit SET seq = 100 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
	     "UPDATE audit SET seq = 4 WHERE seq = 100", 3, "row 3 was written by somebody"},
	    {"INSERT INTO audit SELECT 9, tenant_id, at, actor, action, target, detail, hash, NULL FROM audit WHERE seq = 8", 9,
		"row 9 was written by somebody"},
	    /* All of it, as if it had never been keyed. */
	    {"DELETE FROM audit WHERE seq > 4; UPDATE audit SET mac = NULL, detail = ''", 1, "row 1 was written by somebody"},
	};
	int64_t rows = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};
		void *own = NULL;
		struct fixture *f;
		int rc;

		(void)setup_rows(&own);
		f = own;
		fixture_tamper(f, cases[i].sql);
		forge_hashes(f, cases[i].from);
		assert_ok(store_open(f->path, &f->store, &err));
		rc = verify(f, &rows, &err);
		if (rc != E_CONFLICT || strstr(err.text, cases[i].text) == NULL)
			fail_msg("%s: %d %s", cases[i].sql, rc, err.text);
		(void)fixture_teardown(&own);
	}
}

/* A home of an older version: its rows are not said to have been keyed, the chain goes on from them, and from then on they,
 * too, stay as they are. */
static void
test_older_rows(void **state)
{
	struct fixture *f = *state;
	struct store_audit_verdict verdict;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t rows = 0;

	forget_key(f, "UPDATE audit SET mac = NULL");
	fixture_reopen(f);
	append(f, ROWS + 1);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_audit_verify(tx, 0, INT64_MAX, &verdict, &err));
	store_rollback(&tx);
	assert_int_equal(verdict.rows, ROWS + 1);
	assert_int_equal(verdict.keyed_from, ROWS + 1);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM audit WHERE mac IS NULL"), ROWS);
	fixture_reopen(f); /* the same key again */
	append(f, ROWS + 2);
	assert_ok(verify(f, &rows, &err));

	fixture_tamper(f, "UPDATE audit SET actor = 'operator:x' WHERE seq = 3");
	forge_hashes(f, 3);
	assert_ok(store_open(f->path, &f->store, &err));
	assert_int_equal(verify(f, &rows, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "row 9 was written by somebody"));
}

/* A key that is gone is never replaced by another: that would make all rows look forged, or the forged ones sound. */
static void
test_the_key_is_gone(void **state)
{
	struct fixture *f = *state;
	struct store_audit_verdict verdict = {.rows = -1};
	struct store_audit row = row_of(1);
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_audit_ready(f->store, &err));
	forget_key(f, "SELECT 1");
	assert_ok(store_open(f->path, &f->store, &err));
	assert_int_equal(store_audit_ready(f->store, &err), E_NOTFOUND);
	assert_non_null(strstr(err.text, "audit.key"));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_audit_append(tx, &row, &err), E_SYS);
	assert_int_equal(store_audit_verify(tx, 0, INT64_MAX, &verdict, &err), E_NOTFOUND);
	assert_int_equal(verdict.rows, -1);
	store_rollback(&tx);
}

static void
test_a_damaged_key_is_refused(void **state)
{
	static const struct {
		const char *before, *after;
	} texts[] = {{"", ""}, {"muster-audit-2 1 ", "\n"}, {"muster-audit-1 0 ", "\n"}, {"muster-audit-1 1 ", ""},
	    {"muster-audit-1 1 ", "\nx"}, {"muster-audit-1  ", "\n"}, {"muster-audit-1 1 ", "0\n"}, {"muster-audit-1 1 0", "\n"}};
	struct fixture *f = *state;
	char key[2 * SHA256_LEN + 1], text[256], file[256];
	struct err err = {0};
	size_t i;

	memset(key, 'a', sizeof key - 1);
	key[sizeof key - 1] = '\0';
	(void)snprintf(file, sizeof file, "%s/audit.key", f->dir);
	store_close(f->store);
	f->store = NULL;
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%s%s", texts[i].before, key, texts[i].after);
		assert_ok(fs_write(file, 0600, (gid_t)-1, text, strlen(text), &err));
		if (store_open(f->path, &f->store, &err) != E_INPUT)
			fail_msg("taken: %s", text);
		assert_non_null(strstr(err.text, "audit.key is damaged"));
	}
}

/* H6: the Nth of 100 rows as bytes, each of them flipped in turn. */
#define MANY 100
static const char *const columns[] = {"seq", "tenant_id", "at", "actor", "action", "target", "detail", "hash", "mac"};

static void
put_column(struct store_tx *tx, int column, int64_t rowid, const struct db_arg *value)
{
	/* One constant a column: its address is the statement's key. */
	static char sql[sizeof columns / sizeof columns[0]][64];
	struct err err = {0};
	int64_t changed;

	(void)snprintf(sql[column], sizeof sql[column], "UPDATE audit SET %s = $1 WHERE seq = $2", columns[column]);
	assert_ok(db_exec(tx->db, sql[column], DB_ARGS(*value, db_int(rowid)), &changed, &err));
	assert_int_equal(changed, 1);
}

static void
flip_bytes(struct store_tx *tx, int64_t seq, int column, const struct db_arg *value)
{
	struct store_audit_verdict verdict;
	struct db_arg flipped = *value;
	uint8_t bytes[256];
	char expected[32];
	size_t i;

	(void)snprintf(expected, sizeof expected, "audit row %lld ", (long long)seq);
	for (i = 0; i < (value->type == DB_INT ? 8 : value->len); i++) {
		struct err err = {0};

		if (value->type == DB_INT) {
			flipped.integer = (int64_t)((uint64_t)value->integer ^ 0x80ULL << 8 * i);
		} else {
			memcpy(bytes, value->data, value->len);
			bytes[i] ^= 1;
			flipped.data = bytes;
		}
		put_column(tx, column, seq, &flipped);
		if (store_audit_verify(tx, 0, INT64_MAX, &verdict, &err) != E_CONFLICT ||
		    (strncmp(err.text, expected, strlen(expected)) != 0 && column != 0))
			fail_msg("row %lld, %s, byte %zu: %s", (long long)seq, columns[column], i, err.text);
		put_column(tx, column, column == 0 ? flipped.integer : seq, value);
	}
}

static void
test_every_byte_of_100_rows_flipped(void **state)
{
	struct fixture *f = *state;
	struct store_audit_verdict verdict;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq, n = 0;

	for (seq = 1; seq <= MANY; seq++) {
		struct store_audit row = row_of((unsigned)seq);

		row.target = "device:1";
		assert_ok(store_begin(f->store, &tx, &err));
		assert_ok(store_audit_append(tx, &row, &err));
		assert_ok(store_commit(&tx, &err));
	}
	assert_ok(store_begin(f->store, &tx, &err));
	for (seq = 1; seq <= MANY; seq++) {
		uint8_t copy[9][128];
		struct db_arg value[9];
		struct db_rows rows;
		int i;

		db_query(&rows, tx->db, "SELECT seq, tenant_id, at, actor, action, target, detail, hash, mac FROM audit WHERE seq = $1",
		    DB_ARGS(db_int(seq)));
		assert_true(db_next(&rows));
		for (i = 0; i < 9; i++) {
			struct buf bytes = {0};

			if (i < 3) {
				value[i] = db_int(db_col_int(&rows, i));
				continue;
			}
			db_col_append(&rows, i, &bytes);
			assert_true(bytes.len <= sizeof copy[i]);
			memcpy(copy[i], bytes.data, bytes.len);
			value[i] = (struct db_arg){.type = i < 7 ? DB_TEXT : DB_BLOB, .data = copy[i], .len = bytes.len};
			buf_clear(&bytes);
		}
		assert_ok(db_end(&rows, &err));
		for (i = 0; i < 9; i++) {
			flip_bytes(tx, seq, i, &value[i]);
			n += value[i].type == DB_INT ? 8 : (int64_t)value[i].len;
		}
	}
	assert_ok(store_audit_verify(tx, 0, INT64_MAX, &verdict, &err));
	assert_int_equal(verdict.rows, MANY);
	assert_true(n > MANY * 100);
	store_rollback(&tx);
}

struct found {
	int n;
	int64_t seqs[64];
};

static int
on_found(void *ctx, const struct store_audit *row, struct err *err)
{
	struct found *f = ctx;

	(void)err;
	f->seqs[f->n++] = row->seq;
	return 0;
}

/* The rows of tenant 1 that FILTER finds, page by page, as "2 4 6 ". */
static const char *
find(struct fixture *f, struct store_audit_filter filter, size_t page)
{
	static char text[256];
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct found found;
	size_t len = 0;
	int i;

	text[0] = '\0';
	do {
		found.n = 0;
		assert_ok(store_read(f->store, &tx, &err));
		assert_ok(store_audit_find(tx, 1, &filter, page, on_found, &found, &err));
		store_rollback(&tx);
		for (i = 0; i < found.n; i++)
			len += (size_t)snprintf(text + len, sizeof text - len, "%d ", (int)found.seqs[i]);
		if (found.n > 0) {
			filter.after_seq = found.seqs[found.n - 1];
			filter.after_at = 1000 + filter.after_seq;
		}
	} while (found.n == (int)page);
	return text;
}

/* Rows 2, 4, 6 and 8 are tenant 1's; 3 and 6 are registrations, and row N is of the second 1000 + N. */
static void
test_filters(void **state)
{
	static const char device[] = "device:00000001-0000-4000-8000-000000000000";
	struct fixture *f = *state;
	size_t page;

	for (page = 1; page <= 5; page++) {
		assert_string_equal(find(f, (struct store_audit_filter){0}, page), "2 4 6 8 ");
		assert_string_equal(find(f, (struct store_audit_filter){.actor = "operator:admin"}, page), "2 4 6 8 ");
		assert_string_equal(find(f, (struct store_audit_filter){.actor = "operator:%"}, page), "");
		assert_string_equal(find(f, (struct store_audit_filter){.action = "device.register"}, page), "6 ");
		assert_string_equal(find(f, (struct store_audit_filter){.action = "device.revoke"}, page), "2 4 8 ");
		assert_string_equal(find(f, (struct store_audit_filter){.target = device}, page), "2 6 8 ");
		assert_string_equal(
		    find(f, (struct store_audit_filter){.target = device, .action = "device.revoke"}, page), "2 8 ");
		assert_string_equal(
		    find(f, (struct store_audit_filter){.actor = "operator:admin", .action = "device.register", .since = 1006}, page), "6 ");
		assert_string_equal(find(f, (struct store_audit_filter){.since = 1004}, page), "4 6 8 ");
		assert_string_equal(find(f, (struct store_audit_filter){.since = 1005, .until = 1008}, page), "6 ");
		assert_string_equal(find(f, (struct store_audit_filter){.until = 1002}, page), "");
	}
	/* A clock that was set back: none is lost. */
	fixture_tamper(f, "UPDATE audit SET at = 1003 WHERE seq = 8");
	assert_string_equal(find(f, (struct store_audit_filter){.since = 1003}, 9), "8 4 6 ");
}

static void
expect_plan(struct fixture *f, struct store_audit_filter filter, const char *index)
{
	struct store_tx *tx = NULL;
	struct found found = {0};
	struct err err = {0};
	char text[1024];

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_audit_find(tx, 1, &filter, 2, on_found, &found, &err));
	store_rollback(&tx);
	fixture_plan(f, text, sizeof text);
	if (strstr(text, index) == NULL || strstr(text, "TEMP B-TREE") != NULL || strstr(text, "SCAN") != NULL)
		fail_msg("%s\nplan: %s", fixture_last_sql, text);
}

/* Each filter walks its own index, in order, with no sort and no full scan. */
static void
test_plans(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct found found = {0};
	struct err err = {0};
	char text[1024];

	expect_plan(f, (struct store_audit_filter){.since = 5}, "audit_at (tenant_id=? AND at>?");
	expect_plan(f, (struct store_audit_filter){.actor = "a", .action = "b"}, "audit_actor (tenant_id=? AND actor=? AND at>?");
	expect_plan(f, (struct store_audit_filter){.action = "b"}, "audit_action (tenant_id=? AND action=? AND at>?");
	expect_plan(f, (struct store_audit_filter){.actor = "a", .target = "c"},
	    "audit_target (tenant_id=? AND target=? AND at>?");
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_audit_each(tx, 1, 3, 2, on_found, &found, &err));
	store_rollback(&tx);
	fixture_plan(f, text, sizeof text);
	assert_non_null(strstr(text, "audit_tenant (tenant_id=? AND seq>?)"));
}

#define case_of(fn, setup) cmocka_unit_test_setup_teardown(fn, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_each, setup_rows),
	    case_of(test_rollback_keeps_the_chain, setup_rows),
	    case_of(test_empty_chain, fixture_setup),
	    cmocka_unit_test(test_every_tampering_is_detected),
	    cmocka_unit_test(test_a_forged_chain_is_detected),
	    case_of(test_older_rows, setup_rows),
	    case_of(test_the_key_is_gone, setup_rows),
	    case_of(test_a_damaged_key_is_refused, fixture_setup),
	    case_of(test_every_byte_of_100_rows_flipped, fixture_setup),
	    case_of(test_filters, setup_rows),
	    case_of(test_plans, setup_rows),
	    case_of(test_append_refuses_a_broken_chain, setup_rows),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
