/* Muster's own service: who it is at the broker when it tells devices to rekey. A service like others to brokers, with topics
 * of its own; of a name that no operator can give, and a key that only this process has. */
#ifndef MUSTER_CORE_IDENTITY_H
#define MUSTER_CORE_IDENTITY_H

#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/core.h"
#include "store/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_NAME "$muster"
#define IDENTITY_WRITE "devices/+/control/rekey"
#define IDENTITY_READ "devices/+/control/ack"

struct identity {
	char id[UUID_LEN + 1];
	uint8_t serial[20];
	struct secret key_pem;
	uint8_t *cert; /* DER */
	size_t cert_len;
	int64_t renew_at;
};

/* Is ROW Muster's own? Its credentials are for nobody else. */
bool identity_is(const struct store_service *row);

/* Make a key and a certificate, in place of those of an earlier process, which are revoked as superseded; and the service, if it
 * is not there or was revoked. In ACL-file mode it returns after the broker was signalled. Clear OUT. E_*. */
MUST_CHECK int identity_make(struct core *core, struct identity *out, struct err *err);

/* Is it still good, and not to be renewed? Asks the store. */
bool identity_is_good(struct core *core, const struct identity *identity);

void identity_clear(struct identity *identity);

#endif
