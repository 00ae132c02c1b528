/* The signer: one thread that alone has the issuing CA's key. A round reads what has arrived, executes it, syncs the
 * log once, and only then lets the answers go. Typed operations only (proto.h); ceilings are its own: the profiles
 * of the configuration and the CA's certificate, whatever the request says.
 *
 * It opens everything before it enters its sandbox and nothing afterwards; at SIGHUP it reads the configuration anew
 * from a descriptor of the supervisor's. If the log fails it ends: what reached the
 * disk is then unknown, and the next start reads it. */
#include "signer/main.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "base/handover.h"
#include "base/text.h"
#include "signer/authority.h"
#include "signer/issuers.h"
#include "signer/log.h"
#include "signer/profile.h"
#include "signer/proto.h"
#include "signer/witness.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/der.h"
#include "x509/key.h"
#include "x509/pem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (64 * 1024)
#define CONNS_MAX 4		  /* the api has one; a second while it restarts */
#define READ_BYTES (256 * 1024)	  /* a round's worth from one connection */
#define OUT_MAX (1024 * 1024)	  /* unsent answers above this: make no more for that connection */
#define LISTS_MAX 2		  /* CRLs in the making on one connection */
#define LOG_PART_BYTES (512 * 1024)
#define BACKDATE_S 60 /* a device's clock may be a little behind */

/* A CRL in the making: a digest, for its entries are not kept. */
struct list {
	uint32_t id; /* the call's */
	bool used;
	bool is_delta;
	uint64_t number;
	struct authority *authority;
	struct crl_signing *signing;
	struct err err; /* code 0, or why it will not be signed */
};

struct conn {
	int fd; /* -1: free */
	struct buf in, out;
	size_t sent;  /* of out */
	bool waiting; /* whole requests stand in `in` until answers have left */
	struct list lists[LISTS_MAX];
};

struct state {
	const struct signer_options *options;
	struct profiles profiles;
	struct authority authorities[ISSUERS_MAX]; /* today's issuing CA first */
	size_t n_authorities;
	struct witness witness;
	struct signer_log *log;
	int listen_fd, alive_fd, signals;
	struct conn conns[CONNS_MAX];
};

/* ---- opening ------------------------------------------------------------------------------------------------- */

static int
conf_text(const struct signer_options *options, struct buf *text, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (options->conf_fd > STDERR_FILENO)
		return handover_read(options->conf_fd, CONF_FILE_MAX, text, err);
	if ((rc = fs_path(path, options->dir, "muster.conf", err)) != 0)
		return rc;
	return fs_read(path, CONF_FILE_MAX, text, err);
}

/* Profiles, and the URL of the PKI pages, from the configuration. */
static int
conf_read(const struct signer_options *options, struct profiles *profiles, char pki_url[CONF_TEXT_SIZE], struct err *err)
{
	const struct conf_key url = {"pki", "public_url", CONF_TEXT, 0, "http://localhost:8080", "", 0, 0,
	    NULL};
	struct buf text = {0};
	int rc;

	if ((rc = conf_text(options, &text, err)) == 0 && (rc = profiles_parse(buf_str(&text), profiles, err)) == 0)
		rc = conf_find(buf_str(&text), &url, pki_url, err);
	buf_clear(&text);
	return rc;
}

static int
load_all(struct state *s, const struct signer_options *options, struct err *err)
{
	char pki_url[CONF_TEXT_SIZE] = "";
	struct issuers issuers;
	size_t i;
	int rc;

	if ((rc = conf_read(options, &s->profiles, pki_url, err)) != 0)
		return rc;
	if ((rc = issuers_read(options->dir, clock_now(), &issuers, err)) == 0)
		s->n_authorities = issuers.n;
	for (i = 0; rc == 0 && i < issuers.n; i++)
		rc = authority_open(options->dir, &issuers.all[i], pki_url, &s->authorities[i], err);
	issuers_clear(&issuers);
	return rc;
}

