/* Names of roles; who may do what is in the route table, not here. */
#include "core/caller.h"

#include <stddef.h>
#include <string.h>

static const struct {
	enum role role;
	const char *name;
} names[] = {
    {ROLE_ADMIN, "admin"},
    {ROLE_OPERATOR, "operator"},
    {ROLE_ENROLLER, "enroller"},
    {ROLE_AUDITOR, "auditor"},
    {ROLE_BROKER, "broker"},
    {ROLE_ENROLLEE, "enrollee"},
    {ROLE_DEVICE, "device"},
    {ROLE_LATE, "late-device"},
};

const char *
role_name(enum role role)
{
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].role == role)
			return names[i].name;
	return "nobody";
}

bool
role_parse(const char *name, enum role *role_out)
{
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (names[i].role < ROLE_ENROLLEE && strcmp(names[i].name, name) == 0) {
			*role_out = names[i].role;
			return true;
		}
	}
	return false;
}

bool
caller_is_within_tenant(const struct caller *caller)
{
	return caller->is_bound || caller->names_tenant;
}
