/* DER (X.690): one writer and one reader, no schema, no allocation beyond the output buffer. The
 * reader never recurses except in der_is_sound, whose depth is bounded. Tags above 30 do not occur
 * in X.509 and are refused. */
#include "x509/der.h"

#include <string.h>

#define LENGTH_OCTETS_MAX 4
#define HEADER_MAX (2 + LENGTH_OCTETS_MAX)
#define DAY_S 86400
#define TIME_MIN (-631152000LL) /* 1950-01-01T00:00:00Z: where UTCTime begins */
#define TIME_2050 2524608000LL	/* 2050-01-01T00:00:00Z */

/* Tag and length into OUT[HEADER_MAX]; returns how many bytes, 0 if LEN is beyond reason. */
static size_t
header_make(uint8_t *out, unsigned tag, size_t len)
{
	size_t n = 0, i;

	if (len > UINT32_MAX)
		return 0;
	out[0] = (uint8_t)tag;
	if (len < 0x80) {
		out[1] = (uint8_t)len;
		return 2;
	}
	while (len >> (8 * n) != 0)
		n++;
	out[1] = (uint8_t)(0x80 | n);
	for (i = 0; i < n; i++)
		out[2 + i] = (uint8_t)(len >> (8 * (n - 1 - i)));
	return 2 + n;
}

void
der_put_head(struct buf *out, unsigned tag, size_t len)
{
	uint8_t head[HEADER_MAX];
	size_t n = header_make(head, tag, len);

	if (n == 0)
		out->failed = true;
	buf_append(out, head, n);
}

void
der_put(struct buf *out, unsigned tag, const void *value, size_t len)
{
	der_put_head(out, tag, len);
	buf_append(out, value, len);
}

void
der_wrap(struct buf *out, size_t mark, unsigned tag)
{
	uint8_t head[HEADER_MAX];
	size_t len = out->len - mark;
	size_t n = header_make(head, tag, len);

	if (n == 0) {
		out->failed = true;
		return;
	}
	if (buf_extend(out, n) == NULL)
		return;
	memmove(out->data + mark + n, out->data + mark, len);
	memcpy(out->data + mark, head, n);
}

void
der_put_unsigned(struct buf *out, const uint8_t *value, size_t len)
{
	uint8_t head[HEADER_MAX];
	bool pad;
	size_t n;

	for (; len > 0 && *value == 0; len--)
		value++;
	pad = len == 0 || (*value & 0x80) != 0;
	if ((n = header_make(head, DER_INTEGER, len + pad)) == 0) {
		out->failed = true;
		return;
	}
	buf_append(out, head, n);
	if (pad)
		buf_byte(out, 0);
	buf_append(out, value, len);
}

void
der_put_int(struct buf *out, uint64_t value)
{
	uint8_t raw[8];
	size_t i;

	for (i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(value >> (56 - 8 * i));
	der_put_unsigned(out, raw, sizeof raw);
}

void
der_put_bits(struct buf *out, const uint8_t *value, size_t len)
{
	size_t mark = out->len;

	buf_byte(out, 0);
	buf_append(out, value, len);
	der_wrap(out, mark, DER_BIT_STRING);
}

/* Days since 1970 of a date in the proleptic Gregorian calendar, and back: years are counted from
 * March, so that the leap day is a year's last. Not gmtime(3): a list of a million revocations
 * would spend most of its time there. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static void
date_of(int64_t days, unsigned *year_out, unsigned *month_out, unsigned *day_out)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097, day_of_era = z % 146097;
	int64_t year =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	*day_out = (unsigned)(day_of_year - (153 * m + 2) / 5 + 1);
	*month_out = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year_out = (unsigned)(year + era * 400 + (*month_out <= 2));
}

static uint8_t *
put_two(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)('0' + value / 10);
	at[1] = (uint8_t)('0' + value % 10);
	return at + 2;
}

size_t
der_time_len(int64_t when)
{
	if (when < TIME_MIN || when > DER_TIME_MAX)
		return 0;
	return when >= TIME_2050 ? DER_TIME_SIZE : DER_TIME_SIZE - 2;
}

static size_t
time_make(uint8_t out[DER_TIME_SIZE], int64_t when, bool generalized)
{
	uint8_t *at = out + 2;
	unsigned year, month, day, second;
	int64_t days;

	if (der_time_len(when) == 0)
		return 0;
	days = (when - TIME_MIN) / DAY_S + TIME_MIN / DAY_S;
	second = (unsigned)(when - days * DAY_S);
	date_of(days, &year, &month, &day);
	if (generalized)
		at = put_two(at, year / 100);
	at = put_two(at, year % 100);
	at = put_two(at, month);
	at = put_two(at, day);
	at = put_two(at, second / 3600);
	at = put_two(at, second / 60 % 60);
	at = put_two(at, second % 60);
	*at++ = 'Z';
	out[0] = generalized ? DER_GENERALIZED_TIME : DER_UTC_TIME;
	out[1] = (uint8_t)(at - out - 2);
	return (size_t)(at - out);
}

size_t
der_time_make(uint8_t out[DER_TIME_SIZE], int64_t when)
{
	return time_make(out, when, when >= TIME_2050);
}

static void
put_time(struct buf *out, int64_t when, bool generalized)
{
	uint8_t time[DER_TIME_SIZE];
	size_t n = time_make(time, when, generalized);

	if (n == 0)
		out->failed = true;
	buf_append(out, time, n);
}

void
der_put_time(struct buf *out, int64_t when)
{
	put_time(out, when, when >= TIME_2050);
}

void
der_put_generalized_time(struct buf *out, int64_t when)
{
	put_time(out, when, true);
}

/* The length of the next element's tag and length octets, 0 if it is not DER or is cut short. */
static size_t
header_read(const struct der *d, size_t *len_out)
{
	size_t n = 0, len, i;

	if (d->len < 2 || (d->at[0] & 0x1f) == 0x1f)
		return 0;
	len = d->at[1];
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > LENGTH_OCTETS_MAX || d->len < 2 + n || d->at[2] == 0)
			return 0;
		for (i = 0, len = 0; i < n; i++)
			len = len << 8 | d->at[2 + i];
		if (len < 0x80)
			return 0;
	}
	if (len > d->len - 2 - n)
		return 0;
	*len_out = len;
	return 2 + n;
}

