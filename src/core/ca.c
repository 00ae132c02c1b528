/* Asks the signer, compares its answer, shows certificates and the CRL. Holds no key. */
#include "core/ca.h"

#include "base/killpoint.h"
#include "base/text.h"
#include "core/publisher.h"
#include "core/reconcile.h"
#include "signer/client.h"
#include "store/issuer.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* What the certificate must say, given what was asked and what only the signer can choose: the serial and
 * the moment. Everything else comes from the request, so that all of it is compared. */
static int
check_answer(struct core *core, const struct profile *profile, const char *id, const uint8_t *spki,
    size_t spki_len, int64_t valid_s, const char *const *sans, size_t n_sans, const struct buf *der,
    const struct cert_info *info, enum key_kind kind, struct err *err)
{
	struct cert_spec spec = {
	    .not_before = info->not_before,
	    .not_after = info->not_after,
	    .country = profile->country,
	    .org = profile->org,
	    .common_name = id,
	    .spki = spki,
	    .spki_len = spki_len,
	    .sans = sans,
	    .n_sans = n_sans,
	    .key_usage = profile_key_usage(profile, kind),
	    .ext_key_usage = profile_ext_key_usage(profile),
	};
	int64_t now = core->now();
	int64_t longest = valid_s > 0 ? valid_s : profile->validity_s;

	memcpy(spec.serial, info->serial, SERIAL_LEN);
	/* The signer's clock is this machine's: a validity that starts or ends elsewhere was not asked for. */
	if (info->not_before > now + 5 || info->not_before < now - 3600 ||
	    info->not_after > now + longest + 5 || info->not_after <= now)
		return err_set(err, E_SYS, "the signer answered with another validity than asked for");
	/* What the bytes say is compared always. A signer whose signatures are no good is broken, not hostile, for it has the
	 * key: one in 256, by the serial's last byte, shows it. */
	return (info->serial[SERIAL_LEN - 1] == 0 ? cert_matches : cert_says)(
	    der->data, der->len, &spec, &core_config(core)->issuer, err);
}

int
ca_issue(struct core *core, const struct profile *profile, const char *id, const uint8_t *spki,
    size_t spki_len, int64_t valid_s, const char *const *sans, size_t n_sans,
    struct store_certificate *row_out, struct err *err)
{
	struct signer_request request = {.profile = profile->name, .id = id, .spki = spki,
	    .spki_len = spki_len, .valid_s = valid_s, .sans = sans, .n_sans = n_sans};
	struct store_certificate row = {0};
	struct cert_info info;
	struct buf der = {0};
	enum key_kind kind;
	bool in_doubt = false;
	int rc;

	if ((rc = spki_kind(spki, spki_len, &kind, err)) != 0 || (rc = store_room(core->store, err)) != 0 ||
	    (rc = signer_issue(core->signer, &request, &der, &in_doubt, err)) != 0)
		goto out;
	in_doubt = true; /* until it is handed over */
	KILLPOINT(5, "a certificate signed and logged, not yet compared or recorded");
	if ((rc = cert_info_read(der.data, der.len, &info, err)) != 0 ||
	    (rc = check_answer(core, profile, id, spki, spki_len, valid_s, sans, n_sans, &der, &info,
		 kind, err)) != 0) {
		if (config_is_fresh(core))
			rc = err_set(err, E_BUSY, "the configuration has just changed; try again");
		goto out;
	}
	if ((row.der = malloc(der.len)) == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	memcpy(row.der, der.data, der.len);
	row.der_len = der.len;
	memcpy(row.serial, info.serial, SERIAL_LEN);
	(void)text_copy(row.owner_id, sizeof row.owner_id, id);
	sha256(row.fingerprint, der.data, der.len);
	sha256(row.spki_hash, spki, spki_len);
	(void)text_copy(row.key, sizeof row.key, key_kind_name(kind));
	(void)text_copy(row.profile, sizeof row.profile, profile->name);
	row.not_before = info.not_before;
	row.not_after = info.not_after;
	row.state = CERTIFICATE_ACTIVE;
	row.issuer = core->issuer_numbers[0];
	*row_out = row;
	in_doubt = false;
out:
	if (in_doubt)
		reconcile_suspect(core, id, spki, spki_len);
	buf_clear(&der);
	return rc;
}

int
ca_certificate(struct core *core, const struct caller *caller, const char *fingerprint_hex,
    struct store_certificate *row_out, struct err *err)
{
	uint8_t fingerprint[SHA256_LEN];
	struct store_tx *tx = NULL;
	int rc;

