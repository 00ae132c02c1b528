/* Table `package`: one delivery, and nothing left of it. */
#include "store_fixture.h"

#include "store/package.h"

#include <pthread.h>
#include <stdatomic.h>

#define OWNER "00000001-0000-4000-8000-000000000000"
#define ARCHIVE_LEN 9000 /* over two pages, as a real one */

static void
archive_fill(uint8_t archive[ARCHIVE_LEN], unsigned n)
{
	size_t i;

	/* A pattern of eight bytes that occurs nowhere else, over and over. */
	for (i = 0; i < ARCHIVE_LEN; i++)
		archive[i] = (uint8_t)("\xc3\x5e\x91\x07\xee\x42\xb8"[i % 7] + (i % 8 == 7 ? n : 0));
}

static struct store_package
package_of(unsigned n)
{
	struct store_package p = {.tenant_id = STORE_TENANT_DEFAULT,
	    .owner_kind = OWNER_DEVICE,
	    .owner_id = OWNER,
	    .state = PACKAGE_WAITING,
	    .created_at = 1000,
	    .expires_at = 2000};

	(void)snprintf(p.id, sizeof p.id, "%08x-0000-4000-9000-000000000000", n);
	memcpy(p.token_hash, &n, sizeof n);
	return p;
}

static void
insert(struct fixture *f, const struct store_package *p)
{
	static uint8_t archive[ARCHIVE_LEN];
	struct store_tx *tx = NULL;
	struct err err = {0};

	archive_fill(archive, 0);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_insert(tx, p, archive, sizeof archive, &err));
	assert_ok(store_commit(&tx, &err));
}

/* Take it at NOW in a transaction of its own. */
static int
take(struct fixture *f, const struct store_package *p, int64_t now, struct buf *archive,
    struct err *err)
{
	struct store_package got;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(f->store, &tx, err)) == 0 &&
	    (rc = store_package_take(tx, p->token_hash, now, &got, archive, err)) == 0) {
		assert_string_equal(got.id, p->id);
		assert_string_equal(got.owner_id, OWNER);
		assert_int_equal(got.state, PACKAGE_DELIVERED);
		assert_int_equal(got.ended_at, now);
		rc = store_commit(&tx, err);
	}
	store_rollback(&tx);
	return rc;
}

static enum package_state
state_of(struct fixture *f, const struct store_package *p)
{
	struct store_package got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_package_find(tx, p->token_hash, &got, &err));
	store_rollback(&tx);
	return got.state;
}

/* E2 */
static void
test_taken_once(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1), other = package_of(2);
	struct buf archive = {0};
	struct err err = {0};
	uint8_t want[ARCHIVE_LEN];

	archive_fill(want, 0);
	insert(f, &p);
	assert_int_equal(state_of(f, &p), PACKAGE_WAITING);
	assert_int_equal(take(f, &other, 1500, &archive, &err), E_NOTFOUND);
	buf_text(&archive, "before");
	assert_ok(take(f, &p, 1999, &archive, &err));
	assert_int_equal(archive.len, 6 + ARCHIVE_LEN);
	assert_memory_equal(archive.data + 6, want, ARCHIVE_LEN);
	assert_int_equal(take(f, &p, 1999, &archive, &err), E_GONE);
	assert_int_equal(archive.len, 6 + ARCHIVE_LEN);
	assert_int_equal(state_of(f, &p), PACKAGE_DELIVERED);
	buf_clear(&archive);
}

static void
test_rollback_leaves_it_waiting(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1), got;
	struct buf archive = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &p);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_take(tx, p.token_hash, 1500, &got, &archive, &err));
	store_rollback(&tx);
	assert_int_equal(state_of(f, &p), PACKAGE_WAITING);
	buf_reset(&archive);
	assert_ok(take(f, &p, 1500, &archive, &err));
	assert_int_equal(archive.len, ARCHIVE_LEN);
	buf_clear(&archive);
}

