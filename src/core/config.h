/* What muster.conf says, as the running api uses it: read when it starts, and again at SIGHUP. */
#ifndef MUSTER_CORE_CONFIG_H
#define MUSTER_CORE_CONFIG_H

#include "base/err.h"
#include "base/secret.h"
#include "core/settings.h"
#include "signer/issuers.h"
#include "signer/profile.h"
#include "x509/cert.h"

#include <stdbool.h>
#include <stdint.h>

struct core;

/* As of one moment. Never changed, and kept as long as the core: whoever holds one may go on with
 * it. */
struct config {
	struct settings settings;
	struct profiles profiles;
	struct cert_issuer issuer;  /* today's issuing CA: what the signer's certificates are compared with */
	struct cert_issuer retired[ISSUERS_RETIRED_MAX]; /* those before it that have not ended */
	size_t n_retired;
	uint8_t digest[SHA256_LEN]; /* of the text */
	int64_t since_ms;	    /* clock_mono_ms; 0 for the first */
	struct config *before;
};

/* Read it for the first time; core->issuers is there. E_NOTFOUND, E_INPUT, E_SYS. */
MUST_CHECK int config_open(struct core *core, struct err *err);

/* Read it again and use it from now on; *CHANGED_OUT: it is another text. What only a start can
 * change stays, with a warning. On failure the old one stays, whole. One thread. */
MUST_CHECK int config_reload(struct core *core, bool *changed_out, struct err *err);

/* The I-th of core->issuers: today's, then the retired. */
static inline const struct cert_issuer *
config_issuer_at(const struct config *config, size_t i)
{
	return i == 0 ? &config->issuer : &config->retired[i - 1];
}

/* Which of core->issuers has that SKI in hex, or today's by the name "issuing"; -1: none. */
int config_issuer_index(const struct config *config, const char *key_id_hex);

/* Has it changed so lately that the signer may not use the same one yet? */
bool config_is_fresh(const struct core *core);

void config_close(struct core *core);

#endif
