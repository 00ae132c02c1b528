/* INI configuration, driven by one table that serves both its reader and its writer: what `init`
 * writes is by construction what `serve` understands. Fields work when absent (their default). */
#ifndef MUSTER_BASE_CONF_H
#define MUSTER_BASE_CONF_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define CONF_FILE_MAX (256 * 1024)
#define CONF_TEXT_SIZE 256 /* size of every CONF_TEXT and CONF_CHOICE field */

enum conf_type {
	CONF_TEXT,     /* char[CONF_TEXT_SIZE], printable */
	CONF_CHOICE,   /* the same, one of `choices` */
	CONF_INTEGER,  /* int64_t within [min, max] */
	CONF_DURATION, /* int64_t seconds within [min, max], written 90d, 8h, 30m, 45s */
	CONF_SWITCH    /* bool, written on or off */
};

struct conf_key {
	const char *section;
	const char *name;
	enum conf_type type;
	size_t offset; /* of the field in the caller's struct */
	const char *fallback; /* the default, as it would be written */
	const char *help;     /* one line, written above the key */
	int64_t min, max;     /* for numbers and durations */
	const char *choices;  /* for CONF_CHOICE: "plugin|acl-file" */
};

/* Called for a key in a section that the table does not know. Return 0 to accept it. */
typedef int conf_other_fn(void *ctx, const char *section, const char *name, const char *value, struct err *err);

/* Set every field of VALUES to its default. */
void conf_defaults(const struct conf_key *keys, size_t n, void *values);

/* Parse TEXT over VALUES (already holding defaults). Unknown keys are errors that list the line's
 * section and name; unknown sections go to OTHER. E_INPUT (err.field is "section.name"), E_NOMEM. */
MUST_CHECK int conf_parse(const char *text, const struct conf_key *keys, size_t n, void *values,
    conf_other_fn *other, void *ctx, struct err *err);

/* Set one key as conf_parse would. E_INPUT. */
MUST_CHECK int conf_set(const struct conf_key *key, void *values, const char *value, struct err *err);

/* Set the one KEY from TEXT, or to its default where TEXT does not have it; all else in TEXT is left to others.
 * E_INPUT, E_LIMIT. */
MUST_CHECK int conf_find(const char *text, const struct conf_key *key, void *values, struct err *err);

/* Append the commented file: each key with its help, its default and its present value. */
void conf_print(struct buf *out, const struct conf_key *keys, size_t n, const void *values);

#endif
