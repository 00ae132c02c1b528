/* The supervisor with children that do what they are told instead of serving: a script stands in for the program. */
#include "check.h"

#include "base/clock.h"
#include "base/fs.h"
#include "cmd/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes what it is and hears into DIR/log; lives as DIR/NAME says: "exit N", or until SIGTERM. */
static const char script[] = "#!/bin/sh\n"
			     "dir=$2 name=$3\n"
			     "echo \"start $name $*\" >>\"$dir/log\"\n"
			     "[ ! -e \"$dir/$name\" ] || . \"$dir/$name\"\n"
			     "trap 'echo \"term $name\" >>\"$dir/log\"; exit 0' TERM\n"
			     "trap 'echo \"hup $name\" >>\"$dir/log\"' HUP\n"
			     "echo \"up $name $$\" >>\"$dir/log\"\n"
			     "while :; do sleep 0.02; done\n";

struct fixture {
	char dir[64], self[80], log[80];
	struct supervisor_options options;
	pid_t pid;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char conf[FS_PATH_MAX];
	struct err err = {0};

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0711), 0); /* as root the children are other users */
	(void)snprintf(f->self, sizeof f->self, "%s/self", f->dir);
	(void)snprintf(f->log, sizeof f->log, "%s/log", f->dir);
	assert_ok(fs_write(f->self, 0755, (gid_t)-1, script, sizeof script - 1, &err));
	assert_ok(fs_write(f->log, 0666, (gid_t)-1, "", 0, &err));
	assert_ok(fs_path(conf, f->dir, "muster.conf", &err));
	assert_ok(fs_write(conf, 0644, (gid_t)-1, "", 0, &err)); /* all by default */
	assert_int_equal(chmod(f->log, 0666), 0);
	f->options = (struct supervisor_options){.dir = f->dir, .self = f->self};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = {"self", "log", "signer-process", "api-process", "muster.conf", "muster.lock",
	    "signer.sock"};
	struct fixture *f = *state;
	char path[FS_PATH_MAX];
	struct err err = {0};
	size_t i;

	if (f->pid > 0) {
		(void)kill(f->pid, SIGKILL); /* its children go with it */
		(void)waitpid(f->pid, NULL, 0);
	}
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_ok(fs_path(path, f->dir, names[i], &err));
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static pid_t
run(struct fixture *f)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)!freopen("/dev/null", "w", stderr);
		/* What nohup had ignored, the script that stands in for the children could not trap. */
		(void)signal(SIGHUP, SIG_DFL);
		(void)signal(SIGINT, SIG_DFL);
		_exit(supervisor_run(&f->options));
	}
	return pid;
}

static int
status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* How often does the log say TEXT? */
static unsigned
logged(struct fixture *f, const char *text)
{
	struct buf log = {0};
	struct err err = {0};
	const char *p;
	unsigned n = 0;

	assert_ok(fs_read(f->log, 1 << 20, &log, &err));
	for (p = buf_str(&log); (p = strstr(p, text)) != NULL; p++)
		n++;
	buf_clear(&log);
	return n;
}

static void
wait_for(struct fixture *f, const char *text, unsigned n)
{
	int i;

	for (i = 0; i < 1000 && logged(f, text) < n; i++)
		(void)usleep(10000);
	assert_int_equal(logged(f, text), n);
}

static void
child_does(struct fixture *f, const char *name, const char *what)
{
	char path[FS_PATH_MAX];
	struct err err = {0};

	assert_ok(fs_path(path, f->dir, name, &err));
	assert_ok(fs_write(path, 0644, (gid_t)-1, what, strlen(what), &err));
}

static pid_t
child_pid(struct fixture *f, const char *name)
{
	struct buf log = {0};
	struct err err = {0};
	const char *p, *last = NULL;
	char text[64];
	pid_t pid;

	(void)snprintf(text, sizeof text, "up %s ", name);
	assert_ok(fs_read(f->log, 1 << 20, &log, &err));
	for (p = buf_str(&log); (p = strstr(p, text)) != NULL; p++)
		last = p + strlen(text);
	assert_non_null(last);
	pid = (pid_t)strtol(last, NULL, 10);
	buf_clear(&log);
	assert_true(pid > 1);
	return pid;
}

