/* What each module that has a thread needs once. */
#include "base/thread.h"

#include <signal.h>
#include <string.h>
#include <time.h>

int
thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, const char *what, struct err *err)
{
	sigset_t all, before;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(thread, NULL, run, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed == 0 ? 0 : err_set(err, E_SYS, "cannot start %s: %s", what, strerror(failed));
}

void
thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}
