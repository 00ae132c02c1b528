/* A broker is like a service without topics: a name, a certificate, revocable. How far one is, its questions to the feed
 * tell all the time; that is kept in memory, and what its last report said is stored. */
#include "core/broker.h"

#include "authz/report.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/device.h"
#include "core/feed.h"
#include "core/refusals.h"
#include "core/revocation.h"
#include "store/certificate.h"
#include "store/change.h"
#include "store/package.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* How far a broker is by its last question. */
struct place {
	struct store_broker row; /* id, seen_at, address, epoch, seq */
	UT_hash_handle hh;
};

struct brokers {
	pthread_mutex_t lock;
	struct place *places;
};

int
brokers_new(struct brokers **out, struct err *err)
{
	struct brokers *b = calloc(1, sizeof *b);

	if (b == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&b->lock, NULL);
	*out = b;
	return 0;
}

void
brokers_free(struct brokers *b)
{
	struct place *p, *next;

	if (b == NULL)
		return;
	HASH_ITER(hh, b->places, p, next) {
		HASH_DEL(b->places, p);
		free(p);
	}
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

/* ---- who and how far ------------------------------------------------------------------------------------------- */

/* The broker that CALLER is; NULL if it is none, but an operator. */
static const char *
id_of(const struct caller *caller)
{
	return strncmp(caller->who, "broker:", 7) == 0 ? caller->who + 7 : NULL;
}

/* Where CALLER is, as far as it says. */
static void
place_fill(struct core *core, const struct caller *caller, const char *epoch, int64_t seq, struct store_broker *row)
{
	row->seen_at = core->now();
	row->seq = seq;
	(void)text_copy(row->address, sizeof row->address, caller->from);
	(void)text_copy(row->epoch, sizeof row->epoch, epoch);
}

void
broker_note(struct core *core, const struct caller *caller, const char *epoch, int64_t seq)
{
	struct brokers *b = core->brokers;
	const char *id = id_of(caller);
	struct place *p = NULL;

	if (id == NULL)
		return;
	(void)pthread_mutex_lock(&b->lock);
	HASH_FIND_STR(b->places, id, p);
	if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) {
		(void)text_copy(p->row.id, sizeof p->row.id, id);
		HASH_ADD_STR(b->places, row.id, p);
		if (p->hh.tbl == NULL) {
			free(p);
			p = NULL;
		}
	}
	if (p != NULL)
		place_fill(core, caller, epoch, seq, &p->row);
	(void)pthread_mutex_unlock(&b->lock);
}

/* What is known of ROW: its last report, or a later question. LAST is the feed's latest number. */
static void
show(struct core *core, const struct store_broker *row, int64_t last, struct broker *out)
{
	struct brokers *b = core->brokers;
	struct place *p = NULL;

	out->row = *row;
	(void)pthread_mutex_lock(&b->lock);
	HASH_FIND_STR(b->places, row->id, p);
	if (p != NULL && p->row.seen_at >= row->seen_at) {
		out->row.seen_at = p->row.seen_at;
		out->row.seq = p->row.seq;
		memcpy(out->row.address, p->row.address, sizeof out->row.address);
		memcpy(out->row.epoch, p->row.epoch, sizeof out->row.epoch);
	}
	(void)pthread_mutex_unlock(&b->lock);
	out->behind = feed_has_epoch(core, out->row.epoch) && out->row.seq <= last ? last - out->row.seq : -1;
}

/* ---- add, list, revoke ----------------------------------------------------------------------------------------- */

