/* The agent's folder: notes, locks, the pair and what comes after it. Certificates are the service's own making. */
#include "x509_fixture.h"

#include "agent/lock.h"
#include "agent/notes.h"
#include "agent/pair.h"
#include "agent/renewal.h"
#include "agent/run.h"
#include "base/text.h"
#include "x509/cacert.h"
#include "x509/pem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static struct key *root_key, *issuing_key;
static struct buf root, issuing, root_pem;
static struct cert_issuer issuer;

static int
setup(void **state)
{
	struct cacert_spec spec = {
	    .not_before = FIXTURE_NOW, .not_after = FIXTURE_NOW + 10LL * FIXTURE_YEAR, .common_name = "Root"};
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_ok(key_generate(KEY_EC_P256, &root_key, &err));
	assert_ok(key_generate(KEY_EC_P256, &issuing_key, &err));
	assert_ok(cert_serial_make(spec.serial, &err));
	assert_ok(cacert_make_root(&spec, root_key, &root, &err));
	spec.common_name = "Issuing";
	assert_ok(cert_serial_make(spec.serial, &err));
	spki = key_spki(issuing_key, &len);
	assert_ok(cacert_make_issuing(&spec, spki, len, root.data, root.len, root_key, &issuing, &err));
	assert_ok(cert_issuer_init(&issuer, issuing.data, issuing.len, NULL, &err));
	pem_encode(&root_pem, "CERTIFICATE", root.data, root.len);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const files[] = {
	    "device.pem", "next.pem", "next.key", "agent.conf", "agent.state", "change.lock", "run.lock"};
	char path[FS_PATH_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	key_free(root_key);
	key_free(issuing_key);
	buf_clear(&root);
	buf_clear(&issuing);
	buf_clear(&root_pem);
	return rmdir(dir); /* fails if anything was left */
}

static void
put_cert(struct buf *pem, const struct key *key)
{
	struct cert_spec spec = {.not_before = FIXTURE_NOW, .not_after = FIXTURE_NOW + FIXTURE_YEAR, .common_name = "device",
	    .key_usage = 1, .ext_key_usage = EKU_CLIENT_AUTH};
	struct buf tbs = {0}, der = {0};
	struct err err = {0};

	spec.spki = key_spki(key, &spec.spki_len);
	assert_ok(cert_serial_make(spec.serial, &err));
	assert_ok(cert_tbs_build(&spec, &issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, issuing_key, &der, &err));
	pem_encode(pem, "CERTIFICATE", der.data, der.len);
	buf_clear(&tbs);
	buf_clear(&der);
}

static bool
is_same(const struct key *a, const struct key *b)
{
	size_t la, lb;
	const uint8_t *x = key_spki(a, &la), *y = key_spki(b, &lb);

	return la == lb && memcmp(x, y, la) == 0;
}

static void
test_pair(void **state)
{
	struct buf certs = {0}, foreign = {0};
	struct key *key = NULL, *again = NULL, *other = NULL;
	char path[FS_PATH_MAX];
	struct cert_info info;
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_false(pair_path(dir, PAIR_CURRENT, path));
	assert_int_equal(pair_info(dir, PAIR_CURRENT, &info, NULL, &err), E_NOTFOUND);
	assert_ok(pair_promote(dir, &err));
	assert_ok(pair_key_next(dir, KEY_EC_P256, &key, &err));
	assert_ok(pair_key_next(dir, KEY_EC_P256, &again, &err)); /* a crash later, the same */
	assert_true(is_same(key, again));
	key_free(again);
	/* In whatever order they come, with the root among them. */
	pem_encode(&certs, "CERTIFICATE", root.data, root.len);
	pem_encode(&certs, "CERTIFICATE", issuing.data, issuing.len);
	assert_int_equal(pair_keep(dir, key, buf_str(&certs), buf_str(&root_pem), FIXTURE_NOW + 1, 0, &err), E_INPUT);
	put_cert(&certs, key);
	assert_int_not_equal(pair_keep(dir, key, buf_str(&certs), buf_str(&root_pem), FIXTURE_NOW - 1, 0, &err), 0);
	assert_int_not_equal(
	    pair_keep(dir, key, buf_str(&certs), buf_str(&root_pem), FIXTURE_NOW + 2LL * FIXTURE_YEAR, 0, &err), 0);
	assert_ok(key_generate(KEY_EC_P256, &other, &err));
	put_cert(&foreign, other);
	assert_int_equal(pair_keep(dir, key, buf_str(&foreign), buf_str(&root_pem), FIXTURE_NOW + 1, 0, &err), E_INPUT);
	assert_int_not_equal(pair_keep(dir, key, buf_str(&certs), buf_str(&foreign), FIXTURE_NOW + 1, 0, &err), 0);
	assert_false(pair_path(dir, PAIR_NEXT, path));
	assert_ok(pair_keep(dir, key, buf_str(&certs), buf_str(&root_pem), FIXTURE_NOW + 1, FIXTURE_NOW + 77, &err));
	assert_int_equal(pair_renew_at(dir, PAIR_NEXT), FIXTURE_NOW + 77);
	assert_int_equal(pair_renew_at(dir, PAIR_CURRENT), 0);
	assert_true(pair_path(dir, PAIR_NEXT, path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(pair_promote(dir, &err));
	assert_false(pair_path(dir, PAIR_NEXT, path));
	assert_ok(pair_info(dir, PAIR_CURRENT, &info, NULL, &err));
	assert_string_equal(info.common_name, "device");
	/* The next renewal has another key, and so it has if a crash left the old one behind. */
	assert_ok(pair_key_next(dir, KEY_EC_P256, &again, &err));
	assert_false(is_same(key, again));
	key_free(again);
	assert_ok(pair_key_next(dir, KEY_EC_P384, &again, &err));
	assert_int_equal(key_kind_of(again), KEY_EC_P384);
	pair_drop_next(dir);
	key_free(again);
	key_free(other);
	key_free(key);
	buf_clear(&certs);
	buf_clear(&foreign);
}

static size_t
blocks(const char *name)
{
	char path[FS_PATH_MAX];
	struct buf pem = {0}, der = {0};
	struct err err = {0};
	const char *at;
	size_t n = 0;

	assert_ok(fs_path(path, dir, name, &err));
	assert_ok(fs_read(path, 65536, &pem, &err));
	at = buf_str(&pem);
	while (pem_next_block(&at, "CERTIFICATE", &der))
		n++;
	buf_clear(&pem);
	buf_clear(&der);
	return n;
}

/* A service that has many CAs tells of them all; each handshake carries what leads up, and that to a root of ours alone which
 * another has signed. */
static void
test_chain_without_strangers(void **state)
{
	struct cacert_spec spec = {.serial = {0x44}, .not_before = FIXTURE_NOW, .not_after = FIXTURE_NOW + FIXTURE_YEAR};
	struct key *key = NULL, *other = NULL, *old_key = NULL;
	struct buf certs = {0}, der = {0}, old = {0}, old_pem = {0};
	struct cert_info info;
	struct err err = {0};
	const uint8_t *spki;
	char name[32];
	size_t len, i;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &other, &err));
	assert_ok(key_generate(KEY_EC_P256, &old_key, &err));
	spki = key_spki(other, &len);
	spec.common_name = name;
	for (i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof name, "Retired %zu", i);
		buf_reset(&der);
		assert_ok(cacert_make_issuing(&spec, spki, len, root.data, root.len, root_key, &der, &err));
		pem_encode(&certs, "CERTIFICATE", der.data, der.len);
	}
	/* The root's name and key below an older one, which is all that is trusted. */
	assert_ok(cert_info_read(root.data, root.len, &info, &err));
	spec.common_name = "Old";
	assert_ok(cacert_make_root(&spec, old_key, &old, &err));
	pem_encode(&old_pem, "CERTIFICATE", old.data, old.len);
	spec.common_name = info.common_name;
	spki = key_spki(root_key, &len);
	buf_reset(&der);
	assert_ok(cacert_make_cross(&spec, spki, len, old.data, old.len, old_key, &der, &err));
	pem_encode(&certs, "CERTIFICATE", der.data, der.len);
	pem_encode(&certs, "CERTIFICATE", issuing.data, issuing.len);
	pem_encode(&certs, "CERTIFICATE", root.data, root.len);
	assert_ok(pair_key_next(dir, KEY_EC_P256, &key, &err));
	put_cert(&certs, key);
	assert_ok(pair_keep(dir, key, buf_str(&certs), buf_str(&old_pem), FIXTURE_NOW + 1, 0, &err));
	assert_int_equal(blocks("next.pem"), 3);
	pair_drop_next(dir);
	key_free(key);
	key_free(other);
	key_free(old_key);
	buf_clear(&certs);
	buf_clear(&der);
	buf_clear(&old);
	buf_clear(&old_pem);
}

