/* Each allocation of a request fails in turn, alone and with all that follow, from looking at who calls to the answer:
 * our own, and those of the libraries. Whatever the moment, the answer is that there is no memory (or it is the
 * right one), nobody is blamed for it, nothing is half done, and, where LeakSanitizer is there to say, nothing leaks.
 * tests/fault/test_memory.py does the like to whole processes. */
#include "core_fixture.h"
#include "csr_fixture.h"

#include "base/text.h"
#include "core/broker.h"
#include "core/enrol.h"
#include "core/job.h"
#include "core/operator.h"
#include "x509/ocsp.h"
#include "http/caller.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/router.h"
#include "x509/estmsg.h"
#include "http/traffic.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>

#define FRAMES 16
#define PLACES_MAX 65536 /* power of two, over twice as many as there are */
#define N_WAYS 3
#define FILLED_SIZE 4096 /* of a path or a body */
#define POINTS 20 /* in a short run as many places are made to fail in each way */

/* ---- allocations that fail ----------------------------------------------------------------------------------- */

/* This program's malloc is everybody's. Behind it are glibc's own or a sanitizer's. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__interceptor_malloc(size_t size) __attribute__((weak));
extern void *__interceptor_calloc(size_t n, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Of the thread that asks, so that each run of a request is like the one before. */
static _Thread_local struct {
	unsigned long first; /* the number of the one that fails; 0: none does */
	unsigned every;	     /* after it: 0 none, 1 all, n each n-th */
	bool notes;	     /* instead: note the places that ask */
	unsigned long asked, failed;
} memory;

/* In the signer's process each so many fail; 0: none. */
static _Atomic unsigned *starving;

/* The same calls behind it ask a thousand times: one of those is enough. */
static uint64_t seen[PLACES_MAX];
static unsigned long places[PLACES_MAX]; /* the number of each one's first */
static size_t n_places;
static bool wants_notes; /* of what comes next, instead of failures */

static void
note_place(void)
{
	void *frames[FRAMES];
	uint64_t hash = 14695981039346656037ULL;
	int i, n;
	size_t at;

	memory.notes = false; /* for what it asks itself */
	n = backtrace(frames, FRAMES);
	memory.notes = true;
	for (i = 2; i < n; i++)
		hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211ULL;
	for (at = hash % PLACES_MAX; seen[at] != 0; at = (at + 1) % PLACES_MAX)
		if (seen[at] == hash)
			return;
	if (n_places == PLACES_MAX / 2)
		abort();
	seen[at] = hash;
	places[n_places++] = memory.asked;
}

/* libzip 1.7.3 follows a NULL pointer when the extra field of an entry's header finds no memory. */
static bool
is_spared(void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libzip") != NULL;
}

/* Asked before a sanitizer is ready, too. */
#define PLAIN __attribute__((no_sanitize("address", "undefined", "thread")))

PLAIN static bool
must_fail(void *caller)
{
	unsigned long behind;

	if (memory.first == 0 && !memory.notes)
		return starving != NULL && *starving != 0 && ++memory.asked % *starving == 0;
	memory.asked++;
	if (memory.notes) {
		note_place();
		return false;
	}
	if (memory.asked < memory.first)
		return false;
	behind = memory.asked - memory.first;
	if (behind > 0 && (memory.every == 0 || behind % memory.every != 0))
		return false;
	if (is_spared(caller))
		return false;
	memory.failed++;
	errno = ENOMEM;
	return true;
}

__attribute__((visibility("default"))) PLAIN void *
malloc(size_t size)
{
	if (must_fail(__builtin_return_address(0)))
		return NULL;
	return __interceptor_malloc != NULL ? __interceptor_malloc(size) : __libc_malloc(size);
}

__attribute__((visibility("default"))) PLAIN void *
calloc(size_t n, size_t size)
{
	if (must_fail(__builtin_return_address(0)))
		return NULL;
	return __interceptor_calloc != NULL ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) PLAIN void *
realloc(void *old, size_t size)
{
	if (must_fail(__builtin_return_address(0)))
		return NULL;
	return __interceptor_realloc != NULL ? __interceptor_realloc(old, size) : __libc_realloc(old, size);
}

