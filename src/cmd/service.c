/* `muster service …`. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <string.h>

#define TOPICS_MAX 32

enum { OPT_READ = 0x100, OPT_WRITE, OPT_REASON };

struct arguments {
	const char *name;
	const char *reason;
	json_t *read, *write; /* NULL: none was given */
	bool wants_name, wants_topics;
	struct credoptions credential;
	struct list_options list;
	void *child; /* the input of the command's argp_child, if it has one */
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	json_t **topics;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = a->child;
		return 0;
	case OPT_READ:
	case OPT_WRITE:
		topics = key == OPT_READ ? &a->read : &a->write;
		if (*topics == NULL)
			*topics = json_array();
		if (json_array_size(*topics) == TOPICS_MAX ||
		    json_array_append_new(*topics, json_string(arg)) != 0)
			argp_error(state, "at most %d topics each way", TOPICS_MAX);
		return 0;
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && (a->name == NULL || a->name[0] == '\0'))
			argp_error(state, "which service? give its NAME");
		if (a->wants_topics && a->read == NULL && a->write == NULL)
			argp_error(state, "which topics? give at least one --read or --write");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};
static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static void
service_path(struct buf *path, const char *name, const char *verb)
{
	buf_text(path, "/v1/services/");
	rest_segment(path, name);
	buf_text(path, verb);
}

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Status:", "status"},
    {"Reads:", "read"}, {"Writes:", "write"}, {"Created:", "created_at"},
    {"Key:", "certificate.key"}, {"Serial:", "certificate.serial"},
    {"Fingerprint:", "certificate.fingerprint"}, {"Valid until:", "certificate.not_after"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* ---- add, package ---------------------------------------------------------------------------- */

static const struct argp_option add_options[] = {
    {"read", OPT_READ, "FILTER", 0, "Topics it may subscribe to; may be repeated", 0},
    {"write", OPT_WRITE, "FILTER", 0, "Topics it may publish to; may be repeated", 0}, {0}};

static const struct argp add_argp = {add_options, parse, "NAME",
    "Add a service: a back end, a bridge or a dashboard that talks MQTT, with a certificate and "
    "topics of its own."
    "\vIts credentials are made as a device's are; its id, which is shown, is its MQTT client id. "
    "+ and # are MQTT's "
    "wildcards: quote them.\n\n"
    "Examples:\n\n"
    "  muster service add dashboard --read 'devices/#'\n"
    "  muster service add backend --read 'devices/+/telemetry' \\\n"
    "      --write 'devices/+/commands/#' --csr backend.csr --out backend.crt\n\n" CLI_HELP_END,
    credential_child, NULL, NULL};

static int
add_body(const struct arguments *a, json_t *body, struct err *err)
{
	int rc;

	if ((rc = rest_set_text(body, "name", a->name, err)) == 0 && a->read != NULL)
		rc = rest_set_take(body, "read", json_incref(a->read), err);
	if (rc == 0 && a->write != NULL)
		rc = rest_set_take(body, "write", json_incref(a->write), err);
	return rc == 0 ? credoptions_body(&a->credential, body, err) : rc;
}

int
cmd_service_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .wants_topics = true, .child = &a.credential};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int status;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/services");
	status = call_credential(cli, &path, body, add_body(&a, body, &err), &a.credential, &err);
	json_decref(a.read);
	json_decref(a.write);
	return status;
}

static const struct argp package_argp = {NULL, parse, "NAME",
    "Make a new key, certificate and package for a service; the earlier ones are revoked as "
    "superseded."
    "\vExample:\n\n"
    "  muster service package dashboard\n\n" CLI_HELP_END,
    credential_child, NULL, NULL};

int
cmd_service_package(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .child = &a.credential};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&package_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	service_path(&path, a.name, "/package");
	return call_credential(cli, &path, body, credoptions_body(&a.credential, body, &err), &a.credential, &err);
}

/* ---- list, show, revoke ---------------------------------------------------------------------- */

static const struct argp service_list_argp = {NULL, parse, "",
    "List services in the order of their names."
    "\v" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_service_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"ID", "id"}, {"STATUS", "status"},
	    {"NAME", "name"}, {"READS", "read"}, {"WRITES", "write"}};
	struct arguments a = {.child = &a.list};
	struct buf path = {0};

	if (argp_parse(&service_list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/services");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp show_argp = {NULL, parse, "NAME",
    "Show a service, by its name or id, and its current certificate."
    "\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_service_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	service_path(&path, a.name, "");
	return call_show(cli, "GET", &path, NULL, 0, fields, N_FIELDS, &err);
}

static const struct argp_option revoke_options[] = {
    {"reason", OPT_REASON, "REASON", 0, "As for `muster device revoke` (default unspecified)", 0},
    {0}};

static const struct argp revoke_argp = {revoke_options, parse, "NAME",
    "Revoke a service for good, with its certificates. Its name is free again afterwards."
    "\vExample:\n\n"
    "  muster service revoke dashboard --reason cessationOfOperation\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_service_revoke(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};
	json_t *body;

	if (argp_parse(&revoke_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	service_path(&path, a.name, "/revoke");
	body = a.reason != NULL ? json_object() : NULL;
	return call_show(cli, "POST", &path, body, rest_set_text(body, "reason", a.reason, &err), fields, N_FIELDS, &err);
}
