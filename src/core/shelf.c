/* A thread of its own compresses large lists, for a second of work has no place on an event loop, nor between two lists: the
 * next one is due then. Only one is compressed at a time, and only if its kind was asked for since the one before came. */
#include "core/shelf.h"

#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SMALL_BYTES (64 * 1024) /* compressed at once: a few milliseconds */
#define PART_BYTES (256 * 1024)
#define GZIP_WINDOW (15 + 16) /* zlib's way to say gzip */
#define RETIRED_MAX 64	      /* lists, and */
#define RETIRED_BYTES (64 * 1024 * 1024) /* bytes that are kept for who is in the middle of them */

struct place {
	struct crl_info info;
	struct shared *der, *gzip; /* NULL: not there */
	bool is_same_second;
	bool is_asked;	/* its gzip */
	bool is_wanted; /* the same, or that of the list before it was */
	bool is_tried;	/* or being compressed */
};

struct shelf {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t packer;
	bool is_started, is_stopping;
	struct place places[SHELF_KINDS];
	struct shared *retired[RETIRED_MAX]; /* oldest first */
	size_t n_retired;
};

/* The gzip of DER, or NULL: out of memory, or withdrawn meanwhile. */
static struct shared *
pack(struct shared *der)
{
	bool is_small = shared_len(der) <= SMALL_BYTES;
	struct buf in = {0}, out = {0};
	struct shared *gzip = NULL;
	z_stream z = {0};
	size_t at = 0, room;
	int rc = Z_OK;

	if (deflateInit2(&z, is_small ? Z_DEFAULT_COMPRESSION : Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	while (rc == Z_OK) {
		if (z.avail_in == 0) {
			buf_reset(&in);
			if (!shared_read(der, at, PART_BYTES, &in) || buf_failed(&in))
				break;
			at += in.len;
			z.next_in = in.data;
			z.avail_in = (unsigned)in.len;
		}
		room = PART_BYTES;
		if ((z.next_out = buf_extend(&out, room)) == NULL)
			break;
		z.avail_out = (unsigned)room;
		rc = deflate(&z, at == shared_len(der) ? Z_FINISH : Z_NO_FLUSH);
		out.len -= z.avail_out;
	}
	(void)deflateEnd(&z);
	if (rc == Z_STREAM_END)
		gzip = shared_new_take(&out);
	buf_clear(&in);
	buf_clear(&out);
	return gzip;
}

/* Those that go at once are those that nobody reads; of the others the oldest, if they are too many. With the lock held. */
static void
retired_sweep(struct shelf *s)
{
	size_t held[RETIRED_MAX], sum = 0, i, n = 0;

	for (i = 0; i < s->n_retired; i++) {
		if ((held[n] = shared_retire(s->retired[i])) > 0)
			sum += held[n], s->retired[n++] = s->retired[i];
		else
			shared_unref(s->retired[i]);
	}
	for (i = 0; i < n && (sum > RETIRED_BYTES || n - i == RETIRED_MAX); i++) {
		shared_withdraw(s->retired[i]);
		shared_unref(s->retired[i]);
		sum -= held[i];
	}
	memmove(s->retired, s->retired + i, (n - i) * sizeof s->retired[0]);
	s->n_retired = n - i;
}

/* With the lock held. */
static void
retire(struct shelf *s, struct shared *bytes)
{
	if (bytes == NULL)
		return;
	retired_sweep(s);
	s->retired[s->n_retired++] = bytes;
	retired_sweep(s);
}

static void *
packer_run(void *arg)
{
	struct shelf *s = arg;
	struct shared *der, *gzip;
	struct place *p;
	size_t i;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->is_stopping) {
		for (i = 0, p = NULL; i < SHELF_KINDS && p == NULL; i++)
			if (s->places[i].is_wanted && !s->places[i].is_tried && s->places[i].der != NULL)
				p = &s->places[i];
		if (p == NULL) {
			(void)pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		p->is_tried = true;
		der = shared_ref(p->der);
		(void)pthread_mutex_unlock(&s->lock);
		gzip = pack(der);
		(void)pthread_mutex_lock(&s->lock);
		if (p->der == der) {
			p->gzip = gzip;
			gzip = NULL;
		}
		shared_unref(gzip);
		shared_unref(der);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

int
shelf_new(struct shelf **shelf_out, struct err *err)
{
	struct shelf *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->wake, NULL);
	rc = thread_start(&s->packer, packer_run, s, "the thread that compresses revocation lists", err);
	s->is_started = rc == 0;
	if (rc == 0)
		*shelf_out = s;
	else
		shelf_free(s);
	return rc;
}

void
shelf_free(struct shelf *s)
{
	size_t i;

	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->is_stopping = true;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	if (s->is_started)
		(void)pthread_join(s->packer, NULL);
	for (i = 0; i < SHELF_KINDS; i++) {
		shared_unref(s->places[i].der);
		shared_unref(s->places[i].gzip);
	}
	for (i = 0; i < s->n_retired; i++)
		shared_unref(s->retired[i]);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int
shelf_put(struct shelf *s, enum shelf_kind kind, struct buf *der, const struct crl_info *info, struct err *err)
{
	struct shared *bytes = shared_new_take(der), *gzip = NULL;
	struct place *p = &s->places[kind];

	if (bytes == NULL)
		return err_nomem(err);
	if (shared_len(bytes) <= SMALL_BYTES)
		gzip = pack(bytes);
	(void)pthread_mutex_lock(&s->lock);
	retire(s, p->der);
	retire(s, p->gzip);
	*p = (struct place){.info = *info,
	    .der = bytes,
	    .gzip = gzip,
	    .is_same_second = p->info.this_update >= info->this_update,
	    .is_wanted = p->is_asked,
	    .is_tried = gzip != NULL};
	if (p->is_wanted && !p->is_tried)
		(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

int
shelf_get(struct shelf *s, enum shelf_kind kind, bool gzip, struct shelf_item *out, struct err *err)
{
	struct place *p = &s->places[kind];
	int rc = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (p->der == NULL) {
		rc = err_set(err, E_NOTFOUND, "there is no such revocation list yet");
		goto out;
	}
	if (gzip && !p->is_asked) {
		p->is_asked = p->is_wanted = true;
		(void)pthread_cond_signal(&s->wake);
	}
	out->is_gzip = gzip && p->gzip != NULL;
	out->bytes = shared_ref(out->is_gzip ? p->gzip : p->der);
	out->info = p->info;
	out->is_same_second = p->is_same_second;
out:
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

void
shelf_info(struct shelf *s, enum shelf_kind kind, struct crl_info *info_out)
{
	(void)pthread_mutex_lock(&s->lock);
	*info_out = s->places[kind].info;
	(void)pthread_mutex_unlock(&s->lock);
}
