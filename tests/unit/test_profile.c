/* Profiles: what muster.conf may say of one, and that nothing it must not say gets through. */
#include "check.h"

#include "base/buf.h"
#include "base/conf.h"
#include "signer/profile.h"
#include "x509/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400

static const struct profile *
must_find(const struct profiles *profiles, const char *name)
{
	const struct profile *p = profile_find(profiles, name);

	assert_non_null(p);
	assert_string_equal(p->name, name);
	return p;
}

/* No flag that a file does not set, no name that it does not give. */
static void
assert_plain(const struct profile *p, enum key_kind kind, int64_t validity_s)
{
	assert_int_equal(p->n_keys, 1);
	assert_int_equal(p->keys[0], kind);
	assert_int_equal(p->validity_s, validity_s);
	assert_false(p->server_auth);
	assert_false(p->code_signing);
	assert_false(p->key_agreement);
	assert_false(p->reuse_key);
	assert_string_equal(p->org, "");
	assert_string_equal(p->country, "");
}

static void
test_built_in(void **state)
{
	struct profiles profiles;
	struct err err = {0};

	(void)state;
	memset(&profiles, 0x5a, sizeof profiles);
	assert_ok(profiles_parse("", &profiles, &err));
	assert_int_equal(profiles.n, 3);
	assert_plain(must_find(&profiles, PROFILE_DEFAULT), KEY_RSA_2048, 365 * DAY);
	assert_plain(must_find(&profiles, "constrained"), KEY_EC_P256, 365 * DAY);
	assert_plain(must_find(&profiles, "short"), KEY_EC_P256, DAY);
	assert_string_equal(PROFILE_DEFAULT, "standard");
	assert_null(profile_find(&profiles, ""));
	assert_null(profile_find(&profiles, "Standard"));
	assert_null(profile_find(&profiles, "standard "));
	assert_null(profile_find(&profiles, "stand"));
}

static void
test_override(void **state)
{
	const struct profile *p;
	struct profiles profiles;
	struct err err = {0};

	(void)state;
	assert_ok(profiles_parse("[api]\nlisten = x\n[profile short]\nkeys = ec-p384, rsa-3072 ec-p256\nvalidity = 8h\n"
				 "server_auth = on\ncode_signing = on\nkey_agreement = on\nreuse_key = on\n"
				 "org = Pumpen & Söhne\ncountry = DE\n",
	    &profiles, &err));
	assert_int_equal(profiles.n, 3);
	p = must_find(&profiles, "short");
	assert_int_equal(p->n_keys, 3);
	assert_int_equal(p->keys[0], KEY_EC_P384);
	assert_int_equal(p->keys[1], KEY_RSA_3072);
	assert_int_equal(p->keys[2], KEY_EC_P256);
	assert_int_equal(p->validity_s, 8 * 3600);
	assert_true(p->server_auth && p->code_signing && p->key_agreement && p->reuse_key);
	assert_string_equal(p->org, "Pumpen & Söhne");
	assert_string_equal(p->country, "DE");
	assert_plain(must_find(&profiles, "standard"), KEY_RSA_2048, 365 * DAY);
	assert_plain(must_find(&profiles, "constrained"), KEY_EC_P256, 365 * DAY);
}

/* A key that is said again takes the last word, and what was on goes off again. */
static void
test_the_last_word_counts(void **state)
{
	const struct profile *p;
	struct profiles profiles;
	struct err err = {0};

	(void)state;
	assert_ok(profiles_parse("[profile x]\nkeys = rsa-2048 ec-p256\nserver_auth = on\norg = One\n[profile y]\n"
				 "validity = 1d\n[profile x]\nkeys = ec-p384\nserver_auth = off\norg =\n",
	    &profiles, &err));
	assert_int_equal(profiles.n, 5);
	p = must_find(&profiles, "x");
	assert_plain(p, KEY_EC_P384, 365 * DAY);
	assert_false(profile_allows_key(p, KEY_RSA_2048));
	assert_false(profile_allows_key(p, KEY_EC_P256));
	assert_true(profile_allows_key(p, KEY_EC_P384));
}

