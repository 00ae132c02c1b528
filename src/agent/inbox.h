/* Commands that were received, handed to a program one at a time and in their order. */
#ifndef MUSTER_AGENT_INBOX_H
#define MUSTER_AGENT_INBOX_H

#include <stddef.h>

#define INBOX_MAX 64		  /* that wait */
#define INBOX_BYTES_MAX (1 << 20) /* of all that wait; one alone may be larger */

struct inbox;

/* PROGRAM is borrowed. NULL: out of memory. */
struct inbox *inbox_new(const char *program);
void inbox_free(struct inbox *box);

/* A command has come. If too many wait, it is left out, and that is logged. */
void inbox_put(struct inbox *box, const char *topic, const void *data, size_t len);

/* Start the program for the next one if the last is done, and end what takes too long. */
void inbox_tick(struct inbox *box);

#endif
