/* The order of issuing: check, key, sign (the signer logs first), compare, package, link; then, in the caller's
 * one transaction, everything at once. */
#include "core/credential.h"

#include "base/killpoint.h"
#include "base/log.h"
#include "core/attest.h"
#include "core/audit.h"
#include "core/ca.h"
#include "core/check.h"
#include "core/keypool.h"
#include "core/metrics.h"
#include "core/package.h"
#include "core/publisher.h"
#include "core/reconcile.h"
#include "core/tenant.h"
#include "core/token.h"
#include "signer/client.h"
#include "store/package.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include "x509/key.h"

#include <stdio.h>
#include <string.h>

static bool
is_fit(const struct profile *p, enum key_kind kind, const struct tenant_profiles *allowed)
{
	return (kind == KEY_NONE || profile_allows_key(p, kind)) && tenant_profiles_have(allowed, p->name);
}

/* The profile asked for; without one, `standard`, or the first that is the tenant's and takes a key of KIND. */
static int
choose_profile(struct core *core, const struct credential_owner *owner, const struct credential_request *request,
    enum key_kind kind, const struct profile **profile_out, struct err *err)
{
	const char *name = request->profile;
	const struct profile *p = profile_find(&core_config(core)->profiles, name != NULL ? name : PROFILE_DEFAULT);
	struct tenant_profiles allowed;
	size_t i;
	int rc;

	if ((rc = tenant_profiles_read(core, owner->tenant_id, &allowed, err)) != 0)
		return rc;
	if (p == NULL)
		return err_field(err, E_INPUT, "profile",
		    "there is no profile of that name; `muster profile list` shows those there are");
	if (name == NULL)
		for (i = 0; i < core_config(core)->profiles.n && !is_fit(p, kind, &allowed); i++)
			p = &core_config(core)->profiles.list[i];
	if (kind != KEY_NONE && !profile_allows_key(p, kind))
		return err_field(err, E_INPUT, name != NULL ? "key" : "profile",
		    "profile %s does not take %s keys", p->name, key_kind_name(kind));
	if (!request->any_profile && owner->kind != OWNER_BROKER && !tenant_profiles_have(&allowed, p->name))
		return err_field(err, E_DENIED, "profile",
		    "the tenant may not use profile %s; `muster profile list` shows those it may", p->name);
	*profile_out = p;
	return 0;
}

static int
check_validity(const struct profile *profile, int64_t valid_s, struct err *err)
{
	if (valid_s < 0 || valid_s > profile->validity_s)
		return err_field(err, E_INPUT, "valid", "profile %s allows at most %lldd%lldh",
		    profile->name, (long long)(profile->validity_s / 86400),
		    (long long)(profile->validity_s % 86400 / 3600));
	return 0;
}

/* Threat D7: a key that anybody else has used, or the CA's own, is refused. */
static int
check_key_is_free(struct store_tx *tx, const struct credential_owner *owner, const uint8_t *spki_hash,
    bool may_reuse, struct err *err)
{
	enum store_owner_kind kind;
	char id[UUID_LEN + 1];
	struct err none = {0};
	int rc;

	if ((rc = store_certificate_key_owner(tx, spki_hash, &kind, id, &none)) == E_NOTFOUND)
		return 0;
	if (rc != 0) {
		*err = none;
		return rc;
	}
	if (strcmp(id, owner->id) == 0 && kind == owner->kind) {
		if (may_reuse)
			return 0;
		return err_field(err, E_CONFLICT, "csr",
		    "this key had a certificate before; make a new one (the profile has reuse_key = off)");
	}
	return err_field(err, E_CONFLICT, "csr", "this key is another device's: each makes its own");
}

static int
check_csr_key(struct core *core, const struct credential_owner *owner, const struct csr *csr, bool may_reuse, struct err *err)
{
	uint8_t hash[SHA256_LEN];
	struct store_tx *tx = NULL;
	int rc;

	sha256(hash, csr->spki, csr->spki_len);
	if (ca_is_own_key(core, hash))
		return err_field(err, E_CONFLICT, "csr", "this is the CA's own key");
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = check_key_is_free(tx, owner, hash, may_reuse, err);
	store_rollback(&tx);
	return rc;
}

/* The last check, for it uses the challenge up. */
static int
check_challenge(struct core *core, const struct profile *profile, const struct caller *caller, const char *challenge,
    struct err *err)
{
	if (!profile->attest)
		return 0;
	if (caller == NULL)
		return err_field(err, E_INPUT, "profile", "profile %s is for devices, which answer challenges", profile->name);
	return attest_take(core, caller, challenge, err);
}

