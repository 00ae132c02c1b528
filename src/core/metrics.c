/* Counters of what the core does, and the page of what it and the parts below it tell of themselves. Labels are the kinds
 * and names of our own configuration: of brokers, profiles and keys, never of a device, a client or a request. */
#include "core/metrics.h"

#include "base/fs.h"
#include "base/metric.h"
#include "base/process.h"
#include "base/text.h"
#include "core/authfail.h"
#include "core/auditpoint.h"
#include "core/broker.h"
#include "core/ca.h"
#include "core/import.h"
#include "core/keypool.h"
#include "core/ocsp.h"
#include "core/limits.h"
#include "signer/client.h"
#include "store/store.h"
#include "x509/cert.h"
#include "x509/chain.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REASONS (REASON_AA_COMPROMISE + 1)
#define PEM_MAX 16384

/* Certificates of one kind. */
struct issued {
	enum store_owner_kind owner;
	char profile[sizeof((struct store_certificate *)0)->profile];
	char key[sizeof((struct store_certificate *)0)->key];
	int64_t n;
};

struct metrics {
	struct process *process;
	pthread_mutex_t lock; /* of what follows */
	struct issued issued[METRICS_ISSUED_MAX];
	size_t n_issued;
	int64_t issued_other, abandoned;
	int64_t revoked[REASONS];
};

