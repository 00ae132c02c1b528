/* `muster device …`: each command is its options, one call, one way to show the answer. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include "base/text.h"
#include "core/idempotency.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 32

enum {
	OPT_NAME = 0x100,
	OPT_TYPE,
	OPT_LOCATION,
	OPT_LABEL,
	OPT_IDEMPOTENCY_KEY,
	OPT_POLICY,
	OPT_STATUS,
	OPT_SEARCH,
	OPT_EXPIRING,
	OPT_REASON,
	OPT_PENDING
};

/* Everything that a device command can be told; each command's options fill their part. */
struct arguments {
	const char *id;
	const char *name, *type, *location, *policy;
	const char *status, *search, *expiring, *reason, *idempotency_key;
	const char *labels[LABELS_MAX];
	size_t n_labels;
	bool wants_id, wants_name, wants_change, pending;
	struct credoptions credential;
	struct list_options list;
	void *child; /* the input of the command's argp_child, if it has one */
};

static void
check_complete(const struct arguments *a, const struct argp_state *state)
{
	if (a->wants_id && (a->id == NULL || a->id[0] == '\0'))
		argp_error(state, "which device? give its ID");
	if (a->wants_name && (a->name == NULL || a->type == NULL))
		argp_error(state, "--name and --type are required");
	if (a->wants_change && a->name == NULL && a->type == NULL && a->location == NULL &&
	    a->policy == NULL && a->n_labels == 0)
		argp_error(state, "what is to change? name an option");
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = a->child;
		return 0;
	case OPT_NAME:
		a->name = arg;
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
	case OPT_STATUS:
		a->status = arg;
		return 0;
	case OPT_SEARCH:
		a->search = arg;
		return 0;
	case OPT_EXPIRING:
		a->expiring = arg;
		return 0;
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case OPT_PENDING:
		a->pending = true;
		return 0;
	case OPT_IDEMPOTENCY_KEY:
		/* It becomes a header's line as it is. */
		if (arg[0] == '\0' || strlen(arg) > IDEMPOTENCY_KEY_MAX || !text_is_printable(arg, strlen(arg)))
			argp_error(state, "--idempotency-key must be 1 to %d printable bytes", IDEMPOTENCY_KEY_MAX);
		a->idempotency_key = arg;
		return 0;
	case OPT_LABEL:
		if (strchr(arg, '=') == NULL || a->n_labels == LABELS_MAX)
			argp_error(
			    state, "--label must be NAME=VALUE, at most %d times", LABELS_MAX);
		a->labels[a->n_labels++] = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_id || a->id != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		check_complete(a, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};
static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

/* One --label NAME=VALUE. Without a NAME it adds nothing: alone it leaves an empty object, which
 * clears them all. */
static int
label_add(json_t *labels, const char *label, struct err *err)
{
	size_t len = strcspn(label, "=");
	char name[128];

	if (len == 0)
		return 0;
	if (len >= sizeof name)
		return err_field(err, E_INPUT, "labels", "the name is too long");
	memcpy(name, label, len);
	name[len] = '\0';
	if (json_object_get(labels, name) != NULL)
		return err_field(err, E_INPUT, "labels", "%s is given twice", name);
	return rest_set_text(labels, name, label + len + 1, err);
}

static int
fields_body(const struct arguments *a, json_t *body, struct err *err)
{
	json_t *labels;
	size_t i;
	int rc;

	if ((rc = rest_set_text(body, "name", a->name, err)) != 0 ||
	    (rc = rest_set_text(body, "type", a->type, err)) != 0 ||
	    (rc = rest_set_text(body, "location", a->location, err)) != 0 ||
	    (rc = rest_set_text(body, "policy", a->policy, err)) != 0 ||
	    (a->pending && (rc = rest_set_take(body, "pending", json_true(), err)) != 0) || a->n_labels == 0 ||
	    (rc = rest_set_take(body, "labels", labels = json_object(), err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < a->n_labels; i++)
		rc = label_add(labels, a->labels[i], err);
	return rc;
}

static void
device_path(struct buf *path, const char *id, const char *verb)
{
	buf_text(path, "/v1/devices/");
	rest_segment(path, id);
	buf_text(path, verb);
}

static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"},
    {"Type:", "type"}, {"Location:", "location"}, {"Labels:", "labels"}, {"Status:", "status"},
    {"Policy:", "policy"}, {"Created:", "created_at"}, {"Updated:", "updated_at"},
    {"Last seen:", "last_seen_at"},
    {"Rotation:", "rotation.state"}, {"Asked:", "rotation.asked_at"}, {"Its answer:", "rotation.answer.status"},
    {"Key:", "certificate.key"}, {"Serial:", "certificate.serial"},
    {"Fingerprint:", "certificate.fingerprint"}, {"Valid until:", "certificate.not_after"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* ---- register, package ----------------------------------------------------------------------- */

static const struct argp_option register_options[] = {
    {"name", OPT_NAME, "TEXT", 0, "What people call it (required)", 0},
    {"type", OPT_TYPE, "WORD", 0,
	"Its kind, such as pump (required); letters, digits, dot, underscore, hyphen", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Where it is", 0},
    {"label", OPT_LABEL, "NAME=VALUE", 0, "A label; may be repeated", 0},
    {"policy", OPT_POLICY, "NAME", 0, "The policy that gives it its topics (default: default)", 0},
    {"pending", OPT_PENDING, NULL, 0,
	"It will enrol by itself: make nothing yet (see `muster token create --device`)", 0},
    {"idempotency-key", OPT_IDEMPOTENCY_KEY, "TEXT", 0,
	"A word of yours for this registration: with the same one, and all else the same, it can be sent again within a day, "
	"and registers nothing twice", 0},
    {0}};

static const struct argp register_argp = {register_options, parse, "--name TEXT --type WORD",
    "Register a device and make its credentials. It may connect to the broker at once."
    "\vWith --key, or neither --key nor --csr, the server makes the key; it leaves only inside an "
    "encrypted package "
    "behind a one-time link, and the password is shown once. With --csr the device has made its "
    "key itself, and only "
    "the certificate is shown.\n\n"
    "Examples:\n\n"
    "  muster device register --name 'Pump 1' --type pump --key ec-p256 --qr\n"
    "  muster device register --name 'Pump 2' --type pump --label line=7 \\\n"
    "      --csr pump-2.csr --out pump-2.crt\n\n"
    "Where the answer may get lost, as in a script, add --idempotency-key: what is sent again tells of the same device and "
    "certificate, but not the package's link and password, which were shown once.\n\n" CLI_HELP_END,
    credential_child, NULL, NULL};

int
cmd_device_register(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_name = true, .child = &a.credential};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&register_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	cli->idempotency_key = a.idempotency_key;
	buf_text(&path, "/v1/devices");
	if ((rc = fields_body(&a, body, &err)) == 0)
		rc = credoptions_body(&a.credential, body, &err);
	return a.pending ? call_show(cli, "POST", &path, body, rc, fields, N_FIELDS, &err)
			 : call_credential(cli, &path, body, rc, &a.credential, &err);
}

static const struct argp package_argp = {NULL, parse, "ID",
    "Make a new key, certificate and package for a device. Every earlier certificate is revoked as "
    "superseded, and a "
    "link that still waits is withdrawn."
    "\vFor a device whose package was lost, or whose key must change.\n\n"
    "Examples:\n\n"
    "  muster device package 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11 --qr\n"
    "  muster device package 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11 \\\n"
    "      --csr new.csr --out pump-2.crt\n\n" CLI_HELP_END,
    credential_child, NULL, NULL};

int
cmd_device_package(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true, .child = &a.credential};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&package_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "/package");
	return call_credential(cli, &path, body, credoptions_body(&a.credential, body, &err), &a.credential, &err);
}

/* ---- list, show, certificates ---------------------------------------------------------------- */

static const struct argp_option list_options[] = {
    {"status", OPT_STATUS, "STATUS", 0, "Only pending, active, suspended, revoked or archived ones",
	0},
    {"type", OPT_TYPE, "WORD", 0, "Only of this type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Only at this location", 0},
    {"search", OPT_SEARCH, "TEXT", 0, "Names or ids that begin with TEXT, whatever the case", 0},
    {"expiring", OPT_EXPIRING, "DURATION", 0,
	"Only those whose certificate has no successor and ends within DURATION, such as 30d, or has ended; the next to end first",
	0},
    {0}};

static const struct argp device_list_argp = {list_options, parse, "",
    "List devices in the order of their names."
    "\vWhen there are more than fit a page, the last line, on standard error, says how to go "
    "on.\n\n"
    "Examples:\n\n"
    "  muster device list --type pump --status suspended\n"
    "  muster device list --search 'pump 1'\n"
    "  muster device list --expiring 30d\n"
    "  muster --json device list --all\n\n" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_device_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"ID", "id"}, {"STATUS", "status"},
	    {"TYPE", "type"}, {"NAME", "name"}, {"LOCATION", "location"}};
	static const struct print_field with_end[] = {{"ID", "id"}, {"EXPIRES", "expires_at"}, {"TYPE", "type"},
	    {"NAME", "name"}, {"LOCATION", "location"}};
	struct arguments a = {.child = &a.list};
	struct buf path = {0};

	if (argp_parse(&device_list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/devices");
	rest_query(&path, "status", a.status);
	rest_query(&path, "type", a.type);
	rest_query(&path, "location", a.location);
	rest_query(&path, "search", a.search);
	rest_query(&path, "expiring", a.expiring);
	return call_list(cli, &path, &a.list, a.expiring != NULL ? with_end : columns, sizeof columns / sizeof columns[0]);
}

/* METHOD on one device, and the device shown. */
static int
on_device(struct cli *cli, const struct argp *argp, int argc, char **argv, const char *method,
    const char *verb)
{
	struct arguments a = {.wants_id = true};
	struct buf path = {0};
	struct err err = {0};
	json_t *body;

	if (argp_parse(argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, verb);
	body = a.reason != NULL ? json_object() : NULL;
	return call_show(cli, method, &path, body, rest_set_text(body, "reason", a.reason, &err), fields, N_FIELDS, &err);
}

static const struct argp show_argp = {NULL, parse, "ID",
    "Show a device and its current certificate."
    "\vExample:\n\n"
    "  muster device show 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_show(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &show_argp, argc, argv, "GET", "");
}

static const struct argp certificates_argp = {NULL, parse, "ID",
    "List every certificate that a device ever had, newest first."
    "\vWith --json the certificates themselves are there, too, as PEM.\n\n"
    "Example:\n\n"
    "  muster device certificates 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_certificates(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"FINGERPRINT", "fingerprint"},
	    {"STATE", "state"}, {"REASON", "reason"}, {"NOT AFTER", "not_after"}, {"KEY", "key"},
	    {"SERIAL", "serial"}};
	const struct list_options whole = {.unfolded = true};
	struct arguments a = {.wants_id = true};
	struct buf path = {0};

	if (argp_parse(&certificates_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "/certificates");
	return call_list(cli, &path, &whole, columns, sizeof columns / sizeof columns[0]);
}

/* ---- update, suspend, resume, revoke --------------------------------------------------------- */

static const struct argp_option update_options[] = {{"name", OPT_NAME, "TEXT", 0, "A new name", 0},
    {"type", OPT_TYPE, "WORD", 0, "A new type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "A new location; empty for none", 0},
    {"label", OPT_LABEL, "NAME=VALUE", 0,
	"The labels, in place of all there were; may be repeated; a lone --label = removes them "
	"all",
	0},
    {"policy", OPT_POLICY, "NAME", 0, "Another policy; it takes effect at once", 0}, {0}};

static const struct argp update_argp = {update_options, parse, "ID",
    "Change what is known of a device. What is not named stays as it is."
    "\vExample:\n\n"
    "  muster device update 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11 --location 'hall "
    "3'\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_update(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true, .wants_change = true};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&update_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "");
	return call_show(cli, "PATCH", &path, body, fields_body(&a, body, &err), fields, N_FIELDS, &err);
}

static const struct argp suspend_argp = {NULL, parse, "ID",
    "Take a device's rights for the time being: its certificate goes on hold (certificateHold on "
    "the revocation list)."
    "\v`muster device resume ID` gives them back.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_suspend(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &suspend_argp, argc, argv, "POST", "/suspend");
}

static const struct argp resume_argp = {NULL, parse, "ID",
    "Give a suspended device its rights back."
    "\vA revoked device cannot be resumed: register it anew.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_resume(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &resume_argp, argc, argv, "POST", "/resume");
}

static const struct argp_option revoke_options[] = {
    {"reason", OPT_REASON, "REASON", 0,
	"unspecified (default), keyCompromise, affiliationChanged, superseded, "
	"cessationOfOperation or "
	"privilegeWithdrawn",
	0},
    {0}};

static const struct argp revoke_argp = {revoke_options, parse, "ID",
    "Revoke a device for good, with every certificate it has. There is no way back."
    "\vWhen the command returns, the revocation is on disk. A broker with the plugin cuts the live "
    "session off at once; in "
    "ACL-file mode the broker has been told, and the live session has no rights. The device cannot "
    "connect again.\n\n"
    "Example:\n\n"
    "  muster device revoke 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11 --reason "
    "keyCompromise\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_device_revoke(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &revoke_argp, argc, argv, "POST", "/revoke");
}
