/* OCSP answers, by the serial they are about: bounded, and such that what is asked again and again stays,
 * however many others are asked about once. */
#ifndef MUSTER_CORE_OCSPCACHE_H
#define MUSTER_CORE_OCSPCACHE_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/ocsp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ocspcache;

#define OCSPCACHE_ETAG_SIZE 35 /* quotes and NUL included */

/* Of one serial there is one answer for each digest that names the issuer. */
struct ocspcache_key {
	uint8_t issuer; /* which of core->issuers */
	uint8_t hash; /* enum ocsp_hash */
	uint8_t serial[SERIAL_LEN];
};

struct ocspcache_answer {
	struct buf der;
	int64_t this_update, next_update;
	char etag[OCSPCACHE_ETAG_SIZE];
};

/* Room for MAX answers. E_NOMEM. */
MUST_CHECK int ocspcache_new(size_t max, struct ocspcache **cache_out, struct err *err);
void ocspcache_free(struct ocspcache *cache);

/* Room for MAX from now on. Any thread, as all that follow. */
void ocspcache_resize(struct ocspcache *cache, size_t max);

/* Fill OUT, whose der is appended to, with the answer for KEY that is good at NOW. *IS_OLD_OUT, once for each answer: it
 * has had half of its time and is still asked for. False if there is none. */
bool ocspcache_get(struct ocspcache *cache, const struct ocspcache_key *key, int64_t now,
    struct ocspcache_answer *out, bool *is_old_out);

/* Before the status of SERIAL is looked up: a number for ocspcache_put. */
uint32_t ocspcache_generation(struct ocspcache *cache, const uint8_t *serial);

/* Keep ANSWER, unless the serial was forgotten since GENERATION. Best effort. */
void ocspcache_put(struct ocspcache *cache, const struct ocspcache_key *key, uint32_t generation,
    const struct ocspcache_answer *answer);

/* Fill in what identifies ANSWER's bytes to an HTTP cache. */
void ocspcache_etag(struct ocspcache_answer *answer);

/* The status of SERIAL has changed: no answer about it is given from here on, nor kept that was begun before. */
void ocspcache_forget(struct ocspcache *cache, const uint8_t *serial);

/* ocspcache_get may say again that KEY's answer is old: it could not be renewed. */
void ocspcache_retry(struct ocspcache *cache, const struct ocspcache_key *key);

/* How many answers there are. */
size_t ocspcache_count(struct ocspcache *cache);

#endif