/* First of all: a SIGHUP must not end a process that is still reading its log. */
static int
signals_open(struct state *s, struct err *err)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if ((s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_sys(err, "cannot watch signals");
	return 0;
}

static int
open_all(struct state *s, const struct signer_options *options, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = signals_open(s, err)) != 0 || (rc = secret_heap_open(SECRET_HEAP_BYTES, err)) != 0 ||
	    (rc = load_all(s, options, err)) != 0 ||
	    (rc = fs_path(path, options->dir, "signer.log", err)) != 0)
		return rc;
	return signer_log_open(path, false, &s->log, err);
}

static int
sandbox_enter(struct err *err)
{
	int rc;

	if ((rc = sandbox_limit_paths(NULL, 0, err)) != 0)
		return rc;
	return sandbox_limit_calls(SANDBOX_CALLS_SIGNER, err);
}

/* ---- the operations: each appends its answer's body, or fails and changes nothing ---------------------------- */

/* The authority with that SKI; NULL: none. */
static struct authority *
authority_find(struct state *s, const uint8_t *key_id)
{
	size_t i;

	for (i = 0; i < s->n_authorities; i++)
		if (memcmp(s->authorities[i].issuer.key_id, key_id, KEY_ID_LEN) == 0)
			return &s->authorities[i];
	return NULL;
}

/* The end of a certificate that begins now. A wish beyond the profile is refused, the CA's own end caps the rest. */
static int
choose_end(const struct cert_issuer *issuer, const struct profile *profile, int64_t valid_s, int64_t now, int64_t *end_out,
    struct err *err)
{
	if (valid_s < 0 || valid_s > profile->validity_s)
		return err_field(err, E_INPUT, "valid", "longer than profile %s allows", profile->name);
	if (valid_s > 0 && now + valid_s > issuer->not_after)
		return err_field(err, E_INPUT, "valid", "the certificate would outlive the issuing CA's");
	if (now >= issuer->not_after)
		return err_set(err, E_CONFLICT,
		    "the issuing CA's certificate has expired, or this machine's clock is wrong");
	*end_out = now + (valid_s > 0 ? valid_s : profile->validity_s);
	if (*end_out > issuer->not_after)
		*end_out = issuer->not_after;
	return 0;
}

static int
check_key(struct state *s, const struct profile *profile, const struct proto_issue *request,
    enum key_kind *kind_out, struct err *err)
{
	size_t i;
	int rc;

	if ((rc = spki_check(request->spki, request->spki_len, kind_out, err)) != 0)
		return rc;
	if (!profile_allows_key(profile, *kind_out))
		return err_field(err, E_INPUT, "key", "profile %s does not take %s keys", profile->name,
		    key_kind_name(*kind_out));
	for (i = 0; i < s->n_authorities; i++)
		if (request->spki_len == s->authorities[i].issuer.spki_len &&
		    memcmp(request->spki, s->authorities[i].issuer.spki, request->spki_len) == 0)
			return err_field(err, E_CONFLICT, "key", "this is the CA's own key");
	return 0;
}

static int
sign_leaf(struct authority *a, const struct cert_spec *spec, struct buf *der, struct err *err)
{
	struct buf tbs = {0};
	int rc;

	if ((rc = cert_tbs_build(spec, &a->issuer, &tbs, err)) == 0)
		rc = cert_sign(tbs.data, tbs.len, a->key, der, err);
	buf_clear(&tbs);
	return rc;
}

