/* The order of the rooms: framing, route, credentials, right, handler. Who may call is decided before the handler
 * sees anything, and only by caller_may. */
#include "http/exchange.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "core/authfail.h"
#include "core/limits.h"
#include "http/forwarded.h"
#include "http/negotiate.h"
#include "http/origin.h"
#include "http/reply.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

struct exchange *
exchange_new(struct core *core, struct loop *loop, struct traffic *traffic)
{
	struct exchange *x = calloc(1, sizeof *x);

	if (x != NULL) {
		x->core = core;
		x->loop = loop;
		x->begun_us = clock_mono_us();
		x->request.http.traffic = traffic;
		x->request.http.quotas = &x->quotas;
		(void)text_copy(x->who, sizeof x->who, "-");
	}
	return x;
}

/* Internal errors are told to the operator of the server, once, and to nobody else. */
void
exchange_refuse(struct exchange *x, const struct err *err, int status)
{
	if ((status != 0 ? status : reply_status(err)) == 500)
		log_error("%s: %s%s%s", x->route != NULL ? x->route->pattern : "-", err->field,
		    err->field[0] != '\0' ? ": " : "", err->text);
	reply_problem(&x->reply, err, status, x->request.http.id);
	x->reply.wants_basic = x->route != NULL && (x->route->who & ROLE_ENROLLEE) != 0;
}

static int
route_find(struct exchange *x, unsigned listener, struct err *err)
{
	struct http_request *http = &x->request.http;
	int rc;

	rc = router_find(http->method, http->path, listener, &x->route, http->params, x->allow,
	    sizeof x->allow, err);
	if (rc != 0 && x->allow[0] != '\0')
		x->request.status = 405;
	return rc;
}

/* Before a worker is bothered: an address that has failed too often waits, and, when all of them have, so does whatever
 * is not urgent: strangers must not be able to hold up a revocation. */
static int
attempt_check(struct exchange *x, struct err *err)
{
	if (x->proof.via == CALLER_VIA_NOTHING || x->proof.via == CALLER_VIA_SOCKET)
		return 0;
	return authfail_may_try(x->core, x->request.http.peer, x->route->place == ROUTE_URGENT, err);
}

static void answer(struct exchange *x);

static bool
begin(struct exchange *x, struct evhttp_request *evreq, const char *peer, unsigned listener)
{
	const struct settings *settings = &core_config(x->core)->settings;
	char client[ADDRESS_TEXT_SIZE];
	struct err err = {0};

	forwarded_client(client, peer, evhttp_request_get_input_headers(evreq), settings->trusted_proxies,
	    settings->n_trusted_proxies);
	request_name(&x->request, client);
	request_trace(&x->request, evhttp_request_get_input_headers(evreq));
	log_about(x->request.http.id, x->request.http.trace);
	if (request_read(evreq, &x->request, &err) != 0 || route_find(x, listener, &err) != 0) {
		exchange_refuse(x, &err, x->request.status);
		return false;
	}
	if (x->route->who == ROUTE_ANYBODY) {
		if (x->route->place != ROUTE_INLINE && x->route->place != ROUTE_MEMORY)
			return true;
		x->request.http.is_inline = true;
		answer(x);
		x->request.http.is_inline = false;
		if (!x->reply.needs_worker)
			return false;
		reply_clear(&x->reply);
		return true;
	}
	if (origin_is_foreign(evhttp_request_get_input_headers(evreq), settings->api_public_url)) {
		(void)err_set(&err, E_DENIED, "a page of another site asked for this, which only programs and this service's own pages may");
		exchange_refuse(x, &err, 0);
		return false;
	}
	caller_proof_token(
	    &x->proof, evhttp_find_header(evhttp_request_get_input_headers(evreq), "Authorization"));
	/* What is of the whole installation is in no tenant. */
	if ((x->route->who & ROUTE_WHOLE) == 0)
		caller_proof_tenant(
		    &x->proof, evhttp_find_header(evhttp_request_get_input_headers(evreq), "Muster-Tenant"));
	if (attempt_check(x, &err) != 0) {
		exchange_refuse(x, &err, 0);
		return false;
	}
	return true;
}

/* Who calls, into *CALLER; *WHO_OUT stays NULL where nobody has to be known. */
static int
admit(struct exchange *x, struct caller *caller, const struct caller **who_out, struct err *err)
{
	int rc;

	if (x->route->who != ROUTE_ANYBODY) {
		if ((rc = caller_resolve(x->core, &x->proof, x->request.http.peer, caller, err)) != 0)
			return rc;
		caller->quotas = &x->quotas;
		memcpy(caller->request, x->request.http.id, sizeof caller->request);
		*who_out = caller;
		(void)text_copy(x->who, sizeof x->who, caller->who);
	}
	return caller_may(x->route, *who_out, err);
}

