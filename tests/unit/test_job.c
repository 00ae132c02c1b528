#include "core_fixture.h"

#include "csr_fixture.h"

#include "core/import.h"
#include "core/job.h"

#include <time.h>
#include <unistd.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Make a job of two rows, or find it. */
static struct store_job
make(struct fixture *f, const struct caller *caller, bool *made)
{
	const struct job_request request = {.name = "fleet.csv", .digest = DIGEST, .total = 2};
	struct store_job job = {0};
	struct err err = {0};

	assert_ok(job_create(f->core, caller, &request, made, &job, &err));
	return job;
}

/* Add the rows FIRST … of this name, each with a key of its own. */
static int
add(struct fixture *f, const char *id, int64_t first, size_t n, const char *name, struct err *err)
{
	struct job_row_request rows[2] = {0};
	struct store_job job = {0};
	struct buf csrs[2] = {0};
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		csr_fresh(NULL, &csrs[i]);
		rows[i].device = (struct device_request){.name = name, .type = "pump",
		    .credential = {.csr = csrs[i].data, .csr_len = csrs[i].len}};
		sha256(rows[i].digest, name, strlen(name));
		rows[i].digest[0] = (uint8_t)(first + (int64_t)i);
	}
	rc = job_rows_add(f->core, &f->caller, id, first, rows, n, &job, err);
	store_job_clear(&job);
	for (i = 0; i < n; i++)
		buf_clear(&csrs[i]);
	return rc;
}

static void
expire(struct fixture *f, int64_t before)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n;

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_job_expire(tx, before, 100, &n, &err));
	assert_ok(store_commit(&tx, &err));
}

/* B9, H2: another tenant has jobs of its own, of the same rows, and reaches no other. */
static void
test_each_tenant_has_its_own(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct store_job mine, none = {0}, list[4];
	char next[STORE_CURSOR_SIZE];
	struct job_row rows[2];
	struct err err = {0};
	bool made;
	size_t n;

	other.tenant_id = 2;
	mine = make(f, &f->caller, &made);
	assert_true(made);
	assert_int_equal(job_get(f->core, &other, mine.id, &none, &err), E_NOTFOUND);
	assert_int_equal(job_start(f->core, &other, mine.id, &none, &err), E_NOTFOUND);
	assert_int_equal(job_cancel(f->core, &other, mine.id, &none, &err), E_NOTFOUND);
	assert_int_equal(job_rows_add(f->core, &other, mine.id, 1, &(struct job_row_request){0}, 1, &none, &err), E_NOTFOUND);
	assert_int_equal(job_rows(f->core, &other, mine.id, -1, 2, NULL, rows, &n, next, &err), E_NOTFOUND);
	assert_ok(job_list(f->core, &other, 4, NULL, list, &n, next, &err));
	assert_int_equal(n, 0);
	store_job_clear(&mine);
	mine = make(f, &f->caller, &made); /* the same order finds it */
	assert_false(made);
	assert_ok(job_cancel(f->core, &f->caller, mine.id, &none, &err));
	store_job_clear(&none);
	store_job_clear(&mine);
}