/* A new profile takes the built-in standard's keys and validity, whatever the file made of `standard`. */
static void
test_new_section(void **state)
{
	struct profiles profiles;
	struct err err = {0};

	(void)state;
	assert_ok(profiles_parse("[profile standard]\nkeys = ec-p384\nvalidity = 1d\nserver_auth = on\n"
				 "[profile a-b_9]\nserver_auth = off\n",
	    &profiles, &err));
	assert_int_equal(profiles.n, 4);
	assert_plain(must_find(&profiles, "a-b_9"), KEY_RSA_2048, 365 * DAY);
}

static void
test_renewal_and_grace(void **state)
{
	const struct profile *p;
	struct profiles profiles;
	struct err err = {0};

	(void)state;
	assert_ok(profiles_parse("[profile x]\nrenew = 80%\ngrace = 30d\n[profile y]\nrenew = 30d\n[profile z]\nrenew = 30d\n"
				 "renew = 50%\ngrace = 30d\ngrace = 0\n", &profiles, &err));
	p = must_find(&profiles, "standard");
	assert_int_equal(profile_renew_at(p, 1000, 2000), 1660);
	assert_int_equal(p->grace_s, 0);
	p = must_find(&profiles, "x");
	assert_int_equal(profile_renew_at(p, 1000, 2000), 1800);
	assert_int_equal(p->grace_s, 30 * DAY);
	p = must_find(&profiles, "y");
	assert_int_equal(profile_renew_at(p, 0, 365 * DAY), 335 * DAY);
	assert_int_equal(profile_renew_at(p, 1000, 2000), 1500); /* it does not live as long */
	p = must_find(&profiles, "z");
	assert_int_equal(profile_renew_at(p, 1000, 2000), 1500);
	assert_int_equal(p->grace_s, 0);
}

static void
test_mistakes_name_section_and_key(void **state)
{
	static const struct {
		const char *line, *text; /* what must stand in the error's text */
	} bad[] = {
	    {"keys = ", "no kind of key"},
	    {"keys = , ,", "no kind of key"},
	    {"keys = rsa-1024", "rsa-1024"},
	    {"keys = ec-p256 rsa-2047", "rsa-2047"},
	    {"keys = none", "none"},
	    {"keys = EC-P256", "EC-P256"},
	    {"keys = ec-p256,ec-p256", "twice"},
	    {"keys = rsa-2048 ec-p256, rsa-2048", "twice"},
	    {"keys = ec-p256\001", "printable"},
	    {"validity = 0d", "from 60s"},
	    {"renew = ", "10%"},
	    {"renew = %", "10%"},
	    {"renew = 9%", "10%"},
	    {"renew = 96%", "10%"},
	    {"renew = 50", "10%"},
	    {"renew = -1d", "10%"},
	    {"grace = 366d", "365d"},
	    {"grace = 1", "365d"},
	    {"grace = ", "365d"},
	    {"validity = 59s", "from 60s"},
	    {"validity = 36501d", "3153600000s"},
	    {"validity = -1d", "duration"},
	    {"validity = 365", "duration"},
	    {"validity = ", "duration"},
	    {"server_auth = yes", "on or off"},
	    {"code_signing = 1", "on or off"},
	    {"key_agreement = ON", "on or off"},
	    {"reuse_key = ", "on or off"},
	    {"country = D", "two capital letters"},
	    {"country = DEU", "two capital letters"},
	    {"country = de", "two capital letters"},
	    {"country = ÄÖ", "two capital letters"},
	    {"org = a\x1b[31m", "printable"},
	    {"org = \xff\xfe", "printable"},
	    {"org = 12345678901234567890123456789012345678901234567890123456789012345", "64"},
	    {"org = ääääääääääääääääääääääääääääääääü", "64 bytes"},
	    {"ca = on", "no such setting"},
	    {"basic_constraints = CA:TRUE", "no such setting"},
	    {"Keys = ec-p256", "no such setting"},
	    {"profile = standard", "no such setting"},
	};
	static const char *const sections[] = {"standard", "fresh"};
	char text[256], where[ERR_FIELD_MAX];
	struct profiles profiles, before;
	size_t i, k;

	(void)state;
	memset(&profiles, 0x5a, sizeof profiles);
	before = profiles;
	for (k = 0; k < 2; k++)
		for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
			struct err err = {0};

			(void)snprintf(text, sizeof text, "; one\n[profile %s]\n%s\n", sections[k], bad[i].line);
			(void)snprintf(where, sizeof where, "profile %s.%.*s", sections[k],
			    (int)strcspn(bad[i].line, " "), bad[i].line);
			assert_int_equal(profiles_parse(text, &profiles, &err), E_INPUT);
			assert_string_equal(err.field, where);
			assert_non_null(strstr(err.text, "line 3"));
			assert_non_null(strstr(err.text, bad[i].text));
		}
	assert_memory_equal(&profiles, &before, sizeof profiles);
}

