/* The plugin's lines of mosquitto.conf. */
#include "check.h"

#include "plugin/options.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <string.h>

#define N 5	 /* that are needed */
#define ALL 7
#define OPT(key, value)                                                                            \
	{                                                                                          \
		(char *)(key), (char *)(value)                                                     \
	} /* which nobody writes to */

static struct mosquitto_opt good[ALL] = {
    OPT("url", "https://localhost:8443"),
    OPT("cafile", "/etc/passwd"),
    OPT("certfile", "/etc/passwd"),
    OPT("keyfile", "/etc/passwd"),
    OPT("snapshot", "/tmp/table"),
    OPT("max_stale", "2h"),
    OPT("reports", "16"),
};

static void
test_good(void **state)
{
	struct options o = {0};
	struct err err = {0};

	(void)state;
	assert_ok(options_read(&o, good, N, &err));
	assert_string_equal(o.url, "https://localhost:8443");
	assert_string_equal(o.snapshot, "/tmp/table");
	assert_int_equal(o.max_stale, 86400);
	assert_int_equal(o.reports, 10000);
	assert_ok(options_read(&o, good, ALL, &err));
	assert_int_equal(o.max_stale, 7200);
	assert_int_equal(o.reports, 16);
}

static void
refused(const struct mosquitto_opt *opts, int n, const char *name)
{
	struct options o;
	struct err err = {0};
	char line[64];

	assert_int_equal(options_read(&o, opts, n, &err), E_INPUT);
	(void)snprintf(line, sizeof line, "plugin_opt_%s", name);
	if (strstr(err.text, line) == NULL)
		fail_msg("%s does not name %s", err.text, line);
}

static void
test_each_is_needed(void **state)
{
	struct mosquitto_opt opts[N];
	int i, k, n;

	(void)state;
	for (i = 0; i < N; i++) {
		for (k = n = 0; k < N; k++)
			if (k != i)
				opts[n++] = good[k];
		refused(opts, n, good[i].key);
	}
	refused(NULL, 0, "url");
}

static void
test_bad_values(void **state)
{
	static struct mosquitto_opt bad[] = {
	    OPT("url", ""),
	    OPT("url", NULL),
	    OPT("url", "http://localhost:8443"),
	    OPT("url", "https://"),
	    OPT("url", "https://localhost:8443/v1"),
	    OPT("url", "https://u@localhost"),
	    OPT("url", "https://localhost?x"),
	    OPT("cafile", "passwd"),
	    OPT("cafile", "/nonexistent/ca.crt"),
	    OPT("certfile", "/nonexistent"),
	    OPT("keyfile", "/nonexistent"),
	    OPT("snapshot", "table"),
	    OPT("snapshot", "/tmp/"),
	    OPT("snapshot", "/nonexistent/table"),
	    OPT("max_stale", "24"),
	    OPT("max_stale", "-1h"),
	    OPT("max_stale", "1s"),
	    OPT("max_stale", "9999d"),
	    OPT("max_stale", ""),
	    OPT("reports", "0"),
	    OPT("reports", "1000001"),
	    OPT("reports", "many"),
	};
	struct mosquitto_opt opts[ALL];
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		for (k = 0; k < ALL; k++)
			opts[k] = strcmp(good[k].key, bad[i].key) == 0 ? bad[i] : good[k];
		refused(opts, ALL, bad[i].key);
	}
}

static void
test_unknown_and_twice(void **state)
{
	struct mosquitto_opt opts[N + 1];

	(void)state;
	memcpy(opts, good, sizeof opts);
	opts[N] = (struct mosquitto_opt)OPT("verify", "off");
	refused(opts, N + 1, "verify");
	opts[N] = good[2];
	refused(opts, N + 1, "certfile");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_each_is_needed),
	    cmocka_unit_test(test_bad_values),
	    cmocka_unit_test(test_unknown_and_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
