/* What the table means: each yes with the noes beside it. */
#include "plugin_fixture.h"

#include "plugin/verdict.h"

#define NOW (NOT_AFTER - 10)

struct scene {
	struct table *t;
	char id[UUID_LEN + 1], other[UUID_LEN + 1], service[UUID_LEN + 1];
};

static void
apply(struct table *t, struct feed_line *line)
{
	struct err err = {0};

	assert_ok(table_apply(t, line, &err));
}

/* Device 1 and 2 (with two certificates) of the policy `default`, service 3. */
static int
scene_make(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	struct feed_line *line = line_new(FEED_POLICY);
	struct err err = {0};

	assert_ok(table_new(&s->t, &err));
	line_policy(line, "default", 1);
	apply(s->t, line);
	line_device(line, 1, 1);
	strcpy(s->id, line->id);
	apply(s->t, line);
	line_device(line, 2, 2);
	strcpy(s->other, line->id);
	apply(s->t, line);
	line_service(line, 3);
	strcpy(s->service, line->id);
	apply(s->t, line);
	free(line);
	*state = s;
	return 0;
}

static int
scene_end(void **state)
{
	struct scene *s = *state;

	table_free(s->t);
	free(s);
	return 0;
}

static enum verdict
connects(const struct scene *s, unsigned n, unsigned cert_of, unsigned which, const char *client_id,
    int64_t now)
{
	uint8_t id[UUID_BYTES], sha256[SHA256_LEN];
	int64_t not_after = -1, sessions = -1;
	enum verdict verdict;

	id_of(id, n);
	fp_of(sha256, cert_of, which);
	verdict = verdict_connect(s->t, id, sha256, client_id, now, &not_after, &sessions);
	assert_true(not_after == (verdict == VERDICT_ALLOWED ? NOT_AFTER + (int64_t)which : -1));
	assert_true(verdict != VERDICT_ALLOWED || sessions >= 1);
	return verdict;
}

static void
test_connect(void **state)
{
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_DEVICE);
	uint8_t zeros[SHA256_LEN] = {0}, id[UUID_BYTES];
	int64_t not_after, sessions;

	assert_int_equal(connects(s, 1, 1, 0, s->id, NOW), VERDICT_ALLOWED);
	assert_int_equal(connects(s, 2, 2, 0, s->other, NOW), VERDICT_ALLOWED);
	assert_int_equal(connects(s, 2, 2, 1, s->other, NOW), VERDICT_ALLOWED); /* in its overlap */
	assert_int_equal(connects(s, 3, 3, 0, s->service, NOW), VERDICT_ALLOWED);
	/* nobody, another's certificate, one that is not current */
	assert_int_equal(connects(s, 9, 9, 0, s->id, NOW), VERDICT_UNKNOWN);
	assert_int_equal(connects(s, 1, 2, 0, s->id, NOW), VERDICT_CERTIFICATE);
	assert_int_equal(connects(s, 1, 1, 1, s->id, NOW), VERDICT_CERTIFICATE);
	/* to the second */
	assert_int_equal(connects(s, 1, 1, 0, s->id, NOT_AFTER - 1), VERDICT_ALLOWED);
	assert_int_equal(connects(s, 1, 1, 0, s->id, NOT_AFTER), VERDICT_EXPIRED);
	assert_int_equal(connects(s, 2, 2, 1, s->other, NOT_AFTER), VERDICT_ALLOWED);
	/* a device between certificates, for whom zeros are none */
	line_device(line, 1, 0);
	apply(s->t, line);
	id_of(id, 1);
	assert_int_equal(connects(s, 1, 1, 0, s->id, NOW), VERDICT_CERTIFICATE);
	assert_int_equal(verdict_connect(s->t, id, zeros, s->id, NOW, &not_after, &sessions),
	    VERDICT_CERTIFICATE);
	line_gone(line, 1, FEED_SUSPENDED);
	apply(s->t, line);
	assert_int_equal(connects(s, 1, 1, 0, s->id, NOW), VERDICT_UNKNOWN);
	assert_int_equal(
	    verdict_connect(NULL, id, zeros, s->id, NOW, &not_after, &sessions), VERDICT_NO_TABLE);
	free(line);
}

static void
test_client_ids(void **state)
{
	static const char *const suffixes[] = {"/a", "/sensor-1", "/x/y"};
	static const char *const never[] = {"/", "a", " ", "/\n", "/\x1b[0m", "//\xff",
	    "/0123456789012345678901234567890123456789012345678901234567890123456789"};
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_POLICY);
	char text[2 * UUID_LEN + 64];
	size_t i;

	assert_int_equal(connects(s, 1, 1, 0, s->other, NOW), VERDICT_CLIENT_ID);
	assert_int_equal(connects(s, 1, 1, 0, "", NOW), VERDICT_CLIENT_ID);
	for (i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%s", s->id, suffixes[i]);
		assert_int_equal(connects(s, 1, 1, 0, text, NOW), VERDICT_CLIENT_ID);
	}
	line_policy(line, "default", 2);
	apply(s->t, line);
	for (i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%s", s->id, suffixes[i]);
		assert_int_equal(connects(s, 1, 1, 0, text, NOW), VERDICT_ALLOWED);
		(void)snprintf(text, sizeof text, "%s%s", s->other, suffixes[i]);
		assert_int_equal(connects(s, 1, 1, 0, text, NOW), VERDICT_CLIENT_ID);
	}
	for (i = 0; i < sizeof never / sizeof never[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%s", s->id, never[i]);
		assert_int_equal(connects(s, 1, 1, 0, text, NOW), VERDICT_CLIENT_ID);
	}
	free(line);
}

