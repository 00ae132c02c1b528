/* The cache of OCSP answers: bounded, honest about time, and unmoved by floods; what was forgotten stays so. */
#include "check.h"

#include "core/ocspcache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ROOM 100
#define NOW 1000000

static struct ocspcache *cache;

static int
setup(void **state)
{
	struct err err = {0};

	(void)state;
	assert_ok(ocspcache_new(ROOM, &cache, &err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ocspcache_free(cache);
	return 0;
}

static struct ocspcache_key
key_of(uint32_t n)
{
	struct ocspcache_key key = {.hash = OCSP_SHA1, .serial = {0x40}};

	key.serial[SERIAL_LEN - 1] = (uint8_t)n;
	key.serial[SERIAL_LEN - 2] = (uint8_t)(n >> 8);
	key.serial[SERIAL_LEN - 3] = (uint8_t)(n >> 16);
	return key;
}

static void
put_text(const struct ocspcache_key *key, uint32_t generation, const char *text)
{
	struct ocspcache_answer answer = {.this_update = NOW, .next_update = NOW + 100};

	buf_text(&answer.der, text);
	ocspcache_etag(&answer);
	ocspcache_put(cache, key, generation, &answer);
	buf_clear(&answer.der);
}

static void
put(uint32_t n)
{
	struct ocspcache_key key = key_of(n);

	put_text(&key, ocspcache_generation(cache, key.serial), "answer");
}

static bool
get_at(uint32_t n, int64_t now, bool *is_old_out)
{
	struct ocspcache_answer answer = {.der = {0}};
	struct ocspcache_key key = key_of(n);
	bool found = ocspcache_get(cache, &key, now, &answer, is_old_out);

	assert_int_equal(answer.der.len, found ? 6 : 0);
	buf_clear(&answer.der);
	return found;
}

static bool
get(uint32_t n)
{
	bool is_old;

	return get_at(n, NOW, &is_old);
}

static void
test_what_was_put_is_there(void **state)
{
	struct ocspcache_answer answer = {.der = {0}};
	struct ocspcache_key key = key_of(1), other = key_of(1);
	bool is_old;

	(void)state;
	other.hash = OCSP_SHA256;
	put(1);
	buf_text(&answer.der, "kept ");
	assert_true(ocspcache_get(cache, &key, NOW, &answer, &is_old));
	assert_string_equal(buf_str(&answer.der), "kept answer");
	assert_int_equal(answer.this_update, NOW);
	assert_int_equal(answer.next_update, NOW + 100);
	assert_int_equal(strlen(answer.etag), OCSPCACHE_ETAG_SIZE - 1);
	assert_true(answer.etag[0] == '"' && answer.etag[OCSPCACHE_ETAG_SIZE - 2] == '"');
	assert_false(ocspcache_get(cache, &other, NOW, &answer, &is_old));
	put_text(&key, ocspcache_generation(cache, key.serial), "newer!");
	buf_reset(&answer.der);
	assert_true(ocspcache_get(cache, &key, NOW, &answer, &is_old));
	assert_string_equal(buf_str(&answer.der), "newer!");
	assert_int_equal(ocspcache_count(cache), 1);
	buf_clear(&answer.der);
}

/* G5: never past its nextUpdate, and not before its thisUpdate, for a clock can be set back. */
static void
test_only_in_its_time(void **state)
{
	bool is_old;

	(void)state;
	put(1);
	assert_true(get_at(1, NOW, &is_old));
	assert_true(get_at(1, NOW + 99, &is_old));
	assert_false(get_at(1, NOW + 100, &is_old));
	assert_int_equal(ocspcache_count(cache), 0);
	put(1);
	assert_false(get_at(1, NOW - 1, &is_old));
}

/* From half its time on, an answer that is asked for says once that it is old; again if it could not be renewed. */
static void
test_old_ones_are_told_once(void **state)
{
	struct ocspcache_key key = key_of(1);
	bool is_old;

	(void)state;
	put(1);
	assert_true(get_at(1, NOW + 49, &is_old));
	assert_false(is_old);
	assert_true(get_at(1, NOW + 50, &is_old));
	assert_true(is_old);
	assert_true(get_at(1, NOW + 51, &is_old));
	assert_false(is_old);
	ocspcache_retry(cache, &key);
	assert_true(get_at(1, NOW + 52, &is_old));
	assert_true(is_old);
	put(1);
	assert_true(get_at(1, NOW + 60, &is_old));
	assert_true(is_old);
}

static void
test_bounded(void **state)
{
	uint32_t n;

	(void)state;
	for (n = 0; n < 10 * ROOM; n++)
		put(n);
	assert_int_equal(ocspcache_count(cache), ROOM);
	for (n = 0; n < 9 * ROOM; n++)
		assert_false(get(n));
	for (; n < 10 * ROOM; n++)
		assert_true(get(n));
	ocspcache_resize(cache, 10);
	assert_int_equal(ocspcache_count(cache), 10);
	ocspcache_resize(cache, 0);
	assert_int_equal(ocspcache_count(cache), 0);
	put(1);
	assert_false(get(1));
}

/* What is asked again and again outlives a flood of what is asked once. */
static void
test_floods_push_out_only_their_own(void **state)
{
	const uint32_t hot = ROOM - ROOM / 5;
	uint32_t n;

	(void)state;
	for (n = 0; n < hot; n++) {
		put(n);
		assert_true(get(n));
	}
	for (n = 0; n < 100 * ROOM; n++)
		put(1000 + n);
	for (n = 0; n < hot; n++)
		assert_true(get(n));
	assert_int_equal(ocspcache_count(cache), ROOM);
	/* More than fit are hot: the longest unasked gives way to trial, and goes. */
	for (n = hot; n < 2 * hot; n++) {
		put(n);
		assert_true(get(n));
	}
	for (n = hot; n < 2 * hot; n++)
		assert_true(get(n));
	assert_false(get(0));
	assert_int_equal(ocspcache_count(cache), ROOM);
}

/* An answer that was begun before its serial was forgotten is not kept, whenever it comes; one begun after is. */
static void
test_forgotten(void **state)
{
	struct ocspcache_key key = key_of(1), other = key_of(2), sha256 = key_of(1);
	uint32_t before = ocspcache_generation(cache, key.serial);

	(void)state;
	sha256.hash = OCSP_SHA256;
	put(1);
	put(2);
	put_text(&sha256, before, "answer");
	ocspcache_forget(cache, key.serial);
	assert_int_equal(ocspcache_count(cache), 1);
	assert_false(get(1));
	assert_true(get(2));
	put_text(&key, before, "answer");
	put_text(&sha256, before, "answer");
	assert_false(get(1));
	assert_int_equal(ocspcache_count(cache), 1);
	put_text(&other, ocspcache_generation(cache, other.serial), "answer");
	put(1);
	assert_true(get(1));
}

/* One thread changes a status, others sign and keep what they saw: after each change nothing older is ever found. */
static atomic_int status; /* the truth */
static atomic_bool stop;

static void *
sign_and_keep(void *arg)
{
	struct ocspcache_key key = key_of(7);
	char text[16];

	(void)arg;
	while (!stop) {
		uint32_t generation = ocspcache_generation(cache, key.serial);

		(void)snprintf(text, sizeof text, "%06d", status);
		put_text(&key, generation, text);
	}
	return NULL;
}

static void
test_raced(void **state)
{
	struct ocspcache_key key = key_of(7);
	pthread_t threads[3];
	char text[16];
	bool is_old;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_and_keep, NULL), 0);
	for (n = 1; n <= 10000; n++) {
		struct ocspcache_answer answer = {.der = {0}};

		status = n;
		ocspcache_forget(cache, key.serial); /* here it is acknowledged */
		(void)snprintf(text, sizeof text, "%06d", n);
		if (ocspcache_get(cache, &key, NOW, &answer, &is_old))
			assert_string_equal(buf_str(&answer.der), text);
		buf_clear(&answer.der);
	}
	stop = true;
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_what_was_put_is_there),
	    TEST(test_only_in_its_time),
	    TEST(test_old_ones_are_told_once),
	    TEST(test_bounded),
	    TEST(test_floods_push_out_only_their_own),
	    TEST(test_forgotten),
	    TEST(test_raced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
