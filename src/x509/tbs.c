/* Version 3 always. Reader and writer of the one format. */
#include "x509/tbs.h"

#include <string.h>

#include "x509/cert.h"
#include "x509/ext.h"

#define VERSION_3 2

struct tbs_mark
tbs_begin(struct buf *out, const struct tbs *tbs)
{
	struct tbs_mark mark = {.whole = out->len};
	size_t at = out->len;

	der_put_int(out, VERSION_3);
	der_wrap(out, at, DER_CONTEXT(0));
	der_put_unsigned(out, tbs->serial, SERIAL_LEN);
	key_sigalg(tbs->signer, out);
	buf_append(out, tbs->issuer.at, tbs->issuer.len);
	at = out->len;
	der_put_time(out, tbs->not_before);
	der_put_time(out, tbs->not_after);
	der_wrap(out, at, DER_SEQUENCE);
	name_put(out, &tbs->subject);
	buf_append(out, tbs->spki, tbs->spki_len);
	mark.extensions = out->len;
	return mark;
}

void
tbs_end(struct buf *out, struct tbs_mark mark)
{
	der_wrap(out, mark.extensions, DER_SEQUENCE);
	der_wrap(out, mark.extensions, DER_CONTEXT(3));
	der_wrap(out, mark.whole, DER_SEQUENCE);
}

static bool
read_validity(struct der *d, struct tbs_parts *out)
{
	struct der seq;

	return der_get(d, DER_SEQUENCE, &seq) && der_get_time(&seq, &out->not_before) &&
	       der_get_time(&seq, &out->not_after) && seq.len == 0;
}

static bool
read_extensions(struct der *d, struct tbs_parts *out)
{
	struct der list;

	if (d->len == 0)
		return true;
	return der_get(d, DER_CONTEXT(3), &list) &&
	       der_get(&list, DER_SEQUENCE, &out->extensions) && list.len == 0 && d->len == 0 &&
	       ext_list_is_sound(&out->extensions);
}

/* Unique identifiers (RFC 5280, section 4.1.2.8: not to be used) end in "malformed" here. */
static bool
read_tbs(struct der d, struct tbs_parts *out)
{
	struct der version, number, sigalg;

	return der_get(&d, DER_CONTEXT(0), &version) && der_get_unsigned(&version, &number) &&
	       version.len == 0 && der_equal(&number, "\x02", 1) &&
	       der_get_unsigned(&d, &out->serial) && out->serial.len > 0 &&
	       out->serial.len <= SERIAL_LEN && der_get_whole(&d, DER_SEQUENCE, &sigalg) &&
	       der_equal(&sigalg, out->sigalg.at, out->sigalg.len) &&
	       der_get_whole(&d, DER_SEQUENCE, &out->issuer) && read_validity(&d, out) &&
	       der_get_whole(&d, DER_SEQUENCE, &out->subject) &&
	       der_get_whole(&d, DER_SEQUENCE, &out->spki) && read_extensions(&d, out);
}

int
tbs_read(const uint8_t *der, size_t len, struct tbs_parts *out, struct err *err)
{
	struct der d = {der, len}, cert, tbs;
	struct tbs_parts parts = {0};

	if (len > CERT_DER_MAX)
		return err_set(
		    err, E_INPUT, "the certificate is larger than %d bytes", CERT_DER_MAX);
	if (!der_is_sound(&d) || !der_get(&d, DER_SEQUENCE, &cert) || d.len != 0 ||
	    !der_get_whole(&cert, DER_SEQUENCE, &parts.tbs) ||
	    !der_get_whole(&cert, DER_SEQUENCE, &parts.sigalg) ||
	    !der_get_bits(&cert, &parts.signature) || cert.len != 0)
		return err_set(err, E_INPUT, "the certificate is malformed");
	d = parts.tbs;
	if (!der_get(&d, DER_SEQUENCE, &tbs) || !read_tbs(tbs, &parts))
		return err_set(err, E_INPUT, "the certificate is malformed");
	*out = parts;
	return 0;
}
