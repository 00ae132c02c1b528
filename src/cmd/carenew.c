/* `muster ca renew`: a new key and certificate for one of the TLS servers. Local, on files alone, with the server
 * stopped: the issuing CA's key is the signer's while it runs. */
#include "cmd/commands.h"
#include "cmd/home.h"
#include "cmd/owners.h"
#include "cmd/serverpair.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/settings.h"
#include "signer/issuers.h"
#include "signer/profile.h"
#include "x509/chain.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (256 * 1024)

struct arguments {
	enum serverpair_which which;
	bool has_which;
	char *hosts; /* cut at its commas; NULL: those of the present certificate */
};

/* What is read from the home, and holds what struct serverpair borrows. */
struct work {
	struct settings settings;
	struct profiles profiles;
	struct cert_issuer issuer;
	struct key *issuing_key;
	struct buf issuing_pem;
	struct signer_log *log;
	struct store *store;
	int lock;
	char names[SERVERPAIR_HOSTS_MAX][CERT_SAN_SIZE];
	const char *hosts[SERVERPAIR_HOSTS_MAX];
	size_t n_hosts;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'H':
		a->hosts = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->has_which || (strcmp(arg, "server") != 0 && strcmp(arg, "broker") != 0))
			argp_error(state, "whose certificate? say server or broker, not %s", arg);
		a->has_which = true;
		a->which = strcmp(arg, "server") == 0 ? SERVERPAIR_API : SERVERPAIR_BROKER;
		return 0;
	case ARGP_KEY_END:
		if (!a->has_which)
			argp_error(state, "whose certificate? say server or broker");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
    {"host", 'H', "NAME[,IP...]", 0, "Names and addresses it is for (default: those of the present certificate)", 0}, {0}};

static const struct argp argp = {options, parse, "server|broker",
    "Make a new key and certificate for the HTTPS API (server: tls/) or for the MQTT broker (broker: broker/)."
    "\vFor a certificate that ends soon or has ended, for a key that is lost or known to others, and for another host "
    "name. It is valid for 825 days, and never longer than the issuing CA. Devices and clients notice nothing: they "
    "trust the root.\n\n"
    "The server must be stopped, for the issuing CA's key is in use while it runs. Afterwards start it again; a broker "
    "reads its new files at a restart. The old certificate is not revoked.\n\n"
    "Examples:\n\n"
    "  muster ca renew server\n"
    "  muster ca renew broker --host mqtt.example.org,192.0.2.7\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static int
hosts_given(struct work *w, char *list, struct err *err)
{
	char *host;

	while ((host = strsep(&list, ",")) != NULL) {
		if (host[0] == '\0')
			continue;
		if (w->n_hosts == SERVERPAIR_HOSTS_MAX)
			return err_field(err, E_INPUT, "--host", "at most %d names", SERVERPAIR_HOSTS_MAX);
		w->hosts[w->n_hosts++] = host;
	}
	return w->n_hosts > 0 ? 0 : err_field(err, E_INPUT, "--host", "names nobody");
}

static int
hosts_of_today(struct work *w, const char *dir, const char *cert, struct err *err)
{
	struct buf pem = {0}, der = {0};
	size_t n = 0, i;
	int rc;

	if ((rc = home_read(dir, cert, CHAIN_PEM_MAX, &pem, err)) == 0 &&
	    (rc = chain_leaf(buf_str(&pem), &der, err)) == 0)
		rc = cert_sans_read(der.data, der.len, w->names, SERVERPAIR_HOSTS_MAX, &n, err);
	buf_clear(&pem);
	buf_clear(&der);
	for (i = 0; rc == 0 && i < n; i++)
		if (strncmp(w->names[i], "URI:", 4) != 0)
			w->hosts[w->n_hosts++] = strchr(w->names[i], ':') + 1;
	if (rc == 0 && w->n_hosts == 0)
		rc = err_set(err, E_NOTFOUND, "it names no host");
	if (rc != 0)
		return err_set(err, E_INPUT, "cannot take the names from %s\nGive them with --host NAME[,IP…].", cert);
	return 0;
}

static int
ca_open(struct work *w, const char *dir, struct err *err)
{
	struct buf der = {0}, key_pem;
	char next[FS_PATH_MAX];
	int rc;

	buf_init_secret(&key_pem);
	if ((rc = fs_path(next, dir, ISSUERS_NEXT_KEY, err)) != 0 ||
	    (rc = home_read_chain(dir, &w->issuing_pem, err)) != 0 ||
	    (rc = chain_leaf(buf_str(&w->issuing_pem), &der, err)) != 0 ||
	    (rc = cert_issuer_init(&w->issuer, der.data, der.len, w->settings.pki_public_url, err)) != 0 ||
	    (rc = home_read(dir, "ca/private/issuing.key", CHAIN_PEM_MAX, &key_pem, err)) != 0 ||
	    (rc = key_from_pem(key_pem.data, key_pem.len, &w->issuing_key, err)) != 0)
		goto out;
	if (!key_is_of(w->issuing_key, w->issuer.spki, w->issuer.spki_len))
		rc = err_set(err, E_CONFLICT, "ca/private/issuing.key is not the key of ca/issuing.crt%s",
		    fs_exists(next) ? "\nA rollover was cut short: run `muster ca rollover`, which finishes it." : "");
out:
	buf_clear(&der);
	buf_clear(&key_pem);
	return rc;
}

static int
records_open(struct work *w, const char *dir, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, "signer.log", err)) != 0 ||
	    (rc = signer_log_open(path, false, &w->log, err)) != 0 ||
	    (rc = fs_path(path, dir, "muster.db", err)) != 0)
		return rc;
	return store_open(path, &w->store, err);
}

