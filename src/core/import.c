/* Threads of its own, few beside the workers', so that requests have most of the machine and revocations their own lane; enough of
 * them that signer and store work in groups. What is claimed is in memory alone: the database knows only what is done. */
#include "core/import.h"

#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "core/audit.h"
#include "core/device.h"
#include "core/job.h"
#include "store/operator.h"
#include "store/store.h"
#include "x509/cert.h"
#include "x509/csr.h"
#include "x509/seal.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256      /* rows read at a time, of one job */
#define PAUSE_MIN_S 1  /* before a row whose time has not come is tried again */
#define PAUSE_MAX_S 30
#define FAULTS_MAX 5   /* of our own: then the row has failed */
#define OPERATOR "operator:"

/* A job that rows are taken of. */
struct active {
	struct store_job job;
	struct caller caller;
	int64_t cursor;	    /* the last row that was read */
	unsigned n_claimed; /* rows that are read and not settled */
	bool is_read;	    /* there are no more */
	bool is_over;	    /* it was cancelled: what is claimed is let go */
	unsigned n_waiting; /* rows whose time has not come */
	char why[ERR_TEXT_MAX]; /* of the last of these */
	struct active *next;
};

struct claim {
	struct active *of;
	struct store_job_row row;
};

struct import {
	struct core *core;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	bool is_loading; /* a thread reads rows */
	bool look;	 /* there may be a job that is not in the list */
	struct active *first;
	struct claim claims[BATCH]; /* a stack; its rows are read, and nobody has them yet */
	size_t n_claims, at;
	size_t n_threads;
	pthread_t threads[];
};

/* ---- one row ---------------------------------------------------------------------------------------------------- */

/* What device_register tells of one. */
struct making {
	const struct active *of;
	const struct store_job_row *row;
	struct buf sealed;
	bool is_denied; /* the operator was removed */
};

/* Link and password leave to whoever has the job's key, and stay nowhere else. */
static int
on_made(void *ctx, const struct credential *credential, struct err *err)
{
	struct making *m = ctx;
	struct buf secret;
	int rc;

	if (!credential->has_package)
		return 0;
	buf_init_secret(&secret);
	buf_reset(&m->sealed);
	buf_printf(&secret, "%s %s", strrchr(credential->url, '/') + 1, credential->password);
	if (buf_failed(&secret))
		rc = err_nomem(err);
	else
		rc = seal_make(m->of->job.seal, m->of->job.seal_len, secret.data, secret.len, &m->sealed, err);
	buf_clear(&secret);
	return rc;
}

/* Whoever was removed makes nothing any more. */
static int
operator_check(struct store_tx *tx, const struct caller *caller, struct err *err)
{
	struct store_operator row;
	char name[STORE_WORD_SIZE];
	size_t len;

	if (strncmp(caller->who, OPERATOR, strlen(OPERATOR)) != 0)
		return 0;
	len = strcspn(caller->who + strlen(OPERATOR), "@"); /* behind that, the tenant that it is bound to */
	(void)snprintf(name, sizeof name, "%.*s", (int)len, caller->who + strlen(OPERATOR));
	return store_operator_get(
	    tx, caller->is_bound ? caller->tenant_id : STORE_TENANT_DEFAULT, caller->is_bound, name, &row, err);
}

static int
on_store(struct store_tx *tx, void *ctx, const struct credential *credential, struct err *err)
{
	struct making *m = ctx;
	int rc;

	if ((rc = operator_check(tx, &m->of->caller, err)) != 0) {
		m->is_denied = rc == E_NOTFOUND;
		return m->is_denied ? err_set(err, E_DENIED, "the operator who started the job was removed") : rc;
	}
	return store_job_row_done(tx, m->of->job.id, m->row->n, credential->certificate.serial,
	    m->sealed.len > 0 ? m->sealed.data : NULL, m->sealed.len, err);
}

