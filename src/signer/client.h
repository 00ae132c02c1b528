/* The api's end of the signer's socket: typed operations, blocking calls from many threads over one
 * connection, pipelined. After the signer dies, calls fail with E_BUSY until it is back (a reconnect is
 * tried on each call); what was in flight fails with E_BUSY too and may or may not have been signed,
 * which core/reconcile settles by the log. */
#ifndef MUSTER_SIGNER_CLIENT_H
#define MUSTER_SIGNER_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/checkpoint.h"
#include "x509/crl.h"
#include "x509/ocsp.h"

#include <stdbool.h>
#include <stdint.h>

struct signer;

#define SIGNER_TIMEOUT_MS 10000 /* a signer that is stopped, not dead */

/* Connect to the signer's Unix socket at PATH. A call that is not answered within TIMEOUT_MS fails with E_BUSY. E_BUSY
 * if the signer is not there yet, E_INPUT, E_SYS. */
MUST_CHECK int signer_open(const char *path, int timeout_ms, struct signer **signer_out, struct err *err);

/* Nobody may be in a call. */
void signer_close(struct signer *signer);

/* Calls that wait for their answer. Any thread. */
unsigned signer_waiting(struct signer *signer);

struct signer_request {
	const char *profile;
	const char *id; /* the owner's UUID: CN and the first dNSName */
	const uint8_t *spki;
	size_t spki_len;
	int64_t valid_s; /* 0: the profile's */
	const char *const *sans; /* beyond the id; at most CERT_SANS_MAX */
	size_t n_sans;
};

/* Issue a leaf. The signer logs it durably before it answers. Appends the certificate's DER to DER_OUT.
 * E_INPUT (unknown profile, key kind outside it, too long a validity, bad key or name), E_BUSY, E_SYS. With
 * *IN_DOUBT_OUT the answer was lost: it may have been signed all the same, and the log knows. */
MUST_CHECK int signer_issue(struct signer *signer, const struct signer_request *request,
    struct buf *der_out, bool *in_doubt_out, struct err *err);

/* Note in the signer's log that SERIAL is revoked, or, with REASON_REMOVE_FROM_CRL, no longer on hold.
 * Durable when it returns. E_NOTFOUND if this signer never issued it. */
MUST_CHECK int signer_note_revocation(struct signer *signer, const uint8_t *serial,
    enum crl_reason reason, int64_t at, struct err *err);

/* A CRL to be signed. */
struct signer_crl {
	uint8_t issuer[KEY_ID_LEN]; /* its SKI */
	uint64_t base;		    /* as in struct crl_spec */
	uint64_t at_least;
	/* Of the number that was given last, in the same second, to the issuer's list of the other kind: complete and delta
	 * that tell the same have one number (RFC 5280, section 5.2.3). */
	bool is_paired;
	int64_t this_update, next_update;
};

/* Sign the CRL of these entries; its number is the signer's own: above every earlier one and at least at_least. What it
 * signed is what crl_join makes of them, with that number: append the signature to SIG_OUT. The entries go in pieces,
 * between which others' calls are served. E_NOTFOUND (no such issuer), E_INPUT, E_CONFLICT (nothing to pair with), E_BUSY,
 * E_SYS. */
MUST_CHECK int signer_crl(struct signer *signer, const struct signer_crl *crl, const struct crl_entry *entries, size_t n,
    uint64_t *number_out, struct buf *sig_out, struct err *err);

/* Have it signed that the audit trail's row SEQ has the hash HEAD (SHA256_LEN bytes): a CMS message (x509/checkpoint.h),
 * appended to CMS_OUT, that says *OUT. SEQ 0 asks for the last one again. E_CONFLICT: the signer has seen a longer trail, or
 * another; E_NOTFOUND: there is no last one; E_FULL, E_BUSY, E_SYS. */
MUST_CHECK int signer_checkpoint(struct signer *signer, int64_t seq, const uint8_t *head, struct checkpoint *out,
    struct buf *cms_out, struct err *err);

/* The issuing CA's certificate (DER) as the signer holds it; appended to DER_OUT. */
MUST_CHECK int signer_ca_cert(struct signer *signer, struct buf *der_out, struct err *err);

/* One OCSP answer that is wanted: about which certificates, and the nonce to echo. All borrowed. */
struct signer_ocsp {
	const struct ocsp_single *singles;
	size_t n;
	const uint8_t *nonce;
	size_t nonce_len; /* 0: none */
};

#define SIGNER_OCSP_MAX 64		      /* answers in one call, */
#define SIGNER_OCSP_SINGLES_MAX OCSP_IDS_MAX /* and certificates in all of them together */

/* Sign N OCSP answers in the name of the issuer with the key id ISSUER (KEY_ID_LEN bytes), valid for VALID_S at most: each
 * appends an OCSPResponse to its OUTS. The signer looks into its own log: what was to be good and is not so there leaves
 * its OUTS empty. *THIS_OUT and *NEXT_OUT are when all of them begin, and when the first of them ends. E_INPUT,
 * E_BUSY, E_SYS; E_NOTFOUND: another issuer. */
MUST_CHECK int signer_ocsp(struct signer *signer, const uint8_t *issuer, int64_t valid_s,
    const struct signer_ocsp *wanted, size_t n, struct buf *outs, int64_t *this_out, int64_t *next_out,
    struct err *err);

enum signer_log_kind {
	SIGNER_LOG_ISSUED = 1,
	SIGNER_LOG_REVOKED = 2,
	SIGNER_LOG_CRL = 3,
	SIGNER_LOG_RESPONDER = 4, /* a certificate of the signer's own, for OCSP answers or checkpoints; nobody else has its key */
	SIGNER_LOG_CHECKPOINT = 5 /* of the audit trail. One that goes back was written by a restore */
};

/* One row of the signer's log. */
struct signer_log_row {
	uint64_t seq; /* from 1, gapless */
	enum signer_log_kind kind;
	int64_t at;
	uint8_t serial[SERIAL_LEN]; /* issued, revoked, responder */
	char id[64];		    /* issued: the owner; responder: the issuer's SKI */
	enum crl_reason reason;	    /* revoked */
	uint64_t crl_number;	    /* crl */
	const uint8_t *der;	    /* issued, responder: the certificate; borrowed during the call */
	size_t der_len;
	struct checkpoint checkpoint; /* its `at` is the row's */
};

/* Call EACH for every row with seq > AFTER, in order; it returns 0 to go on. Used at start-up. */
typedef int signer_log_each(void *ctx, const struct signer_log_row *row, struct err *err);
MUST_CHECK int signer_log_read(struct signer *signer, uint64_t after, signer_log_each *each,
    void *ctx, struct err *err);

#endif
