/* Transactions: whose turn it is to write, when a group becomes durable, and the pool of readers.
 * Knows no table and no engine.
 *
 * Group commit without a thread of its own: who finishes a transaction while others wait for their
 * turn runs what they have left to be run (store_run), or hands the writer over to one that wants it
 * itself, with the group's transaction still open, and waits; who finishes and finds nobody waiting
 * (or the group full) commits for all of them and wakes them with the one result. So a lone writer
 * commits at once, and under load a group is as large as the queue. Inside a group each transaction
 * is a savepoint.
 *
 * Invariant: a group is open only while somebody has the turn, so whoever has it and leaves must
 * end the group or pass both on. */
#include "store/store.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/audit.h"
#include "store/auditkey.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/reserve.h"
#include "store/tx.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GROUP_MAX 256
#define READERS 8
#define CHECKPOINT_WAIT_MS 100 /* for readers to leave, while new ones wait */

/* A thread that waits, on its own stack, for the turn or for what becomes of its group. It is woken once. */
struct waiter {
	sem_t woken; /* and not a condition, behind which all that are woken would queue for the lock */
	struct waiter *next;
	store_fn *fn; /* to be run by whoever has the turn; NULL: it wants the turn itself */
	void *ctx;
	struct err *err;
	int rc;
	bool has_turn; /* it got the turn, to do FN itself */
};

static const struct metric_buckets group_sizes = {.n = 9, .bounds = {1, 2, 4, 8, 16, 32, 64, 128, GROUP_MAX}};

struct queue {
	struct waiter *first, **end;
};

struct store {
	const struct db_engine *engine;
	char path[FS_PATH_MAX];
	struct reserve *reserve;
	struct auditkey auditkey;
	void (*news)(void *ctx); /* or NULL */
	void *news_ctx;
	struct store_figures figures;
	pthread_mutex_t lock; /* of all that follows but what only the holder of the turn touches */
	bool taken;	      /* somebody has the turn */
	struct queue turn;    /* who wants it, first come first served */
	bool failed;
	struct err failure;
	pthread_cond_t reader_free;
	pthread_cond_t readers_gone;
	unsigned reading;
	bool checkpointing;		  /* no new readers */
	struct store_tx *idle[READERS];	  /* stack of those that are free: READERS - reading */
	struct store_tx readers[READERS]; /* opened when first used */
	/* The holder of the turn only: */
	struct queue members; /* who waits for the open group */
	struct store_tx writer;
	bool group_open;
	bool doomed;	   /* the group holds what nobody could undo */
	unsigned n_left;   /* transactions of the group that ended, either way */
	unsigned n_joined; /* those that are to be committed */
};

static void
queue_add(struct queue *queue, struct waiter *w)
{
	w->next = NULL;
	*queue->end = w;
	queue->end = &w->next;
}

/* The first, who is no longer in it; NULL if there is none. */
static struct waiter *
queue_take(struct queue *queue)
{
	struct waiter *w = queue->first;

	if (w != NULL && (queue->first = w->next) == NULL)
		queue->end = &queue->first;
	return w;
}

static void
waiter_wait(struct waiter *self)
{
	while (sem_wait(&self->woken) != 0)
		continue;
	(void)sem_destroy(&self->woken);
}

/* Wait in QUEUE. With the lock held, which is let go. */
static void
queue_wait(struct queue *queue, struct waiter *self, pthread_mutex_t *lock)
{
	(void)sem_init(&self->woken, 0, 0);
	queue_add(queue, self);
	(void)pthread_mutex_unlock(lock);
	waiter_wait(self);
}

/* Tell W what became of it. It is gone then. */
static void
wake(struct waiter *w, int rc, const struct err *why)
{
	w->rc = rc;
	if (rc != 0 && w->err != NULL)
		*w->err = *why;
	(void)sem_post(&w->woken);
}

/* With the lock held. */
static int
check(const struct store *store, struct err *err)
{
	if (store->failed && err != NULL)
		*err = store->failure;
	return store->failed ? E_SYS : 0;
}

void
store_on_change(struct store *store, void (*news)(void *ctx), void *ctx)
{
	store->news = news;
	store->news_ctx = ctx;
}

const struct auditkey *
store_auditkey(const struct store *store)
{
	return &store->auditkey;
}

