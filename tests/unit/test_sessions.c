/* Who is connected, and who must go: only those, once each, by their own client ids. */
#include "plugin_fixture.h"

#include "plugin/sessions.h"

#define NOW (NOT_AFTER - 10)

struct scene {
	struct sessions *s;
	struct table *t;
	char kicked[4096]; /* "client_id why;" */
	unsigned n_kicked;
	const void *also; /* removed by the kick itself, as the broker's DISCONNECT does */
};

static char clients[64]; /* whose addresses are the broker's pointers */

static int
scene_make(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	struct feed_line *line = line_new(FEED_POLICY);
	struct err err = {0};
	unsigned n;

	assert_ok(sessions_new(&s->s, &err));
	assert_ok(table_new(&s->t, &err));
	line_policy(line, "default", 4);
	assert_ok(table_apply(s->t, line, &err));
	for (n = 0; n < 10; n++) {
		line_device(line, n, 2);
		assert_ok(table_apply(s->t, line, &err));
	}
	free(line);
	*state = s;
	return 0;
}

static int
scene_end(void **state)
{
	struct scene *s = *state;

	sessions_free(s->s);
	table_free(s->t);
	free(s);
	return 0;
}

/* CLIENTS[C] is the device N under its id and SUFFIX, with its certificate WHICH. */
static void
join(struct scene *s, unsigned c, unsigned n, const char *suffix, unsigned which)
{
	char client_id[UUID_LEN + 64];
	struct peer peer;
	struct err err = {0};

	id_of(peer.id, n);
	fp_of(peer.sha256, n, which);
	uuid_format(client_id, peer.id);
	strcat(client_id, suffix);
	assert_ok(sessions_add(s->s, &clients[c], client_id, &peer, NOT_AFTER + which, &err));
}

static void
kick(void *ctx, const char *client_id, enum verdict why)
{
	struct scene *s = ctx;

	(void)snprintf(s->kicked + strlen(s->kicked), sizeof s->kicked - strlen(s->kicked),
	    "%.4s%s %d;", client_id, client_id + UUID_LEN, why);
	s->n_kicked++;
	if (s->also != NULL)
		sessions_remove(s->s, s->also);
}

static unsigned
kicks(struct scene *s)
{
	s->n_kicked = 0;
	s->kicked[0] = '\0';
	sessions_kick(s->s, 100, kick, s);
	return s->n_kicked;
}

static void
set(struct scene *s, unsigned n, enum feed_status status, size_t n_fps)
{
	struct feed_line *line = line_new(FEED_DEVICE);
	struct err err = {0};
	uint8_t id[UUID_BYTES];

	line_device(line, n, n_fps);
	line->status = status;
	assert_ok(table_apply(s->t, line, &err));
	id_of(id, n);
	sessions_check(s->s, s->t, id);
	free(line);
}

/* C3: a device that never connected is revoked; nobody is kicked. */
static void
test_kicks_nobody_else(void **state)
{
	struct scene *s = *state;

	join(s, 1, 1, "", 0);
	join(s, 2, 2, "", 0);
	set(s, 5, FEED_REVOKED, 0);
	sessions_expire(s->s, NOW);
	sessions_check_all(s->s, s->t);
	assert_int_equal(kicks(s), 0);
	set(s, 2, FEED_SUSPENDED, 0);
	set(s, 2, FEED_REVOKED, 0);
	assert_int_equal(kicks(s), 1);
	assert_int_equal(kicks(s), 0);
	assert_int_equal(sessions_total(s->s), 1);
}

static void
test_why(void **state)
{
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_POLICY);
	struct err err = {0};

	join(s, 1, 1, "", 1);
	join(s, 2, 1, "/b", 0);
	join(s, 3, 3, "/c", 0);
	set(s, 1, FEED_ACTIVE, 1); /* its second certificate is none any more */
	assert_int_equal(kicks(s), 1);
	assert_non_null(strstr(s->kicked, " 5;"));
	assert_int_equal(VERDICT_CERTIFICATE, 5);
	line_policy(line, "default", 1);
	assert_ok(table_apply(s->t, line, &err));
	sessions_check_all(s->s, s->t);
	assert_int_equal(kicks(s), 2);
	assert_non_null(strstr(s->kicked, "/b 7;"));
	assert_int_equal(VERDICT_CLIENT_ID, 7);
	join(s, 4, 4, "", 0);
	sessions_expire(s->s, NOT_AFTER - 1);
	assert_int_equal(kicks(s), 0);
	sessions_expire(s->s, NOT_AFTER);
	assert_int_equal(kicks(s), 1);
	assert_non_null(strstr(s->kicked, " 6;"));
	assert_int_equal(VERDICT_EXPIRED, 6);
	/* Without a table nobody is known. */
	join(s, 4, 4, "", 0);
	sessions_check_all(s->s, NULL);
	assert_int_equal(kicks(s), 1);
	free(line);
}

