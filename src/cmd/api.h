/* The api process. */
#ifndef MUSTER_CMD_API_H
#define MUSTER_CMD_API_H

#include "base/err.h"
#include "http/listen.h"

#include <stdbool.h>

struct api_options {
	const char *dir;
	int signal_fd; /* to the supervisor, for the broker's SIGHUP; -1 without one */
	int conf_fd;   /* muster.conf as the supervisor hands it over; -1: the file itself */
	struct listen_given given; /* sockets that listen already */
	int alive_fd;  /* EOF here means that the supervisor is gone */
	bool sandbox;
	bool debug;
	const char *log; /* the format of its lines: log_format */
};

/* Open, enter the sandbox, serve until SIGTERM or the supervisor's end. Returns the exit status; logs its own
 * errors. */
int api_run(const struct api_options *options);

#endif
