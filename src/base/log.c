/* One write(2) a line, so that lines of several threads and processes never mix. A line is made in three steps: what it says,
 * escaped; then the format's frame around it; then out. Two formats can be forged by what a field holds: JSON by a quote, the
 * journal's by a newline, which no escaped text has. */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_MAX 2048		  /* of one line, before it is escaped */
#define BUFFER_MAX (1024 * 1024)  /* of lines that wait for the writer */
#define CHUNK_MAX 4096		  /* PIPE_BUF: what a pipe takes in one piece */

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JOURNAL };
enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };

static const char *const format_names[] = {"text", "json", "journal"};
static const struct {
	const char *name;
	int priority; /* syslog(3)'s */
} levels[] = {{"error", 3}, {"warn", 4}, {"info", 6}, {"debug", 7}};

static const char *process_name = "muster";
static bool debug_on;
static enum format format;
static int journal_fd = -1;
static struct sockaddr_un journal_address;

static _Thread_local struct {
	char request_id[LOG_ID_SIZE], trace_id[LOG_ID_SIZE];
} about;

/* Lines that wait for the writer, each behind its length. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct buf lines;
	uint64_t dropped;
	bool is_running, must_stop;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

void
log_init(const char *process, bool with_debug)
{
	process_name = process;
	debug_on = with_debug;
	format = FORMAT_TEXT;
}

bool
log_has_debug(void)
{
	return debug_on;
}

/* ---- which format -------------------------------------------------------------------------------------------- */

/* systemd says so by JOURNAL_STREAM, and leaves that in place for programs whose standard error goes elsewhere. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char device_and_inode[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	(void)snprintf(device_and_inode, sizeof device_and_inode, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, device_and_inode) == 0;
}

static int
journal_open(const char *path, struct err *err)
{
	if (journal_fd >= 0)
		(void)close(journal_fd);
	journal_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!text_copy(journal_address.sun_path, sizeof journal_address.sun_path, path))
		return err_set(err, E_INPUT, "the path of the journal's socket is too long");
	if ((journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return err_sys(err, "cannot make a socket for the journal");
	return 0;
}

int
log_format(const char *name, const char *journal, struct err *err)
{
	size_t i;
	int rc;

	if (strcmp(name, "auto") == 0)
		name = stderr_is_journal() ? "journal" : "text";
	for (i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
		if (strcmp(name, format_names[i]) != 0)
			continue;
		if (i == FORMAT_JOURNAL && (rc = journal_open(journal, err)) != 0)
			return rc;
		format = (enum format)i;
		return 0;
	}
	return err_set(err, E_INPUT, "%s is no format of the log", name);
}

const char *
log_format_name(void)
{
	return format_names[format];
}

/* ---- what a line is about ------------------------------------------------------------------------------------ */

void
log_about(const char *request_id, const char *trace_id)
{
	(void)text_copy(about.request_id, sizeof about.request_id, request_id != NULL ? request_id : "");
	(void)text_copy(about.trace_id, sizeof about.trace_id, request_id != NULL && trace_id != NULL ? trace_id : "");
}

const char *
log_about_id(void)
{
	return about.request_id;
}

/* ---- a line -------------------------------------------------------------------------------------------------- */

