/* Time as seconds UTC, and its two written forms. Functions that decide by time take it as an
 * argument; whoever calls them asks here. */
#ifndef MUSTER_BASE_CLOCK_H
#define MUSTER_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 24 /* "2026-11-24T08:00:00Z" and its NUL, with room */

/* Seconds since 1970 UTC. */
int64_t clock_now(void);

/* Milliseconds on a clock that never goes back, for timeouts and rates; microseconds, for what is measured. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* RFC 3339 in UTC, such as 2026-11-24T08:00:00Z, into OUT[CLOCK_TEXT_MAX]. */
void clock_text(char *out, int64_t when);

/* Parse exactly that form. False if it is anything else. */
bool clock_parse(const char *text, int64_t *when_out);

#endif
