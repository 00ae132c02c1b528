/* Knocking at a TLS server as a device would, to find out how far it gets. Nothing is verified in the handshake, and
 * nothing secret is sent: what the server presents is for x509/chain to judge. Each call gives up after seconds. */
#ifndef MUSTER_CMD_PROBE_H
#define MUSTER_CMD_PROBE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct probe {
	const char *listen; /* ADDRESS:PORT as muster.conf has it; every address means loopback */
	const char *name;   /* the host name asked for, or NULL */
	const char *cert_file, *key_file; /* the client's chain and key, PEM; NULL: none */
};

/* All fail with: E_BUSY, nobody takes connections there; E_INPUT, the client's own files are unfit; E_DENIED, the
 * server refused, and the text says with which alert; E_SYS, no TLS there, or no answer in time. */

/* Append the PEM of what the server presents, leaf first. */
MUST_CHECK int probe_chain(const struct probe *probe, struct buf *pem_out, struct err *err);

/* Does the server take the client's certificate? By a TLS 1.2 handshake, which does not end before that is
 * decided, and nothing behind it: no session of the client's is touched. */
MUST_CHECK int probe_client(const struct probe *probe, struct err *err);

/* Does an MQTT broker answer there? It is asked for a version of MQTT that there is not, which it refuses before anybody
 * decides about the client. */
MUST_CHECK int probe_speaks(const struct probe *probe, struct err *err);

/* Open an MQTT 3.1.1 session under CLIENT_ID and close it; *CODE_OUT is CONNACK's (0: accepted). */
MUST_CHECK int probe_mqtt(
    const struct probe *probe, const char *client_id, unsigned *code_out, struct err *err);

#endif
