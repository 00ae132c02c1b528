/* Threads, and conditions that are waited for until a moment. */
#ifndef MUSTER_BASE_THREAD_H
#define MUSTER_BASE_THREAD_H

#include "base/err.h"

#include <pthread.h>

/* Start RUN with ARG in a thread of its own, at which no signal arrives: they belong to the main thread. WHAT it is stands in
 * the error: "cannot start WHAT". To be joined. E_SYS. */
MUST_CHECK int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, const char *what, struct err *err);

/* A condition whose timed waits go by CLOCK_MONOTONIC, which nobody sets. */
void thread_cond_init(pthread_cond_t *cond);

#endif
