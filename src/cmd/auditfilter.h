/* Which rows of the audit: the options of the commands that list and export them. */
#ifndef MUSTER_CMD_AUDITFILTER_H
#define MUSTER_CMD_AUDITFILTER_H

#include "base/buf.h"
#include "base/clock.h"

#include <argp.h>

struct auditfilter {
	const char *actor, *action, *target; /* NULL: any */
	char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX]; /* "": any */
};

/* For the `children` of a command's argp; its input is a struct auditfilter. */
extern const struct argp auditfilter_argp;

/* Append them to a path's query. */
void auditfilter_put(struct buf *path, const struct auditfilter *filter);

/* A time such as 2026-11-24T08:00:00Z, or a day, which is its beginning, into OUT as the API takes it. False if it is neither. */
bool auditfilter_time(char out[CLOCK_TEXT_MAX], const char *text);

#endif
