/* Opening, transactions, groups, readers, durability. */
#include "store_fixture.h"

#include "store/change.h"
#include "store/crl.h"
#include "store/db.h"
#include "store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* In place of libc's, for libsqlite3 too: counts the commits that reach the disk, and fails on demand. */
static atomic_uint syncs;
static atomic_bool sync_fails;

__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	if (atomic_load(&sync_fails)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static void
overwrite(const char *path, off_t at, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), (ssize_t)len);
	(void)close(fd);
}

static void
add_device(struct store *store, unsigned n)
{
	struct store_device d = fixture_device(n, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	assert_ok(store_commit(&tx, &err));
	assert_null(tx);
}

static int
has_device(struct store *store, unsigned n)
{
	struct store_device d = fixture_device(n, ""), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_read(store, &tx, &err));
	rc = store_device_get(tx, STORE_TENANT_DEFAULT, d.id, &got, &err);
	store_rollback(&tx);
	store_device_clear(&got);
	return rc;
}

/* --- opening (I3, I15) --- */

static void
test_create_makes_three_private_files(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct fixture *f = *state;
	struct err err = {0};
	char name[160];
	struct stat st;
	size_t i;

	for (i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(store_create(f->path, &err), E_CONFLICT);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM tenant WHERE id = 1"), 1);
	/* They outlive the store, for the next process may open but not create files. */
	store_close(f->store);
	f->store = NULL;
	for (i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
		assert_int_equal(stat(name, &st), 0);
	}
}

static void
test_open_refuses_what_is_not_ours(void **state)
{
	static const uint8_t zeros[4096];
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	char other[160];
	sqlite3 *db;

	(void)snprintf(other, sizeof other, "%s/other.db", f->dir);
	assert_int_equal(store_open(other, &store, &err), E_NOTFOUND);
	assert_false(fs_exists(other)); /* never made by open */
	assert_ok(fs_write(other, 0600, (gid_t)-1, "", 0, &err));
	assert_int_equal(store_open(other, &store, &err), E_INPUT);
	assert_ok(fs_write(other, 0600, (gid_t)-1, zeros, sizeof zeros, &err));
	assert_int_equal(store_open(other, &store, &err), E_INPUT);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(sqlite3_open(other, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(store_open(other, &store, &err), E_INPUT);
	assert_non_null(strstr(err.text, "another program's"));
	(void)unlink(other);
	assert_int_equal(symlink(f->path, other), 0);
	assert_int_equal(store_open(other, &store, &err), E_INPUT);
	assert_int_equal(store_open(f->dir, &store, &err), E_INPUT);
	assert_null(store);
}

static void
test_open_refuses_newer(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	sqlite3 *db;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db, "PRAGMA user_version = 9999", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(store_open(f->path, &store, &err), E_INPUT);
	assert_non_null(strstr(err.text, "9999"));
	assert_null(store);
}

static void
test_open_refuses_damage(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	uint8_t garbage[3000];

	store_close(f->store);
	f->store = NULL;
	/* Cut in the middle. */
	assert_int_equal(truncate(f->path, 3 * 4096), 0);
	assert_int_equal(store_open(f->path, &store, &err), E_INPUT);
	/* The schema's page overwritten behind the header. */
	memset(garbage, 0xa5, sizeof garbage);
	overwrite(f->path, 100, garbage, sizeof garbage);
	assert_int_equal(store_open(f->path, &store, &err), E_INPUT);
	assert_non_null(strstr(err.text, "backup"));
	assert_null(store);
}

static int
child_status(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* I15 */
static void
test_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(-store_open(f->path, &store, &err));
	assert_int_equal(child_status(pid), -E_BUSY);
	/* The same process too, and the first store is none the worse. */
	assert_int_equal(store_open(f->path, &store, &err), E_BUSY);
	add_device(f->store, 1);
	if ((pid = fork()) == 0)
		_exit(-store_open(f->path, &store, &err));
	assert_int_equal(child_status(pid), -E_BUSY);
}

static void
test_foreign_writer_at_open(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	sqlite3 *db;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_open(f->path, &store, &err), E_BUSY);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_ok(store_open(f->path, &f->store, &err));
}

/* Whom root's permissions do not help: another user when root runs the tests, else whoever does. */
static uid_t
somebody(void)
{
	return geteuid() == 0 ? 65534 : geteuid();
}

static gid_t
somebodys_group(void)
{
	return geteuid() == 0 ? 65534 : getegid();
}

static void
test_read_only_file(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	pid_t pid;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0444), 0);
	if ((pid = fork()) == 0) {
		char name[160];

		(void)snprintf(name, sizeof name, "%s-wal", f->path);
		if (chown(name, somebody(), somebodys_group()) != 0)
			_exit(98);
		(void)snprintf(name, sizeof name, "%s-shm", f->path);
		if (chown(name, somebody(), somebodys_group()) != 0 || setuid(somebody()) != 0)
			_exit(99);
		_exit(-store_open(f->path, &store, &err));
	}
	assert_int_equal(child_status(pid), -E_SYS);
}

