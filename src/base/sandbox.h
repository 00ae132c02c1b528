/* What a process gives up before it looks at anything from outside: its user, its view of the file
 * system (Landlock) and its system calls (seccomp). The only home of #ifdef for kernels. */
#ifndef MUSTER_BASE_SANDBOX_H
#define MUSTER_BASE_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sandbox_access {
	SANDBOX_READ_FILE,  /* this file, read */
	SANDBOX_WRITE_FILE, /* this file, read and written; not created, not renamed */
	SANDBOX_READ_DIR,   /* everything beneath, read */
	SANDBOX_WRITE_DIR   /* everything beneath: read, write, create, rename, remove */
};

struct sandbox_path {
	const char *path; /* a path that does not exist is skipped if `optional`, else E_SYS */
	enum sandbox_access access;
	bool optional;
};

enum sandbox_calls {
	SANDBOX_CALLS_SIGNER, /* files already open, one listening Unix socket, no new sockets, no threads */
	SANDBOX_CALLS_API     /* TCP and Unix sockets, threads, files; no exec, ptrace, mount, kill */
};

/* True if this kernel has Landlock. */
bool sandbox_has_landlock(void);

/* From now on only PATHS can be reached in the file system. Irrevocable, inherited. E_SYS. */
MUST_CHECK int sandbox_limit_paths(const struct sandbox_path *paths, size_t n, struct err *err);

/* From now on only the named set of system calls; any other fails with EPERM, and exec, ptrace and the
 * like kill the process. Irrevocable, inherited. E_SYS. */
MUST_CHECK int sandbox_limit_calls(enum sandbox_calls set, struct err *err);

/* Become USER for good: groups, gid, uid, in that order, checked afterwards. Keeps GROUPS[n]
 * supplementary groups. E_SYS. Only for uid 0. */
MUST_CHECK int sandbox_become(
    uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *err);

/* Look a user up. E_NOTFOUND names the command that makes it. */
MUST_CHECK int sandbox_user(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *err);

/* Look a group up. E_NOTFOUND. */
MUST_CHECK int sandbox_group(const char *name, gid_t *gid_out, struct err *err);

#endif
