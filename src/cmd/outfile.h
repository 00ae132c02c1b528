/* Files that a command was told to write. */
#ifndef MUSTER_CMD_OUTFILE_H
#define MUSTER_CMD_OUTFILE_H

#include "base/err.h"

/* Can PATH be written by fs_write? For what cannot be asked for twice, so that it is found out
 * before. E_INPUT: it is something else than a file (a folder, a link, a device), which renaming
 * would replace or fail on; E_SYS. */
MUST_CHECK int outfile_check(const char *path, struct err *err);

#endif
