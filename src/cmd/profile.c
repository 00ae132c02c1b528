/* `muster profile …`. Profiles come from muster.conf; nobody makes one through the API. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (name == NULL || *name != NULL)
			argp_error(state, "unexpected: %s", arg);
		*name = arg;
		return 0;
	case ARGP_KEY_END:
		if (name != NULL && (*name == NULL || **name == '\0'))
			argp_error(state, "which profile? give its NAME");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp profile_list_argp = {NULL, parse, "",
    "List profiles: how certificates can be made."
    "\vThey are the [profile NAME] sections of muster.conf, beside those built in; restart the "
    "service after a "
    "change.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_profile_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"KEYS", "keys"},
	    {"VALIDITY", "validity"}, {"USAGES", "usages"}, {"ORG", "org"}};
	const struct list_options whole = {0};
	struct buf path = {0};

	if (argp_parse(&profile_list_argp, argc, argv, 0, NULL, NULL) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/profiles");
	return call_list(cli, &path, &whole, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp show_argp = {NULL, parse, "NAME",
    "Show a profile."
    "\vExample:\n\n"
    "  muster profile show standard\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_profile_show(struct cli *cli, int argc, char **argv)
{
	static const struct print_field fields[] = {{"Name:", "name"}, {"Keys:", "keys"},
	    {"Validity:", "validity"}, {"Usages:", "usages"}, {"Reuse of keys:", "reuse_key"},
	    {"Challenges:", "attest"}, {"Renew at:", "renew"}, {"Grace (s):", "grace_s"},
	    {"Org:", "org"}, {"Country:", "country"}};
	const char *name = NULL;
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &name) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/profiles/");
	rest_segment(&path, name);
	return call_show(cli, "GET", &path, NULL, 0, fields, sizeof fields / sizeof fields[0], &err);
}
