/* `muster broker add`, `list`, `remove`: who follows the feed. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <string.h>

enum { OPT_REASON = 0x100 };

struct arguments {
	const char *name;
	const char *reason;
	bool wants_name;
	struct credoptions credential;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = &a->credential;
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
			argp_error(state, "which broker? give its NAME");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- add ------------------------------------------------------------------------------------------------------- */

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};

static const struct argp add_argp = {NULL, parse, "NAME",
    "Add a broker: a certificate of its own, by which its plugin follows this service and reports to it."
    "\vIts credentials are made as a device's are. The certificate is the one that the plugin shows to this service "
    "(plugin_opt_cert and plugin_opt_key); with a profile that has serverAuth, and --san for the names under which "
    "clients reach the broker, it serves as the broker's own, too. The broker that `muster init` made needs none.\n\n"
    "Examples:\n\n"
    "  muster broker add hall-2\n"
    "  muster broker add hall-2 --profile both --san DNS:hall-2.example.org --csr hall-2.csr --out hall-2.crt\n\n"
    CLI_HELP_END,
    credential_child, NULL, NULL};

int
cmd_broker_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/brokers");
	if ((rc = rest_set_text(body, "name", a.name, &err)) == 0)
		rc = credoptions_body(&a.credential, body, &err);
	return call_credential(cli, &path, body, rc, &a.credential, &err);
}

/* ---- list ------------------------------------------------------------------------------------------------------ */

static const struct argp list_argp_of_brokers = {NULL, parse, "",
    "List the brokers, how many changes each is behind, when it was last heard, and from where."
    "\vA broker that waits for news is heard at least every half minute.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_broker_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"ID", "id"}, {"BEHIND", "behind"},
	    {"SEEN", "seen_at"}, {"ADDRESS", "address"}, {"DROPPED", "dropped"}};
	const struct list_options whole = {0};
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&list_argp_of_brokers, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/brokers");
	return call_list(cli, &path, &whole, columns, sizeof columns / sizeof columns[0]);
}

/* ---- remove ---------------------------------------------------------------------------------------------------- */

static const struct argp_option remove_options[] = {
    {"reason", OPT_REASON, "REASON", 0, "As for `muster device revoke` (default unspecified)", 0}, {0}};

static const struct argp remove_argp = {remove_options, parse, "NAME",
    "Remove a broker, by its name or id: its certificate is revoked for good, and this service tells it nothing more."
    "\vWhat its plugin knows already it trusts for as long as max_stale says: stop the broker, too.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Status:", "status"},
    {"Created:", "created_at"}, {"Seen:", "seen_at"}, {"Address:", "address"}};

int
cmd_broker_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};
	struct buf path = {0};
	struct err err = {0};
	json_t *body;

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/brokers/");
	rest_segment(&path, a.name);
	buf_text(&path, "/revoke");
	body = a.reason != NULL ? json_object() : NULL;
	return call_show(cli, "POST", &path, body, rest_set_text(body, "reason", a.reason, &err), fields,
	    sizeof fields / sizeof fields[0], &err);
}
