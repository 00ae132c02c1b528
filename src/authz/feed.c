/* One table of members is both the writer and the reader, and one of kinds says which members a line has. The writer
 * prints by itself, for a snapshot has a million lines of words and digits; the reader leaves JSON to jansson. */
#include "authz/feed.h"

#include <jansson.h>
#include <string.h>

enum member {
	M_VERSION,
	M_EPOCH,
	M_AFTER,
	M_ID,
	M_TENANT,
	M_NAME,
	M_STATUS,
	M_TYPE,
	M_POLICY,
	M_FPS,
	M_WRITE,
	M_READ,
	M_SESSIONS,
	M_REMOVED,
	M_SEQ,
	M_COUNT,
	MEMBERS
};

#define HAS(m) (1U << (m))

enum type { T_VERSION, T_TEXT, T_INT, T_STATUS, T_FPS, T_TOPICS, T_TRUE };

/* In the order in which they are written. */
static const struct {
	const char *name;
	enum type type;
	size_t at, size;
} members[MEMBERS] = {
#define AT(field) offsetof(struct feed_line, field), sizeof((struct feed_line *)0)->field
    [M_VERSION] = {"version", T_VERSION, 0, 0},
    [M_EPOCH] = {"epoch", T_TEXT, AT(epoch)},
    [M_AFTER] = {"after", T_INT, AT(after)},
    [M_ID] = {"id", T_TEXT, AT(id)},
    [M_TENANT] = {"tenant", T_TEXT, AT(tenant)},
    [M_NAME] = {"name", T_TEXT, AT(name)},
    [M_STATUS] = {"status", T_STATUS, AT(status)},
    [M_TYPE] = {"type", T_TEXT, AT(type)},
    [M_POLICY] = {"policy", T_TEXT, AT(policy)},
    [M_FPS] = {"fps", T_FPS, AT(fps)},
    [M_WRITE] = {"write", T_TOPICS, AT(write)},
    [M_READ] = {"read", T_TOPICS, AT(read)},
    [M_SESSIONS] = {"sessions", T_INT, AT(sessions)},
    [M_REMOVED] = {"removed", T_TRUE, AT(removed)},
    [M_SEQ] = {"seq", T_INT, AT(seq)},
    [M_COUNT] = {"count", T_INT, AT(count)},
#undef AT
};

static const struct {
	const char *name;
	unsigned has;
	bool header; /* seq is there, and may be 0 */
} kinds[FEED_KINDS] = {
    [FEED_SNAPSHOT] = {"snapshot", HAS(M_VERSION) | HAS(M_EPOCH) | HAS(M_SEQ), true},
    [FEED_CHANGES] = {"changes", HAS(M_EPOCH) | HAS(M_AFTER) | HAS(M_SEQ), true},
    [FEED_POLICY] = {"policy",
	HAS(M_TENANT) | HAS(M_NAME) | HAS(M_WRITE) | HAS(M_READ) | HAS(M_SESSIONS), false},
    [FEED_SERVICE] = {"service",
	HAS(M_ID) | HAS(M_TENANT) | HAS(M_STATUS) | HAS(M_FPS) | HAS(M_WRITE) | HAS(M_READ), false},
    [FEED_DEVICE] = {"device",
	HAS(M_ID) | HAS(M_TENANT) | HAS(M_STATUS) | HAS(M_TYPE) | HAS(M_POLICY) | HAS(M_FPS),
	false},
    [FEED_END] = {"end", HAS(M_COUNT), true},
};

static const char *const statuses[FEED_STATUSES] = {
    "pending", "active", "suspended", "revoked", "archived"};

/* What a line like this one has. */
static unsigned
line_members(const struct feed_line *line)
{
	if (line->kind == FEED_POLICY && line->removed)
		return HAS(M_TENANT) | HAS(M_NAME) | HAS(M_REMOVED) | HAS(M_SEQ);
	return kinds[line->kind].has | (line->seq != 0 && !kinds[line->kind].header ? HAS(M_SEQ) : 0);
}

bool
feed_epoch_is_valid(const char *epoch)
{
	return strlen(epoch) == FEED_EPOCH_LEN && strspn(epoch, "0123456789abcdef") == FEED_EPOCH_LEN;
}

/* Meaning, for both directions. */

