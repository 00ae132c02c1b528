/* One thread, one round at a time: CRL, then ACL file, then the broker's signal, in that order, because a
 * broker that reloads must find the list already there (traps.md). What fails is tried again; a list that cannot be
 * had holds up nothing else. */
#include "core/publisher.h"

#include "authz/aclfile.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/brokersignal.h"
#include "core/revlist.h"
#include "core/rights.h"
#include "signer/client.h"
#include "store/crl.h"
#include "store/revocation.h"
#include "store/store.h"
#include "x509/pem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* after a failed round; */
#define RETRY_MAX 4   /* doubled with each, up to this, if nobody waits: a CRL costs the signer's log a row */
#define PRUNE_BATCH 1000
#define FILE_PART (PEM_LINE_BYTES * 4096)
#define FILE_SMALL (1024 * 1024) /* a list that is written for the broker each time, whether or not it reads it; */
#define FILE_LAG_MS 60000	 /* a larger one, if it does not, once a minute */

/* Beside enum publisher_work: broker/crl.pem alone, later than its list. */
#define PUBLISH_FILE 0x100

/* The lists of one issuer. */
struct lists {
	struct revlist *revlist;
	struct shelf *shelf;
	int64_t due_s;
	const struct config *config; /* by which they were made */
	bool is_behind;		     /* something has changed that they do not tell */
};

struct publisher {
	struct core *core;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	bool stopping;
	unsigned pending; /* enum publisher_work still to be done */
	unsigned urgent;  /* somebody waits for the next round */
	uint64_t asked;	  /* tickets handed out by publisher_ask */
	uint64_t done;	  /* all tickets up to this one have had their round */
	struct err result; /* of the last round */
	unsigned left;	   /* what the last round could not do */
	unsigned n_failed; /* rounds in a row, up to RETRY_MAX */

	struct lists lists[ISSUERS_MAX]; /* as core->issuers; all but the shelves are the thread's own, as what follows */
	size_t n_lists;
	int64_t file_ms;   /* when broker/crl.pem was last written */
	bool is_file_late; /* and it has not got the latest list */
	int64_t last_urgent_ms, last_ms;
};

/* Have a list of these entries signed, and show it to whoever fetches it. */
static int
list_publish(struct publisher *p, struct lists *l, struct crl_spec *spec, bool is_paired,
    const struct crl_entry *entries, size_t n, struct err *err)
{
	struct signer_crl crl = {.base = spec->base,
	    .at_least = spec->number,
	    .is_paired = is_paired,
	    .this_update = spec->this_update,
	    .next_update = spec->next_update};
	struct crl_info info = {
	    .this_update = spec->this_update, .next_update = spec->next_update, .n_entries = n};
	int64_t begun_ms = clock_mono_ms();
	struct buf der = {0}, sig = {0};
	int rc;

	memcpy(crl.issuer, spec->issuer->key_id, KEY_ID_LEN);
	if ((rc = signer_crl(p->core->signer, &crl, entries, n, &spec->number, &sig, err)) == 0 &&
	    (rc = crl_join(spec, entries, n, sig.data, sig.len, &der, err)) == 0) {
		info.number = spec->number;
		log_debug("%s %llu of %zu entries, %zu bytes, signed and checked in %lld ms", spec->base > 0 ? "delta" : "list",
		    (unsigned long long)spec->number, n, der.len, (long long)(clock_mono_ms() - begun_ms));
		rc = shelf_put(l->shelf, spec->base > 0 ? SHELF_DELTA : SHELF_COMPLETE, &der, &info, err);
	} else if (rc == E_SYS && config_is_fresh(p->core)) {
		rc = err_set(err, E_BUSY, "the configuration has just changed; trying again");
	}
	buf_clear(&der);
	buf_clear(&sig);
	return rc;
}

