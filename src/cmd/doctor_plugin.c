/* Checks in plugin mode: does this home's broker reach the service, does every broker follow the feed, and what did they
 * refuse a device for. The service knows most of it; a broker is not asked. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/rest.h"
#include "x509/chain.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENT_S 90	/* one that waits for news asks again every half minute */
#define MAX_STALE_S 86400 /* what `muster broker config` prints */
#define SETTLE_S 2	/* a broker that is behind has caught up by then, or does not follow */
#define EXPIRY_WARN_S (30LL * 86400)
#define EXPIRY_WARN_PERCENT 10
#define AUDIT_TAIL 1000
#define LATELY_S 600
#define OF_A_TOPIC "its-policy-lets-it-not-"

/* ---- from the broker's side -------------------------------------------------------------------- */

/* As the plugin does it, with its credentials. An operator's route, which a broker that is known is denied. */
static int
knock(const struct doctor *d, long *status_out, struct err *err)
{
	char ca[FS_PATH_MAX], cert[FS_PATH_MAX], key[FS_PATH_MAX], url[CONF_TEXT_SIZE + 32];
	int rc;

	(void)snprintf(url, sizeof url, "%s/v1/brokers", d->settings.api_public_url);
	if ((rc = fs_path(ca, d->dir, "broker/ca.pem", err)) != 0 ||
	    (rc = fs_path(cert, d->dir, "broker/broker.crt", err)) != 0 ||
	    (rc = fs_path(key, d->dir, "broker/broker.key", err)) != 0)
		return rc;
	return rest_knock(d->cli, url, ca, cert, key, status_out, err);
}

void
check_broker_service(struct doctor *d, struct finding *f)
{
	const char *url = d->settings.api_public_url;
	struct err err = {0};
	long status = 0;
	int rc = knock(d, &status, &err);

	if (rc == 0 && status == 403) {
		finding_set(f, VERDICT_OK, "the broker's certificate opens the feed at %s", url);
	} else if (rc == 0 && status == 401) {
		finding_set(f, VERDICT_FAIL, "%s does not know the certificate in broker/broker.crt: it was removed, or has ended", url);
		finding_remedy(f, "stop the server and: muster --dir %s ca renew broker; then restart both", d->dir);
	} else if (rc == 0) {
		finding_set(f, VERDICT_FAIL, "%s answers the broker with HTTP %ld", url, status);
		finding_remedy(f, "see that api.public_url leads to this API, and past no proxy that ends its TLS");
	} else {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "%s, for a plugin follows that address: correct api.public_url in muster.conf, restart the server, print "
				  "`muster --dir %s broker config mosquitto` again and restart the broker with it",
		    rc == E_DENIED ? "api.public_url must have a host name that tls/server.crt has" : "api.public_url must be reachable",
		    d->dir);
	}
}

/* ---- who follows ------------------------------------------------------------------------------- */

static int
brokers_get(const struct doctor *d, json_t **items_out, struct err *err)
{
	json_t *answer = NULL;
	int rc;

	if ((rc = rest_call(d->cli, "GET", "/v1/brokers", NULL, &answer, err)) == 0)
		*items_out = json_incref(json_object_get(answer, "items"));
	json_decref(answer);
	return rc;
}

/* A finding about the broker ITEM, unless one as bad is there already. */
static bool
worse(struct finding *f, enum verdict verdict)
{
	return f->verdict != VERDICT_FAIL && (verdict == VERDICT_FAIL || f->verdict != VERDICT_WARN);
}

static bool
is_behind(const json_t *item)
{
	const json_t *behind = json_object_get(item, "behind");

	return !json_is_integer(behind) || json_integer_value(behind) > 0;
}

static void
never_heard(const struct doctor *d, struct finding *f, const char *name, bool alone)
{
	enum verdict verdict = alone ? VERDICT_FAIL : VERDICT_WARN;

	if (!worse(f, verdict))
		return;
	finding_set(f, verdict, "broker %s has never been heard: either its plugin is not loaded, or it does not reach the service", name);
	finding_remedy(f, "start mosquitto with what `muster --dir %s broker config mosquitto` prints, and see what its log says after "
			  "\"muster:\"; if there is no such broker: muster broker remove %s", d->dir, name);
}

static void
not_following(const struct doctor *d, struct finding *f, const json_t *item, bool silent)
{
	const char *name = doctor_text(item, "name");
	int64_t seen = doctor_time(item, "seen_at");
	json_int_t behind = json_integer_value(json_object_get(item, "behind"));
	char then[CLOCK_TEXT_MAX];

	if (!worse(f, VERDICT_FAIL))
		return;
	clock_text(then, seen);
	if (silent)
		finding_set(f, VERDICT_FAIL, "broker %s was last heard at %s, and is %lld changes behind: %s", name, then, behind,
		    d->now - seen > MAX_STALE_S ? "by its max_stale of 24h it refuses new connections"
						: "it does not know who was revoked since, and refuses new connections a day after");
	else
		finding_set(f, VERDICT_FAIL, "broker %s is %lld changes behind, and does not catch up: it may accept the revoked", name,
		    behind);
	finding_remedy(f, "see what its log says after \"muster:\", and whether the API's address can be reached from %s; then "
			  "restart it", doctor_text(item, "address"));
}

