#include "check.h"

#include "base/random.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In 64 draws each of the bytes has had each of its bits both ways, and the bytes around have not moved. */
static void
test_all_of_it_and_no_more(void **state)
{
	uint8_t room[40], ones[32] = {0}, zeros[32] = {0};
	struct err err = {0};
	int draw, i;

	(void)state;
	for (draw = 0; draw < 64; draw++) {
		memset(room, 0xa5, sizeof room);
		assert_ok(random_bytes(room + 4, 32, &err));
		assert_memory_equal(room, "\xa5\xa5\xa5\xa5", 4);
		assert_memory_equal(room + 36, "\xa5\xa5\xa5\xa5", 4);
		for (i = 0; i < 32; i++) {
			ones[i] |= room[4 + i];
			zeros[i] |= (uint8_t)~room[4 + i];
		}
	}
	for (i = 0; i < 32; i++) {
		assert_int_equal(ones[i], 0xff);
		assert_int_equal(zeros[i], 0xff);
	}
	assert_ok(random_bytes(room, 0, &err));
}

/* A process whose getrandom(2) answers ERRNO. */
static void
forbid(int number)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof code[0], code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(99);
}

/* Never a success without randomness: keys would be made of what stood there before. */
static void
test_no_randomness_is_an_error(void **state)
{
	struct err err = {0};
	uint8_t byte = 0;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		forbid(ENOSYS);
		_exit(random_bytes(&byte, 1, &err) == E_SYS && err.code == E_SYS && err.text[0] != '\0' ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_of_it_and_no_more),
	    cmocka_unit_test(test_no_randomness_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