static void
test_names(void **state)
{
	static const char *const bad[] = {"", "Upper", "a b", "a.b", "a/b", "..", "ä", "a\tb", "a;b",
	    "123456789012345678901234567890123"};
	struct profiles profiles;
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		(void)snprintf(text, sizeof text, "[profile %s]\nvalidity = 1d\n", bad[i]);
		assert_int_equal(profiles_parse(text, &profiles, &err), E_INPUT);
	}
	for (i = 1; i <= PROFILE_NAME_MAX; i++) {
		struct err err = {0};

		(void)snprintf(text, sizeof text, "[profile %.*s]\nkey_agreement = on\n", (int)i,
		    "12345678901234567890123456789012");
		assert_ok(profiles_parse(text, &profiles, &err));
		assert_int_equal(strlen(profiles.list[3].name), i);
	}
}

/* A name that inih cuts must not become another profile's. */
static void
test_a_long_name_is_no_other_profiles(void **state)
{
	struct buf text = {0};
	struct profiles profiles;
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = PROFILE_NAME_MAX + 1; i < 150; i++) {
		buf_reset(&text);
		buf_printf(&text, "[profile %0*d]\nvalidity = 1d\n", (int)i, 0);
		assert_int_equal(profiles_parse(buf_str(&text), &profiles, &err), E_INPUT);
	}
	buf_clear(&text);
}

static void
put_sections(struct buf *text, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		buf_printf(text, "[profile p%u]\nvalidity = %ud\n", i, i + 1);
}

static void
test_limits(void **state)
{
	struct profiles profiles;
	struct buf text = {0};
	struct err err = {0};
	char name[8];
	unsigned i;

	(void)state;
	put_sections(&text, PROFILES_MAX - 3);
	assert_ok(profiles_parse(buf_str(&text), &profiles, &err));
	assert_int_equal(profiles.n, PROFILES_MAX);
	for (i = 0; i < PROFILES_MAX - 3; i++) {
		(void)snprintf(name, sizeof name, "p%u", i);
		assert_int_equal(must_find(&profiles, name)->validity_s, (i + 1) * DAY);
	}
	buf_text(&text, "[profile p0]\nvalidity = 99d\n"); /* one that is there takes no place */
	assert_ok(profiles_parse(buf_str(&text), &profiles, &err));
	buf_text(&text, "[profile more]\nvalidity = 1d\n");
	assert_int_equal(profiles_parse(buf_str(&text), &profiles, &err), E_INPUT);
	assert_string_equal(err.field, "profile more.validity");
	buf_clear(&text);
}

static void
test_bounds(void **state)
{
	struct profiles profiles;
	struct err err = {0};
	char org[128];

	(void)state;
	assert_ok(profiles_parse("[profile a]\nvalidity = 60s\n[profile b]\nvalidity = 36500d\n", &profiles, &err));
	assert_int_equal(must_find(&profiles, "a")->validity_s, 60);
	assert_true(must_find(&profiles, "b")->validity_s == 36500LL * DAY);
	(void)snprintf(org, sizeof org, "[profile a]\norg = %064d\n", 0);
	assert_ok(profiles_parse(org, &profiles, &err));
	assert_int_equal(strlen(must_find(&profiles, "a")->org), 64);
	assert_ok(profiles_parse(
	    "[profile a]\nkeys = ec-p256 ec-p384 rsa-2048 rsa-3072 rsa-4096\n", &profiles, &err));
	assert_int_equal(must_find(&profiles, "a")->n_keys, KEY_KINDS - 1);
	assert_false(profile_allows_key(must_find(&profiles, "a"), KEY_NONE));
}

