/* What stands in complete lists and deltas, while certificates come, go and expire, and across restarts. */
#include "store_fixture.h"

#include "core/revlist.h"
#include "store/revocation.h"

#define OWNER "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f01"
#define T0 1767225600
#define DAY 86400
#define ISSUER "aa"

struct world {
	struct fixture *f;
	struct core core;
	struct revlist *list;
	struct crl_entry *base; /* as the last base listed them */
	size_t n_base;
	uint64_t number;
};

static void
world_open(struct world *w, struct fixture *f)
{
	memset(w, 0, sizeof *w);
	w->f = f;
	w->core.store = f->store;
	assert_non_null(w->list = revlist_new(&w->core, ISSUER, 0));
}

static void
world_close(struct world *w)
{
	revlist_free(w->list);
	free(w->base);
}

/* A new certificate, number I, in this state, good until NOT_AFTER. */
static void
add(struct world *w, unsigned i, enum certificate_state state, int reason, int64_t not_after)
{
	struct store_certificate c = fixture_certificate(i, OWNER);
	struct store_tx *tx = NULL;
	struct err err = {0};

	c.state = state;
	c.reason = reason;
	c.revoked_at = state == CERTIFICATE_ACTIVE ? 0 : T0 + i;
	c.not_after = not_after;
	assert_ok(store_begin(w->f->store, &tx, &err));
	assert_ok(store_certificate_insert(tx, &c, &err));
	assert_ok(store_commit(&tx, &err));
}

static int
move(struct world *w, unsigned i, enum certificate_state state, int reason)
{
	struct store_certificate c = fixture_certificate(i, OWNER);
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_begin(w->f->store, &tx, &err));
	rc = store_certificate_set_state(tx, c.serial, state, reason, state == CERTIFICATE_ACTIVE ? 0 : T0 + i, NULL, &err);
	if (rc == 0)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	return rc;
}

static size_t
find(const struct crl_entry *entries, size_t n, const uint8_t *serial)
{
	size_t i;

	for (i = 0; i < n && memcmp(entries[i].serial, serial, SERIAL_LEN) != 0; i++)
		continue;
	return i;
}

static bool
lists(struct world *w, unsigned i)
{
	struct store_certificate c = fixture_certificate(i, OWNER);
	const struct crl_entry *entries;
	struct err err = {0};
	size_t n;

	assert_ok(revlist_complete(w->list, &entries, &n, &err));
	return find(entries, n, c.serial) < n;
}

/* What a relying party makes of a complete list and a delta: RFC 5280, section 5.2.4. */
static size_t
combine(const struct world *w, const struct crl_entry *delta, size_t n_delta, struct crl_entry *out)
{
	size_t n = w->n_base, i, at;

	if (n > 0)
		memcpy(out, w->base, n * sizeof out[0]);
	for (i = 0; i < n_delta; i++) {
		at = find(out, n, delta[i].serial);
		if (delta[i].reason != REASON_REMOVE_FROM_CRL) {
			out[at] = delta[i];
			n += at == n;
		} else if (at < n) {
			out[at] = out[--n];
		}
	}
	return n;
}

/* A round of the publisher's, without the signing. True if it made a base. */
static bool
round_at(struct world *w, int64_t now)
{
	const struct crl_entry *complete, *delta;
	struct crl_entry *both, *kept;
	size_t n, n_delta, n_both, i, at;
	struct err err = {0};
	bool is_base;

	assert_ok(revlist_refresh(w->list, now, DAY, &is_base, &err));
	w->number++;
	assert_ok(revlist_complete(w->list, &complete, &n, &err));
	if (is_base) {
		revlist_rebase(w->list, w->number, now);
		free(w->base);
		assert_non_null(w->base = calloc(n + 1, sizeof w->base[0]));
		if (n > 0)
			memcpy(w->base, complete, n * sizeof complete[0]);
		w->n_base = n;
	}
	assert_non_null(kept = calloc(n + 1, sizeof kept[0]));
	if (n > 0)
		memcpy(kept, complete, n * sizeof complete[0]);
	assert_ok(revlist_delta(w->list, now, &delta, &n_delta, &err));
	assert_true(!is_base || n_delta == 0);
	assert_non_null(both = calloc(w->n_base + n_delta + 1, sizeof both[0]));
	n_both = combine(w, delta, n_delta, both);
	assert_int_equal(n_both, n);
	for (i = 0; i < n; i++) {
		assert_true((at = find(both, n_both, kept[i].serial)) < n_both);
		assert_int_equal(both[at].reason, kept[i].reason);
		assert_int_equal(both[at].revoked_at, kept[i].revoked_at);
		assert_true(find(kept, i, kept[i].serial) == i); /* each once */
	}
	free(kept);
	free(both);
	return is_base;
}

