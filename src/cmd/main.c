/* The command line: global options wherever they stand, then the longest match in one table. */
#include "cmd/commands.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"

#include <argp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 3
#define NEAR_EDITS 3 /* as many slips of the keyboard still name a command */
#define TOKEN_FILE_MAX 4096

struct command {
	const char *words;
	command_fn *run;
	const char *group;   /* its heading in the overview */
	const char *summary; /* NULL: not for people */
};

/* clang-format off */
#define SERVER "Server"
#define DEVICES "Devices"
#define SERVICES "Services (back ends, bridges, dashboards)"
#define RULES "What devices may do, and how certificates are made"
#define TRUST "CA, operators, tenants, audit, broker"

static const struct command commands[] = {
    {"init", cmd_init, SERVER, "make a home: CAs, certificates, database, configuration"},
    {"serve", cmd_serve, SERVER, "run the service in the foreground"},
    {"doctor", cmd_doctor, SERVER, "look for what keeps devices out, with remedies"},
    {"backup", cmd_backup, SERVER, "write the home to one encrypted file, serving or not"},
    {"restore", cmd_restore, SERVER, "make the home anew from a backup"},

    {"device register", cmd_device_register, DEVICES, "register a device and make its credentials"},
    {"device list", cmd_device_list, DEVICES, "list devices, by filters and pages"},
    {"device show", cmd_device_show, DEVICES, "show one device"},
    {"device update", cmd_device_update, DEVICES, "change name, type, location, labels or policy"},
    {"device suspend", cmd_device_suspend, DEVICES, "take a device's rights for the time being"},
    {"device resume", cmd_device_resume, DEVICES, "give a suspended device its rights back"},
    {"device revoke", cmd_device_revoke, DEVICES, "take a device's rights for good"},
    {"device rotate", cmd_device_rotate, DEVICES, "have devices make themselves new keys"},
    {"device package", cmd_device_package, DEVICES, "make a new key, certificate and package"},
    {"device certificates", cmd_device_certificates, DEVICES, "list every certificate a device ever had"},
    {"device import", cmd_device_import, DEVICES, "register the devices in a CSV file"},
    {"device export", cmd_device_export, DEVICES, "write devices as CSV or JSON lines"},
    {"job list", cmd_job_list, DEVICES, "list bulk imports"},
    {"job show", cmd_job_show, DEVICES, "show how far one is, or what became of its rows"},
    {"job cancel", cmd_job_cancel, DEVICES, "end one"},
    {"token create", cmd_token_create, DEVICES, "make a token with which devices enrol"},
    {"token list", cmd_token_list, DEVICES, "list enrolment tokens"},
    {"token revoke", cmd_token_revoke, DEVICES, "revoke an enrolment token"},
    {"trust add", cmd_trust_add, DEVICES, "let devices enrol by their manufacturer's certificate"},
    {"trust list", cmd_trust_list, DEVICES, "list the manufacturers' CAs that are trusted"},
    {"trust show", cmd_trust_show, DEVICES, "show one of them"},
    {"trust remove", cmd_trust_remove, DEVICES, "trust a manufacturer's CA no more"},
    {"trust resume", cmd_trust_resume, DEVICES, "trust one again after a restore"},
    {"trust serials", cmd_trust_serials, DEVICES, "list the serial numbers that are expected"},
    {"trust expect", cmd_trust_expect, DEVICES, "expect devices by their serial numbers"},
    {"trust unexpect", cmd_trust_unexpect, DEVICES, "expect devices no more"},
    {"trust forget", cmd_trust_forget, DEVICES, "let a device begin anew, or with another certificate"},
    {"package fetch", cmd_package_fetch, DEVICES, "fetch a package by its one-time link"},
    {"agent", cmd_agent, DEVICES, "run on a device: enrol, run, renew, status"},

    {"service add", cmd_service_add, SERVICES, "add a service and make its credentials"},
    {"service list", cmd_service_list, SERVICES, "list services"},
    {"service show", cmd_service_show, SERVICES, "show one service"},
    {"service revoke", cmd_service_revoke, SERVICES, "take a service's rights for good"},
    {"service package", cmd_service_package, SERVICES, "make a new key, certificate and package"},

    {"policy set", cmd_policy_set, RULES, "set the topics that a policy's devices may write and read"},
    {"policy show", cmd_policy_show, RULES, "show one policy"},
    {"policy list", cmd_policy_list, RULES, "list policies"},
    {"policy remove", cmd_policy_remove, RULES, "remove a policy that no device uses"},
    {"profile list", cmd_profile_list, RULES, "list how certificates can be made"},
    {"profile show", cmd_profile_show, RULES, "show one profile"},

    {"ca show", cmd_ca_show, TRUST, "show the CAs and the revocation list's state"},
    {"ca crl", cmd_ca_crl, TRUST, "get the revocation list"},
    {"ca renew", cmd_ca_renew, TRUST, "make a new certificate for the API or the broker"},
    {"ca rollover", cmd_ca_rollover, TRUST, "replace the issuing CA by a new one"},
    {"ca root rollover", cmd_ca_root_rollover, TRUST, "make another root, beside the one there is"},
    {"ca root retire", cmd_ca_root_retire, TRUST, "trust the root before today's no more"},
    {"ca root export", cmd_ca_root_export, TRUST, "copy the root CA's key, to take it offline"},
    {"ca root remove", cmd_ca_root_remove, TRUST, "remove the root CA's key from this machine"},
    {"operator add", cmd_operator_add, TRUST, "let a person or program call the API with a token"},
    {"operator list", cmd_operator_list, TRUST, "list who may call the API, and when they last did"},
    {"operator token", cmd_operator_token, TRUST, "give an operator another token"},
    {"operator package", cmd_operator_package, TRUST, "make a certificate with which an operator calls"},
    {"operator remove", cmd_operator_remove, TRUST, "end an operator's access at once"},
    {"tenant add", cmd_tenant_add, TRUST, "add an owner of devices, apart from the others"},
    {"tenant list", cmd_tenant_list, TRUST, "list tenants, and how many devices each has"},
    {"tenant show", cmd_tenant_show, TRUST, "show one tenant"},
    {"tenant update", cmd_tenant_update, TRUST, "change a tenant's quota or profiles"},
    {"tenant remove", cmd_tenant_remove, TRUST, "remove a tenant that has nothing left"},
    {"audit list", cmd_audit_list, TRUST, "list what happened"},
    {"audit export", cmd_audit_export, TRUST, "write out what happened, as JSON lines or CSV"},
    {"audit verify", cmd_audit_verify, TRUST, "check the whole audit trail for changes"},
    {"audit archive", cmd_audit_archive, TRUST, "move old rows of the audit into a file"},
    {"audit checkpoint", cmd_audit_checkpoint, TRUST, "get what the signer has signed of the audit trail"},
    {"broker add", cmd_broker_add, TRUST, "add a broker that follows this service"},
    {"broker list", cmd_broker_list, TRUST, "list brokers, and how far behind each is"},
    {"broker remove", cmd_broker_remove, TRUST, "revoke a broker's certificate"},
    {"broker config", cmd_broker_config, TRUST, "print a complete configuration for the MQTT broker"},

    {"api-process", cmd_api_process, NULL, NULL},
    {"signer-process", cmd_signer_process, NULL, NULL},
};
/* clang-format on */
#define N_COMMANDS (sizeof commands / sizeof commands[0])

