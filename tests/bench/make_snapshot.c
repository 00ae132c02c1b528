/* make_snapshot FILE CONTACT: the answer of GET /v1/feed/snapshot on standard input becomes a
 * broker's snapshot file, as if its plugin had taken it at CONTACT (seconds since 1970). For tests
 * and figures of brokers without a service. */
#include "base/text.h"
#include "plugin/answer.h"
#include "plugin/snapshot.h"

#include <stdio.h>
#include <string.h>

struct making {
	const char *path;
	struct snapshot *file;
};

static int
on_line(void *ctx, const struct feed_line *line, struct err *err)
{
	struct making *m = ctx;

	if (line->kind == FEED_SNAPSHOT)
		return snapshot_create(m->path, line->epoch, line->seq, &m->file, err);
	return snapshot_add(m->file, line, err);
}

int
main(int argc, char **argv)
{
	struct making m = {.path = argv[1]};
	struct answer answer = {.first = FEED_SNAPSHOT, .on_line = on_line, .ctx = &m};
	struct err err = {0};
	char piece[65536];
	int64_t contact;
	int rc = 0;
	size_t n;

	if (argc != 3 || !integer_parse(argv[2], 0, INT64_MAX, &contact)) {
		(void)fputs("usage: make_snapshot FILE CONTACT < lines\n", stderr);
		return 2;
	}
	while (rc == 0 && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
		rc = answer_feed(&answer, piece, n, &err);
	if (rc == 0 && (rc = answer_finish(&answer, &err)) == 0)
		rc = snapshot_commit(m.file, contact, &err);
	if (rc != 0)
		(void)fprintf(stderr, "make_snapshot: %s\n", err.text);
	snapshot_close(m.file);
	answer_clear(&answer);
	return rc == 0 ? 0 : 1;
}
