/* `muster token …`: enrolment tokens. */
#include "base/text.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <string.h>

#define USES_MAX 1000000

enum { OPT_NAME = 0x100, OPT_DEVICE, OPT_TYPE, OPT_LOCATION, OPT_POLICY, OPT_PROFILE, OPT_USES, OPT_VALID };

struct arguments {
	const char *id; /* of a token */
	const char *name, *device, *type, *location, *policy, *profile, *valid;
	int64_t uses; /* 0: not given */
	bool wants_id, wants_kind;
	struct list_options list;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = &a->list;
		return 0;
	case OPT_NAME:
		a->name = arg;
		return 0;
	case OPT_DEVICE:
		a->device = arg;
		return 0;
	case OPT_TYPE:
		a->type = arg;
		return 0;
	case OPT_LOCATION:
		a->location = arg;
		return 0;
	case OPT_POLICY:
		a->policy = arg;
		return 0;
	case OPT_PROFILE:
		a->profile = arg;
		return 0;
	case OPT_USES:
		if (!integer_parse(arg, 1, USES_MAX, &a->uses))
			argp_error(state, "--uses must be a number, 1 to %d", USES_MAX);
		return 0;
	case OPT_VALID:
		a->valid = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_id || a->id != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_id && (a->id == NULL || a->id[0] == '\0'))
			argp_error(state, "which token? give its ID, which `muster token list` shows");
		if (a->wants_kind && (a->type == NULL) == (a->device == NULL))
			argp_error(state, "what enrols? give --type for new devices, or --device for one that is pending");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Token:", "token"},
    {"Device:", "device_id"}, {"Type:", "type"}, {"Location:", "location"}, {"Policy:", "policy"},
    {"Profile:", "profile"}, {"Uses:", "uses"}, {"At most:", "max_uses"}, {"Expires:", "expires_at"},
    {"Revoked:", "revoked_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* ---- create ---------------------------------------------------------------------------------------------------- */

static const struct argp_option create_options[] = {
    {"type", OPT_TYPE, "WORD", 0, "The devices that enrol with it are new ones of this type", 0},
    {"device", OPT_DEVICE, "ID", 0, "Only this pending device enrols with it (see `muster device register --pending`)", 0},
    {"name", OPT_NAME, "TEXT", 0, "What the token is for", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Where the devices are", 0},
    {"policy", OPT_POLICY, "NAME", 0, "The policy that gives them their topics (default: default)", 0},
    {"profile", OPT_PROFILE, "NAME", 0, "How their certificates are made (default: by the kind of their key)", 0},
    {"uses", OPT_USES, "N", 0, "How many devices may enrol with it (default 1)", 0},
    {"valid", OPT_VALID, "DURATION", 0, "For how long, such as 8h or 30d (default 7d)", 0}, {0}};

static const struct argp create_argp = {create_options, parse, "--type WORD | --device ID",
    "Make an enrolment token: with it, devices that make their own keys get their certificates (EST, RFC 7030)."
    "\vThe token is shown once; Muster keeps a digest of it. The device uses it as the password of HTTP Basic, with any "
    "user name. The common name of its request becomes the device's name.\n\n"
    "Examples:\n\n"
    "  muster token create --type pump --uses 100 --valid 8h --name 'line 3'\n"
    "  pki --gen --type ecdsa --size 256 --outform pem > pump.key\n"
    "  pki --req --type ecdsa --in pump.key --dn 'CN=Pump 7' > pump.req\n"
    "  pki --est --url https://HOST:8443 --cacert root.crt --in pump.req \\\n"
    "      --userpass any:TOKEN --outform pem > pump.crt\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_token_create(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_kind = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&create_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((rc = rest_set_text(body, "name", a.name, &err)) == 0 &&
	    (rc = rest_set_text(body, "device_id", a.device, &err)) == 0 &&
	    (rc = rest_set_text(body, "type", a.type, &err)) == 0 &&
	    (rc = rest_set_text(body, "location", a.location, &err)) == 0 &&
	    (rc = rest_set_text(body, "policy", a.policy, &err)) == 0 &&
	    (rc = rest_set_text(body, "profile", a.profile, &err)) == 0 &&
	    (rc = rest_set_text(body, "valid", a.valid, &err)) == 0 && a.uses != 0)
		rc = rest_set_take(body, "uses", json_integer(a.uses), &err);
	buf_text(&path, "/v1/tokens");
	return call_show(cli, "POST", &path, body, rc, fields, N_FIELDS, &err);
}

/* ---- list ------------------------------------------------------------------------------------------------------ */

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct argp list_argp_of_tokens = {NULL, parse, "",
    "List enrolment tokens, also those that are used up, expired or revoked. The tokens themselves are not shown."
    "\v" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_token_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"ID", "id"}, {"TYPE", "type"},
	    {"DEVICE", "device_id"}, {"USES", "uses"}, {"OF", "max_uses"}, {"EXPIRES", "expires_at"},
	    {"REVOKED", "revoked_at"}};
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&list_argp_of_tokens, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/tokens");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

/* ---- revoke ---------------------------------------------------------------------------------------------------- */

static const struct argp revoke_argp = {NULL, parse, "ID",
    "Revoke an enrolment token: nobody enrols with it from now on. Devices that did keep their certificates."
    "\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_token_revoke(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&revoke_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/tokens/");
	rest_segment(&path, a.id);
	buf_text(&path, "/revoke");
	return call_show(cli, "POST", &path, NULL, 0, fields, N_FIELDS, &err);
}
