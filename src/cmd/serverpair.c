/* Issued as the running signer would, but without it: logged first, then recorded, then put in place. */
#include "cmd/serverpair.h"

#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"
#include "store/broker.h"
#include "store/certificate.h"
#include "store/issuer.h"
#include "x509/pem.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DAY 86400
#define SERVER_DAYS 825
#define BACKDATE_S 60 /* a client's clock may be a little behind */

static const struct files {
	const char *cert, *key;
	mode_t key_mode;
	enum store_owner_kind owner;
} files[] = {
    [SERVERPAIR_API] = {"tls/server.crt", "tls/server.key", 0600, OWNER_SERVER},
    [SERVERPAIR_BROKER] = {"broker/broker.crt", "broker/broker.key", 0640, OWNER_BROKER},
};

const char *
serverpair_cert(enum serverpair_which which)
{
	return files[which].cert;
}

const char *
serverpair_key(enum serverpair_which which)
{
	return files[which].key;
}

static bool
is_address(const char *host)
{
	struct in6_addr raw;

	return inet_pton(AF_INET, host, &raw) == 1 || inet_pton(AF_INET6, host, &raw) == 1;
}

/* The home's own broker is one of those who follow the feed. */
static int
record_broker(struct store_tx *tx, const struct store_certificate *cert, int64_t now, struct err *err)
{
	struct store_broker row = {.tenant_id = cert->tenant_id, .status = DEVICE_ACTIVE, .created_at = now};

	(void)text_copy(row.id, sizeof row.id, cert->owner_id);
	(void)snprintf(row.name, sizeof row.name, "home-%.8s", cert->owner_id);
	return store_broker_insert(tx, &row, err);
}

/* Log and record what was signed here, exactly as the running service does. */
static int
record_certificate(const struct serverpair *p, const struct cert_spec *spec, const struct buf *der,
    enum store_owner_kind owner, enum key_kind kind, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_ISSUED, .at = p->now, .der = der->data,
	    .der_len = der->len};
	struct store_certificate cert = {.tenant_id = STORE_TENANT_DEFAULT, .owner_kind = owner,
	    .not_before = spec->not_before, .not_after = spec->not_after, .state = CERTIFICATE_ACTIVE,
	    .der = der->data, .der_len = der->len};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = uuid_make(cert.owner_id, err)) != 0)
		return rc;
	memcpy(row.serial, spec->serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, cert.owner_id);
	memcpy(cert.serial, spec->serial, SERIAL_LEN);
	sha256(cert.fingerprint, der->data, der->len);
	sha256(cert.spki_hash, spec->spki, spec->spki_len);
	(void)text_copy(cert.key, sizeof cert.key, key_kind_name(kind));
	(void)text_copy(cert.profile, sizeof cert.profile, store_owner_kind_name(owner));
	if ((rc = signer_log_add(p->log, &row, err)) != 0 || (rc = signer_log_sync(p->log, err)) != 0 ||
	    (rc = store_begin(p->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_issuer_enter(tx, p->issuer->key_id_hex, &cert.issuer, err)) == 0 &&
	    (rc = store_certificate_insert(tx, &cert, err)) == 0 &&
	    (owner != OWNER_BROKER || (rc = record_broker(tx, &cert, p->now, err)) == 0))
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static int
files_put(const char *dir, const struct files *f, const struct buf *cert_pem, const struct key *key, struct err *err)
{
	char path[FS_PATH_MAX];
	struct secret pem = {0};
	int rc;

	if (buf_failed(cert_pem))
		return err_nomem(err);
	if ((rc = fs_path(path, dir, f->cert, err)) == 0 &&
	    (rc = fs_write(path, 0644, (gid_t)-1, cert_pem->data, cert_pem->len, err)) == 0 &&
	    (rc = fs_path(path, dir, f->key, err)) == 0 && (rc = key_to_pem(key, &pem, err)) == 0)
		rc = fs_write(path, f->key_mode, (gid_t)-1, pem.data, pem.len, err);
	secret_clear(&pem);
	return rc;
}

int
serverpair_make(const struct serverpair *p, enum serverpair_which which, struct err *err)
{
	char names[SERVERPAIR_HOSTS_MAX][CERT_SAN_SIZE];
	const char *sans[SERVERPAIR_HOSTS_MAX];
	struct cert_spec spec = {.not_before = p->now - BACKDATE_S,
	    .not_after = p->now + (int64_t)SERVER_DAYS * DAY, .country = p->country,
	    .org = p->org, .common_name = p->hosts[0], .sans = sans,
	    .n_sans = p->n_hosts, .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH | EKU_SERVER_AUTH};
	struct buf tbs = {0}, der = {0}, pem = {0};
	struct key *key = NULL;
	size_t i;
	int rc;

	if (spec.not_after > p->issuer->not_after)
		spec.not_after = p->issuer->not_after;
	for (i = 0; i < p->n_hosts; i++) {
		(void)snprintf(names[i], sizeof names[i], "%s:%.240s",
		    is_address(p->hosts[i]) ? "IP" : "DNS", p->hosts[i]);
		sans[i] = names[i];
		if ((rc = san_check(names[i], err)) != 0)
			return err_prefix(err, "--host %s", p->hosts[i]);
	}
	if ((rc = key_generate(KEY_EC_P256, &key, err)) != 0 ||
	    (rc = cert_serial_make(spec.serial, err)) != 0)
		goto out;
	spec.spki = key_spki(key, &spec.spki_len);
	if ((rc = cert_tbs_build(&spec, p->issuer, &tbs, err)) != 0 ||
	    (rc = cert_sign(tbs.data, tbs.len, p->issuing_key, &der, err)) != 0 ||
	    (rc = cert_matches(der.data, der.len, &spec, p->issuer, err)) != 0 ||
	    (rc = record_certificate(p, &spec, &der, files[which].owner, KEY_EC_P256, err)) != 0)
		goto out;
	pem_encode(&pem, "CERTIFICATE", der.data, der.len);
	buf_append(&pem, p->issuing_pem->data, p->issuing_pem->len);
	rc = files_put(p->dir, &files[which], &pem, key, err);
out:
	key_free(key);
	buf_clear(&tbs);
	buf_clear(&der);
	buf_clear(&pem);
	return rc;
}
