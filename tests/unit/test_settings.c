#include "check.h"

#include "base/fs.h"
#include "core/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Load TEXT as DIR/muster.conf. */
static int
load(const char *text, struct settings *out, struct err *err)
{
	char dir[] = "/tmp/muster-test-XXXXXX", path[FS_PATH_MAX];
	int rc;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(fs_path(path, dir, "muster.conf", err), 0);
	assert_int_equal(fs_write(path, 0600, (gid_t)-1, text, strlen(text), err), 0);
	rc = settings_load(dir, out, err);
	(void)unlink(path);
	(void)rmdir(dir);
	return rc;
}

static void
test_what_is_printed_is_understood(void **state)
{
	struct settings before, after;
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	settings_defaults(&before);
	before.keypool_rsa_2048 = 7;
	(void)snprintf(before.api_trusted_proxies, sizeof before.api_trusted_proxies, "10.0.0.0/8, ::1");
	assert_ok(address_ranges_parse(before.api_trusted_proxies, before.trusted_proxies, SETTINGS_PROXIES_MAX,
	    &before.n_trusted_proxies, &err));
	(void)snprintf(before.api_listen, sizeof before.api_listen, "[::1]:0");
	settings_print(&text, &before);
	assert_ok(load(buf_str(&text), &after, &err));
	assert_memory_equal(&before, &after, sizeof before);
	buf_clear(&text);
}

static void
test_absent_keys_have_defaults(void **state)
{
	struct settings defaults, read;
	struct err err = {0};

	(void)state;
	settings_defaults(&defaults);
	assert_ok(load("", &read, &err));
	assert_memory_equal(&defaults, &read, sizeof read);
	assert_string_equal(read.api_listen, "127.0.0.1:8443");
	assert_true(read.sandbox);
	assert_int_equal(read.crl_validity_s, 7 * 86400);
	assert_string_equal(read.broker_mode, "plugin");
}

static void
test_bad_values_name_the_key(void **state)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
	    {"[api]\nlisten = nowhere\n", "api.listen"},
	    {"[api]\nlisten = 127.0.0.1:65536\n", "api.listen"},
	    {"[api]\npublic_url = http://plain\n", "api.public_url"},
	    {"[api]\npublic_url = https://host/\n", "api.public_url"},
	    {"[pki]\npublic_url = https://tls\n", "pki.public_url"},
	    {"[pki]\ncrl_validity = 1d\ncrl_renew = 13h\n", "pki.crl_renew"},
	    {"[limits]\nbody_bytes = 12\n", "limits.body_bytes"},
	    {"[limits]\nbody_bytes = many\n", "limits.body_bytes"},
	    {"[limits]\nnonsense = 1\n", "limits.nonsense"},
	    {"[limits]\nlinks_per_min = -1\n", "limits.links_per_min"},
	    {"[api]\ntrusted_proxies = proxy.example.org\n", "api.trusted_proxies"},
	    {"[api]\ntrusted_proxies = 10.0.0.1/8\n", "api.trusted_proxies"},
	    {"[nonsense]\nx = 1\n", "nonsense"},
	    {"[broker]\nmode = magic\n", "broker.mode"},
	    {"[metrics]\nlisten = localhost\n", "metrics.listen"},
	    {"[server]\nsandbox = maybe\n", "server.sandbox"},
	};
	struct settings out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};

		assert_int_equal(load(cases[i].text, &out, &err), E_INPUT);
		assert_string_equal(err.field, cases[i].field);
	}
}

static void
test_no_home_says_what_to_do(void **state)
{
	struct settings out;
	struct err err = {0};

	(void)state;
	assert_int_equal(settings_load("/nonexistent/home", &out, &err), E_NOTFOUND);
	assert_non_null(strstr(err.text, "init"));
}

static void
test_addresses(void **state)
{
	struct err err = {0};
	char host[64];
	uint16_t port;

	(void)state;
	assert_ok(settings_split_listen("[2001:db8::1]:8443", host, &port, &err));
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(port, 8443);
	assert_int_equal(settings_split_listen("8443", host, &port, &err), E_INPUT);
	assert_int_equal(settings_split_listen(":8443", host, &port, &err), E_INPUT);
	assert_int_equal(settings_split_listen("a:", host, &port, &err), E_INPUT);
	assert_int_equal(settings_split_listen("a:-1", host, &port, &err), E_INPUT);
}

/* What a running server takes over from a new file, and what waits for the next start. */
static void
test_only_a_start_changes_some(void **state)
{
	struct settings old, new;
	struct buf names = {0};

	(void)state;
	settings_defaults(&old);
	settings_defaults(&new);
	settings_keep(&old, &new, &names);
	assert_int_equal(names.len, 0);
	(void)snprintf(new.api_listen, sizeof new.api_listen, "127.0.0.1:1");
	(void)snprintf(new.api_public_url, sizeof new.api_public_url, "https://other.example");
	new.sandbox = !old.sandbox;
	new.workers = 4;
	new.body_bytes = 2048;
	new.crl_renew_s = 61;
	new.n_trusted_proxies = 1;
	settings_keep(&old, &new, &names);
	assert_string_equal(buf_str(&names), "server.sandbox, server.workers, api.listen");
	assert_string_equal(new.api_listen, old.api_listen);
	assert_int_equal(new.sandbox, old.sandbox);
	assert_int_equal(new.workers, old.workers);
	assert_int_equal(new.n_trusted_proxies, 0);
	assert_string_equal(new.api_public_url, "https://other.example");
	assert_int_equal(new.body_bytes, 2048);
	assert_int_equal(new.crl_renew_s, 61);
	buf_clear(&names);
}

static void
test_hosts(void **state)
{
	static const char *const cases[][2] = {{"https://muster.example.org:8443", "muster.example.org"},
	    {"http://localhost", "localhost"}, {"https://host/path", "host"}, {"host:8883", "host"}, {"host", "host"},
	    {"[::1]:8080", "::1"}, {"https://[2001:db8::1]:8443/x", "2001:db8::1"}, {"", ""}};
	char host[64], tight[4];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		settings_host(host, sizeof host, cases[i][0]);
		assert_string_equal(host, cases[i][1]);
	}
	settings_host(tight, sizeof tight, "https://example");
	assert_string_equal(tight, "exa");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_what_is_printed_is_understood),
	    cmocka_unit_test(test_absent_keys_have_defaults),
	    cmocka_unit_test(test_bad_values_name_the_key),
	    cmocka_unit_test(test_no_home_says_what_to_do),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_only_a_start_changes_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
