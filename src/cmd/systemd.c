/* The only file that knows libsystemd; without it at build time, nobody is told. */
#include "cmd/systemd.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

void
systemd_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void
systemd_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}
#else
void
systemd_ready(void)
{
}

void
systemd_stopping(void)
{
}
#endif
