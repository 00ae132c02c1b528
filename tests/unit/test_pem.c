#include "check.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

#include "x509/pem.h"

/* Every length around the line's and the triple's edges, against OpenSSL's writer and reader. */
static void
test_agrees_with_openssl(void **state)
{
	struct buf pem = {0}, back = {0};
	struct err err = {0};
	uint8_t data[300];
	char *theirs;
	BIO *bio;
	long n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 151 + 7);
	for (i = 1; i < sizeof data; i++) {
		buf_reset(&pem);
		buf_reset(&back);
		buf_text(&back, "kept");
		pem_encode(&pem, "THING", data, i);
		assert_int_equal(pem.len, pem_size("THING", i));
		bio = BIO_new(BIO_s_mem());
		assert_true(PEM_write_bio(bio, "THING", "", data, (long)i) > 0);
		n = BIO_get_mem_data(bio, &theirs);
		assert_int_equal(pem.len, n);
		assert_memory_equal(pem.data, theirs, (size_t)n);
		assert_ok(pem_decode(theirs, (size_t)n, "THING", &back, &err));
		assert_int_equal(back.len, 4 + i);
		assert_memory_equal(back.data + 4, data, i);
		BIO_free(bio);
	}
	buf_clear(&back);
	buf_clear(&pem);
}

#define BLOCK "-----BEGIN THING-----\nAAEC\n-----END THING-----\n"

static void
test_reads_what_people_send(void **state)
{
	static const char *const good[] = {BLOCK, "Certificate Request:\n    Data:\n" BLOCK,
	    BLOCK "\n \t\r\n", "-----BEGIN THING-----\r\nAAEC\r\n-----END THING-----\r\n",
	    "-----BEGIN THING-----\nAA\nEC\n-----END THING-----"};
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		buf_reset(&out);
		assert_ok(pem_decode(good[i], strlen(good[i]), "THING", &out, &err));
		assert_int_equal(out.len, 3);
		assert_memory_equal(out.data, "\0\1\2", 3);
	}
	buf_clear(&out);
}

/* D9: two blocks, trailing data; and labels, marks and base64 that are wrong. */
static void
test_refuses(void **state)
{
	static const char *const bad[] = {"", "AAEC", BLOCK BLOCK, BLOCK "x",
	    "-----BEGIN OTHER-----\nAAEC\n-----END OTHER-----\n" BLOCK,
	    BLOCK "-----BEGIN OTHER-----\nAAEC\n-----END OTHER-----\n",
	    "-----BEGIN THINGS-----\nAAEC\n-----END THINGS-----\n", " " BLOCK,
	    "-----BEGIN THING-----\nAAEC\n-----END OTHER-----\n", "-----BEGIN THING-----\nAAEC\n",
	    "-----BEGIN THING-----\nAAE\n-----END THING-----\n",
	    "-----BEGIN THING-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END THING-----\n",
	    "-----BEGIN THING-----\nAA\n-----BEGIN THING-----\nEC\n-----END THING-----\n",
	    "-----BEGIN THING----"};
	struct buf out = {0};
	struct err err;
	size_t i;

	(void)state;
	buf_text(&out, "kept");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err = (struct err){0};
		assert_int_equal(pem_decode(bad[i], strlen(bad[i]), "THING", &out, &err), E_INPUT);
		assert_true(strlen(err.text) > 10);
		assert_int_equal(out.len, 4);
	}
	assert_int_equal(pem_decode(NULL, 0, "THING", &out, &err), E_INPUT); /* an empty file's buf */
	buf_clear(&out);
}

static void
test_refuses_every_truncation(void **state)
{
	size_t whole = strlen(BLOCK) - 1, len; /* without the last line's end it is whole still */
	struct buf out = {0};

	(void)state;
	for (len = 0; len < whole; len++)
		assert_int_equal(pem_decode(BLOCK, len, "THING", &out, NULL), E_INPUT);
	assert_int_equal(pem_decode(BLOCK, whole, "THING", &out, NULL), 0);
	buf_clear(&out);
}

/* Whole lines at a time make the same block as all at once. */
static void
test_parts(void **state)
{
	static const size_t lens[] = {0, 1, 47, 48, 49, 96, 500};
	struct buf whole = {0}, parts = {0};
	uint8_t der[500];
	size_t i, at, n;

	(void)state;
	for (i = 0; i < sizeof der; i++)
		der[i] = (uint8_t)(i * 7);
	for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		buf_reset(&whole);
		buf_reset(&parts);
		pem_encode(&whole, "THING", der, lens[i]);
		pem_put_begin(&parts, "THING");
		for (at = 0; at < lens[i]; at += n) {
			n = lens[i] - at < (size_t)PEM_LINE_BYTES ? lens[i] - at : PEM_LINE_BYTES;
			pem_put_part(&parts, der + at, n);
		}
		pem_put_part(&parts, der, 0);
		pem_put_end(&parts, "THING");
		assert_string_equal(buf_str(&parts), buf_str(&whole));
	}
	buf_clear(&whole);
	buf_clear(&parts);
}

/* One by one, whatever stands between; what is damaged ends it. */
static void
test_walks_the_blocks(void **state)
{
	static const uint8_t first[] = {1, 2, 3}, second[] = {4};
	struct buf pem = {0}, der = {0};
	const char *at;

	(void)state;
	pem_encode(&pem, "KEY", second, sizeof second);
	buf_text(&pem, "a note\n");
	pem_encode(&pem, "THING", first, sizeof first);
	pem_encode(&pem, "THING", second, sizeof second);
	buf_text(&pem, "-----BEGIN THING-----\nAQID\n");
	at = buf_str(&pem);
	assert_true(pem_next_block(&at, "THING", &der));
	assert_int_equal(der.len, sizeof first);
	assert_memory_equal(der.data, first, sizeof first);
	assert_true(pem_next_block(&at, "THING", &der));
	assert_int_equal(der.len, sizeof second);
	assert_memory_equal(der.data, second, sizeof second);
	assert_false(pem_next_block(&at, "THING", &der));
	at = "";
	assert_false(pem_next_block(&at, "THING", &der));
	at = "-----BEGIN THING-----\n!!!!\n-----END THING-----\n";
	assert_false(pem_next_block(&at, "THING", &der));
	buf_clear(&pem);
	buf_clear(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_agrees_with_openssl),
	    cmocka_unit_test(test_reads_what_people_send),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_refuses_every_truncation),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_walks_the_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
