/* A whole home in a temporary folder, a real signer process, and an open core: what tests of core/ work on. */
#ifndef MUSTER_TESTS_CORE_FIXTURE_H
#define MUSTER_TESTS_CORE_FIXTURE_H

#include "home_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "core/audit.h"
#include "core/ca.h"
#include "core/core.h"
#include "core/credential.h"
#include "core/device.h"
#include "core/revocation.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	struct fixture_home home;
	struct core *core;
	struct caller caller;
};

/* The core's clock from its start; its threads read it, so what changes later is what it says. */
static int64_t (*fixture_clock)(void) = clock_now;

/* What its publisher is made to wait between two rounds: nobody has a broker here that would have to reload. */
static int64_t fixture_gap_ms = 5;

/* Its configuration, to be changed before anybody else looks. */
static inline struct config *
fixture_config(struct core *core)
{
	return atomic_load(&core->config);
}

static inline void
fixture_core_open(struct fixture *f)
{
	struct err err = {0};

	f->core = NULL;
	assert_ok(core_open(f->home.dir, -1, -1, &f->core, &err));
	fixture_config(f->core)->settings.keypool_rsa_2048 = 0; /* tests make P-256 keys */
	/* and see in broker/acl what was published */
	assert_true(text_copy(fixture_config(f->core)->settings.broker_mode, CONF_TEXT_SIZE, "acl-file"));
	f->core->now = fixture_clock;
	f->core->publish_gap_ms = fixture_gap_ms;
	assert_ok(core_start(f->core, &err));
}

static inline void
fixture_core_close(struct fixture *f)
{
	core_close(f->core);
	f->core = NULL;
}

static inline int
fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	fixture_home_make(&f->home);
	f->caller = (struct caller){.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "uid:0"};
	fixture_signer_start(&f->home);
	fixture_core_open(f);
	*state = f;
	return 0;
}

static inline int
fixture_close(void **state)
{
	struct fixture *f = *state;

	fixture_core_close(f);
	fixture_signer_kill(&f->home);
	fixture_home_remove(&f->home);
	free(f);
	return 0;
}

/* Register a P-256 device made by the server. */
static inline void
fixture_register(struct fixture *f, const char *name, struct store_device *device, struct credential *credential)
{
	struct device_request request = {.name = name, .type = "pump", .credential = {.key = "ec-p256"}};
	struct err err = {0};

	memset(device, 0, sizeof *device);
	memset(credential, 0, sizeof *credential);
	assert_ok(device_register(f->core, &f->caller, &request, device, credential, &err));
}

struct fixture_count {
	const char *action;
	int n;
};

static inline int
fixture_count_row(void *ctx, const struct store_audit *row, struct err *err)
{
	struct fixture_count *c = ctx;

	(void)err;
	c->n += strcmp(row->action, c->action) == 0;
	return 0;
}

/* How many rows of the audit tell of ACTION. */
static inline int
fixture_audited(struct fixture *f, const char *action)
{
	struct fixture_count count = {.action = action};
	struct err err = {0};

	assert_ok(audit_each(f->core, &f->caller, 0, 100000, fixture_count_row, &count, &err));
	return count.n;
}

/* Append the home's file NAME to OUT. */
static inline void
fixture_file(struct fixture *f, const char *name, struct buf *out)
{
	char path[FS_PATH_MAX];
	struct err err = {0};

	assert_ok(fs_path(path, f->home.dir, name, &err));
	assert_ok(fs_read(path, 1 << 20, out, &err));
}

/* Append the list as it is published now. */
static inline void
fixture_list(struct core *core, enum shelf_kind kind, struct buf *der)
{
	struct shelf_item item;
	struct err err = {0};

	assert_ok(ca_crl(core, "issuing", kind, false, &item, &err));
	assert_true(shared_read(item.bytes, 0, SIZE_MAX, der));
	shared_unref(item.bytes);
}

/* The token at the end of a link. */
static inline const char *
fixture_token(const struct credential *credential)
{
	return strrchr(credential->url, '/') + 1;
}

/* The state of a certificate as stored now. */
static inline enum certificate_state
fixture_certificate_state(struct fixture *f, const uint8_t *serial, int *reason_out)
{
	struct store_certificate row = {0};
	struct store_tx *tx = NULL;
	enum certificate_state state;
	struct err err = {0};

	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(store_certificate_by_serial(tx, serial, &row, &err));
	store_rollback(&tx);
	state = row.state;
	if (reason_out != NULL)
		*reason_out = row.reason;
	store_certificate_clear(&row);
	return state;
}

#endif
