/* `muster tenant …`: whose devices are whose. */
#include "base/text.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>

#define PROFILES_MAX 64 /* the server allows fewer, and says so */

enum { OPT_QUOTA = 0x100, OPT_PROFILE, OPT_ANY_PROFILE };

struct arguments {
	const char *name;
	int64_t quota; /* -1: not given */
	const char *profiles[PROFILES_MAX];
	size_t n_profiles;
	bool any_profile;
	bool wants_name;
	struct list_options list;
	void *child; /* the input of the command's argp_child, if it has one */
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = a->child;
		return 0;
	case OPT_QUOTA:
		if (!integer_parse(arg, 0, INT64_MAX, &a->quota))
			argp_error(state, "--quota is how many devices it may have, 0 for no limit");
		return 0;
	case OPT_PROFILE:
		if (a->n_profiles == PROFILES_MAX)
			argp_error(state, "at most %d profiles", PROFILES_MAX);
		a->profiles[a->n_profiles++] = arg;
		return 0;
	case OPT_ANY_PROFILE:
		a->any_profile = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && (a->name == NULL || a->name[0] == '\0'))
			argp_error(state, "which tenant? give its NAME");
		if (a->any_profile && a->n_profiles > 0)
			argp_error(state, "either --profile or --any-profile");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct print_field fields[] = {
    {"Name:", "name"}, {"Devices:", "devices"}, {"Quota:", "quota"}, {"Profiles:", "profiles"}, {"Created:", "created_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static void
path_of(struct buf *path, const char *name)
{
	buf_text(path, "/v1/tenants/");
	rest_segment(path, name);
}

static int
body_fill(json_t *body, const struct arguments *a, struct err *err)
{
	json_t *profiles;
	size_t i;
	int rc = 0;

	if (a->quota >= 0 && (rc = rest_set_take(body, "quota", json_integer(a->quota), err)) != 0)
		return rc;
	if (a->n_profiles == 0 && !a->any_profile)
		return 0;
	if ((profiles = json_array()) == NULL)
		return err_nomem(err);
	for (i = 0; rc == 0 && i < a->n_profiles; i++)
		if (json_array_append_new(profiles, json_string(a->profiles[i])) != 0)
			rc = err_nomem(err);
	if (rc == 0)
		return rest_set_take(body, "profiles", profiles, err);
	json_decref(profiles);
	return rc;
}

/* ---- add, update ---------------------------------------------------------------------------------------------------- */

#define QUOTA_OPTION {"quota", OPT_QUOTA, "N", 0, "Devices that it may have, the revoked not counted; 0: no limit", 0}
#define PROFILE_OPTION {"profile", OPT_PROFILE, "NAME", 0, "A profile that its certificates may have; for several, again (default: all)", 0}

static const struct argp_option add_options[] = {QUOTA_OPTION, PROFILE_OPTION, {0}};

static const struct argp add_argp = {add_options, parse, "NAME",
    "Add a tenant: an owner of devices, services, policies, tokens and trust anchors, who neither sees nor reaches another's."
    "\vIts NAME, a lower-case word, begins the topics of its services and is never given again. It has a policy default of its "
    "own. Its services name topics below NAME/ and below devices/+/, which there is its own devices.\n\n"
    "The global option --tenant NAME (MUSTER_TENANT) says in which tenant a command acts. Operators that are added with it are "
    "bound to that tenant.\n\n"
    "Examples:\n\n"
    "  muster tenant add acme --quota 5000\n"
    "  muster --tenant acme operator add alice --role admin\n"
    "  muster --tenant acme device list\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_tenant_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.quota = -1, .wants_name = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/tenants");
	if ((rc = rest_set_text(body, "name", a.name, &err)) == 0)
		rc = body_fill(body, &a, &err);
	return call_show(cli, "POST", &path, body, rc, fields, N_FIELDS, &err);
}

static const struct argp_option update_options[] = {
    QUOTA_OPTION, PROFILE_OPTION, {"any-profile", OPT_ANY_PROFILE, NULL, 0, "All profiles, whatever was said before", 0}, {0}};

static const struct argp update_argp = {update_options, parse, "NAME",
    "Change how many devices a tenant may have, or which profiles."
    "\vNothing is taken away from what is there: with a quota below that no more devices come in, and devices renew under the "
    "profile that they have.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_tenant_update(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.quota = -1, .wants_name = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&update_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	path_of(&path, a.name);
	return call_show(cli, "PATCH", &path, body, body_fill(body, &a, &err), fields, N_FIELDS, &err);
}

/* ---- list, show, remove --------------------------------------------------------------------------------------------- */

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct argp list_argp_of_tenants = {NULL, parse, "",
    "List tenants, and how many devices each has and may have. Who is bound to one sees that one."
    "\v" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_tenant_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {
	    {"NAME", "name"}, {"DEVICES", "devices"}, {"QUOTA", "quota"}, {"PROFILES", "profiles"}, {"CREATED", "created_at"}};
	struct arguments a = {.child = &a.list};
	struct buf path = {0};

	if (argp_parse(&list_argp_of_tenants, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/tenants");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp show_argp = {NULL, parse, "NAME", "Show one tenant.\v" CLI_HELP_END, NULL, NULL, NULL};

int
cmd_tenant_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	path_of(&path, a.name);
	return call_show(cli, "GET", &path, NULL, 0, fields, N_FIELDS, &err);
}

static const struct argp remove_argp = {NULL, parse, "NAME",
    "Remove a tenant. Its devices and services are to be revoked before, its trust anchors and operators removed; its name is "
    "not given again, for topics and the audit name it."
    "\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_tenant_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	path_of(&path, a.name);
	return call_remove(cli, &path, a.name);
}
