/* The section of a mosquitto.conf that makes a broker a client of another one. */
#ifndef MUSTER_CMD_BRIDGE_H
#define MUSTER_CMD_BRIDGE_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/commands.h"

struct bridge_options {
	const char *to;	   /* HOST[:PORT] of the other broker */
	const char *as;	   /* the service, by id or name */
	const char *files; /* where its opened package is on this broker's machine */
};

/* Append the section: what the service may write goes out, what it may read comes in, over mutual TLS with its
 * certificate, under its id. Asks the API for the service. E_INPUT (an option's value), E_NOTFOUND, E_CONFLICT (it is
 * revoked), or as rest_call. */
MUST_CHECK int bridge_print(
    const struct cli *cli, const struct bridge_options *options, struct buf *out, struct err *err);

#endif
