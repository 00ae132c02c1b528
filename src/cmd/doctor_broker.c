/* Checks of the broker beside the home: does it answer, whom does it let in, is it configured for the mode in muster.conf;
 * in acl-file mode was it told of the last change, and are the files that it reads the current ones. */
#include "cmd/doctor.h"

#include "authz/aclfile.h"
#include "base/clock.h"
#include "base/text.h"
#include "cmd/probe.h"
#include "signer/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define PROBE_ID "muster-doctor"
#define ACL_MAX (256UL * 1024 * 1024)
#define CONFIG_MAX (1024 * 1024)
#define CMDLINE_MAX 65536
#define SETTLE_S 3 /* the signal follows the files within this */

/* ---- knocking -------------------------------------------------------------------------------- */

/* With the broker's own pair, which is a client's, too, and has no rights. */
static int
knock_with_own(const struct doctor *d, struct probe *probe, char *cert, char *key, struct err *err)
{
	int rc;

	if ((rc = fs_path(cert, d->dir, "broker/broker.crt", err)) != 0 ||
	    (rc = fs_path(key, d->dir, "broker/broker.key", err)) != 0)
		return rc;
	probe->cert_file = cert;
	probe->key_file = key;
	return 0;
}

void
check_broker(struct doctor *d, struct finding *f)
{
	char cert[FS_PATH_MAX], key[FS_PATH_MAX];
	struct probe probe = {.listen = d->settings.broker_listen};
	struct err err = {0};
	unsigned code = 0;
	int rc;

	/* The plugin would refuse a client that is no device, and report that. */
	if ((rc = knock_with_own(d, &probe, cert, key, &err)) == 0)
		rc = doctor_is_plugin(d) ? probe_speaks(&probe, &err) : probe_mqtt(&probe, PROBE_ID, &code, &err);
	if (rc == 0)
		rc = doctor_presents(d, &probe, "broker/broker.crt", &err);
	if (rc == 0 && code == 0) {
		finding_set(f, VERDICT_OK, "%s takes a client with a certificate of this CA, and answers MQTT", probe.listen);
		return;
	}
	if (rc == 0)
		finding_set(f, VERDICT_FAIL, "%s refused an MQTT session with code %u", probe.listen, code);
	else
		finding_err(f, VERDICT_FAIL, &err);
	if (rc == E_BUSY)
		finding_remedy(f, "start the broker: mosquitto -c FILE, with the FILE that `muster --dir %s broker config mosquitto` prints; "
				  "or correct broker.listen in muster.conf", d->dir);
	else if (rc == E_CONFLICT)
		finding_remedy(f, "restart the broker, with the configuration that `muster --dir %s broker config mosquitto` prints", d->dir);
	else if (rc == E_INPUT)
		finding_remedy(f, "stop the server and: muster --dir %s ca renew broker", d->dir);
	else
		finding_remedy(f, "muster --dir %s broker config mosquitto > FILE, restart the broker with it, and see its log", d->dir);
}

