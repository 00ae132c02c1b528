/* Reports of a broker: what is written is read back, and nothing else is read. */
#include "check.h"

#include "authz/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define EPOCH "00112233445566778899aabbccddeeff"
#define EVENT(kind, at, id, peer, reason) \
	"{\"kind\":" kind ",\"at\":" at ",\"id\":" id ",\"peer\":" peer ",\"reason\":" reason "}"
#define REPORT(epoch, seq, dropped, events) \
	"{\"epoch\":" epoch ",\"seq\":" seq ",\"dropped\":" dropped ",\"events\":" events "}"
#define GOOD EVENT("\"refuse\"", "5", "\"" ID "\"", "\"192.0.2.1\"", "\"revoked\"")

static const struct report report = {.epoch = EPOCH, .seq = 7, .dropped = 3};

static int
decode(const char *text, struct report *out, struct err *err)
{
	struct report_event *events = calloc(REPORT_EVENTS_MAX, sizeof *events);
	int rc = report_decode(text, strlen(text), out, events, err);

	free(events);
	return rc;
}

static void
test_round_trip(void **state)
{
	const struct report_event in[] = {
	    {.kind = REPORT_CONNECT, .at = 1, .id = ID, .peer = "2001:db8::1"},
	    {.kind = REPORT_REFUSE, .at = INT64_MAX, .peer = "x", .reason = "\"quoted\" \\ and ü"},
	    {.kind = REPORT_DISCONNECT, .at = 2, .id = ID},
	    {.kind = REPORT_DENY, .at = 3, .id = ID, .count = REPORT_COUNT_MAX}};
	struct report_event *out = calloc(REPORT_EVENTS_MAX, sizeof *out);
	struct report read;
	struct buf text = {0};
	struct err err = {0};
	size_t taken = 0;

	(void)state;
	assert_ok(report_encode(&text, &report, in, 4, &taken, &err));
	assert_int_equal(taken, 4);
	assert_ok(report_decode(buf_str(&text), text.len, &read, out, &err));
	assert_string_equal(read.epoch, EPOCH);
	assert_int_equal(read.seq, 7);
	assert_int_equal(read.dropped, 3);
	assert_int_equal(read.n, 4);
	assert_int_equal(out[1].kind, REPORT_REFUSE);
	assert_int_equal(out[1].at, INT64_MAX);
	assert_string_equal(out[1].id, "");
	assert_string_equal(out[1].reason, in[1].reason);
	assert_int_equal(out[1].count, 1);
	assert_string_equal(out[2].id, ID);
	assert_int_equal(out[3].kind, REPORT_DENY);
	assert_int_equal(out[3].count, REPORT_COUNT_MAX);
	buf_reset(&text);
	assert_ok(report_encode(&text, &report, NULL, 0, &taken, &err));
	assert_int_equal(taken, 0);
	assert_ok(report_decode(buf_str(&text), text.len, &read, out, &err));
	assert_int_equal(read.n, 0);
	buf_clear(&text);
	free(out);
}

/* However much there is to tell, a report stays small, and the rest waits. */
static void
test_bounded(void **state)
{
	struct report_event *in = calloc(2000, sizeof *in), *out = calloc(REPORT_EVENTS_MAX, sizeof *out);
	struct report read;
	struct buf text = {0};
	struct err err = {0};
	size_t i, taken = 0;

	(void)state;
	for (i = 0; i < 2000; i++) {
		in[i] = (struct report_event){.kind = REPORT_REFUSE, .at = 1};
		memset(in[i].reason, '"', sizeof in[i].reason - 1);
	}
	assert_ok(report_encode(&text, &report, in, 2000, &taken, &err));
	assert_in_range(taken, 100, 999);
	assert_in_range(text.len, REPORT_BYTES_MAX - 300, REPORT_BYTES_MAX);
	assert_ok(report_decode(buf_str(&text), text.len, &read, out, &err));
	assert_int_equal(read.n, taken);
	for (i = 0; i < 2000; i++)
		in[i].reason[0] = '\0';
	buf_reset(&text);
	assert_ok(report_encode(&text, &report, in, 2000, &taken, &err));
	assert_in_range(text.len, 1, REPORT_BYTES_MAX);
	buf_clear(&text);
	free(in);
	free(out);
}

