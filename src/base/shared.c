/* A count of references and a lock: readers copy a part under it, which is short. */
#include "base/shared.h"

#include <pthread.h>
#include <stdlib.h>

struct shared {
	pthread_mutex_t lock;
	struct buf bytes;
	size_t len;
	unsigned refs;
	bool is_retired, is_withdrawn;
};

struct shared *
shared_new_take(struct buf *bytes)
{
	struct shared *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->bytes = *bytes;
	s->len = bytes->len;
	s->refs = 1;
	*bytes = (struct buf){0};
	return s;
}

struct shared *
shared_ref(struct shared *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->refs++;
	(void)pthread_mutex_unlock(&s->lock);
	return s;
}

/* With the lock held. */
static void
release(struct shared *s)
{
	buf_clear(&s->bytes);
	s->is_withdrawn = true;
}

void
shared_unref(struct shared *s)
{
	unsigned left;

	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	left = --s->refs;
	if (left == 0 || (left == 1 && s->is_retired))
		release(s);
	(void)pthread_mutex_unlock(&s->lock);
	if (left > 0)
		return;
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

size_t
shared_len(const struct shared *s)
{
	return s->len;
}

bool
shared_read(struct shared *s, size_t offset, size_t max, struct buf *out)
{
	bool is_there;
	size_t left;

	(void)pthread_mutex_lock(&s->lock);
	is_there = !s->is_withdrawn;
	left = is_there && offset < s->len ? s->len - offset : 0;
	if (left > 0)
		buf_append(out, s->bytes.data + offset, left < max ? left : max);
	(void)pthread_mutex_unlock(&s->lock);
	return is_there;
}

size_t
shared_retire(struct shared *s)
{
	size_t held;

	(void)pthread_mutex_lock(&s->lock);
	s->is_retired = true;
	if (s->refs == 1)
		release(s);
	held = s->bytes.len;
	(void)pthread_mutex_unlock(&s->lock);
	return held;
}

void
shared_withdraw(struct shared *s)
{
	(void)pthread_mutex_lock(&s->lock);
	release(s);
	(void)pthread_mutex_unlock(&s->lock);
}
