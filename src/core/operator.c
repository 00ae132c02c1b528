/* Tokens are random 256-bit values, so a fast digest is enough to store them by, and looking one up by its digest
 * tells nothing by its time. */
#include "core/operator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/feed.h"
#include "core/revocation.h"
#include "store/certificate.h"
#include "store/package.h"
#include "store/tenant.h"
#include "x509/cert.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PREFIX "muster_"
#define USES_MAX 64 /* operators of one minute whose use is remembered; more than that are told in the next */

struct operators {
	pthread_mutex_t lock;
	int64_t minute; /* of the uses */
	char ids[USES_MAX][UUID_LEN + 1];
	size_t n;
};

/* ---- making, renewing, removing --------------------------------------------------------------------------------- */

int
operator_create(struct store *store, const struct caller *caller, const char *name, enum role role, int64_t expires_at,
    struct store_operator *row_out, char token_out[TOKEN_SIZE], struct err *err)
{
	struct store_operator row = {
	    .tenant_id = caller->tenant_id, .bound = caller_is_within_tenant(caller), .expires_at = expires_at};
	struct store_tenant tenant;
	char token[TOKEN_SIZE];
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_word("name", name, err)) != 0)
		return rc;
	if (uuid_is_valid(name))
		return err_field(err, E_INPUT, "name", "may not look like an id");
	if (row.bound && role == ROLE_BROKER)
		return err_field(err, E_INPUT, "role", "broker is for the whole installation: a broker serves every tenant");
	if ((rc = uuid_make(row.id, err)) != 0 ||
	    (rc = token_mint(TOKEN_PREFIX, token, err)) != 0)
		return rc;
	token_digest(token, row.token_hash);
	(void)text_copy(row.name, sizeof row.name, name);
	(void)text_copy(row.role, sizeof row.role, role_name(role));
	row.created_at = clock_now();
	if ((rc = store_begin(store, &tx, err)) == 0 && (rc = store_tenant_by_id(tx, row.tenant_id, &tenant, err)) == 0 &&
	    (rc = store_operator_insert(tx, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, row.created_at, "operator.create", "operator", row.name, err,
		 "{\"role\":\"%s\"}", row.role)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		memcpy(token_out, token, sizeof token);
		if (row.bound)
			memcpy(row.tenant, tenant.name, sizeof row.tenant);
		if (row_out != NULL)
			*row_out = row;
	}
	store_rollback(&tx);
	explicit_bzero(token, sizeof token);
	return rc;
}

int
operator_end(const struct core *core, int64_t valid_s, int64_t *end_out, struct err *err)
{
	if (valid_s < 0 || valid_s > OPERATOR_VALID_MAX_S)
		return err_field(err, E_INPUT, "valid", "must be at most %lldd", OPERATOR_VALID_MAX_S / 86400);
	*end_out = core->now() + (valid_s > 0 ? valid_s : OPERATOR_VALID_DEFAULT_S);
	return 0;
}