static int
op_issue(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	int64_t now = clock_now();
	struct signer_log_row row = {.kind = SIGNER_LOG_ISSUED, .at = now};
	const struct profile *profile;
	struct cert_spec spec = {0};
	struct proto_issue request;
	enum key_kind kind;
	int rc;

	(void)c;
	if ((rc = proto_issue_read(frame, &request, err)) != 0)
		return rc;
	if ((profile = profile_find(&s->profiles, request.profile)) == NULL)
		return err_field(err, E_INPUT, "profile", "the signer has no profile of that name");
	if (!uuid_is_valid(request.id))
		return err_field(err, E_INPUT, "id", "must be a UUID");
	if ((rc = check_key(s, profile, &request, &kind, err)) != 0 ||
	    (rc = choose_end(&s->authorities[0].issuer, profile, request.valid_s, now, &spec.not_after, err)) != 0 ||
	    (rc = cert_serial_make(spec.serial, err)) != 0)
		return rc;
	spec.not_before = now - BACKDATE_S;
	spec.country = profile->country;
	spec.org = profile->org;
	spec.common_name = request.id;
	spec.spki = request.spki;
	spec.spki_len = request.spki_len;
	spec.sans = request.sans;
	spec.n_sans = request.n_sans;
	spec.key_usage = profile_key_usage(profile, kind);
	spec.ext_key_usage = profile_ext_key_usage(profile);
	if ((rc = sign_leaf(&s->authorities[0], &spec, answer, err)) != 0)
		return rc;
	memcpy(row.serial, spec.serial, SERIAL_LEN);
	(void)text_copy(row.id, sizeof row.id, request.id);
	row.der = answer->data;
	row.der_len = answer->len;
	return signer_log_add(s->log, &row, err);
}

static int
op_note(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_REVOKED};
	struct proto_note note;
	int rc;

	(void)c;
	(void)answer;
	if ((rc = proto_note_read(frame, &note, err)) != 0)
		return rc;
	if (signer_log_state(s->log, note.serial) == SERIAL_UNKNOWN)
		return err_set(err, E_NOTFOUND, "this signer never issued a certificate of that serial number");
	memcpy(row.serial, note.serial, SERIAL_LEN);
	row.reason = note.reason;
	row.at = note.at;
	return signer_log_add(s->log, &row, err);
}

/* The list of this call, or a free place for it; NULL if all are taken. */
static struct list *
list_find(struct conn *c, uint32_t id)
{
	struct list *found = NULL;
	size_t i;

	for (i = 0; i < LISTS_MAX; i++) {
		if (c->lists[i].used && c->lists[i].id == id)
			return &c->lists[i];
		if (!c->lists[i].used)
			found = &c->lists[i];
	}
	return found;
}

static void
list_clear(struct list *list)
{
	crl_signing_free(list->signing);
	*list = (struct list){0};
}

/* The number of a list that begins now. */
static int
number_give(struct state *s, struct authority *a, const struct signer_crl *crl, uint64_t *number_out, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .at = clock_now()};
	int rc;

	if (crl->is_paired) {
		if (a->pair.number == 0 || a->pair.is_delta == (crl->base > 0) || a->pair.this_update != crl->this_update ||
		    a->pair.number < crl->at_least)
			return err_set(err, E_CONFLICT, "there is no list of this moment to be paired with");
		*number_out = a->pair.number;
		a->pair.number = 0;
		return 0;
	}
	row.crl_number = signer_log_crl_number(s->log) + 1;
	if (row.crl_number < crl->at_least)
		row.crl_number = crl->at_least;
	/* Logged first: a number that was skipped harms nobody, one that is given twice does. */
	if ((rc = signer_log_add(s->log, &row, err)) != 0)
		return rc;
	a->pair.number = *number_out = row.crl_number;
	a->pair.is_delta = crl->base > 0;
	a->pair.this_update = crl->this_update;
	return 0;
}

static int
list_begin(struct state *s, struct list *list, const struct proto_frame *frame, struct err *err)
{
	struct crl_spec spec = {0};
	struct proto_crl crl;
	int rc;

	if ((rc = proto_crl_read(frame, &crl, err)) != 0)
		return rc;
	if ((list->authority = authority_find(s, crl.crl.issuer)) == NULL)
		return err_set(err, E_NOTFOUND, "the signer has no such issuer");
	spec.issuer = &list->authority->issuer;
	if (crl.crl.at_least > INT64_MAX || crl.crl.base > INT64_MAX || crl.crl.this_update < 0 ||
	    crl.crl.next_update <= crl.crl.this_update || crl.crl.next_update > DER_TIME_MAX)
		return err_set(err, E_INPUT, "a CRL ends after it begins, and its number has 63 bits");
	if ((rc = number_give(s, list->authority, &crl.crl, &list->number, err)) != 0)
		return rc;
	list->is_delta = crl.crl.base > 0;
	spec.number = list->number;
	spec.base = crl.crl.base;
	spec.this_update = crl.crl.this_update;
	spec.next_update = crl.crl.next_update;
	return crl_signing_new(&spec, crl.entries_len, &list->signing, err);
}

