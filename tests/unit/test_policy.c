/* What a policy may say, and what it then allows: held against libmosquitto, which nobody here
 * wrote. */
#include "check.h"

#include "authz/policy.h"
#include "base/err.h"

#include <mosquitto.h>
#include <stdio.h>
#include <string.h>

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define OTHER "5d0c9a52-8a43-4a5e-8f0e-7f4b1b6a2c11"

static const struct policy_subject subject = {.id = ID, .tenant = "default", .type = "meter.v2"};

/* xorshift64: the same pairs at every run. */
static uint32_t
chance(uint32_t n)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 33) % n;
}

static void
random_levels(char *out, const char *const *alphabet, uint32_t n)
{
	uint32_t levels = 1 + chance(5), i;

	out[0] = '\0';
	for (i = 0; i < levels; i++) {
		if (i > 0)
			strcat(out, "/");
		strcat(out, alphabet[chance(n)]);
	}
}

/* libmosquitto calls what is malformed an error; for us it is no match. */
static bool
oracle_matches(const char *filter, const char *topic)
{
	bool result = false;

	return mosquitto_topic_matches_sub(filter, topic, &result) == MOSQ_ERR_SUCCESS && result;
}

static void
test_matches_as_mosquitto(void **state)
{
	static const char *const levels[] = {
	    "a", "a", "b", "ab", "", "+", "+", "+", "#", "$SYS", "$", "a+", "#a"};
	static const char *const names[] = {
	    "a", "a", "a", "b", "ab", "", "$SYS", "$", "+", "#", "a#"};
	unsigned matched = 0, compared = 0;
	char filter[64], topic[64];

	(void)state;
	while (compared < 1000000) {
		bool ours, theirs;

		random_levels(filter, levels, sizeof levels / sizeof levels[0]);
		random_levels(topic, names, sizeof names / sizeof names[0]);
		/* libmosquitto looks at a filter as far as it needs to; we refuse it whole. */
		if (mosquitto_sub_topic_check(filter) != MOSQ_ERR_SUCCESS ||
		    mosquitto_pub_topic_check(topic) != MOSQ_ERR_SUCCESS) {
			assert_false(policy_topic_matches(filter, topic));
			continue;
		}
		ours = policy_topic_matches(filter, topic);
		theirs = oracle_matches(filter, topic);
		if (ours != theirs)
			fail_msg("'%s' on '%s': %d, libmosquitto %d", filter, topic, ours, theirs);
		matched += ours;
		compared++;
	}
	/* The alphabet is small enough that the comparison means something. */
	assert_in_range(matched, 50000, compared / 2);
}