int
cli_fail(const struct cli *cli, const struct err *err)
{
	size_t len = strcspn(err->text, "\n");
	struct buf line = {0};

	(void)cli;
	buf_text(&line, "muster: ");
	if (err->field[0] != '\0') {
		text_escape(&line, err->field, strlen(err->field));
		buf_text(&line, ": ");
	}
	text_escape(&line, err->text, len);
	if (err->text[len] == '\n') {
		buf_byte(&line, '\n');
		text_escape(&line, err->text + len + 1, strlen(err->text + len + 1));
	}
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s\n", buf_str(&line));
	buf_clear(&line);
	return CLI_FAILED;
}

/* Does COMMAND begin with the word GROUP? NULL is the group of all. */
static bool
is_within(const struct command *command, const char *group)
{
	size_t len = group == NULL ? 0 : strlen(group);

	return command->summary != NULL &&
	       (group == NULL ||
		   (strncmp(command->words, group, len) == 0 && command->words[len] == ' '));
}

static void
print_overview(FILE *out, const char *group)
{
	const char *heading = NULL;
	size_t i;

	(void)fprintf(out,
	    "Usage: muster [--dir DIR] [--url URL --token-file FILE --ca FILE] [--json]\n"
	    "              %s%sCOMMAND [OPTION...]\n\n"
	    "Onboards devices: registry, CA, credentials, broker authorization, revocation.\n",
	    group == NULL ? "" : group, group == NULL ? "" : " ");
	for (i = 0; i < N_COMMANDS; i++) {
		if (!is_within(&commands[i], group))
			continue;
		if (heading == NULL || strcmp(heading, commands[i].group) != 0)
			(void)fprintf(out, "\n%s:\n", commands[i].group);
		heading = commands[i].group;
		(void)fprintf(out, "  %-20s %s\n", commands[i].words, commands[i].summary);
	}
	(void)fprintf(out,
	    "\nGlobal options, anywhere on the line:\n"
	    "  --dir DIR            the home (default %s; MUSTER_DIR)\n"
	    "  --url URL            call the API there, not at DIR/muster.sock (MUSTER_URL)\n"
	    "  --token TOKEN        an operator's token for that (MUSTER_TOKEN); other users\n"
	    "                       of this machine may see a command line, so rather use\n"
	    "  --token-file FILE    the same, from a file\n"
	    "  --client-cert FILE   an operator's certificate instead of a token, with\n"
	    "  --client-key FILE    its key (MUSTER_CLIENT_CERT, MUSTER_CLIENT_KEY)\n"
	    "  --tenant NAME        act in that tenant (MUSTER_TENANT), not in `default`\n"
	    "  --ca FILE            the root certificate that vouches for the server\n"
	    "                       (default DIR/ca/root.crt; MUSTER_CA)\n"
	    "  --json               print the API's answer as it is\n"
	    "  --version            print the version\n\n"
	    "`muster COMMAND --help` explains a command. On the server's own host root and\n"
	    "the home's owner need no token.\n\n" CLI_HELP_END "\n",
	    CLI_DIR_DEFAULT);
}

