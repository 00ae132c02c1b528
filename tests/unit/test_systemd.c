/* systemd's end of the notification, as a socket of our own. */
#include "check.h"

#include "cmd/systemd.h"

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
	/* Where there is no systemd, or it went away, nothing happens. */
	(void)close(fd);
	systemd_ready();
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	systemd_ready();
	assert_int_equal(unlink(where.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_systemd_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
