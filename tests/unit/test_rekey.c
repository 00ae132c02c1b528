/* Rotation asked for, and what devices say of it. No broker is there. */
#include "core_fixture.h"

#include "core/control.h"
#include "core/identity.h"
#include "core/rekey.h"
#include "core/service.h"

#define ID "0a9a1a52-6a5c-4b3e-9c4c-7d9b6b1f0001"
#define TOPIC "devices/" ID "/control/ack"

static int
read_ack(const char *topic, const char *text, struct rekey_ack *ack)
{
	struct err err = {0};

	return rekey_ack_read(topic, text, strlen(text), ack, &err);
}

/* Whatever is not exactly an acknowledgement is none. */
static void
test_acknowledgements(void **state)
{
	static const char *const topics[] = {"devices/" ID "/control/rekey", "devices//control/ack", "devices/" ID "/control/ack/x",
	    "xevices/" ID "/control/ack", "devices/+/control/ack", "devices/0A9A1A52-6A5C-4B3E-9C4C-7D9B6B1F0001/control/ack",
	    "devices/x/" ID "/control/ack", "", "devices/"};
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define GOOD "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"done\"}"
	static const char *const texts[] = {"", " ", "{}", "[]", "null", GOOD "x", GOOD GOOD,
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\"}",
	    "{\"instruction\":\"reboot\",\"digest\":\"" DIGEST "\",\"status\":\"done\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "00\",\"status\":\"done\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"perhaps\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":1}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"done\",\"more\":1}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"done\",\"status\":\"done\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"failed\",\"reason\":\"a\\nb\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"failed\",\"reason\":\"a\\u0000b\"}",
	    "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"failed\",\"reason\":"
	    "\"0123456789012345678901234567890123456789012345678901234567890123x\"}"};
	char large[REKEY_ACK_MAX + 2];
	struct rekey_ack ack;
	size_t i;

	(void)state;
	assert_int_equal(read_ack(TOPIC, GOOD, &ack), 0);
	assert_string_equal(ack.device_id, ID);
	assert_int_equal(ack.ack, ROTATION_ACK_DONE);
	assert_int_equal(
	    read_ack(TOPIC, "{\"instruction\":\"rekey\",\"digest\":\"" DIGEST "\",\"status\":\"failed\",\"reason\":\"limit\"}", &ack), 0);
	assert_int_equal(ack.ack, ROTATION_ACK_FAILED);
	assert_string_equal(ack.reason, "limit");
	for (i = 0; i < sizeof topics / sizeof topics[0]; i++)
		assert_int_equal(read_ack(topics[i], GOOD, &ack), E_INPUT);
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (read_ack(TOPIC, texts[i], &ack) != E_INPUT)
			fail_msg("%s", texts[i]);
	memset(large, ' ', sizeof large);
	memcpy(large, GOOD, strlen(GOOD));
	large[REKEY_ACK_MAX] = '\0';
	assert_int_equal(read_ack(TOPIC, large, &ack), 0);
	large[REKEY_ACK_MAX] = ' ';
	large[REKEY_ACK_MAX + 1] = '\0';
	assert_int_equal(read_ack(TOPIC, large, &ack), E_INPUT);
	assert_int_equal(rekey_ack_read(TOPIC, "\0", 1, &ack, NULL), E_INPUT);
}

/* An acknowledgement is of one instruction. */
static void
test_of_which(void **state)
{
	struct store_rotation row = {.device_id = ID, .word = ID, .asked_at = 1000};
	struct rekey_ack ack = {.device_id = ID};
	struct buf text = {0};

	(void)state;
	rekey_message(&row, &text);
	sha256(ack.digest, text.data, text.len);
	assert_true(rekey_ack_is_of(&ack, &row));
	row.word[0] = 'f';
	assert_false(rekey_ack_is_of(&ack, &row));
	buf_clear(&text);
}

/* Asked once, whoever asks how often; by whom it belongs to; over when the device is. */
static void
test_ask(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct store_rotation first, second, row;
	struct credential credential;
	struct store_device device;
	struct err err = {0};

	fixture_register(f, "asked", &device, &credential);
	assert_int_equal(rekey_get(f->core, &f->caller, device.id, &row, &err), E_NOTFOUND);
	assert_int_equal(rekey_cancel(f->core, &f->caller, device.id, &row, &err), E_NOTFOUND);
	assert_ok(rekey_ask(f->core, &f->caller, device.id, &first, &err));
	assert_ok(rekey_ask(f->core, &f->caller, device.id, &second, &err));
	assert_string_equal(first.word, second.word);
	assert_int_equal(fixture_audited(f, "device.rotate"), 1);
	other.tenant_id = 2;
	assert_int_equal(rekey_ask(f->core, &other, device.id, &row, &err), E_NOTFOUND);
	assert_int_equal(rekey_get(f->core, &other, device.id, &row, &err), E_NOTFOUND);
	assert_int_equal(rekey_cancel(f->core, &other, device.id, &row, &err), E_NOTFOUND);
	assert_int_equal(rekey_ask(f->core, &f->caller, "x", &row, &err), E_NOTFOUND);
	assert_ok(rekey_cancel(f->core, &f->caller, device.id, &row, &err));
	assert_int_equal(row.state, ROTATION_CANCELLED);
	assert_int_equal(rekey_cancel(f->core, &f->caller, device.id, &row, &err), E_CONFLICT);
	assert_int_equal(fixture_audited(f, "device.rotate.cancel"), 1);
	assert_ok(rekey_ask(f->core, &f->caller, device.id, &second, &err));
	assert_string_not_equal(first.word, second.word);
	store_device_clear(&device);
	assert_ok(device_revoke(f->core, &f->caller, second.device_id, REASON_UNSPECIFIED, &device, &err));
	assert_ok(rekey_get(f->core, &f->caller, device.id, &row, &err));
	assert_int_equal(row.state, ROTATION_VOID);
	assert_int_equal(rekey_ask(f->core, &f->caller, device.id, &row, &err), E_CONFLICT);
	credential_clear(&credential);
	store_device_clear(&device);
}

