/* The package's format spends a thousand hashes on a guess and no more, so that all the strength
 * must be in the password: at least 128 bits, never chosen by a person. */
#include "core/password.h"

#include "base/random.h"

#include <stdint.h>
#include <string.h>

#define CHARACTERS 26

int
password_make(char *out, struct err *err)
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint8_t raw[CHARACTERS];
	size_t i;
	int rc;

	if ((rc = random_bytes(raw, sizeof raw, err)) != 0)
		return rc;
	for (i = 0; i < CHARACTERS; i++) {
		/* The last group takes the character that is left over. */
		if (i > 0 && i % 5 == 0 && i < 25)
			*out++ = '-';
		*out++ = alphabet[raw[i] % 32]; /* 32 divides 256: no bias */
	}
	*out = '\0';
	explicit_bzero(raw, sizeof raw);
	return 0;
}
