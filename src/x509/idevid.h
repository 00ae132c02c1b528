/* Manufacturers' certificates of devices (IEEE 802.1AR: IDevID): whose they say they are. That somebody vouches for them is
 * chain_check's to say, with CHAIN_IDEVID. */
#ifndef MUSTER_X509_IDEVID_H
#define MUSTER_X509_IDEVID_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

#define IDEVID_SERIAL_SIZE 65 /* with NUL (X.520: ub-serial-number) */

struct idevid {
	uint8_t fingerprint[SHA256_LEN];
	char serial[IDEVID_SERIAL_SIZE]; /* the subject's serialNumber (IEEE 802.1AR, section 8.6), not the certificate's */
};

/* May TEXT be a device's serial number: 1 to 64 characters of PrintableString (X.520)? */
bool idevid_serial_is_sound(const char *text);

/* Read the first certificate in PEM. E_INPUT: it is malformed, a CA's, has no such serial number, or a key that spki_check
 * refuses. */
MUST_CHECK int idevid_read(const char *pem, struct idevid *out, struct err *err);

#endif
