/* Topics and filters, as MQTT 3.1.1 section 4.7 has them. One walk over levels decides both
 * questions, for a topic is a filter that matches only itself. Nothing here allocates, and nothing
 * trusts its input. */
#include "authz/policy.h"

#include "base/text.h"

#include <string.h>

#define WORD_MAX 64
#define DEVICES "devices/" /* what the built-in topics begin with */

const char *const policy_builtin_write[] = {"devices/{id}/telemetry", "devices/{id}/control/ack"};
const char *const policy_builtin_read[] = {"devices/{id}/commands/#", "devices/{id}/control/#"};
const size_t policy_builtin_n_write = sizeof policy_builtin_write / sizeof policy_builtin_write[0];
const size_t policy_builtin_n_read = sizeof policy_builtin_read / sizeof policy_builtin_read[0];

struct name {
	const char *text;
	size_t offset; /* of its value in struct policy_subject */
	size_t max;    /* bytes of the value */
};

static const struct name names[] = {
    {"{id}", offsetof(struct policy_subject, id), UUID_LEN},
    {"{tenant}", offsetof(struct policy_subject, tenant), WORD_MAX},
    {"{type}", offsetof(struct policy_subject, type), WORD_MAX},
};

/* The name that begins at P, or NULL. */
static const struct name *
name_at(const char *p)
{
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strncmp(p, names[i].text, strlen(names[i].text)) == 0)
			return &names[i];
	return NULL;
}

/* Is every `+` a whole level, and `#` a whole level and the last (section 4.7.1)? */
static bool
is_well_formed(const char *filter)
{
	const char *p = filter;

	if (*filter == '\0')
		return false;
	for (; (p = strpbrk(p, "+#")) != NULL; p++) {
		if (p > filter && p[-1] != '/')
			return false;
		if (p[1] != '\0' && (*p == '#' || p[1] != '/'))
			return false;
	}
	return true;
}

/* What templates and filters have in common. */
static int
check_filter(const char *filter, struct err *err)
{
	size_t len = strnlen(filter, POLICY_TOPIC_MAX + 1);

	if (len == 0)
		return err_set(err, E_INPUT, "a topic has at least one character");
	if (len > POLICY_TOPIC_MAX)
		return err_set(err, E_INPUT, "a topic has at most %d bytes", POLICY_TOPIC_MAX);
	if (!text_is_printable(filter, len))
		return err_set(err, E_INPUT, "a topic is UTF-8 without control characters");
	if (filter[0] == '$')
		return err_set(err, E_INPUT, "topics that begin with $ belong to the broker");
	if (strchr(filter, '%') != NULL)
		return err_set(err, E_INPUT, "a topic has no %%, which brokers substitute");
	/* An ACL file's reader drops them, and would grant another topic than the one named. */
	if (filter[0] == ' ' || filter[len - 1] == ' ')
		return err_set(err, E_INPUT, "a topic does not begin or end with a space");
	if (!is_well_formed(filter))
		return err_set(err, E_INPUT, "+ must fill a level, # must fill the last one");
	return 0;
}

/* Does any level say something, or would the filter match topics of everybody? */
static bool
has_literal(const char *filter)
{
	return filter[strspn(filter, "+#/")] != '\0';
}

int
policy_template_check(const char *tmpl, struct err *err)
{
	const struct name *name;
	const char *p = tmpl;
	size_t longest;
	int rc;

	if ((rc = check_filter(tmpl, err)) != 0)
		return rc;
	longest = strlen(tmpl);
	while ((p = strpbrk(p, "{}")) != NULL) {
		if ((name = name_at(p)) == NULL)
			return err_set(err, E_INPUT, "braces are for {id}, {tenant} and {type}");
		p += strlen(name->text);
		longest += name->max - strlen(name->text);
	}
	/* One device whose topic does not fit would keep everybody's rights from being published. */
	if (longest > POLICY_TOPIC_MAX)
		return err_set(err, E_INPUT, "with the longest names this topic has more than %d bytes",
		    POLICY_TOPIC_MAX);
	if (!has_literal(tmpl))
		return err_set(err, E_INPUT, "wildcards alone would reach everybody's topics");
	return 0;
}

int
policy_filter_check(const char *filter, struct err *err)
{
	int rc;

	if ((rc = check_filter(filter, err)) != 0)
		return rc;
	if (strpbrk(filter, "{}") != NULL)
		return err_set(err, E_INPUT, "a filter has no braces");
	return 0;
}

bool
policy_is_of_own_devices(const char *filter)
{
	return strncmp(filter, DEVICES "+/", strlen(DEVICES "+/")) == 0;
}

