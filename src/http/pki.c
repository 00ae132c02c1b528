/* What verifiers fetch: CA certificates and revocation lists, from memory, over plain HTTP too (RFC 5280, section
 * 8, warns of https here: its verification may need what is being fetched). */
#include "core/ca.h"
#include "http/negotiate.h"
#include "http/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATE_CACHEABLE_S 3600
#define LIST_PART_BYTES (256 * 1024)

static int
certificate_reply(const struct buf *der, struct http_reply *reply)
{
	reply->content_type = "application/pkix-cert"; /* RFC 2585 */
	reply->cacheable_s = CERTIFICATE_CACHEABLE_S;
	buf_append(&reply->body, der->data, der->len);
	return 0;
}

int
pki_root(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)caller;
	(void)req;
	(void)err;
	return certificate_reply(&core->roots.ders[0], reply);
}

int
pki_issuing(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)caller;
	(void)req;
	(void)err;
	return certificate_reply(&core->issuers.all[0].der, reply);
}

/* From the issuing CA up to the root. */
int
pki_chain(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)caller;
	(void)req;
	(void)err;
	reply->content_type = "application/x-pem-file";
	reply->cacheable_s = CERTIFICATE_CACHEABLE_S;
	buf_append(&reply->body, core->issuing_pems[0].data, core->issuing_pems[0].len);
	buf_append(&reply->body, core->roots.pem.data, core->roots.pem.len);
	return 0;
}

/* A list on its way to one client: a part of it at a time is theirs, the rest everybody's. */
struct sending {
	struct shared *bytes;
	size_t at;
};

static void
sending_free(void *ctx)
{
	struct sending *sending = ctx;

	shared_unref(sending->bytes);
	free(sending);
}

static int
sending_next(struct core *core, void *ctx, struct buf *part, bool *end_out, struct err *err)
{
	struct sending *sending = ctx;

	(void)core;
	if (!shared_read(sending->bytes, sending->at, LIST_PART_BYTES, part))
		return err_set(err, E_BUSY, "its reader is slow, and newer revocation lists need the room");
	if (buf_failed(part))
		return err_nomem(err);
	sending->at += part->len;
	*end_out = sending->at == shared_len(sending->bytes);
	return 0;
}

/* The first part at once; who takes but that needs no more. */
static int
list_send(const struct shelf_item *item, struct http_reply *reply, struct err *err)
{
	struct sending *sending = calloc(1, sizeof *sending);
	bool end;
	int rc;

	if (sending == NULL)
		return err_nomem(err);
	sending->bytes = shared_ref(item->bytes);
	if ((rc = sending_next(NULL, sending, &reply->body, &end, err)) == 0 && !end) {
		reply->next = sending_next;
		reply->next_free = sending_free;
		reply->next_ctx = sending;
		reply->body_len = shared_len(item->bytes);
		return 0;
	}
	sending_free(sending);
	return rc;
}

/* A list is as good as new until the next one is out, which may be soon; while nobody can say, until its end. */
static void
list_describe(struct core *core, enum shelf_kind kind, const struct shelf_item *item, struct http_reply *reply)
{
	int64_t left = item->info.next_update - core->now();
	int64_t max_age = core_config(core)->settings.crl_max_age_s;

	reply->content_type = "application/pkix-crl"; /* RFC 2585 */
	reply->encoding = item->is_gzip ? "gzip" : NULL;
	reply->is_negotiated = true;
	reply->cacheable_s = left < 1 ? 1 : left < max_age ? left : max_age;
	reply->stale_s = left > reply->cacheable_s ? left - reply->cacheable_s : 0;
	if (!item->is_same_second)
		reply->last_modified = item->info.this_update;
	/* No two lists of a kind have one number, so it is as good as a digest. */
	(void)snprintf(reply->etag, sizeof reply->etag, "\"%s%llu%s\"", kind == SHELF_DELTA ? "delta-" : "",
	    (unsigned long long)item->info.number, item->is_gzip ? "-gzip" : "");
}

/* If NAME ends in SUFFIX, what stands before that goes into OUT of HTTP_PARAM_SIZE. */
static bool
name_split(const char *name, const char *suffix, char *out)
{
	size_t len = strlen(name), end = strlen(suffix);

	if (len < end || strcmp(name + len - end, suffix) != 0)
		return false;
	memcpy(out, name, len - end);
	out[len - end] = '\0';
	return true;
}

/* An issuing CA by its SKI, retired ones too: certificates point to theirs. */
int
pki_issuer(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	char issuer[HTTP_PARAM_SIZE];

	(void)caller;
	if (!name_split(req->params[0], ".crt", issuer))
		return err_set(err, E_NOTFOUND, "no such CA certificate");
	reply->content_type = "application/pkix-cert"; /* RFC 2585 */
	reply->cacheable_s = CERTIFICATE_CACHEABLE_S;
	return ca_issuer(core, issuer, &reply->body, err);
}

int
pki_crl(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	enum shelf_kind kind = SHELF_DELTA;
	char issuer[HTTP_PARAM_SIZE];
	struct shelf_item item;
	int rc;

	(void)caller;
	if (!name_split(req->params[0], "-delta.crl", issuer)) {
		kind = SHELF_COMPLETE;
		if (!name_split(req->params[0], ".crl", issuer))
			return err_set(err, E_NOTFOUND, "no such revocation list");
	}
	if ((rc = ca_crl(core, issuer, kind, negotiate_gzip(req->accept_encoding), &item, err)) != 0)
		return rc;
	if ((rc = list_send(&item, reply, err)) == 0)
		list_describe(core, kind, &item, reply);
	shared_unref(item.bytes);
	return rc;
}
