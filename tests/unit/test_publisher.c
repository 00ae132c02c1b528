#include "core_fixture.h"

#include "authz/aclfile.h"
#include "core/publisher.h"
#include "x509/pem.h"

#include <sys/stat.h>

static uint64_t
crl_number(struct fixture *f, uint64_t *entries_out)
{
	struct buf der = {0};
	struct crl_info info;
	struct err err = {0};

	fixture_list(f->core, SHELF_COMPLETE, &der);
	assert_ok(crl_info_read(der.data, der.len, &fixture_config(f->core)->issuer, &info, &err));
	buf_clear(&der);
	*entries_out = info.n_entries;
	return info.number;
}

static int
publish(struct fixture *f, unsigned work, struct err *err)
{
	return publisher_wait(f->core->publisher, publisher_ask(f->core->publisher, work), work, err);
}

/* Does broker/acl name the device? */
static bool
acl_names(struct fixture *f, const char *id)
{
	struct buf acl = {0};
	bool names;

	fixture_file(f, "broker/acl", &acl);
	names = memmem(acl.data, acl.len, id, strlen(id)) != NULL;
	buf_clear(&acl);
	return names;
}

static void
revoke_stored(struct fixture *f, const struct store_device *device)
{
	struct store_device row = {0};
	struct revocation revocation;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, device->id, &row, &err));
	row.status = DEVICE_REVOKED;
	assert_ok(store_device_update(tx, &row, &err));
	assert_ok(revocation_apply(
	    tx, STORE_TENANT_DEFAULT, row.id, REASON_KEY_COMPROMISE, clock_now(), NULL, &revocation, &err));
	assert_ok(store_commit(&tx, &err));
	store_device_clear(&row);
}

/* When the wait is over, memory, crl.pem and the ACL file are all of the same state. */
static void
test_what_is_waited_for_is_out(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct buf pem = {0}, file = {0}, memory = {0};
	struct err err = {0};
	uint64_t before, after, n_before, n_after;

	fixture_register(f, "out", &device, &credential);
	before = crl_number(f, &n_before);
	revoke_stored(f, &device);
	assert_ok(publish(f, PUBLISH_CRL | PUBLISH_RIGHTS, &err));
	after = crl_number(f, &n_after);
	assert_true(after > before);
	assert_int_equal(n_after, n_before + 1);
	assert_false(acl_names(f, device.id));
	fixture_file(f, "broker/crl.pem", &pem);
	assert_ok(pem_decode(buf_str(&pem), pem.len, "X509 CRL", &file, &err));
	fixture_list(f->core, SHELF_COMPLETE, &memory);
	assert_int_equal(file.len, memory.len);
	assert_memory_equal(file.data, memory.data, file.len);
	buf_clear(&pem);
	buf_clear(&file);
	buf_clear(&memory);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* In plugin mode nobody reads the ACL file; a broker that still does finds nobody's rights in it, instead of old ones. */
static void
test_plugin_mode_leaves_no_rights_in_the_file(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct buf acl = {0};
	struct err err = {0};

	fixture_register(f, "plugin", &device, &credential);
	assert_ok(publish(f, PUBLISH_RIGHTS, &err));
	assert_true(acl_names(f, device.id));
	assert_true(text_copy(fixture_config(f->core)->settings.broker_mode, CONF_TEXT_SIZE, "plugin"));
	assert_ok(publish(f, PUBLISH_RIGHTS, &err));
	assert_false(acl_names(f, device.id));
	fixture_file(f, "broker/acl", &acl);
	assert_ok(aclfile_check(buf_str(&acl), acl.len, &err));
	buf_clear(&acl);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* A file that cannot be written: whoever waits is told, the old file stays, and it is tried until it works. C4, I2 */
static void
test_a_file_that_cannot_be_written(void **state)
{
	struct fixture *f = *state;
	char acl[FS_PATH_MAX], aside[FS_PATH_MAX];
	struct store_device device;
	struct credential credential;
	struct stat st = {0};
	struct err err = {0};
	int i;

	fixture_register(f, "late", &device, &credential);
	assert_ok(fs_path(acl, f->home.dir, "broker/acl", &err));
	assert_ok(fs_path(aside, f->home.dir, "broker/aside", &err));
	assert_int_equal(rename(acl, aside), 0);
	assert_int_equal(mkdir(acl, 0700), 0); /* nothing renames over it */
	assert_int_equal(publish(f, PUBLISH_RIGHTS, &err), E_SYS);
	assert_non_null(strstr(err.text, "not yet published"));
	assert_int_equal(rmdir(acl), 0);
	for (i = 0; i < 300 && (stat(acl, &st) != 0 || st.st_size == 0); i++)
		(void)usleep(10000);
	assert_true(acl_names(f, device.id));
	store_device_clear(&device);
	credential_clear(&credential);
}

/* A signer that is dead must not keep a stolen device alive: its rights go, though no list can be signed. */
static void
test_rights_go_without_a_signer(void **state)
{
	struct fixture *f = *state;
	struct store_device device, gone = {0};
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "stolen", &device, &credential);
	assert_ok(publish(f, PUBLISH_RIGHTS, &err));
	assert_true(acl_names(f, device.id));
	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home);
	assert_int_equal(
	    device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &gone, &err), E_BUSY);
	assert_false(acl_names(f, device.id));
	fixture_listen(&f->home);
	fixture_signer_start(&f->home);
	/* And the list follows by itself. */
	for (int i = 0; i < 300; i++) {
		uint64_t n;

		(void)crl_number(f, &n);
		if (n > 0)
			break;
		(void)usleep(10000);
		assert_true(i < 299);
	}
	store_device_clear(&gone);
	store_device_clear(&device);
	credential_clear(&credential);
}

static int
open_with_pauses(void **state)
{
	fixture_gap_ms = PUBLISHER_GAP_MS;
	return fixture_open(state);
}

/* The thread that stops does not leave anybody waiting. */
static void
test_stopping_with_work_left(void **state)
{
	struct fixture *f = *state;

	publisher_wake(f->core->publisher, PUBLISH_CRL | PUBLISH_RIGHTS);
	publisher_stop(f->core->publisher);
	f->core->publisher = NULL;
	publisher_stop(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_what_is_waited_for_is_out, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(
		test_plugin_mode_leaves_no_rights_in_the_file, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_written, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_rights_go_without_a_signer, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_stopping_with_work_left, open_with_pauses, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
