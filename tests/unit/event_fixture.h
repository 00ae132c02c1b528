/* Something that happens between two steps of an operation: when the test's own thread looks at the core's clock the next
 * time but `left`. The core's other threads look, too. */
#ifndef MUSTER_TESTS_EVENT_FIXTURE_H
#define MUSTER_TESTS_EVENT_FIXTURE_H

#include "core_fixture.h"

#include <pthread.h>

static struct {
	struct fixture *f;
	void (*act)(struct fixture *f, const char *id);
	pthread_t thread;
	const char *id; /* NULL: nothing happens */
	int left;
	bool done;
} event;

static inline int64_t
event_now(void)
{
	if (event.id == NULL || !pthread_equal(pthread_self(), event.thread) || event.done || event.left-- > 0)
		return clock_now();
	event.done = true;
	event.act(event.f, event.id);
	return clock_now();
}

#endif
