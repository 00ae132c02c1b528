/* JSON from text, where want of memory must not be taken for text that is malformed. */
#ifndef MUSTER_BASE_JSONPARSE_H
#define MUSTER_BASE_JSONPARSE_H

#include <jansson.h>
#include <stddef.h>

/* Have jansson ask for memory where jsonparse sees it. Before threads start; again does no harm. */
void jsonparse_prepare(void);

/* Parse LEN bytes, in which no member may be there twice. NULL with ERROR; where memory did not suffice, that has the code
 * json_error_out_of_memory. Free with json_decref. Any thread. */
json_t *jsonparse(const char *text, size_t len, json_error_t *error);

#endif
