/* Brokers: added, followed, revoked; and what their reports come to. */
#include "core_fixture.h"

#include "authz/report.h"
#include "core/broker.h"
#include "core/feed.h"
#include "core/operator.h"
#include "core/refusals.h"
#include "store/db.h"
#include "store/tx.h"

#define UNKNOWN "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define EPOCH "00112233445566778899aabbccddeeff"

static const struct credential_request p256 = {.key = "ec-p256"};

/* Add one, and be it. */
static struct caller
add(struct fixture *f, const char *name)
{
	struct credential credential = {0};
	struct caller caller = {0};
	struct broker broker;
	struct err err = {0};

	assert_ok(broker_add(f->core, &f->caller, name, &p256, &broker, &credential, &err));
	assert_ok(operator_from_certificate(
	    f->core, credential.certificate.der, credential.certificate.der_len, &caller, &err));
	assert_int_equal(caller.role, ROLE_BROKER);
	(void)snprintf(caller.from, sizeof caller.from, "192.0.2.7");
	credential_clear(&credential);
	return caller;
}

/* The broker NAME in the list; id "" if it is not there. */
static struct broker
listed(struct fixture *f, const char *name)
{
	struct broker rows[8], found = {0};
	struct err err = {0};
	size_t n = 0, i;

	assert_ok(broker_list(f->core, &f->caller, rows, 8, &n, &err));
	for (i = 0; i < n; i++)
		if (strncmp(rows[i].row.name, name, strlen(name)) == 0)
			found = rows[i];
	return found;
}

/* C9 */
static void
test_added_and_revoked(void **state)
{
	struct fixture *f = *state;
	struct credential credential = {0};
	struct caller caller = {0};
	struct broker broker;
	struct err err = {0};
	uint64_t before;

	assert_true(listed(f, "home-").row.id[0] != '\0'); /* the one that init made */
	assert_ok(broker_add(f->core, &f->caller, "hall", &p256, &broker, &credential, &err));
	assert_true(credential.has_package);
	assert_int_equal(broker_add(f->core, &f->caller, "hall", &p256, &broker, &(struct credential){0}, &err), E_CONFLICT);
	assert_int_equal(broker_add(f->core, &f->caller, "a b", &p256, &broker, &(struct credential){0}, &err), E_INPUT);
	assert_int_equal(broker_add(f->core, &f->caller, UNKNOWN, &p256, &broker, &(struct credential){0}, &err), E_INPUT);
	assert_int_equal(fixture_audited(f, "broker.add"), 1);
	before = feed_generation(f->core);
	assert_ok(broker_revoke(f->core, &f->caller, "hall", REASON_UNSPECIFIED, &broker, &err));
	assert_int_equal(broker.row.status, DEVICE_REVOKED);
	assert_true(feed_generation(f->core) > before); /* it may be waiting */
	assert_int_equal(operator_from_certificate(f->core, credential.certificate.der,
			     credential.certificate.der_len, &caller, &err),
	    E_UNAUTH);
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, NULL), CERTIFICATE_REVOKED);
	assert_int_equal(broker_revoke(f->core, &f->caller, "hall", REASON_UNSPECIFIED, &broker, &err), E_NOTFOUND);
	assert_int_equal(broker_revoke(f->core, &f->caller, broker.row.id, REASON_UNSPECIFIED, &broker, &err), E_CONFLICT);
	assert_int_equal(listed(f, "hall").row.id[0], '\0');
	credential_clear(&credential);
	(void)add(f, "hall"); /* the name is free again */
}

static int
report_events(struct fixture *f, const struct caller *caller, int64_t seq, const struct report_event *events, size_t n,
    struct err *err)
{
	struct report report = {.epoch = EPOCH, .seq = seq, .dropped = 2};
	struct buf text = {0};
	size_t taken;
	int rc;

	assert_int_equal(report_encode(&text, &report, events, n, &taken, err), 0);
	assert_int_equal(taken, n);
	rc = broker_report(f->core, caller, text.data, text.len, err);
	buf_clear(&text);
	return rc;
}

static void
test_how_far(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct store_device device;
	struct credential credential;
	struct feed_snapshot *s = NULL;
	struct buf out = {0};
	struct err err = {0};
	char epoch[33];
	bool end;

	assert_int_equal(listed(f, "hall").behind, -1);
	assert_ok(feed_snapshot_open(f->core, &s, &err));
	assert_ok(feed_snapshot_next(f->core, s, &out, &end, &err));
	feed_snapshot_close(s);
	(void)snprintf(epoch, sizeof epoch, "%.32s", strstr(buf_str(&out), "\"epoch\":\"") + 9);
	buf_clear(&out);
	fixture_register(f, "one", &device, &credential);
	broker_note(f->core, &caller, epoch, 0);
	assert_int_equal(listed(f, "hall").behind, 1);
	assert_string_equal(listed(f, "hall").row.address, "192.0.2.7");
	broker_note(f->core, &caller, epoch, 1);
	assert_int_equal(listed(f, "hall").behind, 0);
	broker_note(f->core, &caller, EPOCH, 1);
	assert_int_equal(listed(f, "hall").behind, -1);
	broker_note(f->core, &f->caller, epoch, 1); /* an operator is no broker */
	assert_int_equal(listed(f, "home-").row.seen_at, 0);
	/* What was reported outlives a restart. */
	assert_ok(report_events(f, &caller, 1, NULL, 0, &err));
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(listed(f, "hall").row.seq, 1);
	assert_int_equal(listed(f, "hall").row.dropped, 2);
	store_device_clear(&device);
	credential_clear(&credential);
}

