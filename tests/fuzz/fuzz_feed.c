/* A line of the feed: what is read is written again as a line that reads the same. */
#include "authz/feed.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed_line *line = calloc(1, sizeof *line), *again = calloc(1, sizeof *again);
	struct buf out = {0}, twice = {0};

	FUZZ_ASSERT(line != NULL && again != NULL);
	if (feed_line_decode((const char *)data, len, line, NULL) == 0) {
		FUZZ_ASSERT(line->status == FEED_ACTIVE || line->n_fps == 0);
		FUZZ_ASSERT(feed_line_encode(&out, line, NULL) == 0);
		FUZZ_ASSERT(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
		FUZZ_ASSERT(feed_line_decode(buf_str(&out), out.len - 1, again, NULL) == 0);
		FUZZ_ASSERT(feed_line_encode(&twice, again, NULL) == 0);
		FUZZ_ASSERT(out.len == twice.len && memcmp(out.data, twice.data, out.len) == 0);
	}
	buf_clear(&out);
	buf_clear(&twice);
	free(line);
	free(again);
	return 0;
}
