/* A QR code on the terminal. The only user of libqrencode. */
#ifndef MUSTER_CMD_QR_H
#define MUSTER_CMD_QR_H

#include "base/buf.h"
#include "base/err.h"

/* Append TEXT as a QR code in half blocks, light on dark terminals, with its quiet zone; one line
 * for two rows of modules. E_LIMIT if TEXT does not fit one, E_NOMEM. */
MUST_CHECK int qr_draw(struct buf *out, const char *text, struct err *err);

#endif
