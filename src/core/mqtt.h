/* One connection to the broker: MQTT 5 over mutual TLS, by libmosquitto, without threads. MQTT 5, because only there does
 * a broker say that it did not take a message. The caller polls mqtt_fd and calls mqtt_work; one thread at a time. */
#ifndef MUSTER_CORE_MQTT_H
#define MUSTER_CORE_MQTT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mqtt;

/* Called from mqtt_work alone. */
struct mqtt_events {
	void (*published)(void *ctx, int mid, bool taken); /* the broker's answer */
	void (*message)(void *ctx, const char *topic, const void *data, size_t len); /* borrowed */
};

struct mqtt_spec {
	const char *address; /* a number: no name is looked up */
	uint16_t port;
	const char *name; /* that the broker's certificate must have, or an address */
	const char *id;
	const struct secret *key_pem;
	const uint8_t *cert; /* DER */
	size_t cert_len;
	const struct buf *issuing_der; /* our own certificate's issuer */
	const struct roots *roots;     /* what is trusted */
	const char *filter;			  /* subscribed to */
	const struct mqtt_events *events;	  /* borrowed for as long as the connection lives */
	void *ctx;
};

/* Begin to connect; nothing here waits for the network. E_INPUT, E_BUSY (there is nobody), E_NOMEM, E_SYS. */
MUST_CHECK int mqtt_open(const struct mqtt_spec *spec, struct mqtt **mqtt_out, struct err *err);

/* Tell the broker, if it is there, and forget the connection. NULL is harmless. */
void mqtt_close(struct mqtt *mqtt);

int mqtt_fd(const struct mqtt *mqtt);
bool mqtt_wants_write(const struct mqtt *mqtt);

/* Has the broker let us in, and subscribe? */
bool mqtt_is_ready(const struct mqtt *mqtt);

/* Do what there is to do; at least once a second. E_BUSY, E_DENIED (the broker refuses us): it is over, and why. */
MUST_CHECK int mqtt_work(struct mqtt *mqtt, bool readable, bool writable, struct err *err);

/* Publish with QoS 1, retained; an empty message takes the retained one away. E_BUSY, E_INPUT, E_NOMEM. */
MUST_CHECK int mqtt_publish(
    struct mqtt *mqtt, const char *topic, const void *data, size_t len, int *mid_out, struct err *err);

#endif