/* ---- global options -------------------------------------------------------------------------- */

/* What --token-file held; wiped at the end. */
static struct buf file_token;

/* The first word in the file. */
static const char *
token_from_file(const struct cli *cli, const char *path)
{
	struct err err = {0};
	size_t len;
	int rc;

	buf_clear(&file_token);
	buf_init_secret(&file_token);
	if ((rc = fs_read(path, TOKEN_FILE_MAX, &file_token, &err)) == 0) {
		len = strcspn(buf_str(&file_token), " \t\r\n");
		if (len == 0)
			rc = err_set(&err, E_INPUT, "%s does not begin with a token", path);
		else
			file_token.data[len] = '\0';
	}
	if (rc != 0)
		exit(cli_fail(cli, &err));
	return buf_str(&file_token);
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
		/* Behind `agent` they are the other program's. */
		if (strcmp(argv[i], "--") == 0 || (n == 1 && strcmp(argv[i], "agent") == 0)) {
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
			cli->token = token_from_file(cli, value);
		else if ((value = option_value(argc, argv, &i, "--token")) != NULL)
			cli->token = value;
		else if ((value = option_value(argc, argv, &i, "--client-cert")) != NULL)
			cli->cert = value;
		else if ((value = option_value(argc, argv, &i, "--client-key")) != NULL)
			cli->key = value;
		else if ((value = option_value(argc, argv, &i, "--tenant")) != NULL)
			cli->tenant = value[0] != '\0' ? value : NULL;
		else if ((value = option_value(argc, argv, &i, "--ca")) != NULL)
			cli->ca = value;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

/* ---- finding the command --------------------------------------------------------------------- */

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
	size_t i;

	for (i = 0; i < N_COMMANDS; i++)
		if (is_within(&commands[i], word))
			return true;
	return false;
}

static int
count_words(const char *text)
{
	int n = 1;

	for (; *text != '\0'; text++)
		n += *text == ' ';
	return n;
}

/* The command whose words are fewest edits from as many of argv's, or NULL if none is near. */
static const char *
nearest(int argc, char **argv)
{
	unsigned best = NEAR_EDITS + 1, d;
	const char *found = NULL;
	char words[128];
	size_t i;
	int n;

	for (i = 0; i < N_COMMANDS; i++) {
		n = count_words(commands[i].words);
		if (commands[i].summary == NULL || n > argc - 1)
			continue;
		join(words, sizeof words, n, argv);
		if ((d = distance(words, commands[i].words)) < best) {
			best = d;
			found = commands[i].words;
		}
	}
	return found;
}

/* The same for the first word alone, into OUT. */
static bool
nearest_group(const char *word, char *out, size_t size)
{
	unsigned best = NEAR_EDITS, d;
	char group[32];
	size_t i;

	out[0] = '\0';
	for (i = 0; i < N_COMMANDS; i++) {
		(void)snprintf(group, sizeof group, "%.*s", (int)strcspn(commands[i].words, " "),
		    commands[i].words);
		if (commands[i].summary != NULL && (d = distance(word, group)) < best) {
			best = d;
			(void)text_copy(out, size, group);
		}
	}
	return out[0] != '\0';
}

static int
unknown(int argc, char **argv)
{
	char group[32];
	const char *near;

	if (argc == 1)
		print_overview(stderr, NULL);
	else if (is_group(argv[1]) && (argc == 2 || argv[2][0] == '-'))
		print_overview(stderr, argv[1]);
	else if ((near = nearest(argc, argv)) != NULL)
		(void)fprintf(stderr, "muster: no such command; did you mean `muster %s`?\n", near);
	else if (is_group(argv[1]))
		(void)fprintf(stderr,
		    "muster: no such command; `muster %s --help` lists those there are\n", argv[1]);
	else if (nearest_group(argv[1], group, sizeof group))
		(void)fprintf(
		    stderr, "muster: no such command; did you mean `muster %s`?\n", group);
	else
		(void)fprintf(stderr, "muster: no such command; `muster --help` lists them\n");
	return CLI_USAGE;
}

static bool
wants_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* A text that JSON cannot carry would silently be left out of a request. */
static void
check_arguments(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!text_is_utf8(argv[i], strlen(argv[i]))) {
			(void)fprintf(stderr, "muster: argument %d is not UTF-8\n", i);
			exit(CLI_USAGE);
		}
	}
}

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* `muster help device list` is `muster device list --help`. */
static void
help_last(int argc, char **argv)
{
	static char option[] = "--help";
	int i;

	for (i = 1; i + 1 < argc; i++)
		argv[i] = argv[i + 1];
	argv[argc - 1] = option;
}

