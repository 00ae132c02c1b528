/* Light modules are drawn and dark ones left out, so that a dark terminal shows dark on light, as
 * readers want it. */
#include "cmd/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

#define QUIET 2 /* modules around the code; readers manage with two on a screen */

static bool
is_light(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return true;
	return (code->data[y * code->width + x] & 1) == 0;
}

int
qr_draw(struct buf *out, const char *text, struct err *err)
{
	static const char *const blocks[2][2] = {{" ", "▄"}, {"▀", "█"}};
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	int x, y;

	if (code == NULL)
		return errno == ENOMEM
			   ? err_nomem(err)
			   : err_set(err, E_LIMIT, "the text is too long for a QR code");
	for (y = -QUIET; y < code->width + QUIET; y += 2) {
		for (x = -QUIET; x < code->width + QUIET; x++)
			buf_text(out, blocks[is_light(code, x, y)][is_light(code, x, y + 1)]);
		buf_byte(out, '\n');
	}
	QRcode_free(code);
	return buf_failed(out) ? err_nomem(err) : 0;
}
