/* A machine of one byte at a time: a head may arrive in any pieces, and is at most a few kilobytes. Stricter than
 * RFC 9112 asks of a server where that costs no client that exists: lines end with CR LF, there is one form of target,
 * and a body's length is said beforehand. */
#include "http/framing.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

enum part { METHOD, TARGET, VERSION, NAME, VALUE, BODY };

static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"};

/* Headers of which two would be two meanings. */
enum { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT };
static const char *const singles[] = {
    [HOST] = "Host",
    [CONTENT_LENGTH] = "Content-Length",
    [TRANSFER_ENCODING] = "Transfer-Encoding",
    [EXPECT] = "Expect",
    "Content-Type",
    "Authorization",
    "Idempotency-Key",
};
#define N_SINGLES ((int)(sizeof singles / sizeof singles[0]))

struct refusal {
	int *status;
	struct err *err;
};

static int
refuse(const struct refusal *out, int status, const char *field, const char *text)
{
	int code = status == 404 ? E_NOTFOUND : status == 414 || status == 431 ? E_LIMIT : E_INPUT;

	*out->status = status;
	return field != NULL ? err_field(out->err, code, field, "%s", text) : err_set(out->err, code, "%s", text);
}

static void
part_begin(struct framing *f, enum part part)
{
	f->part = part;
	f->len = 0;
	f->word[0] = '\0';
	f->after_cr = false;
}

static void
request_end(struct framing *f)
{
	f->n_whole++;
	f->head_len = 0;
	part_begin(f, METHOD);
}

static void
part_keep(struct framing *f, char c)
{
	if (f->len < sizeof f->word - 1) {
		f->word[f->len] = c;
		f->word[f->len + 1] = '\0';
	}
	f->len++;
}

static bool
is_whole(const struct framing *f)
{
	return f->len < sizeof f->word;
}