static int
complete_publish(struct publisher *p, struct lists *l, struct crl_spec *spec, bool is_paired, struct err *err)
{
	const struct crl_entry *entries;
	size_t n;
	int rc;

	spec->base = 0;
	spec->next_update = spec->this_update + core_config(p->core)->settings.crl_validity_s;
	if ((rc = revlist_complete(l->revlist, &entries, &n, err)) == 0)
		rc = list_publish(p, l, spec, is_paired, entries, n, err);
	return rc;
}

/* A delta is never good for longer than the list that it belongs to. */
static int64_t
delta_validity(struct publisher *p)
{
	const struct settings *s = &core_config(p->core)->settings;

	return s->delta_validity_s < s->crl_validity_s ? s->delta_validity_s : s->crl_validity_s;
}

static int
delta_publish(struct publisher *p, struct lists *l, struct crl_spec *spec, bool is_paired, struct err *err)
{
	const struct crl_entry *entries;
	size_t n;
	int rc;

	spec->base = revlist_base(l->revlist);
	spec->next_update = spec->this_update + delta_validity(p);
	if ((rc = revlist_delta(l->revlist, spec->this_update, &entries, &n, err)) == 0)
		rc = list_publish(p, l, spec, is_paired, entries, n, err);
	return rc;
}

/* The delta first, for it is the quicker; where there is nothing yet to which it could refer, the complete list. Both tell
 * the same and so have the same number (RFC 5280, section 5.2.3). */
static int
lists_publish(struct publisher *p, struct lists *l, struct crl_spec *spec, bool *is_base_out, struct err *err)
{
	int64_t renew_s = core_config(p->core)->settings.crl_renew_s, begun_ms = clock_mono_ms();
	int rc;

	if ((rc = revlist_refresh(l->revlist, spec->this_update, renew_s, is_base_out, err)) != 0)
		return rc;
	log_debug("what the lists need was read in %lld ms", (long long)(clock_mono_ms() - begun_ms));
	if (!*is_base_out) {
		if ((rc = delta_publish(p, l, spec, false, err)) == 0)
			rc = complete_publish(p, l, spec, true, err);
		return rc;
	}
	if ((rc = complete_publish(p, l, spec, false, err)) != 0)
		return rc;
	revlist_rebase(l->revlist, spec->number, spec->this_update);
	return delta_publish(p, l, spec, true, err);
}

/* Numbers, times and the base. The bytes are in broker/crl.pem, and each start has a new list made; 4 MB of them for
 * 100,000 entries, once a second, kept the next revocation's commit waiting. */
