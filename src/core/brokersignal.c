/* A pid file may be stale and name a stranger: whoever is signalled is looked at first. A pidfd keeps the process
 * that was looked at and the one that is signalled the same. */
#include "core/brokersignal.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST 'H'
#define ANSWER_MS 5000
#define BROKER_NAME "mosquitto"

enum answer { SIGNALLED = 'S', NO_PID_FILE = 'N', NOT_RUNNING = 'R', A_STRANGER = 'X', REFUSED = 'E' };

static const struct {
	enum answer answer;
	int code;
	const char *text;
} answers[] = {
    {SIGNALLED, 0, ""},
    {NO_PID_FILE, E_NOTFOUND, "there is no pid file; is broker.pid_file in muster.conf the broker's?"},
    {NOT_RUNNING, E_NOTFOUND, "the pid file names no running process"},
    {A_STRANGER, E_NOTFOUND, "the pid file is stale: its process is not " BROKER_NAME},
    {REFUSED, E_SYS, "the broker could not be signalled: run Muster as root or as the broker's user"},
};

static int
answer_read(char byte, struct err *err)
{
	size_t i;

	for (i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		if ((char)answers[i].answer != byte)
			continue;
		return answers[i].code == 0 ? 0 : err_set(err, answers[i].code, "%s", answers[i].text);
	}
	return err_set(err, E_SYS, "the supervisor answered something unknown about the broker");
}

int
brokersignal_send(int fd, struct err *err)
{
	struct pollfd wait = {fd, POLLIN, 0};
	char byte;

	/* An answer that came after its time belongs to an earlier request. */
	while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		continue;
	byte = REQUEST;
	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return err_sys(err, "cannot ask the supervisor to signal the broker");
	if (poll(&wait, 1, ANSWER_MS) != 1 || recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
		return err_set(err, E_SYS, "the supervisor did not answer about the broker");
	return answer_read(byte, err);
}

static bool
pid_read(const char *pid_file, int64_t *pid_out)
{
	struct buf text = {0};
	bool ok;

	/* Empty: the broker has just begun to write it. */
	ok = fs_read(pid_file, 32, &text, NULL) == 0 && text.len > 0;
	if (ok) {
		text.data[strcspn(buf_str(&text), " \n")] = '\0';
		ok = integer_parse(buf_str(&text), 2, INT32_MAX, pid_out);
	}
	buf_clear(&text);
	return ok;
}

static bool
is_broker(int64_t pid)
{
	struct buf comm = {0};
	char path[64];
	bool ok;

	(void)snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
	ok = fs_read(path, 64, &comm, NULL) == 0 && strcmp(buf_str(&comm), BROKER_NAME "\n") == 0;
	buf_clear(&comm);
	return ok;
}

/* SIGNALLED, for now, means found; then *PIDFD_OUT is the caller's. */
static enum answer
find_broker(const char *pid_file, int64_t *pid_out, int *pidfd_out)
{
	int pidfd;

	if (!pid_read(pid_file, pid_out))
		return NO_PID_FILE;
	if ((pidfd = (int)syscall(SYS_pidfd_open, (pid_t)*pid_out, 0)) < 0)
		return NOT_RUNNING;
	if (!is_broker(*pid_out)) {
		(void)close(pidfd);
		return A_STRANGER;
	}
	*pidfd_out = pidfd;
	return SIGNALLED;
}

static enum answer
signal_broker(const char *pid_file)
{
	enum answer answer;
	int64_t pid;
	int pidfd;

	if ((answer = find_broker(pid_file, &pid, &pidfd)) != SIGNALLED)
		return answer;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGHUP, NULL, 0) != 0)
		answer = errno == ESRCH ? NOT_RUNNING : REFUSED;
	(void)close(pidfd);
	return answer;
}

int
brokersignal_find(const char *pid_file, pid_t *pid_out, struct err *err)
{
	enum answer answer;
	int64_t pid;
	int pidfd;

	if ((answer = find_broker(pid_file, &pid, &pidfd)) != SIGNALLED)
		return answer_read((char)answer, err);
	(void)close(pidfd);
	*pid_out = (pid_t)pid;
	return 0;
}

int
brokersignal_serve(int fd, const char *pid_file, struct err *err)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != 1 || byte != REQUEST)
		return err_set(err, E_SYS, "the api's end of the broker signal is closed");
	byte = (char)signal_broker(pid_file);
	if (send(fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		return err_sys(err, "cannot answer the api");
	return 0;
}
