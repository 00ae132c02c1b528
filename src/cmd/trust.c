/* `muster trust …`: manufacturers' CAs, and which of their devices are expected. */
#include "base/fs.h"
#include "base/text.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"
#include "x509/chain.h"
#include "x509/idevid.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 500	/* serial numbers a call: well within limits.body_bytes */
#define WORDS_MAX 100	/* serial numbers on the command line */
#define SOUND "1 to 64 letters, digits, blanks and ' ( ) + , - . / : = ?"

enum { OPT_NAME = 0x100, OPT_TYPE, OPT_LOCATION, OPT_POLICY, OPT_PROFILE, OPT_SERIALS, OPT_ANY, OPT_DEVICE };

struct arguments {
	const char *name, *type, *location, *policy, *profile, *serials, *device;
	bool any;
	const char *words[WORDS_MAX + 1]; /* those that are no options */
	size_t n_words;
	size_t least, most; /* of them */
	const char *missing; /* what is wrong with fewer */
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
	case OPT_SERIALS:
		a->serials = arg;
		return 0;
	case OPT_ANY:
		a->any = true;
		return 0;
	case OPT_DEVICE:
		a->device = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->n_words == a->most)
			argp_error(state, "unexpected: %s", arg);
		a->words[a->n_words++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->n_words < a->least || (a->n_words > 0 && a->words[0][0] == '\0'))
			argp_error(state, "%s", a->missing);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

#define WHICH "which trust anchor? give its NAME, which `muster trust list` shows"

