/* Serials are random, so a slice of one is its own hash. */
#include "signer/serialset.h"

#include <stdlib.h>
#include <string.h>

#include "x509/cert.h"

#define SLOTS_FIRST 1024

static uint64_t
short_of(const uint8_t *serial)
{
	uint64_t v;

	memcpy(&v, serial + SERIAL_LEN - sizeof v, sizeof v);
	return v != 0 ? v : 1;
}

/* The slot that holds V, or the free one where it belongs. */
static uint64_t *
find(const struct serialset *set, uint64_t v)
{
	size_t i = v & (set->n_slots - 1);

	while (set->slots[i] != 0 && set->slots[i] != v)
		i = (i + 1) & (set->n_slots - 1);
	return &set->slots[i];
}

static int
grow(struct serialset *set, struct err *err)
{
	struct serialset bigger = {.n_slots = set->n_slots == 0 ? SLOTS_FIRST : 2 * set->n_slots, .n = set->n};
	size_t i;

	if ((bigger.slots = calloc(bigger.n_slots, sizeof bigger.slots[0])) == NULL)
		return err_nomem(err);
	for (i = 0; i < set->n_slots; i++)
		if (set->slots[i] != 0)
			*find(&bigger, set->slots[i]) = set->slots[i];
	free(set->slots);
	*set = bigger;
	return 0;
}

int
serialset_add(struct serialset *set, const uint8_t *serial, struct err *err)
{
	uint64_t v = short_of(serial), *slot;
	int rc;

	if (2 * (set->n + 1) > set->n_slots && (rc = grow(set, err)) != 0)
		return rc;
	slot = find(set, v);
	set->n += *slot == 0;
	*slot = v;
	return 0;
}

bool
serialset_has(const struct serialset *set, const uint8_t *serial)
{
	return set->n_slots > 0 && *find(set, short_of(serial)) != 0;
}

void
serialset_clear(struct serialset *set)
{
	free(set->slots);
	*set = (struct serialset){0};
}
