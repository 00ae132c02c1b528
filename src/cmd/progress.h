/* How far a long command is, for a person at a terminal. */
#ifndef MUSTER_CMD_PROGRESS_H
#define MUSTER_CMD_PROGRESS_H

#include <stdint.h>

/* Zero but for these three. */
struct progress {
	const char *what; /* "backup" */
	const char *unit; /* "rows"; NULL: bytes, shown as MB */
	uint64_t total;
	uint64_t done;
	unsigned shown; /* percent + 1 */
};

/* N more. Shows a line on standard error, if that is a terminal, when the percentage changes. */
void progress_add(struct progress *progress, uint64_t n);

/* The same where nobody knows the total: N rows so far. */
void progress_count(struct progress *progress, uint64_t n);

/* Wipe the line. */
void progress_end(struct progress *progress);

#endif