static int
topics_check(const struct feed_line *line, const struct feed_topics *topics, struct err *err)
{
	size_t i;
	int rc;

	if (topics->n > POLICY_TEMPLATES_MAX)
		return err_set(err, E_INPUT, "more than %d topics", POLICY_TEMPLATES_MAX);
	for (i = 0; i < topics->n; i++) {
		rc = line->kind == FEED_POLICY ? policy_template_check(topics->topic[i], err)
					       : policy_filter_check(topics->topic[i], err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool
fps_are_valid(const struct feed_line *line)
{
	size_t i;

	if (line->n_fps > FEED_FPS_MAX || (line->n_fps > 0 && line->status != FEED_ACTIVE))
		return false;
	for (i = 0; i < line->n_fps; i++)
		if (line->fps[i].not_after <= 0)
			return false;
	return true;
}

static int
member_check(const struct feed_line *line, enum member m, struct err *err)
{
	bool valid = true;

	switch (m) {
	case M_EPOCH: valid = feed_epoch_is_valid(line->epoch); break;
	case M_AFTER: valid = line->after >= 0; break;
	case M_ID: valid = uuid_is_valid(line->id); break;
	case M_TENANT: valid = policy_word_is_valid(line->tenant); break;
	case M_NAME: valid = policy_word_is_valid(line->name); break;
	case M_STATUS: valid = (unsigned)line->status < FEED_STATUSES; break;
	case M_TYPE: valid = policy_word_is_valid(line->type); break;
	case M_POLICY: valid = policy_word_is_valid(line->policy); break;
	case M_FPS: valid = fps_are_valid(line); break;
	case M_WRITE: return topics_check(line, &line->write, err);
	case M_READ: return topics_check(line, &line->read, err);
	case M_SESSIONS: valid = line->sessions >= 1 && line->sessions <= FEED_SESSIONS_MAX; break;
	case M_SEQ: valid = line->seq >= (kinds[line->kind].header ? 0 : 1); break;
	case M_COUNT: valid = line->count >= 0; break;
	case M_VERSION:
	case M_REMOVED:
	case MEMBERS: break;
	}
	return valid ? 0 : err_set(err, E_INPUT, "a value that must not stand there");
}

/* Writing. */

static void
put_text(struct buf *out, const char *text)
{
	buf_byte(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') /* there are no control characters: member_check */
			buf_byte(out, '\\');
		buf_byte(out, (uint8_t)*text);
	}
	buf_byte(out, '"');
}

static void
put_topics(struct buf *out, const struct feed_topics *topics)
{
	size_t i;

	buf_byte(out, '[');
	for (i = 0; i < topics->n; i++) {
		if (i > 0)
			buf_byte(out, ',');
		put_text(out, topics->topic[i]);
	}
	buf_byte(out, ']');
}

static void
put_fps(struct buf *out, const struct feed_line *line)
{
	char hex[2 * SHA256_LEN + 1];
	size_t i;

	buf_byte(out, '[');
	for (i = 0; i < line->n_fps; i++) {
		hex_encode(hex, line->fps[i].sha256, SHA256_LEN);
		buf_printf(out, "%s[\"%s\",%lld]", i > 0 ? "," : "", hex, (long long)line->fps[i].not_after);
	}
	buf_byte(out, ']');
}

static void
put_member(struct buf *out, const struct feed_line *line, enum member m)
{
	const void *at = (const char *)line + members[m].at;

	buf_printf(out, ",\"%s\":", members[m].name);
	switch (members[m].type) {
	case T_VERSION: buf_printf(out, "%d", FEED_VERSION); break;
	case T_TEXT: put_text(out, at); break;
	case T_INT: buf_printf(out, "%lld", (long long)*(const int64_t *)at); break;
	case T_STATUS: put_text(out, statuses[line->status]); break;
	case T_FPS: put_fps(out, line); break;
	case T_TOPICS: put_topics(out, at); break;
	case T_TRUE: buf_text(out, "true"); break;
	}
}

int
feed_line_encode(struct buf *out, const struct feed_line *line, struct err *err)
{
	unsigned has = line_members(line), m;
	size_t before = out->len;
	int rc;

	for (m = 0; m < MEMBERS; m++)
		if ((has & HAS(m)) != 0 && (rc = member_check(line, m, err)) != 0)
			return rc;
	buf_printf(out, "{\"kind\":\"%s\"", kinds[line->kind].name);
	for (m = 0; m < MEMBERS; m++)
		if ((has & HAS(m)) != 0)
			put_member(out, line, m);
	buf_text(out, "}\n");
	if (buf_failed(out)) {
		buf_cut(out, before);
		return err_nomem(err);
	}
	return 0;
}

/* Reading. */

static bool
get_text(const json_t *value, char *out, size_t size)
{
	return json_is_string(value) && json_string_length(value) == strlen(json_string_value(value)) &&
	    text_copy(out, size, json_string_value(value));
}

static bool
get_int(const json_t *value, int64_t *out)
{
	*out = json_integer_value(value);
	return json_is_integer(value);
}

static bool
get_version(const json_t *value)
{
	int64_t version;

	return get_int(value, &version) && version == FEED_VERSION;
}

static bool
get_status(const json_t *value, enum feed_status *out)
{
	char name[FEED_WORD_SIZE];
	int i;

	if (!get_text(value, name, sizeof name))
		return false;
	for (i = 0; i < FEED_STATUSES; i++)
		if (strcmp(name, statuses[i]) == 0) {
			*out = (enum feed_status)i;
			return true;
		}
	return false;
}

static bool
get_topics(const json_t *value, struct feed_topics *out)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > POLICY_TEMPLATES_MAX)
		return false;
	json_array_foreach ((json_t *)value, i, item)
		if (!get_text(item, out->topic[i], sizeof out->topic[i]))
			return false;
	out->n = json_array_size(value);
	return true;
}

static bool
get_fp(const json_t *pair, struct feed_fp *out)
{
	char hex[2 * SHA256_LEN + 1];

	return json_is_array(pair) && json_array_size(pair) == 2 &&
	    get_text(json_array_get(pair, 0), hex, sizeof hex) &&
	    strspn(hex, "0123456789abcdef") == 2 * SHA256_LEN && hex_decode(out->sha256, SHA256_LEN, hex) &&
	    get_int(json_array_get(pair, 1), &out->not_after);
}

static bool
get_fps(const json_t *value, struct feed_line *line)
{
	const json_t *pair;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > FEED_FPS_MAX)
		return false;
	json_array_foreach ((json_t *)value, i, pair)
		if (!get_fp(pair, &line->fps[i]))
			return false;
	line->n_fps = json_array_size(value);
	return true;
}

