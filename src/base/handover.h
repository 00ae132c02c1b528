/* A text that one process hands to its children and may replace while they run. They read it by an
 * inherited descriptor, whole or not at all, and cannot write it. */
#ifndef MUSTER_BASE_HANDOVER_H
#define MUSTER_BASE_HANDOVER_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct handover {
	int fd; /* for the children; close-on-exec */
	uint8_t *map;
	size_t max;
};

/* Room for a text of MAX bytes. E_SYS. It lives as long as the process. */
MUST_CHECK int handover_open(size_t max, struct handover *out, struct err *err);

/* Replace the text. LEN is at most MAX. One thread. */
void handover_put(struct handover *handover, const void *data, size_t len);

/* Append the text that FD holds now, at most MAX bytes. E_BUSY if it went on changing for a second,
 * E_LIMIT, E_SYS. */
MUST_CHECK int handover_read(int fd, size_t max, struct buf *out, struct err *err);

#endif