static void
assert_no_leak(const char *what)
{
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
		fail_msg("%s: memory leaks", what);
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static struct fixture *f;
static struct traffic *traffic; /* counts nothing here, and is shown */
static unsigned n_wrong; /* answers */
static char bearer[16 + TOKEN_SIZE];
/* What a request may name, by {device} and so on. */
static struct store_device device;
static char link_token[128], csr[2048], est[1000], number[16], ocsp[256];
static char job[UUID_LEN + 1], digest[2 * SHA256_LEN + 1];
static char basic[128];	     /* an enrolment token, as EST has it */
static struct buf renewing;  /* a device's certificate, DER */
static EVP_PKEY *asking;     /* whose request it is */

/* A request about a certificate that was never issued: such answers are signed each time. */
static void
ocsp_make(void)
{
	static const uint8_t never[SERIAL_LEN] = {0x41};
	struct buf der = {0}, text = {0};
	struct ocsp_issuer issuer;
	struct err err = {0};

	assert_ok(ocsp_issuer_init(&issuer, &core_config(f->core)->issuer, &err));
	ocsp_request_put(&der, &issuer, never);
	base64url_encode(&text, der.data, der.len);
	assert_true(text_copy(ocsp, sizeof ocsp, buf_str(&text)));
	buf_clear(&der);
	buf_clear(&text);
}

/* A certification request with a new key, as it stands in JSON and as EST has it: for the device that renews, or as "swept". */
static void
request_make(bool renews)
{
	const uint8_t *der_at = renewing.data;
	X509 *shown = renews ? d2i_X509(NULL, &der_at, (long)renewing.len) : NULL;
	X509_NAME *name = shown != NULL ? X509_NAME_dup(X509_get_subject_name(shown)) : X509_NAME_new();
	BIO *bio = BIO_new(BIO_s_mem());
	struct buf der = {0}, text = {0};
	const uint8_t *at;
	char line[128];
	X509_REQ *req;

	if (shown == NULL)
		assert_int_equal(
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"swept", -1, -1, 0), 1);
	EVP_PKEY_free(asking);
	asking = EVP_EC_gen("P-256");
	csr_make(asking, name, &der);
	base64_encode(&text, der.data, der.len);
	assert_true(text_copy(est, sizeof est, buf_str(&text)));
	at = der.data;
	assert_non_null(req = d2i_X509_REQ(NULL, &at, (long)der.len));
	assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
	csr[0] = '\0';
	while (BIO_gets(bio, line, sizeof line) > 0) {
		line[strcspn(line, "\n")] = '\0';
		(void)strncat(csr, line, sizeof csr - strlen(csr) - 1);
		(void)strncat(csr, "\\n", sizeof csr - strlen(csr) - 1);
	}
	X509_REQ_free(req);
	BIO_free(bio);
	X509_NAME_free(name);
	X509_free(shown);
	buf_clear(&der);
	buf_clear(&text);
}

/* A device whose certificate has not been renewed yet. */
static void
renewing_make(void)
{
	struct credential credential;
	struct store_device made;

	fixture_register(f, "renews", &made, &credential);
	buf_reset(&renewing);
	buf_append(&renewing, credential.certificate.der, credential.certificate.der_len);
	credential_clear(&credential);
	store_device_clear(&made);
}

/* What was answered is one certificate of the key that asked. */
static void
answer_check(const struct buf *body)
{
	struct buf der = {0}, pem = {0};
	struct err err = {0};
	X509 *cert;
	BIO *bio;

	assert_ok(base64_decode(&der, (const char *)body->data, body->len, &err));
	assert_ok(estmsg_get_certs(der.data, der.len, &pem, &err));
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	assert_non_null(cert = PEM_read_bio_X509(bio, NULL, NULL, NULL));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), asking), 1);
	X509_free(cert);
	BIO_free(bio);
	buf_clear(&der);
	buf_clear(&pem);
}

/* An order of one row. */
static void
job_make(void)
{
	static unsigned n;
	struct job_request request = {.name = "swept", .digest = digest, .total = 1};
	struct store_job made;
	struct err err = {0};
	bool is_new;

	(void)snprintf(digest, sizeof digest, "a%063u", ++n);
	assert_ok(job_create(f->core, &f->caller, &request, &is_new, &made, &err));
	assert_true(is_new);
	memcpy(job, made.id, sizeof job);
	store_job_clear(&made);
}

/* What has been used up is made again. */
static void
renew(void)
{
	struct credential credential;

	store_device_clear(&device);
	fixture_register(f, "fresh", &device, &credential);
	(void)snprintf(link_token, sizeof link_token, "%s", fixture_token(&credential));
	credential_clear(&credential);
	job_make();
}

