/* One write(2) a line, so that lines of several threads and processes never mix. */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *process_name = "muster";
static bool debug_on;

void
log_init(const char *process, bool with_debug)
{
	process_name = process;
	debug_on = with_debug;
}

__attribute__((format(printf, 2, 0))) static void
line(const char *level, const char *fmt, va_list ap)
{
	char when[CLOCK_TEXT_MAX];
	char text[2048];
	struct buf out = {0};
	int n;

	n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof text)
		n = (int)sizeof text - 1;
	clock_text(when, clock_now());
	buf_printf(&out, "%s %s %s: ", when, level, process_name);
	text_escape(&out, text, (size_t)n);
	buf_byte(&out, '\n');
	if (!buf_failed(&out) && write(STDERR_FILENO, out.data, out.len) < 0) {
		/* Nowhere left to complain to. */
	}
	buf_clear(&out);
}

#define LEVEL(func, name, condition) \
	void func(const char *fmt, ...) \
	{ \
		va_list ap; \
\
		if (!(condition)) \
			return; \
		va_start(ap, fmt); \
		line(name, fmt, ap); \
		va_end(ap); \
	}

LEVEL(log_error, "error", true)
LEVEL(log_warn, "warn", true)
LEVEL(log_info, "info", true)
LEVEL(log_debug, "debug", debug_on)
