/* The one list of configuration keys. `init` prints it, `serve` reads it; profiles belong to the signer. */
#include "core/settings.h"

#include "base/fs.h"
#include "base/text.h"
#include "signer/profile.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MINUTE 60
#define HOUR 3600
#define DAY 86400

#define AT(member) offsetof(struct settings, member)
#define TEXT(section, name, member, fallback, help) \
	{section, name, CONF_TEXT, AT(member), fallback, help, 0, 0, NULL}
#define CHOICE(section, name, member, fallback, choices, help) \
	{section, name, CONF_CHOICE, AT(member), fallback, help, 0, 0, choices}
#define INTEGER(section, name, member, fallback, min, max, help) \
	{section, name, CONF_INTEGER, AT(member), fallback, help, min, max, NULL}
#define DURATION(section, name, member, fallback, min, max, help) \
	{section, name, CONF_DURATION, AT(member), fallback, help, min, max, NULL}
/* So many a minute; one that was larger than this would be none. */
#define RATE(name, limit, scope, fallback, help) \
	{"limits", name, CONF_INTEGER, AT(limits[LIMIT_##limit].per_min[RATELIMIT_##scope]), fallback, help, 0, 1000000000, NULL}
#define SWITCH(section, name, member, fallback, help) \
	{section, name, CONF_SWITCH, AT(member), fallback, help, 0, 0, NULL}

static const struct conf_key keys[] = {
    SWITCH("server", "sandbox", sandbox, "on",
	"Landlock and seccomp around the api and the signer; off only for kernels without Landlock."),
    INTEGER("server", "workers", workers, "64", 4, 512,
	"Threads that work on requests; most of their time goes into waiting for the disk."),

    TEXT("api", "listen", api_listen, "127.0.0.1:8443",
	"Address and port of the HTTPS API; port 0 picks a free one and logs it."),
    TEXT("api", "public_url", api_public_url, "https://localhost:8443",
	"How the API is reached from outside; one-time links begin with it."),
    TEXT("api", "trusted_proxies", api_trusted_proxies, "",
	"Addresses and CIDR ranges of proxies in front of it whose X-Forwarded-For is believed. Empty: nobody's is."),
    INTEGER("api", "threads", api_threads, "2", 1, 64, "Event loops; they move bytes and do TLS."),

    TEXT("pki", "listen", pki_listen, "127.0.0.1:8080",
	"Address and port of plain HTTP for CA certificates and revocation lists."),
    TEXT("pki", "public_url", pki_public_url, "http://localhost:8080",
	"How that is reached from outside; certificates carry it, so choose it before issuing any."),
    DURATION("pki", "crl_validity", crl_validity_s, "7d", 10 * MINUTE, 365 * DAY,
	"How long a complete revocation list is valid; verifiers refuse everybody after that."),
    DURATION("pki", "crl_renew", crl_renew_s, "1d", 1 * MINUTE, 180 * DAY,
	"How often a complete list becomes the one that deltas refer to, and one is made when nothing was revoked; well below"
	" crl_validity. The expired leave the second one after their end."),
    DURATION("pki", "delta_validity", delta_validity_s, "1d", 10 * MINUTE, 180 * DAY,
	"How long a delta (what was revoked since) is valid, at most crl_validity; one is made at each revocation, and after half"
	" of this."),
    DURATION("pki", "crl_max_age", crl_max_age_s, "1s", 1, DAY,
	"How long a cache or CDN may keep a revocation list without asking; what is revoked shows there so much later."),

    DURATION("ocsp", "validity", ocsp_validity_s, "1h", MINUTE, 3 * DAY,
	"How long an OCSP answer is good for whoever has kept it, after a revocation, too."),
    DURATION("ocsp", "max_age", ocsp_max_age_s, "1m", 1, 3 * DAY,
	"How long HTTP caches on the way (a CDN) may give out an answer before they ask again."),
    INTEGER("ocsp", "cache", ocsp_cache, "10000", 16, 10000000,
	"Answers kept in memory, about 1 kB each; those that are asked for again and again stay."),
    INTEGER("ocsp", "certificates", ocsp_certificates, "16", 1, 64,
	"Certificates in one request; more are refused as malformed."),

    TEXT("broker", "listen", broker_listen, "127.0.0.1:8883",
	"Where the MQTT broker listens, for the configuration that `muster broker config` prints."),
    TEXT("broker", "connect", broker_connect, "",
	"ADDRESS:PORT at which Muster itself connects to the broker, to tell devices to rekey. Empty: where it listens."),
    TEXT("broker", "public_host", broker_public_host, "localhost:8883",
	"How devices reach the broker; written into each package's device.json."),
    CHOICE("broker", "mode", broker_mode, "plugin", "plugin|acl-file",
	"How the broker learns what devices may do: by its plugin, which follows the API, or from a file that Muster writes."),
    TEXT("broker", "pid_file", broker_pid_file, "",
	"The broker's pid file; after a change the broker gets a SIGHUP (in acl-file mode). Empty: nobody is signalled."),
    TEXT("broker", "group", broker_group, "",
	"The group that may read broker/, usually mosquitto. Empty: the server's own."),

    INTEGER("broker", "refusals_per_min", broker_refusals_per_min, "0", 0, 1000000,
	"A device that asks brokers more often in a minute for what its policy does not give is suspended; 0: never."),

    INTEGER("limits", "body_bytes", body_bytes, "65536", 1024, 16777216, "Largest request body."),
    INTEGER("limits", "header_bytes", header_bytes, "16384", 1024, 65536,
	"Largest request line and headers together."),
    INTEGER("limits", "connections", connections, "10000", 16, 1000000, "Open connections in all."),
    INTEGER("limits", "connections_per_client", connections_per_client, "2000", 0, 1000000,
	"Open connections of one address (IPv6: of one /64); one more takes an idle one's place, if any. 0: no limit."),
    DURATION("limits", "idle_timeout", idle_timeout_s, "60s", 1, HOUR,
	"A connection without a request is closed after this."),
    DURATION("limits", "request_timeout", request_timeout_s, "30s", 1, HOUR,
	"A request must have arrived whole, and its answer left, within this."),
    INTEGER("limits", "queue", queue, "4096", 16, 1000000,
	"Requests waiting for a worker; more are answered 503."),
    RATE("requests_per_min", REQUESTS, ADDRESS, "0",
	"Requests of known callers from one address (IPv6: one /64) in a minute; never of brokers, or what revokes. 0: no limit."),
    RATE("requests_operator_per_min", REQUESTS, OPERATOR, "0", "The same by one operator, however it calls; 0: no limit."),
    RATE("requests_tenant_per_min", REQUESTS, TENANT, "0", "The same by all of one tenant; 0: no limit."),
    RATE("requests_token_per_min", REQUESTS, TOKEN, "0",
	"The same with one enrolment token, or one manufacturer's certificate; 0: no limit."),
    RATE("requests_device_per_min", REQUESTS, DEVICE, "600",
	"The same by one device with its certificate, so that one that has gone mad is alone with that; 0: no limit."),
    RATE("requests_all_per_min", REQUESTS, ALL, "0", "The same by all together; 0: no limit."),
    RATE("register_per_min", REGISTER, ADDRESS, "0",
	"Registrations, enrolments and renewals from one address in a minute (the Unix socket is one, too); 0: no limit."),
    RATE("register_operator_per_min", REGISTER, OPERATOR, "0", "The same by one operator, its jobs too; 0: no limit."),
    RATE("register_tenant_per_min", REGISTER, TENANT, "0", "The same for all of one tenant; 0: no limit."),
    RATE("register_token_per_min", REGISTER, TOKEN, "0",
	"The same with one enrolment token, or one manufacturer's certificate; 0: no limit."),
    RATE("register_device_per_min", REGISTER, DEVICE, "0", "Renewals by one device; 0: no limit."),
    RATE("register_all_per_min", REGISTER, ALL, "0", "The same in all; 0: no limit."),
    RATE("auth_failures_per_min", AUTH_FAILURES, ADDRESS, "60",
	"Failed authentications and unknown links from one address in a minute before 429; 0: no limit."),
    RATE("auth_failures_all_per_min", AUTH_FAILURES, ALL, "6000",
	"The same from all addresses together; revocations, and what comes over the Unix socket, go on. 0: no limit."),
    RATE("links_per_min", LINKS, ADDRESS, "600",
	"One-time links looked at or redeemed from one address in a minute; 0: no limit."),
    RATE("links_all_per_min", LINKS, ALL, "6000", "The same from all addresses together; 0: no limit."),
    RATE("ocsp_per_min", OCSP, ADDRESS, "6000",
	"OCSP answers signed for one address in a minute; those that are in memory do not count. 0: no limit."),
    RATE("ocsp_all_per_min", OCSP, ALL, "0", "The same from all addresses together; 0: no limit."),

    CHOICE("log", "format", log_format, "auto", "auto|text|json|journal",
	"How the log's lines look; auto: fields for systemd's journal if standard error goes there, else text."),
    SWITCH("log", "requests", log_requests, "off",
	"A line for each request that was answered: method, route, status, duration, caller, address."),

    DURATION("feed", "keep", feed_keep_s, "1d", 1, 365 * DAY,
	"How long a broker may be away and still catch up by changes; after that it takes a snapshot."),
    INTEGER("feed", "keep_changes", feed_keep_changes, "100000", 1, 100000000,
	"So many of the latest changes are kept, however old they are."),

    DURATION("audit", "checkpoint", audit_checkpoint_s, "1m", 1, DAY,
	"How long after an audit row the signer signs a checkpoint, behind which nobody can change or cut the trail unnoticed."),
    INTEGER("audit", "checkpoint_rows", audit_checkpoint_rows, "1000", 1, 1000000,
	"After so many rows it does so at once."),

    DURATION("registry", "archive_after", registry_archive_after_s, "365d", 0, 10LL * 365 * DAY,
	"How long after its revocation a device leaves the lists for the archive, where it is still found by its id. 0: never."),

    DURATION("rotation", "overlap", rotation_overlap_s, "24h", 0, 365 * DAY,
	"How long a renewed certificate and its successor are both good, unless the successor was seen at a broker before."),
    INTEGER("rotation", "per_second", rotation_per_s, "50", 1, 10000,
	"How many devices are told to rekey in a second; each then asks for a new certificate."),

    INTEGER("jobs", "threads", jobs_threads, "32", 1, 256,
	"Threads that make what jobs (bulk imports) order, beside the workers; most of their time goes into waiting for the disk."),
    DURATION("jobs", "keep", jobs_keep_s, "7d", 60, 365 * DAY,
	"How long a job and its rows' results can be asked for when it is over, or has not been started."),

    TEXT("metrics", "listen", metrics_listen, "",
	"Address and port of plain HTTP that shows /metrics, and nothing else, to whoever reaches it, such as 127.0.0.1:9464. "
	"Empty: /metrics is for the API's admins and auditors alone."),

    INTEGER("keypool", "rsa_2048", keypool_rsa_2048, "32", 0, 1024,
	"RSA-2048 keys kept ready, made while the machine is idle."),
};
#define N_KEYS (sizeof keys / sizeof keys[0])

void
settings_defaults(struct settings *out)
{
	memset(out, 0, sizeof *out);
	conf_defaults(keys, N_KEYS, out);
}

void
settings_print(struct buf *out, const struct settings *settings)
{
	conf_print(out, keys, N_KEYS, settings);
}

/* Sections of profiles are checked by profiles_parse; any other unknown section is a mistake. */
static int
other_section(void *ctx, const char *section, const char *name, const char *value, struct err *err)
{
	(void)ctx;
	(void)name;
	(void)value;
	if (strncmp(section, "profile ", 8) == 0)
		return 0;
	return err_field(err, E_INPUT, section, "no such section");
}

static int
listen_check(const char *field, const char *listen, struct err *err)
{
	char host[64];
	uint16_t port;
	int rc;

	if ((rc = settings_split_listen(listen, host, &port, err)) != 0)
		(void)text_copy(err->field, sizeof err->field, field);
	return rc;
}

static int
url_check(const char *field, const char *url, const char *scheme, struct err *err)
{
	size_t len = strlen(url), i;

	if (strncmp(url, scheme, strlen(scheme)) != 0 || len <= strlen(scheme))
		return err_field(err, E_INPUT, field, "must begin with %s", scheme);
	if (url[len - 1] == '/')
		return err_field(err, E_INPUT, field, "must not end with a slash");
	for (i = 0; i < len; i++)
		if (url[i] <= ' ' || url[i] > '~' || strchr("\"<>\\^`{|}?#", url[i]) != NULL)
			return err_field(err, E_INPUT, field, "must be a plain URL");
	return 0;
}

static int
proxies_read(struct settings *s, struct err *err)
{
	int rc = address_ranges_parse(s->api_trusted_proxies, s->trusted_proxies, SETTINGS_PROXIES_MAX,
	    &s->n_trusted_proxies, err);

	if (rc != 0)
		(void)text_copy(err->field, sizeof err->field, "api.trusted_proxies");
	return rc;
}

/* What a single key's type cannot say. */
static int
settings_check(struct settings *s, struct err *err)
{
	int rc;

	if ((rc = listen_check("api.listen", s->api_listen, err)) != 0 ||
	    (rc = listen_check("pki.listen", s->pki_listen, err)) != 0 ||
	    (s->metrics_listen[0] != '\0' && (rc = listen_check("metrics.listen", s->metrics_listen, err)) != 0) ||
	    (rc = listen_check("broker.listen", s->broker_listen, err)) != 0 ||
	    (s->broker_connect[0] != '\0' && (rc = listen_check("broker.connect", s->broker_connect, err)) != 0) ||
	    (rc = proxies_read(s, err)) != 0 ||
	    (rc = url_check("api.public_url", s->api_public_url, "https://", err)) != 0 ||
	    (rc = url_check("pki.public_url", s->pki_public_url, "http://", err)) != 0)
		return rc;
	if (s->crl_renew_s * 2 > s->crl_validity_s)
		return err_field(err, E_INPUT, "pki.crl_renew",
		    "must be at most half of crl_validity, or a short outage locks every device out");
	return 0;
}

int
settings_text(const char *dir, struct buf *out, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, "muster.conf", err)) != 0)
		return rc;
	if ((rc = fs_read(path, CONF_FILE_MAX, out, err)) == E_NOTFOUND)
		rc = err_set(err, E_NOTFOUND,
		    "no Muster home in %s: make one with `muster --dir %s init`", dir, dir);
	return rc;
}