struct op {
	const char *method, *path, *body;
	enum {
		ONCE = 1, /* what succeeded cannot be asked again */
		KEYED = 2, /* with an Idempotency-Key */
		ENROLS = 4, /* by EST, with an enrolment token */
		RENEWS = 8, /* by EST, with a certificate */
		CERTIFIES = 16 /* answers with one for the key that asked */
	} is;
};

/* As the server does it, on a worker. Returns the handler's code. */
static int
call(const struct op *op, const char *path, const char *body, struct err *err)
{
	char allow[64];
	struct http_query query = {0};
	struct http_request req = {.method = op->method, .path = path, .body = (const uint8_t *)body,
	    .body_len = strlen(body), .content_type = (op->is & CERTIFIES) != 0 || (op->is & ENROLS) != 0 ?
		"application/pkcs10" : "application/json", .accept = "",
	    .accept_encoding = "", .if_none_match = "", .if_modified_since = "",
	    .idempotency_key = (op->is & KEYED) != 0 ? number : "", .peer = "192.0.2.1", .id = "0123456789abcdef",
	    .query = &query, .traffic = traffic, .must_answer = true};
	struct caller_proof proof = {0};
	struct http_reply reply = {0};
	const struct route *route;
	struct caller caller;
	bool end = false;
	int rc;

	if (strncmp(path, "/ocsp/", 6) == 0) {
		req.tail = path + 6;
		req.path = path = "/ocsp/-";
	}
	if ((rc = router_find(op->method, path, ON_API, &route, req.params, allow, sizeof allow, err)) != 0)
		return rc;
	if (route->who != ROUTE_ANYBODY) {
		if ((op->is & RENEWS) != 0) {
			proof.via = CALLER_VIA_CERTIFICATE;
			proof.certificate = (struct buf){.data = renewing.data, .len = renewing.len};
		} else {
			caller_proof_token(&proof, (op->is & ENROLS) != 0 ? basic : bearer);
		}
		if ((rc = caller_resolve(f->core, &proof, req.peer, &caller, err)) == 0)
			rc = caller_may(route, &caller, err);
		if ((op->is & RENEWS) == 0)
			caller_proof_clear(&proof);
	}
	if (rc == 0)
		rc = route->handler(f->core, route->who != ROUTE_ANYBODY ? &caller : NULL, &req, &reply, err);
	while (rc == 0 && reply.next != NULL && !end) {
		buf_reset(&reply.body);
		rc = reply.next(f->core, reply.next_ctx, &reply.body, &end, err);
	}
	if (rc == 0 && buf_failed(&reply.body)) /* as http/exchange.c */
		rc = err_nomem(err);
	if (rc == 0 && reply.sent != NULL) {
		reply.sent(f->core, reply.sent_ctx, true);
		reply.sent = NULL;
	}
	if (rc != 0)
		reply_problem(&reply, err, reply.status, req.id);
	memory.first = 0; /* what follows is ours */
	memory.notes = false;
	if (rc == 0 && (op->is & CERTIFIES) != 0)
		answer_check(&reply.body);
	reply_clear(&reply);
	return rc;
}

/* TEMPLATE with what it names. */
static void
fill(char out[FILLED_SIZE], const char *template)
{
	const struct {
		const char *name, *value;
	} names[] = {{"{device}", device.id}, {"{link}", link_token}, {"{csr}", csr}, {"{n}", number}, {"{ocsp}", ocsp},
	    {"{est}", est}, {"{job}", job}, {"{digest}", digest}};
	const size_t n = sizeof names / sizeof names[0];
	size_t i, len = 0;

	while (*template != '\0') {
		for (i = 0; i < n && strncmp(template, names[i].name, strlen(names[i].name)) != 0; i++)
			continue;
		len += (size_t)snprintf(out + len, FILLED_SIZE - len, "%.*s", i < n ? 1000 : 1, i < n ? names[i].value : template);
		template += i < n ? strlen(names[i].name) : 1;
	}
	out[len] = '\0';
}

/* Without memory for its commit a store knows no longer what is on disk: the process ends, and the next one starts. */
static void
restart_if_broken(void)
{
	if (store_check(f->core->store, NULL) == 0)
		return;
	fixture_core_close(f);
	fixture_core_open(f);
}

/* What failed before has closed connections to store and signer, and to open them anew asks for much: then nothing would
 * ever fail behind it. */
