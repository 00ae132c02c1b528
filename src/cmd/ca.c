/* `muster ca show|crl`. */
#include "cmd/commands.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include "base/fs.h"
#include "x509/pem.h"

#include <argp.h>
#include <stdio.h>
#include <unistd.h>

enum { OPT_PEM = 0x100 };

struct arguments {
	const char *out;
	bool pem;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'o':
		a->out = arg;
		return 0;
	case OPT_PEM:
		a->pem = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp show_argp = {NULL, parse, "",
    "Show the CAs, retired ones too, and the state of the revocation lists."
    "\vWith --json the certificates themselves are there, too, as PEM.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_ca_show(struct cli *cli, int argc, char **argv)
{
	static const struct print_field fields[] = {{"Root:", "root.subject"},
	    {"  until:", "root.not_after"}, {"  SHA-256:", "root.fingerprint"},
	    {"Old root:", "old_root.subject"}, {"  until:", "old_root.not_after"}, {"  SHA-256:", "old_root.fingerprint"},
	    {"Issuing CA:", "issuing.subject"}, {"  key:", "issuing.key"},
	    {"  key id:", "issuing.key_id"}, {"  until:", "issuing.not_after"}, {"CRL:", "crl.url"},
	    {"  number:", "crl.number"}, {"  made:", "crl.this_update"},
	    {"  until:", "crl.next_update"}, {"  entries:", "crl.entries"}, {"Delta:", "delta_crl.url"},
	    {"  number:", "delta_crl.number"}, {"  made:", "delta_crl.this_update"},
	    {"  until:", "delta_crl.next_update"}, {"  entries:", "delta_crl.entries"}};
	static const struct print_field retired[] = {{"Retired CA:", "issuing.subject"}, {"  key id:", "issuing.key_id"},
	    {"  until:", "issuing.not_after"}, {"  CRL:", "crl.url"}, {"  number:", "crl.number"},
	    {"  made:", "crl.this_update"}, {"  until:", "crl.next_update"}, {"  entries:", "crl.entries"}};
	struct arguments a = {0};
	json_t *answer = NULL, *item;
	struct err err = {0};
	size_t i;

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (rest_call(cli, "GET", "/v1/ca", NULL, &answer, &err) != 0)
		return cli_fail(cli, &err);
	if (cli->json) {
		print_json(answer);
	} else {
		print_fields(answer, fields, sizeof fields / sizeof fields[0]);
		json_array_foreach (json_object_get(answer, "retired"), i, item)
			print_fields(item, retired, sizeof retired / sizeof retired[0]);
	}
	json_decref(answer);
	return CLI_OK;
}

static const struct argp_option crl_options[] = {
    {"output", 'o', "FILE", 0, "Write it here, replacing FILE, instead of on standard output", 0},
    {"pem", OPT_PEM, NULL, 0, "As PEM instead of DER", 0}, {0}};

static const struct argp crl_argp = {crl_options, parse, "",
    "Get the complete certificate revocation list."
    "\vThe same is at http://HOST:8080/crl/issuing.crl for everybody, and beside it, as issuing-delta.crl, what has changed "
    "since a complete one that is at most a day old (crl_renew in muster.conf).\n\n"
    "Examples:\n\n"
    "  muster ca crl | openssl crl -inform DER -noout -text\n"
    "  muster ca crl --pem -o /etc/mosquitto/crl.pem\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_ca_crl(struct cli *cli, int argc, char **argv)
{
	struct buf der = {0}, pem = {0};
	struct arguments a = {0};
	struct buf *out = &der;
	struct err err = {0};
	int rc = 0;

	if (argp_parse(&crl_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (a.out != NULL)
		rc = outfile_check(a.out, &err);
	else if (!a.pem && isatty(STDOUT_FILENO) != 0)
		rc = err_set(&err, E_INPUT, "DER is not for a terminal\nGive -o FILE or --pem.");
	if (rc == 0 && (rc = rest_get(cli, "/crl/issuing.crl", &der, &err)) == 0 && a.pem) {
		pem_encode(&pem, "X509 CRL", der.data, der.len);
		out = &pem;
		rc = buf_failed(&pem) ? err_nomem(&err) : 0;
	}
	if (rc == 0 && a.out != NULL)
		rc = fs_write(a.out, 0644, (gid_t)-1, out->data, out->len, &err);
	else if (rc == 0 && fwrite(out->data, 1, out->len, stdout) != out->len)
		rc = err_sys(&err, "cannot write to standard output");
	buf_clear(&der);
	buf_clear(&pem);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
