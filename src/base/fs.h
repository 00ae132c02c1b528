/* Files: whole reads with a limit, whole atomic writes. */
#ifndef MUSTER_BASE_FS_H
#define MUSTER_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define FS_PATH_MAX 1024
#define FS_NEVER 0 /* seconds since 1970: fs_write wrote it, and nobody has read it */

/* "DIR/NAME" into OUT[FS_PATH_MAX]. E_INPUT if too long. */
MUST_CHECK int fs_path(char *out, const char *dir, const char *name, struct err *err);

/* Append the whole file to OUT, at most MAX bytes. E_NOTFOUND, E_LIMIT, E_SYS, E_NOMEM. */
MUST_CHECK int fs_read(const char *path, size_t max, struct buf *out, struct err *err);

/* The same, leaving the time of the last access as it is, where the caller owns the file or is root: for who wants
 * to tell whether somebody else has read it. */
MUST_CHECK int fs_peek(const char *path, size_t max, struct buf *out, struct err *err);

/* Replace PATH by LEN bytes: written beside it, synced, renamed, the folder synced. A reader sees the
 * old file or the new one. GID (-1: leave) is set before the rename. Until somebody reads it, its time of the last
 * access is FS_NEVER. E_SYS. */
MUST_CHECK int fs_write(
    const char *path, mode_t mode, gid_t gid, const void *data, size_t len, struct err *err);

/* The same with bytes that come in parts, each borrowed until the next is asked for; one of no bytes is the end. If NEXT
 * fails, nothing is replaced. */
typedef int fs_next(void *ctx, const void **data_out, size_t *len_out, struct err *err);
MUST_CHECK int fs_write_parts(
    const char *path, mode_t mode, gid_t gid, fs_next *next, void *ctx, struct err *err);

/* mkdir with MODE whatever the umask; E_CONFLICT if it is there. */
MUST_CHECK int fs_mkdir(const char *path, mode_t mode, struct err *err);

bool fs_exists(const char *path);

/* Write all of DATA to FD, going on after short writes and signals. E_SYS. */
MUST_CHECK int fs_write_all(int fd, const void *data, size_t len, struct err *err);

/* Sync the folder that holds PATH, so that a new name in it survives a crash. E_SYS. */
MUST_CHECK int fs_sync_parent(const char *path, struct err *err);

#endif
