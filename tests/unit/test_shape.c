/* Each shape as text: what clients rely on is members, types and what stands where there is nothing. */
#include "check.h"

#include "http/shape.h"

#include <stdlib.h>
#include <string.h>

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"

/* VALUE, whose reference is taken, is EXPECTED, in that order of members. */
static void
assert_json(json_t *value, const char *expected)
{
	char *text;

	assert_non_null(value);
	text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(text, expected);
	free(text);
	json_decref(value);
}

static void
test_devices(void **state)
{
	struct store_device row = {.id = ID, .name = "P \"1\"", .type = "pump", .status = DEVICE_ACTIVE,
	    .policy = "default", .created_at = 0, .updated_at = 4102444800};
	char labels[] = "{\"site\":\"A\"}", broken[] = "{";

	(void)state;
	assert_json(shape_device(&row),
	    "{\"id\":\"" ID "\",\"name\":\"P \\\"1\\\"\",\"type\":\"pump\",\"location\":null,\"labels\":{},"
	    "\"status\":\"active\",\"policy\":\"default\",\"created_at\":\"1970-01-01T00:00:00Z\","
	    "\"updated_at\":\"2100-01-01T00:00:00Z\",\"last_seen_at\":null}");
	row.labels = labels;
	memcpy(row.location, "Hall", 5);
	row.last_seen = 60;
	row.status = DEVICE_REVOKED;
	assert_json(shape_device(&row),
	    "{\"id\":\"" ID "\",\"name\":\"P \\\"1\\\"\",\"type\":\"pump\",\"location\":\"Hall\","
	    "\"labels\":{\"site\":\"A\"},\"status\":\"revoked\",\"policy\":\"default\","
	    "\"created_at\":\"1970-01-01T00:00:00Z\",\"updated_at\":\"2100-01-01T00:00:00Z\","
	    "\"last_seen_at\":\"1970-01-01T00:01:00Z\"}");
	row.labels = broken; /* damage is an error, not a device without labels */
	assert_null(shape_device(&row));
}

static void
test_services_and_policies(void **state)
{
	char read[] = "[\"a/#\"]", write[] = "[]";
	const struct store_service service = {.id = ID, .name = "grafana", .read = read, .write = write,
	    .status = DEVICE_ACTIVE};
	const struct store_policy policy = {.name = "lab", .read = read, .write = write, .sessions = 2};

	(void)state;
	assert_json(shape_service(&service),
	    "{\"id\":\"" ID "\",\"name\":\"grafana\",\"read\":[\"a/#\"],\"write\":[],\"status\":\"active\","
	    "\"created_at\":\"1970-01-01T00:00:00Z\",\"updated_at\":\"1970-01-01T00:00:00Z\"}");
	assert_json(shape_policy(&policy),
	    "{\"name\":\"lab\",\"write\":[],\"read\":[\"a/#\"],\"sessions\":2,\"updated_at\":\"1970-01-01T00:00:00Z\"}");
}

static struct store_certificate
certificate(void)
{
	static uint8_t der[] = {0x30, 0x00};
	struct store_certificate row = {.owner_kind = OWNER_SERVICE, .owner_id = ID, .key = "ec-p256",
	    .profile = "short", .not_after = 86400, .der = der, .der_len = sizeof der};

	memset(row.serial, 0x1a, sizeof row.serial);
	memset(row.fingerprint, 0xfb, sizeof row.fingerprint);
	return row;
}

#define HEX20 "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
#define HEX32 "fbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb"
#define FACTS \
	"\"serial\":\"" HEX20 "\",\"fingerprint\":\"" HEX32 "\",\"key\":\"ec-p256\"," \
	"\"not_before\":\"1970-01-01T00:00:00Z\",\"not_after\":\"1970-01-02T00:00:00Z\""
#define PEM "-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----\\n"

static void
test_certificates(void **state)
{
	struct store_certificate row = certificate();

	(void)state;
	row.reason = 1; /* of no meaning while it is active */
	assert_json(shape_certificate(&row, true),
	    "{" FACTS ",\"profile\":\"short\",\"owner\":{\"kind\":\"service\",\"id\":\"" ID "\"},\"state\":\"active\","
	    "\"reason\":null,\"revoked_at\":null,\"superseded_by\":null,\"pem\":\"" PEM "\"}");
	row.state = CERTIFICATE_REVOKED;
	row.reason = 4;
	row.revoked_at = 3600;
	row.superseded = true;
	memset(row.superseded_by, 0x1a, sizeof row.superseded_by);
	assert_json(shape_certificate(&row, false),
	    "{" FACTS ",\"profile\":\"short\",\"owner\":{\"kind\":\"service\",\"id\":\"" ID "\"},\"state\":\"revoked\","
	    "\"reason\":\"superseded\",\"revoked_at\":\"1970-01-01T01:00:00Z\",\"superseded_by\":\"" HEX20 "\"}");
}

