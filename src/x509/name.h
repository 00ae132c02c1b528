/* Distinguished names (RFC 5280, section 4.1.2.4) of the one form that Muster writes: C, O, CN. */
#ifndef MUSTER_X509_NAME_H
#define MUSTER_X509_NAME_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/der.h"

#include <stddef.h>

/* A name about to be written; NULL or "" leaves an attribute out. */
struct name {
	const char *country, *org, *common_name;
};

/* C of two capitals, O and CN printable UTF-8 of at most CERT_NAME_MAX characters. E_INPUT. */
MUST_CHECK int name_check(const struct name *name, struct err *err);

/* Append the DER Name of what name_check took. */
void name_put(struct buf *out, const struct name *name);

/* Do two DER Names name the same, whichever types their strings have (RFC 5280, section 7.1)? */
bool name_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/* DER Name as people read it, in RFC 2253's order, into OUT of SIZE bytes; "" if it is none or does not fit. */
void name_text(const uint8_t *der, size_t len, char *out, size_t size);

/* The CN of NAME (a Name's content) into OUT of SIZE bytes: "" if there is none, more than one, or
 * one that is unprintable or does not fit. False if NAME is malformed. */
bool name_common_name(const struct der *name, char *out, size_t size);

/* The same for its serialNumber attribute (X.520), which is the device's and no certificate's. */
bool name_serial_number(const struct der *name, char *out, size_t size);

#endif
