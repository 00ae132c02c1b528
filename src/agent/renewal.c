/* What is asked over the network is asked before anything that is in use is touched. */
#include "agent/renewal.h"

#include "agent/est.h"
#include "agent/jsonpeek.h"
#include "agent/lock.h"
#include "agent/pair.h"
#include "base/clock.h"
#include "base/killpoint.h"
#include "base/text.h"
#include "x509/chain.h"
#include "x509/csr.h"
#include "x509/der.h"
#include "x509/name.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEVICE_JSON_MAX 65536

int64_t
renewal_due(const struct cert_info *info, int64_t since, int64_t renew_at)
{
	int64_t from = since > info->not_before && since < info->not_after ? since : info->not_before;
	int64_t left = info->not_after - from;
	unsigned chance = (unsigned)info->serial[SERIAL_LEN - 2] << 8 | info->serial[SERIAL_LEN - 1];

	if (renew_at > info->not_before && renew_at < info->not_after) {
		left = info->not_after - info->not_before;
		if (left / 10 > (info->not_after - renew_at) / 3)
			left = (info->not_after - renew_at) / 3 * 10;
		return renew_at + left / 10 * chance / 65536;
	}
	return from + left / 3 * 2 + left / 10 * chance / 65536;
}

/* Add to ROOT, which is what PATH holds, and to PATH the new root that the service tells of, if ROOT vouches for it. */
static int
roots_learn(const char *path, const struct buf *certs, struct buf *root, struct err *err)
{
	struct buf learnt = {0};
	int rc;

	if ((rc = chain_new_roots(buf_str(certs), buf_str(root), clock_now(), &learnt, err)) == 0 && learnt.len > 0) {
		buf_append(root, learnt.data, learnt.len);
		rc = buf_failed(root) ? err_nomem(err) : fs_write(path, 0644, (gid_t)-1, root->data, root->len, err);
	}
	buf_clear(&learnt);
	return rc;
}

static int
obtain_once(const char *dir, const struct est *est, enum key_kind kind, const struct buf *subject, struct err *err)
{
	struct buf csr = {0}, certs = {0}, root = {0};
	char challenge[EST_NONCE_SIZE];
	struct key *key = NULL;
	int64_t renew_at = 0;
	int rc;

	if ((rc = fs_read(est->ca_path, CHAIN_PEM_MAX, &root, err)) != 0 || (rc = pair_key_next(dir, kind, &key, err)) != 0 ||
	    (rc = est_cacerts(est, &certs, err)) != 0 || (rc = est_challenge(est, challenge, err)) != 0 ||
	    (rc = csr_build(key, subject->data, subject->len, challenge, &csr, err)) != 0 || (rc = est_enrol(est, &csr, &certs, &renew_at, err)) != 0)
		goto out;
	KILLPOINT(41, "agent: the certificate has come and is not kept");
	if (est->pair_path != NULL && (rc = roots_learn(est->ca_path, &certs, &root, err)) != 0)
		goto out;
	rc = pair_keep(dir, key, buf_str(&certs), buf_str(&root), clock_now(), renew_at, err);
out:
	key_free(key);
	buf_clear(&root);
	buf_clear(&certs);
	buf_clear(&csr);
	return rc;
}

/* Ask for a certificate of SUBJECT for the next key, and keep both. A key that was left may be one that the service does not
 * take any more: the old device's, or its certificate was given up when it could not be stored, or its answer was lost more
 * than a day ago. Then with a fresh one, or it would never be another. */
static int
obtain(const char *dir, const struct est *est, enum key_kind kind, const struct buf *subject, struct err *err)
{
	int rc = obtain_once(dir, est, kind, subject, err);

	if (rc != E_CONFLICT)
		return rc;
	pair_drop_next(dir);
	return obtain_once(dir, est, kind, subject, err);
}

/* ---- the first pair ---------------------------------------------------------------------------------------------- */

static int
folder_open(const char *dir, int *lock_out, struct err *err)
{
	int rc = fs_mkdir(dir, 0700, err);

	return rc == 0 || rc == E_CONFLICT ? lock_take(dir, LOCK_CHANGE, lock_out, err) : rc;
}

