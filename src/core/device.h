/* Devices: the sequence of steps of every operation on one. */
#ifndef MUSTER_CORE_DEVICE_H
#define MUSTER_CORE_DEVICE_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "core/idempotency.h"
#include "store/device.h"
#include "x509/crl.h"

#define DEVICE_LABELS_MAX 4096 /* bytes of JSON */
#define DEVICE_LIST_MAX 1000
#define DEVICE_LIST_DEFAULT 50

/* What lets a device in that enrols by itself. */
struct device_entry {
	const char *awaited; /* the pending device that it becomes; NULL: a new one */
	const char *refusal; /* why it is too late, unless an equal request was answered before; NULL: it is not */
	/* First in the transaction: may it still, with DEVICE as its row? */
	int (*enter)(struct store_tx *tx, const void *ctx, const struct store_device *device, struct err *err);
	const void *ctx;
};

/* What a device is made by, that must know of it in the same transaction. */
struct device_order {
	const char *job; /* whose it is, for the audit */
	const char *id; /* which it will be; a key that has a certificate for this id came of an attempt that was cut short */
	/* Its credential is made, nothing stored yet. */
	int (*made)(void *ctx, const struct credential *credential, struct err *err);
	/* First in the transaction: may it still? */
	int (*store)(struct store_tx *tx, void *ctx, const struct credential *credential, struct err *err);
	void *ctx;
};

struct device_request {
	const char *name; /* required */
	const char *type; /* required */
	const char *location; /* NULL: none */
	const char *labels;   /* a JSON object of strings as text, or NULL */
	const char *policy;   /* NULL: the built-in one */
	struct credential_request credential;
	struct idempotency_request idempotency;
	bool pending; /* known, but yet to enrol: neither certificate nor rights; no credential is made */
	const struct device_entry *entry; /* NULL: somebody else registers it */
	const struct device_order *order; /* or NULL */
};

/* Register a device, active at once unless it is to be pending: checks, credential, then one transaction with device, certificate,
 * package, change and audit. With an idempotency key that made a device before: that device as it is now,
 * and the certificate it got then, without a package. E_INPUT (field), E_CONFLICT (field Idempotency-Key:
 * it belongs to another request), E_GONE (the entry's refusal), E_LIMIT, E_BUSY, E_SYS. Clear both outputs. */
MUST_CHECK int device_register(struct core *core, const struct caller *caller,
    const struct device_request *request, struct store_device *device_out,
    struct credential *credential_out, struct err *err);

/* Would device_register make it, as far as can be said before? A CSR that was read is in CSR_OUT, and *HAS_CSR_OUT says so. Nothing is made, no limit asked. E_INPUT (field), E_CONFLICT (the key is not free), E_BUSY, E_SYS. */
MUST_CHECK int device_check(struct core *core, const struct caller *caller, const struct device_request *request,
    bool *has_csr_out, struct csr *csr_out, struct err *err);

MUST_CHECK int device_get(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err);

/* filter->tenant_id is set from the caller. */
MUST_CHECK int device_list(struct core *core, const struct caller *caller,
    struct store_device_filter *filter, struct store_device *rows_out, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err);

/* What PATCH may change; NULL leaves a field as it is, "" empties location. */
struct device_change {
	const char *name, *type, *location, *labels, *policy;
};
MUST_CHECK int device_update(struct core *core, const struct caller *caller, const char *id,
    const struct device_change *change, struct store_device *device_out, struct err *err);

/* Revoke for good, with every certificate. In ACL-file mode it returns after the broker was signalled.
 * E_NOTFOUND, E_CONFLICT if it is revoked already. */
MUST_CHECK int device_revoke(struct core *core, const struct caller *caller, const char *id,
    enum crl_reason reason, struct store_device *device_out, struct err *err);

/* certificateHold and back. E_CONFLICT unless active, suspended respectively. */
MUST_CHECK int device_suspend(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err);
MUST_CHECK int device_resume(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err);

/* A new key and certificate (and package); every earlier certificate is revoked as superseded, a link still
 * waiting is withdrawn. E_CONFLICT unless the device is active. */
MUST_CHECK int device_reissue(struct core *core, const struct caller *caller, const char *id,
    const struct credential_request *request, struct store_device *device_out,
    struct credential *credential_out, struct err *err);

/* The certificates of a device (or service), newest first, at most MAX; clear each row. E_NOTFOUND. */
MUST_CHECK int device_certificates(struct core *core, const struct caller *caller, const char *id,
    struct store_certificate *rows_out, size_t max, size_t *n_out, struct err *err);

#endif
