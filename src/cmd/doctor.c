/* `muster doctor`: the table of checks, what each needs, and how findings are shown. What a check does is in
 * doctor_*.c. Nothing is changed anywhere: a remedy is told, not applied. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/print.h"
#include "cmd/rest.h"
#include "core/brokersignal.h"
#include "x509/cert.h"
#include "x509/chain.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { OPT_CERT = 0x100, OPT_KEY, OPT_PACKAGE };

enum needs {
	NEED_HOST = 64,	 /* the server's own host; elsewhere the check is left out */
	NEED_HOME = 1 | NEED_HOST, /* the home's files, and the right to read them */
	NEED_API = 2,	 /* an API that answers */
	NEED_BROKER = 4, /* the broker's process */
	NEED_ID = 8,	 /* a device was named; without one the check is left out */
	NEED_DEVICE = 16, /* and the API knows it */
	NEED_FILES = 32, /* the device's own files */
	IN_ACL_FILE = 128, /* with broker.mode = acl-file; in the other mode the check is left out */
	IN_PLUGIN = 256	   /* with broker.mode = plugin, and where the mode is not known */
};

/* clang-format off */
static const struct check {
	const char *name;
	unsigned needs;
	check_fn *run;
} checks[] = {
    {"home", NEED_HOST, check_home},
    {"permissions", NEED_HOME, check_permissions},
    {"disk", NEED_HOME, check_disk},
    {"limits", NEED_HOME, check_limits},
    {"clock", NEED_HOME, check_clock},
    {"clock-sync", 0, check_clock_sync},
    {"signer-log", NEED_HOME, check_signer_log},
    {"root-ca", NEED_HOME, check_root_ca},
    {"issuing-ca", NEED_HOME, check_issuing_ca},
    {"server-certificate", NEED_HOME, check_server_certificate},
    {"broker-certificate", NEED_HOME, check_broker_certificate},
    {"server", 0, check_server},
    {"https", NEED_HOME, check_https},
    {"pki", NEED_HOME | NEED_API, check_pki},
    {"ocsp", NEED_HOME | NEED_API, check_ocsp},
    {"registration", NEED_API, check_registration},
    {"rates", NEED_API, check_rates},
    {"audit", NEED_API, check_audit},
    {"rotation", NEED_API, check_rotation},
    {"broker", NEED_HOME, check_broker},
    {"broker-strangers", NEED_HOME, check_broker_strangers},
    {"broker-process", NEED_HOME, check_broker_process},
    {"broker-config", NEED_HOME | NEED_BROKER, check_broker_config},
    {"broker-reload", NEED_HOME | NEED_BROKER | IN_ACL_FILE, check_broker_reload},
    {"broker-acl", NEED_HOME | IN_ACL_FILE, check_broker_acl},
    {"broker-crl", NEED_HOME | NEED_API | IN_ACL_FILE, check_broker_crl},
    {"broker-service", NEED_HOME | NEED_API | IN_PLUGIN, check_broker_service},
    {"broker-feed", NEED_API | IN_PLUGIN, check_broker_feed},
    {"broker-credentials", NEED_API | IN_PLUGIN, check_broker_credentials},
    {"device", NEED_ID | NEED_API, check_device},
    {"device-certificate", NEED_ID | NEED_API | NEED_DEVICE, check_device_certificate},
    {"device-revocation", NEED_ID | NEED_API | NEED_DEVICE, check_device_list},
    {"device-rights", NEED_ID | NEED_HOME | NEED_API | NEED_DEVICE, check_device_rights},
    {"device-refusals", NEED_ID | NEED_API | NEED_DEVICE | IN_PLUGIN, check_device_refusals},
    {"device-files", NEED_ID | NEED_FILES, check_device_files},
    {"device-connection", NEED_ID | NEED_HOME | NEED_API | NEED_DEVICE | NEED_FILES, check_device_connection},
};
/* clang-format on */
#define N_CHECKS (sizeof checks / sizeof checks[0])

/* By enum verdict. */
static const struct {
	const char *name, *colour;
} verdicts[] = {{"ok", "32"}, {"warn", "33"}, {"fail", "31"}, {"n/a", "2"}};

/* ---- findings -------------------------------------------------------------------------------- */

void
finding_set(struct finding *f, enum verdict verdict, const char *fmt, ...)
{
	va_list ap;

	f->verdict = verdict;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
}

