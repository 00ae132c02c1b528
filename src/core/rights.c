/* Policies are few and devices many: for the ACL file each policy is parsed once. */
#include "core/rights.h"

#include "authz/aclfile.h"
#include "base/jsonparse.h"
#include "store/policy.h"
#include "store/service.h"
#include "store/store.h"
#include "store/tenant.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* One direction's templates or filters, parsed from the JSON array the store keeps. */
struct topics {
	json_t *array;
	const char *text[POLICY_TEMPLATES_MAX];
	size_t n;
};

static void
topics_clear(struct topics *t)
{
	json_decref(t->array);
	*t = (struct topics){0};
}

static int
topics_parse(const char *json, struct topics *t, struct err *err)
{
	json_error_t error;
	json_t *item;
	size_t i;

	t->array = jsonparse(json, strlen(json), &error);
	if (t->array == NULL && json_error_code(&error) == json_error_out_of_memory)
		return err_nomem(err);
	if (!json_is_array(t->array) || json_array_size(t->array) > POLICY_TEMPLATES_MAX)
		return err_set(err, E_SYS, "stored topics are no JSON array of at most %d",
		    POLICY_TEMPLATES_MAX);
	json_array_foreach(t->array, i, item) {
		if ((t->text[i] = json_string_value(item)) == NULL)
			return err_set(err, E_SYS, "a stored topic is no text");
		t->n++;
	}
	return 0;
}

int
rights_parse(const char *json, struct feed_topics *out, struct err *err)
{
	struct topics t = {0};
	size_t i;
	int rc;

	if ((rc = topics_parse(json, &t, err)) == 0)
		for (i = 0; i < t.n; i++)
			if (!text_copy(out->topic[i], sizeof out->topic[i], t.text[i]))
				rc = err_set(err, E_SYS, "a stored topic is too long");
	if (rc == 0)
		out->n = t.n;
	topics_clear(&t);
	return rc;
}

