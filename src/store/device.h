/* Tables `device` and, for those that were revoked long ago, `device_archive`. */
#ifndef MUSTER_STORE_DEVICE_H
#define MUSTER_STORE_DEVICE_H

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_tx;

#define STORE_NAME_CHARS 64   /* characters of a name that a person chose */
#define STORE_NAME_SIZE 257   /* the same in UTF-8, with NUL */
#define STORE_WORD_SIZE 65    /* an identifier: [A-Za-z0-9._-]{1,64} */
#define STORE_CURSOR_SIZE 768 /* a list's `next`: opaque text */

enum device_status {
	DEVICE_PENDING,
	DEVICE_ACTIVE,
	DEVICE_SUSPENDED,
	DEVICE_REVOKED,
	DEVICE_ARCHIVED,
	DEVICE_STATUSES
};

/* "active" and so on. */
const char *store_device_status_name(enum device_status status);
bool store_device_status_parse(const char *name, enum device_status *status_out);

struct store_device {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_NAME_SIZE];
	char type[STORE_WORD_SIZE];
	char location[STORE_NAME_SIZE]; /* "" for none */
	char *labels;			/* a JSON object as text, or NULL; owned */
	enum device_status status;
	char policy[STORE_WORD_SIZE];
	int64_t created_at, updated_at;
	int64_t last_seen; /* by store_device_seen alone; 0: never */
	int64_t expires_at; /* its certificate's end, in a list by that alone; else 0 */
};

void store_device_clear(struct store_device *row);

/* E_CONFLICT if the id exists. */
MUST_CHECK int store_device_insert(
    struct store_tx *tx, const struct store_device *row, struct err *err);

/* An archived one, too. E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_device_get(struct store_tx *tx, int64_t tenant_id, const char *id,
    struct store_device *row_out, struct err *err);

/* Write name, type, location, labels, status, policy, updated_at of the row with that tenant and id. */
MUST_CHECK int store_device_update(
    struct store_tx *tx, const struct store_device *row, struct err *err);

/* Note that device ID, of whichever tenant, was seen AT; not if it was seen later. One that is not there is no failure. */
MUST_CHECK int store_device_seen(struct store_tx *tx, const char *id, int64_t at, struct err *err);

struct store_device_filter {
	int64_t tenant_id;
	int status;	      /* of enum device_status, -1 for all but the archived */
	const char *type;     /* NULL for all, else equal */
	const char *location; /* NULL for all, else equal */
	const char *policy;   /* NULL for all, else equal */
	const char *search;   /* NULL, or a prefix of name (ASCII letters case-insensitive) or of id */
	int64_t expiring_by;  /* 0, or only those whose certificate, if it has no successor, ends by then or has ended */
	size_t limit;	      /* 1 … 1000 */
	const char *after;    /* NULL, or an earlier page's `next` */
};

/* One page in the order of (name in lower case, id), or with `expiring_by` of (the certificate's end, id); with `search`, matches by name come first, then those
 * by id alone, in the order of id. ROWS_OUT (filter->limit of them, the caller's) gets *N_OUT rows, each to be cleared. NEXT_OUT
 * is "" on the last page. Cost does not grow with the number of devices before the page: keyset, an index
 * for each filter. E_INPUT (field "after") for a cursor that is not ours. */
MUST_CHECK int store_device_list(struct store_tx *tx, const struct store_device_filter *filter,
    struct store_device *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Call EACH for every device of every tenant with STATUS, in the order of id, streaming; it returns 0 to go
 * on, else its error ends the walk. The row is borrowed during the call. */
typedef int store_device_each_fn(void *ctx, const struct store_device *row, struct err *err);
MUST_CHECK int store_device_each(struct store_tx *tx, enum device_status status,
    store_device_each_fn *each, void *ctx, struct err *err);

/* Call EACH, as store_device_each does, for the devices of every tenant and status whose id is behind AFTER ("" to begin
 * with), at most MAX; how many into *N_OUT. Its cost does not depend on AFTER. */
MUST_CHECK int store_device_page(struct store_tx *tx, const char *after, size_t max, store_device_each_fn *each,
    void *ctx, size_t *n_out, struct err *err);

/* Move the devices whose revocation, the last change of each, was before BEFORE to the archive, at most MAX, the oldest first:
 * as changed NOW. What they were once asked to do (store/rotation.h) goes with them, if the broker keeps it no more. Their
 * certificates stay. */
struct store_archived {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
};
MUST_CHECK int store_device_archive(struct store_tx *tx, int64_t before, int64_t now, struct store_archived *out, size_t max,
    size_t *n_out, struct err *err);

#endif