/* E11 */
static void
test_expired_is_gone(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1), q = package_of(2), r = package_of(3);
	struct buf archive = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n = 9;

	r.expires_at = 2001;
	insert(f, &p);
	insert(f, &q);
	insert(f, &r);
	assert_int_equal(take(f, &p, 2000, &archive, &err), E_GONE); /* to the second */
	assert_int_equal(archive.len, 0);
	assert_int_equal(state_of(f, &p), PACKAGE_WAITING);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_expire(tx, 1999, 10, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_package_expire(tx, 2000, 1, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_package_expire(tx, 2000, 10, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_package_expire(tx, 2000, 10, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(state_of(f, &q), PACKAGE_EXPIRED);
	assert_int_equal(state_of(f, &r), PACKAGE_WAITING);
	/* Nor does it come back when the clock is set back. */
	assert_int_equal(take(f, &q, 1500, &archive, &err), E_GONE);
	assert_int_equal(
	    fixture_number(f, "SELECT count(*) FROM package WHERE archive IS NOT NULL"), 1);
	buf_clear(&archive);
}

static void
test_withdrawn_is_gone(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1), q = package_of(2);
	struct buf archive = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	(void)snprintf(q.owner_id, sizeof q.owner_id, "%s", "00000002-0000-4000-8000-000000000000");
	insert(f, &p);
	insert(f, &q);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_withdraw(tx, OWNER, 1400, &err));
	assert_ok(store_package_withdraw(tx, OWNER, 1400, &err)); /* nothing left to do */
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(take(f, &p, 1500, &archive, &err), E_GONE);
	assert_int_equal(state_of(f, &p), PACKAGE_WITHDRAWN);
	assert_int_equal(state_of(f, &q), PACKAGE_WAITING);
	buf_clear(&archive);
}

/* Of every tenant and owner; what was delivered stays delivered. */
static void
test_all_are_withdrawn(void **state)
{
	struct store_package waiting = package_of(1), taken = package_of(2), got;
	struct fixture *f = *state;
	struct buf archive = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	(void)snprintf(waiting.owner_id, sizeof waiting.owner_id, "another");
	insert(f, &waiting);
	insert(f, &taken);
	assert_ok(take(f, &taken, 1300, &archive, &err));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_withdraw_all(tx, 1400, &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(take(f, &waiting, 1500, &archive, &err), E_GONE);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_package_find(tx, waiting.token_hash, &got, &err));
	assert_int_equal(got.state, PACKAGE_WITHDRAWN);
	assert_int_equal(got.ended_at, 1400);
	assert_ok(store_package_find(tx, taken.token_hash, &got, &err));
	assert_int_equal(got.state, PACKAGE_DELIVERED);
	store_rollback(&tx);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM package WHERE archive IS NOT NULL"), 0);
	buf_clear(&archive);
}

static void
test_one_token_one_package(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1), q = package_of(2);
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &p);
	memcpy(q.token_hash, p.token_hash, sizeof q.token_hash);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_package_insert(tx, &q, "x", 1, &err), E_CONFLICT);
	/* One that waits has an archive; one that does not has none. */
	q = package_of(2);
	assert_int_equal(store_package_insert(tx, &q, NULL, 0, &err), E_SYS);
	q.state = PACKAGE_DELIVERED;
	assert_int_equal(store_package_insert(tx, &q, "x", 1, &err), E_SYS);
	store_rollback(&tx);
}

#define RUNNERS 100

struct race {
	struct fixture *f;
	struct store_package p;
	atomic_uint won, gone, others;
};

static void *
run(void *arg)
{
	struct race *race = arg;
	struct buf archive = {0};
	struct err err = {0};

	switch (take(race->f, &race->p, 1500, &archive, &err)) {
	case 0:
		atomic_fetch_add(archive.len == ARCHIVE_LEN ? &race->won : &race->others, 1);
		break;
	case E_GONE:
		atomic_fetch_add(archive.len == 0 ? &race->gone : &race->others, 1);
		break;
	default:
		atomic_fetch_add(&race->others, 1);
	}
	buf_clear(&archive);
	return NULL;
}

/* E3 */
static void
test_hundred_at_once(void **state)
{
	struct race race = {.f = *state, .p = package_of(1)};
	pthread_t threads[RUNNERS];
	unsigned i;

	insert(race.f, &race.p);
	for (i = 0; i < RUNNERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, &race), 0);
	for (i = 0; i < RUNNERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&race.won), 1);
	assert_int_equal(atomic_load(&race.gone), RUNNERS - 1);
	assert_int_equal(atomic_load(&race.others), 0);
}

/* How often 16 bytes of the archives' pattern stand in the database's files. */
static size_t
traces(const struct fixture *f)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	uint8_t archive[ARCHIVE_LEN];
	size_t i, found = 0;

	archive_fill(archive, 0);
	for (i = 0; i < 3; i++) {
		struct buf content = {0};
		struct err err = {0};
		const uint8_t *p;
		char name[160];

		(void)snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
		assert_ok(fs_read(name, 64 << 20, &content, &err));
		p = content.data;
		while (p != NULL && (p = memmem(p, content.len - (size_t)(p - content.data), archive,
					 16)) != NULL) {
			found++;
			p++;
		}
		buf_clear(&content);
	}
	return found;
}

/* E9: in no page, free page or log. Delivered, expired and withdrawn alike. */
static void
test_nothing_remains(void **state)
{
	struct fixture *f = *state;
	struct buf archive = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct store_package p;
	unsigned i;
	size_t n;

	for (i = 1; i <= 30; i++) {
		p = package_of(i);
		if (i > 20)
			(void)snprintf(p.owner_id, sizeof p.owner_id, "withdrawn");
		else if (i > 10)
			p.expires_at = 1400;
		insert(f, &p);
		if (i == 15)
			assert_ok(store_checkpoint(f->store, &err)); /* some are in the file */
	}
	assert_true(traces(f) > 30 * 100); /* the search finds what is there */
	for (i = 1; i <= 10; i++) {
		p = package_of(i);
		assert_ok(take(f, &p, 1500, &archive, &err));
	}
	buf_clear(&archive);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_package_expire(tx, 1500, 100, &n, &err));
	assert_int_equal(n, 10);
	assert_ok(store_package_withdraw(tx, "withdrawn", 1500, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_checkpoint(f->store, &err));
	assert_int_equal(traces(f), 0);
}

static void
test_plans(void **state)
{
	struct fixture *f = *state;
	struct store_package p = package_of(1);
	struct store_tx *tx = NULL;
	struct err err = {0};
	char text[512];

	insert(f, &p);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_package_find(tx, p.token_hash, &p, &err));
	store_rollback(&tx);
	fixture_plan(f, text, sizeof text);
	assert_non_null(strstr(text, "SEARCH package USING INDEX"));
	assert_non_null(strstr(text, "(token_hash=?)"));
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_taken_once),
	    case_of(test_rollback_leaves_it_waiting),
	    case_of(test_expired_is_gone),
	    case_of(test_withdrawn_is_gone),
	    case_of(test_all_are_withdrawn),
	    case_of(test_one_token_one_package),
	    case_of(test_hundred_at_once),
	    case_of(test_nothing_remains),
	    case_of(test_plans),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