static void
test_sessions_go_on(void **state)
{
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_DEVICE);
	uint8_t id[UUID_BYTES], sha256[SHA256_LEN];
	char several[UUID_LEN + 8];
	int64_t sessions = 0;

	id_of(id, 2);
	fp_of(sha256, 2, 1);
	(void)snprintf(several, sizeof several, "%s/2", s->other);
	assert_int_equal(verdict_session(s->t, id, sha256, s->other, &sessions), VERDICT_ALLOWED);
	assert_int_equal(sessions, 1);
	assert_int_equal(verdict_session(s->t, id, sha256, several, &sessions), VERDICT_CLIENT_ID);
	line_device(line, 2, 1); /* the overlap has ended */
	apply(s->t, line);
	assert_int_equal(verdict_session(s->t, id, sha256, s->other, &sessions), VERDICT_CERTIFICATE);
	line_gone(line, 2, FEED_REVOKED);
	apply(s->t, line);
	assert_int_equal(verdict_session(s->t, id, sha256, s->other, &sessions), VERDICT_UNKNOWN);
	free(line);
}

static void
test_topics(void **state)
{
	static const struct {
		enum verdict_access access;
		const char *topic; /* %s: the device's own id */
		bool allowed;
	} cases[] = {
	    {VERDICT_WRITE, "devices/%s/telemetry", true},
	    {VERDICT_WRITE, "devices/%s/telemetry/more", false},
	    {VERDICT_WRITE, "devices/%s/commands/x", false},
	    {VERDICT_WRITE, "devices/+/telemetry", false},
	    {VERDICT_WRITE, "plant/pump/7", true},
	    {VERDICT_WRITE, "plant/valve/7", false},
	    {VERDICT_WRITE, "plant/pump/+", false},
	    {VERDICT_WRITE, "$SYS/broker/version", false},
	    {VERDICT_WRITE, "$CONTROL/dynamic-security/v1", false},
	    {VERDICT_WRITE, "", false},
	    {VERDICT_READ, "devices/%s/commands/x/y", true},
	    {VERDICT_READ, "devices/%s/commands", true},
	    {VERDICT_READ, "devices/%s/telemetry", false},
	    {VERDICT_READ, "default/all", true},
	    {VERDICT_READ, "other/all", false},
	    {VERDICT_READ, "$SYS/broker/uptime", false},
	    {VERDICT_SUBSCRIBE, "devices/%s/commands/#", true},
	    {VERDICT_SUBSCRIBE, "devices/%s/commands/+/x", true},
	    {VERDICT_SUBSCRIBE, "devices/%s/commands", true},
	    {VERDICT_SUBSCRIBE, "devices/%s/#", false},
	    {VERDICT_SUBSCRIBE, "devices/+/commands/#", false},
	    {VERDICT_SUBSCRIBE, "+/%s/commands/#", false},
	    {VERDICT_SUBSCRIBE, "#", false},
	    {VERDICT_SUBSCRIBE, "+/all", false},
	    {VERDICT_SUBSCRIBE, "$SYS/#", false},
	    {VERDICT_SUBSCRIBE, "$share/g/devices/%s/commands/#", true},
	    {VERDICT_SUBSCRIBE, "$share/g/devices/+/commands/#", false},
	    {VERDICT_SUBSCRIBE, "$share/g/#", false},
	    {VERDICT_SUBSCRIBE, "$share/g/$SYS/#", false},
	    {VERDICT_SUBSCRIBE, "$share//devices/%s/commands/#", false},
	    {VERDICT_SUBSCRIBE, "$share/+/devices/%s/commands/#", false},
	    {VERDICT_SUBSCRIBE, "$share/g", false},
	    {VERDICT_SUBSCRIBE, "$share/g/", false},
	    {VERDICT_SUBSCRIBE, "$share/g/$share/h/devices/%s/commands/#", false},
	    {VERDICT_UNSUBSCRIBE, "#", true},
	};
	struct scene *s = *state;
	char topic[256];
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(topic, sizeof topic, cases[i].topic, s->id);
#pragma GCC diagnostic pop
		if (verdict_topic(s->t, s->id, cases[i].access, topic) != cases[i].allowed)
			fail_msg("%s: not %d", topic, cases[i].allowed);
		/* What is one device's is never another's, save what names no id. */
		if (strstr(cases[i].topic, "%s") != NULL)
			assert_false(verdict_topic(s->t, s->other, cases[i].access, topic));
		assert_false(verdict_topic(s->t, NULL, cases[i].access, topic));
		assert_false(verdict_topic(s->t, "", cases[i].access, topic));
		assert_false(verdict_topic(NULL, s->id, cases[i].access, topic));
	}
	assert_false(verdict_topic(s->t, s->id, VERDICT_READ, NULL));
}