/* --- migrations (I14) --- */

static const struct migration first = {"001_a", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"};
static const struct migration second = {"002_b", "CREATE TABLE b (x INTEGER); UPDATE a SET x = 2"};
static const struct migration broken = {"002_c", "UPDATE a SET x = 3; SELECT * FROM nowhere"};

static void
test_migrations_are_all_or_nothing(void **state)
{
	static const struct migration *const one[] = {&first, NULL};
	static const struct migration *const bad[] = {&first, &broken, NULL};
	static const struct migration *const two[] = {&first, &second, NULL};
	struct fixture *f = *state;
	struct db *db = NULL;
	struct err err = {0};

	store_close(f->store);
	f->store = NULL;
	sqlite_engine.destroy(f->path);
	assert_int_equal(sqlite_engine.create(f->path, &err), 0);
	assert_int_equal(sqlite_engine.open(f->path, DB_WRITER, &db, &err), 0);
	assert_ok(migrate(db, bad + 2, &err)); /* none */
	assert_int_equal(migrate(db, bad, &err), E_SYS);
	assert_non_null(strstr(err.text, "002_c"));
	assert_int_equal(fixture_number(f, "PRAGMA user_version"), 1);
	assert_int_equal(fixture_number(f, "SELECT x FROM a"), 1);
	assert_ok(migrate(db, one, &err));
	assert_ok(migrate(db, two, &err));
	assert_int_equal(fixture_number(f, "PRAGMA user_version"), 2);
	assert_int_equal(fixture_number(f, "SELECT x FROM a"), 2);
	assert_int_equal(migrate(db, one, &err), E_INPUT);
	sqlite_engine.close(db);
}

/* A kill at any moment of the first migration leaves no schema or all of it, and open then completes it. */
static void
test_migration_killed(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	struct timespec wait = {0};
	unsigned i;
	int status;
	pid_t pid;

	store_close(f->store);
	f->store = NULL;
	for (i = 0; i < 12; i++) {
		sqlite_engine.destroy(f->path);
		assert_int_equal(sqlite_engine.create(f->path, &err), 0);
		if ((pid = fork()) == 0) {
			struct store *store = NULL;

			_exit(-store_open(f->path, &store, &err));
		}
		assert_true(pid > 0);
		wait.tv_nsec = i * 400000;
		(void)nanosleep(&wait, NULL);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(fixture_number(f, "SELECT (count(*) = 0) = ((SELECT user_version FROM"
						   " pragma_user_version) = 0) FROM sqlite_schema"),
		    1);
		assert_ok(store_open(f->path, &f->store, &err));
		add_device(f->store, i);
		store_close(f->store);
		f->store = NULL;
	}
}

/* --- transactions --- */

static void
test_rollback_undoes_and_commit_stays(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(7, "d");
	struct store_tx *tx = NULL, *read = NULL;
	struct store_device got = {0};
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	store_rollback(&tx);
	assert_null(tx);
	store_rollback(&tx); /* harmless */
	assert_int_equal(has_device(f->store, 7), E_NOTFOUND);

	/* A reader keeps its snapshot while a writer commits. */
	assert_ok(store_read(f->store, &read, &err));
	assert_int_equal(
	    store_device_get(read, STORE_TENANT_DEFAULT, d.id, &got, &err), E_NOTFOUND);
	add_device(f->store, 7);
	assert_int_equal(
	    store_device_get(read, STORE_TENANT_DEFAULT, d.id, &got, &err), E_NOTFOUND);
	store_rollback(&read);
	assert_int_equal(has_device(f->store, 7), 0);
	fixture_reopen(f);
	assert_int_equal(has_device(f->store, 7), 0);
}

static void
test_error_inside_leaves_the_rest(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "d"), other = fixture_device(2, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};

	add_device(f->store, 1);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_device_insert(tx, &d, &err), E_CONFLICT);
	assert_ok(store_device_insert(tx, &other, &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(has_device(f->store, 2), 0);
}

static void
test_reader_cannot_write(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_int_equal(store_device_insert(tx, &d, &err), E_SYS);
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(has_device(f->store, 1), E_NOTFOUND);
}

#define THREADS 32
#define EACH 200

struct worker {
	struct store *store;
	unsigned number;
	unsigned stored;
};

/* Every third transaction is rolled back, every tenth fails inside; the change feed must have no gap. */
static void *
write_many(void *arg)
{
	struct worker *w = arg;
	struct err err = {0};
	unsigned i;

	for (i = 0; i < EACH; i++) {
		struct store_device d = fixture_device(w->number * EACH + i, "d");
		struct store_tx *tx = NULL;
		int64_t seq = 0;

		assert_ok(store_begin(w->store, &tx, &err));
		assert_ok(store_device_insert(tx, &d, &err));
		assert_ok(store_change_append(tx, 1, "device", d.id, 5, &seq, &err));
		assert_true(seq > 0);
		if (i % 10 == 9)
			assert_int_equal(store_device_insert(tx, &d, &err), E_CONFLICT);
		if (i % 3 == 2) {
			store_rollback(&tx);
			continue;
		}
		assert_ok(store_commit(&tx, &err));
		w->stored++;
		if (i % 8 == 0) {
			struct store_device got = {0};

			assert_ok(store_read(w->store, &tx, &err));
			assert_ok(
			    store_device_get(tx, STORE_TENANT_DEFAULT, d.id, &got, &err));
			store_device_clear(&got);
			store_rollback(&tx);
		}
	}
	return NULL;
}

static void
test_many_writers(void **state)
{
	struct fixture *f = *state;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	unsigned i, stored = 0;
	int rc;

	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.store = f->store, .number = i};
		assert_int_equal(
		    pthread_create(&threads[i], NULL, write_many, &workers[i]), 0);
	}
	for (i = 0; i < 20; i++) {
		struct err err = {0};

		rc = store_checkpoint(f->store, &err);
		assert_true(rc == 0 || rc == E_BUSY);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		stored += workers[i].stored;
	}
	assert_true(stored > 0);
	fixture_reopen(f);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM device"), stored);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM change"), stored);
	assert_int_equal(fixture_number(f, "SELECT max(seq) FROM change"), stored);
	assert_int_equal(
	    fixture_number(f, "SELECT count(*) FROM change c JOIN device d ON d.id = c.id"), stored);
}

