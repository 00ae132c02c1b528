/* The status of certificates, for whoever asks (RFC 6960): from memory if it can be, else from the store and the signer.
 * What is answered is true of the store when it is signed, and never given after the next change was acknowledged. */
#ifndef MUSTER_CORE_OCSP_H
#define MUSTER_CORE_OCSP_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "core/ocspcache.h"

#include <stdbool.h>
#include <stdint.h>

struct ocsp;

/* Room for the answers, and the thread that renews those that are asked for. E_*. */
MUST_CHECK int ocsp_start(struct core *core, struct ocsp **ocsp_out, struct err *err);
void ocsp_stop(struct ocsp *ocsp);

/* Take over what the configuration says now. Any thread. */
void ocsp_configure(struct core *core);

/* Answer REQUEST, DER of LEN bytes, from PEER, into OUT, whose der is empty. Its next_update is 0 for what no cache may keep:
 * errors, answers with a nonce, about several certificates, or that one is unknown. On an event loop (MAY_BLOCK false) *MUST_BLOCK_OUT
 * says that it takes a worker, and OUT stays empty; the worker's call is the same with MAY_BLOCK. E_LIMIT if PEER has had too
 * many answers signed, E_NOMEM, E_SYS. */
MUST_CHECK int ocsp_answer(struct core *core, const uint8_t *request, size_t len, const char *peer, bool may_block,
    struct ocspcache_answer *out, bool *must_block_out, struct err *err);

/* Append the answer about the service's own certificate, of the ISSUER-th of core->issuers, which it gives along with it, if
 * there is one in memory. False if not; either way one is kept ready from now on, for what was asked for last. False of an
 * ISSUER that there is not. Any thread, short. */
bool ocsp_staple(struct core *core, size_t issuer, const uint8_t *serial, struct buf *der_out);

/* The status of SERIAL has changed in the store. Before that is acknowledged; any thread, short. */
void ocsp_forget(struct core *core, const uint8_t *serial);

/* Since the start: answers by how they came about, how many are kept, and the times of the one that was signed last (0: none
 * was). Any thread. */
enum ocsp_source { OCSP_FROM_MEMORY, OCSP_SIGNED, OCSP_RENEWED, OCSP_PUT_OFF, OCSP_SOURCES };
struct ocsp_figures {
	uint64_t answers[OCSP_SOURCES];
	size_t kept;
	int64_t this_update, next_update;
};
void ocsp_look(struct core *core, struct ocsp_figures *out);

#endif
