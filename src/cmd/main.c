/* The command line: global options wherever they stand, then the longest match in one table. */
#include "cmd/commands.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <argp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR_DEFAULT "/var/lib/muster"
#define WORDS_MAX 3
#define TOKEN_FILE_MAX 4096

struct command {
	const char *words;
	command_fn *run;
	const char *summary; /* NULL: not for people */
};

static const struct command commands[] = {
    {"init", cmd_init, "make a home: CAs, certificates, database, configuration, first operator"},
    {"serve", cmd_serve, "run the service in the foreground"},
    {"device register", cmd_device_register, "register a device and make its credentials"},
    {"device list", cmd_device_list, "list devices, by filters and pages"},
    {"device show", cmd_device_show, "show one device"},
    {"device update", cmd_device_update, "change name, type, location, labels or policy"},
    {"device suspend", cmd_device_suspend, "take a device's rights for the time being"},
    {"device resume", cmd_device_resume, "give them back"},
    {"device revoke", cmd_device_revoke, "take them for good"},
    {"device package", cmd_device_package, "make a new key, certificate and package"},
    {"device certificates", cmd_device_certificates, "list every certificate it ever had"},
    {"package fetch", cmd_package_fetch, "fetch a package by its one-time link"},
    {"service add", cmd_service_add, "add a back end, bridge or dashboard that talks MQTT"},
    {"service list", cmd_service_list, "list services"},
    {"service show", cmd_service_show, "show one service"},
    {"service revoke", cmd_service_revoke, "take a service's rights for good"},
    {"service package", cmd_service_package, "make a new key, certificate and package"},
    {"policy set", cmd_policy_set, "set the topics that a policy's devices may write and read"},
    {"policy show", cmd_policy_show, "show one policy"},
    {"policy list", cmd_policy_list, "list policies"},
    {"policy remove", cmd_policy_remove, "remove a policy that no device uses"},
    {"profile list", cmd_profile_list, "list how certificates can be made"},
    {"profile show", cmd_profile_show, "show one profile"},
    {"ca show", cmd_ca_show, "show the CAs and the revocation list's state"},
    {"ca crl", cmd_ca_crl, "get the revocation list"},
    {"ca root export", cmd_ca_root_export, "copy the root CA's key, to take it offline"},
    {"ca root remove", cmd_ca_root_remove, "remove the root CA's key from this machine"},
    {"audit list", cmd_audit_list, "list what happened"},
    {"audit verify", cmd_audit_verify, "check the whole audit trail for changes"},
    {"broker config", cmd_broker_config, "print a complete configuration for the MQTT broker"},
    {"api-process", cmd_api_process, NULL},
    {"signer-process", cmd_signer_process, NULL},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

int
cli_fail(const struct cli *cli, const struct err *err)
{
	struct buf line = {0};

	(void)cli;
	buf_text(&line, "muster: ");
	if (err->field[0] != '\0') {
		text_escape(&line, err->field, strlen(err->field));
		buf_text(&line, ": ");
	}
	text_escape(&line, err->text, strlen(err->text));
	(void)fprintf(stderr, "%s\n", buf_str(&line));
	buf_clear(&line);
	return CLI_FAILED;
}

static void
print_overview(FILE *out, const char *group)
{
	size_t i, len = group == NULL ? 0 : strlen(group);

	(void)fprintf(out, "Usage: muster [--dir DIR] [--json] %s%sCOMMAND [OPTION...]\n\n%s\n",
	    group == NULL ? "" : group, group == NULL ? "" : " ",
	    "Onboards devices: registry, CA, credentials, broker authorization, revocation.\n\nCommands:");
	for (i = 0; i < N_COMMANDS; i++)
		if (commands[i].summary != NULL &&
		    (group == NULL || (strncmp(commands[i].words, group, len) == 0 && commands[i].words[len] == ' ')))
			(void)fprintf(out, "  %-20s %s\n", commands[i].words, commands[i].summary);
	(void)fprintf(out,
	    "\nGlobal options, anywhere on the line:\n"
	    "  --dir DIR            the home (default %s; MUSTER_DIR)\n"
	    "  --url URL            call another machine's API instead of DIR/muster.sock (MUSTER_URL)\n"
	    "  --token TOKEN        an operator's token for that (MUSTER_TOKEN)\n"
	    "  --token-file FILE    the same, from a file\n"
	    "  --ca FILE            trust this root for it (default DIR/ca/root.crt; MUSTER_CA)\n"
	    "  --json               print the API's answer as it is\n"
	    "  --version            print the version\n\n"
	    "`muster COMMAND --help` explains a command. On the server's own host, root and the home's owner need no "
	    "token.\n\nExit status: 0 done, 1 refused or failed, 2 usage.\n",
	    DIR_DEFAULT);
}

/* ---- global options ---------------------------------------------------------------------------------------------- */

static char *
token_from_file(const char *path)
{
	struct buf text;
	struct err err = {0};
	char *token = NULL;

	buf_init_secret(&text);
	if (fs_read(path, TOKEN_FILE_MAX, &text, &err) != 0) {
		(void)cli_fail(NULL, &err);
		exit(CLI_FAILED);
	}
	text.data[strcspn(buf_str(&text), " \r\n")] = '\0';
	token = strdup(buf_str(&text));
	buf_clear(&text);
	if (token == NULL)
		exit(CLI_FAILED);
	return token;
}

/* If argv[*I] is the option NAME, its value (and *I moved onto it); else NULL. */
static char *
option_value(int argc, char **argv, int *i, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(argv[*i], name, len) != 0)
		return NULL;
	if (argv[*i][len] == '=')
		return argv[*i] + len + 1;
	if (argv[*i][len] != '\0')
		return NULL;
	if (*i + 1 >= argc) {
		(void)fprintf(stderr, "muster: %s needs a value\n", name);
		exit(CLI_USAGE);
	}
	return argv[++*i];
}

