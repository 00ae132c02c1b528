/* Text from outside is bytes until one of these has looked at it. */
#include "base/text.h"

#include "base/random.h"

#include <string.h>

bool
text_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);
	bool fits = len < size;

	if (!fits)
		len = size - 1;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return fits;
}

/* Decode one code point at S; returns its length in bytes, 0 if malformed (RFC 3629, section 4). */
static size_t
utf8_next(const uint8_t *s, size_t len, uint32_t *cp_out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t cp;
	size_t n, i;

	if (s[0] < 0x80) {
		*cp_out = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	cp = s[0] & (0xffU >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cp_out = cp;
	return n;
}

bool
text_is_utf8(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t cp;
	size_t n;

	for (; len > 0; p += n, len -= n)
		if ((n = utf8_next(p, len, &cp)) == 0)
			return false;
	return true;
}

/* Control characters, separators that break a line, and marks that reorder what a reader sees. */
static bool
is_hostile(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x061c || cp == 0x200e ||
	    cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
	    cp == 0xfeff || (cp & 0xfffe) == 0xfffe;
}

bool
text_is_printable(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t cp;
	size_t n;

	for (; len > 0; p += n, len -= n)
		if ((n = utf8_next(p, len, &cp)) == 0 || is_hostile(cp))
			return false;
	return true;
}

void
text_escape(struct buf *out, const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t cp = 0;
	size_t n, i;

	for (; len > 0; p += n, len -= n) {
		n = utf8_next(p, len, &cp);
		if (n > 0 && !is_hostile(cp)) {
			buf_append(out, p, n);
			continue;
		}
		if (n == 0)
			n = 1;
		for (i = 0; i < n; i++)
			buf_printf(out, "\\x%02x", p[i]);
	}
}

void
text_lower(char *dst, size_t size, const char *src)
{
	size_t i;

	for (i = 0; src[i] != '\0' && i + 1 < size; i++)
		dst[i] = (char)(src[i] >= 'A' && src[i] <= 'Z' ? src[i] + 32 : src[i]);
	dst[i] = '\0';
}

void
hex_encode(char *out, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(uint8_t *out, size_t len, const char *text)
{
	size_t i;
	int hi, lo;

	if (strlen(text) != 2 * len)
		return false;
	for (i = 0; i < len; i++) {
		hi = hex_digit(text[2 * i]);
		lo = hex_digit(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static void
encode64(struct buf *out, const uint8_t *data, size_t len, const char *alphabet, bool pad)
{
	uint32_t v;
	size_t i, n, k;

	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		v = (uint32_t)data[i] << 16;
		if (n > 1)
			v |= (uint32_t)data[i + 1] << 8;
		if (n > 2)
			v |= data[i + 2];
		for (k = 0; k <= n; k++)
			buf_byte(out, (uint8_t)alphabet[v >> (18 - 6 * k) & 63]);
		for (; pad && k < 4; k++)
			buf_byte(out, '=');
	}
}

void
base64_encode(struct buf *out, const uint8_t *data, size_t len)
{
	encode64(out, data, len,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

void
base64url_encode(struct buf *out, const uint8_t *data, size_t len)
{
	encode64(out, data, len,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int
digit64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int
base64_decode(struct buf *out, const char *text, size_t len, struct err *err)
{
	uint32_t v = 0;
	unsigned digits = 0, pads = 0;
	size_t i;
	int d;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
			continue;
		if (c == '=' && digits % 4 >= 2 && pads < 2) {
			pads++;
			continue;
		}
		if (pads > 0 || (d = digit64(c)) < 0)
			return err_set(err, E_INPUT, "not base64 at byte %zu", i);
		v = v << 6 | (uint32_t)d;
		if (++digits % 4 == 0) {
			buf_byte(out, (uint8_t)(v >> 16));
			buf_byte(out, (uint8_t)(v >> 8));
			buf_byte(out, (uint8_t)v);
			v = 0;
		}
	}
	if ((digits + pads) % 4 != 0)
		return err_set(err, E_INPUT, "base64 text is cut short");
	if (digits % 4 == 3) {
		buf_byte(out, (uint8_t)(v >> 10));
		buf_byte(out, (uint8_t)(v >> 2));
	} else if (digits % 4 == 2) {
		buf_byte(out, (uint8_t)(v >> 4));
	}
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
uuid_make(char *out, struct err *err)
{
	uint8_t raw[UUID_BYTES];
	int rc;

	if ((rc = random_bytes(raw, sizeof raw, err)) != 0)
		return rc;
	raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
	uuid_format(out, raw);
	return 0;
}

void
uuid_format(char *out, const uint8_t *raw)
{
	char hex[2 * UUID_BYTES + 1];

	hex_encode(hex, raw, UUID_BYTES);
	memcpy(out, hex, 8);
	out[8] = '-';
	memcpy(out + 9, hex + 8, 4);
	out[13] = '-';
	memcpy(out + 14, hex + 12, 4);
	out[18] = '-';
	memcpy(out + 19, hex + 16, 4);
	out[23] = '-';
	memcpy(out + 24, hex + 20, 12);
	out[36] = '\0';
}

bool
uuid_parse(uint8_t *out, const char *s)
{
	/* One more than the value; 0 for what is no digit of ours. */
	static const uint8_t digits[256] = {['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5,
	    ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12,
	    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};
	uint8_t raw[UUID_BYTES], high, low;
	size_t i;

	for (i = 0; i < UUID_BYTES; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
			return false;
		if ((high = digits[(uint8_t)s[0]]) == 0 || (low = digits[(uint8_t)s[1]]) == 0)
			return false;
		raw[i] = (uint8_t)((high - 1) << 4 | (low - 1));
		s += 2;
	}
	if (*s != '\0')
		return false;
	memcpy(out, raw, sizeof raw);
	return true;
}

bool
uuid_is_valid(const char *s)
{
	uint8_t raw[UUID_BYTES];

	return uuid_parse(raw, s);
}

bool
integer_parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
	bool negative = text[0] == '-';
	const char *p = text + negative;
	int64_t v = 0;

	if (*p == '\0' || strlen(p) > 18)
		return false;
	for (; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (*p - '0');
	}
	if (negative)
		v = -v;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool
duration_parse(const char *text, int64_t *seconds_out)
{
	size_t len = strlen(text);
	char digits[12];
	int64_t unit, n;

	if (len < 2 || len > sizeof digits)
		return false;
	switch (text[len - 1]) {
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = 86400;
		break;
	default:
		return false;
	}
	memcpy(digits, text, len - 1);
	digits[len - 1] = '\0';
	if (!integer_parse(digits, 1, 1000000000, &n))
		return false;
	*seconds_out = n * unit;
	return true;
}
