/* `muster init`: the command around home_create. */
#include "cmd/commands.h"
#include "cmd/home.h"
#include "cmd/issuingca.h"

#include "base/secret.h"
#include "base/text.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (256 * 1024)

struct init_arguments {
	struct home_options options;
	char *hosts; /* cut at its commas */
};

static const struct argp_option init_options[] = {
    {"host", 'H', "NAME[,IP...]", 0,
	"Names and addresses under which devices and operators reach this machine; the first goes into URLs "
	"(default: this machine's name, localhost, 127.0.0.1)",
	0},
    {"org", 'O', "NAME", 0, "Organization (O) in the CAs' and the built-in profiles' subjects", 0},
    {"country", 'C', "CC", 0, "Country (C), two capital letters", 0},
    {"key", 'k', "KIND", 0, "Key of the CAs: ec-p256 (default), ec-p384 or rsa-3072", 0},
    {0}};

static error_t
init_parse(int key, char *arg, struct argp_state *state)
{
	struct init_arguments *a = state->input;
	enum key_kind kind;

	switch (key) {
	case 'H':
		a->hosts = arg;
		return 0;
	case 'O':
		if (arg[0] == '\0' || strlen(arg) > 64 || !text_is_printable(arg, strlen(arg)))
			argp_error(state, "--org must be 1 to 64 printable bytes");
		a->options.org = arg;
		return 0;
	case 'C':
		if (strlen(arg) != 2 || arg[0] < 'A' || arg[0] > 'Z' || arg[1] < 'A' || arg[1] > 'Z')
			argp_error(state, "--country must be two capital letters, such as DE");
		a->options.country = arg;
		return 0;
	case 'k':
		if (!issuingca_kind_parse(arg, &kind))
			argp_error(state, "--key must be " ISSUINGCA_KINDS);
		a->options.key = kind;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp init_argp = {init_options, init_parse, "",
    "Make a home: root CA, issuing CA, server and broker certificates, database, commented configuration and the "
    "first operator's token.\v"
    "The home is the folder named by --dir (default /var/lib/muster); one that exists is refused. The private keys "
    "are 0600 under a folder of 0700. The root's key is needed only for a new issuing CA: take it offline with "
    "`muster ca root export` and `muster ca root remove`.\n\n"
    "Example:\n\n"
    "  muster --dir ./home init --host muster.example.org,192.0.2.7 --org Example --country DE\n\n"
    "Exit status: 0 done, 1 refused or failed (nothing is left behind), 2 usage.",
    NULL, NULL, NULL};

static void
split_hosts(struct init_arguments *a, char *own_name, size_t size)
{
	struct home_options *o = &a->options;
	char *host, *rest = a->hosts;

	if (a->hosts == NULL) {
		if (gethostname(own_name, size - 1) == 0 && own_name[0] != '\0' &&
		    strcmp(own_name, "localhost") != 0)
			o->hosts[o->n_hosts++] = own_name;
		o->hosts[o->n_hosts++] = "localhost";
		o->hosts[o->n_hosts++] = "127.0.0.1";
		return;
	}
	while ((host = strsep(&rest, ",")) != NULL && o->n_hosts < SERVERPAIR_HOSTS_MAX)
		if (host[0] != '\0')
			o->hosts[o->n_hosts++] = host;
}

static void
print_made(const struct cli *cli, const struct home_made *made)
{
	json_t *object;

	if (cli->json) {
		object = json_pack("{s:s, s:s, s:s, s:s}", "dir", cli->dir, "url", made->url,
		    "root_fingerprint", made->root_fingerprint, "token", made->token);
		(void)json_dumpf(object, stdout, JSON_INDENT(2));
		(void)putchar('\n');
		json_decref(object);
		return;
	}
	(void)printf("Made a Muster home in %s\n\n"
		     "  ca/root.crt      root CA, what devices and browsers trust\n"
		     "                   SHA-256 %s\n"
		     "  ca/issuing.crt   issuing CA, signs devices' certificates\n"
		     "  tls/             certificate of the HTTPS API, %s\n"
		     "  broker/          the MQTT broker's certificate, and what it must trust\n"
		     "  muster.conf      configuration, with every key explained\n\n"
		     "The first operator is `admin`. Its token is shown this once:\n\n"
		     "  %s\n\n"
		     "Next:\n\n"
		     "  muster --dir %s serve\n"
		     "  muster --dir %s broker config mosquitto > mosquitto.conf\n"
		     "  muster --dir %s device register --name pump-1 --type pump\n\n"
		     "Take the root's key offline when all works: muster --dir %s ca root export FILE\n",
	    cli->dir, made->root_fingerprint, made->url, made->token, cli->dir, cli->dir, cli->dir,
	    cli->dir);
}

int
cmd_init(struct cli *cli, int argc, char **argv)
{
	struct init_arguments arguments = {.options = {.dir = cli->dir, .key = KEY_EC_P256}};
	struct home_made made = {0};
	char own_name[256] = "";
	struct err err = {0};

	if (argp_parse(&init_argp, argc, argv, 0, NULL, &arguments) != 0)
		return CLI_USAGE;
	split_hosts(&arguments, own_name, sizeof own_name);
	if (arguments.options.n_hosts == 0) {
		(void)err_set(&err, E_INPUT, "--host names nobody");
		return cli_fail(cli, &err);
	}
	if (secret_heap_open(SECRET_HEAP_BYTES, &err) != 0 ||
	    home_create(&arguments.options, &made, &err) != 0)
		return cli_fail(cli, &err);
	print_made(cli, &made);
	explicit_bzero(&made, sizeof made);
	return CLI_OK;
}
