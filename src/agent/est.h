/* EST's client side (RFC 7030). */
#ifndef MUSTER_AGENT_EST_H
#define MUSTER_AGENT_EST_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define EST_NONCE_SIZE 129

struct est {
	const char *url;     /* https://HOST:PORT, without a slash at its end */
	const char *label;   /* of the path; NULL or "": none */
	const char *ca_path; /* the root that vouches for the server */
	const char *pair_path; /* key and certificate with which to be known; NULL: none */
	const char *token;   /* an enrolment token; NULL: none */
	const char *idevid_path, *idevid_key_path; /* the manufacturer's certificate, with what leads up to its root, and its
						    * key, by which to enrol; NULL: none */
};

/* Is the URL one that can be asked? E_INPUT. */
MUST_CHECK int est_url_check(const char *url, struct err *err);

/* Append the CA's certificates, PEM. Errors as est_enrol. */
MUST_CHECK int est_cacerts(const struct est *est, struct buf *pem_out, struct err *err);

/* A nonce that the request to come should carry as challengePassword, for profiles that want the device to prove that it has
 * the key now: Muster's own addition to EST. "" from a server that gives none. E_INPUT if it is none that fits; else as
 * est_enrol. */
MUST_CHECK int est_challenge(const struct est *est, char nonce_out[EST_NONCE_SIZE], struct err *err);

/* Send the request CSR (DER) and append what comes back: PEM, the certificate among it; *RENEW_AT_OUT is when the
 * service wants it to be renewed, 0 if it does not say; may be NULL. With a pair it is a renewal, else an
 * enrolment. E_UNAUTH, E_DENIED (also: it is not the server that ca_path vouches for), E_CONFLICT, E_GONE, E_INPUT: it was
 * refused, and the text says why; E_BUSY, E_LIMIT: not now, err.retry_after_s may say when; E_NOMEM, E_SYS. */
MUST_CHECK int est_enrol(const struct est *est, const struct buf *csr, struct buf *pem_out, int64_t *renew_at_out,
    struct err *err);

/* May the same call work later? */
bool est_may_retry(int rc);

#endif
