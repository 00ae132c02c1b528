/* Rotation by event: devices are asked to make themselves new keys. What was asked is stored with its answer; core/control
 * tells the broker, which keeps the instruction until it is over. */
#ifndef MUSTER_CORE_REKEY_H
#define MUSTER_CORE_REKEY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/device.h"
#include "store/rotation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REKEY_PAGE_MAX 200 /* devices that are asked in one transaction */
#define REKEY_ACK_MAX 1024 /* bytes of an acknowledgement that are looked at */

/* Ask a device. One that was asked and has not done it yet is not asked again: *OUT is what it was asked. E_NOTFOUND,
 * E_CONFLICT: it is not active. */
MUST_CHECK int rekey_ask(
    struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err);

/* Ask no more. E_NOTFOUND: it was never asked; E_CONFLICT: it is over. */
MUST_CHECK int rekey_cancel(
    struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err);

/* What the device was asked last. E_NOTFOUND: nothing, or it is another tenant's. */
MUST_CHECK int rekey_get(
    struct core *core, const struct caller *caller, const char *id, struct store_rotation *out, struct err *err);

/* Ask the active devices of one page of device_list. */
struct rekey_page {
	size_t n_asked, n_open; /* those that had been asked already are not asked again */
	char next[STORE_CURSOR_SIZE];
};
MUST_CHECK int rekey_ask_page(struct core *core, const struct caller *caller, struct store_device_filter *filter,
    struct rekey_page *out, struct err *err);

/* Append the instruction as it is sent, and the topic it goes to. */
void rekey_message(const struct store_rotation *row, struct buf *out);
#define REKEY_TOPIC_SIZE 80
void rekey_topic(const char *device_id, char out[REKEY_TOPIC_SIZE]);

/* What a device says of an instruction: the digest of its bytes, and how it went. */
struct rekey_ack {
	char device_id[UUID_LEN + 1];
	uint8_t digest[SHA256_LEN];
	enum rotation_ack ack;
	char reason[STORE_ROTATION_REASON_SIZE];
};

/* Read an acknowledgement, in which nothing is believed but who its topic says has sent it. E_INPUT. */
MUST_CHECK int rekey_ack_read(const char *topic, const void *data, size_t len, struct rekey_ack *out, struct err *err);

/* Is it about ROW's instruction? */
bool rekey_ack_is_of(const struct rekey_ack *ack, const struct store_rotation *row);

#endif
