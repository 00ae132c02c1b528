/* A link is its token's digest in the database: who reads the database cannot redeem it. */
#include "core/link.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "core/audit.h"
#include "core/authfail.h"
#include "core/limits.h"
#include "core/sweeper.h"
#include "core/token.h"
#include "store/store.h"

#include <string.h>

/* The link itself is the caller: nobody else is known. */
static struct caller
link_caller(const struct store_package *package)
{
	return (struct caller){.tenant_id = package->tenant_id, .who = "link"};
}

/* May VISITOR ask for a link? */
static int
link_may_try(struct core *core, const struct link_visitor *visitor, struct err *err)
{
	int rc;

	if ((rc = authfail_may_try(core, visitor->address, false, err)) != 0)
		return rc;
	return limits_take_address(core, LIMIT_LINKS, visitor->address, visitor->quotas, err);
}

static int
look(struct core *core, const char *token, struct store_package *package_out, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	struct store_package row;
	struct store_tx *tx = NULL;
	int rc;

	token_digest(token, digest);
	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_package_find(tx, digest, &row, err);
	store_rollback(&tx);
	if (rc != 0)
		return rc;
	if (row.state != PACKAGE_WAITING || row.expires_at <= core->now())
		return err_set(err, E_GONE, "this link was used, withdrawn or has expired");
	*package_out = row;
	return 0;
}

static int
redeem(struct core *core, const char *token, const char *peer, struct store_package *package_out,
    struct buf *archive_out, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	struct store_package row;
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	struct caller caller;
	int rc;

	token_digest(token, digest);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_package_take(tx, digest, now, &row, archive_out, err)) != 0)
		goto out;
	caller = link_caller(&row);
	if ((rc = audit_write(tx, &caller, now, "package.deliver", store_owner_kind_name(row.owner_kind),
		 row.owner_id, err, "{\"peer\":\"%s\",\"bytes\":%zu}", peer, archive_out->len)) == 0)
		rc = store_commit(&tx, err);
out:
	store_rollback(&tx);
	KILLPOINT(18, "a link consumed, no byte of the package sent");
	if (rc == 0) {
		*package_out = row;
		sweeper_wake(core->sweeper);
	} else {
		buf_reset(archive_out); /* nothing leaves without its commit */
	}
	return rc;
}

int
link_look(struct core *core, const char *token, const struct link_visitor *visitor, struct store_package *package_out,
    struct err *err)
{
	int rc;

	if ((rc = link_may_try(core, visitor, err)) == 0 &&
	    (rc = look(core, token, package_out, err)) == E_NOTFOUND)
		authfail_note(core, visitor->address, "link");
	return rc;
}

int
link_redeem(struct core *core, const char *token, const struct link_visitor *visitor, struct store_package *package_out,
    struct buf *archive_out, struct err *err)
{
	int rc;

	if ((rc = link_may_try(core, visitor, err)) == 0 &&
	    (rc = redeem(core, token, visitor->address, package_out, archive_out, err)) == E_NOTFOUND)
		authfail_note(core, visitor->address, "link");
	return rc;
}

void
link_incomplete(struct core *core, const struct store_package *package, const char *peer)
{
	struct caller caller = link_caller(package);
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	if ((rc = store_begin_urgent(core->store, &tx, &err)) == 0 &&
	    (rc = audit_write(tx, &caller, core->now(), "package.incomplete",
		 store_owner_kind_name(package->owner_kind), package->owner_id, &err,
		 "{\"peer\":\"%s\"}", peer)) == 0)
		rc = store_commit(&tx, &err);
	(void)rc;
	store_rollback(&tx);
}