int
metrics_new(struct metrics **metrics_out, struct err *err)
{
	struct metrics *m = calloc(1, sizeof *m);
	int rc;

	if (m == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&m->lock, NULL);
	if ((rc = process_open(&m->process, err)) == 0)
		*metrics_out = m;
	else
		metrics_free(m);
	return rc;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	process_close(m->process);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- counting -------------------------------------------------------------------------------------------------- */

void
metrics_issued(struct metrics *m, const struct store_certificate *c)
{
	struct issued *row = NULL;
	size_t i;

	(void)pthread_mutex_lock(&m->lock);
	for (i = 0; row == NULL && i < m->n_issued; i++)
		if (m->issued[i].owner == c->owner_kind && strcmp(m->issued[i].profile, c->profile) == 0 &&
		    strcmp(m->issued[i].key, c->key) == 0)
			row = &m->issued[i];
	if (row == NULL && m->n_issued < METRICS_ISSUED_MAX) {
		row = &m->issued[m->n_issued++];
		row->owner = c->owner_kind;
		(void)text_copy(row->profile, sizeof row->profile, c->profile);
		(void)text_copy(row->key, sizeof row->key, c->key);
	}
	if (row != NULL)
		row->n++;
	else
		m->issued_other++;
	(void)pthread_mutex_unlock(&m->lock);
}

void
metrics_abandoned(struct metrics *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->abandoned++;
	(void)pthread_mutex_unlock(&m->lock);
}

void
metrics_revoked(struct metrics *m, enum crl_reason reason, size_t n)
{
	if ((unsigned)reason >= REASONS)
		return;
	(void)pthread_mutex_lock(&m->lock);
	m->revoked[reason] += (int64_t)n;
	(void)pthread_mutex_unlock(&m->lock);
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

static void
write_counters(struct metrics *m, struct buf *out)
{
	static const char issued[] = "muster_certificates_issued_total", abandoned[] = "muster_certificates_abandoned_total",
			  revoked[] = "muster_certificates_revoked_total";
	size_t i;

	(void)pthread_mutex_lock(&m->lock);
	metric_family(out, issued, "counter", "Certificates signed and found to be what was asked for.");
	for (i = 0; i < m->n_issued; i++)
		metric_value(out, issued, m->issued[i].n, "owner", store_owner_kind_name(m->issued[i].owner), "profile",
		    m->issued[i].profile, "key", m->issued[i].key, NULL);
	if (m->issued_other > 0)
		metric_value(out, issued, m->issued_other, "owner", "other", "profile", "other", "key", "other", NULL);
	metric_family(out, abandoned, "counter", "Certificates signed, then revoked because what they were for failed.");
	metric_value(out, abandoned, m->abandoned, NULL);
	metric_family(out, revoked, "counter",
	    "Certificates revoked by operators and by rotation; certificateHold suspends, removeFromCRL ends that.");
	for (i = 0; i < REASONS; i++)
		if (reason_is_known((unsigned)i) || i == REASON_REMOVE_FROM_CRL)
			metric_value(out, revoked, m->revoked[i], "reason", reason_name((enum crl_reason)i), NULL);
	(void)pthread_mutex_unlock(&m->lock);
}

static void
write_gauge(struct buf *out, const char *name, const char *help, int64_t value)
{
	metric_family(out, name, "gauge", help);
	metric_value(out, name, value, NULL);
}

/* A line for each issuer there is, and each list that it has. */
static void
write_crl(struct core *core, struct buf *out)
{
	static const struct {
		const char *name, *help;
	} shown[] = {
	    {"muster_crl_this_update_timestamp_seconds", "When the present revocation list was made; its age is time() less that."},
	    {"muster_crl_next_update_timestamp_seconds", "When the present revocation list expires, and verifiers refuse everybody."},
	    {"muster_crl_number", "Number of the present revocation list."},
	    {"muster_crl_entries", "Entries of the present revocation list."},
	};
	static const char *const kinds[SHELF_KINDS] = {[SHELF_COMPLETE] = "complete", [SHELF_DELTA] = "delta"};
	struct crl_info infos[ISSUERS_MAX * SHELF_KINDS];
	size_t i, n;

	for (n = 0; n < core->issuers.n * SHELF_KINDS; n++)
		ca_crl_info(core, n / SHELF_KINDS, (enum shelf_kind)(n % SHELF_KINDS), &infos[n]);
	for (i = 0; i < sizeof shown / sizeof shown[0]; i++) {
		metric_family(out, shown[i].name, "gauge", shown[i].help);
		for (n = 0; n < core->issuers.n * SHELF_KINDS; n++) {
			const int64_t values[] = {infos[n].this_update, infos[n].next_update, (int64_t)infos[n].number,
			    (int64_t)infos[n].n_entries};

			if (infos[n].number > 0)
				metric_value(out, shown[i].name, values[i], "issuer",
				    config_issuer_at(core_config(core), n / SHELF_KINDS)->key_id_hex, "kind",
				    kinds[n % SHELF_KINDS], NULL);
		}
	}
}

static void
write_ocsp(struct core *core, struct buf *out)
{
	static const char *const sources[OCSP_SOURCES] = {[OCSP_FROM_MEMORY] = "memory", [OCSP_SIGNED] = "signed",
	    [OCSP_RENEWED] = "renewed", [OCSP_PUT_OFF] = "later"};
	struct ocsp_figures figures;
	size_t i;

	ocsp_look(core, &figures);
	metric_family(out, "muster_ocsp_answers_total", "counter",
	    "OCSP answers: from memory, signed for who asked, signed ahead, or tryLater because the signer was away.");
	for (i = 0; i < OCSP_SOURCES; i++)
		metric_value(out, "muster_ocsp_answers_total", (int64_t)figures.answers[i], "source", sources[i], NULL);
	write_gauge(out, "muster_ocsp_answers_kept", "Answers in memory.", (int64_t)figures.kept);
	write_gauge(out, "muster_ocsp_this_update_timestamp_seconds", "When the latest OCSP answer was signed; 0: none was.",
	    figures.this_update);
	write_gauge(out, "muster_ocsp_next_update_timestamp_seconds", "When that answer ends.", figures.next_update);
}

static void
write_end(struct buf *out, const char *name, const struct buf *der)
{
	struct cert_info info;

	if (cert_info_read(der->data, der->len, &info, NULL) == 0)
		metric_value(out, "muster_certificate_not_after_timestamp_seconds", info.not_after, "certificate", name, NULL);
}

/* When the certificate of a server ends, which is a file that may be replaced at any time. */
static void
write_file_end(const struct core *core, struct buf *out, const char *name, const char *file)
{
	struct buf pem = {0}, der = {0};
	char path[FS_PATH_MAX];

	if (fs_path(path, core->dir, file, NULL) == 0 && fs_read(path, PEM_MAX, &pem, NULL) == 0 &&
	    chain_leaf(buf_str(&pem), &der, NULL) == 0)
		write_end(out, name, &der);
	buf_clear(&der);
	buf_clear(&pem);
}

static void
write_ends(const struct core *core, struct buf *out)
{
	static const char ends[] = "muster_certificate_not_after_timestamp_seconds";
	const struct cert_issuer *issuer;
	size_t i;

	metric_family(out, ends, "gauge", "When a certificate of the service ends; the days that are left are (this - time()) / 86400.");
	write_end(out, "root", &core->roots.ders[0]);
	if (core->roots.n > 1)
		write_end(out, "old_root", &core->roots.ders[1]);
	write_end(out, "issuing", &core->issuers.all[0].der);
	for (i = 1; i < core->issuers.n; i++) {
		issuer = config_issuer_at(core_config(core), i);
		metric_value(out, ends, issuer->not_after, "certificate", "retired", "issuer", issuer->key_id_hex, NULL);
	}
	write_file_end(core, out, "server", "tls/server.crt");
	write_file_end(core, out, "broker", "broker/broker.crt");
}

static void
write_brokers(struct core *core, struct buf *out)
{
	static const char behind[] = "muster_feed_lag_changes", seen[] = "muster_broker_seen_timestamp_seconds",
			  dropped[] = "muster_broker_events_dropped_total";
	const struct caller caller = {.role = ROLE_AUDITOR, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};
	struct broker *list = calloc(BROKER_LIST_MAX, sizeof *list);
	size_t n = 0, i;

	if (list != NULL && broker_list(core, &caller, list, BROKER_LIST_MAX, &n, NULL) != 0)
		n = 0;
	metric_family(out, behind, "gauge", "Changes that a broker does not have yet; absent if nobody knows.");
	for (i = 0; i < n; i++)
		if (list[i].behind >= 0)
			metric_value(out, behind, list[i].behind, "broker", list[i].row.name, NULL);
	metric_family(out, seen, "gauge", "When a broker last asked or reported; 0: never.");
	for (i = 0; i < n; i++)
		metric_value(out, seen, list[i].row.seen_at, "broker", list[i].row.name, NULL);
	metric_family(out, dropped, "counter", "Events that a broker could not keep until it was heard.");
	for (i = 0; i < n; i++)
		metric_value(out, dropped, list[i].row.dropped, "broker", list[i].row.name, NULL);
	free(list);
}

static void
write_store(struct core *core, struct buf *out)
{
	const struct store_figures *figures = store_figures(core->store);

	metric_family(out, "muster_store_group_size", "histogram", "Transactions that were committed together.");
	metric_histogram(out, "muster_store_group_size", &figures->group_sizes, NULL);
	metric_family(out, "muster_store_commit_duration_seconds", "histogram", "How long a commit took, most of it the disk.");
	metric_histogram(out, "muster_store_commit_duration_seconds", &figures->commit_durations, NULL);
}

static void
write_audit(struct core *core, struct buf *out)
{
	int64_t behind;

	if (auditpoint_behind(core, &behind, NULL) == 0)
		write_gauge(out, "muster_audit_unsigned_rows",
		    "Audit rows behind the last checkpoint; negative: there are fewer than the signer has signed.", behind);
}

static void
write_jobs(struct core *core, struct buf *out)
{
	size_t running, waiting;

	import_look(core->import, &running, &waiting);
	write_gauge(out, "muster_jobs_running", "Jobs (bulk imports) that run.", (int64_t)running);
	write_gauge(out, "muster_jobs_waiting", "Of these, those of which rows wait for what is not there now.", (int64_t)waiting);
}

static void
write_keypool(struct core *core, struct buf *out)
{
	size_t ready = 0, wanted = 0;

	if (core->keypool != NULL)
		keypool_look(core->keypool, &ready, &wanted);
	metric_family(out, "muster_keypool_ready", "gauge", "Keys that are ready.");
	metric_value(out, "muster_keypool_ready", (int64_t)ready, "key", "rsa-2048", NULL);
	metric_family(out, "muster_keypool_wanted", "gauge", "Keys that are to be ready.");
	metric_value(out, "muster_keypool_wanted", (int64_t)wanted, "key", "rsa-2048", NULL);
}

static void
write_limits(struct core *core, struct buf *out)
{
	struct ratelimit_state state;
	int i;

	metric_family(out, "muster_limit_refused_total", "counter", "Requests refused by a limit a minute.");
	for (i = 0; i < LIMITS; i++) {
		ratelimit_state(core->limits[i], &state);
		metric_value(out, "muster_limit_refused_total", (int64_t)state.refused, "limit", limit_name((enum limit)i), NULL);
	}
}

static void
write_process(const struct metrics *m, struct buf *out)
{
	struct process_use use;

	process_look(m->process, &use);
	metric_family(out, "process_cpu_seconds_total", "counter", "Processor time of the api process.");
	metric_seconds(out, "process_cpu_seconds_total", use.cpu_us, NULL);
	write_gauge(out, "process_resident_memory_bytes", "Its memory.", use.resident_bytes);
	write_gauge(out, "process_virtual_memory_bytes", "Its address space.", use.virtual_bytes);
	write_gauge(out, "process_open_fds", "Its open file descriptors.", use.open_fds);
	write_gauge(out, "process_max_fds", "How many it may have.", use.max_fds);
	write_gauge(out, "process_start_time_seconds", "When it was started.", use.started_at);
}

void
metrics_write(struct core *core, struct buf *out)
{
	metric_family(out, "muster_build_info", "gauge", "Which Muster this is; always 1.");
	metric_value(out, "muster_build_info", 1, "version", MUSTER_VERSION, NULL);
	write_counters(core->metrics, out);
	write_crl(core, out);
	write_ocsp(core, out);
	write_ends(core, out);
	write_keypool(core, out);
	write_audit(core, out);
	write_jobs(core, out);
	write_gauge(out, "muster_signer_calls_waiting", "Calls of the signer that wait for their answer.",
	    signer_waiting(core->signer));
	write_store(core, out);
	write_brokers(core, out);
	write_limits(core, out);
	write_process(core->metrics, out);
}
