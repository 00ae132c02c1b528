/* Counts and writes. Integers alone: what a locale does to a comma does not matter here. */
#include "base/metric.h"

#include <inttypes.h>
#include <stdarg.h>

#define MICROS 1000000

const struct metric_buckets metric_durations = {.is_micros = true,
    .n = 14,
    .bounds = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000}};

void
metric_observe(struct metric_histogram *h, uint64_t value)
{
	size_t i = 0;

	while (i < h->buckets->n && value > h->buckets->bounds[i])
		i++;
	(void)atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

static uint64_t
load(const atomic_uint_fast64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t
metric_count(const struct metric_histogram *h)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i <= h->buckets->n; i++)
		n += load(&h->counts[i]);
	return n;
}

void
metric_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* As a label's value is written: a quote, a backslash or a new line would end it. */
static void
label_put(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s=\"", name);
	for (; *value != '\0'; value++)
		switch (*value) {
		case '"':
		case '\\':
			buf_byte(out, '\\');
			buf_byte(out, (uint8_t)*value);
			break;
		case '\n':
			buf_text(out, "\\n");
			break;
		default:
			buf_byte(out, (uint8_t)*value);
		}
	buf_byte(out, '"');
}

/* "name{a="b",le="1"} "; LE is NULL for what has no bucket. */
static void
name_put(struct buf *out, const char *name, const char *suffix, const char *le, va_list labels)
{
	const char *separator = "{", *label;

	buf_printf(out, "%s%s", name, suffix);
	while ((label = va_arg(labels, const char *)) != NULL) {
		buf_text(out, separator);
		label_put(out, label, va_arg(labels, const char *));
		separator = ",";
	}
	if (le != NULL) {
		buf_text(out, separator);
		label_put(out, "le", le);
		separator = ",";
	}
	buf_text(out, *separator == ',' ? "} " : " ");
}

/* VALUE; as seconds without zeros at its end if it IS_MICROS. */
static void
number_put(struct buf *out, uint64_t value, bool is_micros)
{
	uint64_t rest = value % MICROS;
	int digits = 6;

	if (!is_micros || rest == 0) {
		buf_printf(out, "%" PRIu64, is_micros ? value / MICROS : value);
		return;
	}
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	buf_printf(out, "%" PRIu64 ".%0*" PRIu64, value / MICROS, digits, rest);
}

void
metric_value(struct buf *out, const char *name, int64_t value, ...)
{
	va_list labels;

	va_start(labels, value);
	name_put(out, name, "", NULL, labels);
	va_end(labels);
	buf_printf(out, "%" PRId64 "\n", value);
}

void
metric_seconds(struct buf *out, const char *name, int64_t micros, ...)
{
	va_list labels;

	va_start(labels, micros);
	name_put(out, name, "", NULL, labels);
	va_end(labels);
	number_put(out, (uint64_t)micros, true);
	buf_byte(out, '\n');
}

/* The count is that of the buckets as they were read, so that it fits them while others count on. */
void
metric_histogram(struct buf *out, const char *name, const struct metric_histogram *h, ...)
{
	struct buf le = {0};
	uint64_t n = 0;
	va_list labels;
	size_t i;

	for (i = 0; i <= h->buckets->n; i++) {
		n += load(&h->counts[i]);
		buf_reset(&le);
		if (i < h->buckets->n)
			number_put(&le, h->buckets->bounds[i], h->buckets->is_micros);
		else
			buf_text(&le, "+Inf");
		va_start(labels, h);
		name_put(out, name, "_bucket", buf_str(&le), labels);
		va_end(labels);
		buf_printf(out, "%" PRIu64 "\n", n);
	}
	out->failed = out->failed || buf_failed(&le);
	buf_clear(&le);
	va_start(labels, h);
	name_put(out, name, "_sum", NULL, labels);
	va_end(labels);
	number_put(out, load(&h->sum), h->buckets->is_micros);
	buf_byte(out, '\n');
	va_start(labels, h);
	name_put(out, name, "_count", NULL, labels);
	va_end(labels);
	buf_printf(out, "%" PRIu64 "\n", n);
}
