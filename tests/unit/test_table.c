/* The broker's table: what was applied is found, what was taken out is not, in the memory that was
 * promised. */
#include "plugin_fixture.h"

#include "plugin/table.h"

#define FLEET 1000000

static const struct table_owner *
find(const struct table *t, unsigned n)
{
	uint8_t id[UUID_BYTES];

	id_of(id, n);
	return table_find(t, id);
}

static int64_t
current(const struct table *t, unsigned n, unsigned which)
{
	uint8_t sha256[SHA256_LEN];

	fp_of(sha256, n, which);
	return table_not_after(find(t, n), sha256);
}

/* Devices come, change and go in any order; a model of one byte each says what the table must say.
 */
static void
test_as_a_model(void **state)
{
	enum { IDS = 6000, STEPS = 60000 };
	struct feed_line *line = line_new(FEED_DEVICE);
	static uint8_t fps[IDS]; /* + 1; 0: not there */
	struct table *t = NULL;
	struct err err = {0};
	size_t count = 0;
	unsigned i, n, k;

	(void)state;
	assert_ok(table_new(&t, &err));
	for (i = 0; i < STEPS; i++) {
		n = (unsigned)(mixed(i + 77) % IDS);
		k = (unsigned)(mixed(i + 99) % 6);
		if (k < 4)
			line_device(line, n, k);
		else
			line_gone(line, n, k == 4 ? FEED_REVOKED : FEED_SUSPENDED);
		assert_ok(table_apply(t, line, &err));
		count += (k < 4) - (size_t)(fps[n] != 0);
		fps[n] = k < 4 ? (uint8_t)(k + 1) : 0;
		assert_int_equal(table_count(t), count);
	}
	for (n = 0; n < IDS; n++) {
		assert_int_equal(find(t, n) != NULL, fps[n] != 0);
		for (k = 0; fps[n] != 0 && k < 4; k++)
			assert_int_equal(current(t, n, k), k + 1u < fps[n] ? NOT_AFTER + k : 0);
	}
	assert_true(count > IDS / 3);
	table_free(t);
	free(line);
}

static void
test_policies(void **state)
{
	struct feed_line *line = line_new(FEED_POLICY);
	const struct table_policy *p;
	struct table *t = NULL;
	struct err err = {0};

	(void)state;
	assert_ok(table_new(&t, &err));
	line_device(line, 1, 1);
	assert_ok(table_apply(t, line, &err));
	assert_null(table_policy(t, find(t, 1))); /* it has not come yet */
	line_policy(line, "default", 3);
	assert_ok(table_apply(t, line, &err));
	p = table_policy(t, find(t, 1));
	assert_int_equal(p->sessions, 3);
	assert_string_equal(p->tenant, "default");
	assert_string_equal(p->topics[2].text, "devices/{id}/commands/#");
	assert_string_equal(table_type(t, find(t, 1)), "pump");
	/* Of that name in another tenant: another policy. */
	strcpy(line->tenant, "other");
	line->removed = true;
	assert_ok(table_apply(t, line, &err));
	assert_non_null(table_policy(t, find(t, 1)));
	line_device(line, 2, 1);
	assert_ok(table_apply(t, line, &err));
	assert_null(table_policy(t, find(t, 2)));
	/* Replaced, then removed, under its devices. */
	strcpy(line->tenant, "default");
	line_policy(line, "default", 1);
	line->write.n = 0;
	assert_ok(table_apply(t, line, &err));
	assert_int_equal(table_policy(t, find(t, 1))->n_write, 0);
	line->removed = true;
	assert_ok(table_apply(t, line, &err));
	assert_null(table_policy(t, find(t, 1)));
	table_free(t);
	free(line);
}

static void
test_services(void **state)
{
	struct feed_line *line = line_new(FEED_SERVICE);
	struct table *t = NULL;
	struct err err = {0};
	unsigned round, n;

	(void)state;
	assert_ok(table_new(&t, &err));
	for (round = 0; round < 3; round++) {
		for (n = 0; n < 50; n++) {
			line_service(line, n);
			topics_set(&line->read, n % 2 ? "odd/#" : "even/#", NULL);
			assert_ok(table_apply(t, line, &err));
			assert_ok(table_apply(t, line, &err));
		}
		for (n = 0; n < 50; n++)
			assert_string_equal(table_policy(t, find(t, n))->topics[1].text,
			    n % 2 ? "odd/#" : "even/#");
		for (n = 0; n < 50; n++) {
			line_gone(line, n, FEED_REVOKED);
			line->kind = FEED_SERVICE;
			assert_ok(table_apply(t, line, &err));
			assert_null(find(t, n));
		}
	}
	/* An id that was a service's and is a device's: never so from the service, and no right is
	 * left over. */
	line_service(line, 7);
	assert_ok(table_apply(t, line, &err));
	line_device(line, 7, 1);
	assert_ok(table_apply(t, line, &err));
	assert_null(table_policy(t, find(t, 7)));
	assert_int_equal(table_count(t), 1);
	table_free(t);
	free(line);
}

static void
test_refuses_other_lines(void **state)
{
	struct feed_line *line = line_new(FEED_END);
	struct table *t = NULL;
	struct err err = {0};

	(void)state;
	assert_ok(table_new(&t, &err));
	assert_int_equal(table_apply(t, line, &err), E_INPUT);
	line_device(line, 1, 1);
	line->id[0] = 'G';
	assert_int_equal(table_apply(t, line, &err), E_INPUT);
	assert_int_equal(table_count(t), 0);
	table_free(t);
	free(line);
}

/* Design, section 7: at most 128 bytes a device at 1,000,000. */
static void
test_memory_of_a_million(void **state)
{
	struct feed_line *line = line_new(FEED_DEVICE);
	struct table *t = NULL;
	struct err err = {0};
	unsigned n;

	(void)state;
	assert_ok(table_new(&t, &err));
	for (n = 0; n < FLEET; n++) {
		line_device(line, n, 1);
		assert_ok(table_apply(t, line, &err));
	}
	assert_int_equal(table_count(t), FLEET);
	print_message("# %.1f bytes a device\n", (double)table_bytes(t) / FLEET);
	assert_true(table_bytes(t) <= (size_t)128 * FLEET);
	for (n = 0; n < FLEET; n += 997)
		assert_int_equal(current(t, n, 0), NOT_AFTER);
	assert_null(find(t, FLEET));
	table_free(t);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_a_model),
	    cmocka_unit_test(test_policies),
	    cmocka_unit_test(test_services),
	    cmocka_unit_test(test_refuses_other_lines),
	    cmocka_unit_test(test_memory_of_a_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
