/* Showing the API's answers to people. */
#ifndef MUSTER_CMD_PRINT_H
#define MUSTER_CMD_PRINT_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/* One line or column: a label, and where in the answer its value is ("certificate.serial"). */
struct print_field {
	const char *label, *path;
};

/* The answer as it is, for --json. */
void print_json(const json_t *answer);

/* "Label:  value" lines of what is there; values are escaped for the terminal. */
void print_fields(const json_t *answer, const struct print_field *fields, size_t n);

/* A table of answer's items, one column a field, and, if there are more, how to go on: AGAIN names the command. */
MUST_CHECK int print_items(const json_t *answer, const struct print_field *fields, size_t n, const char *again,
    struct err *err);

/* Append the value at PATH as text: a text itself, a number, "a, b" for an array, "k=v, …" for an object; nothing for
 * null and what is not there. */
void print_value(struct buf *out, const json_t *answer, const char *path);

#endif
