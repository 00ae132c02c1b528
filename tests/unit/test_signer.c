/* The signer as it runs: a process on a real home, asked over its socket, mostly by somebody who means no good. */
#include "home_fixture.h"
#include "x509_fixture.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fs.h"
#include "signer/client.h"
#include "signer/log.h"
#include "signer/proto.h"
#include "x509/checkpoint.h"
#include "x509/crl.h"
#include "x509/ocsp.h"
#include "x509/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>

#define ID "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f01"
#define DAY 86400
#define BACKDATE_S 60
#define LIST_FROM 1767225600
#define CLOSED 1 /* beside the E_*: the signer closed the connection */
#define PATIENCE_S 60
#define FILE_MAX (64 * 1024 * 1024)

static struct fixture_home home;
static struct cert_issuer issuer;
static struct key *p256;
static const uint8_t *spki;
static size_t spki_len;

/* ---- talking to it ------------------------------------------------------------------------------------------- */

struct peer {
	int fd;
	struct buf in;
	uint32_t id; /* the last call's */
};

static void
dial(struct peer *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};

	*p = (struct peer){.fd = socket(AF_UNIX, SOCK_STREAM, 0)};
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", home.socket_path);
	assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
	assert_int_equal(connect(p->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void
hang_up(struct peer *p)
{
	(void)close(p->fd);
	buf_clear(&p->in);
}

/* Send what the other end takes; it may have closed. */
static void
put(struct peer *p, const void *data, size_t len)
{
	const uint8_t *at = data;
	ssize_t n;

	for (; len > 0; at += n, len -= (size_t)n)
		if ((n = send(p->fd, at, len, MSG_NOSIGNAL)) <= 0)
			return;
}

static void
put_frame(struct peer *p, unsigned op, uint32_t id, const struct buf *body)
{
	struct buf frame = {0};

	proto_frame_put(&frame, op, id, body->data, body->len);
	put(p, frame.data, frame.len);
	buf_clear(&frame);
}

/* One whole answer, appended to OUT: 0, the error that it is, or CLOSED. */
static int
get(struct peer *p, uint32_t *id_out, struct buf *out, struct err *err)
{
	struct proto_frame frame;
	uint8_t *room;
	ssize_t n;
	int size, rc;

	for (;;) {
		assert_true((size = proto_frame_read(p->in.data, p->in.len, &frame, err)) >= 0);
		if (size == 0) {
			assert_non_null(room = buf_extend(&p->in, PROTO_FRAME_MAX));
			n = recv(p->fd, room, PROTO_FRAME_MAX, 0);
			p->in.len -= PROTO_FRAME_MAX - (size_t)(n > 0 ? n : 0);
			if (n < 0 && errno == EAGAIN)
				fail_msg("no answer within %d s", PATIENCE_S);
			if (n <= 0)
				return CLOSED;
			continue;
		}
		*id_out = frame.id;
		rc = frame.type == PROTO_FAILED ? proto_error_read(&frame, err) : 0;
		assert_true(rc != 0 || frame.type == PROTO_MORE || frame.type == PROTO_DONE);
		if (rc == 0)
			buf_append(out, frame.body, frame.len);
		buf_consume(&p->in, (size_t)size);
		if (frame.type != PROTO_MORE)
			return rc;
	}
}

static int
ask(struct peer *p, unsigned op, const struct buf *body, struct buf *out, struct err *err)
{
	uint32_t id = 0;
	int rc;

	put_frame(p, op, ++p->id, body);
	rc = get(p, &id, out, err);
	if (rc != CLOSED)
		assert_int_equal(id, p->id);
	return rc;
}

static const struct signer_request *
request_of(const char *profile)
{
	static struct signer_request request;

	request = (struct signer_request){.profile = profile, .id = ID, .spki = spki, .spki_len = spki_len};
	return &request;
}

static int
issue(struct peer *p, const struct signer_request *request, struct buf *der, struct err *err)
{
	struct buf body = {0};
	int rc;

	proto_issue_put(&body, request);
	rc = ask(p, PROTO_ISSUE, &body, der, err);
	buf_clear(&body);
	return rc;
}

static int
note(struct peer *p, const uint8_t *serial, enum crl_reason reason, struct err *err)
{
	struct proto_note n = {.reason = reason, .at = clock_now()};
	struct buf body = {0}, nothing = {0};
	int rc;

	memcpy(n.serial, serial, SERIAL_LEN);
	proto_note_put(&body, &n);
	rc = ask(p, PROTO_NOTE, &body, &nothing, err);
	assert_int_equal(nothing.len, 0);
	buf_clear(&body);
	buf_clear(&nothing);
	return rc;
}

/* The lists of these tests: N times the same entry. */
static const struct crl_entry listed = {.revoked_at = LIST_FROM, .serial = {0x41}};

static struct signer_crl
crl_of(uint64_t at_least)
{
	struct signer_crl crl = {.at_least = at_least, .this_update = LIST_FROM, .next_update = LIST_FROM + DAY};

	memcpy(crl.issuer, issuer.key_id, KEY_ID_LEN);
	return crl;
}

static void
put_begin(struct peer *p, uint32_t id, const struct signer_crl *crl, unsigned n)
{
	const struct proto_crl begin = {*crl, n * crl_entry_len(&listed, false)};
	struct buf body = {0};

	proto_crl_put(&body, &begin);
	put_frame(p, PROTO_CRL_BEGIN, id, &body);
	buf_clear(&body);
}

static void
put_entries(struct peer *p, uint32_t id, unsigned n)
{
	struct buf body = {0};

	for (; n > 0; n--)
		proto_entry_put(&body, &listed);
	put_frame(p, PROTO_CRL_ENTRIES, id, &body);
	buf_clear(&body);
}

/* End the list CRL that was begun under the call id ID. It must have N entries. */
static int
crl_end(struct peer *p, uint32_t id, const struct signer_crl *crl, unsigned n, uint64_t *number_out, struct err *err)
{
	struct crl_spec spec = {.issuer = &issuer, .base = crl->base, .this_update = crl->this_update,
	    .next_update = crl->next_update};
	struct crl_entry *entries = calloc(n + 1, sizeof *entries);
	struct buf nothing = {0}, answer = {0}, der = {0};
	const uint8_t *sig;
	uint32_t got;
	size_t len;
	unsigned i;
	int rc;

	assert_non_null(entries);
	for (i = 0; i < n; i++)
		entries[i] = listed;
	put_frame(p, PROTO_CRL_SIGN, id, &nothing);
	if ((rc = get(p, &got, &answer, err)) == 0) {
		assert_int_equal(got, id);
		assert_int_equal(proto_signed_read(&answer, &spec.number, &sig, &len, err), 0);
		assert_int_equal(crl_join(&spec, entries, n, sig, len, &der, err), 0);
		*number_out = spec.number;
	}
	free(entries);
	buf_clear(&answer);
	buf_clear(&der);
	return rc;
}

/* A whole list of N entries. */
static int
list(struct peer *p, uint32_t id, const struct signer_crl *crl, unsigned n, uint64_t *number_out, struct err *err)
{
	put_begin(p, id, crl, n);
	if (n > 0)
		put_entries(p, id, n);
	return crl_end(p, id, crl, n, number_out, err);
}

/* A list without entries. */
static int
empty_list(struct peer *p, uint64_t at_least, uint64_t *number_out, struct err *err)
{
	const struct signer_crl crl = crl_of(at_least);

	return list(p, 1, &crl, 0, number_out, err);
}

/* It lives, and serves. */
static void
assert_alive(void)
{
	struct buf nothing = {0}, der = {0};
	struct err err = {0};
	struct peer p;

	dial(&p);
	assert_ok(ask(&p, PROTO_CA_CERT, &nothing, &der, &err));
	assert_true(der.len > 0);
	buf_clear(&der);
	hang_up(&p);
}

/* ---- its log, as anybody may read it ------------------------------------------------------------------------- */

struct search {
	struct signer_log_row want;
	unsigned found;
};

static int
on_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct search *s = ctx;

	(void)err;
	s->found += row->kind == s->want.kind && memcmp(row->serial, s->want.serial, SERIAL_LEN) == 0 &&
	    row->reason == s->want.reason && row->crl_number == s->want.crl_number &&
	    row->der_len == s->want.der_len &&
	    (row->der_len == 0 || memcmp(row->der, s->want.der, row->der_len) == 0);
	return 0;
}

static void
log_path(char *path)
{
	struct err err = {0};

	assert_ok(fs_path(path, home.dir, "signer.log", &err));
}

/* How often WANT stands in the log at PATH, or in the signer's own. */
static unsigned
logged(const char *path, const struct signer_log_row *want)
{
	struct search s = {.want = *want};
	struct signer_log *log = NULL;
	char own[FS_PATH_MAX];
	struct err err = {0};

	log_path(own);
	assert_ok(signer_log_open(path != NULL ? path : own, true, &log, &err));
	assert_ok(signer_log_walk(log, 0, on_row, &s, &err));
	signer_log_close(log);
	return s.found;
}

static struct signer_log_row
issued_row(const struct buf *der)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_ISSUED, .der = der->data, .der_len = der->len};
	struct cert_info info;
	struct err err = {0};

	assert_ok(cert_info_read(der->data, der->len, &info, &err));
	memcpy(row.serial, info.serial, SERIAL_LEN);
	return row;
}

