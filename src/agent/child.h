/* Other programs: one that prints lines, and those that are handed a message. */
#ifndef MUSTER_AGENT_CHILD_H
#define MUSTER_AGENT_CHILD_H

#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Start COMMAND by /bin/sh, in a process group of its own, with its standard output readable at FD_OUT. E_SYS. */
MUST_CHECK int child_shell(const char *command, pid_t *pid_out, int *fd_out, struct err *err);

/* Start the program PATH, in a process group of its own, with one argument and LEN bytes on its standard input. E_SYS. */
MUST_CHECK int child_hand(const char *path, const char *argument, const void *data, size_t len, pid_t *pid_out,
    struct err *err);

/* Has PID ended? Its status then, as waitpid has it. 0 is nobody. */
int child_ended(pid_t pid, int *status_out);

/* End it and all that it started. */
void child_end(pid_t pid);

#endif
