/* What verifiers fetch: CA certificates and revocation lists, from memory, over plain HTTP too (RFC 5280, section
 * 8, warns of https here: its verification may need what is being fetched). */
#include "core/ca.h"
#include "http/routes.h"

#include <string.h>

#define CERTIFICATE_CACHEABLE_S 3600
#define CRL_CACHEABLE_S 1 /* a revocation is to be seen within two */

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
	return certificate_reply(&core->root_der, reply);
}

int
pki_issuing(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)caller;
	(void)req;
	(void)err;
	return certificate_reply(&core->issuing_der, reply);
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
	buf_append(&reply->body, core->issuing_pem.data, core->issuing_pem.len);
	buf_append(&reply->body, core->root_pem.data, core->root_pem.len);
	return 0;
}

int
pki_crl(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	static const char suffix[] = ".crl";
	char issuer[HTTP_PARAM_SIZE];
	size_t len = strlen(req->params[0]);

	(void)caller;
	if (len < strlen(suffix) || strcmp(req->params[0] + len - strlen(suffix), suffix) != 0)
		return err_set(err, E_NOTFOUND, "no such revocation list");
	len -= strlen(suffix);
	memcpy(issuer, req->params[0], len);
	issuer[len] = '\0';
	reply->content_type = "application/pkix-crl"; /* RFC 2585 */
	reply->cacheable_s = CRL_CACHEABLE_S;
	return ca_crl(core, issuer, &reply->body, err);
}