static uint64_t
log_last_seq(void)
{
	struct signer_log *log = NULL;
	char path[FS_PATH_MAX];
	struct err err = {0};
	uint64_t seq;

	log_path(path);
	assert_ok(signer_log_open(path, true, &log, &err));
	seq = signer_log_last_seq(log);
	signer_log_close(log);
	return seq;
}

/* ---- the home ------------------------------------------------------------------------------------------------ */

static void
home_file(const char *name, struct buf *out)
{
	char path[FS_PATH_MAX];
	struct err err = {0};

	buf_reset(out);
	assert_ok(fs_path(path, home.dir, name, &err));
	assert_ok(fs_read(path, FILE_MAX, out, &err));
}

/* In place, as damage comes. */
static void
home_overwrite(const char *name, const void *data, size_t len)
{
	char path[FS_PATH_MAX];
	struct err err = {0};
	int fd;

	assert_ok(fs_path(path, home.dir, name, &err));
	assert_true((fd = open(path, O_WRONLY | O_TRUNC)) >= 0);
	assert_ok(fs_write_all(fd, data, len, &err));
	assert_int_equal(close(fd), 0);
}

/* The sanitizers' own calls are not the signer's. */
static bool
want_sandbox(void)
{
	const char *sandbox = getenv("MUSTER_SANDBOX");

	return sandbox == NULL || strcmp(sandbox, "off") != 0;
}

static int
open_home(void **state)
{
	static const char more[] = "\n[profile long]\nkeys = ec-p256\nvalidity = 36500d\n"
				   "[profile all]\nkeys = ec-p256 ec-p384\nserver_auth = on\ncode_signing = on\n"
				   "key_agreement = on\norg = Pumpen & Söhne\ncountry = DE\n";
	struct buf conf = {0}, pem = {0}, der = {0};
	struct err err = {0};

	(void)state;
	fixture_home_make(&home);
	home.sandbox = want_sandbox();
	home_file("muster.conf", &conf);
	buf_text(&conf, more);
	home_overwrite("muster.conf", conf.data, conf.len);
	home_file("ca/issuing.crt", &pem);
	assert_ok(pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &der, &err));
	assert_ok(cert_issuer_init(&issuer, der.data, der.len, "http://localhost:8080", &err));
	assert_ok(key_generate(KEY_EC_P256, &p256, &err));
	spki = key_spki(p256, &spki_len);
	fixture_signer_start(&home);
	buf_clear(&conf);
	buf_clear(&pem);
	buf_clear(&der);
	return 0;
}

static int
close_home(void **state)
{
	(void)state;
	fixture_signer_kill(&home);
	fixture_home_remove(&home);
	key_free(p256);
	return 0;
}

/* ---- what it signs ------------------------------------------------------------------------------------------- */

static X509 *
x509_of(const struct buf *der)
{
	const uint8_t *at = der->data;
	X509 *cert = d2i_X509(NULL, &at, (long)der->len);

	assert_non_null(cert);
	assert_ptr_equal(at, der->data + der->len);
	return cert;
}

/* OpenSSL's word, up to the root, for a TLS client, at the time AT. */
static void
assert_verifies(X509 *cert, int64_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char root[FS_PATH_MAX], ca[FS_PATH_MAX];
	struct err err = {0};

	assert_ok(fs_path(root, home.dir, "ca/root.crt", &err));
	assert_ok(fs_path(ca, home.dir, "ca/issuing.crt", &err));
	assert_int_equal(X509_STORE_load_file(store, root), 1);
	assert_int_equal(X509_STORE_load_file(store, ca), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	assert_int_equal(X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT), 1);
	X509_STORE_CTX_set_time(ctx, 0, at);
	if (X509_verify_cert(ctx) != 1)
		fail_msg("%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
}

static void
assert_no_ca(X509 *cert)
{
	BASIC_CONSTRAINTS *basic;
	int critical = -1;

	assert_int_equal(X509_check_ca(cert), 0);
	assert_int_equal(X509_get_extension_flags(cert) & EXFLAG_CA, 0);
	assert_int_equal(X509_get_key_usage(cert) & (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN), 0);
	assert_non_null(basic = X509_get_ext_d2i(cert, NID_basic_constraints, &critical, NULL));
	assert_int_equal(basic->ca, 0);
	assert_int_equal(critical, 1);
	BASIC_CONSTRAINTS_free(basic);
}

static void
check_issue(const char *profile, int64_t valid_s, int64_t lasts_s, uint32_t key_usage, uint32_t ext_key_usage)
{
	static const char *const sans[] = {"DNS:pump.example", "IP:192.0.2.1"};
	struct signer_request request = *request_of(profile);
	int64_t before = clock_now();
	struct cert_info info;
	struct buf der = {0};
	struct err err = {0};
	struct peer p;
	X509 *cert;

	request.valid_s = valid_s;
	request.sans = sans;
	request.n_sans = 2;
	dial(&p);
	assert_ok(issue(&p, &request, &der, &err));
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	assert_string_equal(info.common_name, ID);
	assert_in_range(info.not_before + BACKDATE_S, before, clock_now());
	assert_int_equal(info.not_after, info.not_before + BACKDATE_S + lasts_s);
	assert_int_equal(info.spki_len, spki_len);
	assert_memory_equal(info.spki, spki, spki_len);
	cert = x509_of(&der);
	assert_no_ca(cert);
	assert_verifies(cert, info.not_after - 1);
	assert_int_equal(X509_get_key_usage(cert), key_usage);
	assert_int_equal(X509_get_extended_key_usage(cert), ext_key_usage);
	assert_int_equal(X509_check_host(cert, "pump.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(cert, ID, 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(cert, "192.0.2.1", 0), 1);
	X509_free(cert);
	buf_clear(&der);
	hang_up(&p);
}

static void
test_issue(void **state)
{
	(void)state;
	check_issue("constrained", 0, 365 * DAY, X509v3_KU_DIGITAL_SIGNATURE, XKU_SSL_CLIENT);
	check_issue("constrained", 365 * DAY, 365 * DAY, X509v3_KU_DIGITAL_SIGNATURE, XKU_SSL_CLIENT);
	check_issue("constrained", 1, 1, X509v3_KU_DIGITAL_SIGNATURE, XKU_SSL_CLIENT);
	check_issue("short", 0, DAY, X509v3_KU_DIGITAL_SIGNATURE, XKU_SSL_CLIENT);
	check_issue("all", 3600, 3600, X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_KEY_AGREEMENT,
	    XKU_SSL_CLIENT | XKU_SSL_SERVER | XKU_CODE_SIGN);
}

/* The moduli of keys by OpenSSL: to make one takes valgrind half a minute. */
static const char modulus_2048[] =
    "8A64D5992DB94B1FC5702B58EE850A19E8D19777BA7D2B3DC0152AB49AA341E22E2D2DF3802BBE7827F228F6CD9D83B59865"
    "2C0513858227943A9AE1AD1912F46EBA2B8E45A8CD4CFDE3EA06EC82582724961645D60A7B7030A59039F359628660DD734D"
    "CDFEA1DEFA3BD10C393A1E49B605D44FACABD326A38343613C411F8D68C0CCD69BF5B2AA11CC29718DD103F7191427F99A99"
    "91DAB0A9B9B50B2F11EE6A2400D9855290E9C7665A2D7AE5639013AA8ED9397605475D34D7EC7C29B6C0E8BEA64B87AC6C27"
    "84B54A7D21561C719F784A1C1BB1BD32D7CEB69D09B64572BE546028D850599F40C2C4C3ED7BC62F1DD7AF1A2EE2DBB0CDA4"
    "8948B805D6D5";
static const char modulus_1024[] =
    "AFBC099411946EB6814CB5D74962429D1044FA35891C42CE7DFCC5EA4501469954EED287958856676F3BFEC20338EDD691AD"
    "10DBC2228F7261591F3FB2CA6C97B25E941EEE4AD0F43021BBE0A68C97DBC742EC1308F9E6968448DE61F5FCEF1C144E5E01"
    "07CB92912FDD27E0E3075C389FFAD2179B0CE7155C03CEE768243F33";

static EVP_PKEY *
rsa_of(const char *modulus, unsigned long e)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params;
	EVP_PKEY *pkey = NULL;
	BIGNUM *n = NULL;

	assert_true(BN_hex2bn(&n, modulus) > 0);
	assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n), 1);
	assert_int_equal(OSSL_PARAM_BLD_push_ulong(builder, OSSL_PKEY_PARAM_RSA_E, e), 1);
	assert_non_null(params = OSSL_PARAM_BLD_to_param(builder));
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	return pkey;
}

