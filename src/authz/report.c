/* Leaves JSON to jansson both ways; what a value may be is checked by the same function on both ends. */
#include "authz/report.h"

#include "base/jsonparse.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TAIL "]}"

static const char *const kinds[REPORT_KINDS] = {"connect", "disconnect", "refuse", "deny"};

static int
report_check(const struct report *report, struct err *err)
{
	if (!feed_epoch_is_valid(report->epoch) || report->seq < 0 || report->dropped < 0)
		return err_set(err, E_INPUT, "the report's epoch, seq or dropped is none");
	return 0;
}

static int
event_check(const struct report_event *event, struct err *err)
{
	uint8_t sha256[SHA256_LEN];

	if ((unsigned)event->kind >= REPORT_KINDS || event->at <= 0 || event->count < 0 || event->count > REPORT_COUNT_MAX ||
	    (event->id[0] != '\0' && !uuid_is_valid(event->id)) ||
	    (event->fingerprint[0] != '\0' && !hex_decode(sha256, sizeof sha256, event->fingerprint)) ||
	    !text_is_printable(event->peer, strlen(event->peer)) ||
	    !text_is_printable(event->reason, strlen(event->reason)))
		return err_set(err, E_INPUT, "an event of the report has a value that must not stand there");
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static int
event_append(struct buf *out, const struct report_event *event, bool is_first, struct err *err)
{
	char *text;
	json_t *object;
	int rc;

	if ((rc = event_check(event, err)) != 0)
		return rc;
	object = json_pack("{s:s, s:I, s:s, s:s, s:s}", "kind", kinds[event->kind], "at", (json_int_t)event->at, "id",
	    event->id, "peer", event->peer, "reason", event->reason);
	if (object != NULL &&
	    ((event->count > 1 && json_object_set_new(object, "count", json_integer(event->count)) != 0) ||
		(event->fingerprint[0] != '\0' &&
		    json_object_set_new(object, "fingerprint", json_string(event->fingerprint)) != 0))) {
		json_decref(object);
		object = NULL;
	}
	text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (text == NULL)
		return err_nomem(err);
	if (!is_first)
		buf_byte(out, ',');
	buf_text(out, text);
	free(text);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
report_encode(struct buf *out, const struct report *report, const struct report_event *events, size_t n,
    size_t *taken_out, struct err *err)
{
	size_t before = out->len, at, i;
	int rc;

	if ((rc = report_check(report, err)) != 0)
		return rc;
	buf_printf(out, "{\"epoch\":\"%s\",\"seq\":%lld,\"dropped\":%lld,\"events\":[", report->epoch,
	    (long long)report->seq, (long long)report->dropped);
	for (i = 0; rc == 0 && i < n && i < REPORT_EVENTS_MAX; i++) {
		at = out->len;
		rc = event_append(out, &events[i], i == 0, err);
		if (rc == 0 && out->len - before + strlen(TAIL) > REPORT_BYTES_MAX) {
			buf_cut(out, at);
			break;
		}
	}
	buf_text(out, TAIL);
	if (rc == 0 && buf_failed(out))
		rc = err_nomem(err);
	if (rc == 0)
		*taken_out = i;
	else
		buf_cut(out, before);
	return rc;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static bool
kind_parse(const char *name, enum report_kind *out)
{
	int i;

	for (i = 0; i < REPORT_KINDS; i++)
		if (strcmp(name, kinds[i]) == 0) {
			*out = (enum report_kind)i;
			return true;
		}
	return false;
}

static int
event_read(json_t *object, struct report_event *out, struct err *err)
{
	const char *kind, *id, *peer, *reason, *fingerprint = "";
	json_int_t at, count = 1;

	if (json_unpack(object, "{s:s, s:I, s:s, s:s, s:s, s?I, s?s !}", "kind", &kind, "at", &at, "id", &id, "peer", &peer,
		"reason", &reason, "count", &count, "fingerprint", &fingerprint) != 0 ||
	    count == 0 ||
	    !kind_parse(kind, &out->kind) || !text_copy(out->id, sizeof out->id, id) ||
	    !text_copy(out->peer, sizeof out->peer, peer) ||
	    !text_copy(out->fingerprint, sizeof out->fingerprint, fingerprint) || !text_copy(out->reason, sizeof out->reason, reason))
		return err_field(err, E_INPUT, "events", "an event of the report cannot be read");
	out->at = at;
	out->count = count;
	return event_check(out, err);
}

static int
object_read(json_t *object, struct report *report, struct report_event *events, struct err *err)
{
	json_int_t seq, dropped;
	json_t *array, *item;
	const char *epoch;
	size_t i;
	int rc;

	if (json_unpack(object, "{s:s, s:I, s:I, s:o !}", "epoch", &epoch, "seq", &seq, "dropped", &dropped, "events",
		&array) != 0 ||
	    !text_copy(report->epoch, sizeof report->epoch, epoch) || !json_is_array(array))
		return err_set(err, E_INPUT, "the report has not the members of one");
	report->seq = seq;
	report->dropped = dropped;
	if ((rc = report_check(report, err)) != 0)
		return rc;
	if ((report->n = json_array_size(array)) > REPORT_EVENTS_MAX)
		return err_field(err, E_INPUT, "events", "more than %d", REPORT_EVENTS_MAX);
	json_array_foreach(array, i, item)
		if ((rc = event_read(item, &events[i], err)) != 0)
			return rc;
	return 0;
}

int
report_decode(
    const char *text, size_t len, struct report *report_out, struct report_event *events_out, struct err *err)
{
	json_error_t error;
	json_t *object = jsonparse(text, len, &error);
	int rc;

	if (object == NULL)
		return json_error_code(&error) == json_error_out_of_memory
		    ? err_nomem(err)
		    : err_set(err, E_INPUT, "the report is not JSON");
	rc = object_read(object, report_out, events_out, err);
	json_decref(object);
	return rc;
}
