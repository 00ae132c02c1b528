/* TLS for the API: its certificate and key, and what a client's certificate is worth. The only header of this
 * layer that speaks of OpenSSL, and only by its struct's name. */
#ifndef MUSTER_HTTP_TLS_H
#define MUSTER_HTTP_TLS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;
struct tls;

#define TLS_CAS_MAX 16

/* Load the chain (leaf first) and the key, both PEM, of the server; trust clients' certificates that the N CAS (DER, the root
 * among them) vouch for. E_INPUT (a file is not there, or they do not fit), E_NOMEM, E_SYS. */
MUST_CHECK int tls_open(const char *chain_path, const char *key_path, const struct buf *const *cas, size_t n,
    struct tls **tls_out, struct err *err);

/* Read both files again, for connections from now on. On failure the old ones stay. Any thread. */
MUST_CHECK int tls_reload(struct tls *tls, struct err *err);

/* The OCSP answer about the server's certificate with SERIAL (SERIAL_LEN bytes), which the CA-th of CAS has issued, appended to
 * DER_OUT, if there is one at once; any thread, short. */
typedef bool tls_staple_fn(void *ctx, size_t ca, const uint8_t *serial, struct buf *der_out);

/* Staple what FN gives to handshakes that ask for it (RFC 6066, section 8), from now on and after each reload, if the
 * certificate is of one of the CAs'. FN is asked once ahead. Before the first session. */
void tls_staple(struct tls *tls, tls_staple_fn *fn, void *ctx);

/* A new server-side session; NULL when out of memory. Any thread. */
struct ssl_st *tls_session(struct tls *tls);

/* A client whose TLS shows only certificates of CAs that the server names would keep its manufacturer's to itself: name none in
 * the handshakes from now on. Any thread. */
void tls_welcome_strangers(struct tls *tls);

/* The one question about a client's certificate: true, with its DER appended to DER_OUT, if the peer proved to
 * hold one that our CA vouches for and that is valid now, or was until its end: who decides by the certificate looks at its times.
 * Anything else is nobody. */
bool tls_peer_certificate(const struct ssl_st *ssl, struct buf *der_out);

/* What such a nobody has shown, and proved to hold the first one's key: true, with the certificates appended to PEM_OUT in their
 * order. Nobody has looked yet at what they are worth: that they have expired, say, or who issued them. */
bool tls_peer_stranger(const struct ssl_st *ssl, struct buf *pem_out);

/* Tell the peer that nothing more comes (close_notify), if that can be done at once. */
void tls_goodbye(struct ssl_st *ssl);

/* NULL is harmless. */
void tls_close(struct tls *tls);

#endif
