/* The only file that knows libsystemd; without it at build time, nobody is told and nothing is given. */
#include "cmd/systemd.h"

#ifdef HAVE_SYSTEMD
#include "base/clock.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

void
systemd_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void
systemd_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

void
systemd_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

int
systemd_sockets(struct listen_given *out, struct err *err)
{
	int n = sd_listen_fds(1), i;

	if (n < 0) {
		errno = -n;
		return err_sys(err, "cannot take the sockets that systemd gives");
	}
	if (n > LISTEN_GIVEN_MAX)
		return err_set(err, E_LIMIT, "systemd gives %d sockets, of which %d are the most", n, LISTEN_GIVEN_MAX);
	for (i = 0; i < n; i++)
		out->fds[i] = SD_LISTEN_FDS_START + i;
	out->n = (size_t)n;
	return 0;
}
#else
void
systemd_ready(void)
{
}

void
systemd_reloading(void)
{
}

void
systemd_stopping(void)
{
}

int
systemd_sockets(struct listen_given *out, struct err *err)
{
	(void)err;
	out->n = 0;
	return 0;
}
#endif
