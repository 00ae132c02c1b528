/* A sealed memory file: the digest before the text tells a reader that it met a change. Sealed
 * against new writers, so that only the mapping that was there before can change it. */
#include "base/handover.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define RETRIES 100
#define RETRY_NS 10000000L

struct header {
	uint8_t digest[SHA256_LEN];
	uint64_t len;
};

int
handover_open(size_t max, struct handover *out, struct err *err)
{
	size_t size = sizeof(struct header) + max;
	void *map = MAP_FAILED;
	int fd;

	if ((fd = memfd_create("muster", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0 ||
	    ftruncate(fd, (off_t)size) != 0 ||
	    (map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED ||
	    fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
		(void)err_sys(err, "cannot make a memory file");
		if (map != MAP_FAILED)
			(void)munmap(map, size);
		if (fd >= 0)
			(void)close(fd);
		return E_SYS;
	}
	*out = (struct handover){fd, map, max};
	return 0;
}

void
handover_put(struct handover *handover, const void *data, size_t len)
{
	struct header header = {.len = len};

	sha256(header.digest, data, len);
	memcpy(handover->map, &header, sizeof header);
	if (len > 0)
		memcpy(handover->map + sizeof header, data, len);
}

/* E_BUSY if it changed meanwhile. */
static int
read_once(int fd, size_t max, struct buf *out, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	struct header header;
	size_t before = out->len;
	uint8_t *room;
	int rc = 0;

	if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
		return err_sys(err, "cannot read what was handed over");
	if (header.len > max)
		return err_set(err, E_LIMIT, "what was handed over is larger than %zu bytes", max);
	if ((room = buf_extend(out, header.len)) == NULL)
		return err_nomem(err);
	if (pread(fd, room, header.len, (off_t)sizeof header) != (ssize_t)header.len) {
		rc = err_sys(err, "cannot read what was handed over");
	} else {
		sha256(digest, room, header.len);
		if (!secret_equal(digest, header.digest, sizeof digest))
			rc = err_set(err, E_BUSY, "what was handed over is being changed");
	}
	if (rc != 0)
		out->len = before;
	return rc;
}

int
handover_read(int fd, size_t max, struct buf *out, struct err *err)
{
	const struct timespec pause = {0, RETRY_NS};
	int rc, i;

	for (i = 0; (rc = read_once(fd, max, out, err)) == E_BUSY && i < RETRIES; i++)
		(void)nanosleep(&pause, NULL);
	return rc;
}
