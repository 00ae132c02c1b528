/* seed HOME N REAL > FLEET: N active devices straight into the database and the signer's log of a
 * home that is not being served, as registrations would have left them but for change and audit
 * rows. Each certificate is signed by the home's issuing CA. They all have one key, which no
 * registration would let them; it goes to standard output as PEM, followed by the certificates of
 * the first REAL devices. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"
#include "signer/log.h"
#include "x509/cert.h"
#include "x509/key.h"
#include "x509/pem.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX 16384
#define DAY 86400
#define LOG_BATCH 1000

static const char insert_device[] = "INSERT INTO device (id, tenant_id, name, name_key, type, "
				    "location, status, policy, created_at, updated_at)"
				    " VALUES (?1, 1, ?2, lower(?2), ?3, ?4, 1, 'default', ?5, ?5)";
static const char insert_certificate[] =
    "INSERT INTO certificate (serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, "
    "key, profile, not_before,"
    " not_after, state, reason, revoked_at, der)"
    " VALUES (?1, 1, 0, ?2, ?3, ?4, 'ec-p256', 'constrained', ?5, ?6, 0, 0, 0, ?7)";
static const char put_mark[] = "INSERT INTO setting (name, value) VALUES ('signer_log_mark', ?1) "
			       "ON CONFLICT (name) DO UPDATE SET value = ?1";

struct home {
	sqlite3 *db;
	sqlite3_stmt *device, *certificate;
	struct signer_log *log;
	struct cert_issuer issuer;
	struct key *ca;
	int64_t now;
};

_Noreturn static void
die(const char *what)
{
	(void)fprintf(stderr, "seed: %s\n", what);
	exit(1);
}

static void
sql(struct home *h, const char *text)
{
	if (sqlite3_exec(h->db, text, NULL, NULL, NULL) != SQLITE_OK)
		die(sqlite3_errmsg(h->db));
}

static sqlite3_stmt *
prepare(struct home *h, const char *text)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(h->db, text, -1, &stmt, NULL) != SQLITE_OK)
		die(sqlite3_errmsg(h->db));
	return stmt;
}

static void
step(struct home *h, sqlite3_stmt *stmt)
{
	if (sqlite3_step(stmt) != SQLITE_DONE || sqlite3_reset(stmt) != SQLITE_OK)
		die(sqlite3_errmsg(h->db));
}

static int
home_open(struct home *h, const char *dir, struct err *err)
{
	char path[FS_PATH_MAX];
	struct buf pem = {0}, der = {0};
	int rc;

	h->now = clock_now();
	(void)snprintf(path, sizeof path, "%s/ca/issuing.crt", dir);
	if ((rc = fs_read(path, PEM_MAX, &pem, err)) != 0 ||
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &der, err)) != 0 ||
	    (rc = cert_issuer_init(&h->issuer, der.data, der.len, "http://localhost:8080", err)) !=
		0)
		goto out;
	buf_reset(&pem);
	(void)snprintf(path, sizeof path, "%s/ca/private/issuing.key", dir);
	if ((rc = fs_read(path, PEM_MAX, &pem, err)) != 0 ||
	    (rc = key_from_pem(pem.data, pem.len, &h->ca, err)) != 0)
		goto out;
	(void)snprintf(path, sizeof path, "%s/signer.log", dir);
	if ((rc = signer_log_open(path, false, &h->log, err)) != 0)
		goto out;
	(void)snprintf(path, sizeof path, "%s/muster.db", dir);
	if (sqlite3_open(path, &h->db) != SQLITE_OK)
		die("cannot open the database");
	sql(h, "PRAGMA synchronous = OFF");
	sql(h, "PRAGMA cache_size = -2000000");
	sql(h, "BEGIN");
	h->device = prepare(h, insert_device);
	h->certificate = prepare(h, insert_certificate);
out:
	buf_clear(&pem);
	buf_clear(&der);
	return rc;
}

static void
put_device(struct home *h, const char *id, long i)
{
	char name[32], type[16], location[16];

	(void)snprintf(name, sizeof name, "Device %07ld", i);
	(void)snprintf(type, sizeof type, "type-%ld", i % 10);
	(void)snprintf(location, sizeof location, "hall %ld", i % 100);
	(void)sqlite3_bind_text(h->device, 1, id, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(h->device, 2, name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(h->device, 3, type, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(h->device, 4, location, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(h->device, 5, h->now);
	step(h, h->device);
}

static void
put_certificate(struct home *h, const char *id, const struct cert_spec *spec, const struct buf *der)
{
	uint8_t fingerprint[SHA256_LEN], spki_hash[SHA256_LEN];

	sha256(fingerprint, der->data, der->len);
	sha256(spki_hash, spec->spki, spec->spki_len);
	(void)sqlite3_bind_blob(h->certificate, 1, spec->serial, SERIAL_LEN, SQLITE_STATIC);
	(void)sqlite3_bind_text(h->certificate, 2, id, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(h->certificate, 3, fingerprint, SHA256_LEN, SQLITE_STATIC);
	(void)sqlite3_bind_blob(h->certificate, 4, spki_hash, SHA256_LEN, SQLITE_STATIC);
	(void)sqlite3_bind_int64(h->certificate, 5, spec->not_before);
	(void)sqlite3_bind_int64(h->certificate, 6, spec->not_after);
	(void)sqlite3_bind_blob(h->certificate, 7, der->data, (int)der->len, SQLITE_STATIC);
	step(h, h->certificate);
}

/* KEY's certificate for ID, signed, logged and stored. */
static int
certify(struct home *h, const char *id, const struct key *key, struct buf *der, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_ISSUED, .at = h->now};
	struct cert_spec spec = {.not_before = h->now - 60,
	    .not_after = h->now + 365 * DAY,
	    .common_name = id,
	    .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH};
	struct buf tbs = {0};
	int rc;

	spec.spki = key_spki(key, &spec.spki_len);
	if ((rc = cert_serial_make(spec.serial, err)) != 0 ||
	    (rc = cert_tbs_build(&spec, &h->issuer, &tbs, err)) != 0 ||
	    (rc = cert_sign(tbs.data, tbs.len, h->ca, der, err)) != 0)
		goto out;
	memcpy(row.serial, spec.serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, id);
	row.der = der->data;
	row.der_len = der->len;
	put_certificate(h, id, &spec, der);
	rc = signer_log_add(h->log, &row, err);
