/* Tables `device` and `device_archive`: rows, pages, filters, and the plans behind them. */
#include "store_fixture.h"

#include "store/db.h"
#include "store/tx.h"

#include <stdbool.h>

#define OTHER_TENANT 2

static void
insert(struct fixture *f, const struct store_device *d)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, d, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_row_round_trip(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "Pumpe \xc3\x84-1"), got = {0};
	char labels[] = "{\"site\":\"north\"}";
	struct store_tx *tx = NULL;
	struct err err = {0};

	d.labels = labels;
	(void)snprintf(d.location, sizeof d.location, "hall 3");
	insert(f, &d);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_device_insert(tx, &d, &err), E_CONFLICT);
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, d.id, &got, &err));
	assert_string_equal(got.id, d.id);
	assert_string_equal(got.name, d.name);
	assert_string_equal(got.type, "sensor");
	assert_string_equal(got.location, "hall 3");
	assert_string_equal(got.labels, d.labels);
	assert_string_equal(got.policy, "builtin");
	assert_int_equal(got.status, DEVICE_ACTIVE);
	assert_int_equal(got.created_at, 1000);
	store_device_clear(&got);

	d.labels = NULL;
	d.status = DEVICE_REVOKED;
	d.updated_at = 2000;
	(void)snprintf(d.name, sizeof d.name, "new");
	assert_ok(store_device_update(tx, &d, &err));
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, d.id, &got, &err));
	assert_null(got.labels);
	assert_string_equal(got.name, "new");
	assert_int_equal(got.status, DEVICE_REVOKED);
	assert_int_equal(got.updated_at, 2000);
	store_device_clear(&got);
	assert_ok(store_commit(&tx, &err));
}

/* B9, H2 */
static void
test_another_tenants_device_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "same"), got = {0}, rows[10];
	struct store_device_filter filter = {.tenant_id = OTHER_TENANT, .status = -1, .limit = 10};
	char next[STORE_CURSOR_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n = 99;

	fixture_tamper(f, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)");
	insert(f, &d);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_device_get(tx, OTHER_TENANT, d.id, &got, &err), E_NOTFOUND);
	d.tenant_id = OTHER_TENANT;
	assert_int_equal(store_device_update(tx, &d, &err), E_NOTFOUND);
	assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
	assert_int_equal(n, 0);
	filter.search = "00000001";
	assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
	assert_int_equal(n, 0);
	filter.search = "same";
	assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
	assert_int_equal(n, 0);
	/* An unknown tenant owns nothing. */
	d = fixture_device(2, "x");
	d.tenant_id = 77;
	assert_int_equal(store_device_insert(tx, &d, &err), E_SYS);
	store_rollback(&tx);
}

/* All pages of LIMIT; the ids' leading numbers, in order, and the number of pages. */
static size_t
walk(struct fixture *f, struct store_device_filter filter, size_t limit, unsigned *ids, size_t max,
    unsigned *pages_out)
{
	struct store_device rows[64];
	char next[STORE_CURSOR_SIZE] = "";
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t i, n, total = 0;

	*pages_out = 0;
	filter.limit = limit;
	assert_ok(store_read(f->store, &tx, &err));
	do {
		char after[STORE_CURSOR_SIZE];

		memcpy(after, next, sizeof after);
		filter.after = after[0] == '\0' ? NULL : after;
		assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
		assert_true(n <= limit);
		for (i = 0; i < n; i++) {
			assert_true(total < max);
			ids[total++] = (unsigned)strtoul(rows[i].id, NULL, 16);
			store_device_clear(&rows[i]);
		}
		(*pages_out)++;
		/* A page that is followed by another is full. */
		assert_true(next[0] == '\0' || n == limit);
	} while (next[0] != '\0');
	store_rollback(&tx);
	return total;
}

#define ALL {.tenant_id = STORE_TENANT_DEFAULT, .status = -1}

