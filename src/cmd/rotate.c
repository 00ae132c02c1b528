/* `muster device rotate`. Many devices are asked by pages, so that no call lasts, and where it broke off it can go on. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OPT_TYPE = 0x100, OPT_LOCATION, OPT_SEARCH, OPT_ALL, OPT_AFTER, OPT_CANCEL };

struct arguments {
	const char *id, *type, *location, *search, *after;
	bool all, cancel;
};

static const struct argp_option options[] = {
    {"type", OPT_TYPE, "WORD", 0, "All of this type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "All at this location", 0},
    {"search", OPT_SEARCH, "TEXT", 0, "All whose names or ids begin with TEXT, whatever the case", 0},
    {"all", OPT_ALL, NULL, 0, "All there are", 0},
    {"after", OPT_AFTER, "CURSOR", 0, "Go on where an earlier run broke off; its last line names the CURSOR", 0},
    {"cancel", OPT_CANCEL, NULL, 0, "Ask the device no more", 0},
    {0}};

static void
check(const struct arguments *a, struct argp_state *state)
{
	bool many = a->type != NULL || a->location != NULL || a->search != NULL || a->all;

	if ((a->id != NULL) == many)
		argp_error(state, "which devices? give an ID, or --type, --location, --search or --all");
	if (a->id == NULL && a->cancel)
		argp_error(state, "--cancel is for one device: give its ID");
	if (a->id != NULL && a->after != NULL)
		argp_error(state, "--after is for many devices");
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_TYPE:
		a->type = arg;
		return 0;
	case OPT_LOCATION:
		a->location = arg;
		return 0;
	case OPT_SEARCH:
		a->search = arg;
		return 0;
	case OPT_ALL:
		a->all = true;
		return 0;
	case OPT_AFTER:
		a->after = arg;
		return 0;
	case OPT_CANCEL:
		a->cancel = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->id != NULL || arg[0] == '\0')
			argp_error(state, "unexpected: %s", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		check(a, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "ID\n--type WORD | --location TEXT | --search TEXT | --all",
    "Have a device, or many, make themselves a new key and get a certificate for it."
    "\vThe device is told by a message in its control topic, which the broker keeps until it is done; so a device that is "
    "away hears of it when it comes. Its old certificate is good until the new one was seen at the broker, or the overlap "
    "(rotation.overlap in muster.conf) is over. It must run muster-agent, or do what that does. `muster device show ID` says "
    "how far it is. A device that was asked and has not done it yet is not asked again. How many are told in a second is "
    "rotation.per_second.\n\n"
    "Examples:\n\n"
    "  muster device rotate 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n"
    "  muster device rotate --type pump --location 'hall 3'\n"
    "  muster device rotate --cancel 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static int
one(struct cli *cli, const struct arguments *a)
{
	static const struct print_field fields[] = {{"Device:", "device_id"}, {"Rotation:", "state"}, {"Asked:", "asked_at"},
	    {"Told:", "told_at"}, {"Ended:", "ended_at"}};
	struct buf path = {0};
	struct err err = {0};

	buf_text(&path, "/v1/devices/");
	rest_segment(&path, a->id);
	buf_text(&path, "/rotate");
	return call_show(
	    cli, a->cancel ? "DELETE" : "POST", &path, NULL, 0, fields, sizeof fields / sizeof fields[0], &err);
}

/* Ask the page after AFTER. */
static int
page_ask(const struct cli *cli, const struct arguments *a, const char *after, json_t **answer_out, struct err *err)
{
	json_t *body = json_object();
	int rc;

	if ((rc = rest_set_text(body, "type", a->type, err)) != 0 ||
	    (rc = rest_set_text(body, "location", a->location, err)) != 0 ||
	    (rc = rest_set_text(body, "search", a->search, err)) != 0 || (rc = rest_set_text(body, "after", after, err)) != 0) {
		json_decref(body);
		return rc;
	}
	return rest_call(cli, "POST", "/v1/rotations", body, answer_out, err);
}

static void
show_progress(long long asked, long long open)
{
	if (isatty(STDERR_FILENO) == 1)
		(void)fprintf(stderr, "\r%lld devices asked, %lld had been asked already", asked, open);
}

static int
many(struct cli *cli, const struct arguments *a)
{
	json_t *page = NULL, *last = NULL, *summary;
	long long asked = 0, open = 0;
	const char *after = a->after;
	struct err err = {0};
	int rc;

	while ((rc = page_ask(cli, a, after, &page, &err)) == 0) {
		asked += json_integer_value(json_object_get(page, "asked"));
		open += json_integer_value(json_object_get(page, "open"));
		json_decref(last);
		last = page;
		show_progress(asked, open);
		if ((after = json_string_value(json_object_get(last, "next"))) == NULL)
			break;
	}
	if (isatty(STDERR_FILENO) == 1)
		(void)fprintf(stderr, "\r\033[K");
	summary = json_pack("{s:I, s:I, s:s?}", "asked", (json_int_t)asked, "open", (json_int_t)open, "next", after);
	if (cli->json)
		print_json(summary);
	else
		(void)printf("%lld devices asked, %lld had been asked already\n", asked, open);
	if (rc != 0 && after != NULL)
		(void)fprintf(stderr, "to go on: the same with --after %s\n", after);
	json_decref(summary);
	json_decref(last);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

int
cmd_device_rotate(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return a.id != NULL ? one(cli, &a) : many(cli, &a);
}