/* NAME's item among ITEMS is as far as OLD. */
static bool
stands_still(const json_t *items, const json_t *old)
{
	json_t *item;
	size_t i;

	json_array_foreach (items, i, item)
		if (strcmp(doctor_text(item, "id"), doctor_text(old, "id")) == 0)
			return is_behind(item) && json_equal(json_object_get(item, "seq"), json_object_get(old, "seq"));
	return false;
}

/* How many of ITEMS were ever heard, and is any of these behind? */
static size_t
heard_count(const json_t *items, bool *behind_out)
{
	json_t *item;
	size_t i, n = 0;

	*behind_out = false;
	json_array_foreach (items, i, item) {
		if (doctor_time(item, "seen_at") == 0)
			continue;
		n++;
		*behind_out = *behind_out || is_behind(item);
	}
	return n;
}

static void
feed_judge(const struct doctor *d, struct finding *f, const json_t *before, const json_t *items, size_t heard)
{
	json_t *item;
	size_t i;

	finding_set(f, VERDICT_OK, "all %zu brokers follow, and have the last change", json_array_size(before));
	json_array_foreach (before, i, item) {
		int64_t seen = doctor_time(item, "seen_at");

		if (seen == 0)
			never_heard(d, f, doctor_text(item, "name"), heard == 0);
		else if (d->now - seen > SILENT_S)
			not_following(d, f, item, true);
		else if (is_behind(item) && stands_still(items, item))
			not_following(d, f, item, false);
	}
}

void
check_broker_feed(struct doctor *d, struct finding *f)
{
	json_t *before = NULL, *items = NULL;
	struct err err = {0};
	size_t heard = 0;
	bool behind;
	int rc;

	if ((rc = brokers_get(d, &before, &err)) == 0) {
		heard = heard_count(before, &behind);
		if (behind)
			(void)sleep(SETTLE_S);
		rc = brokers_get(d, &items, &err);
	}
	if (rc == E_DENIED) {
		finding_set(f, VERDICT_NONE, "it needs an operator who may list brokers");
	} else if (rc != 0) {
		finding_err(f, VERDICT_FAIL, &err);
	} else if (heard == 0 && d->settings_err.code != 0) {
		finding_set(f, VERDICT_NONE, "no broker was ever heard; they may work by ACL files");
	} else if (json_array_size(before) == 0) {
		finding_set(f, VERDICT_FAIL, "there is no broker: all were removed");
		finding_remedy(f, "add one: muster broker add NAME");
	} else {
		feed_judge(d, f, before, items, heard);
	}
	json_decref(before);
	json_decref(items);
}

/* Those of brokers that were heard: for the others there are other checks. */
void
check_broker_credentials(struct doctor *d, struct finding *f)
{
	json_t *items = NULL, *item;
	char text[CLOCK_TEXT_MAX];
	struct err err = {0};
	int64_t first = 0;
	size_t i;

	if (brokers_get(d, &items, &err) != 0) {
		finding_err(f, err.code == E_DENIED ? VERDICT_NONE : VERDICT_FAIL, &err);
		return;
	}
	finding_set(f, VERDICT_NONE, "there is no broker whose certificate could end");
	json_array_foreach (items, i, item) {
		int64_t end = doctor_time(item, "expires_at"), life = end - doctor_time(item, "created_at");
		const char *name = doctor_text(item, "name");
		bool soon = end - d->now < EXPIRY_WARN_S && end - d->now < life * EXPIRY_WARN_PERCENT / 100;
		enum verdict verdict = end <= d->now ? VERDICT_FAIL : VERDICT_WARN;

		clock_text(text, end);
		if (first == 0 || end < first) {
			first = end;
			if (f->verdict == VERDICT_NONE || f->verdict == VERDICT_OK)
				finding_set(f, VERDICT_OK, "the first to end is %s's, at %s", name, text);
		}
		if ((end > d->now && !soon) || !worse(f, verdict))
			continue;
		finding_set(f, verdict, "the certificate of broker %s %s at %s: the service tells it nothing after that", name,
		    end <= d->now ? "ended" : "ends", text);
		if (strncmp(name, "home-", 5) == 0)
			finding_remedy(f, "stop the server and: muster --dir %s ca renew broker; then restart both", d->dir);
		else
			finding_remedy(f, "add another, give its package to that broker, and remove this one: muster broker add NAME; "
					  "muster broker remove %s", name);
	}
	json_decref(items);
}

