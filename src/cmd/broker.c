/* `muster broker config`: what the broker needs to be told, complete, from the home's own settings.
 */
#include "cmd/commands.h"

#include "base/text.h"
#include "core/settings.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_MODE = 0x100 };

struct arguments {
	const char *broker;
	const char *mode;
};

static const struct argp_option options[] = {{"mode", OPT_MODE, "MODE", 0,
						 "acl-file (default): Muster writes an ACL file "
						 "and a revocation list, and signals the broker",
						 0},
    {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_MODE:
		if (strcmp(arg, "acl-file") != 0)
			argp_error(state, "--mode must be acl-file");
		a->mode = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->broker != NULL || strcmp(arg, "mosquitto") != 0)
			argp_error(state, "the broker must be mosquitto, not %s", arg);
		a->broker = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->broker == NULL)
			argp_error(state, "which broker? say `muster broker config mosquitto`");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "mosquitto",
    "Print a complete mosquitto.conf on standard output."
    "\vEvery client needs a certificate of this CA; its id is its user name and client id; the ACL "
    "file gives it its "
    "topics; the revocation list refuses the revoked. It is made from broker.listen, "
    "broker.pid_file and broker.group "
    "in muster.conf: set these first. It replaces a mosquitto.conf as a whole; beside another one, "
    "in conf.d, Mosquitto "
    "refuses the settings that both have.\n\n"
    "Example:\n\n"
    "  muster broker config mosquitto --mode acl-file > "
    "/etc/mosquitto/mosquitto.conf\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static const char listener[] =
    "# Mosquitto 2.0 for the Muster home %s,\n"
    "# written by `muster broker config mosquitto`. Use it as it is, as the whole "
    "configuration.\n\n"
    "# One set of rules for every listener: there is no second door.\n"
    "per_listener_settings false\n"
    "listener %u %s\n\n"
    "# Nobody without a certificate of this CA, over TLS 1.2 or newer.\n"
    "cafile %s/broker/ca.pem\n"
    "certfile %s/broker/broker.crt\n"
    "keyfile %s/broker/broker.key\n"
    "tls_version tlsv1.2\n"
    "require_certificate true\n"
    "allow_anonymous false\n\n"
    "# The revoked, which Muster keeps current. An expired list refuses everybody: Muster renews "
    "it in time.\n"
    "crlfile %s/broker/crl.pem\n\n"
    "# The certificate's common name is the user name and, whatever the client says, the client "
    "id: nobody\n"
    "# takes over another's session.\n"
    "use_identity_as_username true\n"
    "use_username_as_clientid true\n\n"
    "# What each may write and read; everything else is denied.\n"
    "acl_file %s/broker/acl\n\n"
    "# Without this each connection costs another 40 ms.\n"
    "set_tcp_nodelay true\n\n"
    "# Messages of QoS 1 and 2 under way to one client, and those that wait for one that is away; "
    "more are dropped.\n"
    "max_inflight_messages 20\n"
    "max_queued_messages 1000\n\n"
    "# Retained messages and sessions live as long as the broker. To keep them over a restart, set "
    "this to true and\n"
    "# add `persistence_location FOLDER/`, a folder of this broker alone that it may write.\n"
    "persistence false\n\n"
    "log_dest stderr\n";

static const char no_pid_file[] = "\n# broker.pid_file in muster.conf is empty, so nobody tells "
				  "this broker to reload: revocations and new devices\n"
				  "# reach it only when it gets a SIGHUP by other means. Set it to "
				  "a path that the broker may write, such as\n"
				  "# /run/mosquitto/mosquitto.pid, and print this again.\n";

static const char no_group[] = "\n# Started by root, Mosquitto becomes the user mosquitto, who "
			       "must be able to read these files: set broker.group\n"
			       "# in muster.conf to that user's group.\n";

static void
print_config(const char *dir, const char *host, unsigned port, const struct settings *s)
{
	(void)printf(listener, dir, port, host, dir, dir, dir, dir, dir);
	if (s->broker_pid_file[0] != '\0')
		(void)printf(
		    "\n# By this Muster finds the broker when it must reload.\npid_file %s\n",
		    s->broker_pid_file);
	else
		(void)fputs(no_pid_file, stdout);
	if (s->broker_group[0] == '\0')
		(void)fputs(no_group, stdout);
}

int
cmd_broker_config(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct settings settings;
	struct err err = {0};
	char host[64], *dir = NULL;
	uint16_t port;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((rc = settings_load(cli->dir, &settings, &err)) != 0 ||
	    (rc = settings_split_listen(settings.broker_listen, host, &port, &err)) != 0)
		return cli_fail(cli, &err);
	/* The broker starts elsewhere: its paths must not depend on where this was typed. */
	if ((dir = realpath(cli->dir, NULL)) == NULL)
		rc = err_sys(&err, "cannot find %s", cli->dir);
	else if (!text_is_printable(dir, strlen(dir)))
		rc = err_set(
		    &err, E_INPUT, "the home's path would break a line of the file: %s", dir);
	else if (port == 0)
		rc = err_field(
		    &err, E_INPUT, "broker.listen", "must name the port: devices are told it");
	else
		print_config(dir, host, port, &settings);
	free(dir);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
