/* Who calls. Made once at the edge (http/caller.c), checked once against the route table, and then an
 * argument of every core call: for the audit, and as the tenant whose rows alone it can reach. */
#ifndef MUSTER_CORE_CALLER_H
#define MUSTER_CORE_CALLER_H

#include "base/address.h"
#include "base/err.h"
#include "base/log.h"
#include "store/certificate.h"
#include "store/trust.h"

#include <stdbool.h>
#include <stdint.h>

struct ratelimit_report;

/* Bits, so that a route can name several. */
enum role {
	ROLE_ADMIN = 1,
	ROLE_OPERATOR = 2,
	ROLE_ENROLLER = 4, /* registers devices, nothing else */
	ROLE_AUDITOR = 8,  /* reads everything, changes nothing */
	ROLE_BROKER = 16,
	ROLE_ENROLLEE = 32, /* a device with an enrolment token, or its manufacturer's certificate */
	ROLE_DEVICE = 64,   /* a device with its certificate, */
	ROLE_LATE = 128	    /* and with one that has ended, within its profile's grace */
};

const char *role_name(enum role role); /* "admin", …; never NULL */
bool role_parse(const char *name, enum role *role_out); /* of those that an operator can have */

#define CALLER_WHO_SIZE 144

struct caller {
	enum role role;
	int64_t tenant_id; /* in which it acts */
	bool is_bound;	   /* to that one; else it is of the whole installation, */
	bool names_tenant; /* and has said that it acts in that one */
	char who[CALLER_WHO_SIZE]; /* "operator:alice", "operator:bob@acme" (bound to it), "uid:0", "broker:UUID", "token:UUID",
				    * "device:UUID", "idevid:FINGERPRINT", "link", "system" */
	uint8_t serial[STORE_SERIAL_LEN]; /* of the certificate that a device has shown */
	char trust_id[UUID_LEN + 1];	  /* of the anchor that vouches for a manufacturer's certificate, or "" */
	char device_serial[STORE_DEVICE_SERIAL_SIZE]; /* and the serial number there */
	char from[ADDRESS_TEXT_SIZE]; /* its address, or "socket": for limits */
	char request[LOG_ID_SIZE]; /* the id of its request, for the audit; "" if it is none */
	struct ratelimit_report *quotas; /* what is left of them, for the answer; NULL: nobody asks. Borrowed */
};

/* Is it about one tenant, and not about the installation, that CALLER asks? */
bool caller_is_within_tenant(const struct caller *caller);

#endif
