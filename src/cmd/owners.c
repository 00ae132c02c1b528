/* An absent part is skipped: WAL files come and go, and the root's key may be offline. */
#include "cmd/owners.h"

#include "base/fs.h"
#include "base/sandbox.h"
#include "cmd/part.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct owners {
	uid_t api_uid, signer_uid;
	gid_t api_gid, signer_gid, broker_gid;
};

static int
owners_find(const char *broker_group, struct owners *o, struct err *err)
{
	int rc;

	if ((rc = sandbox_user(OWNERS_API, &o->api_uid, &o->api_gid, err)) != 0 ||
	    (rc = sandbox_user(OWNERS_SIGNER, &o->signer_uid, &o->signer_gid, err)) != 0)
		return rc;
	o->broker_gid = o->api_gid;
	if (broker_group[0] != '\0' && (rc = sandbox_group(broker_group, &o->broker_gid, err)) != 0)
		return err_prefix(err, "broker.group");
	return 0;
}

static uid_t
part_uid(const struct part *part, const struct owners *o)
{
	return part->signers ? o->signer_uid : o->api_uid;
}

static gid_t
part_gid(const struct part *part, const struct owners *o)
{
	if (part->brokers)
		return o->broker_gid;
	return part->signers ? o->signer_gid : o->api_gid;
}

int
owners_give(const char *dir, const char *broker_group, struct err *err)
{
	const struct part *part;
	struct owners owners;
	char path[FS_PATH_MAX];
	size_t i;
	int rc;

	if (geteuid() != 0)
		return 0;
	if ((rc = owners_find(broker_group, &owners, err)) != 0)
		return rc;
	for (i = 0; (part = part_at(i)) != NULL; i++) {
		if ((rc = fs_path(path, dir, part->name, err)) != 0)
			return rc;
		if (lchown(path, part_uid(part, &owners), part_gid(part, &owners)) != 0 && errno != ENOENT)
			return err_sys(err, "cannot give %s to its user", path);
	}
	/* Set-group-id: what the api writes into broker/ belongs to the broker's group without more rights. */
	if ((rc = fs_path(path, dir, "broker", err)) == 0 && chmod(path, 02750) != 0)
		rc = err_sys(err, "cannot set the mode of %s", path);
	return rc;
}

/* OWNERS NULL: the home is its one user's, whose groups are his own affair. */
static int
part_check(const char *path, const struct part *part, const struct stat *st, uid_t home_uid,
    const struct owners *owners, struct err *err)
{
	mode_t mode = st->st_mode & 0777, group = part->brokers ? part->mode & 0050 : 0;
	uid_t uid = owners != NULL ? part_uid(part, owners) : home_uid;
	gid_t gid = owners != NULL ? part_gid(part, owners) : st->st_gid;

	if (st->st_uid != uid || st->st_gid != gid)
		return err_set(err, E_CONFLICT, "%.120s belongs to %u:%u instead of %u:%u\nchown %u:%u %.120s", path,
		    (unsigned)st->st_uid, (unsigned)st->st_gid, (unsigned)uid, (unsigned)gid, (unsigned)uid,
		    (unsigned)gid, path);
	if ((mode & ~part->mode) != 0)
		return err_set(err, E_CONFLICT, "%.120s lets in more than its own: its mode is %03o\nchmod %03o %.120s", path,
		    (unsigned)mode, (unsigned)(part->mode & 0777), path);
	if ((mode & group) != group)
		return err_set(err, E_CONFLICT, "%.120s keeps the broker out: its mode is %03o\nchmod %03o %.120s", path,
		    (unsigned)mode, (unsigned)(part->mode & 0777), path);
	return 0;
}

int
owners_check(const char *dir, const char *broker_group, struct err *err)
{
	const struct owners *owners = NULL;
	const struct part *part;
	struct owners found;
	char path[FS_PATH_MAX];
	struct stat home, st;
	gid_t gid;
	uid_t uid;
	size_t i;
	int rc;

	if (stat(dir, &home) != 0)
		return err_sys(err, "cannot look at %s", dir);
	/* Served by root it is two users'; else all of it is one user's. */
	if (sandbox_user(OWNERS_API, &uid, &gid, NULL) == 0 && home.st_uid == uid) {
		if ((rc = owners_find(broker_group, &found, err)) != 0)
			return rc;
		owners = &found;
	}
	for (i = 0; (part = part_at(i)) != NULL; i++) {
		if ((rc = fs_path(path, dir, part->name, err)) != 0)
			return rc;
		if (part->name[0] == '\0')
			path[strlen(path) - 1] = '\0';
		if (lstat(path, &st) != 0) {
			if (errno == ENOENT || errno == EACCES) /* a non-root user is kept out, as it should be */
				continue;
			return err_sys(err, "cannot look at %s", path);
		}
		if ((rc = part_check(path, part, &st, home.st_uid, owners, err)) != 0)
			return rc;
	}
	return 0;
}
