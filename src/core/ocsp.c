/* The order that keeps a revocation's word: the store commits, then the serial is forgotten here, then the signer's log
 * notes it, then it is acknowledged. Whoever asks afterwards finds nothing in memory and a revoked row; whoever looked
 * the row up before is refused by the cache's counter, or by the signer, and looks again. */
#include "core/ocsp.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/limits.h"
#include "signer/client.h"
#include "store/certificate.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES 3	      /* until store and signer agree: they differ for the moment in which something changes */
#define OLD_MAX 1024  /* answers that wait to be renewed */
#define PAUSE_S 1     /* after the signer was away */
#define OWN_S 5	      /* between two looks at our own certificate's answer */

struct ocsp {
	struct core *core;
	struct ocsp_issuer ids[ISSUERS_MAX]; /* as core->issuers */
	uint8_t key_ids[ISSUERS_MAX][KEY_ID_LEN];
	struct ocspcache *cache;
	atomic_uint_fast64_t answers[OCSP_SOURCES];
	atomic_int_fast64_t this_update, next_update; /* of the last one signed */

	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	bool stopping;
	struct ocspcache_key old[OLD_MAX]; /* a ring */
	size_t first, n;
	struct ocspcache_key own; /* of the service's certificate */
	bool has_own;
};

/* ---- what is true -------------------------------------------------------------------------------------------- */

/* What the store says of the N serials as that ISSUER's, in one snapshot. */
static int
look_up(struct core *core, size_t issuer, struct ocsp_single *singles, size_t n, struct err *err)
{
	struct store_status status;
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < n; i++) {
		rc = store_certificate_status(tx, singles[i].serial, &status, err);
		if (rc == E_NOTFOUND || (rc == 0 && status.issuer != core->issuer_numbers[issuer])) {
			singles[i].status = OCSP_UNKNOWN;
			rc = 0;
		} else if (rc == 0 && status.state == CERTIFICATE_ACTIVE) {
			singles[i].status = OCSP_GOOD;
		} else if (rc == 0) {
			singles[i].status = OCSP_REVOKED;
			singles[i].revoked_at = status.revoked_at;
			singles[i].reason = (enum crl_reason)status.reason;
		}
	}
	store_rollback(&tx);
	return rc;
}

static void
count(struct ocsp *o, enum ocsp_source source, uint64_t n)
{
	(void)atomic_fetch_add_explicit(&o->answers[source], n, memory_order_relaxed);
}

/* The signer has just signed N answers like this one. */
static void
note_signed(struct ocsp *o, enum ocsp_source source, uint64_t n, const struct ocspcache_answer *answer)
{
	count(o, source, n);
	atomic_store_explicit(&o->this_update, answer->this_update, memory_order_relaxed);
	atomic_store_explicit(&o->next_update, answer->next_update, memory_order_relaxed);
}

static bool
is_cacheable(const struct ocsp_request *request)
{
	return request->n == 1 && request->nonce.len == 0;
}

static struct ocspcache_key
key_of(size_t issuer, enum ocsp_hash hash, const uint8_t *serial)
{
	struct ocspcache_key key = {.issuer = (uint8_t)issuer, .hash = (uint8_t)hash};

	memcpy(key.serial, serial, SERIAL_LEN);
	return key;
}

/* One answer to the whole REQUEST, from store and signer. What was never issued is not kept: such serials are whatever a
 * stranger makes up. */