/* Who waits for the turn joins the group: 33 transactions, one sync. */
struct turnstile {
	struct store *store;
	atomic_uint committed;
};

static void *
commit_one(void *arg)
{
	struct turnstile *t = arg;
	unsigned n = atomic_fetch_add(&t->committed, 1);

	add_device(t->store, 1000 + n);
	return NULL;
}

/* Wait until all threads are about to ask for the turn, and a little longer. */
static void
queued(struct turnstile *t)
{
	struct timespec wait = {.tv_nsec = 50000000};

	while (atomic_load(&t->committed) < THREADS)
		(void)nanosleep(&wait, NULL);
	(void)nanosleep(&wait, NULL);
}

static void
test_waiting_writers_share_a_commit(void **state)
{
	struct fixture *f = *state;
	struct turnstile t = {.store = f->store};
	struct store_device d = fixture_device(1, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};
	pthread_t threads[THREADS];
	const struct metric_histogram *sizes = &store_figures(f->store)->group_sizes;
	unsigned i, before;

	add_device(f->store, 2);
	before = atomic_load(&syncs);
	assert_true(before > 0);
	assert_int_equal(metric_count(sizes), 1);
	assert_int_equal(sizes->sum, 1);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_one, &t), 0);
	queued(&t);
	assert_ok(store_commit(&tx, &err));
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* Some may have come too late to queue. */
	assert_in_range(atomic_load(&syncs) - before, 1, 5);
	assert_int_equal(metric_count(sizes), 1 + atomic_load(&syncs) - before);
	assert_int_equal(sizes->sum, THREADS + 2);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM device"), THREADS + 2);
}

