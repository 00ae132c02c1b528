/* Events on their way from the broker's thread, which never waits, to the one that reports them: a
 * bounded ring between the two. What finds no room is counted, and nothing is lost otherwise. */
#ifndef MUSTER_PLUGIN_OUTBOX_H
#define MUSTER_PLUGIN_OUTBOX_H

#include "authz/report.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct outbox;

/* With room for SIZE events. E_NOMEM. */
MUST_CHECK int outbox_new(size_t size, struct outbox **out, struct err *err);
void outbox_free(struct outbox *o);

/* The broker's thread: */

void outbox_add(struct outbox *o, const struct report_event *event);

/* The same, but with the next outbox_flush, once, with its count, for all until then that are of
 * the same kind, id and reason; at once where there are too many different ones. */
void outbox_gather(struct outbox *o, const struct report_event *event);
void outbox_flush(struct outbox *o);

/* The other thread: */

/* The oldest that lie together, the caller's until it removes them or says outbox_lose. */
size_t outbox_look(const struct outbox *o, const struct report_event **events_out);
void outbox_remove(struct outbox *o, size_t n);

/* Remove N and count them among those that are dropped. */
void outbox_lose(struct outbox *o, size_t n);

/* Any thread: how many there are, and how many were dropped; less by N once that was told. */
size_t outbox_count(const struct outbox *o);
int64_t outbox_dropped(const struct outbox *o);
void outbox_told(struct outbox *o, int64_t n);

#endif
