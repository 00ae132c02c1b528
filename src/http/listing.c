/* Whatever goes wrong on the way, each row that was filled in is given back, and no half of a page leaves. */
#include "http/listing.h"

#include "http/args.h"
#include "http/json.h"
#include "http/shape.h"

#include <stdlib.h>

int
listing_reply(struct core *core, const struct caller *caller, const struct listing *listing, const struct listing_ask *ask,
    struct http_reply *reply, struct err *err)
{
	char next[STORE_CURSOR_SIZE], *rows;
	json_t *items = NULL;
	size_t n = 0, i;
	int rc;

	if ((rows = calloc(ask->limit, listing->row_size)) == NULL || (items = json_array()) == NULL)
		rc = err_nomem(err);
	else
		rc = listing->fill(core, caller, ask, rows, &n, next, err);
	for (i = 0; i < n; i++) {
		if (rc == 0 && json_array_append_new(items, listing->shape(rows + i * listing->row_size)) != 0)
			rc = err_nomem(err);
		if (listing->clear != NULL)
			listing->clear(rows + i * listing->row_size);
	}
	if (rc == 0) {
		rc = json_reply_take(reply, 200, shape_page_take(items, next), err);
		items = NULL;
	}
	json_decref(items);
	free(rows);
	return rc;
}

int
listing_pages(struct core *core, const struct caller *caller, const struct listing *listing, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	static const char *const names[] = {"limit", "after", NULL};
	struct listing_ask ask = {.req = req};
	int rc;

	if ((rc = http_query_only(req, names, err)) != 0 || (rc = args_page(req, &ask.limit, &ask.after, err)) != 0)
		return rc;
	return listing_reply(core, caller, listing, &ask, reply, err);
}