/* One that leaves its transaction to whoever has the turn. Odd ones fail, after they have written. */
struct errand {
	struct turnstile *t;
	unsigned n;
	pthread_t thread, ran_on;
	int rc;
	struct err err;
};

static int
errand_fn(struct store_tx *tx, void *ctx, struct err *err)
{
	struct errand *e = ctx;
	struct store_device d = fixture_device(1000 + e->n, "d");
	int rc;

	e->ran_on = pthread_self();
	if ((rc = store_device_insert(tx, &d, err)) != 0)
		return rc;
	return e->n % 2 == 1 ? err_set(err, E_INPUT, "number %u is odd", e->n) : 0;
}

static void *
errand_run(void *arg)
{
	struct errand *e = arg;

	(void)atomic_fetch_add(&e->t->committed, 1);
	e->rc = store_run(e->t->store, errand_fn, e, &e->err);
	return NULL;
}

/* What waits for its turn is run by who has it, in one group: each is told what became of its own, and one that fails
 * leaves nothing behind and harms no other. */
static void
test_who_commits_runs_what_waits(void **state)
{
	struct fixture *f = *state;
	struct turnstile t = {.store = f->store};
	struct store_device d = fixture_device(1, "d");
	const struct metric_histogram *sizes = &store_figures(f->store)->group_sizes;
	struct errand errands[THREADS] = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i, before, elsewhere = 0;
	char says[32];

	before = atomic_load(&syncs);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	for (i = 0; i < THREADS; i++) {
		errands[i].t = &t;
		errands[i].n = i;
		assert_int_equal(pthread_create(&errands[i].thread, NULL, errand_run, &errands[i]), 0);
	}
	queued(&t);
	assert_ok(store_commit(&tx, &err));
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(errands[i].thread, NULL), 0);
		assert_int_equal(errands[i].rc, i % 2 == 1 ? E_INPUT : 0);
		assert_int_equal(has_device(f->store, 1000 + i), i % 2 == 1 ? E_NOTFOUND : 0);
		(void)snprintf(says, sizeof says, "number %u is odd", i);
		assert_string_equal(errands[i].err.text, i % 2 == 1 ? says : "");
		elsewhere += pthread_equal(errands[i].ran_on, pthread_self()) != 0;
	}
	/* Some may have come too late to queue. */
	assert_in_range(elsewhere, 1, THREADS);
	assert_in_range(atomic_load(&syncs) - before, 1, 5);
	assert_int_equal(sizes->sum, 1 + THREADS / 2);
	/* Alone it runs where it was asked for. */
	errands[0].n = 2 * THREADS;
	assert_ok(store_run(f->store, errand_fn, &errands[0], &err));
	assert_true(pthread_equal(errands[0].ran_on, pthread_self()));
	errands[0].n++;
	assert_int_equal(store_run(f->store, errand_fn, &errands[0], &err), E_INPUT);
}