static int
sign(struct ocsp *o, size_t issuer, const struct ocsp_request *request, struct ocspcache_answer *out, struct err *err)
{
	struct ocsp_single singles[OCSP_IDS_MAX];
	const struct signer_ocsp wanted = {singles, request->n, request->nonce.at, request->nonce.len};
	uint32_t generation = 0;
	size_t i;
	int rc = 0, try;

	for (try = 0; rc == 0 && try < TRIES && out->der.len == 0; try++) {
		generation = ocspcache_generation(o->cache, request->ids[0].serial);
		for (i = 0; i < request->n; i++) {
			singles[i] = (struct ocsp_single){.hash = request->ids[i].hash};
			memcpy(singles[i].serial, request->ids[i].serial, SERIAL_LEN);
		}
		if ((rc = look_up(o->core, issuer, singles, request->n, err)) == 0)
			rc = signer_ocsp(o->core->signer, o->key_ids[issuer], core_config(o->core)->settings.ocsp_validity_s,
			    &wanted, 1, &out->der, &out->this_update, &out->next_update, err);
	}
	if (rc != 0)
		return rc;
	if (out->der.len == 0)
		return err_set(err, E_BUSY, "the signer's log knows the certificate as revoked, the store does not");
	note_signed(o, OCSP_SIGNED, 1, out);
	if (!is_cacheable(request) || singles[0].status == OCSP_UNKNOWN) {
		out->next_update = 0;
	} else {
		const struct ocspcache_key key = key_of(issuer, singles[0].hash, singles[0].serial);

		ocspcache_etag(out);
		ocspcache_put(o->cache, &key, generation, out);
	}
	return 0;
}

/* ---- renewing ------------------------------------------------------------------------------------------------ */

/* Have KEY's answer renewed soon. The loop is never kept waiting, so what does not fit is told of again. */
static void
renew_soon(struct ocsp *o, const struct ocspcache_key *key)
{
	bool fits;

	(void)pthread_mutex_lock(&o->lock);
	if ((fits = o->n < OLD_MAX)) {
		o->old[(o->first + o->n++) % OLD_MAX] = *key;
		(void)pthread_cond_signal(&o->wake);
	}
	(void)pthread_mutex_unlock(&o->lock);
	if (!fits)
		ocspcache_retry(o->cache, key);
}

/* Put new answers in place of those of the N KEYS, all of one issuer, by one call of the signer. */
static int
renew(struct ocsp *o, const struct ocspcache_key *keys, size_t n, struct err *err)
{
	struct ocspcache_answer answer = {.der = {0}};
	struct ocsp_single singles[SIGNER_OCSP_MAX];
	struct signer_ocsp wanted[SIGNER_OCSP_MAX];
	uint32_t generations[SIGNER_OCSP_MAX];
	struct buf ders[SIGNER_OCSP_MAX] = {{0}};
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		generations[i] = ocspcache_generation(o->cache, keys[i].serial);
		singles[i] = (struct ocsp_single){.hash = (enum ocsp_hash)keys[i].hash};
		memcpy(singles[i].serial, keys[i].serial, SERIAL_LEN);
		wanted[i] = (struct signer_ocsp){.singles = &singles[i], .n = 1};
	}
	if ((rc = look_up(o->core, keys[0].issuer, singles, n, err)) == 0 &&
	    (rc = signer_ocsp(o->core->signer, o->key_ids[keys[0].issuer], core_config(o->core)->settings.ocsp_validity_s,
		 wanted, n, ders, &answer.this_update, &answer.next_update, err)) == 0) {
		note_signed(o, OCSP_RENEWED, n, &answer);
		for (i = 0; i < n; i++) {
			answer.der = ders[i];
			if (answer.der.len == 0 || singles[i].status == OCSP_UNKNOWN)
				continue;
			ocspcache_etag(&answer);
			ocspcache_put(o->cache, &keys[i], generations[i], &answer);
		}
	}
	for (i = 0; i < n; i++) {
		if (rc != 0)
			ocspcache_retry(o->cache, &keys[i]);
		buf_clear(&ders[i]);
	}
	return rc;
}

/* Sleep so long, or until woken, IF_WOKEN ends it. Called with the lock held. */
static void
sleep_s(struct ocsp *o, int64_t s, bool if_woken)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += s;
	while (!o->stopping && pthread_cond_timedwait(&o->wake, &o->lock, &until) == 0 && !if_woken)
		continue;
}

