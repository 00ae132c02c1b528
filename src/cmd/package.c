/* `muster package fetch`: the one delivery of a one-time link. */
#include "cmd/commands.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include "base/fs.h"

#include <argp.h>
#include <stdio.h>

struct arguments {
	const char *url;
	const char *out;
	bool force;
};

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Write the package here (default: package.zip)", 0},
    {"force", 'f', NULL, 0, "Replace FILE if it exists", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'o':
		a->out = arg;
		return 0;
	case 'f':
		a->force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->url != NULL)
			argp_error(state, "unexpected: %s", arg);
		a->url = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->url == NULL)
			argp_error(state, "which link? give its URL");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "URL",
    "Fetch a package by its one-time link."
    "\vThe link is used up by this; whether the file can be written is found out before. The "
    "server must be the one "
    "that the root certificate in --ca vouches for (default DIR/ca/root.crt, which is there on the "
    "server's own host). "
    "The file can be read by its owner only. It is a zip archive that 7-Zip and bsdtar open with "
    "the password that was "
    "shown at registration; Info-ZIP's unzip cannot.\n\n"
    "Example:\n\n"
    "  muster package fetch --ca root.crt -o pump-1.zip \\\n"
    "      https://muster.example.org:8443/d/wYQ...\n"
    "  7z x pump-1.zip\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* Before the link is used up. */
static int
check_output(const struct arguments *a, struct err *err)
{
	if (!a->force && fs_exists(a->out))
		return err_set(err, E_CONFLICT,
		    "%s exists\nChoose another name with -o, or replace it with --force.", a->out);
	return outfile_check(a->out, err);
}

/* For --json: there is no REST body that could be shown. */
static int
print_written(const char *file, size_t len, struct err *err)
{
	json_t *written = json_pack("{s:s, s:I}", "file", file, "bytes", (json_int_t)len);

	if (written == NULL)
		return err_nomem(err);
	print_json(written);
	json_decref(written);
	return 0;
}

int
cmd_package_fetch(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.out = "package.zip"};
	struct buf package = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((rc = check_output(&a, &err)) == 0 &&
	    (rc = rest_fetch(cli, a.url, &package, &err)) == 0 &&
	    (rc = fs_write(a.out, 0600, (gid_t)-1, package.data, package.len, &err)) == 0) {
		if (cli->json)
			rc = print_written(a.out, package.len, &err);
		else
			(void)printf(
			    "%s: %zu bytes. Open it with: 7z x %s\n", a.out, package.len, a.out);
	}
	buf_clear(&package);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
