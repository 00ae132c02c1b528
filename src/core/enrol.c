/* A token decides what a device becomes; the device brings its key and, unless it is awaited, its name. The work itself is a
 * registration (core/device.c), whose transaction counts the token's use. */
#include "core/enrol.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/config.h"
#include "core/device.h"
#include "core/ratelimit.h"
#include "core/rights.h"
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

/* What a device of this token would be. That its policy fits is found out by expanding it. */
static int
check_kind(struct core *core, const struct caller *caller, const struct store_enrol_token *row, struct err *err)
{
	struct store_device device = {.tenant_id = caller->tenant_id};
	struct buf write = {0}, read = {0};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_word("type", row->type, err)) != 0 ||
	    (rc = check_name("location", row->location, true, err)) != 0 ||
	    (rc = check_word("policy", row->policy, err)) != 0 || (rc = uuid_make(device.id, err)) != 0 ||
	    (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	(void)text_copy(device.type, sizeof device.type, row->type);
	(void)text_copy(device.policy, sizeof device.policy, row->policy);
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
	if (request->profile != NULL && profile_find(&core_config(core)->profiles, request->profile) == NULL)
		return err_field(err, E_INPUT, "profile",
		    "there is no profile of that name; `muster profile list` shows those there are");
	if ((rc = is_bound ? check_device(core, caller, request->device_id, err) :
			     check_kind(core, caller, row, err)) != 0)
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
	*caller_out = (struct caller){.role = ROLE_ENROLLEE, .tenant_id = row.tenant_id};
	(void)snprintf(caller_out->who, sizeof caller_out->who, WHO "%s", row.id);
	return 0;
}

static int
token_of(struct core *core, const struct caller *caller, struct store_enrol_token *row_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if (strncmp(caller->who, WHO, strlen(WHO)) != 0)
		return err_set(err, E_DENIED, "only who has an enrolment token enrols");
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_enrol_token_get(tx, caller->tenant_id, caller->who + strlen(WHO), row_out, err);
	store_rollback(&tx);
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

static int
enrol(struct core *core, const struct caller *caller, const void *csr, size_t csr_len, const char *profile,
    bool makes_key, struct store_device *device_out, struct credential *credential_out, struct err *err)
{
	char key[2 * SHA256_LEN + 1];
	struct device_request request = {0};
	struct credential credential = {0};
	struct store_device device = {0};
	struct store_enrol_token token;
	struct csr asked;
	int rc;

	if ((rc = ratelimit_take(core->registrations, caller->from, clock_mono_ms(), err)) != 0 ||
	    (rc = token_of(core, caller, &token, err)) != 0)
		return rc;
	if (profile != NULL && strcmp(profile, token.profile[0] != '\0' ? token.profile : PROFILE_DEFAULT) != 0)
		return err_set(err, E_DENIED, "this enrolment token is not for the profile %s", profile);
	if ((rc = csr_parse(csr, csr_len, &asked, err)) != 0)
		return rc;
	if (token.device_id[0] == '\0' && asked.common_name[0] == '\0')
		return err_field(err, E_INPUT, "csr",
		    "its subject needs a common name (CN), which becomes the device's name");
	request.name = asked.common_name;
	request.type = token.type;
	request.location = token.location;
	request.policy = token.policy;
	request.credential = (struct credential_request){.profile = token.profile[0] != '\0' ? token.profile : NULL};
	if (makes_key) {
		request.credential.key = key_kind_name(asked.kind);
		request.credential.bare_key = true;
	} else {
		request.credential.parsed = &asked;
	}
	request.token = &token;
	/* Who sends the same key again has not had the answer. */
	sha256(request.idempotency.digest, asked.spki, asked.spki_len);
	hex_encode(key, request.idempotency.digest, SHA256_LEN);
	request.idempotency.key = key;
	if ((rc = device_register(core, caller, &request, &device, &credential, err)) != 0)
		return rc;
	if ((rc = answer_check(&device, &credential, request.idempotency.digest, makes_key, err)) != 0) {
		credential_clear(&credential);
		store_device_clear(&device);
		return rc;
	}
	*device_out = device;
	*credential_out = credential;
	return 0;
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
