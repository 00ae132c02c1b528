/* Mosquitto's side: what it calls, on its one thread, and what is called of it. All decisions come
 * from the table in memory; nothing here waits, and every question is answered, for a plugin that
 * defers may let in. What is particular to Mosquitto 2.0 is here:
 *
 * - Only TICK may kick. While it does, the broker calls back (ACL_CHECK for a lasting session,
 * DISCONNECT), so that updates are not taken then.
 * - At SIGHUP the broker asks BASIC_AUTH again for every session that it knows, also for those of
 * clients that are away, which have no certificate to show; a refusal would end sessions that it
 * does not have in hand, which breaks its list of sessions to expire. Nobody gains by a yes there:
 * whoever must go goes at TICK, a client that is away is asked for its certificate when it comes,
 * and topics are decided by user name each time. */
#include "base/clock.h"
#include "plugin/entry.h"
#include "plugin/follower.h"
#include "plugin/options.h"
#include "plugin/outbox.h"
#include "plugin/reporter.h"
#include "plugin/sessions.h"
#include "plugin/verdict.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define KICKS_PER_TICK 256
#define LOUD_EVERY_S 600
#define SETTLE_MS 10000 /* without an answer */
#define SETTLE_MAX_MS 30000
#define SETTLE_LOOK_MS 5

struct plugin {
	mosquitto_plugin_id_t *id;
	struct options options;
	struct table *table; /* NULL: no snapshot yet */
	struct sessions *sessions;
	struct follower *follower;
	struct outbox *outbox;
	struct reporter *reporter;
	struct feed_line *line;
	bool kicks;	 /* in TICK: the broker calls back */
	const char *why; /* while it does: for what it cuts somebody off */
	bool reloads;	 /* between SIGHUP and the next TICK */
	int64_t ticked, stale_said;
	bool drops_said;
};

/* One line of the broker's log, whatever a client put into its id. */
__attribute__((format(printf, 2, 3))) static void
say(int level, const char *fmt, ...)
{
	struct buf out = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	text_escape(&out, text, strlen(text));
	if (!buf_failed(&out))
		mosquitto_log_printf(level, "muster: %s", buf_str(&out));
	buf_clear(&out);
}

/* For the service: what became of a connection or a question of CLIENT, who is USER by its
 * certificate, or ""; BY says with which one a connection came, or is NULL. */
static void
tell(struct plugin *p, enum report_kind kind, const char *user, const struct mosquitto *client,
    const struct peer *by, const char *reason)
{
	const char *peer = mosquitto_client_address(client);
	struct report_event event = {.kind = kind, .at = clock_now()};

	(void)text_copy(event.id, sizeof event.id, user);
	(void)text_copy(event.peer, sizeof event.peer, peer != NULL ? peer : "");
	(void)text_copy(event.reason, sizeof event.reason, reason);
	if (by != NULL)
		hex_encode(event.fingerprint, by->sha256, sizeof by->sha256);
	if (kind == REPORT_REFUSE || kind == REPORT_DENY)
		outbox_gather(p->outbox, &event); /* who repeats it is counted */
	else
		outbox_add(p->outbox, &event);
}

/* ---- what the follower has learnt ------------------------------------------------------------ */

/* One object's change. What cannot be applied comes with a whole table. Returns whether all
 * sessions must be looked at. */
static bool
entry_apply(struct plugin *p, struct bytes *in)
{
	struct err err = {0};
	uint8_t id[UUID_BYTES];

	if (!entry_get(in, p->line))
		(void)err_set(&err, E_INPUT, "not a change");
	else if (table_apply(p->table, p->line, &err) == 0 && p->line->kind != FEED_POLICY &&
		 uuid_parse(id, p->line->id))
		sessions_check(p->sessions, p->table, id);
	if (err.code == 0)
		return p->line->kind == FEED_POLICY;
	say(MOSQ_LOG_ERR, "a change could not be applied: %s; taking a snapshot", err.text);
	follower_resync(p->follower);
	return true;
}

/* There is a table: the follower sends no changes before it has sent one, or was started with one.
 */
static bool
entries_apply(struct plugin *p, const struct buf *entries)
{
	struct bytes in = {.at = entries->data, .len = entries->len};
	bool all = false;

	while (in.len > 0 && !in.failed)
		all = entry_apply(p, &in) || all;
	return all;
}

