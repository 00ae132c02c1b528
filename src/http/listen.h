/* Listening sockets: bound before the sandbox closes, shared by the loops. */
#ifndef MUSTER_HTTP_LISTEN_H
#define MUSTER_HTTP_LISTEN_H

#include "base/err.h"

#include <stddef.h>

#define LISTEN_NAME_SIZE 96

/* Bind ADDRESS:PORT (numeric, as in settings) and listen. FD_OUT is non-blocking and the caller's; NAME_OUT is the
 * address with the port that it really has. E_INPUT, E_SYS. */
MUST_CHECK int listen_tcp(const char *address, int *fd_out, char name_out[LISTEN_NAME_SIZE], struct err *err);

/* The same for a Unix socket at PATH, mode 0660; a socket that was left there is replaced. E_INPUT (too long),
 * E_CONFLICT (there is something else), E_SYS. */
MUST_CHECK int listen_unix(const char *path, int *fd_out, struct err *err);

#endif
