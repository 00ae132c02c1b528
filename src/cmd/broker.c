/* `muster broker config`: what the broker needs to be told, complete, from the home's own settings.
 */
#include "cmd/commands.h"

#include "base/text.h"
#include "core/settings.h"

#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_FILE "mosquitto_muster.so"
#define STATE_DIR "/var/lib/mosquitto" /* Debian's, its user's own */

enum { OPT_MODE = 0x100, OPT_STATE, OPT_PLUGIN };

struct arguments {
	const char *broker;
	const char *mode;
	const char *state;
	const char *plugin;
};

static const struct argp_option options[] = {
    {"mode", OPT_MODE, "MODE", 0,
	"plugin: mosquitto_muster.so decides in the broker, from memory, and follows the API. "
	"acl-file: Muster writes an "
	"ACL file and a revocation list, and signals the broker. Default: broker.mode of "
	"muster.conf",
	0},
    {"state", OPT_STATE, "DIR", 0,
	"With --mode plugin: a folder that the broker's user may write, for the plugin's table and "
	"for sessions. Default: " STATE_DIR,
	0},
    {"plugin", OPT_PLUGIN, "FILE", 0,
	"With --mode plugin: where " PLUGIN_FILE " is, if not where it was installed", 0},
    {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_MODE:
		if (strcmp(arg, "acl-file") != 0 && strcmp(arg, "plugin") != 0)
			argp_error(state, "--mode must be plugin or acl-file");
		a->mode = arg;
		return 0;
	case OPT_STATE:
		a->state = arg;
		return 0;
	case OPT_PLUGIN:
		a->plugin = arg;
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
    "\vEvery client needs a certificate of this CA; its id is its user name and client id. In "
    "acl-file mode the ACL "
    "file gives it its topics, and the revocation list refuses the revoked; in plugin mode the "
    "plugin does both. It is "
    "made from broker.listen, broker.pid_file and broker.group in muster.conf, in plugin mode also "
    "from api.public_url: "
    "set these first, and broker.mode to the mode that is printed. It replaces a mosquitto.conf as "
    "a whole; beside "
    "another one, in conf.d, Mosquitto refuses the settings that both have.\n\n"
    "Example:\n\n"
    "  muster broker config mosquitto --mode plugin > "
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
    "# Without this each connection costs another 40 ms.\n"
    "set_tcp_nodelay true\n\n"
    "# Messages of QoS 1 and 2 under way to one client, and those that wait for one that is away; "
    "more are dropped.\n"
    "max_inflight_messages 20\n"
    "max_queued_messages 1000\n\n"
    "log_dest stderr\n";

static const char with_acl_file[] =
    "\n# The revoked, which Muster keeps current. An expired list refuses everybody: Muster renews "
    "it in time.\n"
    "crlfile %s/broker/crl.pem\n\n"
    "# The certificate's common name is the user name and, whatever the client says, the client "
    "id: nobody\n"
    "# takes over another's session.\n"
    "use_identity_as_username true\n"
    "use_username_as_clientid true\n\n"
    "# What each may write and read; everything else is denied.\n"
    "acl_file %s/broker/acl\n\n"
    "# Retained messages and sessions live as long as the broker. To keep them over a restart, set "
    "this to true and\n"
    "# add `persistence_location FOLDER/`, a folder of this broker alone that it may write.\n"
    "persistence false\n";

static const char with_plugin[] =
    "\n# Decides who connects and what each may write and read, from a table in memory; cuts off "
    "who is revoked. The\n"
    "# certificate's common name becomes the user name, and must be the client id: nobody takes "
    "over another's session.\n"
    "plugin %s\n"
    "# The service that it follows, as this broker, and what it must trust.\n"
    "plugin_opt_url %s\n"
    "plugin_opt_cafile %s/broker/ca.pem\n"
    "plugin_opt_certfile %s/broker/broker.crt\n"
    "plugin_opt_keyfile %s/broker/broker.key\n"
    "# From this it starts while the service is away. Where the service was not heard for so long, "
    "new connections are\n"
    "# refused.\n"
    "plugin_opt_snapshot %s/muster.table\n"
    "plugin_opt_max_stale 24h\n\n"
    "# Sessions and retained messages outlive the broker. A client that does not come back is "
    "forgotten.\n"
    "persistence true\n"
    "persistence_location %s/\n"
    "autosave_interval 60\n"
    "persistent_client_expiration 14d\n";

static const char other_mode[] =
    "\n# In muster.conf broker.mode is %s: set it to %s, and restart Muster.\n";

static const char no_pid_file[] = "\n# broker.pid_file in muster.conf is empty, so nobody tells "
				  "this broker to reload: revocations and new devices\n"
				  "# reach it only when it gets a SIGHUP by other means. Set it to "
				  "a path that the broker may write, such as\n"
				  "# /run/mosquitto/mosquitto.pid, and print this again.\n";

static const char no_group[] = "\n# Started by root, Mosquitto becomes the user mosquitto, who "
			       "must be able to read these files: set broker.group\n"
			       "# in muster.conf to that user's group.\n";

/* Where the plugin is: beside this program in a build's folder, else where it is installed. */
static int
plugin_find(const char *named, char *out, struct err *err)
{
	char exe[PATH_MAX], *slash;
	ssize_t n;

	if (named != NULL)
		return text_copy(out, PATH_MAX, named)
			   ? 0
			   : err_set(err, E_INPUT, "too long a name for --plugin");
	(void)text_copy(out, PATH_MAX, MUSTER_PLUGIN_DIR "/" PLUGIN_FILE);
	if ((n = readlink("/proc/self/exe", exe, sizeof exe - sizeof "/../plugin/" PLUGIN_FILE)) <=
	    0)
		return 0;
	exe[n] = '\0';
	if ((slash = strrchr(exe, '/')) == NULL)
		return 0;
	(void)snprintf(slash, sizeof exe - (size_t)(slash - exe), "/../plugin/" PLUGIN_FILE);
	if (access(exe, R_OK) == 0 && realpath(exe, out) == NULL)
		return err_sys(err, "cannot find %s", exe);
	return 0;
}

static int
print_plugin(const char *dir, const struct arguments *a, const struct settings *s, struct err *err)
{
	const char *state = a->state != NULL ? a->state : STATE_DIR;
	char plugin[PATH_MAX];
	int rc;

	if ((rc = plugin_find(a->plugin, plugin, err)) != 0)
		return rc;
	if (plugin[0] != '/' || state[0] != '/')
		return err_set(err, E_INPUT,
		    "--plugin and --state are whole paths, for the broker starts elsewhere");
	if (!text_is_printable(plugin, strlen(plugin)) || !text_is_printable(state, strlen(state)))
		return err_set(err, E_INPUT, "--plugin or --state would break a line of the file");
	(void)printf(with_plugin, plugin, s->api_public_url, dir, dir, dir, state, state);
	return 0;
}

static int
print_config(const char *dir, const char *host, unsigned port, const struct arguments *a,
    const struct settings *s, struct err *err)
{
	const char *mode = a->mode != NULL ? a->mode : s->broker_mode;
	bool is_plugin = strcmp(mode, "plugin") == 0;
	int rc = 0;

	(void)printf(listener, dir, port, host, dir, dir, dir);
	if (is_plugin)
		rc = print_plugin(dir, a, s, err);
	else
		(void)printf(with_acl_file, dir, dir);
	if (rc != 0)
		return rc;
	if (strcmp(mode, s->broker_mode) != 0)
		(void)printf(other_mode, s->broker_mode, mode);
	if (s->broker_pid_file[0] != '\0')
		(void)printf("\n%spid_file %s\n",
		    is_plugin ? "" : "# By this Muster finds the broker when it must reload.\n",
		    s->broker_pid_file);
	else if (!is_plugin)
		(void)fputs(no_pid_file, stdout);
	if (s->broker_group[0] == '\0')
		(void)fputs(no_group, stdout);
	return 0;
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
		rc = print_config(dir, host, port, &a, &settings, &err);
	free(dir);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