int
operator_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_operator *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_operator_list(tx, caller->tenant_id, caller_is_within_tenant(caller), limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

/* One of the caller's tenant, or of the installation if it asks about that. */
static int
get(struct store_tx *tx, const struct caller *caller, const char *id_or_name, struct store_operator *row, struct err *err)
{
	return store_operator_get(tx, caller->tenant_id, caller_is_within_tenant(caller), id_or_name, row, err);
}

static int
get_active(struct store_tx *tx, const struct caller *caller, const char *id_or_name, struct store_operator *row,
    struct err *err)
{
	int rc = get(tx, caller, id_or_name, row, err);

	if (rc == 0 && row->revoked_at != 0)
		rc = err_set(err, E_CONFLICT, "the operator was removed; add another");
	return rc;
}

int
operator_renew(struct core *core, const struct caller *caller, const char *id_or_name, int64_t valid_s,
    struct store_operator *row_out, char token_out[TOKEN_SIZE], struct err *err)
{
	struct store_operator row;
	struct store_tx *tx = NULL;
	char token[TOKEN_SIZE];
	int64_t end = 0;
	int rc;

	if ((rc = operator_end(core, valid_s, &end, err)) != 0 || (rc = token_mint(TOKEN_PREFIX, token, err)) != 0)
		return rc;
	if ((rc = store_begin(core->store, &tx, err)) != 0 || (rc = get_active(tx, caller, id_or_name, &row, err)) != 0)
		goto out;
	row.expires_at = end;
	row.last_used_at = 0;
	token_digest(token, row.token_hash);
	if ((rc = store_operator_set_token(tx, row.id, row.token_hash, end, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), "operator.token", "operator", row.name, err, NULL)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		*row_out = row;
		memcpy(token_out, token, sizeof token);
		feed_wake(core); /* whoever waits there with the token that it had */
	}
out:
	store_rollback(&tx);
	explicit_bzero(token, sizeof token);
	return rc;
}

/* New certificate in, earlier ones out, if nobody has removed the operator meanwhile. */
static int
reissue_commit(struct core *core, const struct caller *caller, const struct credential_owner *owner,
    const struct credential *credential, struct revocation *revocation, struct err *err)
{
	struct store_operator row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = get_active(tx, caller, owner->id, &row, err)) == 0 &&
	    (rc = store_package_withdraw(tx, owner->id, now, err)) == 0 &&
	    (rc = credential_store(tx, owner, credential, now, err)) == 0 &&
	    (rc = revocation_apply(tx, owner->tenant_id, owner->id, REASON_SUPERSEDED, now, credential->certificate.serial,
		 revocation, err)) == 0 &&
	    (rc = audit_write(tx, caller, now, "operator.reissue", "operator", row.name, err, NULL)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
operator_reissue(struct core *core, const struct caller *caller, const char *id_or_name,
    const struct credential_request *request, struct store_operator *row_out, struct credential *credential_out,
    struct err *err)
{
	struct credential credential = {0};
	struct credential_owner owner;
	struct revocation revocation;
	struct store_operator row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) == 0)
		rc = get_active(tx, caller, id_or_name, &row, err);
	store_rollback(&tx);
	if (rc != 0)
		return rc;
	owner = (struct credential_owner){OWNER_OPERATOR, row.id, row.name, row.tenant_id, "[]", "[]"};
	if ((rc = credential_make(core, &owner, request, &credential, err)) != 0)
		return rc;
	if ((rc = reissue_commit(core, caller, &owner, &credential, &revocation, err)) != 0) {
		credential_abandon(core, &owner, &credential);
		credential_clear(&credential);
		return rc;
	}
	/* As in device_reissue: the new key must not be lost for a late broker. */
	if (revocation.n > 0)
		(void)revocation_finish(core, &revocation, &(struct err){0});
	*row_out = row;
	*credential_out = credential;
	return 0;
}

int
operator_revoke(struct core *core, const struct caller *caller, const char *id_or_name, struct store_operator *row_out,
    struct err *err)
{
	struct revocation revocation;
	struct store_operator row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	int rc;

