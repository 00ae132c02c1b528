/* The audit trail held against what the signer has signed of it (H6): by a real signer, with everything else forged as an
 * attacker would who can write the database, or who has the api's key besides. */
#include "core_fixture.h"

#include "core/auditpoint.h"
#include "base/text.h"
#include "signer/client.h"
#include "store/auditpoint.h"

#include <sqlite3.h>

static void
write_rows(struct fixture *f, int n)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	for (; n > 0; n--) {
		assert_ok(store_begin(f->core->store, &tx, &err));
		assert_ok(audit_write(tx, &f->caller, 1000, "test", "thing", "x", &err, NULL));
		assert_ok(store_commit(&tx, &err));
	}
}

/* Rows, a checkpoint behind them, and so on: five times. */
static int
setup(void **state)
{
	struct fixture *f;
	int i;

	(void)fixture_open(state);
	f = *state;
	fixture_config(f->core)->settings.audit_checkpoint_s = 86400; /* when we say so */
	for (i = 0; i < 5; i++) {
		write_rows(f, 4);
		auditpoint_flush(f->core, true);
	}
	return 0;
}

static int
auditpoint_last_of(struct fixture *f, struct checkpoint *out, struct buf *cms)
{
	struct buf own = {0};
	struct err err = {0};
	int rc = auditpoint_signed(f->core, INT64_MAX, out, cms != NULL ? cms : &own, &err);

	buf_clear(&own);
	return rc;
}

static int
verify(struct fixture *f, struct err *err)
{
	struct store_audit_verdict verdict;

	return audit_verify(f->core, 0, INT64_MAX, &verdict, err);
}

static void
assert_found(struct fixture *f, const char *text)
{
	struct err err = {0};

	if (verify(f, &err) != E_CONFLICT || strstr(err.text, text) == NULL)
		fail_msg("instead of \"%s\": %d %s", text, err.code, err.text);
}

static int patience_ms = 5000; /* with the signer */

/* Run SQL on the database while nobody has it open; the next core verifies before it takes another checkpoint. */
static void
tamper(struct fixture *f, const char *sql)
{
	char path[FS_PATH_MAX], socket[FS_PATH_MAX], *why = NULL;
	struct err err = {0};
	sqlite3 *db;

	fixture_core_close(f);
	assert_ok(fs_path(path, f->home.dir, "muster.db", &err));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_ok(core_open(f->home.dir, -1, -1, &f->core, &err));
	f->core->publish_gap_ms = fixture_gap_ms;
	fixture_config(f->core)->settings.audit_checkpoint_s = 86400;
	fixture_config(f->core)->settings.keypool_rsa_2048 = 0;
	assert_ok(fs_path(socket, f->home.dir, "signer.sock", &err));
	assert_ok(signer_open(socket, patience_ms, &f->core->signer, &err));
}

static void
test_intact(void **state)
{
	struct fixture *f = *state;
	struct checkpoint last = {0}, theirs = {0};
	struct store_audit_verdict verdict;
	struct buf cms = {0}, again = {0}, root = {0};
	uint8_t none[SHA256_LEN] = {0};
	struct err err = {0};
	int64_t after;
	uint64_t number;

	assert_ok(verify(f, &err));
	assert_ok(auditpoint_last_of(f, &last, &cms));
	number = last.number;
	assert_true(number >= 5);
	auditpoint_flush(f->core, true); /* nothing new, nothing signed */
	assert_ok(auditpoint_behind(f->core, &after, &err));
	assert_int_equal(after, 0);
	assert_ok(auditpoint_last_of(f, &last, NULL));
	assert_true(last.number == number);

	/* The signer says the same again, and what it says is under the root alone. */
	assert_ok(signer_checkpoint(f->core->signer, 0, none, &theirs, &again, &err));
	assert_true(theirs.number == last.number && theirs.seq == last.seq && theirs.at == last.at);
	fixture_file(f, "ca/root.crt", &root);
	memset(&theirs, 0, sizeof theirs);
	assert_ok(checkpoint_verify(cms.data, cms.len, buf_str(&root), &theirs, &err));
	assert_true(theirs.number == last.number && theirs.seq == last.seq);
	assert_memory_equal(theirs.head, last.head, SHA256_LEN);

	/* Page by page it is the same. */
	for (after = 0, verdict.is_end = false; !verdict.is_end; after = verdict.last) {
		assert_ok(audit_verify(f->core, after, 3, &verdict, &err));
		assert_true(verdict.rows <= 3);
	}
	assert_true(after >= last.seq);
	buf_clear(&cms);
	buf_clear(&again);
	buf_clear(&root);
}

