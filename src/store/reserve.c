/* The file's blocks are the room: it is cut to nothing to let go of them. Whoever fills the disk,
 * we or another program, cannot have them first. */
#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct reserve {
	pthread_mutex_t lock;
	int fd;
	bool is_whole;
};

/* Bytes that we, who are not root, may still write. A disk that does not say is taken for empty. */
static uint64_t
room(const struct reserve *r)
{
	struct statvfs fs;

	if (fstatvfs(r->fd, &fs) != 0)
		return UINT64_MAX;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* With the lock held. */
static void
make(struct reserve *r)
{
	r->is_whole = posix_fallocate(r->fd, 0, RESERVE_BYTES) == 0;
	if (!r->is_whole)
		(void)!ftruncate(r->fd, 0);
}

int
reserve_open(const char *path, struct reserve **reserve_out, struct err *err)
{
	struct reserve *r = calloc(1, sizeof *r);
	struct stat st;

	if (r == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&r->lock, NULL);
	if ((r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
		if (errno != ENOSPC && errno != EDQUOT) {
			(void)err_sys(err, "cannot open %s", path);
			reserve_close(r);
			return E_SYS;
		}
	} else if (fstat(r->fd, &st) == 0 && st.st_size == RESERVE_BYTES &&
		   st.st_blocks * 512 >= RESERVE_BYTES) {
		r->is_whole = true;
	} else if (room(r) >= RESERVE_BYTES + RESERVE_LOW_BYTES) {
		make(r);
	}
	*reserve_out = r;
	return 0;
}

void
reserve_close(struct reserve *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		(void)close(r->fd);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

int
reserve_ask(struct reserve *r, struct err *err)
{
	bool has_room;

	(void)pthread_mutex_lock(&r->lock);
	if (!r->is_whole && r->fd >= 0 && room(r) >= RESERVE_BYTES + RESERVE_LOW_BYTES)
		make(r);
	has_room = r->is_whole && room(r) >= RESERVE_LOW_BYTES;
	(void)pthread_mutex_unlock(&r->lock);
	if (has_room)
		return 0;
	return err_set(err, E_FULL,
	    "the disk is full: revocations are still taken, everything else when %d MiB are free",
	    (RESERVE_BYTES + RESERVE_LOW_BYTES) / (1024 * 1024));
}

void
reserve_use(struct reserve *r)
{
	(void)pthread_mutex_lock(&r->lock);
	if (r->is_whole && room(r) < RESERVE_LOW_BYTES)
		r->is_whole = ftruncate(r->fd, 0) != 0;
	(void)pthread_mutex_unlock(&r->lock);
}
