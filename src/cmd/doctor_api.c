/* Checks of what the API itself tells: is it ready, and what would it refuse. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/rest.h"

#include <stdio.h>
#include <string.h>

#define AUDIT_TAIL 200
#define LATELY_S 600

void
check_server(struct doctor *d, struct finding *f)
{
	struct buf answer = {0};
	struct err err = {0};
	int rc = rest_get(d->cli, "/readyz", &answer, &err);

	buf_clear(&answer);
	if (rc == E_BUSY && strncmp(err.text, "not ready", 9) == 0) {
		finding_set(f, VERDICT_FAIL, "the API answers, but is not ready: its signer or its database is not");
		finding_remedy(f, "see the server's log, which says which; restarting it: muster --dir %s serve", d->dir);
	} else if (rc != 0) {
		finding_err(f, VERDICT_FAIL, &err);
	} else if (d->api_err.code != 0) {
		finding_err(f, VERDICT_FAIL, &d->api_err);
	} else {
		finding_set(f, VERDICT_OK, "the API, its database and its signer are ready");
	}
}

/* What the server would refuse whatever a request says. A field that is wrong is named in the refusal itself. */
void
check_registration(struct doctor *d, struct finding *f)
{
	const json_t *issuing = json_object_get(d->ca, "issuing");
	int64_t end = doctor_time(issuing, "not_after");
	const int64_t *rates = d->settings.limits[LIMIT_REGISTER].per_min;
	json_t *answer = NULL;
	struct err err = {0};
	size_t profiles;
	char text[CLOCK_TEXT_MAX];

	clock_text(text, end);
	if (rest_call(d->cli, "GET", "/v1/profiles", NULL, &answer, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		return;
	}
	profiles = json_array_size(json_object_get(answer, "items"));
	json_decref(answer);
	if (end <= d->now) {
		finding_set(f, VERDICT_FAIL, "every registration is refused: the issuing CA ended at %s", text);
		finding_remedy(f, "stop the server and, with the root's key: muster ca rollover");
	} else if (d->settings_err.code == 0 &&
		   (rates[RATELIMIT_ADDRESS] > 0 || rates[RATELIMIT_ALL] > 0)) {
		finding_set(f, VERDICT_OK,
		    "%zu profiles, certificates until %s at most; %lld registrations a minute for each client, %lld in all (0: no limit)",
		    profiles, text, (long long)rates[RATELIMIT_ADDRESS], (long long)rates[RATELIMIT_ALL]);
	} else {
		finding_set(f, VERDICT_OK, "%zu profiles, certificates until %s at most", profiles, text);
	}
}

/* The keys of those limits of ITEM that there are, "register_per_min or register_all_per_min", and what they allow. */
static void
limits_say(json_t *item, const char *name, struct buf *keys, struct buf *values)
{
	static const char *const scopes[] = {"", "operator_", "tenant_", "token_", "device_", "all_"};
	static const char *const whose[] = {"one address", "one operator", "one tenant", "one token", "one device", "all"};
	size_t i;

	for (i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
		char member[32];
		long long value;

		(void)snprintf(member, sizeof member, "%sper_min", scopes[i]);
		if ((value = json_integer_value(json_object_get(item, member))) == 0)
			continue;
		buf_printf(keys, "%s%s_%s", keys->len > 0 ? " or " : "", name, member);
		buf_printf(values, "%s%lld from %s", values->len > 0 ? ", " : "", value, whose[i]);
	}
}

/* Was a limit in somebody's way lately? Refusals are answered with 429 and leave no other trace here. */
void
check_rates(struct doctor *d, struct finding *f)
{
	struct buf keys = {0}, values = {0};
	json_t *answer = NULL, *item;
	struct err err = {0};
	const char *name;
	int64_t at;
	size_t i;

	if (rest_call(d->cli, "GET", "/v1/limits", NULL, &answer, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		return;
	}
	finding_set(f, VERDICT_OK, "no limit a minute was in anybody's way in the last %d minutes", LATELY_S / 60);
	json_array_foreach (json_object_get(answer, "items"), i, item) {
		name = doctor_text(item, "name");
		at = doctor_time(item, "last_refused_at");
		/* Who fails to authenticate is found in the audit, by address. */
		if (at == 0 || at + LATELY_S < d->now || strcmp(name, "auth_failures") == 0)
			continue;
		buf_reset(&keys);
		buf_reset(&values);
		limits_say(item, name, &keys, &values);
		finding_set(f, VERDICT_WARN,
		    "limits.%s_per_min is near full: %lld refused with 429 since the service started, the last at %s "
		    "(a minute: %s)", name, (long long)json_integer_value(json_object_get(item, "refused")),
		    doctor_text(item, "last_refused_at"), buf_str(&values));
		finding_remedy(f, "if that was meant to be served, raise %s under [limits] in %s/muster.conf and send the service SIGHUP; "
		    "else see who asks", buf_str(&keys), d->dir);
		break; /* the first is what keeps devices out */
	}
	buf_clear(&keys);
	buf_clear(&values);
	json_decref(answer);
}

/* ---- the audit ------------------------------------------------------------------------------- */

/* Failed authentications of one address in one minute, as the audit counts them. */
struct failures {
	int64_t count;
	char address[128]; /* "address:192.0.2.1" */
	char idevid[128], why[256]; /* whence a manufacturer's certificate was refused last, or "" */
};

/* The most in one minute among the last of ROWS rows, if it was lately. */
static int
failures_find(const struct doctor *d, int64_t rows, struct failures *most, struct err *err)
{
	json_t *answer = NULL, *item, *detail;
	int64_t count;
	char path[64];
	size_t i;
	int rc;

	(void)snprintf(path, sizeof path, "/v1/audit?limit=%d&after=%lld", AUDIT_TAIL,
	    (long long)(rows > AUDIT_TAIL ? rows - AUDIT_TAIL : 0));
	if ((rc = rest_call(d->cli, "GET", path, NULL, &answer, err)) != 0)
		return rc;
	json_array_foreach (json_object_get(answer, "items"), i, item) {
		if (doctor_time(item, "at") + LATELY_S < d->now)
			continue;
		detail = json_object_get(item, "detail");
		if (strcmp(doctor_text(item, "action"), "authentication.fail") == 0 &&
		    strcmp(doctor_text(detail, "via"), "idevid") == 0) {
			(void)text_copy(most->idevid, sizeof most->idevid, doctor_text(item, "target"));
			(void)text_copy(most->why, sizeof most->why, doctor_text(detail, "why"));
		}
		if (strcmp(doctor_text(item, "action"), "authentication.failures") != 0)
			continue;
		count = json_integer_value(json_object_get(json_object_get(item, "detail"), "count"));
		if (count <= most->count)
			continue;
		most->count = count;
		(void)text_copy(most->address, sizeof most->address, doctor_text(item, "target"));
	}
	json_decref(answer);
	return 0;
}

/* Intact, and does it tell of somebody whom the limits keep out? */
void
check_audit(struct doctor *d, struct finding *f)
{
	const int64_t per_min = d->settings.limits[LIMIT_AUTH_FAILURES].per_min[RATELIMIT_ADDRESS];
	struct failures most = {0};
	json_t *answer = NULL;
	struct err err = {0};
	int64_t rows = 0;
	int rc;

	if ((rc = rest_call(d->cli, "GET", "/v1/audit/verify", NULL, &answer, &err)) == 0) {
		rows = json_integer_value(json_object_get(answer, "rows"));
		rc = failures_find(d, rows, &most, &err);
	}
	json_decref(answer);
	if (rc == E_DENIED) {
		finding_set(f, VERDICT_NONE, "it needs an admin or an auditor of the whole installation");
	} else if (rc == E_BUSY) { /* what that comes of another check says */
		finding_set(f, VERDICT_NONE, "the service cannot look at it now: %.200s", err.text);
	} else if (rc != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "keep the database as it is for whoever investigates, and compare it with the last backup");
	} else if (d->settings_err.code == 0 && per_min > 0 && most.count >= per_min) {
		finding_set(f, VERDICT_WARN, "%s failed to authenticate %lld times in a minute, and is refused with 429 from the %lldth on",
		    most.address, (long long)most.count, (long long)per_min);
		finding_remedy(f, "correct the token there; who it is and when: muster --dir %s audit list", d->dir);
	} else if (most.idevid[0] != '\0') {
		finding_set(f, VERDICT_WARN, "%s was refused an enrolment by a manufacturer's certificate: %s", most.idevid, most.why);
		finding_remedy(f, "if it is one of yours: `muster trust list` shows whom the service trusts, `muster trust serials NAME` who is "
				  "expected");
	} else {
		finding_set(f, VERDICT_OK, "its %lld rows are as they were written", (long long)rows);
	}
}

/* Do devices hear that they are to make themselves new keys? */
void
check_rotation(struct doctor *d, struct finding *f)
{
	const json_t *connection;
	json_t *answer = NULL;
	struct err err = {0};

	if (rest_call(d->cli, "GET", "/v1/rotations", NULL, &answer, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		return;
	}
	connection = json_object_get(answer, "connection");
	if (strcmp(doctor_text(connection, "state"), "failed") == 0) {
		finding_set(f, VERDICT_WARN, "devices are not told to rekey since %s: %s", doctor_text(connection, "since"),
		    doctor_text(connection, "why"));
		finding_remedy(f, "see to it that the broker runs where Muster looks for it: broker.connect in %s/muster.conf, or, if that is "
		    "empty, broker.listen; then send the service SIGHUP", d->dir);
	} else if (strcmp(doctor_text(connection, "state"), "idle") == 0) {
		finding_set(f, VERDICT_OK, "no device is being told to rekey");
	} else {
		finding_set(f, VERDICT_OK, "devices are told to rekey: the connection to the broker is %s", doctor_text(connection, "state"));
	}
	json_decref(answer);
}