/* Nobody may ask for it for longer than it lasts, and whoever then does is to have it. Called with the lock held. */
static void
own_keep(struct ocsp *o)
{
	struct ocspcache_answer answer = {.der = {0}};
	bool is_old = false;

	if (o->has_own && o->n == 0 &&
	    (!ocspcache_get(o->cache, &o->own, o->core->now(), &answer, &is_old) || is_old))
		o->old[(o->first + o->n++) % OLD_MAX] = o->own;
	buf_clear(&answer.der);
}

static void *
ocsp_run(void *arg)
{
	struct ocspcache_key keys[SIGNER_OCSP_MAX];
	struct ocsp *o = arg;
	struct err err = {0};
	size_t n;
	int rc;

	(void)pthread_mutex_lock(&o->lock);
	while (!o->stopping) {
		own_keep(o);
		for (n = 0; n < SIGNER_OCSP_MAX && o->n > 0 && (n == 0 || o->old[o->first].issuer == keys[0].issuer);
		     n++, o->n--) {
			keys[n] = o->old[o->first];
			o->first = (o->first + 1) % OLD_MAX;
		}
		if (n == 0) {
			sleep_s(o, OWN_S, true);
			continue;
		}
		(void)pthread_mutex_unlock(&o->lock);
		if ((rc = renew(o, keys, n, &err)) != 0 && rc != E_BUSY)
			log_error("OCSP answers were not renewed: %s", err.text);
		(void)pthread_mutex_lock(&o->lock);
		if (rc != 0) /* who asks meanwhile must not have it tried for each */
			sleep_s(o, PAUSE_S, false);
	}
	(void)pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static int
issuers_init(struct ocsp *o, struct err *err)
{
	const struct cert_issuer *issuer;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < o->core->issuers.n; i++) {
		issuer = config_issuer_at(core_config(o->core), i);
		memcpy(o->key_ids[i], issuer->key_id, KEY_ID_LEN);
		rc = ocsp_issuer_init(&o->ids[i], issuer, err);
	}
	return rc;
}

int
ocsp_start(struct core *core, struct ocsp **ocsp_out, struct err *err)
{
	const struct config *config = core_config(core);
	struct ocsp *o = calloc(1, sizeof *o);
	int rc;

	if (o == NULL)
		return err_nomem(err);
	o->core = core;
	(void)pthread_mutex_init(&o->lock, NULL);
	thread_cond_init(&o->wake);
	if ((rc = issuers_init(o, err)) == 0 &&
	    (rc = ocspcache_new((size_t)config->settings.ocsp_cache, &o->cache, err)) == 0)
		rc = thread_start(&o->thread, ocsp_run, o, "the thread that renews OCSP answers", err);
	o->started = rc == 0;
	if (rc == 0)
		*ocsp_out = o;
	else
		ocsp_stop(o);
	return rc;
}

void
ocsp_stop(struct ocsp *o)
{
	if (o == NULL)
		return;
	(void)pthread_mutex_lock(&o->lock);
	o->stopping = true;
	(void)pthread_cond_broadcast(&o->wake);
	(void)pthread_mutex_unlock(&o->lock);
	if (o->started)
		(void)pthread_join(o->thread, NULL);
	ocspcache_free(o->cache);
	(void)pthread_mutex_destroy(&o->lock);
	(void)pthread_cond_destroy(&o->wake);
	free(o);
}

