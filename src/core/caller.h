/* Who calls. Made once at the edge (http/caller.c), checked once against the route table, and then an
 * argument of every core call: for the audit, and as the tenant whose rows alone it can reach. */
#ifndef MUSTER_CORE_CALLER_H
#define MUSTER_CORE_CALLER_H

#include "base/address.h"
#include "base/err.h"
#include "store/certificate.h"

#include <stdbool.h>
#include <stdint.h>

/* Bits, so that a route can name several. */
enum role {
	ROLE_ADMIN = 1,
	ROLE_OPERATOR = 2,
	ROLE_ENROLLER = 4, /* registers devices, nothing else */
	ROLE_AUDITOR = 8,  /* reads everything, changes nothing */
	ROLE_BROKER = 16,
	ROLE_ENROLLEE = 32, /* a device with an enrolment token */
	ROLE_DEVICE = 64    /* a device with its certificate */
};

const char *role_name(enum role role); /* "admin", …; never NULL */
bool role_parse(const char *name, enum role *role_out); /* of those that an operator can have */

#define CALLER_WHO_SIZE 96

struct caller {
	enum role role;
	int64_t tenant_id;
	char who[CALLER_WHO_SIZE]; /* "operator:alice", "uid:0", "broker:UUID", "token:UUID", "device:UUID", "link",
				    * "system" */
	uint8_t serial[STORE_SERIAL_LEN]; /* of the certificate that a device has shown */
	char from[ADDRESS_TEXT_SIZE]; /* its address, or "socket": for limits */
};

#endif