static void
test_matches_known(void **state)
{
	static const struct {
		const char *filter, *topic;
		bool matches;
	} cases[] = {
	    {"a/#", "a", true},
	    {"a/#", "a/", true},
	    {"a/#", "ab", false},
	    {"a/+", "a", false},
	    {"a/+", "a/", true},
	    {"+/+", "/", true},
	    {"/+", "/x", true},
	    {"+", "/x", false},
	    {"#", "a/b/c", true},
	    {"#", "$SYS/x", false},
	    {"+/x", "$SYS/x", false},
	    {"$SYS/#", "$SYS/x", true},
	    {"a/$x", "a/$x", true},
	    {"a/+/#", "a/b", true},
	    {"a/+/#", "a", false},
	    {"", "", false},
	    {"#", "", false},
	    {"a", "a/b", false},
	    {"a/b", "a", false},
	    {"#/a", "x/a", false},
	    {"a#", "a#", false},
	    {"a/#", "a/#", false}, /* C1: a wildcard published to is no topic */
	    {"#", "+", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (policy_topic_matches(cases[i].filter, cases[i].topic) != cases[i].matches)
			fail_msg("'%s' on '%s'", cases[i].filter, cases[i].topic);
}

#define FILTERS_MAX 200
#define TOPICS_MAX 1000

struct words {
	char text[TOPICS_MAX][32];
	size_t n;
};

/* Every sequence of 1 to DEPTH levels of ALPHABET; `#` only last. */
static void
all_sequences(struct words *out, const char *prefix, const char *const *alphabet, int depth)
{
	const char *const *level;
	char text[32];

	for (level = alphabet; *level != NULL; level++) {
		(void)snprintf(text, sizeof text, "%s%s", prefix, *level);
		if (text[0] != '\0') {
			assert_true(out->n < TOPICS_MAX);
			memcpy(out->text[out->n++], text, sizeof text);
		}
		if (depth == 1 || strcmp(*level, "#") == 0)
			continue;
		strcat(text, "/");
		all_sequences(out, text, alphabet, depth - 1);
	}
}

/* C1: brute force. "z" stands for every level that no filter names. */
static void
test_covers_brute_force(void **state)
{
	static const char *const levels[] = {"a", "b", "", "+", "$s", "#", NULL};
	static const char *const names[] = {"a", "b", "", "$s", "z", NULL};
	static bool match[FILTERS_MAX][TOPICS_MAX];
	static struct words filters, topics;
	size_t o, i, t, n_covers = 0;

	(void)state;
	all_sequences(&filters, "", levels, 3);
	all_sequences(&topics, "", names, 4);
	assert_in_range(filters.n, 150, FILTERS_MAX);
	assert_in_range(topics.n, 700, TOPICS_MAX);
	for (o = 0; o < filters.n; o++)
		for (t = 0; t < topics.n; t++)
			match[o][t] = oracle_matches(filters.text[o], topics.text[t]);
	for (o = 0; o < filters.n; o++) {
		for (i = 0; i < filters.n; i++) {
			bool covers = true;

			for (t = 0; covers && t < topics.n; t++)
				covers = !match[i][t] || match[o][t];
			n_covers += covers;
			if (policy_filter_covers(filters.text[o], filters.text[i]) != covers)
				fail_msg("'%s' covers '%s': should be %d", filters.text[o],
				    filters.text[i], covers);
		}
	}
	assert_true(n_covers > filters.n);
}

static void
test_covers_malformed(void **state)
{
	(void)state;
	assert_false(policy_filter_covers("#", ""));
	assert_false(policy_filter_covers("", ""));
	assert_false(policy_filter_covers("#", "a/#/b"));
	assert_false(policy_filter_covers("a/#/b", "a"));
	assert_false(policy_filter_covers("a+", "a+"));
	assert_false(policy_filter_covers("#", "$share/group/a")); /* C1 */
	assert_false(policy_filter_covers("#", "$CONTROL/#"));
	assert_false(policy_filter_covers("+/#", "$SYS/#"));
}

/* C1: what the built-in policy gives one device, and nothing of another's. */
static void
test_builtin_is_own_subtree(void **state)
{
	static const char *const refused[] = {"#", "+/x", "+/#", "devices/+/telemetry",
	    "devices/" OTHER "/telemetry", "devices/" OTHER "/commands/#", "devices/#",
	    "devices/" ID, "devices/" ID "/#", "$SYS/#", "$CONTROL/dynamic-security/v1",
	    "$share/g/devices/" ID "/commands/#", "devices/" ID "/../" OTHER "/telemetry", "/"};
	char filter[POLICY_TOPIC_MAX + 1];
	struct err err = {0};
	size_t i, k;

	(void)state;
	assert_int_equal(policy_builtin_n_write, 2);
	assert_int_equal(policy_builtin_n_read, 2);
	for (i = 0; i < 4; i++) {
		const char *tmpl = i < 2 ? policy_builtin_write[i] : policy_builtin_read[i - 2];

		assert_ok(policy_template_check(tmpl, &err));
		assert_ok(policy_expand(tmpl, &subject, filter, &err));
		assert_ok(policy_filter_check(filter, &err));
		assert_true(policy_filter_covers(filter, filter));
		for (k = 0; k < sizeof refused / sizeof refused[0]; k++) {
			assert_false(policy_filter_covers(filter, refused[k]));
			assert_false(policy_topic_matches(filter, refused[k]));
		}
	}
	assert_ok(policy_expand(policy_builtin_write[0], &subject, filter, &err));
	assert_string_equal(filter, "devices/" ID "/telemetry");
	assert_ok(policy_expand(policy_builtin_write[1], &subject, filter, &err));
	assert_string_equal(filter, "devices/" ID "/control/ack");
	assert_ok(policy_expand(policy_builtin_read[0], &subject, filter, &err));
	assert_string_equal(filter, "devices/" ID "/commands/#");
	assert_true(policy_filter_covers(filter, "devices/" ID "/commands/+/x"));
	assert_ok(policy_expand(policy_builtin_read[1], &subject, filter, &err));
	assert_string_equal(filter, "devices/" ID "/control/#");
	assert_true(policy_topic_matches(filter, "devices/" ID "/control/rekey"));
}

static void
test_template_check(void **state)
{
	static const char *const good[] = {"devices/{id}/x", "{tenant}/{type}/{id}", "broadcast/#",
	    "a/+/b", "+/a", "/a", "a/", "dev-{id}-x/#", "with space/x", "\xc3\x9f/x", "a/$x",
	    "a/#"};
	static const char *const bad[] = {"", "#", "+/#", "+", "+/+", "/", "/#", "//+/#", /* C1 */
	    "$SYS/#", "$share/g/a", "$CONTROL/x", "$",	     /* C1, B2 */
	    "a\ntopic #", "a\r", "a\tb", "\x1b[2J", "a\x7f", /* B1, B7 */
	    "%c/x", "devices/%u", "100%",		     /* B2 */
	    " a", "a ", " ",				     /* B1 */
	    "a#", "a/#/b", "a+/b", "#/a", "a/b#", "++",	     /* 4.7.1 */
	    "{ID}", "{id", "id}", "{}", "{{id}}", "{id}}", "{password}", "a/{+}", "a\xff",
	    "\xc0\xaf", "\xed\xa0\x80", "a\xe2\x80\xae", "\xe2\x80\xa8"}; /* A4, B7 */
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_ok(policy_template_check(good[i], &err));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err = (struct err){0};
		if (policy_template_check(bad[i], &err) != E_INPUT || err.text[0] == '\0')
			fail_msg("accepted template %zu", i);
	}
}

static void
test_filter_check(void **state)
{
	static const char *const good[] = {"#", "+/#", "devices/+/telemetry", "a b", "/"};
	static const char *const bad[] = {"", "{id}", "a/{id}", "a}", "a{", "$SYS/#", "%c", "a\n",
	    "a\r\ntopic #", " #", "# ", "a#", "a/#/#", "\x01"}; /* B1, B2 */
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_ok(policy_filter_check(good[i], &err));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (policy_filter_check(bad[i], &err) != E_INPUT)
			fail_msg("accepted filter %zu", i);
}

static void
test_lengths(void **state)
{
	char text[POLICY_TOPIC_MAX + 2], out[POLICY_TOPIC_MAX + 1] = "untouched", long_id[66];
	struct policy_subject s = subject;
	struct err err = {0};

	(void)state;
	memset(text, 'a', sizeof text);
	text[POLICY_TOPIC_MAX] = '\0';
	assert_ok(policy_filter_check(text, &err));
	assert_ok(policy_template_check(text, &err));
	text[POLICY_TOPIC_MAX] = 'a';
	text[POLICY_TOPIC_MAX + 1] = '\0';
	assert_int_equal(policy_filter_check(text, &err), E_INPUT);
	assert_int_equal(policy_template_check(text, &err), E_INPUT);

	/* A template that fits and whose expansion does, and then one byte more. */
	memset(text, 'a', POLICY_TOPIC_MAX);
	memcpy(text + POLICY_TOPIC_MAX - 36, "{id}", 5);
	assert_ok(policy_expand(text, &subject, out, &err));
	assert_int_equal(strlen(out), POLICY_TOPIC_MAX);
	memcpy(text + POLICY_TOPIC_MAX - 36, "a{id}", 6);
	strcpy(out, "untouched");
	assert_int_equal(policy_expand(text, &subject, out, &err), E_LIMIT);
	assert_string_equal(out, "untouched");

	/* A template is taken if it fits with the longest names there may be, and not a byte more: no device can then
	 * have a topic that does not fit. */
	memset(text, 'a', POLICY_TOPIC_MAX);
	memcpy(text + POLICY_TOPIC_MAX - 36, "{id}", 5);
	assert_ok(policy_template_check(text, &err));
	memcpy(text + POLICY_TOPIC_MAX - 36, "a{id}", 6);
	assert_int_equal(policy_template_check(text, &err), E_INPUT);
	memcpy(text + POLICY_TOPIC_MAX - 128, "{type}{tenant}", 15);
	assert_ok(policy_template_check(text, &err));
	memcpy(text + POLICY_TOPIC_MAX - 128, "a{type}{tenant}", 16);
	assert_int_equal(policy_template_check(text, &err), E_INPUT);

	memset(long_id, 'x', 65);
	long_id[65] = '\0';
	s.id = long_id; /* B4 */
	assert_int_equal(policy_expand("{id}", &s, out, &err), E_INPUT);
	long_id[64] = '\0';
	assert_ok(policy_expand("{id}", &s, out, &err));
}

/* B1, B2: a value with a meaning in MQTT or in an ACL file never reaches a topic. */
static void
test_expand_refuses_values(void **state)
{
	static const char *const bad[] = {"", "+", "#", "a/b", "../x", ".", "..", "$SYS$", "%u",
	    "%c", "a b", "a\ntopic #", "a\r", "{id}", "\xc3\xa9", "a\"", "a,b"};
	char out[POLICY_TOPIC_MAX + 1] = "untouched";
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct policy_subject s = subject;

		assert_false(policy_word_is_valid(bad[i]));
		s.type = bad[i];
		assert_int_equal(policy_expand("t/{type}/x", &s, out, &err), E_INPUT);
		assert_string_equal(out, "untouched");
		assert_ok(
		    policy_expand("t/{id}", &s, out, &err)); /* a value that is not asked for */
		strcpy(out, "untouched");
		s = subject;
		s.tenant = bad[i];
		assert_int_equal(policy_expand("{tenant}", &s, out, &err), E_INPUT);
	}
	assert_int_equal(
	    policy_expand("{tenant}", &(struct policy_subject){.id = ID}, out, &err), E_INPUT);
	assert_int_equal(policy_expand("{nobody}", &subject, out, &err), E_INPUT);
	assert_ok(policy_expand("{tenant}/{type}/{id}", &subject, out, &err));
	assert_string_equal(out, "default/meter.v2/" ID);
}

