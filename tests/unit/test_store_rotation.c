/* The way of a rotation: forward only, and each step once. */
#include "store_fixture.h"

#include "store/rotation.h"

#define ID "0a9a1a52-6a5c-4b3e-9c4c-7d9b6b1f0001"
#define WORD "0a9a1a52-6a5c-4b3e-9c4c-7d9b6b1f1001"

static void
put(struct fixture *f, const char *id, const char *word, int64_t asked_at)
{
	struct store_rotation row = {.tenant_id = STORE_TENANT_DEFAULT, .state = ROTATION_WAITING, .asked_at = asked_at};
	struct store_tx *tx = NULL;
	struct err err = {0};

	(void)text_copy(row.device_id, sizeof row.device_id, id);
	(void)text_copy(row.word, sizeof row.word, word);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_rotation_put(tx, &row, &err));
	assert_ok(store_commit(&tx, &err));
}

enum step { TOLD, RENEWED, FINISHED, CANCELLED, CLEARED, FOREIGN };

static void
take(struct fixture *f, enum step step, enum rotation_state then, bool cleared)
{
	struct store_rotation row;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	switch (step) {
	case TOLD:
		assert_ok(store_rotation_told(tx, ID, WORD, 200, &err));
		break;
	case RENEWED:
		assert_ok(store_rotation_renewed(tx, ID, &err));
		break;
	case FINISHED:
		assert_ok(store_rotation_finish(tx, ID, 300, &err));
		break;
	case CANCELLED:
		assert_ok(store_rotation_end(tx, ID, ROTATION_CANCELLED, 300, &err));
		break;
	case CLEARED:
		assert_ok(store_rotation_cleared(tx, ID, WORD, &err));
		break;
	case FOREIGN: /* of an instruction before this one */
		assert_ok(store_rotation_told(tx, ID, ID, 200, &err));
		assert_ok(store_rotation_cleared(tx, ID, ID, &err));
		assert_ok(store_rotation_acknowledge(tx, ID, ID, ROTATION_ACK_DONE, "", 200, &err));
	}
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_rotation_get(tx, ID, &row, &err));
	store_rollback(&tx);
	assert_int_equal(row.state, then);
	assert_int_equal(row.cleared, cleared);
	assert_int_equal(row.ack, ROTATION_ACK_NONE);
}

static void
test_forward(void **state)
{
	struct fixture *f = *state;

	put(f, ID, WORD, 100);
	take(f, FINISHED, ROTATION_WAITING, false); /* nothing was renewed */
	take(f, CLEARED, ROTATION_WAITING, false);
	take(f, FOREIGN, ROTATION_WAITING, false);
	take(f, TOLD, ROTATION_TOLD, false);
	take(f, RENEWED, ROTATION_RENEWED, false);
	take(f, TOLD, ROTATION_RENEWED, false); /* the broker's answer is late */
	take(f, FINISHED, ROTATION_DONE, false);
	take(f, CANCELLED, ROTATION_DONE, false);
	take(f, RENEWED, ROTATION_DONE, false);
	take(f, CLEARED, ROTATION_DONE, true);
	/* Asked again it is another one. */
	put(f, ID, WORD, 400);
	take(f, CANCELLED, ROTATION_CANCELLED, false);
	take(f, TOLD, ROTATION_CANCELLED, false);
	take(f, CLEARED, ROTATION_CANCELLED, true);
}

/* What is over goes first, then what waits, the oldest first; what was told or is cleared is no work. By the index. */
static void
test_work(void **state)
{
	struct fixture *f = *state;
	struct store_rotation rows[8];
	struct store_tx *tx = NULL;
	char id[UUID_LEN + 1];
	struct err err = {0};
	bool any = true;
	size_t n, i;

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_rotation_any(tx, &any, &err));
	assert_false(any);
	assert_int_equal(store_rotation_get(tx, ID, &rows[0], &err), E_NOTFOUND);
	store_rollback(&tx);
	for (i = 0; i < 5; i++) {
		(void)snprintf(id, sizeof id, "0a9a1a52-6a5c-4b3e-9c4c-7d9b6b1f000%zu", i);
		put(f, id, WORD, 100 - (int64_t)i);
	}
	take(f, CANCELLED, ROTATION_CANCELLED, false); /* ID is the second one's */
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_rotation_told(tx, "0a9a1a52-6a5c-4b3e-9c4c-7d9b6b1f0003", WORD, 1, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_rotation_work(tx, rows, 8, &n, &err));
	assert_int_equal(n, 4);
	assert_string_equal(rows[0].device_id, ID);
	assert_int_equal(rows[1].device_id[UUID_LEN - 1], '4');
	assert_int_equal(rows[2].device_id[UUID_LEN - 1], '2');
	assert_int_equal(rows[3].device_id[UUID_LEN - 1], '0');
	assert_ok(store_rotation_work(tx, rows, 2, &n, &err));
	assert_int_equal(n, 2);
	assert_ok(store_rotation_any(tx, &any, &err));
	assert_true(any);
	store_rollback(&tx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_forward, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_work, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
