/* `muster device …`: each command is its options, one call, one way to show the answer. */
#include "cmd/commands.h"
#include "cmd/credoptions.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include "base/text.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_TEXT "\n\nExit status: 0 done, 1 refused or failed, 2 usage."
#define LABELS_MAX 32

enum { OPT_NAME = 0x100, OPT_TYPE, OPT_LOCATION, OPT_LABEL, OPT_POLICY, OPT_STATUS, OPT_SEARCH, OPT_LIMIT, OPT_AFTER, OPT_REASON };

/* Everything that a device command can be told; each command's options fill their part. */
struct arguments {
	const char *id;
	const char *name, *type, *location, *policy;
	const char *status, *search, *limit, *after, *reason;
	const char *labels[LABELS_MAX];
	size_t n_labels;
	bool wants_id;
	struct credoptions credential;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->credential;
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
	case OPT_LIMIT:
		a->limit = arg;
		return 0;
	case OPT_AFTER:
		a->after = arg;
		return 0;
	case OPT_REASON:
		a->reason = arg;
		return 0;
	case OPT_LABEL:
		if (strchr(arg, '=') == NULL || a->n_labels == LABELS_MAX)
			argp_error(state, "--label must be NAME=VALUE, at most %d times", LABELS_MAX);
		a->labels[a->n_labels++] = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_id || a->id != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_id && a->id == NULL)
			argp_error(state, "which device? give its ID");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child credential_child[] = {{&credoptions_argp, 0, NULL, 0}, {0}};
/* parse() hands the child its input; commands without one need an empty list all the same. */
static const struct argp nothing_argp = {0};
static const struct argp_child no_child[] = {{&nothing_argp, 0, NULL, 0}, {0}};

static int
labels_body(const struct arguments *a, json_t *body, struct err *err)
{
	json_t *labels;
	char name[128];
	size_t i, len;

	if (a->n_labels == 0)
		return 0;
	labels = json_object();
	for (i = 0; i < a->n_labels; i++) {
		len = strcspn(a->labels[i], "=");
		if (len >= sizeof name) {
			json_decref(labels);
			return err_set(err, E_INPUT, "a label's name is too long: %s", a->labels[i]);
		}
		memcpy(name, a->labels[i], len);
		name[len] = '\0';
		/* An empty NAME= in a lone --label clears all: PATCH replaces the labels as a whole. */
		if (len > 0)
			(void)json_object_set_new(labels, name, json_string(a->labels[i] + len + 1));
	}
	(void)json_object_set_new(body, "labels", labels);
	return 0;
}

static json_t *
fields_body(const struct arguments *a)
{
	json_t *body = json_object();

	if (a->name != NULL)
		(void)json_object_set_new(body, "name", json_string(a->name));
	if (a->type != NULL)
		(void)json_object_set_new(body, "type", json_string(a->type));
	if (a->location != NULL)
		(void)json_object_set_new(body, "location", json_string(a->location));
	if (a->policy != NULL)
		(void)json_object_set_new(body, "policy", json_string(a->policy));
	return body;
}

static void
device_path(struct buf *path, const char *id, const char *verb)
{
	buf_text(path, "/v1/devices/");
	rest_segment(path, id);
	buf_text(path, verb);
}

static const struct print_field device_fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Type:", "type"},
    {"Location:", "location"}, {"Labels:", "labels"}, {"Status:", "status"}, {"Policy:", "policy"},
    {"Created:", "created_at"}, {"Updated:", "updated_at"}, {"Key:", "certificate.key"},
    {"Serial:", "certificate.serial"}, {"Fingerprint:", "certificate.fingerprint"},
    {"Valid until:", "certificate.not_after"}};

static void
show_device(const struct cli *cli, const json_t *answer)
{
	if (cli->json)
		print_json(answer);
	else
		print_fields(answer, device_fields, sizeof device_fields / sizeof device_fields[0]);
}

/* ---- register, package ------------------------------------------------------------------------------------------- */

