/* The `next` of a list: where the page ended, as text that is opaque to clients. */
#ifndef MUSTER_STORE_CURSOR_H
#define MUSTER_STORE_CURSOR_H

#include "base/err.h"
#include "store/device.h"

#include <stdbool.h>
#include <stddef.h>

#define CURSOR_PAGE_MAX 1000 /* rows */

struct cursor {
	char phase;		   /* which of a list's queries: a lower-case letter */
	char key[STORE_NAME_SIZE]; /* the last row's sort key */
	char id[UUID_LEN + 1];	   /* and id */
};

void cursor_write(const struct cursor *cursor, char out[STORE_CURSOR_SIZE]);

/* Parse TEXT, whose phase must be one of PHASES. E_INPUT (field "after"). */
MUST_CHECK int cursor_read(
    const char *text, const char *phases, struct cursor *cursor_out, struct err *err);

/* For a list that is one query in the order of (name, id): where a page of LIMIT rows begins, AFTER an earlier page's `next` or
 * NULL. E_INPUT. */
MUST_CHECK int cursor_begin(const char *after, char phase, size_t limit, struct cursor *cursor_out, struct err *err);

/* The `next` of the page whose last row has this name and id; "" without MORE rows. */
void cursor_end(const struct cursor *cursor, bool more, const char *name, const char *id, char next_out[STORE_CURSOR_SIZE]);

#endif