/* What is wrong with it is told by its end, which alone is answered. */
static int
op_crl_begin(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(c, frame->id);

	(void)answer;
	if (list == NULL)
		return err_set(err, E_LIMIT, "more than %d lists at once", LISTS_MAX);
	if (list->used)
		return err_set(err, E_INPUT, "a list that was begun is begun again");
	list->used = true;
	list->id = frame->id;
	(void)list_begin(s, list, frame, &list->err);
	return 0;
}

/* Answers nothing: the list's PROTO_CRL_SIGN does. A frame that is refused ends the connection, so that no list
 * that lacks entries is ever signed. */
static int
op_entries(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(c, frame->id);
	struct buf entries = {0};
	int rc;

	(void)s;
	(void)answer;
	if (list == NULL || !list->used)
		return err_set(err, E_INPUT, "entries of a list that was not begun");
	if (list->err.code != 0)
		return 0;
	if ((rc = proto_entries_read(frame, list->is_delta, &entries, err)) == 0)
		rc = crl_signing_add(list->signing, &entries, err);
	buf_clear(&entries);
	return rc;
}

static int
op_crl_sign(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct list *list = list_find(c, frame->id);
	struct buf sig = {0};
	int rc;

	(void)s;
	if (list == NULL || !list->used)
		return err_set(err, E_INPUT, "a list that was not begun");
	if (frame->len != 0)
		rc = err_set(err, E_INPUT, "nothing is taken with this request");
	else if ((rc = list->err.code) != 0)
		*err = list->err;
	else if ((rc = crl_signing_end(list->signing, list->authority->key, &sig, err)) == 0)
		proto_signed_put(answer, list->number, &sig);
	list_clear(list);
	buf_clear(&sig);
	return rc;
}

static int
op_ca_cert(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	(void)c;
	if (frame->len != 0)
		return err_set(err, E_INPUT, "nothing is taken with this request");
	buf_append(answer, s->authorities[0].der.data, s->authorities[0].der.len);
	return 0;
}

/* Until the answer is full; the caller then asks for what follows. */
static int
put_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct buf *answer = ctx, bytes = {0};

	(void)err;
	signer_log_row_put(&bytes, row);
	buf_u32(answer, (uint32_t)bytes.len);
	buf_append(answer, bytes.data, bytes.len);
	answer->failed = answer->failed || buf_failed(&bytes);
	buf_clear(&bytes);
	return answer->len > LOG_PART_BYTES;
}

static int
op_log_read(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	uint64_t after;
	int rc;

	(void)c;
	if ((rc = proto_log_read_read(frame, &after, err)) != 0)
		return rc;
	rc = signer_log_walk(s->log, after, put_row, answer, err);
	return rc < 0 ? rc : 0;
}

/* The answers of REQUEST, each behind its length, after when they begin and when the first ends. */
static int
sign_answers(struct state *s, struct authority *a, const struct proto_ocsp *request, struct buf *answer, struct err *err)
{
	int64_t now = clock_now(), next = 0, first_next = INT64_MAX;
	struct buf answers = {0}, one = {0};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < request->n; i++) {
		const struct signer_ocsp *wanted = &request->wanted[i];
		const struct ocsp_spec spec = {.singles = wanted->singles, .n = wanted->n, .nonce = wanted->nonce,
		    .nonce_len = wanted->nonce_len};

		buf_reset(&one);
		rc = responder_sign(&a->responder, s->log, &spec, now, request->valid_s, &one, &next, err);
		if (rc == 0 && next < first_next)
			first_next = next;
		if (rc == E_CONFLICT) /* this one alone is refused */
			rc = 0;
		buf_u32(&answers, (uint32_t)one.len);
		buf_append(&answers, one.data, one.len);
	}
	buf_u64(answer, (uint64_t)now);
	buf_u64(answer, (uint64_t)first_next);
	buf_append(answer, answers.data, answers.len);
	answer->failed = answer->failed || buf_failed(&answers);
	buf_clear(&answers);
	buf_clear(&one);
	return rc;
}

