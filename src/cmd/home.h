/* The home: making one, and its files for local commands. */
#ifndef MUSTER_CMD_HOME_H
#define MUSTER_CMD_HOME_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/serverpair.h"
#include "cmd/workdir.h"
#include "core/caller.h"
#include "core/token.h"
#include "signer/issuers.h"
#include "signer/profile.h"
#include "x509/key.h"

#include <stdbool.h>
#include <sys/types.h>

struct home_options {
	const char *dir;
	const char *hosts[SERVERPAIR_HOSTS_MAX]; /* DNS names and addresses; the first goes into the URLs */
	size_t n_hosts;
	const char *org;     /* NULL: none */
	const char *country; /* NULL: none; two capitals */
	enum key_kind key;   /* of root and issuing CA */
};

/* What was made, for the operator to read. */
struct home_made {
	char root_fingerprint[65]; /* SHA-256, hex */
	char token[TOKEN_SIZE];	   /* the first operator's, shown once */
	char url[512];
};

/* May a home be made at DIR? E_CONFLICT if it exists and is not an empty folder, E_SYS. */
MUST_CHECK int home_check_place(const char *dir, struct err *err);

/* Begin a home that is to be at DIR: its folders, in WORK beside DIR. To be ended by home_end, or given up by
 * workdir_close with REMOVE. As home_check_place; E_BUSY if another process makes it, E_INPUT. */
MUST_CHECK int home_begin(const char *dir, struct workdir *work, struct err *err);

/* Give its parts to their users and put it into its place, whole. After a failure WORK is still to be given up. As
 * owners_give. */
MUST_CHECK int home_end(const char *dir, struct workdir *work, const char *broker_group, struct err *err);

/* Write the home's broker/acl that lets nobody do anything, for a broker that starts before the service. E_SYS. */
MUST_CHECK int home_write_closed_acl(const char *dir, struct err *err);

/* Make the home DIR: CAs, server and broker certificates, configuration, database, first operator. It is built
 * beside its place and renamed, so that DIR is whole or not there. E_CONFLICT if DIR exists and is not an empty
 * folder; E_INPUT; E_SYS. */
MUST_CHECK int home_create(const struct home_options *options, struct home_made *made_out, struct err *err);

/* Append the file NAME of the home DIR to OUT: E_INPUT beyond MAX bytes, E_NOTFOUND, E_SYS. */
MUST_CHECK int home_read(const char *dir, const char *name, size_t max, struct buf *out, struct err *err);

/* The certificate in NAME (PEM), as DER. As home_read, E_INPUT. */
MUST_CHECK int home_read_cert(const char *dir, const char *name, struct buf *der_out, struct err *err);

/* Today's issuing CA (PEM), and behind it what leads to the root before today's, if there is one. As home_read. */
MUST_CHECK int home_read_chain(const char *dir, struct buf *pem_out, struct err *err);

/* The profiles in its muster.conf. As home_read, E_INPUT. */
MUST_CHECK int home_profiles(const char *dir, struct profiles *out, struct err *err);

/* Put a file, key (PEM, 0600) or certificate (PEM, 0644) into its place, whole, instead of what is there. E_SYS, E_NOMEM. */
MUST_CHECK int home_put(
    const char *dir, const char *name, mode_t mode, const struct buf *data, struct err *err);
MUST_CHECK int home_put_key(const char *dir, const char *name, const struct key *key, struct err *err);
MUST_CHECK int home_put_cert(const char *dir, const char *name, const struct buf *der, struct err *err);

/* Write what a broker trusts: ROOTS (PEM), and every issuing CA, so that a client may send its own certificate alone; the
 * first of them is NEXT (DER), if it is not NULL. E_SYS, E_NOMEM. */
MUST_CHECK int home_put_broker_trust(const char *dir, const struct buf *roots, const struct buf *next,
    const struct issuers *issuers, struct err *err);

/* Remove a file, if it is there. E_SYS. */
MUST_CHECK int home_remove(const char *dir, const char *name, struct err *err);

/* Be the one that writes in DIR, until *FD_OUT is closed: the server, or a command that needs it stopped. E_CONFLICT
 * if another is. */
MUST_CHECK int home_lock(const char *dir, int *fd_out, struct err *err);

/* The same for a command that needs the server stopped: E_CONFLICT says so. */
MUST_CHECK int home_lock_stopped(const char *dir, int *fd_out, struct err *err);

/* Who runs this command, for the audit: a local one is the installation's admin. */
void home_caller(struct caller *out);

#endif