static void
test_topics_of_services(void **state)
{
	struct scene *s = *state;

	assert_true(verdict_topic(s->t, s->service, VERDICT_READ, "devices/x/telemetry"));
	assert_true(verdict_topic(s->t, s->service, VERDICT_SUBSCRIBE, "#"));
	assert_false(verdict_topic(s->t, s->service, VERDICT_SUBSCRIBE, "$SYS/#"));
	assert_true(verdict_topic(s->t, s->service, VERDICT_WRITE, "plant/out"));
	assert_false(verdict_topic(s->t, s->service, VERDICT_WRITE, "devices/x/telemetry"));
}

/* B9: in a tenant devices/+/ is the tenant's own devices. */
static void
test_own_devices_of_a_tenant(void **state)
{
	static const struct {
		enum verdict_access access;
		const char *topic; /* %s: a device's id */
		bool own, foreign; /* what is said where it is one of the tenant's, and another's */
	} cases[] = {
	    {VERDICT_READ, "devices/%s/telemetry", true, false},
	    {VERDICT_READ, "devices/%s/commands/x", false, false},
	    {VERDICT_READ, "devices/%sx/telemetry", false, false},
	    {VERDICT_READ, "devices/x%s/telemetry", false, false},
	    {VERDICT_WRITE, "devices/%s/commands/x/y", true, false},
	    {VERDICT_WRITE, "devices/%s/commands", true, false},
	    {VERDICT_WRITE, "devices/%s", false, false},
	    {VERDICT_WRITE, "devices/+/commands/x", false, false},
	    {VERDICT_SUBSCRIBE, "devices/%s/telemetry", true, false},
	    {VERDICT_SUBSCRIBE, "$share/g/devices/%s/telemetry", true, false},
	    {VERDICT_SUBSCRIBE, "devices/+/telemetry", true, true}, /* each message is looked at again */
	    {VERDICT_SUBSCRIBE, "$share/g/devices/+/telemetry", true, true},
	    {VERDICT_SUBSCRIBE, "devices/#", false, false},
	    {VERDICT_SUBSCRIBE, "devices/+/#", false, false},
	    {VERDICT_SUBSCRIBE, "+/%s/telemetry", false, false},
	};
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_DEVICE);
	char own[UUID_LEN + 1], gone[UUID_LEN + 1], service[UUID_LEN + 1], topic[256];
	size_t i;

	strcpy(line->tenant, "acme");
	line_device(line, 11, 1);
	strcpy(own, line->id);
	strcpy(line->policy, "none"); /* it is the tenant's all the same */
	apply(s->t, line);
	line_device(line, 12, 1);
	strcpy(gone, line->id);
	line_service(line, 13);
	strcpy(service, line->id);
	topics_set(&line->read, "devices/+/telemetry", NULL);
	topics_set(&line->write, "devices/+/commands/#", NULL);
	apply(s->t, line);
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct {
			const char *id;
			bool allowed;
		} of[] = {{own, cases[i].own}, {s->id, cases[i].foreign}, {gone, cases[i].foreign}};
		size_t k;

		for (k = 0; k < 3; k++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			(void)snprintf(topic, sizeof topic, cases[i].topic, of[k].id);
#pragma GCC diagnostic pop
			if (verdict_topic(s->t, service, cases[i].access, topic) != of[k].allowed)
				fail_msg("%zu: %s: not %d", k, topic, of[k].allowed);
		}
	}
	/* The installation's own services reach everybody's. */
	(void)snprintf(topic, sizeof topic, "devices/%s/telemetry", own);
	assert_true(verdict_topic(s->t, s->service, VERDICT_READ, topic));
	free(line);
}

static void
test_rights_follow_the_table(void **state)
{
	struct scene *s = *state;
	struct feed_line *line = line_new(FEED_POLICY);
	char topic[128];

	(void)snprintf(topic, sizeof topic, "devices/%s/telemetry", s->id);
	assert_true(verdict_topic(s->t, s->id, VERDICT_WRITE, topic));
	line_policy(line, "default", 1);
	topics_set(&line->write, "elsewhere/{id}", NULL);
	apply(s->t, line);
	assert_false(verdict_topic(s->t, s->id, VERDICT_WRITE, topic));
	line->removed = true;
	apply(s->t, line);
	assert_false(verdict_topic(s->t, s->id, VERDICT_READ, "default/all"));
	assert_true(verdict_topic(s->t, s->id, VERDICT_UNSUBSCRIBE, "default/all"));
	line_gone(line, 1, FEED_REVOKED);
	apply(s->t, line);
	assert_false(verdict_topic(s->t, s->id, VERDICT_UNSUBSCRIBE, "default/all"));
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_connect, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_client_ids, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_sessions_go_on, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_topics, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_topics_of_services, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_own_devices_of_a_tenant, scene_make, scene_end),
	    cmocka_unit_test_setup_teardown(test_rights_follow_the_table, scene_make, scene_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
