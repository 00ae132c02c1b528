/* `muster broker config`: what a broker needs to be told, complete, from the home's own settings. It is made as a whole
 * before any of it is printed. */
#include "cmd/bridge.h"
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

enum { OPT_MODE = 0x100, OPT_STATE, OPT_PLUGIN, OPT_LISTEN, OPT_FILES, OPT_BRIDGE_TO, OPT_BRIDGE_AS, OPT_BRIDGE_FILES };

struct arguments {
	const char *broker;
	const char *mode;
	const char *state, *plugin, *listen, *files;
	struct bridge_options bridge;
};

static const struct argp_option options[] = {
    {"mode", OPT_MODE, "MODE", 0,
	"plugin: mosquitto_muster.so decides in the broker, from memory, and follows the API. acl-file: Muster writes an "
	"ACL file and a revocation list, and signals the broker. Default: broker.mode of muster.conf, which is plugin in a "
	"new home", 0},
    {"state", OPT_STATE, "DIR", 0,
	"A folder that the broker's user may write, for the plugin's table and for sessions. Default: " STATE_DIR
	"; in acl-file mode none, and sessions end with the broker", 0},
    {"plugin", OPT_PLUGIN, "FILE", 0, "Where " PLUGIN_FILE " is, if not where it was installed", 0},
    {"listen", OPT_LISTEN, "ADDRESS:PORT", 0, "Where the broker listens. Default: broker.listen of muster.conf", 0},
    {"files", OPT_FILES, "DIR", 0,
	"For a broker that `muster broker add` made: where its opened package is on its machine (device.crt, device.key, "
	"ca.crt). Default: the home's broker/", 0},
    {NULL, 0, NULL, 0, "A bridge to another broker of this service:", 5},
    {"bridge-to", OPT_BRIDGE_TO, "HOST[:PORT]", 0, "The other broker, by a name that its certificate has (port 8883)", 5},
    {"bridge-as", OPT_BRIDGE_AS, "SERVICE", 0,
	"The service that the bridge is there: what it may write goes there, what it may read comes from there", 5},
    {"bridge-files", OPT_BRIDGE_FILES, "DIR", 0, "Where that service's opened package is on this broker's machine", 5},
    {0}};

