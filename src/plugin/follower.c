/* One round is one request. Changes reach the broker's thread before the disk, for a session is
 * waiting to be cut; should the machine stop between the two, the next start asks the service, or
 * has one change less.
 *
 * Updates go through a list whose head is exchanged as a whole, so that neither side waits. At most
 * WAITING_MAX of them are ahead of the broker. Without a disk it follows nevertheless, and says so.
 */
#include "plugin/follower.h"

#include "base/clock.h"
#include "plugin/answer.h"
#include "plugin/client.h"
#include "plugin/entry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S 25   /* what is asked of the service, once it has told what there was */
#define ROUND_MS 20 /* rounds begin no closer: fifty a second, however much changes */
#define WAITING_MAX 8
#define WAITING_POLL_MS 20
#define RETRY_FILE_MS (3600 * 1000)
#define MARK_EVERY_S 60 /* that the service was heard, without news, goes to disk this often */
#define PATH_SIZE 128

struct follower {
	const struct options *options;
	struct client *client; /* its thread */
	_Atomic bool resync, settled;
	_Atomic int64_t contact;
	_Atomic(struct update *) inbox; /* newest first */
	_Atomic int waiting;
	_Atomic(struct table *) retired;
	pthread_mutex_t lock; /* to change AT, and for other threads to read it */

	/* The thread's alone: */
	bool follows; /* there is a table that EPOCH and SEQ are of */
	struct snapshot_info at;
	struct snapshot *file;	    /* NULL: none could be written */
	struct snapshot *next_file; /* while a snapshot arrives */
	struct table *next_table;
	struct update *next_update; /* while changes arrive */
	struct snapshot_info next;
	int64_t tried_ms; /* to write a snapshot, last */
	unsigned failures;
	char said[ERR_TEXT_MAX]; /* the last warning, not to be repeated */
};

/* ---- to the broker's thread ------------------------------------------------------------------ */

static struct update *
update_new(enum update_kind kind)
{
	struct update *u = calloc(1, sizeof *u);

	if (u != NULL)
		u->kind = kind;
	return u;
}

void
update_free(struct update *u)
{
	if (u == NULL)
		return;
	table_free(u->table);
	buf_clear(&u->entries);
	free(u);
}

static void
update_push(struct follower *f, struct update *u)
{
	atomic_fetch_add(&f->waiting, 1);
	u->next = atomic_load(&f->inbox);
	while (!atomic_compare_exchange_weak(&f->inbox, &u->next, u))
		continue;
}

struct update *
follower_take(struct follower *f)
{
	struct update *newest, *next, *oldest = NULL;

	if (atomic_load_explicit(&f->inbox, memory_order_relaxed) == NULL)
		return NULL;
	for (newest = atomic_exchange(&f->inbox, NULL); newest != NULL; newest = next) {
		next = newest->next;
		newest->next = oldest;
		oldest = newest;
		atomic_fetch_sub(&f->waiting, 1);
	}
	return oldest;
}

void
follower_retire_take(struct follower *f, struct table *table)
{
	table_free(atomic_exchange(&f->retired, table));
}

void
follower_resync(struct follower *f)
{
	atomic_store(&f->resync, true);
}

bool
follower_is_settled(const struct follower *f)
{
	return atomic_load(&f->settled);
}

int64_t
follower_contact(const struct follower *f)
{
	return atomic_load(&f->contact);
}

