/* Authentication's edge. The order of proofs is fixed: a token that was named, else a client certificate, else the
 * socket; a bad proof is never overlooked in favour of another. */
#include "http/caller.h"

#include "base/text.h"
#include "core/authfail.h"
#include "core/enrol.h"
#include "core/login.h"
#include "core/operator.h"
#include "core/tenant.h"
#include "core/vouch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BEARER "Bearer "
#define BASIC "Basic "
#define OPERATORS (ROLE_ADMIN | ROLE_OPERATOR | ROLE_ENROLLER | ROLE_AUDITOR) /* people, and programs of theirs */

/* The password of Basic's credentials (RFC 7617), into proof->token, which stays empty if there is none. */
static void
basic_password(struct caller_proof *proof, const char *credentials)
{
	struct buf text;
	const char *colon;
	int rc;

	buf_init_secret(&text);
	rc = base64_decode(&text, credentials, strlen(credentials), NULL);
	proof->is_unread = rc == E_NOMEM || buf_failed(&text);
	if (rc == 0 && !buf_failed(&text) && strlen(buf_str(&text)) == text.len && (colon = strchr(buf_str(&text), ':')) != NULL &&
	    !text_copy(proof->token, sizeof proof->token, colon + 1))
		proof->token[0] = '\0';
	buf_clear(&text);
}

void
caller_proof_token(struct caller_proof *proof, const char *authorization)
{
	if (authorization == NULL)
		return;
	proof->via = CALLER_VIA_TOKEN;
	proof->token[0] = '\0';
	if (strncasecmp(authorization, BASIC, strlen(BASIC)) == 0) {
		proof->via = CALLER_VIA_ENROLMENT;
		basic_password(proof, authorization + strlen(BASIC));
	} else if (strncasecmp(authorization, BEARER, strlen(BEARER)) == 0 &&
	    !text_copy(proof->token, sizeof proof->token, authorization + strlen(BEARER))) {
		proof->token[0] = '\0'; /* too long to be one of ours */
	}
}

void
caller_proof_tenant(struct caller_proof *proof, const char *tenant)
{
	if (tenant != NULL && (tenant[0] == '\0' || !text_copy(proof->tenant, sizeof proof->tenant, tenant)))
		(void)text_copy(proof->tenant, sizeof proof->tenant, "?");
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
	static const char *const via[] = {NULL, "token", "enrolment", "mtls", "idevid", "socket"};
	struct caller caller;
	int rc = E_UNAUTH;

	if (proof->is_unread)
		return err_nomem(err);
	switch (proof->via) {
	case CALLER_VIA_NOTHING:
		return unauthenticated(err);
	case CALLER_VIA_TOKEN:
		if (proof->token[0] != '\0')
			rc = operator_authenticate(core, proof->token, &caller, err);
		break;
	case CALLER_VIA_ENROLMENT:
		if (proof->token[0] != '\0')
			rc = enrol_authenticate(core, proof->token, &caller, err);
		break;
	case CALLER_VIA_CERTIFICATE:
		rc = operator_from_certificate(
		    core, proof->certificate.data, proof->certificate.len, &caller, err);
		break;
	case CALLER_VIA_IDEVID:
		rc = vouch_authenticate(core, buf_str(&proof->certificate), &caller, err);
		break;
	case CALLER_VIA_SOCKET:
		rc = from_socket(proof, &caller);
		break;
	}
	if (rc == 0) {
		if ((caller.role & OPERATORS) != 0)
			login_note(core, &caller, peer, via[proof->via]);
		(void)text_copy(caller.from, sizeof caller.from, peer);
		if (proof->tenant[0] != '\0' && (rc = tenant_enter(core, &caller, proof->tenant, err)) != 0)
			return rc;
		*caller_out = caller;
		return 0;
	}
	if (rc != E_UNAUTH && rc != E_DENIED)
		return rc;
	if (proof->via == CALLER_VIA_IDEVID) {
		authfail_note_why(core, peer, via[proof->via], err->text);
		return rc;
	}
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
	if ((route->who & ROUTE_WHOLE) != 0 && caller->is_bound)
		return err_set(err, E_DENIED, "this is the whole installation's, and who is bound to a tenant may not do it");
	return 0;
}
