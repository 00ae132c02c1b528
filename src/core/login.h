/* What the audit tells of operators who came in: a row when one begins to call from an address, and one a day as long as it goes
 * on, for who polls must not fill the disk. Whoever was silent for LOGIN_IDLE_S begins anew. Devices are not here: what one does by
 * EST has a row of its own, and when it was last seen at a broker stands with the device. */
#ifndef MUSTER_CORE_LOGIN_H
#define MUSTER_CORE_LOGIN_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"

#include <stdbool.h>

#define LOGIN_IDLE_S 900
#define LOGIN_AGAIN_S 86400
#define LOGIN_PAIRS_MAX 256	 /* of operator and address that are told apart */
#define LOGIN_ROWS_PER_MIN 60 /* beyond that they are counted */

struct logins;
MUST_CHECK int logins_new(struct logins **out, struct err *err);
void logins_free(struct logins *logins);

/* CALLER has shown over VIA ("token", "mtls", "socket") who it is, from PEER. Any thread; does not block. */
void login_note(struct core *core, const struct caller *caller, const char *peer, const char *via);

/* Write the rows that are due. One thread at a time. Best effort. */
void logins_flush(struct core *core);

#endif
