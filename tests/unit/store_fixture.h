/* A real store in a folder of its own for each test, and a second, independent look at its file. */
#ifndef MUSTER_TESTS_STORE_FIXTURE_H
#define MUSTER_TESTS_STORE_FIXTURE_H

#include "check.h"

#include "base/fs.h"
#include "store/certificate.h"
#include "store/device.h"
#include "store/store.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	char path[128];
	struct store *store;
};

static inline int
fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/muster-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof f->path, "%s/muster.db", f->dir);
	assert_ok(store_create(f->path, &err));
	assert_ok(store_open(f->path, &f->store, &err));
	*state = f;
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;
	struct dirent *entry;
	char name[512];
	DIR *dir;

	store_close(f->store);
	dir = opendir(f->dir);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		(void)snprintf(name, sizeof name, "%s/%s", f->dir, entry->d_name);
		(void)unlink(name);
	}
	(void)closedir(dir);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static inline void
fixture_reopen(struct fixture *f)
{
	struct err err = {0};

	store_close(f->store);
	f->store = NULL;
	assert_ok(store_open(f->path, &f->store, &err));
}

/* Run SQL on the file behind the store's back, while it is closed. */
static inline void
fixture_tamper(struct fixture *f, const char *sql)
{
	struct err err = {0};
	sqlite3 *db;
	char *why = NULL;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_ok(store_open(f->path, &f->store, &err));
}

/* The one number that SQL answers, from a connection of its own. */
static inline int64_t
fixture_number(const struct fixture *f, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int64_t value;

	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return value;
}

/* The last SELECT from a table that any connection opened after fixture_trace() ran. */
static char fixture_last_sql[2048];

static inline int
fixture_remember(unsigned kind, void *ctx, void *stmt, void *unused)
{
	const char *sql = sqlite3_sql(stmt);

	(void)kind;
	(void)ctx;
	(void)unused;
	if (strncmp(sql, "SELECT ", 7) == 0)
		(void)snprintf(fixture_last_sql, sizeof fixture_last_sql, "%s", sql);
	return 0;
}

static inline int
fixture_trace_one(sqlite3 *db, char **why, const void *api)
{
	(void)why;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, fixture_remember, NULL);
}

static inline void
fixture_trace(void)
{
	(void)sqlite3_auto_extension((void (*)(void))fixture_trace_one);
}

/* How SQLite carries it out: the lines of EXPLAIN QUERY PLAN, each followed by "; ". */
static inline void
fixture_plan(const struct fixture *f, char *out, size_t size)
{
	char sql[2200];
	sqlite3 *db;
	sqlite3_stmt *stmt;

	(void)snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", fixture_last_sql);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	out[0] = '\0';
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		size_t len = strlen(out);

		(void)snprintf(
		    out + len, size - len, "%s; ", (const char *)sqlite3_column_text(stmt, 3));
	}
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
}

/* A device whose id is made of N. */
static inline struct store_device
fixture_device(unsigned n, const char *name)
{
	struct store_device d = {.tenant_id = STORE_TENANT_DEFAULT,
	    .type = "sensor",
	    .policy = "builtin",
	    .status = DEVICE_ACTIVE,
	    .created_at = 1000,
	    .updated_at = 1000};

	(void)snprintf(d.id, sizeof d.id, "%08x-0000-4000-8000-000000000000", n);
	(void)snprintf(d.name, sizeof d.name, "%s", name);
	return d;
}

/* A certificate of it whose serial, fingerprint and key begin with N. DER is borrowed: never clear it. */
static inline struct store_certificate
fixture_certificate(unsigned n, const char *owner_id)
{
	static uint8_t der[] = {0x30, 0x03, 0x02, 0x01, 0x00};
	struct store_certificate c = {.tenant_id = STORE_TENANT_DEFAULT,
	    .owner_kind = OWNER_DEVICE,
	    .key = "ec-p256",
	    .profile = "standard",
	    .not_before = 1000,
	    .not_after = 2000,
	    .der = der,
	    .der_len = sizeof der};

	(void)snprintf(c.owner_id, sizeof c.owner_id, "%s", owner_id);
	c.serial[0] = 0x40;
	memcpy(c.serial + 1, &n, sizeof n);
	memcpy(c.fingerprint, &n, sizeof n);
	memcpy(c.spki_hash, &n, sizeof n);
	return c;
}

#endif
