/* The key and certificate of one of the two TLS servers, the API and the broker: made by init, and anew by `ca renew`.
 * The issuing CA's key is in the caller's hands, so no service runs. */
#ifndef MUSTER_CMD_SERVERPAIR_H
#define MUSTER_CMD_SERVERPAIR_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/log.h"
#include "store/store.h"
#include "x509/cert.h"
#include "x509/key.h"

#include <stddef.h>
#include <stdint.h>

#define SERVERPAIR_HOSTS_MAX 16

enum serverpair_which { SERVERPAIR_API, SERVERPAIR_BROKER };

/* What it takes; all borrowed. */
struct serverpair {
	const char *dir;
	const char *const *hosts; /* DNS names and addresses; the first is the common name */
	size_t n_hosts;
	const char *org, *country; /* NULL or "": none */
	int64_t now;
	const struct cert_issuer *issuer;
	struct key *issuing_key;
	const struct buf *issuing_pem;
	struct signer_log *log;
	struct store *store;
};

/* The names of its two files in the home. */
const char *serverpair_cert(enum serverpair_which which);
const char *serverpair_key(enum serverpair_which which);

/* Make a key, issue, log and record its certificate, and put both into their files. E_INPUT for a name that may not
 * stand in a certificate, E_SYS. */
MUST_CHECK int serverpair_make(const struct serverpair *pair, enum serverpair_which which, struct err *err);

#endif
