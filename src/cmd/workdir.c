/* The lock is on the folder itself and ends with the process. Nothing is followed while removing: by descriptor, so
 * that whoever may rename in there cannot lead root elsewhere. */
#include "cmd/workdir.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Remove what is in the folder FD, which stays open; best effort. */
static void
empty(int fd, int depth)
{
	int inner, copy = openat(fd, ".", FOLDER);
	struct dirent *entry;
	DIR *d;

	if (copy < 0 || (d = fdopendir(copy)) == NULL) {
		if (copy >= 0)
			(void)close(copy);
		return;
	}
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		if (depth > 0 && (inner = openat(fd, entry->d_name, FOLDER)) >= 0) {
			empty(inner, depth - 1);
			(void)close(inner);
			(void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
		}
	}
	(void)closedir(d);
}

/* Lock the folder at PATH, which must be ours. */
static int
take(const char *path, int *fd_out, struct err *err)
{
	struct stat st, now;
	int fd, rc = 0;

	if ((fd = open(path, FOLDER)) < 0)
		return err_sys(err, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		rc = errno == EWOULDBLOCK ? err_set(err, E_BUSY, "another process is at work in %s", path)
					  : err_sys(err, "cannot lock %s", path);
	else if (fstat(fd, &st) != 0 || lstat(path, &now) != 0 || st.st_dev != now.st_dev || st.st_ino != now.st_ino)
		rc = err_set(err, E_BUSY, "another process was at work in %s just now: try again", path);
	else if (st.st_uid != geteuid())
		rc = err_set(err, E_CONFLICT, "%s is not ours: move it away", path);
	if (rc == 0)
		*fd_out = fd;
	else
		(void)close(fd);
	return rc;
}

int
workdir_open(struct workdir *w, const char *path, mode_t mode, struct err *err)
{
	int rc;

	w->fd = -1;
	if (!text_copy(w->path, sizeof w->path, path))
		return err_set(err, E_INPUT, "path too long: %s", path);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_sys(err, "cannot make %s", path);
	if ((rc = take(path, &w->fd, err)) != 0)
		return rc;
	empty(w->fd, DEPTH_MAX);
	if (fchmod(w->fd, mode) != 0) {
		rc = err_sys(err, "cannot set the mode of %s", path);
		workdir_close(w, true);
	}
	return rc;
}

void
workdir_close(struct workdir *w, bool remove)
{
	if (w->fd < 0)
		return;
	if (remove) {
		empty(w->fd, DEPTH_MAX);
		(void)rmdir(w->path);
	}
	(void)close(w->fd);
	w->fd = -1;
}

void
workdir_sweep(const char *path)
{
	struct workdir w = {.fd = -1};

	if (text_copy(w.path, sizeof w.path, path) && fs_exists(path) && take(path, &w.fd, NULL) == 0)
		workdir_close(&w, true);
}
