/* Tables `trust` and `trust_serial`: manufacturers' CAs, and which of their devices are expected. */
#ifndef MUSTER_STORE_TRUST_H
#define MUSTER_STORE_TRUST_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"
#include "store/enrol_token.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_SUBJECT_SIZE 256
#define STORE_DEVICE_SERIAL_SIZE 65

struct store_trust {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_WORD_SIZE];
	int64_t name_hash;
	uint8_t key_hash[SHA256_LEN], fingerprint[SHA256_LEN];
	char subject[STORE_SUBJECT_SIZE];
	int64_t not_after;
	char type[STORE_WORD_SIZE]; /* of the devices that it makes, as the rest */
	char location[STORE_NAME_SIZE];
	char profile[STORE_PROFILE_SIZE]; /* "" : the key's default */
	char policy[STORE_WORD_SIZE];
	bool any_serial, held;
	int64_t created_at;
	uint8_t *der; /* owned */
	size_t der_len;
};

void store_trust_clear(struct store_trust *row);

/* E_CONFLICT if the tenant has one of that name. */
MUST_CHECK int store_trust_insert(struct store_tx *tx, const struct store_trust *row, struct err *err);

/* E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_trust_get(
    struct store_tx *tx, int64_t tenant_id, const char *name, struct store_trust *row_out, struct err *err);
MUST_CHECK int store_trust_by_id(
    struct store_tx *tx, int64_t tenant_id, const char *id, struct store_trust *row_out, struct err *err);

/* Those of every tenant whose CA's name has this number, at most MAX; each is to be cleared. */
MUST_CHECK int store_trust_by_name_hash(
    struct store_tx *tx, int64_t name_hash, struct store_trust *rows_out, size_t max, size_t *n_out, struct err *err);

MUST_CHECK int store_trust_any(struct store_tx *tx, bool *any_out, struct err *err);

/* How many have such a CA, and how many of them are the tenant's. */
MUST_CHECK int store_trust_count(
    struct store_tx *tx, int64_t name_hash, int64_t tenant_id, int64_t *n_out, int64_t *n_tenants_out, struct err *err);

/* One page in the order of names; as store_device_list. */
MUST_CHECK int store_trust_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after,
    struct store_trust *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* With the serial numbers expected by it: the cost grows with them, so that most should have been dropped before. */
MUST_CHECK int store_trust_remove(struct store_tx *tx, const char *id, struct err *err);

/* Drop at most MAX of its serial numbers; *N_OUT were. */
MUST_CHECK int store_trust_serials_drop(struct store_tx *tx, const char *id, size_t max, size_t *n_out, struct err *err);

MUST_CHECK int store_trust_hold(struct store_tx *tx, const char *id, bool held, struct err *err);

/* Hold all of every tenant's, for a restored store. */
MUST_CHECK int store_trust_hold_all(struct store_tx *tx, struct err *err);

struct store_trust_serial {
	char serial[STORE_DEVICE_SERIAL_SIZE];
	char device_id[UUID_LEN + 1]; /* the pending device that it is expected as, or "" */
	char enrolled_id[UUID_LEN + 1]; /* the device that enrolled with it, or ""; by store_trust_serial_list alone */
};

/* Expect SERIAL, as DEVICE_ID ("" for a new device), whatever was expected before. *NEW_OUT: it was not. */
MUST_CHECK int store_trust_serial_put(struct store_tx *tx, const char *trust_id, const char *serial, const char *device_id,
    bool *new_out, struct err *err);

/* *CHANGED_OUT is false if it was not there. */
MUST_CHECK int store_trust_serial_remove(
    struct store_tx *tx, const char *trust_id, const char *serial, bool *changed_out, struct err *err);

/* E_NOTFOUND. */
MUST_CHECK int store_trust_serial_get(struct store_tx *tx, const char *trust_id, const char *serial,
    struct store_trust_serial *row_out, struct err *err);

/* One page in the order of serial numbers; as store_device_list, but there is nothing to clear. */
MUST_CHECK int store_trust_serial_list(struct store_tx *tx, const struct store_trust *trust, size_t limit,
    const char *after, struct store_trust_serial *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE],
    struct err *err);

#endif
