/* SQLite behind store/db.h; the only file that includes sqlite3.h.
 *
 * The writer alone writes and checkpoints: SQLite before 3.51.3 can lose a commit when two
 * connections do so at once. A lock on the -wal file (SQLite itself locks the database and -shm,
 * and closing another descriptor of those would drop its locks) keeps a second process of ours out;
 * sandboxed later, the process can open but not create files, so -wal and -shm are kept from the
 * start and nothing spills to a temporary file. */
#include "store/db.h"

#include "base/fs.h"
#include "store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x4d737472 /* "Mstr", in the file's header */
#define APPLICATION_ID_AT 68	  /* www.sqlite.org/fileformat.html, 1.3 */
#define HEADER_LEN 100
#define BUSY_MS 250 /* how long to wait for another process */
#define WAL_PAGES_MAX                                                                              \
	16384		/* 64 MiB, then the writer checkpoints: random pages cost less in bulk */
#define CACHE_SLOTS 256 /* a power of two above the number of statements in the program */

struct statement {
	const char *sql; /* the key: its address */
	sqlite3_stmt *stmt;
	int index[DB_ARGS_MAX]; /* of $1, $2, …: to SQLite they are names */
	int n_args;
	bool running;
	bool cached;
};

struct sqlite {
	struct db db;
	sqlite3 *handle;
	bool opening;  /* damage is the input's fault as long as nobody works with it */
	int lock_fd;   /* the writer's, on -wal; else -1 */
	int wal_pages; /* after the last commit */
	struct statement *cache[CACHE_SLOTS];
};

static int
failed(struct sqlite *c, int code, struct err *err)
{
	const char *text = c->handle != NULL ? sqlite3_errmsg(c->handle) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return err_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, E_BUSY, "another process is using the database");
	case SQLITE_CONSTRAINT:
		if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
		    code == SQLITE_CONSTRAINT_ROWID)
			return err_set(err, E_CONFLICT, "exists already (%s)", text);
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, c->opening ? E_INPUT : E_SYS,
		    "the database is damaged (%s): restore a backup", text);
	case SQLITE_FULL:
		return err_set(err, E_FULL, "the disk is full");
	default:
		break;
	}
	return err_set(err, E_SYS, "database: %s (%d)", text, code);
}

