/* A CSR and its own key, or a key made by the server and its package: both ways end here. */
#include "cmd/credoptions.h"

#include "base/fs.h"
#include "base/text.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/qr.h"
#include "cmd/rest.h"
#include "x509/der.h"
#include "x509/pem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CSR_FILE_MAX 16384

enum { OPT_KEY = 0x200, OPT_CSR, OPT_PROFILE, OPT_VALID, OPT_SAN, OPT_LINK_TTL, OPT_QR, OPT_OUT };

static const struct argp_option options[] = {{NULL, 0, NULL, 0, "Credentials:", 10},
    {"key", OPT_KEY, "KIND", 0,
	"Have the server make a key: rsa-2048 or ec-p256 (default: the profile's first)", 10},
    {"csr", OPT_CSR, "FILE", 0,
	"Use the key of this certification request instead (PEM or DER); no package is made", 10},
    {"profile", OPT_PROFILE, "NAME", 0,
	"How the certificate is made (default: the one for the key; see `muster profile list`)",
	10},
    {"valid", OPT_VALID, "DURATION", 0,
	"How long the certificate is good, such as 90d, 8h or 30m; at most the profile's, which is "
	"the default",
	10},
    {"san", OPT_SAN, "NAME", 0,
	"A further name in the certificate: DNS:NAME, IP:ADDRESS or URI:URI; may be repeated", 10},
    {"link-ttl", OPT_LINK_TTL, "DURATION", 0,
	"How long the one-time link is good (default 24h, at most 7d)", 10},
    {"qr", OPT_QR, NULL, 0, "Show the link as a QR code, too", 10},
    {"out", OPT_OUT, "FILE", 0,
	"Write the certificate and the issuing CA's to FILE as PEM, replacing it", 10},
    {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct credoptions *o = state->input;

	switch (key) {
	case OPT_KEY:
		o->key = arg;
		return 0;
	case OPT_CSR:
		o->csr_file = arg;
		return 0;
	case OPT_PROFILE:
		o->profile = arg;
		return 0;
	case OPT_VALID:
		o->valid = arg;
		return 0;
	case OPT_SAN:
		if (o->n_sans == CREDOPTIONS_SANS_MAX)
			argp_error(state, "at most %d names", CREDOPTIONS_SANS_MAX);
		o->sans[o->n_sans++] = arg;
		return 0;
	case OPT_LINK_TTL:
		if (!duration_parse(arg, &o->link_ttl_s))
			argp_error(state, "--link-ttl must be a duration such as 90m, 24h or 7d");
		return 0;
	case OPT_QR:
		o->qr = true;
		return 0;
	case OPT_OUT:
		o->out_file = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->key != NULL && o->csr_file != NULL)
			argp_error(state, "either --key or --csr");
		if (o->csr_file != NULL && (o->qr || o->link_ttl_s > 0))
			argp_error(state, "with --csr there is no package, and so no link");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp credoptions_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

/* Is it built as a CertificationRequest (RFC 2986, section 4)? Private keys of all formats begin
 * otherwise. */
static bool
is_request(const struct buf *data)
{
	struct der outer = {data->data, data->len}, body, info, version;

	return der_get(&outer, DER_SEQUENCE, &body) && outer.len == 0 &&
	       der_get(&body, DER_SEQUENCE, &info) && der_get(&info, DER_INTEGER, &version);
}

int
credoptions_csr(const struct buf *raw, struct buf *out, struct err *err)
{
	const char *label = "CERTIFICATE REQUEST";
	struct buf decoded;
	int rc = 0;

	buf_init_secret(&decoded);
	if (strstr(buf_str(raw), "-----BEGIN NEW CERTIFICATE REQUEST-----") != NULL) /* RFC 7468, section 7 */
		label = "NEW CERTIFICATE REQUEST";
	if (raw->len > 0 && raw->data[0] == DER_SEQUENCE)
		buf_append(&decoded, raw->data, raw->len);
	else
		rc = pem_decode(buf_str(raw), raw->len, label, &decoded, err);
	if (rc == 0 && buf_failed(&decoded))
		rc = err_nomem(err);
	else if (rc == 0 && !is_request(&decoded))
		rc = err_set(err, E_INPUT, "this is not a certification request");
	if (rc == 0)
		base64_encode(out, decoded.data, decoded.len);
	buf_clear(&decoded);
	return rc == 0 && buf_failed(out) ? err_nomem(err) : rc;
}

/* The request in FILE. */
static int
csr_text(const char *file, struct buf *out, struct err *err)
{
	struct buf raw;
	int rc;

	buf_init_secret(&raw);
	if ((rc = fs_read(file, CSR_FILE_MAX, &raw, err)) == 0)
		rc = credoptions_csr(&raw, out, err);
	if (rc == E_INPUT)
		rc = err_prefix(err, "--csr %s", file);
	buf_clear(&raw);
	return rc;
}

static int
sans_body(const struct credoptions *o, json_t *body, struct err *err)
{
	json_t *sans;
	size_t i;
	int rc;

	if (o->n_sans == 0)
		return 0;
	if ((rc = rest_set_take(body, "san", sans = json_array(), err)) != 0)
		return rc;
	for (i = 0; i < o->n_sans; i++)
		if (json_array_append_new(sans, json_string(o->sans[i])) != 0)
			return err_nomem(err);
	return 0;
}

int
credoptions_body(const struct credoptions *o, json_t *body, struct err *err)
{
	struct buf csr = {0};
	int rc;

	if ((rc = rest_set_text(body, "key", o->key, err)) == 0 &&
	    (rc = rest_set_text(body, "profile", o->profile, err)) == 0 &&
	    (rc = rest_set_text(body, "valid", o->valid, err)) == 0 &&
	    (rc = sans_body(o, body, err)) == 0 && o->link_ttl_s > 0)
		rc = rest_set_take(body, "link_ttl_s", json_integer(o->link_ttl_s), err);
	if (rc == 0 && o->csr_file != NULL && (rc = csr_text(o->csr_file, &csr, err)) == 0)
		rc = rest_set_text(body, "csr", buf_str(&csr), err);
	if (rc == 0 && o->out_file != NULL)
		rc = outfile_check(o->out_file, err);
	buf_clear(&csr);
	return rc;
}

static int
write_certificate(const char *file, const json_t *answer, struct err *err)
{
	struct buf pem = {0};
	int rc;

	print_value(&pem, answer, "certificate.pem");
	print_value(&pem, answer, "certificate.chain_pem");
	rc = pem.len == 0 ? err_set(err, E_SYS, "the answer has no certificate")
			  : fs_write(file, 0644, (gid_t)-1, pem.data, pem.len, err);
	buf_clear(&pem);
	return rc;
}

static int
show_link(const struct cli *cli, const struct credoptions *o, const json_t *answer, struct err *err)
{
	static const struct print_field fields[] = {{"Link:", "package.url"},
	    {"Good until:", "package.expires_at"}, {"Password:", "package.password"}};
	bool is_usual = strcmp(cli->dir, CLI_DIR_DEFAULT) == 0;
	struct buf url = {0}, safe = {0}, qr = {0};
	int rc = 0;

	print_value(&url, answer, "package.url");
	text_escape(&safe, buf_str(&url), url.len);
	(void)putchar('\n');
	print_fields(answer, fields, sizeof fields / sizeof fields[0]);
	if (o->qr && (rc = qr_draw(&qr, buf_str(&url), err)) == 0)
		(void)printf("\n%s", buf_str(&qr));
	(void)printf("\nThe link delivers the package once: open it in a browser, or run the first "
		     "line below.\n"
		     "The password is shown this once: pass it on by another way than the link.\n\n"
		     "  muster %s%s%spackage fetch %s -o package.zip\n"
		     "  7z x package.zip\n\n"
		     "On another machine the first line needs --ca FILE, a copy of this home's "
		     "ca/root.crt.\n",
	    is_usual ? "" : "--dir ", is_usual ? "" : cli->dir, is_usual ? "" : " ",
	    buf_str(&safe));
	buf_clear(&url);
	buf_clear(&safe);
	buf_clear(&qr);
	return rc;
}

static int
show(const struct cli *cli, const struct credoptions *o, const json_t *answer, struct err *err)
{
	static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"},
	    {"Status:", "status"}, {"Key:", "certificate.key"}, {"Serial:", "certificate.serial"},
	    {"Fingerprint:", "certificate.fingerprint"}, {"Valid from:", "certificate.not_before"},
	    {"Valid until:", "certificate.not_after"}};

	print_fields(answer, fields, sizeof fields / sizeof fields[0]);
	if (json_is_object(json_object_get(answer, "package")))
		return show_link(cli, o, answer, err);
	if (o->csr_file == NULL && cli->idempotency_key != NULL)
		(void)printf("\nThis was done before under the same key, and the package's link and password were shown then.\n"
			     "Where they are lost, this makes new ones: muster device package ID\n");
	if (o->out_file == NULL) {
		(void)putchar('\n');
		print_lines(answer, "certificate.pem");
		print_lines(answer, "certificate.chain_pem");
	}
	return 0;
}

int
credoptions_show(
    const struct cli *cli, const struct credoptions *o, const json_t *answer, struct err *err)
{
	int rc = 0;

	/* Shown first: a file that cannot be written must not keep back the password. */
	if (cli->json)
		print_json(answer);
	else
		rc = show(cli, o, answer, err);
	if (rc != 0 || o->out_file == NULL ||
	    (rc = write_certificate(o->out_file, answer, err)) != 0)
		return rc;
	if (!cli->json)
		(void)printf("\nThe certificate and the issuing CA's are in %s.\n", o->out_file);
	return 0;
}
