/* What every engine has in common: the sticky query and the reading of columns. */
#include "store/db.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct db_arg
db_int(int64_t value)
{
	return (struct db_arg){.type = DB_INT, .integer = value};
}

struct db_arg
db_text(const char *text)
{
	if (text == NULL)
		return (struct db_arg){.type = DB_NULL};
	return (struct db_arg){.type = DB_TEXT, .data = text, .len = strlen(text)};
}

struct db_arg
db_blob(const void *data, size_t len)
{
	if (data == NULL)
		return (struct db_arg){.type = DB_NULL};
	return (struct db_arg){.type = DB_BLOB, .data = data, .len = len};
}

void
db_fail(struct db_rows *rows, int code, const char *text)
{
	if (rows->rc == 0)
		rows->rc = err_set(&rows->err, code, "%s", text);
}

void
db_query(struct db_rows *rows, struct db *db, const char *sql, const struct db_arg *args, size_t n)
{
	rows->db = db;
	rows->statement = NULL;
	rows->changed = 0;
	rows->any = false;
	rows->rc = 0;
	if (db->in_tx && !db->engine->in_transaction(db))
		db_fail(rows, E_SYS, "the database dropped the transaction after an earlier error");
	else
		db->engine->query(rows, sql, args, n);
}

bool
db_next(struct db_rows *rows)
{
	if (rows->rc != 0 || !rows->db->engine->next(rows))
		return false;
	return rows->any = true;
}

bool
db_next_of(struct db_rows *rows, size_t n, size_t max, bool *more_out)
{
	bool is_there = db_next(rows);

	*more_out = is_there && n == max;
	return is_there && n < max;
}

int
db_end(struct db_rows *rows, struct err *err)
{
	if (rows->statement != NULL)
		rows->db->engine->end(rows);
	if (rows->rc != 0 && err != NULL)
		*err = rows->err;
	return rows->rc;
}

int
db_end_one(struct db_rows *rows, const char *none, struct err *err)
{
	int rc = db_end(rows, err);

	return rc == 0 && !rows->any ? err_set(err, E_NOTFOUND, "%s", none) : rc;
}

int
db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n, int64_t *changed_out,
    struct err *err)
{
	struct db_rows rows;
	int rc;

	db_query(&rows, db, sql, args, n);
	while (db_next(&rows))
		;
	rc = db_end(&rows, err);
	if (rc == 0 && changed_out != NULL)
		*changed_out = rows.changed;
	return rc;
}

static void
damaged(struct db_rows *rows)
{
	db_fail(rows, E_SYS, "the database is damaged: a value does not have its column's form");
}

int64_t
db_col_int(struct db_rows *rows, int col)
{
	return rows->db->engine->col_int(rows, col);
}

int
db_col_enum(struct db_rows *rows, int col, int n)
{
	int64_t value = db_col_int(rows, col);

	if (value >= 0 && value < n)
		return (int)value;
	damaged(rows);
	return 0;
}

bool
db_col_is_null(struct db_rows *rows, int col)
{
	return rows->db->engine->col_is_null(rows, col);
}

const char *
db_col_str(struct db_rows *rows, int col)
{
	size_t len;
	const char *data = rows->db->engine->col_data(rows, col, &len);

	/* Our texts hold no NUL; one inside would cut what the reader sees. */
	if (data == NULL)
		return "";
	if (memchr(data, '\0', len) != NULL) {
		damaged(rows);
		return "";
	}
	return data;
}

void
db_col_text(struct db_rows *rows, int col, char *dst, size_t size)
{
	if (!text_copy(dst, size, db_col_str(rows, col)))
		damaged(rows);
}

void
db_col_bytes(struct db_rows *rows, int col, uint8_t *dst, size_t len)
{
	size_t have;
	const void *data = rows->db->engine->col_data(rows, col, &have);

	if (have == len)
		memcpy(dst, data, len);
	else
		damaged(rows);
}

void
db_col_memdup(struct db_rows *rows, int col, uint8_t **dst, size_t *len_out)
{
	size_t len;
	const void *data = rows->db->engine->col_data(rows, col, &len);
	uint8_t *copy;

	if (db_col_is_null(rows, col))
		return;
	if ((copy = malloc(len + 1)) == NULL) {
		db_fail(rows, E_NOMEM, "out of memory");
		return;
	}
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	*dst = copy;
	*len_out = len;
}

void
db_col_strdup(struct db_rows *rows, int col, char **dst)
{
	uint8_t *copy = NULL;
	size_t len = 0;

	db_col_memdup(rows, col, &copy, &len);
	if (copy != NULL && strlen((char *)copy) != len)
		damaged(rows);
	*dst = (char *)copy;
}

void
db_col_append(struct db_rows *rows, int col, struct buf *out)
{
	size_t len;
	const void *data = rows->db->engine->col_data(rows, col, &len);

	buf_append(out, data, len);
	if (buf_failed(out))
		db_fail(rows, E_NOMEM, "out of memory");
}
