/* The supervisor: starts, watches and restarts the signer and the api. */
#ifndef MUSTER_CMD_SUPERVISOR_H
#define MUSTER_CMD_SUPERVISOR_H

#include "http/listen.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit status of a child that could not start and would fail the same way again. */
#define SUPERVISOR_HOPELESS 3

struct supervisor_options {
	const char *dir;
	const char *self;	     /* the program to start for both children */
	struct listen_given given;   /* sockets that listen already, for each api in its turn */
	bool sandbox;
	bool debug;
	int64_t lasting_ms;	     /* who lives as long was of use; 0: 10 s */
};

/* Runs until SIGTERM or SIGINT (returns 0 within 5 s), or until a child cannot be started or keeps dying (1). One that
 * lasted once is started again however often it dies, after pauses of up to 30 s. Logs its own errors. */
int supervisor_run(const struct supervisor_options *options);

#endif
