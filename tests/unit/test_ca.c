/* The api's side of issuing, with the real signer and with one that lies: it holds the CA's true key and answers
 * with well signed certificates of something else. */
#include "core_fixture.h"

#include "core/ca.h"
#include "signer/client.h"
#include "signer/profile.h"
#include "signer/proto.h"
#include "x509/cacert.h"
#include "x509/key.h"

#include <pthread.h>

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"
#define OTHER_ID "6fa459ea-ee8a-4ca4-894e-db77e160355f"

enum lie {
	HONEST,
	OTHER_KEY,
	OTHER_ID_NAMED,
	NAME_ADDED,
	NAME_LEFT_OUT,
	SERVER_AUTH,
	KEY_AGREEMENT,
	OTHER_ORG,
	TOO_LONG,
	BACKDATED,
	POSTDATED,
	ENDED,
	OTHER_SIGNER,
	CA_TRUE,
	FLIPPED,
	TRAILING,
	CUT,
	NOTHING,
	LIES
};

struct liar {
	struct fixture *f;
	enum lie lie;
	const struct profile *profile;
	struct key *ca, *root, *other;
	int listener, peer;
	char path[128];
	pthread_t thread;
};

static struct key *
key_of(struct fixture *f, const char *name)
{
	struct buf pem = {0};
	struct key *key = NULL;
	struct err err = {0};

	fixture_file(f, name, &pem);
	assert_ok(key_from_pem(pem.data, pem.len, &key, &err));
	buf_clear(&pem);
	return key;
}

/* What the liar says to REQUEST. */
static void
answer_make(struct liar *l, const struct proto_issue *request, struct buf *out)
{
	struct cert_spec spec = {.not_before = clock_now() - 60,
	    .not_after = clock_now() + (request->valid_s > 0 ? request->valid_s : l->profile->validity_s),
	    .country = l->profile->country, .org = l->profile->org, .common_name = request->id,
	    .spki = request->spki, .spki_len = request->spki_len, .sans = request->sans, .n_sans = request->n_sans,
	    .key_usage = KU_DIGITAL_SIGNATURE, .ext_key_usage = EKU_CLIENT_AUTH};
	const struct key *other = l->other;
	struct core *core = l->f->core;
	const char *added[] = {request->sans[0], "DNS:victim.example"};
	struct buf tbs = {0};
	struct err err = {0};

	assert_ok(cert_serial_make(spec.serial, &err));
	/* One of those whose signature is looked at; what the others say is compared in any case. */
	spec.serial[SERIAL_LEN - 1] = l->lie == OTHER_SIGNER || l->lie == FLIPPED ? 0 : 1;
	switch (l->lie) {
	case OTHER_KEY:
		spec.spki = key_spki(other, &spec.spki_len);
		break;
	case OTHER_ID_NAMED:
		spec.common_name = OTHER_ID;
		break;
	case NAME_ADDED:
		spec.sans = added;
		spec.n_sans = 2;
		break;
	case NAME_LEFT_OUT:
		spec.n_sans = 0;
		break;
	case SERVER_AUTH:
		spec.ext_key_usage |= EKU_SERVER_AUTH;
		break;
	case KEY_AGREEMENT:
		spec.key_usage |= KU_KEY_AGREEMENT;
		break;
	case OTHER_ORG:
		spec.org = "Else";
		break;
	case TOO_LONG:
		spec.not_after += 60;
		break;
	case BACKDATED:
		spec.not_before -= 86400;
		break;
	case POSTDATED:
		spec.not_before += 3600;
		break;
	case ENDED:
		spec.not_after = clock_now() - 1;
		break;
	default:
		break;
	}
	if (l->lie == CA_TRUE) {
		struct cacert_spec ca = {.not_before = spec.not_before, .not_after = spec.not_after,
		    .common_name = request->id};

		memcpy(ca.serial, spec.serial, SERIAL_LEN);
		assert_ok(cacert_make_issuing(&ca, request->spki, request->spki_len, core->roots.ders[0].data,
		    core->roots.ders[0].len, l->root, out, &err));
		return;
	}
	if (l->lie == NOTHING)
		return;
	assert_ok(cert_tbs_build(&spec, &fixture_config(core)->issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, l->lie == OTHER_SIGNER ? l->other : l->ca, out, &err));
	buf_clear(&tbs);
	if (l->lie == FLIPPED)
		out->data[out->len - 1] ^= 1;
	else if (l->lie == TRAILING)
		buf_byte(out, 0);
	else if (l->lie == CUT)
		out->len--;
}

static void *
liar_run(void *arg)
{
	struct liar *l = arg;
	struct buf in = {0}, der = {0}, out = {0};
	struct proto_issue request;
	struct proto_frame frame;
	uint8_t chunk[4096];
	ssize_t n;
	int took;

	l->peer = accept(l->listener, NULL, NULL);
	while ((n = recv(l->peer, chunk, sizeof chunk, 0)) > 0) {
		buf_append(&in, chunk, (size_t)n);
		while ((took = proto_frame_read(in.data, in.len, &frame, NULL)) > 0) {
			if (frame.type == PROTO_ISSUE && proto_issue_read(&frame, &request, NULL) == 0) {
				buf_reset(&der);
				buf_reset(&out);
				answer_make(l, &request, &der);
				proto_answer_put(&out, frame.id, der.data, der.len);
				(void)send(l->peer, out.data, out.len, MSG_NOSIGNAL);
			}
			buf_consume(&in, (size_t)took);
		}
	}
	(void)close(l->peer);
	buf_clear(&in);
	buf_clear(&der);
	buf_clear(&out);
	return NULL;
}

