/* Files of lines, compressed (gzip): written once, or read from the start. The command line's only user of zlib. */
#ifndef MUSTER_CMD_GZLINES_H
#define MUSTER_CMD_GZLINES_H

#include "base/err.h"

#define GZLINES_LINE_MAX 65536 /* bytes, with its end */

struct gzlines;

/* Make PATH (0600). E_CONFLICT if it exists; E_SYS, E_NOMEM. */
MUST_CHECK int gzlines_create(const char *path, struct gzlines **out, struct err *err);

/* Append LINE and its end. E_SYS. */
MUST_CHECK int gzlines_put(struct gzlines *lines, const char *line, struct err *err);

/* End what was written: it is on disk when this returns 0. *LINES is NULL afterwards. E_SYS. */
MUST_CHECK int gzlines_finish(struct gzlines **lines, struct err *err);

/* E_NOTFOUND, E_SYS, E_NOMEM. */
MUST_CHECK int gzlines_open(const char *path, struct gzlines **out, struct err *err);

/* The next line, with its end, borrowed until the next call: 1; 0 at the end. E_INPUT: it is cut off, damaged, or too long. */
MUST_CHECK int gzlines_next(struct gzlines *lines, const char **line_out, struct err *err);

/* Give up. NULL is harmless. */
void gzlines_close(struct gzlines *lines);

#endif
