#include "core_fixture.h"

#include "core/link.h"

#include <pthread.h>

static void
test_delivered_once(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct store_package package;
	struct buf archive = {0};
	struct err err = {0};

	fixture_register(f, "once", &device, &credential);
	assert_ok(link_look(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err));
	assert_ok(link_look(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err)); /* E4 */
	assert_ok(link_redeem(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &archive, &err));
	assert_string_equal(package.owner_id, device.id);
	assert_memory_equal(archive.data, "PK", 2);
	buf_clear(&archive);
	/* E2 */
	assert_int_equal(link_redeem(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &archive, &err), E_GONE);
	assert_int_equal(archive.len, 0);
	assert_int_equal(link_look(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* E1 */
static void
test_guesses(void **state)
{
	static const char *const guesses[] = {"", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "' OR 1=1 --"};
	struct fixture *f = *state;
	struct store_package package;
	struct buf archive = {0};
	struct err err = {0};
	size_t i;

	for (i = 0; i < sizeof guesses / sizeof guesses[0]; i++) {
		assert_int_equal(link_look(f->core, guesses[i], &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_NOTFOUND);
		assert_int_equal(link_redeem(f->core, guesses[i], &(struct link_visitor){"p", NULL}, &package, &archive, &err), E_NOTFOUND);
	}
	buf_clear(&archive);
}

static _Atomic int64_t time_added_s;

static int64_t
later(void)
{
	return clock_now() + time_added_s;
}

/* E11 */
static void
test_expired(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct store_package package;
	struct buf archive = {0};
	struct err err = {0};

	fixture_register(f, "late", &device, &credential);
	time_added_s = 2 * 86400;
	assert_int_equal(link_look(f->core, fixture_token(&credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	assert_int_equal(link_redeem(f->core, fixture_token(&credential), &(struct link_visitor){"p", NULL}, &package, &archive, &err), E_GONE);
	time_added_s = 0;
	buf_clear(&archive);
	store_device_clear(&device);
	credential_clear(&credential);
}

struct race {
	struct fixture *f;
	const char *token;
	int won, gone, other;
	pthread_mutex_t lock;
};

static void *
redeem(void *arg)
{
	struct race *race = arg;
	struct store_package package;
	struct buf archive = {0};
	struct err err = {0};
	int rc = link_redeem(race->f->core, race->token, &(struct link_visitor){"p", NULL}, &package, &archive, &err);

	(void)pthread_mutex_lock(&race->lock);
	race->won += rc == 0 && archive.len > 0;
	race->gone += rc == E_GONE && archive.len == 0;
	race->other += rc != 0 && rc != E_GONE;
	(void)pthread_mutex_unlock(&race->lock);
	buf_clear(&archive);
	return NULL;
}

/* E3 */
static void
test_one_of_many_wins(void **state)
{
	struct race race = {.f = *state, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[32];
	struct store_device device;
	struct credential credential;
	size_t i;

	fixture_register(race.f, "raced", &device, &credential);
	race.token = fixture_token(&credential);
	for (i = 0; i < 32; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, redeem, &race), 0);
	for (i = 0; i < 32; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(race.won, 1);
	assert_int_equal(race.gone, 31);
	assert_int_equal(race.other, 0);
	store_device_clear(&device);
	credential_clear(&credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_delivered_once),
	    cmocka_unit_test(test_guesses),
	    cmocka_unit_test(test_expired),
	    cmocka_unit_test(test_one_of_many_wins),
	};

	fixture_clock = later;
	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
