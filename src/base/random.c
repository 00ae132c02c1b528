/* getrandom(2) and nothing else: no state to fork, to seed or to leak. */
#include "base/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

int
random_bytes(void *out, size_t len, struct err *err)
{
	uint8_t *p = out;
	ssize_t n;

	while (len > 0) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read randomness");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
