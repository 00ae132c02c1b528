/* One line, written over itself. */
#include "cmd/progress.h"

#include <stdio.h>
#include <unistd.h>

void
progress_add(struct progress *p, uint64_t n)
{
	unsigned percent;

	p->done += n;
	percent = p->total == 0 || p->done > p->total ? 100 : (unsigned)(p->done * 100 / p->total);
	if (percent + 1 == p->shown || isatty(STDERR_FILENO) != 1)
		return;
	p->shown = percent + 1;
	(void)fprintf(stderr, "\r%s: %u %% of %llu %s", p->what, percent,
	    (unsigned long long)(p->unit != NULL ? p->total : p->total / 1000000), p->unit != NULL ? p->unit : "MB");
	(void)fflush(stderr);
}

void
progress_count(struct progress *p, uint64_t n)
{
	if (isatty(STDERR_FILENO) != 1)
		return;
	p->shown = 1;
	(void)fprintf(stderr, "\r%s: %llu rows", p->what, (unsigned long long)n);
	(void)fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->shown > 0)
		(void)fprintf(stderr, "\r\033[K");
	p->shown = 0;
}
