/* Who came in: few rows, whoever polls, and none lost that begins something (H7). */
#include "core_fixture.h"

#include "core/login.h"

static int64_t now = 1767225600;

static int64_t
clock_of_ours(void)
{
	return now;
}

static int
setup(void **state)
{
	struct err err = {0};
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	fixture_home_make(&f->home);
	f->caller = (struct caller){.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "operator:alice"};
	assert_ok(core_open(f->home.dir, -1, -1, &f->core, &err)); /* no sweeper */
	f->core->now = clock_of_ours;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	fixture_core_close(f);
	fixture_home_remove(&f->home);
	free(f);
	return 0;
}

static void
come(struct fixture *f, const char *who, const char *peer)
{
	struct caller caller = f->caller;

	(void)text_copy(caller.who, sizeof caller.who, who);
	login_note(f->core, &caller, peer, "token");
}

static int
told(struct fixture *f)
{
	logins_flush(f->core);
	return fixture_audited(f, "authentication.success");
}

static void
test_one_row_for_who_polls(void **state)
{
	struct fixture *f = *state;
	int i;

	come(f, "operator:alice", "192.0.2.1");
	assert_int_equal(told(f), 1);
	for (i = 0; i < 1000; i++, now += 60)
		come(f, "operator:alice", "192.0.2.1");
	assert_int_equal(told(f), 1);
	come(f, "operator:alice", "192.0.2.2"); /* from elsewhere */
	come(f, "operator:bob", "192.0.2.1");
	come(f, "uid:0", "socket");
	assert_int_equal(told(f), 4);
	for (i = 0; i < 1000; i++, now += 60) /* a day is over */
		come(f, "operator:alice", "192.0.2.1");
	assert_int_equal(told(f), 5);
	now += LOGIN_IDLE_S + 61;
	come(f, "operator:alice", "192.0.2.1");
	assert_int_equal(told(f), 6);
	now -= 86400; /* a clock that is set back */
	come(f, "operator:alice", "192.0.2.1");
	assert_int_equal(told(f), 7);
}

static void
test_a_flood_is_bounded(void **state)
{
	struct fixture *f = *state;
	int before = told(f), i;
	char peer[32];

	now += 3600;
	for (i = 0; i < 4 * LOGIN_PAIRS_MAX; i++) {
		(void)snprintf(peer, sizeof peer, "198.51.%d.%d", i / 256, i % 256);
		come(f, "operator:alice", peer);
		if (i % 8 == 0)
			assert_true(told(f) <= before + LOGIN_ROWS_PER_MIN);
	}
	assert_int_equal(told(f), before + LOGIN_ROWS_PER_MIN);
	assert_int_equal(fixture_audited(f, "authentication.successes"), 0);
	now += 60;
	assert_int_equal(told(f), before + LOGIN_ROWS_PER_MIN);
	assert_int_equal(fixture_audited(f, "authentication.successes"), 1);
	now += 60;
	come(f, "operator:carol", "192.0.2.9");
	assert_int_equal(told(f), before + LOGIN_ROWS_PER_MIN + 1);
	assert_int_equal(fixture_audited(f, "authentication.successes"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_row_for_who_polls),
	    cmocka_unit_test(test_a_flood_is_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
