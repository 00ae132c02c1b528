/* The feed as brokers get it: snapshot, changes, what needs a new snapshot, and that nothing is missing. */
#include "core_fixture.h"

#include "authz/feed.h"
#include "core/feed.h"
#include "core/policies.h"
#include "core/service.h"
#include "store/change.h"

/* Lines of an answer or a snapshot, read. */
struct lines {
	struct buf text;
	struct feed_line *line;
	size_t n;
};

static void
lines_read(struct lines *l)
{
	const char *at = buf_str(&l->text), *end;
	struct err err = {0};

	for (; (end = strchr(at, '\n')) != NULL; at = end + 1)
		l->n++;
	l->line = calloc(l->n, sizeof *l->line);
	at = buf_str(&l->text);
	for (l->n = 0; (end = strchr(at, '\n')) != NULL; at = end + 1)
		assert_ok(feed_line_decode(at, (size_t)(end - at), &l->line[l->n++], &err));
	assert_string_equal(at, "");
	assert_true(l->n >= 2);
	assert_int_equal(l->line[l->n - 1].kind, FEED_END);
	assert_int_equal(l->line[l->n - 1].count, l->n - 2);
}

static void
lines_clear(struct lines *l)
{
	buf_clear(&l->text);
	free(l->line);
	*l = (struct lines){0};
}

static void
snapshot(struct fixture *f, struct lines *l)
{
	struct feed_snapshot *s = NULL;
	struct err err = {0};
	bool end = false;

	assert_ok(feed_snapshot_open(f->core, &s, &err));
	while (!end)
		assert_ok(feed_snapshot_next(f->core, s, &l->text, &end, &err));
	feed_snapshot_close(s);
	lines_read(l);
	assert_int_equal(l->line[0].kind, FEED_SNAPSHOT);
}

static void
changes(struct fixture *f, const struct lines *from, int64_t after, struct lines *l)
{
	bool news = false;
	struct err err = {0};

	assert_ok(feed_changes(f->core, from->line[0].epoch, after, &l->text, &news, &err));
	lines_read(l);
	assert_int_equal(l->line[0].kind, FEED_CHANGES);
	assert_int_equal(l->line[0].after, after);
	assert_int_equal(news, l->n > 2);
}

/* The line of ID, a device's or service's, or the policy's name. */
static const struct feed_line *
find(const struct lines *l, const char *id)
{
	const struct feed_line *found = NULL;
	size_t i;

	for (i = 1; i + 1 < l->n; i++)
		if (strcmp(l->line[i].kind == FEED_POLICY ? l->line[i].name : l->line[i].id, id) == 0)
			found = &l->line[i];
	return found;
}

static void
test_snapshot_and_changes(void **state)
{
	struct fixture *f = *state;
	struct store_device device, other, now = {0};
	struct credential credential, others;
	struct lines all = {0}, news = {0};
	const struct feed_line *line;
	struct err err = {0};

	fixture_register(f, "one", &device, &credential);
	fixture_register(f, "two", &other, &others);
	assert_ok(device_suspend(f->core, &f->caller, other.id, &now, &err));
	store_device_clear(&now);
	snapshot(f, &all);
	assert_int_equal(all.line[0].seq, 3);
	assert_int_equal(all.n, 4); /* the built-in policy, and the active one */
	line = find(&all, device.id);
	assert_non_null(line);
	assert_int_equal(line->seq, 0);
	assert_string_equal(line->tenant, "default");
	assert_string_equal(line->type, "pump");
	assert_int_equal(line->n_fps, 1);
	assert_memory_equal(line->fps[0].sha256, credential.certificate.fingerprint, SHA256_LEN);
	assert_int_equal(line->fps[0].not_after, credential.certificate.not_after);
	line = find(&all, "default");
	assert_int_equal(line->write.n, 2);
	assert_string_equal(line->write.topic[0], "devices/{id}/telemetry");

	changes(f, &all, 3, &news);
	assert_int_equal(news.n, 2);
	assert_int_equal(news.line[0].seq, 3);
	lines_clear(&news);
	changes(f, &all, 0, &news);
	assert_int_equal(news.n, 5);
	assert_int_equal(news.line[0].seq, 3);
	assert_int_equal(news.line[2].seq, 2);
	line = find(&news, other.id);
	assert_int_equal(line->status, FEED_SUSPENDED);
	assert_int_equal(line->n_fps, 0);
	lines_clear(&news);

	assert_ok(device_resume(f->core, &f->caller, other.id, &now, &err));
	store_device_clear(&now);
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &now, &err));
	store_device_clear(&now);
	changes(f, &all, 3, &news);
	assert_int_equal(news.n, 4);
	assert_int_equal(find(&news, other.id)->n_fps, 1);
	assert_int_equal(find(&news, device.id)->status, FEED_REVOKED);
	lines_clear(&news);
	lines_clear(&all);
	store_device_clear(&device);
	store_device_clear(&other);
	credential_clear(&credential);
	credential_clear(&others);
}

