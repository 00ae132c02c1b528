/* Whole files are written beside their place and renamed onto it: as root that would replace
 * /dev/null itself. */
#include "cmd/outfile.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int
outfile_check(const char *path, struct err *err)
{
	char probe[FS_PATH_MAX];
	struct stat st;
	int fd;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, E_INPUT, "%s is no file: name one", path);
	if (snprintf(probe, sizeof probe, "%s.XXXXXX", path) >= (int)sizeof probe)
		return err_set(err, E_INPUT, "the file's name is too long");
	if ((fd = mkostemp(probe, O_CLOEXEC)) < 0)
		return err_sys(err, "cannot write %s", path);
	(void)close(fd);
	(void)unlink(probe);
	return 0;
}
