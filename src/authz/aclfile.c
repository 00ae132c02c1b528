/* The file's writer and its reader. Mosquitto denies whatever an ACL file does not list, so that an
 * empty or a shortened file locks out and never lets in (tried with 2.0.11); the closing line is
 * what tells a whole file from the beginning of one. There are no `pattern` lines and no line
 * before the first `user`: nobody is granted anything by a rule, each user is named. */
#include "authz/aclfile.h"

#include "authz/policy.h"
#include "base/text.h"

#include <string.h>

#define FIRST_LINE "# Written by Muster at every change. Whoever is not listed may do nothing.\n"
#define LAST_LINE "# End of the file that Muster wrote.\n"

/* Room for one line: "topic readwrite " and a filter. */
#define LINE_MAX_BYTES (16 + POLICY_TOPIC_MAX)

static const char *const topic_words[] = {"topic read ", "topic write ", "topic readwrite "};

void
aclfile_begin(struct buf *out)
{
	buf_text(out, FIRST_LINE);
}

void
aclfile_end(struct buf *out)
{
	buf_text(out, LAST_LINE);
}

static bool
is_listed(const char *const *list, size_t n, const char *filter)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i], filter) == 0)
			return true;
	return false;
}

static int
check_filters(const char *const *list, size_t n, struct err *err)
{
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		if ((rc = policy_filter_check(list[i], err)) != 0)
			return rc;
	return 0;
}

/* The filters of LIST, each once, without those in SKIP. */
static void
append_filters(struct buf *out, const char *word, const char *const *list, size_t n,
    const char *const *skip, size_t n_skip)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!is_listed(list, i, list[i]) && !is_listed(skip, n_skip, list[i]))
			buf_printf(out, "topic %s %s\n", word, list[i]);
}

int
aclfile_user(struct buf *out, const char *id, const char *const *write, size_t n_write,
    const char *const *read, size_t n_read, struct err *err)
{
	size_t i;
	int rc;

	if (!uuid_is_valid(id))
		return err_set(err, E_INPUT, "an ACL file's user is a UUID");
	if ((rc = check_filters(write, n_write, err)) != 0 ||
	    (rc = check_filters(read, n_read, err)) != 0)
		return rc;
	buf_printf(out, "user %s\n", id);
	for (i = 0; i < n_write; i++)
		if (!is_listed(write, i, write[i]) && is_listed(read, n_read, write[i]))
			buf_printf(out, "topic readwrite %s\n", write[i]);
	append_filters(out, "write", write, n_write, read, n_read);
	append_filters(out, "read", read, n_read, write, n_write);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
aclfile_topic(struct buf *out, const char *access, const char *filter, struct err *err)
{
	int rc = policy_filter_check(filter, err);

	if (rc != 0)
		return rc;
	buf_printf(out, "topic %s %s\n", access, filter);
	return buf_failed(out) ? err_nomem(err) : 0;
}

/* Is LINE (without its end) one that aclfile_user writes? *IN_USER_ON becomes true at a user's. */
static bool
line_is_valid(const char *line, bool *in_user_on)
{
	size_t i, len;

	if (strncmp(line, "user ", 5) == 0)
		return *in_user_on = uuid_is_valid(line + 5);
	for (i = 0; *in_user_on && i < sizeof topic_words / sizeof topic_words[0]; i++) {
		len = strlen(topic_words[i]);
		if (strncmp(line, topic_words[i], len) == 0)
			return policy_filter_check(line + len, NULL) == 0;
	}
	return false;
}

int
aclfile_check(const char *text, size_t len, struct err *err)
{
	const size_t first = strlen(FIRST_LINE), last = strlen(LAST_LINE);
	char line[LINE_MAX_BYTES + 1];
	const char *end, *nl;
	bool in_user = false;
	unsigned number = 1;
	size_t n;

	if (len < first + last || memcmp(text, FIRST_LINE, first) != 0)
		return err_set(err, E_INPUT, "not an ACL file that Muster wrote");
	end = text + len - last;
	if (memcmp(end, LAST_LINE, last) != 0 || end[-1] != '\n')
		return err_set(err, E_INPUT, "the ACL file is cut short");
	for (text += first; text < end; text = nl + 1) {
		number++;
		nl = memchr(text, '\n', (size_t)(end - text)); /* there is one: end[-1] */
		n = (size_t)(nl - text);
		if (n > LINE_MAX_BYTES || memchr(text, '\0', n) != NULL)
			return err_set(err, E_INPUT, "line %u of the ACL file is not ours", number);
		memcpy(line, text, n);
		line[n] = '\0';
		if (!line_is_valid(line, &in_user))
			return err_set(err, E_INPUT, "line %u of the ACL file is not ours", number);
	}
	return 0;
}
