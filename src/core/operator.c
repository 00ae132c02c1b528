/* Tokens are random 256-bit values, so a fast digest is enough to store them by, and looking one up by its digest
 * tells nothing by its time. */
#include "core/operator.h"

#include "base/clock.h"
#include "core/audit.h"
#include "core/check.h"
#include "store/certificate.h"
#include "store/operator.h"
#include "x509/cert.h"

#include <stdio.h>
#include <string.h>

int
operator_create(struct store *store, const struct caller *caller, const char *name, enum role role,
    char token_out[TOKEN_SIZE], struct err *err)
{
	struct store_operator row = {.tenant_id = caller->tenant_id};
	char token[TOKEN_SIZE];
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_word("name", name, err)) != 0 || (rc = uuid_make(row.id, err)) != 0 ||
	    (rc = token_mint("muster_", token, err)) != 0)
		return rc;
	token_digest(token, row.token_hash);
	(void)text_copy(row.name, sizeof row.name, name);
	(void)text_copy(row.role, sizeof row.role, role_name(role));
	row.created_at = clock_now();
	if ((rc = store_begin(store, &tx, err)) == 0 && (rc = store_operator_insert(tx, &row, err)) == 0 &&
	    (rc = audit_write(tx, caller, row.created_at, "operator.create", "operator", row.name, err,
		 "{\"role\":\"%s\"}", row.role)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0)
		memcpy(token_out, token, sizeof token);
	store_rollback(&tx);
	explicit_bzero(token, sizeof token);
	return rc;
}

int
operator_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	struct store_operator row;
	struct store_tx *tx = NULL;
	enum role role;
	int rc;

	token_digest(token, digest);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_operator_by_token(tx, digest, &row, err);
	store_rollback(&tx);
	if (rc == E_NOTFOUND || (rc == 0 && !role_parse(row.role, &role)))
		return err_set(err, E_UNAUTH, "this token is not known or no longer valid");
	if (rc != 0)
		return rc;
	*caller_out = (struct caller){.role = role, .tenant_id = row.tenant_id};
	(void)snprintf(caller_out->who, sizeof caller_out->who, "operator:%s", row.name);
	return 0;
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
	int rc;

	if ((rc = cert_info_read(cert, len, &info, err)) != 0)
		return err_set(err, E_UNAUTH, "the client certificate is not readable");
	sha256(fingerprint, cert, len);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_certificate_by_serial(tx, info.serial, &row, err);
	store_rollback(&tx);
	if (rc == 0 && memcmp(row.fingerprint, fingerprint, SHA256_LEN) == 0 &&
	    row.state == CERTIFICATE_ACTIVE && (row.owner_kind == OWNER_BROKER || row.owner_kind == OWNER_DEVICE) &&
	    row.not_before <= now && row.not_after >= now) {
		*caller_out = (struct caller){.role = row.owner_kind == OWNER_BROKER ? ROLE_BROKER : ROLE_DEVICE,
		    .tenant_id = row.tenant_id};
		memcpy(caller_out->serial, row.serial, sizeof caller_out->serial);
		(void)snprintf(caller_out->who, sizeof caller_out->who, "%s:%s",
		    store_owner_kind_name(row.owner_kind), row.owner_id);
	} else if (rc == 0 || rc == E_NOTFOUND) {
		rc = err_set(err, E_UNAUTH, "this client certificate is nobody's who may call the API");
	}
	store_certificate_clear(&row);
	return rc;
}
