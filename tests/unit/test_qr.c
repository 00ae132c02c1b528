#include "check.h"

#include "cmd/qr.h"

#include <qrencode.h>
#include <stdbool.h>
#include <string.h>

#define QUIET 2
#define LINK "https://muster.example.org:8443/d/qoC7__4z64Ci3kt9nTtvb_hAHWsCTk3lOegoyCwcVeA"

/* One drawn character as its two modules: bit 0 the upper, bit 1 the lower one, 1 for light. Moves
 * *AT behind it. */
static int
modules_at(const char **at)
{
	static const struct {
		const char *text;
		int modules;
	} blocks[] = {{" ", 0}, {"▀", 1}, {"▄", 2}, {"█", 3}};
	size_t i, len;

	for (i = 0; i < 4; i++) {
		len = strlen(blocks[i].text);
		if (strncmp(*at, blocks[i].text, len) == 0) {
			*at += len;
			return blocks[i].modules;
		}
	}
	return -1;
}

/* Every module that is drawn is the encoder's own, and around them it is light. */
static void
test_drawing_is_the_code(void **state)
{
	QRcode *code = QRcode_encodeString8bit(LINK, 0, QR_ECLEVEL_L);
	struct buf out = {0};
	struct err err = {0};
	const char *at;
	int x, y, half, modules;

	(void)state;
	assert_non_null(code);
	assert_ok(qr_draw(&out, LINK, &err));
	at = buf_str(&out);
	for (y = -QUIET; y < code->width + QUIET; y += 2) {
		for (x = -QUIET; x < code->width + QUIET; x++) {
			assert_true((modules = modules_at(&at)) >= 0);
			for (half = 0; half < 2; half++) {
				bool is_inside = x >= 0 && x < code->width && y + half >= 0 &&
						 y + half < code->width;
				bool is_dark = is_inside &&
					       (code->data[(y + half) * code->width + x] & 1) != 0;

				assert_int_equal((modules >> half) & 1, is_dark ? 0 : 1);
			}
		}
		assert_int_equal(*at++, '\n');
	}
	assert_int_equal(*at, '\0');
	QRcode_free(code);
	buf_clear(&out);
}

static void
test_too_long(void **state)
{
	char text[4000];
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(qr_draw(&out, text, &err), E_LIMIT);
	assert_int_equal(out.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drawing_is_the_code),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
