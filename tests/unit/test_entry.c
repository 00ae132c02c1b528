/* Objects of the feed as bytes: all that counts comes back, and nothing is read beyond what is
 * there. */
#include "plugin_fixture.h"

#include "plugin/entry.h"

#define KINDS 5

/* One of each form. */
static void
line_nth(struct feed_line *line, unsigned n)
{
	line->removed = false;
	switch (n) {
	case 0:
		line_policy(line, "p-1", 7);
		break;
	case 1:
		line_policy(line, "p-2", 1);
		line->removed = true;
		break;
	case 2:
		line_service(line, 4);
		break;
	case 3:
		line_device(line, 5, FEED_FPS_MAX);
		break;
	default:
		line_gone(line, 6, FEED_SUSPENDED);
		break;
	}
	line->seq = 9; /* so that a removed policy may be written as a line */
}

static void
test_round_trip(void **state)
{
	struct feed_line *line = line_new(FEED_POLICY), *read = line_new(FEED_END);
	struct buf bytes = {0}, before = {0}, after = {0};
	struct err err = {0};
	struct bytes in;
	unsigned n;

	(void)state;
	for (n = 0; n < KINDS; n++) {
		line_nth(line, n);
		entry_put(&bytes, line);
	}
	assert_false(buf_failed(&bytes));
	in = (struct bytes){.at = bytes.data, .len = bytes.len};
	for (n = 0; n < KINDS; n++) {
		line_nth(line, n);
		assert_true(entry_get(&in, read));
		read->seq = 9;
		/* Compared as the lines that they are. */
		buf_reset(&before);
		buf_reset(&after);
		assert_ok(feed_line_encode(&before, line, &err));
		assert_ok(feed_line_encode(&after, read, &err));
		assert_string_equal(buf_str(&before), buf_str(&after));
	}
	assert_true(bytes_end(&in));
	buf_clear(&bytes);
	buf_clear(&before);
	buf_clear(&after);
	free(line);
	free(read);
}

/* Under the sanitizers: no byte beyond the end is read, whatever lengths are announced. */
static void
test_cut_and_changed(void **state)
{
	struct feed_line *line = line_new(FEED_POLICY);
	struct buf bytes = {0};
	struct bytes in;
	uint8_t *copy;
	unsigned n;
	size_t i;

	(void)state;
	for (n = 0; n < KINDS; n++) {
		buf_reset(&bytes);
		line_nth(line, n);
		entry_put(&bytes, line);
		for (i = 0; i < bytes.len; i++) {
			copy = malloc(i > 0 ? i : 1);
			memcpy(copy, bytes.data, i);
			in = (struct bytes){.at = copy, .len = i};
			assert_false(entry_get(&in, line));
			free(copy);
			copy = malloc(bytes.len);
			memcpy(copy, bytes.data, bytes.len);
			copy[i] = 0xff;
			in = (struct bytes){.at = copy, .len = bytes.len};
			if (entry_get(&in, line)) {
				assert_true(line->n_fps <= FEED_FPS_MAX);
				assert_true((unsigned)line->status < FEED_STATUSES);
			}
			free(copy);
		}
	}
	buf_clear(&bytes);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_cut_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