bool
policy_device_of(const char *topic, char id_out[UUID_LEN + 1])
{
	char id[UUID_LEN + 1];

	if (strncmp(topic, DEVICES, strlen(DEVICES)) != 0)
		return false;
	topic += strlen(DEVICES);
	if (strcspn(topic, "/") != UUID_LEN)
		return false;
	memcpy(id, topic, UUID_LEN);
	id[UUID_LEN] = '\0';
	if (!uuid_is_valid(id))
		return false;
	memcpy(id_out, id, sizeof id);
	return true;
}

bool
policy_word_is_valid(const char *word)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t len = strspn(word, allowed);

	return len >= 1 && len <= WORD_MAX && word[len] == '\0' && strcmp(word, ".") != 0 &&
	       strcmp(word, "..") != 0;
}

/* The value of NAME, NULL if it may not stand in a topic. */
static const char *
value_of(const struct policy_subject *subject, const struct name *name)
{
	const char *value;

	memcpy(&value, (const char *)subject + name->offset, sizeof value);
	return value != NULL && policy_word_is_valid(value) ? value : NULL;
}

int
policy_expand(const char *tmpl, const struct policy_subject *subject, char *out, struct err *err)
{
	char text[POLICY_TOPIC_MAX + 1];
	const struct name *name;
	const char *piece;
	size_t used = 0, len;

	while (*tmpl != '\0') {
		if (*tmpl != '{') {
			piece = tmpl;
			len = strcspn(tmpl, "{");
			tmpl += len;
		} else {
			if ((name = name_at(tmpl)) == NULL)
				return err_set(err, E_INPUT, "not a policy's template");
			if ((piece = value_of(subject, name)) == NULL)
				return err_set(err, E_INPUT,
				    "the value of %s cannot stand in a topic", name->text);
			len = strlen(piece);
			tmpl += strlen(name->text);
		}
		if (len > POLICY_TOPIC_MAX - used)
			return err_set(err, E_LIMIT, "the expanded topic has more than %d bytes",
			    POLICY_TOPIC_MAX);
		memcpy(text + used, piece, len);
		used += len;
	}
	text[used] = '\0';
	memcpy(out, text, used + 1);
	return 0;
}

bool
policy_filter_covers(const char *outer, const char *inner)
{
	size_t o, i;

	if (!is_well_formed(outer) || !is_well_formed(inner))
		return false;
	if (inner[0] == '$' && (outer[0] == '+' || outer[0] == '#')) /* section 4.7.2 */
		return false;
	/* No topic is empty, so that at the top `#` stands for at least one level, and `/#` for
	 * two. */
	if (strcmp(inner, "#") == 0)
		inner = "+/#";
	else if (strcmp(inner, "/#") == 0)
		inner = "/+/#";
	for (;; outer++, inner++) {
		if (*outer == '#')
			return true;
		if (*inner == '#')
			return false;
		o = strcspn(outer, "/");
		i = strcspn(inner, "/");
		if (*outer != '+' && (o != i || memcmp(outer, inner, o) != 0))
			return false;
		outer += o;
		inner += i;
		if (*inner == '\0') /* `a/#` matches its parent, `a` */
			return *outer == '\0' || strcmp(outer, "/#") == 0;
		if (*outer == '\0')
			return false;
	}
}

bool
policy_topic_matches(const char *filter, const char *topic)
{
	return strpbrk(topic, "+#") == NULL && policy_filter_covers(filter, topic);
}

bool
policy_template_matches(const char *tmpl, const struct policy_subject *subject, const char *topic)
{
	const struct name *name;
	const char *value;
	size_t len;

	if (*topic == '\0' || (*topic == '$' && (*tmpl == '+' || *tmpl == '#'))) /* section 4.7.2 */
		return false;
	for (;;) {
		if (*tmpl == '#')
			return strpbrk(topic, "+#") == NULL;
		if (*tmpl == '+') {
			topic += strcspn(topic, "/+#");
			tmpl++;
		} else if (*tmpl == '{') {
			if ((name = name_at(tmpl)) == NULL)
				return false;
			memcpy(&value, (const char *)subject + name->offset, sizeof value);
			len = value == NULL ? 0 : strlen(value);
			if (len == 0 || strncmp(topic, value, len) != 0)
				return false;
			topic += len;
			tmpl += strlen(name->text);
		} else if (*topic == '\0') {
			return *tmpl == '\0' || strcmp(tmpl, "/#") == 0; /* `a/#` matches `a` */
		} else if (*tmpl++ != *topic++) {
			return false;
		}
	}
}
