/* The agent's command line: one table of commands, and the options that they share. */
#include "agent/est.h"
#include "agent/notes.h"
#include "agent/renewal.h"
#include "agent/run.h"
#include "agent/status.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"

#include <argp.h>
#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR_DEFAULT "/var/lib/muster-agent"
#define KEY_DEFAULT "ec-p256"
#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S (7 * 86400)
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 30000
#define TOKEN_FILE_MAX 4096
#define SECRETS_BYTES 65536 /* locked; a key and its PEM take less than 8 KiB */

enum { DONE, FAILED, USAGE };

enum {
	OPT_DIR = 0x100, OPT_URL, OPT_CA, OPT_TOKEN_FILE, OPT_NAME, OPT_KEY, OPT_LABEL, OPT_BROKER, OPT_FROM, OPT_AGAIN, OPT_IDEVID, OPT_IDEVID_KEY,
	OPT_WAIT, OPT_JSON, OPT_TOPIC, OPT_EXEC, OPT_ON_COMMAND, OPT_UNTIL_EOF
};

struct arguments {
	const char *dir, *ca, *token_file, *name, *from, *idevid, *idevid_key;
	struct notes notes;
	bool again, json;
	int64_t wait_s;
	struct run_options run;
	char host_name[HOST_NAME_MAX + 1];
};