/* The signer itself refuses an api that was taken over: no shorter history, and no other one. */
static void
test_the_signer_refuses_a_shorter_trail(void **state)
{
	struct fixture *f = *state;
	struct checkpoint last = {0}, out = {0};
	struct buf cms = {0};
	uint8_t head[SHA256_LEN];
	struct err err = {0};

	assert_ok(auditpoint_last_of(f, &last, NULL));
	memset(head, 7, sizeof head);
	assert_int_equal(signer_checkpoint(f->core->signer, last.seq - 1, head, &out, &cms, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "its end was cut off"));
	assert_int_equal(signer_checkpoint(f->core->signer, last.seq, head, &out, &cms, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "rewritten"));
	assert_int_equal(signer_checkpoint(f->core->signer, 1, last.head, &out, &cms, &err), E_CONFLICT);
	assert_true(out.number == 0 && cms.len == 0);
	assert_ok(verify(f, &err));
	/* It remembers after its end, too. */
	fixture_signer_kill(&f->home);
	fixture_signer_start(&f->home);
	while (signer_checkpoint(f->core->signer, last.seq - 1, head, &out, &cms, &err) == E_BUSY)
		(void)usleep(10000);
	assert_int_equal(err.code, E_CONFLICT);
	assert_ok(verify(f, &err));
	buf_clear(&cms);
}

/* H6: the tail cut with the head put back to match, which the chain alone cannot tell; checkpoints removed, or replaced by
 * older ones. */
