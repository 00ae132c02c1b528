/* Names in a certificate are what relying parties match on, so only three kinds are written and
 * each is checked by its own grammar. */
#include "x509/san.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "x509/cert.h"
#include "x509/der.h"

#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63

enum san_kind { SAN_BAD, SAN_DNS = 2, SAN_URI = 6, SAN_IP = 7 }; /* GeneralName's tags */

struct san {
	enum san_kind kind;
	uint8_t value[CERT_SAN_SIZE];
	size_t len;
};

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* LDH labels (RFC 1123, section 2.1). A last label of digits would read as an IPv4 address. */
static bool
is_dns_name(const char *text)
{
	size_t label = 0, letters = 0;
	const char *p;

	if (strlen(text) > DNS_NAME_MAX)
		return false;
	for (p = text;; p++) {
		if (*p == '.' || *p == '\0') {
			if (label == 0 || label > DNS_LABEL_MAX || p[-1] == '-')
				return false;
			if (*p == '\0')
				return letters > 0;
			label = letters = 0;
			continue;
		}
		if (!is_alpha(*p) && !is_digit(*p) && (*p != '-' || label == 0))
			return false;
		letters += !is_digit(*p);
		label++;
	}
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 3986: a scheme, then only characters that may stand in a URI; where there is an authority, a
 * host. */
bool
san_is_uri(const char *text)
{
	const char *p = text;

	if (!is_alpha(*p))
		return false;
	while (is_alpha(*p) || is_digit(*p) || (*p != '\0' && strchr("+-.", *p) != NULL))
		p++;
	if (*p++ != ':' || *p == '\0')
		return false;
	if (p[0] == '/' && p[1] == '/' && (p[2] == '\0' || strchr("/?#", p[2]) != NULL))
		return false;
	for (; *p != '\0'; p++)
		if (*p == '%' ? !is_hex(p[1]) || !is_hex(p[2])
			      : !is_alpha(*p) && !is_digit(*p) &&
				    strchr("-._~:/?#[]@!$&'()*+,;=", *p) == NULL)
			return false;
	return true;
}

static void
set_text(struct san *out, enum san_kind kind, const char *text)
{
	text_lower((char *)out->value, sizeof out->value, text);
	out->len = strlen(text);
	if (kind == SAN_URI) /* only a scheme and a host have no case */
		memcpy(out->value, text, out->len);
	out->kind = kind;
}

static bool
parse_ip(const char *text, struct san *out)
{
	if (inet_pton(AF_INET, text, out->value) == 1)
		out->len = 4;
	else if (inet_pton(AF_INET6, text, out->value) == 1)
		out->len = 16;
	else
		return false;
	out->kind = SAN_IP;
	return true;
}

/* SAN_BAD with a sentence in ERR if TEXT is no name that may stand in a certificate. */
static int
parse(const char *text, struct san *out, struct err *err)
{
	if (strlen(text) >= CERT_SAN_SIZE)
		return err_set(
		    err, E_INPUT, "a name is longer than %d characters", CERT_SAN_SIZE - 1);
	if (strncmp(text, "DNS:", 4) == 0) {
		if (!is_dns_name(text + 4))
			return err_set(err, E_INPUT,
			    "DNS: wants letters, digits and hyphens in labels of at most 63");
		set_text(out, SAN_DNS, text + 4);
	} else if (strncmp(text, "IP:", 3) == 0) {
		if (!parse_ip(text + 3, out))
			return err_set(err, E_INPUT, "IP: wants an IPv4 or IPv6 address");
	} else if (strncmp(text, "URI:", 4) == 0) {
		if (!san_is_uri(text + 4))
			return err_set(err, E_INPUT, "URI: wants an absolute URI");
		set_text(out, SAN_URI, text + 4);
	} else {
		return err_set(err, E_INPUT, "a name begins with DNS:, IP: or URI:");
	}
	return 0;
}

int
san_check(const char *text, struct err *err)
{
	struct san san;

	return parse(text, &san, err);
}

/* Append NAME unless it already stands behind MARK. */
static void
put_once(struct buf *out, size_t mark, const struct san *name)
{
	struct der there = {out->data + mark, out->len - mark}, value;
	unsigned tag = DER_CONTEXT_PRIMITIVE((unsigned)name->kind);
	int at;

	while ((at = der_peek(&there)) >= 0) {
		if (!der_get(&there, (unsigned)at, &value))
			return;
		if ((unsigned)at == tag && der_equal(&value, name->value, name->len))
			return;
	}
	der_put(out, tag, name->value, name->len);
}

bool
san_put(struct buf *out, const char *common_name, const char *const *sans, size_t n)
{
	size_t mark = out->len, i;
	struct san name;

	if (common_name != NULL) {
		if (parse_ip(common_name, &name)) {
			put_once(out, mark, &name);
		} else if (is_dns_name(common_name)) {
			set_text(&name, SAN_DNS, common_name);
			put_once(out, mark, &name);
		}
	}
	for (i = 0; i < n; i++)
		if (parse(sans[i], &name, NULL) == 0)
			put_once(out, mark, &name);
	if (out->len == mark)
		return false;
	der_wrap(out, mark, DER_SEQUENCE);
	return true;
}

/* KIND and the text VALUE, if that IS_GOOD and fits; else "". */
static void
say(char out[CERT_SAN_SIZE], const char *kind, const struct der *value, bool (*is_good)(const char *text))
{
	size_t at = strlen(kind);

	if (at + value->len >= CERT_SAN_SIZE)
		return;
	memcpy(out, kind, at);
	memcpy(out + at, value->at, value->len);
	out[at + value->len] = '\0';
	if (strlen(out) != at + value->len || !is_good(out + at))
		out[0] = '\0';
}

bool
san_next(struct der *names, char out[CERT_SAN_SIZE])
{
	int tag = der_peek(names);
	struct der value;

	out[0] = '\0';
	if (tag < 0 || !der_get(names, (unsigned)tag, &value))
		return false;
	if (tag == DER_CONTEXT_PRIMITIVE(SAN_DNS)) {
		say(out, "DNS:", &value, is_dns_name);
	} else if (tag == DER_CONTEXT_PRIMITIVE(SAN_URI)) {
		say(out, "URI:", &value, san_is_uri);
	} else if (tag == DER_CONTEXT_PRIMITIVE(SAN_IP) && (value.len == 4 || value.len == 16)) {
		memcpy(out, "IP:", 3);
		(void)inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.at, out + 3, CERT_SAN_SIZE - 3);
	}
	return true;
}