static void
recover(void)
{
	static const struct op asks[] = {{"GET", "/readyz", NULL, 0}, {"GET", "/v1/devices", NULL, 0}};
	struct err err = {0};
	size_t i, tries = 0;

	for (i = 0; i < sizeof asks / sizeof asks[0]; i++)
		/* One call may be lost to a connection that the signer has closed. */
		while (call(&asks[i], asks[i].path, "", &err) != 0)
			if (++tries == 200)
				fail_msg("%s: %s", asks[i].path, err.text);
			else
				(void)usleep(10000);
}

/* Whoever asks again with the same key gets what was made for it, or hears that it was given up. */
static void
again_check(const struct op *op, const char *path, const char *body)
{
	unsigned long failed = memory.failed;
	struct err err = {0};
	int rc;

	recover();
	memory.failed = 0;
	rc = call(op, path, body, &err);
	memory.failed = failed;
	if (rc != 0 && rc != E_CONFLICT)
		fail_msg("%s again: %d: %s: %s", path, rc, err.field, err.text);
}

/* OP with the allocation number FIRST (0: none) failing, and later ones as EVERY says. */
static void
call_once(const struct op *op, unsigned long first, unsigned every)
{
	static unsigned n_calls;
	struct err err = {0};
	char path[FILLED_SIZE], body[FILLED_SIZE];
	int rc;

	/* What failed in the end may be there, and in its way again. */
	(void)snprintf(number, sizeof number, "%u", ++n_calls);
	(void)snprintf(digest, sizeof digest, "%064u", n_calls);
	if ((op->is & RENEWS) != 0 && (op->is & CERTIFIES) != 0)
		renewing_make(); /* one has room for few */
	request_make((op->is & RENEWS) != 0);
	ocsp_make();
	fill(path, op->path);
	fill(body, op->body != NULL ? op->body : "");
	recover();
	memory.every = every;
	memory.asked = memory.failed = 0;
	memory.notes = wants_notes;
	wants_notes = false;
	memory.first = first;
	rc = call(op, path, body, &err);
	memory.first = 0;
	memory.notes = false;
	ERR_clear_error();
	restart_if_broken();
	/* That a failure before has broken the connection to the signer may be noticed only now. */
	if (rc == E_BUSY && memory.failed == 0) {
		recover();
		rc = call(op, path, body, &err);
	}
	if ((op->is & CERTIFIES) != 0 && memory.failed > 0)
		again_check(op, path, body);
	/* It may have been done the time before, for which there was no memory to say so. */
	if ((op->is & ONCE) != 0 && (rc == 0 || rc == E_CONFLICT || rc == E_GONE)) {
		rc = 0;
		renew();
	}
	/* Not that the request was wrong, or somebody not whom they said. */
	if (rc != 0 && (memory.failed == 0 || (rc != E_NOMEM && rc != E_SYS && rc != E_BUSY)) && ++n_wrong < 20)
		print_error("# %s %s: %d: %s: %s (allocation %lu, then %u)\n", op->method, path, rc, err.field, err.text,
		    first, every);
}