/* The request, read if it is not yet (into CSR), and the profile for its key: all that can be said before a challenge is taken. */
static int
csr_check(struct core *core, const struct credential_owner *owner, const struct credential_request *request, struct csr *csr,
    const struct csr **asked_out, const struct profile **profile_out, struct err *err)
{
	const struct csr *asked = request->parsed;
	int rc;

	if (asked == NULL) {
		if ((rc = csr_parse(request->csr, request->csr_len, csr, err)) != 0) {
			(void)text_copy(err->field, sizeof err->field, "csr");
			return rc;
		}
		asked = csr;
	}
	if ((rc = choose_profile(core, owner, request, asked->kind, profile_out, err)) != 0 ||
	    (rc = check_validity(*profile_out, request->valid_s, err)) != 0 ||
	    (rc = check_csr_key(core, owner, asked, request->is_retry || (*profile_out)->reuse_key, err)) != 0)
		return rc;
	*asked_out = asked;
	return 0;
}

/* The device's own key: no package, for there is no secret to carry. */
static int
make_from_csr(struct core *core, const struct credential_owner *owner,
    const struct credential_request *request, struct credential *out, struct err *err)
{
	const struct profile *profile;
	const struct csr *asked;
	struct csr csr;
	int rc;

	if ((rc = csr_check(core, owner, request, &csr, &asked, &profile, err)) != 0 ||
	    (rc = check_challenge(core, profile, request->caller, asked->challenge, err)) != 0)
		return rc;
	return ca_issue(core, profile, owner->id, asked->spki, asked->spki_len, request->valid_s,
	    request->sans, request->n_sans, &out->certificate, err);
}

static int
make_key(struct core *core, enum key_kind kind, struct key **key_out, struct err *err)
{
	if (kind == KEY_RSA_2048 && core->keypool != NULL && keypool_take(core->keypool, key_out))
		return 0;
	return key_generate(kind, key_out, err);
}

static int
link_mint(struct core *core, const struct credential_request *request, struct credential *out,
    struct err *err)
{
	char token[TOKEN_SIZE];
	int rc;

	if ((rc = token_mint("", token, err)) != 0)
		return rc;
	token_digest(token, out->token_hash);
	if (snprintf(out->url, sizeof out->url, "%s/d/%s", core_config(core)->settings.api_public_url, token) >=
	    (int)sizeof out->url)
		rc = err_set(err, E_SYS, "api.public_url is too long for a link");
	out->expires_at = core->now() +
	    (request->link_ttl_s > 0 ? request->link_ttl_s : LINK_TTL_DEFAULT_S);
	explicit_bzero(token, sizeof token);
	return rc;
}

/* The kind of the key that is to be made, and its profile. */
static int
key_check(struct core *core, const struct credential_owner *owner, const struct credential_request *request, enum key_kind *kind_out,
    const struct profile **profile_out, struct err *err)
{
	enum key_kind kind = KEY_NONE;
	int rc;

	if (request->key != NULL && !key_kind_parse(request->key, &kind))
		return err_field(err, E_INPUT, "key",
		    "must be one of rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384");
	if ((rc = choose_profile(core, owner, request, kind, profile_out, err)) != 0)
		return rc;
	if ((*profile_out)->attest)
		return err_field(err, E_INPUT, "profile",
		    "profile %s is for devices that make their own key, and prove that they have it", (*profile_out)->name);
	*kind_out = kind != KEY_NONE ? kind : (*profile_out)->keys[0];
	return check_validity(*profile_out, request->valid_s, err);
}

/* The key is made here, lives in locked memory, and leaves only inside the encrypted archive, or to a device that waits for
 * it on an authenticated connection of its own. */
static int
make_with_key(struct core *core, const struct credential_owner *owner,
    const struct credential_request *request, struct credential *out, struct err *err)
{
	const struct profile *profile;
	struct secret pem = {0};
	struct key *key = NULL;
	enum key_kind kind;
	const uint8_t *spki;
	size_t spki_len;
	int rc;

	if ((rc = key_check(core, owner, request, &kind, &profile, err)) != 0 || (rc = make_key(core, kind, &key, err)) != 0)
		return rc;
	spki = key_spki(key, &spki_len);
	if ((rc = key_to_pem(key, &pem, err)) != 0 ||
	    (rc = ca_issue(core, profile, owner->id, spki, spki_len, request->valid_s, request->sans,
		 request->n_sans, &out->certificate, err)) != 0)
		goto out;
	if (request->bare_key) {
		out->key_pem = pem;
		pem = (struct secret){0};
		goto out;
	}
	if ((rc = password_make(out->password, err)) != 0 ||
	    (rc = package_build(core, owner, &pem, &out->certificate, out->password, &out->archive, err)) != 0 ||
	    (rc = link_mint(core, request, out, err)) != 0)
		goto out;
	out->has_package = true;
out:
	secret_clear(&pem);
	key_free(key);
	return rc;
}

