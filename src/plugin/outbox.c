/* One writes at the head, the other reads at the tail; each moves its own alone, after it has
 * written or read. A device that publishes all day what it may not, or knocks all day, would fill
 * the ring, so such events are gathered in a table of the broker's thread first. */
#include "plugin/outbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define GATHERED_MAX 4096 /* kinds, ids and reasons between two flushes */

struct key {
	enum report_kind kind;
	char id[UUID_LEN + 1];
	char reason[REPORT_REASON_SIZE];
};

struct gathered {
	struct key key; /* no byte of it undefined */
	struct report_event event;
	UT_hash_handle hh;
};

struct outbox {
	size_t size;
	_Atomic size_t head, tail; /* of all that ever were */
	_Atomic int64_t dropped;
	struct gathered *gathered;
	struct report_event events[];
};

int
outbox_new(size_t size, struct outbox **out, struct err *err)
{
	struct outbox *o = calloc(1, sizeof *o + size * sizeof o->events[0]);

	if (o == NULL)
		return err_nomem(err);
	/* Its pages are touched now: not in a storm, when there may be none, and so that a broker
	 * that grows later is known to leak. */
	memset(o->events, 0xff, size * sizeof o->events[0]);
	o->size = size;
	*out = o;
	return 0;
}

static void
drop(struct outbox *o, const struct report_event *event)
{
	atomic_fetch_add(&o->dropped, event->count > 1 ? event->count : 1);
}

void
outbox_add(struct outbox *o, const struct report_event *event)
{
	size_t head = atomic_load_explicit(&o->head, memory_order_relaxed);

	if (head - atomic_load(&o->tail) == o->size) {
		drop(o, event);
		return;
	}
	o->events[head % o->size] = *event;
	atomic_store(&o->head, head + 1);
}

void
outbox_gather(struct outbox *o, const struct report_event *event)
{
	struct gathered *g;
	struct key key;

	memset(&key, 0, sizeof key);
	key.kind = event->kind;
	(void)text_copy(key.id, sizeof key.id, event->id);
	(void)text_copy(key.reason, sizeof key.reason, event->reason);
	HASH_FIND(hh, o->gathered, &key, sizeof key, g);
	if (g != NULL) {
		g->event.count += g->event.count < REPORT_COUNT_MAX;
		return;
	}
	if (HASH_COUNT(o->gathered) == GATHERED_MAX || (g = malloc(sizeof *g)) == NULL) {
		outbox_add(o, event);
		return;
	}
	g->key = key;
	g->event = *event;
	g->event.count = 1;
	HASH_ADD(hh, o->gathered, key, sizeof key, g);
	if (g->hh.tbl == NULL) {
		outbox_add(o, event);
		free(g);
	}
}

void
outbox_flush(struct outbox *o)
{
	struct gathered *g, *next;

	HASH_ITER (hh, o->gathered, g, next) {
		outbox_add(o, &g->event);
		HASH_DEL(o->gathered, g);
		free(g);
	}
}

void
outbox_free(struct outbox *o)
{
	if (o == NULL)
		return;
	atomic_store(&o->head, atomic_load(&o->tail));
	outbox_flush(o);
	free(o);
}

size_t
outbox_count(const struct outbox *o)
{
	size_t tail = atomic_load(&o->tail);

	return atomic_load(&o->head) - tail;
}

size_t
outbox_look(const struct outbox *o, const struct report_event **events_out)
{
	size_t at = atomic_load(&o->tail) % o->size, n = outbox_count(o);

	*events_out = &o->events[at];
	return n < o->size - at ? n : o->size - at;
}

void
outbox_remove(struct outbox *o, size_t n)
{
	atomic_fetch_add(&o->tail, n);
}

void
outbox_lose(struct outbox *o, size_t n)
{
	size_t tail = atomic_load_explicit(&o->tail, memory_order_relaxed), i;

	for (i = 0; i < n; i++)
		drop(o, &o->events[(tail + i) % o->size]);
	outbox_remove(o, n);
}

int64_t
outbox_dropped(const struct outbox *o)
{
	return atomic_load(&o->dropped);
}

void
outbox_told(struct outbox *o, int64_t n)
{
	atomic_fetch_sub(&o->dropped, n);
}
