/* What a service answers to the agent: certificates in base64, or a problem document of which one member is shown. */
#include "agent/jsonpeek.h"
#include "base/buf.h"
#include "base/text.h"
#include "fuzz.h"
#include "x509/estmsg.h"

#define OUT_SIZE 32

static void
peek(const char *text)
{
	static const char *const names[] = {"detail", "host", "nonce", "port", ""};
	char out[OUT_SIZE];
	int64_t n;
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		memset(out, 0x77, sizeof out);
		if (!jsonpeek_text(text, names[i], out, sizeof out))
			FUZZ_ASSERT(out[0] == '\0');
		FUZZ_ASSERT(memchr(out, '\0', sizeof out) != NULL);
		if (jsonpeek_integer(text, names[i], 1, 65535, &n))
			FUZZ_ASSERT(n >= 1 && n <= 65535);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf der = {0}, pem = {0};
	char *text = fuzz_text(data, len);

	if (base64_decode(&der, text, len, NULL) == 0 && estmsg_get_certs(der.data, der.len, &pem, NULL) == 0)
		FUZZ_ASSERT(strncmp(buf_str(&pem), "-----BEGIN CERTIFICATE-----\n", 28) == 0);
	else
		FUZZ_ASSERT(pem.len == 0);
	peek(text);
	buf_clear(&pem);
	buf_clear(&der);
	free(text);
	return 0;
}