static void
test_children_come_back_and_end_in_order(void **state)
{
	struct fixture *f = *state;
	struct buf log = {0};
	struct err err = {0};
	const char *api, *signer;

	f->pid = run(f);
	wait_for(f, "up signer-process", 1);
	wait_for(f, "up api-process", 1);
	assert_int_equal(logged(f, " signer-process --alive-fd "), 1);
	assert_int_equal(logged(f, "--no-sandbox"), 2);
	assert_int_equal(kill(child_pid(f, "signer-process"), SIGKILL), 0);
	wait_for(f, "up signer-process", 2);
	assert_int_equal(logged(f, "start api-process"), 1); /* the other one is left alone */
	assert_int_equal(kill(f->pid, SIGHUP), 0);
	wait_for(f, "hup api-process", 1);
	wait_for(f, "hup signer-process", 1);
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	assert_int_equal(status_of(f->pid), 0);
	f->pid = 0;
	/* The api first: it may still need the signer. */
	assert_ok(fs_read(f->log, 1 << 20, &log, &err));
	assert_non_null(api = strstr(buf_str(&log), "term api-process"));
	assert_non_null(signer = strstr(buf_str(&log), "term signer-process"));
	assert_true(api < signer);
	buf_clear(&log);
}

/* Status 3 at the very first start is not tried again; the other child is ended too. */
static void
test_a_hopeless_child(void **state)
{
	struct fixture *f = *state;

	child_does(f, "signer-process", "exit 3\n");
	f->pid = run(f);
	assert_int_equal(status_of(f->pid), 1);
	f->pid = 0;
	assert_int_equal(logged(f, "start signer-process"), 1);
}

/* One that keeps dying is given up, after a few more and more patient tries. */
static void
test_a_child_that_keeps_dying(void **state)
{
	struct fixture *f = *state;

	child_does(f, "api-process", "exit 1\n");
	f->pid = run(f);
	assert_int_equal(status_of(f->pid), 1);
	f->pid = 0;
	assert_int_equal(logged(f, "start api-process"), 5);
	assert_int_equal(logged(f, "start signer-process"), 1);
}

/* I2: one that was of use comes back when what ailed it has passed, however long that took: each pause is twice as long. */
static void
test_a_child_that_lasted_once(void **state)
{
	struct fixture *f = *state;
	int64_t began_ms;

	f->options.lasting_ms = 200;
	f->pid = run(f);
	wait_for(f, "up api-process", 1);
	(void)usleep(300000);
	child_does(f, "api-process", "exit 3\n");
	began_ms = clock_mono_ms();
	assert_int_equal(kill(child_pid(f, "api-process"), SIGKILL), 0);
	wait_for(f, "start api-process", 8); /* after 0 + 0 + 100 + 200 + 400 + 800 + 1600 ms */
	assert_in_range(clock_mono_ms() - began_ms, 3100, 60000);
	child_does(f, "api-process", "");
	wait_for(f, "up api-process", 2);
	assert_int_equal(logged(f, "start signer-process"), 1);
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	assert_int_equal(status_of(f->pid), 0);
	f->pid = 0;
}

/* I15 */
static void
test_one_server_a_home(void **state)
{
	struct fixture *f = *state;

	f->pid = run(f);
	wait_for(f, "up api-process", 1);
	assert_int_equal(status_of(run(f)), 1);
	assert_int_equal(logged(f, "start api-process"), 1);
	assert_int_equal(kill(child_pid(f, "api-process"), 0), 0); /* and the first goes on */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_children_come_back_and_end_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_hopeless_child, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_child_that_keeps_dying, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_child_that_lasted_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_server_a_home, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
