/* A pool of ready RSA-2048 keys, made while the machine is idle, for making one takes 50 to 250 ms. */
#ifndef MUSTER_CORE_KEYPOOL_H
#define MUSTER_CORE_KEYPOOL_H

#include "base/err.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stddef.h>

#define KEYPOOL_MAX 1024

/* What a ready key takes of the locked heap that secret_heap_open set up (OpenSSL 3.0: 1152 bytes, and 2048 more
 * for as long as it stands there as PEM). */
#define KEYPOOL_KEY_BYTES 1536

struct keypool;

/* Start the thread that keeps WANT (at most KEYPOOL_MAX) keys ready, at the lowest priority. If the locked heap
 * is full it tries again a second later; no key is made elsewhere. E_LIMIT, E_NOMEM, E_SYS. */
MUST_CHECK int keypool_new(size_t want, struct keypool **pool_out, struct err *err);

/* Take a ready key, which is then the caller's. False, and nothing set, if there is none: make one with
 * key_generate. Never waits for one. Any thread. */
bool keypool_take(struct keypool *pool, struct key **key_out);

/* How many keys are ready, of how many wanted. Any thread. */
void keypool_look(struct keypool *pool, size_t *ready_out, size_t *wanted_out);

/* End the thread, after the key that it is making, and free what is ready. NULL is harmless. */
void keypool_free(struct keypool *pool);

#endif
