/* Control: one thread that tells the broker what devices are to do, and hears what they say of it. It connects, as Muster's own
 * service, while a rotation is under way or an instruction is to be taken back; else there is nobody at the broker who may
 * write where it writes. */
#ifndef MUSTER_CORE_CONTROL_H
#define MUSTER_CORE_CONTROL_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct control;

/* Start the thread. E_NOMEM, E_SYS. */
MUST_CHECK int control_start(struct core *core, struct control **control_out, struct err *err);
void control_stop(struct control *control);

/* After a commit: there is something to tell. Any thread; NULL is harmless. */
void control_wake(struct control *control);

/* How it stands with the broker. Any thread. */
enum control_state { CONTROL_IDLE, CONTROL_CONNECTING, CONTROL_CONNECTED, CONTROL_FAILED };
struct control_info {
	enum control_state state;
	int64_t since;
	char why[ERR_TEXT_MAX]; /* with CONTROL_FAILED; it tries again */
};
const char *control_state_name(enum control_state state);
void control_info(struct control *control, struct control_info *info_out);

#endif
