/* The core's figures: each moves by what was done, and by nothing else. */
#include "core_fixture.h"

#include "core/metrics.h"

/* The value of LINE ("name{labels}") on the page of CORE; -1 if it is not there. */
static long long
value_of(struct core *core, const char *line)
{
	struct buf page = {0};
	long long value = -1;
	const char *at;
	char begin[256];

	(void)snprintf(begin, sizeof begin, "\n%s ", line);
	metrics_write(core, &page);
	assert_false(buf_failed(&page));
	if ((at = strstr(buf_str(&page), begin)) != NULL)
		value = atoll(at + strlen(begin));
	buf_clear(&page);
	return value;
}

#define ISSUED "muster_certificates_issued_total{owner=\"device\",profile=\"constrained\",key=\"ec-p256\"}"
#define REVOKED(reason) "muster_certificates_revoked_total{reason=\"" reason "\"}"

static void
test_issued_and_revoked(void **state)
{
	struct fixture *f = *state;
	struct credential credential;
	struct store_device device;
	struct err err = {0};

	assert_int_equal(value_of(f->core, ISSUED), -1);
	fixture_register(f, "first", &device, &credential);
	credential_clear(&credential);
	assert_int_equal(value_of(f->core, ISSUED), 1);
	assert_ok(device_suspend(f->core, &f->caller, device.id, &device, &err));
	assert_int_equal(value_of(f->core, REVOKED("certificateHold")), 1);
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &device, &err));
	store_device_clear(&device);
	assert_int_equal(value_of(f->core, REVOKED("keyCompromise")), 1);
	assert_int_equal(value_of(f->core, REVOKED("superseded")), 0);
	assert_int_equal(value_of(f->core, ISSUED), 1);
	assert_int_equal(value_of(f->core, "muster_certificates_abandoned_total"), 0);
}

/* What was signed for nothing is counted as both. */
static void
test_abandoned(void **state)
{
	struct fixture *f = *state;
	struct credential_request request = {.key = "ec-p256"};
	struct credential_owner owner = {OWNER_DEVICE, "00000000-0000-4000-8000-000000000001", "x", STORE_TENANT_DEFAULT, "[]", "[]"};
	struct credential credential = {0};
	struct err err = {0};

	assert_ok(credential_make(f->core, &owner, &request, &credential, &err));
	credential_abandon(f->core, &owner, &credential);
	credential_clear(&credential);
	assert_int_equal(value_of(f->core, ISSUED), 1);
	assert_int_equal(value_of(f->core, "muster_certificates_abandoned_total"), 1);
}

/* However many kinds there are, the table does not grow. */
static void
test_the_table_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct store_certificate row = {.owner_kind = OWNER_SERVICE, .key = "rsa-2048"};
	size_t i;

	for (i = 0; i < METRICS_ISSUED_MAX + 5; i++) {
		(void)snprintf(row.profile, sizeof row.profile, "p%zu", i);
		metrics_issued(f->core->metrics, &row);
	}
	assert_int_equal(
	    value_of(f->core, "muster_certificates_issued_total{owner=\"service\",profile=\"p0\",key=\"rsa-2048\"}"), 1);
	assert_int_equal(
	    value_of(f->core, "muster_certificates_issued_total{owner=\"other\",profile=\"other\",key=\"other\"}"), 5);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_issued_and_revoked),
	    TEST(test_abandoned),
	    TEST(test_the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