/* The built-in default takes RSA; O and C are the profile's, whoever asks. */
static void
test_issue_rsa(void **state)
{
	struct signer_request request = *request_of("standard");
	EVP_PKEY *rsa = rsa_of(modulus_2048, 65537);
	uint8_t *rsa_spki = NULL;
	struct buf der = {0};
	struct err err = {0};
	struct peer p;
	X509 *cert;
	char *name;

	(void)state;
	request.spki_len = (size_t)i2d_PUBKEY(rsa, &rsa_spki);
	request.spki = rsa_spki;
	dial(&p);
	assert_ok(issue(&p, &request, &der, &err));
	cert = x509_of(&der);
	assert_no_ca(cert);
	assert_verifies(cert, clock_now());
	assert_int_equal(X509_get_key_usage(cert), X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_KEY_ENCIPHERMENT);
	name = X509_NAME_oneline(X509_get_subject_name(cert), NULL, 0);
	assert_string_equal(name, "/O=Test/CN=" ID);
	OPENSSL_free(name);
	X509_free(cert);
	OPENSSL_free(rsa_spki);
	EVP_PKEY_free(rsa);
	buf_clear(&der);
	hang_up(&p);
}

/* D2: there is no way to ask for a CA. No part of the request says it, nothing can stand beside the parts, and no
 * other operation signs a certificate; a CA's own public key gets the same leaf as any other. */
static void
test_nothing_makes_a_ca(void **state)
{
	static const char *const sans[] = {"CA:TRUE", "basicConstraints=CA:TRUE", "DNS:x,CA:TRUE", "dirName:ca"};
	struct signer_request request = *request_of("constrained");
	struct buf pem = {0}, root = {0}, der = {0}, body = {0};
	struct cert_info info;
	struct err err = {0};
	struct peer p;
	const char *san;
	unsigned i;
	X509 *cert;

	(void)state;
	home_file("ca/root.crt", &pem);
	assert_ok(pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &root, &err));
	assert_ok(cert_info_read(root.data, root.len, &info, &err));
	assert_true(info.is_ca);
	request.spki = info.spki;
	request.spki_len = info.spki_len;
	dial(&p);
	assert_ok(issue(&p, &request, &der, &err));
	cert = x509_of(&der);
	assert_no_ca(cert);
	X509_free(cert);
	for (i = 0; i < 4; i++) {
		request = *request_of("constrained");
		san = sans[i];
		request.sans = &san;
		request.n_sans = 1;
		assert_int_equal(issue(&p, &request, &der, &err), E_INPUT);
	}
	/* A whole certificate, a request's extensions, or one byte, in the place of or behind the parts. */
	proto_issue_put(&body, request_of("constrained"));
	buf_append(&body, "\x30\x03\x01\x01\xff", 5);
	assert_int_equal(ask(&p, PROTO_ISSUE, &body, &der, &err), E_INPUT);
	body.len -= 4;
	assert_int_equal(ask(&p, PROTO_ISSUE, &body, &der, &err), E_INPUT);
	assert_int_equal(ask(&p, PROTO_ISSUE, &root, &der, &err), E_INPUT);
	request = *request_of("constrained");
	request.spki = root.data;
	request.spki_len = root.len;
	assert_int_equal(issue(&p, &request, &der, &err), E_INPUT);
	hang_up(&p);
	for (i = 0; i < 256; i++) { /* all that is no operation */
		unsigned op = i < PROTO_DONE ? i & ~(unsigned)PROTO_ABOUT : i; /* with the id of a request it is the same one */

		if (op >= PROTO_ISSUE && op <= PROTO_CHECKPOINT)
			continue;
		dial(&p);
		assert_int_equal(ask(&p, i, &body, &der, &err), CLOSED);
		hang_up(&p);
	}
	assert_alive();
	buf_clear(&pem);
	buf_clear(&root);
	buf_clear(&der);
	buf_clear(&body);
}

/* ---- its ceilings -------------------------------------------------------------------------------------------- */

static void
check_refused(struct peer *p, const struct signer_request *request, int code, const char *field)
{
	struct buf der = {0};
	struct err err = {0};

	assert_int_equal(issue(p, request, &der, &err), code);
	assert_string_equal(err.field, field);
	assert_true(err.text[0] != '\0');
	assert_int_equal(der.len, 0);
	buf_clear(&der);
}

static void
test_validity(void **state)
{
	static const int64_t too_long[] = {365LL * DAY + 1, 100LL * 365 * DAY, INT64_MAX, INT64_MAX - 1, -1, INT64_MIN};
	struct signer_request request = *request_of("constrained");
	uint64_t seq = log_last_seq();
	struct cert_info info;
	struct buf der = {0};
	struct err err = {0};
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	for (i = 0; i < sizeof too_long / sizeof too_long[0]; i++) {
		request.valid_s = too_long[i];
		check_refused(&p, &request, E_INPUT, "valid");
	}
	/* Within the profile's, but beyond the CA's own end: refused where it was asked for, else cut there. */
	request = *request_of("long");
	request.valid_s = issuer.not_after - clock_now() + 10;
	check_refused(&p, &request, E_INPUT, "valid");
	assert_int_equal(log_last_seq(), seq); /* none of these was signed */
	request.valid_s = 0;
	assert_ok(issue(&p, &request, &der, &err));
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	assert_int_equal(info.not_after, issuer.not_after);
	buf_clear(&der);
	hang_up(&p);
}

static void
test_profiles_and_names(void **state)
{
	static const char *const profiles[] = {"", "nosuch", "Constrained", "constrained ", "root", "ca"};
	static const char *const ids[] = {"", "x", "6F1ED002-AB59-4F4B-8A5E-3F5B6F0B7F01",
	    "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f0", "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f011",
	    "6f1ed002xab59-4f4b-8a5e-3f5b6f0b7f01", "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f0g", "Muster Issuing CA"};
	static const char *const names[] = {"", "pump.example", "DNS:", "DNS:-x", "DNS:*.example", "DNS:a b", "IP:300.1.1.1",
	    "URI:x", "email:a@b", "DNS:a\nb"};
	const char *sans[CERT_SANS_MAX + 1];
	struct signer_request request;
	uint64_t seq = log_last_seq();
	struct buf der = {0};
	struct err err = {0};
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	for (i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
		check_refused(&p, request_of(profiles[i]), E_INPUT, "profile");
	for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		request = *request_of("constrained");
		request.id = ids[i];
		check_refused(&p, &request, E_INPUT, "id");
	}
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		request = *request_of("constrained");
		request.sans = &names[i];
		request.n_sans = 1;
		assert_int_equal(issue(&p, &request, &der, &err), E_INPUT);
	}
	for (i = 0; i <= CERT_SANS_MAX; i++)
		sans[i] = "DNS:pump.example";
	request = *request_of("constrained");
	request.sans = sans;
	request.n_sans = CERT_SANS_MAX + 1;
	check_refused(&p, &request, E_INPUT, "");
	assert_int_equal(log_last_seq(), seq);
	request.n_sans = CERT_SANS_MAX;
	assert_ok(issue(&p, &request, &der, &err));
	assert_int_equal(log_last_seq(), seq + 1);
	buf_clear(&der);
	hang_up(&p);
}

static void
check_key(struct peer *p, const char *profile, const uint8_t *key, size_t len, int code, const char *field)
{
	struct signer_request request = *request_of(profile);

	request.spki = key;
	request.spki_len = len;
	check_refused(p, &request, code, field);
}

static void
check_pkey(struct peer *p, const char *profile, EVP_PKEY *pkey)
{
	uint8_t *der = NULL;
	int len;

	assert_non_null(pkey);
	assert_true((len = i2d_PUBKEY(pkey, &der)) > 0);
	check_key(p, profile, der, (size_t)len, E_INPUT, "");
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
}

