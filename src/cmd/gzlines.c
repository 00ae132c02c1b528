/* zlib checks what it reads by its CRC; who wrote it is others' to check. */
#include "cmd/gzlines.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

struct gzlines {
	gzFile gz;
	int fd; /* of what is written; -1: zlib's own */
	char path[FS_PATH_MAX];
	char line[GZLINES_LINE_MAX];
};

static int
begin(const char *path, int flags, const char *mode, struct gzlines **out, struct err *err)
{
	struct gzlines *l = calloc(1, sizeof *l);
	int fd, copy;

	if (l == NULL)
		return err_nomem(err);
	l->fd = -1;
	if (snprintf(l->path, sizeof l->path, "%s", path) >= (int)sizeof l->path) {
		free(l);
		return err_set(err, E_INPUT, "path too long: %s", path);
	}
	if ((fd = open(path, flags | O_CLOEXEC, 0600)) < 0) {
		free(l);
		if (errno == ENOENT && (flags & O_CREAT) == 0)
			return err_set(err, E_NOTFOUND, "%s: no such file", path);
		if (errno == EEXIST)
			return err_set(err, E_CONFLICT, "%s exists: choose another name", path);
		return err_sys(err, "cannot open %s", path);
	}
	copy = (flags & O_CREAT) != 0 ? dup(fd) : fd;
	if (copy < 0 || (l->gz = gzdopen(copy, mode)) == NULL) {
		(void)close(fd);
		free(l);
		return err_nomem(err);
	}
	l->fd = (flags & O_CREAT) != 0 ? fd : -1;
	*out = l;
	return 0;
}

int
gzlines_create(const char *path, struct gzlines **out, struct err *err)
{
	return begin(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, "wb", out, err);
}

int
gzlines_open(const char *path, struct gzlines **out, struct err *err)
{
	return begin(path, O_RDONLY, "rb", out, err);
}

int
gzlines_put(struct gzlines *l, const char *line, struct err *err)
{
	if (gzputs(l->gz, line) < 0 || gzputc(l->gz, '\n') < 0)
		return err_sys(err, "cannot write %s", l->path);
	return 0;
}

int
gzlines_finish(struct gzlines **lines, struct err *err)
{
	struct gzlines *l = *lines;
	int rc = 0;

	*lines = NULL;
	if (gzclose(l->gz) != Z_OK)
		rc = err_sys(err, "cannot write %s", l->path);
	l->gz = NULL;
	if (rc == 0 && fsync(l->fd) != 0)
		rc = err_sys(err, "cannot sync %s", l->path);
	if (rc == 0)
		rc = fs_sync_parent(l->path, err);
	gzlines_close(l);
	return rc;
}

int
gzlines_next(struct gzlines *l, const char **line_out, struct err *err)
{
	const char *line = gzgets(l->gz, l->line, sizeof l->line);
	int code = Z_OK;

	if (line != NULL && strchr(line, '\n') != NULL) {
		*line_out = line;
		return 1;
	}
	(void)gzerror(l->gz, &code);
	if (line == NULL && code == Z_OK && gzeof(l->gz) && !gzdirect(l->gz))
		return 0;
	return err_set(err, E_INPUT, "%s is cut off or damaged", l->path);
}

void
gzlines_close(struct gzlines *l)
{
	if (l == NULL)
		return;
	if (l->gz != NULL)
		(void)gzclose(l->gz);
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l);
}
