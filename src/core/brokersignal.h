/* Asking the supervisor to signal the broker: the api runs as a user that may not. One socket pair, one byte each
 * way; both ends of the format are here. */
#ifndef MUSTER_CORE_BROKERSIGNAL_H
#define MUSTER_CORE_BROKERSIGNAL_H

#include "base/err.h"

#include <sys/types.h>

/* The api's end: have the broker reload, and wait for the answer. E_NOTFOUND if no broker runs (it reads the files
 * when it starts), E_SYS if it could not be signalled. One thread at a time. */
MUST_CHECK int brokersignal_send(int fd, struct err *err);

/* The supervisor's end, when FD is readable: answer one request with what signalling the broker of PID_FILE gave.
 * E_SYS if the peer is gone or sends something else. Never blocks. */
MUST_CHECK int brokersignal_serve(int fd, const char *pid_file, struct err *err);

/* The broker that would be signalled. E_NOTFOUND says why there is none. */
MUST_CHECK int brokersignal_find(const char *pid_file, pid_t *pid_out, struct err *err);

#endif