/* The short way to a broker's answer is the long one's. */
static void
test_template_matches_as_its_expansion(void **state)
{
	static const char *const levels[] = {"a", "b", "", "+", "+", "+", "#", "$SYS", "{id}",
	    "{id}", "{type}", "{tenant}", "a{type}", "{type}b", "{id}{type}"};
	static const char *const names[] = {"a", "b", "", "$SYS", ID, ID, "meter.v2", "default",
	    "ameter.v2", "meter.v2b", ID "meter.v2", OTHER, "meter", "+", "#", "a+"};
	char tmpl[128], topic[256], filter[POLICY_TOPIC_MAX + 1];
	unsigned matched = 0, compared = 0;
	struct err err = {0};
	bool is, should;

	(void)state;
	while (compared < 1000000) {
		random_levels(tmpl, levels, sizeof levels / sizeof levels[0]);
		random_levels(topic, names, sizeof names / sizeof names[0]);
		assert_ok(policy_expand(tmpl, &subject, filter, &err));
		if (mosquitto_sub_topic_check(filter) != MOSQ_ERR_SUCCESS)
			continue;
		is = policy_template_matches(tmpl, &subject, topic);
		should = policy_topic_matches(filter, topic);
		if (is != should)
			fail_msg("'%s' on '%s': %d, expanded %d", tmpl, topic, is, should);
		matched += is;
		compared++;
	}
	assert_in_range(matched, 20000, compared / 2);
	assert_false(policy_template_matches("{id}", &(struct policy_subject){.id = ""}, "x"));
	assert_false(policy_template_matches("{type}", &(struct policy_subject){.id = ID}, "x"));
	assert_false(policy_template_matches("{nobody}", &subject, "{nobody}"));
	assert_false(policy_template_matches("#", &subject, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matches_as_mosquitto),
	    cmocka_unit_test(test_matches_known),
	    cmocka_unit_test(test_covers_brute_force),
	    cmocka_unit_test(test_covers_malformed),
	    cmocka_unit_test(test_builtin_is_own_subtree),
	    cmocka_unit_test(test_template_check),
	    cmocka_unit_test(test_filter_check),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_expand_refuses_values),
	    cmocka_unit_test(test_template_matches_as_its_expansion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
