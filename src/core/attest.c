/* A nonce is random bytes, its end, and a MAC over both and whom it is for, under a key that lives as long as the process:
 * giving one away costs no memory, however many ask. Only those that were used are remembered, until they expire. A
 * restart forgets the key, so that nothing from before it is taken. */
#include "core/attest.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define RANDOM_LEN 16
#define MAC_LEN 16
#define NONCE_LEN (RANDOM_LEN + 8 + MAC_LEN)
#define USED_MAX 100000 /* in ATTEST_VALID_S */

struct used {
	uint8_t random[RANDOM_LEN];
	int64_t expires_at;
	UT_hash_handle hh;
};

struct attest {
	struct secret key;
	pthread_mutex_t lock;
	struct used *used;
	int64_t swept_at;
};

int
attest_new(struct attest **out, struct err *err)
{
	struct attest *a = calloc(1, sizeof *a);
	int rc;

	if (a == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&a->lock, NULL);
	if ((rc = secret_alloc(&a->key, SHA256_LEN, err)) != 0 ||
	    (rc = random_bytes(a->key.data, a->key.len, err)) != 0)
		attest_free(a);
	else
		*out = a;
	return rc;
}

static void
used_forget(struct attest *a, int64_t now)
{
	struct used *u, *next;

	HASH_ITER (hh, a->used, u, next) {
		if (u->expires_at > now)
			continue;
		HASH_DEL(a->used, u);
		free(u);
	}
	a->swept_at = now;
}

void
attest_free(struct attest *a)
{
	if (a == NULL)
		return;
	used_forget(a, INT64_MAX);
	secret_clear(&a->key);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

/* Over the random bytes and the end, which HEAD holds, and CALLER. */
static int
mac(const struct attest *a, const struct caller *caller, const uint8_t *head, uint8_t out[SHA256_LEN], struct err *err)
{
	struct buf text = {0};
	int rc;

	buf_append(&text, head, RANDOM_LEN + 8);
	buf_u64(&text, (uint64_t)caller->tenant_id);
	buf_text(&text, caller->who);
	if ((rc = buf_failed(&text) ? err_nomem(err) : 0) == 0)
		rc = hmac_sha256(out, a->key.data, a->key.len, text.data, text.len, err);
	buf_clear(&text);
	return rc;
}

int
attest_challenge(struct core *core, const struct caller *caller, char nonce_out[ATTEST_NONCE_SIZE],
    int64_t *expires_out, struct err *err)
{
	int64_t expires = core->now() + ATTEST_VALID_S;
	uint8_t random[RANDOM_LEN], sum[SHA256_LEN];
	struct buf nonce = {0};
	int rc;

	if ((rc = random_bytes(random, sizeof random, err)) != 0)
		return rc;
	buf_append(&nonce, random, sizeof random);
	buf_u64(&nonce, (uint64_t)expires);
	if ((rc = buf_failed(&nonce) ? err_nomem(err) : mac(core->attest, caller, nonce.data, sum, err)) == 0) {
		buf_append(&nonce, sum, MAC_LEN);
		if (buf_failed(&nonce)) {
			rc = err_nomem(err);
		} else {
			hex_encode(nonce_out, nonce.data, NONCE_LEN);
			*expires_out = expires;
		}
	}
	buf_clear(&nonce);
	return rc;
}

/* Remember that the nonce of these random bytes was used; only the first time succeeds. */
static int
used_add(struct attest *a, const uint8_t *random, int64_t expires, int64_t now, struct err *err)
{
	struct used *u;
	int rc = 0;

	(void)pthread_mutex_lock(&a->lock);
	if (now != a->swept_at)
		used_forget(a, now);
	HASH_FIND(hh, a->used, random, RANDOM_LEN, u);
	if (u != NULL) {
		rc = err_set(err, E_DENIED, "the request's challenge was used before: ask for a new one");
	} else if (HASH_COUNT(a->used) >= USED_MAX) {
		rc = err_set(err, E_BUSY, "too many challenges were used lately; try again in a moment");
	} else if ((u = calloc(1, sizeof *u)) == NULL) {
		rc = err_nomem(err);
	} else {
		memcpy(u->random, random, RANDOM_LEN);
		u->expires_at = expires;
		HASH_ADD(hh, a->used, random, RANDOM_LEN, u);
		if (u->hh.tbl == NULL) {
			free(u);
			rc = err_nomem(err);
		}
	}
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

int
attest_take(struct core *core, const struct caller *caller, const char *nonce, struct err *err)
{
	uint8_t raw[NONCE_LEN], sum[SHA256_LEN];
	int64_t now = core->now(), expires;
	struct bytes end = {raw + RANDOM_LEN, 8, false};
	int rc;

	if (nonce[0] == '\0')
		return err_set(err, E_DENIED,
		    "the profile wants the request to carry a challenge (challengePassword): ask for one at /v1/attest/challenge");
	if (!hex_decode(raw, sizeof raw, nonce))
		return err_set(err, E_DENIED, "the request's challenge is none of this service's");
	if ((rc = mac(core->attest, caller, raw, sum, err)) != 0)
		return rc;
	if (!secret_equal(sum, raw + RANDOM_LEN + 8, MAC_LEN))
		return err_set(err, E_DENIED, "the request's challenge was not given to this caller since the service started");
	expires = (int64_t)bytes_u64(&end);
	if (expires <= now)
		return err_set(err, E_DENIED, "the request's challenge has expired: ask for a new one");
	return used_add(core->attest, raw, expires, now, err);
}
