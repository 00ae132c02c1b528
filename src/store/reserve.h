/* Room on the disk that is kept for what must not wait. A file beside the database holds it: revocations let go of it
 * when the disk is full, and as long as it is gone, or little else is left, everybody else is refused. It comes back by
 * itself when there is room. */
#ifndef MUSTER_STORE_RESERVE_H
#define MUSTER_STORE_RESERVE_H

#include "base/err.h"

#define RESERVE_BYTES (16 * 1024 * 1024) /* what a few hundred revocations and the files published for them need */
#define RESERVE_LOW_BYTES (4 * 1024 * 1024) /* ordinary work stops when no more than this is left beside it */

struct reserve;

/* Open or make the file at PATH (0600). A disk that is full already is no failure: reserve_ask tells. E_SYS. */
MUST_CHECK int reserve_open(const char *path, struct reserve **reserve_out, struct err *err);
void reserve_close(struct reserve *reserve);

/* May ordinary work write? E_FULL. Any thread. */
MUST_CHECK int reserve_ask(struct reserve *reserve, struct err *err);

/* Something that must not wait is about to write: see that there is room. Any thread. */
void reserve_use(struct reserve *reserve);

#endif