/* Take the global options out of argv. Returns the new argc. */
static int
take_globals(struct cli *cli, int argc, char **argv)
{
	int i, n = 1;
	char *value;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (i < argc)
				argv[n++] = argv[i++];
			break;
		}
		if (strcmp(argv[i], "--json") == 0)
			cli->json = true;
		else if ((value = option_value(argc, argv, &i, "--dir")) != NULL)
			cli->dir = value;
		else if ((value = option_value(argc, argv, &i, "--url")) != NULL)
			cli->url = value;
		else if ((value = option_value(argc, argv, &i, "--token-file")) != NULL)
			cli->token = token_from_file(value);
		else if ((value = option_value(argc, argv, &i, "--token")) != NULL)
			cli->token = value;
		else if ((value = option_value(argc, argv, &i, "--ca")) != NULL)
			cli->ca = value;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

/* ---- finding the command ----------------------------------------------------------------------------------------- */

/* Edits that turn A into B (Levenshtein), both short. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[40], i, j, diagonal, above;
	size_t la = strlen(a), lb = strlen(b);

	if (la >= 40 || lb >= 40)
		return 40;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= lb; j++) {
			above = row[j];
			row[j] = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = above;
		}
	}
	return row[lb];
}

/* "device list" from the first N words of argv. */
static void
join(char *out, size_t size, int n, char **argv)
{
	size_t len = 0;
	int i;

	out[0] = '\0';
	for (i = 1; i <= n && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i > 1 ? " " : "", argv[i]);
}

static const struct command *
find(int argc, char **argv, int *n_words)
{
	char words[128];
	size_t i;
	int n;

	for (n = argc - 1 < WORDS_MAX ? argc - 1 : WORDS_MAX; n > 0; n--) {
		join(words, sizeof words, n, argv);
		for (i = 0; i < N_COMMANDS; i++) {
			if (strcmp(commands[i].words, words) == 0) {
				*n_words = n;
				return &commands[i];
			}
		}
	}
	return NULL;
}

static bool
is_group(const char *word)
{
	size_t i, len = strlen(word);

	for (i = 0; i < N_COMMANDS; i++)
		if (strncmp(commands[i].words, word, len) == 0 && commands[i].words[len] == ' ')
			return true;
	return false;
}

static int
unknown(int argc, char **argv)
{
	const char *nearest = NULL;
	unsigned best = 4, d;
	char words[128];
	size_t i;

	if (argc > 1 && is_group(argv[1]) && (argc == 2 || argv[2][0] == '-')) {
		print_overview(stderr, argv[1]);
		return CLI_USAGE;
	}
	join(words, sizeof words, argc - 1 < 2 ? argc - 1 : 2, argv);
	for (i = 0; i < N_COMMANDS; i++) {
		if (commands[i].summary != NULL && (d = distance(words, commands[i].words)) < best) {
			best = d;
			nearest = commands[i].words;
		}
	}
	if (argc == 1)
		print_overview(stderr, NULL);
	else if (nearest != NULL)
		(void)fprintf(stderr, "muster: no such command; did you mean `muster %s`?\n", nearest);
	else
		(void)fprintf(stderr, "muster: no such command; `muster --help` lists them\n");
	return CLI_USAGE;
}

static bool
wants_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int
main(int argc, char **argv)
{
	struct cli cli = {.dir = getenv("MUSTER_DIR"), .url = getenv("MUSTER_URL"),
	    .token = getenv("MUSTER_TOKEN"), .ca = getenv("MUSTER_CA")};
	const struct command *command;
	char name[160];
	int n_words = 0;

	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* column widths; nothing else is ever localized */
	argp_err_exit_status = CLI_USAGE;
	if (cli.dir == NULL || cli.dir[0] == '\0')
		cli.dir = DIR_DEFAULT;
	argc = take_globals(&cli, argc, argv);
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		(void)printf("muster %s\n", MUSTER_VERSION);
		return CLI_OK;
	}
	if (argc > 1 && wants_help(argv[1])) {
		print_overview(stdout, NULL);
		return CLI_OK;
	}
	if (argc > 2 && is_group(argv[1]) && wants_help(argv[2])) {
		print_overview(stdout, argv[1]);
		return CLI_OK;
	}
	if ((command = find(argc, argv, &n_words)) == NULL)
		return unknown(argc, argv);
	(void)snprintf(name, sizeof name, "muster %s", command->words);
	argv[n_words] = name;
	return command->run(&cli, argc - n_words, argv + n_words);
}