/* Half a bridge is none, and the ACL file is of the home's own broker. */
static void
check(const struct arguments *a, struct argp_state *state)
{
	const struct bridge_options *b = &a->bridge;

	if (a->broker == NULL)
		argp_error(state, "which broker? say `muster broker config mosquitto`");
	if ((b->to != NULL || b->as != NULL || b->files != NULL) && (b->to == NULL || b->as == NULL || b->files == NULL))
		argp_error(state, "a bridge needs --bridge-to, --bridge-as and --bridge-files");
}

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
	case OPT_LISTEN:
		a->listen = arg;
		return 0;
	case OPT_FILES:
		a->files = arg;
		return 0;
	case OPT_BRIDGE_TO:
		a->bridge.to = arg;
		return 0;
	case OPT_BRIDGE_AS:
		a->bridge.as = arg;
		return 0;
	case OPT_BRIDGE_FILES:
		a->bridge.files = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->broker != NULL || strcmp(arg, "mosquitto") != 0)
			argp_error(state, "the broker must be mosquitto, not %s", arg);
		a->broker = arg;
		return 0;
	case ARGP_KEY_END:
		check(a, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "mosquitto",
    "Print a complete mosquitto.conf on standard output."
    "\vEvery client needs a certificate of this CA; its id is its user name and client id. In plugin mode the plugin "
    "decides who connects, and what each may write and read; in acl-file mode the ACL file gives each its topics, and "
    "the revocation list refuses the revoked. It is made from broker.listen, broker.pid_file and broker.group in "
    "muster.conf, in plugin mode also from api.public_url, which the plugin follows: set these first. It replaces a "
    "mosquitto.conf as a whole; beside another one, in conf.d, Mosquitto refuses the settings that both have.\n\n"
    "  muster broker config mosquitto > /etc/mosquitto/mosquitto.conf\n\n"
    "Another broker on another machine, whose profile `both` has server_auth = on, and whose opened package is there in "
    "/etc/mosquitto/muster:\n\n"
    "  muster broker add hall-2 --profile both --san DNS:hall-2.example.org\n"
    "  muster broker config mosquitto --listen 0.0.0.0:8883 \\\n"
    "    --files /etc/mosquitto/muster\n\n"
    "A bridge from this broker to hall-2: telemetry of the devices here goes there, commands for them come from there. "
    "On its own broker a bridge is no client, and nobody decides about it there; on the other one it is the service, and "
    "is cut off when that is revoked. One side of the two has the bridge:\n\n"
    "  muster service add to-hall-2 --write 'devices/+/telemetry' \\\n"
    "    --read 'devices/+/commands/#'\n"
    "  muster broker config mosquitto --bridge-to hall-2.example.org \\\n"
    "    --bridge-as to-hall-2 --bridge-files /etc/mosquitto/to-hall-2\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static const char listener[] =
    "# Mosquitto 2.0 for the Muster home %s,\n"
    "# written by `muster broker config mosquitto`. Use it as it is, as the whole configuration.\n\n"
    "# One set of rules for every listener: there is no second door.\n"
    "per_listener_settings false\n"
    "listener %u %s\n\n"
    "# Nobody without a certificate of this CA, over TLS 1.2 or newer.\n"
    "cafile %s\n"
    "certfile %s\n"
    "keyfile %s\n"
    "tls_version tlsv1.2\n"
    "require_certificate true\n"
    "allow_anonymous false\n\n"
    "# How many clients there can be is up to the file descriptors that it may open: one each, and some besides. Under\n"
    "# systemd: `systemctl edit mosquitto`, [Service], LimitNOFILE=100000.\n"
    "max_connections -1\n"
    "# Without this each connection costs another 40 ms.\n"
    "set_tcp_nodelay true\n"
    "# No limit is the default, and one message may have 256 MB.\n"
    "max_packet_size 1048576\n\n"
    "# Messages of QoS 1 and 2 under way to one client, and those that wait for one that is away, in number and in bytes;\n"
    "# more are dropped.\n"
    "max_inflight_messages 20\n"
    "max_queued_messages 1000\n"
    "max_queued_bytes 4194304\n\n"
    "# Times that people can read.\n"
    "log_dest stderr\n"
    "log_timestamp_format %%Y-%%m-%%dT%%H:%%M:%%S\n";

static const char with_acl_file[] =
    "\n# The revoked, which Muster keeps current. An expired list refuses everybody: Muster renews it in time.\n"
    "crlfile %s/broker/crl.pem\n\n"
    "# The certificate's common name is the user name and, whatever the client says, the client id: nobody\n"
    "# takes over another's session.\n"
    "use_identity_as_username true\n"
    "use_username_as_clientid true\n\n"
    "# What each may write and read; everything else is denied.\n"
    "acl_file %s/broker/acl\n";

static const char with_plugin[] =
    "\n# Decides who connects and what each may write and read, from a table in memory; cuts off who is revoked. The\n"
    "# certificate's common name becomes the user name, and must be the client id: nobody takes over another's session.\n"
    "plugin %s\n"
    "# The service that it follows, as this broker, and what it must trust.\n"
    "plugin_opt_url %s\n"
    "plugin_opt_cafile %s\n"
    "plugin_opt_certfile %s\n"
    "plugin_opt_keyfile %s\n"
    "# From this it starts while the service is away. Where the service was not heard for so long, new connections are\n"
    "# refused.\n"
    "plugin_opt_snapshot %s/muster.table\n"
    "plugin_opt_max_stale 24h\n";

static const char with_state[] =
    "\n# Sessions and retained messages outlive the broker, which writes them down every minute and when it ends. A client\n"
    "# that does not come back is forgotten.\n"
    "persistence true\n"
    "persistence_location %s/\n"
    "autosave_interval 60\n"
    "persistent_client_expiration 14d\n";

static const char without_state[] =
    "\n# Retained messages and sessions live as long as the broker. To keep them over a restart, print this with --state\n"
    "# FOLDER, a folder of this broker alone that it may write.\n"
    "persistence false\n";

static const char other_mode[] =
    "\n# In muster.conf broker.mode is %s: set it to %s, and restart Muster.\n";

static const char no_pid_file[] =
    "\n# broker.pid_file in muster.conf is empty, so nobody tells this broker to reload: revocations and new devices\n"
    "# reach it only when it gets a SIGHUP by other means. Set it to a path that the broker may write, such as\n"
    "# /run/mosquitto/mosquitto.pid, and print this again.\n";

static const char no_group[] =
    "\n# Started by root, Mosquitto becomes the user mosquitto, who must be able to read these files: set broker.group\n"
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

/* Whose configuration this is: the home's own broker's, or that of one which was added. */
struct identity {
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
};

/* A path that others will write into a line of the file. */
static int
path_check(const char *option, const char *path, struct err *err)
{
	if (path == NULL)
		return 0;
	if (path[0] != '/')
		return err_set(err, E_INPUT, "%s must be a whole path, for the broker starts elsewhere", option);
	if (!text_is_printable(path, strlen(path)) || strlen(path) > PATH_MAX / 2)
		return err_set(err, E_INPUT, "%s would break a line of the file", option);
	return 0;
}

static void
identity_make(const char *dir, const struct arguments *a, struct identity *out)
{
	const char *place = a->files != NULL ? a->files : dir;
	bool own = a->files == NULL;

	(void)snprintf(out->ca, sizeof out->ca, "%s/%s", place, own ? "broker/ca.pem" : "ca.crt");
	(void)snprintf(out->cert, sizeof out->cert, "%s/%s", place, own ? "broker/broker.crt" : "device.crt");
	(void)snprintf(out->key, sizeof out->key, "%s/%s", place, own ? "broker/broker.key" : "device.key");
}

static int
plugin_print(const struct arguments *a, const struct identity *id, const struct settings *s, struct buf *out, struct err *err)
{
	const char *state = a->state != NULL ? a->state : STATE_DIR;
	char plugin[PATH_MAX];
	int rc;

	if ((rc = plugin_find(a->plugin, plugin, err)) != 0 || (rc = path_check("--plugin", plugin, err)) != 0)
		return rc;
	buf_printf(out, with_plugin, plugin, s->api_public_url, id->ca, id->cert, id->key, state);
	buf_printf(out, with_state, state);
	return 0;
}

static void
acl_file_print(const char *dir, const struct arguments *a, struct buf *out)
{
	buf_printf(out, with_acl_file, dir, dir);
	if (a->state != NULL)
		buf_printf(out, with_state, a->state);
	else
		buf_text(out, without_state);
}

static int
options_check(const struct arguments *a, bool is_plugin, struct err *err)
{
	int rc;

	if ((rc = path_check("--plugin", a->plugin, err)) != 0 || (rc = path_check("--state", a->state, err)) != 0 ||
	    (rc = path_check("--files", a->files, err)) != 0 ||
	    (rc = path_check("--bridge-files", a->bridge.files, err)) != 0)
		return rc;
	if (!is_plugin && (a->files != NULL || a->bridge.to != NULL))
		return err_set(err, E_INPUT,
		    "in acl-file mode there is the home's own broker alone: --files and --bridge-to need --mode plugin");
	return 0;
}

static int
config_make(struct cli *cli, const char *dir, const struct arguments *a, const struct settings *s, struct buf *out,
    struct err *err)
{
	const char *mode = a->mode != NULL ? a->mode : s->broker_mode;
	bool is_plugin = strcmp(mode, "plugin") == 0, own = a->files == NULL;
	struct identity id;
	char host[64];
	uint16_t port;
	int rc;

	if ((rc = options_check(a, is_plugin, err)) != 0 ||
	    (rc = settings_split_listen(a->listen != NULL ? a->listen : s->broker_listen, host, &port, err)) != 0)
		return rc;
	if (port == 0)
		return err_field(err, E_INPUT, a->listen != NULL ? "--listen" : "broker.listen",
		    "must name the port: devices are told it");
	if (!text_is_printable(host, strlen(host)) || strchr(host, ' ') != NULL)
		return err_field(err, E_INPUT, "--listen", "would break a line of the file");
	identity_make(dir, a, &id);
	buf_printf(out, listener, dir, port, host, id.ca, id.cert, id.key);
	if (!is_plugin)
		acl_file_print(dir, a, out);
	else if ((rc = plugin_print(a, &id, s, out, err)) != 0)
		return rc;
	if (a->bridge.to != NULL && (rc = bridge_print(cli, &a->bridge, out, err)) != 0)
		return rc;
	if (strcmp(mode, s->broker_mode) != 0)
		buf_printf(out, other_mode, s->broker_mode, mode);
	if (own && s->broker_pid_file[0] != '\0')
		buf_printf(out, "\n# By this Muster finds the broker%s.\npid_file %s\n",
		    is_plugin ? ", in `muster doctor`" : " when it must reload", s->broker_pid_file);
	else if (!is_plugin)
		buf_text(out, no_pid_file);
	if (own && s->broker_group[0] == '\0')
		buf_text(out, no_group);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
cmd_broker_config(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct settings settings;
	struct buf out = {0};
	struct err err = {0};
	char *dir = NULL;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((rc = settings_load(cli->dir, &settings, &err)) != 0)
		return cli_fail(cli, &err);
	/* The broker starts elsewhere: its paths must not depend on where this was typed. */
	if ((dir = realpath(cli->dir, NULL)) == NULL)
		rc = err_sys(&err, "cannot find %s", cli->dir);
	else if (!text_is_printable(dir, strlen(dir)))
		rc = err_set(&err, E_INPUT, "the home's path would break a line of the file: %s", dir);
	else if ((rc = config_make(cli, dir, &a, &settings, &out, &err)) == 0)
		(void)fwrite(out.data, 1, out.len, stdout);
	buf_clear(&out);
	free(dir);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
