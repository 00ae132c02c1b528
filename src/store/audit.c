/* Table `audit`, a chain: each row's hash covers the hash before it, so that a row changed, missing
 * or moved breaks every hash from there on, and the head in `setting` shows a tail that was cut. It
 * proves nothing against somebody who can rewrite all of it and the head; for that, keep a head
 * elsewhere. */
#include "store/audit.h"

#include "store/change.h"
#include "store/tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "audit_head" /* "SEQ HASH", the last row's; "0 00…" before the first */
#define COLUMNS "seq, tenant_id, at, actor, action, target, detail, hash"

struct head {
	int64_t seq;
	uint8_t hash[SHA256_LEN];
};

/* Read in each transaction anew: one kept in memory would have to follow every rollback. */
static int
head_get(struct store_tx *tx, struct head *head_out, struct err *err)
{
	struct buf text = {0};
	struct head head;
	char *space;
	int rc;

	if ((rc = store_setting_get(tx, HEAD, &text, err)) == E_NOTFOUND)
		rc = err_set(err, E_CONFLICT, "the audit's head is missing");
	if (rc != 0)
		goto out;
	if ((space = strchr(buf_str(&text), ' ')) != NULL)
		*space = '\0';
	if (space == NULL || !integer_parse(buf_str(&text), 0, INT64_MAX, &head.seq) ||
	    !hex_decode(head.hash, sizeof head.hash, space + 1))
		rc = err_set(err, E_CONFLICT, "the audit's head is damaged");
	else
		*head_out = head;
out:
	buf_clear(&text);
	return rc;
}

static int
head_put(struct store_tx *tx, const struct head *head, struct err *err)
{
	char text[32 + 2 * SHA256_LEN + 1];
	int n = snprintf(text, sizeof text, "%lld ", (long long)head->seq);

	hex_encode(text + n, head->hash, sizeof head->hash);
	return store_setting_put(tx, HEAD, text, err);
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
store_audit_append(struct store_tx *tx, const struct store_audit *row, struct err *err)
{
	struct store_audit next = *row;
	struct buf scratch = {0};
	struct head head;
	int rc;

	if ((rc = head_get(tx, &head, err)) != 0)
		goto out;
	next.seq = head.seq + 1;
	if ((rc = hash_row(&scratch, head.hash, &next, head.hash, err)) != 0)
		goto out;
	rc = db_exec(tx->db,
	    "INSERT INTO audit (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	    DB_ARGS(db_int(next.seq), db_int(next.tenant_id), db_int(next.at), db_text(next.actor),
		db_text(next.action), db_text(next.target), db_text(next.detail),
		db_blob(head.hash, sizeof head.hash)),
	    NULL, err);
	head.seq = next.seq;
	if (rc == 0)
		rc = head_put(tx, &head, err);
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

/* Does ROW come after HEAD, and has it the hash it should have? Moves HEAD on to it. */
static int
verify_row(struct buf *scratch, struct head *head, const struct store_audit *row, struct err *err)
{
	uint8_t hash[SHA256_LEN];
	int rc;

	if (row->seq != head->seq + 1)
		return err_set(
		    err, E_CONFLICT, "audit row %lld is missing", (long long)head->seq + 1);
	if ((rc = hash_row(scratch, head->hash, row, hash, err)) != 0)
		return rc;
	if (memcmp(hash, row->hash, sizeof hash) != 0)
		return err_set(
		    err, E_CONFLICT, "audit row %lld was changed or moved", (long long)row->seq);
	head->seq = row->seq;
	memcpy(head->hash, hash, sizeof hash);
	return 0;
}

static int
verify_rows(struct store_tx *tx, struct head *head, struct err *err)
{
	struct buf scratch = {0};
	struct store_audit row;
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM audit ORDER BY seq", DB_NONE);
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if (rows.rc == 0)
			rows.rc = verify_row(&scratch, head, &row, &rows.err);
		else if (rows.rc == E_SYS) /* a value that we never wrote */
			rows.rc = err_set(&rows.err, E_CONFLICT, "audit row %lld was changed",
			    (long long)row.seq);
	}
	buf_clear(&scratch);
	return db_end(&rows, err);
}

int
store_audit_verify(struct store_tx *tx, int64_t *rows_out, struct err *err)
{
	struct head head, at = {0};
	int rc;

	if ((rc = head_get(tx, &head, err)) != 0 || (rc = verify_rows(tx, &at, err)) != 0)
		return rc;
	if (at.seq < head.seq)
		return err_set(err, E_CONFLICT, "audit row %lld is missing: the end was cut off",
		    (long long)at.seq + 1);
	if (at.seq > head.seq || memcmp(at.hash, head.hash, sizeof at.hash) != 0)
		return err_set(err, E_CONFLICT,
		    "audit row %lld is not the one that was written last", (long long)at.seq);
	*rows_out = at.seq;
	return 0;
}
