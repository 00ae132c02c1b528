/* A line is kept until its end has come; one that never ends is not kept for ever. */
#include "agent/input.h"

#include "agent/child.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096
#define RESTART_MS 5000

struct input {
	const char *command;
	input_line_fn *on_line;
	void *ctx;
	int fd; /* -1: over, or the command does not run */
	pid_t pid;
	int64_t start_at_ms;
	struct buf line;
	bool too_long; /* what comes until the line's end is left out */
};

struct input *
input_new(const char *command, input_line_fn *on_line, void *ctx)
{
	struct input *in = calloc(1, sizeof *in);

	if (in != NULL)
		*in = (struct input){
		    .command = command, .on_line = on_line, .ctx = ctx, .fd = command == NULL ? STDIN_FILENO : -1};
	return in;
}

void
input_free(struct input *in)
{
	if (in == NULL)
		return;
	child_end(in->pid);
	if (in->fd > STDIN_FILENO)
		(void)close(in->fd);
	buf_clear(&in->line);
	free(in);
}

int
input_fd(const struct input *in)
{
	return in->fd;
}

bool
input_is_over(const struct input *in)
{
	return in->command == NULL && in->fd < 0;
}

static void
line_end(struct input *in)
{
	if (in->too_long || buf_failed(&in->line))
		log_warn("a line of more than %d bytes was left out", INPUT_LINE_MAX);
	else if (in->line.len > 0)
		in->on_line(in->ctx, buf_str(&in->line), in->line.len);
	in->too_long = false;
	buf_reset(&in->line);
}

static void
close_now(struct input *in)
{
	if (in->line.len > 0 || in->too_long)
		line_end(in);
	if (in->command != NULL) {
		(void)close(in->fd);
		in->start_at_ms = clock_mono_ms() + RESTART_MS;
	}
	in->fd = -1;
}

void
input_tick(struct input *in)
{
	struct err err = {0};
	int status;

	if (in->command == NULL)
		return;
	if (child_ended(in->pid, &status))
		in->pid = 0;
	if (in->fd >= 0 || in->pid != 0 || clock_mono_ms() < in->start_at_ms)
		return;
	if (child_shell(in->command, &in->pid, &in->fd, &err) != 0) {
		log_warn("%s", err.text);
		in->start_at_ms = clock_mono_ms() + RESTART_MS;
	}
}

void
input_work(struct input *in)
{
	char chunk[CHUNK], *at = chunk, *end;
	ssize_t n = read(in->fd, chunk, sizeof chunk);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_now(in);
		return;
	}
	for (; n > 0; n -= end - at, at = end) {
		char *newline = memchr(at, '\n', (size_t)n);

		end = newline != NULL ? newline + 1 : at + n;
		in->too_long = in->too_long || in->line.len + (size_t)(end - at) > INPUT_LINE_MAX + 1;
		if (!in->too_long)
			buf_append(&in->line, at, (size_t)((newline != NULL ? newline : end) - at));
		if (newline != NULL)
			line_end(in);
	}
}
