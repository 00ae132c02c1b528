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
	assert_int_equal(serialset_state(&set, zero), SERIAL_UNKNOWN);
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
		assert_int_equal(serialset_state(&set, serial), SERIAL_UNKNOWN);
		assert_ok(serialset_add(&set, serial, &err));
		assert_int_equal(serialset_state(&set, serial), SERIAL_ISSUED);
		assert_int_equal(set.n, i + 1);
	}
	assert_true(set.n_slots >= 2 * (size_t)MANY); /* at most half full: a search always ends */
	assert_int_equal(set.n_slots & (set.n_slots - 1), 0);
	for (i = 0; i < 2 * MANY; i++) {
		serial_of(i, serial);
		assert_int_equal(serialset_state(&set, serial), i < MANY ? SERIAL_ISSUED : SERIAL_UNKNOWN);
	}
	serialset_clear(&set);
	assert_int_equal(set.n, 0);
	serial_of(0, serial);
	assert_int_equal(serialset_state(&set, serial), SERIAL_UNKNOWN);
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

/* One that is made to look like another, in all bytes but any one, is another. */
static void
test_every_byte_counts(void **state)
{
	uint8_t serial[SERIAL_LEN] = {0x11};
	struct serialset set = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(serialset_add(&set, serial, &err));
	for (i = 0; i < SERIAL_LEN; i++) {
		serial[i] ^= 0x80;
		assert_int_equal(serialset_state(&set, serial), SERIAL_UNKNOWN);
		serial[i] ^= 0x80;
	}
	assert_int_equal(serialset_state(&set, serial), SERIAL_ISSUED);
	assert_int_equal(set.n, 1);
	serialset_clear(&set);
}

/* A state stays with its serial when the table grows; what was never added has none. */
static void
test_states(void **state)
{
	struct serialset set = {0};
	uint8_t serial[SERIAL_LEN];
	struct err err = {0};
	uint64_t i;

	(void)state;
	serial_of(0, serial);
	serialset_move(&set, serial, SERIAL_REVOKED);
	assert_int_equal(serialset_state(&set, serial), SERIAL_UNKNOWN);
	for (i = 0; i < MANY; i++) {
		serial_of(i, serial);
		assert_ok(serialset_add(&set, serial, &err));
		serialset_move(&set, serial, SERIAL_ISSUED + (enum serial_state)(i % 3));
		serial_of(MANY + i, serial);
		serialset_move(&set, serial, SERIAL_HELD);
	}
	for (i = 0; i < 2 * MANY; i++) {
		serial_of(i, serial);
		assert_int_equal(serialset_state(&set, serial), i < MANY ? SERIAL_ISSUED + i % 3 : SERIAL_UNKNOWN);
	}
	/* Added again, it is not new. */
	serial_of(2, serial);
	assert_ok(serialset_add(&set, serial, &err));
	assert_int_equal(serialset_state(&set, serial), SERIAL_REVOKED);
	serialset_clear(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_twice_is_once),
	    cmocka_unit_test(test_every_byte_counts),
	    cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