/* I2: a group that does not reach the disk is told to all whose transactions were in it. */
static void
test_errands_of_a_failed_group(void **state)
{
	struct fixture *f = *state;
	struct turnstile t = {.store = f->store};
	struct store_device d = fixture_device(1, "d");
	struct errand errands[8] = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct timespec wait = {.tv_nsec = 20000000};
	unsigned i;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	for (i = 0; i < 8; i++) {
		errands[i].t = &t;
		errands[i].n = 2 * i;
		assert_int_equal(pthread_create(&errands[i].thread, NULL, errand_run, &errands[i]), 0);
	}
	while (atomic_load(&t.committed) < 8)
		(void)nanosleep(&wait, NULL);
	(void)nanosleep(&wait, NULL);
	atomic_store(&sync_fails, true);
	assert_int_equal(store_commit(&tx, &err), E_SYS);
	for (i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(errands[i].thread, NULL), 0);
		assert_int_equal(errands[i].rc, E_SYS);
	}
	atomic_store(&sync_fails, false);
	assert_int_equal(store_run(f->store, errand_fn, &errands[0], &err), E_SYS); /* it must be reopened */
}

#define MORE_READERS 24

static void *
read_slowly(void *arg)
{
	struct timespec wait = {.tv_nsec = 2000000};
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;
	unsigned i;

	for (i = 0; i < 10; i++) {
		assert_ok(store_read(arg, &tx, &err));
		assert_ok(store_change_last(tx, &seq, &err));
		(void)nanosleep(&wait, NULL);
		store_rollback(&tx);
	}
	return NULL;
}

static void
test_more_readers_than_connections(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[MORE_READERS];
	unsigned i;

	for (i = 0; i < MORE_READERS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_slowly, f->store), 0);
	for (i = 0; i < MORE_READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void
test_checkpoint_and_readers(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct stat st;
	char wal[160];
	int64_t seq;

	(void)snprintf(wal, sizeof wal, "%s-wal", f->path);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_change_last(tx, &seq, &err));
	add_device(f->store, 1);
	assert_int_equal(store_checkpoint(f->store, &err), E_BUSY);
	store_rollback(&tx);
	assert_ok(store_checkpoint(f->store, &err));
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(has_device(f->store, 1), 0);
}

/* --- durability (I1, I2) --- */

/* The child writes each number to the pipe only after its commit; then it dies in mid-work. */
static void *
write_and_tell(void *arg)
{
	struct worker *w = arg;
	uint32_t n;

	for (n = w->number << 20;; n++) {
		add_device(w->store, n);
		if (write((int)w->stored, &n, sizeof n) != (ssize_t)sizeof n)
			_exit(3);
	}
	return NULL;
}

static void
work_until_killed(const char *path, int fd)
{
	struct worker workers[8];
	struct err err = {0};
	struct store *store;
	pthread_t thread;
	unsigned i;

	if (store_open(path, &store, &err) != 0)
		_exit(2);
	for (i = 0; i < 8; i++) {
		workers[i] = (struct worker){.store = store, .number = i, .stored = (unsigned)fd};
		(void)pthread_create(&thread, NULL, write_and_tell, &workers[i]);
	}
	(void)pause();
}

static void
test_kill_loses_nothing_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct timespec wait = {.tv_nsec = 150000000};
	uint32_t n;
	unsigned told = 0;
	int ends[2], status;
	struct err err = {0};
	pid_t pid;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(pipe(ends), 0);
	(void)fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
	if ((pid = fork()) == 0)
		work_until_killed(f->path, ends[1]);
	assert_true(pid > 0);
	(void)close(ends[1]);
	(void)nanosleep(&wait, NULL);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_ok(store_open(f->path, &f->store, &err));
	while (read(ends[0], &n, sizeof n) == (ssize_t)sizeof n) {
		assert_int_equal(has_device(f->store, n), 0);
		told++;
	}
	assert_true(told > 8);
	(void)close(ends[0]);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM pragma_integrity_check"
					   " WHERE integrity_check <> 'ok'"),
	    0);
}

/* fsync fails: every member of the group is told so, nobody is told otherwise, and nothing is tried again. */
static void *
commit_one_in_vain(void *arg)
{
	struct turnstile *t = arg;
	struct store_device d = fixture_device(1000 + atomic_fetch_add(&t->committed, 1), "d");
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	if ((rc = store_begin(t->store, &tx, &err)) == 0 &&
	    (rc = store_device_insert(tx, &d, &err)) == 0)
		rc = store_commit(&tx, &err);
	assert_int_equal(rc, E_SYS);
	assert_int_equal(err.code, E_SYS);
	assert_true(err.text[0] != '\0');
	return NULL;
}

