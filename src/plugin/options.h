/* The plugin_opt_* lines of mosquitto.conf, checked when the broker loads the plugin. */
#ifndef MUSTER_PLUGIN_OPTIONS_H
#define MUSTER_PLUGIN_OPTIONS_H

#include "base/conf.h"
#include "base/err.h"

#include <stdint.h>

struct mosquitto_opt;

struct options {
	char url[CONF_TEXT_SIZE];
	char cafile[CONF_TEXT_SIZE], certfile[CONF_TEXT_SIZE], keyfile[CONF_TEXT_SIZE];
	char snapshot[CONF_TEXT_SIZE];
	int64_t max_stale; /* seconds */
	int64_t reports;   /* events that may wait while the service is away */
};

/* E_INPUT (err.field is the line's name) for one that is missing, unknown, there twice or no good:
 * also for files that cannot be read, and a folder in which no snapshot can be made, by the user
 * that the broker runs as. */
MUST_CHECK int options_read(
    struct options *out, const struct mosquitto_opt *opts, int n_opts, struct err *err);

#endif
