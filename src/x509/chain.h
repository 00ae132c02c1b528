/* Certificate chains as a TLS peer presents them, judged as the other side would (RFC 5280, section 6), to say
 * beforehand or afterwards why a handshake fails. */
#ifndef MUSTER_X509_CHAIN_H
#define MUSTER_X509_CHAIN_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define CHAIN_PEM_MAX 65536
#define CHAIN_CERTS_MAX 8

enum chain_use { CHAIN_SERVER, CHAIN_CLIENT, CHAIN_ANY };

struct chain_question {
	const char *pem; /* the leaf, then what leads up to the root; NUL-terminated */
	const char *root_pem; /* all that is trusted */
	enum chain_use use;
	const char *host; /* the DNS name or IP address that a server was called by; NULL: not asked */
	int64_t now;
};

/* Would the peer take it? 0, or E_INPUT: not certificates at all. E_GONE: one has expired. E_BUSY: one is not
 * valid yet. E_NOTFOUND: it does not lead up to the root. E_CONFLICT: another host's. E_DENIED: anything else. The
 * text says which certificate and what. */
MUST_CHECK int chain_check(const struct chain_question *question, struct err *err);

/* Append the DER of the first certificate in PEM. E_INPUT. */
MUST_CHECK int chain_leaf(const char *pem, struct buf *der_out, struct err *err);

#endif
