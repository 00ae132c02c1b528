/* Subject alternative names (RFC 5280, section 4.2.1.6). san_check is declared in cert.h. */
#ifndef MUSTER_X509_SAN_H
#define MUSTER_X509_SAN_H

#include "base/buf.h"
#include "x509/cert.h"
#include "x509/der.h"

#include <stdbool.h>
#include <stddef.h>

/* Append the GeneralNames SEQUENCE: COMMON_NAME first, if it is a DNS name or an IP address, then
 * SANS, which san_check took; each once. DNS names are written in lower case. Appends nothing and
 * returns false if there is no name at all. */
bool san_put(struct buf *out, const char *common_name, const char *const *sans, size_t n);

/* Take the next GeneralName off NAMES, the content of a GeneralNames SEQUENCE. OUT is its text if san_check would take
 * that, else "". False at the end and if it is malformed. */
bool san_next(struct der *names, char out[CERT_SAN_SIZE]);

/* May TEXT stand as the URI in a certificate? */
bool san_is_uri(const char *text);

#endif
