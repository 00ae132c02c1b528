/* `muster policy …`. */
#include "base/text.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#define TOPICS_MAX 32
#define SESSIONS_MAX 100

enum { OPT_READ = 0x100, OPT_WRITE, OPT_NONE, OPT_SESSIONS };

struct arguments {
	const char *name;
	json_t *read, *write; /* NULL: none was given */
	int64_t sessions;     /* 0: not given */
	bool wants_name, wants_topics, none;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	json_t **topics;

	switch (key) {
	case OPT_READ:
	case OPT_WRITE:
		topics = key == OPT_READ ? &a->read : &a->write;
		if (*topics == NULL)
			*topics = json_array();
		if (json_array_size(*topics) == TOPICS_MAX ||
		    json_array_append_new(*topics, json_string(arg)) != 0)
			argp_error(state, "at most %d topics each way", TOPICS_MAX);
		return 0;
	case OPT_NONE:
		a->none = true;
		return 0;
	case OPT_SESSIONS:
		if (!integer_parse(arg, 1, SESSIONS_MAX, &a->sessions))
			argp_error(state, "--sessions must be a number, 1 to %d", SESSIONS_MAX);
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && (a->name == NULL || a->name[0] == '\0'))
			argp_error(state, "which policy? give its NAME");
		if (a->wants_topics && (a->read == NULL && a->write == NULL) != a->none)
			argp_error(state, "which topics? give --write and --read, or --none");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct print_field fields[] = {
    {"Name:", "name"}, {"Writes:", "write"}, {"Reads:", "read"}, {"Sessions:", "sessions"}, {"Updated:", "updated_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static void
policy_path(struct buf *path, const char *name)
{
	buf_text(path, "/v1/policies/");
	rest_segment(path, name);
}

static const struct argp_option set_options[] = {
    {"write", OPT_WRITE, "TEMPLATE", 0, "Topics that a device may publish to; may be repeated", 0},
    {"read", OPT_READ, "TEMPLATE", 0, "Topics that it may subscribe to; may be repeated", 0},
    {"none", OPT_NONE, NULL, 0, "No topics at all", 0},
    {"sessions", OPT_SESSIONS, "N", 0,
	"How many sessions a device may have at a time, 1 to 100 (default 1)", 0},
    {0}};

static const struct argp set_argp = {set_options, parse, "NAME",
    "Set the topics of a policy, in place of those it had, and how many sessions a device may have. Every device that uses "
    "it is affected at once."
    "\vIn a template {id} stands for the device's id, {tenant} for its tenant and {type} for its "
    "type; + and # are "
    "MQTT's wildcards: quote them.\n\n"
    "With --sessions a device's client ids are ID and ID/SUFFIX, whatever the suffix. Only the broker's plugin can count "
    "them: with broker.mode = acl-file every device has one session, and its client id is its id.\n\n"
    "Example:\n\n"
    "  muster policy set pumps --write 'plant/{type}/{id}/state' \\\n"
    "      --read 'plant/{type}/{id}/commands/#'\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_policy_set(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .wants_topics = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&set_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	policy_path(&path, a.name);
	/* Both always: what is left out is taken away. */
	if ((rc = rest_set_take(body, "write", a.write != NULL ? a.write : json_array(), &err)) == 0 &&
	    (rc = rest_set_take(body, "read", a.read != NULL ? a.read : json_array(), &err)) == 0 && a.sessions > 0)
		rc = rest_set_take(body, "sessions", json_integer(a.sessions), &err);
	return call_show(cli, "PUT", &path, body, rc, fields, N_FIELDS, &err);
}

static const struct argp show_argp = {NULL, parse, "NAME",
    "Show a policy."
    "\vExample:\n\n"
    "  muster policy show default\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_policy_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	policy_path(&path, a.name);
	return call_show(cli, "GET", &path, NULL, 0, fields, N_FIELDS, &err);
}

static const struct argp policy_list_argp = {NULL, parse, "",
    "List policies with their topics."
    "\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_policy_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {
	    {"NAME", "name"}, {"WRITES", "write"}, {"READS", "read"}, {"SESSIONS", "sessions"}};
	const struct list_options whole = {0};
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&policy_list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/policies");
	return call_list(cli, &path, &whole, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp remove_argp = {NULL, parse, "NAME",
    "Remove a policy that no device uses. The built-in one stays."
    "\vExample:\n\n"
    "  muster policy remove pumps\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_policy_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	policy_path(&path, a.name);
	return call_remove(cli, &path, a.name);
}