/* The one place where a password is shown; and none where there is no package. */
static void
test_what_was_issued(void **state)
{
	struct credential credential = {.certificate = certificate(), .has_package = true, .url = "https://h/d/t",
	    .expires_at = 60, .password = "secret"};

	(void)state;
	assert_json(shape_issued_take(json_pack("{s:s}", "id", "x"), &credential, "CHAIN"),
	    "{\"id\":\"x\",\"certificate\":{" FACTS ",\"pem\":\"" PEM "\",\"chain_pem\":\"CHAIN\"},"
	    "\"package\":{\"url\":\"https://h/d/t\",\"expires_at\":\"1970-01-01T00:01:00Z\",\"password\":\"secret\"}}");
	credential.has_package = false;
	assert_json(shape_issued_take(json_object(), &credential, ""),
	    "{\"certificate\":{" FACTS ",\"pem\":\"" PEM "\",\"chain_pem\":\"\"},\"package\":null}");
	assert_null(shape_issued_take(NULL, &credential, ""));
}

static void
test_profiles(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {{365 * 86400, "365d"}, {86400, "1d"}, {8 * 3600, "8h"}, {90 * 60, "90m"}, {61, "61s"}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct profile profile = {
		    .name = "x", .keys = {KEY_EC_P256, KEY_RSA_2048}, .n_keys = 2, .validity_s = cases[i].seconds};
		json_t *shape = shape_profile(&profile), *keys = json_object_get(shape, "keys");
		char *text = json_dumps(shape, JSON_COMPACT);

		assert_non_null(shape);
		assert_int_equal(json_array_size(keys), 2);
		assert_string_equal(json_string_value(json_array_get(keys, 1)), "rsa-2048");
		assert_non_null(strstr(text, cases[i].text));
		assert_true(json_is_null(json_object_get(shape, "org")));
		free(text);
		json_decref(shape);
	}
}

static void
test_limits(void **state)
{
	const struct ratelimit_state quiet = {.rates.per_min = {600}}, busy = {.rates.per_min = {1, 4, 5, 6, 7, 2}, .refused = 3};

	(void)state;
	assert_json(shape_limit("links", &quiet, 0),
	    "{\"name\":\"links\",\"per_min\":600,\"operator_per_min\":0,\"tenant_per_min\":0,\"token_per_min\":0,"
	    "\"device_per_min\":0,\"all_per_min\":0,\"refused\":0,\"last_refused_at\":null}");
	assert_json(shape_limit("links", &busy, 60),
	    "{\"name\":\"links\",\"per_min\":1,\"operator_per_min\":4,\"tenant_per_min\":5,\"token_per_min\":6,"
	    "\"device_per_min\":7,\"all_per_min\":2,\"refused\":3,"
	    "\"last_refused_at\":\"1970-01-01T00:01:00Z\"}");
}

/* A detail that is damaged does not hide the row. H6 */
static void
test_audit(void **state)
{
	struct store_audit row = {.seq = 1LL << 60, .actor = "uid:0", .action = "a", .target = "", .detail = ""};

	(void)state;
	memset(row.hash, 0xfb, sizeof row.hash);
	assert_json(shape_audit(&row),
	    "{\"seq\":1152921504606846976,\"at\":\"1970-01-01T00:00:00Z\",\"actor\":\"uid:0\",\"action\":\"a\","
	    "\"target\":null,\"detail\":{},\"hash\":\"" HEX32 "\"}");
	row.detail = "{\"n\":";
	row.target = "device:x";
	assert_json(shape_audit(&row),
	    "{\"seq\":1152921504606846976,\"at\":\"1970-01-01T00:00:00Z\",\"actor\":\"uid:0\",\"action\":\"a\","
	    "\"target\":\"device:x\",\"detail\":null,\"hash\":\"" HEX32 "\"}");
}

static void
test_pages(void **state)
{
	(void)state;
	assert_json(shape_page_take(json_array(), ""), "{\"items\":[],\"next\":null}");
	assert_json(shape_page_take(json_array(), "abc"), "{\"items\":[],\"next\":\"abc\"}");
	assert_null(shape_page_take(NULL, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_devices),
	    cmocka_unit_test(test_services_and_policies),
	    cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_what_was_issued),
	    cmocka_unit_test(test_profiles),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_audit),
	    cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