static bool
get_member(const json_t *value, struct feed_line *line, enum member m)
{
	void *at = (char *)line + members[m].at;

	switch (members[m].type) {
	case T_VERSION: return get_version(value);
	case T_TEXT: return get_text(value, at, members[m].size);
	case T_INT: return get_int(value, at);
	case T_STATUS: return get_status(value, at);
	case T_FPS: return get_fps(value, line);
	case T_TOPICS: return get_topics(value, at);
	case T_TRUE: return line->removed = json_is_true(value);
	}
	return false;
}

static int
get_kind(const json_t *object, enum feed_kind *out, struct err *err)
{
	char name[FEED_WORD_SIZE];
	int i;

	if (get_text(json_object_get(object, "kind"), name, sizeof name))
		for (i = 0; i < FEED_KINDS; i++)
			if (strcmp(name, kinds[i].name) == 0) {
				*out = (enum feed_kind)i;
				return 0;
			}
	return err_set(err, E_INPUT, "a line of the feed of an unknown kind");
}

/* The members of OBJECT, of its kind or not, into LINE; which they were into *HAD_OUT. */
static int
get_members(json_t *object, struct feed_line *line, unsigned *had_out, struct err *err)
{
	unsigned had = 0, m;
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		if (strcmp(name, "kind") == 0)
			continue;
		for (m = 0; m < MEMBERS && strcmp(name, members[m].name) != 0; m++)
			continue;
		if (m == MEMBERS)
			return err_set(err, E_INPUT, "a %s line has an unknown member", kinds[line->kind].name);
		if (!get_member(value, line, m))
			return err_set(err, E_INPUT, "%s of a %s line cannot be read", members[m].name,
			    kinds[line->kind].name);
		had |= HAS(m);
	}
	*had_out = had;
	return 0;
}

static int
object_read(json_t *object, struct feed_line *line, struct err *err)
{
	unsigned had = 0, m;
	int rc;

	/* All but the lists, whose first n are set with n. */
	line->seq = line->after = line->count = line->sessions = 0;
	line->removed = false;
	line->n_fps = line->write.n = line->read.n = 0;
	if ((rc = get_kind(object, &line->kind, err)) != 0 ||
	    (rc = get_members(object, line, &had, err)) != 0)
		return rc;
	if (had != line_members(line))
		return err_set(err, E_INPUT, "a %s line has not the members of one", kinds[line->kind].name);
	for (m = 0; m < MEMBERS; m++)
		if ((had & HAS(m)) != 0 && (rc = member_check(line, m, err)) != 0)
			return err_prefix(err, "%s of a %s line", members[m].name, kinds[line->kind].name);
	return 0;
}

int
feed_line_decode(const char *text, size_t len, struct feed_line *line_out, struct err *err)
{
	json_error_t error;
	json_t *object;
	int rc;

	if (len > FEED_LINE_MAX)
		return err_set(err, E_LIMIT, "a line of the feed is longer than %d bytes", FEED_LINE_MAX);
	if ((object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error)) == NULL)
		return json_error_code(&error) == json_error_out_of_memory
		    ? err_nomem(err)
		    : err_set(err, E_INPUT, "a line of the feed is not JSON");
	rc = json_is_object(object) ? object_read(object, line_out, err)
				    : err_set(err, E_INPUT, "a line of the feed is not an object");
	json_decref(object);
	return rc;
}
