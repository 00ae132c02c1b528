#include "check.h"
#include "vault_fixture.h"

#include <fcntl.h>
#include <stdbool.h>

#define PASSPHRASE "correct horse battery"

static int
setup(void **state)
{
	(void)state;
	return secret_heap_open(1024 * 1024, NULL);
}

/* The content of entry I's byte AT. */
static uint8_t
content(size_t i, size_t at)
{
	return (uint8_t)(at * 31 + at / 251 + i);
}

/* A vault of N entries of those lengths, by the real writer. */
static void
make(struct buf *out, const size_t *lens, size_t n)
{
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	struct vault_writer *w = NULL;
	int fd = vault_file("", 0);
	struct err err = {0};
	char name[16];
	size_t i, at;
	off_t size;

	assert_ok(vault_create(fd, &passphrase, 1, 12345, &w, &err));
	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof name, "entry-%zu", i);
		assert_ok(vault_entry(w, name, lens[i], &err));
		for (at = 0; at < lens[i]; at++) {
			uint8_t byte = content(i, at);

			assert_ok(vault_write(w, &byte, 1, &err));
		}
	}
	assert_ok(vault_finish(w, &err));
	vault_writer_free(w);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, buf_extend(out, (size_t)size), (size_t)size, 0), size);
	(void)close(fd);
	secret_clear(&passphrase);
}

/* Walk through the vault without reading: what `muster restore` does first. */
static int
walk_with(const char *text, const void *data, size_t len, size_t *n_out, struct err *err)
{
	struct secret passphrase = vault_passphrase(text);
	struct vault_reader *r = NULL;
	char name[VAULT_NAME_MAX + 1];
	int rc, fd = vault_file(data, len);
	uint64_t size;

	*n_out = 0;
	if ((rc = vault_open(fd, &passphrase, &r, err)) == 0)
		while ((rc = vault_next(r, name, &size, err)) == 1)
			++*n_out;
	vault_reader_free(r);
	secret_clear(&passphrase);
	(void)close(fd);
	return rc;
}

static int
walk(const void *data, size_t len, struct err *err)
{
	size_t n;

	return walk_with(PASSPHRASE, data, len, &n, err);
}

/* ---- what is sealed comes back ------------------------------------------------------------------------------- */

static void
check_entries(struct vault_reader *r, const size_t *lens, size_t n)
{
	char name[VAULT_NAME_MAX + 1], expected[16];
	struct err err = {0};
	uint8_t *data;
	uint64_t len;
	size_t i, at;

	for (i = 0; i < n; i++) {
		assert_int_equal(vault_next(r, name, &len, &err), 1);
		(void)snprintf(expected, sizeof expected, "entry-%zu", i);
		assert_string_equal(name, expected);
		assert_int_equal(len, lens[i]);
		data = malloc(len + 1);
		assert_ok(vault_read(r, data, len, &err));
		for (at = 0; at < len; at++)
			if (data[at] != content(i, at))
				fail_msg("entry %zu differs at byte %zu", i, at);
		assert_int_equal(vault_read(r, data, 1, &err), E_INPUT);
		free(data);
	}
	assert_int_equal(vault_next(r, name, &len, &err), 0);
	assert_int_equal(vault_next(r, name, &len, &err), 0);
}

static void
test_entries_of_every_length_come_back_twice(void **state)
{
	/* Each entry has 16 bytes before it; one chunk ends exactly with its entry, others within a name. */
	static const size_t cases[][3] = {{0, 0, 0}, {1, 0, 7}, {100, VAULT_CHUNK - 16 * 3 - 101, 1},
	    {VAULT_CHUNK - 16, 1, 1}, {VAULT_CHUNK - 17, VAULT_CHUNK, 5}, {VAULT_CHUNK - 20, 3 * VAULT_CHUNK, 0},
	    {200000, 0, 2 * VAULT_CHUNK}};
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	struct vault_reader *r = NULL;
	struct buf file = {0};
	struct err err = {0};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		make(&file, cases[i], 3);
		fd = vault_file(file.data, file.len);
		assert_ok(vault_open(fd, &passphrase, &r, &err));
		assert_int_equal(vault_made_at(r), 12345);
		check_entries(r, cases[i], 3);
		assert_ok(vault_rewind(r, &err));
		check_entries(r, cases[i], 3);
		vault_reader_free(r);
		r = NULL;
		(void)close(fd);
		buf_clear(&file);
	}
	make(&file, NULL, 0);
	assert_int_equal(walk(file.data, file.len, &err), 0);
	buf_clear(&file);
	secret_clear(&passphrase);
}

