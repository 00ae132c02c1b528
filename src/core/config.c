/* Readers take the pointer once and never wait. Old ones are kept: SIGHUPs that change something
 * are few, and there is no moment at which nobody reads. */
#include "core/config.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/handover.h"
#include "core/core.h"
#include "core/ocsp.h"
#include "core/publisher.h"
#include "core/limits.h"

#include <stdlib.h>
#include <string.h>

#define FRESH_MS 2000

static int
text_read(const struct core *core, struct buf *text, struct err *err)
{
	if (core->conf_fd >= 0)
		return handover_read(core->conf_fd, CONF_FILE_MAX, text, err);
	return settings_text(core->dir, text, err);
}

static int
issuers_init(const struct core *core, struct config *config, struct err *err)
{
	const char *url = config->settings.pki_public_url;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < core->issuers.n; i++)
		rc = cert_issuer_init(i == 0 ? &config->issuer : &config->retired[i - 1], core->issuers.all[i].der.data,
		    core->issuers.all[i].der.len, url, err);
	config->n_retired = core->issuers.n - 1;
	return rc;
}

int
config_issuer_index(const struct config *config, const char *key_id_hex)
{
	size_t i;

	if (strcmp(key_id_hex, "issuing") == 0)
		return 0;
	for (i = 0; i <= config->n_retired; i++)
		if (strcmp(key_id_hex, config_issuer_at(config, i)->key_id_hex) == 0)
			return (int)i;
	return -1;
}

/* CONFIG_OUT is the caller's. */
static int
config_make(
    const struct core *core, const struct buf *text, struct config **config_out, struct err *err)
{
	struct config *config = calloc(1, sizeof *config);
	int rc;

	if (config == NULL)
		return err_nomem(err);
	sha256(config->digest, text->data, text->len);
	if ((rc = settings_parse(text, &config->settings, err)) == 0 &&
	    (rc = profiles_parse(buf_str(text), &config->profiles, err)) == 0 &&
	    (rc = issuers_init(core, config, err)) == 0)
		*config_out = config;
	else
		free(config);
	return rc;
}

int
config_open(struct core *core, struct err *err)
{
	struct config *config = NULL;
	struct buf text = {0};
	int rc;

	if ((rc = text_read(core, &text, err)) == 0 &&
	    (rc = config_make(core, &text, &config, err)) == 0)
		atomic_store(&core->config, config);
	buf_clear(&text);
	return rc;
}

/* Tell those who keep a copy. */
static void
apply(struct core *core, const struct config *old, const struct config *new)
{
	const struct settings *s = &new->settings;

	limits_set(core);
	ocsp_configure(core);
	if (s->crl_validity_s != old->settings.crl_validity_s ||
	    s->crl_renew_s != old->settings.crl_renew_s ||
	    s->delta_validity_s != old->settings.delta_validity_s ||
	    strcmp(s->pki_public_url, old->settings.pki_public_url) != 0)
		publisher_wake(core->publisher, PUBLISH_CRL);
}

int
config_reload(struct core *core, bool *changed_out, struct err *err)
{
	struct config *old = atomic_load(&core->config), *new = NULL;
	struct buf text = {0}, kept = {0};
	bool changed;
	int rc;

	if ((rc = text_read(core, &text, err)) != 0 ||
	    (rc = config_make(core, &text, &new, err)) != 0)
		goto out;
	if ((changed = !secret_equal(new->digest, old->digest, SHA256_LEN))) {
		settings_keep(&old->settings, &new->settings, &kept);
		if (kept.len > 0)
			log_warn("takes effect when `muster serve` is started again: %s",
			    buf_str(&kept));
		new->since_ms = clock_mono_ms();
		new->before = old;
		atomic_store(&core->config, new);
		apply(core, old, new);
		new = NULL;
	}
	*changed_out = changed;
out:
	free(new);
	buf_clear(&kept);
	buf_clear(&text);
	return rc;
}

bool
config_is_fresh(const struct core *core)
{
	int64_t since_ms = core_config(core)->since_ms;

	return since_ms > 0 && clock_mono_ms() - since_ms < FRESH_MS;
}

void
config_close(struct core *core)
{
	struct config *config = atomic_load(&core->config), *before;

	for (; config != NULL; config = before) {
		before = config->before;
		free(config);
	}
}
