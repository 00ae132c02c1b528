/* Telling systemd, where there is one. */
#ifndef MUSTER_CMD_SYSTEMD_H
#define MUSTER_CMD_SYSTEMD_H

void systemd_ready(void);
void systemd_stopping(void);

#endif
