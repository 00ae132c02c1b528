/* It locks the home, holds the signer's listening socket while the signer is being restarted, and opens nothing else.
 * It never reads what comes from outside, so it may stay root: it needs that to start children as other users and to
 * signal the broker. */
#include "cmd/supervisor.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "base/handover.h"
#include "cmd/home.h"
#include "cmd/owners.h"
#include "cmd/systemd.h"
#include "core/brokersignal.h"
#include "core/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_MS 4800	   /* of the 5 s that SIGTERM allows; then SIGKILL */
#define LASTING_MS 10000   /* a death sooner after the start is a quick one */
#define QUICK_MAX 5	   /* so many in a row of a child that never lasted, and restarting is no help */
#define PAUSE_MS 100	   /* before the second restart in a row; then twice as long each time, up to */
#define PAUSE_MAX_MS 30000
#define SIGNER_BACKLOG 16

enum which { SIGNER, API, CHILDREN };

struct child {
	const char *name; /* its hidden subcommand */
	pid_t pid;	  /* 0: not running */
	int64_t started_ms, start_at_ms;
	unsigned quick; /* deaths in a row, each soon after a start */
	unsigned starts;
	bool lasted;	/* once; then whatever ails it may pass, too */
};

struct supervisor {
	const struct supervisor_options *options;
	struct child children[CHILDREN];
	struct handover conf; /* muster.conf as both children have it */
	char broker_pid_file[CONF_TEXT_SIZE];
	char log_format[CONF_TEXT_SIZE]; /* of all three, as long as they live */
	int signals, lock, listener;
	int alive[2];  /* children watch [0]; EOF there means that we are gone */
	int broker[2]; /* [0] ours, [1] the api's; a new pair for each api */
	uid_t uid[CHILDREN];
	gid_t gid[CHILDREN];
	sigset_t mask_before;
	bool stopping;
	int64_t kill_at_ms;
	int status;
};