/* A3, A4, A5, A6, B7 */
static void
test_refused(void **state)
{
	static const char *const bad[] = {
	    "", "[]", "{}", "null", REPORT("\"" EPOCH "\"", "7", "0", "[]") "x",
	    REPORT("\"" EPOCH "\"", "7", "0", "{}"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[],\"more\":1"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[],\"seq\":7"),
	    REPORT("\"" EPOCH "\"", "7", "-1", "[]"),
	    REPORT("\"" EPOCH "\"", "-7", "0", "[]"),
	    REPORT("\"" EPOCH "\"", "7.0", "0", "[]"),
	    REPORT("\"" EPOCH "\"", "1e999", "0", "[]"),
	    REPORT("\"" EPOCH "\"", "18446744073709551616", "0", "[]"),
	    REPORT("\"0011\"", "7", "0", "[]"),
	    REPORT("7", "7", "0", "[]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[7]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" GOOD ",{}]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"kick\"", "5", "\"\"", "\"\"", "\"\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "0", "\"\"", "\"\"", "\"\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"admin\"", "\"\"", "\"\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "null", "\"\"", "\"\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"\"", "\"a\\nb\"", "\"\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"\"", "\"\"", "\"\\u001b[2J\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"\"", "\"\"", "\"\\u0000\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"\"", "\"\"", "\"\\u202e\"") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"refuse\"", "5", "\"\"", "\"\"", "\"\",\"x\":1") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"deny\"", "5", "\"\"", "\"\"", "\"\",\"count\":0") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"deny\"", "5", "\"\"", "\"\"", "\"\",\"count\":-1") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"deny\"", "5", "\"\"", "\"\"", "\"\",\"count\":1000001") "]"),
	    REPORT("\"" EPOCH "\"", "7", "0", "[" EVENT("\"deny\"", "5", "\"\"", "\"\"", "\"\",\"count\":\"1\"") "]"),
	};
	struct buf many = {0};
	struct report read;
	size_t i;

	(void)state;
	assert_int_equal(decode(REPORT("\"" EPOCH "\"", "7", "0", "[" GOOD "]"), &read, NULL), 0);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (decode(bad[i], &read, NULL) != E_INPUT)
			fail_msg("accepted: %s", bad[i]);
	buf_text(&many, "{\"epoch\":\"" EPOCH "\",\"seq\":1,\"dropped\":0,\"events\":[" GOOD);
	for (i = 0; i < REPORT_EVENTS_MAX; i++)
		buf_text(&many, "," GOOD);
	buf_text(&many, "]}");
	assert_int_equal(decode(buf_str(&many), &read, NULL), E_INPUT);
	buf_clear(&many);
}

static void
test_writer_refuses(void **state)
{
	struct report_event event = {.kind = REPORT_REFUSE, .at = 1, .reason = "a\nb"};
	struct report bad = report;
	struct buf text = {0};
	size_t taken = 9;

	(void)state;
	buf_text(&text, "before");
	assert_int_equal(report_encode(&text, &report, &event, 1, &taken, NULL), E_INPUT);
	event = (struct report_event){.kind = REPORT_DENY, .at = 1, .count = REPORT_COUNT_MAX + 1};
	assert_int_equal(report_encode(&text, &report, &event, 1, &taken, NULL), E_INPUT);
	bad.epoch[0] = 'X';
	assert_int_equal(report_encode(&text, &bad, NULL, 0, &taken, NULL), E_INPUT);
	assert_string_equal(buf_str(&text), "before");
	assert_int_equal(taken, 9);
	buf_clear(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
