/* A change says of which object it is, and its line tells the object's present state: so no history is kept, and what is
 * sent twice does no harm. For the same reason a snapshot may be read in many short transactions. Its number is taken
 * first; what changes while it is read is told again by the changes behind that number. */
#include "core/feed.h"

#include "authz/feed.h"
#include "base/log.h"
#include "base/random.h"
#include "core/rights.h"
#include "store/certificate.h"
#include "store/change.h"
#include "store/policy.h"
#include "store/service.h"
#include "store/store.h"
#include "store/tenant.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_SETTING "feed_epoch"
#define CHANGES_PAGE 256
#define DEVICES_PAGE 200
#define OTHERS_PAGE 16 /* policies and services can have long lists of topics */
#define PAGES_MAX 200 /* of one part, where hardly any line comes of them */
#define PRUNE_BATCH 1000

_Static_assert((int)FEED_STATUSES == (int)DEVICE_STATUSES && (int)FEED_ACTIVE == (int)DEVICE_ACTIVE &&
	(int)FEED_ARCHIVED == (int)DEVICE_ARCHIVED,
    "the feed's states are the store's");

struct feed {
	char epoch[FEED_EPOCH_LEN + 1];
	_Atomic uint64_t generation;
	pthread_mutex_t lock; /* of those who watch */
	void (*news)(void *ctx);
	void *news_ctx;
};

/* ---- that there is news ---------------------------------------------------------------------------------------- */

static void
on_change(void *ctx)
{
	struct feed *feed = ctx;

	(void)atomic_fetch_add(&feed->generation, 1);
	(void)pthread_mutex_lock(&feed->lock);
	if (feed->news != NULL)
		feed->news(feed->news_ctx);
	(void)pthread_mutex_unlock(&feed->lock);
}

void
feed_watch(struct core *core, void (*news)(void *ctx), void *ctx)
{
	struct feed *feed = core->feed;

	(void)pthread_mutex_lock(&feed->lock);
	feed->news = news;
	feed->news_ctx = ctx;
	(void)pthread_mutex_unlock(&feed->lock);
}

uint64_t
feed_generation(const struct core *core)
{
	return atomic_load(&core->feed->generation);
}

void
feed_wake(struct core *core)
{
	on_change(core->feed);
}

/* ---- the epoch ------------------------------------------------------------------------------------------------- */

int
feed_epoch_renew(struct store_tx *tx, struct err *err)
{
	uint8_t random[FEED_EPOCH_LEN / 2];
	char epoch[FEED_EPOCH_LEN + 1];
	int rc;

	if ((rc = random_bytes(random, sizeof random, err)) != 0)
		return rc;
	hex_encode(epoch, random, sizeof random);
	return store_setting_put(tx, EPOCH_SETTING, epoch, err);
}

bool
feed_has_epoch(const struct core *core, const char *epoch)
{
	return strcmp(epoch, core->feed->epoch) == 0;
}

/* In TX, which may write where there is no epoch yet. */
static int
epoch_read(struct store_tx *tx, char epoch_out[FEED_EPOCH_LEN + 1], struct err *err)
{
	struct buf value = {0};
	int rc;

	if ((rc = store_setting_get(tx, EPOCH_SETTING, &value, err)) == E_NOTFOUND &&
	    (rc = feed_epoch_renew(tx, err)) == 0)
		rc = store_setting_get(tx, EPOCH_SETTING, &value, err);
	if (rc == 0 && feed_epoch_is_valid(buf_str(&value)))
		(void)text_copy(epoch_out, FEED_EPOCH_LEN + 1, buf_str(&value));
	else if (rc == 0)
		rc = err_set(err, E_SYS, "the stored epoch of the feed is none");
	buf_clear(&value);
	return rc;
}