static void
test_pages_in_order(void **state)
{
	/* Upper and lower case sort together; equal names by id. */
	static const char *const names[] = {"b", "A", "c", "a", "B", "\xc3\xa9", "a", "_", "aa", ""};
	static const unsigned want[] = {9, 7, 1, 3, 6, 8, 0, 4, 2, 5};
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	unsigned ids[16], pages;
	size_t i, limit;

	for (i = 0; i < 10; i++) {
		struct store_device d = fixture_device((unsigned)i, names[i]);

		insert(f, &d);
	}
	for (limit = 1; limit <= 11; limit++) {
		assert_int_equal(walk(f, filter, limit, ids, 16, &pages), 10);
		assert_int_equal(pages, (10 + limit - 1) / limit);
		for (i = 0; i < 10; i++)
			assert_int_equal(ids[i], want[i]);
	}
}

static void
test_search_by_name_then_id(void **state)
{
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	static const struct {
		unsigned id;
		const char *name;
	} devices[] = {
	    {0xab000001, "zz"}, {0xab000002, "ABba"}, {0x11000000, "abacus"}, {0x12000000, "ab"},
	    {0xab000003, "aa"}, {0xac000000, "a"}, {0x13000000, "ac"}, {0xaa000000, "x"},
	    {0x14000000, "ab\xf4\x8f\xbf\xbd"},
	};
	static const unsigned want[] = {
	    0x12000000, 0x11000000, 0xab000002, 0x14000000, 0xab000001, 0xab000003};
	static const char *const patterns[] = {"%", "a%", "_b", "ab%", "' OR 1=1 --", "ab\\", "*"};
	unsigned ids[16], pages;
	size_t i, limit;

	for (i = 0; i < sizeof devices / sizeof devices[0]; i++) {
		struct store_device d = fixture_device(devices[i].id, devices[i].name);

		if (i == 4)
			d.status = DEVICE_REVOKED;
		insert(f, &d);
	}
	filter.search = "aB";
	for (limit = 1; limit <= 8; limit++) {
		assert_int_equal(walk(f, filter, limit, ids, 16, &pages), 6);
		for (i = 0; i < 6; i++)
			assert_int_equal(ids[i], want[i]);
	}
	filter.status = DEVICE_ACTIVE;
	assert_int_equal(walk(f, filter, 2, ids, 16, &pages), 5);
	filter.status = DEVICE_REVOKED;
	assert_int_equal(walk(f, filter, 2, ids, 16, &pages), 1);
	assert_int_equal(ids[0], 0xab000003);
	filter.status = -1;
	filter.search = "AB000002-0000-4";
	assert_int_equal(walk(f, filter, 2, ids, 16, &pages), 1);
	filter.search = "";
	assert_int_equal(walk(f, filter, 2, ids, 16, &pages), 9);
	/* B8 */
	for (i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		filter.search = patterns[i];
		assert_int_equal(walk(f, filter, 2, ids, 16, &pages), 0);
	}
}

static void
test_filters(void **state)
{
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	unsigned ids[64], pages, i;

	for (i = 0; i < 48; i++) {
		struct store_device d = fixture_device(i, i % 2 == 0 ? "even" : "odd");

		d.status = (enum device_status)(i % DEVICE_STATUSES);
		(void)snprintf(d.type, sizeof d.type, "t%u", i % 3);
		(void)snprintf(d.location, sizeof d.location, "%s", i % 4 == 0 ? "" : "here");
		(void)snprintf(d.policy, sizeof d.policy, "p%u", i % 6);
		insert(f, &d);
	}
	filter.status = DEVICE_SUSPENDED;
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 10);
	filter.status = -1;
	filter.type = "t1";
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 16);
	filter.location = "";
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 4);
	for (i = 0; i < 4; i++)
		assert_true(ids[i] % 4 == 0 && ids[i] % 3 == 1);
	filter.type = NULL;
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 12);
	filter.location = NULL;
	filter.policy = "p5";
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 8);
	filter.search = "odd";
	filter.type = "t2";
	filter.location = "here";
	filter.status = 0;
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 2); /* 5 and 35 */
	assert_int_equal(ids[0], 5);
	assert_int_equal(ids[1], 35);
	filter.type = "T2";
	assert_int_equal(walk(f, filter, 3, ids, 64, &pages), 0);
}

