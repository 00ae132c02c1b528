/* The api process from open to close. What must be opened by path is opened before the sandbox; threads start
 * inside it, because Landlock binds only the thread that asks and those it starts. */
#include "cmd/api.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "cmd/supervisor.h"
#include "cmd/systemd.h"
#include "core/core.h"
#include "http/server.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (2 * 1024 * 1024) /* 64 requests in flight and a pool of RSA keys */
#define DRAIN_MS 4000			    /* of the 5 s that SIGTERM allows */

static int
sandbox_enter(const char *dir, struct err *err)
{
	static const struct {
		const char *name;
		enum sandbox_access access;
	} wanted[] = {
	    {"muster.db", SANDBOX_WRITE_FILE},
	    {"muster.db-wal", SANDBOX_WRITE_FILE},
	    {"muster.db-shm", SANDBOX_WRITE_FILE},
	    {"ca/root.crt", SANDBOX_READ_FILE},
	    {"ca/issuing.crt", SANDBOX_READ_FILE},
	    {"tls", SANDBOX_READ_DIR},
	    {"broker", SANDBOX_WRITE_DIR},
	};
	enum { N = sizeof wanted / sizeof wanted[0] };
	struct sandbox_path paths[N];
	char names[N][FS_PATH_MAX];
	size_t i;
	int rc;

	for (i = 0; i < N; i++) {
		if ((rc = fs_path(names[i], dir, wanted[i].name, err)) != 0)
			return rc;
		paths[i] = (struct sandbox_path){names[i], wanted[i].access, false};
	}
	if ((rc = sandbox_limit_paths(paths, N, err)) != 0)
		return rc;
	return sandbox_limit_calls(SANDBOX_CALLS_API, err);
}

/* SIGTERM, SIGINT and SIGHUP arrive here and nowhere else. */
static int
signals_open(struct err *err)
{
	sigset_t set;
	int fd;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if ((fd = signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		return err_sys(err, "cannot watch signals");
	return fd;
}

/* Once when the disk is full, and once when it is not any more. */
static void
tell_room(struct core *core, bool *is_full)
{
	struct err err = {0};
	bool now_full = store_room(core->store, &err) == E_FULL;

	if (now_full && !*is_full)
		log_error("%s", err.text);
	else if (!now_full && *is_full)
		log_info("there is room on the disk again");
	*is_full = now_full;
}

/* The supervisor has refused a bad file already, so that here all or nothing changes. */
static void
reload(struct core *core, struct http_server *server)
{
	struct err err = {0};
	bool changed = false;

	if (config_reload(core, &changed, &err) != 0)
		log_error("configuration not reloaded, the old one stays: %s%s%s", err.field,
		    err.field[0] != '\0' ? ": " : "", err.text);
	else
		log_info("configuration %s", changed ? "reloaded" : "unchanged");
	if (http_server_reload(server, &err) != 0)
		log_error("certificate not reloaded, the old one stays: %s", err.text);
	else
		log_info("certificate reloaded");
	systemd_ready();
}

/* Returns when it is time to end. A store that failed cannot be trusted: the supervisor starts us anew, and
 * opening it again finds what is really on disk. */
static int
wait_for_end(struct core *core, struct http_server *server, int signals, int alive_fd, struct err *err)
{
	struct pollfd fds[] = {{signals, POLLIN, 0}, {alive_fd, POLLIN, 0}};
	struct signalfd_siginfo info;
	bool is_full = false;
	int rc;

	for (;;) {
		tell_room(core, &is_full);
		if (poll(fds, alive_fd < 0 ? 1 : 2, 1000) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait");
		if ((rc = store_check(core->store, err)) != 0)
			return rc;
		if (alive_fd >= 0 && fds[1].revents != 0)
			return err_set(err, E_SYS, "the supervisor is gone");
		if ((fds[0].revents & POLLIN) == 0 || read(signals, &info, sizeof info) != sizeof info)
			continue;
		if (info.ssi_signo != SIGHUP)
			return 0;
		reload(core, server);
	}
}

int
api_run(const struct api_options *options)
{
	struct listen_given given = options->given;
	struct http_server *server = NULL;
	struct core *core = NULL;
	struct err err = {0};
	bool served = false;
	int signals, rc;

	log_init("api", options->debug);
	if ((rc = log_format(options->log, LOG_JOURNAL_SOCKET, &err)) != 0 || (rc = secret_process_protect(&err)) != 0 || (rc = signals = signals_open(&err)) < 0 ||
	    (rc = secret_heap_open(SECRET_HEAP_BYTES, &err)) != 0 ||
	    (rc = core_open(options->dir, options->conf_fd, options->signal_fd, &core, &err)) != 0 ||
	    (rc = http_server_open(core, &given, &server, &err)) != 0 ||
	    (options->sandbox && (rc = sandbox_enter(options->dir, &err)) != 0) ||
	    (rc = log_start(&err)) != 0 || (rc = core_start(core, &err)) != 0 || (rc = http_server_run(server, &err)) != 0)
		goto out;
	served = true;
	systemd_ready();
	rc = wait_for_end(core, server, signals, options->alive_fd, &err);
out:
	http_server_close(server, DRAIN_MS);
	core_close(core);
	log_stop();
	if (rc != 0)
		log_error("%s%s%s", err.field, err.field[0] != '\0' ? ": " : "", err.text);
	if (rc == 0)
		return 0;
	return served || rc == E_BUSY || rc == E_FULL ? 1 : SUPERVISOR_HOPELESS;
}
