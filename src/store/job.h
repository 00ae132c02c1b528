/* Tables `job` and `job_row`: many devices by one order, and how far each is. */
#ifndef MUSTER_STORE_JOB_H
#define MUSTER_STORE_JOB_H

#include "base/err.h"
#include "base/secret.h"
#include "store/certificate.h"
#include "store/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_tx;

#define STORE_JOB_DIGEST_SIZE 65
#define STORE_JOB_WHO_SIZE 144
#define STORE_JOB_ORIGIN_SIZE 64

enum job_state { JOB_OPEN, JOB_RUNNING, JOB_DONE, JOB_CANCELLED, JOB_STATES };
enum job_packages { JOB_PACKAGES_NONE, JOB_PACKAGES_LINKS, JOB_PACKAGES };
enum job_row_state { JOB_ROW_WAITING, JOB_ROW_DONE, JOB_ROW_FAILED, JOB_ROW_REFUSED, JOB_ROW_STATES };

const char *store_job_state_name(enum job_state state); /* "open", … */
const char *store_job_row_state_name(enum job_row_state state);
bool store_job_row_state_parse(const char *name, enum job_row_state *state_out);

struct store_job {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char kind[32];
	enum job_state state;
	char name[STORE_NAME_SIZE];
	char digest[STORE_JOB_DIGEST_SIZE];
	char actor[STORE_JOB_WHO_SIZE];
	int64_t role;
	bool bound;
	char origin[STORE_JOB_ORIGIN_SIZE];
	enum job_packages packages;
	int64_t link_ttl_s;
	uint8_t *seal; /* owned; NULL: none */
	size_t seal_len;
	int64_t total, received, refused, done, failed;
	int64_t created_at, started_at, ended_at; /* 0: not yet */
};

void store_job_clear(struct store_job *row);

/* E_CONFLICT if there is one with that digest which is not cancelled. */
MUST_CHECK int store_job_insert(struct store_tx *tx, const struct store_job *row, struct err *err);

/* E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_job_get(struct store_tx *tx, int64_t tenant_id, const char *id, struct store_job *row_out, struct err *err);

/* The one that has this digest and is not cancelled. E_NOTFOUND. */
MUST_CHECK int store_job_by_digest(
    struct store_tx *tx, int64_t tenant_id, const char *digest, struct store_job *row_out, struct err *err);

/* One page, the newest first; as store_device_list. */
MUST_CHECK int store_job_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after,
    struct store_job *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Write state, received, refused, started_at and ended_at. */
MUST_CHECK int store_job_update(struct store_tx *tx, const struct store_job *row, struct err *err);

/* Cancel every tenant's that is open or runs, for a restored store: what was made of it since the backup, nobody knows. */
MUST_CHECK int store_job_cancel_all(struct store_tx *tx, int64_t now, struct err *err);

/* Of whichever tenant: the running one with the least id behind AFTER. E_NOTFOUND. */
MUST_CHECK int store_job_running(struct store_tx *tx, const char *after, struct store_job *row_out, struct err *err);

struct store_job_row {
	int64_t n; /* from 1 */
	int64_t tenant_id;
	enum job_row_state state;
	char device_id[UUID_LEN + 1];
	uint8_t digest[SHA256_LEN];
	char name[STORE_NAME_SIZE];
	/* What was asked, NULL where nothing was, or when it is over; owned. */
	char *type, *location, *labels, *policy, *key, *profile;
	char *sans; /* a JSON array of texts */
	int64_t valid_s;
	uint8_t *spki; /* of the CSR, whose key it is; NULL: one is made */
	size_t spki_len;
	bool has_key_hash; /* its digest, which stays */
	uint8_t key_hash[SHA256_LEN];
	bool has_serial; /* of the certificate that was made */
	uint8_t serial[STORE_SERIAL_LEN];
	uint8_t *sealed; /* link and password, to the job's key; owned */
	size_t sealed_len;
	char field[ERR_FIELD_MAX], reason[ERR_TEXT_MAX]; /* of failed and refused ones */
};

void store_job_row_clear(struct store_job_row *row);

/* E_CONFLICT if the job has this row, or its key in another one. */
MUST_CHECK int store_job_row_insert(
    struct store_tx *tx, const char *job_id, const struct store_job_row *row, struct err *err);

/* The digest of row N. E_NOTFOUND. */
MUST_CHECK int store_job_row_digest(
    struct store_tx *tx, const char *job_id, int64_t n, uint8_t digest_out[SHA256_LEN], struct err *err);

/* Which row of the job has this key. E_NOTFOUND. */
MUST_CHECK int store_job_row_by_key(
    struct store_tx *tx, const char *job_id, const uint8_t *key_hash, int64_t *n_out, struct err *err);

/* The first row whose key somebody has a certificate for, if any: E_NOTFOUND. */
MUST_CHECK int store_job_row_burnt(struct store_tx *tx, const char *job_id, int64_t *n_out, struct err *err);

/* Rows behind AFTER, in their order, at most MAX, with STATE or (-1) all; what was asked is there with WITH_REQUEST alone. Each is
 * to be cleared. */
MUST_CHECK int store_job_rows(struct store_tx *tx, int64_t tenant_id, const char *job_id, int64_t after, int state,
    bool with_request, size_t max, struct store_job_row *rows_out, size_t *n_out, struct err *err);

/* A waiting row of a running job is done: its device is made, in this transaction. E_CONFLICT if it is not waiting, or the job
 * not running: then nothing may be made. */
MUST_CHECK int store_job_row_done(struct store_tx *tx, const char *job_id, int64_t n, const uint8_t *serial,
    const void *sealed, size_t sealed_len, struct err *err);

/* The same for one that failed because of WHY. */
MUST_CHECK int store_job_row_fail(struct store_tx *tx, const char *job_id, int64_t n, const struct err *why, struct err *err);

/* Remove what has ended by BEFORE, and what was not begun since, of whichever tenant: at most MAX rows, *N_OUT of them. */
MUST_CHECK int store_job_expire(struct store_tx *tx, int64_t before, size_t max, size_t *n_out, struct err *err);

#endif