static void
updates_take(struct plugin *p)
{
	struct update *u, *next;
	bool all = false;

	if (p->kicks)
		return;
	for (u = follower_take(p->follower); u != NULL; u = next) {
		next = u->next;
		switch (u->kind) {
		case UPDATE_TABLE:
			if (p->table != NULL)
				follower_retire_take(p->follower, p->table);
			p->table = u->table;
			u->table = NULL;
			all = true;
			break;
		case UPDATE_ENTRIES:
			all = entries_apply(p, &u->entries) || all;
			break;
		case UPDATE_NOTE:
			say(MOSQ_LOG_NOTICE, "%s", u->note);
			break;
		case UPDATE_WARNING:
			say(MOSQ_LOG_WARNING, "%s", u->note);
			break;
		}
		update_free(u);
	}
	if (all)
		sessions_check_all(p->sessions, p->table);
}

/* Also where the clock was set back behind the last contact: then nobody knows how long ago that
 * was. */
static bool
is_stale(const struct plugin *p, int64_t now)
{
	return llabs(now - follower_contact(p->follower)) > p->options.max_stale;
}

/* ---- what the broker asks -------------------------------------------------------------------- */

/* PEER_OUT and USER_OUT, whom its certificate names, stay empty where that is not looked at. */
static enum verdict
admit(struct plugin *p, struct mosquitto *client, const char *client_id, struct peer *peer_out,
    char user_out[UUID_LEN + 1])
{
	int64_t now = clock_now(), not_after, sessions;
	enum verdict verdict;
	struct peer peer;

	if (p->table == NULL)
		return VERDICT_NO_TABLE;
	if (is_stale(p, now))
		return VERDICT_STALE;
	if (client_id == NULL ||
	    peer_read_take(mosquitto_client_certificate(client), &peer, NULL) != 0)
		return VERDICT_NO_ID;
	uuid_format(user_out, peer.id);
	*peer_out = peer;
	verdict =
	    verdict_connect(p->table, peer.id, peer.sha256, client_id, now, &not_after, &sessions);
	if (verdict != VERDICT_ALLOWED)
		return verdict;
	if (sessions_count(p->sessions, peer.id, client_id) >= (size_t)sessions)
		return VERDICT_SESSIONS;
	if (mosquitto_set_username(client, user_out) != MOSQ_ERR_SUCCESS ||
	    sessions_add(p->sessions, client, client_id, &peer, not_after, NULL) != 0)
		return VERDICT_FAILED;
	return VERDICT_ALLOWED;
}

static int
on_basic_auth(int event, void *data, void *ctx)
{
	struct mosquitto_evt_basic_auth *asked = data;
	const char *client_id = mosquitto_client_id(asked->client), *from;
	char user[UUID_LEN + 1] = "";
	struct plugin *p = ctx;
	struct peer peer = {0};
	enum verdict verdict;

	(void)event;
	if (p->reloads)
		return MOSQ_ERR_SUCCESS;
	updates_take(p);
	if ((verdict = admit(p, asked->client, client_id, &peer, user)) == VERDICT_ALLOWED) {
		tell(p, REPORT_CONNECT, user, asked->client, &peer, "");
		return MOSQ_ERR_SUCCESS;
	}
	tell(p, verdict_is_of_policy(verdict) ? REPORT_DENY : REPORT_REFUSE, user, asked->client, NULL,
	    verdict_text(verdict));
	from = mosquitto_client_address(asked->client);
	say(MOSQ_LOG_NOTICE, "refused %.128s from %.64s: %s",
	    client_id != NULL ? client_id : "a client without id", from != NULL ? from : "nowhere",
	    verdict_text(verdict));
	return MOSQ_ERR_AUTH;
}

/* What a client asks for by itself; not what is kept from it when the broker delivers. */
static void
denial_tell(struct plugin *p, const struct mosquitto *client, enum verdict_access access)
{
	const char *user = mosquitto_client_username(client);
	uint8_t id[UUID_BYTES];

	if ((access != VERDICT_WRITE && access != VERDICT_SUBSCRIBE) || p->table == NULL ||
	    user == NULL || !uuid_parse(id, user) || table_find(p->table, id) == NULL)
		return;
	tell(p, REPORT_DENY, user, client, NULL,
	    access == VERDICT_WRITE ? "its policy lets it not publish there"
				    : "its policy lets it not subscribe to that");
}

