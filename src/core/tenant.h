/* Tenants: whose devices are whose. `default` is the installation's own, and always there. */
#ifndef MUSTER_CORE_TENANT_H
#define MUSTER_CORE_TENANT_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/tenant.h"

#define TENANT_NAME_MAX 32
#define TENANT_PROFILES_MAX 16
#define TENANT_QUOTA_MAX 1000000000

/* What can be said of a tenant; in a change, what it is to be instead. */
struct tenant_request {
	int64_t quota; /* of devices that are neither revoked nor archived; 0: none; -1: as it is, none for a new one */
	const char *const *profiles; /* NULL: as they are; none of them: all */
	size_t n_profiles;
};

/* Make one, with a policy `default` of its own. NAME is a lower-case word, for it stands in topics. E_INPUT (field), E_CONFLICT. */
MUST_CHECK int tenant_add(struct core *core, const struct caller *caller, const char *name,
    const struct tenant_request *request, struct store_tenant *row_out, struct err *err);

/* Who is bound to a tenant sees that one alone. E_NOTFOUND. */
MUST_CHECK int tenant_get(
    struct core *core, const struct caller *caller, const char *name, struct store_tenant *row_out, struct err *err);

/* In the order of their names. E_INPUT. */
MUST_CHECK int tenant_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_tenant *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* A quota below what is there takes nothing away: no more come in. E_INPUT, E_NOTFOUND. */
MUST_CHECK int tenant_update(struct core *core, const struct caller *caller, const char *name,
    const struct tenant_request *request, struct store_tenant *row_out, struct err *err);

/* Its name is never given again. E_NOTFOUND; E_CONFLICT for `default`, and while anybody or anything of it still has rights. */
MUST_CHECK int tenant_remove(struct core *core, const struct caller *caller, const char *name, struct err *err);

/* The profiles that certificates of a tenant's may have, read once for several questions. E_NOTFOUND. */
struct tenant_profiles {
	char json[STORE_PROFILES_SIZE];
};
MUST_CHECK int tenant_profiles_read(struct core *core, int64_t tenant_id, struct tenant_profiles *out, struct err *err);
bool tenant_profiles_have(const struct tenant_profiles *profiles, const char *name);

/* CALLER wants to act in the tenant NAME. E_NOTFOUND, in the same words whether there is none or it is bound to another. */
MUST_CHECK int tenant_enter(struct core *core, struct caller *caller, const char *name, struct err *err);

/* Is it still there? To be asked in the transaction that gives somebody rights in it. E_NOTFOUND. */
MUST_CHECK int tenant_check(struct store_tx *tx, int64_t tenant_id, struct err *err);

/* Is there room for N devices more? To be asked in the transaction that puts them in. E_CONFLICT; E_NOTFOUND if the tenant was
 * removed. */
MUST_CHECK int tenant_room(struct store_tx *tx, int64_t tenant_id, int64_t n, struct err *err);

#endif