/* The names of ROW, which LIST holds. */
static int
sans_read(const struct store_job_row *row, json_t **list_out, const char *sans[CERT_SANS_MAX], size_t *n_out, struct err *err)
{
	json_t *list, *item;
	size_t i;

	*n_out = 0;
	if (row->sans == NULL)
		return 0;
	if ((list = json_loads(row->sans, 0, NULL)) == NULL || json_array_size(list) > CERT_SANS_MAX) {
		json_decref(list);
		return err_set(err, E_SYS, "the names of a row cannot be read");
	}
	json_array_foreach (list, i, item)
		sans[(*n_out)++] = json_string_value(item);
	*list_out = list;
	return 0;
}

/* What is needed of the request that the row came with: its key, which was checked then. */
static int
key_read(const struct store_job_row *row, struct csr *csr, struct err *err)
{
	if (row->spki == NULL)
		return 0;
	if (row->spki_len > sizeof csr->spki)
		return err_set(err, E_SYS, "the key of a row cannot be read");
	csr->challenge[0] = '\0';
	memcpy(csr->spki, row->spki, row->spki_len);
	csr->spki_len = row->spki_len;
	return spki_kind(csr->spki, csr->spki_len, &csr->kind, err);
}

static int
row_register(struct core *core, struct making *m, struct err *err)
{
	const struct store_job_row *row = m->row;
	const struct device_order order = {.job = m->of->job.id, .id = row->device_id, .made = on_made, .store = on_store, .ctx = m};
	const char *sans[CERT_SANS_MAX];
	struct csr csr;
	struct device_request request = {.name = row->name, .type = row->type, .location = row->location, .labels = row->labels,
	    .policy = row->policy, .order = &order,
	    .credential = {.key = row->key, .parsed = row->spki != NULL ? &csr : NULL, .profile = row->profile, .valid_s = row->valid_s, .sans = sans, .link_ttl_s = m->of->job.link_ttl_s}};
	struct credential credential = {0};
	struct store_device device = {0};
	json_t *list = NULL;
	int rc;

	if ((rc = key_read(row, &csr, err)) == 0 && (rc = sans_read(row, &list, sans, &request.credential.n_sans, err)) == 0)
		rc = device_register(core, &m->of->caller, &request, &device, &credential, err);
	json_decref(list);
	store_device_clear(&device);
	credential_clear(&credential);
	return rc;
}

/* Does it fail for now only? WAITED: an earlier try did; if its answer was lost, reconcile looks for a certificate of this device and
 * key, and may have taken the next try's for that one. */
static bool
may_work_later(int rc, const struct err *why, bool waited, unsigned *n_faults)
{
	switch (rc) {
	case E_BUSY:
	case E_FULL:
	case E_NOMEM:
		return true;
	case E_LIMIT:
		return why->retry_after_s > 0;
	case E_CONFLICT:
		return waited && ++*n_faults < FAULTS_MAX;
	case E_SYS:
		return ++*n_faults < FAULTS_MAX;
	default:
		return false;
	}
}

/* A row of A waits because of WHY. The first one is told of. */
static void
wait_begin(struct import *import, struct active *a, const struct err *why)
{
	(void)pthread_mutex_lock(&import->lock);
	if (a->n_waiting++ == 0)
		log_warn("job %s waits: %s", a->job.id, why->text);
	(void)text_copy(a->why, sizeof a->why, why->text);
	(void)pthread_mutex_unlock(&import->lock);
}

static void
wait_end(struct import *import, struct active *a)
{
	(void)pthread_mutex_lock(&import->lock);
	a->n_waiting--;
	(void)pthread_mutex_unlock(&import->lock);
}

/* Wait SECONDS, or until it is time to end. */
static bool
pause_for(struct import *import, int64_t seconds)
{
	struct timespec until;
	bool stopping;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	(void)pthread_mutex_lock(&import->lock);
	while (!import->stopping && pthread_cond_timedwait(&import->wake, &import->lock, &until) == 0)
		continue;
	stopping = import->stopping;
	(void)pthread_mutex_unlock(&import->lock);
	return !stopping;
}

