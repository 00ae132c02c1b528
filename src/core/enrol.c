/* A token or a trust anchor decides what a device becomes; the device brings its key and, unless it is awaited, its name. The
 * work itself is a registration (core/device.c), whose transaction looks again whether the device may enter; for one that its
 * manufacturer's certificate has enrolled before it is a renewal (core/rotation.c). */
#include "core/enrol.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/config.h"
#include "core/device.h"
#include "core/limits.h"
#include "core/rights.h"
#include "core/rotation.h"
#include "core/tenant.h"
#include "core/vouch.h"
#include "store/store.h"
#include "x509/csr.h"

#include <stdio.h>
#include <string.h>

#define WHO "token:"

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

/* The device that the token is for, if it is for one. */
static int
check_device(struct core *core, const struct caller *caller, const char *id, struct err *err)
{
	struct store_device device = {0};
	int rc;

	if ((rc = device_get(core, caller, id, &device, err)) != 0)
		return rc == E_NOTFOUND ? err_field(err, E_NOTFOUND, "device_id", "no such device") : rc;
	if (device.status != DEVICE_PENDING)
		rc = err_field(err, E_CONFLICT, "device_id", "the device is %s: only a pending one waits for its key",
		    store_device_status_name(device.status));
	store_device_clear(&device);
	return rc;
}

static int
check_profile(struct core *core, const struct caller *caller, const char *profile, struct err *err)
{
	struct tenant_profiles allowed;
	int rc;

	if (profile == NULL)
		return 0;
	if (profile_find(&core_config(core)->profiles, profile) == NULL)
		return err_field(err, E_INPUT, "profile",
		    "there is no profile of that name; `muster profile list` shows those there are");
	if ((rc = tenant_profiles_read(core, caller->tenant_id, &allowed, err)) == 0 && !tenant_profiles_have(&allowed, profile))
		rc = err_field(err, E_DENIED, "profile",
		    "the tenant may not use profile %s; `muster profile list` shows those it may", profile);
	return rc;
}

/* That its policy fits is found out by expanding it. */
int
enrol_kind_check(struct core *core, const struct caller *caller, const struct enrol_kind *kind, struct err *err)
{
	struct store_device device = {.tenant_id = caller->tenant_id};
	struct buf write = {0}, read = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_profile(core, caller, kind->profile, err)) != 0 || (rc = check_word("type", kind->type, err)) != 0 ||
	    (rc = check_name("location", kind->location, true, err)) != 0 ||
	    (rc = check_word("policy", kind->policy, err)) != 0 || (rc = uuid_make(device.id, err)) != 0 ||
	    (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	(void)text_copy(device.type, sizeof device.type, kind->type);
	(void)text_copy(device.policy, sizeof device.policy, kind->policy);
	rc = rights_of_device(tx, &device, &write, &read, err);
	store_rollback(&tx);
	buf_clear(&write);
	buf_clear(&read);
	return rc;
}

/* Copy VALUE, which may be NULL, into a field of the row. */
static int
fill(char *out, size_t size, const char *field, const char *value, struct err *err)
{
	if (value != NULL && !text_copy(out, size, value))
		return err_field(err, E_INPUT, field, "is too long");
	return 0;
}

static int
row_make(struct core *core, const struct caller *caller, const struct enrol_token_request *request,
    struct store_enrol_token *row, struct err *err)
{
	bool is_bound = request->device_id != NULL;
	struct enrol_kind kind;
	int rc;

	if (is_bound && (request->type != NULL || request->location != NULL || request->policy != NULL ||
			    request->uses > 1))
		return err_field(err, E_INPUT, "device_id",
		    "the device has its type, location and policy, and enrols once");
	if (request->uses < 0 || request->uses > ENROL_USES_MAX)
		return err_field(err, E_INPUT, "uses", "must be from 1 to %d", ENROL_USES_MAX);
	if (request->valid_s < 0 || request->valid_s > ENROL_VALID_MAX_S)
		return err_field(err, E_INPUT, "valid", "must be at most %dd", ENROL_VALID_MAX_S / 86400);
	if (!is_bound && request->type == NULL)
		return err_field(err, E_INPUT, "type", "is missing: what are the devices that enrol with it?");
	if ((rc = check_name("name", request->name, true, err)) != 0 ||
	    (rc = fill(row->name, sizeof row->name, "name", request->name, err)) != 0 ||
	    (rc = fill(row->device_id, sizeof row->device_id, "device_id", request->device_id, err)) != 0 ||
	    (rc = fill(row->type, sizeof row->type, "type", request->type, err)) != 0 ||
	    (rc = fill(row->location, sizeof row->location, "location", request->location, err)) != 0 ||
	    (rc = fill(row->profile, sizeof row->profile, "profile", request->profile, err)) != 0 ||
	    (rc = fill(row->policy, sizeof row->policy, "policy",
		 is_bound || request->policy != NULL ? request->policy : POLICY_BUILTIN, err)) != 0)
		return rc;
	kind = (struct enrol_kind){row->type, row->location, row->policy, NULL};
	if ((rc = check_profile(core, caller, request->profile, err)) != 0 ||
	    (rc = is_bound ? check_device(core, caller, request->device_id, err) :
			     enrol_kind_check(core, caller, &kind, err)) != 0)
		return rc;
	row->tenant_id = caller->tenant_id;
	row->max_uses = request->uses > 0 ? request->uses : 1;
	row->created_at = core->now();
	row->expires_at = row->created_at + (request->valid_s > 0 ? request->valid_s : ENROL_VALID_DEFAULT_S);
	return uuid_make(row->id, err);
}