static const struct print_field fields[] = {{"Name:", "name"}, {"CA:", "subject"}, {"Fingerprint:", "fingerprint"},
    {"Expires:", "not_after"}, {"Type:", "type"}, {"Location:", "location"}, {"Policy:", "policy"},
    {"Profile:", "profile"}, {"Any serial:", "any_serial"}, {"On hold:", "held"}, {"Added:", "created_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static void
trust_path(struct buf *path, const char *name, const char *action)
{
	buf_text(path, "/v1/trust/");
	rest_segment(path, name);
	buf_text(path, action);
}

/* ---- serial numbers from a file ---------------------------------------------------------------------------------- */

/* Serial numbers, one by one, from the command line and then from a file. */
struct serials {
	const char *const *words;
	size_t n_words;
	const char *path; /* NULL: none */
	FILE *file;
	char *line;
	size_t size, n_lines;
};

static int
serials_open(struct serials *s, const char *const *words, size_t n_words, const char *path, struct err *err)
{
	*s = (struct serials){.words = words, .n_words = n_words, .path = path};
	if (path != NULL && (s->file = fopen(path, "re")) == NULL)
		return err_sys(err, "cannot read %s", path);
	return 0;
}

static void
serials_close(struct serials *s)
{
	if (s->file != NULL)
		(void)fclose(s->file);
	free(s->line);
}

/* The next one; *SERIAL_OUT is NULL at the end. Blank lines are passed over. */
static int
serials_next(struct serials *s, const char **serial_out, struct err *err)
{
	size_t len;
	char *at;

	*serial_out = NULL;
	if (s->n_words > 0) {
		s->n_words--;
		*serial_out = *s->words++;
		if (idevid_serial_is_sound(*serial_out))
			return 0;
		return err_set(err, E_INPUT, "%s is no serial number: " SOUND, *serial_out);
	}
	while (s->file != NULL && getline(&s->line, &s->size, s->file) >= 0) {
		s->n_lines++;
		at = s->line + strspn(s->line, " \t\r\n");
		for (len = strlen(at); len > 0 && strchr(" \t\r\n", at[len - 1]) != NULL; len--)
			at[len - 1] = '\0';
		if (len == 0)
			continue;
		if (!idevid_serial_is_sound(at))
			return err_set(err, E_INPUT, "%s: line %zu is no serial number: " SOUND, s->path, s->n_lines);
		*serial_out = at;
		return 0;
	}
	return s->file != NULL && ferror(s->file) ? err_sys(err, "cannot read %s", s->path) : 0;
}

/* Before anything is sent: a mistake in the last line must not show when the others have arrived. */
static int
serials_check(const struct arguments *a, size_t *n_out, struct err *err)
{
	struct serials s;
	const char *serial = "";
	size_t n = 0;
	int rc;

	if ((rc = serials_open(&s, a->words + 1, a->n_words - 1, a->serials, err)) != 0)
		return rc;
	while ((rc = serials_next(&s, &serial, err)) == 0 && serial != NULL)
		n++;
	serials_close(&s);
	if (rc == 0)
		*n_out = n;
	return rc;
}

/* POST what is in *BATCH (taken), and add the number MEMBER of the answer to *SUM. */
static int
batch_send(const struct cli *cli, const char *path, const struct arguments *a, json_t **batch, const char *member,
    json_int_t *sum, struct err *err)
{
	json_t *body = json_object(), *answer = NULL;
	int rc;

	rc = rest_set_take(body, "serials", *batch, err);
	*batch = NULL;
	if (rc == 0)
		rc = rest_set_text(body, "device_id", a->device, err);
	if (rc != 0)
		json_decref(body);
	else if ((rc = rest_call(cli, "POST", path, body, &answer, err)) == 0)
		*sum += json_integer_value(json_object_get(answer, member));
	json_decref(answer);
	return rc;
}

/* Send all serial numbers to the anchor's ACTION, in batches; the file may be as long as it likes. */
static int
serials_send(const struct cli *cli, const char *name, const struct arguments *a, const char *action, const char *member,
    json_int_t *sum, struct err *err)
{
	const char *serial = "";
	json_t *batch = NULL;
	struct buf path = {0};
	struct serials s;
	int rc;

	trust_path(&path, name, action);
	if ((rc = serials_open(&s, a->words + 1, a->n_words - 1, a->serials, err)) != 0)
		goto out;
	while (rc == 0 && serial != NULL && (rc = serials_next(&s, &serial, err)) == 0) {
		if (serial != NULL && ((batch == NULL && (batch = json_array()) == NULL) ||
					  json_array_append_new(batch, json_string(serial)) != 0))
			rc = err_nomem(err);
		if (rc == 0 && batch != NULL && (serial == NULL || json_array_size(batch) == BATCH))
			rc = batch_send(cli, buf_str(&path), a, &batch, member, sum, err);
	}
	serials_close(&s);
out:
	json_decref(batch);
	buf_clear(&path);
	return rc;
}

/* Send them, and tell how many were new there, or gone. */
static int
serials_change(struct cli *cli, struct arguments *a, const char *action, const char *member, const char *what)
{
	json_int_t sum = 0;
	struct err err = {0};
	json_t *answer;
	size_t n = 0;

	if (serials_check(a, &n, &err) != 0)
		return cli_fail(cli, &err);
	if (n == 0) {
		(void)err_set(&err, E_INPUT, "%s has no serial number", a->serials != NULL ? a->serials : "the command");
		return cli_fail(cli, &err);
	}
	if (serials_send(cli, a->words[0], a, action, member, &sum, &err) != 0)
		return cli_fail(cli, &err);
	if (!cli->json) {
		(void)printf("%s: %lld of %zu.\n", what, (long long)sum, n);
		return CLI_OK;
	}
	if ((answer = json_pack("{s:I}", member, sum)) == NULL) {
		(void)err_nomem(&err);
		return cli_fail(cli, &err);
	}
	print_json(answer);
	json_decref(answer);
	return CLI_OK;
}

/* ---- add --------------------------------------------------------------------------------------------------------- */

static const struct argp_option add_options[] = {
    {"name", OPT_NAME, "WORD", 0, "What the anchor is called here", 0},
    {"type", OPT_TYPE, "WORD", 0, "The devices that enrol by it are of this type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Where they are", 0},
    {"policy", OPT_POLICY, "NAME", 0, "The policy that gives them their topics (default: default)", 0},
    {"profile", OPT_PROFILE, "NAME", 0, "How their certificates are made (default: by the kind of their key)", 0},
    {"serials", OPT_SERIALS, "FILE", 0, "The serial numbers of the devices that are expected, one a line", 0},
    {"any-serial", OPT_ANY, NULL, 0, "Let in every device that this CA vouches for", 0}, {0}};

static const struct argp add_argp = {add_options, parse, "FILE",
    "Trust a manufacturer's CA: devices that its certificates (IEEE 802.1AR, IDevID) identify enrol by them."
    "\vFILE is the CA's certificate, PEM: the manufacturer's root, or the intermediate CA of one product.\n\n"
    "Expected are the devices whose serial numbers are listed: what the subject of the device's certificate has as its "
    "serialNumber, to the letter. Without a list, and without --any-serial, nobody enrols until `muster trust expect`.\n\n"
    "A device enrols by EST (RFC 7030) over TLS with that certificate as its own; `muster-agent enrol --help` shows how. "
    "Whether the manufacturer has revoked it is not asked.\n\n"
    "Example:\n\n"
    "  muster trust add acme-ca.pem --name acme --type pump --serials serials.txt\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static int
add_body(const struct arguments *a, json_t *body, struct err *err)
{
	struct buf pem = {0};
	int rc;

	if ((rc = fs_read(a->words[0], CHAIN_PEM_MAX, &pem, err)) == 0 &&
	    (rc = rest_set_text(body, "name", a->name, err)) == 0 &&
	    (rc = rest_set_take(body, "certificate", json_stringn(buf_str(&pem), pem.len), err)) == 0 &&
	    (rc = rest_set_text(body, "type", a->type, err)) == 0 &&
	    (rc = rest_set_text(body, "location", a->location, err)) == 0 &&
	    (rc = rest_set_text(body, "policy", a->policy, err)) == 0 &&
	    (rc = rest_set_text(body, "profile", a->profile, err)) == 0 && a->any)
		rc = rest_set_take(body, "any_serial", json_true(), err);
	buf_clear(&pem);
	return rc;
}

/* The anchor is there; now who is expected by it. */
static int
add_serials(struct cli *cli, const struct arguments *a, struct err *err)
{
	json_int_t sum = 0;

	if (a->serials == NULL)
		return 0;
	if (serials_send(cli, a->name, a, "/serials", "added", &sum, err) == 0)
		return 0;
	return err_prefix(err, "the anchor %s was added, but not all of %s (`muster trust expect` goes on)", a->name, a->serials);
}

int
cmd_trust_add(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = 1, .missing = "whom to trust? give a FILE with the CA's certificate"};
	json_t *body = json_object(), *answer = NULL;
	struct err err = {0};
	size_t n = 0;
	int rc;

	if (argp_parse(&add_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (a.name == NULL || a.type == NULL || (a.any && a.serials != NULL)) {
		(void)fprintf(stderr, "%s: %s\n", argv[0],
		    a.name == NULL ? "what is it called? give --name" :
			a.type == NULL ? "what are its devices? give --type" :
					 "either --serials or --any-serial, not both");
		json_decref(body);
		return CLI_USAGE;
	}
	if ((rc = serials_check(&a, &n, &err)) == 0)
		rc = add_body(&a, body, &err);
	if (rc != 0)
		json_decref(body);
	else if ((rc = rest_call(cli, "POST", "/v1/trust", body, &answer, &err)) == 0)
		rc = add_serials(cli, &a, &err);
	if (rc != 0) {
		json_decref(answer);
		return cli_fail(cli, &err);
	}
	if (cli->json)
		print_json(answer);
	else
		print_fields(answer, fields, N_FIELDS);
	if (!cli->json && n == 0 && !a.any)
		(void)fprintf(stderr, "Nobody is expected yet: `muster trust expect %s SERIAL` lets a device in.\n", a.name);
	json_decref(answer);
	return CLI_OK;
}

/* ---- list, show, remove, resume ---------------------------------------------------------------------------------- */

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct argp list_argp_of_trust = {NULL, parse, "",
    "List the manufacturers' CAs by which devices enrol.\v" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_trust_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"NAME", "name"}, {"TYPE", "type"}, {"ANY SERIAL", "any_serial"},
	    {"ON HOLD", "held"}, {"EXPIRES", "not_after"}, {"CA", "subject"}};
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&list_argp_of_trust, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/trust");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp show_argp = {NULL, parse, "NAME", "Show a manufacturer's CA and what its devices become.\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_show(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = 1, .missing = WHICH};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	trust_path(&path, a.words[0], "");
	return call_show(cli, "GET", &path, NULL, 0, fields, N_FIELDS, &err);
}

static const struct argp remove_argp = {NULL, parse, "NAME",
    "Trust a manufacturer's CA no more: nobody enrols by it from now on, and its list of serial numbers goes."
    "\vDevices that enrolled stay as they are, and renew. Should the CA be added again, each certificate still stands for the "
    "device that it was: one that is revoked stays out.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_remove(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = 1, .missing = WHICH};
	struct buf path = {0};

	if (argp_parse(&remove_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	trust_path(&path, a.words[0], "");
	return call_remove(cli, &path, a.words[0]);
}

static const struct argp resume_argp = {NULL, parse, "NAME",
    "Let devices enrol again by a manufacturer's CA that is on hold."
    "\vA restore from a backup puts every anchor on hold: it may have been removed since the backup was made, and so may serial "
    "numbers; and devices that enrolled since have been forgotten, also those that were revoked. Look through `muster trust "
    "serials NAME` first.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_resume(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = 1, .missing = WHICH};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&resume_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	trust_path(&path, a.words[0], "/resume");
	return call_show(cli, "POST", &path, NULL, 0, fields, N_FIELDS, &err);
}

/* ---- serials, expect, unexpect, forget --------------------------------------------------------------------------- */

static const struct argp serials_argp = {NULL, parse, "NAME",
    "List the serial numbers that are expected by a manufacturer's CA, and the devices that enrolled with them.\v" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_trust_serials(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"SERIAL", "serial"}, {"ENROLLED", "enrolled"}, {"DEVICE", "device_id"}};
	struct arguments a = {.least = 1, .most = 1, .missing = WHICH};
	struct buf path = {0};

	if (argp_parse(&serials_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	trust_path(&path, a.words[0], "/serials");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp_option expect_options[] = {
    {"serials", OPT_SERIALS, "FILE", 0, "More serial numbers, one a line", 0},
    {"device", OPT_DEVICE, "ID", 0, "The one SERIAL is this pending device's (see `muster device register --pending`)", 0}, {0}};

static const struct argp expect_argp = {expect_options, parse, "NAME [SERIAL...]",
    "Expect devices by their serial numbers: they may enrol with their manufacturer's certificate."
    "\vExamples:\n\n"
    "  muster trust expect acme PX-1001 PX-1002\n"
    "  muster trust expect acme --serials second-delivery.txt\n"
    "  muster trust expect acme PX-1003 --device ID\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_expect(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = WORDS_MAX + 1, .missing = WHICH};

	if (argp_parse(&expect_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return serials_change(cli, &a, "/serials", "added", "Newly expected");
}

static const struct argp_option unexpect_options[] = {
    {"serials", OPT_SERIALS, "FILE", 0, "More serial numbers, one a line", 0}, {0}};

static const struct argp unexpect_argp = {unexpect_options, parse, "NAME [SERIAL...]",
    "Expect devices no more: they cannot enrol with their manufacturer's certificate. Those that did stay as they are; "
    "`muster device revoke` takes their rights.\v" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_unexpect(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.least = 1, .most = WORDS_MAX + 1, .missing = WHICH};

	if (argp_parse(&unexpect_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return serials_change(cli, &a, "/serials/remove", "removed", "Not expected any more");
}

static const struct argp forget_argp = {NULL, parse, "NAME SERIAL",
    "Forget which manufacturer's certificate has enrolled with a serial number: the next one, be it the same or another, enrols "
    "as a new device, if the number is expected."
    "\vFor a device that comes back after it was revoked, and for one that its manufacturer gave another certificate. The device "
    "that it was stays as it is: revoke it, if it is not.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_trust_forget(struct cli *cli, int argc, char **argv)
{
	static const struct print_field forgotten[] = {{"It was:", "device_id"}};
	struct arguments a = {.least = 2, .most = 2, .missing = "which device? give the anchor's NAME and a SERIAL"};
	json_t *body = json_object();
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&forget_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	trust_path(&path, a.words[0], "/serials/forget");
	rc = rest_set_text(body, "serial", a.words[1], &err);
	return call_show(cli, "POST", &path, body, rc, forgotten, 1, &err);
}