static void
test_damaged_pair(void **state)
{
	static const char *const bad[] = {"", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	char path[FS_PATH_MAX];
	struct cert_info info;
	struct err err = {0};
	size_t i;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/next.pem", dir);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_ok(fs_write(path, 0600, (gid_t)-1, bad[i], strlen(bad[i]), &err));
		assert_int_equal(pair_info(dir, PAIR_NEXT, &info, NULL, &err), E_INPUT);
	}
	pair_drop_next(dir);
}

static void
test_notes(void **state)
{
	struct notes notes = {0}, read = {0};
	char path[FS_PATH_MAX];
	struct err err = {0};

	(void)state;
	assert_int_equal(notes_read(dir, &read, &err), E_NOTFOUND);
	(void)text_copy(notes.url, sizeof notes.url, "https://h:1");
	(void)text_copy(notes.broker, sizeof notes.broker, "h:8883");
	(void)text_copy(notes.key, sizeof notes.key, "ec-p256");
	assert_ok(notes_write_conf(dir, &notes, &err));
	assert_ok(notes_read(dir, &read, &err));
	assert_memory_equal(&notes, &read, sizeof notes);
	(void)text_copy(notes.connected_at, sizeof notes.connected_at, "2026-01-01T00:00:00Z");
	assert_ok(notes_write_state(dir, &notes, &err));
	assert_ok(notes_read(dir, &read, &err));
	assert_string_equal(read.connected_at, notes.connected_at);
	(void)text_copy(notes.label, sizeof notes.label, "a\nurl https://evil");
	assert_int_equal(notes_write_conf(dir, &notes, &err), E_INPUT);
	(void)snprintf(path, sizeof path, "%s/agent.conf", dir);
	assert_ok(fs_write(path, 0600, (gid_t)-1, "later thing\nurl\nkey rsa\n", 24, &err));
	assert_ok(notes_read(dir, &read, &err)); /* what a newer version wrote */
	assert_string_equal(read.key, "rsa");
	assert_ok(fs_write(path, 0600, (gid_t)-1, "key longer-than-sixteen-bytes\n", 30, &err));
	assert_int_equal(notes_read(dir, &read, &err), E_INPUT);
	assert_string_equal(read.key, "rsa");
	assert_ok(fs_write(path, 0600, (gid_t)-1, "key \033[31m\n", 10, &err));
	assert_int_equal(notes_read(dir, &read, &err), E_INPUT);
}