static void
test_the_format_is_what_it_says(void **state)
{
	static const uint8_t plain[] = "\x07" "entry-0\0\0\0\0\0\0\0\x03" "\x00\x1f\x3e";
	static const size_t lens[] = {3};
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	struct vault_reader *r = NULL;
	struct buf file = {0};
	struct err err = {0};
	int fd;

	(void)state;
	vault_seal(&file, PASSPHRASE, plain, sizeof plain - 1);
	fd = vault_file(file.data, file.len);
	assert_ok(vault_open(fd, &passphrase, &r, &err));
	assert_int_equal(vault_made_at(r), 12345);
	check_entries(r, lens, 1);
	vault_reader_free(r);
	(void)close(fd);
	buf_clear(&file);
	secret_clear(&passphrase);
}

/* ---- and nothing else does ------------------------------------------------------------------------------------- */

static const size_t small_lens[] = {5, 0, 40};
static const size_t long_lens[] = {3 * VAULT_CHUNK};

static void
test_every_flipped_bit_is_found(void **state)
{
	struct buf file = {0};
	struct err err = {0};
	size_t at;
	int bit;

	(void)state;
	make(&file, small_lens, 3);
	for (at = 0; at < file.len; at++)
		for (bit = 0; bit < 8; bit++) {
			/* An expensive cost is as wrong as a cheap one, and would only take longer. */
			if (at == 8 && bit == 4)
				continue;
			file.data[at] ^= (uint8_t)(1 << bit);
			if (walk(file.data, file.len, &err) != E_INPUT)
				fail_msg("bit %d of byte %zu may be flipped", bit, at);
			file.data[at] ^= (uint8_t)(1 << bit);
		}
	assert_int_equal(walk(file.data, file.len, &err), 0);
	buf_clear(&file);
}

/* Cut the vault of N entries everywhere around its chunks' ends, where a file looks whole. */
static void
check_cuts(const size_t *lens, size_t n)
{
	struct buf file = {0};
	struct err err = {0};
	size_t len;

	make(&file, lens, n);
	for (len = VAULT_HEADER_LEN; len < file.len; len++) {
		size_t in = (len - VAULT_HEADER_LEN) % VAULT_SEALED;

		if (in > 20 && in < VAULT_SEALED - 20)
			len += VAULT_SEALED - 20 - in;
		if (len < file.len && walk(file.data, len, &err) != E_INPUT)
			fail_msg("%zu of %zu bytes are taken for the whole", len, file.len);
	}
	buf_clear(&file);
}

static void
test_every_cut_is_found(void **state)
{
	/* Each entry fills a chunk with the 16 bytes before it: without a mark on the last one, fewer are as sound. */
	static const size_t whole_chunks[] = {VAULT_CHUNK - 16, VAULT_CHUNK - 16, VAULT_CHUNK - 16};
	struct buf file = {0};
	struct err err = {0};
	size_t len;

	(void)state;
	make(&file, small_lens, 3);
	for (len = 0; len < file.len; len++)
		if (walk(file.data, len, &err) != E_INPUT)
			fail_msg("%zu of %zu bytes are taken for the whole", len, file.len);
	buf_clear(&file);
	check_cuts(long_lens, 1);
	check_cuts(whole_chunks, 3);
}

static void
test_whatever_follows_is_found(void **state)
{
	struct buf file = {0};
	struct err err = {0};

	(void)state;
	make(&file, small_lens, 3);
	buf_byte(&file, 0);
	assert_int_equal(walk(file.data, file.len, &err), E_INPUT);
	buf_clear(&file);
	make(&file, small_lens, 3);
	buf_append(&file, file.data + VAULT_HEADER_LEN, file.len - VAULT_HEADER_LEN);
	assert_int_equal(walk(file.data, file.len, &err), E_INPUT);
	buf_clear(&file);
}

