#include "core_fixture.h"

#include "core/operator.h"
#include "x509/pem.h"

static void
test_a_token_is_its_operators(void **state)
{
	struct fixture *f = *state;
	char alice[TOKEN_SIZE], bob[TOKEN_SIZE], other[TOKEN_SIZE] = "untouched";
	struct caller caller;
	struct err err = {0};

	assert_ok(operator_create(f->core->store, &f->caller, "alice", ROLE_AUDITOR, 0, NULL, alice, &err));
	assert_ok(operator_create(f->core->store, &f->caller, "bob", ROLE_ENROLLER, 0, NULL, bob, &err));
	assert_int_equal(fixture_audited(f, "operator.create"), 3); /* and init's */
	assert_ok(operator_authenticate(f->core, alice, &caller, &err));
	assert_int_equal(caller.role, ROLE_AUDITOR);
	assert_int_equal(caller.tenant_id, STORE_TENANT_DEFAULT);
	assert_string_equal(caller.who, "operator:alice");
	assert_ok(operator_authenticate(f->core, bob, &caller, &err));
	assert_int_equal(caller.role, ROLE_ENROLLER);
	/* A second of the name gets no token, and the first keeps its own. */
	assert_int_equal(operator_create(f->core->store, &f->caller, "alice", ROLE_ADMIN, 0, NULL, other, &err), E_CONFLICT);
	assert_string_equal(other, "untouched");
	assert_ok(operator_authenticate(f->core, alice, &caller, &err));
	assert_int_equal(caller.role, ROLE_AUDITOR);
}

static void
test_tokens_that_are_nobodys(void **state)
{
	struct fixture *f = *state;
	char token[TOKEN_SIZE], bad[TOKEN_SIZE + 8];
	struct caller caller = {.role = (enum role)0, .who = "untouched"};
	struct err err = {0};
	size_t i, len;

	assert_ok(operator_create(f->core->store, &f->caller, "carol", ROLE_ADMIN, 0, NULL, token, &err));
	len = strlen(token);
	for (i = 0; i < len; i++) { /* one letter off, one short, one more */
		(void)snprintf(bad, sizeof bad, "%s", token);
		bad[i] = bad[i] == 'a' ? 'b' : 'a';
		assert_int_equal(operator_authenticate(f->core, bad, &caller, &err), E_UNAUTH);
	}
	(void)snprintf(bad, sizeof bad, "%.*s", (int)len - 1, token);
	assert_int_equal(operator_authenticate(f->core, bad, &caller, &err), E_UNAUTH);
	(void)snprintf(bad, sizeof bad, "%s ", token);
	assert_int_equal(operator_authenticate(f->core, bad, &caller, &err), E_UNAUTH);
	assert_int_equal(operator_authenticate(f->core, "", &caller, &err), E_UNAUTH);
	assert_int_equal(operator_authenticate(f->core, "' OR 1=1 --", &caller, &err), E_UNAUTH); /* B8 */
	assert_string_equal(caller.who, "untouched");
	/* B1, B2: a name goes into audit and logs. */
	assert_int_equal(operator_create(f->core->store, &f->caller, "a\nb", ROLE_ADMIN, 0, NULL, token, &err), E_INPUT);
	assert_int_equal(operator_create(f->core->store, &f->caller, "", ROLE_ADMIN, 0, NULL, token, &err), E_INPUT);
}

