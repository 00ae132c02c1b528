/* Table `certificate`: every certificate that was ever issued. */
#ifndef MUSTER_STORE_CERTIFICATE_H
#define MUSTER_STORE_CERTIFICATE_H

#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"
#include "store/device.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_SERIAL_LEN 20

enum store_owner_kind { OWNER_DEVICE, OWNER_SERVICE, OWNER_SERVER, OWNER_BROKER, OWNER_OPERATOR };

const char *store_owner_kind_name(enum store_owner_kind kind); /* "device", … */

enum certificate_state {
	CERTIFICATE_ACTIVE,
	CERTIFICATE_HELD,   /* suspended: on the CRL as certificateHold */
	CERTIFICATE_REVOKED /* for good; `reason` says why, superseded ones too */
};

const char *store_certificate_state_name(enum certificate_state state);

struct store_certificate {
	uint8_t serial[STORE_SERIAL_LEN];
	int64_t tenant_id;
	enum store_owner_kind owner_kind;
	char owner_id[UUID_LEN + 1];
	uint8_t fingerprint[SHA256_LEN]; /* SHA-256 of the DER */
	uint8_t spki_hash[SHA256_LEN];
	char key[16];	    /* the key's kind: "ec-p256" */
	char profile[33];
	int64_t not_before, not_after;
	enum certificate_state state;
	int reason;	    /* RFC 5280 CRLReason, of held and revoked ones */
	int64_t revoked_at; /* 0 while active */
	bool superseded;
	uint8_t superseded_by[STORE_SERIAL_LEN];
	int64_t issuer;	    /* its number in table `issuer` */
	uint8_t *der;	    /* owned */
	size_t der_len;
};

void store_certificate_clear(struct store_certificate *row);

/* E_CONFLICT if serial or fingerprint exists. */
MUST_CHECK int store_certificate_insert(
    struct store_tx *tx, const struct store_certificate *row, struct err *err);

/* E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_certificate_by_fingerprint(struct store_tx *tx, int64_t tenant_id,
    const uint8_t *fingerprint, struct store_certificate *row_out, struct err *err);

/* Of whichever tenant: for the mutual TLS of a caller, and for comparing with the signer's log. E_NOTFOUND. */
MUST_CHECK int store_certificate_by_serial(struct store_tx *tx, const uint8_t *serial,
    struct store_certificate *row_out, struct err *err);

/* What there is to say of a certificate to whoever asks. */
struct store_status {
	enum certificate_state state;
	int reason;
	int64_t revoked_at;
	int64_t issuer;
};

/* Of whichever tenant. E_NOTFOUND: never issued. */
MUST_CHECK int store_certificate_status(
    struct store_tx *tx, const uint8_t *serial, struct store_status *status_out, struct err *err);

/* Who has used this public key: the owner of any certificate, of whichever tenant, with that SPKI hash.
 * E_NOTFOUND if nobody. */
MUST_CHECK int store_certificate_key_owner(struct store_tx *tx, const uint8_t *spki_hash,
    enum store_owner_kind *kind_out, char owner_id_out[UUID_LEN + 1], struct err *err);

/* Of which kind and tenant the owner of this id is. E_NOTFOUND if it never had a certificate. */
MUST_CHECK int store_certificate_owner(struct store_tx *tx, const char *owner_id, enum store_owner_kind *kind_out,
    int64_t *tenant_id_out, struct err *err);

/* All of one owner, newest first, at most MAX. Each row is to be cleared. */
MUST_CHECK int store_certificate_by_owner(struct store_tx *tx, int64_t tenant_id,
    const char *owner_id, struct store_certificate *rows_out, size_t max, size_t *n_out,
    struct err *err);

/* Those of one owner that are active or held, newest first, at most MAX. Each row is to be cleared. */
MUST_CHECK int store_certificate_unrevoked(struct store_tx *tx, int64_t tenant_id,
    const char *owner_id, struct store_certificate *rows_out, size_t max, size_t *n_out,
    struct err *err);

/* What a broker must know of one that may connect. */
struct store_fingerprint {
	uint8_t sha256[SHA256_LEN];
	int64_t not_after;
};

/* Those of one owner that are active and end after NOW, newest first, at most MAX. */
MUST_CHECK int store_certificate_current(struct store_tx *tx, int64_t tenant_id, const char *owner_id, int64_t now,
    struct store_fingerprint *out, size_t max, size_t *n_out, struct err *err);

/* Move a certificate to STATE with REASON and REVOKED_AT (0 when back to active); SUPERSEDED_BY may be
 * NULL. A revoked one stays revoked: E_CONFLICT. E_NOTFOUND. */
MUST_CHECK int store_certificate_set_state(struct store_tx *tx, const uint8_t *serial,
    enum certificate_state state, int reason, int64_t revoked_at, const uint8_t *superseded_by,
    struct err *err);

/* Give the active certificates of OWNER_ID, but for the one with SERIAL, which follows them, until RETIRE_AT; those that have
 * an end already keep it. */
MUST_CHECK int store_certificate_retire(
    struct store_tx *tx, const char *owner_id, const uint8_t *serial, int64_t retire_at, struct err *err);

/* The certificate with this SHA-256 is in use: if it is the newest of its owner, the active ones before it, which have an end,
 * have it NOW. One that is not there is no failure. */
MUST_CHECK int store_certificate_seen(
    struct store_tx *tx, const uint8_t *fingerprint, int64_t now, struct err *err);

/* The active certificates whose end has come by NOW, at most MAX. */
struct store_due {
	uint8_t serial[STORE_SERIAL_LEN];
	int64_t tenant_id;
	char owner_id[UUID_LEN + 1];
};
MUST_CHECK int store_certificate_due(
    struct store_tx *tx, int64_t now, struct store_due *out, size_t max, size_t *n_out, struct err *err);

/* How many of that issuer's certificates are in use: valid at NOW and not revoked; servers' are not counted, for they are
 * replaced without being revoked. *END_OUT is when the last of them ends. Reads all of them. */
MUST_CHECK int store_certificate_in_use(
    struct store_tx *tx, int64_t issuer, int64_t now, int64_t *n_out, int64_t *end_out, struct err *err);

/* Every held or revoked certificate of the issuer with that number, or of all that table `issuer` has and of none
 * (STORE_ISSUER_ALL), with not_after >= NOT_AFTER_LEAST, streaming, for the CRL. Opened on a read transaction; next returns
 * false at the end or on failure, close tells which. */
struct store_revoked;
struct store_revoked_row {
	uint8_t serial[STORE_SERIAL_LEN];
	int64_t revoked_at;
	int reason;
};
#define STORE_ISSUER_ALL (-2)
MUST_CHECK int store_revoked_open(struct store_tx *tx, int64_t issuer, int64_t not_after_least,
    struct store_revoked **revoked_out, struct err *err);
bool store_revoked_next(struct store_revoked *revoked, struct store_revoked_row *row_out);
MUST_CHECK int store_revoked_close(struct store_revoked *revoked, struct err *err);

#endif
