/* One table of parts. What is made later, such as a WAL or a new ACL file, is made by its owner. */
#include "cmd/owners.h"

#include "base/fs.h"
#include "base/sandbox.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Whose each part is. An absent one is skipped: WAL files come and go. */
static const struct {
	const char *name;
	bool signers; /* the signer's, else the api's */
	bool brokers; /* the broker's group may read */
} parts[] = {
    {"", false, false},
    {"ca", true, false},
    {"ca/root.crt", true, false},
    {"ca/issuing.crt", true, false},
    {"ca/private", true, false},
    {"ca/private/root.key", true, false},
    {"ca/private/issuing.key", true, false},
    {"signer.log", true, false},
    {"muster.conf", false, false},
    {"muster.db", false, false},
    {"muster.db-wal", false, false},
    {"muster.db-shm", false, false},
    {"tls", false, false},
    {"tls/server.crt", false, false},
    {"tls/server.key", false, false},
    {"broker", false, true},
    {"broker/ca.pem", false, true},
    {"broker/acl", false, true},
    {"broker/crl.pem", false, true},
    {"broker/broker.crt", false, true},
    {"broker/broker.key", false, true},
};

int
owners_give(const char *dir, const char *broker_group, struct err *err)
{
	uid_t api_uid, signer_uid;
	gid_t api_gid, signer_gid, broker_gid;
	char path[FS_PATH_MAX];
	size_t i;
	int rc;

	if (geteuid() != 0)
		return 0;
	if ((rc = sandbox_user(OWNERS_API, &api_uid, &api_gid, err)) != 0 ||
	    (rc = sandbox_user(OWNERS_SIGNER, &signer_uid, &signer_gid, err)) != 0)
		return rc;
	broker_gid = api_gid;
	if (broker_group[0] != '\0' && (rc = sandbox_group(broker_group, &broker_gid, err)) != 0)
		return err_prefix(err, "broker.group");
	for (i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if ((rc = fs_path(path, dir, parts[i].name, err)) != 0)
			return rc;
		if (lchown(path, parts[i].signers ? signer_uid : api_uid,
			parts[i].brokers	   ? broker_gid
			    : parts[i].signers ? signer_gid
					       : api_gid) != 0 &&
		    errno != ENOENT)
			return err_sys(err, "cannot give %s to its user", path);
	}
	/* Set-group-id: what the api writes into broker/ belongs to the broker's group without more rights. */
	if ((rc = fs_path(path, dir, "broker", err)) == 0 && chmod(path, 02750) != 0)
		rc = err_sys(err, "cannot set the mode of %s", path);
	return rc;
}
