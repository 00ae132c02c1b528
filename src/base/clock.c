/* Reads clocks; sets none. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t
clock_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int64_t
clock_mono_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

void
clock_text(char *out, int64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(out, CLOCK_TEXT_MAX, "0000-00-00T00:00:00Z");
}

bool
clock_parse(const char *text, int64_t *when_out)
{
	char again[CLOCK_TEXT_MAX];
	struct tm tm = {0};
	const char *end;
	int64_t when;

	if (strlen(text) != 20 || (end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm)) == NULL ||
	    *end != '\0')
		return false;
	when = timegm(&tm);
	/* strptime takes February 30th and leap seconds; the way back shows them. */
	clock_text(again, when);
	if (strcmp(again, text) != 0)
		return false;
	*when_out = when;
	return true;
}
