/* By fcntl, which also tells who holds a lock: there is no file with a process id that could be stale. */
#include "agent/lock.h"

#include "base/fs.h"

#include <fcntl.h>
#include <unistd.h>

int
lock_take(const char *dir, const char *name, int *fd_out, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[FS_PATH_MAX];
	int fd, rc;

	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot open %s", path);
	if (fcntl(fd, F_SETLK, &lock) == 0) {
		*fd_out = fd;
		return 0;
	}
	(void)close(fd);
	return err_set(
	    err, E_BUSY, "another muster-agent (process %d) works in %s: wait for it, or end it", (int)lock_holder(dir, name), dir);
}

pid_t
lock_holder(const char *dir, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[FS_PATH_MAX];
	pid_t holder = 0;
	int fd;

	if (fs_path(path, dir, name, NULL) != 0 || (fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return 0;
	if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		holder = lock.l_pid;
	(void)close(fd);
	return holder;
}
