#include "x509_fixture.h"

#include "x509/cacert.h"
#include "x509/chain.h"
#include "x509/pem.h"

/* root -> issuing -> leaf for pump.example and 192.0.2.7, made by our own modules and judged by OpenSSL. */
static struct buf root, issuing, leaf, full, stranger;

static void
pem_of(struct buf *out, const struct buf *der)
{
	pem_encode(out, "CERTIFICATE", der->data, der->len);
	assert_false(buf_failed(out));
}

static void
leaf_make(const struct buf *issuing_der, struct key *issuing_key, unsigned usage, struct buf *pem_out)
{
	const char *const sans[] = {"DNS:pump.example", "IP:192.0.2.7"};
	struct cert_spec spec = {.serial = {0x41}, .not_before = FIXTURE_NOW, .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .common_name = "pump", .sans = sans, .n_sans = 2, .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = usage};
	struct buf tbs = {0}, der = {0};
	struct cert_issuer issuer;
	struct key *key = NULL;
	struct err err = {0};

	assert_ok(cert_issuer_init(&issuer, issuing_der->data, issuing_der->len, "", &err));
	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	spec.spki = key_spki(key, &spec.spki_len);
	assert_ok(cert_tbs_build(&spec, &issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, issuing_key, &der, &err));
	pem_of(pem_out, &der);
	key_free(key);
	buf_clear(&tbs);
	buf_clear(&der);
}

static struct key *issuing_key;
static struct buf issuing_der;

static int
setup(void **state)
{
	struct cacert_spec spec = {.serial = {0x42}, .not_before = FIXTURE_NOW - FIXTURE_YEAR,
	    .not_after = FIXTURE_NOW + 10LL * FIXTURE_YEAR, .common_name = "Root"};
	struct buf der = {0}, other = {0};
	struct key *root_key = NULL;
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &root_key, &err));
	assert_ok(key_generate(KEY_EC_P256, &issuing_key, &err));
	assert_ok(cacert_make_root(&spec, root_key, &der, &err));
	spec.common_name = "Issuing";
	spec.not_after = FIXTURE_NOW + 2LL * FIXTURE_YEAR;
	spki = key_spki(issuing_key, &len);
	assert_ok(cacert_make_issuing(&spec, spki, len, der.data, der.len, root_key, &issuing_der, &err));
	spec.common_name = "Root"; /* the same name, another key */
	assert_ok(cacert_make_root(&spec, issuing_key, &other, &err));
	pem_of(&root, &der);
	pem_of(&issuing, &issuing_der);
	pem_of(&stranger, &other);
	leaf_make(&issuing_der, issuing_key, EKU_SERVER_AUTH, &leaf);
	buf_append(&full, leaf.data, leaf.len);
	buf_append(&full, issuing.data, issuing.len);
	key_free(root_key);
	buf_clear(&der);
	buf_clear(&other);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	key_free(issuing_key);
	buf_clear(&issuing_der);
	buf_clear(&root);
	buf_clear(&issuing);
	buf_clear(&leaf);
	buf_clear(&full);
	buf_clear(&stranger);
	return 0;
}

static struct chain_question
question(void)
{
	return (struct chain_question){.pem = buf_str(&full), .root_pem = buf_str(&root), .use = CHAIN_SERVER,
	    .now = FIXTURE_NOW + 1};
}

static void
expect(const struct chain_question *q, int code, const char *text)
{
	struct err err = {0};
	int rc = chain_check(q, &err);

	if (rc != code || strstr(err.text, text) == NULL)
		fail_msg("%d instead of %d: %s", rc, code, err.text);
}

static void
test_takes_a_whole_chain(void **state)
{
	struct chain_question q = question();

	(void)state;
	expect(&q, 0, "");
	q.host = "pump.example";
	expect(&q, 0, "");
	q.host = "192.0.2.7";
	expect(&q, 0, "");
}

static void
test_tells_the_hosts(void **state)
{
	struct chain_question q = question();

	(void)state;
	q.host = "other.example";
	expect(&q, E_CONFLICT, "other.example");
	q.host = "sub.pump.example";
	expect(&q, E_CONFLICT, "sub.pump.example");
	q.host = "192.0.2.8";
	expect(&q, E_CONFLICT, "192.0.2.8");
}

