/* The sandbox, in children that enter it for good. */
#include "check.h"

#include "base/fs.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

/* Run FN in a child; its exit status, or 128 + the signal that ended it. */
static int
in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *
path(const char *name)
{
	static char out[FS_PATH_MAX];

	(void)snprintf(out, sizeof out, "%s/%s", dir, name);
	return out;
}

static int
try_open(const char *name, int flags)
{
	int fd = open(path(name), flags | O_CLOEXEC, 0600);

	return fd >= 0 ? 0 : errno;
}

static int
enter_paths(void)
{
	char allowed[FS_PATH_MAX], readonly[FS_PATH_MAX], sub[FS_PATH_MAX];
	struct err err = {0};

	(void)snprintf(allowed, sizeof allowed, "%s", path("allowed"));
	(void)snprintf(readonly, sizeof readonly, "%s", path("readonly"));
	(void)snprintf(sub, sizeof sub, "%s", path("sub"));
	const struct sandbox_path paths[] = {{allowed, SANDBOX_WRITE_FILE, false}, {readonly, SANDBOX_READ_FILE, false},
	    {sub, SANDBOX_WRITE_DIR, false}, {"/nonexistent", SANDBOX_READ_FILE, true}};

	return sandbox_limit_paths(paths, 4, &err);
}

static int
check_paths(void)
{
	struct err err = {0};
	char sub[FS_PATH_MAX];

	if (enter_paths() != 0)
		return 1;
	if (try_open("allowed", O_RDWR) != 0 || try_open("readonly", O_RDONLY) != 0)
		return 2;
	if (try_open("readonly", O_WRONLY) != EACCES || try_open("secret", O_RDONLY) != EACCES)
		return 3;
	if (try_open("fresh", O_RDWR | O_CREAT) != EACCES || unlink(path("allowed")) == 0)
		return 4;
	/* What the publisher does: write beside, rename over. */
	(void)snprintf(sub, sizeof sub, "%s", path("sub/acl"));
	if (fs_write(sub, 0640, (gid_t)-1, "x", 1, &err) != 0 || fs_write(sub, 0640, (gid_t)-1, "y", 1, &err) != 0)
		return 5;
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 6;
}

static void
test_only_the_allowed_paths(void **state)
{
	(void)state;
	assert_true(sandbox_has_landlock());
	assert_int_equal(in_child(check_paths), 0);
}

static int
missing_path(void)
{
	const struct sandbox_path paths[] = {{"/nonexistent", SANDBOX_READ_FILE, false}};
	struct err err = {0};

	return sandbox_limit_paths(paths, 1, &err) == E_SYS ? 0 : 1;
}

static void
test_a_missing_path_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(in_child(missing_path), 0);
}

static int
signer_calls(void)
{
	struct err err = {0};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
	    sandbox_limit_calls(SANDBOX_CALLS_SIGNER, &err) != 0)
		return 1;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM || socket(AF_INET, SOCK_STREAM, 0) >= 0)
		return 2;
	if (fork() >= 0 || errno != EPERM)
		return 3;
	if (kill(getppid(), 0) == 0)
		return 4;
	return write(pair[0], "x", 1) == 1 ? 0 : 5;
}

static void
test_the_signer_makes_no_sockets(void **state)
{
	(void)state;
	assert_int_equal(in_child(signer_calls), 0);
}

static void *
thread(void *arg)
{
	*(int *)arg = 7;
	return NULL;
}

static int
api_calls(void)
{
	struct err err = {0};
	pthread_t id;
	int value = 0, fd;

	if (sandbox_limit_calls(SANDBOX_CALLS_API, &err) != 0)
		return 1;
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
		return 2;
	if (pthread_create(&id, NULL, thread, &value) != 0 || pthread_join(id, NULL) != 0 || value != 7)
		return 3;
	if (kill(getppid(), 0) == 0)
		return 4;
	return try_open("allowed", O_RDWR);
}

static void
test_the_api_has_sockets_and_threads(void **state)
{
	(void)state;
	assert_int_equal(in_child(api_calls), 0);
}

static int
api_exec(void)
{
	char *const argv[] = {(char *)"true", NULL};
	struct err err = {0};

	if (sandbox_limit_calls(SANDBOX_CALLS_API, &err) != 0)
		return 1;
	(void)execv("/bin/true", argv);
	return 2;
}

static int
signer_exec(void)
{
	char *const argv[] = {(char *)"true", NULL};
	struct err err = {0};

	if (sandbox_limit_calls(SANDBOX_CALLS_SIGNER, &err) != 0)
		return 1;
	(void)execv("/bin/true", argv);
	return 2;
}

static void
test_exec_kills(void **state)
{
	(void)state;
	assert_int_equal(in_child(api_exec), 128 + SIGSYS);
	assert_int_equal(in_child(signer_exec), 128 + SIGSYS);
}

static int
become_root(void)
{
	struct err err = {0};

	return sandbox_become(0, 0, NULL, 0, &err) == E_SYS ? 0 : 1;
}

static void
test_users(void **state)
{
	struct err err = {0};
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_ok(sandbox_user("root", &uid, &gid, &err));
	assert_int_equal(uid, 0);
	assert_int_equal(sandbox_user("no-such-user", &uid, &gid, &err), E_NOTFOUND);
	assert_int_equal(sandbox_group("no-such-group", &gid, &err), E_NOTFOUND);
	assert_int_equal(in_child(become_root), 0);
}

static int
setup(void **state)
{
	static const char *const names[] = {"allowed", "readonly", "secret"};
	size_t i;

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	for (i = 0; i < 3; i++)
		if (try_open(names[i], O_RDWR | O_CREAT) != 0)
			return -1;
	return fs_mkdir(path("sub"), 0700, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path("sub/acl"));
	(void)rmdir(path("sub"));
	(void)unlink(path("allowed"));
	(void)unlink(path("readonly"));
	(void)unlink(path("secret"));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_only_the_allowed_paths),
	    cmocka_unit_test(test_a_missing_path_is_an_error),
	    cmocka_unit_test(test_the_signer_makes_no_sockets),
	    cmocka_unit_test(test_the_api_has_sockets_and_threads),
	    cmocka_unit_test(test_exec_kills),
	    cmocka_unit_test(test_users),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
