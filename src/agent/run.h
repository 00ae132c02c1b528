/* The running agent. */
#ifndef MUSTER_AGENT_RUN_H
#define MUSTER_AGENT_RUN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define RUN_TOPIC_DEFAULT "devices/{id}/telemetry"

struct run_options {
	const char *dir;
	const char *broker;	/* HOST:PORT; NULL: the one in agent.conf */
	const char *topic;	/* of what is published */
	const char *exec;	/* a shell command whose lines are published; NULL: standard input's */
	const char *on_command; /* a program; NULL: commands are not asked for */
	bool until_eof;
};

/* Run until SIGTERM or SIGINT, or the end of input if that was asked for: then 0. E_NOTFOUND: nobody has enrolled; E_BUSY: one
 * runs already; E_INPUT, E_NOMEM, E_SYS: it cannot begin. Afterwards nothing ends it; what goes wrong is logged and tried
 * again. */
MUST_CHECK int run_forever(const struct run_options *options, struct err *err);

/* Tell the agent that runs in DIR, if one does, that there is a next pair. */
void run_tell(const char *dir);

/* HOST:PORT, or [ADDRESS]:PORT, as two. HOST and PORT may be NULL. False if it is neither. */
bool run_broker_split(const char *broker, char *host, size_t size, int *port);

#endif
