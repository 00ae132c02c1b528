/* Lists that are answered by pages: rows that core fills in, each shown, and given back. */
#ifndef MUSTER_HTTP_LISTING_H
#define MUSTER_HTTP_LISTING_H

#include "core/device.h"
#include "http/router.h"

#include <jansson.h>
#include <stddef.h>

/* Which page of what. */
struct listing_ask {
	const struct http_request *req;
	size_t limit;
	const char *after;  /* NULL: the first page */
	void *filter;	    /* for the kind's own use */
};

/* What is particular to a kind of rows. */
struct listing {
	size_t row_size;
	/* Fill in at most ask->limit ROWS, *N_OUT of them, and where the next page begins; "" for the last. */
	int (*fill)(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
	    char next_out[STORE_CURSOR_SIZE], struct err *err);
	json_t *(*shape)(const void *row);
	void (*clear)(void *row); /* NULL: there is nothing to */
};

/* Answer with the page. What fill may say, E_NOMEM. */
MUST_CHECK int listing_reply(struct core *core, const struct caller *caller, const struct listing *listing,
    const struct listing_ask *ask, struct http_reply *reply, struct err *err);

/* The same for a list without filters: REQ has no other parameters than `limit` and `after`. E_INPUT, too. */
MUST_CHECK int listing_pages(struct core *core, const struct caller *caller, const struct listing *listing,
    const struct http_request *req, struct http_reply *reply, struct err *err);

#endif
