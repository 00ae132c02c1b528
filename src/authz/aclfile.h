/* Mosquitto's ACL file, built in memory. Every name is checked again here, whoever checked it before: a
 * line break or a space in the wrong place would be somebody else's right. */
#ifndef MUSTER_AUTHZ_ACLFILE_H
#define MUSTER_AUTHZ_ACLFILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

/* The comment that opens the file and says who writes it. */
void aclfile_begin(struct buf *out);

/* Append the user ID (a UUID) with its expanded topic filters. A filter in both lists becomes one
 * `topic readwrite` line. E_INPUT, and nothing appended, for a name or filter that must not stand there; E_NOMEM. */
MUST_CHECK int aclfile_user(struct buf *out, const char *id, const char *const *write, size_t n_write,
    const char *const *read, size_t n_read, struct err *err);

/* Append one more filter to the last user's, to `read`, `write` or `readwrite`. E_INPUT, E_NOMEM. */
MUST_CHECK int aclfile_topic(struct buf *out, const char *access, const char *filter, struct err *err);

/* The line that closes the file. */
void aclfile_end(struct buf *out);

/* Is TEXT a whole file that aclfile_begin … aclfile_end wrote? E_INPUT if cut short or edited out of form. */
MUST_CHECK int aclfile_check(const char *text, size_t len, struct err *err);

#endif
