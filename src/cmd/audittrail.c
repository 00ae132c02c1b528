/* Hashes are recomputed from the rows; what the service says of itself is not asked for. */
#include "cmd/audittrail.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cmd/gzlines.h"
#include "cmd/progress.h"
#include "cmd/rest.h"
#include "store/audit.h"
#include "x509/pem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE "1000" /* more is memory that each worker of the service keeps */
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

/* Behind what was archived, if that is news, and if it is known. */
static int
base_take(struct audittrail *t, const json_t *page, struct err *err)
{
	const char *hash = NULL;
	json_int_t seq = 0;

	if (json_unpack((json_t *)json_object_get(page, "base"), "{s:I, s:s}", "seq", &seq, "hash", &hash) != 0)
		return err_set(err, E_SYS, "the server's answer is no audit trail");
	if (seq <= t->seq)
		return 0;
	if (t->seq > 0)
		return err_set(err, E_CONFLICT, "the rows behind %" PRId64 " up to %" PRId64 " are in an archive that was not named",
		    t->seq, (int64_t)seq);
	if (!hex_decode(t->hash, sizeof t->hash, hash))
		return err_set(err, E_SYS, "the server's answer is no audit trail");
	t->first = t->seq = seq;
	memcpy(t->before, t->hash, sizeof t->before);
	return 0;
}

static int
page_take(struct audittrail *t, const json_t *page, int64_t upto, audittrail_each *each, void *ctx, struct err *err)
{
	json_t *row;
	size_t i;
	int rc;

	if ((rc = base_take(t, page, err)) != 0)
		return rc;
	json_array_foreach (json_object_get(page, "items"), i, row)
		if (rc == 0 && t->seq < upto && (rc = audittrail_add(t, row, err)) == 0 && each != NULL)
			rc = each(ctx, row, err);
	return rc;
}

int
audittrail_follow(
    const struct cli *cli, struct audittrail *t, int64_t upto, audittrail_each *each, void *ctx, struct err *err)
{
	struct progress progress = {.what = "verifying"};
	json_t *page = NULL;
	bool is_last = false;
	struct buf path = {0};
	int rc = 0;

	while (rc == 0 && !is_last && t->seq < upto) {
		buf_reset(&path);
		buf_printf(&path, "/v1/audit/trail?limit=" PAGE "&after=%" PRId64, t->seq);
		json_decref(page);
		page = NULL;
		if ((rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, &page, err)) != 0)
			break;
		rc = page_take(t, page, upto, each, ctx, err);
		is_last = !json_is_string(json_object_get(page, "next"));
		if (!is_last)
			progress_count(&progress, (uint64_t)t->seq);
	}
	progress_end(&progress);
	json_decref(page);
	buf_clear(&path);
	return rc;
}

/* ---- archives ------------------------------------------------------------------------------------------------ */

/* The first line says behind which row the file begins; archives may overlap. */
static int
first_line(struct audittrail *t, const json_t *line, struct err *err)
{
	const char *kind = NULL, *hash = NULL;
	json_int_t after = 0;

	if (json_unpack((json_t *)line, "{s:s, s:I, s:s !}", "kind", &kind, "after", &after, "hash", &hash) != 0 ||
	    strcmp(kind, AUDITTRAIL_KIND) != 0)
		return err_set(err, E_INPUT, "it is no archive of an audit trail");
	if (after <= t->seq)
		return 0;
	if (t->seq > 0)
		return err_set(err, E_CONFLICT, "the rows behind %" PRId64 " up to %" PRId64 " are missing: name the archives in their order",
		    t->seq, (int64_t)after);
	if (!hex_decode(t->hash, sizeof t->hash, hash))
		return err_set(err, E_INPUT, "it is no archive of an audit trail");
	t->first = t->seq = after;
	memcpy(t->before, t->hash, sizeof t->before);
	return 0;
}

/* The last one is the checkpoint about the row before it. */
static int
last_line(const struct cli *cli, const struct audittrail *t, const json_t *line, struct err *err)
{
	struct checkpoint checkpoint;
	int rc;

	if ((rc = audittrail_checkpoint_pem(cli, json_string_value(json_object_get(line, "checkpoint")), &checkpoint, err)) != 0)
		return rc;
	if (checkpoint.seq != t->seq || memcmp(checkpoint.head, t->hash, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT, "its rows are not what its checkpoint was signed for");
	return 0;
}

/* *DONE_OUT after the last. */
static int
line_take(const struct cli *cli, struct audittrail *t, const json_t *line, bool is_first, bool *done_out, struct err *err)
{
	if (is_first)
		return first_line(t, line, err);
	if (*done_out)
		return err_set(err, E_INPUT, "there is more behind its end");
	if (json_object_get(line, "checkpoint") != NULL) {
		*done_out = true;
		return last_line(cli, t, line, err);
	}
	if (json_integer_value(json_object_get(line, "seq")) <= t->seq) /* an archive before had it */
		return 0;
	return audittrail_add(t, line, err);
}

int
audittrail_archive(const struct cli *cli, struct audittrail *t, const char *file, struct err *err)
{
	bool is_first = true, is_done = false;
	struct gzlines *lines = NULL;
	const char *text;
	int rc;

	if ((rc = gzlines_open(file, &lines, err)) != 0)
		return rc;
	while ((rc = gzlines_next(lines, &text, err)) == 1) {
		json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

		rc = line == NULL ? err_set(err, E_INPUT, "it is damaged behind row %" PRId64, t->seq)
				  : line_take(cli, t, line, is_first, &is_done, err);
		is_first = false;
		json_decref(line);
		if (rc != 0)
			break;
	}
	gzlines_close(lines);
	if (rc == 0 && !is_done)
		rc = err_set(err, E_INPUT, "it ends behind row %" PRId64 " without a checkpoint", t->seq);
	return rc == 0 ? 0 : err_prefix(err, "%s", file);
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
audittrail_checkpoint_pem(const struct cli *cli, const char *pem, struct checkpoint *out, struct err *err)
{
	struct buf der = {0}, root = {0};
	char path[FS_PATH_MAX];
	const char *ca = cli->ca;
	int rc;

	if (pem == NULL)
		return err_set(err, E_INPUT, "there is no checkpoint in it");
	if (ca == NULL) {
		if ((rc = fs_path(path, cli->dir, "ca/root.crt", err)) != 0)
			return rc;
		ca = path;
	}
	if ((rc = fs_read(ca, PEM_MAX, &root, err)) == 0 &&
	    (rc = pem_decode(pem, strlen(pem), CHECKPOINT_PEM_LABEL, &der, err)) == 0)
		rc = checkpoint_verify(der.data, der.len, buf_str(&root), out, err);
	buf_clear(&der);
	buf_clear(&root);
	return rc;
}

int
audittrail_checkpoint(const struct cli *cli, const char *file, struct checkpoint *out, struct err *err)
{
	struct buf pem = {0};
	int rc;

	if ((rc = fs_read(file, PEM_MAX, &pem, err)) == 0 &&
	    (rc = audittrail_checkpoint_pem(cli, buf_str(&pem), out, err)) != 0)
		(void)err_prefix(err, "%s", file);
	buf_clear(&pem);
	return rc;
}
