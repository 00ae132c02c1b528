/* One member out of a JSON text that was made by Muster: enough for device.json and problem documents, so that the agent
 * needs no library for it. */
#ifndef MUSTER_AGENT_JSONPEEK_H
#define MUSTER_AGENT_JSONPEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The string that is the value of the first member NAME, at any depth, into OUT[SIZE], cut if it is longer. What stands
 * as \uNNNN becomes a question mark. False, and OUT "", if there is none. */
bool jsonpeek_text(const char *json, const char *name, char *out, size_t size);

/* The same for an integer within [MIN, MAX]. */
bool jsonpeek_integer(const char *json, const char *name, int64_t min, int64_t max, int64_t *out);

#endif
