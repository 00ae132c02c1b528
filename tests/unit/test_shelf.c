/* Lists that are fetched while newer ones take their place. */
#include "check.h"

#include "core/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define LARGE (3 * 1024 * 1024)
#define RETIRED (64 * 1024 * 1024) /* what shelf.c keeps for who is in the middle of a list */

static int
setup(void **state)
{
	struct err err = {0};
	struct shelf *shelf = NULL;

	assert_ok(shelf_new(&shelf, &err));
	*state = shelf;
	return 0;
}

static int
teardown(void **state)
{
	shelf_free(*state);
	return 0;
}

/* A list of LEN bytes that are told from others by SEED. */
static void
put(struct shelf *shelf, enum shelf_kind kind, uint64_t number, size_t len, int64_t this_update)
{
	const struct crl_info info = {.number = number, .this_update = this_update};
	struct buf der = {0};
	struct err err = {0};
	uint8_t *at = buf_extend(&der, len);
	size_t i;

	assert_non_null(at);
	for (i = 0; i < len; i++)
		at[i] = (uint8_t)(i / 7 + number);
	assert_ok(shelf_put(shelf, kind, &der, &info, &err));
	assert_int_equal(der.len, 0);
}

static void
check_bytes(struct shared *bytes, uint64_t number)
{
	struct buf got = {0};
	size_t i;

	assert_true(shared_read(bytes, 0, SIZE_MAX, &got));
	assert_int_equal(got.len, shared_len(bytes));
	for (i = 0; i < got.len; i += 1013)
		assert_int_equal(got.data[i], (uint8_t)(i / 7 + number));
	buf_clear(&got);
}

/* What GZIP holds, appended to OUT. */
static void
unpack(struct shared *gzip, struct buf *out)
{
	struct buf in = {0};
	z_stream z = {0};
	int rc;

	assert_true(shared_read(gzip, 0, SIZE_MAX, &in));
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = in.data;
	z.avail_in = (unsigned)in.len;
	do {
		z.next_out = buf_extend(out, 1 << 20);
		z.avail_out = 1 << 20;
		rc = inflate(&z, Z_NO_FLUSH);
		out->len -= z.avail_out;
	} while (rc == Z_OK);
	assert_int_equal(rc, Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	(void)inflateEnd(&z);
	buf_clear(&in);
}

static void
test_nothing_yet(void **state)
{
	struct shelf_item item;
	struct crl_info info;
	struct err err = {0};

	assert_int_equal(shelf_get(*state, SHELF_COMPLETE, true, &item, &err), E_NOTFOUND);
	shelf_info(*state, SHELF_DELTA, &info);
	assert_int_equal(info.number, 0);
	shelf_free(NULL);
}

static void
test_each_kind_has_its_place(void **state)
{
	struct shelf_item item;
	struct err err = {0};

	put(*state, SHELF_COMPLETE, 1, 1000, 50);
	put(*state, SHELF_DELTA, 2, 10, 50);
	assert_ok(shelf_get(*state, SHELF_COMPLETE, false, &item, &err));
	assert_int_equal(item.info.number, 1);
	assert_false(item.is_gzip || item.is_same_second);
	put(*state, SHELF_COMPLETE, 3, 2000, 50);
	check_bytes(item.bytes, 1); /* who has the old one keeps it */
	shared_unref(item.bytes);
	assert_ok(shelf_get(*state, SHELF_COMPLETE, false, &item, &err));
	assert_true(item.is_same_second);
	check_bytes(item.bytes, 3);
	shared_unref(item.bytes);
	assert_ok(shelf_get(*state, SHELF_DELTA, false, &item, &err));
	check_bytes(item.bytes, 2);
	shared_unref(item.bytes);
}

/* A small one at once; a large one once somebody has asked, and the next one without being asked again. */
static void
test_gzip(void **state)
{
	struct shelf *shelf = *state;
	struct shelf_item item;
	struct buf plain = {0};
	struct err err = {0};
	int i, round;

	put(shelf, SHELF_DELTA, 1, 20, 1);
	assert_ok(shelf_get(shelf, SHELF_DELTA, true, &item, &err));
	assert_true(item.is_gzip);
	unpack(item.bytes, &plain);
	assert_int_equal(plain.len, 20);
	shared_unref(item.bytes);
	put(shelf, SHELF_COMPLETE, 2, LARGE, 1);
	assert_ok(shelf_get(shelf, SHELF_COMPLETE, true, &item, &err));
	assert_false(item.is_gzip);
	shared_unref(item.bytes);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 3000; i++) {
			/* In the second round nobody asks before it must be there. */
			if (round == 1)
				(void)usleep(i == 0 ? 300000 : 10000);
			assert_ok(shelf_get(shelf, SHELF_COMPLETE, true, &item, &err));
			if (item.is_gzip)
				break;
			shared_unref(item.bytes);
			(void)usleep(10000);
		}
		assert_true(item.is_gzip);
		buf_reset(&plain);
		unpack(item.bytes, &plain);
		assert_int_equal(plain.len, LARGE);
		assert_int_equal(plain.data[7], 1 + 2 + round);
		shared_unref(item.bytes);
		put(shelf, SHELF_COMPLETE, 3, LARGE, 2);
	}
	buf_clear(&plain);
}

/* Readers who do not come to an end may not fill the memory with old lists: the oldest is taken from them, and they are told. */
static void
test_old_lists_are_withdrawn(void **state)
{
	enum { N = 40 };
	struct shelf *shelf = *state;
	struct shelf_item items[N];
	struct buf part = {0};
	struct err err = {0};
	size_t kept = 0;
	int i;

	for (i = 0; i < N; i++) {
		put(shelf, SHELF_COMPLETE, (uint64_t)i, LARGE, i);
		assert_ok(shelf_get(shelf, SHELF_COMPLETE, false, &items[i], &err));
		buf_reset(&part);
		assert_true(shared_read(items[i].bytes, 0, 10, &part));
	}
	for (i = 0; i < N; i++) {
		buf_reset(&part);
		if (shared_read(items[i].bytes, 10, 10, &part)) {
			kept += LARGE;
			assert_int_equal(part.data[0], (uint8_t)(10 / 7 + i));
		} else {
			assert_int_equal(part.len, 0);
			assert_int_equal(kept, 0); /* the oldest first */
		}
		shared_unref(items[i].bytes);
	}
	assert_in_range(kept, RETIRED / 2, RETIRED + LARGE);
	buf_clear(&part);
}

struct race {
	struct shelf *shelf;
	bool stop;
};

static void *
fetch(void *arg)
{
	struct race *race = arg;
	struct shelf_item item;
	struct buf got = {0};

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		if (shelf_get(race->shelf, SHELF_COMPLETE, true, &item, NULL) != 0)
			continue;
		buf_reset(&got);
		if (!item.is_gzip && shared_read(item.bytes, 700, 7, &got) && got.data[0] != (uint8_t)(100 + item.info.number))
			abort();
		shared_unref(item.bytes);
	}
	buf_clear(&got);
	return NULL;
}

/* Of many threads each gets a list that is whole. */
static void
test_many_at_once(void **state)
{
	struct race race = {.shelf = *state};
	pthread_t threads[4];
	uint64_t i;

	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fetch, &race), 0);
	for (i = 1; i < 300; i++)
		put(race.shelf, SHELF_COMPLETE, i, i % 2 == 0 ? 2000 : 100000, 1);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_nothing_yet, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_each_kind_has_its_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_old_lists_are_withdrawn, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
