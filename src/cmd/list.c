/* One way to go through pages, whatever is listed. */
#include "cmd/list.h"

#include "base/text.h"
#include "cmd/rest.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MAX_TEXT "1000" /* what the server gives at most */

enum { OPT_LIMIT = 0x300, OPT_AFTER, OPT_ALL };

static const struct argp_option options[] = {{NULL, 0, NULL, 0, "Pages:", 20},
    {"limit", OPT_LIMIT, "N", 0, "Rows a page, 1 to 1000 (default 50; with --all 1000)", 20},
    {"after", OPT_AFTER, "CURSOR", 0, "Go on after an earlier page; its last line names the CURSOR",
	20},
    {"all", OPT_ALL, NULL, 0, "Every page, up to the end", 20}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct list_options *o = state->input;

	switch (key) {
	case OPT_LIMIT:
		o->limit = arg;
		return 0;
	case OPT_AFTER:
		o->after = arg;
		return 0;
	case OPT_ALL:
		o->all = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp list_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

static int
get_page(const struct cli *cli, const struct buf *path, const char *limit, const char *after,
    json_t **page_out, struct err *err)
{
	struct buf target = {0};
	json_t *page = NULL;
	int rc;

	buf_text(&target, buf_str(path));
	rest_query(&target, "limit", limit);
	rest_query(&target, "after", after);
	rc = buf_failed(path) || buf_failed(&target)
		 ? err_nomem(err)
		 : rest_call(cli, "GET", buf_str(&target), NULL, &page, err);
	if (rc == 0 && !json_is_array(json_object_get(page, "items")))
		rc = err_set(err, E_SYS, "the server's answer is no list");
	if (rc == 0)
		*page_out = page;
	else
		json_decref(page);
	buf_clear(&target);
	return rc;
}

/* Append the page after ALL's `next` to ALL. */
static int
add_page(
    const struct cli *cli, const struct buf *path, const char *limit, json_t *all, struct err *err)
{
	const char *after = json_string_value(json_object_get(all, "next"));
	json_t *page = NULL, *next;
	int rc;

	if ((rc = get_page(cli, path, limit, after, &page, err)) != 0)
		return rc;
	next = json_object_get(page, "next");
	if (json_is_string(next) && strcmp(json_string_value(next), after) == 0)
		rc = err_set(err, E_SYS, "the server's list does not end");
	else if (json_array_extend(json_object_get(all, "items"), json_object_get(page, "items")) !=
		     0 ||
		 json_object_set(all, "next", next != NULL ? next : json_null()) != 0)
		rc = err_nomem(err);
	json_decref(page);
	return rc;
}

int
list_show(const struct cli *cli, const struct list_options *o, const struct buf *path,
    const struct print_field *columns, size_t n, struct err *err)
{
	const char *limit = o->limit == NULL && o->all ? PAGE_MAX_TEXT : o->limit;
	json_t *answer = NULL;
	int rc;

	if ((rc = get_page(cli, path, limit, o->after, &answer, err)) != 0)
		return rc;
	while (rc == 0 && o->all && json_is_string(json_object_get(answer, "next")))
		rc = add_page(cli, path, limit, answer, err);
	if (rc == 0 && cli->json)
		print_json(answer);
	else if (rc == 0)
		rc = print_items(answer, columns, n, !o->unfolded, err);
	json_decref(answer);
	return rc;
}
