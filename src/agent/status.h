/* What `muster-agent status` shows. */
#ifndef MUSTER_AGENT_STATUS_H
#define MUSTER_AGENT_STATUS_H

#include "base/err.h"

#include <stdbool.h>

/* Print what is in DIR, and how the agent that runs there does, on standard output. E_NOTFOUND: nobody has enrolled; E_INPUT,
 * E_SYS. */
MUST_CHECK int status_print(const char *dir, bool as_json, struct err *err);

#endif
