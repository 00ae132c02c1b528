/* Everything a home needs, in the order in which it is made. Runs once, locally, before any service: the only
 * place besides rollover that holds the root's key. */
#include "cmd/caroot.h"
#include "cmd/home.h"
#include "cmd/issuingca.h"
#include "cmd/owners.h"
#include "cmd/part.h"
#include "cmd/serverpair.h"

#include "authz/aclfile.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "core/caller.h"
#include "core/operator.h"
#include "core/policies.h"
#include "core/roots.h"
#include "core/settings.h"
#include "signer/issuers.h"
#include "signer/log.h"
#include "signer/profile.h"
#include "store/store.h"
#include "x509/cacert.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/pem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400
#define BACKDATE_S 60 /* a client's clock may be a little behind */

/* What the steps hand on. */
struct build {
	const struct home_options *options;
	const char *dir; /* where it is built, beside options->dir */
	int64_t now;
	struct key *root_key, *issuing_key;
	struct buf root_der, issuing_der; /* DER */
	struct buf root_pem, issuing_pem;
	struct cert_issuer issuer;
	struct settings settings;
	struct signer_log *log;
	struct store *store;
	struct home_made made;
};

int
home_read(const char *dir, const char *name, size_t max, struct buf *out, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	return fs_read(path, max, out, err);
}

int
home_read_cert(const char *dir, const char *name, struct buf *der_out, struct err *err)
{
	struct buf pem = {0};
	int rc;

	if ((rc = home_read(dir, name, ISSUERS_PEM_MAX, &pem, err)) == 0 &&
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", der_out, err)) != 0)
		(void)err_prefix(err, "%s", name);
	buf_clear(&pem);
	return rc;
}

int
home_read_chain(const char *dir, struct buf *pem_out, struct err *err)
{
	struct buf issuing = {0};
	struct roots roots;
	int rc;

	if ((rc = roots_read(dir, &roots, err)) == 0 && (rc = home_read_cert(dir, "ca/issuing.crt", &issuing, err)) == 0)
		roots_put_chain(&roots, &issuing, pem_out);
	roots_clear(&roots);
	buf_clear(&issuing);
	return rc == 0 && buf_failed(pem_out) ? err_nomem(err) : rc;
}

int
home_profiles(const char *dir, struct profiles *out, struct err *err)
{
	struct buf text = {0};
	int rc;

	if ((rc = home_read(dir, "muster.conf", CONF_FILE_MAX, &text, err)) == 0)
		rc = profiles_parse(buf_str(&text), out, err);
	buf_clear(&text);
	return rc;
}

int
home_put(const char *dir, const char *name, mode_t mode, const struct buf *data, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (buf_failed(data))
		return err_nomem(err);
	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	return fs_write(path, mode, (gid_t)-1, data->data, data->len, err);
}

int
home_put_key(const char *dir, const char *name, const struct key *key, struct err *err)
{
	struct secret pem = {0};
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = key_to_pem(key, &pem, err)) == 0 && (rc = fs_path(path, dir, name, err)) == 0)
		rc = fs_write(path, 0600, (gid_t)-1, pem.data, pem.len, err);
	secret_clear(&pem);
	return rc;
}

int
home_put_cert(const char *dir, const char *name, const struct buf *der, struct err *err)
{
	struct buf pem = {0};
	int rc;

	pem_encode(&pem, "CERTIFICATE", der->data, der->len);
	rc = home_put(dir, name, 0644, &pem, err);
	buf_clear(&pem);
	return rc;
}

int
home_put_broker_trust(
    const char *dir, const struct buf *roots, const struct buf *next, const struct issuers *issuers, struct err *err)
{
	struct buf pem = {0};
	size_t i;
	int rc;

	buf_append(&pem, roots->data, roots->len);
	if (next != NULL)
		pem_encode(&pem, "CERTIFICATE", next->data, next->len);
	for (i = 0; i < issuers->n; i++)
		pem_encode(&pem, "CERTIFICATE", issuers->all[i].der.data, issuers->all[i].der.len);
	rc = home_put(dir, "broker/ca.pem", 0640, &pem, err);
	buf_clear(&pem);
	return rc;
}

