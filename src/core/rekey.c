/* An acknowledgement is noted for people to read. What counts is what the store saw: the new certificate, and the old one's
 * end. */
#include "core/rekey.h"

#include "base/clock.h"
#include "base/jsonparse.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/control.h"
#include "core/device.h"
#include "store/store.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ask the active device ID in TX, unless it has been asked. */
static int
ask(struct store_tx *tx, const struct caller *caller, const char *id, int64_t now, struct store_rotation *row,
    bool *is_new_out, struct err *err)
{
	int rc = store_rotation_get(tx, id, row, err);

	*is_new_out = rc == E_NOTFOUND || (rc == 0 && store_rotation_is_over(row));
	if ((rc != 0 && rc != E_NOTFOUND) || !*is_new_out)
		return rc;
	*row = (struct store_rotation){.tenant_id = caller->tenant_id, .state = ROTATION_WAITING, .asked_at = now};
	(void)text_copy(row->device_id, sizeof row->device_id, id);
	if ((rc = uuid_make(row->word, err)) == 0 && (rc = store_rotation_put(tx, row, err)) == 0)
		rc = audit_write(tx, caller, now, "device.rotate", "device", id, err, "{\"instruction\":\"%s\"}", row->word);
	return rc;
}

int
rekey_ask(struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err)
{
	struct store_device device = {0};
	struct store_rotation row;
	struct store_tx *tx = NULL;
	bool is_new;
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_device_get(tx, caller->tenant_id, id, &device, err)) == 0 && device.status != DEVICE_ACTIVE)
		rc = err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(device.status));
	if (rc == 0 && (rc = ask(tx, caller, id, core->now(), &row, &is_new, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	store_device_clear(&device);
	if (rc != 0)
		return rc;
	control_wake(core->control);
	*out = row;
	return 0;
}

int
rekey_cancel(struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err)
{
	struct store_device device = {0};
	struct store_rotation row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = check_id("device", id, err)) != 0 || (rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	/* The device first: that another tenant's was asked is not told either. */
	if ((rc = store_device_get(tx, caller->tenant_id, id, &device, err)) == 0)
		rc = store_rotation_get(tx, id, &row, err);
	store_device_clear(&device);
	if (rc == 0 && store_rotation_is_over(&row))
		rc = err_set(err, E_CONFLICT, "the rotation is %s", store_rotation_state_name(row.state));
	if (rc == 0 && (rc = store_rotation_end(tx, id, ROTATION_CANCELLED, now, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, "device.rotate.cancel", "device", id, err, "{\"instruction\":\"%s\"}", row.word)) ==
		0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc != 0)
		return rc;
	control_wake(core->control);
	row.state = ROTATION_CANCELLED;
	row.ended_at = now;
	*out = row;
	return 0;
}

int
rekey_get(struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err)
{
	struct store_rotation row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_rotation_get(tx, id, &row, err);
	store_rollback(&tx);
	if (rc == 0 && row.tenant_id != caller->tenant_id)
		rc = err_set(err, E_NOTFOUND, "no such device");
	if (rc == 0)
		*out = row;
	return rc;
}

/* ---- many ---------------------------------------------------------------------------------------------------------- */

/* Each is looked at again: it may have been revoked since the page was read. */
static int
ask_all(struct store_tx *tx, const struct caller *caller, const struct store_device *rows, size_t n, int64_t now,
    struct rekey_page *page, struct err *err)
{
	struct store_device device = {0};
	struct store_rotation row;
	bool is_active, is_new;
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		if ((rc = store_device_get(tx, caller->tenant_id, rows[i].id, &device, err)) != 0)
			return rc;
		is_active = device.status == DEVICE_ACTIVE;
		store_device_clear(&device);
		if (!is_active)
			continue;
		if ((rc = ask(tx, caller, rows[i].id, now, &row, &is_new, err)) != 0)
			return rc;
		*(is_new ? &page->n_asked : &page->n_open) += 1;
	}
	return 0;
}

int
rekey_ask_page(struct core *core, const struct caller *caller, struct store_device_filter *filter, struct rekey_page *out,
    struct err *err)
{
	struct store_device *rows;
	struct rekey_page page = {0};
	struct store_tx *tx = NULL;
	size_t n = 0, i;
	int rc;

	if (filter->limit > REKEY_PAGE_MAX)
		return err_field(err, E_INPUT, "limit", "must be from 1 to %d", REKEY_PAGE_MAX);
	if ((rows = calloc(REKEY_PAGE_MAX, sizeof *rows)) == NULL)
		return err_nomem(err);
	filter->status = DEVICE_ACTIVE;
	if ((rc = device_list(core, caller, filter, rows, &n, page.next, err)) == 0 &&
	    (rc = store_begin(core->store, &tx, err)) == 0 &&
	    (rc = ask_all(tx, caller, rows, n, core->now(), &page, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	for (i = 0; i < n; i++)
		store_device_clear(&rows[i]);
	free(rows);
	if (rc != 0)
		return rc;
	control_wake(core->control);
	*out = page;
	return 0;
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* The same bytes whenever it is sent: a device knows by their digest what it has done. */
void
rekey_message(const struct store_rotation *row, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];

	clock_text(when, row->asked_at);
	buf_printf(out, "{\"instruction\":\"rekey\",\"id\":\"%s\",\"asked_at\":\"%s\"}", row->word, when);
}

void
rekey_topic(const char *device_id, char out[REKEY_TOPIC_SIZE])
{
	(void)snprintf(out, REKEY_TOPIC_SIZE, "devices/%s/control/rekey", device_id);
}

/* The device of devices/ID/control/ack. */
static bool
topic_read(const char *topic, char id_out[UUID_LEN + 1])
{
	static const char before[] = "devices/", behind[] = "/control/ack";
	char id[UUID_LEN + 1];

	if (strncmp(topic, before, strlen(before)) != 0 || strlen(topic) != strlen(before) + UUID_LEN + strlen(behind) ||
	    strcmp(topic + strlen(before) + UUID_LEN, behind) != 0)
		return false;
	memcpy(id, topic + strlen(before), UUID_LEN);
	id[UUID_LEN] = '\0';
	if (!uuid_is_valid(id))
		return false;
	memcpy(id_out, id, sizeof id);
	return true;
}

static int
members_read(json_t *object, struct rekey_ack *ack, struct err *err)
{
	const char *instruction = NULL, *digest = NULL, *status = NULL, *reason = "";

	if (json_unpack(object, "{s:s, s:s, s:s, s?s !}", "instruction", &instruction, "digest", &digest, "status", &status,
		"reason", &reason) != 0 ||
	    strcmp(instruction, "rekey") != 0 || !hex_decode(ack->digest, sizeof ack->digest, digest) ||
	    !text_is_printable(reason, strlen(reason)) || !text_copy(ack->reason, sizeof ack->reason, reason))
		return err_set(err, E_INPUT, "this acknowledges nothing");
	if (strcmp(status, "done") == 0)
		ack->ack = ROTATION_ACK_DONE;
	else if (strcmp(status, "failed") == 0)
		ack->ack = ROTATION_ACK_FAILED;
	else
		return err_set(err, E_INPUT, "an acknowledgement of an unknown kind");
	return 0;
}

int
rekey_ack_read(const char *topic, const void *data, size_t len, struct rekey_ack *out, struct err *err)
{
	struct rekey_ack ack = {0};
	json_error_t error;
	json_t *object;
	int rc;

	if (len == 0 || len > REKEY_ACK_MAX || !topic_read(topic, ack.device_id))
		return err_set(err, E_INPUT, "this is no acknowledgement");
	if ((object = jsonparse(data, len, &error)) == NULL)
		return json_error_code(&error) == json_error_out_of_memory ? err_nomem(err) : err_set(err, E_INPUT, "this is no JSON");
	if ((rc = members_read(object, &ack, err)) == 0)
		*out = ack;
	json_decref(object);
	return rc;
}

bool
rekey_ack_is_of(const struct rekey_ack *ack, const struct store_rotation *row)
{
	uint8_t digest[SHA256_LEN];
	struct buf text = {0};
	bool same;

	rekey_message(row, &text);
	sha256(digest, buf_str(&text), text.len);
	same = !buf_failed(&text) && secret_equal(digest, ack->digest, sizeof digest);
	buf_clear(&text);
	return same;
}
