/* /v1/feed, for brokers. A follower with nothing new to hear of waits on the event loop, and a snapshot goes out part by
 * part: neither keeps a worker. */
#include "core/broker.h"
#include "core/feed.h"

#include "base/text.h"
#include "http/routes.h"

#define CONTENT_TYPE "application/jsonl"
#define AFTER_MAX 999999999999999999 /* what integer_parse reads */

static const char *const snapshot_names[] = {NULL};
static const char *const changes_names[] = {"epoch", "after", "wait_s", NULL};

static int
snapshot_next(struct core *core, void *ctx, struct buf *part, bool *end_out, struct err *err)
{
	return feed_snapshot_next(core, ctx, part, end_out, err);
}

static void
snapshot_free(void *ctx)
{
	feed_snapshot_close(ctx);
}

int
api_feed_snapshot(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct feed_snapshot *snapshot = NULL;
	bool end = false;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, snapshot_names, err)) != 0 ||
	    (rc = feed_snapshot_open(core, &snapshot, err)) != 0)
		return rc;
	if ((rc = feed_snapshot_next(core, snapshot, &reply->body, &end, err)) != 0 || end) {
		feed_snapshot_close(snapshot);
	} else {
		reply->next = snapshot_next;
		reply->next_free = snapshot_free;
		reply->next_ctx = snapshot;
	}
	reply->content_type = CONTENT_TYPE;
	return rc;
}

/* A parameter that is a whole number. */
static int
number_get(const struct http_request *req, const char *name, int64_t max, bool required, int64_t *out,
    struct err *err)
{
	const char *text = http_query_get(req, name);

	if (text == NULL)
		return required ? err_field(err, E_INPUT, name, "is required") : 0;
	if (!integer_parse(text, 0, max, out))
		return err_field(err, E_INPUT, name, "must be a whole number from 0 to %lld", (long long)max);
	return 0;
}

int
api_feed_changes(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const char *epoch = http_query_get(req, "epoch");
	uint64_t generation = feed_generation(core); /* before the look at what there is */
	int64_t after = 0, wait_s = 0;
	bool has_news;
	int rc;

	if ((rc = http_query_only(req, changes_names, err)) != 0 ||
	    (rc = number_get(req, "after", AFTER_MAX, true, &after, err)) != 0 ||
	    (rc = number_get(req, "wait_s", FEED_WAIT_MAX_S, false, &wait_s, err)) != 0)
		return rc;
	if (epoch == NULL)
		return err_field(err, E_INPUT, "epoch", "is required");
	if ((rc = feed_changes(core, epoch, after, &reply->body, &has_news, err)) != 0)
		return rc;
	broker_note(core, caller, epoch, after);
	reply->content_type = CONTENT_TYPE;
	if (!has_news && !req->must_answer && wait_s > 0) {
		buf_clear(&reply->body);
		reply->wait_s = wait_s;
		reply->wait_generation = generation;
	}
	return 0;
}