out:
	buf_clear(&tbs);
	return rc;
}

static int
print_key(const struct key *key, struct err *err)
{
	struct secret pem = {0};
	int rc;

	if ((rc = key_to_pem(key, &pem, err)) != 0)
		return rc;
	(void)fwrite(pem.data, 1, pem.len, stdout);
	secret_clear(&pem);
	return 0;
}

static void
print_certificate(const struct buf *der)
{
	struct buf pem = {0};

	pem_encode(&pem, "CERTIFICATE", der->data, der->len);
	(void)fwrite(pem.data, 1, pem.len, stdout);
	buf_clear(&pem);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* N ids, sorted: rows that go in at the end of their table go in quickly. */
static int
ids_make(long n, char (**out)[UUID_LEN + 1], struct err *err)
{
	char(*ids)[UUID_LEN + 1] = calloc((size_t)n, sizeof *ids);
	long i;
	int rc = ids == NULL ? err_nomem(err) : 0;

	for (i = 0; rc == 0 && i < n; i++)
		rc = uuid_make(ids[i], err);
	if (rc == 0)
		qsort(ids, (size_t)n, sizeof *ids, compare);
	*out = ids;
	return rc;
}

static int
seed(struct home *h, long n, long real, struct err *err)
{
	char(*ids)[UUID_LEN + 1] = NULL;
	struct key *key = NULL;
	struct buf der = {0};
	long i;
	int rc;

	if ((rc = ids_make(n, &ids, err)) == 0 && (rc = key_generate(KEY_EC_P256, &key, err)) == 0)
		rc = print_key(key, err);
	for (i = 0; rc == 0 && i < n; i++) {
		put_device(h, ids[i], i);
		buf_reset(&der);
		if ((rc = certify(h, ids[i], key, &der, err)) == 0 && i < real)
			print_certificate(&der);
		if (rc == 0 && (i + 1) % LOG_BATCH == 0)
			rc = signer_log_sync(h->log, err);
	}
	key_free(key);
	buf_clear(&der);
	free(ids);
	return rc == 0 ? signer_log_sync(h->log, err) : rc;
}

/* The log has nothing that the database has not. */
static void
home_close(struct home *h)
{
	sqlite3_stmt *mark = prepare(h, put_mark);
	char value[64];

	(void)snprintf(value, sizeof value, "%llu %lld",
	    (unsigned long long)signer_log_last_seq(h->log), (long long)h->now);
	(void)sqlite3_bind_text(mark, 1, value, -1, SQLITE_STATIC);
	step(h, mark);
	(void)sqlite3_finalize(mark);
	(void)sqlite3_finalize(h->device);
	(void)sqlite3_finalize(h->certificate);
	sql(h, "COMMIT");
	sql(h, "PRAGMA wal_checkpoint(TRUNCATE)");
	(void)sqlite3_close(h->db);
	signer_log_close(h->log);
	key_free(h->ca);
}

int
main(int argc, char **argv)
{
	struct home h = {0};
	struct err err = {0};
	int64_t n, real;

	if (argc != 4 || !integer_parse(argv[2], 1, 10000000, &n) ||
	    !integer_parse(argv[3], 0, n, &real)) {
		(void)fputs("usage: seed HOME N REAL > FLEET\n", stderr);
		return 2;
	}
	if (secret_heap_open(64 * 1024, &err) != 0 || home_open(&h, argv[1], &err) != 0 ||
	    seed(&h, (long)n, (long)real, &err) != 0)
		die(err.text);
	home_close(&h);
	return fflush(stdout) == 0 ? 0 : 1;
}