static const struct op ops[] = {
    {"POST", "/v1/devices",
	"{\"name\":\"swept\",\"type\":\"pump\",\"location\":\"hall\",\"labels\":{\"a\":\"b\"},\"key\":\"ec-p256\","
	"\"san\":[\"DNS:a.example\"]}", 0},
    {"POST", "/v1/devices", "{\"name\":\"again\",\"type\":\"pump\",\"key\":\"ec-p256\"}", KEYED},
    {"POST", "/v1/devices", "{\"name\":\"own key\",\"type\":\"pump\",\"csr\":\"{csr}\"}", 0},
    {"GET", "/v1/devices", NULL, 0},
    {"GET", "/v1/devices/{device}", NULL, 0},
    {"PATCH", "/v1/devices/{device}", "{\"name\":\"other\",\"labels\":{}}", 0},
    {"GET", "/v1/devices/{device}/certificates", NULL, 0},
    {"POST", "/v1/devices/{device}/suspend", "{}", ONCE},
    {"POST", "/v1/devices/{device}/package", "{\"key\":\"ec-p256\"}", 0},
    {"POST", "/v1/devices/{device}/revoke", "{\"reason\":\"keyCompromise\"}", ONCE},
    {"GET", "/d/{link}", NULL, 0},
    {"POST", "/d/{link}", NULL, ONCE},
    {"PUT", "/v1/policies/swept", "{\"write\":[\"a/{id}\"],\"read\":[\"b/{type}/#\"]}", 0},
    {"GET", "/v1/policies", NULL, 0},
    {"GET", "/v1/profiles", NULL, 0},
    {"GET", "/v1/limits", NULL, 0},
    {"GET", "/metrics", NULL, 0},
    {"POST", "/v1/services", "{\"name\":\"s{n}\",\"read\":[\"devices/#\"],\"write\":[],\"key\":\"ec-p256\"}", 0},
    {"POST", "/v1/jobs", "{\"kind\":\"device.import\",\"name\":\"swept\",\"digest\":\"{digest}\",\"total\":1}", 0},
    {"POST", "/v1/jobs/{job}/rows",
	"{\"first\":1,\"rows\":[{\"name\":\"swept\",\"type\":\"pump\",\"labels\":{\"a\":\"b\"},\"san\":[\"DNS:a.example\"],"
	"\"csr\":\"{csr}\"}]}", ONCE},
    {"GET", "/v1/jobs/{job}/rows", NULL, 0},
    {"GET", "/v1/jobs", NULL, 0},
    {"POST", "/v1/tokens", "{\"name\":\"swept\",\"type\":\"pump\"}", 0},
    {"GET", "/v1/tokens", NULL, 0},
    {"GET", "/v1/services", NULL, 0},
    {"POST", "/v1/brokers", "{\"name\":\"b{n}\",\"csr\":\"{csr}\"}", 0},
    {"GET", "/v1/brokers", NULL, 0},
    {"POST", "/v1/operators", "{\"name\":\"o{n}\",\"role\":\"auditor\"}", 0},
    {"GET", "/v1/operators", NULL, 0},
    {"POST", "/v1/tenants", "{\"name\":\"t{n}\",\"profiles\":[\"short\"]}", 0},
    {"PATCH", "/v1/tenants/default", "{\"quota\":0,\"profiles\":[]}", 0},
    {"GET", "/v1/tenants", NULL, 0},
    {"GET", "/v1/audit", NULL, 0},
    {"GET", "/v1/audit/verify", NULL, 0},
    {"GET", "/v1/ca", NULL, 0},
    {"GET", "/v1/feed/snapshot", NULL, 0},
    {"GET", "/.well-known/est/cacerts", NULL, 0},
    {"GET", "/.well-known/est/csrattrs", NULL, 0},
    {"POST", "/v1/attest/challenge", "{}", RENEWS},
    {"POST", "/.well-known/est/simpleenroll", "{est}", ENROLS | CERTIFIES},
    {"POST", "/.well-known/est/serverkeygen", "{est}", ENROLS},
    {"POST", "/.well-known/est/simplereenroll", "{est}", RENEWS | CERTIFIES},
    {"GET", "/readyz", NULL, 0},
    {"GET", "/crl/issuing.crl", NULL, 0},
    {"GET", "/ocsp/{ocsp}", NULL, 0},
};

static const unsigned everies[N_WAYS] = {0, 1, 3};

/* From one place that is made to fail to the next: in a long run each place fails in one of the ways, in a short one
 * POINTS of them do. */
static size_t
stride(size_t points)
{
	const char *is_long = getenv("MUSTER_LONG");

	return is_long != NULL && strcmp(is_long, "yes") == 0 ? N_WAYS : n_places / points + 1;
}

static void
note_places(void)
{
	memset(seen, 0, sizeof seen);
	n_places = 0;
	wants_notes = true;
}

static void
sweep(const struct op *op)
{
	size_t each, i, k;

	call_once(op, 0, 0); /* what is made once for all, is made here */
	note_places();
	call_once(op, 0, 0);
	each = stride(POINTS);
	for (i = 0; i < N_WAYS; i++)
		for (k = i * each / N_WAYS; k < n_places; k += each)
			call_once(op, places[k], everies[i]);
	if ((op->is & ONCE) != 0)
		renew(); /* also behind one that was done without saying so */
	print_message("# %s %s: %zu places\n", op->method, op->path, n_places);
	assert_int_equal(n_wrong, 0);
	assert_no_leak(op->path);
}

/* I6 */
static void
test_requests(void **state)
{
	size_t i;

	f = *state;
	for (i = 0; i < sizeof ops / sizeof ops[0]; i++)
		sweep(&ops[i]);
}

static void
start_once(unsigned long first, unsigned every)
{
	struct core *core = NULL;
	struct err err = {0};
	int rc;

	memory.every = every;
	memory.asked = memory.failed = 0;
	memory.notes = wants_notes;
	wants_notes = false;
	memory.first = first;
	if ((rc = core_open(f->home.dir, -1, -1, &core, &err)) == 0) {
		fixture_config(core)->settings.keypool_rsa_2048 = 0;
		rc = core_start(core, &err);
	}
	memory.first = 0;
	memory.notes = false;
	core_close(core);
	ERR_clear_error();
	/* The configuration and the database are not to blame. */
	if (rc != 0 && (memory.failed == 0 || (rc != E_NOMEM && rc != E_SYS && rc != E_BUSY)))
		fail_msg("start: %d: %s: %s (allocation %lu, then %u)", rc, err.field, err.text, first, every);
}

