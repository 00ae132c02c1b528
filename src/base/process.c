/* Reads /proc through descriptors that were opened in time. */
#include "base/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct process {
	int statm;
	pthread_mutex_t lock; /* of fds, which has a place */
	DIR *fds;
	int64_t started_at;
};

int
process_open(struct process **process_out, struct err *err)
{
	struct process *p = calloc(1, sizeof *p);
	int rc;

	if (p == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&p->lock, NULL);
	p->started_at = clock_now();
	if ((p->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) < 0 || (p->fds = opendir("/proc/self/fd")) == NULL) {
		rc = err_sys(err, "cannot look at /proc/self");
		process_close(p);
		return rc;
	}
	*process_out = p;
	return 0;
}

static void
memory_look(const struct process *p, struct process_use *out)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	long long pages, resident;
	char text[128];
	ssize_t n = pread(p->statm, text, sizeof text - 1, 0);

	if (n <= 0)
		return;
	text[n] = '\0';
	if (sscanf(text, "%lld %lld", &pages, &resident) != 2)
		return;
	out->virtual_bytes = pages * page;
	out->resident_bytes = resident * page;
}

static void
fds_look(struct process *p, struct process_use *out)
{
	struct dirent *entry;
	struct rlimit limit;
	int64_t n = 0;

	(void)pthread_mutex_lock(&p->lock);
	rewinddir(p->fds);
	while ((entry = readdir(p->fds)) != NULL)
		n += entry->d_name[0] != '.';
	(void)pthread_mutex_unlock(&p->lock);
	out->open_fds = n;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		out->max_fds = (int64_t)limit.rlim_cur;
}

void
process_look(struct process *p, struct process_use *out)
{
	struct rusage used;

	*out = (struct process_use){-1, -1, -1, -1, -1, p->started_at};
	memory_look(p, out);
	fds_look(p, out);
	if (getrusage(RUSAGE_SELF, &used) == 0)
		out->cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000) + used.ru_utime.tv_usec +
		    used.ru_stime.tv_usec;
}

void
process_close(struct process *p)
{
	if (p == NULL)
		return;
	if (p->statm >= 0)
		(void)close(p->statm);
	if (p->fds != NULL)
		(void)closedir(p->fds);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}
