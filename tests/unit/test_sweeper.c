/* E9: what is delivered leaves no copy behind, in any file of the database. */
#include "core_fixture.h"

#include "core/link.h"

#define SECONDS_MAX 4 /* promised: "within a second or two" */

/* Is NEEDLE in a file of the database? */
static bool
is_on_disk(struct fixture *f, const uint8_t *needle, size_t len)
{
	static const char *const files[] = {"muster.db", "muster.db-wal"};
	bool found = false;
	size_t i;

	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct buf bytes = {0};

		fixture_file(f, files[i], &bytes);
		found = found || (bytes.len > 0 && memmem(bytes.data, bytes.len, needle, len) != NULL);
		buf_clear(&bytes);
	}
	return found;
}

static bool
leaves_disk(struct fixture *f, const uint8_t *needle, size_t len)
{
	int i;

	for (i = 0; i < SECONDS_MAX * 20 && is_on_disk(f, needle, len); i++)
		(void)usleep(50000);
	return i < SECONDS_MAX * 20;
}

static void
test_a_delivered_archive_leaves_the_disk(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct store_package package;
	struct buf archive = {0};
	struct err err = {0};
	uint8_t needle[48];

	fixture_register(f, "delivered", &device, &credential);
	/* A piece that is nowhere else: encrypted bytes of the key, the first entry. */
	memcpy(needle, credential.archive.data + 100, sizeof needle);
	assert_true(is_on_disk(f, needle, sizeof needle));
	assert_ok(link_redeem(f->core, fixture_token(&credential), &(struct link_visitor){"p", NULL}, &package, &archive, &err));
	assert_memory_equal(archive.data + 100, needle, sizeof needle);
	assert_true(leaves_disk(f, needle, sizeof needle));
	buf_clear(&archive);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
test_a_withdrawn_archive_leaves_the_disk(void **state)
{
	struct fixture *f = *state;
	struct store_device device, gone = {0};
	struct credential credential;
	struct err err = {0};
	uint8_t needle[48];

	fixture_register(f, "withdrawn", &device, &credential);
	memcpy(needle, credential.archive.data + 100, sizeof needle);
	assert_true(is_on_disk(f, needle, sizeof needle));
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &gone, &err));
	assert_true(leaves_disk(f, needle, sizeof needle));
	store_device_clear(&gone);
	store_device_clear(&device);
	credential_clear(&credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_delivered_archive_leaves_the_disk),
	    cmocka_unit_test(test_a_withdrawn_archive_leaves_the_disk),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
