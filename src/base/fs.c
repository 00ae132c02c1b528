/* Whole files only: nobody ever sees half of one. */
#include "base/fs.h"

#include "base/killpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
fs_path(char *out, const char *dir, const char *name, struct err *err)
{
	int n = snprintf(out, FS_PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= FS_PATH_MAX)
		return err_set(err, E_INPUT, "path too long: %s/%s", dir, name);
	return 0;
}

static int
read_all(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
	size_t start = out->len;
	uint8_t chunk[16384];
	ssize_t n;
	int rc = 0;

	for (;;) {
		n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(err, "cannot read %s", path);
		if (n <= 0)
			break;
		if ((size_t)n > max - (out->len - start)) {
			rc = err_set(err, E_LIMIT, "%s is larger than %zu bytes", path, max);
			break;
		}
		buf_append(out, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof chunk);
	if (rc == 0 && buf_failed(out))
		rc = err_nomem(err);
	return rc;
}

static int
read_file(const char *path, int flags, size_t max, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), rc;

	if (fd < 0 && errno == EPERM && flags != 0) /* another's file may only be read openly */
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ENOENT)
			return err_set(err, E_NOTFOUND, "%s: no such file", path);
		return err_sys(err, "cannot open %s", path);
	}
	rc = read_all(fd, path, max, out, err);
	(void)close(fd);
	return rc;
}

int
fs_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	return read_file(path, 0, max, out, err);
}

int
fs_peek(const char *path, size_t max, struct buf *out, struct err *err)
{
	return read_file(path, O_NOATIME, max, out, err);
}

int
fs_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
fs_sync_parent(const char *path, struct err *err)
{
	char dir[FS_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc = 0;

	if (slash == NULL)
		(void)snprintf(dir, sizeof dir, ".");
	else
		(void)snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(err, "cannot open %s", dir);
	if (fsync(fd) != 0)
		rc = err_sys(err, "cannot sync %s", dir);
	(void)close(fd);
	return rc;
}

static int
write_parts(int fd, fs_next *next, void *ctx, struct err *err)
{
	const void *data = NULL;
	size_t len = 0;
	int rc;

	do {
		if ((rc = next(ctx, &data, &len, err)) == 0)
			rc = fs_write_all(fd, data, len, err);
	} while (rc == 0 && len > 0);
	return rc;
}

int
fs_write_parts(const char *path, mode_t mode, gid_t gid, fs_next *next, void *ctx, struct err *err)
{
	const struct timespec times[] = {{FS_NEVER, 0}, {0, UTIME_OMIT}};
	char temp[FS_PATH_MAX];
	int fd, rc;

	if (snprintf(temp, sizeof temp, "%s.new", path) >= (int)sizeof temp)
		return err_set(err, E_INPUT, "path too long: %s", path);
	/* A leftover of a crash is ours to replace; O_EXCL keeps a planted link from being followed. */
	(void)unlink(temp);
	if ((fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot create %s", temp);
	if ((rc = write_parts(fd, next, ctx, err)) != 0)
		(void)err_prefix(err, "%s", temp);
	else if (gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) != 0)
		rc = err_sys(err, "cannot give %s to group %u", temp, (unsigned)gid);
	else if (fchmod(fd, mode) != 0)
		rc = err_sys(err, "cannot set the mode of %s", temp);
	else if (futimens(fd, times) != 0)
		rc = err_sys(err, "cannot set the times of %s", temp);
	else if (fsync(fd) != 0)
		rc = err_sys(err, "cannot sync %s", temp);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "cannot close %s", temp);
	KILLPOINT(19, "a file written beside its place, not renamed");
	if (rc == 0 && rename(temp, path) != 0)
		rc = err_sys(err, "cannot rename %s to %s", temp, path);
	KILLPOINT(20, "a file renamed, its folder not synced");
	if (rc == 0)
		rc = fs_sync_parent(path, err);
	else
		(void)unlink(temp);
	return rc;
}

struct whole {
	const void *data;
	size_t len;
};

/* All at once, then nothing. */
static int
whole_next(void *ctx, const void **data_out, size_t *len_out, struct err *err)
{
	struct whole *whole = ctx;

	(void)err;
	*data_out = whole->data;
	*len_out = whole->len;
	whole->len = 0;
	return 0;
}

int
fs_write(const char *path, mode_t mode, gid_t gid, const void *data, size_t len, struct err *err)
{
	struct whole whole = {data, len};

	return fs_write_parts(path, mode, gid, whole_next, &whole, err);
}

int
fs_mkdir(const char *path, mode_t mode, struct err *err)
{
	if (mkdir(path, 0700) != 0) {
		if (errno == EEXIST)
			return err_set(err, E_CONFLICT, "%s exists already", path);
		return err_sys(err, "cannot make %s", path);
	}
	if (chmod(path, mode) != 0)
		return err_sys(err, "cannot set the mode of %s", path);
	return 0;
}

bool
fs_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}