/* ---- what they refused ------------------------------------------------------------------------- */

/* By the word that the audit makes of a plugin's reason; the device's id comes last. */
static const struct {
	const char *word, *remedy;
} refusals[] = {
    {"its-client-id-must-be-its-id", "the device's MQTT client id must be its id (device.json has it):"},
    {"it-has-as-many-sessions-as-its-policy-allows",
	"have it close its old session first, or allow more (muster policy set --help, muster device update --policy):"},
    {"its-certificate-is-not-a-current-one", "bring its newest package to the device, or make another: muster device package"},
    {"its-certificate-has-expired", "bring a new package to the device: muster device package"},
    {"no-certificate-of-a-device-or-service", "bring a new package to the device: muster device package"},
    {"not-an-active-device-or-service", "muster device show"},
    {"the-service-has-not-been-heard-for-longer-than-max_stale", "let the broker reach the service again, and: muster doctor"},
    {OF_A_TOPIC, "what it may is in device-rights; give it another policy, or correct the topic it uses: muster device update"},
    {"no-snapshot-from-the-service-yet", "let the broker reach the service, and: muster doctor"},
};

/* Is it over? What kept the device out, when it was let in after that minute; what its policy kept from it while it was
 * connected, after a while. */
static bool
is_over(const struct doctor *d, const json_t *row, bool of_a_topic)
{
	int64_t at = doctor_time(row, "at"), minute_end = doctor_time(json_object_get(row, "detail"), "since") + 60;

	if (of_a_topic)
		return at + LATELY_S < d->now;
	return doctor_time(d->device, "last_seen_at") > (at < minute_end ? at : minute_end);
}

static bool
is_of_a_topic(const json_t *row)
{
	return strncmp(doctor_text(json_object_get(row, "detail"), "reason"), OF_A_TOPIC, strlen(OF_A_TOPIC)) == 0;
}

/* The newest row about what brokers refused the device into *ROW_OUT, or NULL; one that kept it out rather than one that
 * kept a topic from it. */
static int
refusal_find(const struct doctor *d, json_t **row_out, struct err *err)
{
	json_t *answer = NULL, *item;
	char path[64], target[UUID_LEN + 8];
	int64_t rows = 0;
	size_t i;
	int rc;

	(void)snprintf(target, sizeof target, "device:%s", d->id);
	if ((rc = rest_call(d->cli, "GET", "/v1/audit/verify", NULL, &answer, err)) != 0)
		return rc;
	rows = json_integer_value(json_object_get(answer, "rows"));
	json_decref(answer);
	answer = NULL;
	(void)snprintf(path, sizeof path, "/v1/audit?limit=%d&after=%lld", AUDIT_TAIL,
	    (long long)(rows > AUDIT_TAIL ? rows - AUDIT_TAIL : 0));
	if ((rc = rest_call(d->cli, "GET", path, NULL, &answer, err)) != 0)
		return rc;
	json_array_foreach (json_object_get(answer, "items"), i, item) {
		if (strcmp(doctor_text(item, "action"), "connection.refusals") != 0 ||
		    strcmp(doctor_text(item, "target"), target) != 0 || is_over(d, item, is_of_a_topic(item)) ||
		    (*row_out != NULL && is_of_a_topic(item) && !is_of_a_topic(*row_out)))
			continue;
		json_decref(*row_out);
		*row_out = json_incref(item);
	}
	json_decref(answer);
	return 0;
}

void
check_device_refusals(struct doctor *d, struct finding *f)
{
	const json_t *detail;
	const char *reason;
	json_t *row = NULL;
	struct err err = {0};
	int rc = refusal_find(d, &row, &err);
	size_t i;

	detail = json_object_get(row, "detail");
	reason = doctor_text(detail, "reason");
	if (rc == E_DENIED) {
		finding_set(f, VERDICT_NONE, "it needs an admin or an auditor of the whole installation");
	} else if (rc != 0) {
		finding_err(f, VERDICT_FAIL, &err);
	} else if (row == NULL) {
		finding_set(f, VERDICT_OK, "no broker has refused it anything lately");
	} else {
		finding_set(f, VERDICT_WARN, "brokers refused it %s %lld times in the minute from %s: %s",
		    is_of_a_topic(row) ? "a topic" : "a connection",
		    (long long)json_integer_value(json_object_get(detail, "count")), doctor_text(detail, "since"), reason);
		finding_remedy(f, "muster audit list, for when and by which broker");
		for (i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
			if (strncmp(reason, refusals[i].word, strlen(refusals[i].word)) == 0)
				finding_remedy(f, "%s %s", refusals[i].remedy, d->id);
	}
	json_decref(row);
}