/* TEXT escaped, and for JSON what would end its string. */
static void
text_put(struct buf *out, enum format as, const char *text, size_t len)
{
	struct buf plain = {0};
	size_t i;

	if (as != FORMAT_JSON) {
		text_escape(out, text, len);
		return;
	}
	text_escape(&plain, text, len);
	out->failed = out->failed || buf_failed(&plain);
	for (i = 0; i < plain.len; i++) {
		if (plain.data[i] == '"' || plain.data[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, plain.data[i]);
	}
	buf_clear(&plain);
}

/* One field but the message: name=value in a text, "name":value, in JSON, MUSTER_NAME=value for the journal. */
static void
field_put(struct buf *out, enum format as, const char *name, const char *text, int64_t number)
{
	char digits[24];
	size_t i;

	(void)snprintf(digits, sizeof digits, "%" PRId64, number);
	if (as == FORMAT_TEXT)
		buf_printf(out, " %s=", name);
	else if (as == FORMAT_JSON)
		buf_printf(out, text != NULL ? "\"%s\":\"" : "\"%s\":", name);
	else
		buf_text(out, "MUSTER_");
	for (i = 0; as == FORMAT_JOURNAL && name[i] != '\0'; i++)
		buf_byte(out, (uint8_t)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]));
	if (as == FORMAT_JOURNAL)
		buf_byte(out, '=');
	text_put(out, as, text != NULL ? text : digits, strlen(text != NULL ? text : digits));
	if (as == FORMAT_JSON)
		buf_text(out, text != NULL ? "\"," : ",");
	else if (as == FORMAT_JOURNAL)
		buf_byte(out, '\n');
}

static void
ids_put(struct buf *out, enum format as)
{
	if (as == FORMAT_TEXT && about.request_id[0] != '\0')
		buf_printf(out, "[%s%s%s] ", about.request_id, about.trace_id[0] != '\0' ? " trace " : "", about.trace_id);
	if (as == FORMAT_TEXT)
		return;
	if (about.request_id[0] != '\0')
		field_put(out, as, "request_id", about.request_id, 0);
	if (about.trace_id[0] != '\0')
		field_put(out, as, "trace_id", about.trace_id, 0);
}

/* A line with its end, or a datagram. */
static void
line_make(struct buf *out, enum format as, enum level level, const char *text, size_t len, const struct log_field *fields, size_t n)
{
	char when[CLOCK_TEXT_MAX];
	size_t i;

	clock_text(when, clock_now());
	if (as == FORMAT_TEXT)
		buf_printf(out, "%s %s %s: ", when, levels[level].name, process_name);
	else if (as == FORMAT_JSON)
		buf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",", when, levels[level].name, process_name);
	else
		buf_printf(out, "SYSLOG_IDENTIFIER=muster\nPRIORITY=%d\nMUSTER_PROCESS=%s\n", levels[level].priority, process_name);
	ids_put(out, as);
	for (i = 0; as != FORMAT_TEXT && i < n; i++)
		field_put(out, as, fields[i].name, fields[i].text, fields[i].number);
	if (as == FORMAT_JSON)
		buf_text(out, "\"message\":\"");
	else if (as == FORMAT_JOURNAL)
		buf_text(out, "MESSAGE=");
	text_put(out, as, text, len);
	for (i = 0; as != FORMAT_JSON && i < n; i++)
		field_put(out, FORMAT_TEXT, fields[i].name, fields[i].text, fields[i].number);
	buf_text(out, as == FORMAT_JSON ? "\"}\n" : "\n");
}

static void
out_put(const void *data, size_t len)
{
	if (write(STDERR_FILENO, data, len) < 0) {
		/* Nowhere left to complain to. */
	}
}

static bool
journal_put(const void *data, size_t len)
{
	return sendto(journal_fd, data, len, MSG_NOSIGNAL, (const struct sockaddr *)&journal_address, sizeof journal_address) >= 0;
}

__attribute__((format(printf, 2, 0))) static void
line(enum level level, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	struct buf out = {0};
	int n;

	n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof text)
		n = (int)sizeof text - 1;
	line_make(&out, format, level, text, (size_t)n, NULL, 0);
	if (format == FORMAT_JOURNAL && !buf_failed(&out) && !journal_put(out.data, out.len)) {
		buf_reset(&out);
		line_make(&out, FORMAT_TEXT, level, text, (size_t)n, NULL, 0);
		out_put(out.data, out.len);
	} else if (format != FORMAT_JOURNAL && !buf_failed(&out)) {
		out_put(out.data, out.len);
	}
	buf_clear(&out);
}

