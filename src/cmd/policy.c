/* `muster policy …`. */
#include "cmd/commands.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#define EXIT_TEXT "\n\nExit status: 0 done, 1 refused or failed, 2 usage."
#define TOPICS_MAX 32

enum { OPT_READ = 0x100, OPT_WRITE };

struct arguments {
	const char *name;
	json_t *read, *write;
	bool wants_name;
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
		if (json_array_size(*topics) == TOPICS_MAX || json_array_append_new(*topics, json_string(arg)) != 0)
			argp_error(state, "at most %d topics of text", TOPICS_MAX);
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && a->name == NULL)
			argp_error(state, "which policy? give its NAME");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct print_field fields[] = {
    {"Name:", "name"}, {"Writes:", "write"}, {"Reads:", "read"}, {"Updated:", "updated_at"}};

/* METHOD on one policy (PATH: on all); BODY is taken. *ANSWER_OUT may be NULL when there is none. */
static int
call(struct cli *cli, const char *method, const char *name, json_t *body, json_t **answer_out)
{
	struct buf path = {0};
	struct err err = {0};
	int rc;

	buf_text(&path, "/v1/policies");
	if (name != NULL) {
		buf_byte(&path, '/');
		rest_segment(&path, name);
	}
	rc = rest_call(cli, method, buf_str(&path), body, answer_out, &err);
	buf_clear(&path);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static void
show(const struct cli *cli, json_t *answer)
{
	if (cli->json)
		print_json(answer);
	else
		print_fields(answer, fields, sizeof fields / sizeof fields[0]);
	json_decref(answer);
}

static const struct argp_option set_options[] = {
    {"write", OPT_WRITE, "TEMPLATE", 0, "Topics that a device may publish to; may be repeated", 0},
    {"read", OPT_READ, "TEMPLATE", 0, "Topics that it may subscribe to; may be repeated", 0}, {0}};

static const struct argp set_argp = {set_options, parse, "NAME",
    "Set the topics of a policy, in place of those it had. Every device that uses it is affected at once.\v"
    "In a template {id} stands for the device's id, {tenant} for its tenant and {type} for its type; + and # are MQTT's "
    "wildcards.\n\n"
    "Example:\n\n"
    "  muster policy set pumps --write 'plant/{type}/{id}/state' --read 'plant/{type}/{id}/commands/#'" EXIT_TEXT,
    NULL, NULL, NULL};

int
cmd_policy_set(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	json_t *answer = NULL;
	int status;

	if (argp_parse(&set_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	status = call(cli, "PUT", a.name,
	    json_pack("{s:o, s:o}", "write", a.write != NULL ? a.write : json_array(), "read",
		a.read != NULL ? a.read : json_array()),
	    &answer);
	if (status == CLI_OK)
		show(cli, answer);
	return status;
}

static const struct argp show_argp = {NULL, parse, "NAME", "Show a policy.\v" EXIT_TEXT, NULL, NULL, NULL};

int
cmd_policy_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	json_t *answer = NULL;
	int status;

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((status = call(cli, "GET", a.name, NULL, &answer)) == CLI_OK)
		show(cli, answer);
	return status;
}

static const struct argp list_argp = {NULL, parse, "", "List policies.\v" EXIT_TEXT, NULL, NULL, NULL};

int
cmd_policy_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"WRITES", "write"}, {"READS", "read"}};
	struct arguments a = {0};
	json_t *answer = NULL;
	struct err err = {0};
	int status;

	if (argp_parse(&list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((status = call(cli, "GET", NULL, NULL, &answer)) != CLI_OK)
		return status;
	if (cli->json)
		print_json(answer);
	else if (print_items(answer, columns, 3, "", &err) != 0)
		status = cli_fail(cli, &err);
	json_decref(answer);
	return status;
}

static const struct argp remove_argp = {NULL, parse, "NAME",
    "Remove a policy that no device uses. The built-in one stays.\v" EXIT_TEXT, NULL, NULL, NULL};

int
cmd_policy_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	json_t *answer = NULL;
	int status;

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((status = call(cli, "DELETE", a.name, NULL, &answer)) == CLI_OK && !cli->json)
		(void)printf("Removed %s.\n", a.name);
	json_decref(answer);
	return status;
}
