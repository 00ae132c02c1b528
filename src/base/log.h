/* The log: one line an event, as text or JSON on standard error, or to systemd's journal by its own protocol. Only edges log.
 * Whatever comes from outside is escaped, so that no name can forge a line or a field. Never a secret. */
#ifndef MUSTER_BASE_LOG_H
#define MUSTER_BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LOG_ID_SIZE 33 /* of a request's or trace's id: 128 bits in hex */

/* Name the process in each line ("api", "signer"); lines are text. Call once, before threads start. */
void log_init(const char *process, bool with_debug);

/* How lines look from now on: "text", "json", "journal", or "auto", which is the journal if that is where standard error goes
 * (JOURNAL_STREAM), else text. JOURNAL is its socket, LOG_JOURNAL_SOCKET outside of tests; it is opened here, before any sandbox,
 * and what it does not take goes to standard error as text. One thread. E_INPUT, E_SYS. */
MUST_CHECK int log_format(const char *format, const char *journal, struct err *err);

/* "text", "json" or "journal", for who starts other processes of ours. */
const char *log_format_name(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool log_has_debug(void);

/* Which request this thread's lines are about from now on: its id, and its trace's ("" or NULL: it is in none). Copied. NULL: no
 * request's. */
void log_about(const char *request_id, const char *trace_id);

/* The id that this thread's lines have; "" if none. */
const char *log_about_id(void);

/* A line of fields: a request that was answered. TEXT NULL: the number. Names are ours: a-z and _. */
struct log_field {
	const char *name, *text;
	int64_t number;
};
void log_request(const struct log_field *fields, size_t n);

/* Have log_request's lines written by a thread of its own, so that nobody waits for who reads the log: what does not fit its
 * buffer is left out and counted. E_NOMEM, E_SYS. */
MUST_CHECK int log_start(struct err *err);

/* Write what is there and end that thread, if there is one. */
void log_stop(void);

#endif
