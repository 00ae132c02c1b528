/* One function a shape; api/openapi.json describes the same members. Each line of a shape is a
 * member and its value: clang-format would tear them apart. */
/* clang-format off */
#include "http/shape.h"

#include "base/text.h"
#include "http/json.h"
#include "x509/pem.h"

#include <stdio.h>
#include <string.h>

static json_t *
hex(const uint8_t *data, size_t len)
{
	char text[2 * 32 + 1];

	hex_encode(text, data, len);
	return json_string(text);
}

static json_t *
pem(const uint8_t *der, size_t len)
{
	struct buf text = {0};
	json_t *value;

	pem_encode(&text, "CERTIFICATE", der, len);
	value = buf_failed(&text) ? NULL : json_string(buf_str(&text));
	buf_clear(&text);
	return value;
}

static json_t *
base64(const uint8_t *data, size_t len)
{
	struct buf text = {0};
	json_t *value;

	base64_encode(&text, data, len);
	value = buf_failed(&text) ? NULL : json_string(buf_str(&text));
	buf_clear(&text);
	return value;
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *
time_or_null(int64_t when)
{
	return when != 0 ? json_time(when) : json_null();
}

json_t *
shape_device(const struct store_device *row)
{
	json_t *shape = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o}",
	    "id", row->id,
	    "name", row->name,
	    "type", row->type,
	    "location", text_or_null(row->location),
	    "labels", row->labels != NULL ? json_loads(row->labels, 0, NULL) : json_object(),
	    "status", store_device_status_name(row->status),
	    "policy", row->policy,
	    "created_at", json_time(row->created_at),
	    "updated_at", json_time(row->updated_at),
	    "last_seen_at", time_or_null(row->last_seen));

	if (row->expires_at != 0 && json_object_set_new(shape, "expires_at", json_time(row->expires_at)) != 0) {
		json_decref(shape);
		shape = NULL;
	}
	return shape;
}

/* What the device says of it; null if nothing. */
static json_t *
rotation_answer(const struct store_rotation *row)
{
	if (row->ack == ROTATION_ACK_NONE)
		return json_null();
	return json_pack("{s:s, s:o, s:o}",
	    "status", row->ack == ROTATION_ACK_DONE ? "done" : "failed",
	    "reason", text_or_null(row->ack_reason),
	    "at", json_time(row->ack_at));
}

json_t *
shape_rotation(const struct store_rotation *row)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}",
	    "device_id", row->device_id,
	    "state", store_rotation_state_name(row->state),
	    "asked_at", json_time(row->asked_at),
	    "told_at", time_or_null(row->told_at),
	    "ended_at", time_or_null(row->ended_at),
	    "answer", rotation_answer(row));
}

json_t *
shape_rotation_page(const struct rekey_page *page)
{
	return json_pack("{s:I, s:I, s:o}",
	    "asked", (json_int_t)page->n_asked,
	    "open", (json_int_t)page->n_open,
	    "next", text_or_null(page->next));
}

json_t *
shape_control(const struct control_info *info)
{
	return json_pack("{s:{s:s, s:o, s:o}}",
	    "connection",
	    "state", control_state_name(info->state),
	    "since", json_time(info->since),
	    "why", text_or_null(info->why));
}

/* SHAPE, which is taken, with the secret that was just made, if there is one. */
static json_t *
with_token(json_t *shape, const char *token)
{
	if (token != NULL && json_object_set_new(shape, "token", json_string(token)) != 0) {
		json_decref(shape);
		shape = NULL;
	}
	return shape;
}

json_t *
shape_enrol_token(const struct store_enrol_token *row, const char *token)
{
	json_t *shape = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}",
	    "id", row->id,
	    "name", text_or_null(row->name),
	    "device_id", text_or_null(row->device_id),
	    "type", text_or_null(row->type),
	    "location", text_or_null(row->location),
	    "policy", text_or_null(row->policy),
	    "profile", text_or_null(row->profile),
	    "uses", (json_int_t)row->uses,
	    "max_uses", (json_int_t)row->max_uses,
	    "created_at", json_time(row->created_at),
	    "expires_at", json_time(row->expires_at),
	    "revoked_at", time_or_null(row->revoked_at));

	return with_token(shape, token);
}

json_t *
shape_operator(const struct store_operator *row, const char *token)
{
	json_t *shape = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
	    "id", row->id,
	    "name", row->name,
	    "role", row->role,
	    "tenant", text_or_null(row->tenant),
	    "created_at", json_time(row->created_at),
	    "expires_at", time_or_null(row->expires_at),
	    "last_used_at", time_or_null(row->last_used_at),
	    "revoked_at", time_or_null(row->revoked_at));

	return with_token(shape, token);
}

