/* One loop on one thread: the broker's connection, lines, signals, and what is due. A renewal is a process of its own
 * (fork, without exec), so that asking the service never keeps the broker waiting. */
#include "agent/run.h"

#include "agent/child.h"
#include "agent/est.h"
#include "agent/inbox.h"
#include "agent/input.h"
#include "agent/lock.h"
#include "agent/notes.h"
#include "agent/pair.h"
#include "agent/renewal.h"
#include "agent/session.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETTLE_MS 1000 /* until brokers have heard of a new certificate */
#define OUTSTANDING_MAX 100 /* lines that the broker has not acknowledged: then no more are read */
#define POLL_MS 10000
#define CONNECTING_POLL_MS 1000
#define STABLE_MS 10000 /* a connection that lasted as long makes earlier failures forgotten */
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 300000
#define RENEW_BACKOFF_MIN_MS 5000
#define RENEW_BACKOFF_MAX_MS 3600000
#define NEXT_REFUSALS_MAX 10 /* of a next pair, after which it is given up while the present one lasts */
#define DRAIN_MS 2000
#define TOPIC_SIZE 512

struct run {
	const struct run_options *options;
	struct notes notes;
	char id[CERT_NAME_MAX + 1], host[NOTES_TEXT_SIZE], ca_path[FS_PATH_MAX];
	char topic[TOPIC_SIZE], commands[TOPIC_SIZE], rekey[TOPIC_SIZE], ack[TOPIC_SIZE];
	const char *filters[2];
	struct session *session;
	struct input *input;
	struct inbox *inbox; /* NULL: commands are not asked for */

	enum session_state state; /* as it was when last looked at */
	enum pair pair;		  /* of the last attempt */
	int64_t attempt_at_ms, connected_ms;
	unsigned failures;
	bool next_seen;
	unsigned next_refusals;
	int64_t switch_at_ms; /* not before, from a present pair that works to the next one */

	int64_t due; /* seconds UTC */
	pid_t renewal;
	int64_t renew_at_ms; /* not before */
	unsigned renew_failures;
	char asked[2 * SHA256_LEN + 1]; /* digest of an instruction to obey; "": none */
	bool ack_due;

	int64_t stops_ms; /* 0: goes on */
};

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static int wake[2] = {-1, -1};
static volatile sig_atomic_t is_asked_to_stop;

static void
on_signal(int number)
{
	int before = errno;

	if (number == SIGTERM || number == SIGINT)
		is_asked_to_stop = 1;
	(void)!write(wake[1], "", 1);
	errno = before;
}

