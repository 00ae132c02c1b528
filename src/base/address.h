/* Network addresses: as clients are counted, and as ranges in the configuration. IPv4 and IPv6 in one form, for an
 * IPv4 client of a socket for both is ::ffff:a.b.c.d. Resolves no names. */
#ifndef MUSTER_BASE_ADDRESS_H
#define MUSTER_BASE_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_LEN 16
#define ADDRESS_TEXT_SIZE 64 /* of any address or prefix as text */

struct address {
	uint8_t bytes[ADDRESS_LEN]; /* network order; IPv4 mapped */
};

struct address_range {
	struct address first; /* bits beyond the prefix are zero */
	unsigned bits;	      /* of the prefix, 0 to 128 */
};

/* False if TEXT is no address. A zone (fe80::1%eth0) is left out. */
bool address_parse(const char *text, struct address *out);

/* Its usual text, into OUT[ADDRESS_TEXT_SIZE]; mapped IPv4 as IPv4. */
void address_text(char *out, const struct address *address);

/* Whose address TEXT is, as far as anybody can tell, into OUT[ADDRESS_TEXT_SIZE]: the address itself, of IPv6 the /64,
 * of which one client may use as many as it likes. What is no address is copied. */
void address_client(char *out, const char *text);

bool address_in(const struct address *address, const struct address_range *range);

/* In any of the N RANGES? */
bool address_in_any(const struct address *address, const struct address_range *ranges, size_t n);

/* LIST of addresses and CIDR ranges with commas or spaces between, at most MAX. E_INPUT (also for a range with bits
 * beyond its prefix, which is more likely a slip than meant). */
MUST_CHECK int address_ranges_parse(
    const char *list, struct address_range *out, size_t max, size_t *n_out, struct err *err);

#endif