void
finding_remedy(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->remedy, sizeof f->remedy, fmt, ap);
	va_end(ap);
}

void
finding_err(struct finding *f, enum verdict verdict, const struct err *err)
{
	size_t len = strcspn(err->text, "\n");

	finding_set(f, verdict, "%s%s%.*s", err->field, err->field[0] != '\0' ? ": " : "", (int)len, err->text);
	if (err->text[len] == '\n')
		finding_remedy(f, "%s", err->text + len + 1);
}

/* ---- what checks rely on --------------------------------------------------------------------- */

int
doctor_read(const struct doctor *d, const char *name, size_t max, struct buf *out, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, d->dir, name, err)) != 0)
		return rc;
	return fs_peek(path, max, out, err);
}

const char *
doctor_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

bool
doctor_is_plugin(const struct doctor *d)
{
	return strcmp(d->settings.broker_mode, "plugin") == 0;
}

int64_t
doctor_time(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	int64_t when;

	return text != NULL && clock_parse(text, &when) ? when : 0;
}

pid_t
doctor_parent(pid_t pid)
{
	struct buf text = {0};
	const char *line;
	char path[64];
	int64_t parent = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (fs_read(path, 65536, &text, NULL) == 0 && (line = strstr(buf_str(&text), "\nPPid:\t")) != NULL) {
		text.data[strcspn(line + 7, "\n") + (size_t)(line + 7 - buf_str(&text))] = '\0';
		if (!integer_parse(line + 7, 2, INT32_MAX, &parent))
			parent = 0;
	}
	buf_clear(&text);
	return (pid_t)parent;
}

