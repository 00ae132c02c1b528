/* What every unit test includes: cmocka and its prerequisites, in the order it needs. */
#ifndef MUSTER_TESTS_CHECK_H
#define MUSTER_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first. */
#include <cmocka.h>

/* A call that must succeed; shows the error's text when it does not. Needs a `struct err err` in scope. */
#define assert_ok(call) \
	do { \
		if ((call) != 0) \
			fail_msg("%s: %s", #call, err.text); \
	} while (0)

#endif
