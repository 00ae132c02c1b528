/* muster.conf as a typed struct. The table in settings.c is the only list of keys, defaults and help. */
#ifndef MUSTER_CORE_SETTINGS_H
#define MUSTER_CORE_SETTINGS_H

#include "base/address.h"
#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "core/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_PROXIES_MAX 32

struct settings {
	bool sandbox; /* [server] */
	int64_t workers;

	char api_listen[CONF_TEXT_SIZE]; /* [api] ADDRESS:PORT */
	char api_public_url[CONF_TEXT_SIZE]; /* without a slash at its end */
	char api_trusted_proxies[CONF_TEXT_SIZE];
	int64_t api_threads;

	char pki_listen[CONF_TEXT_SIZE]; /* [pki] */
	char pki_public_url[CONF_TEXT_SIZE];
	int64_t crl_validity_s; /* nextUpdate - thisUpdate */
	int64_t crl_renew_s;	/* a new base for deltas this long after the last */
	int64_t delta_validity_s;
	int64_t crl_max_age_s; /* how long caches may keep a list without asking */

	int64_t ocsp_validity_s; /* [ocsp] nextUpdate - thisUpdate */
	int64_t ocsp_max_age_s;	 /* for HTTP caches */
	int64_t ocsp_cache;	 /* answers kept */
	int64_t ocsp_certificates; /* in one request */

	char broker_listen[CONF_TEXT_SIZE]; /* [broker] */
	char broker_public_host[CONF_TEXT_SIZE];
	char broker_mode[CONF_TEXT_SIZE];
	char broker_pid_file[CONF_TEXT_SIZE]; /* "" : nobody is signalled */
	char broker_connect[CONF_TEXT_SIZE];  /* "": broker_listen */
	char broker_group[CONF_TEXT_SIZE];    /* may read broker/; "" leaves the group alone */
	int64_t broker_refusals_per_min;      /* denials of one device, before it is suspended; 0: never */

	int64_t body_bytes; /* [limits] */
	int64_t header_bytes;
	int64_t connections, connections_per_client;
	int64_t idle_timeout_s, request_timeout_s;
	int64_t queue;
	struct ratelimit_rates limits[LIMITS]; /* a minute */

	char log_format[CONF_TEXT_SIZE]; /* [log] */
	bool log_requests;

	int64_t feed_keep_s, feed_keep_changes; /* [feed] */
	int64_t audit_checkpoint_s, audit_checkpoint_rows; /* [audit] */
	int64_t registry_archive_after_s; /* [registry]; 0: never */
	int64_t rotation_overlap_s; /* [rotation] */
	int64_t rotation_per_s;

	int64_t jobs_threads, jobs_keep_s; /* [jobs] */

	char metrics_listen[CONF_TEXT_SIZE]; /* [metrics]; "": nowhere */

	int64_t keypool_rsa_2048; /* [keypool] */

	struct address_range trusted_proxies[SETTINGS_PROXIES_MAX]; /* api_trusted_proxies, read */
	size_t n_trusted_proxies;
};

/* Read DIR/muster.conf, whole and checked, profiles' sections too. E_NOTFOUND (no home there: says to run
 * `muster init`), E_INPUT (err.field is "section.key"). */
MUST_CHECK int settings_load(const char *dir, struct settings *out, struct err *err);

/* The two halves of that. */
MUST_CHECK int settings_text(const char *dir, struct buf *out, struct err *err);
MUST_CHECK int settings_parse(const struct buf *text, struct settings *out, struct err *err);

/* Of NEW, which takes OLD's place in a running server, give back what only a start can change, and append those keys'
 * names ("api.listen, api.threads"). */
void settings_keep(const struct settings *old, struct settings *new, struct buf *names);

void settings_defaults(struct settings *out);

/* Append the commented file, without profiles. */
void settings_print(struct buf *out, const struct settings *settings);

/* The host of "https://HOST:PORT/…" or "HOST:PORT", brackets off, into OUT; cut if it does not fit. */
void settings_host(char *out, size_t size, const char *url_or_address);

/* Split "127.0.0.1:8443" or "[::1]:8443". E_INPUT. */
MUST_CHECK int settings_split_listen(
    const char *listen, char host_out[64], uint16_t *port_out, struct err *err);

#endif
