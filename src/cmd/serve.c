/* `muster serve` and the two processes it starts. Each opens what it needs, gives up the rest, then looks at its
 * first byte from outside. */
#include "cmd/api.h"
#include "cmd/commands.h"
#include "cmd/owners.h"
#include "cmd/part.h"
#include "cmd/supervisor.h"
#include "cmd/systemd.h"
#include "cmd/workdir.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/settings.h"
#include "signer/main.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

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
    "It logs a line that ends in \" ready\" on standard error once it answers, and tells systemd. How lines look (text, JSON, "
    "systemd's journal), and whether each request has one, [log] in muster.conf says. "
    "It takes the sockets that systemd gives, if muster.conf names their addresses. SIGTERM ends it "
    "within 5 seconds, after finishing what was accepted. SIGHUP loads tls/ and muster.conf again without dropping a connection; a "
    "muster.conf with a mistake is refused as a whole, and a key that only a start can change is named in the log.\n\n"
    "As root, the two processes run as the users muster and muster-signer.\n\n"
    "A process that ends is started again. If it keeps ending, the pauses between grow to 30 seconds, so that the service "
    "comes back by itself when, for example, its disk does; but what never ran for 10 seconds is given up after 5 "
    "tries, and at once if it says that it cannot start.\n\n"
    "Exit status: 0 after SIGTERM, 1 if it could not start.",
    NULL, NULL, NULL};

/* A backup without the CAs' keys leaves this to the operator. */
static int
check_issuing_key(const char *dir, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, "ca/private/issuing.key", err)) != 0)
		return rc;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return err_set(err, E_NOTFOUND,
		    "%s is not there\nNothing can be signed without the issuing CA's key: put it there, mode 0600, or "
		    "restore a backup that has it (made with --with-keys).", path);
	return 0;
}

int
cmd_serve(struct cli *cli, int argc, char **argv)
{
	struct serve_arguments arguments = {0};
	struct settings settings;
	char backup_work[FS_PATH_MAX];
	struct err err = {0};
	struct supervisor_options options = {.dir = cli->dir, .self = "/proc/self/exe"};

	if (argp_parse(&serve_argp, argc, argv, 0, NULL, &arguments) != 0)
		return CLI_USAGE;
	if (settings_load(cli->dir, &settings, &err) != 0 || check_issuing_key(cli->dir, &err) != 0 ||
	    fs_path(backup_work, cli->dir, PART_BACKUP_WORK, &err) != 0 ||
	    owners_give(cli->dir, settings.broker_group, &err) != 0 || systemd_sockets(&options.given, &err) != 0)
		return cli_fail(cli, &err);
	workdir_sweep(backup_work);
	options.sandbox = settings.sandbox;
	options.debug = arguments.debug;
	return supervisor_run(&options);
}

/* ---- the two processes, started by the supervisor alone ---------------------------------------------------------- */

enum { OPT_ALIVE = 0x100, OPT_FD, OPT_CONF, OPT_GIVEN, OPT_NO_SANDBOX, OPT_LOG };

struct process_arguments {
	int alive_fd, fd, conf_fd;
	struct listen_given given;
	bool sandbox, debug;
	const char *log;
};

static const struct argp_option process_options[] = {
    {"alive-fd", OPT_ALIVE, "N", 0, "A pipe whose other end the supervisor holds", 0},
    {"fd", OPT_FD, "N", 0, "signer: its listening socket; api: the supervisor's ear for the broker's signal", 0},
    {"conf-fd", OPT_CONF, "N", 0, "muster.conf as the supervisor hands it over", 0},
    {"given-fd", OPT_GIVEN, "N", 0, "api: a socket that listens already; may be repeated", 0},
    {"no-sandbox", OPT_NO_SANDBOX, NULL, 0, "As sandbox = off in muster.conf", 0},
    {"debug", 'D', NULL, 0, "Log each request", 0},
    {"log", OPT_LOG, "FORMAT", 0, "text, json or journal", 0}, {0}};

static error_t
process_parse(int key, char *arg, struct argp_state *state)
{
	struct process_arguments *a = state->input;
	int64_t fd = -1;

	switch (key) {
	case OPT_ALIVE:
	case OPT_FD:
	case OPT_CONF:
		if (!integer_parse(arg, 3, 1023, &fd))
			argp_error(state, "not a file descriptor: %s", arg);
		*(key == OPT_FD ? &a->fd : key == OPT_CONF ? &a->conf_fd : &a->alive_fd) = (int)fd;
		return 0;
	case OPT_GIVEN:
		if (a->given.n == LISTEN_GIVEN_MAX || !integer_parse(arg, 3, 1023, &fd))
			argp_error(state, "not a file descriptor, or too many: %s", arg);
		a->given.fds[a->given.n++] = (int)fd;
		return 0;
	case OPT_NO_SANDBOX:
		a->sandbox = false;
		return 0;
	case 'D':
		a->debug = true;
		return 0;
	case OPT_LOG:
		a->log = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->fd < 0 || a->alive_fd < 0 || a->conf_fd < 0)
			argp_error(state, "only `muster serve` starts this");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp process_argp = {
    process_options, process_parse, "", "A part of `muster serve`; not for people.", NULL, NULL, NULL};

/* For ps and top, which would call a process executed through /proc "exe". Its threads inherit it. */
static void
process_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

int
cmd_signer_process(struct cli *cli, int argc, char **argv)
{
	struct process_arguments a = {.alive_fd = -1, .fd = -1, .conf_fd = -1, .sandbox = true, .log = "text"};
	struct signer_options options = {.dir = cli->dir};
	struct err err = {0};

	if (argp_parse(&process_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	log_init("signer", a.debug);
	process_name("muster-signer");
	if (log_format(a.log, LOG_JOURNAL_SOCKET, &err) != 0 || secret_process_protect(&err) != 0) {
		log_error("%s", err.text);
		return SUPERVISOR_HOPELESS;
	}
	options.listen_fd = a.fd;
	options.conf_fd = a.conf_fd;
	options.alive_fd = a.alive_fd;
	options.sandbox = a.sandbox;
	return signer_main(&options) == 0 ? 0 : 1;
}

int
cmd_api_process(struct cli *cli, int argc, char **argv)
{
	struct process_arguments a = {.alive_fd = -1, .fd = -1, .conf_fd = -1, .sandbox = true, .log = "text"};
	struct api_options options = {.dir = cli->dir};

	if (argp_parse(&process_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	options.signal_fd = a.fd;
	options.conf_fd = a.conf_fd;
	options.given = a.given;
	options.alive_fd = a.alive_fd;
	options.sandbox = a.sandbox;
	options.debug = a.debug;
	options.log = a.log;
	process_name("muster-api");
	return api_run(&options);
}