static void
test_no_ini(void **state)
{
	struct profiles profiles;
	struct err err = {0};
	char *large;

	(void)state;
	assert_int_equal(profiles_parse("[profile x\nkeys = ec-p256\n", &profiles, &err), E_INPUT);
	assert_int_equal(profiles_parse("[profile x]\nec-p256\n", &profiles, &err), E_INPUT);
	assert_non_null(large = malloc(CONF_FILE_MAX + 2));
	memset(large, '\n', CONF_FILE_MAX + 1);
	large[CONF_FILE_MAX + 1] = '\0';
	assert_int_equal(profiles_parse(large, &profiles, &err), E_LIMIT);
	free(large);
}

/* What init writes is what the signer and the api read. */
static void
check_printed(const char *org, const char *country)
{
	struct profiles printed, built_in;
	struct buf text = {0};
	struct err err = {0};
	size_t i;

	memset(&printed, 0, sizeof printed);
	memset(&built_in, 0, sizeof built_in);
	profiles_print(&text, org, country);
	assert_false(buf_failed(&text));
	assert_non_null(strstr(buf_str(&text), "\n[profile short]\nkeys = ec-p256\nvalidity = 24h\n"));
	assert_ok(profiles_parse(buf_str(&text), &printed, &err));
	assert_ok(profiles_parse("", &built_in, &err));
	for (i = 0; i < built_in.n; i++) {
		assert_string_equal(printed.list[i].org, org);
		assert_string_equal(printed.list[i].country, country);
		(void)snprintf(built_in.list[i].org, sizeof built_in.list[i].org, "%s", org);
		(void)snprintf(built_in.list[i].country, sizeof built_in.list[i].country, "%s", country);
	}
	assert_memory_equal(&printed, &built_in, sizeof printed);
	buf_clear(&text);
}

static void
test_what_is_printed_is_understood(void **state)
{
	(void)state;
	check_printed("", "");
	check_printed("Pumpen & Söhne, \"GmbH\" = #1", "DE");
	check_printed("", "CH");
	check_printed("1234567890123456789012345678901234567890123456789012345678901234", "");
}

/* Each setting has its line of explanation, in the file too. */
static void
test_each_setting_is_explained(void **state)
{
	static const char *const names[] = {
	    "keys", "validity", "server_auth", "code_signing", "key_agreement", "reuse_key", "attest", "org", "country"};
	struct buf text = {0};
	char line[32];
	size_t i;

	(void)state;
	profiles_print(&text, "", "");
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(line, sizeof line, "\n;   %-13s  ", names[i]);
		assert_non_null(strstr(buf_str(&text), line));
	}
	buf_clear(&text);
}

static void
test_usages(void **state)
{
	struct profile p = {.name = "x"};
	enum key_kind kind;

	(void)state;
	for (kind = KEY_EC_P256; kind < KEY_KINDS; kind++) {
		bool rsa = key_kind_is_rsa(kind);

		p.key_agreement = false;
		assert_int_equal(profile_key_usage(&p, kind), KU_DIGITAL_SIGNATURE | (rsa ? KU_KEY_ENCIPHERMENT : 0));
		p.key_agreement = true; /* of no meaning with RSA */
		assert_int_equal(profile_key_usage(&p, kind),
		    KU_DIGITAL_SIGNATURE | (rsa ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT));
	}
	assert_int_equal(profile_ext_key_usage(&p), EKU_CLIENT_AUTH);
	p.server_auth = true;
	assert_int_equal(profile_ext_key_usage(&p), EKU_CLIENT_AUTH | EKU_SERVER_AUTH);
	p.code_signing = true;
	assert_int_equal(profile_ext_key_usage(&p), EKU_CLIENT_AUTH | EKU_SERVER_AUTH | EKU_CODE_SIGNING);
	p.server_auth = false;
	assert_int_equal(profile_ext_key_usage(&p), EKU_CLIENT_AUTH | EKU_CODE_SIGNING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_built_in),
	    cmocka_unit_test(test_override),
	    cmocka_unit_test(test_the_last_word_counts),
	    cmocka_unit_test(test_new_section),
	    cmocka_unit_test(test_renewal_and_grace),
	    cmocka_unit_test(test_mistakes_name_section_and_key),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_a_long_name_is_no_other_profiles),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_no_ini),
	    cmocka_unit_test(test_what_is_printed_is_understood),
	    cmocka_unit_test(test_each_setting_is_explained),
	    cmocka_unit_test(test_usages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
