/* Telling systemd, where there is one. */
#ifndef MUSTER_CMD_NOTIFY_H
#define MUSTER_CMD_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);

#endif