static int
on_acl_check(int event, void *data, void *ctx)
{
	struct mosquitto_evt_acl_check *asked = data;
	struct plugin *p = ctx;
	enum verdict_access access;

	(void)event;
	updates_take(p);
	switch (asked->access) {
	case MOSQ_ACL_READ:
		access = VERDICT_READ;
		break;
	case MOSQ_ACL_WRITE:
		access = VERDICT_WRITE;
		break;
	case MOSQ_ACL_SUBSCRIBE:
		access = VERDICT_SUBSCRIBE;
		break;
	case MOSQ_ACL_UNSUBSCRIBE:
		access = VERDICT_UNSUBSCRIBE;
		break;
	default:
		return MOSQ_ERR_ACL_DENIED;
	}
	if (verdict_topic(p->table, mosquitto_client_username(asked->client), access, asked->topic))
		return MOSQ_ERR_SUCCESS;
	denial_tell(p, asked->client, access);
	return MOSQ_ERR_ACL_DENIED;
}

static int
on_disconnect(int event, void *data, void *ctx)
{
	struct mosquitto_evt_disconnect *gone = data;
	struct plugin *p = ctx;
	const uint8_t *id = sessions_owner(p->sessions, gone->client);
	char user[UUID_LEN + 1];

	(void)event;
	if (id == NULL)
		return MOSQ_ERR_SUCCESS;
	uuid_format(user, id);
	tell(p, REPORT_DISCONNECT, user, gone->client, NULL,
	    p->why != NULL		       ? p->why
	    : gone->reason == MOSQ_ERR_SUCCESS ? ""
					       : "the connection was lost");
	sessions_remove(p->sessions, gone->client);
	return MOSQ_ERR_SUCCESS;
}

/* Not an answer to a question: plugins behind this one are told, too. */
static int
on_reload(int event, void *data, void *ctx)
{
	struct plugin *p = ctx;

	(void)event;
	(void)data;
	p->reloads = true;
	return MOSQ_ERR_PLUGIN_DEFER;
}

static void
kick(void *ctx, const char *client_id, enum verdict why)
{
	struct plugin *p = ctx;

	p->why = verdict_text(why);
	say(MOSQ_LOG_NOTICE, "cut off %.128s: %s", client_id, p->why);
	(void)mosquitto_kick_client_by_clientid(client_id, false);
	p->why = NULL;
}

static void
stale_say(struct plugin *p, int64_t now)
{
	if (p->table == NULL || !is_stale(p, now)) {
		p->stale_said = 0;
	} else if (p->stale_said == 0 || llabs(now - p->stale_said) >= LOUD_EVERY_S) {
		say(MOSQ_LOG_ERR,
		    "%s has not been heard for longer than max_stale: new connections are refused",
		    p->options.url);
		p->stale_said = now;
	}
}

static void
drops_say(struct plugin *p)
{
	bool drops = outbox_dropped(p->outbox) > 0;

	if (drops && !p->drops_said)
		say(MOSQ_LOG_WARNING,
		    "more than %lld events wait to be reported: what comes is counted alone",
		    (long long)p->options.reports);
	p->drops_said = drops;
}

static int
on_tick(int event, void *data, void *ctx)
{
	struct plugin *p = ctx;
	int64_t now = clock_now();

	(void)event;
	(void)data;
	p->reloads = false;
	updates_take(p);
	if (now != p->ticked) {
		sessions_expire(p->sessions, now);
		stale_say(p, now);
		outbox_flush(p->outbox);
		drops_say(p);
		p->ticked = now;
	}
	p->kicks = true;
	sessions_kick(p->sessions, KICKS_PER_TICK, kick, p);
	p->kicks = false;
	return MOSQ_ERR_SUCCESS;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static const struct {
	int event;
	MOSQ_FUNC_generic_callback call;
} callbacks[] = {
    {MOSQ_EVT_RELOAD, on_reload},
    {MOSQ_EVT_BASIC_AUTH, on_basic_auth},
    {MOSQ_EVT_ACL_CHECK, on_acl_check},
    {MOSQ_EVT_DISCONNECT, on_disconnect},
    {MOSQ_EVT_TICK, on_tick},
};
#define N_CALLBACKS (sizeof callbacks / sizeof callbacks[0])

/* From the last snapshot, or else with an empty hand: then nobody is let in until the service was
 * heard. */
static int
table_load(
    struct plugin *p, struct snapshot **file_out, struct snapshot_info *info_out, struct err *err)
{
	struct err why = {0};
	int rc;

	if ((rc = table_new(&p->table, err)) != 0)
		return rc;
	rc = snapshot_load(p->options.snapshot, p->table, info_out, file_out, &why);
	if (rc == 0) {
		say(MOSQ_LOG_NOTICE, "%zu devices and services from %s, at change %lld",
		    table_count(p->table), p->options.snapshot, (long long)info_out->seq);
		return 0;
	}
	table_free(p->table);
	p->table = NULL;
	say(rc == E_NOTFOUND ? MOSQ_LOG_NOTICE : MOSQ_LOG_ERR,
	    "%s; everybody is refused until %s was heard", why.text, p->options.url);
	return 0;
}

/* Its last reports go while the follower is there. */
static void
reporter_end(struct plugin *p)
{
	if (p->reporter == NULL)
		return;
	outbox_flush(p->outbox);
	reporter_stop(p->reporter);
	if (outbox_count(p->outbox) > 0)
		say(MOSQ_LOG_WARNING, "%zu events could not be reported any more",
		    outbox_count(p->outbox));
}

static void
plugin_free(struct plugin *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < N_CALLBACKS; i++)
		(void)mosquitto_callback_unregister(
		    p->id, callbacks[i].event, callbacks[i].call, NULL);
	reporter_end(p);
	follower_stop(p->follower);
	outbox_free(p->outbox);
	sessions_free(p->sessions);
	table_free(p->table);
	free(p->line);
	free(p);
}

