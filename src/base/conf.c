/* The only file that knows inih. Every value passes conf_set, whoever brings it. */
#include "base/conf.h"

#include "base/text.h"

#include <ini.h>
#include <stdbool.h>
#include <string.h>

#define INI_LINE_BYTES 198

static bool
is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);
	const char *p = choices, *bar;

	for (;;) {
		bar = strchr(p, '|');
		if ((bar == NULL ? strlen(p) : (size_t)(bar - p)) == len && memcmp(p, value, len) == 0)
			return true;
		if (bar == NULL)
			return false;
		p = bar + 1;
	}
}

/* Would the reader give VALUE back from the line that conf_print makes of it? inih takes lines of 198 bytes,
 * drops blanks around a value, and takes a `;` behind a blank for a comment. */
static bool
is_readable_back(const struct conf_key *key, const char *value)
{
	size_t len = strlen(value);

	return len == 0 ||
	    (strlen(key->name) + strlen(" = ") + len <= INI_LINE_BYTES && value[0] != ' ' &&
		value[len - 1] != ' ' && value[0] != ';' && strstr(value, " ;") == NULL);
}

int
conf_set(const struct conf_key *key, void *values, const char *value, struct err *err)
{
	void *at = (char *)values + key->offset;
	char where[ERR_FIELD_MAX];
	int64_t v = 0;

	(void)snprintf(where, sizeof where, "%s.%s", key->section, key->name);
	switch (key->type) {
	case CONF_CHOICE:
		if (!is_choice(key->choices, value))
			return err_field(err, E_INPUT, where, "must be one of %s", key->choices);
		/* fallthrough */
	case CONF_TEXT:
		if (strlen(value) >= CONF_TEXT_SIZE || !text_is_printable(value, strlen(value)))
			return err_field(err, E_INPUT, where, "must be one printable line under %d bytes",
			    CONF_TEXT_SIZE);
		if (!is_readable_back(key, value))
			return err_field(err, E_INPUT, where,
			    "is too long for a line, or has a blank at an end or a ; that begins a comment");
		(void)text_copy(at, CONF_TEXT_SIZE, value);
		return 0;
	case CONF_INTEGER:
		if (!integer_parse(value, key->min, key->max, &v))
			return err_field(err, E_INPUT, where, "must be a whole number from %lld to %lld",
			    (long long)key->min, (long long)key->max);
		memcpy(at, &v, sizeof v);
		return 0;
	case CONF_DURATION:
		if (!duration_parse(value, &v) || v < key->min || v > key->max)
			return err_field(err, E_INPUT, where,
			    "must be a duration such as 90d, 8h, 30m or 45s, from %llds to %llds",
			    (long long)key->min, (long long)key->max);
		memcpy(at, &v, sizeof v);
		return 0;
	case CONF_SWITCH:
		if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			return err_field(err, E_INPUT, where, "must be on or off");
		*(bool *)at = value[1] == 'n';
		return 0;
	}
	return err_set(err, E_SYS, "%s: unknown type in the table", where);
}

void
conf_defaults(const struct conf_key *keys, size_t n, void *values)
{
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		rc = conf_set(&keys[i], values, keys[i].fallback, NULL);
		(void)rc; /* test_conf and test_settings check each table's defaults */
	}
}

struct parse {
	const struct conf_key *keys;
	size_t n;
	void *values;
	conf_other_fn *other;
	void *ctx;
	bool only; /* keys that the table does not know are left alone */
	struct err err;
};

/* inih's callback: 1 is success. The first error is kept, the rest of the file ignored. */
static int
on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct parse *p = arg;
	char where[ERR_FIELD_MAX];
	bool known_section = false;
	size_t i;

	if (p->err.code != 0)
		return 0;
	for (i = 0; i < p->n; i++) {
		if (strcmp(p->keys[i].section, section) != 0)
			continue;
		known_section = true;
		if (strcmp(p->keys[i].name, name) == 0)
			return conf_set(&p->keys[i], p->values, value, &p->err) == 0;
	}
	if (p->only)
		return 1;
	if (!known_section && p->other != NULL)
		return p->other(p->ctx, section, name, value, &p->err) == 0;
	(void)snprintf(where, sizeof where, "%s.%s", section, name);
	(void)err_field(&p->err, E_INPUT, where, "no such setting");
	return 0;
}

static int
parse(const char *text, struct parse *p, struct err *err)
{
	int line;

	if (strlen(text) > CONF_FILE_MAX)
		return err_set(err, E_LIMIT, "configuration larger than %d bytes", CONF_FILE_MAX);
	line = ini_parse_string(text, on_key, p);
	if (line == 0)
		return 0;
	if (p->err.code == 0)
		return err_set(err, E_INPUT, "line %d: not a [section], a key = value or a comment", line);
	if (err != NULL)
		*err = p->err;
	return err_prefix(err, "line %d: %s", line, p->err.field);
}

int
conf_parse(const char *text, const struct conf_key *keys, size_t n, void *values,
    conf_other_fn *other, void *ctx, struct err *err)
{
	struct parse p = {.keys = keys, .n = n, .values = values, .other = other, .ctx = ctx};

	return parse(text, &p, err);
}

int
conf_find(const char *text, const struct conf_key *key, void *values, struct err *err)
{
	struct parse p = {.keys = key, .n = 1, .values = values, .only = true};
	int rc;

	if ((rc = conf_set(key, values, key->fallback, err)) != 0)
		return rc;
	return parse(text, &p, err);
}

void
conf_print(struct buf *out, const struct conf_key *keys, size_t n, const void *values)
{
	const char *section = "";
	const void *at;
	int64_t v;
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(section, keys[i].section) != 0)
			buf_printf(out, "%s[%s]\n", i > 0 ? "\n" : "", keys[i].section);
		section = keys[i].section;
		buf_printf(out, "; %s%s%s (default: %s)\n", keys[i].help,
		    keys[i].type == CONF_CHOICE ? " One of " : "",
		    keys[i].type == CONF_CHOICE ? keys[i].choices : "",
		    keys[i].fallback[0] == '\0' ? "none" : keys[i].fallback);
		at = (const char *)values + keys[i].offset;
		buf_printf(out, "%s = ", keys[i].name);
		switch (keys[i].type) {
		case CONF_TEXT:
		case CONF_CHOICE:
			buf_printf(out, "%s\n", (const char *)at);
			break;
		case CONF_INTEGER:
			memcpy(&v, at, sizeof v);
			buf_printf(out, "%lld\n", (long long)v);
			break;
		case CONF_DURATION:
			memcpy(&v, at, sizeof v);
			if (v % 86400 == 0)
				buf_printf(out, "%lldd\n", (long long)(v / 86400));
			else if (v % 3600 == 0)
				buf_printf(out, "%lldh\n", (long long)(v / 3600));
			else
				buf_printf(out, "%llds\n", (long long)v);
			break;
		case CONF_SWITCH:
			buf_printf(out, "%s\n", *(const bool *)at ? "on" : "off");
			break;
		}
	}
}