json_t *
shape_tenant(const struct store_tenant *row)
{
	return json_pack("{s:s, s:o, s:I, s:o, s:o}",
	    "name", row->name,
	    "quota", row->quota > 0 ? json_integer(row->quota) : json_null(),
	    "devices", (json_int_t)row->devices,
	    "profiles", json_loads(row->profiles, 0, NULL),
	    "created_at", json_time(row->created_at));
}

json_t *
shape_limit(const char *name, const struct ratelimit_state *state, int64_t refused_at)
{
	const int64_t *per_min = state->rates.per_min;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
	    "name", name,
	    "per_min", (json_int_t)per_min[RATELIMIT_ADDRESS],
	    "operator_per_min", (json_int_t)per_min[RATELIMIT_OPERATOR],
	    "tenant_per_min", (json_int_t)per_min[RATELIMIT_TENANT],
	    "token_per_min", (json_int_t)per_min[RATELIMIT_TOKEN],
	    "device_per_min", (json_int_t)per_min[RATELIMIT_DEVICE],
	    "all_per_min", (json_int_t)per_min[RATELIMIT_ALL],
	    "refused", (json_int_t)state->refused,
	    "last_refused_at", time_or_null(refused_at));
}

json_t *
shape_service(const struct store_service *row)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:o}",
	    "id", row->id,
	    "name", row->name,
	    "read", json_loads(row->read, 0, NULL),
	    "write", json_loads(row->write, 0, NULL),
	    "status", store_device_status_name(row->status),
	    "created_at", json_time(row->created_at),
	    "updated_at", json_time(row->updated_at));
}

json_t *
shape_broker(const struct broker *b)
{
	const struct store_broker *row = &b->row;
	bool heard = row->epoch[0] != '\0';

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
	    "id", row->id,
	    "name", row->name,
	    "status", store_device_status_name(row->status),
	    "created_at", json_time(row->created_at),
	    "expires_at", time_or_null(row->expires_at),
	    "seen_at", time_or_null(row->seen_at),
	    "address", text_or_null(row->address),
	    "seq", heard ? json_integer(row->seq) : json_null(),
	    "behind", b->behind >= 0 ? json_integer(b->behind) : json_null(),
	    "dropped", (json_int_t)row->dropped);
}

json_t *
shape_trust(const struct store_trust *row, bool with_pem)
{
	json_t *shape = json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:s, s:o, s:b, s:b, s:o}",
	    "name", row->name,
	    "subject", row->subject,
	    "fingerprint", hex(row->fingerprint, sizeof row->fingerprint),
	    "not_after", json_time(row->not_after),
	    "type", row->type,
	    "location", text_or_null(row->location),
	    "policy", row->policy,
	    "profile", text_or_null(row->profile),
	    "any_serial", row->any_serial,
	    "held", row->held,
	    "created_at", json_time(row->created_at));

	if (with_pem && json_object_set_new(shape, "certificate", pem(row->der, row->der_len)) != 0) {
		json_decref(shape);
		shape = NULL;
	}
	return shape;
}

json_t *
shape_trust_serial(const struct store_trust_serial *row)
{
	bool enrolled = row->enrolled_id[0] != '\0';

	return json_pack("{s:s, s:o, s:b}",
	    "serial", row->serial,
	    "device_id", text_or_null(enrolled ? row->enrolled_id : row->device_id),
	    "enrolled", enrolled);
}

json_t *
shape_policy(const struct store_policy *row)
{
	return json_pack("{s:s, s:o, s:o, s:I, s:o}",
	    "name", row->name,
	    "write", json_loads(row->write, 0, NULL),
	    "read", json_loads(row->read, 0, NULL),
	    "sessions", (json_int_t)row->sessions,
	    "updated_at", json_time(row->updated_at));
}

