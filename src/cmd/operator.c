/* `muster operator …`: who may call the API from elsewhere. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>

enum { OPT_ROLE = 0x100, OPT_VALID };

struct arguments {
	const char *name, *role, *valid;
	bool wants_name, wants_role;
	struct list_options list;
	struct credoptions credential;
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
	case OPT_ROLE:
		a->role = arg;
		return 0;
	case OPT_VALID:
		a->valid = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_name || a->name != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_name && (a->name == NULL || a->name[0] == '\0'))
			argp_error(state, "which operator? give its NAME");
		if (a->wants_role && a->role == NULL)
			argp_error(state, "what may it do? give --role admin, operator, enroller, auditor or broker");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Role:", "role"}, {"Tenant:", "tenant"}, {"Token:", "token"},
    {"Expires:", "expires_at"}, {"Last used:", "last_used_at"}, {"Removed:", "revoked_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* POST to VERB of the operator that is named, with --valid if that was given. */
static int
on_operator(struct cli *cli, const struct arguments *a, const char *verb)
{
	json_t *body = a->valid != NULL ? json_object() : NULL;
	struct buf path = {0};
	struct err err = {0};

	buf_text(&path, "/v1/operators/");
	rest_segment(&path, a->name);
	buf_text(&path, verb);
	return call_show(cli, "POST", &path, body, rest_set_text(body, "valid", a->valid, &err), fields, N_FIELDS, &err);
}

/* ---- add ------------------------------------------------------------------------------------------------------- */

#define VALID_OPTION {"valid", OPT_VALID, "DURATION", 0, "How long the token is good, such as 8h or 90d (default 365d)", 0}

static const struct argp_option add_options[] = {
    {"role", OPT_ROLE, "ROLE", 0, "admin, operator, enroller, auditor or broker (required)", 0}, VALID_OPTION, {0}};

static const struct argp add_argp = {add_options, parse, "NAME",
    "Let a person or a program call the API, with a token that is shown once."
    "\vWhat a ROLE may do:\n\n"
    "  admin      everything, operators and brokers too\n"
    "  operator   devices, services, policies, enrolment tokens\n"
    "  enroller   register devices, nothing else\n"
    "  auditor    read everything, the audit too; change nothing\n"
    "  broker     follow the feed of changes\n\n"
    "The token goes into MUSTER_TOKEN or a file for --token-file on the machine that calls; Muster keeps a digest of it. On "
    "the server's own host root and the home's owner are admin without one.\n\n"
    "With the global option --tenant NAME it is bound to that tenant: it does all this there, and knows of nothing else. "
    "Without, it is of the whole installation, and says with --tenant where it acts.\n\n"
    "Examples:\n\n"
    "  muster operator add line-3 --role enroller --valid 30d\n"
    "  muster operator add alice --role admin --tenant acme\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_operator_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .wants_role = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/operators");
	if ((rc = rest_set_text(body, "name", a.name, &err)) == 0 && (rc = rest_set_text(body, "role", a.role, &err)) == 0)
		rc = rest_set_text(body, "valid", a.valid, &err);
	return call_show(cli, "POST", &path, body, rc, fields, N_FIELDS, &err);
}

/* ---- list ------------------------------------------------------------------------------------------------------ */

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct argp list_argp_of_operators = {NULL, parse, "",
    "List who may call the API with a token, when each last did, and who was removed."
    "\vWith --tenant NAME those who are bound to that tenant, without it those of the whole installation. The times are true to the minute. " CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_operator_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"ROLE", "role"}, {"EXPIRES", "expires_at"},
	    {"LAST USED", "last_used_at"}, {"REMOVED", "revoked_at"}};
	struct arguments a = {.child = &a.list};
	struct buf path = {0};

	if (argp_parse(&list_argp_of_operators, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/operators");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

/* ---- token, package, remove --------------------------------------------------------------------------------------------- */

static const struct argp_option token_options[] = {VALID_OPTION, {0}};

static const struct argp token_argp = {token_options, parse, "NAME",
    "Give an operator another token, for one that is lost, known to others, expired, or ended by a restore. The one before "
    "is worth nothing any more."
    "\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_operator_token(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};

	if (argp_parse(&token_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return on_operator(cli, &a, "/token");
}

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};

static const struct argp package_argp = {NULL, parse, "NAME",
    "Make a certificate with which an operator calls the API, as with its token; the one before is revoked as superseded."
    "\vMuster is called with it by the global options --client-cert and --client-key.\n\n"
    "Examples:\n\n"
    "  muster operator package alice --csr alice.csr --out alice.crt\n"
    "  muster --url https://HOST:8443 --ca root.crt --client-cert alice.crt \\\n"
    "      --client-key alice.key device list\n\n" CLI_HELP_END,
    credential_child, NULL, NULL};

int
cmd_operator_package(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .child = &a.credential};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&package_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/operators/");
	rest_segment(&path, a.name);
	buf_text(&path, "/package");
	return call_credential(cli, &path, body, credoptions_body(&a.credential, body, &err), &a.credential, &err);
}

static const struct argp remove_argp = {NULL, parse, "NAME",
    "End an operator's access, by its name or id: at once, on connections that are open too."
    "\vWhat it did stays, and stays in the audit. Its name is free again.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_operator_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true};

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return on_operator(cli, &a, "/revoke");
}