static int
row_fail(struct core *core, const struct claim *claim, const struct err *why, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) == 0 &&
	    (rc = store_job_row_fail(tx, claim->of->job.id, claim->row.n, why, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static bool
job_runs(struct core *core, const struct active *active)
{
	struct store_job job = {0};
	struct err none = {0};
	bool runs = job_get(core, &active->caller, active->job.id, &job, &none) != 0 || job.state == JOB_RUNNING;

	store_job_clear(&job);
	return runs;
}

/* End the job of an operator who was removed. */
static void
job_deny(struct core *core, const struct active *active)
{
	const struct caller system = {.role = ROLE_ADMIN, .tenant_id = active->job.tenant_id, .who = "system"};
	struct store_job job = {0};
	struct err err = {0};
	int rc = job_cancel(core, &system, active->job.id, &job, &err);

	if (rc == 0)
		log_warn("job %s is cancelled: the operator who started it was removed", active->job.id);
	else if (rc != E_CONFLICT)
		log_error("job %s of a removed operator was not cancelled: %s", active->job.id, err.text);
	store_job_clear(&job);
}

/* Make the device, now or, while that cannot be, later; or note why not. */
static void
row_settle(struct import *import, const struct claim *claim)
{
	struct making m = {.of = claim->of, .row = &claim->row};
	struct core *core = import->core;
	int64_t pause_s = PAUSE_MIN_S;
	struct err why, err = {0};
	bool later, waits = false;
	unsigned n_faults = 0;
	int rc;

	for (;;) {
		why = (struct err){0};
		rc = row_register(core, &m, &why);
		later = rc != 0 && may_work_later(rc, &why, waits, &n_faults);
		if (later && !waits) {
			wait_begin(import, claim->of, &why);
			waits = true;
		}
		if (!later || !pause_for(import, why.retry_after_s > 0 && why.retry_after_s < PAUSE_MAX_S ? why.retry_after_s : pause_s) ||
		    !job_runs(core, claim->of))
			break;
		pause_s = pause_s * 2 < PAUSE_MAX_S ? pause_s * 2 : PAUSE_MAX_S;
	}
	if (waits)
		wait_end(import, claim->of);
	buf_clear(&m.sealed);
	if (m.is_denied)
		job_deny(core, claim->of);
	else if (rc != 0 && !later)
		rc = row_fail(core, claim, &why, &err);
	if (rc == 0 || later)
		return;
	if (m.is_denied || !job_runs(core, claim->of)) {
		(void)pthread_mutex_lock(&import->lock);
		claim->of->is_over = true;
		(void)pthread_mutex_unlock(&import->lock);
	} else {
		log_error("that row %lld of job %s failed was not stored: %s", (long long)claim->row.n, claim->of->job.id, err.text);
	}
}

/* ---- jobs ------------------------------------------------------------------------------------------------------- */

static struct active *
active_find(struct import *import, const char *id)
{
	struct active *a;

	for (a = import->first; a != NULL && strcmp(a->job.id, id) != 0; a = a->next)
		continue;
	return a;
}

/* Take JOB, which is cleared, into the list, if it is not there. With the lock held. */
static void
active_add_take(struct import *import, struct store_job *job)
{
	struct active *a = NULL;

	if (active_find(import, job->id) == NULL && (a = calloc(1, sizeof *a)) != NULL) {
		a->job = *job;
		*job = (struct store_job){0};
		a->caller = (struct caller){.role = (enum role)a->job.role, .tenant_id = a->job.tenant_id, .is_bound = a->job.bound};
		(void)text_copy(a->caller.who, sizeof a->caller.who, a->job.actor);
		(void)text_copy(a->caller.from, sizeof a->caller.from, a->job.origin);
		a->next = import->first;
		import->first = a;
	}
	store_job_clear(job);
}

/* Look for jobs that run and are not in the list. */
static void
jobs_look(struct import *import)
{
	char after[UUID_LEN + 1] = "";
	struct store_tx *tx = NULL;
	struct store_job job;
	struct err err = {0};
	int rc;

	if ((rc = store_read(import->core->store, &tx, &err)) == 0) {
		while ((rc = store_job_running(tx, after, &job, &err)) == 0) {
			(void)text_copy(after, sizeof after, job.id);
			(void)pthread_mutex_lock(&import->lock);
			active_add_take(import, &job);
			(void)pthread_mutex_unlock(&import->lock);
		}
		store_rollback(&tx);
	}
	if (rc != E_NOTFOUND)
		log_error("jobs were not looked for: %s", err.text);
}

/* All rows of A were settled: it is done, unless it was cancelled. E_BUSY if there are some that could not be noted. */
static int
job_finish(struct core *core, const struct active *a, struct err *err)
{
	const struct caller system = {.role = ROLE_ADMIN, .tenant_id = a->job.tenant_id, .who = "system"};
	struct store_job job = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_job_get(tx, a->job.tenant_id, a->job.id, &job, err)) != 0 || job.state != JOB_RUNNING)
		goto out;
	if (job.done + job.failed < job.total) {
		rc = err_set(err, E_BUSY, "%lld rows are left", (long long)(job.total - job.done - job.failed));
		goto out;
	}
	job.state = JOB_DONE;
	job.ended_at = core->now();
	if ((rc = store_job_update(tx, &job, err)) == 0 &&
	    (rc = audit_write(tx, &system, job.ended_at, "job.end", "job", job.id, err, "{\"done\":%lld,\"failed\":%lld}",
		 (long long)job.done, (long long)job.failed)) == 0)
		rc = store_commit(&tx, err);
out:
	store_rollback(&tx);
	store_job_clear(&job);
	return rc;
}

