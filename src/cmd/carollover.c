/* `muster ca rollover`: another issuing CA under the same root. Local, on files alone, with the server stopped: the root's
 * key is needed for a moment, and the running signer has its keys in memory.
 *
 * Each step leaves a home that works. The old CA is in its slot before it is replaced, and the new key on disk before the
 * certificate that names it, whose rename is the rollover: killed before that, the next one begins anew; killed after, it only
 * finishes, and the signer reads the key where it is meanwhile (signer/authority.c). */
#include "cmd/caroot.h"
#include "cmd/commands.h"
#include "cmd/home.h"
#include "cmd/issuingca.h"
#include "cmd/owners.h"
#include "cmd/print.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/secret.h"
#include "core/audit.h"
#include "core/roots.h"
#include "core/settings.h"
#include "signer/authority.h"
#include "signer/profile.h"
#include "store/issuer.h"
#include "store/store.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (256 * 1024)

enum { OPT_ROOT_KEY = 0x100, OPT_KEY };

struct arguments {
	const char *root_key; /* NULL: CAROOT_KEY */
	enum key_kind kind;
	bool has_kind;
};

struct rollover {
	const char *dir;
	const struct arguments *arguments;
	int64_t now;
	int lock;
	struct settings settings;
	struct profiles profiles;
	struct roots roots;
	struct issuers issuers; /* before it */
	struct authority today;
	struct key *root_key, *key;
	struct buf der; /* the new one */
	struct cert_issuer issuer;
	bool only_finished; /* one that had been cut short */
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_ROOT_KEY:
		a->root_key = arg;
		return 0;
	case OPT_KEY:
		if (!issuingca_kind_parse(arg, &a->kind))
			argp_error(state, "--key must be " ISSUINGCA_KINDS);
		a->has_kind = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
    {"root-key", OPT_ROOT_KEY, "FILE", 0, "The root's key, where it was taken offline (default: the home's)", 0},
    {"key", OPT_KEY, "KIND", 0, "ec-p256, ec-p384 or rsa-3072 (default: as the present one's)", 0}, {0}};

