/* The multi handle is there for its poll, which another thread can wake: a request of half a minute
 * ends at once. */
#include "plugin/client.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_S 60 /* without a byte, an answer is given up */
#define CONNECT_TIMEOUT_S 10
#define POLL_MS 1000
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 5000 /* so late a revocation may be, once the service is back */
#define URL_SIZE (CONF_TEXT_SIZE + 128)
#define NEVER INT64_MAX

struct client {
	const struct options *options;
	pthread_t thread;
	bool started;
	CURLM *multi; /* also what it sleeps on */
	CURL *curl;
	struct curl_slist *headers; /* of what is posted */
	_Atomic int64_t ends_ms;    /* by the monotonic clock; NEVER until it is to end */
};

/* An exchange, while curl runs. */
struct exchange {
	struct client *c;
	client_data_fn *on_data;
	void *ctx;
	long status;
	struct err *err;
	int rc;
};

int
client_new(const struct options *options, struct client **out, struct err *err)
{
	struct client *c = calloc(1, sizeof *c);

	if (c == NULL)
		return err_nomem(err);
	c->options = options;
	atomic_store(&c->ends_ms, NEVER);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (c->multi = curl_multi_init()) == NULL || (c->curl = curl_easy_init()) == NULL ||
	    (c->headers = curl_slist_append(NULL, "Content-Type: application/json")) == NULL) {
		client_free(c);
		return err_nomem(err);
	}
	*out = c;
	return 0;
}

/* The broker's signals are the broker's thread's. */
int
client_run(struct client *c, void *(*main)(void *), void *ctx, struct err *err)
{
	int rc = thread_start(&c->thread, main, ctx, "a thread", err);

	c->started = rc == 0;
	return rc;
}

void
client_stop(struct client *c, int64_t ms)
{
	if (c == NULL || !c->started)
		return;
	atomic_store(&c->ends_ms, clock_mono_ms() + ms);
	(void)curl_multi_wakeup(c->multi);
	(void)pthread_join(c->thread, NULL);
	c->started = false;
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	(void)curl_multi_cleanup(c->multi);
	free(c);
}

bool
client_ends(const struct client *c)
{
	return atomic_load(&c->ends_ms) != NEVER;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static size_t
on_write(char *data, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	if (x->status == 0)
		(void)curl_easy_getinfo(x->c->curl, CURLINFO_RESPONSE_CODE, &x->status);
	if (x->status == 200 && x->rc == 0 && x->on_data != NULL)
		x->rc = x->on_data(x->ctx, data, size * n, x->err);
	return x->rc == 0 ? size * n : 0;
}

/* BODY may be NULL. */
static void
options_set(struct client *c, struct exchange *x, const char *url, const struct buf *body)
{
	(void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->options->cafile);
	(void)curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(c->curl, CURLOPT_SSLCERT, c->options->certfile);
	(void)curl_easy_setopt(c->curl, CURLOPT_SSLKEY, c->options->keyfile);
	(void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	(void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, x);
	if (body == NULL)
		return;
	(void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, (const char *)body->data);
	(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
}

/* How long may the next poll last? 0 or less: no longer. */
static int64_t
poll_ms(const struct client *c)
{
	int64_t left = atomic_load(&c->ends_ms) - clock_mono_ms();

	return left < POLL_MS ? left : POLL_MS;
}

/* Until it is done, or given up. */
static int
transfer(struct client *c, struct exchange *x, struct err *err)
{
	char details[CURL_ERROR_SIZE] = "";
	CURLcode code = CURLE_OK;
	int running = 1, left;
	CURLMsg *said;
	int64_t ms;
	int rc = 0;

	(void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, details);
	if (curl_multi_add_handle(c->multi, c->curl) != CURLM_OK)
		return err_nomem(err);
	while (rc == 0 && running > 0) {
		if ((ms = poll_ms(c)) <= 0)
			rc = err_set(err, E_BUSY, "the broker stops");
		else if (curl_multi_perform(c->multi, &running) != CURLM_OK ||
			 (running > 0 &&
			     curl_multi_poll(c->multi, NULL, 0, (int)ms, NULL) != CURLM_OK))
			rc = err_set(err, E_SYS, "curl does not work");
	}
	while ((said = curl_multi_info_read(c->multi, &left)) != NULL)
		if (said->msg == CURLMSG_DONE)
			code = said->data.result;
	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &x->status);
	(void)curl_multi_remove_handle(c->multi, c->curl);
	(void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc == 0 && x->rc != 0)
		return x->rc;
	if (rc == 0 && code != CURLE_OK)
		return err_set(err, E_SYS, "cannot ask %s: %s", c->options->url,
		    details[0] != '\0' ? details : curl_easy_strerror(code));
	return rc;
}

static int
exchange(struct client *c, const char *path, const struct buf *body, client_data_fn *on_data,
    void *ctx, long *status_out, struct err *err)
{
	struct exchange x = {.c = c, .on_data = on_data, .ctx = ctx, .err = err};
	char url[URL_SIZE];
	int rc;

	curl_easy_reset(c->curl); /* its connection stays */
	(void)snprintf(url, sizeof url, "%s%s", c->options->url, path);
	options_set(c, &x, url, body);
	if ((rc = transfer(c, &x, err)) == 0)
		*status_out = x.status;
	return rc;
}

int
client_get(struct client *c, const char *path, client_data_fn *on_data, void *ctx, long *status_out,
    struct err *err)
{
	return exchange(c, path, NULL, on_data, ctx, status_out, err);
}

int
client_post(
    struct client *c, const char *path, const struct buf *body, long *status_out, struct err *err)
{
	return exchange(c, path, body, NULL, NULL, status_out, err);
}

/* ---- pauses ---------------------------------------------------------------------------------- */

void
client_sleep(struct client *c, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms, left;

	while (!client_ends(c) && (left = until - clock_mono_ms()) > 0)
		(void)curl_multi_poll(c->multi, NULL, 0, (int)left, NULL);
}

void
client_back_off(struct client *c, unsigned n)
{
	int64_t ms = BACKOFF_MAX_MS;
	uint16_t jitter = 0;
	struct err err;

	if (n < 8 && (BACKOFF_MIN_MS << (n - 1)) < BACKOFF_MAX_MS)
		ms = BACKOFF_MIN_MS << (n - 1);
	if (random_bytes(&jitter, sizeof jitter, &err) != 0)
		jitter = 0;
	client_sleep(c, ms / 2 + ms / 2 * jitter / UINT16_MAX);
}