/* In the largest unit that gives a whole number, as duration_parse reads it. */
static json_t *
duration(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	char text[32];
	size_t i = 0;

	while (seconds % units[i].seconds != 0)
		i++;
	(void)snprintf(
	    text, sizeof text, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
	return json_string(text);
}

static json_t *
profile_keys(const struct profile *p)
{
	json_t *keys = json_array();
	size_t i;

	for (i = 0; i < p->n_keys; i++) {
		if (json_array_append_new(keys, json_string(key_kind_name(p->keys[i]))) != 0) {
			json_decref(keys);
			return NULL;
		}
	}
	return keys;
}

static json_t *
profile_usages(const struct profile *p)
{
	const struct {
		bool has;
		const char *name;
	} usages[] = {
	    {true, "client_auth"},
	    {p->server_auth, "server_auth"},
	    {p->code_signing, "code_signing"},
	    {p->key_agreement, "key_agreement"},
	};
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < sizeof usages / sizeof usages[0]; i++) {
		if (usages[i].has && json_array_append_new(names, json_string(usages[i].name)) != 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

/* As it stands in the configuration. */
static json_t *
renew(const struct profile *p)
{
	return p->renew_before_s != 0 ? duration(p->renew_before_s) : json_sprintf("%d%%", (int)p->renew_percent);
}

json_t *
shape_profile(const struct profile *p)
{
	return json_pack("{s:s, s:o, s:I, s:o, s:o, s:b, s:b, s:o, s:I, s:o, s:o}",
	    "name", p->name,
	    "keys", profile_keys(p),
	    "validity_s", (json_int_t)p->validity_s,
	    "validity", duration(p->validity_s),
	    "usages", profile_usages(p),
	    "reuse_key", (int)p->reuse_key,
	    "attest", (int)p->attest,
	    "renew", renew(p),
	    "grace_s", (json_int_t)p->grace_s,
	    "org", text_or_null(p->org),
	    "country", text_or_null(p->country));
}

/* The detail as it was stored; null if that is no JSON any more, which audit_verify then tells. */
static json_t *
audit_detail(const char *detail)
{
	json_t *object;

	if (detail[0] == '\0')
		return json_object();
	object = json_loads(detail, 0, NULL);
	return object != NULL ? object : json_null();
}

json_t *
shape_audit(const struct store_audit *row)
{
	return json_pack("{s:I, s:o, s:s, s:s, s:o, s:o, s:o}",
	    "seq", (json_int_t)row->seq,
	    "at", json_time(row->at),
	    "actor", row->actor,
	    "action", row->action,
	    "target", text_or_null(row->target),
	    "detail", audit_detail(row->detail),
	    "hash", hex(row->hash, sizeof row->hash));
}

json_t *
shape_audit_link(const struct store_audit *row)
{
	return json_pack("{s:I, s:I, s:o, s:s, s:s, s:s, s:s, s:o}",
	    "seq", (json_int_t)row->seq,
	    "tenant_id", (json_int_t)row->tenant_id,
	    "at", json_time(row->at),
	    "actor", row->actor,
	    "action", row->action,
	    "target", row->target,
	    "detail", row->detail,
	    "hash", hex(row->hash, sizeof row->hash));
}

json_t *
shape_audit_base(const struct store_audit_head *base)
{
	return json_pack("{s:I, s:o}", "seq", (json_int_t)base->seq, "hash", hex(base->hash, sizeof base->hash));
}

json_t *
shape_checkpoint(const struct checkpoint *c, const char *pem)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:s}",
	    "number", (json_int_t)c->number,
	    "seq", (json_int_t)c->seq,
	    "head", hex(c->head, sizeof c->head),
	    "at", json_time(c->at),
	    "previous", hex(c->previous, sizeof c->previous),
	    "pem", pem);
}

/* What every answer with a certificate shows of it. */
static json_t *
certificate_facts(const struct store_certificate *row)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o}",
	    "serial", hex(row->serial, sizeof row->serial),
	    "fingerprint", hex(row->fingerprint, sizeof row->fingerprint),
	    "key", row->key,
	    "not_before", json_time(row->not_before),
	    "not_after", json_time(row->not_after));
}

/* Add the members of MORE to OBJECT; takes both. */
static json_t *
merge_take(json_t *object, json_t *more)
{
	if (object == NULL || more == NULL || json_object_update(object, more) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

json_t *
shape_certificate(const struct store_certificate *row, bool with_pem)
{
	bool is_active = row->state == CERTIFICATE_ACTIVE;
	json_t *superseded_by =
	    row->superseded ? hex(row->superseded_by, sizeof row->superseded_by) : json_null();
	json_t *shape;

	shape = merge_take(certificate_facts(row),
	    json_pack("{s:s, s:{s:s, s:s}, s:s, s:s?, s:o, s:o}",
		"profile", row->profile,
		"owner", "kind", store_owner_kind_name(row->owner_kind), "id", row->owner_id,
		"state", store_certificate_state_name(row->state),
		"reason", is_active ? NULL : reason_name((enum crl_reason)row->reason),
		"revoked_at", time_or_null(row->revoked_at),
		"superseded_by", superseded_by));
	if (!with_pem)
		return shape;
	return merge_take(shape, json_pack("{s:o}", "pem", pem(row->der, row->der_len)));
}

json_t *
shape_ca(const struct cert_info *info, const uint8_t *der, size_t len)
{
	uint8_t key_id[KEY_ID_LEN], fingerprint[SHA256_LEN];

	spki_key_id(key_id, info->spki, info->spki_len);
	sha256(fingerprint, der, len);
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}",
	    "subject", text_or_null(info->common_name),
	    "key", key_kind_name(info->kind),
	    "key_id", hex(key_id, sizeof key_id),
	    "fingerprint", hex(fingerprint, sizeof fingerprint),
	    "not_before", json_time(info->not_before),
	    "not_after", json_time(info->not_after),
	    "pem", pem(der, len));
}