static int64_t
last_seen(struct fixture *f, const char *id)
{
	struct store_device row = {0};
	struct err err = {0};
	int64_t at;

	assert_ok(device_get(f->core, &f->caller, id, &row, &err));
	at = row.last_seen;
	store_device_clear(&row);
	return at;
}

static void
test_devices_are_seen(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct store_device device, other;
	struct credential credential, others;
	struct report_event events[4] = {{.kind = REPORT_CONNECT, .at = 1000}, {.kind = REPORT_DISCONNECT, .at = 2000},
	    {.kind = REPORT_REFUSE, .at = 3000, .reason = "x"}, {.kind = REPORT_CONNECT, .at = 4000, .id = UNKNOWN}};
	struct err err = {0};
	size_t i;

	fixture_register(f, "one", &device, &credential);
	fixture_register(f, "two", &other, &others);
	for (i = 0; i < 3; i++)
		(void)text_copy(events[i].id, sizeof events[i].id, device.id);
	assert_ok(report_events(f, &caller, 1, events, 4, &err));
	assert_int_equal(last_seen(f, device.id), 2000);
	assert_int_equal(last_seen(f, other.id), 0);
	events[0].at = INT64_MAX; /* a broker's clock that is wrong */
	assert_ok(report_events(f, &caller, 1, events, 1, &err));
	assert_in_range(last_seen(f, device.id), 2000, f->core->now());
	store_device_clear(&device);
	store_device_clear(&other);
	credential_clear(&credential);
	credential_clear(&others);
}

static void
test_who_may_report(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct err err = {0};

	assert_int_equal(report_events(f, &f->caller, 1, NULL, 0, &err), E_DENIED);
	assert_int_equal(broker_report(f->core, &caller, "{}", 2, &err), E_INPUT);
	assert_int_equal(broker_report(f->core, &caller, "", 0, &err), E_INPUT);
}

static int64_t minute_s;

static int64_t
at_minute(void)
{
	return minute_s;
}

/* H7: however many are refused, a minute makes a bounded number of rows; and no text of a broker's reaches one. */
static void
test_refusals_are_aggregated(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct report_event events[REFUSALS_MAX + 20];
	struct err err = {0};
	size_t i, k;

	minute_s = f->core->now() / 60 * 60;
	f->core->now = at_minute;
	for (i = 0; i < REFUSALS_MAX + 20; i++) {
		events[i] = (struct report_event){.kind = REPORT_REFUSE, .at = 5, .id = UNKNOWN};
		(void)snprintf(events[i].reason, sizeof events[i].reason, "no \"reason\" {%zu} \\", i);
	}
	for (k = 0; k < 10; k++)
		assert_ok(report_events(f, &caller, 1, events, REFUSALS_MAX + 20, &err));
	refusals_flush(f->core, false);
	assert_int_equal(fixture_audited(f, "connection.refusals"), 0);
	minute_s += 60;
	refusals_flush(f->core, false);
	assert_int_equal(fixture_audited(f, "connection.refusals"), REFUSALS_MAX + 1);
	refusals_flush(f->core, false);
	assert_int_equal(fixture_audited(f, "connection.refusals"), REFUSALS_MAX + 1);
	f->core->now = clock_now;
}

static enum device_status
status_of(struct fixture *f, const char *id)
{
	struct store_device row = {0};
	struct err err = {0};
	enum device_status status;

	assert_ok(device_get(f->core, &f->caller, id, &row, &err));
	status = row.status;
	store_device_clear(&row);
	return status;
}

/* What is denied is counted, whatever the reason and however it is told; who was refused did nothing wrong. */
static void
test_denied_too_often(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall"), other = add(f, "yard");
	struct store_device device;
	struct credential credential;
	struct report_event event = {.kind = REPORT_DENY, .reason = "publish to a topic of another"};
	struct err err = {0};
	unsigned i;

	fixture_register(f, "one", &device, &credential);
	(void)text_copy(event.id, sizeof event.id, device.id);
	minute_s = f->core->now() / 60 * 60;
	f->core->now = at_minute;
	event.at = minute_s;
	for (i = 0; i < 10; i++) /* off by default */
		assert_ok(report_events(f, &caller, 1, &event, 1, &err));
	fixture_config(f->core)->settings.broker_refusals_per_min = 3;
	minute_s += 60;
	event.at = minute_s + 3000; /* a clock that is ahead */
	assert_ok(report_events(f, &caller, 1, &event, 1, &err));
	event.at = minute_s;
	event.kind = REPORT_REFUSE;
	event.count = 100;
	assert_ok(report_events(f, &caller, 1, &event, 1, &err));
	event.kind = REPORT_DENY;
	event.count = 2;
	(void)text_copy(event.reason, sizeof event.reason, "another reason");
	assert_ok(report_events(f, &other, 1, &event, 1, &err));
	assert_int_equal(status_of(f, device.id), DEVICE_ACTIVE);
	for (i = 0; i < 5; i++)
		assert_ok(report_events(f, &caller, 1, &event, 1, &err));
	assert_int_equal(status_of(f, device.id), DEVICE_SUSPENDED);
	assert_int_equal(fixture_audited(f, "connection.limit"), 1);
	assert_int_equal(fixture_audited(f, "device.suspend"), 1);
	f->core->now = clock_now;
	store_device_clear(&device);
	credential_clear(&credential);
}

