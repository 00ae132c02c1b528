#include "capture.h"

#include "base/fs.h"
#include "base/text.h"
#include "cmd/credoptions.h"
#include "x509/key.h"
#include "x509/pem.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64], file[80], out_file[80];
static struct buf csr_der, csr_pem, key_pem, key_der;

static int
setup(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509_REQ *req = X509_REQ_new();
	struct err err = {0};
	uint8_t *der = NULL;
	char *text;
	BIO *bio;
	int len;
	long n;

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof file, "%s/csr", dir);
	(void)snprintf(out_file, sizeof out_file, "%s/out", dir);
	assert_int_equal(X509_REQ_set_pubkey(req, pkey), 1);
	assert_true(X509_REQ_sign(req, pkey, EVP_sha256()) > 0);
	assert_true((len = i2d_X509_REQ(req, &der)) > 0);
	buf_append(&csr_der, der, (size_t)len);
	OPENSSL_free(der);
	pem_encode(&csr_pem, "CERTIFICATE REQUEST", csr_der.data, csr_der.len);
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &text);
	buf_append(&key_pem, text, (size_t)n);
	assert_ok(pem_decode(buf_str(&key_pem), key_pem.len, "PRIVATE KEY", &key_der, &err));
	BIO_free(bio);
	X509_REQ_free(req);
	EVP_PKEY_free(pkey);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	(void)unlink(out_file);
	(void)rmdir(dir);
	buf_clear(&csr_der);
	buf_clear(&csr_pem);
	buf_clear(&key_pem);
	buf_clear(&key_der);
	return 0;
}

/* The body made from FILE holding A and then B. */
static int
body_of(const struct buf *a, const struct buf *b, json_t **body_out, struct err *err)
{
	const struct credoptions options = {.csr_file = file};
	struct buf both = {0};

	buf_append(&both, a->data, a->len);
	if (b != NULL)
		buf_append(&both, b->data, b->len);
	assert_int_equal(fs_write(file, 0600, (gid_t)-1, both.data, both.len, err), 0);
	buf_clear(&both);
	*body_out = json_object();
	return credoptions_body(&options, *body_out, err);
}

static void
test_a_request_is_sent_as_it_is(void **state)
{
	struct buf expected = {0};
	struct err err = {0};
	json_t *body;
	int i;

	(void)state;
	base64_encode(&expected, csr_der.data, csr_der.len);
	for (i = 0; i < 2; i++) {
		assert_ok(body_of(i == 0 ? &csr_pem : &csr_der, NULL, &body, &err));
		assert_string_equal(json_string_value(json_object_get(body, "csr")), buf_str(&expected));
		json_decref(body);
	}
	buf_clear(&expected);
}

/* Who names the key's file by mistake, or keeps both in one, does not send the key. */
static void
test_a_key_is_never_sent(void **state)
{
	const struct {
		const struct buf *a, *b;
	} cases[] = {{&key_pem, NULL}, {&key_der, NULL}, {&key_pem, &csr_pem}, {&csr_pem, &key_pem}, {&csr_der, &key_der}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf sent = {0};
		struct err err = {0};
		const char *text;
		json_t *body;
		int rc = body_of(cases[i].a, cases[i].b, &body, &err);

		text = json_string_value(json_object_get(body, "csr"));
		if (rc == 0) {
			assert_ok(base64_decode(&sent, text, strlen(text), &err));
			assert_int_equal(sent.len, csr_der.len);
			assert_memory_equal(sent.data, csr_der.data, sent.len);
		} else {
			assert_int_equal(rc, E_INPUT);
			assert_non_null(strstr(err.text, file));
			assert_null(text);
		}
		assert_true(rc != 0 || cases[i].b != NULL);
		buf_clear(&sent);
		json_decref(body);
	}
}

static void
test_what_was_chosen(void **state)
{
	struct credoptions options = {.key = "ec-p256", .profile = "short", .valid = "8h", .sans = {"DNS:a", "IP:::1"},
	    .n_sans = 2, .link_ttl_s = 60, .out_file = out_file};
	json_t *body = json_object(), *expected;
	struct err err = {0};

	(void)state;
	assert_ok(credoptions_body(&options, body, &err));
	expected = json_loads("{\"key\":\"ec-p256\",\"profile\":\"short\",\"valid\":\"8h\",\"san\":[\"DNS:a\",\"IP:::1\"],"
			      "\"link_ttl_s\":60}",
	    0, NULL);
	assert_true(json_equal(body, expected));
	json_decref(expected);
	json_decref(body);
	/* Found out before anything is made that cannot be shown again. */
	options.out_file = "/nonexistent/out";
	body = json_object();
	assert_true(credoptions_body(&options, body, &err) != 0);
	json_decref(body);
	options = (struct credoptions){.csr_file = "/nonexistent/csr"};
	body = json_object();
	assert_int_equal(credoptions_body(&options, body, &err), E_NOTFOUND);
	json_decref(body);
}

/* A file that cannot be written must not keep back the password, which is said once. */
static void
test_the_password_is_shown_first(void **state)
{
	struct cli cli = {.dir = CLI_DIR_DEFAULT};
	struct credoptions options = {.out_file = "/nonexistent/out"};
	json_t *answer = json_loads("{\"id\":\"x\",\"certificate\":{\"pem\":\"LEAF\\n\",\"chain_pem\":\"CA\\n\"},"
				    "\"package\":{\"url\":\"https://h/d/t\",\"expires_at\":\"soon\",\"password\":\"once\"}}",
	    0, NULL);
	struct buf out = {0}, written = {0};
	struct err err = {0};
	struct capture c;
	int rc;

	(void)state;
	assert_non_null(answer);
	capture_begin(&c);
	rc = credoptions_show(&cli, &options, answer, &err);
	capture_end(&c, &out);
	assert_int_equal(rc, E_SYS);
	assert_non_null(strstr(buf_str(&out), "once"));
	assert_non_null(strstr(buf_str(&out), "package fetch https://h/d/t -o"));
	buf_reset(&out);
	options.out_file = out_file;
	capture_begin(&c);
	rc = credoptions_show(&cli, &options, answer, &err);
	capture_end(&c, &out);
	assert_ok(rc);
	assert_ok(fs_read(out_file, 4096, &written, &err));
	assert_string_equal(buf_str(&written), "LEAF\nCA\n");
	buf_clear(&out);
	buf_clear(&written);
	json_decref(answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_request_is_sent_as_it_is),
	    cmocka_unit_test(test_a_key_is_never_sent),
	    cmocka_unit_test(test_what_was_chosen),
	    cmocka_unit_test(test_the_password_is_shown_first),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
