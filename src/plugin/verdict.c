/* Every decision ends in a yes that was found, or in no. */
#include "plugin/verdict.h"

#include "authz/policy.h"

#include <string.h>

#define SUFFIX_MAX 64 /* bytes of a client id behind ID/ */
#define SHARE "$share/"

static const char *const texts[VERDICTS] = {
    [VERDICT_ALLOWED] = "allowed",
    [VERDICT_NO_TABLE] = "no snapshot from the service yet",
    [VERDICT_STALE] = "the service has not been heard for longer than max_stale",
    [VERDICT_NO_ID] = "no certificate of a device or service",
    [VERDICT_UNKNOWN] = "not an active device or service",
    [VERDICT_CERTIFICATE] = "its certificate is not a current one",
    [VERDICT_EXPIRED] = "its certificate has expired",
    [VERDICT_CLIENT_ID] = "its client id must be its id",
    [VERDICT_SESSIONS] = "it has as many sessions as its policy allows",
    [VERDICT_FAILED] = "out of memory",
};

const char *
verdict_text(enum verdict verdict)
{
	return texts[verdict];
}

bool
verdict_is_of_policy(enum verdict verdict)
{
	return verdict == VERDICT_CLIENT_ID || verdict == VERDICT_SESSIONS;
}

/* ID, or where there may be several ID/SUFFIX. */
static bool
client_id_is_allowed(const char *client_id, const uint8_t *id, const struct table_policy *policy)
{
	char text[UUID_LEN + 1];
	const char *suffix = client_id + UUID_LEN;
	size_t len;

	uuid_format(text, id);
	if (strncmp(client_id, text, UUID_LEN) != 0)
		return false;
	if (*suffix == '\0')
		return true;
	len = strlen(suffix);
	return policy != NULL && policy->sessions > 1 && *suffix == '/' && len > 1 &&
	       len <= 1 + SUFFIX_MAX && text_is_printable(suffix, len);
}

static enum verdict
check(const struct table *t, const uint8_t *id, const uint8_t *sha256, const char *client_id,
    int64_t *not_after_out, int64_t *sessions_out)
{
	const struct table_owner *owner;
	const struct table_policy *policy;

	if (t == NULL)
		return VERDICT_NO_TABLE;
	if ((owner = table_find(t, id)) == NULL)
		return VERDICT_UNKNOWN;
	if ((*not_after_out = table_not_after(owner, sha256)) == 0)
		return VERDICT_CERTIFICATE;
	policy = table_policy(t, owner);
	if (!client_id_is_allowed(client_id, id, policy))
		return VERDICT_CLIENT_ID;
	*sessions_out = policy == NULL ? 1 : policy->sessions;
	return VERDICT_ALLOWED;
}

enum verdict
verdict_connect(const struct table *t, const uint8_t id[UUID_BYTES],
    const uint8_t sha256[SHA256_LEN], const char *client_id, int64_t now, int64_t *not_after_out,
    int64_t *sessions_out)
{
	int64_t not_after, sessions;
	enum verdict verdict = check(t, id, sha256, client_id, &not_after, &sessions);

	if (verdict != VERDICT_ALLOWED)
		return verdict;
	if (not_after <= now)
		return VERDICT_EXPIRED;
	*not_after_out = not_after;
	*sessions_out = sessions;
	return VERDICT_ALLOWED;
}

enum verdict
verdict_session(const struct table *t, const uint8_t id[UUID_BYTES],
    const uint8_t sha256[SHA256_LEN], const char *client_id, int64_t *sessions_out)
{
	int64_t not_after;

	return check(t, id, sha256, client_id, &not_after, sessions_out);
}

/* The filter in `$share/GROUP/FILTER`, FILTER itself if it is not shared, NULL if it is malformed
 * (MQTT 5.0, section 4.8.2). */
static const char *
unshared(const char *filter)
{
	size_t group;

	if (strncmp(filter, SHARE, strlen(SHARE)) != 0)
		return filter;
	filter += strlen(SHARE);
	group = strcspn(filter, "/+#");
	return group > 0 && filter[group] == '/' && filter[group + 1] != '\0' ? filter + group + 1
									      : NULL;
}

static bool
grants(const struct table_topic *granted, const struct policy_subject *subject,
    enum verdict_access access, const char *topic)
{
	char filter[POLICY_TOPIC_MAX + 1];

	/* Most topics that do not match end here. A `#` also matches the level above it, without
	 * the slash before it. */
	if (granted->literal > 0 && strncmp(granted->text, topic, granted->literal - 1u) != 0)
		return false;
	if (access != VERDICT_SUBSCRIBE)
		return policy_template_matches(granted->text, subject, topic);
	return policy_expand(granted->text, subject, filter, NULL) == 0 &&
	       policy_filter_covers(filter, topic);
}

/* Where GRANTED is devices/+/… in a tenant: is TOPIC one of that tenant's devices? A subscription may leave it open: each message
 * is looked at again. */
static bool
is_within_tenant(const struct table *t, const struct table_topic *granted, const char *tenant, enum verdict_access access,
    const char *topic)
{
	const struct table_owner *device;
	char text[UUID_LEN + 1];
	uint8_t id[UUID_BYTES];

	if (!policy_is_of_own_devices(granted->text) || strcmp(tenant, POLICY_TENANT_DEFAULT) == 0)
		return true;
	if (access == VERDICT_SUBSCRIBE && policy_is_of_own_devices(topic))
		return true;
	return policy_device_of(topic, text) && uuid_parse(id, text) && (device = table_find(t, id)) != NULL &&
	       strcmp(table_tenant(t, device), tenant) == 0;
}

bool
verdict_topic(
    const struct table *t, const char *user, enum verdict_access access, const char *topic)
{
	const struct table_owner *owner;
	const struct table_policy *policy;
	struct policy_subject subject;
	uint8_t id[UUID_BYTES];
	size_t i, end;

	if (t == NULL || user == NULL || topic == NULL || !uuid_parse(id, user) ||
	    (owner = table_find(t, id)) == NULL)
		return false;
	if (access == VERDICT_UNSUBSCRIBE) /* takes nothing from anybody, also where the policy is
					      another by now */
		return true;
	if ((policy = table_policy(t, owner)) == NULL ||
	    (access == VERDICT_SUBSCRIBE && (topic = unshared(topic)) == NULL))
		return false;
	subject = (struct policy_subject){
	    .id = user, .tenant = policy->tenant, .type = table_type(t, owner)};
	i = access == VERDICT_WRITE ? 0 : policy->n_write;
	end = access == VERDICT_WRITE ? policy->n_write : policy->n_write + policy->n_read;
	for (; i < end; i++)
		if (grants(&policy->topics[i], &subject, access, topic) &&
		    is_within_tenant(t, &policy->topics[i], policy->tenant, access, topic))
			return true;
	return false;
}
