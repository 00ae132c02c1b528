/* Devices that come with a manufacturer's certificate (IEEE 802.1AR): does a trust anchor vouch for it, is the device expected,
 * and which one is it? */
#ifndef MUSTER_CORE_VOUCH_H
#define MUSTER_CORE_VOUCH_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/idevid.h"
#include "store/trust.h"

struct store_tx;

#define VOUCH_WHO "idevid:"

/* Who has shown the certificates CHAIN (PEM, the leaf first), with proof of having the leaf's key, and is nobody by our own CA?
 * A caller of ROLE_ENROLLEE, of the anchor's tenant, whose `who` names the certificate by its fingerprint. E_UNAUTH: no anchor
 * vouches for it, or it is no device's. E_DENIED: one does, but the device is not expected, or by several. The text says which
 * check failed, for whoever stands beside the device. E_SYS. */
MUST_CHECK int vouch_authenticate(struct core *core, const char *chain, struct caller *caller_out, struct err *err);

struct vouch {
	struct store_trust anchor;
	uint8_t fingerprint[SHA256_LEN]; /* of the manufacturer's certificate */
	char awaited[UUID_LEN + 1];	 /* the pending device that it is to become, or "" */
	char known[UUID_LEN + 1];	 /* the device that it has enrolled as, or "" */
};

void vouch_clear(struct vouch *vouch);

/* What CALLER, whom vouch_authenticate knows, has by its certificate as TX sees it. E_DENIED: the anchor has gone, is on hold,
 * or expects the device no more. E_CONFLICT: another certificate for this serial number has enrolled. Clear OUT. */
MUST_CHECK int vouch_read(struct store_tx *tx, const struct caller *caller, struct vouch *out, struct err *err);

/* CALLER's certificate enrols as DEVICE_ID from now on. E_CONFLICT if it has as another. */
MUST_CHECK int vouch_note(struct store_tx *tx, const struct caller *caller, const struct vouch *vouch,
    const char *device_id, int64_t now, struct err *err);

#endif
