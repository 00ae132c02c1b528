/* A tar archive (POSIX ustar) that grows entry by entry, each on disk before the next, and goes on where it broke off. */
#ifndef MUSTER_CMD_TARFILE_H
#define MUSTER_CMD_TARFILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define TARFILE_NAME_MAX 99 /* bytes of an entry's name */

struct tarfile;

/* Open PATH, mode 0600, made if it is not there. Of what an earlier run has left, whole entries stay, and the rest is cut off.
 * E_INPUT: it is no such archive; E_SYS. */
MUST_CHECK int tarfile_open(const char *path, struct tarfile **tar_out, struct err *err);

/* Is NAME the first of the entries that an earlier run has left and nobody has asked for yet? If so, it is asked for now. */
bool tarfile_has(struct tarfile *tar, const char *name);

/* Append an entry, readable for its owner, durably. E_INPUT (the name), E_SYS. */
MUST_CHECK int tarfile_add(struct tarfile *tar, const char *name, const void *data, size_t len, struct err *err);

/* Write the end, durably. E_SYS. */
MUST_CHECK int tarfile_finish(struct tarfile *tar, struct err *err);
void tarfile_free(struct tarfile *tar);

#endif
