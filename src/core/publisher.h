/* The publisher: one thread that turns what is stored into what verifiers and brokers read: the CRL, and in
 * ACL-file mode broker/crl.pem and broker/acl, followed by the broker's SIGHUP. Work that arrives while it is
 * busy is done together in its next round, so a thousand revocations cost a few rounds, not a thousand. */
#ifndef MUSTER_CORE_PUBLISHER_H
#define MUSTER_CORE_PUBLISHER_H

#include "base/err.h"
#include "core/core.h"
#include "core/shelf.h"

#include <stdint.h>

struct publisher;

#define PUBLISHER_GAP_MS 1000 /* between two rounds of a kind: a SIGHUP makes the broker reload everything */

/* What a commit has changed. */
enum publisher_work {
	PUBLISH_CRL = 1,   /* a certificate was revoked, held or released */
	PUBLISH_RIGHTS = 2 /* devices, services or policies: the ACL file */
};

/* Publish once, so that files and CRL are current, then start the thread. E_*. */
MUST_CHECK int publisher_start(struct core *core, struct publisher **publisher_out, struct err *err);
void publisher_stop(struct publisher *publisher);

/* After a commit: have WORK (an OR) done soon; rights alone at most once a second. Returns at once. */
void publisher_wake(struct publisher *publisher, unsigned work);

/* After a commit: have WORK done now. Returns at once with a ticket for publisher_wait. */
uint64_t publisher_ask(struct publisher *publisher, unsigned work);

/* Wait until a round that began after TICKET was handed out has ended: CRL signed, files renamed, broker signalled.
 * E_BUSY, E_SYS if WORK was not done whole: the store has it, but verifiers or the broker may not yet know; the
 * publisher goes on trying. */
MUST_CHECK int publisher_wait(struct publisher *publisher, uint64_t ticket, unsigned work, struct err *err);

/* Where the lists of the I-th of core->issuers are, for whoever fetches them. Borrowed. */
struct shelf *publisher_shelf(struct publisher *publisher, size_t i);

#endif