/* The process that listens on the home's socket: the kernel remembers who called listen(). */
static pid_t
socket_pid(const char *dir)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t len = sizeof peer;
	int fd;

	if (snprintf(where.sun_path, sizeof where.sun_path, "%s/muster.sock", dir) >= (int)sizeof where.sun_path ||
	    (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return 0;
	if (connect(fd, (struct sockaddr *)&where, sizeof where) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		peer.pid = 0;
	(void)close(fd);
	return peer.pid;
}

/* May we look into the home? */
static int
home_open(struct doctor *d, struct err *err)
{
	struct stat st;
	int rc;

	if (d->cli->url != NULL)
		return err_set(err, E_DENIED, "only on the server's own host, without --url");
	if ((rc = settings_load(d->dir, &d->settings, err)) != 0)
		return rc;
	if (geteuid() != 0 && (stat(d->dir, &st) != 0 || st.st_uid != geteuid()))
		return err_set(err, E_DENIED, "only root or the home's owner may look into %s", d->dir);
	return doctor_read(d, "ca/root.crt", CHAIN_PEM_MAX, &d->root_pem, err);
}

/* Without an ID the certificate tells it. */
static int
id_from_certificate(struct doctor *d, char *id, size_t size, struct err *err)
{
	struct buf pem = {0}, der = {0};
	struct cert_info info;
	int rc;

	if ((rc = fs_read(d->cert_file, CHAIN_PEM_MAX, &pem, err)) == 0 &&
	    (rc = chain_leaf(buf_str(&pem), &der, err)) == 0 &&
	    (rc = cert_info_read(der.data, der.len, &info, err)) == 0 &&
	    (!text_copy(id, size, info.common_name) || id[0] == '\0'))
		rc = err_set(err, E_INPUT, "it names no device");
	if (rc == 0)
		d->id = id;
	else
		(void)err_prefix(err, "%s", d->cert_file);
	buf_clear(&pem);
	buf_clear(&der);
	return rc;
}

static void
device_load(struct doctor *d)
{
	struct buf path = {0};

	buf_text(&path, "/v1/devices/");
	rest_segment(&path, d->id);
	if (rest_call(d->cli, "GET", buf_str(&path), NULL, &d->device, &d->device_err) == 0) {
		buf_text(&path, "/certificates");
		if (rest_call(d->cli, "GET", buf_str(&path), NULL, &d->certificates, &d->device_err) != 0) {
			json_decref(d->device);
			d->device = NULL;
		}
	}
	buf_clear(&path);
}

static void
doctor_open(struct doctor *d)
{
	int rc = home_open(d, &d->settings_err);

	if (rest_call(d->cli, "GET", "/v1/ca", NULL, &d->ca, &d->api_err) == 0 && d->id != NULL)
		device_load(d);
	if (rc != 0)
		return;
	d->api_pid = socket_pid(d->dir);
	if (brokersignal_find(d->settings.broker_pid_file, &d->broker_pid, &d->broker_err) != 0)
		d->broker_pid = 0;
}

static void
doctor_close(struct doctor *d)
{
	json_decref(d->ca);
	json_decref(d->device);
	json_decref(d->certificates);
	buf_clear(&d->root_pem);
}

/* ---- running and showing --------------------------------------------------------------------- */

/* Why CHECK cannot be made here, or NULL. */
static const char *
obstacle(const struct doctor *d, const struct check *check)
{
	if ((check->needs & NEED_HOME) == NEED_HOME && d->settings_err.code != 0)
		return d->settings_err.text;
	if ((check->needs & NEED_API) != 0 && d->api_err.code != 0)
		return "the API does not answer";
	if ((check->needs & NEED_BROKER) != 0 && d->broker_pid == 0)
		return "the broker's process is not known";
	if ((check->needs & NEED_DEVICE) != 0 && d->device == NULL)
		return "the API does not know the device";
	if ((check->needs & NEED_FILES) != 0 && d->cert_file == NULL)
		return "needs the device's own files: --package DIR, or --cert FILE --key FILE";
	return NULL;
}

static void
print_line(const char *name, int width, const struct finding *f, bool colour)
{
	struct buf text = {0};

	text_escape(&text, f->text, strlen(f->text));
	if (colour)
		(void)printf("\033[%sm%-4s\033[0m", verdicts[f->verdict].colour, verdicts[f->verdict].name);
	else
		(void)printf("%-4s", verdicts[f->verdict].name);
	(void)printf("  %-*s  %s\n", width, name, buf_str(&text));
	if (f->remedy[0] != '\0') {
		buf_reset(&text);
		text_escape(&text, f->remedy, strlen(f->remedy));
		(void)printf("      %-*s  -> %s\n", width, "", buf_str(&text));
	}
	buf_clear(&text);
}

static void
print_text(const struct finding *findings, const bool *shown)
{
	bool colour = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == NULL;
	unsigned counts[VERDICT_NONE + 1] = {0};
	int width = 0;
	size_t i;

	for (i = 0; i < N_CHECKS; i++)
		if (shown[i] && (int)strlen(checks[i].name) > width)
			width = (int)strlen(checks[i].name);
	for (i = 0; i < N_CHECKS; i++) {
		if (!shown[i])
			continue;
		print_line(checks[i].name, width, &findings[i], colour);
		counts[findings[i].verdict]++;
	}
	(void)printf("\n%u ok, %u warn, %u fail, %u n/a\n", counts[VERDICT_OK],
	    counts[VERDICT_WARN], counts[VERDICT_FAIL], counts[VERDICT_NONE]);
}

static int
findings_json(const struct finding *findings, const bool *shown, struct err *err)
{
	json_t *array = json_array();
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < N_CHECKS; i++)
		if (shown[i] &&
		    json_array_append_new(array,
			json_pack("{s:s, s:s, s:s, s:o}", "check", checks[i].name, "status",
			    verdicts[findings[i].verdict].name, "finding", findings[i].text, "remedy",
			    findings[i].remedy[0] != '\0' ? json_string(findings[i].remedy) : json_null())) != 0)
			rc = err_nomem(err);
	if (rc == 0)
		print_json(array);
	json_decref(array);
	return rc;
}

/* Has CHECK anything to do with what was asked about, and from here? */
static bool
is_due(const struct doctor *d, const struct check *check)
{
	bool plugin = d->settings_err.code != 0 || doctor_is_plugin(d);

	return (d->id != NULL || (check->needs & NEED_ID) == 0) &&
	       (d->cli->url == NULL || (check->needs & NEED_HOST) == 0) &&
	       (!plugin || (check->needs & IN_ACL_FILE) == 0) && (plugin || (check->needs & IN_PLUGIN) == 0);
}

static int
examine(struct doctor *d, struct err *err)
{
	struct finding findings[N_CHECKS] = {0};
	bool shown[N_CHECKS], failed = false;
	const char *why;
	size_t i;
	int rc = 0;

	for (i = 0; i < N_CHECKS; i++) {
		if (!(shown[i] = is_due(d, &checks[i])))
			continue;
		if ((why = obstacle(d, &checks[i])) != NULL)
			finding_set(&findings[i], VERDICT_NONE, "%s", why);
		else
			checks[i].run(d, &findings[i]);
		failed = failed || findings[i].verdict == VERDICT_FAIL;
	}
	if (d->cli->json)
		rc = findings_json(findings, shown, err);
	else
		print_text(findings, shown);
	if (rc != 0)
		return cli_fail(d->cli, err);
	return failed ? CLI_FAILED : CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct argp_option options[] = {
    {"package", OPT_PACKAGE, "DIR", 0, "The folder into which the device's package was opened", 0},
    {"cert", OPT_CERT, "FILE", 0, "The device's certificate, with the issuing CA's behind it, and", 0},
    {"key", OPT_KEY, "FILE", 0, "its private key, where they are not in a package's folder", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct doctor *d = state->input;

	switch (key) {
	case OPT_PACKAGE:
		d->package_dir = arg;
		return 0;
	case OPT_CERT:
		d->cert_file = arg;
		return 0;
	case OPT_KEY:
		d->key_file = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (d->id != NULL)
			argp_error(state, "one device at a time, not %s, too", arg);
		d->id = arg;
		return 0;
	case ARGP_KEY_END:
		if ((d->cert_file == NULL) != (d->key_file == NULL))
			argp_error(state, "--cert and --key belong together");
		if (d->package_dir != NULL && d->cert_file != NULL)
			argp_error(state, "--package already names the certificate and the key");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "[ID]",
    "Look for what keeps devices from being onboarded, and say what to do about it."
    "\vEach line is one check: how it went, its name, what was found, and below it the remedy, which is the command "
    "to run where there is one. Nothing is changed.\n\n"
    "Without ID it looks at the installation: configuration, permissions, disk, limits, clock, the signer's log, the "
    "CAs' and both servers' certificates, the API, the public pages, the audit, whether devices can be told to rekey, and the broker: whether it answers, refuses "
    "strangers, and is configured for the mode in muster.conf. In plugin mode also whether the broker's plugin reaches "
    "the service, whether every broker follows it, and whose credentials end; in acl-file mode whether the broker was "
    "told of the last change, and has the current ACL file and revocation list. With the ID of a "
    "device it also looks at that device: status, certificate, revocation, topics, and for what brokers refused it. "
    "With the device's own files it "
    "tries them at the broker, by a TLS handshake that ends no session of the device; one that is not active is refused a "
    "session, too.\n\n"
    "On the server's own host root and the home's owner see everything. Elsewhere, with --url, only what the API can "
    "tell is looked at. The probes go over loopback to the addresses in muster.conf.\n\n"
    "  ok     as it should be\n"
    "  warn   works, but not for long or not in full\n"
    "  fail   does not work; the exit status is 1\n"
    "  n/a    cannot be told here, for the reason given\n\n"
    "With --json: an array of {check, status, finding, remedy}.\n\n"
    "Examples:\n\n"
    "  muster doctor\n"
    "  muster doctor 6f1b0a52-5f0e-4f3c-9a39-0b8c1d1f2e77 --package ./pump-1\n"
    "  muster --json doctor | jq '.[] | select(.status == \"fail\")'\n\n"
    "Exit status: 0 nothing failed, 1 something failed, 2 usage.",
    NULL, NULL, NULL};

int
cmd_doctor(struct cli *cli, int argc, char **argv)
{
	struct doctor d = {.cli = cli, .dir = cli->dir, .now = clock_now()};
	char cert[FS_PATH_MAX], key[FS_PATH_MAX], id[CERT_NAME_MAX + 1];
	struct err err = {0};
	int status;

	if (argp_parse(&argp, argc, argv, 0, NULL, &d) != 0)
		return CLI_USAGE;
	(void)signal(SIGPIPE, SIG_IGN); /* a server that hangs up is a finding */
	if (d.package_dir != NULL) {
		if (fs_path(cert, d.package_dir, "device.crt", &err) != 0 ||
		    fs_path(key, d.package_dir, "device.key", &err) != 0)
			return cli_fail(cli, &err);
		d.cert_file = cert;
		d.key_file = key;
	}
	if (d.id == NULL && d.cert_file != NULL && id_from_certificate(&d, id, sizeof id, &err) != 0)
		return cli_fail(cli, &err);
	doctor_open(&d);
	status = examine(&d, &err);
	doctor_close(&d);
	return status;
}
