/* The body of an EST request (RFC 7030, 8951): base64, wrapped or not, of a certification request. However its lines are
 * broken, it is the same request. */
#include "base/buf.h"
#include "base/text.h"
#include "fuzz.h"
#include "x509/csr.h"

/* The base64 of DER with a line's end behind each WIDTH characters. */
static void
wrap(struct buf *out, const struct buf *der, size_t width, const char *end)
{
	struct buf text = {0};
	size_t at;

	base64_encode(&text, der->data, der->len);
	for (at = 0; at < text.len; at += width) {
		buf_append(out, text.data + at, text.len - at < width ? text.len - at : width);
		buf_text(out, end);
	}
	buf_clear(&text);
}

static void
check_wrapped(const struct buf *der, size_t width, const char *end)
{
	struct buf text = {0}, again = {0};

	wrap(&text, der, width, end);
	FUZZ_ASSERT(base64_decode(&again, buf_str(&text), text.len, NULL) == 0);
	FUZZ_ASSERT(again.len == der->len && memcmp(again.data, der->data, der->len) == 0);
	buf_clear(&text);
	buf_clear(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf der = {0};
	struct csr csr;

	if (base64_decode(&der, (const char *)data, len, NULL) == 0 && der.len > 0) {
		check_wrapped(&der, 64, "\n");
		check_wrapped(&der, 76, "\r\n");
		if (csr_parse(der.data, der.len, &csr, NULL) == 0)
			FUZZ_ASSERT(text_is_printable(csr.common_name, strlen(csr.common_name)) &&
			    csr.spki_len > 0 && csr.subject_len > 0);
	}
	buf_clear(&der);
	return 0;
}
