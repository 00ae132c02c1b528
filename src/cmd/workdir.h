/* A folder in which something is built that a crash must not leave half done: one builder at a time, and what a killed
 * one left is removed by the next. */
#ifndef MUSTER_CMD_WORKDIR_H
#define MUSTER_CMD_WORKDIR_H

#include "base/err.h"
#include "base/fs.h"

#include <stdbool.h>
#include <sys/types.h>

struct workdir {
	char path[FS_PATH_MAX];
	int fd; /* holds the lock; -1: none */
};

/* Make PATH, an empty folder with MODE, for us alone. E_BUSY if another process works there, E_CONFLICT if it is
 * somebody else's, E_SYS. */
MUST_CHECK int workdir_open(struct workdir *w, const char *path, mode_t mode, struct err *err);

/* Done with it; with REMOVE the folder goes with all that is in it. Harmless on one that was not opened (fd is -1). */
void workdir_close(struct workdir *w, bool remove);

/* Remove PATH if a killed process left it; best effort. */
void workdir_sweep(const char *path);

#endif
