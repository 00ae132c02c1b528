/* Profiles: how a certificate is made. Read from muster.conf by the signer, whose word is final, and by
 * the api, which shows them and chooses among them. */
#ifndef MUSTER_SIGNER_PROFILE_H
#define MUSTER_SIGNER_PROFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_NAME_MAX 32
#define PROFILES_MAX 32
#define PROFILE_DEFAULT "standard"

struct profile {
	char name[PROFILE_NAME_MAX + 1];
	enum key_kind keys[KEY_KINDS]; /* allowed; the first is what the server makes by default */
	size_t n_keys;
	int64_t validity_s; /* the longest, and the default */
	bool server_auth, code_signing, key_agreement; /* beside clientAuth */
	bool attest;	/* a request must carry a challenge (core/attest.h) */
	bool reuse_key; /* the same device may bring the same key again */
	int64_t renew_percent; /* of its life, after which a certificate is to be renewed; or 0: */
	int64_t renew_before_s; /* so long before its end */
	int64_t grace_s; /* so long after its end it may still be renewed by itself; 0: not at all */
	char org[65];	/* subject O; "" for none */
	char country[3]; /* subject C, two capitals; "" for none */
};

struct profiles {
	struct profile list[PROFILES_MAX];
	size_t n;
};

/* The built-in profiles (standard, constrained, short), overridden and extended by the [profile NAME]
 * sections of the configuration TEXT. Other sections are ignored here. A profile without `keys` or
 * `validity` takes the defaults that profiles_print shows, whatever the file made of `standard`. E_INPUT names
 * the section and key. */
MUST_CHECK int profiles_parse(const char *text, struct profiles *out, struct err *err);

/* The profile of that name, or NULL. Borrowed. */
const struct profile *profile_find(const struct profiles *profiles, const char *name);

bool profile_allows_key(const struct profile *profile, enum key_kind kind);

/* When is a certificate of these times to be renewed? With a duration, at the earliest at half of its life. */
int64_t profile_renew_at(const struct profile *profile, int64_t not_before, int64_t not_after);

/* keyUsage and extendedKeyUsage of a certificate for a key of KIND, as cert.h writes them. */
unsigned profile_key_usage(const struct profile *profile, enum key_kind kind);
unsigned profile_ext_key_usage(const struct profile *profile);

/* Append the built-in profiles as commented sections, for `muster init`. ORG and COUNTRY go into each. */
void profiles_print(struct buf *out, const char *org, const char *country);

#endif
