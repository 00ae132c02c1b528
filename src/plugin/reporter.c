/* A report is taken in as a whole or not at all, so its events leave the outbox when the service
 * has said that it has them. Where its answer is lost they are told twice: a refusal may be counted
 * once too often, never too seldom.
 *
 * It looks for events, instead of being woken: the broker's thread has no system call to make, and
 * what happens within a moment goes in one report. How far the broker is when nothing happens, the
 * service knows from the follower's questions. */
#include "plugin/reporter.h"

#include "plugin/client.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 250
#define LAST_MS 1000 /* for what is left when the broker stops */

struct reporter {
	struct follower *follower;
	struct outbox *outbox;
	struct client *client;
	size_t most; /* events of the next report */
	struct buf text;
	unsigned failures;
	long said; /* the status that was complained of last */
};

/* A report of N events is one that the service will never take: in smaller ones it may take them,
 * but for a single one that is wrong. */
static void
report_split(struct reporter *r, size_t n)
{
	if (n > 1)
		r->most = n / 2;
	else
		outbox_lose(r->outbox, n);
}

/* What the service said to a report of N events that told DROPPED. */
static int
status_take(struct reporter *r, long status, size_t n, int64_t dropped, struct err *err)
{
	if (status == 204) {
		outbox_remove(r->outbox, n);
		outbox_told(r->outbox, dropped);
		r->most = r->most < REPORT_EVENTS_MAX / 2 ? 2 * r->most : REPORT_EVENTS_MAX;
		r->said = 0;
		return 0;
	}
	(void)err_set(err, E_SYS, "the service answers reports with status %ld", status);
	if (status != r->said)
		follower_warn(r->follower, err->text);
	r->said = status;
	if (status != 400 && status != 413)
		return E_SYS;
	report_split(r, n);
	return 0;
}

/* The oldest events, if there are any, or that some were dropped; unless nobody knows yet what
 * table the broker has. *DID_OUT: there was something to do. */
static int
round_do(struct reporter *r, bool *did_out, struct err *err)
{
	struct report head = {.dropped = outbox_dropped(r->outbox)};
	const struct report_event *events;
	size_t n = outbox_look(r->outbox, &events);
	long status;
	int rc;

	*did_out =
	    (n > 0 || head.dropped > 0) && follower_place(r->follower, head.epoch, &head.seq);
	if (!*did_out)
		return 0;
	if (n > r->most)
		n = r->most;
	buf_reset(&r->text);
	if ((rc = report_encode(&r->text, &head, events, n, &n, err)) == E_INPUT) {
		report_split(r, n);
		return 0;
	}
	if (rc != 0 ||
	    (rc = client_post(r->client, "/v1/brokers/reports", &r->text, &status, err)) != 0)
		return rc;
	return status_take(r, status, n, head.dropped, err);
}

static void *
thread_main(void *ctx)
{
	struct reporter *r = ctx;
	struct err err = {0};
	bool ends, did, again;
	int rc;

	do {
		ends = client_ends(r->client); /* then nothing is added any more */
		if ((rc = round_do(r, &did, &err)) != 0) {
			r->failures += r->failures < 100;
			client_back_off(r->client, r->failures);
		} else {
			r->failures = 0;
		}
		again = rc == 0 && did && outbox_count(r->outbox) >= (ends ? 1 : REPORT_EVENTS_MAX);
		if (rc == 0 && !again)
			client_sleep(r->client, LOOK_EVERY_MS);
	} while (!ends || again);
	return NULL;
}

int
reporter_start(const struct options *options, struct follower *follower, struct outbox *outbox,
    struct reporter **out, struct err *err)
{
	struct reporter *r = calloc(1, sizeof *r);
	int rc;

	if (r == NULL)
		return err_nomem(err);
	r->follower = follower;
	r->outbox = outbox;
	r->most = REPORT_EVENTS_MAX;
	if ((rc = client_new(options, &r->client, err)) != 0 ||
	    (rc = client_run(r->client, thread_main, r, err)) != 0) {
		reporter_stop(r);
		return rc;
	}
	*out = r;
	return 0;
}

void
reporter_stop(struct reporter *r)
{
	if (r == NULL)
		return;
	client_stop(r->client, LAST_MS);
	client_free(r->client);
	buf_clear(&r->text);
	free(r);
}
