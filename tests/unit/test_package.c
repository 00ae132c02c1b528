/* What is in a package, read back by 7-Zip. */
#include "core_fixture.h"

#include "core/package.h"
#include "core/password.h"
#include "x509/pem.h"

#include <jansson.h>

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"
#define KEY "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"

static const uint8_t leaf[] = {0x30, 3, 2, 1, 0};

/* Build a package of OWNER and give back its file NAME. */
static char *
file_of(struct fixture *f, const struct credential_owner *owner, const char *name)
{
	char password[PASSWORD_SIZE], path[FS_PATH_MAX], command[2 * FS_PATH_MAX], *text = calloc(1, 65536);
	struct secret key = {0};
	struct buf archive = {0};
	struct err err = {0};
	const struct store_certificate row = {.der = (uint8_t *)leaf, .der_len = sizeof leaf, .profile = "short",
	    .not_before = 1000000, .not_after = 1000000 + 100000};
	FILE *pipe;

	assert_non_null(text);
	assert_ok(password_make(password, &err));
	assert_ok(secret_alloc(&key, strlen(KEY), &err));
	memcpy(key.data, KEY, strlen(KEY));
	assert_ok(package_build(f->core, owner, &key, &row, password, &archive, &err));
	assert_null(memmem(archive.data, archive.len, "MIGH", 4));
	assert_ok(fs_path(path, f->home.base, "package.zip", &err));
	assert_ok(fs_write(path, 0600, (gid_t)-1, archive.data, archive.len, &err));
	(void)snprintf(command, sizeof command, "7z x -so -p%s %s %s 2>/dev/null", password, path, name);
	pipe = popen(command, "re"); /* our own words */
	assert_non_null(pipe);
	(void)!fread(text, 1, 65535, pipe);
	assert_int_equal(pclose(pipe), 0);
	secret_clear(&key);
	buf_clear(&archive);
	return text;
}

static void
test_files(void **state)
{
	struct fixture *f = *state;
	const struct credential_owner owner = {OWNER_DEVICE, ID, "n", STORE_TENANT_DEFAULT, "[]", "[]"};
	struct buf expected = {0};
	char *text;

	text = file_of(f, &owner, "device.key");
	assert_string_equal(text, KEY);
	free(text);
	text = file_of(f, &owner, "ca.crt");
	assert_string_equal(text, buf_str(&f->core->roots.pem));
	free(text);
	text = file_of(f, &owner, "device.crt");
	pem_encode(&expected, "CERTIFICATE", leaf, sizeof leaf);
	buf_text(&expected, buf_str(&f->core->issuing_pems[0]));
	assert_string_equal(text, buf_str(&expected));
	free(text);
	text = file_of(f, &owner, "README.txt");
	assert_non_null(strstr(text, ID));
	free(text);
	buf_clear(&expected);
}

/* A program finds the broker, whichever way it is written, and its topics. */
static void
test_json(void **state)
{
	static const struct {
		const char *public_host, *host;
		int port;
	} brokers[] = {
	    {"broker.example:1884", "broker.example", 1884},
	    {"broker.example", "broker.example", 8883},
	    {"192.0.2.1:8883", "192.0.2.1", 8883},
	    {"[2001:db8::1]:18883", "2001:db8::1", 18883},
	};
	struct fixture *f = *state;
	/* B1, B5: a name is text, whatever is in it */
	const struct credential_owner owner = {OWNER_SERVICE, ID, "\"},{\"x\":\\ </script> K\xc3\xb6ln",
	    STORE_TENANT_DEFAULT, "[\"a/b\"]", "[\"c/#\",\"d\"]"};
	const char *id, *name, *kind, *host, *client, *renew_at;
	json_t *json, *publish, *subscribe;
	size_t i;
	char *text;
	int port;

	for (i = 0; i < sizeof brokers / sizeof brokers[0]; i++) {
		(void)snprintf(fixture_config(f->core)->settings.broker_public_host, CONF_TEXT_SIZE, "%s", brokers[i].public_host);
		text = file_of(f, &owner, "device.json");
		json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		assert_int_equal(json_unpack(json, "{s:s, s:s, s:s, s:{s:s, s:i !}, s:s, s:o, s:o, s:s !}", "id", &id, "name",
				     &name, "kind", &kind, "broker", "host", &host, "port", &port, "client_id", &client,
				     "publish", &publish, "subscribe", &subscribe, "renew_at", &renew_at),
		    0);
		assert_string_equal(renew_at, "1970-01-13T08:06:40Z"); /* at 66% */
		assert_string_equal(id, ID);
		assert_string_equal(client, ID);
		assert_string_equal(kind, "service");
		assert_string_equal(name, owner.name);
		assert_string_equal(host, brokers[i].host);
		assert_int_equal(port, brokers[i].port);
		assert_int_equal(json_array_size(publish), 1);
		assert_string_equal(json_string_value(json_array_get(subscribe, 0)), "c/#");
		json_decref(json);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
