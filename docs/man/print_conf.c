/* For the manual alone: muster.conf as `muster init` writes it, without making a home. */
#include "core/settings.h"
#include "signer/profile.h"

#include <stdio.h>

int
main(void)
{
	struct settings settings;
	struct buf text = {0};
	bool ok;

	settings_defaults(&settings);
	settings_print(&text, &settings);
	profiles_print(&text, "", "");
	ok = !buf_failed(&text) && fputs(buf_str(&text), stdout) >= 0 && fflush(stdout) == 0;
	buf_clear(&text);
	return ok ? 0 : 1;
}