/* Without SA_RESTART, so that a connect() that hangs ends, too. */
static int
signals_open(struct err *err)
{
	const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	struct sigaction action = {.sa_handler = on_signal};
	size_t i;

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
		return err_sys(err, "cannot make a pipe");
	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		(void)sigaction(numbers[i], &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

void
run_tell(const char *dir)
{
	pid_t pid = lock_holder(dir, LOCK_RUN);

	if (pid > 0)
		(void)kill(pid, SIGHUP);
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* A pause that doubles with each of N failures, of which half is chance. */
static int64_t
backoff(unsigned n, int64_t min_ms, int64_t max_ms)
{
	int64_t ms = n < 16 && min_ms << n < max_ms ? min_ms << n : max_ms;
	uint16_t chance = 0;

	(void)!random_bytes(&chance, sizeof chance, NULL);
	return ms / 2 + ms / 2 * chance / UINT16_MAX;
}

/* The text's second line, what to do about it, on the first. */
static void
log_failure(const char *what, struct err *err)
{
	char *newline = strchr(err->text, '\n');

	if (newline != NULL)
		*newline = ' ';
	log_warn("%s: %s", what, err->text);
}

static bool
has_next(const struct run *r)
{
	char path[FS_PATH_MAX];

	return pair_path(r->options->dir, PAIR_NEXT, path);
}

static void
state_keep(struct run *r)
{
	struct err err = {0};

	if (notes_write_state(r->options->dir, &r->notes, &err) != 0)
		log_failure("cannot remember", &err);
}

static void
due_find(struct run *r)
{
	char when[CLOCK_TEXT_MAX];
	struct err err = {0};
	struct cert_info info;
	int64_t since;

	r->due = INT64_MAX;
	if (pair_info(r->options->dir, PAIR_CURRENT, &info, &since, &err) != 0) {
		log_failure("cannot read the pair", &err);
		return;
	}
	if (r->notes.url[0] == '\0') {
		clock_text(when, info.not_after);
		log_info("the certificate ends at %s, and no service was named to renew it", when);
		return;
	}
	r->due = renewal_due(&info, since, pair_renew_at(r->options->dir, PAIR_CURRENT));
	clock_text(when, r->due);
	log_info("the certificate will be renewed at %s", when);
}

/* ---- the instruction to rekey ------------------------------------------------------------------------------------ */

static void
acknowledge(struct run *r, const char *digest, const char *status, const char *reason)
{
	struct err err = {0};
	struct buf text = {0};

	buf_printf(&text, "{\"instruction\":\"rekey\",\"digest\":\"%s\",\"status\":\"%s\"", digest, status);
	if (reason != NULL)
		buf_printf(&text, ",\"reason\":\"%s\"", reason);
	buf_text(&text, "}");
	if (buf_failed(&text) || session_publish(r->session, r->ack, text.data, text.len, &err) != 0)
		log_failure("cannot acknowledge", &err);
	buf_clear(&text);
}

/* A retained instruction comes again at each connection. One that was obeyed is answered again. */
static void
on_rekey(struct run *r, const void *data, size_t len)
{
	char digest[2 * SHA256_LEN + 1];
	uint8_t raw[SHA256_LEN];

	if (len == 0)
		return;
	sha256(raw, data, len);
	hex_encode(digest, raw, sizeof raw);
	if (strcmp(digest, r->notes.rekey) == 0) {
		if (!has_next(r))
			acknowledge(r, digest, "done", NULL);
		return;
	}
	if (strcmp(digest, r->asked) == 0)
		return;
	log_info("told to make a new key");
	(void)text_copy(r->asked, sizeof r->asked, digest);
	r->renew_at_ms = 0;
}

static void
on_message(void *ctx, const char *topic, const void *data, size_t len)
{
	struct run *r = ctx;

	if (strcmp(topic, r->rekey) == 0)
		on_rekey(r, data, len);
	else if (r->inbox != NULL)
		inbox_put(r->inbox, topic, data, len);
}

static void
on_line(void *ctx, const char *line, size_t len)
{
	struct run *r = ctx;
	struct err err = {0};

	if (session_publish(r->session, r->topic, line, len, &err) != 0)
		log_failure("a line was lost", &err);
}

/* ---- renewal ----------------------------------------------------------------------------------------------------- */

static _Noreturn void
renewal_main(const char *dir)
{
	struct err err = {0};
	int rc;

	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	if ((rc = renewal_renew(dir, &err)) != 0)
		log_failure("cannot renew", &err);
	_exit(-rc);
}

static void
renewal_done(struct run *r, int rc)
{
	r->renewal = 0;
	if (rc == 0) {
		log_info("there is a new pair");
		r->renew_failures = 0;
		if (r->asked[0] != '\0') {
			(void)text_copy(r->notes.rekey, sizeof r->notes.rekey, r->asked);
			r->asked[0] = '\0';
			r->ack_due = true;
			state_keep(r);
		}
		return;
	}
	r->renew_at_ms =
	    clock_mono_ms() + backoff(r->renew_failures++, RENEW_BACKOFF_MIN_MS, RENEW_BACKOFF_MAX_MS);
	if (r->asked[0] != '\0' && !est_may_retry(rc) && session_state(r->session) == SESSION_CONNECTED) {
		acknowledge(r, r->asked, "failed", err_name(rc));
		r->asked[0] = '\0';
	}
}

static void
renewal_tick(struct run *r)
{
	int status = 0;

	if (child_ended(r->renewal, &status))
		renewal_done(r, WIFEXITED(status) ? -WEXITSTATUS(status) : E_BUSY);
	if (r->renewal != 0 || r->stops_ms != 0 || clock_mono_ms() < r->renew_at_ms ||
	    (r->asked[0] == '\0' && clock_now() < r->due) || has_next(r))
		return;
	if ((r->renewal = fork()) == 0)
		renewal_main(r->options->dir);
	if (r->renewal < 0) {
		r->renewal = 0;
		r->renew_at_ms = clock_mono_ms() + RENEW_BACKOFF_MIN_MS;
	}
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void
connected(struct run *r)
{
	struct err err = {0};

	log_info("connected to the broker%s", r->pair == PAIR_NEXT ? " with the new pair" : "");
	r->connected_ms = clock_mono_ms();
	clock_text(r->notes.connected_at, clock_now());
	state_keep(r);
	if (r->pair == PAIR_NEXT) {
		if (pair_promote(r->options->dir, &err) != 0)
			log_failure("cannot keep the new pair", &err);
		r->pair = PAIR_CURRENT;
		due_find(r);
	}
	if (r->ack_due)
		acknowledge(r, r->notes.rekey, "done", NULL);
	r->ack_due = false;
}

/* The next pair was refused. The broker may not know it yet; the present one may go on meanwhile. */
static void
next_refused(struct run *r)
{
	struct cert_info info;

	r->switch_at_ms = clock_mono_ms() + backoff(r->next_refusals++, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	if (r->next_refusals < NEXT_REFUSALS_MAX || pair_info(r->options->dir, PAIR_CURRENT, &info, NULL, NULL) != 0 ||
	    info.not_after <= clock_now())
		return;
	log_warn("the new pair was refused %u times: it is given up", r->next_refusals);
	pair_drop_next(r->options->dir);
	r->next_refusals = 0;
	r->renew_at_ms = clock_mono_ms() + backoff(r->renew_failures++, RENEW_BACKOFF_MIN_MS, RENEW_BACKOFF_MAX_MS);
}

static void
disconnected(struct run *r)
{
	int64_t now_ms = clock_mono_ms();

	log_warn("%s%s", r->pair == PAIR_NEXT ? "with the new pair: " : "", session_why(r->session));
	if (r->state == SESSION_CONNECTED && now_ms - r->connected_ms >= STABLE_MS)
		r->failures = 0;
	if (r->pair == PAIR_NEXT && session_was_refused(r->session)) {
		next_refused(r);
		r->attempt_at_ms = now_ms; /* with the present one, which this says nothing about */
		return;
	}
	r->attempt_at_ms = now_ms + backoff(r->failures++, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
}

static void
attempt(struct run *r)
{
	bool refused = r->pair == PAIR_NEXT && session_was_refused(r->session);
	char path[FS_PATH_MAX];
	struct err err = {0};

	r->pair = has_next(r) && !refused ? PAIR_NEXT : PAIR_CURRENT;
	(void)pair_path(r->options->dir, r->pair, path);
	if (session_connect(r->session, path, &err) != 0 && session_why(r->session)[0] == '\0')
		log_failure("cannot connect", &err);
	r->state = SESSION_CONNECTING; /* so that a failure is noticed as one */
}

/* There may be a next pair because of the process that we forked, or of somebody's `muster-agent renew`. */
static void
next_notice(struct run *r)
{
	bool is_there = has_next(r);

	if (is_there && !r->next_seen) {
		r->switch_at_ms = clock_mono_ms() + SETTLE_MS;
		r->next_refusals = 0;
	}
	r->next_seen = is_there;
}

static void
connection_tick(struct run *r)
{
	enum session_state state = session_state(r->session);

	if (state != r->state && state == SESSION_CONNECTED)
		connected(r);
	else if (state != r->state && state == SESSION_IDLE)
		disconnected(r);
	r->state = state;
	next_notice(r);
	if (state == SESSION_CONNECTED && r->pair == PAIR_CURRENT && r->next_seen && clock_mono_ms() >= r->switch_at_ms) {
		session_end(r->session);
		r->state = state = SESSION_IDLE;
		r->attempt_at_ms = 0;
	}
	if (state == SESSION_IDLE && r->stops_ms == 0 && clock_mono_ms() >= r->attempt_at_ms)
		attempt(r);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static bool
may_read(const struct run *r)
{
	return r->stops_ms == 0 && r->state == SESSION_CONNECTED && session_outstanding(r->session) < OUTSTANDING_MAX;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int
poll_ms(const struct run *r)
{
	int64_t now_ms = clock_mono_ms(), ms = POLL_MS, until_due = r->due == INT64_MAX ? POLL_MS : (r->due - clock_now()) * 1000;

	if (session_state(r->session) != r->state)
		return 0;
	if (r->state == SESSION_CONNECTING || r->stops_ms != 0 || r->options->exec != NULL || r->inbox != NULL)
		ms = CONNECTING_POLL_MS;
	if (r->state == SESSION_IDLE)
		ms = least(ms, r->attempt_at_ms - now_ms);
	if (r->renewal == 0 && !r->next_seen && (r->asked[0] != '\0' || until_due < POLL_MS))
		ms = least(ms, r->renew_at_ms > now_ms ? r->renew_at_ms - now_ms : r->asked[0] != '\0' ? 0 : until_due);
	if (r->next_seen && r->switch_at_ms > now_ms)
		ms = least(ms, r->switch_at_ms - now_ms);
	return ms < 0 ? 0 : (int)ms;
}

static void
step(struct run *r)
{
	struct pollfd fds[3] = {{.fd = wake[0], .events = POLLIN}, {.fd = session_fd(r->session), .events = POLLIN},
	    {.fd = may_read(r) ? input_fd(r->input) : -1, .events = POLLIN}};
	char bytes[64];

	if (session_wants_write(r->session))
		fds[1].events |= POLLOUT;
	if (poll(fds, 3, poll_ms(r)) < 0)
		return;
	while (read(wake[0], bytes, sizeof bytes) > 0)
		;
	session_work(r->session, (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0, (fds[1].revents & POLLOUT) != 0);
	if (fds[2].revents != 0)
		input_work(r->input);
}

/* Is it time to end? What was read is delivered first, if the broker is there. */
static bool
is_over(struct run *r)
{
	bool all_sent = session_outstanding(r->session) == 0;

	if (r->stops_ms == 0 && is_asked_to_stop)
		r->stops_ms = clock_mono_ms() + DRAIN_MS;
	if (r->stops_ms == 0)
		return r->options->until_eof && input_is_over(r->input) && all_sent;
	return all_sent || session_state(r->session) != SESSION_CONNECTED || clock_mono_ms() >= r->stops_ms;
}

static void
loop(struct run *r)
{
	while (!is_over(r)) {
		connection_tick(r);
		renewal_tick(r);
		input_tick(r->input);
		if (r->inbox != NULL)
			inbox_tick(r->inbox);
		step(r);
	}
	if (session_outstanding(r->session) > 0)
		log_warn("%zu lines were not acknowledged by the broker", session_outstanding(r->session));
	session_end(r->session);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

bool
run_broker_split(const char *broker, char *host, size_t size, int *port)
{
	const char *colon = strrchr(broker, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - broker);
	int64_t number;

	if (len == 0 || !integer_parse(colon + 1, 1, 65535, &number))
		return false;
	if (broker[0] == '[') {
		if (len <= 2 || broker[len - 1] != ']')
			return false;
		broker++;
		len -= 2;
	} else if (memchr(broker, ':', len) != NULL)
		return false;
	if (port != NULL)
		*port = (int)number;
	if (host == NULL)
		return true;
	if (len >= size)
		return false;
	memcpy(host, broker, len);
	host[len] = '\0';
	return true;
}

/* TEMPLATE with the id in its place. */
static int
topic_expand(const struct run *r, const char *template, char out[TOPIC_SIZE], struct err *err)
{
	const char *place = strstr(template, "{id}");
	int n;

	if (place == NULL)
		n = snprintf(out, TOPIC_SIZE, "%s", template);
	else
		n = snprintf(out, TOPIC_SIZE, "%.*s%s%s", (int)(place - template), template, r->id, place + 4);
	if (n >= TOPIC_SIZE || out[0] == '\0' || strpbrk(out, "+#{}") != NULL)
		return err_set(err, E_INPUT, "%s is not a topic to publish on: it may have {id} in it once, and no + # { }", template);
	return 0;
}

static int
open_all(struct run *r, struct err *err)
{
	const char *dir = r->options->dir, *broker = r->options->broker;
	struct session_spec spec = {.host = r->host, .id = r->id, .ca_path = r->ca_path, .filters = r->filters,
	    .n_filters = r->options->on_command != NULL ? 2 : 1, .on_message = on_message, .ctx = r};
	struct cert_info info;
	char path[FS_PATH_MAX];
	int rc;

	if (broker == NULL)
		broker = r->notes.broker;
	if (!run_broker_split(broker, r->host, sizeof r->host, &spec.port))
		return err_set(err, E_INPUT, "which broker? say --broker HOST:PORT, here or at enrolment");
	/* An enrolment that was ended when all but its last step was done. */
	if (!pair_path(dir, PAIR_CURRENT, path) && (rc = pair_promote(dir, err)) != 0)
		return rc;
	if ((rc = pair_info(dir, PAIR_CURRENT, &info, NULL, err)) != 0 || (rc = fs_path(r->ca_path, dir, PAIR_CA, err)) != 0)
		return rc;
	(void)text_copy(r->id, sizeof r->id, info.common_name);
	if ((rc = topic_expand(r, r->options->topic, r->topic, err)) != 0)
		return rc;
	(void)snprintf(r->commands, TOPIC_SIZE, "devices/%s/commands/#", r->id);
	(void)snprintf(r->rekey, TOPIC_SIZE, "devices/%s/control/rekey", r->id);
	(void)snprintf(r->ack, TOPIC_SIZE, "devices/%s/control/ack", r->id);
	r->filters[0] = r->rekey;
	r->filters[1] = r->commands;
	if ((r->input = input_new(r->options->exec, on_line, r)) == NULL ||
	    (r->options->on_command != NULL && (r->inbox = inbox_new(r->options->on_command)) == NULL))
		return err_nomem(err);
	if (r->options->on_command != NULL && access(r->options->on_command, X_OK) != 0)
		return err_sys(err, "cannot start %s", r->options->on_command);
	return session_new(&spec, &r->session, err);
}

int
run_forever(const struct run_options *options, struct err *err)
{
	struct run r = {.options = options, .pair = PAIR_CURRENT};
	int lock = -1, rc;

	if ((rc = notes_read(options->dir, &r.notes, err)) != 0 || (rc = lock_take(options->dir, LOCK_RUN, &lock, err)) != 0 ||
	    (rc = open_all(&r, err)) != 0 || (rc = signals_open(err)) != 0)
		goto out;
	due_find(&r);
	loop(&r);
out:
	if (r.renewal > 0) {
		(void)kill(r.renewal, SIGTERM);
		(void)waitpid(r.renewal, NULL, 0);
	}
	session_free(r.session);
	inbox_free(r.inbox);
	input_free(r.input);
	if (lock >= 0)
		(void)close(lock);
	return rc;
}
