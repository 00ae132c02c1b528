/* Opening and closing the heart, in the order that the sandbox needs. */
#include "core/core.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/jsonparse.h"
#include "base/log.h"
#include "base/text.h"
#include "core/auditpoint.h"
#include "core/authfail.h"
#include "core/broker.h"
#include "core/feed.h"
#include "core/attest.h"
#include "core/control.h"
#include "core/idempotency.h"
#include "core/import.h"
#include "core/keypool.h"
#include "core/login.h"
#include "core/metrics.h"
#include "core/ocsp.h"
#include "core/operator.h"
#include "core/publisher.h"
#include "core/limits.h"
#include "core/reconcile.h"
#include "core/refusals.h"
#include "core/sweeper.h"
#include "core/trust.h"
#include "signer/client.h"
#include "store/audit.h"
#include "store/issuer.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIGNER_WAIT_MS 10000
#define SIGNER_RETRY_MS 20

static int
issuers_open(struct core *core, struct err *err)
{
	const struct buf *der;
	struct cert_info info;
	bool failed = false;
	size_t i;
	int rc;

	if ((rc = issuers_read(core->dir, clock_now(), &core->issuers, err)) != 0)
		return rc;
	for (i = 0; i < core->issuers.n; i++) {
		der = &core->issuers.all[i].der;
		if ((rc = cert_info_read(der->data, der->len, &info, err)) != 0)
			return rc;
		sha256(core->issuer_key_hashes[i], info.spki, info.spki_len);
		roots_put_chain(&core->roots, der, &core->issuing_pems[i]);
		failed = failed || buf_failed(&core->issuing_pems[i]);
	}
	return failed ? err_nomem(err) : 0;
}

/* The store is there, and no thread yet. */
static int
issuers_enter(struct core *core, struct err *err)
{
	const struct config *config = core_config(core);
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < core->issuers.n; i++)
		rc = store_issuer_find(tx, config_issuer_at(config, i)->key_id_hex, &core->issuer_numbers[i], err);
	store_rollback(&tx);
	if (rc != E_NOTFOUND)
		return rc;
	/* The oldest first: in a store that has seen none, all that was issued is its. */
	if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	for (i = core->issuers.n; rc == 0 && i-- > 0;)
		rc = store_issuer_enter(tx, config_issuer_at(config, i)->key_id_hex, &core->issuer_numbers[i], err);
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
core_open(const char *dir, int conf_fd, int broker_signal_fd, struct core **core_out, struct err *err)
{
	struct core *core = calloc(1, sizeof *core);
	char path[FS_PATH_MAX];
	int rc;

	jsonparse_prepare();
	if (core == NULL || (core->suspects = suspects_new()) == NULL) {
		free(core);
		return err_nomem(err);
	}
	core->conf_fd = conf_fd;
	core->broker_signal_fd = broker_signal_fd;
	core->now = clock_now;
	core->publish_gap_ms = PUBLISHER_GAP_MS;
	if (!text_copy(core->dir, sizeof core->dir, dir)) {
		rc = err_set(err, E_INPUT, "the home's path is longer than %zu bytes", sizeof core->dir - 1);
		goto out;
	}
	if ((rc = roots_read(core->dir, &core->roots, err)) != 0 ||
	    (rc = issuers_open(core, err)) != 0 ||
	    (rc = config_open(core, err)) != 0 || (rc = limits_open(core, err)) != 0 ||
	    (rc = authfail_new(&core->authfail, err)) != 0 || (rc = auditpoints_new(&core->auditpoints, err)) != 0 || (rc = logins_new(&core->logins, err)) != 0 ||
	    (rc = attest_new(&core->attest, err)) != 0 || (rc = operators_new(&core->operators, err)) != 0 ||
	    (rc = idempotency_new(&core->idempotency, err)) != 0 || (rc = brokers_new(&core->brokers, err)) != 0 ||
	    (rc = refusals_new(&core->refusals, err)) != 0 || (rc = metrics_new(&core->metrics, err)) != 0 ||
	    (rc = fs_path(path, dir, "muster.db", err)) != 0 ||
	    (rc = store_open(path, &core->store, err)) != 0 ||
	    (rc = store_audit_ready(core->store, err)) != 0 || (rc = trust_open(core, err)) != 0 ||
	    (rc = issuers_enter(core, err)) != 0 || (rc = feed_open(core, err)) != 0)
		goto out;
	*core_out = core;
	core = NULL;
out:
	core_close(core);
	return rc;
}

