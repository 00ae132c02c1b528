/* One round is one request. Changes reach the broker's thread before the disk, for a session is
 * waiting to be cut; should the machine stop between the two, the next start asks the service, or
 * has one change less.
 *
 * Updates go through a list whose head is exchanged as a whole, so that neither side waits. At most
 * WAITING_MAX of them are ahead of the broker. Without a disk it follows nevertheless, and says so.
 */
#include "plugin/follower.h"

#include "base/clock.h"
#include "base/random.h"
#include "plugin/answer.h"
#include "plugin/entry.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S 25    /* what is asked of the service */
#define SILENCE_S 60 /* without a byte, an answer is given up */
#define CONNECT_TIMEOUT_S 10
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
#define WAITING_MAX 8
#define WAITING_POLL_MS 20
#define RETRY_FILE_MS (3600 * 1000)
#define MARK_EVERY_S 60 /* that the service was heard, without news, goes to disk this often */
#define URL_SIZE (CONF_TEXT_SIZE + 128)

struct follower {
	const struct options *options;
	pthread_t thread;
	bool started;
	CURLM *multi; /* also what it sleeps on */
	CURL *curl;
	_Atomic bool stops, resync;
	_Atomic int64_t contact;
	_Atomic(struct update *) inbox; /* newest first */
	_Atomic int waiting;
	_Atomic(struct table *) retired;

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

/* An exchange, while curl runs. */
struct exchange {
	struct follower *f;
	struct answer answer;
	long status;
	struct err *err;
	int rc;
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

/* Say what is wrong, once for as long as it is. */
static void
warn(struct follower *f, const struct err *err)
{
	if (strcmp(f->said, err->text) == 0)
		return;
	(void)text_copy(f->said, sizeof f->said, err->text);
	say(f, UPDATE_WARNING, "%s", err->text);
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
		f->next = (struct snapshot_info){.seq = line->seq, .contact = line->after};
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
	(void)text_copy(f->at.epoch, sizeof f->at.epoch, f->next.epoch);
	f->at.seq = f->next.seq;
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
	}
	f->at.seq = f->next.seq;
	file_mark(f, has_news);
}

/* ---- requests -------------------------------------------------------------------------------- */

static size_t
on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	if (x->status == 0)
		(void)curl_easy_getinfo(x->f->curl, CURLINFO_RESPONSE_CODE, &x->status);
	if (x->status == 200 && x->rc == 0)
		x->rc = answer_feed(&x->answer, data, size * n, x->err);
	return x->rc == 0 ? size * n : 0;
}

