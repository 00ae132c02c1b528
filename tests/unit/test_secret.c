#include "check.h"

#include "base/secret.h"
#include "base/text.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_digest_is_sha256(void **state)
{
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	(void)state;
	sha256(digest, "abc", 3);
	hex_encode(hex, digest, sizeof digest);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* The one that cannot fail, and OpenSSL's own. */
static void
test_mac_of_a_digest(void **state)
{
	uint8_t key[SHA256_LEN], digest[SHA256_LEN], mac[SHA256_LEN], expected[SHA256_LEN];
	struct err err = {0};
	int i;

	(void)state;
	for (i = 0; i < 32; i++) {
		memset(key, i * 8, sizeof key);
		sha256(digest, key, (size_t)i);
		hmac_sha256_digest(mac, key, digest);
		assert_ok(hmac_sha256(expected, key, sizeof key, digest, sizeof digest, &err));
		assert_memory_equal(mac, expected, sizeof mac);
	}
}

static void
test_secrets_are_zeroed_and_compared(void **state)
{
	struct secret s = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(secret_heap_open(65536, &err));
	assert_ok(secret_alloc(&s, 100, &err));
	for (i = 0; i < 100; i++)
		assert_int_equal(s.data[i], 0);
	assert_true(secret_equal("abc", "abc", 3));
	assert_false(secret_equal("abc", "abd", 3));
	secret_clear(&s);
	assert_null(s.data);
	secret_clear(&s);
}

static void
test_the_heap_is_bounded(void **state)
{
	struct secret s = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(secret_alloc(&s, 1 << 20, &err), E_NOMEM);
	assert_null(s.data);
}

static void
test_the_process_cannot_be_dumped(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct err err = {0};
		struct rlimit core;

		_exit(secret_process_protect(&err) == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
			getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_digest_is_sha256),
	    cmocka_unit_test(test_mac_of_a_digest),
	    cmocka_unit_test(test_secrets_are_zeroed_and_compared),
	    cmocka_unit_test(test_the_heap_is_bounded),
	    cmocka_unit_test(test_the_process_cannot_be_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
