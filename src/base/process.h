/* What this process takes of the machine. */
#ifndef MUSTER_BASE_PROCESS_H
#define MUSTER_BASE_PROCESS_H

#include "base/err.h"

#include <stdint.h>

struct process;

struct process_use {
	int64_t resident_bytes, virtual_bytes;
	int64_t cpu_us;	       /* user and system, since it started */
	int64_t open_fds, max_fds;
	int64_t started_at;
};

/* Open what tells of it, before a sandbox closes /proc. E_NOMEM, E_SYS. */
MUST_CHECK int process_open(struct process **process_out, struct err *err);

/* Now; -1 for what cannot be told. Any thread. */
void process_look(struct process *process, struct process_use *out);

/* NULL is harmless. */
void process_close(struct process *process);

#endif
