/* Services: back ends, bridges, dashboards; with a certificate and topics of their own. */
#ifndef MUSTER_CORE_SERVICE_H
#define MUSTER_CORE_SERVICE_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "store/service.h"
#include "x509/crl.h"

struct service_request {
	const char *name; /* required; [A-Za-z0-9._-]{1,64} */
	const char *const *read; /* topic filters; at least one of read and write */
	size_t n_read;
	const char *const *write;
	size_t n_write;
	struct credential_request credential;
};

/* E_INPUT (field), E_CONFLICT (the name is taken), E_BUSY, E_SYS. Clear both outputs. */
MUST_CHECK int service_add(struct core *core, const struct caller *caller,
    const struct service_request *request, struct store_service *service_out,
    struct credential *credential_out, struct err *err);

/* By id or name. */
MUST_CHECK int service_get(struct core *core, const struct caller *caller, const char *id_or_name,
    struct store_service *service_out, struct err *err);
MUST_CHECK int service_list(struct core *core, const struct caller *caller, size_t limit,
    const char *after, struct store_service *rows_out, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err);
MUST_CHECK int service_revoke(struct core *core, const struct caller *caller, const char *id_or_name,
    enum crl_reason reason, struct store_service *service_out, struct err *err);

/* As device_reissue. */
MUST_CHECK int service_reissue(struct core *core, const struct caller *caller, const char *id_or_name,
    const struct credential_request *request, struct store_service *service_out,
    struct credential *credential_out, struct err *err);

#endif