static int
make_cas(struct build *b, struct err *err)
{
	struct cacert_spec root = {.not_before = b->now - BACKDATE_S,
	    .not_after = b->now + (int64_t)CAROOT_DAYS * DAY, .country = b->options->country,
	    .org = b->options->org, .common_name = "Muster Root CA"};
	struct issuingca issuing = {.kind = b->options->key, .org = b->options->org, .country = b->options->country,
	    .now = b->now, .root_der = &b->root_der};
	int rc;

	if ((rc = key_generate(b->options->key, &b->root_key, err)) != 0 || (rc = cert_serial_make(root.serial, err)) != 0 ||
	    (rc = cacert_make_root(&root, b->root_key, &b->root_der, err)) != 0)
		return rc;
	issuing.root_key = b->root_key;
	if ((rc = issuingca_make(&issuing, &b->issuing_key, &b->issuing_der, err)) != 0)
		return rc;
	pem_encode(&b->root_pem, "CERTIFICATE", b->root_der.data, b->root_der.len);
	pem_encode(&b->issuing_pem, "CERTIFICATE", b->issuing_der.data, b->issuing_der.len);
	if ((rc = home_put_key(b->dir, "ca/private/root.key", b->root_key, err)) != 0 ||
	    (rc = home_put_key(b->dir, "ca/private/issuing.key", b->issuing_key, err)) != 0 ||
	    (rc = home_put(b->dir, "ca/root.crt", 0644, &b->root_pem, err)) != 0 ||
	    (rc = home_put(b->dir, "ca/issuing.crt", 0644, &b->issuing_pem, err)) != 0)
		return rc;
	return cert_issuer_init(&b->issuer, b->issuing_der.data, b->issuing_der.len,
	    b->settings.pki_public_url, err);
}

/* The address as it stands in a URL. */
static void
url_host(char *out, size_t size, const char *host)
{
	(void)snprintf(out, size, strchr(host, ':') != NULL ? "[%s]" : "%s", host);
}

static int
make_settings(struct build *b, struct err *err)
{
	const struct home_options *o = b->options;
	struct settings *s = &b->settings;
	struct buf text = {0};
	char host[300];
	gid_t gid;
	int rc;

	settings_defaults(s);
	url_host(host, sizeof host, o->hosts[0]);
	(void)snprintf(s->api_public_url, sizeof s->api_public_url, "https://%.200s:8443", host);
	(void)snprintf(s->pki_public_url, sizeof s->pki_public_url, "http://%.200s:8080", host);
	(void)snprintf(s->broker_public_host, sizeof s->broker_public_host, "%.200s:8883", host);
	/* Debian's Mosquitto drops to this user and group when root starts it. */
	if (geteuid() == 0 && sandbox_group("mosquitto", &gid, NULL) == 0)
		(void)text_copy(s->broker_group, sizeof s->broker_group, "mosquitto");
	buf_text(&text, "; Muster's configuration. Every key is here with its default; an absent key means its\n"
			"; default. After a change: SIGHUP to `muster serve`. What needs a restart\n"
			"; (listen, threads, workers, sandbox and their like) is named in the log then.\n\n");
	settings_print(&text, s);
	buf_byte(&text, '\n');
	profiles_print(&text, o->org != NULL ? o->org : "", o->country != NULL ? o->country : "");
	rc = home_put(b->dir, "muster.conf", 0644, &text, err);
	buf_clear(&text);
	return rc;
}

/* A TLS server's key and certificate for all hosts. */
static int
make_server(struct build *b, enum serverpair_which which, struct err *err)
{
	const struct home_options *o = b->options;
	const struct serverpair pair = {.dir = b->dir, .hosts = o->hosts, .n_hosts = o->n_hosts, .org = o->org,
	    .country = o->country, .now = b->now, .issuer = &b->issuer, .issuing_key = b->issuing_key,
	    .issuing_pem = &b->issuing_pem, .log = b->log, .store = b->store};

	return serverpair_make(&pair, which, err);
}

