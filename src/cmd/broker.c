/* `muster broker config`: what the broker needs to be told, complete, from the home's own settings. */
#include "cmd/commands.h"

#include "base/fs.h"
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

static const struct argp_option options[] = {
    {"mode", OPT_MODE, "MODE", 0, "acl-file: Muster writes an ACL file and a CRL, and signals the broker", 0}, {0}};

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
    "Print a complete mosquitto.conf on standard output.\v"
    "Every client needs a certificate of this CA; its id is its user name and client id; the ACL file gives it its topics; "
    "the CRL refuses the revoked. Set broker.listen, broker.pid_file and broker.group in muster.conf first.\n\n"
    "Example:\n\n"
    "  muster broker config mosquitto --mode acl-file > /etc/mosquitto/conf.d/muster.conf\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 usage.",
    NULL, NULL, NULL};

static void
print_config(const char *dir, const char *host, unsigned port, const struct settings *s)
{
	(void)printf("# Mosquitto 2.0 for the Muster home %s, written by `muster broker config mosquitto`.\n\n"
		     "listener %u %s\n"
		     "cafile %s/broker/ca.pem\n"
		     "certfile %s/broker/broker.crt\n"
		     "keyfile %s/broker/broker.key\n"
		     "tls_version tlsv1.2\n\n"
		     "# Nobody without a certificate of this CA; revoked ones are on this list, which Muster keeps current.\n"
		     "allow_anonymous false\n"
		     "require_certificate true\n"
		     "crlfile %s/broker/crl.pem\n\n"
		     "# The certificate's common name is the user name and, whatever the client says, the client id: nobody\n"
		     "# takes over another's session.\n"
		     "use_identity_as_username true\n"
		     "use_username_as_clientid true\n\n"
		     "# What each may write and read; everything else is denied.\n"
		     "acl_file %s/broker/acl\n\n"
		     "# Without this each connection costs another 40 ms.\n"
		     "set_tcp_nodelay true\n\n"
		     "log_dest stderr\n",
	    dir, port, host, dir, dir, dir, dir, dir);
	if (s->broker_pid_file[0] != '\0')
		(void)printf("\n# By this Muster finds the broker when it must reload.\npid_file %s\n", s->broker_pid_file);
	else
		(void)printf("\n# broker.pid_file in muster.conf is empty: nobody tells this broker to reload. Set it to a path\n"
			     "# that the broker may write, and print this again.\n");
}

int
cmd_broker_config(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct settings settings;
	struct err err = {0};
	char host[64], *dir;
	uint16_t port;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (settings_load(cli->dir, &settings, &err) != 0 ||
	    settings_split_listen(settings.broker_listen, host, &port, &err) != 0)
		return cli_fail(cli, &err);
	/* The broker starts elsewhere: its paths must not depend on where this was typed. */
	if ((dir = realpath(cli->dir, NULL)) == NULL) {
		(void)err_sys(&err, "cannot find %s", cli->dir);
		return cli_fail(cli, &err);
	}
	print_config(dir, host, port, &settings);
	free(dir);
	return CLI_OK;
}
