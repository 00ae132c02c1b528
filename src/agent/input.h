/* Lines from standard input, or from a command that is started again when it ends. */
#ifndef MUSTER_AGENT_INPUT_H
#define MUSTER_AGENT_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define INPUT_LINE_MAX 65536

struct input;

typedef void input_line_fn(void *ctx, const char *line, size_t len);

/* COMMAND NULL: standard input. Both borrowed. NULL: out of memory. */
struct input *input_new(const char *command, input_line_fn *on_line, void *ctx);
void input_free(struct input *in);

/* Start the command if it is time to, and notice if it has ended. */
void input_tick(struct input *in);

/* What to poll; -1: nothing now. */
int input_fd(const struct input *in);

/* Read once, from what is readable, and hand over each whole line that is not empty. */
void input_work(struct input *in);

/* Standard input's end has come, and its last line. */
bool input_is_over(const struct input *in);

#endif
