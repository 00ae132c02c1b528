/* Read from the files that the others write, and from /proc. */
#include "agent/status.h"

#include "agent/lock.h"
#include "agent/notes.h"
#include "agent/pair.h"
#include "agent/renewal.h"
#include "base/clock.h"
#include "base/text.h"
#include "x509/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROC_STATUS_MAX 16384
#define FIELDS_MAX 16
#define SUBJECT_SIZE 512
#define DAY 86400

struct fields {
	struct {
		const char *name;
		char value[SUBJECT_SIZE];
		bool is_number;
	} of[FIELDS_MAX];
	size_t n;
};

__attribute__((format(printf, 4, 5))) static void
put(struct fields *f, const char *name, bool is_number, const char *fmt, ...)
{
	va_list ap;

	if (f->n == FIELDS_MAX)
		return;
	f->of[f->n].name = name;
	f->of[f->n].is_number = is_number;
	va_start(ap, fmt);
	(void)vsnprintf(f->of[f->n++].value, SUBJECT_SIZE, fmt, ap);
	va_end(ap);
}

static void
put_time(struct fields *f, const char *name, int64_t when)
{
	char text[CLOCK_TEXT_MAX];

	clock_text(text, when);
	put(f, name, false, "%s", text);
}

/* A line "NAME:   N kB" of /proc/PID/status, in kB; 0 if there is none. */
static long
memory_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at == NULL ? 0 : strtol(at + strlen(name), NULL, 10);
}

static void
put_process(struct fields *f, const char *dir)
{
	pid_t pid = lock_holder(dir, LOCK_RUN);
	struct buf status = {0};
	char path[64];

	put(f, "running", true, "%s", pid != 0 ? "true" : "false");
	if (pid == 0)
		return;
	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	put(f, "pid", true, "%d", (int)pid);
	if (fs_read(path, PROC_STATUS_MAX, &status, NULL) == 0) {
		put(f, "memory_kb", true, "%ld", memory_of(buf_str(&status), "\nVmRSS:"));
		put(f, "memory_peak_kb", true, "%ld", memory_of(buf_str(&status), "\nVmHWM:"));
	}
	buf_clear(&status);
}

static void
print_json(const struct fields *f)
{
	const char *c;
	size_t i;

	for (i = 0; i < f->n; i++) {
		(void)printf("%s\"%s\":", i == 0 ? "{" : ",", f->of[i].name);
		if (f->of[i].is_number) {
			(void)fputs(f->of[i].value, stdout);
			continue;
		}
		(void)putchar('"');
		for (c = f->of[i].value; *c != '\0'; c++)
			(void)printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		(void)putchar('"');
	}
	(void)printf("}\n");
}

static void
print_text(const struct fields *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		(void)printf("%-15s %s\n", f->of[i].name, f->of[i].value);
}

int
status_print(const char *dir, bool as_json, struct err *err)
{
	char path[FS_PATH_MAX], subject[SUBJECT_SIZE];
	struct fields f = {0};
	struct cert_info info;
	struct notes notes;
	int64_t since = 0;
	int rc;

	if ((rc = notes_read(dir, &notes, err)) != 0 || (rc = pair_info(dir, PAIR_CURRENT, &info, &since, err)) != 0)
		return rc;
	name_text(info.subject, info.subject_len, subject, sizeof subject);
	put(&f, "id", false, "%s", info.common_name);
	put(&f, "subject", false, "%s", text_is_printable(subject, strlen(subject)) ? subject : "?");
	put(&f, "key", false, "%s", key_kind_name(info.kind));
	put(&f, "service", false, "%s", notes.url);
	put(&f, "broker", false, "%s", notes.broker);
	put_time(&f, "not_before", info.not_before);
	put_time(&f, "not_after", info.not_after);
	put(&f, "days_left", true, "%lld", (long long)((info.not_after - clock_now()) / DAY));
	put_time(&f, "obtained_at", since);
	if (notes.url[0] != '\0')
		put_time(&f, "renewal_at", renewal_due(&info, since, pair_renew_at(dir, PAIR_CURRENT)));
	put(&f, "next_pair", true, "%s", pair_path(dir, PAIR_NEXT, path) ? "true" : "false");
	if (notes.connected_at[0] != '\0')
		put(&f, "connected_at", false, "%s", notes.connected_at);
	put_process(&f, dir);
	(as_json ? print_json : print_text)(&f);
	return 0;
}
