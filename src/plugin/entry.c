/* Words lie here in full, though they repeat: a million of them cost 30 MB of a file, and no entry
 * depends on another. */
#include "plugin/entry.h"

#include <string.h>

static void
put_text(struct buf *out, const char *text)
{
	size_t len = strlen(text); /* POLICY_TOPIC_MAX at most */

	buf_u16(out, (uint16_t)len);
	buf_append(out, text, len);
}

static void
put_topics(struct buf *out, const struct feed_topics *topics)
{
	size_t i;

	buf_byte(out, (uint8_t)topics->n);
	for (i = 0; i < topics->n; i++)
		put_text(out, topics->topic[i]);
}

static void
get_topics(struct bytes *in, struct feed_topics *out)
{
	size_t i;

	out->n = bytes_u8(in);
	if (out->n > POLICY_TEMPLATES_MAX)
		in->failed = true;
	for (i = 0; i < out->n && !in->failed; i++)
		bytes_text(in, out->topic[i], sizeof out->topic[i]);
}

static void
put_policy(struct buf *out, const struct feed_line *line)
{
	put_text(out, line->tenant);
	put_text(out, line->name);
	buf_byte(out, line->removed);
	if (line->removed)
		return;
	buf_u16(out, (uint16_t)line->sessions);
	put_topics(out, &line->write);
	put_topics(out, &line->read);
}

static void
get_policy(struct bytes *in, struct feed_line *line)
{
	bytes_text(in, line->tenant, sizeof line->tenant);
	bytes_text(in, line->name, sizeof line->name);
	line->removed = bytes_u8(in) != 0;
	line->sessions = 0;
	line->write.n = line->read.n = 0;
	if (line->removed)
		return;
	line->sessions = bytes_u16(in);
	get_topics(in, &line->write);
	get_topics(in, &line->read);
}

static void
put_owner(struct buf *out, const struct feed_line *line)
{
	uint8_t id[UUID_BYTES] = {0};
	size_t i;

	if (!uuid_parse(id, line->id))
		out->failed = true;
	buf_append(out, id, sizeof id);
	put_text(out, line->tenant);
	buf_byte(out, (uint8_t)line->status);
	buf_byte(out, (uint8_t)line->n_fps);
	for (i = 0; i < line->n_fps; i++) {
		buf_append(out, line->fps[i].sha256, SHA256_LEN);
		buf_u64(out, (uint64_t)line->fps[i].not_after);
	}
	if (line->kind == FEED_DEVICE) {
		put_text(out, line->type);
		put_text(out, line->policy);
	} else {
		put_topics(out, &line->write);
		put_topics(out, &line->read);
	}
}

static void
get_fps(struct bytes *in, struct feed_line *line)
{
	const uint8_t *sha256;
	size_t i;

	line->n_fps = bytes_u8(in);
	if (line->n_fps > FEED_FPS_MAX)
		in->failed = true;
	for (i = 0; i < line->n_fps && !in->failed; i++) {
		if ((sha256 = bytes_take(in, SHA256_LEN)) == NULL)
			return;
		memcpy(line->fps[i].sha256, sha256, SHA256_LEN);
		line->fps[i].not_after = (int64_t)bytes_u64(in);
	}
}

static void
get_owner(struct bytes *in, struct feed_line *line)
{
	const uint8_t *id = bytes_take(in, UUID_BYTES);

	if (id == NULL)
		return;
	uuid_format(line->id, id);
	bytes_text(in, line->tenant, sizeof line->tenant);
	line->status = (enum feed_status)bytes_u8(in);
	if ((unsigned)line->status >= FEED_STATUSES)
		in->failed = true;
	get_fps(in, line);
	if (line->kind == FEED_DEVICE) {
		bytes_text(in, line->type, sizeof line->type);
		bytes_text(in, line->policy, sizeof line->policy);
	} else {
		get_topics(in, &line->write);
		get_topics(in, &line->read);
	}
}

void
entry_put(struct buf *out, const struct feed_line *line)
{
	buf_byte(out, (uint8_t)line->kind);
	if (line->kind == FEED_POLICY)
		put_policy(out, line);
	else
		put_owner(out, line);
}

bool
entry_get(struct bytes *in, struct feed_line *line_out)
{
	line_out->kind = (enum feed_kind)bytes_u8(in);
	line_out->seq = 0;
	line_out->removed = false;
	if (line_out->kind == FEED_POLICY)
		get_policy(in, line_out);
	else if (line_out->kind == FEED_DEVICE || line_out->kind == FEED_SERVICE)
		get_owner(in, line_out);
	else
		in->failed = true;
	return !in->failed;
}