int
settings_parse(const struct buf *text, struct settings *out, struct err *err)
{
	struct settings settings;
	struct profiles profiles;
	int rc;

	settings_defaults(&settings);
	if (strlen(buf_str(text)) != text->len)
		rc = err_set(err, E_INPUT, "there is a NUL byte in it");
	else if ((rc = conf_parse(buf_str(text), keys, N_KEYS, &settings, other_section, NULL, err)) == 0 &&
	    (rc = settings_check(&settings, err)) == 0 &&
	    (rc = profiles_parse(buf_str(text), &profiles, err)) == 0)
		*out = settings;
	return rc == 0 ? 0 : err_prefix(err, "muster.conf");
}

int
settings_load(const char *dir, struct settings *out, struct err *err)
{
	struct buf text = {0};
	int rc;

	if ((rc = settings_text(dir, &text, err)) == 0 && (rc = settings_parse(&text, out, err)) != 0)
		(void)err_prefix(err, "%s", dir);
	buf_clear(&text);
	return rc;
}

/* What the program is built on when it starts: sockets, threads, users, sandbox. */
static const char *const at_start[] = {"server.sandbox", "server.workers", "api.listen", "api.trusted_proxies",
    "api.threads", "pki.listen", "broker.mode", "broker.group", "limits.connections", "limits.connections_per_client",
    "limits.queue", "jobs.threads", "metrics.listen", "keypool.rsa_2048", "log.format"};