static void
test_hostile_cursors(void **state)
{
	static const char id[] = "00000001-0000-4000-8000-000000000000";
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	struct store_device d = fixture_device(1, "abc"), rows[4];
	char next[STORE_CURSOR_SIZE], hex[2048], good[STORE_CURSOR_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t i, n;
	uint8_t raw[600];

	insert(f, &d);
	d = fixture_device(2, "abd");
	insert(f, &d);
	assert_ok(store_read(f->store, &tx, &err));
	filter.limit = 1;
	assert_ok(store_device_list(tx, &filter, rows, &n, good, &err));
	assert_true(good[0] != '\0');
	store_device_clear(&rows[0]);

	/* Cut anywhere, or with a character that is none of ours. */
	for (i = 0; i <= strlen(good); i++) {
		memcpy(hex, good, sizeof good);
		if (i < strlen(good))
			hex[i] = '%';
		else
			hex[i - 1] = '\0';
		filter.after = hex;
		err = (struct err){0};
		assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
		assert_string_equal(err.field, "after");
	}
	/* Well-formed hex of nonsense: phase, id, control characters, too long. */
	for (i = 0; i < 6; i++) {
		size_t len = 40;

		memset(raw, 'a', sizeof raw);
		raw[0] = i == 0 ? 'x' : i == 1 ? '\0' : i == 5 ? 'i' : 'n';
		memcpy(raw + 1, id, 36);
		if (i == 2)
			raw[5] = 'G';
		else if (i == 3)
			raw[38] = '\n';
		else if (i == 4)
			len = 37 + 257;
		hex_encode(hex, raw, len);
		filter.after = hex;
		assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	}
	/* Of the list without a search, in one with: it must not show what does not match. */
	filter.after = good;
	filter.search = "abd";
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	filter.after = NULL;
	filter.search = NULL;
	filter.limit = 0;
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	filter.limit = 1001;
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	memset(hex, 'a', 300);
	hex[300] = '\0';
	filter.limit = 1;
	filter.search = hex;
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	store_rollback(&tx);
}

/* The longest name there is, as the cursor's key. */
static void
test_longest_names(void **state)
{
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	struct store_device d = fixture_device(1, "");
	unsigned ids[4], pages, i;

	for (i = 0; i < 64; i++)
		memcpy(d.name + 4 * i, "\xf0\x9f\x94\x8c", 5);
	insert(f, &d);
	memcpy(d.id, "00000002", 8);
	insert(f, &d);
	assert_int_equal(walk(f, filter, 1, ids, 4, &pages), 2);
	filter.search = d.name;
	assert_int_equal(walk(f, filter, 1, ids, 4, &pages), 2);
}

static int
count_and_stop(void *ctx, const struct store_device *row, struct err *err)
{
	unsigned *seen = ctx;
	unsigned id = (unsigned)strtoul(row->id, NULL, 16);

	assert_true(*seen < id);
	*seen = id;
	return id == 6 ? err_set(err, E_LIMIT, "enough") : 0;
}

static void
test_each_streams_in_order(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i, seen = 0;

	for (i = 9; i > 0; i--) {
		struct store_device d = fixture_device(i, "d");

		d.status = i % 3 == 0 ? DEVICE_SUSPENDED : DEVICE_ACTIVE;
		insert(f, &d);
	}
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_device_each(tx, DEVICE_ACTIVE, count_and_stop, &seen, &err));
	assert_int_equal(seen, 8);
	seen = 0;
	assert_int_equal(
	    store_device_each(tx, DEVICE_SUSPENDED, count_and_stop, &seen, &err), E_LIMIT);
	assert_string_equal(err.text, "enough");
	assert_int_equal(seen, 6);
	store_rollback(&tx);
}

static void
test_damaged_row_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "x"), got = {0}, rows[2];
	struct store_device_filter filter = ALL;
	char next[STORE_CURSOR_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n = 0;

	insert(f, &d);
	fixture_tamper(f, "UPDATE device SET type = hex(zeroblob(500))");
	assert_ok(store_read(f->store, &tx, &err));
	assert_int_equal(store_device_get(tx, STORE_TENANT_DEFAULT, d.id, &got, &err), E_SYS);
	filter.limit = 2;
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_SYS);
	store_rollback(&tx);
}

static void
certify(struct fixture *f, unsigned n, const char *owner_id, int64_t not_after, enum certificate_state state)
{
	struct store_certificate c = fixture_certificate(n, owner_id);
	struct store_tx *tx = NULL;
	struct err err = {0};

	c.not_after = not_after;
	c.state = state;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_certificate_insert(tx, &c, &err));
	assert_ok(store_commit(&tx, &err));
}

