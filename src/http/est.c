/* EST (RFC 7030, 8951) under /.well-known/est, with a label that names a profile or without. Bodies are base64, wrapped or
 * not, whatever Content-Transfer-Encoding says; answers are one line, as some clients read no more. */
#include "core/ca.h"
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
	const struct buf *certs[CA_ALL_MAX];
	struct buf der = {0};
	int rc;

	(void)caller;
	(void)req;
	estmsg_put_certs(&der, certs, ca_all(core, certs));
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
	estmsg_put_attrs(&der, profile->keys[0], profile->attest);
	rc = reply_base64(reply, "application/csrattrs", &der, err);
	buf_clear(&der);
	return rc;
}

/* The request's CSR, decoded. */
static int
csr_get(const struct http_request *req, struct buf *der_out, struct err *err)
{
	size_t len = strlen(REQUEST_TYPE);
	int rc;

	if (strncasecmp(req->content_type, REQUEST_TYPE, len) != 0 ||
	    (req->content_type[len] != '\0' && strchr("; \t", req->content_type[len]) == NULL))
		return err_set(err, E_INPUT, "Content-Type must be " REQUEST_TYPE);
	if (req->body_len > CSR_MAX * 2)
		return err_set(err, E_LIMIT, "a request has at most %d bytes", CSR_MAX);
	if ((rc = base64_decode(der_out, (const char *)req->body, req->body_len, err)) == E_INPUT)
		return err_set(err, E_INPUT, "the body must be a PKCS#10 request in base64");
	return rc;
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

/* Key and certificate as parts of one message (RFC 7030, section 4.4.2); a PEM block's lines are the base64 that is due. */
static int
reply_key_and_certificate(struct http_reply *reply, const struct credential *credential, struct err *err)
{
	static const char boundary[] = "muster-key-and-certificate"; /* no base64 has a hyphen */
	const char *pem = (const char *)credential->key_pem.data, *end = pem + credential->key_pem.len;
	const char *first = memchr(pem, '\n', credential->key_pem.len), *last;
	struct http_reply certificate = {0};
	int rc;

	if (first == NULL || (last = memmem(first, (size_t)(end - first), "-----END", 8)) == NULL)
		return err_set(err, E_SYS, "the key was not written");
	if ((rc = reply_certificate(&certificate, credential, err)) != 0)
		return rc;
	buf_init_secret(&reply->body);
	buf_printf(&reply->body, "--%s\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
	    boundary);
	buf_append(&reply->body, first + 1, (size_t)(last - first - 1));
	buf_printf(&reply->body, "\r\n--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary,
	    certificate.content_type);
	buf_append(&reply->body, certificate.body.data, certificate.body.len);
	buf_printf(&reply->body, "\r\n--%s--\r\n", boundary);
	buf_clear(&certificate.body);
	reply->content_type = "multipart/mixed; boundary=muster-key-and-certificate";
	return 0;
}

/* When the certificate is to be renewed, as its profile says. */
static int64_t
renew_at(struct core *core, const struct store_certificate *certificate)
{
	const struct profile *profile = profile_find(&core_config(core)->profiles, certificate->profile);

	return profile != NULL ? profile_renew_at(profile, certificate->not_before, certificate->not_after) : 0;
}

typedef int reply_fn(struct http_reply *reply, const struct credential *credential, struct err *err);
typedef int issue_fn(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err);

static int
issue(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    issue_fn *fn, reply_fn *show, struct err *err)
{
	struct credential credential = {0};
	struct store_device device = {0};
	struct buf csr = {0};
	int rc;

	if ((rc = csr_get(req, &csr, err)) == 0 &&
	    (rc = fn(core, caller, csr.data, csr.len, label_of(req), &device, &credential, err)) == 0)
		rc = show(reply, &credential, err);
	reply->renew_at = rc == 0 ? renew_at(core, &credential.certificate) : 0;
	credential_clear(&credential);
	store_device_clear(&device);
	buf_clear(&csr);
	return rc;
}

int
est_simpleenroll(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return issue(core, caller, req, reply, enrol_device, reply_certificate, err);
}

int
est_simplereenroll(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return issue(core, caller, req, reply, rotation_renew, reply_certificate, err);
}

int
est_serverkeygen(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return issue(core, caller, req, reply, enrol_device_with_key, reply_key_and_certificate, err);
}