void
check_broker_strangers(struct doctor *d, struct finding *f)
{
	struct probe probe = {.listen = d->settings.broker_listen};
	struct err err = {0};
	unsigned code = 0;
	int rc = probe_mqtt(&probe, PROBE_ID, &code, &err);

	if (rc == E_DENIED) {
		finding_set(f, VERDICT_OK, "%s refuses a client without a certificate", probe.listen);
	} else if (rc != 0) {
		finding_set(f, VERDICT_NONE, "the broker does not answer");
	} else {
		finding_set(f, VERDICT_FAIL, code == 0 ? "%s lets in a client without a certificate"
						       : "%s talks MQTT with a client without a certificate", probe.listen);
		finding_remedy(f, "muster --dir %s broker config mosquitto > FILE, and restart the broker with it", d->dir);
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

/* The user that PID runs as, or -1. */
static uid_t
process_uid(pid_t pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
	return stat(path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

void
check_broker_process(struct doctor *d, struct finding *f)
{
	uid_t supervisor = (uid_t)-1, broker;
	pid_t parent;

	if (d->settings.broker_pid_file[0] == '\0' && doctor_is_plugin(d)) {
		finding_set(f, VERDICT_NONE, "broker.pid_file in muster.conf is empty, and with the plugin nobody needs it");
		return;
	}
	if (d->settings.broker_pid_file[0] == '\0') {
		finding_set(f, VERDICT_WARN, "broker.pid_file in muster.conf is empty: nobody tells the broker of new devices and revocations");
		finding_remedy(f, "set broker.pid_file, restart the server, print `muster --dir %s broker config mosquitto` again and "
				  "restart the broker with it", d->dir);
		return;
	}
	if (d->broker_pid == 0) {
		finding_set(f, VERDICT_FAIL, "%s: %s", d->settings.broker_pid_file, d->broker_err.text);
		finding_remedy(f, "restart the broker with the configuration that `muster --dir %s broker config mosquitto` prints: it "
				  "writes the pid file anew", d->dir);
		return;
	}
	parent = doctor_parent(d->api_pid);
	broker = process_uid(d->broker_pid);
	if (parent > 0)
		supervisor = process_uid(parent);
	if (doctor_is_plugin(d)) {
		finding_set(f, VERDICT_OK, "it is process %d", (int)d->broker_pid);
		return;
	}
	if (parent > 0 && supervisor != 0 && supervisor != broker) {
		finding_set(f, VERDICT_FAIL, "the server runs as user %u and may not signal the broker, which is user %u's",
		    (unsigned)supervisor, (unsigned)broker);
		finding_remedy(f, "run `muster serve` as root, or as the broker's user");
		return;
	}
	finding_set(f, VERDICT_OK, "process %d is the one that is told of changes", (int)d->broker_pid);
}

/* ---- its configuration ----------------------------------------------------------------------- */

/* What must be in the file, as `muster broker config` prints it in this mode; with FILE the value is that file of the home,
 * NULL is any, ABSENT must not be there. */
struct wanted {
	const char *key, *value;
	enum { WANT_VALUE, WANT_FILE, WANT_ABSENT } what;
	const char *without;
};

static const struct wanted in_acl_file[] = {
    {"plugin_opt_url", NULL, WANT_ABSENT, "it is for the plugin, and broker.mode in muster.conf is acl-file: no device has its topics"},
    {"require_certificate", "true", WANT_VALUE, "clients without a certificate get in"},
    {"use_identity_as_username", "true", WANT_VALUE, "no device has its topics"},
    {"use_username_as_clientid", "true", WANT_VALUE, "a device may take over another's session by its client id"},
    {"cafile", "broker/ca.pem", WANT_FILE, "devices' certificates are not trusted"},
    {"certfile", "broker/broker.crt", WANT_FILE, "the broker shows another certificate"},
    {"crlfile", "broker/crl.pem", WANT_FILE, "revoked devices are still accepted"},
    {"acl_file", "broker/acl", WANT_FILE, "devices do not have the topics that Muster gives them"},
};

static const struct wanted in_plugin[] = {
    {"acl_file", NULL, WANT_ABSENT, "it is for an ACL file, and broker.mode in muster.conf is plugin: no device has its topics"},
    {"plugin_opt_url", NULL, WANT_VALUE, "Muster decides nothing there"},
    {"require_certificate", "true", WANT_VALUE, "clients without a certificate get in"},
    {"use_identity_as_username", "true", WANT_ABSENT, "the broker never asks the plugin who may connect"},
    {"use_subject_as_username", "true", WANT_ABSENT, "the broker never asks the plugin who may connect"},
    {"per_listener_settings", "true", WANT_ABSENT, "the broker never lets the plugin cut anybody off"},
    {"cafile", "broker/ca.pem", WANT_FILE, "devices' certificates are not trusted"},
    {"certfile", "broker/broker.crt", WANT_FILE, "the broker shows another certificate"},
};
#define N_WANTED_MAX 16

static const struct wanted *
wanted_of(const struct doctor *d, size_t *n_out)
{
	bool plugin = doctor_is_plugin(d);

	*n_out = plugin ? sizeof in_plugin / sizeof in_plugin[0] : sizeof in_acl_file / sizeof in_acl_file[0];
	return plugin ? in_plugin : in_acl_file;
}

static bool
is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Is a line of W's key, with VALUE, what W is about? */
static bool
is_met(const struct doctor *d, const struct wanted *w, const char *value)
{
	char path[FS_PATH_MAX];

	if (w->value == NULL)
		return true;
	if (w->what != WANT_FILE)
		return strcmp(value, w->value) == 0;
	return fs_path(path, d->dir, w->value, NULL) == 0 && is_same_file(path, value);
}

/* The file behind -c on PID's command line into OUT. */
static bool
config_path(pid_t pid, char *out)
{
	struct buf line = {0};
	char path[64];
	const char *arg, *end, *file = NULL;
	bool ok = false;

	(void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	if (fs_read(path, CMDLINE_MAX, &line, NULL) != 0 || line.len == 0)
		goto out;
	end = buf_str(&line) + line.len;
	for (arg = buf_str(&line); arg < end; arg += strlen(arg) + 1)
		if ((strcmp(arg, "-c") == 0 || strcmp(arg, "--config-file") == 0) && arg + strlen(arg) + 1 < end)
			file = arg + strlen(arg) + 1;
	if (file != NULL && file[0] == '/')
		ok = text_copy(out, FS_PATH_MAX, file);
	else if (file != NULL)
		ok = snprintf(out, FS_PATH_MAX, "/proc/%d/cwd/%s", (int)pid, file) < FS_PATH_MAX;
out:
	buf_clear(&line);
	return ok;
}

/* One line's key and value; false for comments and what has no value. The line is cut up. */
static bool
line_split(char *line, char **key_out, char **value_out)
{
	char *end = line + strcspn(line, "\r\n");

	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	line += strspn(line, " \t");
	*key_out = line;
	*value_out = line + strcspn(line, " \t");
	if (line[0] == '#' || **value_out == '\0')
		return false;
	*(*value_out)++ = '\0';
	*value_out += strspn(*value_out, " \t");
	return true;
}

/* What a configuration says; a later line counts. */
struct config_seen {
	bool found[N_WANTED_MAX]; /* what wanted[i] is about is there */
	bool includes;		  /* other files */
	unsigned listeners;
	char state[FS_PATH_MAX]; /* persistence_location, or "" */
};

static void
config_read(const struct doctor *d, const struct wanted *wanted, size_t n, char *text, struct config_seen *seen)
{
	char *line, *key, *value;
	size_t i;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (!line_split(line, &key, &value))
			continue;
		seen->listeners += strcmp(key, "listener") == 0 || strcmp(key, "port") == 0;
		seen->includes = seen->includes || strcmp(key, "include_dir") == 0;
		if (strcmp(key, "persistence_location") == 0)
			(void)text_copy(seen->state, sizeof seen->state, value);
		for (i = 0; i < n; i++)
			if (strcmp(key, wanted[i].key) == 0)
				seen->found[i] = is_met(d, &wanted[i], value);
	}
}

/* "lacks `KEY VALUE`: what comes of it", or "has" what must not be there. */
static void
wanted_tell(const struct doctor *d, struct finding *f, const char *path, const struct wanted *w)
{
	bool is_file = w->what == WANT_FILE, any = w->value == NULL;

	finding_set(f, VERDICT_FAIL, "%s %s `%s%s%s%s%s`: %s", path, w->what == WANT_ABSENT ? "has" : "lacks", w->key,
	    any ? "" : " ", is_file ? d->dir : "", is_file ? "/" : "", any ? "" : w->value, w->without);
}

void
check_broker_config(struct doctor *d, struct finding *f)
{
	struct config_seen seen = {.includes = false};
	const struct wanted *wanted;
	char path[FS_PATH_MAX];
	struct buf text = {0};
	struct err err = {0};
	size_t i = 0, n;

	wanted = wanted_of(d, &n);
	if (!config_path(d->broker_pid, path) || fs_read(path, CONFIG_MAX, &text, &err) != 0) {
		finding_set(f, VERDICT_NONE, "cannot read the configuration of process %d", (int)d->broker_pid);
		goto out;
	}
	if (text.len > 0)
		config_read(d, wanted, n, (char *)text.data, &seen);
	while (i < n && seen.found[i] == (wanted[i].what != WANT_ABSENT))
		i++;
	if (i < n && seen.includes && wanted[i].what != WANT_ABSENT)
		finding_set(f, VERDICT_NONE, "%s is not all of it: it includes other files", path);
	else if (i < n)
		wanted_tell(d, f, path, &wanted[i]);
	else if (seen.listeners > 1)
		finding_set(f, VERDICT_WARN, "%s opens %u doors: this one is Muster's, see that the others are no way around it",
		    path, seen.listeners);
	else
		finding_set(f, VERDICT_OK, "%s has what Muster relies on", path);
	if (f->verdict == VERDICT_FAIL || f->verdict == VERDICT_WARN)
		finding_remedy(f, "muster --dir %s broker config mosquitto%s%s > %s, and restart the broker", d->dir,
		    seen.state[0] != '\0' && doctor_is_plugin(d) ? " --state " : "", doctor_is_plugin(d) ? seen.state : "",
		    path);
out:
	buf_clear(&text);
}

/* ---- was it told ----------------------------------------------------------------------------- */

static int64_t
milliseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

/* When PID began, in milliseconds since 1970, or 0. Field 22 of its stat is in clock ticks since the boot. */
static int64_t
process_begin_ms(pid_t pid)
{
	struct timespec since_boot, now;
	unsigned long long ticks = 0;
	struct buf text = {0};
	const char *at;
	char path[64];
	int i;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (fs_read(path, 4096, &text, NULL) == 0 && (at = strrchr(buf_str(&text), ')')) != NULL) {
		for (i = 2; i < 22 && at != NULL; i++)
			at = strchr(at + 1, ' ');
		ticks = at != NULL ? strtoull(at, NULL, 10) : 0;
	}
	buf_clear(&text);
	if (ticks == 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
		return 0;
	return milliseconds(&now) - milliseconds(&since_boot) + (int64_t)ticks * 1000 / sysconf(_SC_CLK_TCK);
}

/* fs_write leaves a file as one that nobody has read. Does the file system keep such times at all? The api reads its
 * key whenever it starts. */
static bool
reading_leaves_traces(const struct doctor *d)
{
	char path[FS_PATH_MAX];
	struct statvfs fs;
	struct stat st;

	return fs_path(path, d->dir, "tls/server.key", NULL) == 0 && stat(path, &st) == 0 && st.st_atim.tv_sec != FS_NEVER &&
	       statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOATIME) == 0;
}

/* Written since the broker began, some while ago, and never read since. */
static bool
is_unread(const char *path, int64_t begin_ms, int64_t now)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_atim.tv_sec == FS_NEVER && milliseconds(&st.st_mtim) > begin_ms &&
	       st.st_mtim.tv_sec + SETTLE_S < now;
}

void
check_broker_reload(struct doctor *d, struct finding *f)
{
	static const char *const names[] = {"broker/acl", "broker/crl.pem"};
	int64_t begin_ms = process_begin_ms(d->broker_pid);
	char path[FS_PATH_MAX];
	size_t i;

	if (begin_ms == 0 || !reading_leaves_traces(d)) {
		finding_set(f, VERDICT_NONE, begin_ms == 0 ? "cannot tell since when the broker runs"
							: "the home's file system does not keep when files were read");
		return;
	}
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (fs_path(path, d->dir, names[i], NULL) != 0 || !is_unread(path, begin_ms, d->now))
			continue;
		finding_set(f, VERDICT_FAIL, "the broker has not read %s since it was written: it still works by the one of before", path);
		finding_remedy(f, "kill -HUP %d", (int)d->broker_pid);
		return;
	}
	finding_set(f, VERDICT_OK, "its ACL file and revocation list have been read since they were written");
}

/* ---- what it reads --------------------------------------------------------------------------- */

void
check_broker_acl(struct doctor *d, struct finding *f)
{
	struct buf text = {0};
	struct err err = {0};

	if (doctor_read(d, "broker/acl", ACL_MAX, &text, &err) != 0 ||
	    aclfile_check(buf_str(&text), text.len, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "restart the server: it writes the file anew when it starts: muster --dir %s serve", d->dir);
	} else {
		finding_set(f, VERDICT_OK, "it is whole, as Muster wrote it");
	}
	buf_clear(&text);
}

/* The number of that CA's list, as the API tells it; 0: it has none. */
static int64_t
number_published(const struct doctor *d, const struct cert_issuer *issuer)
{
	const json_t *retired = json_object_get(d->ca, "retired"), *ca = d->ca;
	size_t i = 0;

	while (ca != NULL && strcmp(doctor_text(json_object_get(ca, "issuing"), "key_id"), issuer->key_id_hex) != 0)
		ca = json_array_get(retired, i++);
	return json_integer_value(json_object_get(json_object_get(ca, "crl"), "number"));
}

/* Is anything wrong with the list of ISSUER? WHOSE is said of it, "" of today's. */
static bool
list_judge(const struct doctor *d, const struct cert_issuer *issuer, const char *whose, struct finding *f)
{
	int64_t published = number_published(d, issuer);
	struct doctor_list list = {0};
	char until[CLOCK_TEXT_MAX];
	struct err err = {0};
	bool is_bad = true;

	if (doctor_list_read(d, issuer, &list, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		goto out;
	}
	clock_text(until, list.info.next_update);
	if (list.info.next_update <= d->now)
		finding_set(f, VERDICT_FAIL, "broker/crl.pem%s expired at %s: the broker refuses every device", whose, until);
	else if ((int64_t)list.info.number < published)
		finding_set(f, VERDICT_FAIL, "broker/crl.pem%s is number %llu, but number %lld is published: the broker may accept the revoked",
		    whose, (unsigned long long)list.info.number, (long long)published);
	else if (list.info.next_update - d->now < d->settings.crl_validity_s - 2 * d->settings.crl_renew_s)
		finding_set(f, VERDICT_WARN, "broker/crl.pem%s was not renewed when it should have been; it expires at %s", whose, until);
	else
		is_bad = false;
	if (!is_bad && whose[0] == '\0')
		finding_set(f, VERDICT_OK, "number %llu, with %llu entries, until %s", (unsigned long long)list.info.number,
		    (unsigned long long)list.info.n_entries, until);
out:
	doctor_list_clear(&list);
	return is_bad;
}

void
check_broker_crl(struct doctor *d, struct finding *f)
{
	struct cert_issuer issuer;
	struct err err = {0};
	char whose[64] = "";
	bool is_bad = false;
	int slot;

	if (doctor_issuer(d, 0, &issuer, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		return;
	}
	for (slot = 0; !is_bad && slot <= ISSUERS_RETIRED_MAX; slot++) {
		if (slot > 0)
			(void)snprintf(whose, sizeof whose, " for ca/retired-%d.crt", slot);
		if (slot == 0 || doctor_issuer(d, slot, &issuer, NULL) == 0)
			is_bad = list_judge(d, &issuer, whose, f);
	}
	if (is_bad)
		finding_remedy(f, "restart the server: it has a new list signed when it starts: muster --dir %s serve", d->dir);
}