/* What was revoked while the broker was away does not get in with what its last snapshot says:
 * before anybody is served the service may tell what has changed, for as long as it goes on
 * answering. */
static void
settle(struct plugin *p)
{
	const struct timespec pause = {.tv_nsec = SETTLE_LOOK_MS * 1000 * 1000};
	int64_t now = clock_mono_ms(), end = now + SETTLE_MAX_MS, quiet = now + SETTLE_MS;
	int64_t heard = follower_contact(p->follower);

	for (; !follower_is_settled(p->follower) && now < end && now < quiet;
	     now = clock_mono_ms()) {
		(void)nanosleep(&pause, NULL);
		updates_take(p); /* it waits for that, when it is far ahead */
		if (follower_contact(p->follower) != heard) {
			heard = follower_contact(p->follower);
			quiet = now + SETTLE_MS;
		}
	}
	if (p->table != NULL && !follower_is_settled(p->follower))
		say(MOSQ_LOG_WARNING, "%s does not answer: going by what it said last",
		    p->options.url);
}

static int
plugin_open(struct plugin *p, const struct mosquitto_opt *opts, int n_opts, struct err *err)
{
	struct snapshot_info info = {0};
	struct snapshot *file = NULL;
	size_t i;
	int rc;

	if ((rc = options_read(&p->options, opts, n_opts, err)) != 0 ||
	    (rc = sessions_new(&p->sessions, err)) != 0 ||
	    (rc = outbox_new((size_t)p->options.reports, &p->outbox, err)) != 0)
		return rc;
	if ((p->line = calloc(1, sizeof *p->line)) == NULL)
		return err_nomem(err);
	if ((rc = table_load(p, &file, &info, err)) != 0 ||
	    (rc = follower_start(&p->options, file, &info, &p->follower, err)) != 0 ||
	    (rc = reporter_start(&p->options, p->follower, p->outbox, &p->reporter, err)) != 0)
		return rc;
	for (i = 0; i < N_CALLBACKS; i++)
		if (mosquitto_callback_register(
			p->id, callbacks[i].event, callbacks[i].call, NULL, p) != MOSQ_ERR_SUCCESS)
			return err_set(
			    err, E_SYS, "the broker does not take the plugin's callbacks");
	settle(p);
	return 0;
}

EXPORT int
mosquitto_plugin_version(int n_versions, const int *versions)
{
	int i;

	for (i = 0; i < n_versions; i++)
		if (versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	return -1;
}

EXPORT int
mosquitto_plugin_init(
    mosquitto_plugin_id_t *id, void **user_data, struct mosquitto_opt *opts, int n_opts)
{
	struct plugin *p = calloc(1, sizeof *p);
	struct err err = {0};

	if (p == NULL)
		return MOSQ_ERR_NOMEM;
	p->id = id;
	if (plugin_open(p, opts, n_opts, &err) != 0) {
		say(MOSQ_LOG_ERR, "%s", err.text);
		plugin_free(p);
		return MOSQ_ERR_INVAL;
	}
	*user_data = p;
	return MOSQ_ERR_SUCCESS;
}

EXPORT int
mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *opts, int n_opts)
{
	(void)opts;
	(void)n_opts;
	plugin_free(user_data);
	return MOSQ_ERR_SUCCESS;
}
