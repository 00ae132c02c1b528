/* `muster service …`. */
#include "cmd/commands.h"
#include "cmd/credoptions.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include <argp.h>
#include <string.h>

#define EXIT_TEXT "\n\nExit status: 0 done, 1 refused or failed, 2 usage."
#define TOPICS_MAX 32

enum { OPT_READ = 0x100, OPT_WRITE, OPT_REASON, OPT_LIMIT, OPT_AFTER };

struct arguments {
	const char *name;
	const char *reason, *limit, *after;
	json_t *read, *write;
	bool wants_name;
	struct credoptions credential;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	json_t **topics;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->credential;
		return 0;
	case OPT_READ:
	case OPT_WRITE:
		topics = key == OPT_READ ? &a->read : &a->write;
		if (*topics == NULL)
			*topics = json_array();
		if (json_array_size(*topics) == TOPICS_MAX || json_array_append_new(*topics, json_string(arg)) != 0)
			argp_error(state, "at most %d topics of text", TOPICS_MAX);
		return 0;
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case OPT_LIMIT:
		a->limit = arg;
		return 0;
	case OPT_AFTER:
		a->after = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && a->name == NULL)
			argp_error(state, "which service? give its NAME");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};
static const struct argp nothing_argp = {0};
static const struct argp_child no_child[] = {{&nothing_argp, 0, NULL, 0}, {0}};

static void
service_path(struct buf *path, const char *name, const char *verb)
{
	buf_text(path, "/v1/services/");
	rest_segment(path, name);
	buf_text(path, verb);
}

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Status:", "status"}, {"Reads:", "read"},
    {"Writes:", "write"}, {"Created:", "created_at"}};

/* METHOD on PATH with BODY (taken), and the credential or the service shown. */
static int
call_and_show(struct cli *cli, const char *method, struct buf *path, json_t *body, const struct credoptions *credential)
{
	json_t *answer = NULL;
	struct err err = {0};
	int rc;

	if ((rc = rest_call(cli, method, buf_str(path), body, &answer, &err)) == 0) {
		if (credential != NULL)
			rc = credoptions_show(cli, credential, answer, &err);
		else if (cli->json)
			print_json(answer);
		else
			print_fields(answer, fields, sizeof fields / sizeof fields[0]);
	}
	buf_clear(path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static const struct argp_option add_options[] = {
    {"read", OPT_READ, "FILTER", 0, "Topics it may subscribe to; may be repeated", 0},
    {"write", OPT_WRITE, "FILTER", 0, "Topics it may publish to; may be repeated", 0}, {0}};

static const struct argp add_argp = {add_options, parse, "NAME",
    "Add a service: a back end, a bridge or a dashboard that talks MQTT, with a certificate and topics of its own.\v"
    "Its credentials are made as a device's are. Its MQTT client id is its id.\n\n"
    "Example:\n\n"
    "  muster service add dashboard --read 'devices/#' --write 'devices/+/commands/#'" EXIT_TEXT,
    credential_child, NULL, NULL};

int
cmd_service_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};
	json_t *body;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	body = json_pack("{s:s, s:o*, s:o*}", "name", a.name, "read", a.read, "write", a.write);
	if (credoptions_body(&a.credential, body, &err) != 0) {
		json_decref(body);
		return cli_fail(cli, &err);
	}
	buf_text(&path, "/v1/services");
	return call_and_show(cli, "POST", &path, body, &a.credential);
}

static const struct argp package_argp = {NULL, parse, "NAME",
    "Make a new key, certificate and package for a service; the earlier ones are revoked as superseded.\v" EXIT_TEXT,
    credential_child, NULL, NULL};

int
cmd_service_package(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};
	json_t *body;

	if (argp_parse(&package_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	body = json_object();
	if (credoptions_body(&a.credential, body, &err) != 0) {
		json_decref(body);
		return cli_fail(cli, &err);
	}
	service_path(&path, a.name, "/package");
	return call_and_show(cli, "POST", &path, body, &a.credential);
}

static const struct argp_option list_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "Services a page, 1 to 1000 (default 50)", 0},
    {"after", OPT_AFTER, "CURSOR", 0, "Go on after an earlier page", 0}, {0}};

static const struct argp list_argp = {
    list_options, parse, "", "List services in the order of their names.\v" EXIT_TEXT, no_child, NULL, NULL};

int
cmd_service_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {
	    {"ID", "id"}, {"STATUS", "status"}, {"NAME", "name"}, {"READS", "read"}, {"WRITES", "write"}};
	struct arguments a = {0};
	json_t *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/services");
	rest_query(&path, "limit", a.limit);
	rest_query(&path, "after", a.after);
	if ((rc = rest_call(cli, "GET", buf_str(&path), NULL, &answer, &err)) == 0) {
		if (cli->json)
			print_json(answer);
		else
			rc = print_items(answer, columns, 5, "the same with", &err);
	}
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static const struct argp show_argp = {NULL, parse, "NAME", "Show a service, by its name or id.\v" EXIT_TEXT, no_child, NULL, NULL};

int
cmd_service_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	service_path(&path, a.name, "");
	return call_and_show(cli, "GET", &path, NULL, NULL);
}

static const struct argp_option revoke_options[] = {
    {"reason", OPT_REASON, "REASON", 0, "As for `muster device revoke`", 0}, {0}};

static const struct argp revoke_argp = {revoke_options, parse, "NAME",
    "Revoke a service for good, with its certificates.\v"
    "Its name is free again afterwards." EXIT_TEXT,
    no_child, NULL, NULL};

int
cmd_service_revoke(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};

	if (argp_parse(&revoke_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	service_path(&path, a.name, "/revoke");
	return call_and_show(
	    cli, "POST", &path, a.reason != NULL ? json_pack("{s:s}", "reason", a.reason) : NULL, NULL);
}