/* D4, D5, D6, D7: weak keys, broken ones, ones outside the profile, and the CA's own. */
static void
test_keys(void **state)
{
	uint64_t seq = log_last_seq();
	uint8_t broken[KEY_SPKI_MAX];
	struct key *p384 = NULL;
	struct err err = {0};
	const uint8_t *other;
	size_t len, i;
	struct peer p;

	(void)state;
	dial(&p);
	check_key(&p, "standard", spki, spki_len, E_INPUT, "key"); /* which takes RSA-2048 only */
	assert_ok(key_generate(KEY_EC_P384, &p384, &err));
	other = key_spki(p384, &len);
	check_key(&p, "constrained", other, len, E_INPUT, "key");
	key_free(p384);
	check_key(&p, "constrained", issuer.spki, issuer.spki_len, E_CONFLICT, "key");
	check_pkey(&p, "standard", rsa_of(modulus_1024, 65537));
	check_pkey(&p, "standard", rsa_of(modulus_2048, 3));
	check_pkey(&p, "all", EVP_EC_gen("P-224"));
	check_pkey(&p, "all", EVP_EC_gen("secp256k1"));
	check_pkey(&p, "all", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	memcpy(broken, spki, spki_len);
	broken[spki_len] = 0;
	check_key(&p, "constrained", broken, spki_len + 1, E_INPUT, ""); /* a byte behind it */
	for (i = 0; i < spki_len; i++) /* cut short */
		check_key(&p, "constrained", broken, i, E_INPUT, "");
	broken[spki_len - 1] ^= 1;
	check_key(&p, "constrained", broken, spki_len, E_INPUT, ""); /* off the curve */
	memset(broken + spki_len - 64, 0, 64);
	check_key(&p, "constrained", broken, spki_len, E_INPUT, "");
	assert_int_equal(log_last_seq(), seq);
	hang_up(&p);
}

/* ---- malformed frames ---------------------------------------------------------------------------------------- */

/* What is sent ends the connection, and nothing else. */
static void
check_closed(const void *data, size_t len)
{
	struct buf nothing = {0};
	struct err err = {0};
	struct peer p;
	uint32_t id;

	dial(&p);
	put(&p, data, len);
	assert_int_equal(get(&p, &id, &nothing, &err), CLOSED);
	assert_int_equal(nothing.len, 0);
	hang_up(&p);
}

static void
test_malformed_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
	    {"\0\0\0\0", 4},		       /* no type */
	    {"\0\0\0\4\5\0\0\0", 8},	       /* no whole id */
	    {"\0\1\0\1", 4},		       /* one byte over the limit: refused before it comes */
	    {"\377\377\377\377", 4},	       /* as long as can be */
	    {"\200\0\0\0", 4},		       /* negative, to some */
	    {"GET / HTTP/1.1\r\n\r\n", 18},    /* somebody lost */
	    {"\0\0\0\5\0\0\0\0\1", 9},	       /* operation 0 */
	    {"\0\0\0\5\12\0\0\0\1", 9},	       /* the one behind the last */
	    {"\0\0\0\5\200\0\0\0\1", 9},       /* an answer */
	    {"\0\0\0\6\3\0\0\0\1x", 10},       /* a piece of a list's entry */
	};
	struct buf nothing = {0}, der = {0};
	struct err err = {0};
	struct peer other;
	size_t i;

	(void)state;
	dial(&other);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		check_closed(bad[i].bytes, bad[i].len);
		assert_ok(ask(&other, PROTO_CA_CERT, &nothing, &der, &err)); /* others do not notice */
	}
	buf_clear(&der);
	hang_up(&other);
}

static void
test_random_bytes(void **state)
{
	uint64_t x = 0x9e3779b97f4a7c15, seq = log_last_seq();
	uint8_t data[400];
	struct buf out = {0};
	size_t i, k, len;
	uint32_t id;

	(void)state;
	for (i = 0; i < 300; i++) {
		struct err err = {0};
		struct peer p;

		for (k = 0; k < sizeof data; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			data[k] = (uint8_t)(x >> 32);
		}
		len = 1 + x % sizeof data;
		if (i % 2 == 0 && len > PROTO_HEADER) { /* a sound frame of an operation, with any body */
			memset(data, 0, 3);
			data[2] = (uint8_t)((len - 4) >> 8);
			data[3] = (uint8_t)(len - 4);
			data[4] = (uint8_t)(1 + i / 2 % 6);
		}
		dial(&p);
		put(&p, data, len);
		assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
		while (get(&p, &id, &out, &err) != CLOSED)
			continue;
		hang_up(&p);
	}
	assert_alive();
	assert_int_equal(log_last_seq(), seq);
	buf_clear(&out);
}

/* A request that stops anywhere is none; one that comes byte by byte is one. */
static void
test_truncated_and_slow(void **state)
{
	struct buf body = {0}, frame = {0}, der = {0};
	uint64_t seq = log_last_seq();
	struct err err = {0};
	struct peer p;
	uint32_t id;
	size_t len;

	(void)state;
	proto_issue_put(&body, request_of("constrained"));
	proto_frame_put(&frame, PROTO_ISSUE, 5, body.data, body.len);
	for (len = 0; len < frame.len; len++) {
		dial(&p);
		put(&p, frame.data, len);
		assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
		assert_int_equal(get(&p, &id, &der, &err), CLOSED);
		hang_up(&p);
	}
	assert_int_equal(log_last_seq(), seq);
	dial(&p);
	for (len = 0; len < frame.len; len++) {
		put(&p, frame.data + len, 1);
		(void)sched_yield();
	}
	assert_ok(get(&p, &id, &der, &err));
	assert_int_equal(id, 5);
	assert_int_equal(log_last_seq(), seq + 1);
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&frame);
	buf_clear(&der);
}

static void
test_bodies_of_other_operations(void **state)
{
	static const unsigned ops[] = {PROTO_NOTE, PROTO_CRL_SIGN, PROTO_LOG_READ, PROTO_ISSUE};
	struct buf body = {0}, out = {0};
	struct err err = {0};
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	for (i = 0; i < 4; i++) { /* refused, and the connection goes on */
		assert_int_equal(ask(&p, ops[i], &body, &out, &err), E_INPUT);
		buf_byte(&body, 1);
		assert_int_equal(ask(&p, ops[i], &body, &out, &err), E_INPUT);
	}
	assert_int_equal(ask(&p, PROTO_CA_CERT, &body, &out, &err), E_INPUT);
	assert_int_equal(out.len, 0);
	body.len = 0;
	assert_ok(ask(&p, PROTO_CA_CERT, &body, &out, &err));
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&out);
}

/* One connection too many is closed; when another ends, there is room again. */
static void
test_connections(void **state)
{
	struct buf nothing = {0}, der = {0};
	struct err err = {0};
	struct peer p[5];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		dial(&p[i]);
		assert_ok(ask(&p[i], PROTO_CA_CERT, &nothing, &der, &err));
	}
	dial(&p[4]);
	assert_int_equal(ask(&p[4], PROTO_CA_CERT, &nothing, &der, &err), CLOSED);
	hang_up(&p[4]);
	hang_up(&p[2]);
	dial(&p[2]);
	for (i = 0; i < 4; i++) {
		assert_ok(ask(&p[i], PROTO_CA_CERT, &nothing, &der, &err));
		hang_up(&p[i]);
	}
	buf_clear(&der);
}

/* Many requests in one go: each has its answer, in their order. */
static void
test_pipelined(void **state)
{
	struct buf body = {0}, frames = {0}, der = {0};
	uint32_t i, id;
	struct err err = {0};
	struct peer p;

	(void)state;
	proto_issue_put(&body, request_of("constrained"));
	for (i = 0; i < 300; i++) /* every third is refused */
		proto_frame_put(&frames, PROTO_ISSUE, 1000 - i, body.data, body.len - (i % 3 == 0));
	dial(&p);
	put(&p, frames.data, frames.len);
	for (i = 0; i < 300; i++) {
		buf_reset(&der);
		assert_int_equal(get(&p, &id, &der, &err), i % 3 == 0 ? E_INPUT : 0);
		assert_int_equal(id, 1000 - i);
	}
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&frames);
	buf_clear(&der);
}

/* ---- OCSP ---------------------------------------------------------------------------------------------------- */

/* Ask for an answer each about SERIALS, N of them, with this status; OUTS are what came, empty for what was refused. */
static int
ocsp(struct peer *p, const uint8_t *key_id, int64_t valid_s, uint8_t (*serials)[SERIAL_LEN], size_t n,
    enum ocsp_status status, struct buf *outs, int64_t *next_out, struct err *err)
{
	struct ocsp_single singles[SIGNER_OCSP_MAX];
	struct signer_ocsp wanted[SIGNER_OCSP_MAX];
	struct buf body = {0}, answer = {0};
	struct bytes b;
	size_t i, len;
	int rc;

	for (i = 0; i < n; i++) {
		singles[i] = (struct ocsp_single){.status = status};
		memcpy(singles[i].serial, serials[i], SERIAL_LEN);
		if (status == OCSP_REVOKED)
			singles[i].revoked_at = clock_now() - 100;
		wanted[i] = (struct signer_ocsp){.singles = &singles[i], .n = 1};
	}
	proto_ocsp_put(&body, key_id, valid_s, wanted, n);
	if ((rc = ask(p, PROTO_OCSP, &body, &answer, err)) == 0) {
		b = (struct bytes){answer.data, answer.len, false};
		(void)bytes_u64(&b);
		*next_out = (int64_t)bytes_u64(&b);
		for (i = 0; i < n; i++) {
			len = bytes_u32(&b);
			buf_reset(&outs[i]);
			buf_append(&outs[i], bytes_take(&b, len), len);
		}
		assert_true(bytes_end(&b));
	}
	buf_clear(&body);
	buf_clear(&answer);
	return rc;
}

/* G1 at its root: "good" only for what the log knows as issued and not as revoked, whatever the api says; the lie that a
 * valid one is revoked or unknown is the api's, and harms nobody but its service. */