const struct store_figures *
store_figures(const struct store *store)
{
	return &store->figures;
}

int
store_check(struct store *store, struct err *err)
{
	int rc;

	(void)pthread_mutex_lock(&store->lock);
	rc = check(store, err);
	(void)pthread_mutex_unlock(&store->lock);
	return rc;
}

/* What is on disk is unknown from here on: nothing may be tried again. With the lock held. */
static void
poison(struct store *store, const struct err *why)
{
	store->failed = true;
	(void)err_set(
	    &store->failure, E_SYS, "the database failed and must be reopened: %s", why->text);
	(void)pthread_cond_broadcast(&store->reader_free);
}

/* With the lock held. */
static void
turn_pass(struct store *store)
{
	struct waiter *w = queue_take(&store->turn);

	if (w == NULL) {
		store->taken = false;
		return;
	}
	w->has_turn = true;
	wake(w, 0, NULL);
}

/* *RUN_OUT: there is no turn to be had, for what SELF wanted to be run was, and this is what became of it. */
static int
turn_take(struct store *store, struct waiter *self, bool *run_out, struct err *err)
{
	int rc;

	*run_out = false;
	(void)pthread_mutex_lock(&store->lock);
	if (store->taken) {
		queue_wait(&store->turn, self, &store->lock);
		if ((*run_out = !self->has_turn))
			return self->rc;
		(void)pthread_mutex_lock(&store->lock);
	} else {
		store->taken = true;
	}
	if ((rc = check(store, err)) != 0)
		turn_pass(store);
	(void)pthread_mutex_unlock(&store->lock);
	return rc;
}

static int
group_begin(struct store *store, struct err *err)
{
	struct db *db = store->writer.db;
	int rc;

	if (store->group_open)
		return 0;
	if ((rc = db_exec(db, store->engine->begin_write, DB_NONE, NULL, err)) != 0)
		return rc;
	db->in_tx = true;
	store->group_open = true;
	store->n_left = store->n_joined = 0;
	store->writer.has_change = false;
	return 0;
}

/* Undo what a commit has left, if the engine has not. */
static bool
group_drop(struct store *store)
{
	struct db *db = store->writer.db;

	return !store->engine->in_transaction(db) || db_exec(db, "ROLLBACK", DB_NONE, NULL, NULL) == 0;
}

static int
group_commit(struct store *store, struct err *err)
{
	int64_t begun_us = clock_mono_us();
	int rc;

	KILLPOINT(7, "a group of transactions complete, not committed");
	if ((rc = db_exec(store->writer.db, "COMMIT", DB_NONE, NULL, err)) == 0) {
		metric_observe(&store->figures.group_sizes, store->n_joined);
		metric_observe(&store->figures.commit_durations, (uint64_t)(clock_mono_us() - begun_us));
	}
	KILLPOINT(8, "a group committed, its members not told");
	return rc;
}

/* Commit the group, wake its members, look after the log. By the holder of the turn, who keeps it.
 */
static int
group_end(struct store *store, struct err *err)
{
	struct db *db = store->writer.db;
	struct err why = {0}, told = {0};
	struct queue members = {0};
	bool sound = true;
	struct waiter *w;
	int rc = 0;

	if (!store->group_open)
		return 0;
	db->in_tx = false;
	store->group_open = false;
	if (store->doomed) {
		rc = err_set(&why, E_SYS, "a failed transaction could not be undone");
		sound = false;
	} else if (!store->engine->in_transaction(db)) {
		if (store->n_joined > 0)
			rc = err_set(&why, E_BUSY,
			    "the database dropped the transaction: out of space or memory");
	} else if (store->n_joined > 0) {
		rc = group_commit(store, &why);
		/* Without room the frame that would make the others count was not written, and all are dropped. */
		sound = rc == 0 || (rc == E_FULL && group_drop(store));
	} else {
		sound = db_exec(db, "ROLLBACK", DB_NONE, NULL, &why) == 0;
	}
	(void)pthread_mutex_lock(&store->lock);
	if (!sound)
		poison(store, &why);
	if (rc != 0)
		rc = err_set(&told, sound ? rc : E_SYS, "not stored: %s", why.text);
	(void)pthread_mutex_unlock(&store->lock);
	members.first = store->members.first;
	store->members.first = NULL;
	store->members.end = &store->members.first;
	while ((w = queue_take(&members)) != NULL)
		wake(w, rc, &told);
	if (rc == 0 && store->writer.has_change && store->news != NULL)
		store->news(store->news_ctx);
	if (rc == 0 && sound && store->engine->maintain(db, &why) != 0) {
		(void)pthread_mutex_lock(&store->lock);
		poison(store, &why);
		(void)pthread_mutex_unlock(&store->lock);
	}
	if (rc != 0 && err != NULL)
		*err = told;
	return rc;
}

