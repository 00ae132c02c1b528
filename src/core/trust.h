/* Trust anchors: manufacturers' CAs, by whose certificates (IEEE 802.1AR) devices enrol, what these become, and which of them
 * are expected. */
#ifndef MUSTER_CORE_TRUST_H
#define MUSTER_CORE_TRUST_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/trust.h"

#include <stddef.h>

#define TRUST_SAME_NAME_MAX 32	  /* anchors of every tenant whose CAs have the same name; */
#define TRUST_SAME_NAME_TENANT_MAX 8 /* of one tenant but `default`: it must not keep others out */
#define TRUST_SERIALS_MAX 1000 /* of one call */

/* Look whether there are any; part of core_open. E_SYS. */
MUST_CHECK int trust_open(struct core *core, struct err *err);

struct trust_request {
	const char *name;
	const char *certificate; /* the CA's, PEM */
	const char *type;	 /* of the devices that enrol by it, as the rest */
	const char *location;	 /* NULL: none */
	const char *policy;	 /* NULL: the built-in one */
	const char *profile;	 /* NULL: the default for the device's key */
	bool any_serial;	 /* whatever serial number the CA vouches for; else those of trust_expect */
};

/* E_INPUT (field), E_CONFLICT (field name), E_LIMIT, E_SYS. Clear the row. */
MUST_CHECK int trust_add(struct core *core, const struct caller *caller, const struct trust_request *request,
    struct store_trust *row_out, struct err *err);

/* E_NOTFOUND. Clear the row. */
MUST_CHECK int trust_get(
    struct core *core, const struct caller *caller, const char *name, struct store_trust *row_out, struct err *err);

/* As store_trust_list, of the caller's tenant. */
MUST_CHECK int trust_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_trust *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Nobody enrols by it from now on. Devices that did stay as they are. E_NOTFOUND. */
MUST_CHECK int trust_remove(struct core *core, const struct caller *caller, const char *name, struct err *err);

/* A restore holds every anchor, for what became of it since the backup nobody knows: that ends here. E_NOTFOUND; E_CONFLICT if
 * it is not held. Clear the row. */
MUST_CHECK int trust_resume(
    struct core *core, const struct caller *caller, const char *name, struct store_trust *row_out, struct err *err);

/* Expect N serial numbers; with DEVICE_ID (or NULL), one alone, which is that pending device's. *NEW_OUT were not expected
 * before. All of them or, after an error, none. E_NOTFOUND, E_INPUT (field serials[i], device_id), E_CONFLICT (field
 * device_id: it is not pending). */
MUST_CHECK int trust_expect(struct core *core, const struct caller *caller, const char *name, const char *const *serials,
    size_t n, const char *device_id, size_t *new_out, struct err *err);

/* Expect them no more. Devices that enrolled stay as they are. *GONE_OUT were expected. As trust_expect. */
MUST_CHECK int trust_unexpect(struct core *core, const struct caller *caller, const char *name,
    const char *const *serials, size_t n, size_t *gone_out, struct err *err);

/* As store_trust_serial_list. E_NOTFOUND. */
MUST_CHECK int trust_serials(struct core *core, const struct caller *caller, const char *name, size_t limit,
    const char *after, struct store_trust_serial *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE],
    struct err *err);

/* Forget which certificate enrolled with SERIAL: the next one that the CA vouches for enrols as a new device. The device that
 * it was goes to DEVICE_ID_OUT, and stays as it is. E_NOTFOUND: no such anchor, or nobody did. */
MUST_CHECK int trust_forget(struct core *core, const struct caller *caller, const char *name, const char *serial,
    char device_id_out[UUID_LEN + 1], struct err *err);

#endif