static const struct argp_option register_options[] = {
    {"name", OPT_NAME, "TEXT", 0, "What people call it (required)", 0},
    {"type", OPT_TYPE, "WORD", 0, "Its kind, such as pump (required); [A-Za-z0-9._-]", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Where it is", 0},
    {"label", OPT_LABEL, "NAME=VALUE", 0, "A label; may be repeated", 0},
    {"policy", OPT_POLICY, "NAME", 0, "The policy that gives its topics (default: default)", 0}, {0}};

static const struct argp register_argp = {register_options, parse, "",
    "Register a device and make its credentials. It may connect to the broker at once.\v"
    "With --key, or neither --key nor --csr, the server makes the key; it leaves only inside an encrypted package behind a "
    "one-time link, and the password is shown once. With --csr the device has made its key itself.\n\n"
    "Examples:\n\n"
    "  muster device register --name \"Pump 1\" --type pump --key ec-p256 --qr\n"
    "  muster device register --name \"Pump 2\" --type pump --csr pump-2.csr --out pump-2.crt" EXIT_TEXT,
    credential_child, NULL, NULL};

int
cmd_device_register(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	json_t *body, *answer = NULL;
	struct err err = {0};
	int rc;

	if (argp_parse(&register_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	body = fields_body(&a);
	if ((rc = labels_body(&a, body, &err)) != 0 || (rc = credoptions_body(&a.credential, body, &err)) != 0)
		json_decref(body);
	else if ((rc = rest_call(cli, "POST", "/v1/devices", body, &answer, &err)) == 0)
		rc = credoptions_show(cli, &a.credential, answer, &err);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static const struct argp package_argp = {NULL, parse, "ID",
    "Make a new key, certificate and package for a device. Every earlier certificate is revoked as superseded, and a link "
    "that still waits is withdrawn.\v"
    "For a device whose package was lost, or whose key must change." EXIT_TEXT,
    credential_child, NULL, NULL};

int
cmd_device_package(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true};
	json_t *body, *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&package_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "/package");
	body = json_object();
	if ((rc = credoptions_body(&a.credential, body, &err)) != 0)
		json_decref(body);
	else if ((rc = rest_call(cli, "POST", buf_str(&path), body, &answer, &err)) == 0)
		rc = credoptions_show(cli, &a.credential, answer, &err);
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

/* ---- list, show, certificates ------------------------------------------------------------------------------------ */

static const struct argp_option list_options[] = {
    {"status", OPT_STATUS, "STATUS", 0, "pending, active, suspended, revoked or archived", 0},
    {"type", OPT_TYPE, "WORD", 0, "Only of this type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Only at this location", 0},
    {"search", OPT_SEARCH, "TEXT", 0, "Names or ids that begin with TEXT, whatever the case", 0},
    {"limit", OPT_LIMIT, "N", 0, "Devices a page, 1 to 1000 (default 50)", 0},
    {"after", OPT_AFTER, "CURSOR", 0, "Go on after an earlier page", 0}, {0}};

static const struct argp list_argp = {list_options, parse, "",
    "List devices in the order of their names.\v"
    "When there are more than fit a page, the last line says how to go on." EXIT_TEXT,
    no_child, NULL, NULL};

int
cmd_device_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {
	    {"ID", "id"}, {"STATUS", "status"}, {"TYPE", "type"}, {"NAME", "name"}, {"LOCATION", "location"}};
	struct arguments a = {0};
	json_t *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/devices");
	rest_query(&path, "status", a.status);
	rest_query(&path, "type", a.type);
	rest_query(&path, "location", a.location);
	rest_query(&path, "search", a.search);
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

static const struct argp show_argp = {NULL, parse, "ID", "Show a device and its current certificate.\v" EXIT_TEXT, no_child,
    NULL, NULL};

/* METHOD on one device, and the device shown. */
static int
on_device(struct cli *cli, const struct argp *argp, int argc, char **argv, const char *method, const char *verb)
{
	struct arguments a = {.wants_id = true};
	json_t *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, verb);
	if ((rc = rest_call(cli, method, buf_str(&path),
		 a.reason != NULL ? json_pack("{s:s}", "reason", a.reason) : NULL, &answer, &err)) == 0)
		show_device(cli, answer);
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

int
cmd_device_show(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &show_argp, argc, argv, "GET", "");
}

static const struct argp certificates_argp = {NULL, parse, "ID",
    "List every certificate that a device ever had, newest first.\v" EXIT_TEXT, no_child, NULL, NULL};

int
cmd_device_certificates(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"SERIAL", "serial"}, {"STATE", "state"}, {"REASON", "reason"},
	    {"KEY", "key"}, {"NOT AFTER", "not_after"}, {"FINGERPRINT", "fingerprint"}};
	struct arguments a = {.wants_id = true};
	json_t *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&certificates_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "/certificates");
	if ((rc = rest_call(cli, "GET", buf_str(&path), NULL, &answer, &err)) == 0) {
		if (cli->json)
			print_json(answer);
		else
			rc = print_items(answer, columns, 6, "", &err);
	}
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

/* ---- update, suspend, resume, revoke ----------------------------------------------------------------------------- */

static const struct argp_option update_options[] = {
    {"name", OPT_NAME, "TEXT", 0, "A new name", 0}, {"type", OPT_TYPE, "WORD", 0, "A new type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "A new location; empty for none", 0},
    {"label", OPT_LABEL, "NAME=VALUE", 0, "The labels, in place of all there were; may be repeated", 0},
    {"policy", OPT_POLICY, "NAME", 0, "Another policy; it takes effect at once", 0}, {0}};

static const struct argp update_argp = {update_options, parse, "ID",
    "Change what is known of a device. What is not named stays as it is.\v" EXIT_TEXT, no_child, NULL, NULL};

int
cmd_device_update(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true};
	json_t *body, *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&update_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	device_path(&path, a.id, "");
	body = fields_body(&a);
	if ((rc = labels_body(&a, body, &err)) != 0)
		json_decref(body);
	else if ((rc = rest_call(cli, "PATCH", buf_str(&path), body, &answer, &err)) == 0)
		show_device(cli, answer);
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static const struct argp suspend_argp = {NULL, parse, "ID",
    "Take a device's rights for the time being: its certificate goes on hold (certificateHold on the revocation list).\v"
    "`muster device resume ID` gives them back." EXIT_TEXT,
    no_child, NULL, NULL};

int
cmd_device_suspend(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &suspend_argp, argc, argv, "POST", "/suspend");
}

static const struct argp resume_argp = {NULL, parse, "ID",
    "Give a suspended device its rights back.\v" EXIT_TEXT, no_child, NULL, NULL};

int
cmd_device_resume(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &resume_argp, argc, argv, "POST", "/resume");
}

static const struct argp_option revoke_options[] = {
    {"reason", OPT_REASON, "REASON", 0,
	"unspecified (default), keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn", 0},
    {0}};

static const struct argp revoke_argp = {revoke_options, parse, "ID",
    "Revoke a device for good, with every certificate it has.\v"
    "When the command returns, the revocation is on disk and, in ACL-file mode, the broker has been told: the live session "
    "has no rights, and the device cannot connect again. There is no way back." EXIT_TEXT,
    no_child, NULL, NULL};

int
cmd_device_revoke(struct cli *cli, int argc, char **argv)
{
	return on_device(cli, &revoke_argp, argc, argv, "POST", "/revoke");
}