/* May the group have one more transaction? */
static bool
group_has_room(struct store *store)
{
	return store->engine->in_transaction(store->writer.db) && !store->doomed && store->n_left < GROUP_MAX;
}

/* Undo the present transaction of the group. If even that fails, the group cannot be told from it,
 * and is dropped as a whole. */
static void
undo(struct store *store)
{
	struct db *db = store->writer.db;

	if (db_exec(db, "ROLLBACK TO SAVEPOINT tx", DB_NONE, NULL, NULL) == 0 &&
	    db_exec(db, "RELEASE SAVEPOINT tx", DB_NONE, NULL, NULL) == 0)
		return;
	if (store->engine->in_transaction(db) && db_exec(db, "ROLLBACK", DB_NONE, NULL, NULL) != 0)
		store->doomed = true;
}

/* One whole transaction of the open group; undone if it fails. By the holder of the turn. */
static int
transaction_run(struct store *store, store_fn *fn, void *ctx, struct err *err)
{
	struct db *db = store->writer.db;
	int rc;

	if ((rc = db_exec(db, "SAVEPOINT tx", DB_NONE, NULL, err)) != 0)
		return rc;
	if ((rc = fn(&store->writer, ctx, err)) != 0 ||
	    (rc = db_exec(db, "RELEASE SAVEPOINT tx", DB_NONE, NULL, err)) != 0)
		undo(store);
	return rc;
}

/* What those who are next have left to be run becomes part of the group. Returns with the lock held. */
static void
others_run(struct store *store)
{
	struct waiter *w;
	int rc;

	(void)pthread_mutex_lock(&store->lock);
	while ((w = store->turn.first) != NULL && w->fn != NULL && group_has_room(store)) {
		(void)queue_take(&store->turn);
		(void)pthread_mutex_unlock(&store->lock);
		rc = transaction_run(store, w->fn, w->ctx, w->err);
		store->n_left++;
		store->n_joined += rc == 0;
		if (rc == 0)
			queue_add(&store->members, w);
		else
			wake(w, rc, w->err);
		(void)pthread_mutex_lock(&store->lock);
	}
}

/* Leave the turn after a transaction that is part of the group (JOINED) or has undone itself.
 * Returns when the group is durable, or at once for one that has nothing to wait for. */
static int
leave(struct store *store, bool joined, struct err *err)
{
	struct waiter self = {.err = err};
	int rc;

	store->n_left++;
	store->n_joined += joined;
	others_run(store);
	if (store->turn.first != NULL && group_has_room(store)) {
		if (!joined) {
			turn_pass(store);
			(void)pthread_mutex_unlock(&store->lock);
			return 0;
		}
		(void)sem_init(&self.woken, 0, 0);
		queue_add(&store->members, &self);
		turn_pass(store);
		(void)pthread_mutex_unlock(&store->lock);
		waiter_wait(&self);
		return self.rc;
	}
	(void)pthread_mutex_unlock(&store->lock);
	rc = group_end(store, joined ? err : NULL);
	(void)pthread_mutex_lock(&store->lock);
	turn_pass(store);
	(void)pthread_mutex_unlock(&store->lock);
	return joined ? rc : 0;
}

static int
begin(struct store *store, struct store_tx **tx_out, struct err *err)
{
	struct waiter self = {0};
	bool run;
	int rc;

	if ((rc = turn_take(store, &self, &run, err)) != 0)
		return rc;
	if ((rc = group_begin(store, err)) == 0)
		rc = db_exec(store->writer.db, "SAVEPOINT tx", DB_NONE, NULL, err);
	if (rc == 0)
		*tx_out = &store->writer;
	else
		(void)leave(store, false, NULL);
	return rc;
}

