/* Authentication's edge. The order of proofs is fixed: a token that was named, else a client certificate, else the
 * socket; a bad proof is never overlooked in favour of another. */
#include "http/caller.h"

#include "base/text.h"
#include "core/authfail.h"
#include "core/operator.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SCHEME "Bearer "

void
caller_proof_token(struct caller_proof *proof, const char *authorization)
{
	if (authorization == NULL)
		return;
	proof->via = CALLER_VIA_TOKEN;
	proof->token[0] = '\0';
	if (strncasecmp(authorization, SCHEME, strlen(SCHEME)) == 0 &&
	    !text_copy(proof->token, sizeof proof->token, authorization + strlen(SCHEME)))
		proof->token[0] = '\0'; /* too long to be one of ours */
}

void
caller_proof_clear(struct caller_proof *proof)
{
	buf_clear(&proof->certificate);
	explicit_bzero(proof, sizeof *proof);
}

/* One text for every cause: it must not tell which part was wrong. */
static int
unauthenticated(struct err *err)
{
	return err_set(err, E_UNAUTH, "this needs the token of an operator who is known here");
}

static int
from_socket(const struct caller_proof *proof, struct caller *caller_out)
{
	if (!proof->is_local_admin)
		return E_UNAUTH;
	*caller_out = (struct caller){.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT};
	(void)snprintf(caller_out->who, sizeof caller_out->who, "uid:%u", proof->uid);
	return 0;
}

int
caller_resolve(struct core *core, const struct caller_proof *proof, const char *peer,
    struct caller *caller_out, struct err *err)
{
	static const char *const via[] = {NULL, "token", "mtls", "socket"};
	int rc = E_UNAUTH;

	switch (proof->via) {
	case CALLER_VIA_NOTHING:
		return unauthenticated(err);
	case CALLER_VIA_TOKEN:
		if (proof->token[0] != '\0')
			rc = operator_authenticate(core, proof->token, caller_out, err);
		break;
	case CALLER_VIA_CERTIFICATE:
		rc = operator_from_certificate(
		    core, proof->certificate.data, proof->certificate.len, caller_out, err);
		break;
	case CALLER_VIA_SOCKET:
		rc = from_socket(proof, caller_out);
		break;
	}
	if (rc == 0)
		(void)text_copy(caller_out->from, sizeof caller_out->from, peer);
	if (rc != E_UNAUTH)
		return rc;
	authfail_note(core, peer, via[proof->via]);
	return unauthenticated(err);
}

int
caller_may(const struct route *route, const struct caller *caller, struct err *err)
{
	if (route->who == ROUTE_ANYBODY)
		return 0;
	if (caller == NULL)
		return unauthenticated(err);
	if ((route->who & caller->role) == 0)
		return err_set(err, E_DENIED, "the role %s may not do this", role_name(caller->role));
	return 0;
}
