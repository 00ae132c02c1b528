/* One thread, one round at a time: CRL, then ACL file, then the broker's signal, in that order, because a
 * broker that reloads must find the list already there (traps.md). What fails is tried again; a list that cannot be
 * had holds up nothing else. */
#include "core/publisher.h"

#include "authz/aclfile.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "core/brokersignal.h"
#include "core/rights.h"
#include "signer/client.h"
#include "store/certificate.h"
#include "store/crl.h"
#include "store/store.h"
#include "x509/pem.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* after a failed round; */
#define RETRY_MAX 4   /* doubled with each, up to this, if nobody waits: a CRL costs the signer's log a row */
#define ENTRIES_FIRST 64
#define CRL_OVERLAP_S 3600 /* a revoked certificate stays listed this long after its end */

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
	struct buf crl;	  /* DER, as published */
	struct crl_info info; /* what it says */

	/* The thread's own. */
	int64_t crl_due_s;
	int64_t last_urgent_ms, last_ms;
};

/* What stands in a list. */
struct entries {
	struct crl_entry *list;
	size_t n, cap;
};

static int
entries_add(struct entries *e, const struct store_revoked_row *row, struct err *err)
{
	struct crl_entry *list;
	size_t cap = e->cap == 0 ? ENTRIES_FIRST : 2 * e->cap;

	if (e->n == e->cap) {
		if ((list = realloc(e->list, cap * sizeof list[0])) == NULL)
			return err_nomem(err);
		e->list = list;
		e->cap = cap;
	}
	e->list[e->n].revoked_at = row->revoked_at;
	memcpy(e->list[e->n].serial, row->serial, SERIAL_LEN);
	e->list[e->n++].reason = (enum crl_reason)row->reason;
	return 0;
}

/* The revoked certificates as they are stored now, for a complete list. */
static int
entries_read(struct core *core, int64_t not_after_least, struct entries *e, struct err *err)
{
	struct store_revoked *revoked = NULL;
	struct store_revoked_row row;
	struct store_tx *tx = NULL;
	struct err walk_err = {0};
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_revoked_open(tx, not_after_least, &revoked, err)) == 0)
		while (rc == 0 && store_revoked_next(revoked, &row))
			rc = entries_add(e, &row, err);
	/* A walk that broke off looks like its end: such a list would lack revocations. */
	if (store_revoked_close(revoked, &walk_err) != 0 && rc == 0) {
		*err = walk_err;
		rc = walk_err.code;
	}
	store_rollback(&tx);
	return rc;
}

/* Have a list of these entries signed. */
static int
list_sign(struct core *core, const struct entries *e, struct crl_spec *spec, struct buf *der, struct err *err)
{
	struct signer_crl crl = {.base = spec->base,
	    .at_least = 1,
	    .this_update = spec->this_update,
	    .next_update = spec->next_update};
	struct buf sig = {0};
	int rc;

	memcpy(crl.issuer, spec->issuer->key_id, KEY_ID_LEN);
	if ((rc = signer_crl(core->signer, &crl, e->list, e->n, &spec->number, &sig, err)) == 0)
		rc = crl_join(spec, e->list, e->n, sig.data, sig.len, der, err);
	buf_clear(&sig);
	return rc;
}

/* Have a CRL of the present state signed. */
static int
crl_make(struct core *core, struct store_crl *crl, struct buf *der, struct crl_info *info, struct err *err)
{
	struct crl_spec spec = {.issuer = &core_config(core)->issuer, .this_update = core->now()};
	struct entries e = {0};
	int rc;

	spec.next_update = spec.this_update + core_config(core)->settings.crl_validity_s;
	if ((rc = entries_read(core, spec.this_update - CRL_OVERLAP_S, &e, err)) == 0 &&
	    (rc = list_sign(core, &e, &spec, der, err)) == 0) {
		crl->number = (int64_t)spec.number;
		crl->this_update = info->this_update = spec.this_update;
		crl->next_update = info->next_update = spec.next_update;
		info->number = spec.number;
		info->n_entries = e.n;
	}
	free(e.list);
	return rc;
}

/* Its number and its times. The bytes are in broker/crl.pem, and each start has a new list made; 4 MB of them for 100,000
 * entries, once a second, kept the next revocation's commit waiting. */