static bool
is_at_start(const struct conf_key *key)
{
	char name[2 * ERR_FIELD_MAX];
	size_t i;

	(void)snprintf(name, sizeof name, "%s.%s", key->section, key->name);
	for (i = 0; i < sizeof at_start / sizeof at_start[0]; i++)
		if (strcmp(name, at_start[i]) == 0)
			return true;
	return false;
}

static size_t
field_size(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_TEXT:
	case CONF_CHOICE:
		return CONF_TEXT_SIZE;
	case CONF_SWITCH:
		return sizeof(bool);
	default:
		return sizeof(int64_t);
	}
}

static bool
fields_equal(const struct conf_key *key, const uint8_t *a, const uint8_t *b)
{
	if (key->type == CONF_TEXT || key->type == CONF_CHOICE)
		return strcmp((const char *)a, (const char *)b) == 0;
	return memcmp(a, b, field_size(key)) == 0;
}

void
settings_keep(const struct settings *old, struct settings *new, struct buf *names)
{
	size_t i;

	for (i = 0; i < N_KEYS; i++) {
		const uint8_t *from = (const uint8_t *)old + keys[i].offset;
		uint8_t *to = (uint8_t *)new + keys[i].offset;

		if (!is_at_start(&keys[i]) || fields_equal(&keys[i], from, to))
			continue;
		buf_printf(names, "%s%s.%s", names->len > 0 ? ", " : "", keys[i].section, keys[i].name);
		memcpy(to, from, field_size(&keys[i]));
	}
	memcpy(new->trusted_proxies, old->trusted_proxies, sizeof new->trusted_proxies);
	new->n_trusted_proxies = old->n_trusted_proxies;
}

void
settings_host(char *out, size_t size, const char *url_or_address)
{
	const char *p = strstr(url_or_address, "://");

	p = p != NULL ? p + 3 : url_or_address;
	if (*p == '[')
		(void)snprintf(out, size, "%.*s", (int)strcspn(p + 1, "]"), p + 1);
	else
		(void)snprintf(out, size, "%.*s", (int)strcspn(p, ":/"), p);
}

int
settings_split_listen(const char *listen, char host_out[64], uint16_t *port_out, struct err *err)
{
	const char *colon = strrchr(listen, ':');
	const char *host = listen;
	size_t host_len;
	int64_t port;

	if (colon == NULL || !integer_parse(colon + 1, 0, 65535, &port))
		return err_set(err, E_INPUT, "must be ADDRESS:PORT, not %s", listen);
	host_len = (size_t)(colon - listen);
	if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
		host++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len >= 64)
		return err_set(err, E_INPUT, "must be ADDRESS:PORT, not %s", listen);
	memcpy(host_out, host, host_len);
	host_out[host_len] = '\0';
	*port_out = (uint16_t)port;
	return 0;
}
