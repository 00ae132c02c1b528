/* One-time links: what a browser sees, and the one delivery. */
#ifndef MUSTER_CORE_LINK_H
#define MUSTER_CORE_LINK_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "store/package.h"

#include <stdbool.h>

/* Who asks is counted by PEER, their address; who asks for links that are none, as failing to authenticate. */

/* Who asks for a link: nothing is known but the address. */
struct link_visitor {
	const char *address;
	struct ratelimit_report *quotas; /* what its limit leaves, for the answer; or NULL */
};

/* Is the link there and unused? Consumes nothing. E_NOTFOUND, E_GONE, E_LIMIT. */
MUST_CHECK int link_look(struct core *core, const char *token, const struct link_visitor *visitor,
    struct store_package *package_out, struct err *err);

/* Consume the link and take the archive: durable and audited before it returns. E_NOTFOUND, E_GONE, E_LIMIT. */
MUST_CHECK int link_redeem(struct core *core, const char *token, const struct link_visitor *visitor,
    struct store_package *package_out, struct buf *archive_out, struct err *err);

/* The transfer of a redeemed package was cut short: audit it. Best effort. */
void link_incomplete(struct core *core, const struct store_package *package, const char *peer);

#endif