static int
crl_store(struct core *core, const struct store_crl *crl, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_crl_put(tx, core_config(core)->issuer.key_id_hex, crl, "", 0, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
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

/* For whoever fetches it. Takes DER over. */
static void
crl_show(struct publisher *p, struct buf *der, const struct crl_info *info)
{
	(void)pthread_mutex_lock(&p->lock);
	buf_clear(&p->crl);
	p->crl = *der;
	p->info = *info;
	*der = (struct buf){0};
	(void)pthread_mutex_unlock(&p->lock);
}

/* A list that cannot be stored, for want of room, is shown all the same. */
static int
crl_publish(struct publisher *p, struct err *err)
{
	struct store_crl crl = {0};
	struct buf der = {0}, pem = {0};
	struct crl_info info = {0}; /* its number is not 0 once the list is checked */
	int rc;

	if ((rc = crl_make(p->core, &crl, &der, &info, err)) != 0)
		goto out;
	KILLPOINT(13, "a CRL signed, not stored");
	if ((rc = crl_store(p->core, &crl, err)) != 0)
		goto out;
	KILLPOINT(14, "a CRL stored, not written for the broker");
	pem_encode(&pem, "X509 CRL", der.data, der.len);
	if ((rc = broker_file_write(p->core, "broker/crl.pem", &pem, err)) == 0)
		p->crl_due_s = crl.this_update + core_config(p->core)->settings.crl_renew_s;
out:
	if (info.number > 0)
		crl_show(p, &der, &info);
	buf_clear(&pem);
	buf_clear(&der);
	return rc;
}

static bool
broker_reads_files(const struct core *core)
{
	return strcmp(core_config(core)->settings.broker_mode, "acl-file") == 0;
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
		done |= PUBLISH_CRL;
	KILLPOINT(15, "the CRL published, the ACL not");
	if ((work & PUBLISH_RIGHTS) != 0 && (rc = rights_publish(p->core, err)) == 0)
		done |= PUBLISH_RIGHTS;
	KILLPOINT(16, "CRL and ACL published, the broker not signalled");
	if (rc == 0 && done != 0 && (rc = broker_reload(p->core, err)) != 0)
		done = 0;
	*work_out = work & ~done;
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
	int64_t crl_ms = (p->crl_due_s - p->core->now()) * 1000;
	int64_t wait_ms = crl_ms > 0 ? crl_ms : 0;
	int64_t gap_ms;

	if (crl_ms <= 0)
		p->pending |= PUBLISH_CRL;
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

int
publisher_start(struct core *core, struct publisher **publisher_out, struct err *err)
{
	struct publisher *p = calloc(1, sizeof *p);
	pthread_condattr_t attr;
	sigset_t all, before;
	unsigned left;
	int rc;

	if (p == NULL)
		return err_nomem(err);
	p->core = core;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->wake, &attr);
	(void)pthread_cond_init(&p->ended, NULL);
	(void)pthread_condattr_destroy(&attr);
	p->last_ms = p->last_urgent_ms = clock_mono_ms() - core->publish_gap_ms;
	if ((rc = round_run(p, PUBLISH_CRL | PUBLISH_RIGHTS, &left, err)) != 0 && rc != E_FULL)
		goto out;
	if (rc != 0)
		log_error("publishing failed, trying again: %s", err->text);
	p->pending = left;
	rc = 0;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&p->thread, NULL, publisher_run, p) != 0)
		rc = err_set(err, E_SYS, "cannot start the publisher's thread");
	else
		p->started = true;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->wake);
	(void)pthread_mutex_unlock(&p->lock);
	if (p->started)
		(void)pthread_join(p->thread, NULL);
	buf_clear(&p->crl);
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

int
publisher_crl(struct publisher *p, struct buf *der_out, struct err *err)
{
	(void)pthread_mutex_lock(&p->lock);
	buf_append(der_out, p->crl.data, p->crl.len);
	(void)pthread_mutex_unlock(&p->lock);
	return buf_failed(der_out) ? err_nomem(err) : 0;
}

void
publisher_crl_info(struct publisher *p, struct crl_info *info_out)
{
	(void)pthread_mutex_lock(&p->lock);
	*info_out = p->info;
	(void)pthread_mutex_unlock(&p->lock);
}