/* A token that ends, one that is renewed, and one that is taken back. */
static void
test_tokens_that_end(void **state)
{
	struct fixture *f = *state;
	char token[TOKEN_SIZE], other[TOKEN_SIZE];
	struct store_operator row;
	struct caller caller;
	struct err err = {0};
	int64_t end;

	assert_ok(operator_end(f->core, 0, &end, &err));
	assert_in_range(end - clock_now(), OPERATOR_VALID_DEFAULT_S - 1, OPERATOR_VALID_DEFAULT_S);
	assert_int_equal(operator_end(f->core, OPERATOR_VALID_MAX_S + 1, &end, &err), E_INPUT);
	assert_int_equal(operator_end(f->core, -1, &end, &err), E_INPUT);
	assert_ok(operator_create(f->core->store, &f->caller, "ended", ROLE_ADMIN, clock_now(), &row, token, &err));
	assert_int_equal(operator_authenticate(f->core, token, &caller, &err), E_UNAUTH);
	assert_ok(operator_renew(f->core, &f->caller, "ended", 60, &row, other, &err));
	assert_int_equal(operator_authenticate(f->core, token, &caller, &err), E_UNAUTH);
	assert_ok(operator_authenticate(f->core, other, &caller, &err));
	assert_ok(operator_revoke(f->core, &f->caller, row.id, &row, &err));
	assert_int_not_equal(row.revoked_at, 0);
	assert_int_equal(operator_authenticate(f->core, other, &caller, &err), E_UNAUTH);
	assert_int_equal(operator_revoke(f->core, &f->caller, row.id, &row, &err), E_CONFLICT);
	assert_int_equal(operator_renew(f->core, &f->caller, row.id, 60, &row, other, &err), E_CONFLICT);
	assert_int_equal(operator_renew(f->core, &f->caller, "ended", 60, &row, other, &err), E_NOTFOUND);
}

/* B9: another tenant's operators are not there. */
static void
test_another_tenants(void **state)
{
	struct fixture *f = *state;
	struct caller other = {.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT + 1, .who = "operator:other"};
	char token[TOKEN_SIZE], next[STORE_CURSOR_SIZE];
	struct store_operator row, rows[10];
	struct err err = {0};
	size_t n = 1;

	assert_ok(operator_create(f->core->store, &f->caller, "mine", ROLE_ADMIN, 0, &row, token, &err));
	assert_int_equal(operator_renew(f->core, &other, row.id, 60, &row, token, &err), E_NOTFOUND);
	assert_int_equal(operator_revoke(f->core, &other, "mine", &row, &err), E_NOTFOUND);
	assert_ok(operator_list(f->core, &other, 10, NULL, rows, &n, next, &err));
	assert_int_equal(n, 0);
	assert_ok(operator_list(f->core, &f->caller, 2, NULL, rows, &n, next, &err));
	assert_int_equal(n, 2);
	assert_string_not_equal(next, "");
	assert_int_equal(operator_list(f->core, &f->caller, 1001, NULL, rows, &n, next, &err), E_INPUT);
}

/* The first certificate of a PEM file of the home. */
static void
leaf_of(struct fixture *f, const char *name, struct buf *der)
{
	struct buf pem = {0};
	struct err err = {0};
	const char *end;

	fixture_file(f, name, &pem);
	end = strstr(buf_str(&pem), "-----END CERTIFICATE-----\n");
	assert_non_null(end);
	assert_ok(pem_decode(buf_str(&pem), (size_t)(end + 26 - buf_str(&pem)), "CERTIFICATE", der, &err));
	buf_clear(&pem);
}

static int64_t
in_three_years(void)
{
	return clock_now() + 3LL * 365 * 86400;
}

static int64_t
a_year_ago(void)
{
	return clock_now() - 365LL * 86400;
}

static void
set_state(struct fixture *f, const uint8_t *serial, enum certificate_state to)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_certificate_set_state(
	    tx, serial, to, to == CERTIFICATE_ACTIVE ? 0 : 6, to == CERTIFICATE_ACTIVE ? 0 : 1000, NULL, &err));
	assert_ok(store_commit(&tx, &err));
}

static int64_t late;

static int64_t
late_now(void)
{
	return late;
}

/* F1: within its profile's grace a device's certificate that has ended is its own, to renew; nobody else's, and not a second
 * longer. */
