/* The frame that all TBSCertificates share (RFC 5280, section 4.1.2), for cert.c and cacert.c. */
#ifndef MUSTER_X509_TBS_H
#define MUSTER_X509_TBS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "x509/der.h"
#include "x509/key.h"
#include "x509/name.h"

struct tbs {
	const uint8_t *serial; /* SERIAL_LEN bytes */
	enum key_kind signer;
	struct der issuer; /* DER Name */
	int64_t not_before, not_after;
	struct name subject;
	const uint8_t *spki;
	size_t spki_len;
};

struct tbs_mark {
	size_t whole, extensions;
};

/* Append everything before the extensions; then append these one by one; then end. */
struct tbs_mark tbs_begin(struct buf *out, const struct tbs *tbs);
void tbs_end(struct buf *out, struct tbs_mark mark);

/* The parts of a certificate that is well formed; all borrowed. */
struct tbs_parts {
	struct der tbs;		    /* whole element */
	struct der sigalg;	    /* whole element; the same inside and outside the TBS */
	struct der signature;	    /* the BIT STRING's bytes */
	struct der serial;	    /* magnitude, without a leading zero */
	struct der issuer, subject; /* whole Names */
	int64_t not_before, not_after;
	struct der spki;       /* whole element */
	struct der extensions; /* content of the list; empty if there is none */
};

/* Take a DER certificate apart. E_INPUT. */
MUST_CHECK int tbs_read(const uint8_t *der, size_t len, struct tbs_parts *out, struct err *err);

#endif