/* A re-issued device's old certificate is not told any more; nor is one that has expired. */
static void
test_certificates_that_may_connect(void **state)
{
	struct fixture *f = *state;
	struct credential_request request = {.key = "ec-p256"};
	struct store_device device, now = {0};
	struct credential credential, second = {0};
	struct lines all = {0};
	const struct feed_line *line;
	struct err err = {0};

	fixture_register(f, "one", &device, &credential);
	assert_ok(device_reissue(f->core, &f->caller, device.id, &request, &now, &second, &err));
	snapshot(f, &all);
	line = find(&all, device.id);
	assert_int_equal(line->n_fps, 1);
	assert_memory_equal(line->fps[0].sha256, second.certificate.fingerprint, SHA256_LEN);
	lines_clear(&all);
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&credential);
	credential_clear(&second);
}

/* Each operation that alters what a broker must know is told, in the transaction that does it. */
static void
test_every_operation_is_told(void **state)
{
	static const char *const topics[] = {"plant/#"}, *const templates[] = {"plant/{id}"};
	struct fixture *f = *state;
	struct service_request request = {
	    .name = "backend", .read = topics, .n_read = 1, .credential = {.key = "ec-p256"}};
	struct policies_request policy = {.write = templates, .n_write = 1};
	struct credential_request again = {.key = "ec-p256"};
	struct store_service service = {0}, later = {0};
	struct store_policy row = {0};
	struct credential credential = {0}, second = {0};
	struct lines all = {0}, news = {0};
	const struct feed_line *line;
	struct err err = {0};

	snapshot(f, &all);
	assert_ok(service_add(f->core, &f->caller, &request, &service, &credential, &err));
	assert_ok(policies_set(f->core, &f->caller, "plant", &policy, &row, &err));
	changes(f, &all, 0, &news);
	assert_int_equal(news.n, 4);
	line = find(&news, service.id);
	assert_int_equal(line->kind, FEED_SERVICE);
	assert_int_equal(line->n_fps, 1);
	assert_string_equal(line->read.topic[0], "plant/#");
	assert_string_equal(find(&news, "plant")->write.topic[0], "plant/{id}");
	lines_clear(&news);

	assert_ok(service_reissue(f->core, &f->caller, "backend", &again, &later, &second, &err));
	store_service_clear(&later);
	changes(f, &all, 2, &news);
	assert_memory_equal(find(&news, service.id)->fps[0].sha256, second.certificate.fingerprint, SHA256_LEN);
	lines_clear(&news);

	assert_ok(service_revoke(f->core, &f->caller, "backend", REASON_UNSPECIFIED, &later, &err));
	assert_ok(policies_remove(f->core, &f->caller, "plant", &err));
	changes(f, &all, 3, &news);
	assert_int_equal(find(&news, service.id)->status, FEED_REVOKED);
	assert_true(find(&news, "plant")->removed);
	assert_int_equal(find(&news, "plant")->seq, 5);
	lines_clear(&news);
	lines_clear(&all);
	snapshot(f, &all);
	assert_null(find(&all, "plant"));
	assert_null(find(&all, service.id));
	lines_clear(&all);
	store_policy_clear(&row);
	store_service_clear(&later);
	store_service_clear(&service);
	credential_clear(&credential);
	credential_clear(&second);
}