/* Read the next rows of A for import->claims, which is empty. */
static int
rows_load(struct import *import, struct active *a, struct err *err)
{
	struct store_job_row *rows = calloc(BATCH, sizeof rows[0]);
	struct store_job job = {0};
	struct store_tx *tx = NULL;
	size_t n = 0, i;
	int rc;

	if (rows == NULL)
		return err_nomem(err);
	if ((rc = store_read(import->core->store, &tx, err)) == 0 &&
	    (rc = store_job_get(tx, a->job.tenant_id, a->job.id, &job, err)) == 0 && job.state == JOB_RUNNING)
		rc = store_job_rows(tx, a->job.tenant_id, a->job.id, a->cursor, JOB_ROW_WAITING, true, BATCH, rows, &n, err);
	store_rollback(&tx);
	(void)pthread_mutex_lock(&import->lock);
	for (i = 0; i < n; i++)
		import->claims[i] = (struct claim){a, rows[i]};
	import->n_claims = n;
	import->at = 0;
	a->n_claimed += (unsigned)n;
	a->is_read = rc == 0 && n < BATCH;
	if (n > 0)
		a->cursor = rows[n - 1].n;
	(void)pthread_mutex_unlock(&import->lock);
	store_job_clear(&job);
	free(rows);
	return rc;
}