int
store_run(struct store *store, store_fn *fn, void *ctx, struct err *err)
{
	struct waiter self = {.fn = fn, .ctx = ctx, .err = err};
	bool run;
	int rc;

	if ((rc = store_room(store, err)) != 0 || (rc = turn_take(store, &self, &run, err)) != 0 || run)
		return rc;
	if ((rc = group_begin(store, err)) == 0 && (rc = transaction_run(store, fn, ctx, err)) == 0)
		return leave(store, true, err);
	(void)leave(store, false, NULL);
	return rc;
}

int
store_room(struct store *store, struct err *err)
{
	return reserve_ask(store->reserve, err);
}

int
store_begin(struct store *store, struct store_tx **tx_out, struct err *err)
{
	int rc;

	if ((rc = store_room(store, err)) != 0)
		return rc;
	return begin(store, tx_out, err);
}

int
store_begin_urgent(struct store *store, struct store_tx **tx_out, struct err *err)
{
	reserve_use(store->reserve);
	return begin(store, tx_out, err);
}

static void
reader_leave(struct store_tx *tx)
{
	struct store *store = tx->store;

	if (tx->db != NULL) {
		tx->db->in_tx = false;
		if (db_exec(tx->db, "ROLLBACK", DB_NONE, NULL, NULL) != 0) {
			store->engine->close(tx->db);
			tx->db = NULL;
		}
	}
	(void)pthread_mutex_lock(&store->lock);
	store->reading--;
	store->idle[READERS - 1 - store->reading] = tx;
	(void)pthread_cond_signal(&store->reader_free);
	if (store->reading == 0)
		(void)pthread_cond_signal(&store->readers_gone);
	(void)pthread_mutex_unlock(&store->lock);
}

int
store_commit(struct store_tx **tx, struct err *err)
{
	struct store *store = (*tx)->store;
	int rc;

	if (!(*tx)->writes) {
		reader_leave(*tx);
		*tx = NULL;
		return 0;
	}
	*tx = NULL;
	rc = db_exec(store->writer.db, "RELEASE SAVEPOINT tx", DB_NONE, NULL, err);
	if (rc == 0)
		return leave(store, true, err);
	undo(store);
	(void)leave(store, false, NULL);
	return rc;
}

void
store_rollback(struct store_tx **tx)
{
	struct store_tx *self = *tx;

	*tx = NULL;
	if (self == NULL)
		return;
	if (!self->writes) {
		reader_leave(self);
		return;
	}
	undo(self->store);
	(void)leave(self->store, false, NULL);
}

int
store_read(struct store *store, struct store_tx **tx_out, struct err *err)
{
	struct store_tx *tx;
	int rc;

	(void)pthread_mutex_lock(&store->lock);
	while (!store->failed && (store->reading == READERS || store->checkpointing))
		(void)pthread_cond_wait(&store->reader_free, &store->lock);
	if ((rc = check(store, err)) != 0) {
		(void)pthread_mutex_unlock(&store->lock);
		return rc;
	}
	tx = store->idle[READERS - 1 - store->reading];
	store->reading++;
	(void)pthread_mutex_unlock(&store->lock);
	if ((tx->db != NULL ||
		(rc = store->engine->open(store->path, DB_READER, &tx->db, err)) == 0) &&
	    (rc = db_exec(tx->db, store->engine->begin_read, DB_NONE, NULL, err)) == 0) {
		tx->db->in_tx = true;
		*tx_out = tx;
		return 0;
	}
	reader_leave(tx);
	return rc;
}

/* Keep new readers waiting and let the present ones finish. E_BUSY if one stays. With the lock
 * held. */
static int
readers_pause(struct store *store, struct err *err)
{
	struct timespec until;
	int64_t ns;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ns = until.tv_nsec + CHECKPOINT_WAIT_MS * 1000000L;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	store->checkpointing = true;
	while (store->reading > 0)
		if (pthread_cond_timedwait(&store->readers_gone, &store->lock, &until) != 0)
			break;
	if (store->reading > 0)
		return err_set(err, E_BUSY, "a reader holds an old state of the database");
	return 0;
}

