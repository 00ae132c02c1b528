/* A set of serial numbers, compact enough for millions: the last 8 bytes of a serial, all random, stand for it.
 * Two serials that collide in 64 bits (2^-25 at a million) would only let a revocation of the one that was
 * never issued be noted, which harms nobody. */
#ifndef MUSTER_SIGNER_SERIALSET_H
#define MUSTER_SIGNER_SERIALSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Zero-initialise before use. */
struct serialset {
	uint64_t *slots; /* open addressing; 0 is free */
	size_t n_slots;	 /* a power of two, or 0 */
	size_t n;
};

/* SERIAL has SERIAL_LEN bytes. E_NOMEM. */
MUST_CHECK int serialset_add(struct serialset *set, const uint8_t *serial, struct err *err);
bool serialset_has(const struct serialset *set, const uint8_t *serial);
void serialset_clear(struct serialset *set);

#endif
