/* The edge where it is decided who calls and whether they may. */
#include "core_fixture.h"

#include "core/operator.h"
#include "core/tenant.h"
#include "http/caller.h"

static void
test_what_names_a_token(void **state)
{
	static const struct {
		const char *header;
		enum caller_via via;
		const char *token;
	} cases[] = {
	    {NULL, CALLER_VIA_NOTHING, ""},
	    {"Bearer muster_x", CALLER_VIA_TOKEN, "muster_x"},
	    {"bearer muster_x", CALLER_VIA_TOKEN, "muster_x"},
	    /* Whoever names credentials is asked about those, however broken: never about another proof. */
	    {"", CALLER_VIA_TOKEN, ""},
	    {"Bearer", CALLER_VIA_TOKEN, ""},
	    {"Bearer ", CALLER_VIA_TOKEN, ""},
	    {"Basic YWRtaW46YWRtaW4=", CALLER_VIA_ENROLMENT, "admin"},
	    {"basic Om11c3Rlcl94", CALLER_VIA_ENROLMENT, "muster_x"}, /* ":muster_x" */
	    {"Basic YTpiOmM=", CALLER_VIA_ENROLMENT, "b:c"},
	    {"Basic YWRtaW4=", CALLER_VIA_ENROLMENT, ""}, /* no colon */
	    {"Basic YToAYg==", CALLER_VIA_ENROLMENT, ""}, /* a NUL in it */
	    {"Basic %%%", CALLER_VIA_ENROLMENT, ""},
	    {"Basic ", CALLER_VIA_ENROLMENT, ""},
	    {"Basic", CALLER_VIA_TOKEN, ""},
	    {"muster_x", CALLER_VIA_TOKEN, ""},
	};
	char large[CALLER_TOKEN_MAX + 16] = "Bearer ";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct caller_proof proof = {0};

		caller_proof_token(&proof, cases[i].header);
		assert_int_equal(proof.via, cases[i].via);
		assert_string_equal(proof.token, cases[i].token);
	}
	for (i = 0; i < 2; i++) {
		struct caller_proof proof = {.via = CALLER_VIA_SOCKET, .is_local_admin = true};

		memset(large + 7, 'x', CALLER_TOKEN_MAX + i);
		large[7 + CALLER_TOKEN_MAX + i] = '\0';
		caller_proof_token(&proof, large);
		assert_int_equal(proof.via, CALLER_VIA_TOKEN);
		assert_int_equal(strlen(proof.token), i == 0 ? CALLER_TOKEN_MAX : 0); /* never a cut one */
		caller_proof_clear(&proof);
		assert_string_equal(proof.token, "");
	}
}

/* H1: every role on every set of roles. */
static void
test_who_may(void **state)
{
	static const enum role roles[] = {ROLE_ADMIN, ROLE_OPERATOR, ROLE_ENROLLER, ROLE_AUDITOR, ROLE_BROKER};
	const struct route anybody = {.who = ROUTE_ANYBODY};
	struct caller caller = {.tenant_id = 1};
	struct err err = {0};
	unsigned who;
	size_t i;

	(void)state;
	assert_ok(caller_may(&anybody, NULL, &err));
	for (who = 0; who < 32; who++) { /* 0: a route that forgot is nobody's */
		const struct route route = {.who = who};

		assert_int_equal(caller_may(&route, NULL, &err), E_UNAUTH);
		for (i = 0; i < sizeof roles / sizeof roles[0]; i++) {
			caller.role = roles[i];
			assert_int_equal(caller_may(&route, &caller, &err), (who & (unsigned)roles[i]) != 0 ? 0 : E_DENIED);
		}
		caller.role = (enum role)0;
		assert_int_equal(caller_may(&route, &caller, &err), E_DENIED);
	}
}

static int
resolve(struct fixture *f, const struct caller_proof *proof, struct caller *caller, struct err *err)
{
	*caller = (struct caller){.who = "untouched"};
	return caller_resolve(f->core, proof, "192.0.2.9", caller, err);
}

static void
test_each_proof(void **state)
{
	struct fixture *f = *state;
	struct caller_proof proof = {0};
	struct caller caller;
	char token[TOKEN_SIZE];
	struct err err = {0};

	assert_ok(operator_create(f->core->store, &f->caller, "dave", ROLE_OPERATOR, 0, NULL, token, &err));
	proof.via = CALLER_VIA_TOKEN;
	memcpy(proof.token, token, sizeof token);
	assert_ok(resolve(f, &proof, &caller, &err));
	assert_string_equal(caller.who, "operator:dave");
	proof = (struct caller_proof){.via = CALLER_VIA_SOCKET, .is_local_admin = true, .uid = 1234};
	assert_ok(resolve(f, &proof, &caller, &err));
	assert_int_equal(caller.role, ROLE_ADMIN);
	assert_string_equal(caller.who, "uid:1234");
	assert_int_equal(fixture_audited(f, "authentication.fail"), 0);
}

