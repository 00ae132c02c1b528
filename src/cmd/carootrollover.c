/* `muster ca root rollover|retire`: another root beside the one there is, and later without it. Local, on files alone, with the
 * server stopped.
 *
 * The new root's key, signed by the old root, leads whoever trusts the old one alone to what is below the new one; so nothing
 * has to reach all devices at one time. The rename of ca/root.crt is the moment of either command. What comes before is
 * harmless, what comes after is finished by the same command. */
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
#include "base/text.h"
#include "core/audit.h"
#include "core/roots.h"
#include "core/settings.h"
#include "signer/profile.h"
#include "store/certificate.h"
#include "store/issuer.h"
#include "store/store.h"
#include "x509/cacert.h"
#include "x509/chain.h"
#include "x509/pem.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (256 * 1024)
#define DAY 86400
#define BACKDATE_S 60 /* a device's clock may be a little behind */

enum { OPT_ROOT_KEY = 0x100, OPT_KEY, OPT_FORCE };

struct arguments {
	const char *root_key; /* NULL: CAROOT_KEY */
	enum key_kind kind;
	bool has_kind, force;
};

struct change {
	const char *dir;
	const struct arguments *arguments;
	int64_t now;
	int lock;
	struct settings settings;
	struct roots roots; /* before it */
	struct cert_info infos[ROOTS_MAX];
	struct issuers issuers;
	struct store *store;
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
	case OPT_FORCE:
		a->force = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option rollover_options[] = {
    {"root-key", OPT_ROOT_KEY, "FILE", 0, "The present root's key, where it was taken offline (default: the home's)", 0},
    {"key", OPT_KEY, "KIND", 0, "ec-p256, ec-p384 or rsa-3072 (default: as the present one's)", 0}, {0}};

static const struct argp rollover_argp = {rollover_options, parse, "",
    "Make another root. Both are trusted from then on; devices that know the old one alone notice nothing."
    "\vPackages, EST's cacerts and brokers' files carry both; the new root's key, signed by the old one, goes along with what "
    "is below it. The server must be stopped, and the present root's key be there for a moment.\n\n"
    "Afterwards start the server again, have brokers read their files again, and then, in this order: make an issuing CA "
    "under the new root (ca rollover), and certificates for the servers (ca renew server, ca renew broker). Take the new "
    "root's key offline (ca root export, ca root remove). When no certificate below the old root is valid any more, "
    "`muster ca root retire` ends it. docs/ca-rollover.md has the whole of it.\n\n"
    "Example:\n\n"
    "  muster ca root rollover --root-key /media/safe/root.key\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static const struct argp_option retire_options[] = {
    {"force", OPT_FORCE, NULL, 0, "Even if certificates below it are valid still: their devices are shut out", 0}, {0}};

static const struct argp retire_argp = {retire_options, parse, "",
    "Trust the root before today's no more, and destroy its key if it is here."
    "\vRefused while a certificate below it is valid, for whoever has that may know no other root. The server must be "
    "stopped. Afterwards start it again, and have brokers read their files again.\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* ---- both -------------------------------------------------------------------------------------------------------- */

static int
all_open(struct change *c, struct err *err)
{
	char path[FS_PATH_MAX];
	size_t i;
	int rc;

	if ((rc = settings_load(c->dir, &c->settings, err)) != 0)
		return rc;
	if ((rc = home_lock_stopped(c->dir, &c->lock, err)) != 0 || (rc = roots_read(c->dir, &c->roots, err)) != 0 ||
	    (rc = issuers_read(c->dir, c->now, &c->issuers, err)) != 0)
		return rc;
	for (i = 0; i < c->roots.n; i++)
		if ((rc = cert_info_read(c->roots.ders[i].data, c->roots.ders[i].len, &c->infos[i], err)) != 0)
			return rc;
	if ((rc = fs_path(path, c->dir, "muster.db", err)) != 0)
		return rc;
	return store_open(path, &c->store, err);
}

static void
change_clear(struct change *c)
{
	store_close(c->store);
	roots_clear(&c->roots);
	issuers_clear(&c->issuers);
	if (c->lock >= 0)
		(void)close(c->lock);
}

static int
audit(struct change *c, const char *action, const char *fingerprint, struct err *err)
{
	struct caller caller;
	struct store_tx *tx = NULL;
	int rc;

	home_caller(&caller);
	if ((rc = store_begin(c->store, &tx, err)) == 0 &&
	    (rc = audit_write(tx, &caller, c->now, action, "ca", fingerprint, err, NULL)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static void
fingerprint_of(char out[2 * SHA256_LEN + 1], const struct buf *der)
{
	uint8_t digest[SHA256_LEN];

	sha256(digest, der->data, der->len);
	hex_encode(out, digest, sizeof digest);
}

static int
run(struct cli *cli, const struct arguments *arguments, int (*act)(struct change *c, struct err *err),
    void (*print)(const struct cli *cli, const struct change *c))
{
	static struct change change; /* large */
	struct err err = {0};
	int rc;

	change.dir = cli->dir;
	change.arguments = arguments;
	change.now = clock_now();
	change.lock = -1;
	if ((rc = secret_heap_open(SECRET_HEAP_BYTES, &err)) == 0 && (rc = all_open(&change, &err)) == 0 &&
	    (rc = act(&change, &err)) == 0)
		print(cli, &change);
	change_clear(&change);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

/* ---- rollover ---------------------------------------------------------------------------------------------------- */

/* The new root: its key, itself, and its key as the old one signs it. */
struct made {
	struct key *key;
	struct buf der, cross;
};

static int
root_make(struct change *c, struct key *old_key, struct made *made, struct err *err)
{
	struct cacert_spec spec = {.not_before = c->now - BACKDATE_S, .not_after = c->now + (int64_t)CAROOT_DAYS * DAY};
	const struct cert_info *old = &c->infos[0];
	const struct profile *profile;
	struct profiles profiles;
	char name[ISSUINGCA_NAME_SIZE];
	const uint8_t *spki;
	size_t len;
	int rc;

	if ((rc = home_profiles(c->dir, &profiles, err)) != 0 ||
	    (rc = key_generate(c->arguments->has_kind ? c->arguments->kind : old->kind, &made->key, err)) != 0 ||
	    (rc = cert_serial_make(spec.serial, err)) != 0)
		return rc;
	profile = profile_find(&profiles, PROFILE_DEFAULT);
	spec.org = profile->org;
	spec.country = profile->country;
	spki = key_spki(made->key, &len);
	issuingca_name(name, "Muster Root CA", spki, len);
	spec.common_name = name;
	if ((rc = cacert_make_root(&spec, made->key, &made->der, err)) != 0 || (rc = cert_serial_make(spec.serial, err)) != 0)
		return rc;
	if (spec.not_before < old->not_before)
		spec.not_before = old->not_before;
	if (spec.not_after > old->not_after)
		spec.not_after = old->not_after;
	return cacert_make_cross(
	    &spec, spki, len, c->roots.ders[0].data, c->roots.ders[0].len, old_key, &made->cross, err);
}

/* Has ca/root.crt the new root already, but ca/private its key in its other place? */
static int
cut_short_read(struct change *c, struct key **key_out, bool *is_out, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	*is_out = false;
	if ((rc = fs_path(path, c->dir, CAROOT_NEXT_KEY, err)) != 0 || c->roots.n < ROOTS_MAX || !fs_exists(path))
		return rc;
	if ((rc = caroot_key_read(c->dir, path, key_out, err)) == 0)
		*is_out = true;
	return rc;
}

/* The old root's key, if it is here, makes room for the new one's. */
static int
finish(struct change *c, const struct key *key, struct err *err)
{
	char path[FS_PATH_MAX], old[FS_PATH_MAX];
	struct key *present = NULL;
	int rc;

	if ((rc = fs_path(path, c->dir, CAROOT_KEY, err)) != 0 || (rc = fs_path(old, c->dir, CAROOT_OLD_KEY, err)) != 0)
		return rc;
	if (fs_exists(path) && caroot_key_read(c->dir, path, &present, &(struct err){0}) != 0 && rename(path, old) != 0)
		return err_sys(err, "cannot rename %s to %s", path, old);
	key_free(present);
	KILLPOINT(55, "root rollover: the old root's key out of the way, the new one's in next-root.key");
	if ((rc = home_put_key(c->dir, CAROOT_KEY, key, err)) != 0)
		return rc;
	KILLPOINT(56, "root rollover: the new root's key in its place, and in next-root.key, too");
	if ((rc = home_remove(c->dir, CAROOT_NEXT_KEY, err)) != 0)
		return rc;
	return owners_give(c->dir, c->settings.broker_group, err);
}

static int
made_put(struct change *c, const struct made *made, struct err *err)
{
	char fingerprint[2 * SHA256_LEN + 1];
	struct buf roots = {0};
	int rc;

	fingerprint_of(fingerprint, &made->der);
	pem_encode(&roots, "CERTIFICATE", made->der.data, made->der.len);
	pem_encode(&roots, "CERTIFICATE", c->roots.ders[0].data, c->roots.ders[0].len);
	if ((rc = home_put_key(c->dir, CAROOT_NEXT_KEY, made->key, err)) != 0)
		goto out;
	KILLPOINT(51, "root rollover: the new root's key on disk");
	if ((rc = home_put_broker_trust(c->dir, &roots, NULL, &c->issuers, err)) != 0)
		goto out;
	KILLPOINT(52, "root rollover: brokers trust a root that there is not yet");
	if ((rc = home_put_cert(c->dir, ROOTS_CROSS, &made->cross, err)) != 0 ||
	    (rc = audit(c, "ca.root.rollover", fingerprint, err)) != 0)
		goto out;
	KILLPOINT(53, "root rollover: audited, and nothing of it is in use");
	if ((rc = home_put(c->dir, ROOTS_FILE, 0644, &roots, err)) != 0)
		goto out;
	KILLPOINT(54, "root rollover: both roots trusted, the new one's key in next-root.key");
	rc = finish(c, made->key, err);
out:
	buf_clear(&roots);
	return rc;
}

static int
roll_over(struct change *c, struct err *err)
{
	struct key *old_key = NULL, *key = NULL;
	struct made made = {0};
	int rc;

	if ((rc = cut_short_read(c, &key, &c->only_finished, err)) != 0)
		return rc;
	if (c->only_finished)
		rc = finish(c, key, err);
	else if (c->roots.n > 1)
		rc = err_set(err, E_CONFLICT,
		    "the root before today's is trusted still, and there are two at most\n`muster ca root retire` ends that.");
	else if ((rc = caroot_key_open(c->dir, c->arguments->root_key, &old_key, err)) == 0 &&
	    (rc = root_make(c, old_key, &made, err)) == 0)
		rc = made_put(c, &made, err);
	key_free(key);
	key_free(old_key);
	key_free(made.key);
	buf_clear(&made.der);
	buf_clear(&made.cross);
	return rc;
}

static void
print_rolled_over(const struct cli *cli, const struct change *c)
{
	if (cli->json) {
		(void)printf("{\"only_finished\": %s}\n", c->only_finished ? "true" : "false");
		return;
	}
	(void)printf("%s.\n\n"
		     "Next, in this order:\n\n"
		     "  start the server again, and have brokers read their files again\n"
		     "  make an issuing CA under the new root:          muster ca rollover\n"
		     "  make certificates under it for the servers:     muster ca renew server, muster ca renew broker\n"
		     "  take the new root's key offline:                muster ca root export FILE, muster ca root remove FILE\n"
		     "  when all have certificates below the new root:  muster ca root retire\n",
	    c->only_finished ? "The rollover of the root that had been cut short is complete" : "There is a new root beside the old one");
}

int
cmd_ca_root_rollover(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};

	if (argp_parse(&rollover_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return run(cli, &a, roll_over, print_rolled_over);
}

/* ---- retire ------------------------------------------------------------------------------------------------------ */

static bool
is_below(const struct cert_info *root, const struct buf *der)
{
	struct cert_info info;

	return cert_info_read(der->data, der->len, &info, NULL) == 0 && info.issuer_len == root->subject_len &&
	       memcmp(info.issuer, root->subject, root->subject_len) == 0;
}

/* What devices are shown must lead to today's root. */
static int
servers_check(const struct change *c, struct err *err)
{
	static const char *const files[][2] = {{"tls/server.crt", "server"}, {"broker/broker.crt", "broker"}};
	struct buf root = {0}, pem = {0};
	struct chain_question question = {.use = CHAIN_ANY, .now = c->now};
	size_t i;
	int rc = 0;

	pem_encode(&root, "CERTIFICATE", c->roots.ders[0].data, c->roots.ders[0].len);
	question.root_pem = buf_str(&root);
	for (i = 0; rc == 0 && i < sizeof files / sizeof files[0]; i++) {
		buf_reset(&pem);
		if ((rc = home_read(c->dir, files[i][0], CHAIN_PEM_MAX, &pem, err)) != 0)
			break;
		question.pem = buf_str(&pem);
		if (chain_check(&question, &(struct err){0}) != 0)
			rc = err_set(err, E_CONFLICT, "%s is below the old root\nMake another first: muster ca renew %s",
			    files[i][0], files[i][1]);
	}
	buf_clear(&root);
	buf_clear(&pem);
	return rc;
}

static int
devices_check(const struct change *c, struct err *err)
{
	int64_t issuer, n, n_all = 0, end, latest = 0;
	struct store_tx *tx = NULL;
	struct cert_issuer ca;
	char text[CLOCK_TEXT_MAX];
	size_t i;
	int rc;

	if ((rc = store_read(c->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < c->issuers.n; i++) {
		if (!is_below(&c->infos[1], &c->issuers.all[i].der) ||
		    (rc = cert_issuer_init(&ca, c->issuers.all[i].der.data, c->issuers.all[i].der.len, NULL, err)) != 0)
			continue;
		if ((rc = store_issuer_find(tx, ca.key_id_hex, &issuer, err)) != 0 ||
		    (rc = store_certificate_in_use(tx, issuer, c->now, &n, &end, err)) != 0)
			break;
		n_all += n;
		latest = end > latest ? end : latest;
	}
	store_rollback(&tx);
	clock_text(text, latest);
	if (rc == 0 && n_all > 0)
		rc = err_set(err, E_CONFLICT,
		    "%lld certificates below the old root are valid, the last until %s\nGive devices, services and operators new "
		    "ones first, or revoke them, and remove brokers that have another (`muster broker list`); --force shuts them out.",
		    (long long)n_all, text);
	return rc;
}

static int
retire(struct change *c, struct err *err)
{
	char cross[FS_PATH_MAX], old_key[FS_PATH_MAX], fingerprint[2 * SHA256_LEN + 1];
	struct buf root = {0};
	int rc;

	if ((rc = fs_path(cross, c->dir, ROOTS_CROSS, err)) != 0 || (rc = fs_path(old_key, c->dir, CAROOT_OLD_KEY, err)) != 0)
		return rc;
	c->only_finished = c->roots.n == 1 && fs_exists(cross);
	if (c->roots.n == 1 && !c->only_finished)
		return err_set(err, E_NOTFOUND, "there is one root, and none before it that is trusted");
	if (!c->only_finished && is_below(&c->infos[1], &c->issuers.all[0].der))
		return err_set(err, E_CONFLICT, "today's issuing CA is below the old root\nMake another first: muster ca rollover");
	if (!c->only_finished && !c->arguments->force &&
	    ((rc = servers_check(c, err)) != 0 || (rc = devices_check(c, err)) != 0))
		return rc;
	fingerprint_of(fingerprint, &c->roots.ders[c->roots.n - 1]);
	pem_encode(&root, "CERTIFICATE", c->roots.ders[0].data, c->roots.ders[0].len);
	if ((!c->only_finished && ((rc = audit(c, "ca.root.retire", fingerprint, err)) != 0 ||
				      (rc = home_put(c->dir, ROOTS_FILE, 0644, &root, err)) != 0)))
		goto out;
	KILLPOINT(57, "root retired: one root trusted, and by brokers still the other");
	if ((rc = home_put_broker_trust(c->dir, &root, NULL, &c->issuers, err)) != 0 ||
	    (fs_exists(old_key) && (rc = caroot_key_destroy(old_key, err)) != 0))
		goto out;
	KILLPOINT(58, "root retired: the file that tells of the old one is there still");
	if ((rc = home_remove(c->dir, ROOTS_CROSS, err)) == 0)
		rc = owners_give(c->dir, c->settings.broker_group, err);
out:
	buf_clear(&root);
	return rc;
}

static void
print_retired(const struct cli *cli, const struct change *c)
{
	if (cli->json)
		(void)printf("{\"only_finished\": %s}\n", c->only_finished ? "true" : "false");
	else
		(void)printf("One root is trusted now. Start the server again, and have brokers read their files again.\n"
			     "Destroy what copies there are of the old root's key.\n");
}

int
cmd_ca_root_retire(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};

	if (argp_parse(&retire_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return run(cli, &a, retire, print_retired);
}