/* G9: a hold that is taken back leaves the complete list, and is taken back in deltas as long as anybody may have it. */
static void
test_hold_and_release(void **state)
{
	const struct crl_entry *delta;
	struct err err = {0};
	struct world w;
	size_t n;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_ACTIVE, 0, T0 + 100 * DAY);
	add(&w, 2, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 100 * DAY);
	assert_true(round_at(&w, T0));
	assert_false(round_at(&w, T0 + 1));
	assert_int_equal(move(&w, 1, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD), 0);
	assert_false(round_at(&w, T0 + 2));
	assert_true(lists(&w, 1));
	assert_int_equal(move(&w, 1, CERTIFICATE_ACTIVE, 0), 0);
	assert_false(round_at(&w, T0 + 3));
	assert_false(lists(&w, 1));
	assert_ok(revlist_delta(w.list, T0 + 3, &delta, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(delta[0].reason, REASON_REMOVE_FROM_CRL);
	assert_int_equal(delta[0].revoked_at, T0 + 3);
	assert_int_equal(move(&w, 1, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD), 0);
	assert_int_equal(move(&w, 1, CERTIFICATE_REVOKED, REASON_SUPERSEDED), 0);
	assert_false(round_at(&w, T0 + 4));
	assert_true(lists(&w, 1));
	assert_int_equal(move(&w, 1, CERTIFICATE_ACTIVE, 0), E_CONFLICT); /* for good */
	assert_true(round_at(&w, T0 + DAY)); /* nobody needs to be told any more */
	assert_true(lists(&w, 1) && lists(&w, 2));
	world_close(&w);
}

/* A held one that was on the base is taken back, too. */
static void
test_release_from_the_base(void **state)
{
	struct world w;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD, T0 + 100 * DAY);
	assert_true(round_at(&w, T0));
	assert_true(lists(&w, 1));
	assert_int_equal(move(&w, 1, CERTIFICATE_ACTIVE, 0), 0);
	assert_false(round_at(&w, T0 + 1)); /* base and delta are the complete list: checked there */
	assert_false(lists(&w, 1));
	world_close(&w);
}

/* G7: whatever happens, base and delta are the complete list. */
static void
test_base_and_delta_are_complete(void **state)
{
	unsigned i, n = 0, bases = 0;
	struct world w;

	srandom(7);
	world_open(&w, *state);
	for (i = 0; i < 150; i++) {
		unsigned which = n > 0 ? (unsigned)random() % n + 1 : 1;

		switch (random() % 5) {
		case 0:
			add(&w, ++n, CERTIFICATE_ACTIVE, 0, T0 + (int64_t)i * 3600 + random() % (3 * DAY));
			break;
		case 1:
			(void)move(&w, which, CERTIFICATE_REVOKED, REASON_CESSATION_OF_OPERATION);
			break;
		case 2:
			(void)move(&w, which, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD);
			break;
		case 3:
			(void)move(&w, which, CERTIFICATE_ACTIVE, 0);
			break;
		default:
			break;
		}
		bases += round_at(&w, T0 + (int64_t)i * 3600);
	}
	assert_int_equal(bases, 7); /* one a day */
	world_close(&w);
}

/* RFC 5280, section 5: who is revoked stays listed on one scheduled list after the end at least; then leaves. */
static void
test_the_expired_leave(void **state)
{
	struct world w;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 - 1000 * DAY); /* nobody knows who has seen it listed */
	add(&w, 2, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 100);
	add(&w, 3, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + DAY - 1);
	add(&w, 4, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + DAY);
	assert_true(round_at(&w, T0));
	assert_true(lists(&w, 1) && lists(&w, 2) && lists(&w, 3) && lists(&w, 4));
	add(&w, 5, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 101);
	assert_false(round_at(&w, T0 + 200)); /* expired, and not on a base since */
	assert_true(lists(&w, 2) && lists(&w, 5));
	assert_true(round_at(&w, T0 + DAY)); /* the first base after that */
	assert_false(lists(&w, 1)); /* was on the one before */
	assert_true(lists(&w, 2) && lists(&w, 3) && lists(&w, 4) && lists(&w, 5));
	assert_false(round_at(&w, T0 + 2 * DAY - 1));
	assert_true(lists(&w, 2) && lists(&w, 3) && lists(&w, 4) && lists(&w, 5));
	assert_true(round_at(&w, T0 + 2 * DAY));
	assert_false(lists(&w, 2) || lists(&w, 3) || lists(&w, 5));
	assert_true(lists(&w, 4)); /* it ended when the base before was made: that one need not count */
	assert_true(round_at(&w, T0 + 3 * DAY));
	assert_false(lists(&w, 4));
	world_close(&w);
}