static void
test_ocsp_good_is_the_logs_word(void **state)
{
	uint8_t serials[4][SERIAL_LEN]; /* valid, held, revoked, never issued */
	struct buf der = {0}, issuing = {0}, pem = {0}, outs[4] = {{0}};
	struct ocsp_info info;
	struct err err = {0};
	int64_t next = 0;
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	for (i = 0; i < 3; i++) {
		buf_reset(&der);
		assert_ok(issue(&p, request_of("constrained"), &der, &err));
		memcpy(serials[i], issued_row(&der).serial, SERIAL_LEN);
	}
	memcpy(serials[3], serials[0], SERIAL_LEN); /* the same but for a bit that the table's hash must not lose */
	serials[3][3] ^= 1;
	assert_ok(note(&p, serials[1], REASON_CERTIFICATE_HOLD, &err));
	assert_ok(note(&p, serials[2], REASON_KEY_COMPROMISE, &err));
	home_file("ca/issuing.crt", &pem);
	assert_ok(pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &issuing, &err));
	assert_ok(ocsp(&p, issuer.key_id, 3600, serials, 4, OCSP_GOOD, outs, &next, &err));
	assert_true(next > clock_now() + 3500 && next <= clock_now() + 3600);
	assert_ok(ocsp_verify(outs[0].data, outs[0].len, &issuing, serials[0], &info, &err));
	assert_int_equal(info.status, OCSP_GOOD);
	assert_int_equal(info.next_update, next);
	for (i = 1; i < 4; i++)
		assert_int_equal(outs[i].len, 0);
	/* a hold ends, a revocation does not */
	assert_ok(note(&p, serials[1], REASON_REMOVE_FROM_CRL, &err));
	assert_ok(note(&p, serials[2], REASON_REMOVE_FROM_CRL, &err));
	assert_ok(ocsp(&p, issuer.key_id, 3600, serials, 4, OCSP_GOOD, outs, &next, &err));
	assert_true(outs[1].len > 0);
	assert_int_equal(outs[2].len, 0);
	for (i = 0; i < 2; i++) {
		enum ocsp_status status = i == 0 ? OCSP_REVOKED : OCSP_UNKNOWN;

		assert_ok(ocsp(&p, issuer.key_id, 3600, serials, 4, status, outs, &next, &err));
		assert_ok(ocsp_verify(outs[3].data, outs[3].len, &issuing, serials[3], &info, &err));
		assert_int_equal(info.status, status);
	}
	hang_up(&p);
	for (i = 0; i < 4; i++)
		buf_clear(&outs[i]);
	buf_clear(&der);
	buf_clear(&pem);
	buf_clear(&issuing);
}

/* The audit trail's witness signs with a key and certificate of its own, made once, which stand in the log, as does what it has
 * signed, before it leaves; nobody can make it sign something else, or less than before. */
static void
test_witness(void **state)
{
	struct buf body = {0}, answer = {0}, root = {0};
	uint64_t seq = log_last_seq();
	struct checkpoint said, read;
	uint8_t head[SHA256_LEN];
	struct err err = {0};
	size_t used;
	struct peer p;
	int64_t n;

	(void)state;
	dial(&p);
	memset(head, 0x5a, sizeof head);
	proto_checkpoint_put(&body, 0, head);
	assert_int_equal(ask(&p, PROTO_CHECKPOINT, &body, &answer, &err), E_NOTFOUND);
	home_file("ca/root.crt", &root);
	for (n = 1; n <= 3; n++) {
		buf_reset(&body);
		buf_reset(&answer);
		proto_checkpoint_put(&body, 10 * n, head);
		assert_ok(ask(&p, PROTO_CHECKPOINT, &body, &answer, &err));
		assert_ok(proto_checkpoint_signed_read(&answer, &said, &used, &err));
		assert_ok(checkpoint_verify(answer.data + used, answer.len - used, buf_str(&root), &read, &err));
		assert_true(said.number == (uint64_t)n && read.number == said.number && read.seq == 10 * n);
		assert_memory_equal(read.head, head, SHA256_LEN);
		assert_int_equal(log_last_seq(), seq + 1 + (uint64_t)n); /* one certificate for all */
	}
	buf_reset(&body);
	proto_checkpoint_put(&body, 29, head);
	assert_int_equal(ask(&p, PROTO_CHECKPOINT, &body, &answer, &err), E_CONFLICT);
	buf_append(&body, "x", 1);
	assert_int_equal(ask(&p, PROTO_CHECKPOINT, &body, &answer, &err), E_INPUT);
	assert_int_equal(log_last_seq(), seq + 4);
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&answer);
	buf_clear(&root);
}

static int
on_responder(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct buf *der = ctx;

	(void)err;
	if (row->kind == SIGNER_LOG_RESPONDER) {
		buf_reset(der);
		buf_append(der, row->der, row->der_len);
	}
	return 0;
}

/* The responder's certificate stands in the log before an answer leaves, is what RFC 6960 asks, and ends behind every
 * answer; none is made for each. */
static void
test_ocsp_responder(void **state)
{
	uint8_t serial[1][SERIAL_LEN] = {{1}};
	struct signer_log *log = NULL;
	struct buf der = {0}, out = {0};
	struct cert_info info;
	char path[FS_PATH_MAX];
	struct err err = {0};
	uint64_t seq;
	int64_t next;
	struct peer p;
	X509 *cert;
	int i;

	(void)state;
	dial(&p);
	assert_ok(ocsp(&p, issuer.key_id, INT64_MAX, serial, 1, OCSP_UNKNOWN, &out, &next, &err));
	seq = log_last_seq();
	for (i = 0; i < 10; i++)
		assert_ok(ocsp(&p, issuer.key_id, 60, serial, 1, OCSP_UNKNOWN, &out, &(int64_t){0}, &err));
	assert_int_equal(log_last_seq(), seq);
	log_path(path);
	assert_ok(signer_log_open(path, true, &log, &err));
	assert_ok(signer_log_walk(log, 0, on_responder, &der, &err));
	signer_log_close(log);
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	assert_false(info.is_ca);
	assert_true(next == info.not_after && next <= clock_now() + 7 * DAY);
	cert = x509_of(&der);
	assert_int_equal(X509_get_extended_key_usage(cert), XKU_OCSP_SIGN);
	assert_no_ca(cert);
	X509_free(cert);
	hang_up(&p);
	buf_clear(&der);
	buf_clear(&out);
}

static void
test_ocsp_refused(void **state)
{
	uint8_t serial[1][SERIAL_LEN] = {{1}}, other[KEY_ID_LEN];
	struct ocsp_single singles[OCSP_IDS_MAX + 1] = {{.status = OCSP_UNKNOWN}};
	struct signer_ocsp wanted = {.singles = singles, .n = OCSP_IDS_MAX};
	struct buf out = {0}, body = {0};
	struct err err = {0};
	int64_t next;
	struct peer p;

	(void)state;
	dial(&p);
	memcpy(other, issuer.key_id, KEY_ID_LEN);
	other[0] ^= 1;
	assert_int_equal(ocsp(&p, other, 60, serial, 1, OCSP_UNKNOWN, &out, &next, &err), E_NOTFOUND);
	assert_int_equal(ocsp(&p, issuer.key_id, 0, serial, 1, OCSP_UNKNOWN, &out, &next, &err), E_INPUT);
	assert_int_equal(ocsp(&p, issuer.key_id, -1, serial, 1, OCSP_UNKNOWN, &out, &next, &err), E_INPUT);
	proto_ocsp_put(&body, issuer.key_id, 60, &wanted, 1);
	assert_ok(ask(&p, PROTO_OCSP, &body, &out, &err));
	wanted.n++;
	buf_reset(&body);
	proto_ocsp_put(&body, issuer.key_id, 60, &wanted, 1);
	assert_int_equal(ask(&p, PROTO_OCSP, &body, &out, &err), E_INPUT);
	wanted.n = 0;
	buf_reset(&body);
	proto_ocsp_put(&body, issuer.key_id, 60, &wanted, 1);
	assert_int_equal(ask(&p, PROTO_OCSP, &body, &out, &err), E_INPUT);
	hang_up(&p);
	buf_clear(&out);
	buf_clear(&body);
	assert_alive();
}

/* A revocation overtakes what came with it, and everybody has their answer all the same. */
static void
test_notes_overtake(void **state)
{
	const struct ocsp_single single = {.serial = {0x41}, .status = OCSP_UNKNOWN};
	const struct signer_ocsp wanted = {&single, 1, NULL, 0};
	struct proto_note n = {.reason = REASON_KEY_COMPROMISE, .at = clock_now()};
	struct buf body = {0}, note_body = {0}, frames = {0}, der = {0};
	uint32_t i, id, first = 0;
	bool seen[64] = {false};
	struct err err = {0};
	struct peer p;

	(void)state;
	dial(&p);
	assert_ok(issue(&p, request_of("constrained"), &der, &err));
	memcpy(n.serial, issued_row(&der).serial, SERIAL_LEN);
	proto_note_put(&note_body, &n);
	proto_ocsp_put(&body, issuer.key_id, 60, &wanted, 1);
	for (i = 0; i < 64; i++)
		if (i % 32 == 31)
			proto_frame_put(&frames, PROTO_NOTE, i, note_body.data, note_body.len);
		else
			proto_frame_put(&frames, PROTO_OCSP, i, body.data, body.len);
	put(&p, frames.data, frames.len);
	for (i = 0; i < 64; i++) {
		buf_reset(&der);
		assert_ok(get(&p, &id, &der, &err));
		assert_true(id < 64 && !seen[id]);
		seen[id] = true;
		first = i == 0 ? id : first;
	}
	assert_int_equal(first, 31); /* all of this fits what is read at once */
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&note_body);
	buf_clear(&frames);
	buf_clear(&der);
}

