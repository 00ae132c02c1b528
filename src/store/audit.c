/* Table `audit`, a chain: each row's hash covers the hash before it, so that a row changed, missing or moved breaks every
 * hash from there on. The hashes have no secret, so that anybody can recompute them from the rows; the MAC of each hash
 * keeps who can write the database from making a chain of his own, older rows included, for the first MAC covers them. The
 * head in `setting` shows a tail that was cut; whoever puts an older head back is found by the checkpoints, which are not
 * here. */
#include "store/audit.h"

#include "store/auditkey.h"
#include "store/change.h"
#include "store/store.h"
#include "store/tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "audit_head" /* "SEQ HASH", the last row's; "0 00…" before the first */
#define BASE "audit_base" /* the same of the last row that was archived; absent: none was */
#define COLUMNS "seq, tenant_id, at, actor, action, target, detail, hash, mac"

#define NO_KEY AUDITKEY_NAME " is missing: put it back from a backup"

/* "SEQ HASH", with its space cut. */
static bool
head_parse(struct buf *text, struct store_audit_head *out)
{
	char *space = strchr(buf_str(text), ' ');

	if (space == NULL)
		return false;
	*space = '\0';
	return integer_parse(buf_str(text), 0, INT64_MAX, &out->seq) && hex_decode(out->hash, sizeof out->hash, space + 1);
}

/* Read in each transaction anew: one kept in memory would have to follow every rollback. */
int
store_audit_head(struct store_tx *tx, struct store_audit_head *head_out, struct err *err)
{
	struct store_audit_head head;
	struct buf text = {0};
	int rc;

	if ((rc = store_setting_get(tx, HEAD, &text, err)) == E_NOTFOUND)
		rc = err_set(err, E_CONFLICT, "the audit's head is missing");
	else if (rc == 0 && !head_parse(&text, &head))
		rc = err_set(err, E_CONFLICT, "the audit's head is damaged");
	if (rc == 0)
		*head_out = head;
	buf_clear(&text);
	return rc;
}

int
store_audit_base(struct store_tx *tx, struct store_audit_head *out, struct err *err)
{
	struct store_audit_head base = {0};
	struct buf text = {0};
	struct err why = {0};
	int rc;

	if ((rc = store_setting_get(tx, BASE, &text, &why)) == E_NOTFOUND)
		rc = 0;
	else if (rc != 0)
		*err = why;
	else if (!head_parse(&text, &base))
		rc = err_set(err, E_CONFLICT, "the note of what was archived of the audit is damaged");
	if (rc == 0)
		*out = base;
	buf_clear(&text);
	return rc;
}

static int
put(struct store_tx *tx, const char *name, const struct store_audit_head *head, struct err *err)
{
	char text[32 + 2 * SHA256_LEN + 1];
	int n = snprintf(text, sizeof text, "%lld ", (long long)head->seq);

	hex_encode(text + n, head->hash, sizeof head->hash);
	return store_setting_put(tx, name, text, err);
}

int
store_audit_drop(struct store_tx *tx, int64_t seq, const uint8_t *hash, struct err *err)
{
	struct store_audit_head base = {.seq = seq};
	int rc;

	memcpy(base.hash, hash, sizeof base.hash);
	if ((rc = put(tx, BASE, &base, err)) != 0)
		return rc;
	return db_exec(tx->db, "DELETE FROM audit WHERE seq <= $1", DB_ARGS(db_int(seq)), NULL, err);
}

static void
add_text(struct buf *b, const char *text)
{
	buf_u32(b, (uint32_t)strlen(text));
	buf_text(b, text);
}

/* The hash of ROW, which comes after BEFORE: numbers of fixed width, texts with their length, so
 * that no two rows have the same bytes. SCRATCH is emptied first. */
