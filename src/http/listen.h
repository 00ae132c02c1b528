/* Listening sockets: bound before the sandbox closes, shared by the loops. */
#ifndef MUSTER_HTTP_LISTEN_H
#define MUSTER_HTTP_LISTEN_H

#include "base/err.h"

#include <stddef.h>

#define LISTEN_NAME_SIZE 96
#define LISTEN_GIVEN_MAX 8

/* Sockets that listen already: whoever started us made them, and keeps them for the next of us, so that nobody who
 * connects meanwhile is refused. */
struct listen_given {
	int fds[LISTEN_GIVEN_MAX];
	size_t n;
};

/* Listen on ADDRESS:PORT (numeric, as in settings): with the socket in GIVEN that is bound there, which leaves GIVEN, or
 * one of our own. GIVEN may be NULL. FD_OUT is non-blocking and the caller's; NAME_OUT is the address with the port that
 * it really has. E_INPUT, E_SYS. */
MUST_CHECK int listen_tcp(const char *address, struct listen_given *given, int *fd_out, char name_out[LISTEN_NAME_SIZE],
    struct err *err);

/* Is GIVEN (or NULL) used up? E_INPUT names the address that nobody asked for: clients would wait there for ever. */
MUST_CHECK int listen_all_taken(const struct listen_given *given, struct err *err);

/* The same for a Unix socket at PATH, mode 0660; a socket that was left there is replaced. E_INPUT (too long),
 * E_CONFLICT (there is something else), E_SYS. */
MUST_CHECK int listen_unix(const char *path, int *fd_out, struct err *err);

#endif
