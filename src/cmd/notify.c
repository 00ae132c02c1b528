/* The only file that knows libsystemd; without it at build time, nobody is told. */
#include "cmd/notify.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

void
notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void
notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}
#else
void
notify_ready(void)
{
}

void
notify_stopping(void)
{
}
#endif