/* A page at a time, each device once; those that are not active are left out. */
static void
test_ask_many(void **state)
{
	struct fixture *f = *state;
	struct device_request request = {.type = "many", .credential = {.key = "ec-p256"}};
	struct store_device_filter filter = {.type = "many", .limit = 2};
	struct rekey_page page;
	struct credential credential;
	struct store_device device;
	size_t asked = 0, open = 0, calls = 0;
	struct err err = {0};
	char name[8], next[STORE_CURSOR_SIZE];
	int i, round;

	for (i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof name, "m%d", i);
		request.name = name;
		assert_ok(device_register(f->core, &f->caller, &request, &device, &credential, &err));
		credential_clear(&credential);
		if (i == 2) {
			char id[UUID_LEN + 1];

			memcpy(id, device.id, sizeof id);
			store_device_clear(&device);
			assert_ok(device_suspend(f->core, &f->caller, id, &device, &err));
		}
		store_device_clear(&device);
	}
	for (round = 0; round < 2; round++) {
		filter.after = NULL;
		do {
			assert_ok(rekey_ask_page(f->core, &f->caller, &filter, &page, &err));
			asked += page.n_asked;
			open += page.n_open;
			calls++;
			memcpy(next, page.next, sizeof next);
			filter.after = next;
		} while (next[0] != '\0');
	}
	assert_int_equal(asked, 4);
	assert_int_equal(open, 4);
	assert_int_equal(calls, 4);
	filter.limit = REKEY_PAGE_MAX + 1;
	filter.after = NULL;
	assert_int_equal(rekey_ask_page(f->core, &f->caller, &filter, &page, &err), E_INPUT);
}

/* Its credentials are nobody's but Muster's, whose newest alone are good; and it comes back when it was revoked. */
static void
test_identity(void **state)
{
	struct fixture *f = *state;
	const struct credential_request request = {.key = "ec-p256"};
	struct identity first = {0}, second = {0}, third = {0};
	struct credential credential = {0};
	struct store_service service = {0};
	struct err err = {0};
	int reason;

	control_stop(f->core->control); /* which has one of its own, perhaps */
	f->core->control = NULL;
	assert_false(identity_is_good(f->core, &first));
	assert_ok(identity_make(f->core, &first, &err));
	assert_true(identity_is_good(f->core, &first));
	assert_ok(identity_make(f->core, &second, &err));
	assert_string_equal(first.id, second.id);
	assert_false(identity_is_good(f->core, &first));
	assert_true(identity_is_good(f->core, &second));
	assert_int_equal(fixture_certificate_state(f, first.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_SUPERSEDED);
	assert_int_equal(
	    service_reissue(f->core, &f->caller, IDENTITY_NAME, &request, &service, &credential, &err), E_DENIED);
	assert_int_equal(service_reissue(f->core, &f->caller, first.id, &request, &service, &credential, &err), E_DENIED);
	second.renew_at = f->core->now();
	assert_false(identity_is_good(f->core, &second));
	second.renew_at += 1000;
	assert_ok(service_revoke(f->core, &f->caller, IDENTITY_NAME, REASON_UNSPECIFIED, &service, &err));
	assert_false(identity_is_good(f->core, &second));
	assert_ok(identity_make(f->core, &third, &err));
	assert_string_not_equal(third.id, first.id);
	assert_true(identity_is_good(f->core, &third));
	store_service_clear(&service);
	identity_clear(&first);
	identity_clear(&second);
	identity_clear(&third);
}

/* Nobody else can have its name. */
static void
test_its_name(void **state)
{
	struct fixture *f = *state;
	const char *topics[] = {"devices/+/control/rekey"};
	const struct service_request request = {.name = IDENTITY_NAME, .write = topics, .n_write = 1, .credential = {.key = "ec-p256"}};
	struct credential credential = {0};
	struct store_service service = {0};
	struct err err = {0};

	assert_int_equal(service_add(f->core, &f->caller, &request, &service, &credential, &err), E_INPUT);
}

static int
open_alone(void **state)
{
	struct fixture *f;
	int rc = fixture_open(state);

	f = *state;
	/* Port 1 has nobody. */
	assert_true(text_copy(fixture_config(f->core)->settings.broker_connect, CONF_TEXT_SIZE, "127.0.0.1:1"));
	return rc;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_acknowledgements),
	    cmocka_unit_test(test_of_which),
	    cmocka_unit_test(test_ask),
	    cmocka_unit_test(test_ask_many),
	    cmocka_unit_test(test_its_name),
	    cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, open_alone, fixture_close);
}