/* G6, I8: what a clock in the future has dropped comes back with the clock; no base lies ahead. */
static void
test_clock_set_back(void **state)
{
	struct world w;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 365 * DAY);
	assert_true(round_at(&w, T0));
	assert_true(round_at(&w, T0 + 3650 * DAY));
	assert_true(lists(&w, 1));
	assert_true(round_at(&w, T0 + 3651 * DAY));
	assert_false(lists(&w, 1));
	assert_true(round_at(&w, T0 + 10));
	assert_true(lists(&w, 1));
	assert_false(round_at(&w, T0 + 11));
	assert_true(round_at(&w, T0 + 10 + DAY));
	assert_true(lists(&w, 1));
	world_close(&w);
}

static void
store_it(struct world *w, int64_t now)
{
	struct store_crl crl = {.number = (int64_t)w->number, .this_update = now, .next_update = now + DAY};
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n;

	revlist_describe(w->list, &crl);
	assert_ok(store_begin(w->f->store, &tx, &err));
	assert_ok(store_crl_put(tx, ISSUER, &crl, "", 0, &err));
	assert_ok(store_revocation_prune(tx, crl.base_change, 1000, &n, &err));
	assert_ok(store_commit(&tx, &err));
}

/* A process that starts anew goes on where the last one was, unless the store was restored: then with a new base. */
static void
test_restarts(void **state)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct world w;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 100 * DAY);
	add(&w, 2, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD, T0 + 100 * DAY);
	assert_true(round_at(&w, T0));
	store_it(&w, T0);
	add(&w, 3, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 100 * DAY);
	assert_int_equal(move(&w, 2, CERTIFICATE_ACTIVE, 0), 0);
	revlist_free(w.list);
	assert_non_null(w.list = revlist_new(&w.core, ISSUER, 0));
	assert_false(round_at(&w, T0 + 1));
	assert_int_equal(revlist_base(w.list), 1);
	assert_true(lists(&w, 1) && !lists(&w, 2) && lists(&w, 3));
	assert_true(round_at(&w, T0 + DAY)); /* stored before it is pruned, else the next start would miss some */
	store_it(&w, T0 + DAY);
	assert_int_equal(move(&w, 2, CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD), 0); /* the numbers of rows go on */
	revlist_free(w.list);
	assert_non_null(w.list = revlist_new(&w.core, ISSUER, 0));
	assert_false(round_at(&w, T0 + DAY + 1));
	assert_true(lists(&w, 1) && lists(&w, 2) && lists(&w, 3));
	assert_ok(store_begin(w.f->store, &tx, &err));
	assert_ok(store_crl_forget_base(tx, &err));
	assert_ok(store_commit(&tx, &err));
	revlist_free(w.list);
	assert_non_null(w.list = revlist_new(&w.core, ISSUER, 0));
	assert_true(round_at(&w, T0 + DAY + 2));
	assert_true(lists(&w, 1) && lists(&w, 2) && lists(&w, 3));
	world_close(&w);
}

/* A delta is short, or there is a new base; the expired do not leave any earlier for that. */
static void
test_long_deltas(void **state)
{
	enum { N = 20001 };
	const struct crl_entry *entries;
	struct store_certificate c;
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct world w;
	bool is_base;
	unsigned i;
	size_t n;

	world_open(&w, *state);
	add(&w, 1, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, T0 + 1);
	assert_true(round_at(&w, T0));
	assert_ok(store_begin(w.f->store, &tx, &err));
	for (i = 2; i < 2 + N; i++) {
		c = fixture_certificate(i, OWNER);
		c.state = CERTIFICATE_REVOKED;
		c.not_after = T0 + 100 * DAY;
		assert_ok(store_certificate_insert(tx, &c, &err));
	}
	assert_ok(store_commit(&tx, &err));
	assert_ok(revlist_refresh(w.list, T0 + 10, DAY, &is_base, &err));
	assert_true(is_base);
	assert_ok(revlist_complete(w.list, &entries, &n, &err));
	assert_int_equal(n, 1 + N);
	revlist_rebase(w.list, 7, T0 + 10);
	assert_ok(revlist_refresh(w.list, T0 + 11, DAY, &is_base, &err));
	assert_false(is_base);
	assert_ok(revlist_delta(w.list, T0 + 11, &entries, &n, &err));
	assert_int_equal(n, 0);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_hold_and_release, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_release_from_the_base, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_base_and_delta_are_complete, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_the_expired_leave, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_clock_set_back, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_restarts, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_long_deltas, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