static void
append(struct fixture *f, size_t n, int64_t at)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;

	assert_ok(store_begin(f->core->store, &tx, &err));
	while (n-- > 0)
		assert_ok(store_change_append(tx, 1, "policy", "default", at, &seq, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_needs_a_snapshot(void **state)
{
	struct fixture *f = *state;
	struct lines all = {0};
	struct buf out = {0};
	struct err err = {0};
	bool news;

	append(f, 8, f->core->now() - 100);
	snapshot(f, &all);
	assert_int_equal(feed_changes(f->core, "00000000000000000000000000000000", 0, &out, &news, &err), E_STALE);
	assert_int_equal(feed_changes(f->core, "", 0, &out, &news, &err), E_STALE);
	assert_int_equal(feed_changes(f->core, all.line[0].epoch, 9, &out, &news, &err), E_STALE);
	assert_int_equal(feed_changes(f->core, all.line[0].epoch, INT64_MAX, &out, &news, &err), E_STALE);
	fixture_config(f->core)->settings.feed_keep_s = 50;
	fixture_config(f->core)->settings.feed_keep_changes = 3;
	assert_ok(feed_prune(f->core, &err));
	assert_int_equal(feed_changes(f->core, all.line[0].epoch, 4, &out, &news, &err), E_STALE);
	assert_int_equal(out.len, 0);
	assert_ok(feed_changes(f->core, all.line[0].epoch, 5, &out, &news, &err));
	assert_true(news);
	buf_clear(&out);
	lines_clear(&all);
}

/* An answer ends at its maximum, and the next begins where it ended. */
static void
test_long_answers_come_in_parts(void **state)
{
	struct fixture *f = *state;
	struct lines all = {0}, news = {0};
	int64_t after = 0;

	snapshot(f, &all);
	append(f, FEED_ANSWER_LINES + 300, f->core->now());
	changes(f, &all, 0, &news);
	after = news.line[0].seq;
	assert_int_equal(after, news.n - 2);
	assert_in_range(news.text.len, FEED_ANSWER_BYTES, FEED_ANSWER_BYTES + FEED_LINE_MAX);
	while (news.n > 2) {
		assert_int_equal(news.line[1].seq, news.line[0].after + 1);
		after = news.line[0].seq;
		lines_clear(&news);
		changes(f, &all, after, &news);
	}
	assert_int_equal(after, FEED_ANSWER_LINES + 300);
	lines_clear(&news);
	lines_clear(&all);
}

/* A snapshot that is overtaken converges with the changes behind its number. */
static void
test_changes_while_a_snapshot_is_read(void **state)
{
	struct fixture *f = *state;
	struct store_device device, now = {0};
	struct credential credential;
	struct feed_snapshot *s = NULL;
	struct lines all = {0}, news = {0};
	struct err err = {0};
	bool end = false;

	fixture_register(f, "one", &device, &credential);
	assert_ok(feed_snapshot_open(f->core, &s, &err));
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_UNSPECIFIED, &now, &err));
	while (!end)
		assert_ok(feed_snapshot_next(f->core, s, &all.text, &end, &err));
	feed_snapshot_close(s);
	lines_read(&all);
	assert_int_equal(all.line[0].seq, 1);
	assert_null(find(&all, device.id));
	changes(f, &all, 1, &news);
	assert_int_equal(find(&news, device.id)->status, FEED_REVOKED);
	lines_clear(&news);
	lines_clear(&all);
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
news(void *ctx)
{
	++*(int *)ctx;
}

static void
test_watching(void **state)
{
	struct fixture *f = *state;
	uint64_t before = feed_generation(f->core);
	int n = 0;

	feed_watch(f->core, news, &n);
	append(f, 1, 5);
	assert_int_equal(n, 1);
	assert_int_equal(feed_generation(f->core), before + 1);
	feed_wake(f->core);
	assert_int_equal(n, 2);
	feed_watch(f->core, NULL, NULL);
	append(f, 1, 5);
	assert_int_equal(n, 2);
}

/* The epoch stays over a restart, and a new one is another. */
static void
test_epoch(void **state)
{
	struct fixture *f = *state;
	struct lines first = {0}, second = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	snapshot(f, &first);
	fixture_core_close(f);
	fixture_core_open(f);
	snapshot(f, &second);
	assert_string_equal(first.line[0].epoch, second.line[0].epoch);
	lines_clear(&second);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(feed_epoch_renew(tx, &err));
	assert_ok(store_commit(&tx, &err));
	fixture_core_close(f);
	fixture_core_open(f);
	snapshot(f, &second);
	assert_string_not_equal(first.line[0].epoch, second.line[0].epoch);
	lines_clear(&first);
	lines_clear(&second);
}

/* What has a change and is not there may do nothing, and holds up nobody. */
static void
test_unknown_object(void **state)
{
	static const char id[] = "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60";
	struct fixture *f = *state;
	struct lines all = {0}, changed = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;

	snapshot(f, &all);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_change_append(tx, 1, "device", id, 5, &seq, &err));
	assert_ok(store_change_append(tx, 1, "service", id, 5, &seq, &err));
	assert_ok(store_commit(&tx, &err));
	changes(f, &all, 0, &changed);
	assert_int_equal(changed.n, 4);
	assert_int_equal(changed.line[1].status, FEED_ARCHIVED);
	assert_int_equal(changed.line[2].status, FEED_ARCHIVED);
	lines_clear(&changed);
	lines_clear(&all);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_snapshot_and_changes),
	    case_of(test_certificates_that_may_connect),
	    case_of(test_every_operation_is_told),
	    case_of(test_needs_a_snapshot),
	    case_of(test_long_answers_come_in_parts),
	    case_of(test_changes_while_a_snapshot_is_read),
	    case_of(test_watching),
	    case_of(test_epoch),
	    case_of(test_unknown_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