void
ocsp_configure(struct core *core)
{
	ocspcache_resize(core->ocsp->cache, (size_t)core_config(core)->settings.ocsp_cache);
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

static int
say(struct ocspcache_answer *out, enum ocsp_error error, struct err *err)
{
	buf_reset(&out->der);
	out->next_update = 0;
	ocsp_error_put(&out->der, error);
	return buf_failed(&out->der) ? err_nomem(err) : 0;
}

/* The one issuer of ours that all of REQUEST is about: an answer has one signature. */
static bool
issuer_of(const struct ocsp *o, const struct ocsp_request *request, size_t *issuer_out)
{
	size_t i, issuer = 0;

	while (issuer < o->core->issuers.n && !ocsp_id_is_of(&request->ids[0], &o->ids[issuer]))
		issuer++;
	if (issuer == o->core->issuers.n ||
	    (issuer > 0 && config_issuer_at(core_config(o->core), issuer)->not_after <= o->core->now()))
		return false; /* of a retired CA that has ended nobody answers */
	for (i = 1; i < request->n; i++)
		if (!ocsp_id_is_of(&request->ids[i], &o->ids[issuer]))
			return false;
	*issuer_out = issuer;
	return true;
}

static bool
from_memory(struct ocsp *o, size_t issuer, const struct ocsp_request *request, struct ocspcache_answer *out)
{
	const struct ocspcache_key key = key_of(issuer, request->ids[0].hash, request->ids[0].serial);
	bool is_old;

	if (!is_cacheable(request) || !ocspcache_get(o->cache, &key, o->core->now(), out, &is_old))
		return false;
	if (is_old)
		renew_soon(o, &key);
	return true;
}

int
ocsp_answer(struct core *core, const uint8_t *der, size_t len, const char *peer, bool may_block,
    struct ocspcache_answer *out, bool *must_block_out, struct err *err)
{
	struct ocsp *o = core->ocsp;
	struct ocsp_request request;
	size_t issuer;
	int rc;

	*must_block_out = false;
	if (ocsp_request_read(der, len, (size_t)core_config(core)->settings.ocsp_certificates, &request, NULL) != 0)
		return say(out, OCSP_MALFORMED, err);
	if (!issuer_of(o, &request, &issuer))
		return say(out, OCSP_UNAUTHORIZED, err);
	if (from_memory(o, issuer, &request, out)) {
		count(o, OCSP_FROM_MEMORY, 1);
		return buf_failed(&out->der) ? err_nomem(err) : 0;
	}
	if (!may_block) {
		*must_block_out = true;
		return limits_take_address(core, LIMIT_OCSP, peer, NULL, err);
	}
	if ((rc = sign(o, issuer, &request, out, err)) != E_BUSY)
		return rc;
	count(o, OCSP_PUT_OFF, 1);
	return say(out, OCSP_TRY_LATER, err);
}

bool
ocsp_staple(struct core *core, size_t issuer, const uint8_t *serial, struct buf *der_out)
{
	struct ocspcache_answer answer = {.der = {0}};
	struct ocsp *o = core->ocsp;
	const struct ocspcache_key key = key_of(issuer, OCSP_SHA1, serial);
	bool is_old = false, found;

	if (issuer >= core->issuers.n)
		return false;
	if ((found = ocspcache_get(o->cache, &key, core->now(), &answer, &is_old)))
		buf_append(der_out, answer.der.data, answer.der.len);
	buf_clear(&answer.der);
	(void)pthread_mutex_lock(&o->lock);
	if (!o->has_own || memcmp(&o->own, &key, sizeof key) != 0 || is_old) {
		o->own = key;
		o->has_own = true;
		if (is_old)
			ocspcache_retry(o->cache, &key); /* to be told to the thread instead */
		(void)pthread_cond_signal(&o->wake);
	}
	(void)pthread_mutex_unlock(&o->lock);
	return found;
}

void
ocsp_forget(struct core *core, const uint8_t *serial)
{
	if (core->ocsp != NULL) /* before anything is served there is nothing to forget */
		ocspcache_forget(core->ocsp->cache, serial);
}

void
ocsp_look(struct core *core, struct ocsp_figures *out)
{
	struct ocsp *o = core->ocsp;
	size_t i;

	for (i = 0; i < OCSP_SOURCES; i++)
		out->answers[i] = atomic_load_explicit(&o->answers[i], memory_order_relaxed);
	out->kept = ocspcache_count(o->cache);
	out->this_update = atomic_load_explicit(&o->this_update, memory_order_relaxed);
	out->next_update = atomic_load_explicit(&o->next_update, memory_order_relaxed);
}