/* The file of four chunks with its chunks in another order: "0123" is the right one. */
static int
walk_reordered(const struct buf *file, const char *order, struct err *err)
{
	struct buf other = {0};
	int rc;

	buf_append(&other, file->data, VAULT_HEADER_LEN);
	for (; *order != '\0'; order++) {
		size_t at = VAULT_HEADER_LEN + (size_t)(*order - '0') * VAULT_SEALED;

		buf_append(&other, file->data + at, file->len - at < VAULT_SEALED ? file->len - at : VAULT_SEALED);
	}
	rc = walk(other.data, other.len, err);
	buf_clear(&other);
	return rc;
}

static void
test_chunks_stay_in_their_order(void **state)
{
	static const char *const orders[] = {"1023", "0213", "0132", "3210", "012", "013", "023", "123", "00123", "01123",
	    "01223", "01233", "0", "3", ""};
	struct buf file = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	make(&file, long_lens, 1);
	assert_int_equal(walk_reordered(&file, "0123", &err), 0);
	for (i = 0; i < sizeof orders / sizeof orders[0]; i++)
		if (walk_reordered(&file, orders[i], &err) != E_INPUT)
			fail_msg("chunks in the order %s are taken", orders[i]);
	buf_clear(&file);
}

static void
test_chunks_stay_in_their_file(void **state)
{
	struct buf one = {0}, two = {0};
	struct err err = {0};

	(void)state;
	make(&one, small_lens, 3);
	make(&two, small_lens, 3);
	assert_int_equal(one.len, two.len);
	memcpy(two.data, one.data, VAULT_HEADER_LEN);
	assert_int_equal(walk(two.data, two.len, &err), E_INPUT);
	buf_clear(&one);
	buf_clear(&two);
}

static void
test_other_passphrases_open_nothing(void **state)
{
	static const char *const others[] = {"", "correct horse batterz", "correct horse batter", "correct horse battery "};
	struct buf file = {0};
	struct err err = {0};
	size_t i, n;

	(void)state;
	make(&file, small_lens, 3);
	for (i = 0; i < sizeof others / sizeof others[0]; i++) {
		assert_int_equal(walk_with(others[i], file.data, file.len, &n, &err), E_INPUT);
		assert_non_null(strstr(err.text, "wrong passphrase"));
	}
	buf_clear(&file);
}

static void
test_other_files_and_versions_are_told_apart(void **state)
{
	struct buf file = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(walk("PK\003\004 is no backup, but as long as its header", 45, &err), E_INPUT);
	assert_non_null(strstr(err.text, "not a backup"));
	make(&file, small_lens, 3);
	file.data[7] = '2';
	assert_int_equal(walk(file.data, file.len, &err), E_INPUT);
	assert_non_null(strstr(err.text, "another version"));
	buf_clear(&file);
}

/* ---- authentic, but by a writer that is not ours ---------------------------------------------------------------- */

static int
walk_sealed(const char *plain, size_t len, struct err *err)
{
	struct buf file = {0};
	int rc;

	vault_seal(&file, PASSPHRASE, (const uint8_t *)plain, len);
	rc = walk(file.data, file.len, err);
	buf_clear(&file);
	return rc;
}

#define WALK_SEALED(plain) walk_sealed(plain, sizeof plain - 1, &err)