static int
op_ocsp(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct proto_ocsp *request = malloc(sizeof *request); /* large */
	struct authority *a;
	int rc;

	(void)c;
	if (request == NULL)
		return err_nomem(err);
	if ((rc = proto_ocsp_read(frame, request, err)) != 0)
		goto out;
	if ((a = authority_find(s, request->issuer)) == NULL)
		rc = err_set(err, E_NOTFOUND, "this signer does not have the key of that issuer");
	else if ((rc = responder_ready(&a->responder, &a->issuer, a->key, s->log, clock_now(), err)) == 0)
		rc = sign_answers(s, a, request, answer, err);
out:
	free(request);
	return rc;
}

static int
op_checkpoint(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer, struct err *err)
{
	struct authority *a = &s->authorities[0];
	const struct witness_issuer by = {&a->issuer, &a->der, a->key};
	struct checkpoint checkpoint;
	uint8_t head[SHA256_LEN];
	struct buf cms = {0};
	int64_t seq;
	int rc;

	(void)c;
	if ((rc = proto_checkpoint_read(frame, &seq, head, err)) != 0)
		return rc;
	if ((rc = witness_sign(&s->witness, &by, s->log, seq, head, clock_now(), &checkpoint, &cms, err)) == 0) {
		proto_checkpoint_signed_put(answer, &checkpoint);
		buf_append(answer, cms.data, cms.len);
	}
	buf_clear(&cms);
	return rc;
}

typedef int op_fn(struct state *s, struct conn *c, const struct proto_frame *frame, struct buf *answer,
    struct err *err);

static const struct {
	op_fn *fn;
	bool silent; /* no answer; a failure ends the connection */
	const char *name;
} ops[] = {
    [PROTO_ISSUE] = {op_issue, false, "issue"},
    [PROTO_NOTE] = {op_note, false, "note"},
    [PROTO_CRL_ENTRIES] = {op_entries, true, "crl entries"},
    [PROTO_CRL_SIGN] = {op_crl_sign, false, "crl sign"},
    [PROTO_CA_CERT] = {op_ca_cert, false, "ca certificate"},
    [PROTO_LOG_READ] = {op_log_read, false, "log read"},
    [PROTO_CRL_BEGIN] = {op_crl_begin, true, "crl begin"},
    [PROTO_OCSP] = {op_ocsp, false, "ocsp"},
    [PROTO_CHECKPOINT] = {op_checkpoint, false, "checkpoint"},
};

/* ---- connections --------------------------------------------------------------------------------------------- */

static void
conn_close(struct conn *c)
{
	size_t i;

	if (c->fd >= 0)
		(void)close(c->fd);
	for (i = 0; i < LISTS_MAX; i++)
		list_clear(&c->lists[i]);
	buf_clear(&c->in);
	buf_clear(&c->out);
	*c = (struct conn){.fd = -1};
}

static void
conn_accept(struct state *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	size_t i;

	if (fd < 0)
		return;
	for (i = 0; i < CONNS_MAX; i++)
		if (s->conns[i].fd < 0) {
			s->conns[i].fd = fd;
			return;
		}
	log_warn("more than %d connections: one was closed", CONNS_MAX);
	(void)close(fd);
}

/* For whoever looks for what became of a request: our own troubles, and with --debug everything. */
static void
outcome_log(const char *op, int rc, const struct err *err)
{
	if (rc == E_SYS || rc == E_NOMEM || rc == E_FULL)
		log_warn("%s: %s", op, err->text);
	else
		log_debug("%s: %s", op, rc == 0 ? "done" : err->text);
}

