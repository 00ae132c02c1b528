/* Checks of what the API itself tells: is it ready, and what would it refuse. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "cmd/rest.h"

#include <string.h>

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
		finding_remedy(f, "a new issuing CA is needed");
	} else if (d->settings_err.code == 0 && d->settings.register_per_min > 0) {
		finding_set(f, VERDICT_OK, "%zu profiles, certificates until %s at most, %lld registrations a minute and caller",
		    profiles, text, (long long)d->settings.register_per_min);
	} else {
		finding_set(f, VERDICT_OK, "%zu profiles, certificates until %s at most", profiles, text);
	}
}