static int
hash_row(struct buf *scratch, const uint8_t *before, const struct store_audit *row,
    uint8_t *hash_out, struct err *err)
{
	buf_reset(scratch);
	buf_append(scratch, before, SHA256_LEN);
	buf_u64(scratch, (uint64_t)row->seq);
	buf_u64(scratch, (uint64_t)row->tenant_id);
	buf_u64(scratch, (uint64_t)row->at);
	add_text(scratch, row->actor);
	add_text(scratch, row->action);
	add_text(scratch, row->target);
	add_text(scratch, row->detail);
	if (buf_failed(scratch))
		return err_nomem(err);
	sha256(hash_out, scratch->data, scratch->len);
	return 0;
}

int
store_audit_hash(const uint8_t *before, const struct store_audit *row, uint8_t *out, struct err *err)
{
	struct buf scratch = {0};
	int rc = hash_row(&scratch, before, row, out, err);

	buf_clear(&scratch);
	return rc;
}

int
store_audit_append(struct store_tx *tx, const struct store_audit *row, struct err *err)
{
	const struct auditkey *key = store_auditkey(tx->store);
	struct store_audit next = *row;
	struct buf scratch = {0};
	uint8_t mac[SHA256_LEN];
	struct store_audit_head head;
	int rc;

	if (key->key.len == 0)
		return err_set(err, E_SYS, NO_KEY);
	if ((rc = store_audit_head(tx, &head, err)) != 0)
		goto out;
	next.seq = head.seq + 1;
	if ((rc = hash_row(&scratch, head.hash, &next, head.hash, err)) != 0)
		goto out;
	auditkey_mac(key, head.hash, mac);
	rc = db_exec(tx->db,
	    "INSERT INTO audit (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	    DB_ARGS(db_int(next.seq), db_int(next.tenant_id), db_int(next.at), db_text(next.actor),
		db_text(next.action), db_text(next.target), db_text(next.detail),
		db_blob(head.hash, sizeof head.hash), db_blob(mac, sizeof mac)),
	    NULL, err);
	head.seq = next.seq;
	if (rc == 0)
		rc = put(tx, HEAD, &head, err);
out:
	buf_clear(&scratch);
	/* To the caller a broken chain is no conflict of its own request but a system that must not
	 * go on. */
	if (rc == E_CONFLICT)
		rc = err_set(err, E_SYS, "the audit trail is broken: run muster audit verify");
	return rc;
}

/* Texts are borrowed from ROWS until its next step. */
static void
row_read(struct db_rows *rows, struct store_audit *row)
{
	row->seq = db_col_int(rows, 0);
	row->tenant_id = db_col_int(rows, 1);
	row->at = db_col_int(rows, 2);
	row->actor = db_col_str(rows, 3);
	row->action = db_col_str(rows, 4);
	row->target = db_col_str(rows, 5);
	row->detail = db_col_str(rows, 6);
	db_col_bytes(rows, 7, row->hash, sizeof row->hash);
	if ((row->has_mac = !db_col_is_null(rows, 8)))
		db_col_bytes(rows, 8, row->mac, sizeof row->mac);
}

int
store_audit_each(struct store_tx *tx, int64_t tenant_id, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err)
{
	struct store_audit row;
	struct db_rows rows;

	if (tenant_id == 0)
		db_query(&rows, tx->db,
		    "SELECT " COLUMNS " FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
		    DB_ARGS(db_int(after), db_int((int64_t)limit)));
	else
		db_query(&rows, tx->db,
		    "SELECT " COLUMNS " FROM audit WHERE tenant_id = $1 AND seq > $2"
		    " ORDER BY seq LIMIT $3",
		    DB_ARGS(db_int(tenant_id), db_int(after), db_int((int64_t)limit)));
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if (rows.rc == 0)
			rows.rc = each(ctx, &row, &rows.err);
	}
	return db_end(&rows, err);
}

/* Each walks its own index, in its order: what is fixed first, then the time. */
#define FIND(fixed)                                                                                                    \
	"SELECT " COLUMNS " FROM audit WHERE tenant_id = $1 AND " fixed "(at, seq) > ($2, $3) AND at < $4"             \
	" AND ($5 = '' OR target = $5) AND ($6 = '' OR actor = $6) AND ($7 = '' OR action = $7)"                       \
	" ORDER BY at, seq LIMIT $8"