#define LEVEL(func, level, condition) \
	void func(const char *fmt, ...) \
	{ \
		va_list ap; \
\
		if (!(condition)) \
			return; \
		va_start(ap, fmt); \
		line(level, fmt, ap); \
		va_end(ap); \
	}

LEVEL(log_error, LEVEL_ERROR, true)
LEVEL(log_warn, LEVEL_WARN, true)
LEVEL(log_info, LEVEL_INFO, true)
LEVEL(log_debug, LEVEL_DEBUG, debug_on)

/* ---- lines of requests --------------------------------------------------------------------------------------- */

/* Whole lines together, as many as leave in one piece; of the journal's each by itself. */
static void
lines_put(const struct buf *lines)
{
	const uint8_t *at = lines->data, *end = lines->data + lines->len;
	uint8_t chunk[CHUNK_MAX];
	size_t used = 0;
	uint32_t len;

	for (; at < end; at += len) {
		memcpy(&len, at, sizeof len);
		at += sizeof len;
		if (format == FORMAT_JOURNAL) {
			(void)journal_put(at, len);
			continue;
		}
		if (used + len > sizeof chunk) {
			out_put(chunk, used);
			used = 0;
		}
		if (len > sizeof chunk) {
			out_put(at, len);
		} else {
			memcpy(chunk + used, at, len);
			used += len;
		}
	}
	if (used > 0)
		out_put(chunk, used);
}

static void *
writer_run(void *arg)
{
	struct buf lines = {0};
	uint64_t dropped;
	bool is_over;

	(void)arg;
	do {
		(void)pthread_mutex_lock(&writer.lock);
		while (writer.lines.len == 0 && !writer.must_stop)
			(void)pthread_cond_wait(&writer.wake, &writer.lock);
		buf_clear(&lines);
		lines = writer.lines;
		writer.lines = (struct buf){0};
		dropped = writer.dropped;
		writer.dropped = 0;
		is_over = writer.must_stop;
		(void)pthread_mutex_unlock(&writer.lock);
		lines_put(&lines);
		if (dropped > 0)
			log_warn("%" PRIu64 " lines about requests were left out: whoever reads the log is too slow", dropped);
	} while (!is_over);
	buf_clear(&lines);
	return NULL;
}

static void
writer_add(const struct buf *out)
{
	uint32_t len = (uint32_t)out->len;
	uint8_t *room = NULL;

	(void)pthread_mutex_lock(&writer.lock);
	if (writer.lines.len == 0)
		(void)pthread_cond_signal(&writer.wake);
	if (writer.lines.len + sizeof len + len <= BUFFER_MAX)
		room = buf_extend(&writer.lines, sizeof len + len);
	if (room == NULL) {
		writer.lines.failed = false; /* what is there is whole */
		writer.dropped++;
	} else {
		memcpy(room, &len, sizeof len);
		memcpy(room + sizeof len, out->data, len);
	}
	(void)pthread_mutex_unlock(&writer.lock);
}

void
log_request(const struct log_field *fields, size_t n)
{
	struct buf out = {0};

	line_make(&out, format, LEVEL_INFO, "request", strlen("request"), fields, n);
	if (buf_failed(&out))
		; /* one line less */
	else if (writer.is_running)
		writer_add(&out);
	else if (format == FORMAT_JOURNAL)
		(void)journal_put(out.data, out.len);
	else
		out_put(out.data, out.len);
	buf_clear(&out);
}

int
log_start(struct err *err)
{
	int rc = thread_start(&writer.thread, writer_run, NULL, "the log's thread", err);

	writer.must_stop = false;
	writer.is_running = rc == 0;
	return rc;
}

void
log_stop(void)
{
	if (!writer.is_running)
		return;
	(void)pthread_mutex_lock(&writer.lock);
	writer.must_stop = true;
	(void)pthread_cond_signal(&writer.wake);
	(void)pthread_mutex_unlock(&writer.lock);
	(void)pthread_join(writer.thread, NULL);
	writer.is_running = false;
}