static int
fail(const struct err *err)
{
	size_t len = strcspn(err->text, "\n");
	struct buf line = {0};

	buf_text(&line, "muster-agent: ");
	text_escape(&line, err->text, len);
	if (err->text[len] == '\n') {
		buf_byte(&line, '\n');
		text_escape(&line, err->text + len + 1, strlen(err->text + len + 1));
	}
	(void)fprintf(stderr, "%s\n", buf_str(&line));
	buf_clear(&line);
	return FAILED;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void
take(struct argp_state *state, char *field, size_t size, const char *arg, const char *option)
{
	if (!text_copy(field, size, arg))
		argp_error(state, "%s is too long", option);
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_DIR:
		a->dir = arg;
		return 0;
	case OPT_URL:
		take(state, a->notes.url, sizeof a->notes.url, arg, "--url");
		return 0;
	case OPT_CA:
		a->ca = arg;
		return 0;
	case OPT_TOKEN_FILE:
		a->token_file = arg;
		return 0;
	case OPT_IDEVID:
		a->idevid = arg;
		return 0;
	case OPT_IDEVID_KEY:
		a->idevid_key = arg;
		return 0;
	case OPT_NAME:
		a->name = arg;
		return 0;
	case OPT_KEY:
		take(state, a->notes.key, sizeof a->notes.key, arg, "--key");
		return 0;
	case OPT_LABEL:
		take(state, a->notes.label, sizeof a->notes.label, arg, "--label");
		if (arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] != '\0')
			argp_error(state, "--label is the name of a profile");
		return 0;
	case OPT_BROKER:
		take(state, a->notes.broker, sizeof a->notes.broker, arg, "--broker");
		if (!run_broker_split(arg, NULL, 0, NULL))
			argp_error(state, "--broker is HOST:PORT");
		return 0;
	case OPT_FROM:
		a->from = arg;
		return 0;
	case OPT_AGAIN:
		a->again = true;
		return 0;
	case OPT_WAIT:
		if (strcmp(arg, "0") == 0)
			a->wait_s = 0;
		else if (!duration_parse(arg, &a->wait_s) || a->wait_s > WAIT_MAX_S)
			argp_error(state, "--wait is a time such as 30s or 8h, at most 7d, or 0");
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case OPT_TOPIC:
		a->run.topic = arg;
		return 0;
	case OPT_EXEC:
		a->run.exec = arg;
		return 0;
	case OPT_ON_COMMAND:
		a->run.on_command = arg;
		return 0;
	case OPT_UNTIL_EOF:
		a->run.until_eof = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

#define DIR_OPTION {"dir", OPT_DIR, "DIR", 0, "The agent's folder (default " DIR_DEFAULT "; MUSTER_AGENT_DIR)", 0}
#define SEE_ALSO \
	"\n\nExit status: 0 done, 1 refused or failed, 2 usage. `muster-agent --help` lists the commands; `muster agent COMMAND` " \
	"is the same where the server is installed, too."

/* ---- enrol ------------------------------------------------------------------------------------------------------- */

static const struct argp_option enrol_options[] = {
    {"url", OPT_URL, "URL", 0, "The service, https://HOST:PORT", 0},
    {"ca", OPT_CA, "FILE", 0, "Its root certificate: nothing else is trusted", 0},
    {"token-file", OPT_TOKEN_FILE, "FILE", 0, "Where the enrolment token stands; - is standard input", 0},
    {"idevid", OPT_IDEVID, "FILE", 0, "Instead of a token: the certificate that the manufacturer gave this device (IEEE 802.1AR), "
	"PEM, and behind it those of the CAs that lead up to the manufacturer's root", 0},
    {"idevid-key", OPT_IDEVID_KEY, "FILE", 0, "Its key, PEM (default: in the same file)", 0},
    {"name", OPT_NAME, "TEXT", 0, "The device's name (default: this host's, or with --idevid the manufacturer's serial "
	"number)", 0},
    {"broker", OPT_BROKER, "HOST:PORT", 0, "The MQTT broker, for `muster-agent run`", 0},
    {"key", OPT_KEY, "KIND", 0, "ec-p256 (the default), ec-p384, rsa-2048, rsa-3072, rsa-4096", 0},
    {"label", OPT_LABEL, "PROFILE", 0, "The profile to ask for (default: what the token or the service says)", 0},
    {"from", OPT_FROM, "FOLDER", 0, "Take an opened package's files instead of asking", 0},
    {"again", OPT_AGAIN, NULL, 0, "Give up what has enrolled here before", 0},
    {"wait", OPT_WAIT, "TIME", 0, "How long to go on asking a service that does not answer (default 1m)", 0}, DIR_OPTION,
    {0}};

static const struct argp enrol_argp = {enrol_options, parse,
    "--url URL --ca FILE --token-file FILE [--broker HOST:PORT]\n--url URL --ca FILE --idevid FILE [--idevid-key FILE]\n--from "
    "FOLDER [--url URL]",
    "Enrol this device: make a key that never leaves it, ask for a certificate (EST, RFC 7030) with an enrolment token or the "
    "manufacturer's certificate, and keep both."
    "\vThe token comes from `muster token create`, the root certificate from http://HOST:8080/ca/root.crt or the home's "
    "ca/root.crt: bring it by a way that you trust.\n\n"
    "A manufacturer's certificate needs no token: the service knows the manufacturer's CA (`muster trust add`) and expects the "
    "device by its serial number (`muster trust expect`). It stays what it is, and is not needed again: renewals are made with "
    "the certificate that it brought. Later it brings the same device another one, with --again, should that be lost.\n\n"
    "Files: device.pem (key, certificate, issuing CA; mode 0600), ca.crt, agent.conf, agent.state. Each is replaced as a "
    "whole. An enrolment that was interrupted, or whose answer was lost, is done by the same command again.\n\n"
    "Without --url, a package's certificate is used until it ends and never renewed.\n\n"
    "Examples:\n\n"
    "  muster-agent enrol --url https://muster.example:8443 --ca root.crt \\\n"
    "      --token-file token --broker mqtt.example:8883 --name 'Pump 7'\n"
    "  muster-agent enrol --url https://muster.example:8443 --ca root.crt \\\n"
    "      --idevid /factory/idevid.pem --idevid-key /factory/idevid.key\n"
    "  muster-agent enrol --from ./pump-7 --url https://muster.example:8443" SEE_ALSO,
    NULL, NULL, NULL};

/* The first word of the file. */
static int
token_read(const char *path, struct buf *out, struct err *err)
{
	int rc = fs_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, TOKEN_FILE_MAX, out, err);
	size_t len;

	if (rc != 0)
		return rc;
	if ((len = strcspn(buf_str(out), " \t\r\n")) == 0)
		return err_set(err, E_INPUT, "%s does not begin with a token", path);
	out->data[len] = '\0';
	return 0;
}