int
home_write_closed_acl(const char *dir, struct err *err)
{
	char path[FS_PATH_MAX];
	struct buf acl = {0};
	int rc;

	aclfile_begin(&acl);
	aclfile_end(&acl);
	if (buf_failed(&acl))
		rc = err_nomem(err);
	else if ((rc = fs_path(path, dir, "broker/acl", err)) == 0)
		rc = fs_write(path, 0640, (gid_t)-1, acl.data, acl.len, err);
	buf_clear(&acl);
	return rc;
}

/* The broker's files, so that it can start before the service ever ran: nobody has rights, nobody is revoked. */
static int
make_broker_files(struct build *b, struct err *err)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .at = b->now, .crl_number = 1};
	const struct crl_spec crl = {.issuer = &b->issuer,
	    .number = row.crl_number,
	    .this_update = b->now,
	    .next_update = b->now + b->settings.crl_validity_s};
	struct buf ca = {0}, der = {0}, pem = {0};
	int rc;

	buf_append(&ca, b->root_pem.data, b->root_pem.len);
	buf_append(&ca, b->issuing_pem.data, b->issuing_pem.len);
	if ((rc = signer_log_add(b->log, &row, err)) != 0 || (rc = signer_log_sync(b->log, err)) != 0 ||
	    (rc = crl_sign(&crl, NULL, 0, b->issuing_key, &der, err)) != 0)
		goto out;
	pem_encode(&pem, "X509 CRL", der.data, der.len);
	if ((rc = home_put(b->dir, "broker/ca.pem", 0640, &ca, err)) == 0 &&
	    (rc = home_write_closed_acl(b->dir, err)) == 0 &&
	    (rc = home_put(b->dir, "broker/crl.pem", 0640, &pem, err)) == 0)
		rc = make_server(b, SERVERPAIR_BROKER, err);
out:
	buf_clear(&ca);
	buf_clear(&der);
	buf_clear(&pem);
	return rc;
}

static int
open_records(struct build *b, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, b->dir, "signer.log", err)) != 0 ||
	    (rc = signer_log_open(path, false, &b->log, err)) != 0 ||
	    (rc = fs_path(path, b->dir, "muster.db", err)) != 0 ||
	    (rc = store_create(path, err)) != 0)
		return rc;
	return store_open(path, &b->store, err);
}

/* The built-in policy and the first operator. */
static int
fill_store(struct build *b, struct err *err)
{
	const struct caller init = {
	    .role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "init"};
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_begin(b->store, &tx, err)) == 0 &&
	    (rc = policies_put_builtin(tx, STORE_TENANT_DEFAULT, b->now, err)) == 0 && (rc = store_commit(&tx, err)) == 0)
		rc = operator_create(b->store, &init, "admin", ROLE_ADMIN, 0, NULL, b->made.token, err);
	store_rollback(&tx);
	return rc;
}

static void
build_clear(struct build *b)
{
	key_free(b->root_key);
	key_free(b->issuing_key);
	signer_log_close(b->log);
	store_close(b->store);
	buf_clear(&b->root_der);
	buf_clear(&b->issuing_der);
	buf_clear(&b->root_pem);
	buf_clear(&b->issuing_pem);
	explicit_bzero(&b->made, sizeof b->made);
}

/* An empty folder is what a package makes of /var/lib/muster. */
int
home_check_place(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t n = 0;

	if (d == NULL && errno == ENOENT)
		return 0;
	if (d == NULL)
		return err_sys(err, "cannot look into %s", dir);
	while ((entry = readdir(d)) != NULL)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	(void)closedir(d);
	if (n > 0)
		return err_set(err, E_CONFLICT,
		    "%s exists and is not empty: choose another --dir, or remove it if nothing in it is needed",
		    dir);
	return 0;
}