int
enrol_token_create(struct core *core, const struct caller *caller, const struct enrol_token_request *request,
    struct store_enrol_token *row_out, char token_out[TOKEN_SIZE], struct err *err)
{
	struct store_enrol_token row = {0};
	struct store_tx *tx = NULL;
	char token[TOKEN_SIZE];
	int rc;

	if ((rc = row_make(core, caller, request, &row, err)) != 0 ||
	    (rc = token_mint(ENROL_TOKEN_PREFIX, token, err)) != 0)
		return rc;
	token_digest(token, row.token_hash);
	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = store_enrol_token_insert(tx, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, row.created_at, "token.create", "token", row.id, err,
		 "{\"uses\":%lld,\"device_id\":\"%s\",\"type\":\"%s\",\"profile\":\"%s\",\"policy\":\"%s\"}",
		 (long long)row.max_uses, row.device_id, row.type, row.profile, row.policy)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		*row_out = row;
		memcpy(token_out, token, sizeof token);
	}
	store_rollback(&tx);
	explicit_bzero(token, sizeof token);
	return rc;
}

int
enrol_token_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_enrol_token *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_enrol_token_list(tx, caller->tenant_id, limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

int
enrol_token_revoke(struct core *core, const struct caller *caller, const char *id,
    struct store_enrol_token *row_out, struct err *err)
{
	struct store_enrol_token row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = check_id("enrolment token", id, err)) != 0 ||
	    (rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_enrol_token_revoke(tx, caller->tenant_id, id, now, err)) == 0 &&
	    (rc = store_enrol_token_get(tx, caller->tenant_id, id, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, "token.revoke", "token", id, err, NULL)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		*row_out = row;
	store_rollback(&tx);
	return rc;
}

/* ---- enrolling ------------------------------------------------------------------------------------------------- */

int
enrol_authenticate(struct core *core, const char *token, struct caller *caller_out, struct err *err)
{
	struct store_enrol_token row;
	uint8_t digest[SHA256_LEN];
	struct store_tx *tx = NULL;
	int rc;

	token_digest(token, digest);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_enrol_token_find(tx, digest, &row, err);
	store_rollback(&tx);
	if (rc == E_NOTFOUND || (rc == 0 && (row.revoked_at != 0 || row.expires_at <= core->now())))
		return err_set(err, E_UNAUTH, "this enrolment token is not known or no longer valid");
	if (rc != 0)
		return rc;
	*caller_out = (struct caller){.role = ROLE_ENROLLEE, .tenant_id = row.tenant_id, .is_bound = true};
	(void)snprintf(caller_out->who, sizeof caller_out->who, WHO "%s", row.id);
	return 0;
}

/* How a device comes in. */
struct entrance {
	const struct caller *caller;
	struct device_entry entry;
	struct enrol_kind kind;
	struct store_enrol_token token;
	struct vouch vouch;
};

static int
token_enter(struct store_tx *tx, const void *ctx, const struct store_device *device, struct err *err)
{
	const struct entrance *e = ctx;

	return store_enrol_token_use(tx, e->token.id, device->updated_at, err);
}

static int
token_open(struct store_tx *tx, struct entrance *e, struct err *err)
{
	struct store_enrol_token *token = &e->token;
	int rc;

	if ((rc = store_enrol_token_get(tx, e->caller->tenant_id, e->caller->who + strlen(WHO), token, err)) != 0)
		return rc;
	if (token->uses >= token->max_uses)
		e->entry.refusal = "the enrolment token is used up";
	e->entry.awaited = token->device_id[0] != '\0' ? token->device_id : NULL;
	e->entry.enter = token_enter;
	e->kind = (struct enrol_kind){token->type, token->location, token->policy, token->profile};
	return 0;
}

/* All is looked at again, in the transaction: an anchor that was removed first lets nobody in. */
static int
vouch_enter(struct store_tx *tx, const void *ctx, const struct store_device *device, struct err *err)
{
	const struct entrance *e = ctx;
	struct vouch now;
	int rc;

	if ((rc = vouch_read(tx, e->caller, &now, err)) != 0)
		return rc;
	if (now.known[0] != '\0' || strcmp(now.awaited, e->vouch.awaited) != 0)
		rc = err_set(err, E_CONFLICT, "the device has enrolled, or is expected otherwise, since a moment ago: ask again");
	else
		rc = vouch_note(tx, e->caller, &now, device->id, device->updated_at, err);
	vouch_clear(&now);
	return rc;
}

static int
vouch_open(struct store_tx *tx, struct entrance *e, struct err *err)
{
	const struct store_trust *anchor = &e->vouch.anchor;
	int rc;

	if ((rc = vouch_read(tx, e->caller, &e->vouch, err)) != 0)
		return rc;
	e->entry.awaited = e->vouch.awaited[0] != '\0' ? e->vouch.awaited : NULL;
	e->entry.enter = vouch_enter;
	e->kind = (struct enrol_kind){anchor->type, anchor->location, anchor->policy, anchor->profile};
	return 0;
}

static int
entrance_open(struct core *core, const struct caller *caller, struct entrance *e, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	e->caller = caller;
	e->entry.ctx = e;
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = strncmp(caller->who, WHO, strlen(WHO)) == 0 ? token_open(tx, e, err) : vouch_open(tx, e, err);
	store_rollback(&tx);
	if (rc == 0 && e->kind.profile[0] == '\0')
		e->kind.profile = NULL;
	return rc;
}

/* May the enrollee have what was made, now or by an equal request before? */
static int
answer_check(const struct store_device *device, const struct credential *credential, const uint8_t *spki_hash,
    bool makes_key, struct err *err)
{
	if (device->status != DEVICE_ACTIVE)
		return err_set(err, E_CONFLICT, "the device is %s", store_device_status_name(device->status));
	if (credential->certificate.state != CERTIFICATE_ACTIVE)
		return err_set(err, E_CONFLICT, "what this key was given is %s",
		    store_certificate_state_name(credential->certificate.state));
	if (makes_key && credential->key_pem.data == NULL)
		return err_set(err, E_CONFLICT, "this request was answered before, and its key is handed over once only");
	if (!makes_key && memcmp(credential->certificate.spki_hash, spki_hash, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT, "this request was answered before, with a key that was made here");
	return 0;
}

/* A device that is not known yet. */
static int
enrol_new(struct core *core, const struct entrance *e, const struct csr *asked, bool makes_key, const uint8_t *spki_hash,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	struct device_request request = {.name = asked->common_name, .type = e->kind.type, .location = e->kind.location,
	    .policy = e->kind.policy, .credential = {.profile = e->kind.profile}, .entry = &e->entry};
	char key[2 * SHA256_LEN + 1];

	if (request.name[0] == '\0')
		request.name = e->caller->device_serial;
	if (e->entry.awaited == NULL && request.name[0] == '\0')
		return err_field(err, E_INPUT, "csr",
		    "its subject needs a common name (CN), which becomes the device's name");
	if (makes_key) {
		request.credential.key = key_kind_name(asked->kind);
		request.credential.bare_key = true;
	} else {
		request.credential.parsed = asked;
	}
	/* Who sends the same key again has not had the answer. */
	memcpy(request.idempotency.digest, spki_hash, SHA256_LEN);
	hex_encode(key, spki_hash, SHA256_LEN);
	request.idempotency.key = key;
	return device_register(core, e->caller, &request, device_out, credential_out, err);
}

static int
enrol(struct core *core, const struct caller *caller, const void *csr, size_t csr_len, const char *profile,
    bool makes_key, struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	struct credential credential = {0};
	struct store_device device = {0};
	uint8_t spki_hash[SHA256_LEN];
	struct entrance e = {0};
	struct csr asked;
	int rc;

	if ((rc = limits_take(core, LIMIT_REGISTER, caller, err)) != 0 ||
	    (rc = entrance_open(core, caller, &e, err)) != 0)
		return rc;
	if (profile != NULL && strcmp(profile, e.kind.profile != NULL ? e.kind.profile : PROFILE_DEFAULT) != 0) {
		rc = err_set(err, E_DENIED, "this enrolment is not for the profile %s", profile);
		goto out;
	}
	if ((rc = csr_parse(csr, csr_len, &asked, err)) != 0)
		goto out;
	sha256(spki_hash, asked.spki, asked.spki_len);
	rc = e.vouch.known[0] != '\0' ?
	    rotation_renew_vouched(core, caller, e.vouch.known, &asked, e.kind.profile, makes_key, &device, &credential, err) :
	    enrol_new(core, &e, &asked, makes_key, spki_hash, &device, &credential, err);
	if (rc == 0 && (rc = answer_check(&device, &credential, spki_hash, makes_key, err)) == 0) {
		KILLPOINT(29, "an enrolment stored, or found again, the device not told");
		*device_out = device;
		*credential_out = credential;
		goto out;
	}
	credential_clear(&credential);
	store_device_clear(&device);
out:
	vouch_clear(&e.vouch);
	return rc;
}

int
enrol_device(struct core *core, const struct caller *caller, const void *csr, size_t csr_len, const char *profile,
    struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	return enrol(core, caller, csr, csr_len, profile, false, device_out, credential_out, err);
}

int
enrol_device_with_key(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	return enrol(core, caller, csr, csr_len, profile, true, device_out, credential_out, err);
}
