#include "check.h"

#include "http/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connect to NAME, as listen_tcp wrote it; 0 or -1. */
static int
reach(const char *name)
{
	struct sockaddr_in where = {.sin_family = AF_INET};
	unsigned port;
	int fd, rc;

	assert_int_equal(sscanf(name, "127.0.0.1:%u", &port), 1);
	where.sin_port = htons((uint16_t)port);
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	rc = connect(fd, (struct sockaddr *)&where, sizeof where);
	(void)close(fd);
	return rc;
}

static void
test_a_free_port(void **state)
{
	char name[LISTEN_NAME_SIZE], other[LISTEN_NAME_SIZE];
	int fd = -1, second = -1, on = 0;
	socklen_t len = sizeof on;
	struct err err = {0};

	(void)state;
	assert_ok(listen_tcp("127.0.0.1:0", NULL, &fd, name, &err));
	assert_null(strstr(name, ":0")); /* the one it really has */
	assert_int_equal(reach(name), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_not_equal(on, 0);
	/* I15: a second server never shares it. */
	assert_int_equal(listen_tcp(name, NULL, &second, other, &err), E_SYS);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(second, -1);
	(void)close(fd);
	assert_ok(listen_tcp(name, NULL, &fd, other, &err)); /* and it is free again at once */
	assert_string_equal(name, other);
	(void)close(fd);
	assert_ok(listen_tcp("[::1]:0", NULL, &fd, name, &err));
	assert_memory_equal(name, "[::1]:", 6);
	(void)close(fd);
}

/* No name is ever looked up: an address is one, or an error. */
static void
test_addresses_that_are_none(void **state)
{
	static const char *const bad[] = {"localhost:0", "example.org:8443", "127.0.0.1", ":8443", "", "127.0.0.256:1",
	    "127.0.0.1:65536", "[::1:0", "192.0.2.1:0"};
	char name[LISTEN_NAME_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};
		int fd = -1, rc = listen_tcp(bad[i], NULL, &fd, name, &err);

		/* The last is an address, but not one of ours. */
		assert_int_equal(rc, i + 1 < sizeof bad / sizeof bad[0] ? E_INPUT : E_SYS);
		assert_int_equal(fd, -1);
	}
}

/* A socket that listens on 127.0.0.1, made by somebody else. */
static int
given_socket(char name_out[LISTEN_NAME_SIZE])
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof where;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&where, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
	(void)snprintf(name_out, LISTEN_NAME_SIZE, "127.0.0.1:%u", ntohs(where.sin_port));
	return fd;
}

static void
test_sockets_that_were_given(void **state)
{
	char first[LISTEN_NAME_SIZE], second[LISTEN_NAME_SIZE], name[LISTEN_NAME_SIZE];
	int a = given_socket(first), b = given_socket(second), fd = -1, own = -1, on = 0;
	struct listen_given given = {.fds = {a, b}, .n = 2};
	socklen_t len = sizeof on;
	struct err err = {0};

	(void)state;
	assert_ok(listen_tcp(first, &given, &fd, name, &err));
	assert_int_equal(fd, a);
	assert_string_equal(name, first);
	assert_int_equal(reach(name), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_not_equal(on, 0);
	/* It is not given twice, and the other is no answer to another address. */
	assert_int_equal(listen_tcp(first, &given, &own, name, &err), E_SYS);
	assert_ok(listen_tcp("127.0.0.1:0", &given, &own, name, &err));
	assert_true(own != a && own != b);
	assert_int_equal(listen_all_taken(&given, &err), E_INPUT);
	assert_non_null(strstr(err.text, second));
	(void)close(own);
	assert_ok(listen_tcp(second, &given, &own, name, &err));
	assert_int_equal(own, b);
	assert_ok(listen_all_taken(&given, &err));
	assert_ok(listen_all_taken(NULL, &err));
	(void)close(a);
	(void)close(b);
}

/* Neither a file nor a socket without an address passes for one that listens. */
static void
test_what_is_no_listening_socket(void **state)
{
	char name[LISTEN_NAME_SIZE];
	int fds[] = {open("/dev/null", O_RDONLY), socket(AF_UNIX, SOCK_STREAM, 0)};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct listen_given given = {.fds = {fds[i]}, .n = 1};
		struct err err = {0};
		int fd = -1;

		assert_int_equal(listen_tcp("127.0.0.1:0", &given, &fd, name, &err), E_SYS);
		assert_int_equal(fd, -1);
		assert_int_equal(listen_all_taken(&given, &err), E_SYS);
		(void)close(fds[i]);
	}
}

static void
test_unix_sockets(void **state)
{
	char dir[] = "/tmp/muster-test-XXXXXX", path[64], large[256];
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	struct err err = {0};
	struct stat st;
	mode_t before = umask(0);
	int fd = -1, client, again = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/muster.sock", dir);
	(void)snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
	assert_ok(listen_unix(path, &fd, &err));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660); /* whatever the umask */
	assert_int_equal(umask(before), 0);	    /* which is as it was */
	(void)close(fd);
	/* What a killed server left is replaced. */
	assert_ok(listen_unix(path, &again, &err));
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&where, sizeof where), 0);
	(void)close(client);
	(void)close(again);
	assert_int_equal(unlink(path), 0);
	/* Anything else is not ours to remove: a file, a folder, a link to a socket. */
	assert_true((client = open(path, O_CREAT | O_WRONLY, 0600)) >= 0);
	assert_int_equal(write(client, "x", 1), 1);
	(void)close(client);
	fd = -1;
	assert_int_equal(listen_unix(path, &fd, &err), E_CONFLICT);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/log", path), 0);
	assert_int_equal(listen_unix(path, &fd, &err), E_CONFLICT);
	assert_int_equal(unlink(path), 0);
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	assert_int_equal(listen_unix(large, &fd, &err), E_INPUT);
	assert_int_equal(listen_unix("/nonexistent/muster.sock", &fd, &err), E_SYS);
	assert_int_equal(fd, -1);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_free_port),
	    cmocka_unit_test(test_addresses_that_are_none),
	    cmocka_unit_test(test_sockets_that_were_given),
	    cmocka_unit_test(test_what_is_no_listening_socket),
	    cmocka_unit_test(test_unix_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