static int
make_folders(const char *dir, struct err *err)
{
	const struct part *part;
	char path[FS_PATH_MAX];
	size_t i;
	int rc;

	/* The first is the home itself, which is there. */
	for (i = 1; (part = part_at(i)) != NULL; i++)
		if (S_ISDIR(part->mode) && ((rc = fs_path(path, dir, part->name, err)) != 0 ||
					       (rc = fs_mkdir(path, part->mode & 07777, err)) != 0))
			return rc;
	return 0;
}

int
home_begin(const char *dir, struct workdir *work, struct err *err)
{
	size_t len = strlen(dir);
	char path[FS_PATH_MAX];
	int rc;

	work->fd = -1;
	if ((rc = home_check_place(dir, err)) != 0)
		return rc;
	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (snprintf(path, sizeof path, "%.*s.unfinished", (int)len, dir) >= 900)
		return err_set(err, E_INPUT, "the path of the home is too long");
	if ((rc = workdir_open(work, path, part_at(0)->mode & 07777, err)) != 0)
		return rc;
	if ((rc = make_folders(work->path, err)) != 0)
		workdir_close(work, true);
	return rc;
}

int
home_end(const char *dir, struct workdir *work, const char *broker_group, struct err *err)
{
	int rc;

	if ((rc = owners_give(work->path, broker_group, err)) != 0)
		return rc;
	if (rename(work->path, dir) != 0)
		return err_sys(err, "cannot rename %s to %s", work->path, dir);
	workdir_close(work, false);
	return fs_sync_parent(dir, err);
}

int
home_create(const struct home_options *options, struct home_made *made_out, struct err *err)
{
	struct build b = {.options = options, .now = clock_now()};
	uint8_t digest[SHA256_LEN];
	struct workdir work;
	int rc;

	if ((rc = home_begin(options->dir, &work, err)) != 0)
		return rc;
	b.dir = work.path;
	if ((rc = make_settings(&b, err)) != 0 || (rc = make_cas(&b, err)) != 0 ||
	    (rc = open_records(&b, err)) != 0 || (rc = fill_store(&b, err)) != 0 ||
	    (rc = make_server(&b, SERVERPAIR_API, err)) != 0 ||
	    (rc = make_broker_files(&b, err)) != 0)
		goto out;
	store_close(b.store);
	b.store = NULL;
	if ((rc = home_end(options->dir, &work, b.settings.broker_group, err)) != 0)
		goto out;
	sha256(digest, b.root_der.data, b.root_der.len);
	hex_encode(b.made.root_fingerprint, digest, sizeof digest);
	(void)text_copy(b.made.url, sizeof b.made.url, b.settings.api_public_url);
	*made_out = b.made;
out:
	build_clear(&b);
	workdir_close(&work, true);
	return rc;
}

int
home_lock(const char *dir, int *fd_out, struct err *err)
{
	char path[FS_PATH_MAX];
	int fd, rc;

	if ((rc = fs_path(path, dir, "muster.lock", err)) != 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc = errno == EWOULDBLOCK ? err_set(err, E_CONFLICT, "a server is running on %s already", dir)
					  : err_sys(err, "cannot lock %s", path);
		(void)close(fd);
		return rc;
	}
	*fd_out = fd;
	return 0;
}

int
home_lock_stopped(const char *dir, int *fd_out, struct err *err)
{
	int rc = home_lock(dir, fd_out, err);

	if (rc == E_CONFLICT)
		rc = err_set(err, E_CONFLICT, "a server is running on %.200s\nStop it, and start it again afterwards.", dir);
	return rc;
}

int
home_remove(const char *dir, const char *name, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	if (unlink(path) != 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s", path);
	return fs_sync_parent(path, err);
}

void
home_caller(struct caller *out)
{
	*out = (struct caller){.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT};
	(void)snprintf(out->who, sizeof out->who, "uid:%u", (unsigned)getuid());
}
