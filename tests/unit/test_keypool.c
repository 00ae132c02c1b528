/* The pool of ready keys: that it fills, refills, stays in the locked heap and ends. Making a key
 * takes a tenth of a second and more at the lowest priority, so that there are few here and the
 * deadlines are long. */
#include "check.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include "core/keypool.h"
#include "x509/key.h"

#include <dirent.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAP_BYTES (256 * 1024)
#define DEADLINE_MS 25000

/* Take a key within the deadline; NULL if there was none. */
static struct key *
take_patiently(struct keypool *pool, int64_t wait_ms)
{
	const int64_t until = clock_mono_ms() + wait_ms;
	struct key *key = NULL;

	while (!keypool_take(pool, &key)) {
		assert_null(key); /* untouched */
		if (clock_mono_ms() > until)
			return NULL;
		(void)usleep(5000);
	}
	assert_non_null(key);
	return key;
}

static void
assert_usable(struct key *key)
{
	struct buf sig = {0};
	struct err err = {0};
	size_t len;

	assert_int_equal(key_kind_of(key), KEY_RSA_2048);
	assert_non_null(key_spki(key, &len));
	assert_ok(key_sign(key, "data", 4, &sig, &err));
	assert_ok(spki_verify(
	    key_spki(key, &len), len, KEY_RSA_2048, "data", 4, sig.data, sig.len, &err));
	buf_clear(&sig);
}

static void
test_fills_and_refills(void **state)
{
	const uint8_t *spki[3];
	struct keypool *pool = NULL;
	struct key *key[3];
	struct err err = {0};
	size_t len[3], i;

	(void)state;
	assert_ok(keypool_new(2, &pool, &err));
	for (i = 0; i < 3; i++) { /* one more than it holds */
		key[i] = take_patiently(pool, DEADLINE_MS);
		assert_non_null(key[i]);
		assert_usable(key[i]);
		spki[i] = key_spki(key[i], &len[i]);
	}
	for (i = 0; i < 3; i++) /* no key is given out twice */
		assert_false(
		    len[i] == len[(i + 1) % 3] && memcmp(spki[i], spki[(i + 1) % 3], len[i]) == 0);
	keypool_free(pool);
	for (i = 0; i < 3; i++) { /* taken keys outlive the pool */
		assert_usable(key[i]);
		key_free(key[i]);
	}
}

/* What the header says a key costs, and that all of it comes back. */
static void
test_locked_memory(void **state)
{
	const size_t before = CRYPTO_secure_used();
	struct keypool *pool = NULL;
	struct key *key[2];
	struct err err = {0};
	size_t cost, i;

	(void)state;
	assert_ok(keypool_new(1, &pool, &err));
	for (i = 0; i < 2; i++) {
		key[i] = take_patiently(pool, DEADLINE_MS);
		assert_non_null(key[i]);
	}
	keypool_free(pool);
	cost = (CRYPTO_secure_used() - before) / 2;
	print_message("# a ready key takes %zu bytes of the locked heap\n", cost);
	assert_true(cost >= 5 * 128); /* p, q, dp, dq, qinv: they are in there */
	assert_true(cost <= KEYPOOL_KEY_BYTES);
	key_free(key[0]);
	key_free(key[1]);
	assert_int_equal(CRYPTO_secure_used(), before);
}

/* I6: with the locked heap full no key is made elsewhere, and the pool recovers. */
static void
test_full_heap(void **state)
{
	struct keypool *pool = NULL;
	struct secret hog[64];
	struct err err = {0};
	struct key *key;
	size_t n = 0, size;

	(void)state;
	for (size = HEAP_BYTES / 2; size >= 32; size /= 2)
		while (n < 64 && secret_alloc(&hog[n], size, &err) == 0)
			n++;
	assert_true(n > 0 && n < 64);
	assert_ok(keypool_new(1, &pool, &err));
	assert_null(take_patiently(pool, 500));
	while (n > 0)
		secret_clear(&hog[--n]);
	key = take_patiently(pool, DEADLINE_MS);
	assert_non_null(key);
	assert_usable(key);
	key_free(key);
	keypool_free(pool);
}

/* The most and the least; it ends after the key in hand, not after all that were asked for. */
static void
test_bounds(void **state)
{
	struct keypool *pool = NULL;
	struct err err = {0};
	struct key *key = NULL;
	int64_t began;

	(void)state;
	assert_int_equal(keypool_new(KEYPOOL_MAX + 1, &pool, &err), E_LIMIT);
	assert_null(pool);
	keypool_free(NULL);
	assert_ok(keypool_new(0, &pool, &err));
	assert_false(keypool_take(pool, &key));
	assert_null(key);
	keypool_free(pool);
	assert_ok(keypool_new(KEYPOOL_MAX, &pool, &err));
	(void)usleep(20000);
	began = clock_mono_ms();
	keypool_free(pool);
	assert_true(clock_mono_ms() - began < DEADLINE_MS / 2);
}

/* The nice value of thread TID of this process: the 19th field of its stat. */
static long
nice_of(const char *tid)
{
	char path[64], line[512];
	const char *p;
	long nice = -100;
	FILE *f;
	int i;

	(void)snprintf(path, sizeof path, "/proc/self/task/%.16s/stat", tid);
	if ((f = fopen(path, "re")) == NULL)
		return nice;
	if (fgets(line, sizeof line, f) != NULL && (p = strrchr(line, ')')) != NULL) {
		for (i = 2; i < 19 && p != NULL; i++)
			p = strchr(p + 1, ' ');
		if (p != NULL)
			nice = strtol(p, NULL, 10);
	}
	(void)fclose(f);
	return nice;
}

static unsigned
threads_at_nice_19(void)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir("/proc/self/task");

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.' && nice_of(e->d_name) == 19;
	(void)closedir(d);
	return n;
}

static void
test_low_priority(void **state)
{
	const int64_t until = clock_mono_ms() + DEADLINE_MS;
	struct keypool *pool = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(threads_at_nice_19(), 0);
	assert_ok(keypool_new(0, &pool, &err));
	while (threads_at_nice_19() == 0 && clock_mono_ms() < until)
		(void)usleep(1000);
	assert_int_equal(threads_at_nice_19(), 1); /* its own thread and no other */
	keypool_free(pool);
}

struct taker {
	struct keypool *pool;
	struct key *key;
};

static void *
take_one(void *arg)
{
	struct taker *t = arg;

	while (!keypool_take(t->pool, &t->key))
		(void)usleep(1000);
	return NULL;
}

/* For TSan: takers race the thread that fills. */
static void
test_many_takers(void **state)
{
	struct keypool *pool = NULL;
	struct taker taker[4] = {{0}};
	pthread_t thread[4];
	struct err err = {0};
	size_t i, k;

	(void)state;
	assert_ok(keypool_new(3, &pool, &err));
	for (i = 0; i < 4; i++) {
		taker[i].pool = pool;
		assert_int_equal(pthread_create(&thread[i], NULL, take_one, &taker[i]), 0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	keypool_free(pool);
	for (i = 0; i < 4; i++)
		for (k = 0; k < i; k++)
			assert_ptr_not_equal(taker[i].key, taker[k].key);
	for (i = 0; i < 4; i++)
		key_free(taker[i].key);
}

static int
open_heap(void **state)
{
	struct err err = {0};

	(void)state;
	return secret_heap_open(HEAP_BYTES, &err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_low_priority),
	    cmocka_unit_test(test_fills_and_refills),
	    cmocka_unit_test(test_locked_memory),
	    cmocka_unit_test(test_full_heap),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_many_takers),
	};

	return cmocka_run_group_tests(tests, open_heap, NULL);
}