/* ---- the log ------------------------------------------------------------------------------------------------- */

/* Whoever has an answer finds its row in the file. */
static void
test_logged_before_answered(void **state)
{
	struct signer_log_row row;
	struct err err = {0};
	struct peer p;
	int i;

	(void)state;
	dial(&p);
	for (i = 0; i < 10; i++) {
		struct signer_log_row revoked = {.kind = SIGNER_LOG_REVOKED, .reason = REASON_KEY_COMPROMISE};
		struct signer_log_row numbered = {.kind = SIGNER_LOG_CRL};
		struct buf der = {0};

		assert_ok(issue(&p, request_of("constrained"), &der, &err));
		row = issued_row(&der);
		assert_int_equal(logged(NULL, &row), 1);
		memcpy(revoked.serial, row.serial, SERIAL_LEN);
		assert_ok(note(&p, row.serial, REASON_KEY_COMPROMISE, &err));
		assert_int_equal(logged(NULL, &revoked), 1);
		assert_ok(empty_list(&p, 0, &numbered.crl_number, &err));
		assert_int_equal(logged(NULL, &numbered), 1);
		buf_clear(&der);
	}
	hang_up(&p);
}

static void
test_notes(void **state)
{
	static const enum crl_reason reasons[] = {
	    REASON_CERTIFICATE_HOLD, REASON_REMOVE_FROM_CRL, REASON_KEY_COMPROMISE, REASON_KEY_COMPROMISE};
	uint8_t serial[SERIAL_LEN] = {0x11, 0x22};
	struct proto_note bad = {.reason = (enum crl_reason)7, .at = 1};
	struct buf der = {0}, body = {0};
	struct signer_log_row row;
	struct err err = {0};
	uint64_t seq;
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	seq = log_last_seq();
	assert_int_equal(note(&p, serial, REASON_KEY_COMPROMISE, &err), E_NOTFOUND);
	memset(serial, 0, sizeof serial);
	assert_int_equal(note(&p, serial, REASON_KEY_COMPROMISE, &err), E_NOTFOUND);
	assert_int_equal(log_last_seq(), seq);
	assert_ok(issue(&p, request_of("constrained"), &der, &err));
	row = issued_row(&der);
	for (i = 0; i < 4; i++)
		assert_ok(note(&p, row.serial, reasons[i], &err));
	memcpy(bad.serial, row.serial, SERIAL_LEN);
	proto_note_put(&body, &bad);
	buf_reset(&der);
	assert_int_equal(ask(&p, PROTO_NOTE, &body, &der, &err), E_INPUT);
	assert_int_equal(log_last_seq(), seq + 5);
	/* It knows after a restart, too, what it has issued. */
	hang_up(&p);
	fixture_signer_kill(&home);
	fixture_signer_start(&home);
	dial(&p);
	assert_ok(note(&p, row.serial, REASON_SUPERSEDED, &err));
	hang_up(&p);
	buf_clear(&der);
	buf_clear(&body);
}

struct rows {
	uint64_t last;
	unsigned n;
};

static int
on_read(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct rows *rows = ctx;

	(void)err;
	assert_int_equal(row->seq, rows->last + 1);
	rows->last = row->seq;
	rows->n++;
	return 0;
}

/* More than one answer holds. */
static void
test_log_read(void **state)
{
	struct signer *signer = NULL;
	struct rows rows = {0, 0};
	struct buf body = {0}, frames = {0}, der = {0};
	struct err err = {0};
	uint64_t seq;
	struct peer p;
	uint32_t i, id;

	(void)state;
	proto_issue_put(&body, request_of("constrained"));
	for (i = 0; i < 1500; i++)
		proto_frame_put(&frames, PROTO_ISSUE, i, body.data, body.len);
	dial(&p);
	put(&p, frames.data, frames.len);
	for (i = 0; i < 1500; i++)
		assert_ok(get(&p, &id, &der, &err));
	hang_up(&p);
	seq = log_last_seq();
	assert_true(der.len > 600 * 1024);
	assert_ok(signer_open(home.socket_path, SIGNER_TIMEOUT_MS, &signer, &err));
	assert_ok(signer_log_read(signer, 0, on_read, &rows, &err));
	assert_int_equal(rows.last, seq);
	rows = (struct rows){seq - 3, 0};
	assert_ok(signer_log_read(signer, seq - 3, on_read, &rows, &err));
	assert_int_equal(rows.n, 3);
	assert_ok(signer_log_read(signer, seq, on_read, &rows, &err));
	assert_int_equal(rows.n, 3);
	assert_int_equal(signer_log_read(signer, seq + 1, on_read, &rows, &err), E_CONFLICT);
	assert_int_equal(signer_log_read(signer, UINT64_MAX, on_read, &rows, &err), E_CONFLICT);
	signer_close(signer);
	buf_clear(&body);
	buf_clear(&frames);
	buf_clear(&der);
}

/* I10: who does not take answers gets no more of them made: what waits in the signer has a bound. */
static void
test_answers_that_nobody_takes(void **state)
{
	struct buf body = {0}, frames = {0}, out = {0}, first = {0};
	uint64_t seq = log_last_seq();
	struct err err = {0};
	struct peer p;
	uint32_t i, id;

	(void)state;
	proto_log_read_put(&body, 0);
	for (i = 0; i < 40; i++) /* half a megabyte each */
		proto_frame_put(&frames, PROTO_LOG_READ, i, body.data, body.len);
	buf_reset(&body);
	proto_issue_put(&body, request_of("constrained"));
	proto_frame_put(&frames, PROTO_ISSUE, i, body.data, body.len);
	dial(&p);
	put(&p, frames.data, frames.len);
	assert_alive(); /* others are served, and by now the signer has seen all of this */
	assert_int_equal(log_last_seq(), seq);
	assert_ok(get(&p, &id, &first, &err));
	assert_true(first.len > 512 * 1024);
	for (i = 1; i < 40; i++) {
		buf_reset(&out);
		assert_ok(get(&p, &id, &out, &err));
		assert_int_equal(id, i);
		assert_int_equal(out.len, first.len);
		assert_memory_equal(out.data, first.data, first.len);
	}
	assert_ok(get(&p, &id, &out, &err));
	assert_int_equal(id, 40);
	assert_int_equal(log_last_seq(), seq + 1);
	hang_up(&p);
	buf_clear(&body);
	buf_clear(&frames);
	buf_clear(&out);
	buf_clear(&first);
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

/* G6: never lower, whatever is asked for, and whatever ended the signer. */
static void
test_crl_numbers(void **state)
{
	static const uint64_t leaps[] = {0, 1, 5, 0, 1000, 3};
	struct err err = {0};
	uint64_t last = 0, number = 0;
	struct peer p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof leaps / sizeof leaps[0]; i++) {
		uint64_t at_least = leaps[i] > 1 ? last + leaps[i] : leaps[i]; /* 0 and 1 were long ago */

		dial(&p);
		assert_ok(empty_list(&p, at_least, &number, &err));
		if (last > 0)
			assert_int_equal(number, at_least > last ? at_least : last + 1);
		last = number;
		hang_up(&p);
		fixture_signer_kill(&home);
		fixture_signer_start(&home);
	}
	/* Refused, and no number is lost on it. */
	dial(&p);
	assert_int_equal(empty_list(&p, (uint64_t)INT64_MAX + 1, &number, &err), E_INPUT);
	assert_int_equal(empty_list(&p, UINT64_MAX, &number, &err), E_INPUT);
	assert_ok(empty_list(&p, 0, &number, &err));
	assert_int_equal(number, last + 1);
	hang_up(&p);
}

/* RFC 5280, section 5.2.3: complete and delta of the same moment have one number, and no two of a kind ever have. */
static void
test_crl_pairs(void **state)
{
	struct signer_crl complete = crl_of(0), delta = crl_of(0), again;
	struct err err = {0};
	uint64_t first = 0, number = 0;
	struct peer p;
	int i;

	(void)state;
	dial(&p);
	assert_ok(empty_list(&p, 0, &first, &err));
	delta.base = first;
	for (i = 0; i < 2; i++) { /* whichever comes first */
		struct signer_crl *one = i == 0 ? &delta : &complete, *other = i == 0 ? &complete : &delta;

		one->is_paired = false;
		other->is_paired = true;
		assert_ok(list(&p, 1, one, 2, &first, &err));
		again = *one;
		again.is_paired = true; /* of its own kind */
		assert_int_equal(list(&p, 1, &again, 2, &number, &err), E_CONFLICT);
		again = *other;
		again.this_update++; /* of another moment */
		assert_int_equal(list(&p, 1, &again, 2, &number, &err), E_CONFLICT);
		again = *other;
		again.at_least = first + 1;
		assert_int_equal(list(&p, 1, &again, 2, &number, &err), E_CONFLICT);
		assert_ok(list(&p, 1, other, 3, &number, &err));
		assert_int_equal(number, first);
		assert_int_equal(list(&p, 1, other, 3, &number, &err), E_CONFLICT); /* a third */
	}
	/* What a signer that is gone has given is not given by the next one. */
	complete.is_paired = false;
	assert_ok(list(&p, 1, &complete, 1, &first, &err));
	hang_up(&p);
	fixture_signer_kill(&home);
	fixture_signer_start(&home);
	dial(&p);
	delta.is_paired = true;
	assert_int_equal(list(&p, 1, &delta, 1, &number, &err), E_CONFLICT);
	delta.is_paired = false;
	assert_ok(list(&p, 1, &delta, 1, &number, &err));
	assert_int_equal(number, first + 1);
	hang_up(&p);
}