/* A policy that allows fewer than there are: the latest go, and a client id is one however often it is there. */
static void
test_too_many(void **state)
{
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_POLICY);
	struct err err = {0};

	join(s, 1, 1, "/a", 0);
	join(s, 2, 1, "/a", 0); /* takes over */
	join(s, 3, 1, "/b", 0);
	join(s, 4, 1, "", 0);
	join(s, 5, 1, "/d", 0);
	join(s, 6, 2, "/a", 0);
	sessions_check_all(s->s, s->t);
	assert_int_equal(kicks(s), 0);
	line_policy(line, "default", 2);
	assert_ok(table_apply(s->t, line, &err));
	sessions_check_all(s->s, s->t);
	sessions_check_all(s->s, s->t);
	assert_int_equal(kicks(s), 2);
	assert_non_null(strstr(s->kicked, " 8;"));
	assert_non_null(strstr(s->kicked, "/d 8;"));
	assert_int_equal(VERDICT_SESSIONS, 8);
	assert_int_equal(sessions_total(s->s), 4);
	free(line);
}

static void
test_take_over(void **state)
{
	struct scene *s = *state;
	uint8_t id[UUID_BYTES];
	char client_id[UUID_LEN + 1];

	id_of(id, 1);
	uuid_format(client_id, id);
	join(s, 1, 1, "", 0);
	join(s, 2, 1, "", 0); /* the same client id, before the first is gone */
	assert_int_equal(sessions_count(s->s, id, client_id), 0);
	assert_int_equal(sessions_count(s->s, id, "another"), 2);
	assert_non_null(sessions_owner(s->s, &clients[1]));
	sessions_remove(s->s, &clients[1]);
	assert_null(sessions_owner(s->s, &clients[1]));
	assert_int_equal(sessions_total(s->s), 1);
	set(s, 1, FEED_REVOKED, 0);
	assert_int_equal(kicks(s), 1);
	assert_int_equal(sessions_total(s->s), 0);
	/* A pointer that the broker uses again. */
	join(s, 3, 3, "", 0);
	join(s, 3, 4, "", 0);
	assert_int_equal(sessions_total(s->s), 1);
	set(s, 3, FEED_REVOKED, 0);
	assert_int_equal(kicks(s), 0);
	sessions_remove(s->s, &clients[40]);
	sessions_remove(s->s, NULL);
	assert_int_equal(sessions_total(s->s), 1);
}

/* While it kicks, the broker says that they are gone: this one, or another one that waits. */
static void
test_removed_by_the_kick(void **state)
{
	struct scene *s = *state;
	unsigned n;

	for (n = 0; n < 4; n++)
		join(s, n, n, "", 0);
	s->also = &clients[0];
	sessions_check_all(s->s, NULL);
	assert_int_equal(kicks(s), 4);
	for (n = 0; n < 4; n++)
		join(s, n, n, "", 0);
	s->also = &clients[3];
	sessions_check_all(s->s, NULL);
	assert_int_equal(kicks(s), 3);
	assert_int_equal(sessions_total(s->s), 0);
}

static void
test_a_few_at_a_time(void **state)
{
	struct scene *s = *state;
	unsigned n;

	for (n = 0; n < 10; n++)
		join(s, n, n, "", 0);
	sessions_check_all(s->s, NULL);
	sessions_kick(s->s, 3, kick, s);
	assert_int_equal(s->n_kicked, 3);
	assert_int_equal(sessions_total(s->s), 7);
	assert_int_equal(kicks(s), 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_kicks_nobody_else, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_why, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_too_many, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_take_over, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_removed_by_the_kick, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_a_few_at_a_time, scene_make, scene_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