static void
test_failed_sync_fails_the_group(void **state)
{
	struct fixture *f = *state;
	struct turnstile t = {.store = f->store};
	struct store_device d = fixture_device(2, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};
	pthread_t threads[THREADS];
	unsigned i, before;

	add_device(f->store, 1);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, commit_one_in_vain, &t), 0);
	queued(&t);
	atomic_store(&sync_fails, true);
	assert_int_equal(store_commit(&tx, &err), E_SYS);
	before = atomic_load(&syncs);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(store_check(f->store, &err), E_SYS);
	assert_int_equal(store_checkpoint(f->store, &err), E_SYS);
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(atomic_load(&syncs), before);
	atomic_store(&sync_fails, false);
	assert_ok(store_open(f->path, &f->store, &err));
	assert_int_equal(has_device(f->store, 1), 0);
}

/* A checkpoint whose sync fails poisons too: SQLite's automatic one would have said nothing. */
static void
test_failed_sync_in_checkpoint(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	add_device(f->store, 1);
	atomic_store(&sync_fails, true);
	assert_int_equal(store_checkpoint(f->store, &err), E_SYS);
	assert_int_equal(store_check(f->store, &err), E_SYS);
	store_close(f->store);
	f->store = NULL;
	atomic_store(&sync_fails, false);
	assert_ok(store_open(f->path, &f->store, &err));
	assert_int_equal(has_device(f->store, 1), 0);
}

/* SQLite drops the whole transaction by itself, in the middle of one member's: the others must not be told that
 * theirs is stored. What is on disk is known, so the store goes on. */
struct spoiler {
	struct store *store;
	atomic_bool asking;
};

