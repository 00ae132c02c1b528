#include "core_fixture.h"

#include "core/publisher.h"

/* Try to open a core on the home, with its file NAME replaced by TEXT (NULL: removed) for the while. */
static int
open_with(struct fixture *f, const char *name, const char *text, struct err *err)
{
	char path[FS_PATH_MAX], aside[FS_PATH_MAX];
	struct core *core = NULL;
	int rc;

	memset(err, 0, sizeof *err);
	assert_int_equal(fs_path(path, f->home.dir, name, err), 0);
	assert_int_equal(fs_path(aside, f->home.dir, "aside", err), 0);
	assert_int_equal(rename(path, aside), 0);
	if (text != NULL)
		assert_int_equal(fs_write(path, 0600, (gid_t)-1, text, strlen(text), err), 0);
	rc = core_open(f->home.dir, -1, -1, &core, err);
	assert_true(rc != 0 && core == NULL);
	assert_int_equal(rename(aside, path), 0);
	return rc;
}

/* I3, and the same for each other file. Nothing leaks, and the home is as it was. */
static void
test_homes_that_are_broken(void **state)
{
	static const struct {
		const char *name, *text;
		int rc;
	} cases[] = {
	    {"muster.conf", NULL, E_NOTFOUND},
	    {"muster.conf", "[api]\nlisten = nowhere\n", E_INPUT},
	    {"muster.conf", "[profile x]\nvalidity = never\n", E_INPUT},
	    {"ca/root.crt", NULL, E_NOTFOUND},
	    {"ca/root.crt", "", E_INPUT},
	    {"ca/issuing.crt", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", E_INPUT},
	    {"ca/issuing.crt", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", E_INPUT},
	    {"muster.db", NULL, E_NOTFOUND},
	    {"muster.db", "no database", E_INPUT},
	};
	struct fixture *f = *state;
	struct core *core = NULL;
	struct err err = {0};
	size_t i;

	fixture_core_close(f);
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int rc = open_with(f, cases[i].name, cases[i].text, &err);

		if (rc != cases[i].rc)
			fail_msg("%s: %d (%s)", cases[i].name, rc, err.text);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(core_open("/nonexistent/home", -1, -1, &core, &err), E_NOTFOUND);
	core_close(NULL);
	fixture_core_open(f); /* and all is as before */
}

/* A signer that holds another CA is not ours: what it signs would verify nowhere. */
static void
test_a_signer_of_another_home(void **state)
{
	struct fixture *f = *state;
	void *other_state = NULL;
	struct fixture *other;
	char ours[FS_PATH_MAX], theirs[FS_PATH_MAX];
	struct core *core = NULL;
	struct err err = {0};

	fixture_core_close(f); /* before the other's signer is forked, which would keep its lock */
	assert_int_equal(fixture_open(&other_state), 0);
	other = other_state;
	assert_ok(fs_path(ours, f->home.dir, "signer.sock", &err));
	assert_ok(fs_path(theirs, other->home.dir, "signer.sock", &err));
	assert_int_equal(unlink(ours), 0);
	assert_int_equal(symlink(theirs, ours), 0);
	assert_ok(core_open(f->home.dir, -1, -1, &core, &err));
	assert_int_equal(core_start(core, &err), E_SYS);
	assert_non_null(strstr(err.text, "another CA"));
	core_close(core);
	assert_int_equal(fixture_close(&other_state), 0);
	(void)close(f->home.listener);
	assert_int_equal(unlink(ours), 0);
	fixture_listen(&f->home);
	fixture_signer_kill(&f->home);
	fixture_signer_start(&f->home);
	fixture_core_open(f);
}

static int64_t
in_a_year(void)
{
	return clock_now() + 365LL * 86400;
}

/* Ready means: it can do what it is for. */
static void
test_readiness(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	int i, rc;

	assert_ok(core_ready(f->core, &err));
	/* Not to be caught by the publisher, whose own clock this is: it looks once a minute. */
	f->core->now = in_a_year;
	assert_int_equal(core_ready(f->core, &err), E_BUSY);
	assert_non_null(strstr(err.text, "expired"));
	f->core->now = clock_now;
	assert_ok(core_ready(f->core, &err));
	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home);
	assert_int_equal(core_ready(f->core, &err), E_BUSY);
	fixture_listen(&f->home);
	fixture_signer_start(&f->home);
	for (i = 0; i < 100 && (rc = core_ready(f->core, &err)) != 0; i++)
		(void)usleep(20000);
	assert_int_equal(rc, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_homes_that_are_broken),
	    cmocka_unit_test(test_a_signer_of_another_home),
	    cmocka_unit_test(test_readiness),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
