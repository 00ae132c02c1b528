/* Table `broker`: who may follow the feed, and how far each is. */
#ifndef MUSTER_STORE_BROKER_H
#define MUSTER_STORE_BROKER_H

#include "base/address.h"
#include "base/err.h"
#include "store/device.h"

#define STORE_EPOCH_SIZE 33 /* with NUL */

struct store_broker {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_WORD_SIZE]; /* unique among a tenant's brokers that are not revoked */
	enum device_status status;  /* active or revoked */
	int64_t created_at;
	int64_t seen_at;	 /* 0: never */
	char address[ADDRESS_TEXT_SIZE];
	char epoch[STORE_EPOCH_SIZE]; /* "" : it has not told yet */
	int64_t seq;
	int64_t dropped; /* events in all */
	int64_t expires_at; /* when its last certificate ends; 0: it has none. Not for insert */
};

/* E_CONFLICT (field "name") if an unrevoked broker of that tenant has the name. */
MUST_CHECK int store_broker_insert(struct store_tx *tx, const struct store_broker *row, struct err *err);

/* By id, or by the name of one that is not revoked. E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_broker_get(struct store_tx *tx, int64_t tenant_id, const char *id_or_name,
    struct store_broker *row_out, struct err *err);

/* E_NOTFOUND. */
MUST_CHECK int store_broker_set_status(
    struct store_tx *tx, const char *id, enum device_status status, struct err *err);

/* Write seen_at, address, epoch, seq, and add dropped. E_NOTFOUND. */
MUST_CHECK int store_broker_report(struct store_tx *tx, const struct store_broker *row, struct err *err);

/* Call EACH for every broker of the tenant that is not revoked, in the order of name; as store_device_each. */
typedef int store_broker_each_fn(void *ctx, const struct store_broker *row, struct err *err);
MUST_CHECK int store_broker_each(
    struct store_tx *tx, int64_t tenant_id, store_broker_each_fn *each, void *ctx, struct err *err);

#endif