static const struct argp argp = {options, parse, "",
    "Replace the issuing CA by a new one under the same root. Devices notice nothing: they trust the root."
    "\vNew certificates come from the new CA. The old one stays until it ends: its certificates are good as before, and its "
    "revocation list and OCSP answers go on. At most seven old ones are kept.\n\n"
    "The server must be stopped, and the root's key be there for a moment. Afterwards start the server again, have "
    "brokers read their files again (a reload is enough), and make a backup. One that is cut short is finished by the "
    "next.\n\n"
    "Examples:\n\n"
    "  muster ca rollover\n"
    "  muster ca rollover --root-key /media/safe/root.key\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int
root_open(struct rollover *r, struct err *err)
{
	int rc = roots_read(r->dir, &r->roots, err);

	return rc == 0 ? caroot_key_open(r->dir, r->arguments->root_key, &r->root_key, err) : rc;
}

static int
all_open(struct rollover *r, struct err *err)
{
	struct issuer_file today = {0};
	int rc;

	if ((rc = settings_load(r->dir, &r->settings, err)) != 0)
		return rc;
	if ((rc = home_lock_stopped(r->dir, &r->lock, err)) != 0 || (rc = home_profiles(r->dir, &r->profiles, err)) != 0 ||
	    (rc = issuers_read(r->dir, r->now, &r->issuers, err)) != 0)
		return rc;
	buf_append(&today.der, r->issuers.all[0].der.data, r->issuers.all[0].der.len);
	if (buf_failed(&today.der)) {
		buf_clear(&today.der);
		return err_nomem(err);
	}
	return authority_open(r->dir, &today, r->settings.pki_public_url, &r->today, err);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* The certificate or key of a slot. */
static int
cert_put(struct rollover *r, int slot, const struct buf *der, struct err *err)
{
	char name[ISSUERS_NAME_SIZE];

	issuers_cert_name(name, slot);
	return home_put_cert(r->dir, name, der, err);
}

static int
key_put(struct rollover *r, int slot, const struct key *key, struct err *err)
{
	char name[ISSUERS_NAME_SIZE];

	issuers_key_name(name, slot);
	return home_put_key(r->dir, name, key, err);
}

/* A slot that no CA is in whose certificates may still be in use. */
static int
slot_find(const struct rollover *r, int *slot_out, struct err *err)
{
	size_t i;
	int slot;

	for (slot = 1; slot <= ISSUERS_RETIRED_MAX; slot++) {
		for (i = 1; i < r->issuers.n && r->issuers.all[i].slot != slot; i++)
			continue;
		if (i == r->issuers.n) {
			*slot_out = slot;
			return 0;
		}
	}
	return err_set(err, E_LIMIT, "%d old issuing CAs have not ended yet: there is no room for another",
	    ISSUERS_RETIRED_MAX);
}

static int
audit(struct rollover *r, struct err *err)
{
	struct caller caller;
	char path[FS_PATH_MAX];
	struct store *store = NULL;
	struct store_tx *tx = NULL;
	int64_t number;
	int rc;

	home_caller(&caller);
	if ((rc = fs_path(path, r->dir, "muster.db", err)) == 0 && (rc = store_open(path, &store, err)) == 0 &&
	    (rc = store_begin(store, &tx, err)) == 0 &&
	    (rc = store_issuer_enter(tx, r->today.issuer.key_id_hex, &number, err)) == 0 &&
	    (rc = store_issuer_enter(tx, r->issuer.key_id_hex, &number, err)) == 0 &&
	    (rc = audit_write(tx, &caller, r->now, "ca.rollover", "ca", r->issuer.key_id_hex, err, "{\"before\":\"%s\"}",
		 r->today.issuer.key_id_hex)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	store_close(store);
	return rc;
}

static int
new_make(struct rollover *r, struct err *err)
{
	const struct profile *profile = profile_find(&r->profiles, PROFILE_DEFAULT);
	const struct issuingca wanted = {.kind = r->arguments->has_kind ? r->arguments->kind : r->today.issuer.kind,
	    .org = profile->org, .country = profile->country, .now = r->now, .root_der = &r->roots.ders[0],
	    .root_key = r->root_key};
	int rc;

	if ((rc = issuingca_make(&wanted, &r->key, &r->der, err)) != 0)
		return rc;
	return cert_issuer_init(&r->issuer, r->der.data, r->der.len, r->settings.pki_public_url, err);
}

/* Was one killed when the new CA's certificate was in its place, but its key not, or not only there? */
static bool
is_cut_short(const struct rollover *r)
{
	struct key *key = NULL;
	char path[FS_PATH_MAX];
	bool is_todays;

	is_todays = fs_path(path, r->dir, ISSUERS_NEXT_KEY, NULL) == 0 &&
		    authority_key_read(path, &r->today.issuer, &key, &(struct err){0}) == 0;
	key_free(key);
	return is_todays;
}

/* Its certificate is in its place; its key is in next.key and, as KEY, here. */
static int
finish(struct rollover *r, const struct key *key, struct err *err)
{
	int rc;

	if ((rc = key_put(r, 0, key, err)) != 0)
		return rc;
	KILLPOINT(50, "rollover: the new CA's key in its place, and in next.key, too");
	if ((rc = home_remove(r->dir, ISSUERS_NEXT_KEY, err)) != 0)
		return rc;
	return owners_give(r->dir, r->settings.broker_group, err);
}

static int
roll_over(struct rollover *r, struct err *err)
{
	int rc, slot = 0;

	if ((rc = root_open(r, err)) != 0 || (rc = slot_find(r, &slot, err)) != 0 || (rc = new_make(r, err)) != 0 ||
	    (rc = key_put(r, slot, r->today.key, err)) != 0 || (rc = cert_put(r, slot, &r->today.der, err)) != 0)
		return rc;
	KILLPOINT(46, "rollover: today's CA stands among the retired, too");
	if ((rc = home_put_broker_trust(r->dir, &r->roots.pem, &r->der, &r->issuers, err)) != 0)
		return rc;
	KILLPOINT(47, "rollover: brokers trust a CA that there is not yet");
	if ((rc = home_put_key(r->dir, ISSUERS_NEXT_KEY, r->key, err)) != 0 || (rc = audit(r, err)) != 0)
		return rc;
	KILLPOINT(48, "rollover: audited, and nothing of it is in use");
	if ((rc = cert_put(r, 0, &r->der, err)) != 0)
		return rc;
	KILLPOINT(49, "rollover: the new CA's certificate in its place, its key in next.key");
	return finish(r, r->key, err);
}

static int
run(struct rollover *r, struct err *err)
{
	int rc;

	if ((rc = all_open(r, err)) != 0)
		return rc;
	if (!(r->only_finished = is_cut_short(r)))
		return roll_over(r, err);
	r->issuer = r->today.issuer;
	return finish(r, r->today.key, err);
}

static void
print_done(const struct cli *cli, const struct rollover *r)
{
	char end[CLOCK_TEXT_MAX];
	json_t *object;

	clock_text(end, r->issuer.not_after);
	if (cli->json) {
		object = json_pack("{s:s, s:s, s:b}", "key_id", r->issuer.key_id_hex, "not_after", end, "only_finished",
		    r->only_finished);
		print_json(object);
		json_decref(object);
		return;
	}
	(void)printf("The issuing CA is now %s, until %s.\n", r->issuer.key_id_hex, end);
	if (r->only_finished)
		(void)printf("That rollover had been cut short; it is complete now.\n");
	else
		(void)printf("The one before, %s, goes on until it ends.\n", r->today.issuer.key_id_hex);
	(void)printf("\nNext:\n\n"
		     "  start the server again\n"
		     "  have brokers read their files again (systemctl reload mosquitto)\n"
		     "  back up the home, with its keys: earlier backups lack the new CA's\n");
}

static void
rollover_clear(struct rollover *r)
{
	issuers_clear(&r->issuers);
	authority_clear(&r->today);
	key_free(r->root_key);
	key_free(r->key);
	roots_clear(&r->roots);
	buf_clear(&r->der);
	if (r->lock >= 0)
		(void)close(r->lock);
}

int
cmd_ca_rollover(struct cli *cli, int argc, char **argv)
{
	static struct rollover rollover; /* large */
	struct arguments a = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	rollover.dir = cli->dir;
	rollover.arguments = &a;
	rollover.now = clock_now();
	rollover.lock = -1;
	if ((rc = secret_heap_open(SECRET_HEAP_BYTES, &err)) == 0)
		rc = run(&rollover, &err);
	if (rc == 0)
		print_done(cli, &rollover);
	rollover_clear(&rollover);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
