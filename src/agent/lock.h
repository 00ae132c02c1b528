/* Who works in the agent's folder. The kernel gives a lock back when its holder ends, however it ends. */
#ifndef MUSTER_AGENT_LOCK_H
#define MUSTER_AGENT_LOCK_H

#include "base/err.h"

#include <sys/types.h>

#define LOCK_CHANGE "change.lock" /* who asks for a certificate and keeps it */
#define LOCK_RUN "run.lock"	  /* the running agent */

/* Take the lock NAME of DIR. FD_OUT holds it until it is closed or the process ends; a forked child does not have it, and
 * nothing else in the process may open that file. E_BUSY names who has it, E_SYS. */
MUST_CHECK int lock_take(const char *dir, const char *name, int *fd_out, struct err *err);

/* The process that holds it, or 0. */
pid_t lock_holder(const char *dir, const char *name);

#endif
