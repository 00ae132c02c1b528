/* What the log says of each serial number, compact enough for millions: 62 bits of a keyed hash stand for a serial. The
 * key is random and never leaves the process, so that nobody can make a serial that passes for another one's; of
 * those that are merely guessed, one in 2^42 would at a million. */
#ifndef MUSTER_SIGNER_SERIALSET_H
#define MUSTER_SIGNER_SERIALSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum serial_state { SERIAL_UNKNOWN, SERIAL_ISSUED, SERIAL_HELD, SERIAL_REVOKED };

/* Zero-initialise before use. */
struct serialset {
	uint64_t *slots; /* open addressing; 0 is free, else the state above the hash */
	size_t n_slots;	 /* a power of two, or 0 */
	size_t n;
	uint64_t key[2];
};

/* SERIAL has SERIAL_LEN bytes; one that is new is SERIAL_ISSUED. E_NOMEM, E_SYS. */
MUST_CHECK int serialset_add(struct serialset *set, const uint8_t *serial, struct err *err);
enum serial_state serialset_state(const struct serialset *set, const uint8_t *serial);

/* Give SERIAL another state; does nothing if it was never added. */
void serialset_move(struct serialset *set, const uint8_t *serial, enum serial_state state);
void serialset_clear(struct serialset *set);

#endif