/* The socket by which the api reaches the signer; nobody else may. */
static int
listen_for_signer(struct supervisor *s, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (snprintf(address.sun_path, sizeof address.sun_path, "%s/signer.sock", s->options->dir) >=
	    (int)sizeof address.sun_path)
		return err_set(err, E_INPUT, "the home's path is too long for a Unix socket: %s", s->options->dir);
	(void)unlink(address.sun_path);
	if ((s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
	    bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	    chmod(address.sun_path, 0600) != 0 ||
	    (geteuid() == 0 && lchown(address.sun_path, s->uid[API], s->gid[API]) != 0) ||
	    listen(s->listener, SIGNER_BACKLOG) != 0)
		return err_sys(err, "cannot listen on %s", address.sun_path);
	return 0;
}

/* Read muster.conf for both children. A bad one changes nothing. */
static int
conf_load(struct supervisor *s, struct err *err)
{
	struct settings settings;
	struct buf text = {0};
	int rc;

	if ((rc = settings_text(s->options->dir, &text, err)) == 0 &&
	    (rc = settings_parse(&text, &settings, err)) == 0) {
		handover_put(&s->conf, text.data, text.len);
		memcpy(s->broker_pid_file, settings.broker_pid_file, sizeof s->broker_pid_file);
		memcpy(s->log_format, settings.log_format, sizeof s->log_format);
	}
	buf_clear(&text);
	return rc;
}

/* The signer first: the api compares what it answers. */
static void
reload(struct supervisor *s)
{
	struct err err = {0};
	size_t i;

	systemd_reloading(); /* the api says when it is done */
	if (conf_load(s, &err) != 0)
		log_error("configuration not reloaded, the old one stays: %s%s%s", err.field,
		    err.field[0] != '\0' ? ": " : "", err.text);
	for (i = 0; i < CHILDREN; i++)
		if (s->children[i].pid > 0)
			(void)kill(s->children[i].pid, SIGHUP);
}

static int
prepare(struct supervisor *s, struct err *err)
{
	sigset_t set;
	int rc;

	if ((rc = secret_process_protect(err)) != 0 || (rc = home_lock(s->options->dir, &s->lock, err)) != 0)
		return rc;
	if (geteuid() == 0 &&
	    ((rc = sandbox_user(OWNERS_SIGNER, &s->uid[SIGNER], &s->gid[SIGNER], err)) != 0 ||
		(rc = sandbox_user(OWNERS_API, &s->uid[API], &s->gid[API], err)) != 0))
		return rc;
	if ((rc = handover_open(CONF_FILE_MAX, &s->conf, err)) != 0 || (rc = conf_load(s, err)) != 0 ||
	    (rc = log_format(s->log_format, LOG_JOURNAL_SOCKET, err)) != 0 || (rc = listen_for_signer(s, err)) != 0)
		return rc;
	if (pipe2(s->alive, O_CLOEXEC) != 0)
		return err_sys(err, "cannot make a pipe");
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, &s->mask_before);
	(void)signal(SIGPIPE, SIG_IGN);
	if ((s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_sys(err, "cannot watch signals");
	return 0;
}

/* In the child: hand FD over the exec and name it in TEXT. */
static void
keep_fd(int fd, char text[16])
{
	(void)fcntl(fd, F_SETFD, 0);
	(void)snprintf(text, 16, "%d", fd);
}

/* In the child, which is still us: become its user and its program. Never returns. */
static void
become_child(struct supervisor *s, enum which which, pid_t parent)
{
	const struct supervisor_options *o = s->options;
	char alive[16], passed[16], conf[16], given[LISTEN_GIVEN_MAX][16];
	char *argv[14 + 2 * LISTEN_GIVEN_MAX];
	struct err err = {0};
	int n = 0;
	size_t i;

	keep_fd(s->alive[0], alive);
	keep_fd(s->conf.fd, conf);
	keep_fd(which == SIGNER ? s->listener : s->broker[1], passed);
	argv[n++] = (char *)"muster";
	argv[n++] = (char *)"--dir";
	argv[n++] = (char *)o->dir;
	argv[n++] = (char *)s->children[which].name;
	argv[n++] = (char *)"--alive-fd";
	argv[n++] = alive;
	argv[n++] = (char *)"--fd";
	argv[n++] = passed;
	argv[n++] = (char *)"--conf-fd";
	argv[n++] = conf;
	for (i = 0; which == API && i < o->given.n; i++) {
		keep_fd(o->given.fds[i], given[i]);
		argv[n++] = (char *)"--given-fd";
		argv[n++] = given[i];
	}
	if (!o->sandbox)
		argv[n++] = (char *)"--no-sandbox";
	if (o->debug)
		argv[n++] = (char *)"--debug";
	argv[n++] = (char *)"--log";
	argv[n++] = (char *)log_format_name();
	argv[n] = NULL;
	(void)sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
	if (geteuid() == 0 && sandbox_become(s->uid[which], s->gid[which], NULL, 0, &err) != 0) {
		log_error("%s: %s", s->children[which].name, err.text);
		_exit(1);
	}
	/* After the change of user, which clears it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	(void)execv(o->self, argv);
	log_error("cannot start %s: %s", o->self, strerrordesc_np(errno));
	_exit(1);
}

static int
start(struct supervisor *s, enum which which, struct err *err)
{
	struct child *c = &s->children[which];
	pid_t parent = getpid();

	if (which == API) {
		if (s->broker[0] >= 0)
			(void)close(s->broker[0]);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->broker) != 0) {
			s->broker[0] = -1;
			return err_sys(err, "cannot make a socket pair");
		}
	}
	if ((c->pid = fork()) < 0) {
		c->pid = 0;
		return err_sys(err, "cannot fork");
	}
	if (c->pid == 0)
		become_child(s, which, parent);
	if (which == API)
		(void)close(s->broker[1]);
	c->starts++;
	c->started_ms = clock_mono_ms();
	c->start_at_ms = 0;
	return 0;
}

/* The api first, so that it can finish what needs the signer. */
static void
stop_next(struct supervisor *s)
{
	if (s->children[API].pid > 0)
		(void)kill(s->children[API].pid, SIGTERM);
	else if (s->children[SIGNER].pid > 0)
		(void)kill(s->children[SIGNER].pid, SIGTERM);
}

static void
stop(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	systemd_stopping();
	s->status = status;
	s->kill_at_ms = clock_mono_ms() + END_MS;
	stop_next(s);
}

/* How long to wait after the N-th quick death in a row. */
static int64_t
pause_ms(unsigned n)
{
	int64_t ms = PAUSE_MS;

	if (n < 2)
		return 0;
	for (; n > 2 && ms < PAUSE_MAX_MS; n--)
		ms *= 2;
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* What to do about a death that nobody asked for. A service that has been of use is not given up: a disk that fails may
 * come back, and whoever would start us again gives up sooner than that. One that never was ends with its error. */
static void
on_death(struct supervisor *s, struct child *c, int status)
{
	int64_t now_ms = clock_mono_ms();

	if (WIFSIGNALED(status))
		log_error("%s was ended by signal %d", c->name, WTERMSIG(status));
	else
		log_error("%s ended with status %d", c->name, WEXITSTATUS(status));
	if (now_ms - c->started_ms < (s->options->lasting_ms > 0 ? s->options->lasting_ms : LASTING_MS)) {
		c->quick++;
	} else {
		c->quick = 0;
		c->lasted = true;
	}
	/* One that says at its very first start that it cannot will not do better the next time. */
	if ((c->starts == 1 && WIFEXITED(status) && WEXITSTATUS(status) == SUPERVISOR_HOPELESS) ||
	    (!c->lasted && c->quick >= QUICK_MAX)) {
		log_error("%s cannot be kept running; giving up", c->name);
		stop(s, 1);
		return;
	}
	c->start_at_ms = now_ms + pause_ms(c->quick);
	if (c->quick >= QUICK_MAX)
		log_error("%s keeps ending; the next try is in %lld ms", c->name, (long long)pause_ms(c->quick));
}

static void
reap(struct supervisor *s)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < CHILDREN && s->children[i].pid != pid; i++)
			continue;
		if (i == CHILDREN)
			continue;
		s->children[i].pid = 0;
		if (s->stopping)
			stop_next(s);
		else
			on_death(s, &s->children[i], status);
	}
}

static void
on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else if (info.ssi_signo != SIGHUP)
			stop(s, 0);
		else
			reload(s);
	}
}

