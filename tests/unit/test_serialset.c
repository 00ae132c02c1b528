/* The set of serials: what was added is there, nothing else is, at any size. */
#include "check.h"

#include "signer/serialset.h"
#include "x509/cert.h"

#include <string.h>

#define MANY 20000 /* grows five times */

/* The Nth serial: as random as real ones where it matters, and the same each time. */
static void
serial_of(uint64_t n, uint8_t *out)
{
	uint64_t v = (n + 1) * 0x9e3779b97f4a7c15;
	size_t i;

	v ^= v >> 29;
	for (i = 0; i < SERIAL_LEN; i++)
		out[i] = (uint8_t)(v >> 8 * (i % 8));
}

static void
test_empty(void **state)
{
	static const uint8_t zero[SERIAL_LEN];
	struct serialset set = {0};

	(void)state;
	assert_false(serialset_has(&set, zero));
	serialset_clear(&set);
	serialset_clear(&set);
}

static void
test_many(void **state)
{
	struct serialset set = {0};
	uint8_t serial[SERIAL_LEN];
	struct err err = {0};
	uint64_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		serial_of(i, serial);
		assert_false(serialset_has(&set, serial));
		assert_ok(serialset_add(&set, serial, &err));
		assert_true(serialset_has(&set, serial));
		assert_int_equal(set.n, i + 1);
	}
	assert_true(set.n_slots >= 2 * (size_t)MANY); /* at most half full: a search always ends */
	assert_int_equal(set.n_slots & (set.n_slots - 1), 0);
	for (i = 0; i < 2 * MANY; i++) {
		serial_of(i, serial);
		assert_int_equal(serialset_has(&set, serial), i < MANY);
	}
	serialset_clear(&set);
	assert_int_equal(set.n, 0);
	serial_of(0, serial);
	assert_false(serialset_has(&set, serial));
}

static void
test_twice_is_once(void **state)
{
	struct serialset set = {0};
	uint8_t serial[SERIAL_LEN];
	struct err err = {0};
	int i;

	(void)state;
	serial_of(7, serial);
	for (i = 0; i < 5000; i++)
		assert_ok(serialset_add(&set, serial, &err));
	assert_int_equal(set.n, 1);
	assert_int_equal(set.n_slots, 1024);
	serialset_clear(&set);
}

/* The last eight bytes count; zeros there must not pass for a free slot. */
static void
test_zero_and_one(void **state)
{
	uint8_t zero[SERIAL_LEN] = {0x11}, other[SERIAL_LEN] = {0x22};
	struct serialset set = {0};
	struct err err = {0};

	(void)state;
	other[SERIAL_LEN - 1] = 0x80;
	assert_false(serialset_has(&set, zero));
	assert_ok(serialset_add(&set, zero, &err));
	assert_true(serialset_has(&set, zero));
	assert_false(serialset_has(&set, other));
	assert_int_equal(set.n, 1);
	serialset_clear(&set);
}

/* Serials that begin at the same slot, the table's last, go around its end and are all found again. */
static void
test_collisions_wrap_around(void **state)
{
	uint8_t serial[SERIAL_LEN] = {0x01};
	struct serialset set = {0};
	struct err err = {0};
	unsigned i;

	(void)state;
	memset(serial + SERIAL_LEN - 8, 0xff, 8); /* the last slot in either byte order */
	for (i = 0; i < 200; i++) {
		serial[SERIAL_LEN - 4] = (uint8_t)i;
		assert_ok(serialset_add(&set, serial, &err));
	}
	assert_int_equal(set.n, 200);
	for (i = 0; i < 256; i++) {
		serial[SERIAL_LEN - 4] = (uint8_t)i;
		assert_int_equal(serialset_has(&set, serial), i < 200);
	}
	serialset_clear(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_twice_is_once),
	    cmocka_unit_test(test_zero_and_one),
	    cmocka_unit_test(test_collisions_wrap_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
