/* PEM (RFC 7468). The base64 of an encoded block is written straight to its place, so that a
 * private key passes through no memory but the caller's. */
#include "x509/pem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LINE_BYTES PEM_LINE_BYTES /* become 64 columns */
#define MARK_MAX 80

static const char begin[] = "-----BEGIN ";
static const char dashes[] = "-----";

size_t
pem_size(const char *label, size_t len)
{
	size_t lines = (len + LINE_BYTES - 1) / LINE_BYTES;

	return strlen("-----BEGIN -----\n-----END -----\n") + 2 * strlen(label) +
	       (len + 2) / 3 * 4 + lines;
}

static char *
put(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

/* The lines of a block's body; returns where they end. */
static char *
lines_write(char *at, const uint8_t *der, size_t len)
{
	uint8_t line[LINE_BYTES / 3 * 4 +
		     1]; /* EVP_EncodeBlock ends with a NUL that has no place in OUT */
	size_t n, width;

	for (; len > 0; der += n, len -= n) {
		n = len < LINE_BYTES ? len : LINE_BYTES;
		width = (size_t)EVP_EncodeBlock(line, der, (int)n);
		memcpy(at, line, width);
		at += width;
		*at++ = '\n';
	}
	explicit_bzero(line, sizeof line);
	return at;
}

void
pem_write(char *out, const char *label, const uint8_t *der, size_t len)
{
	char *at = put(put(put(out, begin), label), "-----\n");

	at = lines_write(at, der, len);
	put(put(put(at, "-----END "), label), "-----\n");
}

void
pem_put_begin(struct buf *out, const char *label)
{
	buf_printf(out, "%s%s-----\n", begin, label);
}

void
pem_put_part(struct buf *out, const uint8_t *der, size_t len)
{
	size_t lines = (len + LINE_BYTES - 1) / LINE_BYTES;
	uint8_t *at = buf_extend(out, (len + 2) / 3 * 4 + lines);

	if (at != NULL)
		(void)lines_write((char *)at, der, len);
}

void
pem_put_end(struct buf *out, const char *label)
{
	buf_printf(out, "-----END %s-----\n", label);
}

void
pem_encode(struct buf *out, const char *label, const uint8_t *der, size_t len)
{
	uint8_t *at = buf_extend(out, pem_size(label, len));

	if (at != NULL)
		pem_write((char *)at, label, der, len);
}

/* The first "-----BEGIN " at the start of a line, or NULL. */
static const char *
find_begin(const char *text, size_t len)
{
	const char *at = text, *end;

	if (len == 0)
		return NULL; /* an empty buf has no bytes to look at */
	end = text + len;
	while ((at = memmem(at, (size_t)(end - at), begin, strlen(begin))) != NULL) {
		if (at == text || at[-1] == '\n')
			return at;
		at++;
	}
	return NULL;
}

static bool
skip(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool
is_blank(const char *at, const char *end)
{
	for (; at < end; at++)
		if (*at != ' ' && *at != '\t' && *at != '\r' && *at != '\n')
			return false;
	return true;
}

int
pem_decode(const char *text, size_t len, const char *label, struct buf *out, struct err *err)
{
	const char *at = find_begin(text, len), *end, *body_end;
	size_t start = out->len;
	char last[MARK_MAX];
	int rc;

	if (at == NULL)
		return err_set(
		    err, E_INPUT, "not PEM: no line begins with -----BEGIN %s-----", label);
	end = text + len;
	at += strlen(begin);
	if (!skip(&at, end, label) || !skip(&at, end, dashes))
		return err_set(err, E_INPUT, "this PEM block is not a %s", label);
	(void)snprintf(last, sizeof last, "\n-----END %s-----", label);
	if ((body_end = memmem(at, (size_t)(end - at), last, strlen(last))) == NULL)
		return err_set(err, E_INPUT, "the PEM block has no line -----END %s-----", label);
	if (!is_blank(body_end + strlen(last), end))
		return err_set(
		    err, E_INPUT, "there is more behind the PEM block: send exactly one");
	if ((rc = base64_decode(out, at, (size_t)(body_end - at), err)) != 0) {
		out->len = start;
		return rc == E_INPUT ? err_prefix(err, "in the PEM block") : rc;
	}
	return 0;
}

bool
pem_next_block(const char **at, const char *label, struct buf *out)
{
	char first[MARK_MAX], last[MARK_MAX];
	const char *from, *end;

	(void)snprintf(first, sizeof first, "%s%s-----", begin, label);
	(void)snprintf(last, sizeof last, "-----END %s-----", label);
	buf_reset(out);
	if ((from = strstr(*at, first)) == NULL || (end = strstr(from, last)) == NULL)
		return false;
	*at = end + strlen(last);
	return pem_decode(from, (size_t)(*at - from), label, out, NULL) == 0;
}
