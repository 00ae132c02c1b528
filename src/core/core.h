/* The service's heart, independent of how calls reach it: what every core module works on. Core calls
 * block (store, signer), so they run on workers, never on an event loop. */
#ifndef MUSTER_CORE_CORE_H
#define MUSTER_CORE_CORE_H

#include "base/buf.h"
#include "base/err.h"
#include "core/config.h"
#include "core/roots.h"
#include "signer/issuers.h"

#include <stdatomic.h>
#include <stdint.h>

struct attest;
struct auditpoints;
struct authfail;
struct brokers;
struct control;
struct feed;
struct idempotency;
struct import;
struct keypool;
struct logins;
struct metrics;
struct ocsp;
struct operators;
struct publisher;
struct ratelimit;
struct refusals;
struct suspects;
struct signer;
struct store;
struct sweeper;

struct core {
	char dir[512];
	_Atomic(struct config *) config; /* core_config */
	int conf_fd;			 /* the supervisor's snapshot of muster.conf; -1: the file */
	struct store *store;
	struct signer *signer;
	struct roots roots;	     /* their PEM in a package's ca.crt */
	struct issuers issuers;	     /* today's issuing CA first */
	struct buf issuing_pems[ISSUERS_MAX]; /* the same as PEM, up to the root: chain_pem */
	uint8_t issuer_key_hashes[ISSUERS_MAX][SHA256_LEN]; /* SHA-256 of their SubjectPublicKeyInfo */
	int64_t issuer_numbers[ISSUERS_MAX];  /* and what the store calls each */
	struct keypool *keypool;
	struct sweeper *sweeper;
	struct import *import;	     /* makes what jobs order */
	struct control *control;     /* tells devices to rekey, by the broker */
	struct publisher *publisher; /* CRL, ACL file and the broker's SIGHUP */
	struct idempotency *idempotency;
	struct metrics *metrics;
	struct feed *feed;
	struct brokers *brokers;
	struct refusals *refusals;
	struct attest *attest;
	struct operators *operators;
	struct auditpoints *auditpoints;
	struct authfail *authfail;
	struct logins *logins;
	struct suspects *suspects;   /* of core/reconcile */
	struct ratelimit *limits[LIMITS];
	struct ocsp *ocsp;
	atomic_bool has_trust;	     /* there is a trust anchor, or was one since the start */
	int broker_signal_fd;	     /* to the supervisor; -1 without one */
	int64_t (*now)(void);	     /* clock_now, or a test's */
	int64_t publish_gap_ms;	     /* PUBLISHER_GAP_MS, or a test's; set before core_start */
};

/* What the configuration says now. Take it once for what must fit together. Any thread. */
static inline const struct config *
core_config(const struct core *core)
{
	return atomic_load_explicit(&core->config, memory_order_acquire);
}

/* Open what the api process needs from the home DIR before it enters its sandbox: settings (from CONF_FD, the
 * supervisor's snapshot of them; -1: from the file), CA certificates, store. Starts no thread, for Landlock binds only
 * the thread that asks for it. E_*. */
MUST_CHECK int core_open(const char *dir, int conf_fd, int broker_signal_fd, struct core **core_out,
    struct err *err);

/* Inside the sandbox: connect to the signer (waits up to 10 s for it), compare its log's tail with the store,
 * start the publisher's and the key pool's threads. E_*. */
MUST_CHECK int core_start(struct core *core, struct err *err);

/* Stop the threads, close the store. NULL is harmless. */
void core_close(struct core *core);

/* Ready to serve: store sound, signer answering, CRL current. E_BUSY or E_SYS says what is not. */
MUST_CHECK int core_ready(struct core *core, struct err *err);

#endif
