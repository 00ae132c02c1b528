/* A CSR and its own key, or a key made by the server and its package: both ways end here. */
#include "cmd/credoptions.h"

#include "base/fs.h"
#include "base/text.h"
#include "cmd/print.h"
#include "cmd/qr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CSR_FILE_MAX 16384

enum { OPT_KEY = 0x200, OPT_CSR, OPT_PROFILE, OPT_VALID, OPT_SAN, OPT_LINK_TTL, OPT_QR, OPT_OUT };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Credentials:", 10},
    {"key", OPT_KEY, "KIND", 0, "Have the server make a key: rsa-2048 or ec-p256 (default: the profile's first)", 10},
    {"csr", OPT_CSR, "FILE", 0, "Use the key of this certification request instead (PEM or DER); no package is made", 10},
    {"profile", OPT_PROFILE, "NAME", 0, "How the certificate is made (default: standard; see `muster profile list`)", 10},
    {"valid", OPT_VALID, "DURATION", 0, "Shorter than the profile's: 90d, 8h", 10},
    {"san", OPT_SAN, "NAME", 0, "A further name in the certificate: DNS:..., IP:..., URI:...; may be repeated", 10},
    {"link-ttl", OPT_LINK_TTL, "DURATION", 0, "How long the one-time link is good (default 24h, at most 7d)", 10},
    {"qr", OPT_QR, NULL, 0, "Show the link as a QR code, too", 10},
    {"out", OPT_OUT, "FILE", 0, "Write the certificate and the issuing CA's to FILE", 10}, {0}};

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
			argp_error(state, "--link-ttl must be a duration such as 24h or 7d");
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
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp credoptions_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

/* PEM goes as it is; DER as base64, for JSON holds text. */
static int
csr_text(const char *file, struct buf *out, struct err *err)
{
	struct buf raw = {0};
	int rc;

	if ((rc = fs_read(file, CSR_FILE_MAX, &raw, err)) != 0)
		goto out;
	if (raw.len > 0 && raw.data[0] == 0x30)
		base64_encode(out, raw.data, raw.len);
	else if (text_is_utf8(buf_str(&raw), raw.len) && strlen(buf_str(&raw)) == raw.len)
		buf_append(out, raw.data, raw.len);
	else
		rc = err_set(err, E_INPUT, "%s is no certification request, neither PEM nor DER", file);
out:
	buf_clear(&raw);
	return rc;
}

static void
set_text(json_t *body, const char *name, const char *value)
{
	if (value != NULL)
		(void)json_object_set_new(body, name, json_string(value));
}

int
credoptions_body(const struct credoptions *o, json_t *body, struct err *err)
{
	struct buf csr = {0};
	json_t *sans;
	size_t i;
	int rc = 0;

	set_text(body, "key", o->key);
	set_text(body, "profile", o->profile);
	set_text(body, "valid", o->valid);
	if (o->link_ttl_s > 0)
		(void)json_object_set_new(body, "link_ttl_s", json_integer(o->link_ttl_s));
	if (o->n_sans > 0) {
		sans = json_array();
		for (i = 0; i < o->n_sans; i++)
			(void)json_array_append_new(sans, json_string(o->sans[i]));
		(void)json_object_set_new(body, "san", sans);
	}
	if (o->csr_file != NULL && (rc = csr_text(o->csr_file, &csr, err)) == 0)
		set_text(body, "csr", buf_str(&csr));
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
	rc = pem.len == 0 ? err_set(err, E_SYS, "the answer has no certificate") :
			    fs_write(file, 0644, (gid_t)-1, pem.data, pem.len, err);
	buf_clear(&pem);
	return rc;
}

static int
show_link(const struct credoptions *o, const json_t *answer, struct err *err)
{
	static const struct print_field fields[] = {
	    {"Link:", "package.url"}, {"good until:", "package.expires_at"}, {"Password:", "package.password"}};
	struct buf url = {0}, qr = {0};
	int rc = 0;

	print_value(&url, answer, "package.url");
	(void)putchar('\n');
	print_fields(answer, fields, 3);
	if (o->qr && (rc = qr_draw(&qr, buf_str(&url), err)) == 0)
		(void)printf("\n%s", buf_str(&qr));
	(void)printf("\nThe link delivers the package once. The password is shown this once: pass it on by another way than "
		     "the link.\n\n"
		     "  muster package fetch %s -o package.zip\n"
		     "  7z x package.zip\n",
	    buf_str(&url));
	buf_clear(&url);
	buf_clear(&qr);
	return rc;
}

int
credoptions_show(const struct cli *cli, const struct credoptions *o, const json_t *answer, struct err *err)
{
	static const struct print_field fields[] = {{"Id:", "id"}, {"Name:", "name"}, {"Status:", "status"},
	    {"Key:", "certificate.key"}, {"Serial:", "certificate.serial"},
	    {"Fingerprint:", "certificate.fingerprint"}, {"Valid from:", "certificate.not_before"},
	    {"Valid until:", "certificate.not_after"}};
	int rc;

	if (o->out_file != NULL && (rc = write_certificate(o->out_file, answer, err)) != 0)
		return rc;
	if (cli->json) {
		print_json(answer);
		return 0;
	}
	print_fields(answer, fields, sizeof fields / sizeof fields[0]);
	if (json_is_object(json_object_get(answer, "package")))
		return show_link(o, answer, err);
	if (o->out_file == NULL) {
		struct buf pem = {0};

		print_value(&pem, answer, "certificate.pem");
		(void)printf("\n%s", buf_str(&pem));
		buf_clear(&pem);
	}
	return 0;
}
