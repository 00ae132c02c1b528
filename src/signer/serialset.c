/* SipHash-2-4 (Aumasson, Bernstein 2012) over a serial's 20 bytes, whose low bits are also its first slot. */
#include "signer/serialset.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "x509/cert.h"

#define SLOTS_FIRST 1024
#define STATE_SHIFT 62
#define HASH_MASK ((UINT64_C(1) << STATE_SHIFT) - 1)

static uint64_t
rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void
rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static uint64_t
hash(const uint64_t key[2], const uint8_t *serial)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
	    key[1] ^ 0x7465646279746573};
	uint64_t words[3] = {0};
	size_t i;

	memcpy(words, serial, SERIAL_LEN);
	words[2] |= htole64((uint64_t)SERIAL_LEN << 56);
	for (i = 0; i < 3; i++) {
		v[3] ^= le64toh(words[i]);
		rounds(v, 2);
		v[0] ^= le64toh(words[i]);
	}
	v[2] ^= 0xff;
	rounds(v, 4);
	return (v[0] ^ v[1] ^ v[2] ^ v[3]) & HASH_MASK;
}

/* The slot that holds H, or the free one where it belongs. */
static uint64_t *
find(const struct serialset *set, uint64_t h)
{
	size_t i = h & (set->n_slots - 1);

	while (set->slots[i] != 0 && (set->slots[i] & HASH_MASK) != h)
		i = (i + 1) & (set->n_slots - 1);
	return &set->slots[i];
}

static int
grow(struct serialset *set, struct err *err)
{
	struct serialset bigger = *set;
	size_t i;
	int rc;

	bigger.n_slots = set->n_slots == 0 ? SLOTS_FIRST : 2 * set->n_slots;
	if (set->n_slots == 0 && (rc = random_bytes(bigger.key, sizeof bigger.key, err)) != 0)
		return rc;
	if ((bigger.slots = calloc(bigger.n_slots, sizeof bigger.slots[0])) == NULL)
		return err_nomem(err);
	for (i = 0; i < set->n_slots; i++)
		if (set->slots[i] != 0)
			*find(&bigger, set->slots[i] & HASH_MASK) = set->slots[i];
	free(set->slots);
	*set = bigger;
	return 0;
}

int
serialset_add(struct serialset *set, const uint8_t *serial, struct err *err)
{
	uint64_t h, *slot;
	int rc;

	if (2 * (set->n + 1) > set->n_slots && (rc = grow(set, err)) != 0)
		return rc;
	h = hash(set->key, serial);
	slot = find(set, h);
	if (*slot == 0) {
		*slot = (uint64_t)SERIAL_ISSUED << STATE_SHIFT | h;
		set->n++;
	}
	return 0;
}

enum serial_state
serialset_state(const struct serialset *set, const uint8_t *serial)
{
	return set->n_slots == 0 ? SERIAL_UNKNOWN
				 : (enum serial_state)(*find(set, hash(set->key, serial)) >> STATE_SHIFT);
}

void
serialset_move(struct serialset *set, const uint8_t *serial, enum serial_state state)
{
	uint64_t *slot;

	if (set->n_slots > 0 && *(slot = find(set, hash(set->key, serial))) != 0)
		*slot = (uint64_t)state << STATE_SHIFT | (*slot & HASH_MASK);
}

void
serialset_clear(struct serialset *set)
{
	free(set->slots);
	*set = (struct serialset){0};
}