static void
test_refused_lists(void **state)
{
	static const int64_t times[][2] = {{100, 100}, {100, 99}, {-1, 100}, {INT64_MIN, INT64_MAX}, {100, INT64_MAX},
	    {100, 253402300800}};
	struct signer_crl crl = crl_of(0);
	uint64_t number = 0, last = 0;
	struct err err = {0};
	struct peer p;
	size_t i;

	(void)state;
	dial(&p);
	assert_ok(empty_list(&p, 0, &last, &err));
	for (i = 0; i < sizeof times / sizeof times[0]; i++) {
		crl.this_update = times[i][0];
		crl.next_update = times[i][1];
		assert_int_equal(list(&p, 1, &crl, 1, &number, &err), E_INPUT);
	}
	crl = crl_of(0);
	crl.base = INT64_MAX; /* a delta to a list of which nobody knows */
	assert_int_equal(list(&p, 1, &crl, 1, &number, &err), E_INPUT);
	crl = crl_of(0);
	crl.issuer[0] ^= 1;
	assert_int_equal(list(&p, 1, &crl, 1, &number, &err), E_NOTFOUND);
	assert_ok(empty_list(&p, 0, &number, &err));
	assert_int_equal(number, last + 2); /* the delta had one already */
	hang_up(&p);
}

/* Each list has the entries of its own call. */
static void
test_two_lists_at_once(void **state)
{
	const struct signer_crl crl = crl_of(0);
	uint64_t first, second, third, fourth;
	struct err err = {0};
	struct peer p, other;

	(void)state;
	dial(&p);
	dial(&other);
	put_begin(&p, 1, &crl, 7);
	put_entries(&p, 1, 3);
	put_begin(&p, 2, &crl, 5);
	put_entries(&p, 2, 5);
	put_entries(&p, 1, 4);
	assert_ok(crl_end(&p, 2, &crl, 5, &second, &err));
	put_begin(&other, 1, &crl, 100); /* the same id, somebody else's */
	put_entries(&other, 1, 100);
	assert_ok(crl_end(&other, 1, &crl, 100, &third, &err));
	assert_ok(crl_end(&p, 1, &crl, 7, &first, &err));
	assert_ok(list(&p, 1, &crl, 0, &fourth, &err)); /* begun anew */
	assert_true(first < second && second < third && third < fourth);
	hang_up(&p);
	hang_up(&other);
}

