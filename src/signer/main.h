/* The signer process. */
#ifndef MUSTER_SIGNER_MAIN_H
#define MUSTER_SIGNER_MAIN_H

#include "base/err.h"

#include <stdbool.h>

struct signer_options {
	const char *dir;	  /* the home */
	int conf_fd;		  /* muster.conf as the supervisor hands it over; 0: read the file, once */
	int listen_fd;		  /* the listening Unix socket, made by the supervisor */
	int alive_fd;		  /* a pipe whose other end the supervisor holds: at EOF the signer ends */
	bool sandbox;		  /* false only when the configuration says sandbox = off */
};

/* Open key, configuration and log, enter the sandbox, serve until SIGTERM or the supervisor's death.
 * Returns 0 after an orderly end. Logs its own errors. */
MUST_CHECK int signer_main(const struct signer_options *options);

#endif