static int
is_free(const struct enrolment *e, struct err *err)
{
	struct cert_info info;
	char path[FS_PATH_MAX];

	if (lock_holder(e->dir, LOCK_RUN) != 0)
		return err_set(err, E_CONFLICT, "an agent runs in %s: end it first", e->dir);
	if (e->again || !pair_path(e->dir, PAIR_CURRENT, path))
		return 0;
	if (pair_info(e->dir, PAIR_CURRENT, &info, NULL, NULL) != 0)
		(void)text_copy(info.common_name, sizeof info.common_name, "somebody");
	return err_set(err, E_CONFLICT,
	    "%s has enrolled in %s already\n`muster-agent renew` renews; --again gives it up and enrols anew", info.common_name,
	    e->dir);
}

/* What does not stand in the pair: the root and the notes. */
static int
surroundings_keep(const struct enrolment *e, const char *root_path, const struct notes *notes, struct err *err)
{
	char path[FS_PATH_MAX];
	struct buf root = {0};
	int rc;

	if ((rc = fs_path(path, e->dir, PAIR_CA, err)) == 0 && (rc = fs_read(root_path, CHAIN_PEM_MAX, &root, err)) == 0 &&
	    (rc = fs_write(path, 0644, (gid_t)-1, root.data, root.len, err)) == 0)
		rc = notes_write_conf(e->dir, notes, err);
	buf_clear(&root);
	KILLPOINT(43, "agent: root and notes kept, not yet the pair in its place");
	return rc;
}