/* What holds for both ways. */
static int
request_check(struct core *core, const struct credential_owner *owner, const struct credential_request *request, struct err *err)
{
	if (request->key != NULL && request->csr != NULL)
		return err_field(err, E_INPUT, "key", "either key or csr, not both");
	if (request->link_ttl_s < 0 || request->link_ttl_s > LINK_TTL_MAX_S)
		return err_field(err, E_INPUT, "link_ttl_s", "must be from 1 to %d", LINK_TTL_MAX_S);
	return check_sans(core, owner->id, owner->kind == OWNER_BROKER, request->sans, request->n_sans, err);
}

int
credential_check(struct core *core, const struct credential_owner *owner, const struct credential_request *request,
    bool *has_csr_out, struct csr *csr_out, struct err *err)
{
	const struct profile *profile;
	const struct csr *asked;
	enum key_kind kind;
	int rc;

	*has_csr_out = false;
	if ((rc = request_check(core, owner, request, err)) != 0)
		return rc;
	if (request->csr == NULL)
		return key_check(core, owner, request, &kind, &profile, err);
	if ((rc = csr_check(core, owner, request, csr_out, &asked, &profile, err)) != 0)
		return rc;
	/* A challenge is good for minutes, and only for the device that was given it. */
	if (profile->attest)
		return err_field(err, E_INPUT, "profile", "profile %s is for devices, which answer challenges", profile->name);
	*has_csr_out = true;
	return 0;
}

int
credential_make(struct core *core, const struct credential_owner *owner,
    const struct credential_request *request, struct credential *out, struct err *err)
{
	struct credential made = {0};
	int rc;

	if ((rc = request_check(core, owner, request, err)) != 0)
		return rc;
	rc = request->csr != NULL || request->parsed != NULL ? make_from_csr(core, owner, request, &made, err) :
				    make_with_key(core, owner, request, &made, err);
	made.certificate.tenant_id = owner->tenant_id;
	made.certificate.owner_kind = owner->kind;
	if (made.certificate.der != NULL)
		metrics_issued(core->metrics, &made.certificate);
	if (rc == 0) {
		*out = made;
		return 0;
	}
	if (made.certificate.der != NULL) /* signed, and then something failed */
		credential_abandon(core, owner, &made);
	credential_clear(&made);
	return rc;
}

int
credential_store(struct store_tx *tx, const struct credential_owner *owner,
    const struct credential *credential, int64_t now, struct err *err)
{
	struct store_package package = {.tenant_id = owner->tenant_id, .owner_kind = owner->kind,
	    .state = PACKAGE_WAITING, .created_at = now, .expires_at = credential->expires_at};
	int rc;

	/* Again, now that nobody else can write: two requests with one key may both have come this far. */
	if ((rc = check_key_is_free(tx, owner, credential->certificate.spki_hash, true, err)) != 0 ||
	    (rc = store_certificate_insert(tx, &credential->certificate, err)) != 0 ||
	    !credential->has_package)
		return rc;
	(void)text_copy(package.owner_id, sizeof package.owner_id, owner->id);
	memcpy(package.token_hash, credential->token_hash, sizeof package.token_hash);
	if ((rc = uuid_make(package.id, err)) != 0)
		return rc;
	return store_package_insert(
	    tx, &package, credential->archive.data, credential->archive.len, err);
}

void
credential_abandon(struct core *core, const struct credential_owner *owner,
    const struct credential *credential)
{
	const struct caller system = {.role = ROLE_ADMIN, .tenant_id = owner->tenant_id, .who = "system"};
	struct store_certificate row = credential->certificate; /* borrows der */
	struct store_tx *tx = NULL;
	struct err err = {0};
	char serial[2 * SERIAL_LEN + 1];
	int rc;

	metrics_abandoned(core->metrics);
	KILLPOINT(21, "a signed certificate must be abandoned, nothing says so yet");
	hex_encode(serial, row.serial, sizeof row.serial);
	row.tenant_id = owner->tenant_id;
	row.owner_kind = owner->kind;
	row.state = CERTIFICATE_REVOKED;
	row.reason = REASON_CESSATION_OF_OPERATION;
	row.revoked_at = core->now();
	if ((rc = signer_note_revocation(core->signer, row.serial, REASON_CESSATION_OF_OPERATION,
		 row.revoked_at, &err)) == 0 &&
	    (rc = store_begin_urgent(core->store, &tx, &err)) == 0 &&
	    (rc = store_certificate_insert(tx, &row, &err)) == 0 &&
	    (rc = audit_write(tx, &system, row.revoked_at, "certificate.abandon",
		 store_owner_kind_name(owner->kind), owner->id, &err, "{\"serial\":\"%s\"}", serial)) == 0)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	if (rc != 0)
		reconcile_suspect_hash(core, owner->id, row.spki_hash);
	else if (core->publisher != NULL)
		publisher_wake(core->publisher, PUBLISH_CRL);
}

void
credential_clear(struct credential *credential)
{
	store_certificate_clear(&credential->certificate);
	secret_clear(&credential->key_pem);
	buf_clear(&credential->archive);
	explicit_bzero(credential, sizeof *credential);
}
