/* The broker has had its acknowledgement when a command waits here: what is lost by a kill is what waits. */
#include "agent/inbox.h"

#include "agent/child.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TIME_MS 60000

struct command {
	struct command *next;
	size_t len, topic_len;
	char bytes[]; /* the topic, terminated, then the message */
};

struct inbox {
	const char *program;
	struct command *first, **last;
	size_t n, bytes;
	pid_t pid;
	int64_t ends_ms;
};

struct inbox *
inbox_new(const char *program)
{
	struct inbox *box = calloc(1, sizeof *box);

	if (box != NULL) {
		box->program = program;
		box->last = &box->first;
	}
	return box;
}

static struct command *
take_first(struct inbox *box)
{
	struct command *c = box->first;

	if (c == NULL)
		return NULL;
	if ((box->first = c->next) == NULL)
		box->last = &box->first;
	box->n--;
	box->bytes -= c->len;
	return c;
}

void
inbox_free(struct inbox *box)
{
	struct command *c;

	if (box == NULL)
		return;
	while ((c = take_first(box)) != NULL)
		free(c);
	child_end(box->pid);
	free(box);
}

void
inbox_put(struct inbox *box, const char *topic, const void *data, size_t len)
{
	size_t topic_len = strlen(topic);
	struct command *c = NULL;

	if (box->n == 0 || (box->n < INBOX_MAX && box->bytes + len <= INBOX_BYTES_MAX))
		c = malloc(sizeof *c + topic_len + 1 + len);
	if (c == NULL) {
		log_warn("a command on %s was left out: %zu wait already", topic, box->n);
		return;
	}
	*c = (struct command){.len = len, .topic_len = topic_len};
	memcpy(c->bytes, topic, topic_len + 1);
	if (len > 0)
		memcpy(c->bytes + topic_len + 1, data, len);
	*box->last = c;
	box->last = &c->next;
	box->n++;
	box->bytes += len;
}

static void
look_after(struct inbox *box)
{
	int status = 0;

	if (child_ended(box->pid, &status)) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			log_warn("%s: %s %d", box->program, WIFEXITED(status) ? "ended with" : "was ended by signal",
			    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		box->pid = 0;
	} else if (box->pid != 0 && clock_mono_ms() >= box->ends_ms) {
		log_warn("%s takes longer than %d s, and is ended", box->program, TIME_MS / 1000);
		child_end(box->pid);
		box->pid = 0;
	}
}

void
inbox_tick(struct inbox *box)
{
	struct err err = {0};
	struct command *c;

	look_after(box);
	if (box->pid != 0 || (c = take_first(box)) == NULL)
		return;
	if (child_hand(box->program, c->bytes, c->bytes + c->topic_len + 1, c->len, &box->pid, &err) != 0)
		log_warn("%s: %s", box->program, err.text);
	box->ends_ms = clock_mono_ms() + TIME_MS;
	free(c);
}