static void
test_tells_the_times(void **state)
{
	struct chain_question q = question();

	(void)state;
	q.now = FIXTURE_NOW - 1;
	expect(&q, E_BUSY, "2026-01-01T00:00:00Z");
	q.now = FIXTURE_NOW + FIXTURE_YEAR + 1;
	expect(&q, E_GONE, "the certificate expired at 2027-01-01T00:00:00Z");
	q.now = FIXTURE_NOW + 3LL * FIXTURE_YEAR;
	expect(&q, E_GONE, "CA's certificate");
}

static void
test_tells_what_leads_nowhere(void **state)
{
	struct chain_question q = question();

	(void)state;
	q.pem = buf_str(&leaf);
	expect(&q, E_NOTFOUND, "incomplete");
	q = question();
	q.root_pem = buf_str(&stranger);
	expect(&q, E_NOTFOUND, "another root");
	q = question();
	q.pem = q.root_pem;
	q.root_pem = buf_str(&stranger);
	expect(&q, E_NOTFOUND, "root");
}

/* A server's certificate does not let a client in, nor the other way round. */
static void
test_tells_the_use(void **state)
{
	struct chain_question q = question();
	struct buf client = {0};

	(void)state;
	q.use = CHAIN_CLIENT;
	expect(&q, E_DENIED, "purpose");
	leaf_make(&issuing_der, issuing_key, EKU_CLIENT_AUTH, &client);
	buf_append(&client, issuing.data, issuing.len);
	q.pem = buf_str(&client);
	expect(&q, 0, "");
	q.use = CHAIN_SERVER;
	expect(&q, E_DENIED, "purpose");
	buf_clear(&client);
}

static void
test_refuses_what_is_no_certificate(void **state)
{
	struct chain_question q = question();
	struct buf cut = {0}, big = {0}, der = {0};
	struct err err = {0};

	(void)state;
	q.pem = "";
	expect(&q, E_INPUT, "no certificate");
	q.pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	expect(&q, E_INPUT, "no certificate");
	buf_append(&cut, leaf.data, leaf.len / 2);
	q.pem = buf_str(&cut);
	expect(&q, E_INPUT, "no certificate");
	while (big.len <= CHAIN_PEM_MAX)
		buf_append(&big, leaf.data, leaf.len);
	q.pem = buf_str(&big);
	expect(&q, E_INPUT, "bytes");
	q = question();
	q.root_pem = "none";
	expect(&q, E_INPUT, "root");
	assert_int_equal(chain_leaf("none", &der, &err), E_INPUT);
	assert_int_equal(der.len, 0);
	buf_clear(&cut);
	buf_clear(&big);
}

/* Two roots are trusted alike, whichever is first. */
static void
test_takes_either_root(void **state)
{
	struct chain_question q = {.pem = buf_str(&full), .use = CHAIN_SERVER, .now = FIXTURE_NOW};
	struct buf both = {0};
	struct err err = {0};

	(void)state;
	buf_append(&both, stranger.data, stranger.len);
	buf_append(&both, root.data, root.len);
	q.root_pem = buf_str(&both);
	assert_ok(chain_check(&q, &err));
	buf_clear(&both);
}

enum made { ROOT, CROSS, ISSUING };

static struct buf
made_ca(enum made kind, const char *name, struct key *key, const struct buf *above, struct key *above_key)
{
	struct cacert_spec spec = {.serial = {0x43}, .not_before = FIXTURE_NOW - FIXTURE_YEAR,
	    .not_after = FIXTURE_NOW + FIXTURE_YEAR, .common_name = name};
	struct buf der = {0}, pem = {0};
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	spki = key_spki(key, &len);
	if (kind == ROOT)
		assert_ok(cacert_make_root(&spec, key, &der, &err));
	else if (kind == CROSS)
		assert_ok(cacert_make_cross(&spec, spki, len, above->data, above->len, above_key, &der, &err));
	else
		assert_ok(cacert_make_issuing(&spec, spki, len, above->data, above->len, above_key, &der, &err));
	pem_of(&pem, &der);
	buf_clear(&der);
	return pem;
}

