#include "check.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

static void
test_each_code_has_its_own_name(void **state)
{
	int a, b;

	(void)state;
	assert_string_equal(err_name(0), "ok");
	assert_string_equal(err_name(E_NOTFOUND), "not-found");
	assert_string_equal(err_name(E_SYS), "internal");
	for (a = 0; a >= E_STALE; a--)
		for (b = a - 1; b >= E_STALE; b--)
			assert_string_not_equal(err_name(a), err_name(b));
	/* What is no code of ours tells nothing. */
	assert_string_equal(err_name(E_STALE - 1), "internal");
	assert_string_equal(err_name(1), "internal");
}

/* What an earlier error said must not stick to the next one: a client would wait, or look at a field, for nothing. */
static void
test_nothing_of_an_earlier_error_stays(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_field(&err, E_INPUT, "name", "is %d too long", 3), E_INPUT);
	assert_string_equal(err.field, "name");
	assert_string_equal(err.text, "is 3 too long");
	assert_int_equal(err_too_often(&err, 17, "too often"), E_LIMIT);
	assert_int_equal(err.code, E_LIMIT);
	assert_int_equal(err.retry_after_s, 17);
	assert_string_equal(err.field, "");
	assert_int_equal(err_set(&err, E_BUSY, "busy"), E_BUSY);
	assert_int_equal(err.code, E_BUSY);
	assert_int_equal(err.retry_after_s, 0);
	assert_string_equal(err.text, "busy");
}

static void
test_errno_is_told_and_kept(void **state)
{
	struct err err = {0};

	(void)state;
	errno = ENOSPC;
	assert_int_equal(err_sys(&err, "cannot write %s", "x"), E_FULL);
	assert_string_equal(err.text, "cannot write x: No space left on device");
	assert_int_equal(errno, ENOSPC);
	errno = EIO;
	assert_int_equal(err_sys(&err, "cannot write %s", "x"), E_SYS);
}

/* B3: whatever is put in, it ends within its field. */
static void
test_long_texts_are_cut(void **state)
{
	struct {
		struct err err;
		char guard[8];
	} s = {{0}, "guard"};
	char long_text[2 * ERR_TEXT_MAX];
	int i;

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	(void)err_field(&s.err, E_INPUT, long_text, "%s", long_text);
	assert_int_equal(strlen(s.err.field), ERR_FIELD_MAX - 1);
	assert_int_equal(strlen(s.err.text), ERR_TEXT_MAX - 1);
	errno = EIO;
	(void)err_sys(&s.err, "%s", long_text);
	assert_int_equal(strlen(s.err.text), ERR_TEXT_MAX - 1);
	for (i = 0; i < 3; i++)
		(void)err_prefix(&s.err, "%s", long_text);
	assert_int_equal(strlen(s.err.text), ERR_TEXT_MAX - 1);
	assert_string_equal(s.guard, "guard");
}

static void
test_prefix_keeps_code_field_and_wait(void **state)
{
	struct err err = {0};

	(void)state;
	(void)err_field(&err, E_CONFLICT, "csr", "is used");
	assert_int_equal(err_prefix(&err, "device %d", 7), E_CONFLICT);
	assert_string_equal(err.text, "device 7: is used");
	assert_string_equal(err.field, "csr");
	(void)err_too_often(&err, 9, "wait");
	assert_int_equal(err_prefix(&err, "a"), E_LIMIT);
	assert_int_equal(err.retry_after_s, 9);
}

static void
test_nobody_has_to_listen(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, E_GONE, "x"), E_GONE);
	assert_int_equal(err_field(NULL, E_INPUT, "f", "x"), E_INPUT);
	assert_int_equal(err_too_often(NULL, 1, "x"), E_LIMIT);
	assert_int_equal(err_sys(NULL, "x"), E_SYS);
	assert_int_equal(err_nomem(NULL), E_NOMEM);
	assert_int_equal(err_prefix(NULL, "x"), E_SYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_code_has_its_own_name),
	    cmocka_unit_test(test_nothing_of_an_earlier_error_stays),
	    cmocka_unit_test(test_errno_is_told_and_kept),
	    cmocka_unit_test(test_long_texts_are_cut),
	    cmocka_unit_test(test_prefix_keeps_code_field_and_wait),
	    cmocka_unit_test(test_nobody_has_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