/* Start what is due; returns how long nothing else will be, in milliseconds. */
static int
on_time(struct supervisor *s)
{
	int64_t now_ms = clock_mono_ms(), wait_ms = 60000;
	struct err err = {0};
	size_t i;

	for (i = 0; i < CHILDREN; i++) {
		struct child *c = &s->children[i];

		if (s->stopping && c->pid > 0 && now_ms >= s->kill_at_ms) {
			log_error("%s did not end in time and is killed", c->name);
			(void)kill(c->pid, SIGKILL);
		}
		if (s->stopping || c->pid > 0)
			continue;
		if (c->start_at_ms <= now_ms && start(s, (enum which)i, &err) != 0) {
			log_error("%s: %s", c->name, err.text);
			c->start_at_ms = now_ms + PAUSE_MS;
		}
		if (c->start_at_ms > now_ms && c->start_at_ms - now_ms < wait_ms)
			wait_ms = c->start_at_ms - now_ms;
	}
	if (s->stopping && s->kill_at_ms > now_ms && s->kill_at_ms - now_ms < wait_ms)
		wait_ms = s->kill_at_ms - now_ms;
	return (int)wait_ms;
}

static void
watch(struct supervisor *s)
{
	struct err err = {0};

	while (!s->stopping || s->children[SIGNER].pid > 0 || s->children[API].pid > 0) {
		int wait_ms = on_time(s);
		struct pollfd fds[] = {{s->signals, POLLIN, 0}, {s->broker[0], POLLIN, 0}};

		if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
			log_error("cannot wait: %s", strerrordesc_np(errno));
		if (fds[1].revents != 0 &&
		    brokersignal_serve(s->broker[0], s->broker_pid_file, &err) != 0) {
			(void)close(s->broker[0]); /* that api is gone; the next gets its own */
			s->broker[0] = -1;
		}
		on_signals(s);
	}
}

int
supervisor_run(const struct supervisor_options *options)
{
	struct supervisor s = {
	    .options = options,
	    .children = {[SIGNER] = {.name = "signer-process"}, [API] = {.name = "api-process"}},
	    .signals = -1,
	    .lock = -1,
	    .listener = -1,
	    .alive = {-1, -1},
	    .broker = {-1, -1},
	};
	struct err err = {0};

	log_init("supervisor", options->debug);
	if (prepare(&s, &err) != 0) {
		log_error("%s", err.text);
		return 1;
	}
	watch(&s);
	return s.status;
}