__attribute__((format(printf, 3, 4))) static void
say(struct follower *f, enum update_kind kind, const char *fmt, ...)
{
	struct update *u = update_new(kind);
	va_list ap;

	if (u == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(u->note, sizeof u->note, fmt, ap);
	va_end(ap);
	update_push(f, u);
}

void
follower_warn(struct follower *f, const char *text)
{
	say(f, UPDATE_WARNING, "%s", text);
}

/* Say what is wrong, once for as long as it is. */
static void
warn(struct follower *f, const struct err *err)
{
	if (strcmp(f->said, err->text) == 0)
		return;
	(void)text_copy(f->said, sizeof f->said, err->text);
	follower_warn(f, err->text);
}

/* ---- how far it is --------------------------------------------------------------------------- */

static void
place_set(struct follower *f, const char *epoch, int64_t seq)
{
	(void)pthread_mutex_lock(&f->lock);
	(void)text_copy(f->at.epoch, sizeof f->at.epoch, epoch);
	f->at.seq = seq;
	(void)pthread_mutex_unlock(&f->lock);
}

bool
follower_place(struct follower *f, char epoch_out[FEED_EPOCH_LEN + 1], int64_t *seq_out)
{
	(void)pthread_mutex_lock(&f->lock);
	(void)text_copy(epoch_out, FEED_EPOCH_LEN + 1, f->at.epoch);
	*seq_out = f->at.seq;
	(void)pthread_mutex_unlock(&f->lock);
	return epoch_out[0] != '\0';
}

/* ---- disk ------------------------------------------------------------------------------------ */

/* The file is of no use any more; the table is. */
static void
file_drop(struct follower *f, struct snapshot **file, struct err *err)
{
	(void)err_prefix(err, "following on without a snapshot on disk");
	warn(f, err);
	snapshot_close(*file);
	*file = NULL;
}

static void
file_add(struct follower *f, struct snapshot **file, const struct feed_line *line)
{
	struct err err = {0};

	if (*file != NULL && snapshot_add(*file, line, &err) != 0)
		file_drop(f, file, &err);
}

/* What has arrived is now of SEQ. */
static void
file_mark(struct follower *f, bool has_news)
{
	int64_t contact = follower_contact(f);
	struct err err = {0};

	if (f->file == NULL || (!has_news && contact - snapshot_contact(f->file) < MARK_EVERY_S))
		return;
	if (snapshot_mark(f->file, f->at.seq, contact, &err) != 0)
		warn(f, &err);
}

/* ---- what the service says ------------------------------------------------------------------- */

static int
on_snapshot_line(void *ctx, const struct feed_line *line, struct err *err)
{
	struct follower *f = ctx;
	struct err disk = {0};

	if (line->kind != FEED_SNAPSHOT) {
		file_add(f, &f->next_file, line);
		return table_apply(f->next_table, line, err);
	}
	f->tried_ms = clock_mono_ms();
	(void)text_copy(f->next.epoch, sizeof f->next.epoch, line->epoch);
	f->next.seq = line->seq;
	if (snapshot_create(f->options->snapshot, line->epoch, line->seq, &f->next_file, &disk) !=
	    0)
		file_drop(f, &f->next_file, &disk);
	return table_new(&f->next_table, err);
}

static int
on_changes_line(void *ctx, const struct feed_line *line, struct err *err)
{
	struct follower *f = ctx;

	if (line->kind == FEED_CHANGES) {
		if (strcmp(line->epoch, f->at.epoch) != 0 || line->after != f->at.seq ||
		    line->seq < line->after)
			return err_set(err, E_INPUT, "the answer is not what followed change %lld",
			    (long long)f->at.seq);
		f->next.seq = line->seq;
		f->next.contact = line->after;
		(void)text_copy(f->next.epoch, sizeof f->next.epoch, line->epoch);
		f->next_update = update_new(UPDATE_ENTRIES);
		return f->next_update == NULL ? err_nomem(err) : 0;
	}
	/* CONTACT here holds the seq of the line before. */
	if (line->seq <= f->next.contact || line->seq > f->next.seq)
		return err_set(err, E_INPUT, "change %lld is out of order", (long long)line->seq);
	f->next.contact = line->seq;
	entry_put(&f->next_update->entries, line);
	file_add(f, &f->file, line);
	return buf_failed(&f->next_update->entries) ? err_nomem(err) : 0;
}

/* What a failed request has left. Changes that are in the file already do no harm: they are true.
 */
static void
next_clear(struct follower *f)
{
	snapshot_close(f->next_file);
	table_free(f->next_table);
	update_free(f->next_update);
	f->next_file = NULL;
	f->next_table = NULL;
	f->next_update = NULL;
}

static int
snapshot_done(struct follower *f, struct err *err)
{
	struct update *u = update_new(UPDATE_TABLE);
	struct err disk = {0};
	size_t n = table_count(f->next_table);

	if (u == NULL)
		return err_nomem(err);
	u->table = f->next_table;
	f->next_table = NULL;
	update_push(f, u);
	place_set(f, f->next.epoch, f->next.seq);
	f->follows = true;
	snapshot_close(f->file);
	f->file = f->next_file;
	f->next_file = NULL;
	if (f->file != NULL && snapshot_commit(f->file, follower_contact(f), &disk) != 0)
		file_drop(f, &f->file, &disk);
	say(f, UPDATE_NOTE, "a new table of %zu devices and services, at change %lld", n,
	    (long long)f->at.seq);
	return 0;
}

static void
changes_done(struct follower *f)
{
	bool has_news = f->next_update->entries.len > 0;

	if (has_news) {
		update_push(f, f->next_update);
		f->next_update = NULL;
	} else {
		atomic_store(&f->settled, true);
	}
	place_set(f, f->next.epoch, f->next.seq);
	file_mark(f, has_news);
}

/* ---- requests -------------------------------------------------------------------------------- */

static int
on_data(void *ctx, const char *data, size_t len, struct err *err)
{
	return answer_feed(ctx, data, len, err);
}

/* E_CONFLICT when the service wants a snapshot to be taken first, E_DENIED when it does not want
 * this broker. */
static int
status_check(const struct follower *f, long status, struct err *err)
{
	switch (status) {
	case 200:
		return 0;
	case 409:
		return err_set(err, E_CONFLICT, "a snapshot is required");
	case 401:
	case 403:
		return err_set(err, E_DENIED,
		    "%s refuses this broker's certificate %s: was it revoked?", f->options->url,
		    f->options->certfile);
	default:
		return err_set(
		    err, E_SYS, "%s answers the feed with status %ld", f->options->url, status);
	}
}

static int
get(struct follower *f, const char *path, enum feed_kind first, answer_fn *on_line, struct err *err)
{
	struct answer answer = {.first = first, .on_line = on_line, .ctx = f};
	long status;
	int rc;

	if ((rc = client_get(f->client, path, on_data, &answer, &status, err)) == 0 &&
	    (rc = status_check(f, status, err)) == 0 && (rc = answer_finish(&answer, err)) == 0)
		atomic_store(&f->contact, clock_now());
	answer_clear(&answer);
	return rc;
}

static int
round_snapshot(struct follower *f, struct err *err)
{
	int rc;

	if ((rc = get(f, "/v1/feed/snapshot", FEED_SNAPSHOT, on_snapshot_line, err)) == 0)
		rc = snapshot_done(f, err);
	next_clear(f);
	return rc;
}

static int
round_changes(struct follower *f, struct err *err)
{
	char path[PATH_SIZE];
	int rc;

	(void)snprintf(path, sizeof path, "/v1/feed?epoch=%s&after=%lld&wait_s=%d", f->at.epoch,
	    (long long)f->at.seq, follower_is_settled(f) ? WAIT_S : 0);
	if ((rc = get(f, path, FEED_CHANGES, on_changes_line, err)) == 0)
		changes_done(f);
	next_clear(f);
	return rc;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int
round_do(struct follower *f, struct err *err)
{
	int rc;

	/* What is missing on disk comes with a new snapshot, too; the table has it all. */
	if (f->file == NULL ? clock_mono_ms() - f->tried_ms >= RETRY_FILE_MS
			    : snapshot_is_worn(f->file))
		f->follows = false;
	if (atomic_exchange(&f->resync, false))
		f->follows = false;
	if (!f->follows)
		return round_snapshot(f, err);
	if ((rc = round_changes(f, err)) != E_CONFLICT)
		return rc;
	f->follows = false;
	return 0;
}

static void *
thread_main(void *ctx)
{
	struct follower *f = ctx;
	int64_t began;
	struct err err;
	int rc;

	while (!client_ends(f->client)) {
		memset(&err, 0, sizeof err);
		began = clock_mono_ms();
		table_free(atomic_exchange(&f->retired, NULL));
		if (atomic_load(&f->waiting) > WAITING_MAX) {
			client_sleep(f->client, WAITING_POLL_MS);
			continue;
		}
		if ((rc = round_do(f, &err)) == 0) {
			if (f->failures > 0)
				say(f, UPDATE_NOTE, "%s is heard again", f->options->url);
			f->failures = 0;
			f->said[0] = '\0';
			client_sleep(f->client, began + ROUND_MS - clock_mono_ms());
		} else if (!client_ends(f->client)) {
			f->failures += f->failures < 100;
			atomic_store(&f->settled, true);
			warn(f, &err);
			client_back_off(f->client, f->failures);
		}
	}
	return NULL;
}

int
follower_start(const struct options *options, struct snapshot *file,
    const struct snapshot_info *info, struct follower **out, struct err *err)
{
	struct follower *f = calloc(1, sizeof *f);
	int rc;

	if (f == NULL) {
		snapshot_close(file);
		return err_nomem(err);
	}
	(void)pthread_mutex_init(&f->lock, NULL);
	f->options = options;
	f->file = file;
	if ((f->follows = file != NULL)) {
		f->at = *info;
		atomic_store(&f->contact, info->contact);
	}
	if ((rc = client_new(options, &f->client, err)) == 0)
		rc = client_run(f->client, thread_main, f, err);
	if (rc != 0) {
		follower_stop(f);
		return rc;
	}
	*out = f;
	return 0;
}

void
follower_stop(struct follower *f)
{
	struct update *u, *next;

	if (f == NULL)
		return;
	client_stop(f->client, 0);
	for (u = follower_take(f); u != NULL; u = next) {
		next = u->next;
		update_free(u);
	}
	next_clear(f);
	table_free(atomic_load(&f->retired));
	snapshot_close(f->file);
	client_free(f->client);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
