#include "check.h"

#include "core/check.h"
#include "core/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"

static void
test_names(void **state)
{
	static const char *const bad[] = {"a\nb", "\t", "\x1b[1m", "\xe2\x80\xae", "\xff", "\xc0\xaf", "a\x7f"};
	char longest[4 * STORE_NAME_CHARS + 5] = "";
	struct err err = {0};
	size_t i;

	(void)state;
	/* 64 characters of four bytes each fit; one more does not, however short. B4 */
	for (i = 0; i < STORE_NAME_CHARS; i++)
		memcpy(longest + 4 * i, "\xf0\x9f\x94\xa7", 5);
	assert_ok(check_name("name", longest, false, &err));
	assert_true(strlen(longest) < STORE_NAME_SIZE);
	memcpy(longest + 4 * i, "x", 2);
	assert_int_equal(check_name("name", longest, false, &err), E_INPUT);
	assert_string_equal(err.field, "name");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(check_name("name", bad[i], true, &err), E_INPUT); /* B1, B7 */
	assert_ok(check_name("location", NULL, true, &err));
	assert_ok(check_name("location", "", true, &err));
	assert_int_equal(check_name("name", NULL, false, &err), E_INPUT);
	assert_int_equal(check_name("name", "", false, &err), E_INPUT);
}

static void
test_words(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a b", "a/b", "+", "#", "$SYS", "%u", "a\n", "\xc3\xa4"};
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(check_word("type", "pump-2.b_C", &err));
	assert_int_equal(check_word("type", NULL, &err), E_INPUT);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) { /* B2, B3 */
		assert_int_equal(check_word("type", bad[i], &err), E_INPUT);
		assert_string_equal(err.field, "type");
	}
}

static void
test_labels(void **state)
{
	static const char *const bad[] = {"", "null", "[]", "\"a\"", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}",
	    "{\"a\":\"x\",\"a\":\"y\"}", "{\"a b\":\"x\"}", "{\"\":\"x\"}", "{\"a\":\"\\n\"}", "{\"a\":\"\\u0000\"}",
	    "{\"a\":\"\\u202e\"}", "{\"a\":\"x\"", "{\"a\":\"x\"} {}"};
	char largest[DEVICE_LABELS_MAX + 2];
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(check_labels(NULL, &err));
	assert_ok(check_labels("{}", &err));
	assert_ok(check_labels("{\"site\":\"K\xc3\xb6ln\",\"rack\":\"\"}", &err));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(check_labels(bad[i], &err), E_INPUT);
		assert_string_equal(err.field, "labels");
	}
	(void)snprintf(largest, sizeof largest, "{\"a\":\"%*s\"}", DEVICE_LABELS_MAX - 8, "x");
	assert_int_equal(strlen(largest), DEVICE_LABELS_MAX);
	assert_ok(check_labels(largest, &err));
	(void)snprintf(largest, sizeof largest, "{\"a\":\"%*s\"}", DEVICE_LABELS_MAX - 7, "x");
	assert_int_equal(check_labels(largest, &err), E_INPUT);
}

/* An id that cannot be is simply not there: no other answer tells more. */
static void
test_ids(void **state)
{
	static const char *const bad[] = {"", "1", "../" ID, ID " ", "6FA459EA-EE8A-4CA4-894E-DB77E160355E",
	    "6fa459ea-ee8a-4ca4-894e-db77e160355", "' OR 1=1 --"};
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(check_id("device", ID, &err));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(check_id("device", bad[i], &err), E_NOTFOUND);
}

static int
open_core(void **state)
{
	struct core *core = calloc(1, sizeof *core);
	struct config *config = calloc(1, sizeof *config);

	*state = core;
	if (core == NULL || config == NULL)
		return -1;
	atomic_store(&core->config, config);
	(void)snprintf(config->settings.api_public_url, CONF_TEXT_SIZE, "https://muster.example:8443");
	(void)snprintf(config->settings.pki_public_url, CONF_TEXT_SIZE, "http://192.0.2.7");
	(void)snprintf(config->settings.broker_public_host, CONF_TEXT_SIZE, "[2001:db8::1]:8883");
	return 0;
}

static int
close_core(void **state)
{
	struct core *core = *state;

	free(atomic_load(&core->config));
	free(core);
	return 0;
}

static void
test_names_of_a_certificate(void **state)
{
	static const char *const good[] = {("DNS:" ID), "DNS:DEVICE.example", "DNS:notmuster.example",
	    "DNS:muster.example.org", "IP:192.0.2.8", "IP:2001:db8::2", "URI:https://muster.example:8443/"};
	static const char *const bad[] = {
	    /* D3: another device's */
	    "DNS:00000000-0000-4000-8000-000000000000", "DNS:00000000-0000-4000-8000-00000000000A",
	    /* Muster's or its broker's own, in every way to write them */
	    "DNS:muster.example", "DNS:MUSTER.Example", "IP:192.0.2.7", "IP:2001:db8::1", "IP:2001:DB8::1",
	    "IP:2001:db8:0:0:0:0:0:1", "IP:2001:0db8::0001",
	    /* no names at all */
	    "", "muster", "DNS:", "DNS:*.example", "DNS:a..b", "EMAIL:a@example", "dns:device.example", "IP:1",
	    "URI:relative"};
	struct core *core = *state;
	const char *sans[CERT_SANS_MAX + 1];
	struct err err = {0};
	size_t i;

	assert_ok(check_sans(core, ID, false, NULL, 0, &err));
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_ok(check_sans(core, ID, false, &good[i], 1, &err));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		sans[0] = "DNS:device.example";
		sans[1] = bad[i];
		if (check_sans(core, ID, false, sans, 2, &err) != E_INPUT)
			fail_msg("%s is taken", bad[i]);
		assert_string_equal(err.field, "san[1]");
	}
	for (i = 0; i <= CERT_SANS_MAX; i++)
		sans[i] = good[1];
	assert_ok(check_sans(core, ID, false, sans, CERT_SANS_MAX, &err));
	assert_int_equal(check_sans(core, ID, false, sans, CERT_SANS_MAX + 1, &err), E_INPUT); /* D8 */
	assert_string_equal(err.field, "san");
}

/* Several brokers are reached under one name; none of them gets another name of the server's. */
static void
test_names_of_a_broker(void **state)
{
	static const char *const good[] = {"DNS:hall-2.example", "IP:2001:db8::1"}, *const bad[] = {"DNS:muster.example", "IP:192.0.2.7"};
	struct core *core = *state;
	struct err err = {0};

	assert_ok(check_sans(core, ID, true, good, 2, &err));
	assert_int_equal(check_sans(core, ID, true, &bad[0], 1, &err), E_INPUT);
	assert_int_equal(check_sans(core, ID, true, &bad[1], 1, &err), E_INPUT);
	/* The server's own, where it is the brokers', too. */
	(void)snprintf(atomic_load(&core->config)->settings.broker_public_host, CONF_TEXT_SIZE, "muster.example:8883");
	assert_ok(check_sans(core, ID, true, bad, 1, &err));
	assert_int_equal(check_sans(core, ID, false, bad, 1, &err), E_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_labels),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test_setup_teardown(test_names_of_a_certificate, open_core, close_core),
	    cmocka_unit_test_setup_teardown(test_names_of_a_broker, open_core, close_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
