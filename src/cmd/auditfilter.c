/* Times are checked here, so that a day can be given; the words are the server's to look for. */
#include "cmd/auditfilter.h"

#include "cmd/rest.h"

#include <stdio.h>
#include <string.h>

enum { OPT_ACTOR = 0x400, OPT_ACTION, OPT_TARGET, OPT_SINCE, OPT_UNTIL };

static const struct argp_option options[] = {{NULL, 0, NULL, 0, "Filters:", 10},
    {"actor", OPT_ACTOR, "WHO", 0, "Only what this one did, such as operator:alice", 10},
    {"action", OPT_ACTION, "WORD", 0, "Only this, such as device.revoke", 10},
    {"target", OPT_TARGET, "WHOM", 0, "Only what was done to this one, such as device:ID", 10},
    {"since", OPT_SINCE, "TIME", 0, "From then on: 2026-11-24, or 2026-11-24T08:00:00Z (UTC)", 10},
    {"until", OPT_UNTIL, "TIME", 0, "Before then", 10}, {0}};

bool
auditfilter_time(char out[CLOCK_TEXT_MAX], const char *text)
{
	char day[CLOCK_TEXT_MAX];
	int64_t when;

	if (strlen(text) == strlen("2026-11-24") && snprintf(day, sizeof day, "%sT00:00:00Z", text) < CLOCK_TEXT_MAX)
		text = day;
	if (!clock_parse(text, &when))
		return false;
	clock_text(out, when);
	return true;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct auditfilter *f = state->input;

	switch (key) {
	case OPT_ACTOR:
		f->actor = arg;
		return 0;
	case OPT_ACTION:
		f->action = arg;
		return 0;
	case OPT_TARGET:
		f->target = arg;
		return 0;
	case OPT_SINCE:
	case OPT_UNTIL:
		if (!auditfilter_time(key == OPT_SINCE ? f->since : f->until, arg))
			argp_error(state, "%s is no day and no time in UTC, such as 2026-11-24T08:00:00Z", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp auditfilter_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

void
auditfilter_put(struct buf *path, const struct auditfilter *f)
{
	rest_query(path, "actor", f->actor);
	rest_query(path, "action", f->action);
	rest_query(path, "target", f->target);
	rest_query(path, "since", f->since[0] != '\0' ? f->since : NULL);
	rest_query(path, "until", f->until[0] != '\0' ? f->until : NULL);
}