/* The core asks the liar from now on. */
static void
liar_start(struct liar *l)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct err err = {0};

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/liar.sock", l->f->home.dir);
	l->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(l->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(l->listener, 1), 0);
	l->ca = key_of(l->f, "ca/private/issuing.key");
	l->root = key_of(l->f, "ca/private/root.key");
	assert_ok(key_generate(KEY_EC_P256, &l->other, &err));
	assert_int_equal(pthread_create(&l->thread, NULL, liar_run, l), 0);
	signer_close(l->f->core->signer);
	l->f->core->signer = NULL;
	assert_ok(signer_open(address.sun_path, SIGNER_TIMEOUT_MS, &l->f->core->signer, &err));
}

static void
liar_stop(struct liar *l)
{
	char path[FS_PATH_MAX];
	struct err err = {0};

	signer_close(l->f->core->signer);
	l->f->core->signer = NULL;
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	(void)close(l->listener);
	key_free(l->ca);
	key_free(l->root);
	key_free(l->other);
	assert_ok(fs_path(path, l->f->home.dir, "signer.sock", &err));
	assert_ok(signer_open(path, SIGNER_TIMEOUT_MS, &l->f->core->signer, &err));
}

static void
test_only_what_was_asked_for_is_taken(void **state)
{
	static const char *const sans[] = {"DNS:device.example"};
	struct liar l = {.f = *state};
	struct core *core = l.f->core;
	struct store_certificate row;
	struct key *key = NULL;
	struct err err = {0};
	const uint8_t *spki;
	size_t len;
	int lie;

	l.profile = profile_find(&fixture_config(core)->profiles, "constrained");
	assert_non_null(l.profile);
	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	spki = key_spki(key, &len);
	liar_start(&l);
	for (lie = HONEST; lie < LIES; lie++) {
		int rc;

		l.lie = (enum lie)lie;
		row = (struct store_certificate){.owner_id = "untouched"};
		rc = ca_issue(core, l.profile, ID, spki, len, 0, sans, 1, &row, &err);
		if (lie == HONEST) {
			assert_ok(rc);
			assert_string_equal(row.owner_id, ID);
			store_certificate_clear(&row);
			continue;
		}
		if (rc == 0)
			fail_msg("lie %d is believed", lie);
		assert_string_equal(row.owner_id, "untouched");
		assert_null(row.der);
	}
	/* A shorter validity that was asked for counts, not the profile's. */
	l.lie = TOO_LONG;
	assert_int_equal(ca_issue(core, l.profile, ID, spki, len, 3600, sans, 1, &row, &err), E_SYS);
	l.lie = HONEST;
	assert_ok(ca_issue(core, l.profile, ID, spki, len, 3600, sans, 1, &row, &err));
	assert_in_range(row.not_after - clock_now(), 3590, 3600);
	store_certificate_clear(&row);
	liar_stop(&l);
	key_free(key);
}

static void
test_the_row_is_the_certificates(void **state)
{
	struct fixture *f = *state;
	const struct profile *profile = profile_find(&fixture_config(f->core)->profiles, "short");
	struct store_certificate row = {0};
	struct cert_info info;
	struct key *key = NULL;
	struct err err = {0};
	uint8_t hash[SHA256_LEN];
	const uint8_t *spki;
	size_t len;

	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	spki = key_spki(key, &len);
	assert_ok(ca_issue(f->core, profile, ID, spki, len, 0, NULL, 0, &row, &err));
	assert_ok(cert_info_read(row.der, row.der_len, &info, &err));
	assert_memory_equal(row.serial, info.serial, SERIAL_LEN);
	sha256(hash, row.der, row.der_len);
	assert_memory_equal(row.fingerprint, hash, SHA256_LEN);
	sha256(hash, spki, len);
	assert_memory_equal(row.spki_hash, hash, SHA256_LEN);
	assert_int_equal(row.not_before, info.not_before);
	assert_int_equal(row.not_after, info.not_after);
	assert_string_equal(row.key, "ec-p256");
	assert_string_equal(row.profile, "short");
	assert_int_equal(row.state, CERTIFICATE_ACTIVE);
	store_certificate_clear(&row);
	/* Not a key at all: the signer is not even asked. */
	assert_int_equal(ca_issue(f->core, profile, ID, spki, len - 1, 0, NULL, 0, &row, &err), E_INPUT);
	key_free(key);
}

static void
test_certificates_by_fingerprint(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct store_certificate row = {0};
	struct store_device device;
	struct credential credential;
	char hex[2 * SHA256_LEN + 2];
	struct err err = {0};

	fixture_register(f, "shown", &device, &credential);
	hex_encode(hex, credential.certificate.fingerprint, SHA256_LEN);
	assert_ok(ca_certificate(f->core, &f->caller, hex, &row, &err));
	assert_string_equal(row.owner_id, device.id);
	store_certificate_clear(&row);
	other.tenant_id = 2; /* H2 */
	assert_int_equal(ca_certificate(f->core, &other, hex, &row, &err), E_NOTFOUND);
	hex[0] = hex[0] == '0' ? '1' : '0';
	assert_int_equal(ca_certificate(f->core, &f->caller, hex, &row, &err), E_NOTFOUND);
	hex[63] = '\0';
	assert_int_equal(ca_certificate(f->core, &f->caller, hex, &row, &err), E_INPUT);
	assert_int_equal(ca_certificate(f->core, &f->caller, "", &row, &err), E_INPUT);
	assert_string_equal(err.field, "fingerprint");
	store_device_clear(&device);
	credential_clear(&credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_only_what_was_asked_for_is_taken),
	    cmocka_unit_test(test_the_row_is_the_certificates),
	    cmocka_unit_test(test_certificates_by_fingerprint),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
