/* The profiles' one table: what muster.conf may say of one, for reader and writer alike. Profiles that are built
 * in are sections that everybody has; the file's sections come on top. */
#include "signer/profile.h"

#include "base/conf.h"
#include "base/text.h"
#include "x509/cert.h"
#include "x509/name.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SECTION "profile "
#define VALIDITY_MIN 60
#define VALIDITY_MAX (100LL * 365 * 86400)
#define GRACE_MAX (365LL * 86400)
#define RENEW_PERCENT 66

/* A section as it stands in the file. */
struct section {
	char keys[CONF_TEXT_SIZE];
	int64_t validity_s;
	bool server_auth, code_signing, key_agreement, reuse_key, attest;
	char renew[CONF_TEXT_SIZE], grace[CONF_TEXT_SIZE];
	char org[CONF_TEXT_SIZE], country[CONF_TEXT_SIZE];
};

#define AT(member) offsetof(struct section, member)

/* conf_set reads these one by one: the section's name differs for each profile. */
static const struct conf_key keys[] = {
    {"profile", "keys", CONF_TEXT, AT(keys), "rsa-2048",
	"Key kinds: ec-p256 ec-p384 rsa-2048 rsa-3072 rsa-4096; the first is what the server makes.", 0, 0, NULL},
    {"profile", "validity", CONF_DURATION, AT(validity_s), "365d",
	"The longest validity, and the one without a wish.", VALIDITY_MIN, VALIDITY_MAX, NULL},
    {"profile", "server_auth", CONF_SWITCH, AT(server_auth), "off", "For TLS servers, too.", 0, 0, NULL},
    {"profile", "code_signing", CONF_SWITCH, AT(code_signing), "off", "For signed code, too.", 0, 0, NULL},
    {"profile", "key_agreement", CONF_SWITCH, AT(key_agreement), "off", "For key agreement (EC keys), too.", 0, 0,
	NULL},
    {"profile", "reuse_key", CONF_SWITCH, AT(reuse_key), "off",
	"A device may have its key certified again.", 0, 0, NULL},
    {"profile", "attest", CONF_SWITCH, AT(attest), "off",
	"A device must sign a fresh challenge with the key to be certified, which it has made itself.", 0, 0, NULL},
    {"profile", "renew", CONF_TEXT, AT(renew), "66%",
	"When a device renews: after so much of the certificate's life, or so long before its end, such as 30d.", 0, 0, NULL},
    {"profile", "grace", CONF_TEXT, AT(grace), "0",
	"So long after its end a certificate may still be renewed by itself; 0: then a new token is needed.", 0, 0, NULL},
    {"profile", "org", CONF_TEXT, AT(org), "", "The subject's organization (O).", 0, 0, NULL},
    {"profile", "country", CONF_TEXT, AT(country), "", "The subject's country (C), two capitals.", 0, 0, NULL},
};
#define N_KEYS (sizeof keys / sizeof keys[0])

static const struct {
	const char *name, *keys, *help;
	int64_t validity_s;
} builtins[] = {
    {PROFILE_DEFAULT, "rsa-2048", "For devices that can do RSA; used where no profile is asked for.", 365 * 86400},
    {"constrained", "ec-p256", "For small devices.", 365 * 86400},
    {"short", "ec-p256", "For devices that renew by themselves.", 86400},
};
#define N_BUILTINS (sizeof builtins / sizeof builtins[0])

