/* Both ends over a real pair, and real processes as the broker: its name is what the kernel says it is. */
#include "check.h"

#include "base/fs.h"
#include "core/brokersignal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	char dir[64], pid_file[80];
	int ends[2]; /* the api's, the supervisor's */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->pid_file, sizeof f->pid_file, "%s/pid", f->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->ends), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	(void)close(f->ends[0]);
	(void)close(f->ends[1]);
	(void)unlink(f->pid_file);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

/* The supervisor, for one request. */
static void *
serve_one(void *arg)
{
	struct fixture *f = arg;
	struct err err = {0};
	char byte;

	(void)recv(f->ends[1], &byte, 1, MSG_PEEK); /* blocks */
	return brokersignal_serve(f->ends[1], f->pid_file, &err) == 0 ? f : NULL;
}

static int
ask(struct fixture *f, struct err *err)
{
	pthread_t thread;
	void *served;
	int rc;

	assert_int_equal(pthread_create(&thread, NULL, serve_one, f), 0);
	rc = brokersignal_send(f->ends[0], err);
	assert_int_equal(pthread_join(thread, &served), 0);
	assert_non_null(served);
	return rc;
}

static void
pid_file_is(struct fixture *f, const char *text)
{
	struct err err = {0};

	assert_ok(fs_write(f->pid_file, 0644, (gid_t)-1, text, strlen(text), &err));
}

/* A process named NAME, named in the pid file; it lives until it is signalled. */
static pid_t
process_start(struct fixture *f, const char *name)
{
	char text[32], ready;
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGHUP, SIG_DFL);
		(void)prctl(PR_SET_NAME, name, 0, 0, 0);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)!write(pipes[1], "r", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(pipes[0], &ready, 1), 1);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	(void)snprintf(text, sizeof text, "%d\n", (int)pid);
	pid_file_is(f, text);
	return pid;
}

/* What ended it? */
static int
process_end(pid_t pid)
{
	int status;

	(void)kill(pid, SIGKILL); /* after a SIGHUP it is too late for this */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void
test_the_broker_gets_its_signal(void **state)
{
	struct fixture *f = *state;
	pid_t broker = process_start(f, "mosquitto");
	struct err err = {0};
	siginfo_t info;

	assert_ok(ask(f, &err));
	assert_int_equal(waitid(P_PID, (id_t)broker, &info, WEXITED | WNOWAIT), 0); /* dies of it */
	assert_int_equal(process_end(broker), SIGHUP);
	/* Now it is dead, and the pid file stale. */
	assert_int_equal(ask(f, &err), E_NOTFOUND);
	assert_non_null(strstr(err.text, "no running process"));
}

/* A stale pid file names a stranger, who would die of a SIGHUP. */
static void
test_strangers_are_left_alone(void **state)
{
	static const char *const names[] = {"mosquitto_sub", "mosquitt", "postgres"};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		pid_t stranger = process_start(f, names[i]);
		struct err err = {0};

		assert_int_equal(ask(f, &err), E_NOTFOUND);
		assert_non_null(strstr(err.text, "stale"));
		assert_int_equal(process_end(stranger), SIGKILL);
	}
}

/* Also one that is being written just now: empty. Nobody is signalled, and nothing falls. */
static void
test_pid_files_that_name_nobody(void **state)
{
	static const char *const texts[] = {"", "\n", " ", "-1\n", "0\n", "1\n", "12x\n", "0x10\n", "mosquitto\n",
	    "99999999999999999999\n", "4194305\n"};
	struct fixture *f = *state;
	struct err err = {0};
	char long_text[4096];
	size_t i;

	assert_int_equal(ask(f, &err), E_NOTFOUND); /* none at all */
	assert_non_null(strstr(err.text, "no pid file"));
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		pid_file_is(f, texts[i]);
		assert_int_equal(ask(f, &err), E_NOTFOUND);
	}
	memset(long_text, '1', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	pid_file_is(f, long_text);
	assert_int_equal(ask(f, &err), E_NOTFOUND);
}

/* An answer that came too late belongs to an earlier request: it must not be taken for this one's. */
static void
test_a_late_answer_is_not_this_ones(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	assert_int_equal(send(f->ends[1], "S", 1, 0), 1); /* "signalled", long ago */
	assert_int_equal(ask(f, &err), E_NOTFOUND);	  /* there is no pid file */
}

static void
test_peers_that_are_gone_or_mad(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	char byte;

	/* Nothing asked yet: nothing to answer. */
	assert_ok(brokersignal_serve(f->ends[1], f->pid_file, &err));
	assert_int_equal(recv(f->ends[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(send(f->ends[0], "x", 1, 0), 1);
	assert_int_equal(brokersignal_serve(f->ends[1], f->pid_file, &err), E_SYS);
	assert_int_equal(close(f->ends[0]), 0);
	assert_int_equal(brokersignal_serve(f->ends[1], f->pid_file, &err), E_SYS);
	f->ends[0] = f->ends[1];
	f->ends[1] = -1;
	assert_int_equal(brokersignal_send(f->ends[0], &err), E_SYS); /* and no SIGPIPE */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_the_broker_gets_its_signal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_strangers_are_left_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pid_files_that_name_nobody, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_late_answer_is_not_this_ones, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_peers_that_are_gone_or_mad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
