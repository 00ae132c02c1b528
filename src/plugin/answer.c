/* Only the closing line tells a whole answer from one that was cut; nothing may follow it. */
#include "plugin/answer.h"

#include <stdlib.h>
#include <string.h>

static int
line_take(struct answer *a, const char *text, size_t len, struct err *err)
{
	int rc;

	if (a->line == NULL && (a->line = calloc(1, sizeof *a->line)) == NULL)
		return err_nomem(err);
	if (a->ended)
		return err_set(err, E_INPUT, "the answer goes on behind its end");
	if ((rc = feed_line_decode(text, len, a->line, err)) != 0)
		return rc;
	if (!a->begun) {
		a->begun = a->line->kind == a->first;
		return a->begun
			   ? a->on_line(a->ctx, a->line, err)
			   : err_set(err, E_INPUT, "the answer does not begin as one of the feed");
	}
	if (a->line->kind == FEED_END) {
		a->ended = a->line->count == a->n;
		return a->ended ? 0 : err_set(err, E_INPUT, "the answer lacks lines");
	}
	if (a->line->kind == FEED_SNAPSHOT || a->line->kind == FEED_CHANGES)
		return err_set(err, E_INPUT, "the answer begins twice");
	a->n++;
	return a->on_line(a->ctx, a->line, err);
}

/* The line that ended at the first newline, of LEN bytes: all at TEXT, or begun in REST. */
static int
line_end(struct answer *a, const char *text, size_t len, struct err *err)
{
	int rc;

	if (a->rest.len == 0)
		return line_take(a, text, len, err);
	buf_append(&a->rest, text, len);
	rc = buf_failed(&a->rest) ? err_nomem(err)
				  : line_take(a, buf_str(&a->rest), a->rest.len, err);
	buf_reset(&a->rest);
	return rc;
}

int
answer_feed(struct answer *a, const char *bytes, size_t len, struct err *err)
{
	const char *nl;
	size_t n;
	int rc;

	while ((nl = memchr(bytes, '\n', len)) != NULL) {
		n = (size_t)(nl - bytes);
		if ((rc = line_end(a, bytes, n, err)) != 0)
			return rc;
		bytes += n + 1;
		len -= n + 1;
	}
	if (len > FEED_LINE_MAX || a->rest.len > FEED_LINE_MAX - len)
		return err_set(
		    err, E_LIMIT, "a line of the feed is longer than %d bytes", FEED_LINE_MAX);
	buf_append(&a->rest, bytes, len);
	return buf_failed(&a->rest) ? err_nomem(err) : 0;
}

int
answer_finish(const struct answer *a, struct err *err)
{
	return a->ended && a->rest.len == 0 ? 0 : err_set(err, E_INPUT, "the answer was cut short");
}

void
answer_clear(struct answer *a)
{
	buf_clear(&a->rest);
	free(a->line);
	a->line = NULL;
}