/* Take A out of the list. With the lock held. */
static void
active_remove(struct import *import, struct active *a)
{
	struct active **at = &import->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

/* One that may have more rows, and goes to the end of the list; or all of whose rows are settled. With the lock held. */
static struct active *
active_next(struct import *import)
{
	struct active *a, **at;

	for (a = import->first; a != NULL && a->is_read && a->n_claimed > 0; a = a->next)
		continue;
	if (a == NULL)
		return NULL;
	active_remove(import, a);
	a->next = NULL;
	for (at = &import->first; *at != NULL; at = &(*at)->next)
		continue;
	*at = a;
	return a;
}

/* Go on with A, which active_next gave: read rows, or end it. Whatever fails is tried again, behind a new look at all jobs. */
static void
job_go_on(struct import *import, struct active *a, bool is_settled)
{
	struct err err = {0};
	int rc = is_settled ? job_finish(import->core, a, &err) : rows_load(import, a, &err);

	if (rc != 0 && rc != E_NOTFOUND) {
		log_warn("job %s cannot go on now: %s", a->job.id, err.text);
		(void)pause_for(import, PAUSE_MIN_S);
	}
	(void)pthread_mutex_lock(&import->lock);
	import->look = import->look || (is_settled && rc != 0 && rc != E_NOTFOUND);
	a->is_read = a->is_read || rc == E_NOTFOUND;
	if (is_settled) {
		active_remove(import, a);
		store_job_clear(&a->job);
		free(a);
	}
	(void)pthread_mutex_unlock(&import->lock);
}

/* See to it that there are rows to be made, if there is no other thread that does. False: there is nothing to do now. With the
 * lock held, which is let go meanwhile. */
static bool
load(struct import *import)
{
	bool look = import->look, is_settled;
	struct active *a = NULL;

	if (import->is_loading || (!look && (a = active_next(import)) == NULL))
		return false;
	import->look = false;
	import->is_loading = true;
	is_settled = a != NULL && a->is_read;
	(void)pthread_mutex_unlock(&import->lock);
	if (look)
		jobs_look(import);
	else
		job_go_on(import, a, is_settled);
	(void)pthread_mutex_lock(&import->lock);
	import->is_loading = false;
	(void)pthread_cond_broadcast(&import->wake);
	return true;
}

static void *
import_run(void *arg)
{
	struct import *import = arg;
	struct claim claim;
	bool is_over;

	(void)pthread_mutex_lock(&import->lock);
	while (!import->stopping) {
		if (import->at < import->n_claims) {
			claim = import->claims[import->at++];
			is_over = claim.of->is_over;
			(void)pthread_mutex_unlock(&import->lock);
			if (!is_over)
				row_settle(import, &claim);
			store_job_row_clear(&claim.row);
			(void)pthread_mutex_lock(&import->lock);
			if (--claim.of->n_claimed == 0)
				(void)pthread_cond_broadcast(&import->wake);
		} else if (!load(import)) {
			(void)pthread_cond_wait(&import->wake, &import->lock);
		}
	}
	(void)pthread_mutex_unlock(&import->lock);
	return NULL;
}

int
import_start(struct core *core, struct import **import_out, struct err *err)
{
	size_t n = (size_t)core_config(core)->settings.jobs_threads;
	struct import *import = calloc(1, sizeof *import + n * sizeof import->threads[0]);
	int rc = 0;

	if (import == NULL)
		return err_nomem(err);
	import->core = core;
	import->look = true;
	(void)pthread_mutex_init(&import->lock, NULL);
	thread_cond_init(&import->wake);
	/* core->import is set by the caller when this returns; the threads ask for nothing of it. */
	while (rc == 0 && import->n_threads < n)
		if ((rc = thread_start(&import->threads[import->n_threads], import_run, import, "a thread for jobs", err)) == 0)
			import->n_threads++;
	if (rc == 0)
		*import_out = import;
	else
		import_stop(import);
	return rc;
}

void
import_stop(struct import *import)
{
	struct active *next;
	size_t i;

	if (import == NULL)
		return;
	(void)pthread_mutex_lock(&import->lock);
	import->stopping = true;
	(void)pthread_cond_broadcast(&import->wake);
	(void)pthread_mutex_unlock(&import->lock);
	for (i = 0; i < import->n_threads; i++)
		(void)pthread_join(import->threads[i], NULL);
	for (; import->at < import->n_claims; import->at++)
		store_job_row_clear(&import->claims[import->at].row);
	for (; import->first != NULL; import->first = next) {
		next = import->first->next;
		store_job_clear(&import->first->job);
		free(import->first);
	}
	(void)pthread_mutex_destroy(&import->lock);
	(void)pthread_cond_destroy(&import->wake);
	free(import);
}

void
import_why(struct import *import, const char *job_id, char out[ERR_TEXT_MAX])
{
	const struct active *a;

	out[0] = '\0';
	if (import == NULL)
		return;
	(void)pthread_mutex_lock(&import->lock);
	if ((a = active_find(import, job_id)) != NULL && a->n_waiting > 0)
		(void)text_copy(out, ERR_TEXT_MAX, a->why);
	(void)pthread_mutex_unlock(&import->lock);
}

void
import_look(struct import *import, size_t *running_out, size_t *waiting_out)
{
	const struct active *a;

	*running_out = *waiting_out = 0;
	if (import == NULL)
		return;
	(void)pthread_mutex_lock(&import->lock);
	for (a = import->first; a != NULL; a = a->next) {
		++*running_out;
		*waiting_out += a->n_waiting > 0;
	}
	(void)pthread_mutex_unlock(&import->lock);
}

void
import_wake(struct import *import)
{
	if (import == NULL)
		return;
	(void)pthread_mutex_lock(&import->lock);
	import->look = true;
	(void)pthread_cond_broadcast(&import->wake);
	(void)pthread_mutex_unlock(&import->lock);
}
