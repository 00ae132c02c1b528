/* What a call prints, both standard output and standard error. */
#ifndef MUSTER_TESTS_CAPTURE_H
#define MUSTER_TESTS_CAPTURE_H

#include "check.h"

#include "base/buf.h"

#include <stdio.h>
#include <unistd.h>

struct capture {
	FILE *file;
	int out, errors;
};

static inline void
capture_begin(struct capture *c)
{
	(void)fflush(NULL);
	assert_non_null(c->file = tmpfile());
	c->out = dup(STDOUT_FILENO);
	c->errors = dup(STDERR_FILENO);
	(void)dup2(fileno(c->file), STDOUT_FILENO);
	(void)dup2(fileno(c->file), STDERR_FILENO);
}

/* Append what was printed since to PRINTED. */
static inline void
capture_end(struct capture *c, struct buf *printed)
{
	char chunk[4096];
	size_t n;

	(void)fflush(NULL);
	(void)dup2(c->out, STDOUT_FILENO);
	(void)dup2(c->errors, STDERR_FILENO);
	(void)close(c->out);
	(void)close(c->errors);
	rewind(c->file);
	while ((n = fread(chunk, 1, sizeof chunk, c->file)) > 0)
		buf_append(printed, chunk, n);
	(void)fclose(c->file);
}

#endif
