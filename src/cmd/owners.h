/* Whose the parts of a home are: the users that the processes run as, and the broker's group. */
#ifndef MUSTER_CMD_OWNERS_H
#define MUSTER_CMD_OWNERS_H

#include "base/err.h"

#define OWNERS_API "muster"
#define OWNERS_SIGNER "muster-signer"

/* As root: give each part of DIR to its user and group (GROUP for broker/; "" leaves the api's). Otherwise
 * nothing. E_NOTFOUND names a user that is missing and the command that makes it. */
MUST_CHECK int owners_give(const char *dir, const char *broker_group, struct err *err);

/* Are all parts of DIR as init and owners_give left them: whose they are, and nobody beyond that let in? E_CONFLICT
 * names the first that is not, and after a newline the command that mends it. */
MUST_CHECK int owners_check(const char *dir, const char *broker_group, struct err *err);

#endif