static const char *
find_sql(const struct store_audit_filter *f)
{
	if (f->target != NULL && f->target[0] != '\0')
		return FIND("target = $5 AND ");
	if (f->actor != NULL && f->actor[0] != '\0')
		return FIND("actor = $6 AND ");
	if (f->action != NULL && f->action[0] != '\0')
		return FIND("action = $7 AND ");
	return FIND("");
}

static struct db_arg
word(const char *text)
{
	return db_text(text != NULL ? text : "");
}

int
store_audit_find(struct store_tx *tx, int64_t tenant_id, const struct store_audit_filter *f, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err)
{
	bool from_start = f->after_seq == 0 || f->after_at < f->since;
	struct store_audit row;
	struct db_rows rows;

	db_query(&rows, tx->db, find_sql(f),
	    DB_ARGS(db_int(tenant_id), db_int(from_start ? f->since - 1 : f->after_at),
		db_int(from_start ? INT64_MAX : f->after_seq), db_int(f->until != 0 ? f->until : INT64_MAX), word(f->target),
		word(f->actor), word(f->action), db_int((int64_t)limit)));
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if (rows.rc == 0)
			rows.rc = each(ctx, &row, &rows.err);
	}
	return db_end(&rows, err);
}

/* ---- verifying ----------------------------------------------------------------------------------------------- */

struct walk {
	const struct auditkey *key;
	struct store_audit_head head; /* the row before the next */
	struct buf scratch;
};

/* Rows of before the key need none; what the first keyed row covers cannot be changed either. */
static int
verify_mac(const struct auditkey *key, const struct store_audit *row, struct err *err)
{
	uint8_t mac[SHA256_LEN];

	if (row->seq < key->from && !row->has_mac)
		return 0;
	auditkey_mac(key, row->hash, mac);
	if (!row->has_mac || !secret_equal(mac, row->mac, sizeof mac))
		return err_set(err, E_CONFLICT, "audit row %lld was written by somebody who does not have " AUDITKEY_NAME,
		    (long long)row->seq);
	return 0;
}

/* Does ROW come after the walk's head, and has it the hash and MAC it should have? Moves the head on to it. */
static int
verify_row(struct walk *w, const struct store_audit *row, struct err *err)
{
	uint8_t hash[SHA256_LEN];
	int rc;

	if (row->seq != w->head.seq + 1)
		return err_set(
		    err, E_CONFLICT, "audit row %lld is missing", (long long)w->head.seq + 1);
	if ((rc = hash_row(&w->scratch, w->head.hash, row, hash, err)) != 0)
		return rc;
	if (memcmp(hash, row->hash, sizeof hash) != 0)
		return err_set(
		    err, E_CONFLICT, "audit row %lld was changed or moved", (long long)row->seq);
	w->head.seq = row->seq;
	memcpy(w->head.hash, hash, sizeof hash);
	return verify_mac(w->key, row, err);
}

static int
verify_rows(struct store_tx *tx, struct walk *w, int64_t limit, int64_t *rows_out, struct err *err)
{
	struct store_audit row;
	struct db_rows rows;
	int64_t n = 0;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
	    DB_ARGS(db_int(w->head.seq), db_int(limit)));
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if (rows.rc == 0)
			rows.rc = verify_row(w, &row, &rows.err);
		else if (rows.rc == E_SYS) /* a value that we never wrote */
			rows.rc = err_set(&rows.err, E_CONFLICT, "audit row %lld was changed",
			    (long long)row.seq);
		n++;
	}
	*rows_out = n;
	return db_end(&rows, err);
}

/* A walk begins behind a row, or where the table begins. */
static int
walk_begin(struct store_tx *tx, struct walk *w, int64_t after, const struct store_audit_head *base, struct err *err)
{
	struct db_rows rows;
	bool found;
	int rc;

	if (after <= base->seq) {
		w->head = *base;
		return 0;
	}
	db_query(&rows, tx->db, "SELECT hash FROM audit WHERE seq = $1", DB_ARGS(db_int(after)));
	if ((found = db_next(&rows)))
		db_col_bytes(&rows, 0, w->head.hash, sizeof w->head.hash);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	w->head.seq = after;
	return found ? 0 : err_set(err, E_CONFLICT, "audit row %lld is missing", (long long)after);
}

