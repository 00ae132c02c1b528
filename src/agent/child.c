/* Nothing of ours reaches them but what is meant to: no descriptor, no signal mask or handler. */
#include "agent/child.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_STARTED 127

/* In the new process: become ARGV with IN and OUT, if they are not -1. */
static _Noreturn void
become(const char *path, char *const *argv, int in, int out)
{
	(void)setpgid(0, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	if ((in < 0 || dup2(in, STDIN_FILENO) >= 0) && (out < 0 || dup2(out, STDOUT_FILENO) >= 0) &&
	    close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		(void)execv(path, argv);
	_exit(NOT_STARTED);
}

int
child_shell(const char *command, pid_t *pid_out, int *fd_out, struct err *err)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
	int ends[2], nothing;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(err, "cannot make a pipe");
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if ((pid = fork()) == 0)
		become("/bin/sh", argv, nothing, ends[1]);
	(void)close(ends[1]);
	(void)close(nothing);
	if (pid < 0) {
		(void)close(ends[0]);
		return err_sys(err, "cannot start a process");
	}
	*pid_out = pid;
	*fd_out = ends[0];
	return 0;
}

int
child_hand(const char *path, const char *argument, const void *data, size_t len, pid_t *pid_out, struct err *err)
{
	char *argv[] = {(char *)path, (char *)argument, NULL};
	int fd = memfd_create("message", MFD_CLOEXEC), rc;
	pid_t pid = -1;

	if (fd < 0)
		return err_sys(err, "cannot keep a message");
	if ((rc = fs_write_all(fd, data, len, err)) == 0 && lseek(fd, 0, SEEK_SET) == 0 && (pid = fork()) == 0)
		become(path, argv, fd, -1);
	(void)close(fd);
	if (rc != 0)
		return rc;
	if (pid < 0)
		return err_sys(err, "cannot start a process");
	*pid_out = pid;
	return 0;
}

int
child_ended(pid_t pid, int *status_out)
{
	pid_t found;

	if (pid <= 0)
		return 0;
	do
		found = waitpid(pid, status_out, WNOHANG);
	while (found < 0 && errno == EINTR);
	return found == pid || (found < 0 && errno == ECHILD);
}

void
child_end(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
}
