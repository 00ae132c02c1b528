/* Who calls: what the event loop can see of it, who that is, and whether they may. */
#ifndef MUSTER_HTTP_CALLER_H
#define MUSTER_HTTP_CALLER_H

#include "base/buf.h"
#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "http/router.h"

#include <stdbool.h>

#define CALLER_TOKEN_MAX 256

/* What came with the request, not yet believed. */
enum caller_via {
	CALLER_VIA_NOTHING,
	CALLER_VIA_TOKEN,
	CALLER_VIA_ENROLMENT,
	CALLER_VIA_CERTIFICATE,
	CALLER_VIA_IDEVID,
	CALLER_VIA_SOCKET
};

struct caller_proof {
	enum caller_via via;
	bool is_local_admin;		  /* VIA_SOCKET: the kernel says that this is one of the home's own */
	unsigned uid;			  /* VIA_SOCKET */
	bool is_unread;			  /* there was no memory to read it */
	char token[CALLER_TOKEN_MAX + 1]; /* VIA_TOKEN, VIA_ENROLMENT; "" if it was none */
	char tenant[STORE_WORD_SIZE]; /* in which it wants to act; "" if it does not say */
	struct buf certificate; /* VIA_CERTIFICATE: DER, verified by TLS; VIA_IDEVID: PEM, as tls_peer_stranger has it */
};

/* Note AUTHORIZATION, the header's value or NULL: an operator's token as Bearer, an enrolment token as the password of
 * Basic, whose user name is not looked at. Whoever names a token is asked about that and nothing else. */
void caller_proof_token(struct caller_proof *proof, const char *authorization);

/* Note TENANT, the value of the header Muster-Tenant or NULL. One that can be no tenant's name is noted as such. */
void caller_proof_tenant(struct caller_proof *proof, const char *tenant);

void caller_proof_clear(struct caller_proof *proof);

/* Who is it? Asks the store, so on a worker. A failed attempt is counted and audited. E_UNAUTH, always in the same words, but for
 * manufacturers' certificates, which are no secret to be guessed: what is wrong with one its device is told, with E_DENIED if it
 * is not expected. E_NOTFOUND: the tenant in which it wants to act is not there, or not for it. E_NOMEM, E_BUSY, E_SYS. */
MUST_CHECK int caller_resolve(struct core *core, const struct caller_proof *proof, const char *peer,
    struct caller *caller_out, struct err *err);

/* May CALLER (NULL: nobody) call ROUTE? The only place where that is decided. E_UNAUTH, E_DENIED. */
MUST_CHECK int caller_may(const struct route *route, const struct caller *caller, struct err *err);

#endif