/* Execute one request. False if the connection must end. */
static bool
request_run(struct state *s, struct conn *c, const struct proto_frame *frame)
{
	struct buf answer = {0};
	struct err err = {0};
	bool known = frame->type < sizeof ops / sizeof ops[0] && ops[frame->type].fn != NULL;
	int rc;

	if (!known) {
		log_warn("an unknown operation %u: the connection was closed", frame->type);
		return false;
	}
	rc = ops[frame->type].fn(s, c, frame, &answer, &err);
	if (rc == 0 && buf_failed(&answer))
		rc = err_nomem(&err);
	if (!ops[frame->type].silent)
		outcome_log(ops[frame->type].name, rc, &err);
	if (rc != 0 && ops[frame->type].silent)
		log_warn("%s: the connection was closed", err.text);
	else if (rc != 0)
		proto_error_put(&c->out, frame->id, &err);
	else if (!ops[frame->type].silent)
		proto_answer_put(&c->out, frame->id, answer.data, answer.len);
	buf_clear(&answer);
	return (rc == 0 || !ops[frame->type].silent) && !buf_failed(&c->out);
}

static bool
execute(struct state *s, struct conn *c, const struct proto_frame *frame)
{
	char about[LOG_ID_SIZE];
	bool goes_on;

	if (frame->about != NULL) {
		hex_encode(about, frame->about, PROTO_ABOUT_LEN);
		log_about(about, NULL);
	}
	goes_on = request_run(s, c, frame);
	log_about(NULL, NULL);
	return goes_on;
}