	if ((rc = store_begin_urgent(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = get(tx, caller, id_or_name, &row, err)) != 0 ||
	    (rc = store_operator_revoke(tx, row.id, now, err)) != 0 ||
	    (rc = revocation_apply(tx, row.tenant_id, row.id, REASON_CESSATION_OF_OPERATION, now, NULL, &revocation, err)) != 0 ||
	    (rc = audit_write(tx, caller, now, "operator.revoke", "operator", row.name, err, NULL)) != 0 ||
	    (rc = store_commit(&tx, err)) != 0)
		goto out;
	feed_wake(core); /* it may be waiting for news: there is none for it any more */
	row.revoked_at = now;
	if (revocation.n == 0 || (rc = revocation_finish(core, &revocation, err)) == 0)
		*row_out = row;
out:
	store_rollback(&tx);
	return rc;
}

/* ---- when they were last seen ------------------------------------------------------------------------------------ */

int
operators_new(struct operators **out, struct err *err)
{
	struct operators *o = calloc(1, sizeof *o);

	if (o == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&o->lock, NULL);
	*out = o;
	return 0;
}

void
operators_free(struct operators *o)
{
	if (o == NULL)
		return;
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

/* Not written here: a commit would be one more on the path of each request, a revocation's too. */
static void
use_note(struct core *core, const struct store_operator *row)
{
	struct operators *o = core->operators;
	int64_t minute = core->now() / 60;
	size_t i = 0;

	if (row->last_used_at / 60 == minute)
		return;
	(void)pthread_mutex_lock(&o->lock);
	if (o->n == 0)
		o->minute = minute;
	while (i < o->n && strcmp(o->ids[i], row->id) != 0)
		i++;
	if (i == o->n && o->n < USES_MAX)
		memcpy(o->ids[o->n++], row->id, sizeof row->id);
	(void)pthread_mutex_unlock(&o->lock);
}

void
operators_flush(struct core *core, bool always)
{
	struct operators *o = core->operators;
	char ids[USES_MAX][UUID_LEN + 1];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t minute;
	size_t n = 0, i;
	int rc;

	(void)pthread_mutex_lock(&o->lock);
	minute = o->minute;
	if (always || minute != core->now() / 60) {
		n = o->n;
		memcpy(ids, o->ids, sizeof ids);
		o->n = 0;
	}
	(void)pthread_mutex_unlock(&o->lock);
	if (n == 0)
		return;
	rc = store_begin(core->store, &tx, &err);
	for (i = 0; rc == 0 && i < n; i++)
		rc = store_operator_used(tx, ids[i], minute * 60, &err);
	if (rc == 0)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	if (rc != 0)
		log_error("when operators' tokens were last used was not stored: %s", err.text);
}

/* ---- who is it ---------------------------------------------------------------------------------------------------- */

/* The caller that an operator is; E_UNAUTH if its role is none. */
static int
caller_make(const struct store_operator *row, struct caller *caller_out, struct err *err)
{
	enum role role;

	if (!role_parse(row->role, &role))
		return err_set(err, E_UNAUTH, "this operator has no role");
	*caller_out = (struct caller){.role = role, .tenant_id = row->tenant_id, .is_bound = row->bound};
	(void)snprintf(caller_out->who, sizeof caller_out->who, "operator:%s%s%s", row->name, row->bound ? "@" : "", row->tenant);
	return 0;
}

int
operator_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	struct store_operator row;
	struct store_tx *tx = NULL;
	int rc;

	token_digest(token, digest);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_operator_by_token(tx, digest, &row, err);
	store_rollback(&tx);
	if (rc == E_NOTFOUND || (rc == 0 && row.expires_at != 0 && row.expires_at <= core->now()))
		return err_set(err, E_UNAUTH, "this token is not known or no longer valid");
	if (rc != 0)
		return rc;
	use_note(core, &row);
	return caller_make(&row, caller_out, err);
}

/* Whom the certificate ROW stands for. E_NOTFOUND for nobody who may call. */
static int
owner_find(struct store_tx *tx, const struct store_certificate *row, struct caller *caller_out, struct err *err)
{
	struct store_operator operator;
	int rc;

	switch (row->owner_kind) {
	case OWNER_OPERATOR:
		if ((rc = store_operator_by_id(tx, row->owner_id, &operator, err)) != 0)
			return rc;
		return operator.revoked_at != 0 ? E_NOTFOUND : caller_make(&operator, caller_out, err);
	case OWNER_BROKER:
	case OWNER_DEVICE:
		*caller_out = (struct caller){.role = row->owner_kind == OWNER_BROKER ? ROLE_BROKER : ROLE_DEVICE,
		    .tenant_id = row->tenant_id, .is_bound = row->owner_kind == OWNER_DEVICE};
		memcpy(caller_out->serial, row->serial, sizeof caller_out->serial);
		(void)snprintf(caller_out->who, sizeof caller_out->who, "%s:%s",
		    store_owner_kind_name(row->owner_kind), row->owner_id);
		return 0;
	case OWNER_SERVICE:
	case OWNER_SERVER:
		break;
	}
	return E_NOTFOUND;
}

/* Is the certificate within its time, or its device within the grace that its profile gives to those that slept? */
static bool
is_in_time(struct core *core, const struct store_certificate *row, int64_t now, bool *late_out)
{
	const struct profile *profile = profile_find(&core_config(core)->profiles, row->profile);

	*late_out = row->not_after < now;
	if (row->not_before > now)
		return false;
	return !*late_out || (row->owner_kind == OWNER_DEVICE && profile != NULL && row->not_after + profile->grace_s >= now);
}

int
operator_from_certificate(struct core *core, const uint8_t *cert, size_t len,
    struct caller *caller_out, struct err *err)
{
	uint8_t fingerprint[SHA256_LEN];
	struct store_certificate row = {0};
	struct cert_info info;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	bool late = false;
	int rc;

	if ((rc = cert_info_read(cert, len, &info, err)) != 0)
		return err_set(err, E_UNAUTH, "the client certificate is not readable");
	sha256(fingerprint, cert, len);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_certificate_by_serial(tx, info.serial, &row, err)) == 0)
		rc = memcmp(row.fingerprint, fingerprint, SHA256_LEN) == 0 && row.state == CERTIFICATE_ACTIVE &&
			is_in_time(core, &row, now, &late)
		    ? owner_find(tx, &row, caller_out, err)
		    : E_NOTFOUND;
	if (rc == 0 && late)
		caller_out->role = ROLE_LATE;
	if (rc == E_NOTFOUND)
		rc = err_set(err, E_UNAUTH, "this client certificate is nobody's who may call the API");
	store_rollback(&tx);
	store_certificate_clear(&row);
	return rc;
}
