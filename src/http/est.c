/* EST (RFC 7030, 8951) under /.well-known/est, with a label that names a profile or without. Bodies are base64, wrapped or
 * not, whatever Content-Transfer-Encoding says; answers are one line, as some clients read no more. */
#include "core/enrol.h"
#include "core/rotation.h"

#include "base/text.h"
#include "http/routes.h"
#include "x509/csr.h"
#include "x509/estmsg.h"

#include <string.h>
#include <strings.h>

#define REQUEST_TYPE "application/pkcs10"

/* DER as base64, under TYPE. */
static int
reply_base64(struct http_reply *reply, const char *type, const struct buf *der, struct err *err)
{
	if (buf_failed(der))
		return err_nomem(err);
	reply->content_type = type;
	reply->is_base64 = true;
	base64_encode(&reply->body, der->data, der->len);
	return 0;
}

/* The profile that the path names; NULL without a label. */
static const char *
label_of(const struct http_request *req)
{
	return req->params[0][0] != '\0' ? req->params[0] : NULL;
}

static const struct profile *
profile_of(struct core *core, const struct http_request *req)
{
	const char *label = label_of(req);

	return profile_find(&core_config(core)->profiles, label != NULL ? label : PROFILE_DEFAULT);
}

int
est_cacerts(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const struct buf *certs[] = {&core->issuing_der, &core->root_der};
	struct buf der = {0};
	int rc;

	(void)caller;
	(void)req;
	estmsg_put_certs(&der, certs, sizeof certs / sizeof certs[0]);
	rc = reply_base64(reply, "application/pkcs7-mime", &der, err);
	buf_clear(&der);
	return rc;
}

int
est_csrattrs(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const struct profile *profile = profile_of(core, req);
	struct buf der = {0};
	int rc;

	(void)caller;
	if (profile == NULL)
		return err_set(err, E_NOTFOUND, "there is no profile of that name");
	estmsg_put_attrs(&der, profile->keys[0]);
	rc = reply_base64(reply, "application/csrattrs", &der, err);
	buf_clear(&der);
	return rc;
}

/* The request's CSR, decoded. */
static int
csr_get(const struct http_request *req, struct buf *der_out, struct err *err)
{
	size_t len = strlen(REQUEST_TYPE);

	if (strncasecmp(req->content_type, REQUEST_TYPE, len) != 0 ||
	    (req->content_type[len] != '\0' && strchr("; \t", req->content_type[len]) == NULL))
		return err_set(err, E_INPUT, "Content-Type must be " REQUEST_TYPE);
	if (req->body_len > CSR_MAX * 2)
		return err_set(err, E_LIMIT, "a request has at most %d bytes", CSR_MAX);
	if (base64_decode(der_out, (const char *)req->body, req->body_len, err) != 0)
		return err_set(err, E_INPUT, "the body must be a PKCS#10 request in base64");
	return 0;
}

static int
reply_certificate(struct http_reply *reply, const struct credential *credential, struct err *err)
{
	const struct buf leaf = {.data = credential->certificate.der, .len = credential->certificate.der_len};
	const struct buf *certs[] = {&leaf};
	struct buf der = {0};
	int rc;

	estmsg_put_certs(&der, certs, 1);
	rc = reply_base64(reply, "application/pkcs7-mime; smime-type=certs-only", &der, err);
	buf_clear(&der);
	return rc;
}

typedef int issue_fn(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err);

static int
issue(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    issue_fn *fn, struct err *err)
{
	struct credential credential = {0};
	struct store_device device = {0};
	struct buf csr = {0};
	int rc;

	if ((rc = csr_get(req, &csr, err)) == 0 &&
	    (rc = fn(core, caller, csr.data, csr.len, label_of(req), &device, &credential, err)) == 0)
		rc = reply_certificate(reply, &credential, err);
	credential_clear(&credential);
	store_device_clear(&device);
	buf_clear(&csr);
	return rc;
}

int
est_simpleenroll(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return issue(core, caller, req, reply, enrol_device, err);
}

int
est_simplereenroll(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return issue(core, caller, req, reply, rotation_renew, err);
}
