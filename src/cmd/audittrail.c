/* Hashes are recomputed from the rows; what the service says of itself is not asked for. */
#include "cmd/audittrail.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cmd/progress.h"
#include "cmd/rest.h"
#include "store/audit.h"
#include "x509/pem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE "5000"
#define PEM_MAX 65536

/* Texts are borrowed from ROW. */
static bool
row_read(const json_t *row, struct store_audit *out)
{
	const char *at, *hash;
	json_int_t seq, tenant_id;

	/* Strict: jansson cannot be asked for texts with a NUL, and gives none out. */
	if (json_unpack((json_t *)row, "{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s !}", "seq", &seq, "tenant_id", &tenant_id, "at", &at,
		"actor", &out->actor, "action", &out->action, "target", &out->target, "detail", &out->detail, "hash", &hash) != 0)
		return false;
	out->seq = seq;
	out->tenant_id = tenant_id;
	return clock_parse(at, &out->at) && hex_decode(out->hash, sizeof out->hash, hash);
}

int
audittrail_add(struct audittrail *t, const json_t *json, struct err *err)
{
	struct store_audit row = {0};
	uint8_t hash[SHA256_LEN];
	int rc;

	if (!row_read(json, &row))
		return err_set(err, E_INPUT, "behind audit row %" PRId64 " comes none that could be read", t->seq);
	if (row.seq != t->seq + 1)
		return err_set(err, E_CONFLICT, "audit row %" PRId64 " is missing", t->seq + 1);
	if ((rc = store_audit_hash(t->hash, &row, hash, err)) != 0)
		return rc;
	if (memcmp(hash, row.hash, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT, "audit row %" PRId64 " was changed or moved", row.seq);
	t->seq = row.seq;
	memcpy(t->hash, hash, SHA256_LEN);
	if (t->wanted == NULL || row.seq != t->wanted->seq)
		return 0;
	if (memcmp(hash, t->wanted->head, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT,
		    "the audit trail up to row %" PRId64 " is not the one that checkpoint %" PRIu64 " was signed for: it was rewritten, "
		    "or comes out of an older backup",
		    row.seq, t->wanted->number);
	t->is_met = true;
	return 0;
}

int
audittrail_follow(const struct cli *cli, struct audittrail *t, struct err *err)
{
	struct progress progress = {.what = "verifying"};
	json_t *page = NULL, *row;
	bool is_last = false;
	struct buf path = {0};
	size_t i;
	int rc = 0;

	while (rc == 0 && !is_last) {
		buf_reset(&path);
		buf_printf(&path, "/v1/audit/trail?limit=" PAGE "&after=%" PRId64, t->seq);
		json_decref(page);
		page = NULL;
		if ((rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, &page, err)) != 0)
			break;
		json_array_foreach (json_object_get(page, "items"), i, row)
			if (rc == 0)
				rc = audittrail_add(t, row, err);
		is_last = i == 0 || !json_is_string(json_object_get(page, "next"));
		if (!is_last)
			progress_count(&progress, (uint64_t)t->seq);
	}
	progress_end(&progress);
	json_decref(page);
	buf_clear(&path);
	return rc;
}

int
audittrail_end(const struct audittrail *t, struct err *err)
{
	if (t->wanted == NULL || t->is_met)
		return 0;
	if (t->seq < t->wanted->seq)
		return err_set(err, E_CONFLICT,
		    "audit row %" PRId64 " is missing: checkpoint %" PRIu64 " was signed when there were %" PRId64, t->seq + 1,
		    t->wanted->number, t->wanted->seq);
	return err_set(err, E_CONFLICT, "checkpoint %" PRIu64 " is about row %" PRId64 ", and the rows begin behind it: name the archives",
	    t->wanted->number, t->wanted->seq);
}

int
audittrail_checkpoint(const struct cli *cli, const char *file, struct checkpoint *out, struct err *err)
{
	struct buf pem = {0}, der = {0}, root = {0};
	char path[FS_PATH_MAX];
	const char *ca = cli->ca;
	int rc;

	if (ca == NULL) {
		if ((rc = fs_path(path, cli->dir, "ca/root.crt", err)) != 0)
			return rc;
		ca = path;
	}
	if ((rc = fs_read(ca, PEM_MAX, &root, err)) == 0 && (rc = fs_read(file, PEM_MAX, &pem, err)) == 0 &&
	    ((rc = pem_decode(buf_str(&pem), pem.len, CHECKPOINT_PEM_LABEL, &der, err)) != 0 ||
		(rc = checkpoint_verify(der.data, der.len, buf_str(&root), out, err)) != 0))
		(void)err_prefix(err, "%s", file);
	buf_clear(&pem);
	buf_clear(&der);
	buf_clear(&root);
	return rc;
}