/* A broker that could not report for an hour tells it at once: what was little in each minute is little. */
static void
test_late_denials(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct store_device device;
	struct credential credential;
	struct report_event events[60] = {{0}};
	struct err err = {0};
	size_t i;

	fixture_register(f, "one", &device, &credential);
	fixture_config(f->core)->settings.broker_refusals_per_min = 3;
	minute_s = f->core->now() / 60 * 60;
	f->core->now = at_minute;
	for (i = 0; i < 60; i++) {
		events[i] = (struct report_event){.kind = REPORT_DENY, .at = minute_s - 3600 + 60 * (int64_t)i, .count = 3};
		(void)text_copy(events[i].id, sizeof events[i].id, device.id);
	}
	assert_ok(report_events(f, &caller, 1, events, 60, &err));
	assert_int_equal(status_of(f, device.id), DEVICE_ACTIVE);
	assert_ok(report_events(f, &caller, 1, events + 30, 1, &err)); /* older than the latest: another broker's */
	assert_int_equal(status_of(f, device.id), DEVICE_ACTIVE);
	assert_ok(report_events(f, &caller, 1, events + 59, 1, &err));
	assert_int_equal(status_of(f, device.id), DEVICE_SUSPENDED);
	f->core->now = clock_now;
	store_device_clear(&device);
	credential_clear(&credential);
}

/* H7: a flood of ids that nobody has finds an end, and hides nobody in the next minute. */
static void
test_offenders_are_bounded(void **state)
{
	struct fixture *f = *state;
	char id[UUID_LEN + 1];
	int64_t total;
	unsigned i;

	minute_s = f->core->now() / 60 * 60;
	f->core->now = at_minute;
	for (i = 0; i < 2 * REFUSALS_OFFENDERS_MAX; i++) {
		(void)snprintf(id, sizeof id, "%08x-0000-4000-8000-000000000000", i);
		assert_int_equal(refusals_are_too_many(f->core, id, minute_s, 2, 1, &total), i < REFUSALS_OFFENDERS_MAX);
	}
	minute_s += 60;
	assert_true(refusals_are_too_many(f->core, id, minute_s, 2, 1, &total));
	assert_int_equal(total, 2);
	assert_false(refusals_are_too_many(f->core, id, minute_s, 2, 1, &total)); /* told once */
	f->core->now = clock_now;
}

/* B9: a broker serves all tenants; what it tells of a device stands in that one's tenant. */
static void
test_another_tenants_device(void **state)
{
	struct fixture *f = *state;
	struct caller caller = add(f, "hall");
	struct store_device device;
	struct credential credential;
	struct report_event event = {.kind = REPORT_DENY, .at = 5, .count = 9, .reason = "topic"};
	struct store_tx *tx = NULL;
	struct err err = {0};

	fixture_register(f, "one", &device, &credential);
	(void)text_copy(event.id, sizeof event.id, device.id);
	fixture_config(f->core)->settings.broker_refusals_per_min = 3;
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(db_exec(tx->db, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)", DB_NONE, NULL, &err));
	assert_ok(db_exec(tx->db, "UPDATE device SET tenant_id = 2", DB_NONE, NULL, &err));
	assert_ok(db_exec(tx->db, "UPDATE certificate SET tenant_id = 2 WHERE owner_kind = 0", DB_NONE, NULL, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(report_events(f, &caller, 1, &event, 1, &err));
	refusals_flush(f->core, true);
	assert_int_equal(fixture_audited(f, "connection.refusals"), 0); /* of the default tenant */
	assert_int_equal(fixture_audited(f, "connection.limit"), 0);
	f->caller.tenant_id = 2;
	assert_int_equal(status_of(f, device.id), DEVICE_SUSPENDED);
	assert_int_equal(fixture_audited(f, "connection.refusals"), 1);
	assert_int_equal(fixture_audited(f, "connection.limit"), 1);
	store_device_clear(&device);
	credential_clear(&credential);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_added_and_revoked),
	    case_of(test_how_far),
	    case_of(test_devices_are_seen),
	    case_of(test_who_may_report),
	    case_of(test_refusals_are_aggregated),
	    case_of(test_denied_too_often),
	    case_of(test_late_denials),
	    case_of(test_offenders_are_bounded),
	    case_of(test_another_tenants_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
