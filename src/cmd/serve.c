/* `muster serve` and the two processes it starts. Each opens what it needs, gives up the rest, then looks at its
 * first byte from outside. */
#include "cmd/api.h"
#include "cmd/commands.h"
#include "cmd/home.h"
#include "cmd/supervisor.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/settings.h"
#include "signer/main.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

static const struct argp_option serve_options[] = {
    {"debug", 'D', NULL, 0, "Log each request", 0}, {0}};

struct serve_arguments {
	bool debug;
};

static error_t
serve_parse(int key, char *arg, struct argp_state *state)
{
	struct serve_arguments *a = state->input;

	(void)arg;
	if (key != 'D')
		return ARGP_ERR_UNKNOWN;
	a->debug = true;
	return 0;
}

static const struct argp serve_argp = {serve_options, serve_parse, "",
    "Run the service in the foreground: the api, the signer, and a supervisor that restarts them.\v"
    "It logs a line that ends in \" ready\" on standard error once it answers, and tells systemd. SIGTERM ends it "
    "within 5 seconds, after finishing what was accepted; SIGHUP loads tls/ again.\n\n"
    "As root, the two processes run as the users muster and muster-signer.\n\n"
    "Exit status: 0 after SIGTERM, 1 if it could not start or a process kept dying.",
    NULL, NULL, NULL};

int
cmd_serve(struct cli *cli, int argc, char **argv)
{
	struct serve_arguments arguments = {0};
	struct settings settings;
	struct err err = {0};
	struct supervisor_options options = {.dir = cli->dir, .self = "/proc/self/exe"};

	if (argp_parse(&serve_argp, argc, argv, 0, NULL, &arguments) != 0)
		return CLI_USAGE;
	if (settings_load(cli->dir, &settings, &err) != 0 ||
	    home_own(cli->dir, settings.broker_group, &err) != 0)
		return cli_fail(cli, &err);
	options.broker_pid_file = settings.broker_pid_file;
	options.sandbox = settings.sandbox;
	options.debug = arguments.debug;
	return supervisor_run(&options);
}
