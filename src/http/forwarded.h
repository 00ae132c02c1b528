/* X-Forwarded-For (threat H4): what proxies say of who is behind them, believed only of those in the configuration. The
 * Forwarded header of RFC 7239 is not read: who has one of them need not look at the other. */
#ifndef MUSTER_HTTP_FORWARDED_H
#define MUSTER_HTTP_FORWARDED_H

#include "base/address.h"

#include <stddef.h>

struct evkeyvalq;

/* The client's address into OUT[ADDRESS_TEXT_SIZE]: PEER, who is connected, or, as long as that is one of the N TRUSTED,
 * who that says it got the request from. */
void forwarded_client(char *out, const char *peer, const struct evkeyvalq *headers,
    const struct address_range *trusted, size_t n);

#endif
