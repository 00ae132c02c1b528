/* Owns the syntax that handlers share; each meaning has its one check in core. */
#include "http/args.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

const char *const args_none[] = {NULL};

int
args_body(const struct http_request *req, const char *const *names, bool optional,
    json_t **body_out, struct err *err)
{
	json_t *body = NULL;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	if (optional && req->body_len == 0) {
		if ((*body_out = json_object()) == NULL)
			return err_nomem(err);
		return 0;
	}
	if ((rc = json_body(req, &body, err)) != 0)
		return rc;
	if ((rc = json_only(body, names, err)) != 0) {
		json_decref(body);
		return rc;
	}
	*body_out = body;
	return 0;
}

int
args_idempotency(
    const struct http_request *req, struct idempotency_request *out, struct err *err)
{
	struct buf whole = {0};
	int rc = 0;

	if (req->idempotency_key[0] == '\0')
		return 0;
	/* No NUL is in a method or a path, so no two requests have the same bytes. */
	buf_append(&whole, req->method, strlen(req->method) + 1);
	buf_append(&whole, req->path, strlen(req->path) + 1);
	buf_append(&whole, req->body, req->body_len);
	if (buf_failed(&whole)) {
		rc = err_nomem(err);
	} else {
		sha256(out->digest, whole.data, whole.len);
		out->key = req->idempotency_key;
	}
	buf_clear(&whole);
	return rc;
}

int
args_page(
    const struct http_request *req, size_t *limit_out, const char **after_out, struct err *err)
{
	const char *limit = http_query_get(req, "limit");
	int64_t n = ARGS_PAGE_DEFAULT;

	if (limit != NULL && !integer_parse(limit, 1, ARGS_PAGE_MAX, &n))
		return err_field(
		    err, E_INPUT, "limit", "must be a whole number from 1 to %d", ARGS_PAGE_MAX);
	*limit_out = (size_t)n;
	*after_out = http_query_get(req, "after");
	return 0;
}

int
args_reason(json_t *body, enum crl_reason *reason_out, struct err *err)
{
	enum crl_reason reason = REASON_UNSPECIFIED;
	const char *name = NULL;
	int rc;

	if ((rc = json_get_text(body, "reason", false, &name, err)) != 0)
		return rc;
	if (name != NULL && !reason_parse(name, &reason))
		return err_field(err, E_INPUT, "reason",
		    "must be one of RFC 5280's names, such as keyCompromise or superseded");
	*reason_out = reason;
	return 0;
}

/* PEM as it stands, or DER in base64. */
static int
csr_read(const char *text, struct args_credential *out, struct err *err)
{
	int rc;

	if (strstr(text, "-----BEGIN") != NULL)
		buf_text(&out->csr, text);
	else if ((rc = base64_decode(&out->csr, text, strlen(text), err)) != 0)
		return rc == E_INPUT ? err_field(err, E_INPUT, "csr",
					   "must be a PKCS#10 request as PEM, or DER in base64")
				     : rc;
	if (buf_failed(&out->csr))
		return err_nomem(err);
	out->request.csr = buf_str(&out->csr); /* not NULL: an empty request is one that is wrong */
	out->request.csr_len = out->csr.len;
	return 0;
}

int
args_credential(json_t *body, struct args_credential *out, struct err *err)
{
	struct credential_request *r = &out->request;
	const char *csr = NULL;
	int rc;

	if ((rc = json_get_text(body, "key", false, &r->key, err)) != 0 ||
	    (rc = json_get_text(body, "csr", false, &csr, err)) != 0 ||
	    (rc = json_get_text(body, "profile", false, &r->profile, err)) != 0 ||
	    (rc = json_get_texts(body, "san", CERT_SANS_MAX, &out->sans, &r->n_sans, err)) != 0 ||
	    (rc = json_get_int(body, "link_ttl_s", 1, LINK_TTL_MAX_S, &r->link_ttl_s, err)) != 0)
		return rc;
	r->sans = out->sans;
	if (r->key != NULL && csr != NULL)
		return err_field(err, E_INPUT, "key", "either key or csr, not both");
	if ((rc = json_get_duration(body, "valid", &r->valid_s, err)) != 0)
		return rc;
	return csr != NULL ? csr_read(csr, out, err) : 0;
}

void
args_credential_clear(struct args_credential *args)
{
	free(args->sans);
	buf_clear(&args->csr);
	*args = (struct args_credential){0};
}

int
args_labels(json_t *body, char **labels_out, struct err *err)
{
	json_t *labels = json_object_get(body, "labels");

	if (labels == NULL || json_is_null(labels))
		return 0;
	if (!json_is_object(labels))
		return err_field(err, E_INPUT, "labels", "must be an object of texts");
	if ((*labels_out = json_dumps(labels, JSON_COMPACT)) == NULL)
		return err_nomem(err);
	return 0;
}

int
args_device(json_t *body, struct args_device *out, struct err *err)
{
	struct device_request *r = &out->request;
	int rc;

	if ((rc = json_get_text(body, "name", true, &r->name, err)) != 0 ||
	    (rc = json_get_text(body, "type", true, &r->type, err)) != 0 ||
	    (rc = json_get_text(body, "location", false, &r->location, err)) != 0 ||
	    (rc = json_get_text(body, "policy", false, &r->policy, err)) != 0 ||
	    (rc = args_labels(body, &out->labels, err)) != 0 ||
	    (rc = args_credential(body, &out->credential, err)) != 0)
		return rc;
	r->labels = out->labels;
	r->credential = out->credential.request;
	return 0;
}

void
args_device_clear(struct args_device *args)
{
	args_credential_clear(&args->credential);
	free(args->labels);
	*args = (struct args_device){0};
}
