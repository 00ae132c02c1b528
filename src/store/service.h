/* Table `service`. */
#ifndef MUSTER_STORE_SERVICE_H
#define MUSTER_STORE_SERVICE_H

#include "base/err.h"
#include "store/device.h"

struct store_service {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_WORD_SIZE]; /* unique among a tenant's services that are not revoked */
	char *read, *write;	    /* JSON arrays of topic filters as text; owned */
	enum device_status status;  /* active or revoked */
	int64_t created_at, updated_at;
};

void store_service_clear(struct store_service *row);

/* E_CONFLICT (field "name") if an unrevoked service of that tenant has the name. */
MUST_CHECK int store_service_insert(
    struct store_tx *tx, const struct store_service *row, struct err *err);

/* By id, or by the name of one that is not revoked. E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_service_get(struct store_tx *tx, int64_t tenant_id, const char *id_or_name,
    struct store_service *row_out, struct err *err);

/* Write read, write, status, updated_at. */
MUST_CHECK int store_service_update(
    struct store_tx *tx, const struct store_service *row, struct err *err);

/* One page in the order of (name, id); as store_device_list. */
MUST_CHECK int store_service_list(struct store_tx *tx, int64_t tenant_id, size_t limit,
    const char *after, struct store_service *rows_out, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Every active service of every tenant, in the order of id; as store_device_each. */
typedef int store_service_each_fn(void *ctx, const struct store_service *row, struct err *err);
MUST_CHECK int store_service_each(
    struct store_tx *tx, store_service_each_fn *each, void *ctx, struct err *err);

/* As store_device_page. */
MUST_CHECK int store_service_page(struct store_tx *tx, const char *after, size_t max, store_service_each_fn *each,
    void *ctx, size_t *n_out, struct err *err);

#endif
