/* `muster agent …` is `muster-agent …`: a device's program, which needs nothing of the server's. */
#include "cmd/commands.h"

#include "base/fs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
cmd_agent(struct cli *cli, int argc, char **argv)
{
	char path[FS_PATH_MAX];
	struct err err = {0};
	char *slash;
	ssize_t n;

	(void)argc;
	argv[0] = (char *)"muster-agent";
	/* The one beside this program belongs to it. */
	n = readlink("/proc/self/exe", path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(path, '/')) != NULL &&
	    snprintf(slash, sizeof path - (size_t)(slash - path), "/muster-agent") > 0)
		(void)execv(path, argv);
	(void)execvp("muster-agent", argv);
	(void)err_sys(&err, "cannot start muster-agent");
	return cli_fail(cli, &err);
}