static void
conn_read(struct conn *c)
{
	uint8_t *room = buf_extend(&c->in, READ_BYTES);
	ssize_t n;

	if (room == NULL) {
		conn_close(c);
		return;
	}
	n = recv(c->fd, room, READ_BYTES, 0);
	c->in.len -= READ_BYTES - (size_t)(n > 0 ? n : 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
}

static bool
conn_has_room(const struct conn *c)
{
	return c->out.len - c->sent <= OUT_MAX;
}

/* A revocation waits for no other work, of which strangers can cause as much as there is room for (OCSP). It depends on
 * none: what it revokes was issued, and that answered, before. */
static bool
execute_notes(struct state *s, struct conn *c)
{
	struct proto_frame frame;
	size_t at = 0;
	int size;

	while ((size = proto_frame_read(c->in.data + at, c->in.len - at, &frame, NULL)) > 0) {
		if (frame.type != PROTO_NOTE) {
			at += (size_t)size;
			continue;
		}
		if (!execute(s, c, &frame))
			return false;
		c->in.len -= (size_t)size;
		memmove(c->in.data + at, c->in.data + at + size, c->in.len - at);
	}
	return true;
}

/* Execute the whole frames that were read, as long as their answers are taken; these wait in c->out for the log. */
static void
conn_execute(struct state *s, struct conn *c)
{
	struct proto_frame frame;
	struct err err = {0};
	size_t at = 0;
	int size;

	if (conn_has_room(c) && !execute_notes(s, c)) {
		conn_close(c);
		return;
	}
	while ((size = proto_frame_read(c->in.data + at, c->in.len - at, &frame, &err)) > 0 && conn_has_room(c)) {
		at += (size_t)size;
		if (!execute(s, c, &frame)) {
			conn_close(c);
			return;
		}
	}
	if (size < 0) {
		log_warn("%s: the connection was closed", err.text);
		conn_close(c);
		return;
	}
	c->waiting = size > 0;
	buf_consume(&c->in, at);
}

/* A list is long, and what a socket takes at once is short: what was sent is dropped when it is most of it. */
static void
conn_flush(struct conn *c)
{
	ssize_t n;

	if (c->fd < 0 || c->out.len == c->sent)
		return;
	n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_close(c);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent > c->out.len / 2) {
		buf_consume(&c->out, c->sent);
		c->sent = 0;
	}
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

enum { POLL_LISTEN, POLL_ALIVE, POLL_SIGNALS, POLL_CONNS, POLL_ALL = POLL_CONNS + CONNS_MAX };

static void
poll_prepare(const struct state *s, struct pollfd fds[POLL_ALL])
{
	size_t i;

	fds[POLL_LISTEN] = (struct pollfd){s->listen_fd, POLLIN, 0};
	fds[POLL_ALIVE] = (struct pollfd){s->alive_fd, POLLIN, 0};
	fds[POLL_SIGNALS] = (struct pollfd){s->signals, POLLIN, 0};
	for (i = 0; i < CONNS_MAX; i++) {
		const struct conn *c = &s->conns[i];
		int events = (conn_has_room(c) && !c->waiting ? POLLIN : 0) |
		    (c->out.len > c->sent || c->waiting ? POLLOUT : 0);

		fds[POLL_CONNS + i] = (struct pollfd){c->fd, (short)events, 0};
	}
}

/* Without the supervisor's snapshot there is nothing that the sandbox would let it read. */
static void
reload(struct state *s)
{
	char pki_url[CONF_TEXT_SIZE] = "";
	struct profiles profiles;
	struct err err = {0};
	size_t i;
	int rc;

	if (s->options->conf_fd <= STDERR_FILENO)
		return;
	rc = conf_read(s->options, &profiles, pki_url, &err);
	/* A URL that is good for one is good for all, so it is all or nothing. */
	for (i = 0; rc == 0 && i < s->n_authorities; i++)
		rc = authority_set_url(&s->authorities[i], pki_url, &err);
	if (rc == 0)
		s->profiles = profiles;
	else
		log_error("configuration not reloaded, the old one stays: %s", err.text);
}

/* SIGTERM and SIGINT end the process, SIGHUP is for the configuration. */
static bool
is_ending(struct state *s, const struct pollfd fds[POLL_ALL])
{
	struct signalfd_siginfo info;
	bool must_reload = false;

	if (fds[POLL_ALIVE].revents != 0)
		return true;
	while (read(s->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo != SIGHUP)
			return true;
		must_reload = true;
	}
	if (must_reload)
		reload(s);
	return false;
}

static int
serve(struct state *s, struct err *err)
{
	struct pollfd fds[POLL_ALL];
	size_t i;
	int rc;

	for (;;) {
		poll_prepare(s, fds);
		if (poll(fds, POLL_ALL, -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for requests");
		if (is_ending(s, fds))
			return 0;
		for (i = 0; i < CONNS_MAX; i++) {
			if ((fds[POLL_CONNS + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
				conn_read(&s->conns[i]);
			if (s->conns[i].in.len > 0)
				conn_execute(s, &s->conns[i]);
		}
		KILLPOINT(2, "signed, nothing of it in the log");
		/* Nothing that was signed leaves before this. */
		if ((rc = signer_log_sync(s->log, err)) != 0)
			return rc;
		for (i = 0; i < CONNS_MAX; i++)
			conn_flush(&s->conns[i]);
		if ((fds[POLL_LISTEN].revents & POLLIN) != 0)
			conn_accept(s);
	}
}

int
signer_main(const struct signer_options *options)
{
	struct state *s = calloc(1, sizeof *s);
	struct err err = {0};
	size_t i;
	int rc;

	if (s == NULL) {
		log_error("out of memory");
		return E_NOMEM;
	}
	s->options = options;
	s->listen_fd = options->listen_fd;
	s->alive_fd = options->alive_fd;
	s->signals = -1;
	for (i = 0; i < CONNS_MAX; i++)
		s->conns[i].fd = -1;
	if ((rc = open_all(s, options, &err)) == 0 && (!options->sandbox || (rc = sandbox_enter(&err)) == 0))
		rc = serve(s, &err);
	if (rc != 0)
		log_error("%s%s%s", err.field, err.field[0] != '\0' ? ": " : "", err.text);
	for (i = 0; i < CONNS_MAX; i++)
		conn_close(&s->conns[i]);
	signer_log_close(s->log);
	for (i = 0; i < ISSUERS_MAX; i++)
		authority_clear(&s->authorities[i]);
	witness_clear(&s->witness);
	if (s->signals >= 0)
		(void)close(s->signals);
	free(s);
	return rc;
}
