/* The small readers under every other one: UTF-8, hex, base64, UUIDs, numbers, durations, times. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "fuzz.h"

static void
check_utf8(const char *text, size_t len)
{
	struct buf out = {0};

	if (text_is_printable(text, len))
		FUZZ_ASSERT(text_is_utf8(text, len));
	/* B7: whatever it was, what reaches a log or a terminal is one harmless line. */
	text_escape(&out, text, len);
	FUZZ_ASSERT(text_is_printable(buf_str(&out), out.len));
	if (text_is_printable(text, len))
		FUZZ_ASSERT(out.len == len);
	buf_clear(&out);
}

static void
check_base64(const char *text, size_t len)
{
	struct buf bytes = {0}, again = {0}, back = {0};

	base64_encode(&again, (const uint8_t *)text, len);
	FUZZ_ASSERT(base64_decode(&back, buf_str(&again), again.len, NULL) == 0);
	FUZZ_ASSERT(back.len == len && (len == 0 || memcmp(back.data, text, len) == 0));
	buf_reset(&again);
	buf_reset(&back);
	if (base64_decode(&bytes, text, len, NULL) == 0) {
		FUZZ_ASSERT(bytes.len <= len / 4 * 3);
		base64_encode(&again, bytes.data, bytes.len);
		FUZZ_ASSERT(base64_decode(&back, buf_str(&again), again.len, NULL) == 0);
		FUZZ_ASSERT(back.len == bytes.len);
		FUZZ_ASSERT(back.len == 0 || memcmp(back.data, bytes.data, back.len) == 0);
	}
	base64url_encode(&again, bytes.data, bytes.len);
	buf_clear(&bytes);
	buf_clear(&again);
	buf_clear(&back);
}

static void
check_hex(const char *text)
{
	uint8_t bytes[20];
	char hex[sizeof bytes * 2 + 1], lower[sizeof hex];

	if (!hex_decode(bytes, sizeof bytes, text))
		return;
	hex_encode(hex, bytes, sizeof bytes);
	text_lower(lower, sizeof lower, text);
	FUZZ_ASSERT(strcmp(hex, lower) == 0);
}

static void
check_scalars(const char *text)
{
	char again[CLOCK_TEXT_MAX], copy[16];
	int64_t v = 0;

	if (clock_parse(text, &v)) {
		clock_text(again, v);
		FUZZ_ASSERT(strcmp(again, text) == 0);
	}
	if (duration_parse(text, &v))
		FUZZ_ASSERT(v > 0);
	if (integer_parse(text, -7, 1000, &v))
		FUZZ_ASSERT(v >= -7 && v <= 1000);
	if (uuid_is_valid(text))
		FUZZ_ASSERT(strlen(text) == UUID_LEN);
	FUZZ_ASSERT(text_copy(copy, sizeof copy, text) == (strlen(text) < sizeof copy));
	FUZZ_ASSERT(strncmp(copy, text, strlen(copy)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = fuzz_text(data, len);
	char *bare = malloc(len > 0 ? len : 1); /* without the NUL: lengths are believed */

	FUZZ_ASSERT(bare != NULL);
	if (len > 0)
		memcpy(bare, data, len);
	check_utf8(bare, len);
	check_base64(bare, len);
	check_hex(text);
	check_scalars(text);
	free(bare);
	free(text);
	return 0;
}
