/* Objects in a broker's snapshot: whatever bytes they are, the table takes them or says no, and what is read is written
 * as something that reads the same. */
#include "fuzz.h"
#include "plugin/entry.h"
#include "plugin/table.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed_line *line = calloc(1, sizeof *line), *again = calloc(1, sizeof *again);
	struct bytes in = {.at = data, .len = len}, back;
	struct buf out = {0}, twice = {0};
	struct table *t = NULL;

	FUZZ_ASSERT(line != NULL && again != NULL && table_new(&t, NULL) == 0);
	while (in.len > 0 && entry_get(&in, line)) {
		FUZZ_ASSERT(table_apply(t, line, NULL) == 0 || line->kind != FEED_POLICY);
		buf_reset(&out);
		buf_reset(&twice);
		entry_put(&out, line);
		if (buf_failed(&out)) /* an id that is none */
			continue;
		back = (struct bytes){.at = out.data, .len = out.len};
		FUZZ_ASSERT(entry_get(&back, again) && bytes_end(&back));
		entry_put(&twice, again);
		FUZZ_ASSERT(out.len == twice.len && memcmp(out.data, twice.data, out.len) == 0);
	}
	buf_clear(&out);
	buf_clear(&twice);
	table_free(t);
	free(line);
	free(again);
	return 0;
}