/* The signer is started beside us and may need a moment. */
static int
signer_wait(struct core *core, struct err *err)
{
	const struct timespec pause = {0, SIGNER_RETRY_MS * 1000000L};
	int64_t until_ms = clock_mono_ms() + SIGNER_WAIT_MS;
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, core->dir, "signer.sock", err)) != 0)
		return rc;
	while ((rc = signer_open(path, SIGNER_TIMEOUT_MS, &core->signer, err)) == E_BUSY && clock_mono_ms() < until_ms)
		(void)nanosleep(&pause, NULL);
	return rc;
}

/* Certificates are compared with what our issuing CA would make: a signer with another CA is not ours. */
static int
signer_check(struct core *core, struct err *err)
{
	struct buf der = {0};
	int rc;

	if ((rc = signer_ca_cert(core->signer, &der, err)) == 0 &&
	    (der.len != core->issuers.all[0].der.len ||
		memcmp(der.data, core->issuers.all[0].der.data, der.len) != 0))
		rc = err_set(err, E_SYS, "the signer has another CA certificate than ca/issuing.crt");
	buf_clear(&der);
	return rc;
}

int
core_start(struct core *core, struct err *err)
{
	int rc;

	if ((rc = signer_wait(core, err)) != 0 || (rc = signer_check(core, err)) != 0 ||
	    (rc = reconcile_run(core, err)) != 0 ||
	    (rc = publisher_start(core, &core->publisher, err)) != 0 ||
	    (rc = ocsp_start(core, &core->ocsp, err)) != 0 ||
	    (rc = sweeper_start(core, &core->sweeper, err)) != 0 || (rc = control_start(core, &core->control, err)) != 0)
		return rc;
	if (core_config(core)->settings.keypool_rsa_2048 > 0 &&
	    (rc = keypool_new((size_t)core_config(core)->settings.keypool_rsa_2048, &core->keypool, err)) != 0)
		return rc;
	return import_start(core, &core->import, err);
}

void
core_close(struct core *core)
{
	size_t i;

	if (core == NULL)
		return;
	import_stop(core->import);
	control_stop(core->control);
	keypool_free(core->keypool);
	sweeper_stop(core->sweeper);
	publisher_stop(core->publisher);
	ocsp_stop(core->ocsp);
	if (core->store != NULL) {
		authfail_flush(core, true);
		refusals_flush(core, true);
		operators_flush(core, true);
		logins_flush(core);
	}
	if (core->store != NULL && core->signer != NULL)
		auditpoint_flush(core, true);
	signer_close(core->signer);
	auditpoints_free(core->auditpoints);
	authfail_free(core->authfail);
	logins_free(core->logins);
	refusals_free(core->refusals);
	brokers_free(core->brokers);
	metrics_free(core->metrics);
	feed_close(core);
	store_close(core->store);
	config_close(core);
	roots_clear(&core->roots);
	for (i = 0; i < ISSUERS_MAX; i++)
		buf_clear(&core->issuing_pems[i]);
	issuers_clear(&core->issuers);
	attest_free(core->attest);
	operators_free(core->operators);
	idempotency_free(core->idempotency);
	suspects_free(core->suspects);
	limits_close(core);
	free(core);
}

int
core_ready(struct core *core, struct err *err)
{
	struct buf bytes = {0};
	struct crl_info info;
	int rc;

	if ((rc = store_check(core->store, err)) == 0 &&
	    (rc = signer_ca_cert(core->signer, &bytes, err)) == 0) {
		shelf_info(publisher_shelf(core->publisher, 0), SHELF_COMPLETE, &info);
		if (info.next_update <= core->now())
			rc = err_set(err, E_BUSY, "the revocation list has expired");
	}
	buf_clear(&bytes);
	return rc;
}
