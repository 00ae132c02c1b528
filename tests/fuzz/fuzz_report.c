/* A broker's report: what is read is written again as a report that reads the same. */
#include "authz/report.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct report_event *events = calloc(REPORT_EVENTS_MAX, sizeof *events);
	struct report report = {0}, again = {0};
	struct buf out = {0};
	size_t taken = 0;

	FUZZ_ASSERT(events != NULL);
	if (report_decode((const char *)data, len, &report, events, NULL) == 0) {
		FUZZ_ASSERT(report.n <= REPORT_EVENTS_MAX);
		FUZZ_ASSERT(report_encode(&out, &report, events, report.n, &taken, NULL) == 0);
		FUZZ_ASSERT(out.len <= REPORT_BYTES_MAX && taken <= report.n);
		FUZZ_ASSERT(report_decode(buf_str(&out), out.len, &again, events, NULL) == 0);
		FUZZ_ASSERT(again.seq == report.seq && again.dropped == report.dropped && again.n == taken);
	}
	buf_clear(&out);
	free(events);
	return 0;
}