static int
sqlite_script(struct db *db, const char *sql, struct err *err)
{
	struct sqlite *c = (struct sqlite *)db;
	int code = sqlite3_exec(c->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failed(c, code, err);
}

static void
statement_free(struct statement *s)
{
	if (s == NULL)
		return;
	(void)sqlite3_finalize(s->stmt);
	free(s);
}

static int
statement_prepare(struct sqlite *c, const char *sql, struct statement **out, struct err *err)
{
	struct statement *s = calloc(1, sizeof *s);
	char name[16];
	int code;

	if (s == NULL)
		return err_nomem(err);
	code = sqlite3_prepare_v3(c->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
	if (code != SQLITE_OK) {
		free(s);
		return failed(c, code, err);
	}
	s->sql = sql;
	for (s->n_args = 0; s->n_args < DB_ARGS_MAX; s->n_args++) {
		(void)snprintf(name, sizeof name, "$%d", s->n_args + 1);
		if ((s->index[s->n_args] = sqlite3_bind_parameter_index(s->stmt, name)) == 0)
			break;
	}
	*out = s;
	return 0;
}

/* The kept statement of SQL. One that is running already (a query inside a walk over the same
 * query) gets a twin for the moment. */
static int
statement_get(struct sqlite *c, const char *sql, struct statement **out, struct err *err)
{
	size_t i, at = ((uintptr_t)sql * 0x9e3779b97f4a7c15U) >> 56;
	struct statement **slot = NULL;
	int rc;

	for (i = 0; i < CACHE_SLOTS; i++) {
		slot = &c->cache[(at + i) % CACHE_SLOTS];
		if (*slot == NULL || (*slot)->sql == sql)
			break;
		slot = NULL;
	}
	if (slot != NULL && *slot != NULL && !(*slot)->running) {
		*out = *slot;
		return 0;
	}
	if ((rc = statement_prepare(c, sql, out, err)) == 0 && slot != NULL && *slot == NULL) {
		(*out)->cached = true;
		*slot = *out;
	}
	return rc;
}

static int
bind(sqlite3_stmt *stmt, int index, const struct db_arg *arg)
{
	switch (arg->type) {
	case DB_INT:
		return sqlite3_bind_int64(stmt, index, arg->integer);
	case DB_TEXT:
		return sqlite3_bind_text64(
		    stmt, index, arg->data, arg->len, SQLITE_STATIC, SQLITE_UTF8);
	case DB_BLOB:
		return sqlite3_bind_blob64(stmt, index, arg->data, arg->len, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(stmt, index);
	}
}

static void
sqlite_query(struct db_rows *rows, const char *sql, const struct db_arg *args, size_t n)
{
	struct sqlite *c = (struct sqlite *)rows->db;
	struct statement *s = NULL;
	int code = SQLITE_OK;
	size_t i;

	if ((rows->rc = statement_get(c, sql, &s, &rows->err)) != 0)
		return;
	s->running = true;
	rows->statement = s;
	if (n != (size_t)s->n_args) {
		rows->rc =
		    err_set(&rows->err, E_SYS, "%zu arguments for %d parameters", n, s->n_args);
		return;
	}
	for (i = 0; i < n && code == SQLITE_OK; i++)
		code = bind(s->stmt, s->index[i], &args[i]);
	if (code != SQLITE_OK)
		rows->rc = failed(c, code, &rows->err);
}

static bool
sqlite_next(struct db_rows *rows)
{
	struct sqlite *c = (struct sqlite *)rows->db;
	struct statement *s = rows->statement;
	int code = sqlite3_step(s->stmt);

	if (code == SQLITE_ROW)
		return true;
	if (code == SQLITE_DONE)
		rows->changed = sqlite3_stmt_readonly(s->stmt) ? 0 : sqlite3_changes64(c->handle);
	else
		rows->rc = failed(c, code, &rows->err);
	return false;
}

static void
sqlite_end(struct db_rows *rows)
{
	struct statement *s = rows->statement;

	rows->statement = NULL;
	if (!s->cached) {
		statement_free(s);
		return;
	}
	(void)sqlite3_reset(s->stmt);
	/* The caller's memory, which the arguments point to, may go now. */
	(void)sqlite3_clear_bindings(s->stmt);
	s->running = false;
}

static bool
sqlite_col_is_null(struct db_rows *rows, int col)
{
	const struct statement *s = rows->statement;

	return sqlite3_column_type(s->stmt, col) == SQLITE_NULL;
}

static int64_t
sqlite_col_int(struct db_rows *rows, int col)
{
	const struct statement *s = rows->statement;

	return sqlite3_column_int64(s->stmt, col);
}

static const void *
sqlite_col_data(struct db_rows *rows, int col, size_t *len_out)
{
	const struct statement *s = rows->statement;
	const void *data;

	/* A text read as text is terminated; as a blob it would not be. */
	if (sqlite3_column_type(s->stmt, col) == SQLITE_TEXT)
		data = sqlite3_column_text(s->stmt, col);
	else
		data = sqlite3_column_blob(s->stmt, col);
	*len_out = data == NULL ? 0 : (size_t)sqlite3_column_bytes(s->stmt, col);
	return data;
}

static bool
sqlite_in_transaction(struct db *db)
{
	return sqlite3_get_autocommit(((struct sqlite *)db)->handle) == 0;
}

static int
sqlite_version(struct db *db, int64_t *version_out, struct err *err)
{
	struct db_rows rows;
	int64_t version = 0;
	int rc;

	db_query(&rows, db, "PRAGMA user_version", DB_NONE);
	if (db_next(&rows))
		version = db_col_int(&rows, 0);
	if ((rc = db_end(&rows, err)) == 0)
		*version_out = version;
	return rc;
}

static int
sqlite_set_version(struct db *db, int64_t version, struct err *err)
{
	char sql[64];

	(void)snprintf(sql, sizeof sql, "PRAGMA user_version = %lld", (long long)version);
	return sqlite_script(db, sql, err);
}

/* Instead of SQLite's own automatic checkpoint, which would swallow a failed fsync. */
static int
on_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct sqlite *c = arg;

	(void)handle;
	(void)name;
	c->wal_pages = pages;
	return SQLITE_OK;
}

/* A checkpoint that stopped before its fsync has lost nothing: the log still has all. */
static bool
is_passing(int code)
{
	return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_FULL ||
	       (code & 0xff) == SQLITE_NOMEM;
}

static int
sqlite_maintain(struct db *db, struct err *err)
{
	struct sqlite *c = (struct sqlite *)db;
	int code;

	if (c->wal_pages < WAL_PAGES_MAX)
		return 0;
	/* It moves what no reader holds back, and tries again after as many pages when there is a
	 * rest. */
	c->wal_pages = 0;
	code = sqlite3_wal_checkpoint_v2(c->handle, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return code == SQLITE_OK || is_passing(code) ? 0 : failed(c, code, err);
}

static int
sqlite_checkpoint(struct db *db, struct err *err)
{
	struct sqlite *c = (struct sqlite *)db;
	int code;

	code = sqlite3_wal_checkpoint_v2(c->handle, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (code == SQLITE_OK)
		return 0;
	if (is_passing(code))
		return err_set(err, E_BUSY, "no checkpoint now: %s", sqlite3_errmsg(c->handle));
	return failed(c, code, err);
}

static void
sqlite_close(struct db *db)
{
	struct sqlite *c = (struct sqlite *)db;
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < CACHE_SLOTS; i++)
		statement_free(c->cache[i]);
	(void)sqlite3_close(c->handle);
	if (c->lock_fd >= 0)
		(void)close(c->lock_fd);
	free(c);
}

/* Everything that a connection does not inherit from the file. */
static int
configure(struct sqlite *c, enum db_role role, struct err *err)
{
	static const char common[] = "PRAGMA synchronous = FULL;"
				     "PRAGMA foreign_keys = ON;"
				     "PRAGMA secure_delete = ON;"
				     "PRAGMA temp_store = MEMORY;"
				     "PRAGMA trusted_schema = OFF;"
				     "PRAGMA cell_size_check = ON;"
				     "PRAGMA mmap_size = 0;"
				     "PRAGMA wal_autocheckpoint = 0;";
	int one = 1, rc;

	(void)sqlite3_extended_result_codes(c->handle, 1);
	(void)sqlite3_busy_timeout(c->handle, BUSY_MS);
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	/* store_close checkpoints by itself, unless a commit failed. */
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if ((rc = sqlite_script(&c->db, common, err)) != 0)
		return rc;
	(void)sqlite3_file_control(c->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
	if (role == DB_READER)
		return sqlite_script(
		    &c->db, "PRAGMA query_only = ON; PRAGMA cache_size = -4096;", err);
	(void)sqlite3_wal_hook(c->handle, on_commit, c);
	if (sqlite3_db_readonly(c->handle, "main") != 0)
		return err_set(
		    err, E_SYS, "the database cannot be written: check its owner and mode");
	return sqlite_script(&c->db, "PRAGMA cache_size = -32768; PRAGMA journal_mode = WAL;", err);
}

static int
connect_to(const char *path, enum db_role role, struct sqlite **out, struct err *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
		    (role == DB_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	struct sqlite *c = calloc(1, sizeof *c);
	int code, rc;

	if (c == NULL)
		return err_nomem(err);
	c->db.engine = &sqlite_engine;
	c->opening = true;
	c->lock_fd = -1;
	if ((code = sqlite3_open_v2(path, &c->handle, flags, NULL)) != SQLITE_OK)
		rc = failed(c, code, err);
	else
		rc = configure(c, role, err);
	if (rc == 0)
		*out = c;
	else
		sqlite_close(&c->db);
	return rc;
}

/* Take the writer's lock for as long as *FD_OUT is open. -1 if there is no -wal file and none is to
 * be made: then no process of ours has the database open. */
static int
lock_wal(const char *path, bool make, int *fd_out, struct err *err)
{
	char wal[FS_PATH_MAX + 8];
	int fd, rc;

	(void)snprintf(wal, sizeof wal, "%s-wal", path);
	fd = open(wal, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
	if (fd < 0 && errno == ENOENT && !make) {
		*fd_out = -1;
		return 0;
	}
	if (fd < 0)
		return err_sys(err, "cannot open %s", wal);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*fd_out = fd;
		return 0;
	}
	if (errno == EWOULDBLOCK)
		rc = err_set(
		    err, E_BUSY, "%s is in use by another process: is the server running?", path);
	else
		rc = err_sys(err, "cannot lock %s", wal);
	(void)close(fd);
	return rc;
}

/* Is this file ours? Asked before SQLite may change anything in it. */
static int
check_header(const char *path, struct err *err)
{
	uint8_t h[HEADER_LEN];
	uint32_t id;
	struct stat st;
	ssize_t n;
	int fd;

	if (lstat(path, &st) != 0 && errno == ENOENT)
		return err_set(err, E_NOTFOUND,
		    "%s: no such database: restore a backup with `muster restore`, or make a home with `muster init`",
		    path);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0 && errno != ELOOP)
		return err_sys(err, "cannot open %s", path);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			(void)close(fd);
		return err_set(err, E_INPUT, "%s is not a regular file", path);
	}
	n = read(fd, h, sizeof h);
	(void)close(fd);
	if (n != (ssize_t)sizeof h || memcmp(h, "SQLite format 3", 16) != 0)
		return err_set(err, E_INPUT,
		    "%s is not a Muster database, or is damaged: name another home, or restore a "
		    "backup",
		    path);
	id = (uint32_t)h[APPLICATION_ID_AT] << 24 | (uint32_t)h[APPLICATION_ID_AT + 1] << 16 |
	     (uint32_t)h[APPLICATION_ID_AT + 2] << 8 | h[APPLICATION_ID_AT + 3];
	if (id != APPLICATION_ID)
		return err_set(err, E_INPUT,
		    "%s is another program's database, not Muster's: name another home", path);
	return 0;
}

/* Read the schema, which also compares the file's length with its header, and see that no other
 * program is writing. -shm comes into being by it. */
static const char check_sound[] = "SELECT count(*) FROM sqlite_schema; BEGIN IMMEDIATE; ROLLBACK";

static int
sqlite_open(const char *path, enum db_role role, struct db **db_out, struct err *err)
{
	struct sqlite *c = NULL;
	int fd = -1, rc;

	if (role == DB_READER) {
		if ((rc = connect_to(path, role, &c, err)) != 0)
			return rc;
		c->opening = false;
		*db_out = &c->db;
		return 0;
	}
	/* The lock comes before anybody opens the database file: closing any descriptor of it would
	 * drop the locks of a connection that this process may have already. */
	if ((rc = lock_wal(path, false, &fd, err)) != 0 || (rc = check_header(path, err)) != 0 ||
	    (fd < 0 && (rc = lock_wal(path, true, &fd, err)) != 0) ||
	    (rc = connect_to(path, role, &c, err)) != 0 ||
	    (rc = sqlite_script(&c->db, check_sound, err)) != 0)
		goto out;
	c->opening = false;
	c->lock_fd = fd;
	*db_out = &c->db;
	return 0;
out:
	if (c != NULL)
		sqlite_close(&c->db);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int
sqlite_create(const char *path, struct err *err)
{
	struct sqlite *c = NULL;
	char sql[64];
	int fd, rc;

	if ((fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) {
		if (errno == EEXIST)
			return err_set(err, E_CONFLICT, "%s exists already", path);
		return err_sys(err, "cannot create %s", path);
	}
	(void)close(fd);
	(void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d", APPLICATION_ID);
	/* The checkpoint puts the id into the file itself, where check_header looks. */
	if ((rc = connect_to(path, DB_WRITER, &c, err)) == 0 &&
	    (rc = sqlite_script(&c->db, sql, err)) == 0 &&
	    (rc = sqlite_checkpoint(&c->db, err)) == 0)
		rc = fs_sync_parent(path, err);
	if (c != NULL)
		sqlite_close(&c->db);
	return rc;
}

/* A reader's snapshot written out anew: neither the log nor free pages go along, and nothing is checkpointed. It holds
 * checkpoints of the process that serves the database back for as long as it takes. */
static int
sqlite_copy(const char *from, const char *to, struct err *err)
{
	struct sqlite *c = NULL;
	int rc;

	if (fs_exists(to))
		return err_set(err, E_CONFLICT, "%s exists already", to);
	if ((rc = check_header(from, err)) != 0 || (rc = connect_to(from, DB_READER, &c, err)) != 0)
		return rc;
	/* The file itself stays open for reading only. */
	if ((rc = sqlite_script(&c->db, "PRAGMA query_only = OFF", err)) == 0)
		rc = db_exec(&c->db, "VACUUM INTO $1", DB_ARGS(db_text(to)), NULL, err);
	sqlite_close(&c->db);
	return rc;
}

static void
sqlite_destroy(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char name[FS_PATH_MAX + 8];
	size_t i;

	for (i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		(void)unlink(name);
	}
}

const struct db_engine sqlite_engine = {
    .begin_write = "BEGIN IMMEDIATE",
    .begin_read = "BEGIN",
    .migrations = migrate_sqlite,
    .create = sqlite_create,
    .copy = sqlite_copy,
    .destroy = sqlite_destroy,
    .open = sqlite_open,
    .close = sqlite_close,
    .script = sqlite_script,
    .query = sqlite_query,
    .next = sqlite_next,
    .end = sqlite_end,
    .col_is_null = sqlite_col_is_null,
    .col_int = sqlite_col_int,
    .col_data = sqlite_col_data,
    .in_transaction = sqlite_in_transaction,
    .version = sqlite_version,
    .set_version = sqlite_set_version,
    .maintain = sqlite_maintain,
    .checkpoint = sqlite_checkpoint,
};
