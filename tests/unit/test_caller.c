#include "check.h"

#include "core/caller.h"

#include <string.h>

static const enum role roles[] = {ROLE_ADMIN, ROLE_OPERATOR, ROLE_ENROLLER, ROLE_AUDITOR, ROLE_BROKER};

/* A role is stored by its name: what is read back must be the same one, and alone. */
static void
test_names_round(void **state)
{
	unsigned all = 0;
	enum role role;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		assert_true(role_parse(role_name(roles[i]), &role));
		assert_int_equal(role, roles[i]);
		assert_int_equal(all & (unsigned)role, 0);
		all |= (unsigned)role;
	}
	assert_string_equal(role_name(ROLE_ADMIN), "admin");
	assert_string_equal(role_name(ROLE_BROKER), "broker");
}

/* What is no role is nobody; two at once are none. */
static void
test_unknown_is_nobody(void **state)
{
	static const char *const names[] = {"", "Admin", "admin ", "root", "nobody", "admin,operator"};
	enum role role = ROLE_BROKER;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_false(role_parse(names[i], &role));
	assert_int_equal(role, ROLE_BROKER);
	assert_string_equal(role_name((enum role)0), "nobody");
	assert_string_equal(role_name((enum role)(ROLE_ADMIN | ROLE_OPERATOR)), "nobody");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_round),
	    cmocka_unit_test(test_unknown_is_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
