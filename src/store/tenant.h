/* Table `tenant`: whose devices, services and the rest are. */
#ifndef MUSTER_STORE_TENANT_H
#define MUSTER_STORE_TENANT_H

#include "base/err.h"
#include "store/device.h"

#include <stdint.h>

#define STORE_PROFILES_SIZE 1200 /* of a JSON array of at most 16 names of profiles */

struct store_tenant {
	int64_t id;
	char name[STORE_WORD_SIZE];
	int64_t quota;			    /* of devices; 0: none */
	char profiles[STORE_PROFILES_SIZE]; /* JSON array of names; []: all */
	int64_t created_at;
	int64_t devices; /* that count for the quota: neither revoked nor archived */
};

/* E_CONFLICT (field "name") if there is one of the name, or was. */
MUST_CHECK int store_tenant_insert(
    struct store_tx *tx, const struct store_tenant *row, int64_t *id_out, struct err *err);

/* By its name, or its id. E_NOTFOUND, a removed one too. */
MUST_CHECK int store_tenant_get(struct store_tx *tx, const char *name, struct store_tenant *row_out, struct err *err);
MUST_CHECK int store_tenant_by_id(struct store_tx *tx, int64_t id, struct store_tenant *row_out, struct err *err);

/* Its name, also of a removed one. E_NOTFOUND. */
MUST_CHECK int store_tenant_name(
    struct store_tx *tx, int64_t tenant_id, char name_out[STORE_WORD_SIZE], struct err *err);

/* Write quota and profiles of the row with that id. */
MUST_CHECK int store_tenant_update(struct store_tx *tx, const struct store_tenant *row, struct err *err);

/* E_CONFLICT, with what it still has: devices that count, services, trust anchors or operators that are not revoked. */
MUST_CHECK int store_tenant_remove(struct store_tx *tx, int64_t id, int64_t now, struct err *err);

/* One page in the order of name; as store_device_list, but there is nothing to clear. */
MUST_CHECK int store_tenant_list(struct store_tx *tx, size_t limit, const char *after, struct store_tenant *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

#endif
