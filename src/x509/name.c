/* Name ::= SEQUENCE OF SET OF SEQUENCE { OID, value } */
#include "x509/name.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "x509/cert.h"

/* The last arc of 2.5.4 (id-at). */
enum attribute { AT_COMMON_NAME = 3, AT_SERIAL_NUMBER = 5, AT_COUNTRY = 6, AT_ORGANIZATION = 10 };

static int
check_text(const char *what, const char *text, struct err *err)
{
	size_t chars = 0;
	const char *p;

	if (text == NULL)
		return 0;
	if (!text_is_printable(text, strlen(text)))
		return err_set(err, E_INPUT, "%s is not printable UTF-8 text", what);
	for (p = text; *p != '\0'; p++)
		chars += (*p & 0xc0) != 0x80;
	if (chars > CERT_NAME_MAX)
		return err_set(
		    err, E_INPUT, "%s is longer than %d characters", what, CERT_NAME_MAX);
	return 0;
}

int
name_check(const struct name *name, struct err *err)
{
	const char *c = name->country;
	int rc;

	if (c != NULL && c[0] != '\0' &&
	    (strlen(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z'))
		return err_set(err, E_INPUT, "a subject's country is two capital letters");
	if ((rc = check_text("a subject's organization", name->org, err)) != 0)
		return rc;
	return check_text("a subject's common name", name->common_name, err);
}

static void
put_attribute(struct buf *out, enum attribute type, unsigned tag, const char *text)
{
	const uint8_t oid[] = {0x55, 0x04, (uint8_t)type};
	size_t mark = out->len;

	if (text == NULL || text[0] == '\0')
		return;
	der_put(out, DER_OID, oid, sizeof oid);
	der_put(out, tag, text, strlen(text));
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_SET);
}

void
name_put(struct buf *out, const struct name *name)
{
	size_t mark = out->len;

	put_attribute(out, AT_COUNTRY, DER_PRINTABLE_STRING, name->country);
	put_attribute(out, AT_ORGANIZATION, DER_UTF8_STRING, name->org);
	put_attribute(out, AT_COMMON_NAME, DER_UTF8_STRING, name->common_name);
	der_wrap(out, mark, DER_SEQUENCE);
}

static bool
is_attribute(const struct der *oid, enum attribute type)
{
	const uint8_t id[] = {0x55, 0x04, (uint8_t)type};

	return der_equal(oid, id, sizeof id);
}

/* T61String, BMPString and the like are left to those who still make them. */
static bool
is_text(int tag)
{
	return tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING || tag == DER_IA5_STRING;
}

/* The one text of TYPE in NAME, as name_common_name says. */
static bool
only_text(const struct der *name, enum attribute type, char *out, size_t size)
{
	struct der rest = *name, set, pair, oid, value, found = {NULL, 0};
	unsigned names = 0;
	int tag;

	while (rest.len > 0) {
		if (!der_get(&rest, DER_SET, &set) || set.len == 0)
			return false;
		while (set.len > 0) {
			if (!der_get(&set, DER_SEQUENCE, &pair) || !der_get(&pair, DER_OID, &oid) ||
			    (tag = der_peek(&pair)) < 0 || !der_get(&pair, (unsigned)tag, &value) ||
			    pair.len != 0)
				return false;
			if (!is_attribute(&oid, type))
				continue;
			names++;
			found = is_text(tag) ? value : (struct der){NULL, 0};
		}
	}
	out[0] = '\0';
	if (names == 1 && found.len > 0 && found.len < size &&
	    text_is_printable((const char *)found.at, found.len)) {
		memcpy(out, found.at, found.len);
		out[found.len] = '\0';
	}
	return true;
}

bool
name_common_name(const struct der *name, char *out, size_t size)
{
	return only_text(name, AT_COMMON_NAME, out, size);
}

bool
name_serial_number(const struct der *name, char *out, size_t size)
{
	return only_text(name, AT_SERIAL_NUMBER, out, size);
}

bool
name_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	X509_NAME *x, *y;
	bool equal;

	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return true;
	x = d2i_X509_NAME(NULL, &a, (long)a_len);
	y = d2i_X509_NAME(NULL, &b, (long)b_len);
	equal = x != NULL && y != NULL && X509_NAME_cmp(x, y) == 0;
	X509_NAME_free(x);
	X509_NAME_free(y);
	ERR_clear_error();
	return equal;
}

void
name_text(const uint8_t *der, size_t len, char *out, size_t size)
{
	X509_NAME *name = d2i_X509_NAME(NULL, &der, (long)len);
	BIO *bio = BIO_new(BIO_s_mem());
	int n = -1;

	out[0] = '\0';
	if (name != NULL && bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(bio, out, (int)size - 1);
	out[n < 0 || BIO_pending(bio) > 0 ? 0 : n] = '\0';
	BIO_free(bio);
	X509_NAME_free(name);
	ERR_clear_error();
}