/* No list is ever signed that lacks entries: where some were refused, there is no connection left to sign it on. */
static void
test_refused_entries(void **state)
{
	const struct signer_crl crl = crl_of(0);
	struct buf body = {0}, nothing = {0};
	struct crl_entry released = listed;
	uint64_t number;
	struct err err = {0};
	struct peer p;
	uint32_t id;

	(void)state;
	dial(&p); /* a third list */
	put_begin(&p, 1, &crl, 1);
	put_begin(&p, 2, &crl, 1);
	put_begin(&p, 3, &crl, 1);
	assert_int_equal(get(&p, &id, &nothing, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* of a list that was not begun */
	put_entries(&p, 1, 1);
	assert_int_equal(get(&p, &id, &nothing, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* begun twice */
	put_begin(&p, 1, &crl, 1);
	put_begin(&p, 1, &crl, 1);
	assert_int_equal(get(&p, &id, &nothing, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* half an entry, behind sound ones */
	put_begin(&p, 1, &crl, 2);
	put_entries(&p, 1, 1);
	buf_byte(&body, 1);
	put_frame(&p, PROTO_CRL_ENTRIES, 1, &body);
	assert_int_equal(crl_end(&p, 1, &crl, 2, &number, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* one more than was announced */
	put_begin(&p, 1, &crl, 1);
	put_entries(&p, 1, 2);
	assert_int_equal(crl_end(&p, 1, &crl, 1, &number, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* what is only in deltas */
	put_begin(&p, 1, &crl, 1);
	released.reason = REASON_REMOVE_FROM_CRL;
	buf_reset(&body);
	proto_entry_put(&body, &released);
	put_frame(&p, PROTO_CRL_ENTRIES, 1, &body);
	assert_int_equal(crl_end(&p, 1, &crl, 1, &number, &err), CLOSED);
	hang_up(&p);
	dial(&p); /* what the connection that was closed had begun is gone */
	assert_int_equal(crl_end(&p, 1, &crl, 0, &number, &err), E_INPUT);
	put_begin(&p, 1, &crl, 2); /* fewer than were announced */
	put_entries(&p, 1, 1);
	assert_int_equal(crl_end(&p, 1, &crl, 1, &number, &err), E_INPUT);
	assert_ok(list(&p, 1, &crl, 3, &number, &err));
	hang_up(&p);
	buf_clear(&body);
}

static void
test_broken_off_list(void **state)
{
	const struct signer_crl crl = crl_of(0);
	struct err err = {0};
	uint64_t number;
	struct peer p;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		dial(&p);
		put_begin(&p, 1, &crl, 3 * PROTO_ENTRIES_MAX);
		put_entries(&p, 1, PROTO_ENTRIES_MAX);
		put_entries(&p, 1, PROTO_ENTRIES_MAX);
		put(&p, "\0\0\xff\0\3\0\0\0\1half", 13);
		hang_up(&p);
	}
	dial(&p);
	assert_ok(empty_list(&p, 0, &number, &err));
	hang_up(&p);
}

static void
test_long_list(void **state)
{
	enum { N = 100000 };
	const struct signer_crl crl = crl_of(0);
	struct crl_spec spec = {.issuer = &issuer, .this_update = crl.this_update, .next_update = crl.next_update};
	struct crl_entry *entries = calloc(N, sizeof *entries);
	struct signer *signer = NULL;
	struct buf der = {0}, sig = {0};
	struct crl_info info;
	struct err err = {0};
	const uint8_t *at;
	X509_CRL *x;
	uint32_t i;

	(void)state;
	assert_non_null(entries);
	for (i = 0; i < N; i++) {
		entries[i] = listed;
		entries[i].reason = i % 2 == 0 ? REASON_KEY_COMPROMISE : REASON_UNSPECIFIED;
		memcpy(entries[i].serial + SERIAL_LEN - sizeof i, &i, sizeof i);
	}
	assert_ok(signer_open(home.socket_path, SIGNER_TIMEOUT_MS, &signer, &err));
	assert_ok(signer_crl(signer, &crl, entries, N, &spec.number, &sig, &err));
	assert_ok(crl_join(&spec, entries, N, sig.data, sig.len, &der, &err));
	assert_ok(crl_info_read(der.data, der.len, &issuer, &info, &err));
	assert_int_equal(info.n_entries, N);
	at = der.data;
	assert_non_null(x = d2i_X509_CRL(NULL, &at, (long)der.len));
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)), N);
	X509_CRL_free(x);
	signer_close(signer);
	free(entries);
	buf_clear(&der);
	buf_clear(&sig);
}

/* ---- many at once -------------------------------------------------------------------------------------------- */

#define THREADS 16
#define EACH 63 /* 1,008 in all */

struct worker {
	struct signer *signer;
	pthread_t thread;
	struct buf der[EACH];
	struct err err;
	int rc;
};

static void *
work(void *arg)
{
	struct signer_request request = {.profile = "constrained", .id = ID, .spki = spki, .spki_len = spki_len};
	struct worker *w = arg;
	bool in_doubt;
	int i;

	for (i = 0; i < EACH && w->rc == 0; i++)
		w->rc = signer_issue(w->signer, &request, &w->der[i], &in_doubt, &w->err);
	return NULL;
}

struct tally {
	struct worker *workers;
	bool seen[THREADS][EACH];
	unsigned n;
};

static int
on_tally(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct tally *t = ctx;
	size_t i, k;

	(void)err;
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < EACH; k++)
			if (row->der_len == t->workers[i].der[k].len &&
			    memcmp(row->der, t->workers[i].der[k].data, row->der_len) == 0) {
				assert_false(t->seen[i][k]);
				t->seen[i][k] = true;
				t->n++;
				return 0;
			}
	fail_msg("row %llu was given to nobody", (unsigned long long)row->seq);
	return 0;
}

/* Each caller has its own certificate, and all are in the log, once. */
static void
test_many_callers(void **state)
{
	static struct worker workers[THREADS];
	static struct tally tally = {.workers = workers};
	uint64_t seq = log_last_seq();
	struct signer *signer = NULL;
	struct signer_log *log = NULL;
	char path[FS_PATH_MAX];
	struct err err = {0};
	size_t i, k;

	(void)state;
	assert_ok(signer_open(home.socket_path, SIGNER_TIMEOUT_MS, &signer, &err));
	for (i = 0; i < THREADS; i++) {
		workers[i].signer = signer;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		if (workers[i].rc != 0)
			fail_msg("%s", workers[i].err.text);
	}
	log_path(path);
	assert_ok(signer_log_open(path, true, &log, &err));
	assert_ok(signer_log_walk(log, seq, on_tally, &tally, &err));
	assert_int_equal(tally.n, THREADS * EACH);
	signer_log_close(log);
	signer_close(signer);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < EACH; k++)
			buf_clear(&workers[i].der[k]);
}

/* ---- its end, and its beginning ------------------------------------------------------------------------------ */

static void
test_ends_when_told(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(kill(home.signer, SIGHUP), 0); /* the api's */
		assert_alive();
		assert_int_equal(kill(home.signer, signals[i]), 0);
		assert_int_equal(fixture_signer_wait(&home), 0);
		fixture_signer_start(&home);
		assert_alive();
	}
	(void)close(home.alive[1]); /* the supervisor is dead */
	home.alive[1] = -1;
	assert_int_equal(fixture_signer_wait(&home), 0);
	fixture_signer_start(&home);
	assert_alive();
}

/* With the file NAME as it is given it does not start, and does not change it. */
static void
check_no_start(const char *name, const void *data, size_t len)
{
	struct buf before = {0}, after = {0};

	home_file(name, &before);
	home_overwrite(name, data, len);
	fixture_signer_start(&home);
	assert_int_equal(fixture_signer_wait(&home), 1);
	home_file(name, &after);
	assert_int_equal(after.len, len);
	assert_memory_equal(after.data, data, len);
	home_overwrite(name, before.data, before.len);
	buf_clear(&before);
	buf_clear(&after);
}

static void
test_does_not_start_on_damage(void **state)
{
	struct buf file = {0}, other = {0};
	size_t i;

	(void)state;
	fixture_signer_kill(&home);
	home_file("signer.log", &file);
	for (i = 0; i < file.len; i += file.len / 7) {
		file.data[i] ^= 1;
		check_no_start("signer.log", file.data, file.len);
		file.data[i] ^= 1;
	}
	check_no_start("signer.log", "something else", 14);
	home_file("ca/private/root.key", &other); /* a sound key, but not the one of ca/issuing.crt */
	check_no_start("ca/private/issuing.key", other.data, other.len);
	check_no_start("ca/private/issuing.key", "", 0);
	check_no_start("ca/issuing.crt", "", 0);
	home_file("tls/server.crt", &other); /* a certificate, but no CA's */
	check_no_start("ca/issuing.crt", other.data, other.len);
	check_no_start("muster.conf", "[profile x]\nkeys = rsa-512\n", 27);
	check_no_start("muster.conf", "[profile x]\nca = on\n", 20);
	fixture_signer_start(&home);
	assert_alive();
	buf_clear(&file);
	buf_clear(&other);
}

static void
copy_file(const char *from, const char *to)
{
	struct buf data = {0};
	struct err err = {0};

	if (fs_read(from, FILE_MAX, &data, &err) != 0 || fs_write(to, 0600, (gid_t)-1, data.data, data.len, &err) != 0)
		_exit(99);
	buf_clear(&data);
}

static bool
write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	(void)close(fd);
	return done;
}

/* In the child: the log on a file system of its own, with room for few rows. What it holds in the end is kept. */
static int
run_on_full_disk(const struct signer_options *options)
{
	char small[FS_PATH_MAX], log[FS_PATH_MAX], own[FS_PATH_MAX], kept[FS_PATH_MAX], map[64];
	bool root = geteuid() == 0;
	int rc;

	(void)snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
	log_path(own);
	(void)snprintf(small, sizeof small, "%s/small", home.base);
	(void)snprintf(log, sizeof log, "%s/small/signer.log", home.base);
	(void)snprintf(kept, sizeof kept, "%s/kept.log", home.base);
	if (unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)) != 0 ||
	    (!root && !(write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", map))) ||
	    mkdir(small, 0700) != 0 ||
	    (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 && errno != EINVAL) ||
	    mount("none", small, "tmpfs", 0, "size=320k") != 0)
		_exit(99);
	copy_file(own, log);
	if (mount(log, own, "none", MS_BIND, NULL) != 0)
		_exit(99);
	rc = signer_main(options);
	copy_file(log, kept);
	/* In a chroot "/" is no mount point that could be made private: others may see the two. */
	if (umount2(own, MNT_DETACH) != 0 || umount2(small, MNT_DETACH) != 0)
		_exit(99);
	return rc;
}

/* I2: the disk is full. What was answered is in the log, what is issued leaves room for revocations and CRL numbers,
 * and the process stays. */
static void
test_full_disk(void **state)
{
	enum { N = 200 };
	struct buf body = {0}, frames = {0}, before = {0}, *der = calloc(N, sizeof *der);
	struct signer_log_row row;
	uint64_t number;
	char kept[FS_PATH_MAX];
	struct err err = {0};
	unsigned answers = 0;
	struct peer p;
	uint32_t i, id;
	int rc;

	(void)state;
	assert_non_null(der);
	fixture_signer_kill(&home);
	home_file("signer.log", &before);
	home_overwrite("signer.log", "MUSTLOG1", 8);
	home.sandbox = false; /* it keeps the log afterwards */
	home.run = run_on_full_disk;
	fixture_signer_start(&home);
	home.run = NULL;
	dial(&p);
	proto_issue_put(&body, request_of("constrained"));
	for (i = 0; i < N; i++)
		proto_frame_put(&frames, PROTO_ISSUE, i, body.data, body.len);
	put(&p, frames.data, frames.len); /* more than there is room for */
	for (i = 0; i < N; i++) {
		rc = get(&p, &id, &der[answers], &err);
		assert_true(rc == 0 || rc == E_FULL);
		answers += rc == 0;
	}
	assert_in_range(answers, 1, N - 1);
	assert_non_null(strstr(err.text, "full"));
	for (i = 0; i < answers; i++) {
		row = issued_row(&der[i]);
		assert_ok(note(&p, row.serial, REASON_KEY_COMPROMISE, &err));
	}
	for (i = 0; i < 100; i++)
		assert_ok(empty_list(&p, 0, &number, &err));
	assert_int_equal(issue(&p, request_of("constrained"), &frames, &err), E_FULL);
	assert_int_equal(kill(home.signer, SIGTERM), 0);
	assert_int_equal(fixture_signer_wait(&home), 0);
	(void)snprintf(kept, sizeof kept, "%s/kept.log", home.base);
	for (i = 0; i < answers; i++) {
		row = issued_row(&der[i]);
		assert_int_equal(logged(kept, &row), 1);
		buf_clear(&der[i]);
	}
	hang_up(&p);
	home.sandbox = want_sandbox();
	home_overwrite("signer.log", before.data, before.len);
	fixture_signer_start(&home);
	assert_alive();
	free(der);
	buf_clear(&body);
	buf_clear(&frames);
	buf_clear(&before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_issue),
	    cmocka_unit_test(test_issue_rsa),
	    cmocka_unit_test(test_nothing_makes_a_ca),
	    cmocka_unit_test(test_validity),
	    cmocka_unit_test(test_profiles_and_names),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_malformed_frames),
	    cmocka_unit_test(test_random_bytes),
	    cmocka_unit_test(test_truncated_and_slow),
	    cmocka_unit_test(test_bodies_of_other_operations),
	    cmocka_unit_test(test_connections),
	    cmocka_unit_test(test_pipelined),
	    cmocka_unit_test(test_ocsp_good_is_the_logs_word),
	    cmocka_unit_test(test_ocsp_responder),
	    cmocka_unit_test(test_witness),
	    cmocka_unit_test(test_ocsp_refused),
	    cmocka_unit_test(test_notes_overtake),
	    cmocka_unit_test(test_logged_before_answered),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_crl_numbers),
	    cmocka_unit_test(test_crl_pairs),
	    cmocka_unit_test(test_refused_lists),
	    cmocka_unit_test(test_two_lists_at_once),
	    cmocka_unit_test(test_refused_entries),
	    cmocka_unit_test(test_broken_off_list),
	    cmocka_unit_test(test_long_list),
	    cmocka_unit_test(test_many_callers),
	    cmocka_unit_test(test_log_read),
	    cmocka_unit_test(test_answers_that_nobody_takes),
	    cmocka_unit_test(test_ends_when_told),
	    cmocka_unit_test(test_does_not_start_on_damage),
	    cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, open_home, close_home);
}