/* RFC 9110, section 5.6.2. A name that is no token may be read as another name by somebody else on the way. */
static bool
is_token_char(char c)
{
	return c > ' ' && c <= '~' && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static int
method_byte(struct framing *f, char c, const struct refusal *out)
{
	size_t i;

	if (c != ' ') {
		if (!is_token_char(c) || f->len == FRAMING_METHOD_MAX)
			return refuse(out, 400, NULL, "this is not the beginning of an HTTP request");
		part_keep(f, c);
		return 0;
	}
	for (i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (strcmp(methods[i], f->word) == 0) {
			part_begin(f, TARGET);
			return 0;
		}
	return refuse(out, 501, NULL, "this method is not known");
}

static int
target_byte(struct framing *f, char c, const struct refusal *out)
{
	if (c == ' ' && f->len > 0) {
		part_begin(f, VERSION);
		return 0;
	}
	if (f->len == FRAMING_TARGET_MAX)
		return refuse(out, 414, NULL, "the address is too long");
	if (f->len == 0 && c != '/')
		return refuse(out, 400, NULL, "the request target must be a path");
	/* evhttp would take the second segment for a host. */
	if (f->len == 1 && c == '/')
		return refuse(out, 404, NULL, "there is nothing at this address");
	if (c <= ' ' || c > '~' || c == '#')
		return refuse(out, 400, NULL, "the request target is malformed");
	part_keep(f, c);
	return 0;
}

static int
version_end(struct framing *f, const struct refusal *out)
{
	f->is_11 = strcmp(f->word, "HTTP/1.1") == 0;
	if (!f->is_11 && strcmp(f->word, "HTTP/1.0") != 0)
		return strncmp(f->word, "HTTP/", 5) == 0 ?
		    refuse(out, 505, NULL, "this server speaks HTTP/1.1") :
		    refuse(out, 400, NULL, "the request line is malformed");
	f->seen = 0;
	f->n_headers = 0;
	part_begin(f, NAME);
	return 0;
}

static int
head_end(struct framing *f, const struct refusal *out)
{
	bool has_length = (f->seen & 1u << CONTENT_LENGTH) != 0;

	if ((f->seen & 1u << TRANSFER_ENCODING) != 0)
		return has_length ?
		    refuse(out, 400, singles[CONTENT_LENGTH], "and Transfer-Encoding exclude each other") :
		    /* Chunks are read in too many ways, and may bring headers behind the body (RFC 9112, 6.3). */
		    refuse(out, 411, singles[CONTENT_LENGTH], "is required: send the body in one piece");
	if (f->is_11 && (f->seen & 1u << HOST) == 0)
		return refuse(out, 400, singles[HOST], "is missing");
	if (f->body_left > 0)
		part_begin(f, BODY);
	else
		request_end(f);
	return 0;
}

static int
name_end(struct framing *f, const struct refusal *out)
{
	int i;

	if (f->len == 0)
		return refuse(out, 400, NULL, "a header is malformed");
	if (++f->n_headers > FRAMING_HEADERS_MAX)
		return refuse(out, 431, NULL, "too many headers");
	f->header = -1;
	for (i = 0; i < N_SINGLES && is_whole(f); i++)
		if (strcasecmp(singles[i], f->word) == 0)
			f->header = i;
	if (f->header >= 0 && (f->seen & 1u << f->header) != 0)
		return refuse(out, 400, singles[f->header], "is there twice");
	if (f->header >= 0)
		f->seen |= 1u << f->header;
	part_begin(f, VALUE);
	return 0;
}

static int
name_byte(struct framing *f, char c, const struct refusal *out)
{
	if (c == ':')
		return name_end(f, out);
	/* A line that goes on on the next one, too (RFC 9112, section 5.2), and a space before the colon (5.1). */
	if (!is_token_char(c))
		return refuse(out, 400, NULL, "a header is malformed");
	part_keep(f, c);
	return 0;
}

static int
length_read(struct framing *f, const char *text, const struct refusal *out)
{
	int64_t n = 0;

	if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
		return refuse(out, 400, singles[CONTENT_LENGTH], "is not a number");
	if (!integer_parse(text, 0, INT64_MAX, &n) || (uint64_t)n > f->body_max) {
		*out->status = 413;
		return err_set(out->err, E_LIMIT, "the body is larger than %llu bytes",
		    (unsigned long long)f->body_max);
	}
	f->body_left = (uint64_t)n;
	return 0;
}

static int
value_end(struct framing *f, const struct refusal *out)
{
	char *text = f->word, *end = text + strlen(text);
	int rc = 0;

	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (f->header == CONTENT_LENGTH && !is_whole(f))
		return refuse(out, 400, singles[CONTENT_LENGTH], "is not a number");
	if (f->header == CONTENT_LENGTH)
		rc = length_read(f, text, out);
	else if (f->header == EXPECT && (!is_whole(f) || strcasecmp(text, "100-continue") != 0))
		rc = refuse(out, 417, singles[EXPECT], "is nothing that this server could meet");
	if (rc == 0)
		part_begin(f, NAME);
	return rc;
}

static int
value_byte(struct framing *f, char c, const struct refusal *out)
{
	bool is_blank = c == ' ' || c == '\t';

	if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
		return refuse(out, 400, NULL, "a header is malformed");
	if (!is_blank || f->len > 0)
		part_keep(f, c);
	return 0;
}

/* A CR has come: only its LF may follow, and only where a line may end. */
static int
line_end(struct framing *f, char c, const struct refusal *out)
{
	if (c != '\n')
		return refuse(out, 400, NULL, "a line does not end with CR LF");
	if (f->part == VERSION)
		return version_end(f, out);
	if (f->part == VALUE)
		return value_end(f, out);
	if (f->part == NAME && f->len == 0)
		return head_end(f, out);
	return refuse(out, 400, NULL, "a header is malformed");
}

static int
head_byte(struct framing *f, char c, const struct refusal *out)
{
	if (++f->head_len > f->head_max)
		return f->part <= TARGET ? refuse(out, 414, NULL, "the address is too long") :
					   refuse(out, 431, NULL, "the headers are too large");
	if (f->after_cr)
		return line_end(f, c, out);
	if (c == '\r' && f->part >= VERSION) {
		f->after_cr = true;
		return 0;
	}
	switch ((enum part)f->part) {
	case METHOD:
		return method_byte(f, c, out);
	case TARGET:
		return target_byte(f, c, out);
	case VERSION:
		if (c <= ' ' || c > '~' || !is_whole(f))
			return refuse(out, 400, NULL, "the request line is malformed");
		part_keep(f, c);
		return 0;
	case NAME:
		return name_byte(f, c, out);
	case VALUE:
		return value_byte(f, c, out);
	case BODY:
		break;
	}
	return 0;
}

int
framing_feed(struct framing *f, const uint8_t *data, size_t len, size_t *good_out, int *status_out,
    struct err *err)
{
	const struct refusal out = {status_out, err};
	size_t i = 0, n;
	int rc;

	while (i < len) {
		if (f->part == BODY) {
			n = f->body_left < len - i ? (size_t)f->body_left : len - i;
			f->body_left -= n;
			i += n;
			if (f->body_left == 0)
				request_end(f);
		} else if ((rc = head_byte(f, (char)data[i], &out)) != 0) {
			*good_out = i;
			return rc;
		} else {
			i++;
		}
	}
	return 0;
}