static void *
fill_the_disk(void *arg)
{
	struct spoiler *s = arg;
	const struct rlimit little = {4 << 20, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
	const size_t len = 8 << 20;
	uint8_t *bytes = calloc(1, len);
	struct store_device d = fixture_device(77, "d");
	struct store_crl crl = {.number = 1};
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i;
	int rc = 0;

	assert_non_null(bytes);
	atomic_store(&s->asking, true);
	assert_ok(store_begin(s->store, &tx, &err));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	/* More than the writer's cache holds, so that it spills into the log before the commit. */
	for (i = 0; i < 10 && rc == 0; i++) {
		char issuer[8];

		(void)snprintf(issuer, sizeof issuer, "%u", i);
		rc = store_crl_put(tx, issuer, &crl, bytes, len, &err);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_int_equal(rc, E_SYS);
	/* Nor may a caller who goes on write outside of a transaction. */
	assert_int_equal(store_device_insert(tx, &d, &err), E_SYS);
	assert_int_equal(store_commit(&tx, &err), E_SYS);
	free(bytes);
	return NULL;
}

static void
test_dropped_group_is_told(void **state)
{
	struct fixture *f = *state;
	struct spoiler s = {.store = f->store};
	struct timespec wait = {.tv_nsec = 50000000};
	struct store_device d = fixture_device(1, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};
	pthread_t thread;

	(void)signal(SIGXFSZ, SIG_IGN);
	add_device(f->store, 2);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	assert_int_equal(pthread_create(&thread, NULL, fill_the_disk, &s), 0);
	while (!atomic_load(&s.asking))
		(void)nanosleep(&wait, NULL);
	(void)nanosleep(&wait, NULL);
	assert_int_equal(store_commit(&tx, &err), E_BUSY);
	assert_non_null(strstr(err.text, "not stored"));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ok(store_check(f->store, &err));
	add_device(f->store, 3);
	fixture_reopen(f);
	assert_int_equal(has_device(f->store, 1), E_NOTFOUND);
	assert_int_equal(has_device(f->store, 77), E_NOTFOUND);
	assert_int_equal(has_device(f->store, 2), 0);
	assert_int_equal(has_device(f->store, 3), 0);
}

/* The disk takes no more: every member of the group learns of it, and from then on the store refuses. */
static int
commit_on_full_disk(const char *path)
{
	struct rlimit limit = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct store *store;
	unsigned n;

	if (store_open(path, &store, &err) != 0)
		return 10;
	(void)signal(SIGXFSZ, SIG_IGN);
	limit.rlim_cur = limit.rlim_max = (rlim_t)300 * 1024;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return 11;
	for (n = 0; n < 10000; n++) {
		struct store_device d = fixture_device(n, "d");

		if (store_begin(store, &tx, &err) != 0)
			return 12;
		if (store_device_insert(tx, &d, &err) != 0)
			return 13;
		if (store_commit(&tx, &err) != 0)
			break;
	}
	if (n == 0 || n == 10000 || tx != NULL || err.code != E_SYS)
		return 14;
	if (store_check(store, &err) != E_SYS || store_begin(store, &tx, &err) != E_SYS ||
	    store_read(store, &tx, &err) != E_SYS || store_checkpoint(store, &err) != E_SYS)
		return 15;
	store_close(store);
	return 0;
}

static void
test_failed_commit_poisons(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	pid_t pid;

	store_close(f->store);
	f->store = NULL;
	if ((pid = fork()) == 0)
		_exit(commit_on_full_disk(f->path));
	assert_int_equal(child_status(pid), 0);
	assert_ok(store_open(f->path, &f->store, &err));
	assert_ok(store_check(f->store, &err));
	assert_true(fixture_number(f, "SELECT count(*) FROM device") > 0);
	add_device(f->store, 1u << 30);
}

/* No temporary file and no journal, however large the transaction: the server's sandbox forbids to make any. */
static void
test_nothing_is_created(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i;
	pid_t pid;

	assert_int_equal(chmod(f->dir, 0555), 0);
	store_close(f->store);
	f->store = NULL;
	for (i = 0; i < 5; i++) {
		static const char *const names[] = {"muster.db", "muster.db-wal", "muster.db-shm", "muster.db-reserve", "audit.key"};
		char name[160];

		(void)snprintf(name, sizeof name, "%s/%s", f->dir, names[i]);
		assert_int_equal(chown(name, somebody(), somebodys_group()), 0);
	}
	if ((pid = fork()) == 0) {
		(void)setenv("SQLITE_TMPDIR", "/nonexistent", 1);
		(void)setenv("TMPDIR", "/nonexistent", 1);
		if (setuid(somebody()) != 0 || store_open(f->path, &f->store, &err) != 0 ||
		    store_begin(f->store, &tx, &err) != 0)
			_exit(1);
		for (i = 0; i < 3000; i++) {
			struct store_device d = fixture_device(i, "a name of some length");

			if (store_device_insert(tx, &d, &err) != 0)
				_exit(2);
		}
		store_rollback(&tx);
		if (store_read(f->store, &tx, &err) != 0)
			_exit(3);
		store_rollback(&tx);
		if (store_checkpoint(f->store, &err) != 0)
			_exit(4);
		store_close(f->store);
		_exit(0);
	}
	assert_int_equal(child_status(pid), 0);
	assert_ok(store_open(f->path, &f->store, &err));
}

/* In the child: write pairs of a device and its certificate, one transaction each, until killed. */
static void
write_pairs(const char *path, int said)
{
	struct store *store = NULL;
	struct store_tx *tx = NULL;
	unsigned i;

	if (store_open(path, &store, NULL) != 0)
		_exit(1);
	for (i = 1;; i++) {
		struct store_device d = fixture_device(i, "paired");
		struct store_certificate c = fixture_certificate(i, d.id);

		if (store_begin(store, &tx, NULL) != 0 || store_device_insert(tx, &d, NULL) != 0 ||
		    store_certificate_insert(tx, &c, NULL) != 0 || store_commit(&tx, NULL) != 0 ||
		    write(said, &i, sizeof i) != sizeof i)
			_exit(2);
	}
}

/* The copy is one state: whole transactions, and all that were acknowledged before it began. */
static void
check_copy(const char *path, unsigned acknowledged)
{
	struct fixture copy = {0};
	int64_t n;

	(void)snprintf(copy.path, sizeof copy.path, "%s", path);
	n = fixture_number(&copy, "SELECT count(*) FROM device");
	assert_true(n >= acknowledged);
	assert_int_equal(n, fixture_number(&copy, "SELECT count(*) FROM certificate"));
	assert_int_equal(n, fixture_number(&copy, "SELECT count(*) FROM device JOIN certificate ON owner_id = id"));
	assert_int_equal(fixture_number(&copy, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

/* I13 */
static void
test_copy_while_another_process_writes(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	unsigned i, last = 0, before = 0;
	struct err err = {0};
	char copy[160];
	int said[2];
	pid_t pid;

	store_close(f->store);
	f->store = NULL;
	assert_int_equal(pipe2(said, O_CLOEXEC | O_NONBLOCK), 0);
	if ((pid = fork()) == 0) {
		(void)fcntl(said[1], F_SETFL, 0);
		write_pairs(f->path, said[1]);
	}
	for (i = 0; i < 5; i++) {
		while (last < before + 50)
			while (read(said[0], &last, sizeof last) == sizeof last)
				continue;
		before = last;
		(void)snprintf(copy, sizeof copy, "%s/copy-%u", f->dir, i);
		assert_ok(store_copy(f->path, copy, &err));
		check_copy(copy, before);
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* With what the killed one left: its log and its index of it. */
	(void)snprintf(copy, sizeof copy, "%s/copy-after", f->dir);
	assert_ok(store_copy(f->path, copy, &err));
	check_copy(copy, before);
	assert_ok(store_open(copy, &store, &err));
	store_close(store);
	assert_ok(store_open(f->path, &f->store, &err));
	(void)close(said[0]);
	(void)close(said[1]);
}

static void
test_copy_refuses(void **state)
{
	struct fixture *f = *state;
	char copy[160], other[160];
	struct err err = {0};

	store_close(f->store);
	f->store = NULL;
	(void)snprintf(copy, sizeof copy, "%s/copy", f->dir);
	(void)snprintf(other, sizeof other, "%s/other", f->dir);
	assert_int_equal(store_copy(other, copy, &err), E_NOTFOUND);
	assert_ok(fs_write(other, 0600, (gid_t)-1, "some text, and not a database", 29, &err));
	assert_int_equal(store_copy(other, copy, &err), E_INPUT);
	assert_false(fs_exists(copy));
	/* It overwrites nothing. */
	assert_int_equal(store_copy(f->path, other, &err), E_CONFLICT);
	assert_int_equal(store_copy(f->path, f->path, &err), E_CONFLICT);
	assert_ok(store_open(f->path, &f->store, &err));
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_create_makes_three_private_files),
	    case_of(test_open_refuses_what_is_not_ours),
	    case_of(test_open_refuses_newer),
	    case_of(test_open_refuses_damage),
	    case_of(test_second_process_is_refused),
	    case_of(test_foreign_writer_at_open),
	    case_of(test_read_only_file),
	    case_of(test_migrations_are_all_or_nothing),
	    case_of(test_migration_killed),
	    case_of(test_rollback_undoes_and_commit_stays),
	    case_of(test_error_inside_leaves_the_rest),
	    case_of(test_reader_cannot_write),
	    case_of(test_many_writers),
	    case_of(test_waiting_writers_share_a_commit),
	    case_of(test_who_commits_runs_what_waits),
	    case_of(test_errands_of_a_failed_group),
	    case_of(test_more_readers_than_connections),
	    case_of(test_checkpoint_and_readers),
	    case_of(test_kill_loses_nothing_acknowledged),
	    case_of(test_failed_sync_fails_the_group),
	    case_of(test_failed_sync_in_checkpoint),
	    case_of(test_dropped_group_is_told),
	    case_of(test_failed_commit_poisons),
	    case_of(test_nothing_is_created),
	    case_of(test_copy_while_another_process_writes),
	    case_of(test_copy_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