int
store_checkpoint(struct store *store, struct err *err)
{
	struct waiter self = {0};
	struct err why = {0};
	bool run;
	int rc;

	if ((rc = turn_take(store, &self, &run, err)) != 0)
		return rc;
	/* The turn may have come with a group of others. */
	if ((rc = group_end(store, &why)) == 0) {
		(void)pthread_mutex_lock(&store->lock);
		rc = readers_pause(store, &why);
		(void)pthread_mutex_unlock(&store->lock);
		KILLPOINT(24, "before the write-ahead log is emptied");
		if (rc == 0)
			rc = store->engine->checkpoint(store->writer.db, &why);
		KILLPOINT(25, "behind it");
	}
	(void)pthread_mutex_lock(&store->lock);
	store->checkpointing = false;
	if (rc == E_SYS)
		poison(store, &why);
	(void)pthread_cond_broadcast(&store->reader_free);
	turn_pass(store);
	(void)pthread_mutex_unlock(&store->lock);
	if (rc != 0 && err != NULL)
		*err = why;
	return rc;
}

int
store_create(const char *path, struct err *err)
{
	const struct db_engine *engine = &sqlite_engine;
	struct db *db = NULL;
	int rc;

	if ((rc = engine->create(path, err)) != 0) {
		if (rc != E_CONFLICT)
			engine->destroy(path);
		return rc;
	}
	if ((rc = engine->open(path, DB_WRITER, &db, err)) == 0 &&
	    (rc = migrate(db, engine->migrations, err)) == 0)
		rc = engine->checkpoint(db, err);
	if (db != NULL)
		engine->close(db);
	if (rc != 0)
		engine->destroy(path);
	return rc;
}

int
store_copy(const char *path, const char *to, struct err *err)
{
	return sqlite_engine.copy(path, to, err);
}

static struct store *
store_new(const char *path)
{
	struct store *store = calloc(1, sizeof *store);
	size_t i;

	if (store == NULL)
		return NULL;
	store->engine = &sqlite_engine;
	store->figures.group_sizes.buckets = &group_sizes;
	store->figures.commit_durations.buckets = &metric_durations;
	(void)text_copy(store->path, sizeof store->path, path);
	(void)pthread_mutex_init(&store->lock, NULL);
	(void)pthread_cond_init(&store->reader_free, NULL);
	thread_cond_init(&store->readers_gone);
	store->turn.end = &store->turn.first;
	store->members.end = &store->members.first;
	store->writer = (struct store_tx){.store = store, .writes = true};
	for (i = 0; i < READERS; i++) {
		store->readers[i].store = store;
		store->idle[i] = &store->readers[i];
	}
	return store;
}

int
store_open(const char *path, struct store **store_out, struct err *err)
{
	char reserve[FS_PATH_MAX];
	struct store *store;
	int rc;

	if (snprintf(reserve, sizeof reserve, "%s-reserve", path) >= (int)sizeof reserve)
		return err_set(err, E_INPUT, "path too long: %s", path);
	if ((store = store_new(path)) == NULL)
		return err_nomem(err);
	if ((rc = store->engine->open(path, DB_WRITER, &store->writer.db, err)) == 0 &&
	    (rc = migrate(store->writer.db, store->engine->migrations, err)) == 0)
		rc = reserve_open(reserve, &store->reserve, err);
	if (rc == 0)
		rc = store_audit_open(store->writer.db, path, &store->auditkey, err);
	if (rc == 0)
		*store_out = store;
	else
		store_close(store);
	return rc;
}

void
store_close(struct store *store)
{
	size_t i;

	if (store == NULL)
		return;
	for (i = 0; i < READERS; i++)
		if (store->readers[i].db != NULL)
			store->engine->close(store->readers[i].db);
	if (store->writer.db != NULL) {
		/* Only to keep the log short: what is in it is durable already. */
		if (!store->failed)
			(void)store->engine->checkpoint(store->writer.db, NULL);
		store->engine->close(store->writer.db);
	}
	reserve_close(store->reserve);
	auditkey_clear(&store->auditkey);
	(void)pthread_cond_destroy(&store->readers_gone);
	(void)pthread_cond_destroy(&store->reader_free);
	(void)pthread_mutex_destroy(&store->lock);
	free(store);
}