static void
test_lengths_are_bounded(void **state)
{
	struct err err = {0};
	char names[200];

	(void)state;
	assert_int_equal(WALK_SEALED("\x01" "a\0\0\0\0\0\0\0\x01" "x"), 0);
	assert_int_equal(WALK_SEALED("\x01" "a\0\0\0\0\0\0\0\x02" "x"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x01" "a\0\0\0\0\0\0\0\x00" "x"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x01" "a\0\0\1\0\0\0\0\x00"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x01" "a\0\0\1\0\0\0\0\x01"), E_INPUT);
	assert_non_null(strstr(err.text, "bytes"));
	assert_int_equal(WALK_SEALED("\x01" "a\xff\xff\xff\xff\xff\xff\xff\xff"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x01" "a\x7f\xff\xff\xff\xff\xff\xff\xff"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x00"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x02" "a"), E_INPUT);
	assert_int_equal(WALK_SEALED("\x02" "a\0\0\0\0\0\0\0\0\0"), E_INPUT); /* a NUL in the name */
	memset(names, 'n', sizeof names);
	names[0] = VAULT_NAME_MAX + 1;
	memset(names + VAULT_NAME_MAX + 2, 0, 8);
	assert_int_equal(walk_sealed(names, VAULT_NAME_MAX + 10, &err), E_INPUT);
	names[0] = VAULT_NAME_MAX;
	memset(names + VAULT_NAME_MAX + 1, 0, 8);
	assert_int_equal(walk_sealed(names, VAULT_NAME_MAX + 9, &err), 0);
}

static void
test_the_writer_keeps_its_word(void **state)
{
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	struct vault_writer *w = NULL;
	int fd = vault_file("", 0);
	struct err err = {0};
	char name[VAULT_NAME_MAX + 2];

	(void)state;
	assert_int_equal(vault_create(fd, &passphrase, 0, 0, &w, &err), E_INPUT);
	assert_int_equal(vault_create(fd, &passphrase, VAULT_COST_MAX + 1, 0, &w, &err), E_INPUT);
	assert_ok(vault_create(fd, &passphrase, 1, 0, &w, &err));
	assert_int_equal(vault_entry(w, "", 0, &err), E_INPUT);
	memset(name, 'n', sizeof name);
	name[VAULT_NAME_MAX + 1] = '\0';
	assert_int_equal(vault_entry(w, name, 0, &err), E_INPUT);
	assert_int_equal(vault_entry(w, "a", VAULT_ENTRY_MAX + 1, &err), E_INPUT);
	assert_int_equal(vault_write(w, "x", 1, &err), E_INPUT);
	assert_ok(vault_entry(w, "a", 2, &err));
	assert_int_equal(vault_write(w, "xyz", 3, &err), E_INPUT);
	assert_ok(vault_write(w, "x", 1, &err));
	assert_int_equal(vault_entry(w, "b", 0, &err), E_INPUT);
	assert_int_equal(vault_finish(w, &err), E_INPUT);
	vault_writer_free(w);
	(void)close(fd);
	secret_clear(&passphrase);
}

static void
test_nothing_is_readable_and_no_two_are_alike(void **state)
{
	struct buf one = {0}, two = {0};
	size_t i, same = 0;

	(void)state;
	make(&one, long_lens, 1);
	make(&two, long_lens, 1);
	for (i = VAULT_HEADER_LEN; i < one.len; i++)
		same += one.data[i] == two.data[i];
	assert_true(same < one.len / 128);
	assert_null(memmem(one.data, one.len, "entry-", 6));
	buf_clear(&one);
	buf_clear(&two);
}

static void
test_a_full_disk_is_an_error(void **state)
{
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	static uint8_t zeros[2 * VAULT_CHUNK];
	struct vault_writer *w = NULL;
	int fd = vault_file("", 0);
	struct err err = {0};

	(void)state;
	assert_ok(vault_create(fd, &passphrase, 1, 0, &w, &err));
	assert_ok(vault_entry(w, "a", sizeof zeros, &err));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(vault_write(w, zeros, sizeof zeros, &err), E_SYS);
	vault_writer_free(w);
	(void)close(fd);
	secret_clear(&passphrase);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entries_of_every_length_come_back_twice),
	    cmocka_unit_test(test_the_format_is_what_it_says),
	    cmocka_unit_test(test_every_flipped_bit_is_found),
	    cmocka_unit_test(test_every_cut_is_found),
	    cmocka_unit_test(test_whatever_follows_is_found),
	    cmocka_unit_test(test_chunks_stay_in_their_order),
	    cmocka_unit_test(test_chunks_stay_in_their_file),
	    cmocka_unit_test(test_other_passphrases_open_nothing),
	    cmocka_unit_test(test_other_files_and_versions_are_told_apart),
	    cmocka_unit_test(test_lengths_are_bounded),
	    cmocka_unit_test(test_the_writer_keeps_its_word),
	    cmocka_unit_test(test_nothing_is_readable_and_no_two_are_alike),
	    cmocka_unit_test(test_a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