/* Sleep before try N, longer each time, but no longer than until DEADLINE_MS. False if that has come. */
static bool
pause_before(unsigned n, int retry_after_s, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms(), ms = n < 6 ? (int64_t)PAUSE_MIN_MS << n : PAUSE_MAX_MS;
	uint16_t chance = 0;

	(void)!random_bytes(&chance, sizeof chance, NULL);
	ms = ms / 2 + ms / 2 * chance / UINT16_MAX;
	if (retry_after_s > 0 && ms < retry_after_s * 1000LL)
		ms = retry_after_s * 1000LL;
	if (left <= 0)
		return false;
	(void)usleep((useconds_t)((ms < left ? ms : left) * 1000));
	return true;
}

static int
enrol(struct arguments *a, struct err *err)
{
	struct enrolment e = {.dir = a->dir, .ca_path = a->ca, .name = a->name, .notes = &a->notes, .again = a->again,
	    .idevid_path = a->idevid, .idevid_key_path = a->idevid_key != NULL ? a->idevid_key : a->idevid};
	int64_t deadline_ms = clock_mono_ms() + a->wait_s * 1000;
	struct buf token;
	unsigned n = 0;
	int rc;

	if (a->from != NULL)
		return renewal_import(&e, a->from, err);
	buf_init_secret(&token);
	if (a->idevid != NULL || (rc = token_read(a->token_file, &token, err)) == 0) {
		e.token = a->idevid != NULL ? NULL : buf_str(&token);
		while (est_may_retry(rc = renewal_enrol(&e, err)) && pause_before(n++, err->retry_after_s, deadline_ms))
			if (n == 1)
				(void)fail(err);
	}
	buf_clear(&token);
	return rc;
}

static int
cmd_enrol(struct arguments *a, struct err *err)
{
	int rc;

	if ((a->token_file != NULL) + (a->idevid != NULL) + (a->from != NULL) != 1 ||
	    (a->from == NULL && (a->notes.url[0] == '\0' || a->ca == NULL))) {
		(void)fprintf(stderr,
		    "muster-agent: enrol wants --url and --ca with either --token-file or --idevid, or else --from (see --help)\n");
		return USAGE;
	}
	if (a->name == NULL && a->idevid == NULL && gethostname(a->host_name, sizeof a->host_name) == 0)
		a->name = a->host_name;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		rc = err_nomem(err);
	else if ((rc = enrol(a, err)) == 0)
		rc = status_print(a->dir, a->json, err);
	return rc == 0 ? DONE : fail(err);
}

/* ---- renew ------------------------------------------------------------------------------------------------------- */

static const struct argp_option renew_options[] = {DIR_OPTION, {0}};

static const struct argp renew_argp = {renew_options, parse, "",
    "Renew now: make a new key and have it certified by means of the present certificate."
    "\vThe agent that runs does this by itself at two thirds of a certificate's time; it is told, connects with the new pair, "
    "and gives up the old one when the broker has taken the new one. If none runs, the next `muster-agent run` does." SEE_ALSO,
    NULL, NULL, NULL};

