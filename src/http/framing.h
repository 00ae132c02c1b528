/* Where requests begin and end in what a client sends: decided here, strictly, before evhttp sees a line of it. evhttp
 * frames leniently, and a request with two readings is a way past whatever stands in between (RFC 9112, section 11.2).
 * Pure: bytes in, a verdict out. */
#ifndef MUSTER_HTTP_FRAMING_H
#define MUSTER_HTTP_FRAMING_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMING_METHOD_MAX 16
#define FRAMING_TARGET_MAX 8192
#define FRAMING_HEADERS_MAX 100
#define FRAMING_WORD_MAX 64 /* what is kept of a method, of a header's name and of its value */

/* All zero but for the limits: the beginning of a connection. */
struct framing {
	size_t head_max; /* request line and headers together */
	uint64_t body_max;

	int part;	 /* of the request: framing.c knows them */
	size_t head_len, n_headers;
	size_t len;	 /* of the part so far */
	char word[FRAMING_WORD_MAX];
	bool after_cr;
	bool is_11;
	int header;	 /* which of those that are looked at, or -1 */
	unsigned seen;	 /* of those, a bit each */
	uint64_t body_left;
	uint64_t n_whole; /* requests that have come whole */
};

/* Look at the next LEN bytes of a connection. On failure *STATUS_OUT is the refusal's, and *GOOD_OUT of the bytes may be
 * shown to evhttp: never the end of the line at fault. What follows on the connection cannot be trusted to be a
 * request: answer and close. E_INPUT, E_LIMIT, E_NOTFOUND. */
MUST_CHECK int framing_feed(struct framing *framing, const uint8_t *data, size_t len, size_t *good_out,
    int *status_out, struct err *err);

#endif