static void
test_lock(void **state)
{
	struct err err = {0};
	int fd = -1, status;
	pid_t pid;

	(void)state;
	assert_int_equal(lock_holder(dir, LOCK_RUN), 0);
	assert_ok(lock_take(dir, LOCK_RUN, &fd, &err));
	if ((pid = fork()) == 0) {
		int other;

		_exit(lock_take(dir, LOCK_RUN, &other, &err) == E_BUSY && lock_holder(dir, LOCK_RUN) == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(fd);
	assert_int_equal(lock_holder(dir, LOCK_RUN), 0);
}

static void
test_due(void **state)
{
	struct cert_info info = {.not_before = 1000, .not_after = 1000 + 3000};
	int64_t first, last;

	(void)state;
	first = renewal_due(&info, 0, 0);
	assert_int_equal(first, 1000 + 2000);
	memset(info.serial, 0xff, sizeof info.serial);
	last = renewal_due(&info, 0, 0);
	assert_true(last > first && last < first + 300);
	assert_int_equal(renewal_due(&info, 5000, 0), last); /* a file that was copied later */
	memset(info.serial, 0, sizeof info.serial);
	assert_int_equal(renewal_due(&info, 1000 + 1500, 0), 1000 + 1500 + 1000);
	/* The service's word, with a little later at most; not one that is no time of this certificate. */
	assert_int_equal(renewal_due(&info, 0, 3500), 3500);
	memset(info.serial, 0xff, sizeof info.serial);
	last = renewal_due(&info, 0, 3500);
	assert_true(last > 3600 && last < 3500 + 500 / 3);
	last = renewal_due(&info, 0, 1500);
	assert_true(last > 1700 && last < 1500 + 300);
	memset(info.serial, 0, sizeof info.serial);
	assert_int_equal(renewal_due(&info, 0, 5000), 1000 + 2000);
	assert_int_equal(renewal_due(&info, 0, 1000), 1000 + 2000);
}

static void
test_broker(void **state)
{
	static const char *const bad[] = {"", "host", "host:", ":1", "host:0", "host:65536", "::1:1883", "[]:1", "host:1x", "[::1]"};
	char host[16];
	int port = 0;
	size_t i;

	(void)state;
	assert_true(run_broker_split("h.example:8883", host, sizeof host, &port));
	assert_string_equal(host, "h.example");
	assert_int_equal(port, 8883);
	assert_true(run_broker_split("[::1]:1", host, sizeof host, &port));
	assert_string_equal(host, "::1");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (run_broker_split(bad[i], host, sizeof host, &port))
			fail_msg("%s", bad[i]);
	assert_false(run_broker_split("a-host-that-is-too-long:1", host, sizeof host, &port));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pair), cmocka_unit_test(test_chain_without_strangers), cmocka_unit_test(test_damaged_pair),
	    cmocka_unit_test(test_notes), cmocka_unit_test(test_lock), cmocka_unit_test(test_due),
	    cmocka_unit_test(test_broker)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