/* I6: a service that starts. */
static void
test_start(void **state)
{
	size_t each, i, k;

	f = *state;
	fixture_core_close(f);
	note_places();
	start_once(0, 0);
	each = stride(POINTS / 4);
	for (i = 0; i < N_WAYS; i++)
		for (k = i * each / N_WAYS; k < n_places; k += each)
			start_once(places[k], everies[i]);
	print_message("# start: %zu places\n", n_places);
	assert_no_leak("start");
	fixture_core_open(f);
}

/* ---- the signer ---------------------------------------------------------------------------------------------- */

static _Atomic unsigned *shared; /* with the signer's process, whose `starving` it is */

static int
run_starving(const struct signer_options *options)
{
	int rc;

	starving = shared;
	rc = signer_main(options);
	starving = NULL;
	assert_no_leak("signer");
	return rc;
}

static const struct op signed_ops[] = {
    {"POST", "/v1/devices", "{\"name\":\"swept\",\"type\":\"pump\",\"csr\":\"{csr}\",\"san\":[\"DNS:a.example\"]}", 0},
    {"POST", "/v1/devices/{device}/revoke", "{\"reason\":\"keyCompromise\"}", 0},
};

/* I6: every n-th allocation of the signer fails: what it cannot do it refuses; it stays, or says why not. */
static void
test_signer(void **state)
{
	static const unsigned everies_of_signer[] = {1, 2, 3, 7, 11, 17, 29, 53};
	char path[FILLED_SIZE], body[FILLED_SIZE];
	struct err err = {0};
	size_t i, k;

	f = *state;
	for (i = 0; i < sizeof everies_of_signer / sizeof everies_of_signer[0]; i++) {
		recover();
		renew();
		*shared = everies_of_signer[i];
		for (k = 0; k < 10; k++) {
			request_make(false);
			fill(path, signed_ops[k == 9].path);
			fill(body, signed_ops[k == 9].body);
			(void)call(&signed_ops[k == 9], path, body, &err);
		}
		*shared = 0;
	}
	assert_int_equal(kill(f->home.signer, 0), 0); /* it is the same one, and as well as before */
	recover();
	renew();
}

static void
basic_make(void)
{
	struct enrol_token_request request = {.type = "pump", .profile = "constrained", .uses = ENROL_USES_MAX};
	char token[TOKEN_SIZE], both[TOKEN_SIZE + 8];
	struct store_enrol_token row;
	struct buf text = {0};
	struct err err = {0};

	assert_ok(enrol_token_create(f->core, &f->caller, &request, &row, token, &err));
	(void)snprintf(both, sizeof both, "any:%s", token);
	base64_encode(&text, (const uint8_t *)both, strlen(both));
	(void)snprintf(basic, sizeof basic, "Basic %s", buf_str(&text));
	buf_clear(&text);
}

static int
open_with_token(void **state)
{
	struct caller init = {.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "init"};
	struct err err = {0};
	char token[TOKEN_SIZE];

	f = calloc(1, sizeof *f);
	assert_non_null(f);
	*state = f;
	fixture_home_make(&f->home);
	f->caller = init;
	f->home.run = run_starving;
	fixture_signer_start(&f->home);
	fixture_core_open(f);
	assert_ok(traffic_new(1, &traffic, &err));
	assert_ok(operator_create(f->core->store, &init, "swept", ROLE_ADMIN, 0, NULL, token, &err));
	(void)snprintf(bearer, sizeof bearer, "Bearer %s", token);
	basic_make();
	renewing_make();
	renew();
	return 0;
}

/* The signer ends as it would, and without a leak. */
static int
close_with_token(void **state)
{
	store_device_clear(&device);
	f = *state;
	fixture_core_close(f);
	traffic_free(traffic);
	assert_int_equal(kill(f->home.signer, SIGTERM), 0);
	assert_int_equal(fixture_signer_wait(&f->home), 0);
	fixture_home_remove(&f->home);
	free(f);
	return 0;
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, open_with_token, close_with_token)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_HOME(test_requests),
	    WITH_HOME(test_start),
	    WITH_HOME(test_signer),
	};

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