static int
array_append(json_t *array, struct buf *out, struct err *err)
{
	char *text = json_dumps(array, JSON_COMPACT);

	if (text == NULL)
		return err_nomem(err);
	buf_text(out, text);
	free(text);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
rights_to_json(const char *field, const char *const *topics, size_t n,
    int (*check)(const char *topic, struct err *err), struct buf *out, struct err *err)
{
	json_t *array;
	size_t i;
	int rc = 0;

	if (n > POLICY_TEMPLATES_MAX)
		return err_field(err, E_INPUT, field, "at most %d topics", POLICY_TEMPLATES_MAX);
	if ((array = json_array()) == NULL)
		return err_nomem(err);
	for (i = 0; rc == 0 && i < n; i++) {
		if ((rc = check(topics[i], err)) != 0)
			(void)snprintf(err->field, sizeof err->field, "%s[%zu]", field, i);
		else if (json_array_append_new(array, json_string(topics[i])) != 0)
			rc = err_nomem(err);
	}
	if (rc == 0)
		rc = array_append(array, out, err);
	json_decref(array);
	return rc;
}

/* Expanded filters of one direction, in storage of their own. */
struct expanded {
	char text[POLICY_TEMPLATES_MAX][POLICY_TOPIC_MAX + 1];
	const char *list[POLICY_TEMPLATES_MAX];
	size_t n;
};

static int
expand(const struct topics *topics, const struct policy_subject *subject, struct expanded *out,
    struct err *err)
{
	size_t i;
	int rc;

	out->n = 0;
	for (i = 0; i < topics->n; i++) {
		if ((rc = policy_expand(topics->text[i], subject, out->text[i], err)) != 0)
			return rc;
		out->list[out->n++] = out->text[i];
	}
	return 0;
}

static int
expanded_append(const struct expanded *e, struct buf *out, struct err *err)
{
	json_t *array = json_array();
	size_t i;
	int rc;

	for (i = 0; i < e->n; i++)
		(void)json_array_append_new(array, json_string(e->list[i]));
	rc = json_array_size(array) == e->n ? array_append(array, out, err) : err_nomem(err);
	json_decref(array);
	return rc;
}

int
rights_of_device(struct store_tx *tx, const struct store_device *device, struct buf *write,
    struct buf *read, struct err *err)
{
	char tenant[STORE_WORD_SIZE];
	struct policy_subject subject = {device->id, tenant, device->type};
	struct store_policy policy = {0};
	struct topics w = {0}, r = {0};
	struct expanded *e;
	int rc;

	if ((e = malloc(sizeof *e)) == NULL)
		return err_nomem(err);
	if ((rc = store_tenant_name(tx, device->tenant_id, tenant, err)) != 0)
		goto out;
	rc = store_policy_get(tx, device->tenant_id, device->policy, &policy, err);
	if (rc == E_NOTFOUND)
		rc = err_field(err, E_INPUT, "policy",
		    "there is no policy %s; `muster policy list` shows those there are", device->policy);
	if (rc != 0 || (rc = topics_parse(policy.write, &w, err)) != 0 ||
	    (rc = topics_parse(policy.read, &r, err)) != 0 ||
	    (rc = expand(&w, &subject, e, err)) != 0 || (rc = expanded_append(e, write, err)) != 0 ||
	    (rc = expand(&r, &subject, e, err)) != 0 || (rc = expanded_append(e, read, err)) != 0)
		goto out;
out:
	topics_clear(&w);
	topics_clear(&r);
	store_policy_clear(&policy);
	free(e);
	return rc;
}

/* Is TOPIC below the level or levels ABOVE? */
static bool
is_below(const char *topic, const char *above)
{
	size_t len = strlen(above);

	return strncmp(topic, above, len) == 0 && topic[len] == '/';
}

/* Is FILTER, of a service of the tenant's, below devices/ of its own devices? */
static int
is_of_own_devices(struct store_tx *tx, int64_t tenant_id, const char *filter, bool *is_out, struct err *err)
{
	struct store_device device = {0};
	char id[UUID_LEN + 1];
	struct err e = {0};
	int rc;

	*is_out = false;
	if (policy_is_of_own_devices(filter)) {
		*is_out = tenant_id != STORE_TENANT_DEFAULT;
		return 0;
	}
	if (!policy_device_of(filter, id) || strchr(filter + strlen("devices/"), '/') == NULL)
		return 0;
	if ((rc = store_device_get(tx, tenant_id, id, &device, &e)) == 0)
		*is_out = true;
	else if (rc != E_NOTFOUND)
		*err = e;
	store_device_clear(&device);
	return rc == E_NOTFOUND ? 0 : rc;
}

int
rights_own_check(struct store_tx *tx, const struct caller *caller, const char *field, const char *const *topics, size_t n,
    bool is_template, struct err *err)
{
	char tenant[STORE_WORD_SIZE], at[ERR_FIELD_MAX];
	bool is_own;
	size_t i;
	int rc;

	if (!caller->is_bound && caller->tenant_id == STORE_TENANT_DEFAULT)
		return 0;
	if ((rc = store_tenant_name(tx, caller->tenant_id, tenant, err)) != 0)
		return rc;
	for (i = 0; i < n; i++) {
		is_own = is_below(topics[i], tenant) ||
		    (is_template && (is_below(topics[i], "{tenant}") || is_below(topics[i], "devices/{id}")));
		if (!is_own && !is_template && (rc = is_of_own_devices(tx, caller->tenant_id, topics[i], &is_own, err)) != 0)
			return rc;
		(void)snprintf(at, sizeof at, "%s[%zu]", field, i);
		/* An ACL file names each device. */
		if (is_own && policy_is_of_own_devices(topics[i]) && strlen(topics[i]) + UUID_LEN - 1 > POLICY_TOPIC_MAX)
			return err_field(err, E_INPUT, at, "with an id in it this topic has more than %d bytes", POLICY_TOPIC_MAX);
		if (is_own)
			continue;
		return err_field(err, E_DENIED, at, "is not the tenant's own: it must begin with %s/ or %s", tenant,
		    is_template				       ? "devices/{id}/" :
			caller->tenant_id == STORE_TENANT_DEFAULT ? "devices/ and the id of one of its devices" :
								    "devices/+/, which is its devices alone");
	}
	return 0;
}

/* A parsed policy, found by tenant and name. */
struct compiled {
	char key[STORE_WORD_SIZE + 24];
	char tenant[STORE_WORD_SIZE];
	struct topics write, read;
	UT_hash_handle hh;
};

/* An active device of another tenant than `default`. */
struct own_device {
	int64_t tenant_id;
	char id[UUID_LEN + 1];
};

struct acl_build {
	struct store_tx *tx;
	struct compiled *policies;
	struct expanded write, read;
	struct own_device *devices;
	size_t n_devices;
	struct buf *out;
};

static int
own_device_keep(struct acl_build *b, const struct store_device *row, struct err *err)
{
	struct own_device *bigger = b->devices;
	size_t n = b->n_devices;

	if (row->tenant_id == STORE_TENANT_DEFAULT)
		return 0;
	if ((n & (n - 1)) == 0 && (bigger = reallocarray(bigger, n == 0 ? 1 : 2 * n, sizeof *bigger)) == NULL)
		return err_nomem(err);
	b->devices = bigger;
	b->devices[n].tenant_id = row->tenant_id;
	memcpy(b->devices[n].id, row->id, sizeof row->id);
	b->n_devices++;
	return 0;
}

static void
compiled_free(struct compiled *c)
{
	topics_clear(&c->write);
	topics_clear(&c->read);
	free(c);
}

static void
compiled_key(char *key, size_t size, int64_t tenant_id, const char *name)
{
	(void)snprintf(key, size, "%lld/%s", (long long)tenant_id, name);
}

static int
add_policy(void *ctx, const struct store_policy *row, struct err *err)
{
	struct acl_build *b = ctx;
	struct compiled *c = calloc(1, sizeof *c);
	int rc;

	if (c == NULL)
		return err_nomem(err);
	compiled_key(c->key, sizeof c->key, row->tenant_id, row->name);
	if ((rc = store_tenant_name(b->tx, row->tenant_id, c->tenant, err)) != 0 ||
	    (rc = topics_parse(row->write, &c->write, err)) != 0 ||
	    (rc = topics_parse(row->read, &c->read, err)) != 0) {
		compiled_free(c);
		return rc;
	}
	HASH_ADD_STR(b->policies, key, c);
	if (c->hh.tbl == NULL) {
		compiled_free(c);
		return err_nomem(err);
	}
	return 0;
}

static int
add_device(void *ctx, const struct store_device *row, struct err *err)
{
	char key[STORE_WORD_SIZE + 24];
	struct acl_build *b = ctx;
	struct compiled *policy = NULL;
	struct policy_subject subject = {.id = row->id, .type = row->type};
	int rc;

	if ((rc = own_device_keep(b, row, err)) != 0)
		return rc;
	compiled_key(key, sizeof key, row->tenant_id, row->policy);
	HASH_FIND_STR(b->policies, key, policy);
	if (policy == NULL) /* no policy, no rights */
		return 0;
	subject.tenant = policy->tenant;
	if ((rc = expand(&policy->write, &subject, &b->write, err)) != 0 ||
	    (rc = expand(&policy->read, &subject, &b->read, err)) != 0)
		return rc;
	return aclfile_user(
	    b->out, row->id, b->write.list, b->write.n, b->read.list, b->read.n, err);
}

/* Move the filters that stand for a tenant's own devices behind the others, of which it returns the number. */
static size_t
topics_part(struct topics *t)
{
	const char *own[POLICY_TEMPLATES_MAX];
	size_t n = 0, n_own = 0, i;

	for (i = 0; i < t->n; i++) {
		if (policy_is_of_own_devices(t->text[i]))
			own[n_own++] = t->text[i];
		else
			t->text[n++] = t->text[i];
	}
	memcpy(t->text + n, own, n_own * sizeof *own);
	return n;
}

/* FILTERS, each devices/+/…, for each device of the tenant: the broker cannot be told whose a device is. */
static int
add_own_devices(struct acl_build *b, int64_t tenant_id, const char *access, const char *const *filters, size_t n, struct err *err)
{
	char filter[POLICY_TOPIC_MAX + 1];
	size_t i, k;
	int rc;

	for (k = 0; k < b->n_devices; k++) {
		if (b->devices[k].tenant_id != tenant_id)
			continue;
		for (i = 0; i < n; i++) {
			(void)snprintf(filter, sizeof filter, "devices/%s%s", b->devices[k].id, strchr(filters[i], '+') + 1);
			if ((rc = aclfile_topic(b->out, access, filter, err)) != 0)
				return rc;
		}
	}
	return 0;
}

static int
add_service(void *ctx, const struct store_service *row, struct err *err)
{
	struct acl_build *b = ctx;
	struct topics w = {0}, r = {0};
	size_t n_w, n_r;
	int rc;

	if ((rc = topics_parse(row->write, &w, err)) != 0 || (rc = topics_parse(row->read, &r, err)) != 0)
		goto out;
	n_w = row->tenant_id == STORE_TENANT_DEFAULT ? w.n : topics_part(&w);
	n_r = row->tenant_id == STORE_TENANT_DEFAULT ? r.n : topics_part(&r);
	if ((rc = aclfile_user(b->out, row->id, w.text, n_w, r.text, n_r, err)) == 0 &&
	    (rc = add_own_devices(b, row->tenant_id, "write", w.text + n_w, w.n - n_w, err)) == 0)
		rc = add_own_devices(b, row->tenant_id, "read", r.text + n_r, r.n - n_r, err);
out:
	topics_clear(&w);
	topics_clear(&r);
	return rc;
}

int
rights_acl_build(struct core *core, struct buf *acl_out, struct err *err)
{
	struct acl_build *b = calloc(1, sizeof *b);
	struct compiled *c, *next;
	int rc;

	if (b == NULL)
		return err_nomem(err);
	b->out = acl_out;
	if ((rc = store_read(core->store, &b->tx, err)) != 0)
		goto out;
	aclfile_begin(acl_out);
	if ((rc = store_policy_each(b->tx, 0, add_policy, b, err)) == 0 &&
	    (rc = store_device_each(b->tx, DEVICE_ACTIVE, add_device, b, err)) == 0 &&
	    (rc = store_service_each(b->tx, add_service, b, err)) == 0) {
		aclfile_end(acl_out);
		rc = buf_failed(acl_out) ? err_nomem(err) :
					   aclfile_check(buf_str(acl_out), acl_out->len, err);
	}
out:
	store_rollback(&b->tx);
	HASH_ITER(hh, b->policies, c, next) {
		HASH_DEL(b->policies, c);
		compiled_free(c);
	}
	free(b->devices);
	free(b);
	return rc;
}
