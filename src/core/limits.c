/* Which key of a caller counts in which scope; the buckets are core/ratelimit's. */
#include "core/limits.h"

#include "base/clock.h"
#include "core/caller.h"
#include "core/core.h"

#include <stdio.h>

static const char *const names[LIMITS] = {
    [LIMIT_REQUESTS] = "requests",
    [LIMIT_REGISTER] = "register",
    [LIMIT_AUTH_FAILURES] = "auth_failures",
    [LIMIT_LINKS] = "links",
    [LIMIT_OCSP] = "ocsp",
};

const char *
limit_name(enum limit limit)
{
	return names[limit];
}

int
limits_open(struct core *core, struct err *err)
{
	const struct settings *s = &core_config(core)->settings;
	int i, rc = 0;

	for (i = 0; rc == 0 && i < LIMITS; i++)
		rc = ratelimit_new(names[i], &s->limits[i], &core->limits[i], err);
	return rc;
}

void
limits_close(struct core *core)
{
	int i;

	for (i = 0; i < LIMITS; i++)
		ratelimit_free(core->limits[i]);
}

void
limits_set(struct core *core)
{
	const struct settings *s = &core_config(core)->settings;
	int i;

	for (i = 0; i < LIMITS; i++)
		ratelimit_set(core->limits[i], &s->limits[i]);
}

int
limits_take(struct core *core, enum limit limit, const struct caller *caller, struct err *err)
{
	struct ratelimit_who who = {.key = {[RATELIMIT_ADDRESS] = caller->from[0] != '\0' ? caller->from : NULL}};
	char tenant[24];

	(void)snprintf(tenant, sizeof tenant, "%lld", (long long)caller->tenant_id);
	who.key[RATELIMIT_TENANT] = tenant;
	switch (caller->role) {
	case ROLE_ENROLLEE:
		who.key[RATELIMIT_TOKEN] = caller->who; /* or the manufacturer's certificate that takes its place */
		break;
	case ROLE_DEVICE:
	case ROLE_LATE:
		who.key[RATELIMIT_DEVICE] = caller->who;
		break;
	case ROLE_ADMIN:
	case ROLE_OPERATOR:
	case ROLE_ENROLLER:
	case ROLE_AUDITOR:
	case ROLE_BROKER:
		who.key[RATELIMIT_OPERATOR] = caller->who;
		break;
	}
	return ratelimit_take(core->limits[limit], &who, clock_mono_ms(), caller->quotas, err);
}

int
limits_take_address(struct core *core, enum limit limit, const char *address, struct ratelimit_report *report, struct err *err)
{
	const struct ratelimit_who who = {.key = {[RATELIMIT_ADDRESS] = address}};

	return ratelimit_take(core->limits[limit], &who, clock_mono_ms(), report, err);
}

int
limits_look_address(struct core *core, enum limit limit, const char *address, bool with_all, struct err *err)
{
	const struct ratelimit_who who = {.key = {[RATELIMIT_ADDRESS] = address}};

	return ratelimit_look(core->limits[limit], &who, with_all, clock_mono_ms(), err);
}
