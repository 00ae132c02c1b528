/* How many connections each client has open, over all loops. A client is an address, of IPv6 the /64. */
#ifndef MUSTER_HTTP_CLIENTS_H
#define MUSTER_HTTP_CLIENTS_H

#include "base/address.h"
#include "base/err.h"

#include <stddef.h>

struct client;
struct clients;

/* At most MAX connections each, 0: no limit. The N TRUSTED, who bring others' requests, have none; borrowed. E_NOMEM. */
MUST_CHECK int clients_new(size_t max, const struct address_range *trusted, size_t n,
    struct clients **clients_out, struct err *err);
void clients_free(struct clients *clients);

/* One connection more from PEER. *CLIENT_OUT, to be left when it ends, is set on E_LIMIT too, and then not to be left:
 * whose connections make room for this one. NULL: nobody counts. E_LIMIT, E_NOMEM. Any thread. */
MUST_CHECK int clients_enter(
    struct clients *clients, const char *peer, const struct client **client_out, struct err *err);

/* One connection less. NULL is harmless. Any thread. */
void clients_leave(struct clients *clients, const struct client *client);

#endif