int
feed_open(struct core *core, struct err *err)
{
	struct feed *feed = calloc(1, sizeof *feed);
	struct store_tx *tx = NULL;
	int rc;

	if (feed == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&feed->lock, NULL);
	core->feed = feed;
	store_on_change(core->store, on_change, feed);
	if ((rc = store_begin_urgent(core->store, &tx, err)) == 0 && (rc = epoch_read(tx, feed->epoch, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

void
feed_close(struct core *core)
{
	if (core->feed == NULL)
		return;
	store_on_change(core->store, NULL, NULL);
	(void)pthread_mutex_destroy(&core->feed->lock);
	free(core->feed);
	core->feed = NULL;
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

/* Writes lines within one transaction. About 18 KiB. */
struct writer {
	struct store_tx *tx;
	int64_t now;
	struct buf *out;
	int64_t seq;	   /* of the line, or 0 */
	int64_t n;	   /* lines that were written */
	int64_t tenant_id; /* whose name is in the line */
	struct feed_line line;
	/* Of a walk: where it is. */
	char at[STORE_WORD_SIZE];
	int64_t at_tenant_id;
};

static struct writer *
writer_new(struct core *core, struct buf *out)
{
	struct writer *w = calloc(1, sizeof *w);

	if (w != NULL) {
		w->now = core->now();
		w->out = out;
	}
	return w;
}

static int
line_begin(struct writer *w, enum feed_kind kind, int64_t tenant_id, struct err *err)
{
	int rc;

	w->line.kind = kind;
	w->line.seq = w->seq;
	w->line.removed = false;
	w->line.n_fps = w->line.write.n = w->line.read.n = 0;
	if (w->tenant_id == tenant_id)
		return 0;
	if ((rc = store_tenant_name(w->tx, tenant_id, w->line.tenant, err)) == 0)
		w->tenant_id = tenant_id;
	return rc;
}

/* What was checked before it was stored and does not fit now is damage. */
static int
line_end(struct writer *w, const char *what, struct err *err)
{
	int rc = feed_line_encode(w->out, &w->line, err);

	if (rc == 0)
		w->n++;
	else if (rc == E_INPUT)
		rc = err_set(err, E_SYS, "%s is stored damaged and cannot be told to brokers", what);
	return rc;
}

static int
fps_fill(struct writer *w, int64_t tenant_id, const char *id, struct err *err)
{
	struct store_fingerprint rows[FEED_FPS_MAX];
	size_t n, i;
	int rc;

	if (w->line.status != FEED_ACTIVE)
		return 0;
	if ((rc = store_certificate_current(w->tx, tenant_id, id, w->now, rows, FEED_FPS_MAX, &n, err)) != 0)
		return rc;
	for (i = 0; i < n; i++) {
		memcpy(w->line.fps[i].sha256, rows[i].sha256, SHA256_LEN);
		w->line.fps[i].not_after = rows[i].not_after;
	}
	w->line.n_fps = n;
	return 0;
}

static int
put_device(struct writer *w, const struct store_device *row, struct err *err)
{
	int rc;

	if ((rc = line_begin(w, FEED_DEVICE, row->tenant_id, err)) != 0)
		return rc;
	(void)text_copy(w->line.id, sizeof w->line.id, row->id);
	(void)text_copy(w->line.type, sizeof w->line.type, row->type);
	(void)text_copy(w->line.policy, sizeof w->line.policy, row->policy);
	w->line.status = (enum feed_status)row->status;
	if ((rc = fps_fill(w, row->tenant_id, row->id, err)) != 0)
		return rc;
	return line_end(w, row->id, err);
}

static int
put_service(struct writer *w, const struct store_service *row, struct err *err)
{
	int rc;

	if ((rc = line_begin(w, FEED_SERVICE, row->tenant_id, err)) != 0 ||
	    (rc = rights_parse(row->write, &w->line.write, err)) != 0 ||
	    (rc = rights_parse(row->read, &w->line.read, err)) != 0)
		return rc;
	(void)text_copy(w->line.id, sizeof w->line.id, row->id);
	w->line.status = (enum feed_status)row->status;
	if ((rc = fps_fill(w, row->tenant_id, row->id, err)) != 0)
		return rc;
	return line_end(w, row->id, err);
}

static int
put_policy(struct writer *w, const struct store_policy *row, struct err *err)
{
	int rc;

	if ((rc = line_begin(w, FEED_POLICY, row->tenant_id, err)) != 0 ||
	    (rc = rights_parse(row->write, &w->line.write, err)) != 0 ||
	    (rc = rights_parse(row->read, &w->line.read, err)) != 0)
		return rc;
	(void)text_copy(w->line.name, sizeof w->line.name, row->name);
	w->line.sessions = row->sessions;
	return line_end(w, row->name, err);
}

/* ---- changes --------------------------------------------------------------------------------------------------- */

/* Devices and services are never deleted. One that is not there is told as one that may do nothing: the others' changes
 * must not wait for somebody to find out why. */
static int
tell_device(struct writer *w, const struct store_change *change, struct err *err)
{
	struct store_device row = {.tenant_id = change->tenant_id, .type = "unknown", .policy = POLICY_BUILTIN};
	int rc;

	rc = store_device_get(w->tx, change->tenant_id, change->id, &row, err);
	if (rc == E_NOTFOUND) {
		row.status = DEVICE_ARCHIVED;
		(void)text_copy(row.id, sizeof row.id, change->id);
		rc = 0;
	}
	if (rc == 0)
		rc = put_device(w, &row, err);
	store_device_clear(&row);
	return rc;
}

static int
tell_service(struct writer *w, const struct store_change *change, struct err *err)
{
	struct store_service row = {0};
	int rc;

	rc = store_service_get(w->tx, change->tenant_id, change->id, &row, err);
	if (rc == 0) {
		rc = put_service(w, &row, err);
	} else if (rc == E_NOTFOUND && (rc = line_begin(w, FEED_SERVICE, change->tenant_id, err)) == 0) {
		(void)text_copy(w->line.id, sizeof w->line.id, change->id);
		w->line.status = FEED_ARCHIVED;
		rc = line_end(w, change->id, err);
	}
	store_service_clear(&row);
	return rc;
}

static int
tell_policy(struct writer *w, const struct store_change *change, struct err *err)
{
	struct store_policy row = {0};
	int rc;

	rc = store_policy_get(w->tx, change->tenant_id, change->id, &row, err);
	if (rc == 0) {
		rc = put_policy(w, &row, err);
	} else if (rc == E_NOTFOUND && (rc = line_begin(w, FEED_POLICY, change->tenant_id, err)) == 0) {
		(void)text_copy(w->line.name, sizeof w->line.name, change->id);
		w->line.removed = true;
		rc = line_end(w, change->id, err);
	}
	store_policy_clear(&row);
	return rc;
}

static const struct {
	const char *kind;
	int (*tell)(struct writer *w, const struct store_change *change, struct err *err);
} tellers[] = {{"device", tell_device}, {"service", tell_service}, {"policy", tell_policy}};

static int
tell(struct writer *w, const struct store_change *change, struct err *err)
{
	size_t i;

	w->seq = change->seq;
	for (i = 0; i < sizeof tellers / sizeof tellers[0]; i++)
		if (strcmp(tellers[i].kind, change->kind) == 0)
			return tellers[i].tell(w, change, err);
	return err_set(err, E_SYS, "the feed has a change of an unknown kind");
}

/* Is everything behind AFTER still there? */
static int
place_check(struct store_tx *tx, int64_t after, struct err *err)
{
	int64_t first, last;
	int rc;

	if ((rc = store_change_first(tx, &first, err)) != 0 || (rc = store_change_last(tx, &last, err)) != 0)
		return rc;
	if (after > last)
		return err_set(err, E_STALE, "the feed has not come as far as that: take a snapshot");
	if (after + 1 < first)
		return err_set(err, E_STALE, "the changes behind that are gone: take a snapshot");
	return 0;
}

static int
tell_all(struct writer *w, int64_t after, struct err *err)
{
	struct store_change *rows = calloc(CHANGES_PAGE, sizeof *rows);
	size_t n = CHANGES_PAGE, i;
	int rc = rows == NULL ? err_nomem(err) : 0;

	w->seq = after;
	while (rc == 0 && n == CHANGES_PAGE && (rc = store_change_list(w->tx, w->seq, rows, CHANGES_PAGE, &n, err)) == 0)
		for (i = 0; rc == 0 && i < n; i++) {
			if (w->n == FEED_ANSWER_LINES || w->out->len >= FEED_ANSWER_BYTES) {
				n = 0;
				break;
			}
			rc = tell(w, &rows[i], err);
		}
	free(rows);
	return rc;
}

/* LINES of the writer between a first and a last one. */
static int
answer_frame(const struct writer *w, const char *epoch, int64_t after, const struct buf *lines, struct buf *out,
    struct err *err)
{
	struct feed_line *line = calloc(1, sizeof *line);
	int rc;

	if (line == NULL)
		return err_nomem(err);
	*line = (struct feed_line){.kind = FEED_CHANGES, .after = after, .seq = w->seq};
	(void)text_copy(line->epoch, sizeof line->epoch, epoch);
	if ((rc = feed_line_encode(out, line, err)) == 0) {
		buf_append(out, lines->data, lines->len);
		line->kind = FEED_END;
		line->count = w->n;
		rc = feed_line_encode(out, line, err);
	}
	free(line);
	return rc;
}

int
feed_changes(struct core *core, const char *epoch, int64_t after, struct buf *out, bool *has_news_out,
    struct err *err)
{
	struct buf lines = {0};
	struct writer *w = NULL;
	int rc;

	if (!feed_has_epoch(core, epoch))
		return err_set(err, E_STALE, "the feed has another epoch: take a snapshot");
	if ((w = writer_new(core, &lines)) == NULL)
		return err_nomem(err);
	if ((rc = store_read(core->store, &w->tx, err)) != 0)
		goto out;
	if ((rc = place_check(w->tx, after, err)) == 0)
		rc = tell_all(w, after, err);
	store_rollback(&w->tx);
	if (rc == 0 && (rc = answer_frame(w, epoch, after, &lines, out, err)) == 0)
		*has_news_out = w->n > 0;
out:
	buf_clear(&lines);
	free(w);
	return rc;
}

/* ---- the snapshot ---------------------------------------------------------------------------------------------- */

enum phase { PHASE_POLICIES, PHASE_SERVICES, PHASE_DEVICES, PHASES };

struct feed_snapshot {
	bool begun;
	int64_t seq;
	int64_t count;
	unsigned phase;
	/* The last one that was looked at. */
	char at[STORE_WORD_SIZE];
	int64_t at_tenant_id;
};

int
feed_snapshot_open(struct core *core, struct feed_snapshot **snapshot_out, struct err *err)
{
	struct feed_snapshot *s = calloc(1, sizeof *s);
	struct store_tx *tx = NULL;
	int rc;

	if (s == NULL)
		return err_nomem(err);
	if ((rc = store_read(core->store, &tx, err)) == 0)
		rc = store_change_last(tx, &s->seq, err);
	store_rollback(&tx);
	if (rc == 0)
		*snapshot_out = s;
	else
		free(s);
	return rc;
}

void
feed_snapshot_close(struct feed_snapshot *snapshot)
{
	free(snapshot);
}

static int
walk_policy(void *ctx, const struct store_policy *row, struct err *err)
{
	struct writer *w = ctx;

	w->at_tenant_id = row->tenant_id;
	(void)text_copy(w->at, sizeof w->at, row->name);
	return put_policy(w, row, err);
}

static int
walk_service(void *ctx, const struct store_service *row, struct err *err)
{
	struct writer *w = ctx;

	(void)text_copy(w->at, sizeof w->at, row->id);
	return row->status == DEVICE_ACTIVE ? put_service(w, row, err) : 0;
}

static int
walk_device(void *ctx, const struct store_device *row, struct err *err)
{
	struct writer *w = ctx;

	(void)text_copy(w->at, sizeof w->at, row->id);
	return row->status == DEVICE_ACTIVE ? put_device(w, row, err) : 0;
}

/* One page of the present phase; with its end the next one begins. */
static int
page_put(struct writer *w, struct feed_snapshot *s, struct err *err)
{
	size_t n = 0, max = s->phase == PHASE_DEVICES ? DEVICES_PAGE : OTHERS_PAGE;
	int rc;

	(void)text_copy(w->at, sizeof w->at, s->at);
	w->at_tenant_id = s->at_tenant_id;
	if (s->phase == PHASE_POLICIES)
		rc = store_policy_page(w->tx, s->at_tenant_id, s->at, max, walk_policy, w, &n, err);
	else if (s->phase == PHASE_SERVICES)
		rc = store_service_page(w->tx, s->at, max, walk_service, w, &n, err);
	else
		rc = store_device_page(w->tx, s->at, max, walk_device, w, &n, err);
	if (rc != 0)
		return rc;
	(void)text_copy(s->at, sizeof s->at, w->at);
	s->at_tenant_id = w->at_tenant_id;
	if (n < max) {
		s->phase++;
		s->at[0] = '\0';
	}
	return 0;
}

static int
header_put(struct core *core, struct writer *w, struct feed_snapshot *s, struct err *err)
{
	s->begun = true;
	w->line.kind = FEED_SNAPSHOT;
	w->line.seq = s->seq;
	(void)text_copy(w->line.epoch, sizeof w->line.epoch, core->feed->epoch);
	return feed_line_encode(w->out, &w->line, err);
}

int
feed_snapshot_next(
    struct core *core, struct feed_snapshot *snapshot, struct buf *out, bool *end_out, struct err *err)
{
	struct writer *w = writer_new(core, out);
	size_t before = out->len;
	unsigned pages = 0;
	int rc = 0;

	if (w == NULL)
		return err_nomem(err);
	if (!snapshot->begun && (rc = header_put(core, w, snapshot, err)) != 0)
		goto out;
	if ((rc = store_read(core->store, &w->tx, err)) != 0)
		goto out;
	for (; rc == 0 && snapshot->phase < PHASES && out->len - before < FEED_SNAPSHOT_BYTES && pages < PAGES_MAX; pages++)
		rc = page_put(w, snapshot, err);
	store_rollback(&w->tx);
	if (rc != 0)
		goto out;
	snapshot->count += w->n;
	*end_out = snapshot->phase == PHASES;
	if (*end_out) {
		w->line.kind = FEED_END;
		w->line.count = snapshot->count;
		rc = feed_line_encode(out, &w->line, err);
	}
out:
	free(w);
	return rc;
}

/* ---- pruning --------------------------------------------------------------------------------------------------- */

int
feed_prune(struct core *core, struct err *err)
{
	const struct settings *s = &core_config(core)->settings;
	struct store_tx *tx = NULL;
	size_t n = 0;
	int rc;

	do {
		if ((rc = store_begin(core->store, &tx, err)) == 0 &&
		    (rc = store_change_prune(
			 tx, core->now() - s->feed_keep_s, s->feed_keep_changes, PRUNE_BATCH, &n, err)) == 0)
			rc = store_commit(&tx, err);
		store_rollback(&tx);
	} while (rc == 0 && n == PRUNE_BATCH);
	return rc;
}