/* That rows were archived stands in a row of the trail itself, which nobody can have made without the key. */
static int
verify_base(struct store_tx *tx, const struct store_audit_head *base, struct err *err)
{
	char target[32], head[16 + 2 * SHA256_LEN];
	struct db_rows rows;
	bool is_told = base->seq == 0;
	int n, rc;

	(void)snprintf(target, sizeof target, "audit:%lld", (long long)base->seq);
	n = snprintf(head, sizeof head, "\"head\":\"");
	hex_encode(head + n, base->hash, sizeof base->hash);
	db_query(&rows, tx->db,
	    "SELECT target, detail FROM audit WHERE tenant_id = $1 AND action = $2 ORDER BY seq DESC LIMIT 1",
	    DB_ARGS(db_int(STORE_TENANT_DEFAULT), db_text(STORE_AUDIT_ARCHIVE)));
	if (db_next(&rows))
		is_told = strcmp(db_col_str(&rows, 0), target) == 0 && strstr(db_col_str(&rows, 1), head) != NULL;
	if ((rc = db_end(&rows, err)) == 0 && !is_told)
		rc = err_set(err, E_CONFLICT, "the audit rows up to %lld are missing, and were not archived", (long long)base->seq);
	return rc;
}

/* What ends the walk. */
static int
verify_end(struct store_tx *tx, const struct walk *w, const struct store_audit_head *base, struct err *err)
{
	struct store_audit_head head;
	int rc;

	if ((rc = store_audit_head(tx, &head, err)) != 0)
		return rc;
	if (w->head.seq < head.seq)
		return err_set(err, E_CONFLICT, "audit row %lld is missing: the end was cut off", (long long)w->head.seq + 1);
	if (w->head.seq > head.seq || memcmp(w->head.hash, head.hash, sizeof head.hash) != 0)
		return err_set(
		    err, E_CONFLICT, "audit row %lld is not the one that was written last", (long long)w->head.seq);
	return verify_base(tx, base, err);
}

int
store_audit_verify(
    struct store_tx *tx, int64_t after, int64_t limit, struct store_audit_verdict *verdict_out, struct err *err)
{
	struct walk w = {.key = store_auditkey(tx->store)};
	struct store_audit_head base;
	int64_t rows;
	int rc;

	if (w.key->key.len == 0)
		return err_set(err, E_NOTFOUND, NO_KEY);
	if ((rc = store_audit_base(tx, &base, err)) == 0 && (rc = walk_begin(tx, &w, after, &base, err)) == 0 &&
	    (rc = verify_rows(tx, &w, limit, &rows, err)) == 0 && rows < limit)
		rc = verify_end(tx, &w, &base, err);
	if (rc == 0)
		*verdict_out = (struct store_audit_verdict){.archived = base.seq, .rows = rows, .last = w.head.seq,
		    .keyed_from = w.key->from, .is_end = rows < limit};
	buf_clear(&w.scratch);
	return rc;
}

/* ---- the key ------------------------------------------------------------------------------------------------- */

int
store_audit_open(struct db *db, const char *path, struct auditkey *key_out, struct err *err)
{
	bool is_keyed = false;
	struct db_rows rows;
	int64_t last = 0;
	int rc;

	if ((rc = auditkey_read(path, key_out, err)) != E_NOTFOUND)
		return rc;
	if (err != NULL)
		*err = (struct err){0};
	db_query(&rows, db, "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1", DB_NONE);
	if (db_next(&rows)) {
		last = db_col_int(&rows, 0);
		is_keyed = !db_col_is_null(&rows, 1);
	}
	if ((rc = db_end(&rows, err)) == 0 && !is_keyed)
		rc = auditkey_make(path, last + 1, key_out, err);
	return rc;
}

int
store_audit_ready(const struct store *store, struct err *err)
{
	return store_auditkey(store)->key.len > 0 ? 0 : err_set(err, E_NOTFOUND, NO_KEY);
}