static int
run(struct cli *cli, int argc, char **argv)
{
	const struct command *command;
	char name[160];
	int n_words = 0;

	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		(void)printf("muster %s\n", MUSTER_VERSION);
		return CLI_OK;
	}
	if (argc > 2 && strcmp(argv[1], "help") == 0)
		help_last(argc, argv);
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
	return command->run(cli, argc - n_words, argv + n_words);
}

int
main(int argc, char **argv)
{
	struct cli cli = {.dir = environment("MUSTER_DIR"),
	    .url = environment("MUSTER_URL"),
	    .token = environment("MUSTER_TOKEN"),
	    .cert = environment("MUSTER_CLIENT_CERT"),
	    .key = environment("MUSTER_CLIENT_KEY"),
	    .tenant = environment("MUSTER_TENANT"),
	    .ca = environment("MUSTER_CA")};
	struct err err = {0};
	int status;

	(void)trace_make(environment("TRACEPARENT"), cli.trace);
	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* column widths; nothing else is ever localized */
	(void)setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	argp_err_exit_status = CLI_USAGE;
	if (cli.dir == NULL)
		cli.dir = CLI_DIR_DEFAULT;
	/* A token may be in memory, and soon a package's password. */
	if (secret_process_protect(&err) != 0)
		return cli_fail(&cli, &err);
	check_arguments(argc, argv);
	argc = take_globals(&cli, argc, argv);
	if ((cli.cert == NULL) != (cli.key == NULL)) {
		(void)fprintf(stderr, "muster: --client-cert and --client-key go together\n");
		return CLI_USAGE;
	}
	status = run(&cli, argc, argv);
	buf_clear(&file_token);
	/* What was to be shown may be all there is of it, such as a password: a full disk must not
	 * pass for success. */
	if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == CLI_OK) {
		(void)err_sys(&err, "cannot write to standard output");
		return cli_fail(&cli, &err);
	}
	return status;
}
