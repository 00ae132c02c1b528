/* What `init` made must be of one piece: what is signed is logged and recorded, what is printed opens the API. */
#include "core_fixture.h"

#include "core/ca.h"
#include "core/operator.h"
#include "x509/crl.h"

#include <dirent.h>

/* Entries of DIR, but for . and .. */
static int
count_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

static void
options_init(struct home_options *options, struct fixture_home *h)
{
	(void)snprintf(h->base, sizeof h->base, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(h->base));
	(void)snprintf(h->dir, sizeof h->dir, "%s/home", h->base);
	(void)snprintf(h->socket_path, sizeof h->socket_path, "%s/signer.sock", h->dir);
	*options = (struct home_options){.dir = h->dir, .hosts = {"muster.example", "2001:db8::1"}, .n_hosts = 2,
	    .org = "Org", .country = "DE", .key = KEY_EC_P256};
}

static void
test_a_new_home_is_of_one_piece(void **state)
{
	struct fixture f = {.caller = {.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "uid:0"}};
	char hex[2 * SHA256_LEN + 1];
	struct home_options options;
	struct home_made made;
	struct caller caller;
	struct crl_info crl;
	struct buf der = {0};
	struct err err = {0};
	uint8_t digest[SHA256_LEN];

	(void)state;
	options_init(&options, &f.home);
	assert_ok(home_create(&options, &made, &err));
	assert_int_equal(count_in(f.home.base), 1); /* nothing beside it */
	assert_string_equal(made.url, "https://muster.example:8443");
	fixture_listen(&f.home);
	fixture_signer_start(&f.home);
	fixture_core_open(&f);
	sha256(digest, f.core->roots.ders[0].data, f.core->roots.ders[0].len);
	hex_encode(hex, digest, sizeof digest);
	assert_string_equal(made.root_fingerprint, hex);
	assert_ok(operator_authenticate(f.core, made.token, &caller, &err));
	assert_int_equal(caller.role, ROLE_ADMIN);
	/* The first start has found nothing signed that is not recorded, and nothing to revoke; the numbers go on. */
	fixture_list(f.core, SHELF_COMPLETE, &der);
	assert_ok(crl_info_read(der.data, der.len, &fixture_config(f.core)->issuer, &crl, &err));
	assert_int_equal(crl.n_entries, 0);
	assert_int_equal(crl.number, 2);
	fixture_core_close(&f);
	fixture_signer_kill(&f.home);
	fixture_home_remove(&f.home);
	buf_clear(&der);
}

/* E9: the token is printed and nowhere kept. */
static void
test_the_token_is_not_kept(void **state)
{
	static const char *const files[] = {"muster.db", "muster.conf", "signer.log"};
	struct home_options options;
	struct fixture f = {0};
	struct home_made made;
	struct buf bytes = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	options_init(&options, &f.home);
	assert_ok(home_create(&options, &made, &err));
	for (i = 0; i < sizeof files / sizeof files[0]; i++)
		fixture_file(&f, files[i], &bytes);
	assert_true(bytes.len > 1000);
	assert_null(memmem(bytes.data, bytes.len, made.token + 8, 20));
	fixture_listen(&f.home);
	fixture_home_remove(&f.home);
	buf_clear(&bytes);
}

/* DIR is whole or not there, and what was there is left alone. */
static void
test_what_fails_leaves_nothing(void **state)
{
	struct home_options options, bad;
	struct fixture_home h;
	struct home_made made = {.url = "untouched"};
	struct err err = {0};
	char path[FS_PATH_MAX];

	(void)state;
	options_init(&options, &h);
	bad = options;
	bad.hosts[1] = "bad host";
	assert_int_equal(home_create(&bad, &made, &err), E_INPUT);
	bad = options;
	bad.country = "de";
	assert_int_equal(home_create(&bad, &made, &err), E_INPUT);
	bad = options;
	bad.org = "a\nb";
	assert_int_equal(home_create(&bad, &made, &err), E_INPUT);
	bad = options;
	bad.key = KEY_NONE;
	assert_int_equal(home_create(&bad, &made, &err), E_INPUT);
	bad = options;
	bad.dir = "/nonexistent/home";
	assert_int_equal(home_create(&bad, &made, &err), E_SYS);
	assert_int_equal(count_in(h.base), 0);

	assert_int_equal(mkdir(h.dir, 0755), 0);
	assert_ok(fs_path(path, h.dir, "kept", &err));
	assert_ok(fs_write(path, 0600, (gid_t)-1, "x", 1, &err));
	assert_int_equal(home_create(&options, &made, &err), E_CONFLICT);
	assert_int_equal(count_in(h.dir), 1);
	assert_string_equal(made.url, "untouched");
	/* An empty folder, as a package makes, is a place. */
	assert_int_equal(unlink(path), 0);
	assert_ok(home_create(&options, &made, &err));
	assert_int_equal(home_create(&options, &made, &err), E_CONFLICT);
	fixture_listen(&h);
	fixture_home_remove(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_new_home_is_of_one_piece),
	    cmocka_unit_test(test_the_token_is_not_kept),
	    cmocka_unit_test(test_what_fails_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
