/* No SO_REUSEPORT: it would let a second server take a share of the connections silently. */
#include "http/listen.h"

#include "base/text.h"
#include "core/settings.h"

#include <errno.h>
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
name_make(int fd, char name_out[LISTEN_NAME_SIZE], struct err *err)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;
	char host[64], port[8];

	if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return err_sys(err, "cannot tell which port was bound");
	(void)snprintf(name_out, LISTEN_NAME_SIZE, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
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

int
listen_tcp(const char *address, int *fd_out, char name_out[LISTEN_NAME_SIZE], struct err *err)
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
	if ((rc = tcp_bind(where, address, &fd, err)) == 0 && (rc = name_make(fd, name_out, err)) != 0)
		(void)close(fd);
	else if (rc == 0)
		*fd_out = fd;
	freeaddrinfo(where);
	return rc;
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