static const struct conf_key *
find_key(const char *name)
{
	size_t i;

	for (i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* Names of kinds between blanks or commas, each once. */
static int
parse_keys(const char *text, struct profile *out, struct err *err)
{
	char words[CONF_TEXT_SIZE], *rest = words, *word;
	enum key_kind kind;
	size_t n = 0, i;

	(void)text_copy(words, sizeof words, text);
	while ((word = strsep(&rest, " ,")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (!key_kind_parse(word, &kind))
			return err_set(err, E_INPUT, "%s is no kind of key: %s", word, keys[0].help);
		for (i = 0; i < n; i++)
			if (out->keys[i] == kind)
				return err_set(err, E_INPUT, "%s stands there twice", word);
		out->keys[n++] = kind;
	}
	if (n == 0)
		return err_set(err, E_INPUT, "names no kind of key");
	out->n_keys = n;
	return 0;
}

/* "66%" or "30d". */
static int
parse_renew(const char *text, struct profile *out, struct err *err)
{
	char number[CONF_TEXT_SIZE];
	int64_t percent = 0, before_s = 0;
	size_t len = strlen(text);

	(void)text_copy(number, sizeof number, text);
	if (len > 1 && text[len - 1] == '%')
		number[len - 1] = '\0';
	if (len > 1 && text[len - 1] == '%' ? !integer_parse(number, 10, 95, &percent) : !duration_parse(text, &before_s))
		return err_set(err, E_INPUT, "must be from 10%% to 95%% of the certificate's life, or a duration before its end such as 30d");
	out->renew_percent = percent;
	out->renew_before_s = before_s;
	return 0;
}

static int
parse_grace(const char *text, struct profile *out, struct err *err)
{
	int64_t grace_s = 0;

	if (strcmp(text, "0") != 0 && (!duration_parse(text, &grace_s) || grace_s > GRACE_MAX))
		return err_set(err, E_INPUT, "must be 0, or a duration such as 30d, up to 365d");
	out->grace_s = grace_s;
	return 0;
}

/* One key of a section, through conf_set's checks. */
static int
profile_set(struct profile *p, const char *name, const char *value, struct err *err)
{
	struct section section = {.validity_s = p->validity_s, .server_auth = p->server_auth,
	    .code_signing = p->code_signing, .key_agreement = p->key_agreement, .reuse_key = p->reuse_key, .attest = p->attest};
	const struct conf_key *key = find_key(name);
	struct name subject = {NULL, NULL, NULL};
	int rc;

	if (key == NULL)
		return err_set(err, E_INPUT, "no such setting");
	(void)text_copy(section.org, sizeof section.org, p->org);
	(void)text_copy(section.country, sizeof section.country, p->country);
	if ((rc = conf_set(key, &section, value, err)) != 0 ||
	    (section.keys[0] != '\0' && (rc = parse_keys(section.keys, p, err)) != 0))
		return rc;
	if (key == &keys[0] && section.keys[0] == '\0')
		return err_set(err, E_INPUT, "names no kind of key");
	if ((key->offset == AT(renew) && (rc = parse_renew(section.renew, p, err)) != 0) ||
	    (key->offset == AT(grace) && (rc = parse_grace(section.grace, p, err)) != 0))
		return rc;
	subject.country = section.country;
	subject.org = section.org;
	if ((rc = name_check(&subject, err)) != 0)
		return rc;
	if (!text_copy(p->org, sizeof p->org, section.org) ||
	    !text_copy(p->country, sizeof p->country, section.country))
		return err_set(err, E_INPUT, "longer than %zu bytes", sizeof p->org - 1);
	p->validity_s = section.validity_s;
	p->server_auth = section.server_auth;
	p->code_signing = section.code_signing;
	p->key_agreement = section.key_agreement;
	p->reuse_key = section.reuse_key;
	p->attest = section.attest;
	return 0;
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= PROFILE_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static struct profile *
add(struct profiles *profiles, const char *name)
{
	struct profile *p = &profiles->list[profiles->n++];

	*p = (struct profile){.keys = {KEY_RSA_2048}, .n_keys = 1, .validity_s = builtins[0].validity_s,
	    .renew_percent = RENEW_PERCENT};
	(void)text_copy(p->name, sizeof p->name, name);
	return p;
}

static int
on_key(void *ctx, const char *section, const char *name, const char *value, struct err *err)
{
	struct profiles *profiles = ctx;
	const char *profile_name = section + strlen(SECTION);
	char where[ERR_FIELD_MAX];
	struct profile *p;

	if (strncmp(section, SECTION, strlen(SECTION)) != 0)
		return 0;
	(void)snprintf(where, sizeof where, "%s.%s", section, name);
	if (!is_name(profile_name))
		return err_field(err, E_INPUT, where,
		    "a profile's name is at most %d of a-z, 0-9, - and _", PROFILE_NAME_MAX);
	if ((p = (struct profile *)profile_find(profiles, profile_name)) == NULL) {
		if (profiles->n == PROFILES_MAX)
			return err_field(err, E_INPUT, where, "there are more than %d profiles", PROFILES_MAX);
		p = add(profiles, profile_name);
	}
	if (profile_set(p, name, value, err) != 0) {
		(void)text_copy(err->field, sizeof err->field, where);
		return E_INPUT;
	}
	return 0;
}

int
profiles_parse(const char *text, struct profiles *out, struct err *err)
{
	struct profiles profiles = {.n = 0};
	size_t i;
	int rc;

	for (i = 0; i < N_BUILTINS; i++) {
		struct profile *p = add(&profiles, builtins[i].name);

		p->validity_s = builtins[i].validity_s;
		if ((rc = parse_keys(builtins[i].keys, p, err)) != 0)
			return rc;
	}
	if ((rc = conf_parse(text, NULL, 0, NULL, on_key, &profiles, err)) != 0)
		return rc;
	*out = profiles;
	return 0;
}

const struct profile *
profile_find(const struct profiles *profiles, const char *name)
{
	size_t i;

	for (i = 0; i < profiles->n; i++)
		if (strcmp(profiles->list[i].name, name) == 0)
			return &profiles->list[i];
	return NULL;
}

bool
profile_allows_key(const struct profile *profile, enum key_kind kind)
{
	size_t i;

	for (i = 0; i < profile->n_keys; i++)
		if (profile->keys[i] == kind)
			return true;
	return false;
}

int64_t
profile_renew_at(const struct profile *profile, int64_t not_before, int64_t not_after)
{
	int64_t life = not_after - not_before;

	if (profile->renew_before_s == 0)
		return not_before + life / 100 * profile->renew_percent + life % 100 * profile->renew_percent / 100;
	return profile->renew_before_s < life / 2 ? not_after - profile->renew_before_s : not_before + life / 2;
}

/* RFC 5480, section 3, and RFC 3279, section 2.3.1: keyEncipherment is RSA's way, keyAgreement EC's. */
unsigned
profile_key_usage(const struct profile *profile, enum key_kind kind)
{
	if (key_kind_is_rsa(kind))
		return KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT;
	return KU_DIGITAL_SIGNATURE | (profile->key_agreement ? KU_KEY_AGREEMENT : 0);
}

unsigned
profile_ext_key_usage(const struct profile *profile)
{
	return EKU_CLIENT_AUTH | (profile->server_auth ? EKU_SERVER_AUTH : 0) |
	    (profile->code_signing ? EKU_CODE_SIGNING : 0);
}

void
profiles_print(struct buf *out, const char *org, const char *country)
{
	size_t i;

	buf_text(out, "; Profiles: how certificates are made. Add sections of your own; devices, policies and\n"
		      "; operators only ever choose among them. Every certificate is for TLS clients. Keys:\n");
	for (i = 0; i < N_KEYS; i++)
		buf_printf(out, ";   %-13s  %s (default: %s)\n", keys[i].name, keys[i].help,
		    keys[i].fallback[0] == '\0' ? "none" : keys[i].fallback);
	for (i = 0; i < N_BUILTINS; i++) {
		int64_t hours = builtins[i].validity_s / 3600;

		buf_printf(out, "\n; %s\n[profile %s]\nkeys = %s\nvalidity = %lld%s\n", builtins[i].help,
		    builtins[i].name, builtins[i].keys,
		    (long long)(hours % 24 == 0 && hours > 24 ? hours / 24 : hours),
		    hours % 24 == 0 && hours > 24 ? "d" : "h");
		if (org[0] != '\0')
			buf_printf(out, "org = %s\n", org);
		if (country[0] != '\0')
			buf_printf(out, "country = %s\n", country);
	}
}
