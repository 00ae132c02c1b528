/* One table of lines. Mosquitto hands over names without their plugin_opt_, and takes none of fewer
 * than three letters. */
#include "plugin/options.h"

#include "base/fs.h"
#include "base/text.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTION "plugin_opt"
#define N_KEYS (sizeof keys / sizeof keys[0])

enum need { SET, A_URL, A_FILE, A_PLACE };

static const struct conf_key keys[] = {
#define AT(field) offsetof(struct options, field)
    {SECTION, "url", CONF_TEXT, AT(url), "", "", 0, 0, NULL},
    {SECTION, "cafile", CONF_TEXT, AT(cafile), "", "", 0, 0, NULL},
    {SECTION, "certfile", CONF_TEXT, AT(certfile), "", "", 0, 0, NULL},
    {SECTION, "keyfile", CONF_TEXT, AT(keyfile), "", "", 0, 0, NULL},
    {SECTION, "snapshot", CONF_TEXT, AT(snapshot), "", "", 0, 0, NULL},
    {SECTION, "max_stale", CONF_DURATION, AT(max_stale), "24h", "", 60, 90 * 86400, NULL},
    {SECTION, "reports", CONF_INTEGER, AT(reports), "10000", "", 16, 1000000, NULL},
#undef AT
};

static const enum need needs[N_KEYS] = {A_URL, A_FILE, A_FILE, A_FILE, A_PLACE, SET, SET};

static int
complain(const struct conf_key *key, struct err *err, const char *what)
{
	return err_field(err, E_INPUT, key->name, "plugin_opt_%s %s", key->name, what);
}

static int
url_check(const struct conf_key *key, const char *url, struct err *err)
{
	const char *host = url + strlen("https://");

	if (strncmp(url, "https://", strlen("https://")) != 0 || *host == '\0' ||
	    strpbrk(host, "/?#@ \\") != NULL)
		return complain(key, err, "is https://HOST:PORT, nothing behind it");
	return 0;
}

/* Can a file be made where PATH is, and renamed to it? */
static int
place_check(const struct conf_key *key, const char *path, struct err *err)
{
	char folder[CONF_TEXT_SIZE];
	char *slash;

	(void)text_copy(folder, sizeof folder, path);
	if ((slash = strrchr(folder, '/')) == NULL || slash[1] == '\0')
		return complain(key, err, "is the whole path of a file");
	slash[slash == folder] = '\0';
	if (access(folder, R_OK | W_OK | X_OK) != 0)
		return err_field(err, E_INPUT, key->name,
		    "plugin_opt_%s: the broker's user cannot make files in %.200s", key->name,
		    folder);
	return 0;
}

static int
value_check(const struct conf_key *key, enum need need, const struct options *o, struct err *err)
{
	const char *value = (const char *)o + key->offset;

	if (need == SET)
		return 0;
	if (*value == '\0')
		return complain(key, err, "is missing");
	if (need == A_URL)
		return url_check(key, value, err);
	if (value[0] != '/')
		return complain(key, err, "must be a whole path, for the broker starts anywhere");
	if (need == A_PLACE)
		return place_check(key, value, err);
	return access(value, R_OK) == 0
		   ? 0
		   : err_field(err, E_INPUT, key->name,
			 "plugin_opt_%s: the broker's user cannot read %.200s", key->name, value);
}

static int
option_set(struct options *o, unsigned *had, const struct mosquitto_opt *opt, struct err *err)
{
	size_t i;
	int rc;

	for (i = 0; i < N_KEYS && strcmp(opt->key, keys[i].name) != 0; i++)
		continue;
	if (i == N_KEYS)
		return err_field(err, E_INPUT, opt->key,
		    "plugin_opt_%.64s is not one of the plugin's", opt->key);
	if ((*had & 1u << i) != 0)
		return complain(&keys[i], err, "is there twice");
	*had |= 1u << i;
	if (opt->value == NULL)
		return complain(&keys[i], err, "has no value");
	if ((rc = conf_set(&keys[i], o, opt->value, err)) != 0)
		return err_prefix(err, "plugin_opt_%s", keys[i].name);
	return rc;
}

int
options_read(struct options *out, const struct mosquitto_opt *opts, int n_opts, struct err *err)
{
	struct options o;
	unsigned had = 0;
	size_t k;
	int i, rc;

	memset(&o, 0, sizeof o);
	conf_defaults(keys, N_KEYS, &o);
	for (i = 0; i < n_opts; i++)
		if ((rc = option_set(&o, &had, &opts[i], err)) != 0)
			return rc;
	for (k = 0; k < N_KEYS; k++)
		if ((rc = value_check(&keys[k], needs[k], &o, err)) != 0)
			return rc;
	*out = o;
	return 0;
}