static void
test_what_the_chain_cannot_tell(void **state)
{
#define CUT(n)                                                                                                         \
	"DELETE FROM audit WHERE seq > (SELECT max(seq) - " n " FROM audit);"                                           \
	"UPDATE setting SET value = (SELECT seq || ' ' || lower(hex(hash)) FROM audit ORDER BY seq DESC LIMIT 1)"      \
	" WHERE name = 'audit_head';"
#define FORGET(n) "DELETE FROM audit_checkpoint WHERE number > (SELECT max(number) - " n " FROM audit_checkpoint);"
	static const struct {
		const char *sql, *text;
	} cases[] = {
	    {CUT("1"), "is missing: it was there at checkpoint"},
	    {CUT("7"), "is missing: it was there at checkpoint"},
	    {CUT("1") FORGET("1"), "is missing: it was there at checkpoint"}, /* the signer knows that one */
	    {CUT("7") FORGET("3"), "the signer remembers it, for audit row"},
	    {FORGET("2"), "the signer remembers it, for audit row"},
	    {"DELETE FROM audit_checkpoint", "the signer remembers it, for audit row"},
	    {"DELETE FROM audit_checkpoint WHERE number = 3", "checkpoint 3 is missing"},
	    {"DELETE FROM audit_checkpoint WHERE number = 1", "checkpoint 1 is missing"},
	    {"UPDATE audit_checkpoint SET at = at - 1 WHERE number = 3", "checkpoint 4 or the one before it was changed"},
	    {"UPDATE audit_checkpoint SET previous = zeroblob(32) WHERE number = 3", "checkpoint 3 or the one before"},
	    {"UPDATE audit_checkpoint SET head = zeroblob(32) WHERE number = 3", "has not the hash that it had at checkpoint 3"},
	    {"UPDATE audit_checkpoint SET seq = seq + 1 WHERE number = 3", "has not the hash that it had at checkpoint 3"},
	    /* The last one replaced by the one before. */
	    {"UPDATE audit_checkpoint SET (at, head, previous) = (SELECT at, head, previous FROM audit_checkpoint c"
	     " WHERE c.number = audit_checkpoint.number - 1) WHERE number = (SELECT max(number) FROM audit_checkpoint)",
		"or the one before it was changed"},
	    {"UPDATE audit_checkpoint SET at = at + 1 WHERE number = (SELECT max(number) FROM audit_checkpoint)",
		"is not the one that the signer remembers"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		void *own = NULL;

		(void)setup(&own);
		tamper(own, cases[i].sql);
		assert_found(own, cases[i].text);
		(void)fixture_close(&own);
	}
}

/* H6: history made anew by who has audit.key as well, such as an api that was taken over: every row fits, but not what was
 * signed of it before. */
static void
test_a_trail_made_anew_with_the_key(void **state)
{
	struct fixture *f = *state;
	struct checkpoint last;
	struct err err = {0};

	assert_ok(auditpoint_last_of(f, &last, NULL));
	tamper(f, "DELETE FROM audit; UPDATE setting SET value = '0 ' || lower(hex(zeroblob(32))) WHERE name = 'audit_head'");
	write_rows(f, (int)last.seq + 8); /* longer than it was */
	assert_found(f, "has not the hash that it had at checkpoint 1");
	/* Even if the signer, who cannot know, signs what comes now. */
	auditpoint_flush(f->core, true);
	assert_found(f, "has not the hash that it had at checkpoint 1");
	tamper(f, "DELETE FROM audit_checkpoint WHERE number < (SELECT max(number) FROM audit_checkpoint)");
	assert_found(f, "checkpoint 1 is missing");
}

/* A crash between the signature and its row: nothing is missed, and nothing is accused. */
static void
test_a_lost_answer(void **state)
{
	struct fixture *f = *state;
	struct store_audit_head head;
	struct checkpoint last, next, stored;
	struct store_tx *tx = NULL;
	struct buf cms = {0};
	struct err err = {0};

	assert_ok(auditpoint_last_of(f, &last, NULL));
	tamper(f, "SELECT 1"); /* another core, which has looked at nothing yet */
	write_rows(f, 2);
	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(store_audit_head(tx, &head, &err));
	store_rollback(&tx);
	assert_ok(signer_checkpoint(f->core->signer, head.seq, head.hash, &next, &cms, &err));
	write_rows(f, 1);
	assert_ok(verify(f, &err)); /* stores it */
	assert_ok(auditpoint_last_of(f, &stored, NULL));
	assert_true(stored.number == next.number && next.number > last.number);
	auditpoint_flush(f->core, true);
	assert_ok(auditpoint_last_of(f, &stored, NULL));
	assert_true(stored.number == next.number + 1);
	assert_ok(verify(f, &err));
	buf_clear(&cms);
}

static void
test_without_the_signer(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	patience_ms = 300;
	tamper(f, "SELECT 1");
	fixture_signer_kill(&f->home);
	assert_int_equal(verify(f, &err), E_BUSY);
	write_rows(f, 1);
	auditpoint_flush(f->core, true);
	fixture_signer_start(&f->home);
	while (verify(f, &err) == E_BUSY)
		(void)usleep(10000);
	assert_ok(verify(f, &err));
	patience_ms = 5000;
}

static struct checkpoint
point_of(struct fixture *f, int64_t number)
{
	struct store_auditpoint row;
	struct checkpoint c = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(store_auditpoint_before(tx, number + 1, &row, &err));
	store_rollback(&tx);
	assert_int_equal(row.number, number);
	c.seq = row.seq;
	memcpy(c.head, row.head, SHA256_LEN);
	return c;
}

static int
archive(struct fixture *f, const struct checkpoint *upto, int64_t *base, struct err *err)
{
	static const uint8_t file[SHA256_LEN] = {0xab};
	struct caller caller = f->caller;

	(void)text_copy(caller.from, sizeof caller.from, "socket");
	return audit_archive(f->core, &caller, upto->seq, upto->head, file, base, err);
}

/* What was archived is gone, the rest is verified from there, and nobody else can make it look so. */
static void
test_archive(void **state)
{
	struct fixture *f = *state;
	struct checkpoint upto = point_of(f, 2), other = upto;
	struct store_audit_verdict verdict;
	struct err err = {0};
	int64_t base = -1;

	assert_int_equal(audit_archive(f->core, &f->caller, upto.seq, upto.head, upto.head, &base, &err), E_DENIED);
	other.head[0] ^= 1;
	assert_int_equal(archive(f, &other, &base, &err), E_CONFLICT);
	other = upto;
	other.seq++;
	assert_int_equal(archive(f, &other, &base, &err), E_CONFLICT);
	assert_int_equal(base, -1);
	assert_ok(archive(f, &upto, &base, &err));
	assert_int_equal(base, upto.seq);
	assert_int_equal(archive(f, &upto, &base, &err), E_CONFLICT); /* again */
	assert_ok(audit_verify(f->core, 0, INT64_MAX, &verdict, &err));
	assert_true(verdict.archived == base && verdict.rows == verdict.last - base);
	assert_ok(audit_verify(f->core, base + 1, INT64_MAX, &verdict, &err));
	auditpoint_flush(f->core, true);
	assert_ok(verify(f, &err));
	upto = point_of(f, 4);
	assert_ok(archive(f, &upto, &base, &err));
	assert_ok(verify(f, &err));
	tamper(f, "SELECT 1"); /* another start */
	assert_ok(verify(f, &err));
}

/* H6: rows removed as if they had been archived. */
static void
test_no_archive_was_made(void **state)
{
#define REMOVE                                                                                                         \
	"INSERT OR REPLACE INTO setting (name, value) SELECT 'audit_base', seq || ' ' || lower(hex(head)) FROM audit_checkpoint"     \
	" WHERE number = 3; DELETE FROM audit WHERE seq <= (SELECT seq FROM audit_checkpoint WHERE number = 3);"        \
	"DELETE FROM audit_checkpoint WHERE number < 3;"
	static const struct {
		const char *sql, *text;
	} cases[] = {
	    {REMOVE, "are missing, and were not archived"},
	    {"DELETE FROM setting WHERE name = 'audit_base'", "audit row 1 is missing"},
	    {"UPDATE setting SET value = 'x' WHERE name = 'audit_base'", "is damaged"},
	    {"UPDATE setting SET value = (SELECT seq || ' ' || lower(hex(zeroblob(32))) FROM audit_checkpoint WHERE number = 2)"
	     " WHERE name = 'audit_base'", "was changed or moved"},
	    {"DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)", "is missing"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct checkpoint upto;
		struct err err = {0};
		void *own = NULL;
		int64_t base;

		(void)setup(&own);
		upto = point_of(own, 2);
		assert_ok(archive(own, &upto, &base, &err));
		tamper(own, cases[i].sql);
		assert_found(own, cases[i].text);
		(void)fixture_close(&own);
	}
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, setup, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_intact),
	    case_of(test_the_signer_refuses_a_shorter_trail),
	    cmocka_unit_test(test_what_the_chain_cannot_tell),
	    case_of(test_a_trail_made_anew_with_the_key),
	    case_of(test_a_lost_answer),
	    case_of(test_without_the_signer),
	    case_of(test_archive),
	    cmocka_unit_test(test_no_archive_was_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