/* Those whose last certificate ends by then, the next to end first; in pages, each once. */
static void
test_expiring(void **state)
{
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	static const int64_t ends[] = {500, 300, 300, 2000, 100, 300};
	char next[STORE_CURSOR_SIZE] = "", seen[64] = "";
	struct store_device d[6], rows[2];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n, i;

	for (i = 0; i < 6; i++) {
		d[i] = fixture_device((unsigned)i + 1, i % 2 == 0 ? "even" : "odd");
		insert(f, &d[i]);
		certify(f, (unsigned)i, d[i].id, ends[i], CERTIFICATE_ACTIVE);
	}
	certify(f, 10, d[5].id, 5000, CERTIFICATE_ACTIVE); /* the sixth has a successor */
	certify(f, 11, d[0].id, 50, CERTIFICATE_REVOKED);
	assert_ok(store_begin(f->store, &tx, &err));
	{
		struct store_certificate successor = fixture_certificate(10, d[5].id);

		assert_ok(store_certificate_retire(tx, d[5].id, successor.serial, 4000, &err));
	}
	assert_ok(store_commit(&tx, &err));
	filter.expiring_by = 1000;
	filter.limit = 2;
	do {
		filter.after = next[0] != '\0' ? next : NULL;
		assert_ok(store_read(f->store, &tx, &err));
		assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
		store_rollback(&tx);
		for (i = 0; i < n; i++) {
			(void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%c%lld ", rows[i].id[7],
			    (long long)rows[i].expires_at);
			store_device_clear(&rows[i]);
		}
	} while (next[0] != '\0');
	assert_string_equal(seen, "5100 2300 3300 1500 ");
	filter.after = NULL;
	filter.search = "EV";
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].name, "even");
	store_device_clear(&rows[0]);
	store_device_clear(&rows[1]);
	filter.search = NULL;
	filter.expiring_by = 0;
	filter.after = next; /* of the other list */
	assert_int_equal(store_device_list(tx, &filter, rows, &n, next, &err), E_INPUT);
	store_rollback(&tx);
}

/* The page of FILTER as the first letters of names, in a row. */
static void
names(struct fixture *f, const struct store_device_filter *filter, char *out)
{
	char next[STORE_CURSOR_SIZE];
	struct store_device rows[10];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n, i;

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_device_list(tx, filter, rows, &n, next, &err));
	store_rollback(&tx);
	for (i = 0; i < n; i++) {
		out[i] = rows[i].name[0];
		store_device_clear(&rows[i]);
	}
	out[n] = '\0';
}

/* The oldest first, each once, and none but those revoked before; from then on by id and in the archive's own list alone. */
static void
test_archive(void **state)
{
	struct fixture *f = *state;
	static const enum device_status status[] = {
	    DEVICE_REVOKED, DEVICE_REVOKED, DEVICE_ACTIVE, DEVICE_SUSPENDED, DEVICE_REVOKED, DEVICE_REVOKED};
	static const int64_t changed[] = {1003, 1001, 1000, 1000, 1010, 1002};
	struct store_device_filter all = {.tenant_id = STORE_TENANT_DEFAULT, .status = -1, .limit = 10}, archived = all;
	struct store_device d[6], got = {0};
	struct store_archived moved[2];
	struct store_tx *tx = NULL;
	char name[] = "a", list[11], labels[] = "{\"site\":\"north\"}";
	struct err err = {0};
	size_t n, i;

	archived.status = DEVICE_ARCHIVED;
	for (i = 0; i < 6; i++, name[0]++) {
		d[i] = fixture_device((unsigned)i + 1, name);
		d[i].status = status[i];
		d[i].updated_at = changed[i];
		d[i].labels = i == 1 ? labels : NULL;
		insert(f, &d[i]);
	}
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_archive(tx, 1010, 5000, moved, 2, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(moved[0].id, d[1].id);
	assert_string_equal(moved[1].id, d[5].id);
	assert_int_equal(moved[0].tenant_id, STORE_TENANT_DEFAULT);
	assert_ok(store_device_archive(tx, 1010, 5000, moved, 2, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_device_archive(tx, 1010, 5000, moved, 2, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_commit(&tx, &err));

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, d[1].id, &got, &err));
	assert_int_equal(store_device_get(tx, OTHER_TENANT, d[5].id, &d[0], &err), E_NOTFOUND);
	store_rollback(&tx);
	assert_int_equal(got.status, DEVICE_ARCHIVED);
	assert_string_equal(got.name, "b");
	assert_string_equal(got.labels, labels);
	assert_int_equal(got.created_at, 1000);
	assert_int_equal(got.updated_at, 5000);
	store_device_clear(&got);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_device_update(tx, &d[1], &err), E_NOTFOUND);
	store_rollback(&tx);

	names(f, &all, list);
	assert_string_equal(list, "cde");
	names(f, &archived, list);
	assert_string_equal(list, "abf");
	archived.type = "sensor";
	archived.search = "B";
	names(f, &archived, list);
	assert_string_equal(list, "b");
	archived.search = "00000006";
	names(f, &archived, list);
	assert_string_equal(list, "f");
	archived.type = "other";
	names(f, &archived, list);
	assert_string_equal(list, "");
}