static void
test_grace(struct fixture *f, const struct credential *credential, const struct buf *broker)
{
	const struct store_certificate *cert = &credential->certificate;
	struct profiles *profiles = &fixture_config(f->core)->profiles;
	struct caller caller;
	struct err err = {0};
	size_t i;

	f->core->now = late_now;
	late = cert->not_after + 1;
	assert_int_equal(operator_from_certificate(f->core, cert->der, cert->der_len, &caller, &err), E_UNAUTH);
	for (i = 0; i < profiles->n; i++)
		profiles->list[i].grace_s = 3600;
	assert_ok(operator_from_certificate(f->core, cert->der, cert->der_len, &caller, &err));
	assert_int_equal(caller.role, ROLE_LATE);
	assert_memory_equal(caller.who, "device:", 7);
	late = cert->not_after;
	assert_ok(operator_from_certificate(f->core, cert->der, cert->der_len, &caller, &err));
	assert_int_equal(caller.role, ROLE_DEVICE);
	late = cert->not_after + 3601;
	assert_int_equal(operator_from_certificate(f->core, cert->der, cert->der_len, &caller, &err), E_UNAUTH);
	late = cert->not_after + 60;
	set_state(f, cert->serial, CERTIFICATE_HELD);
	assert_int_equal(operator_from_certificate(f->core, cert->der, cert->der_len, &caller, &err), E_UNAUTH);
	set_state(f, cert->serial, CERTIFICATE_ACTIVE);
	f->core->now = in_three_years;
	for (i = 0; i < profiles->n; i++)
		profiles->list[i].grace_s = 10LL * 365 * 86400;
	assert_int_equal(operator_from_certificate(f->core, broker->data, broker->len, &caller, &err), E_UNAUTH);
	for (i = 0; i < profiles->n; i++)
		profiles->list[i].grace_s = 0;
	f->core->now = clock_now;
}

/* Only a broker's and a device's certificate is somebody's, and only while it is valid. C9, F1 */
static void
test_certificates(void **state)
{
	struct fixture *f = *state;
	struct buf broker = {0}, server = {0}, bytes = {0};
	struct store_device device;
	struct credential credential;
	struct caller caller = {.who = "untouched"};
	struct cert_info info;
	struct err err = {0};

	leaf_of(f, "broker/broker.crt", &broker);
	leaf_of(f, "tls/server.crt", &server);
	fixture_register(f, "stranger", &device, &credential);
	assert_int_equal(operator_from_certificate(f->core, server.data, server.len, &caller, &err), E_UNAUTH);
	assert_int_equal(operator_from_certificate(f->core, f->core->issuers.all[0].der.data, f->core->issuers.all[0].der.len,
			     &caller, &err),
	    E_UNAUTH);
	/* The same serial, another certificate: another CA of the same name could have made it. */
	buf_append(&bytes, broker.data, broker.len);
	bytes.data[bytes.len - 1] ^= 1;
	assert_int_equal(operator_from_certificate(f->core, bytes.data, bytes.len, &caller, &err), E_UNAUTH);
	assert_int_equal(operator_from_certificate(f->core, bytes.data, bytes.len - 1, &caller, &err), E_UNAUTH);
	assert_int_equal(operator_from_certificate(f->core, NULL, 0, &caller, &err), E_UNAUTH);
	f->core->now = in_three_years;
	assert_int_equal(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err), E_UNAUTH);
	f->core->now = a_year_ago;
	assert_int_equal(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err), E_UNAUTH);
	f->core->now = clock_now;
	assert_string_equal(caller.who, "untouched");

	assert_ok(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err));
	assert_int_equal(caller.role, ROLE_BROKER);
	assert_memory_equal(caller.who, "broker:", 7);
	assert_ok(cert_info_read(broker.data, broker.len, &info, &err));
	assert_ok(operator_from_certificate(
	    f->core, credential.certificate.der, credential.certificate.der_len, &caller, &err));
	assert_int_equal(caller.role, ROLE_DEVICE);
	assert_memory_equal(caller.who, "device:", 7);
	assert_string_equal(caller.who + 7, device.id);
	assert_memory_equal(caller.serial, credential.certificate.serial, SERIAL_LEN);
	test_grace(f, &credential, &broker);
	set_state(f, info.serial, CERTIFICATE_HELD);
	assert_int_equal(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err), E_UNAUTH);
	set_state(f, info.serial, CERTIFICATE_ACTIVE);
	assert_ok(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err));
	set_state(f, info.serial, CERTIFICATE_REVOKED);
	assert_int_equal(operator_from_certificate(f->core, broker.data, broker.len, &caller, &err), E_UNAUTH);
	buf_clear(&broker);
	buf_clear(&server);
	buf_clear(&bytes);
	store_device_clear(&device);
	credential_clear(&credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_token_is_its_operators),
	    cmocka_unit_test(test_tokens_that_are_nobodys),
	    cmocka_unit_test(test_tokens_that_end),
	    cmocka_unit_test(test_another_tenants),
	    cmocka_unit_test(test_certificates),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