/* H1, H2: who is bound may not name another tenant than its own, nor what is the whole installation's. */
static void
test_tenants(void **state)
{
	struct fixture *f = *state;
	const struct route whole = {.who = ROUTE_WHOLE | ROLE_ADMIN}, own = {.who = ROLE_ADMIN};
	const struct tenant_request none = {0};
	struct caller_proof proof = {.via = CALLER_VIA_TOKEN}, socket = {.via = CALLER_VIA_SOCKET, .is_local_admin = true};
	struct caller caller, there = f->caller;
	struct store_tenant acme, zeta;
	char token[TOKEN_SIZE], text[STORE_WORD_SIZE + 1];
	struct err err = {0};

	assert_ok(tenant_add(f->core, &f->caller, "acme", &none, &acme, &err));
	assert_ok(tenant_add(f->core, &f->caller, "zeta", &none, &zeta, &err));
	assert_ok(tenant_enter(f->core, &there, "acme", &err));
	assert_ok(operator_create(f->core->store, &there, "bob", ROLE_ADMIN, 0, NULL, token, &err));
	memcpy(proof.token, token, sizeof token);
	assert_ok(resolve(f, &proof, &caller, &err));
	assert_int_equal(caller.tenant_id, acme.id);
	assert_ok(caller_may(&own, &caller, &err));
	assert_int_equal(caller_may(&whole, &caller, &err), E_DENIED);
	caller_proof_tenant(&proof, "acme");
	assert_ok(resolve(f, &proof, &caller, &err));
	caller_proof_tenant(&proof, "zeta");
	assert_int_equal(resolve(f, &proof, &caller, &err), E_NOTFOUND);
	assert_string_equal(caller.who, "untouched");
	caller_proof_tenant(&socket, "zeta");
	assert_ok(resolve(f, &socket, &caller, &err));
	assert_int_equal(caller.tenant_id, zeta.id);
	assert_ok(caller_may(&whole, &caller, &err));
	/* What can be no name names nobody; no header says nothing. */
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	caller_proof_tenant(&socket, text);
	assert_int_equal(resolve(f, &socket, &caller, &err), E_NOTFOUND);
	caller_proof_tenant(&socket, "");
	assert_int_equal(resolve(f, &socket, &caller, &err), E_NOTFOUND);
	socket.tenant[0] = '\0';
	caller_proof_tenant(&socket, NULL);
	assert_ok(resolve(f, &socket, &caller, &err));
	assert_int_equal(caller.tenant_id, STORE_TENANT_DEFAULT);
	assert_int_equal(fixture_audited(f, "authentication.fail"), 0);
}

/* Every failure says the same words, is counted and audited; who shows nothing has not tried. */
static void
test_bad_proofs(void **state)
{
	struct fixture *f = *state;
	struct caller_proof cases[] = {
	    {.via = CALLER_VIA_TOKEN, .token = "muster_wrong"},
	    {.via = CALLER_VIA_TOKEN, .token = ""},
	    /* a bad token on the home's own socket is not overlooked */
	    {.via = CALLER_VIA_TOKEN, .token = "x", .is_local_admin = true},
	    {.via = CALLER_VIA_SOCKET, .uid = 65534},
	    {.via = CALLER_VIA_CERTIFICATE},
	};
	struct caller_proof nothing = {.via = CALLER_VIA_NOTHING, .is_local_admin = true};
	struct caller caller;
	struct err first = {0}, err = {0};
	size_t i;

	assert_int_equal(resolve(f, &nothing, &caller, &first), E_UNAUTH);
	assert_int_equal(fixture_audited(f, "authentication.fail"), 0);
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(resolve(f, &cases[i], &caller, &err), E_UNAUTH);
		assert_string_equal(err.text, first.text);
		assert_string_equal(caller.who, "untouched");
	}
	assert_true(fixture_audited(f, "authentication.fail") >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_names_a_token),
	    cmocka_unit_test(test_who_may),
	    cmocka_unit_test_setup_teardown(test_each_proof, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_tenants, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_bad_proofs, fixture_open, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
