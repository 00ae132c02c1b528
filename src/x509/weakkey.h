/* RSA moduli that are easy to factor although they are large enough. */
#ifndef MUSTER_X509_WEAKKEY_H
#define MUSTER_X509_WEAKKEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Refuse a big-endian odd modulus that has a prime factor below 168, carries the fingerprint of
 * Infineon's generator (ROCA, CVE-2017-15361), or whose factors lie so close that Fermat's method
 * finds them in WEAKKEY_FERMAT_STEPS steps (CVE-2022-26320). E_INPUT, E_NOMEM. */
#define WEAKKEY_FERMAT_STEPS 100
MUST_CHECK int weakkey_check(const uint8_t *modulus, size_t len, struct err *err);

#endif