static int
name_build(const char *common_name, struct buf *out, struct err *err)
{
	const struct name name = {.common_name = common_name};
	int rc;

	if ((rc = name_check(&name, err)) != 0)
		return err_prefix(err, "--name");
	name_put(out, &name);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
renewal_enrol(const struct enrolment *e, struct err *err)
{
	const struct est est = {
	    .url = e->notes->url, .label = e->notes->label, .ca_path = e->ca_path, .token = e->token,
	    .idevid_path = e->idevid_path, .idevid_key_path = e->idevid_key_path};
	struct buf subject = {0};
	enum key_kind kind;
	int lock = -1, rc;

	if ((rc = est_url_check(e->notes->url, err)) != 0 || (rc = name_build(e->name, &subject, err)) != 0 ||
	    (rc = folder_open(e->dir, &lock, err)) != 0 || (rc = is_free(e, err)) != 0)
		goto out;
	if (!key_kind_parse(e->notes->key, &kind))
		rc = err_set(err, E_INPUT, "there is no kind of key called %s", e->notes->key);
	else if ((rc = obtain(e->dir, &est, kind, &subject, err)) == 0 &&
		 (rc = surroundings_keep(e, e->ca_path, e->notes, err)) == 0)
		rc = pair_promote(e->dir, err);
out:
	if (lock >= 0)
		(void)close(lock);
	buf_clear(&subject);
	return rc;
}

/* ---- a package --------------------------------------------------------------------------------------------------- */

/* The broker that the package names, into NOTES, if nobody named another. */
static int
broker_read(const char *from, struct notes *notes, struct err *err)
{
	char path[FS_PATH_MAX], host[NOTES_TEXT_SIZE - 8];
	struct buf json = {0};
	int64_t port;
	int rc, n;

	if (notes->broker[0] != '\0')
		return 0;
	if ((rc = fs_path(path, from, "device.json", err)) != 0 || (rc = fs_read(path, DEVICE_JSON_MAX, &json, err)) != 0)
		return rc;
	if (!jsonpeek_text(buf_str(&json), "host", host, sizeof host) ||
	    !jsonpeek_integer(buf_str(&json), "port", 1, 65535, &port))
		rc = err_set(err, E_INPUT, "%s names no broker: say --broker HOST:PORT", path);
	else {
		n = snprintf(notes->broker, sizeof notes->broker, "%s:%d", host, (int)port);
		rc = n < (int)sizeof notes->broker ? 0 : err_set(err, E_INPUT, "%s: too long", path);
	}
	buf_clear(&json);
	return rc;
}

/* When the package says that its certificate is to be renewed; 0: it does not. */
static int64_t
renew_at_read(const char *from)
{
	char path[FS_PATH_MAX], text[CLOCK_TEXT_MAX];
	struct buf json = {0};
	int64_t when = 0;

	if (fs_path(path, from, "device.json", NULL) != 0 || fs_read(path, DEVICE_JSON_MAX, &json, NULL) != 0 ||
	    !jsonpeek_text(buf_str(&json), "renew_at", text, sizeof text) || !clock_parse(text, &when))
		when = 0;
	buf_clear(&json);
	return when;
}

int
renewal_import(const struct enrolment *e, const char *from, struct err *err)
{
	char key_path[FS_PATH_MAX], cert_path[FS_PATH_MAX], ca_path[FS_PATH_MAX];
	struct notes notes = *e->notes;
	struct buf certs = {0}, root = {0}, pem;
	struct key *key = NULL;
	int lock = -1, rc;

	buf_init_secret(&pem);
	if ((rc = fs_path(key_path, from, "device.key", err)) != 0 ||
	    (rc = fs_path(cert_path, from, "device.crt", err)) != 0 || (rc = fs_path(ca_path, from, PAIR_CA, err)) != 0 ||
	    (rc = fs_read(key_path, KEY_SPKI_MAX * 8, &pem, err)) != 0 ||
	    (rc = fs_read(cert_path, CHAIN_PEM_MAX, &certs, err)) != 0 ||
	    (rc = fs_read(ca_path, CHAIN_PEM_MAX, &root, err)) != 0 || (rc = broker_read(from, &notes, err)) != 0)
		goto out;
	if ((rc = key_from_pem(pem.data, pem.len, &key, err)) != 0) {
		(void)err_prefix(err, "%s", key_path);
		goto out;
	}
	(void)text_copy(notes.key, sizeof notes.key, key_kind_name(key_kind_of(key)));
	if ((notes.url[0] == '\0' || (rc = est_url_check(notes.url, err)) == 0) &&
	    (rc = folder_open(e->dir, &lock, err)) == 0 && (rc = is_free(e, err)) == 0 &&
	    (rc = pair_keep(e->dir, key, buf_str(&certs), buf_str(&root), clock_now(), renew_at_read(from), err)) == 0 &&
	    (rc = surroundings_keep(e, ca_path, &notes, err)) == 0)
		rc = pair_promote(e->dir, err);
out:
	if (lock >= 0)
		(void)close(lock);
	key_free(key);
	buf_clear(&root);
	buf_clear(&certs);
	buf_clear(&pem);
	return rc;
}

/* ---- the next pair ----------------------------------------------------------------------------------------------- */

int
renewal_renew(const char *dir, struct err *err)
{
	char ca_path[FS_PATH_MAX], current[FS_PATH_MAX], next[FS_PATH_MAX];
	struct est est = {.ca_path = ca_path, .pair_path = current};
	struct buf subject = {0};
	struct cert_info info;
	struct notes notes;
	enum key_kind kind;
	int lock = -1, rc;

	if ((rc = notes_read(dir, &notes, err)) != 0 || (rc = fs_path(ca_path, dir, PAIR_CA, err)) != 0 ||
	    (rc = lock_take(dir, LOCK_CHANGE, &lock, err)) != 0)
		goto out;
	if (pair_path(dir, PAIR_NEXT, next))
		goto out;
	if (notes.url[0] == '\0') {
		rc = err_set(err, E_CONFLICT, "%s was enrolled without a service's URL\nenrol again with --url, or fetch a new package", dir);
		goto out;
	}
	if ((rc = pair_info(dir, PAIR_CURRENT, &info, NULL, err)) != 0)
		goto out;
	est.url = notes.url;
	est.label = notes.label;
	(void)pair_path(dir, PAIR_CURRENT, current);
	buf_append(&subject, info.subject, info.subject_len);
	if (!key_kind_parse(notes.key, &kind))
		kind = info.kind;
	rc = buf_failed(&subject) ? err_nomem(err) : obtain(dir, &est, kind, &subject, err);
	/* Its profile may give a grace; only the service knows. */
	if (rc != 0 && !est_may_retry(rc) && info.not_after <= clock_now())
		rc = err_set(err, E_GONE,
		    "the certificate has expired, and the service does not renew it\nenrol again: `muster-agent enrol --again` with a new token "
		    "or the manufacturer's certificate");
out:
	if (lock >= 0)
		(void)close(lock);
	buf_clear(&subject);
	return rc;
}
