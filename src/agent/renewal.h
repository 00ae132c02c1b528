/* From a key to the next pair: the first one, and those that follow. */
#ifndef MUSTER_AGENT_RENEWAL_H
#define MUSTER_AGENT_RENEWAL_H

#include "agent/notes.h"
#include "base/err.h"
#include "x509/cert.h"

#include <stdbool.h>
#include <stdint.h>

struct enrolment {
	const char *dir;	    /* made if it is not there */
	const char *ca_path;	    /* the root to trust */
	const char *token, *name;   /* the name goes into the request; NULL: none */
	const char *idevid_path, *idevid_key_path; /* instead of the token: a manufacturer's certificate, and its key */
	const struct notes *notes;  /* url, label, broker, key */
	bool again;		    /* replace what has enrolled there */
};

/* Enrol, and keep what is needed afterwards. Called again after a crash or a lost answer it goes on where it was: the same
 * key is asked for again. E_CONFLICT: somebody has enrolled there; else as est_enrol, pair_keep. */
MUST_CHECK int renewal_enrol(const struct enrolment *e, struct err *err);

/* The same with what FROM, an opened package, holds. The URL in NOTES may be "": then nothing is ever renewed. A broker
 * there overrides the package's. */
MUST_CHECK int renewal_import(const struct enrolment *e, const char *from, struct err *err);

/* Ask for the certificate of a new key, by the present pair, and keep both as the next pair; 0 at once if there is one
 * already. E_NOTFOUND: nobody has enrolled; else as est_enrol, pair_keep. */
MUST_CHECK int renewal_renew(const char *dir, struct err *err);

/* When is a certificate that came at SINCE to be renewed? At RENEW_AT, which the service has said, or if that is 0 at two thirds
 * of what was left of it then; and up to a tenth later, each certificate at its own time, so that a fleet that enrolled together does not come back together. */
int64_t renewal_due(const struct cert_info *info, int64_t since, int64_t renew_at);

#endif
