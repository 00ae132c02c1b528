/* What systemd is told and gives, where there is one. */
#ifndef MUSTER_CMD_SYSTEMD_H
#define MUSTER_CMD_SYSTEMD_H

#include "base/err.h"
#include "http/listen.h"

/* Of the service as a whole: it answers (again), it loads its configuration, it ends. */
void systemd_ready(void);
void systemd_reloading(void);
void systemd_stopping(void);

/* The listening sockets that it made for us (socket activation), close-on-exec. Once: their announcement leaves the
 * environment. None where nobody announced any. E_LIMIT, E_SYS. */
MUST_CHECK int systemd_sockets(struct listen_given *out, struct err *err);

#endif