static int
add_commit(struct core *core, const struct caller *caller, const struct store_broker *row,
    const struct credential_owner *owner, const struct credential *credential, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_broker_insert(tx, row, err)) == 0 &&
	    (rc = credential_store(tx, owner, credential, row->created_at, err)) == 0 &&
	    (rc = audit_write(tx, caller, row->created_at, "broker.add", "broker", row->id, err, "{\"name\":\"%s\"}",
		 row->name)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static int
row_make(struct core *core, const struct caller *caller, const char *name, struct store_broker *row, struct err *err)
{
	struct store_broker there;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_word("name", name, err)) != 0)
		return rc;
	if (uuid_is_valid(name))
		return err_field(err, E_INPUT, "name", "may not look like an id");
	if ((rc = uuid_make(row->id, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	/* Before anything is signed; the transaction looks again. */
	rc = store_broker_get(tx, caller->tenant_id, name, &there, err);
	store_rollback(&tx);
	if (rc == 0)
		return err_field(err, E_CONFLICT, "name", "there is a broker %s already", name);
	if (rc != E_NOTFOUND)
		return rc;
	row->tenant_id = caller->tenant_id;
	(void)text_copy(row->name, sizeof row->name, name);
	row->status = DEVICE_ACTIVE;
	row->created_at = core->now();
	return 0;
}

int
broker_add(struct core *core, const struct caller *caller, const char *name,
    const struct credential_request *request, struct broker *broker_out, struct credential *credential_out,
    struct err *err)
{
	struct credential credential = {0};
	struct store_broker row = {0};
	struct credential_owner owner;
	int rc;

	if ((rc = row_make(core, caller, name, &row, err)) != 0)
		return rc;
	owner = (struct credential_owner){OWNER_BROKER, row.id, row.name, row.tenant_id, "[]", "[]"};
	if ((rc = credential_make(core, &owner, request, &credential, err)) != 0)
		return rc;
	if ((rc = add_commit(core, caller, &row, &owner, &credential, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		credential_clear(&credential);
		return rc;
	}
	row.expires_at = credential.certificate.not_after;
	*broker_out = (struct broker){row, -1};
	*credential_out = credential;
	return 0;
}

struct list {
	struct core *core;
	int64_t last;
	struct broker *out;
	size_t max, n;
};

static int
list_row(void *ctx, const struct store_broker *row, struct err *err)
{
	struct list *list = ctx;

	(void)err;
	if (list->n < list->max)
		show(list->core, row, list->last, &list->out[list->n++]);
	return 0;
}

int
broker_list(struct core *core, const struct caller *caller, struct broker *out, size_t max, size_t *n_out,
    struct err *err)
{
	struct list list = {.core = core, .out = out, .max = max};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_change_last(tx, &list.last, err)) == 0)
		rc = store_broker_each(tx, caller->tenant_id, list_row, &list, err);
	store_rollback(&tx);
	if (rc == 0)
		*n_out = list.n;
	return rc;
}

int
broker_revoke(struct core *core, const struct caller *caller, const char *id_or_name, enum crl_reason reason,
    struct broker *broker_out, struct err *err)
{
	struct revocation revocation;
	struct store_tx *tx = NULL;
	struct store_broker row;
	int64_t now = core->now(), last;
	int rc;

	if (reason == REASON_CERTIFICATE_HOLD || reason == REASON_REMOVE_FROM_CRL)
		return err_field(err, E_INPUT, "reason", "%s is no reason to revoke for good", reason_name(reason));
	if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_broker_get(tx, caller->tenant_id, id_or_name, &row, err)) == 0 && row.status != DEVICE_ACTIVE)
		rc = err_set(err, E_CONFLICT, "the broker is %s", store_device_status_name(row.status));
	row.status = DEVICE_REVOKED;
	if (rc != 0 || (rc = store_change_last(tx, &last, err)) != 0 ||
	    (rc = store_broker_set_status(tx, row.id, DEVICE_REVOKED, err)) != 0 ||
	    (rc = revocation_apply(tx, row.tenant_id, row.id, reason, now, NULL, &revocation, err)) != 0 ||
	    (rc = audit_write(tx, caller, now, "broker.revoke", "broker", row.id, err,
		 "{\"name\":\"%s\",\"reason\":\"%s\"}", row.name, reason_name(reason))) != 0 ||
	    (rc = store_commit(&tx, err)) != 0)
		goto out;
	feed_wake(core); /* it may be waiting for news: there is none for it any more */
	if ((rc = revocation_finish(core, &revocation, err)) == 0)
		show(core, &row, last, broker_out);
out:
	store_rollback(&tx);
	return rc;
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

/* A report and room for the most events there can be. */
struct reading {
	struct report report;
	struct report_event events[REPORT_EVENTS_MAX];
};

/* Was its device there, by its certificate? */
static bool
is_seen(const struct report_event *event)
{
	return event->kind == REPORT_CONNECT || event->kind == REPORT_DISCONNECT;
}

/* Is there a later event of the same device? Then this one does not say when it was last seen. */
static bool
is_superseded(const struct reading *r, size_t i)
{
	size_t k;

	for (k = i + 1; k < r->report.n; k++)
		if (is_seen(&r->events[k]) && strcmp(r->events[k].id, r->events[i].id) == 0)
			return true;
	return false;
}

/* A device that has used its new certificate needs the old one no more. */
static int
certificate_seen(struct store_tx *tx, const struct report_event *event, int64_t now, struct err *err)
{
	uint8_t fingerprint[SHA256_LEN];

	if (event->kind != REPORT_CONNECT || !hex_decode(fingerprint, sizeof fingerprint, event->fingerprint))
		return 0;
	return store_certificate_seen(tx, fingerprint, now, err);
}

/* How far CALLER is, and when its devices were seen, which cannot have been later than now. */
static int
report_commit(struct core *core, const struct caller *caller, const struct reading *r, struct err *err)
{
	struct store_broker row = {.dropped = r->report.dropped};
	int64_t now = core->now();
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	(void)text_copy(row.id, sizeof row.id, id_of(caller));
	place_fill(core, caller, r->report.epoch, r->report.seq, &row);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	rc = store_broker_report(tx, &row, err);
	for (i = 0; rc == 0 && i < r->report.n; i++) {
		const struct report_event *e = &r->events[i];

		if (is_seen(e) && e->id[0] != '\0' && !is_superseded(r, i))
			rc = store_device_seen(tx, e->id, e->at < now ? e->at : now, err);
		if (rc == 0)
			rc = certificate_seen(tx, e, now, err);
	}
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

/* The device that ID is, of whichever tenant, and CALLER as one of that tenant's. E_NOTFOUND if it is none. */
static int
offender_find(
    struct core *core, const char *id, struct caller *caller, struct store_device *device, struct err *err)
{
	enum store_owner_kind kind;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_certificate_owner(tx, id, &kind, &caller->tenant_id, err)) == 0)
		rc = store_device_get(tx, caller->tenant_id, id, device, err);
	store_rollback(&tx);
	return rc;
}

