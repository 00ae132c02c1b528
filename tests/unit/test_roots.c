#include "x509_fixture.h"

#include "base/fs.h"
#include "base/secret.h"
#include "core/roots.h"
#include "x509/cacert.h"
#include "x509/pem.h"

#include <stdlib.h>
#include <unistd.h>

struct world {
	char dir[64];
	struct key *old_key, *new_key, *below_key;
	struct buf old, new, cross, below, below_old; /* DER */
};

static struct cacert_spec
spec_of(const char *name)
{
	return (struct cacert_spec){.serial = {0x41}, .not_before = FIXTURE_NOW, .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .common_name = name};
}

static int
setup(void **state)
{
	static struct world w;
	struct cacert_spec old = spec_of("Old"), new = spec_of("New"), below = spec_of("Below");
	char path[FS_PATH_MAX];
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	w = (struct world){.dir = "/tmp/muster-roots-XXXXXX"};
	assert_non_null(mkdtemp(w.dir));
	assert_ok(fs_path(path, w.dir, "ca", &err));
	assert_ok(fs_mkdir(path, 0700, &err));
	assert_ok(key_generate(KEY_EC_P256, &w.old_key, &err));
	assert_ok(key_generate(KEY_EC_P256, &w.new_key, &err));
	assert_ok(key_generate(KEY_EC_P256, &w.below_key, &err));
	assert_ok(cacert_make_root(&old, w.old_key, &w.old, &err));
	assert_ok(cacert_make_root(&new, w.new_key, &w.new, &err));
	spki = key_spki(w.new_key, &len);
	assert_ok(cacert_make_cross(&new, spki, len, w.old.data, w.old.len, w.old_key, &w.cross, &err));
	spki = key_spki(w.below_key, &len);
	assert_ok(cacert_make_issuing(&below, spki, len, w.new.data, w.new.len, w.new_key, &w.below, &err));
	assert_ok(cacert_make_issuing(&below, spki, len, w.old.data, w.old.len, w.old_key, &w.below_old, &err));
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	char path[FS_PATH_MAX];
	struct err err = {0};

	assert_ok(fs_path(path, w->dir, ROOTS_FILE, &err));
	(void)unlink(path);
	assert_ok(fs_path(path, w->dir, ROOTS_CROSS, &err));
	(void)unlink(path);
	assert_ok(fs_path(path, w->dir, "ca", &err));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(w->dir), 0);
	key_free(w->old_key);
	key_free(w->new_key);
	key_free(w->below_key);
	buf_clear(&w->old);
	buf_clear(&w->new);
	buf_clear(&w->cross);
	buf_clear(&w->below);
	buf_clear(&w->below_old);
	return 0;
}

/* NAME holds the certificates A and B, B being NULL for one. */
static void
put(struct world *w, const char *name, const struct buf *a, const struct buf *b)
{
	char path[FS_PATH_MAX];
	struct buf pem = {0};
	struct err err = {0};

	pem_encode(&pem, "CERTIFICATE", a->data, a->len);
	if (b != NULL)
		pem_encode(&pem, "CERTIFICATE", b->data, b->len);
	assert_ok(fs_path(path, w->dir, name, &err));
	assert_ok(fs_write(path, 0600, (gid_t)-1, pem.data, pem.len, &err));
	buf_clear(&pem);
}

static bool
has_key(const struct roots *roots, const struct key *key)
{
	uint8_t hash[SHA256_LEN];
	const uint8_t *spki;
	size_t len;

	spki = key_spki(key, &len);
	sha256(hash, spki, len);
	return roots_have_key(roots, hash);
}

static size_t
chain_len(const struct roots *roots, const struct buf *issuing)
{
	struct buf pem = {0}, der = {0};
	const char *at;
	size_t n = 0;

	roots_put_chain(roots, issuing, &pem);
	at = buf_str(&pem);
	while (pem_next_block(&at, "CERTIFICATE", &der))
		n++;
	buf_clear(&pem);
	buf_clear(&der);
	return n;
}

static void
test_one(void **state)
{
	struct world *w = *state;
	struct roots roots;
	struct err err = {0};

	put(w, ROOTS_FILE, &w->old, NULL);
	put(w, ROOTS_CROSS, &w->cross, NULL); /* of a rollover that was cut short: nothing yet */
	assert_ok(roots_read(w->dir, &roots, &err));
	assert_int_equal(roots.n, 1);
	assert_int_equal(roots.cross.len, 0);
	assert_true(has_key(&roots, w->old_key) && !has_key(&roots, w->new_key));
	assert_int_equal(chain_len(&roots, &w->below_old), 1);
	roots_clear(&roots);
}

static void
test_two(void **state)
{
	struct world *w = *state;
	struct roots roots;
	struct err err = {0};

	put(w, ROOTS_FILE, &w->new, &w->old);
	put(w, ROOTS_CROSS, &w->cross, NULL);
	assert_ok(roots_read(w->dir, &roots, &err));
	assert_int_equal(roots.n, 2);
	assert_int_equal(roots.ders[0].len, w->new.len);
	assert_memory_equal(roots.ders[0].data, w->new.data, w->new.len);
	assert_memory_equal(roots.cross.data, w->cross.data, w->cross.len);
	assert_true(has_key(&roots, w->old_key) && has_key(&roots, w->new_key) && !has_key(&roots, w->below_key));
	/* What is below the old root needs nothing to lead there. */
	assert_int_equal(chain_len(&roots, &w->below), 2);
	assert_int_equal(chain_len(&roots, &w->below_old), 1);
	roots_clear(&roots);
	roots_clear(&roots);
}

static void
refused(struct world *w, int code)
{
	struct roots roots;
	struct err err = {0};

	assert_int_equal(roots_read(w->dir, &roots, &err), code);
	assert_true(strlen(err.text) > 10);
	roots_clear(&roots);
}

static void
test_refuses(void **state)
{
	struct world *w = *state;
	char path[FS_PATH_MAX];
	struct buf pem = {0};
	struct err err = {0};

	assert_ok(fs_path(path, w->dir, ROOTS_FILE, &err));
	refused(w, E_NOTFOUND);
	assert_ok(fs_write(path, 0600, (gid_t)-1, "", 0, &err));
	refused(w, E_INPUT);
	assert_ok(fs_write(path, 0600, (gid_t)-1, "no PEM\n", 7, &err));
	refused(w, E_INPUT);
	/* Three, or a second that is damaged. */
	put(w, ROOTS_FILE, &w->new, &w->old);
	assert_ok(fs_read(path, 65536, &pem, &err));
	pem_encode(&pem, "CERTIFICATE", w->old.data, w->old.len);
	assert_ok(fs_write(path, 0600, (gid_t)-1, pem.data, pem.len, &err));
	refused(w, E_INPUT);
	assert_ok(fs_write(path, 0600, (gid_t)-1, pem.data, pem.len / 2, &err));
	refused(w, E_INPUT);
	/* Two, and nothing that leads from one to the other. */
	put(w, ROOTS_FILE, &w->new, &w->old);
	refused(w, E_NOTFOUND);
	put(w, ROOTS_CROSS, &w->cross, &w->cross);
	refused(w, E_INPUT);
	buf_clear(&pem);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_one),
	    case_of(test_two),
	    case_of(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
