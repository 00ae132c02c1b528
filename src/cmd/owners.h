/* Whose the parts of a home are: the users that the processes run as, and the broker's group. */
#ifndef MUSTER_CMD_OWNERS_H
#define MUSTER_CMD_OWNERS_H

#include "base/err.h"

#define OWNERS_API "muster"
#define OWNERS_SIGNER "muster-signer"

/* As root: give each part of DIR to its user and group (GROUP for broker/; "" leaves the api's). Otherwise
 * nothing. E_NOTFOUND names a user that is missing and the command that makes it. */
MUST_CHECK int owners_give(const char *dir, const char *broker_group, struct err *err);

#endif
