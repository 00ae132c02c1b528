/* Showing the API's answers to people. Whatever the server says is escaped for the terminal. */
#ifndef MUSTER_CMD_PRINT_H
#define MUSTER_CMD_PRINT_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One line or column: a label, and where in the answer its value is ("certificate.serial", "errors.0.reason"). */
struct print_field {
	const char *label, *path;
};

/* The answer as it is, for --json; on a terminal other letters than ASCII as \u escapes, which is
 * the same JSON. */
void print_json(const json_t *answer);

/* "Label:  value" lines of what is there, the values below each other. */
void print_fields(const json_t *answer, const struct print_field *fields, size_t n);

/* A table of answer's items, one column a field, FOLDED as table.h says; on standard error how to
 * go on if there are more. E_NOMEM. */
MUST_CHECK int print_items(const json_t *answer, const struct print_field *fields, size_t n,
    bool folded, struct err *err);

/* The text at PATH, line by line (PEM). */
void print_lines(const json_t *answer, const char *path);

/* Append the value at PATH as text: a text itself, a number, "a, b" for an array, "k=v, …" for an
 * object; nothing for null and what is not there. */
void print_value(struct buf *out, const json_t *answer, const char *path);

#endif