json_t *
shape_crl(const struct crl_info *info, const char *url)
{
	return json_pack("{s:o, s:I, s:o, s:o, s:I}",
	    "url", text_or_null(url),
	    "number", (json_int_t)info->number,
	    "this_update", json_time(info->this_update),
	    "next_update", json_time(info->next_update),
	    "entries", (json_int_t)info->n_entries);
}

json_t *
shape_issued_take(json_t *owner, const struct credential *c, const char *chain_pem)
{
	json_t *certificate, *package = json_null();

	certificate = c->certificate.der == NULL ? json_null() : merge_take(certificate_facts(&c->certificate),
	    json_pack("{s:o, s:s}",
		"pem", pem(c->certificate.der, c->certificate.der_len),
		"chain_pem", chain_pem));
	if (c->has_package)
		package = json_pack("{s:s, s:o, s:s}",
		    "url", c->url,
		    "expires_at", json_time(c->expires_at),
		    "password", c->password);
	return merge_take(
	    owner, json_pack("{s:o, s:o}", "certificate", certificate, "package", package));
}

/* Rows a second since it was started; null before. */
static json_t *
job_rate(const struct store_job *row, int64_t now)
{
	int64_t until = row->ended_at != 0 ? row->ended_at : now;

	if (row->started_at == 0)
		return json_null();
	return json_real((double)(row->done + row->failed) / (double)(until > row->started_at ? until - row->started_at : 1));
}

json_t *
shape_job(const struct store_job *row, int64_t now, const char *why, const struct settings *settings)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:I}",
	    "id", row->id,
	    "kind", row->kind,
	    "status", store_job_state_name(row->state),
	    "name", row->name,
	    "digest", row->digest,
	    "packages", row->packages == JOB_PACKAGES_LINKS ? "links" : "none",
	    "link_ttl_s", (json_int_t)row->link_ttl_s,
	    "total", (json_int_t)row->total,
	    "received", (json_int_t)row->received,
	    "refused", (json_int_t)row->refused,
	    "done", (json_int_t)row->done,
	    "failed", (json_int_t)row->failed,
	    "per_second", job_rate(row, now),
	    "waits_for", text_or_null(why),
	    "created_by", row->actor,
	    "created_at", json_time(row->created_at),
	    "started_at", time_or_null(row->started_at),
	    "ended_at", time_or_null(row->ended_at),
	    "seal", row->seal != NULL ? base64(row->seal, row->seal_len) : json_null(),
	    "link_base", row->packages == JOB_PACKAGES_LINKS ? json_sprintf("%s/d/", settings->api_public_url) : json_null(),
	    "chunk_bytes", (json_int_t)settings->body_bytes);
}

json_t *
shape_job_row(const struct job_row *r)
{
	const struct store_job_row *row = &r->row;
	json_t *errors = json_array(), *certificate = json_null();

	if (row->reason[0] != '\0')
		(void)json_array_append_new(errors, json_pack("{s:o, s:s}", "field", text_or_null(row->field), "reason", row->reason));
	if (r->certificate.der != NULL)
		certificate = merge_take(certificate_facts(&r->certificate),
		    json_pack("{s:o}", "pem", pem(r->certificate.der, r->certificate.der_len)));
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:o}",
	    "row", (json_int_t)row->n,
	    "status", store_job_row_state_name(row->state),
	    "name", text_or_null(row->name),
	    "device_id", row->state == JOB_ROW_DONE ? json_string(row->device_id) : json_null(),
	    "certificate", certificate,
	    "sealed", row->sealed != NULL ? base64(row->sealed, row->sealed_len) : json_null(),
	    "errors", errors);
}

json_t *
shape_page_take(json_t *items, const char *next)
{
	return json_pack("{s:o, s:o}", "items", items, "next", text_or_null(next));
}