	if (!hex_decode(fingerprint, sizeof fingerprint, fingerprint_hex))
		return err_field(err, E_INPUT, "fingerprint", "must be the SHA-256 in 64 hex digits");
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_certificate_by_fingerprint(tx, caller->tenant_id, fingerprint, row_out, err);
	store_rollback(&tx);
	return rc;
}

int
ca_crl(struct core *core, const char *issuer, enum shelf_kind kind, bool gzip, struct shelf_item *out, struct err *err)
{
	int i = config_issuer_index(core_config(core), issuer);

	if (i < 0)
		return err_set(err, E_NOTFOUND, "no such issuer");
	return shelf_get(publisher_shelf(core->publisher, (size_t)i), kind, gzip, out, err);
}

void
ca_crl_info(struct core *core, size_t i, enum shelf_kind kind, struct crl_info *info_out)
{
	shelf_info(publisher_shelf(core->publisher, i), kind, info_out);
}

int
ca_issuer_index(const struct core *core, const struct cert_info *info)
{
	const struct config *config = core_config(core);
	const struct cert_issuer *issuer;
	size_t i;

	for (i = 0; i < core->issuers.n; i++) {
		issuer = config_issuer_at(config, i);
		if (info->issuer_len == issuer->name_len && memcmp(info->issuer, issuer->name, issuer->name_len) == 0)
			return (int)i;
	}
	return -1;
}

bool
ca_is_own_key(const struct core *core, const uint8_t *hash)
{
	size_t i;

	for (i = 0; i < core->issuers.n; i++)
		if (memcmp(core->issuer_key_hashes[i], hash, SHA256_LEN) == 0)
			return true;
	return roots_have_key(&core->roots, hash);
}

int64_t
ca_issuer_number(const struct core *core, const struct cert_info *info)
{
	int i = ca_issuer_index(core, info);

	return i < 0 ? STORE_ISSUER_NONE : core->issuer_numbers[i];
}

const char *
ca_chain_pem(const struct core *core, const struct store_certificate *certificate)
{
	struct cert_info info;
	int i = -1;

	if (certificate->der != NULL && cert_info_read(certificate->der, certificate->der_len, &info, &(struct err){0}) == 0)
		i = ca_issuer_index(core, &info);
	return buf_str(&core->issuing_pems[i < 0 ? 0 : i]);
}

size_t
ca_all(const struct core *core, const struct buf *ders_out[CA_ALL_MAX])
{
	size_t n = 0, i;

	for (; n < core->issuers.n; n++)
		ders_out[n] = &core->issuers.all[n].der;
	if (core->roots.cross.len > 0)
		ders_out[n++] = &core->roots.cross;
	for (i = 0; i < core->roots.n; i++)
		ders_out[n++] = &core->roots.ders[i];
	return n;
}

int
ca_issuer(struct core *core, const char *issuer, struct buf *der_out, struct err *err)
{
	int i = config_issuer_index(core_config(core), issuer);

	if (i < 0)
		return err_set(err, E_NOTFOUND, "no such issuer");
	buf_append(der_out, core->issuers.all[i].der.data, core->issuers.all[i].der.len);
	return buf_failed(der_out) ? err_nomem(err) : 0;
}
