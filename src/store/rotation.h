/* Table `rotation`: what devices were asked to do by the instruction to rekey. */
#ifndef MUSTER_STORE_ROTATION_H
#define MUSTER_STORE_ROTATION_H

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_tx;

#define STORE_ROTATION_REASON_SIZE 65

enum rotation_state {
	ROTATION_WAITING,   /* no broker has the instruction yet */
	ROTATION_TOLD,	    /* it has, and keeps it for the device */
	ROTATION_RENEWED,   /* the device has a new certificate; the old one's overlap is not over */
	ROTATION_DONE,	    /* the old certificate is revoked */
	ROTATION_CANCELLED, /* by an operator */
	ROTATION_VOID,	    /* the device was revoked */
	ROTATION_STATES
};

enum rotation_ack { ROTATION_ACK_NONE, ROTATION_ACK_DONE, ROTATION_ACK_FAILED, ROTATION_ACKS };

const char *store_rotation_state_name(enum rotation_state state); /* "waiting", … */

struct store_rotation {
	char device_id[UUID_LEN + 1];
	int64_t tenant_id;
	char word[UUID_LEN + 1]; /* another one each time */
	enum rotation_state state;
	bool cleared; /* it is over, and the broker keeps the instruction no more */
	int64_t asked_at, told_at, ended_at; /* 0: not yet */
	enum rotation_ack ack; /* what the device says of it */
	int64_t ack_at;
	char ack_reason[STORE_ROTATION_REASON_SIZE];
};

static inline bool
store_rotation_is_over(const struct store_rotation *row)
{
	return row->state >= ROTATION_DONE;
}

/* Of a device of whichever tenant. E_NOTFOUND: it was never asked. */
MUST_CHECK int store_rotation_get(struct store_tx *tx, const char *device_id, struct store_rotation *row_out, struct err *err);

/* Write the device's row, in place of an earlier one. */
MUST_CHECK int store_rotation_put(struct store_tx *tx, const struct store_rotation *row, struct err *err);

/* What the broker is to be told next, at most MAX: instructions that are over and not cleared, then those that wait, the oldest
 * first. Its cost does not depend on how many there are. */
MUST_CHECK int store_rotation_work(
    struct store_tx *tx, struct store_rotation *rows_out, size_t max, size_t *n_out, struct err *err);

/* Is there any that is not cleared? */
MUST_CHECK int store_rotation_any(struct store_tx *tx, bool *any_out, struct err *err);

/* The broker has taken the instruction WORD; or has taken it back. Whatever it is not true of any more is left alone. */
MUST_CHECK int store_rotation_told(struct store_tx *tx, const char *device_id, const char *word, int64_t at, struct err *err);
MUST_CHECK int store_rotation_cleared(struct store_tx *tx, const char *device_id, const char *word, struct err *err);

/* The device has got a new certificate: one that waits or was told is renewed. */
MUST_CHECK int store_rotation_renewed(struct store_tx *tx, const char *device_id, struct err *err);

/* One that is renewed is done; or one that is not over, has STATE for its end. */
MUST_CHECK int store_rotation_finish(struct store_tx *tx, const char *device_id, int64_t at, struct err *err);
MUST_CHECK int store_rotation_end(struct store_tx *tx, const char *device_id, enum rotation_state state, int64_t at,
    struct err *err);

/* The device says ACK of the instruction WORD. */
MUST_CHECK int store_rotation_acknowledge(struct store_tx *tx, const char *device_id, const char *word, enum rotation_ack ack,
    const char *reason, int64_t at, struct err *err);

#endif
