/* Templates, filters and topics, and the ACL file made of them. The input's parts are separated by
 * NUL: a template or filter, another, a topic, and a value. */
#include "authz/aclfile.h"
#include "authz/policy.h"
#include "base/buf.h"
#include "fuzz.h"

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define PARTS 4

/* What the check accepts makes a whole file of one user and one line, never more. */
static void
filter_stands_in_file(const char *filter)
{
	struct buf out = {0};
	const char *p;
	unsigned lines = 0;

	aclfile_begin(&out);
	FUZZ_ASSERT(aclfile_user(&out, ID, &filter, 1, &filter, 1, NULL) == 0);
	aclfile_end(&out);
	FUZZ_ASSERT(aclfile_check(buf_str(&out), out.len, NULL) == 0);
	for (p = buf_str(&out); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	FUZZ_ASSERT(lines == 4);
	buf_clear(&out);
}

static void
check_filter(const char *filter)
{
	struct buf out = {0};

	if (policy_filter_check(filter, NULL) == 0) {
		FUZZ_ASSERT(policy_filter_covers(filter, filter));
		FUZZ_ASSERT(policy_filter_covers("#", filter));
		filter_stands_in_file(filter);
	} else {
		FUZZ_ASSERT(aclfile_user(&out, ID, &filter, 1, NULL, 0, NULL) != 0);
		FUZZ_ASSERT(out.len == 0);
	}
	buf_clear(&out);
}

static void
check_template(const char *tmpl, const char *value, const char *topic)
{
	const struct policy_subject plain = {.id = ID, .tenant = "default", .type = "meter"};
	const struct policy_subject hostile = {.id = value, .tenant = value, .type = value};
	char filter[POLICY_TOPIC_MAX + 1];
	bool accepted = policy_template_check(tmpl, NULL) == 0;

	if (policy_expand(tmpl, &plain, filter, NULL) == 0 && accepted) {
		FUZZ_ASSERT(policy_filter_check(filter, NULL) == 0);
		FUZZ_ASSERT(!policy_filter_covers(filter, "#"));
		FUZZ_ASSERT(!policy_filter_covers(filter, "+/#"));
	}
	if (accepted && policy_expand(tmpl, &plain, filter, NULL) == 0)
		FUZZ_ASSERT(policy_template_matches(tmpl, &plain, topic) ==
			    policy_topic_matches(filter, topic));
	if (policy_expand(tmpl, &hostile, filter, NULL) == 0) {
		FUZZ_ASSERT(strchr(tmpl, '{') == NULL || policy_word_is_valid(value));
		if (accepted)
			filter_stands_in_file(filter);
	}
}

/* C1, C4: a file that is accepted says nothing before it names a user. */
static void
check_file(const char *file, size_t len)
{
	const char *topic, *user;

	if (aclfile_check(file, len, NULL) != 0)
		return;
	FUZZ_ASSERT(strlen(file) == len && strstr(file, "\npattern") == NULL);
	topic = strstr(file, "\ntopic ");
	user = strstr(file, "\nuser ");
	FUZZ_ASSERT(topic == NULL || (user != NULL && user < topic));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *part[PARTS], *file = fuzz_text(data, len);
	const uint8_t *nul;
	size_t i, n;

	check_file(file, len);
	free(file);
	for (i = 0; i < PARTS; i++) {
		nul = len > 0 ? memchr(data, 0, len) : NULL;
		n = nul == NULL ? len : (size_t)(nul - data);
		part[i] = fuzz_text(data, n);
		data += nul == NULL ? n : n + 1;
		len -= nul == NULL ? n : n + 1;
	}
	for (i = 0; i < 3; i++) {
		check_filter(part[i]);
		check_template(part[i], part[3], part[2]);
	}
	/* What a covered filter lets through, the covering one does too. */
	if (policy_filter_covers(part[0], part[1]) && policy_topic_matches(part[1], part[2]))
		FUZZ_ASSERT(policy_topic_matches(part[0], part[2]));
	for (i = 0; i < PARTS; i++)
		free(part[i]);
	return 0;
}