static bool
learns(const struct buf *a, const struct buf *b, const struct buf *trusted, int64_t now, const struct buf *expected)
{
	struct buf certs = {0}, out = {0};
	struct err err = {0};
	bool is_it;

	buf_append(&certs, a->data, a->len);
	buf_append(&certs, b->data, b->len);
	assert_ok(chain_new_roots(buf_str(&certs), buf_str(trusted), now, &out, &err));
	assert_true(out.len == 0 || strcmp(buf_str(&out), buf_str(expected)) == 0);
	is_it = out.len > 0;
	buf_clear(&certs);
	buf_clear(&out);
	return is_it;
}

/* A new root is believed if the old one has signed its key as a CA above issuing CAs, and not for anything less: not by its
 * word alone, by another key of that name, by an issuing CA that calls itself a root, after the signature's end, or twice. */
static void
test_learns_a_new_root(void **state)
{
	struct key *old_key = NULL, *new_key = NULL;
	struct buf old, new, cross, below, other, der = {0}, both = {0}, out = {0};
	struct err err = {0};

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &old_key, &err));
	assert_ok(key_generate(KEY_EC_P256, &new_key, &err));
	old = made_ca(ROOT, "Old", old_key, NULL, NULL);
	new = made_ca(ROOT, "New", new_key, NULL, NULL);
	other = made_ca(ROOT, "New", old_key, NULL, NULL);
	assert_ok(pem_decode(buf_str(&old), old.len, "CERTIFICATE", &der, &err));
	cross = made_ca(CROSS, "New", new_key, &der, old_key);
	below = made_ca(ISSUING, "New", new_key, &der, old_key);
	assert_true(learns(&new, &cross, &old, FIXTURE_NOW, &new));
	assert_true(learns(&cross, &new, &old, FIXTURE_NOW, &new));
	assert_false(learns(&new, &new, &old, FIXTURE_NOW, &new));
	assert_false(learns(&new, &below, &old, FIXTURE_NOW, &new));
	assert_false(learns(&other, &cross, &old, FIXTURE_NOW, &new));
	assert_false(learns(&new, &cross, &stranger, FIXTURE_NOW, &new));
	assert_false(learns(&new, &cross, &old, FIXTURE_NOW + 2LL * FIXTURE_YEAR, &new));
	buf_append(&both, new.data, new.len);
	buf_append(&both, old.data, old.len);
	assert_false(learns(&new, &cross, &both, FIXTURE_NOW, &new));
	assert_int_equal(chain_new_roots(buf_str(&new), "", FIXTURE_NOW, &out, &err), E_INPUT);
	assert_ok(chain_new_roots("nothing", buf_str(&old), FIXTURE_NOW, &out, &err));
	assert_int_equal(out.len, 0);
	key_free(old_key);
	key_free(new_key);
	buf_clear(&old);
	buf_clear(&new);
	buf_clear(&cross);
	buf_clear(&below);
	buf_clear(&other);
	buf_clear(&der);
	buf_clear(&both);
}

static void
test_takes_the_leaf(void **state)
{
	struct buf der = {0}, pem = {0};
	struct err err = {0};

	(void)state;
	assert_ok(chain_leaf(buf_str(&full), &der, &err));
	pem_of(&pem, &der);
	assert_string_equal(buf_str(&pem), buf_str(&leaf));
	buf_clear(&der);
	buf_clear(&pem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_takes_a_whole_chain),
	    cmocka_unit_test(test_tells_the_hosts),
	    cmocka_unit_test(test_tells_the_times),
	    cmocka_unit_test(test_tells_what_leads_nowhere),
	    cmocka_unit_test(test_tells_the_use),
	    cmocka_unit_test(test_refuses_what_is_no_certificate),
	    cmocka_unit_test(test_takes_the_leaf),
	    cmocka_unit_test(test_takes_either_root),
	    cmocka_unit_test(test_learns_a_new_root),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
