/* Places where a crash is worth trying: after each step that makes something durable, and before the next. In
 * ordinary builds a KILLPOINT is nothing at all; with -Dkillpoints=true a process that comes by one that is armed
 * ends at once, as by a power cut. Numbers are unique and never change their meaning; script/killpoints lists them
 * and complains. tests/fault/test_kill.py, test_agent_kill.py and test_rollover_kill.py hit every one. */
#ifndef MUSTER_BASE_KILLPOINT_H
#define MUSTER_BASE_KILLPOINT_H

#define KILLPOINTS_MAX 64

#ifdef MUSTER_KILLPOINTS
/* The environment's MUSTER_KILLPOINTS_FD names an open file, shared by all processes: the armed number (u32 in the
 * machine's order), then how often each was passed. Whoever dies disarms it first, so that it happens once. */
void killpoint(unsigned number);
#define KILLPOINT(number, what) killpoint(number)
#else
#define KILLPOINT(number, what) ((void)0)
#endif

#endif
