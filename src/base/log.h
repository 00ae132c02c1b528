/* The log: one line an event on standard error (the journal adds time and unit). Only edges log.
 * Whatever comes from outside is escaped, so that no name can forge a line. Never a secret. */
#ifndef MUSTER_BASE_LOG_H
#define MUSTER_BASE_LOG_H

#include <stdbool.h>

/* Name the process in each line ("api", "signer"). Call once, before threads start. */
void log_init(const char *process, bool with_debug);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
