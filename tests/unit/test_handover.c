/* What is handed over is read whole, and written by nobody else. */
#include "check.h"

#include "base/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX 4096

static void
test_the_last_text_is_read(void **state)
{
	struct handover s;
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_ok(handover_open(MAX, &s, &err));
	handover_put(&s, "first", 5);
	buf_text(&out, "<");
	assert_ok(handover_read(s.fd, MAX, &out, &err));
	assert_string_equal(buf_str(&out), "<first");
	buf_reset(&out);
	handover_put(&s, "2", 1);
	assert_ok(handover_read(s.fd, MAX, &out, &err));
	assert_string_equal(buf_str(&out), "2");
	buf_reset(&out);
	handover_put(&s, "", 0);
	assert_ok(handover_read(s.fd, MAX, &out, &err));
	assert_int_equal(out.len, 0);
	buf_clear(&out);
	(void)munmap(s.map, 40 + MAX);
	(void)close(s.fd);
}

static void
test_readers_cannot_write(void **state)
{
	struct handover s;
	struct buf out = {0};
	char path[64];
	struct err err = {0};
	int again;

	(void)state;
	assert_ok(handover_open(MAX, &s, &err));
	handover_put(&s, "mine", 4);
	assert_int_equal(pwrite(s.fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(s.fd, 0), -1);
	assert_ptr_equal(mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0), MAP_FAILED);
	/* Nor by another descriptor. */
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", s.fd);
	if ((again = open(path, O_RDWR)) >= 0) {
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		(void)close(again);
	}
	assert_ok(handover_read(s.fd, MAX, &out, &err));
	assert_string_equal(buf_str(&out), "mine");
	buf_clear(&out);
	(void)munmap(s.map, 40 + MAX);
	(void)close(s.fd);
}

static void
test_what_is_no_handover(void **state)
{
	struct handover s;
	struct buf out = {0};
	struct err err = {0};
	int pipe_ends[2];

	(void)state;
	assert_ok(handover_open(MAX, &s, &err));
	handover_put(&s, "longer than three", 17);
	assert_int_equal(handover_read(s.fd, 3, &out, &err), E_LIMIT);
	s.map[40] ^= 1; /* as if its writer had died in the middle */
	assert_int_equal(handover_read(s.fd, MAX, &out, &err), E_BUSY);
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(handover_read(pipe_ends[0], MAX, &out, &err), E_SYS);
	assert_int_equal(handover_read(-1, MAX, &out, &err), E_SYS);
	assert_int_equal(out.len, 0);
	(void)close(pipe_ends[0]);
	(void)close(pipe_ends[1]);
	(void)munmap(s.map, 40 + MAX);
	(void)close(s.fd);
	buf_clear(&out);
}

struct writer {
	struct handover *handover;
	atomic_bool stop;
};

static void *
write_on(void *arg)
{
	struct writer *w = arg;
	char text[MAX];
	size_t i;

	for (i = 0; !atomic_load(&w->stop); i++) {
		memset(text, 'a' + (int)(i % 26), sizeof text);
		handover_put(w->handover, text, 1 + i % MAX);
		(void)usleep(200);
	}
	return NULL;
}

static void
test_never_half_of_one(void **state)
{
	struct handover s;
	struct writer w = {.handover = &s};
	struct buf out = {0};
	struct err err = {0};
	pthread_t thread;
	size_t n, i;

	(void)state;
	assert_ok(handover_open(MAX, &s, &err));
	handover_put(&s, "a", 1);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	for (n = 0; n < 300; n++) {
		buf_reset(&out);
		assert_ok(handover_read(s.fd, MAX, &out, &err));
		for (i = 1; i < out.len; i++)
			assert_int_equal(out.data[i], out.data[0]);
	}
	atomic_store(&w.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)munmap(s.map, 40 + MAX);
	(void)close(s.fd);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_last_text_is_read),
	    cmocka_unit_test(test_readers_cannot_write),
	    cmocka_unit_test(test_what_is_no_handover),
	    cmocka_unit_test(test_never_half_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
