/* A whole home in a temporary folder and a real signer process: what tests of the signer and of core/ work on. */
#ifndef MUSTER_TESTS_HOME_FIXTURE_H
#define MUSTER_TESTS_HOME_FIXTURE_H

#include "check.h"

#include "base/log.h"
#include "cmd/home.h"
#include "signer/main.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture_home {
	char base[64];
	char dir[80];
	char socket_path[96];
	bool sandbox;					  /* for the next signer */
	int (*run)(const struct signer_options *options); /* in the next signer's process; NULL: signer_main */
	pid_t signer;
	int listener;
	int alive[2];
};

/* The supervisor's part: the signer's socket outlives the signers. */
static inline void
fixture_listen(struct fixture_home *h)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", h->socket_path);
	h->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(h->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(h->listener, 8), 0);
}

static inline void
fixture_unlisten(struct fixture_home *h)
{
	(void)close(h->listener);
	assert_int_equal(unlink(h->socket_path), 0);
}

static inline void
fixture_home_make(struct fixture_home *h)
{
	struct home_options options = {.hosts = {"localhost"}, .n_hosts = 1, .org = "Test", .key = KEY_EC_P256};
	struct home_made made;
	struct err err = {0};

	(void)snprintf(h->base, sizeof h->base, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(h->base));
	(void)snprintf(h->dir, sizeof h->dir, "%s/home", h->base);
	(void)snprintf(h->socket_path, sizeof h->socket_path, "%s/signer.sock", h->dir);
	options.dir = h->dir;
	assert_ok(home_create(&options, &made, &err));
	fixture_listen(h);
}

static inline void
fixture_home_remove(struct fixture_home *h)
{
	char command[128];

	(void)close(h->listener);
	(void)snprintf(command, sizeof command, "rm -rf %s", h->base);
	assert_int_equal(system(command), 0); /* our own mkdtemp */
}

static inline void
fixture_signer_start(struct fixture_home *h)
{
	struct signer_options options = {.dir = h->dir, .listen_fd = h->listener, .sandbox = h->sandbox};

	assert_int_equal(pipe(h->alive), 0);
	options.alive_fd = h->alive[0];
	h->signer = fork();
	assert_true(h->signer >= 0);
	if (h->signer == 0) {
		(void)close(h->alive[1]);
		log_init("signer", false);
		_exit((h->run != NULL ? h->run : signer_main)(&options) == 0 ? 0 : 1);
	}
	(void)close(h->alive[0]);
}

/* Wait for the signer's end: its exit status, or 128 + the signal that ended it. */
static inline int
fixture_signer_wait(struct fixture_home *h)
{
	int status;

	assert_int_equal(waitpid(h->signer, &status, 0), h->signer);
	(void)close(h->alive[1]);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void
fixture_signer_kill(struct fixture_home *h)
{
	(void)kill(h->signer, SIGKILL);
	assert_int_equal(fixture_signer_wait(h), 128 + SIGKILL);
}

#endif