/* The limits of requests, once it is known who calls and that they may. What takes away access must always get through, and
 * brokers are the service's own. */
static int
limits_check(struct exchange *x, const struct caller *caller, struct err *err)
{
	if (x->is_counted || caller == NULL || x->route->place == ROUTE_URGENT || caller->role == ROLE_BROKER)
		return 0;
	x->is_counted = true;
	return limits_take(x->core, LIMIT_REQUESTS, caller, err);
}

/* Nothing is sent to who has it already. */
static void
spare(struct exchange *x)
{
	if ((x->reply.status != 0 && x->reply.status != 200) || !negotiate_unchanged(&x->request.http, &x->reply))
		return;
	x->reply.status = 304;
	buf_clear(&x->reply.body);
	if (x->reply.next_free != NULL)
		x->reply.next_free(x->reply.next_ctx);
	x->reply.next = NULL;
	x->reply.next_free = NULL;
}

static void
answer(struct exchange *x)
{
	const struct caller *who = NULL;
	struct caller caller;
	struct err err = {0};
	int rc;

	KILLPOINT(1, "a request has come whole");
	if ((rc = admit(x, &caller, &who, &err)) == 0 && (rc = limits_check(x, who, &err)) == 0)
		rc = x->route->handler(x->core, who, &x->request.http, &x->reply, &err);
	if (rc == 0 && buf_failed(&x->reply.body)) {
		if (x->reply.sent != NULL)
			x->reply.sent(x->core, x->reply.sent_ctx, false);
		rc = err_nomem(&err);
	}
	if (rc != 0)
		exchange_refuse(x, &err, 0);
	else if (strcmp(x->request.http.method, "GET") == 0 || x->request.is_head)
		spare(x);
	/* The others' are looked at again. */
	if (x->reply.wait_s == 0 && x->reply.next == NULL)
		caller_proof_clear(&x->proof);
	KILLPOINT(10, "all is done, the reply has not left");
}

static void
next_part(struct exchange *x)
{
	struct http_reply *reply = &x->reply;
	const struct caller *who = NULL;
	struct caller caller;
	struct err err = {0};

	buf_reset(&reply->body);
	if (admit(x, &caller, &who, &err) == 0 &&
	    reply->next(x->core, reply->next_ctx, &reply->body, &x->is_last_part, &err) == 0 &&
	    !buf_failed(&reply->body))
		return;
	x->is_failed = true;
	log_warn("%s: cut in the middle: %s", x->route->pattern, err.code != 0 ? err.text : "out of memory");
}

/* The route's pattern, never the path: that of a link holds its token. */
static void
access_log(const struct exchange *x, bool whole)
{
	const struct http_request *http = &x->request.http;

	const struct log_field fields[] = {
	    {"method", http->method != NULL ? http->method : "?", 0},
	    {"route", x->route != NULL ? x->route->pattern : "-", 0},
	    {"status", NULL, x->reply.status},
	    {"duration_ms", NULL, (clock_mono_us() - x->begun_us) / 1000},
	    {"caller", x->who, 0},
	    {"address", http->peer, 0},
	    {"cut", "yes", 0},
	};

	if (core_config(x->core)->settings.log_requests || log_has_debug())
		log_request(fields, sizeof fields / sizeof fields[0] - (whole ? 1 : 0));
}

static void
end(struct exchange *x, bool whole)
{
	access_log(x, whole);
	if (x->reply.sent != NULL)
		x->reply.sent(x->core, x->reply.sent_ctx, whole);
	caller_proof_clear(&x->proof);
	reply_clear(&x->reply);
	request_clear(&x->request);
	free(x);
}

/* ---- what lines of the log are about meanwhile --------------------------------------------------------------- */

bool
exchange_begin(struct exchange *x, struct evhttp_request *evreq, const char *peer, unsigned listener)
{
	bool is_for_worker = begin(x, evreq, peer, listener);

	log_about(NULL, NULL);
	return is_for_worker;
}

void
exchange_answer(struct exchange *x)
{
	log_about(x->request.http.id, x->request.http.trace);
	answer(x);
	log_about(NULL, NULL);
}

void
exchange_next(struct exchange *x)
{
	log_about(x->request.http.id, x->request.http.trace);
	next_part(x);
	log_about(NULL, NULL);
}

void
exchange_end(struct exchange *x, bool whole)
{
	log_about(x->request.http.id, x->request.http.trace);
	end(x, whole);
	log_about(NULL, NULL);
}
