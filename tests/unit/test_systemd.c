/* systemd's end, played by the test. */
#include "check.h"

#include "cmd/systemd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
test_systemd_is_told(void **state)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/muster-test-XXXXXX", said[64] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(where.sun_path, sizeof where.sun_path, "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof where), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", where.sun_path, 1), 0);
	systemd_ready();
	assert_true(recv(fd, said, sizeof said - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(said, "READY=1");
	memset(said, 0, sizeof said);
	systemd_stopping();
	assert_true(recv(fd, said, sizeof said - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(said, "STOPPING=1");
	memset(said, 0, sizeof said);
	systemd_reloading();
	assert_true(recv(fd, said, sizeof said - 1, MSG_DONTWAIT) > 0);
	assert_memory_equal(said, "RELOADING=1\nMONOTONIC_USEC=", 27);
	/* Where there is no systemd, or it went away, nothing happens. */
	(void)close(fd);
	systemd_ready();
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	systemd_ready();
	assert_int_equal(unlink(where.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
announce(pid_t pid, const char *n)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%d", (int)pid);
	assert_int_equal(setenv("LISTEN_PID", text, 1), 0);
	assert_int_equal(setenv("LISTEN_FDS", n, 1), 0);
}

static void
test_sockets_are_taken_once(void **state)
{
	struct listen_given given = {.n = 7};
	struct err err = {0};
	int fd = fcntl(STDOUT_FILENO, F_DUPFD, 50), saved = fcntl(3, F_DUPFD, 50), i;

	(void)state;
	assert_int_equal(dup2(fd, 3), 3); /* the first that is given */
	announce(getpid(), "1");
	assert_ok(systemd_sockets(&given, &err));
	assert_int_equal(given.n, 1);
	assert_int_equal(given.fds[0], 3);
	assert_true((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
	assert_ok(systemd_sockets(&given, &err));
	assert_int_equal(given.n, 0);
	announce(getppid(), "1"); /* somebody else's */
	assert_ok(systemd_sockets(&given, &err));
	assert_int_equal(given.n, 0);
	announce(getpid(), "x");
	assert_int_equal(systemd_sockets(&given, &err), E_SYS);
	for (i = 0; i <= LISTEN_GIVEN_MAX; i++)
		assert_int_equal(dup2(fd, 3 + i), 3 + i);
	announce(getpid(), "9");
	assert_int_equal(systemd_sockets(&given, &err), E_LIMIT);
	for (i = 1; i <= LISTEN_GIVEN_MAX; i++)
		(void)close(3 + i);
	(void)close(3);
	(void)close(fd);
	if (saved >= 0)
		assert_int_equal(dup2(saved, 3), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_systemd_is_told),
	    cmocka_unit_test(test_sockets_are_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