static void
work_close(struct work *w)
{
	store_close(w->store);
	signer_log_close(w->log);
	key_free(w->issuing_key);
	buf_clear(&w->issuing_pem);
	if (w->lock >= 0)
		(void)close(w->lock);
}

static int
renew(const char *dir, struct arguments *a, struct work *w, struct err *err)
{
	struct serverpair pair = {.dir = dir, .hosts = w->hosts, .now = clock_now(), .issuer = &w->issuer,
	    .issuing_pem = &w->issuing_pem};
	const struct profile *profile;
	int rc;

	if ((rc = settings_load(dir, &w->settings, err)) != 0)
		return rc;
	if ((rc = home_lock_stopped(dir, &w->lock, err)) != 0 ||
	    (rc = a->hosts != NULL ? hosts_given(w, a->hosts, err)
				   : hosts_of_today(w, dir, serverpair_cert(a->which), err)) != 0 ||
	    (rc = home_profiles(dir, &w->profiles, err)) != 0 || (rc = ca_open(w, dir, err)) != 0 ||
	    (rc = records_open(w, dir, err)) != 0)
		return rc;
	profile = profile_find(&w->profiles, PROFILE_DEFAULT);
	pair.org = profile->org;
	pair.country = profile->country;
	pair.n_hosts = w->n_hosts;
	pair.issuing_key = w->issuing_key;
	pair.log = w->log;
	pair.store = w->store;
	if ((rc = serverpair_make(&pair, a->which, err)) != 0)
		return rc;
	store_close(w->store); /* its files are to be given away, too */
	w->store = NULL;
	return owners_give(dir, w->settings.broker_group, err);
}

int
cmd_ca_renew(struct cli *cli, int argc, char **argv)
{
	static struct work work; /* large */
	struct arguments a = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	work.lock = -1;
	if ((rc = secret_heap_open(SECRET_HEAP_BYTES, &err)) == 0)
		rc = renew(cli->dir, &a, &work, &err);
	work_close(&work);
	if (rc != 0)
		return cli_fail(cli, &err);
	(void)printf("Made %s and its key. %s\n", serverpair_cert(a.which),
	    a.which == SERVERPAIR_API ? "Start the server again." : "Start the server again, and restart the broker.");
	return CLI_OK;
}