/* A device that was denied too often is suspended, with a row that says why before the one that says so. */
static int
suspend(struct core *core, const struct caller *broker, const char *id, int64_t n, struct err *err)
{
	struct store_device device = {0};
	struct caller caller = *broker;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = offender_find(core, id, &caller, &device, err)) != 0 || device.status != DEVICE_ACTIVE)
		goto out;
	store_device_clear(&device);
	if ((rc = store_begin_urgent(core->store, &tx, err)) == 0 &&
	    (rc = audit_write(tx, &caller, core->now(), "connection.limit", "device", id, err,
		 "{\"denials_in_a_minute\":%lld}", (long long)n)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc == 0)
		rc = device_suspend(core, &caller, id, &device, err);
out:
	store_device_clear(&device);
	return rc;
}

static void
refusals_take(struct core *core, const struct caller *caller, const struct reading *r)
{
	int64_t most = core_config(core)->settings.broker_refusals_per_min, n;
	struct err err = {0};
	size_t i;
	int rc;

	for (i = 0; i < r->report.n; i++) {
		const struct report_event *e = &r->events[i];

		if (e->kind != REPORT_REFUSE && e->kind != REPORT_DENY)
			continue;
		refusals_count(core, id_of(caller), e->id, e->reason, e->count);
		if (e->kind != REPORT_DENY || most == 0 || e->id[0] == '\0' ||
		    !refusals_are_too_many(core, e->id, e->at, e->count, most, &n))
			continue;
		rc = suspend(core, caller, e->id, n, &err);
		if (rc != 0 && rc != E_CONFLICT && rc != E_NOTFOUND)
			log_error("device %s was denied too often and could not be suspended: %s", e->id, err.text);
	}
}

int
broker_report(struct core *core, const struct caller *caller, const void *text, size_t len, struct err *err)
{
	struct reading *r;
	int rc;

	if (id_of(caller) == NULL)
		return err_set(err, E_DENIED, "only a broker, by its certificate, reports");
	if ((r = calloc(1, sizeof *r)) == NULL)
		return err_nomem(err);
	if ((rc = report_decode(text, len, &r->report, r->events, err)) == 0 &&
	    (rc = report_commit(core, caller, r, err)) == 0)
		refusals_take(core, caller, r);
	free(r);
	return rc;
}