static int
cmd_renew(struct arguments *a, struct err *err)
{
	if (renewal_renew(a->dir, err) != 0)
		return fail(err);
	run_tell(a->dir);
	return DONE;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static const struct argp_option run_options[] = {
    {"topic", OPT_TOPIC, "TEMPLATE", 0, "Where lines are published; {id} stands for the device's id (default " RUN_TOPIC_DEFAULT ")", 0},
    {"exec", OPT_EXEC, "COMMAND", 0, "Publish the lines that this shell command prints, not those of standard input", 0},
    {"on-command", OPT_ON_COMMAND, "PROGRAM", 0, "Start this for each command received: its topic is the argument, the "
	"message is on standard input", 0},
    {"broker", OPT_BROKER, "HOST:PORT", 0, "The broker (default: the one given at enrolment)", 0},
    {"until-eof", OPT_UNTIL_EOF, NULL, 0, "End when standard input does and the broker has all of it", 0}, DIR_OPTION, {0}};

static const struct argp run_argp = {run_options, parse, "",
    "Connect to the broker, publish lines, hand over commands, renew the certificate in time; until SIGTERM."
    "\vEach line becomes one message (QoS 1); at most 64 KiB, longer ones are left out. While the broker is away no more is "
    "read; at most a hundred lines that it has not acknowledged are in memory, and lost if the agent is killed.\n\n"
    "Commands are what comes under devices/ID/commands/. PROGRAM is run for one at a time, in their order, by its path and "
    "without a shell; after a minute it is ended.\n\n"
    "A message on devices/ID/control/rekey makes the agent renew at once; a second one must differ from the first. It is "
    "answered on devices/ID/control/ack when the broker has taken the new certificate, or the service has refused.\n\n"
    "Examples:\n\n"
    "  vmstat -n 10 | muster-agent run\n"
    "  muster-agent run --exec 'while read-sensor; do sleep 60; done' \\\n"
    "      --on-command /usr/local/bin/obey" SEE_ALSO,
    NULL, NULL, NULL};

static int
cmd_run(struct arguments *a, struct err *err)
{
	log_init("muster-agent", false);
	a->run.dir = a->dir;
	a->run.broker = a->notes.broker[0] != '\0' ? a->notes.broker : NULL;
	return run_forever(&a->run, err) == 0 ? DONE : fail(err);
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static const struct argp_option status_options[] = {{"json", OPT_JSON, NULL, 0, "As one JSON object", 0}, DIR_OPTION, {0}};

static const struct argp status_argp = {status_options, parse, "",
    "Show who this device is, how long its certificate lasts, when it last connected, and what memory the running agent has."
    "\vFails if nothing has enrolled." SEE_ALSO,
    NULL, NULL, NULL};

static int
cmd_status(struct arguments *a, struct err *err)
{
	return status_print(a->dir, a->json, err) == 0 ? DONE : fail(err);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct command {
	const char *name;
	const struct argp *argp;
	int (*run)(struct arguments *a, struct err *err);
	const char *summary;
} commands[] = {
    {"enrol", &enrol_argp, cmd_enrol, "make a key and get a certificate for it"},
    {"run", &run_argp, cmd_run, "connect, publish, obey, renew in time"},
    {"renew", &renew_argp, cmd_renew, "renew the certificate now"},
    {"status", &status_argp, cmd_status, "show certificate, connection and memory"},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static int
print_overview(FILE *out, int status)
{
	size_t i;

	(void)fprintf(out, "Usage: muster-agent COMMAND [--dir DIR] [OPTION...]\n\n"
			   "A device's side of Muster: its key, its certificate, its connection.\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		(void)fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	(void)fprintf(out, "\n`muster-agent COMMAND --help` explains a command.\n");
	return status;
}

int
main(int argc, char **argv)
{
	const char *dir = getenv("MUSTER_AGENT_DIR");
	struct arguments a = {.dir = dir != NULL && dir[0] != '\0' ? dir : DIR_DEFAULT, .wait_s = WAIT_DEFAULT_S,
	    .notes.key = KEY_DEFAULT, .run.topic = RUN_TOPIC_DEFAULT};
	struct err err = {0};
	char name[64];
	int status;
	size_t i;

	argp_err_exit_status = USAGE;
	(void)setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	if (argc < 2)
		return print_overview(stderr, USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return print_overview(stdout, DONE);
	if (strcmp(argv[1], "--version") == 0)
		return printf("muster-agent %s\n", MUSTER_VERSION) > 0 ? DONE : FAILED;
	for (i = 0; i < N_COMMANDS && strcmp(commands[i].name, argv[1]) != 0; i++)
		;
	if (i == N_COMMANDS) {
		(void)fprintf(stderr, "muster-agent: no such command; `muster-agent --help` lists them\n");
		return USAGE;
	}
	(void)snprintf(name, sizeof name, "muster-agent %s", commands[i].name);
	argv[1] = name;
	if (secret_process_protect(&err) != 0 || secret_heap_open(SECRETS_BYTES, &err) != 0)
		return fail(&err);
	if (argp_parse(commands[i].argp, argc - 1, argv + 1, 0, NULL, &a) != 0)
		return USAGE;
	status = commands[i].run(&a, &err);
	if (fflush(stdout) != 0 && status == DONE) {
		(void)err_sys(&err, "cannot write to standard output");
		status = fail(&err);
	}
	return status;
}