/* Both outputs may be NULL; either may be D itself. */
static bool
take(struct der *d, unsigned tag, struct der *whole_out, struct der *value_out)
{
	struct der all = *d;
	size_t head, len;

	if (all.len == 0 || all.at[0] != tag || (head = header_read(&all, &len)) == 0)
		return false;
	*d = (struct der){all.at + head + len, all.len - head - len};
	if (whole_out != NULL)
		*whole_out = (struct der){all.at, head + len};
	if (value_out != NULL)
		*value_out = (struct der){all.at + head, len};
	return true;
}

bool
der_get(struct der *d, unsigned tag, struct der *value_out)
{
	return take(d, tag, NULL, value_out);
}

bool
der_get_whole(struct der *d, unsigned tag, struct der *whole_out)
{
	return take(d, tag, whole_out, NULL);
}

bool
der_get_unsigned(struct der *d, struct der *value_out)
{
	struct der rest = *d, v;

	if (!der_get(&rest, DER_INTEGER, &v) || v.len == 0 || (v.at[0] & 0x80) != 0)
		return false;
	if (v.at[0] == 0) {
		if (v.len > 1 && (v.at[1] & 0x80) == 0)
			return false;
		v = (struct der){v.at + 1, v.len - 1};
	}
	*d = rest;
	*value_out = v;
	return true;
}

bool
der_get_bits(struct der *d, struct der *value_out)
{
	struct der rest = *d, v;

	if (!der_get(&rest, DER_BIT_STRING, &v) || v.len == 0 || v.at[0] != 0)
		return false;
	*d = rest;
	*value_out = (struct der){v.at + 1, v.len - 1};
	return true;
}

int
der_peek(const struct der *d)
{
	return d->len == 0 ? -1 : d->at[0];
}

static bool
get_two(const uint8_t **at, unsigned min, unsigned max, unsigned *out)
{
	const uint8_t *p = *at;
	unsigned v;

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	v = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	if (v < min || v > max)
		return false;
	*out = v;
	*at += 2;
	return true;
}

static unsigned
days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

bool
der_get_time(struct der *d, int64_t *when_out)
{
	unsigned century = 0, year, month, day, hour, minute, second;
	bool general = der_peek(d) == DER_GENERALIZED_TIME;
	struct der rest = *d, v;
	const uint8_t *at;

	if (!der_get(&rest, general ? DER_GENERALIZED_TIME : DER_UTC_TIME, &v) ||
	    v.len != (general ? 15U : 13U) || v.at[v.len - 1] != 'Z')
		return false;
	at = v.at;
	if ((general && !get_two(&at, 20, 99, &century)) || !get_two(&at, 0, 99, &year))
		return false;
	year += general ? century * 100 : year < 50 ? 2000 : 1900;
	/* RFC 5280, section 4.1.2.5: GeneralizedTime is for 2050 and later only. */
	if (general && year < 2050)
		return false;
	if (!get_two(&at, 1, 12, &month) || !get_two(&at, 1, days_in_month(year, month), &day) ||
	    !get_two(&at, 0, 23, &hour) || !get_two(&at, 0, 59, &minute) ||
	    !get_two(&at, 0, 59, &second))
		return false;
	*d = rest;
	*when_out = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	return true;
}

/* X.690, section 8.19: numbers of as few octets as can be, the last one whole. */
static bool
oid_is_sound(const struct der *oid)
{
	bool at_start = true;
	size_t i;

	for (i = 0; i < oid->len; i++) {
		if (at_start && oid->at[i] == 0x80)
			return false;
		at_start = (oid->at[i] & 0x80) == 0;
	}
	return oid->len > 0 && at_start;
}

static bool
is_sound(struct der d, unsigned depth)
{
	struct der value;
	uint8_t tag;

	while (d.len > 0) {
		tag = d.at[0];
		if (!der_get(&d, tag, &value) || (tag == DER_OID && !oid_is_sound(&value)) ||
		    ((tag & 0x20) != 0 && (depth == 0 || !is_sound(value, depth - 1))))
			return false;
	}
	return true;
}

bool
der_is_sound(const struct der *d)
{
	return is_sound(*d, DER_DEPTH_MAX);
}

bool
der_equal(const struct der *d, const void *value, size_t len)
{
	return d->len == len && (len == 0 || memcmp(d->at, value, len) == 0);
}