/* A row is done once, of a job that runs, and with nothing else. */
static void
test_a_row_is_done_once(void **state)
{
	static const uint8_t serial[STORE_SERIAL_LEN] = {1};
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct store_job job, now = {0};
	struct err err = {0};
	bool made;

	import_stop(f->core->import); /* nobody else takes them */
	f->core->import = NULL;
	job = make(f, &f->caller, &made);
	assert_true(made);
	assert_int_equal(job_start(f->core, &f->caller, job.id, &now, &err), E_CONFLICT);
	assert_int_equal(add(f, job.id, 2, 1, "a", &err), E_INPUT);
	assert_ok(add(f, job.id, 1, 2, "a", &err));
	assert_ok(add(f, job.id, 1, 2, "a", &err));
	assert_int_equal(add(f, job.id, 2, 1, "b", &err), E_CONFLICT);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_int_equal(store_job_row_done(tx, job.id, 1, serial, NULL, 0, &err), E_CONFLICT); /* it does not run yet */
	store_rollback(&tx);
	assert_ok(job_start(f->core, &f->caller, job.id, &now, &err));
	assert_int_equal(now.state, JOB_RUNNING);
	assert_int_equal(add(f, job.id, 3, 1, "a", &err), E_INPUT);
	store_job_clear(&now);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_job_row_done(tx, job.id, 1, serial, NULL, 0, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_int_equal(store_job_row_done(tx, job.id, 1, serial, NULL, 0, &err), E_CONFLICT);
	store_rollback(&tx);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_int_equal(store_job_row_fail(tx, job.id, 1, &err, &err), E_CONFLICT);
	store_rollback(&tx);
	assert_ok(job_cancel(f->core, &f->caller, job.id, &now, &err));
	assert_true(now.done == 1 && now.failed == 0);
	store_job_clear(&now);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_int_equal(store_job_row_done(tx, job.id, 2, serial, NULL, 0, &err), E_CONFLICT);
	store_rollback(&tx);
	store_job_clear(&job);
	assert_ok(import_start(f->core, &f->core->import, &err));
}

/* Wait for the job to be over. */
static struct store_job
ended(struct fixture *f, const char *id)
{
	const struct timespec pause = {0, 5000000};
	struct store_job job = {0};
	struct err err = {0};
	int i;

	for (i = 0; i < 4000; i++) {
		store_job_clear(&job);
		assert_ok(job_get(f->core, &f->caller, id, &job, &err));
		if (job.ended_at != 0)
			return job;
		(void)nanosleep(&pause, NULL);
	}
	fail_msg("the job does not end");
	return job;
}

/* Two jobs at a time, one of which is cancelled: each row of the other is a device, and none is one twice. */
static void
test_jobs_are_made_by_turns(void **state)
{
	static const char *const digests[] = {DIGEST, "f" DIGEST};
	struct fixture *f = *state;
	struct job_request request = {.name = "fleet.csv", .total = 20};
	struct store_job jobs[2], now = {0};
	struct err err = {0};
	struct job_row rows[20];
	char digest[sizeof DIGEST], next[STORE_CURSOR_SIZE];
	int64_t first;
	size_t n, i, k;
	bool made;

	for (i = 0; i < 2; i++) {
		(void)text_copy(digest, sizeof digest, digests[i]);
		request.digest = digest;
		assert_ok(job_create(f->core, &f->caller, &request, &made, &jobs[i], &err));
		assert_true(made);
		for (first = 1; first <= 20; first += 2)
			assert_ok(add(f, jobs[i].id, first, 2, i == 0 ? "a" : "b", &err));
	}
	for (i = 0; i < 2; i++) {
		assert_ok(job_start(f->core, &f->caller, jobs[i].id, &now, &err));
		store_job_clear(&now);
	}
	/* It may be quicker than that. */
	if (job_cancel(f->core, &f->caller, jobs[1].id, &now, &err) == 0)
		store_job_clear(&now);
	for (i = 0; i < 2; i++) {
		now = ended(f, jobs[i].id);
		assert_int_equal(now.failed, 0);
		if (i == 0)
			assert_int_equal(now.done, 20);
		store_job_clear(&now);
	}
	import_stop(f->core->import); /* what was under way has ended */
	f->core->import = NULL;
	for (i = 0; i < 2; i++) {
		assert_ok(job_get(f->core, &f->caller, jobs[i].id, &now, &err));
		assert_ok(job_rows(f->core, &f->caller, jobs[i].id, JOB_ROW_DONE, 20, NULL, rows, &n, next, &err));
		assert_int_equal(n, now.done);
		for (k = 0; k < n; k++) {
			struct store_device device = {0};

			assert_ok(device_get(f->core, &f->caller, rows[k].row.device_id, &device, &err));
			assert_string_equal(device.name, i == 0 ? "a" : "b");
			assert_non_null(rows[k].certificate.der);
			assert_string_equal(rows[k].certificate.owner_id, device.id);
			store_device_clear(&device);
			job_row_clear(&rows[k]);
		}
		store_job_clear(&now);
		store_job_clear(&jobs[i]);
	}
	assert_ok(import_start(f->core, &f->core->import, &err));
}

/* What is over goes when its time has come, and not before; what runs stays. */
static void
test_old_jobs_go(void **state)
{
	struct fixture *f = *state;
	struct store_job open, now = {0};
	struct err err = {0};
	int64_t t = f->core->now();
	bool made;
	int i;

	open = make(f, &f->caller, &made);
	assert_ok(add(f, open.id, 1, 2, "a", &err));
	expire(f, t - 10);
	assert_ok(job_get(f->core, &f->caller, open.id, &now, &err));
	store_job_clear(&now);
	for (i = 0; i < 8; i++) /* and those that were over before, one at a time */
		expire(f, t + 60);
	assert_int_equal(job_get(f->core, &f->caller, open.id, &now, &err), E_NOTFOUND);
	store_job_clear(&open);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_tenant_has_its_own),
	    cmocka_unit_test(test_a_row_is_done_once),
	    cmocka_unit_test(test_jobs_are_made_by_turns),
	    cmocka_unit_test(test_old_jobs_go),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