/* --- the plans: each filter walks its own index, in order, with no sort and no full scan --- */

static void
expect_plan(struct fixture *f, struct store_device_filter filter, const char *index)
{
	struct store_device rows[2];
	char next[STORE_CURSOR_SIZE], text[1024];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n = 0;

	filter.limit = 2;
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_device_list(tx, &filter, rows, &n, next, &err));
	store_rollback(&tx);
	fixture_plan(f, text, sizeof text);
	if (strstr(text, index) == NULL || strstr(text, "TEMP B-TREE") != NULL ||
	    strstr(text, "SCAN") != NULL || strstr(text, "SEARCH") == NULL)
		fail_msg("%s\nplan: %s", fixture_last_sql, text);
}

static void
test_plans(void **state)
{
	struct fixture *f = *state;
	struct store_device_filter filter = ALL;
	struct store_tx *tx = NULL;
	struct err err = {0};
	char text[1024];
	size_t n;

	expect_plan(f, filter, "device_name (tenant_id=? AND (name_key,id)>(?,?)");
	filter.status = DEVICE_ACTIVE;
	expect_plan(f, filter, "device_status (tenant_id=? AND status=? AND (name_key,id)>(?,?)");
	filter.status = -1;
	filter.type = "t";
	expect_plan(f, filter, "device_type (tenant_id=? AND type=? AND (name_key,id)>(?,?)");
	filter.type = NULL;
	filter.location = "l";
	expect_plan(
	    f, filter, "device_location (tenant_id=? AND location=? AND (name_key,id)>(?,?)");
	filter.location = NULL;
	filter.policy = "p";
	expect_plan(f, filter, "device_policy (tenant_id=? AND policy=? AND (name_key,id)>(?,?)");
	filter.policy = NULL;
	filter.status = DEVICE_ARCHIVED;
	expect_plan(f, filter, "device_archive_name (tenant_id=? AND (name_key,id)>(?,?)");
	filter.status = -1;
	filter.search = "s"; /* the second phase: by id */
	expect_plan(f, filter, "PRIMARY KEY (id>? AND id<?)");
	filter = (struct store_device_filter)ALL;
	filter.expiring_by = 1000;
	expect_plan(f, filter, "certificate_expiring (tenant_id=? AND (not_after,owner_id)>(?,?) AND not_after<?)");
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_archive(tx, 1000, 1000, NULL, 0, &n, &err));
	store_rollback(&tx);
	fixture_plan(f, text, sizeof text);
	if (strstr(text, "SEARCH device USING INDEX device_revoked (updated_at<?)") == NULL || strstr(text, "B-TREE") != NULL)
		fail_msg("%s\nplan: %s", fixture_last_sql, text);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_row_round_trip),
	    case_of(test_another_tenants_device_is_not_there),
	    case_of(test_pages_in_order),
	    case_of(test_search_by_name_then_id),
	    case_of(test_filters),
	    case_of(test_hostile_cursors),
	    case_of(test_longest_names),
	    case_of(test_each_streams_in_order),
	    case_of(test_damaged_row_is_an_error),
	    case_of(test_expiring),
	    case_of(test_archive),
	    case_of(test_plans),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
