/* No SO_REUSEPORT: it would let a second server take a share of the connections silently. */
#include "http/listen.h"

#include "base/text.h"
#include "core/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

static int
name_make(const struct sockaddr *address, socklen_t len, char name_out[LISTEN_NAME_SIZE], struct err *err)
{
	char host[64], port[8];

	if ((address->sa_family != AF_INET && address->sa_family != AF_INET6) ||
	    getnameinfo(address, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return err_set(err, E_SYS, "a listening socket that is not TCP's");
	(void)snprintf(name_out, LISTEN_NAME_SIZE, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

/* Where FD is bound. */
static int
name_of(int fd, char name_out[LISTEN_NAME_SIZE], struct err *err)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;

	if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
		return err_sys(err, "cannot tell where descriptor %d is bound", fd);
	return name_make((struct sockaddr *)&bound, len, name_out, err);
}

static int
tcp_bind(const struct addrinfo *where, const char *address, int *fd_out, struct err *err)
{
	const int on = 1;
	int fd;

	fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Accepted sockets inherit TCP_NODELAY; without it a reply in two writes waits for the peer's ack. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
	    bind(fd, where->ai_addr, where->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		(void)err_sys(err, "cannot listen on %s", address);
		if (fd >= 0)
			(void)close(fd);
		return E_SYS;
	}
	*fd_out = fd;
	return 0;
}

/* *FD_OUT stays -1 if GIVEN has nothing there. */
static int
tcp_take(const struct addrinfo *where, struct listen_given *given, int *fd_out, struct err *err)
{
	char wanted[LISTEN_NAME_SIZE], name[LISTEN_NAME_SIZE];
	const int on = 1;
	size_t i;
	int rc;

	if (given == NULL || given->n == 0)
		return 0;
	if ((rc = name_make(where->ai_addr, where->ai_addrlen, wanted, err)) != 0)
		return rc;
	for (i = 0; i < given->n; i++) {
		int fd = given->fds[i];

		if ((rc = name_of(fd, name, err)) != 0)
			return rc;
		if (strcmp(name, wanted) != 0)
			continue;
		/* What we give a socket of our own, below. */
		if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || listen(fd, BACKLOG) != 0)
			return err_sys(err, "cannot listen with the socket that was given for %s", wanted);
		given->fds[i] = given->fds[--given->n];
		*fd_out = fd;
		return 0;
	}
	return 0;
}

int
listen_tcp(const char *address, struct listen_given *given, int *fd_out, char name_out[LISTEN_NAME_SIZE],
    struct err *err)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	struct addrinfo *where = NULL;
	char host[64], service[8];
	uint16_t port;
	int fd = -1, rc;

	if ((rc = settings_split_listen(address, host, &port, err)) != 0)
		return rc;
	(void)snprintf(service, sizeof service, "%u", port);
	if (getaddrinfo(host, service, &hints, &where) != 0)
		return err_set(err, E_INPUT, "cannot listen on %s: it must be an IP address and a port", address);
	if ((rc = tcp_take(where, given, &fd, err)) != 0 ||
	    (fd < 0 && (rc = tcp_bind(where, address, &fd, err)) != 0))
		goto out;
	if ((rc = name_of(fd, name_out, err)) != 0)
		(void)close(fd);
	else
		*fd_out = fd;
out:
	freeaddrinfo(where);
	return rc;
}

int
listen_all_taken(const struct listen_given *given, struct err *err)
{
	char name[LISTEN_NAME_SIZE];
	int rc;

	if (given == NULL || given->n == 0)
		return 0;
	if ((rc = name_of(given->fds[0], name, err)) != 0)
		return rc;
	return err_set(err, E_INPUT,
	    "a socket was given that listens on %s, but no `listen` in muster.conf says so: they must agree (systemctl edit "
	    "muster.socket)", name);
}

int
listen_unix(const char *path, int *fd_out, struct err *err)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	struct stat there;
	mode_t before;
	int fd, rc = 0;

	if (!text_copy(where.sun_path, sizeof where.sun_path, path))
		return err_set(err, E_INPUT, "%s is longer than the %zu bytes a socket's path may have", path,
		    sizeof where.sun_path - 1);
	if (lstat(path, &there) == 0 && (!S_ISSOCK(there.st_mode) || unlink(path) != 0))
		return err_set(err, E_CONFLICT, "%s is in the way of our socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	before = umask(0117); /* it is made with its mode: never open for a moment */
	if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof where) != 0 || listen(fd, BACKLOG) != 0)
		rc = err_sys(err, "cannot listen on %s", path);
	(void)umask(before);
	if (rc == 0)
		*fd_out = fd;
	else if (fd >= 0)
		(void)close(fd);
	return rc;
}