static int
lists_store(struct publisher *p, const struct lists *l, const struct crl_spec *spec, struct err *err)
{
	struct store_crl crl = {.number = (int64_t)spec->number, .this_update = spec->this_update};
	struct store_tx *tx = NULL;
	int rc;

	crl.next_update = spec->this_update + core_config(p->core)->settings.crl_validity_s;
	revlist_describe(l->revlist, &crl);
	if ((rc = store_begin_urgent(p->core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_crl_put(tx, spec->issuer->key_id_hex, &crl, "", 0, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

/* What the new base has in it no delta needs any more. Best effort: what stays goes with the next one. */
static void
changes_prune(struct publisher *p)
{
	int64_t before = INT64_MAX;
	struct store_tx *tx = NULL;
	struct store_crl crl;
	struct err err = {0};
	size_t n = 0, i;
	int rc;

	for (i = 0; i < p->n_lists; i++) {
		crl = (struct store_crl){0};
		revlist_describe(p->lists[i].revlist, &crl);
		if (crl.base_change < before)
			before = crl.base_change;
	}
	do {
		if ((rc = store_begin(p->core->store, &tx, &err)) == 0 &&
		    (rc = store_revocation_prune(tx, before, PRUNE_BATCH, &n, &err)) == 0)
			rc = store_commit(&tx, &err);
		store_rollback(&tx);
	} while (rc == 0 && n == PRUNE_BATCH);
	if (rc != 0)
		log_warn("old revocations were not pruned: %s", err.text);
}

static int
broker_file_write(struct core *core, const char *name, const struct buf *content, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (buf_failed(content))
		return err_nomem(err);
	/* broker/ is set-group-id, so the file gets the broker's group. */
	if ((rc = fs_path(path, core->dir, name, err)) != 0)
		return rc;
	return fs_write(path, 0640, (gid_t)-1, content->data, content->len, err);
}

static bool
broker_reads_files(const struct core *core)
{
	return strcmp(core_config(core)->settings.broker_mode, "acl-file") == 0;
}

/* broker/crl.pem in the making: the complete lists of all issuers, one behind the other. */
struct pem_file {
	struct shared *ders[ISSUERS_MAX];
	size_t n, which; /* the one that is being written */
	size_t at;
	bool has_begun;
	struct buf part, raw;
};

static int
pem_next(void *ctx, const void **data_out, size_t *len_out, struct err *err)
{
	struct pem_file *f = ctx;

	buf_reset(&f->part);
	buf_reset(&f->raw);
	*len_out = 0;
	if (f->which == f->n)
		return 0;
	if (!f->has_begun)
		pem_put_begin(&f->part, "X509 CRL");
	f->has_begun = true;
	if (!shared_read(f->ders[f->which], f->at, FILE_PART, &f->raw))
		return err_set(err, E_BUSY, "the list was replaced meanwhile");
	pem_put_part(&f->part, f->raw.data, f->raw.len);
	f->at += f->raw.len;
	if (f->raw.len == 0) {
		pem_put_end(&f->part, "X509 CRL");
		f->which++;
		f->at = 0;
		f->has_begun = false;
	}
	if (buf_failed(&f->raw) || buf_failed(&f->part))
		return err_nomem(err);
	*data_out = f->part.data;
	*len_out = f->part.len;
	return 0;
}

/* The latest complete lists, and how many bytes they have. */
static int
pem_file_open(struct publisher *p, struct pem_file *f, size_t *len_out, struct err *err)
{
	struct shelf_item item;
	int rc = 0;

	*len_out = 0;
	while (rc == 0 && f->n < p->n_lists)
		if ((rc = shelf_get(p->lists[f->n].shelf, SHELF_COMPLETE, false, &item, err)) == 0) {
			*len_out += shared_len(item.bytes);
			f->ders[f->n++] = item.bytes;
		}
	return rc;
}

static void
pem_file_close(struct pem_file *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		shared_unref(f->ders[i]);
	buf_clear(&f->part);
	buf_clear(&f->raw);
}

/* For the broker, which wants complete lists: it reads no deltas. */
static int
crl_file_write(struct publisher *p, struct err *err)
{
	char path[FS_PATH_MAX];
	struct pem_file f = {0};
	bool is_read = broker_reads_files(p->core);
	size_t len;
	int rc;

	if ((rc = pem_file_open(p, &f, &len, err)) != 0)
		goto out;
	if (!is_read && p->file_ms > 0 && len > FILE_SMALL && clock_mono_ms() < p->file_ms + FILE_LAG_MS) {
		p->is_file_late = true;
		goto out;
	}
	/* broker/ is set-group-id, so the file gets the broker's group. */
	if ((rc = fs_path(path, p->core->dir, "broker/crl.pem", err)) == 0 &&
	    (rc = fs_write_parts(path, 0640, (gid_t)-1, pem_next, &f, err)) == 0) {
		p->file_ms = clock_mono_ms();
		p->is_file_late = false;
	}
out:
	pem_file_close(&f);
	return rc;
}

/* When the next ones are due: a new base, or fresh deltas in good time. */
static int64_t
next_due(struct publisher *p, const struct lists *l, int64_t this_update)
{
	struct store_crl crl = {0};
	int64_t delta = this_update + delta_validity(p) / 2, base;

	revlist_describe(l->revlist, &crl);
	base = crl.base_update + core_config(p->core)->settings.crl_renew_s;
	return base < delta ? base : delta;
}

/* Lists that cannot be stored, for want of room, are shown all the same. */
static int
issuer_publish(struct publisher *p, size_t i, struct err *err)
{
	const struct config *config = core_config(p->core);
	struct crl_spec spec = {.issuer = config_issuer_at(config, i), .number = 1, .this_update = p->core->now()};
	struct lists *l = &p->lists[i];
	bool is_base;
	int rc;

	if ((rc = lists_publish(p, l, &spec, &is_base, err)) != 0)
		return rc;
	KILLPOINT(13, "a CRL signed, not stored");
	if ((rc = lists_store(p, l, &spec, err)) != 0)
		return rc;
	KILLPOINT(14, "a CRL stored, not written for the broker");
	if (is_base)
		changes_prune(p);
	l->due_s = next_due(p, l, spec.this_update);
	l->config = config;
	l->is_behind = false;
	return 0;
}

/* A retired CA may end while it is here: the signer may know it no more, and nobody needs its lists. */
static bool
has_ended(const struct publisher *p, size_t i)
{
	return i > 0 && config_issuer_at(core_config(p->core), i)->not_after <= p->core->now();
}

/* Today's are made anew in each round. A retired CA's are if they would tell something else, or in good time; until then they
 * stay. */
static int
is_needed(struct publisher *p, size_t i, bool *needed_out, struct err *err)
{
	const struct config *config = core_config(p->core);
	struct lists *l = &p->lists[i];
	bool is_base;
	int rc;

	if (has_ended(p, i)) {
		*needed_out = false;
	} else if (i > 0 && !l->is_behind && l->config == config && l->due_s > p->core->now()) {
		if ((rc = revlist_refresh(l->revlist, p->core->now(), config->settings.crl_renew_s, &is_base, err)) != 0)
			return rc;
		l->is_behind = revlist_has_changed(l->revlist) || is_base;
		*needed_out = l->is_behind;
	} else {
		*needed_out = true;
	}
	return 0;
}

/* What cannot be had of one issuer keeps none of the others back, here and in the broker's file. */
static int
crl_publish(struct publisher *p, struct err *err)
{
	struct err first = {0}, one;
	bool needed;
	size_t i;

	for (i = 0; i < p->n_lists; i++) {
		one = (struct err){0};
		if (is_needed(p, i, &needed, &one) == 0 && needed)
			(void)issuer_publish(p, i, &one);
		if (first.code == 0)
			first = one;
	}
	one = (struct err){0};
	if (crl_file_write(p, &one) != 0 && first.code == 0)
		first = one;
	if (first.code != 0)
		*err = first;
	return first.code;
}

/* When the first of the lists is due. */
static int64_t
lists_due(const struct publisher *p)
{
	int64_t due_s = INT64_MAX / 1000;
	size_t i;

	for (i = 0; i < p->n_lists; i++)
		if (p->lists[i].due_s < due_s && !has_ended(p, i))
			due_s = p->lists[i].due_s;
	return due_s;
}

/* A broker with the plugin learns rights from the feed. Should one without it still read the file, it finds nobody's. */
static int
rights_publish(struct core *core, struct err *err)
{
	struct buf acl = {0};
	int rc = 0;

	if (broker_reads_files(core)) {
		rc = rights_acl_build(core, &acl, err);
	} else {
		aclfile_begin(&acl);
		aclfile_end(&acl);
	}
	if (rc == 0)
		rc = broker_file_write(core, "broker/acl", &acl, err);
	buf_clear(&acl);
	return rc;
}

/* A broker that does not run needs no signal: it reads the files when it starts. Nor does one that reads none. */
static int
broker_reload(struct core *core, struct err *err)
{
	int rc;

	if (!broker_reads_files(core) || core_config(core)->settings.broker_pid_file[0] == '\0' ||
	    core->broker_signal_fd < 0)
		return 0;
	if ((rc = brokersignal_send(core->broker_signal_fd, err)) == E_NOTFOUND) {
		log_warn("broker not signalled: %s", err->text);
		return 0;
	}
	return rc;
}

/* WORK_OUT is what is left to be done. Rights go whether or not there is a list: a signer that is away must not keep a
 * stolen device alive. */
static int
round_run(struct publisher *p, unsigned work, unsigned *work_out, struct err *err)
{
	unsigned done = 0;
	struct err crl_err = {0};
	int rc = 0;

	if ((work & PUBLISH_CRL) != 0 && crl_publish(p, &crl_err) == 0)
		done |= PUBLISH_CRL | PUBLISH_FILE;
	else if (work == PUBLISH_FILE && crl_file_write(p, &crl_err) == 0)
		done |= PUBLISH_FILE;
	KILLPOINT(15, "the CRL published, the ACL not");
	if ((work & PUBLISH_RIGHTS) != 0 && (rc = rights_publish(p->core, err)) == 0)
		done |= PUBLISH_RIGHTS;
	KILLPOINT(16, "CRL and ACL published, the broker not signalled");
	if (rc == 0 && done != 0 && (rc = broker_reload(p->core, err)) != 0)
		done = 0;
	*work_out = work & ~done & ~(unsigned)PUBLISH_FILE; /* that one comes again by itself */
	if (rc == 0 && crl_err.code != 0) {
		*err = crl_err;
		rc = crl_err.code;
	}
	return rc;
}

/* How long the thread may sleep; 0: a round is due. Called with the lock held. */
static int64_t
until_due_ms(struct publisher *p)
{
	int64_t now_ms = clock_mono_ms();
	int64_t crl_ms = (lists_due(p) - p->core->now()) * 1000;
	int64_t wait_ms = crl_ms > 0 ? crl_ms : 0;
	int64_t gap_ms;

	if (crl_ms <= 0)
		p->pending |= PUBLISH_CRL;
	if (p->is_file_late) {
		gap_ms = p->file_ms + FILE_LAG_MS - now_ms;
		if (gap_ms <= 0)
			p->pending |= PUBLISH_FILE;
		else if (gap_ms < wait_ms)
			wait_ms = gap_ms;
	}
	if (p->result.code != 0) { /* a failed round rests, whoever waits */
		gap_ms = p->last_ms + (p->urgent != 0 ? RETRY_MS : RETRY_MS << (p->n_failed - 1)) - now_ms;
		return gap_ms > 0 ? gap_ms : 0;
	}
	if (p->pending != 0) {
		/* Revocations wait for the last revocation only, so that registrations never delay them. */
		gap_ms = (p->urgent != 0 ? p->last_urgent_ms : p->last_ms) + p->core->publish_gap_ms - now_ms;
		wait_ms = gap_ms > 0 ? gap_ms : 0;
	}
	/* The wall clock may be set meanwhile: look at least once a minute. */
	return wait_ms < 60000 ? wait_ms : 60000;
}

static void
sleep_ms(struct publisher *p, int64_t ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&p->wake, &p->lock, &until);
}

/* One round, with the lock held before and after. */
static void
round_do(struct publisher *p)
{
	unsigned work = p->pending, urgent = p->urgent, left;
	uint64_t ticket = p->asked;
	struct err err = {0};
	int rc;

	p->pending = 0;
	p->urgent = 0;
	(void)pthread_mutex_unlock(&p->lock);
	if ((rc = round_run(p, work, &left, &err)) != 0)
		log_error("publishing failed, trying again: %s", err.text);
	KILLPOINT(17, "the broker signalled, nobody told");
	(void)pthread_mutex_lock(&p->lock);
	p->last_ms = clock_mono_ms();
	if (urgent != 0)
		p->last_urgent_ms = p->last_ms;
	p->result = rc == 0 ? (struct err){0} : err;
	p->n_failed = rc == 0 ? 0 : p->n_failed < RETRY_MAX ? p->n_failed + 1 : RETRY_MAX;
	p->left = left;
	p->pending |= left;
	p->done = ticket;
	(void)pthread_cond_broadcast(&p->ended);
}

static void *
publisher_run(void *arg)
{
	struct publisher *p = arg;
	int64_t ms;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		if ((ms = until_due_ms(p)) > 0 || p->pending == 0)
			sleep_ms(p, ms);
		else
			round_do(p);
	}
	(void)pthread_cond_broadcast(&p->ended);
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int
lists_open(struct publisher *p, struct err *err)
{
	struct lists *l;
	int rc;

	for (; p->n_lists < p->core->issuers.n; p->n_lists++) {
		l = &p->lists[p->n_lists];
		if ((rc = shelf_new(&l->shelf, err)) != 0)
			return rc;
		l->revlist = revlist_new(p->core, config_issuer_at(core_config(p->core), p->n_lists)->key_id_hex,
		    p->core->issuer_numbers[p->n_lists]);
		if (l->revlist == NULL) {
			shelf_free(l->shelf);
			return err_nomem(err);
		}
	}
	return 0;
}

int
publisher_start(struct core *core, struct publisher **publisher_out, struct err *err)
{
	struct publisher *p = calloc(1, sizeof *p);
	unsigned left;
	int rc;

	if (p == NULL)
		return err_nomem(err);
	p->core = core;
	(void)pthread_mutex_init(&p->lock, NULL);
	thread_cond_init(&p->wake);
	(void)pthread_cond_init(&p->ended, NULL);
	p->last_ms = p->last_urgent_ms = clock_mono_ms() - core->publish_gap_ms;
	if ((rc = lists_open(p, err)) != 0)
		goto out;
	if ((rc = round_run(p, PUBLISH_CRL | PUBLISH_RIGHTS, &left, err)) != 0 && rc != E_FULL)
		goto out;
	if (rc != 0)
		log_error("publishing failed, trying again: %s", err->text);
	p->pending = left;
	rc = thread_start(&p->thread, publisher_run, p, "the publisher's thread", err);
	p->started = rc == 0;
out:
	if (rc == 0)
		*publisher_out = p;
	else
		publisher_stop(p);
	return rc;
}

void
publisher_stop(struct publisher *p)
{
	size_t i;

	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->wake);
	(void)pthread_mutex_unlock(&p->lock);
	if (p->started)
		(void)pthread_join(p->thread, NULL);
	for (i = 0; i < p->n_lists; i++) {
		revlist_free(p->lists[i].revlist);
		shelf_free(p->lists[i].shelf);
	}
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_cond_destroy(&p->ended);
	free(p);
}

void
publisher_wake(struct publisher *p, unsigned work)
{
	(void)pthread_mutex_lock(&p->lock);
	/* A round that is already due takes this along; waking the thread again would only cost. */
	if ((p->pending & work) != work) {
		p->pending |= work;
		(void)pthread_cond_signal(&p->wake);
	}
	(void)pthread_mutex_unlock(&p->lock);
}

uint64_t
publisher_ask(struct publisher *p, unsigned work)
{
	uint64_t ticket;

	(void)pthread_mutex_lock(&p->lock);
	p->pending |= work;
	p->urgent |= work;
	ticket = ++p->asked;
	(void)pthread_cond_signal(&p->wake);
	(void)pthread_mutex_unlock(&p->lock);
	return ticket;
}

int
publisher_wait(struct publisher *p, uint64_t ticket, unsigned work, struct err *err)
{
	int rc = 0;

	(void)pthread_mutex_lock(&p->lock);
	while (p->done < ticket && !p->stopping)
		(void)pthread_cond_wait(&p->ended, &p->lock);
	if (p->done < ticket) {
		rc = err_set(err, E_BUSY, "the server is stopping; it will publish this when it is back");
	} else if ((p->left & work) != 0) {
		*err = p->result;
		rc = err_prefix(err, "stored, but not yet published");
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

struct shelf *
publisher_shelf(struct publisher *p, size_t i)
{
	return p->lists[i].shelf;
}
