/* The engine interface: all that the tables' files know of a database. SQLite implements it
 *(sqlite.c); PostgreSQL fits behind it. Statements are SQL that both speak, with parameters $1, $2,
 *…
 *
 * A query is sticky, like a struct buf: start it, read what there is, and ask once, with db_end,
 *whether all went well.
 *
 *	struct db_rows rows;
 *
 *	db_query(&rows, db, "SELECT name FROM tenant WHERE id = $1", DB_ARGS(db_int(id)));
 *	if (db_next(&rows))
 *		db_col_text(&rows, 0, name, sizeof name);
 *	rc = db_end(&rows, err);
 */
#ifndef MUSTER_STORE_DB_H
#define MUSTER_STORE_DB_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DB_ARGS_MAX 20

struct db_engine;

/* One connection, used by one thread at a time. An engine's own struct begins with it. */
struct db {
	const struct db_engine *engine;
	/* Set while a transaction must be open: should the engine have dropped it by itself after
	 * an error, no statement may run as a transaction of its own. */
	bool in_tx;
};

enum db_role {
	DB_WRITER, /* the only one that writes and checkpoints; keeps other processes' writers out
		    */
	DB_READER
};

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };

struct db_arg {
	enum db_type type;
	int64_t integer;
	const void *data; /* borrowed until db_end */
	size_t len;
};

struct db_arg db_int(int64_t value);
struct db_arg db_text(const char *text);	     /* NULL for NULL */
struct db_arg db_blob(const void *data, size_t len); /* NULL for NULL */

/* The arguments of a statement, $1 first, as two arguments of a call. */
#define DB_ARGS(...)                                                                               \
	(const struct db_arg[]){__VA_ARGS__},                                                      \
	    sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)
#define DB_NONE NULL, 0

/* A running statement, in the caller's memory. */
struct db_rows {
	struct db *db;
	void *statement; /* the engine's */
	int64_t changed;
	bool any; /* there was a row */
	int rc;
	struct err err; /* set when rc is not 0 */
};

/* One step of the schema's history. */
struct migration {
	const char *name;
	const char *sql;
};

struct db_engine {
	const char *begin_write, *begin_read;	   /* SQL */
	const struct migration *const *migrations; /* in order, NULL at the end */

	/* Make an empty database for us at WHERE. E_CONFLICT if there is one. */
	int (*create)(const char *where, struct err *err);
	/* Write one consistent state of the database at FROM to a new file TO, reading only; for a process that has not
	 * opened FROM otherwise. As store_copy. */
	int (*copy)(const char *from, const char *to, struct err *err);
	/* Best effort: undo create. */
	void (*destroy)(const char *where);
	/* As store_open says, without looking at the schema's version. */
	int (*open)(const char *where, enum db_role role, struct db **db_out, struct err *err);
	void (*close)(struct db *db);

	/* Several statements without parameters. */
	int (*script)(struct db *db, const char *sql, struct err *err);
	void (*query)(struct db_rows *rows, const char *sql, const struct db_arg *args, size_t n);
	bool (*next)(struct db_rows *rows);
	void (*end)(struct db_rows *rows);
	bool (*col_is_null)(struct db_rows *rows, int col);
	int64_t (*col_int)(struct db_rows *rows, int col);
	const void *(*col_data)(struct db_rows *rows, int col, size_t *len_out);

	/* Is a transaction open? */
	bool (*in_transaction)(struct db *db);
	int (*version)(struct db *db, int64_t *version_out, struct err *err);
	int (*set_version)(struct db *db, int64_t version, struct err *err);
	/* Housekeeping between two groups, if it is time. An error means that the state of the file
	 * is unknown. */
	int (*maintain)(struct db *db, struct err *err);
	int (*checkpoint)(struct db *db, struct err *err);
};

extern const struct db_engine sqlite_engine;

/* Start SQL, which must be a constant: its address is the key under which the connection keeps the
 * prepared statement. Every db_query needs its db_end. */
void db_query(
    struct db_rows *rows, struct db *db, const char *sql, const struct db_arg *args, size_t n);

/* Step to the next row. False at the end and after a failure. */
bool db_next(struct db_rows *rows);

/* The same for a page of at most MAX rows, of which N have been read: where it ends, *MORE_OUT says whether there is another. */
bool db_next_of(struct db_rows *rows, size_t n, size_t max, bool *more_out);

/* Finish. E_CONFLICT for a unique value that exists, E_BUSY, E_NOMEM, E_SYS. */
MUST_CHECK int db_end(struct db_rows *rows, struct err *err);

/* Finish a query for one row. As db_end; E_NOTFOUND, in the words NONE, if there was none. */
MUST_CHECK int db_end_one(struct db_rows *rows, const char *none, struct err *err);

/* Run a statement that returns nothing; *CHANGED_OUT (may be NULL) rows were written. */
MUST_CHECK int db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n,
    int64_t *changed_out, struct err *err);

/* Columns of the present row, from 0. A value that does not fit is damage and fails the query
 * (E_SYS). */
int64_t db_col_int(struct db_rows *rows, int col);
int db_col_enum(struct db_rows *rows, int col, int n); /* from 0 to N - 1 */
void db_col_text(struct db_rows *rows, int col, char *dst, size_t size);
void db_col_bytes(struct db_rows *rows, int col, uint8_t *dst, size_t len); /* exactly LEN */
bool db_col_is_null(struct db_rows *rows, int col);
/* Borrowed until the next step; never NULL. */
const char *db_col_str(struct db_rows *rows, int col);
/* A copy of its own for *DST, which must be NULL; stays NULL for NULL. */
void db_col_strdup(struct db_rows *rows, int col, char **dst);
void db_col_memdup(struct db_rows *rows, int col, uint8_t **dst, size_t *len_out);
void db_col_append(struct db_rows *rows, int col, struct buf *out);

/* Note a failure of the caller's, for db_end to return. */
void db_fail(struct db_rows *rows, int code, const char *text);

#endif