static void
options_set(struct follower *f, struct exchange *x, const char *url)
{
	(void)curl_easy_setopt(f->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(f->curl, CURLOPT_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(f->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(f->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(f->curl, CURLOPT_CAINFO, f->options->cafile);
	(void)curl_easy_setopt(f->curl, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(f->curl, CURLOPT_SSLCERT, f->options->certfile);
	(void)curl_easy_setopt(f->curl, CURLOPT_SSLKEY, f->options->keyfile);
	(void)curl_easy_setopt(f->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(f->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(f->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	(void)curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, x);
}

/* Until it is done, or the broker stops. */
static int
transfer(struct follower *f, struct exchange *x, struct err *err)
{
	char details[CURL_ERROR_SIZE] = "";
	CURLcode code = CURLE_OK;
	int running = 1, left;
	CURLMsg *said;
	int rc = 0;

	(void)curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, details);
	if (curl_multi_add_handle(f->multi, f->curl) != CURLM_OK)
		return err_nomem(err);
	while (rc == 0 && running > 0) {
		if (atomic_load(&f->stops))
			rc = err_set(err, E_BUSY, "the broker stops");
		else if (curl_multi_perform(f->multi, &running) != CURLM_OK ||
			 (running > 0 &&
			     curl_multi_poll(f->multi, NULL, 0, 1000, NULL) != CURLM_OK))
			rc = err_set(err, E_SYS, "curl does not work");
	}
	while ((said = curl_multi_info_read(f->multi, &left)) != NULL)
		if (said->msg == CURLMSG_DONE)
			code = said->data.result;
	(void)curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &x->status);
	(void)curl_multi_remove_handle(f->multi, f->curl);
	(void)curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc == 0 && x->rc != 0)
		return x->rc;
	if (rc == 0 && code != CURLE_OK)
		return err_set(err, E_SYS, "cannot ask %s: %s", f->options->url,
		    details[0] != '\0' ? details : curl_easy_strerror(code));
	return rc;
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
get(struct follower *f, const char *url, enum feed_kind first, answer_fn *on_line, struct err *err)
{
	struct exchange x = {
	    .f = f, .answer = {.first = first, .on_line = on_line, .ctx = f}, .err = err};
	int rc;

	options_set(f, &x, url);
	if ((rc = transfer(f, &x, err)) == 0 && (rc = status_check(f, x.status, err)) == 0 &&
	    (rc = answer_finish(&x.answer, err)) == 0)
		atomic_store(&f->contact, clock_now());
	answer_clear(&x.answer);
	return rc;
}

static int
round_snapshot(struct follower *f, struct err *err)
{
	char url[URL_SIZE];
	int rc;

	(void)snprintf(url, sizeof url, "%s/v1/feed/snapshot", f->options->url);
	if ((rc = get(f, url, FEED_SNAPSHOT, on_snapshot_line, err)) == 0)
		rc = snapshot_done(f, err);
	next_clear(f);
	return rc;
}

static int
round_changes(struct follower *f, struct err *err)
{
	char url[URL_SIZE];
	int rc;

	(void)snprintf(url, sizeof url, "%s/v1/feed?epoch=%s&after=%lld&wait_s=%d", f->options->url,
	    f->at.epoch, (long long)f->at.seq, WAIT_S);
	if ((rc = get(f, url, FEED_CHANGES, on_changes_line, err)) == 0)
		changes_done(f);
	next_clear(f);
	return rc;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* False when the broker stops. */
static bool
sleep_ms(struct follower *f, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms, left;

	while (!atomic_load(&f->stops) && (left = until - clock_mono_ms()) > 0)
		(void)curl_multi_poll(f->multi, NULL, 0, (int)left, NULL);
	return !atomic_load(&f->stops);
}

/* Longer with each failure, and never the same for all brokers of a service that comes back. */
static int64_t
backoff_ms(const struct follower *f)
{
	int64_t ms = BACKOFF_MAX_MS;
	uint16_t jitter = 0;
	struct err err;

	if (f->failures < 8 && (BACKOFF_MIN_MS << (f->failures - 1)) < BACKOFF_MAX_MS)
		ms = BACKOFF_MIN_MS << (f->failures - 1);
	if (random_bytes(&jitter, sizeof jitter, &err) != 0)
		jitter = 0;
	return ms / 2 + ms / 2 * jitter / UINT16_MAX;
}

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
	struct err err;
	int rc;

	while (!atomic_load(&f->stops)) {
		memset(&err, 0, sizeof err);
		table_free(atomic_exchange(&f->retired, NULL));
		if (atomic_load(&f->waiting) > WAITING_MAX) {
			(void)sleep_ms(f, WAITING_POLL_MS);
			continue;
		}
		if ((rc = round_do(f, &err)) == 0) {
			if (f->failures > 0)
				say(f, UPDATE_NOTE, "%s is heard again", f->options->url);
			f->failures = 0;
			f->said[0] = '\0';
		} else if (!atomic_load(&f->stops)) {
			f->failures += f->failures < 100;
			warn(f, &err);
			(void)sleep_ms(f, backoff_ms(f));
		}
	}
	return NULL;
}

/* The broker's signals are the broker's thread's. */
static int
thread_start(struct follower *f, struct err *err)
{
	sigset_t all, before;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&f->thread, NULL, thread_main, f);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	f->started = failed == 0;
	return f->started ? 0 : err_set(err, E_SYS, "cannot start a thread: %s", strerror(failed));
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
	f->options = options;
	f->file = file;
	if ((f->follows = file != NULL)) {
		f->at = *info;
		atomic_store(&f->contact, info->contact);
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (f->multi = curl_multi_init()) == NULL || (f->curl = curl_easy_init()) == NULL)
		rc = err_nomem(err);
	else
		rc = thread_start(f, err);
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
	atomic_store(&f->stops, true);
	if (f->started) {
		(void)curl_multi_wakeup(f->multi);
		(void)pthread_join(f->thread, NULL);
	}
	for (u = follower_take(f); u != NULL; u = next) {
		next = u->next;
		update_free(u);
	}
	next_clear(f);
	table_free(atomic_load(&f->retired));
	snapshot_close(f->file);
	curl_easy_cleanup(f->curl);
	(void)curl_multi_cleanup(f->multi);
	free(f);
}
