/* The package's files. Its JSON is for programs, its README for the person who opens it. */
#include "core/package.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/archive.h"
#include "x509/pem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BROKER_PORT_DEFAULT 8883

/* "host:8883" as two; an address in brackets loses them. */
static void
broker_split(const char *public_host, char host[64], uint16_t *port)
{
	if (settings_split_listen(public_host, host, port, NULL) != 0) {
		(void)text_copy(host, 64, public_host);
		*port = BROKER_PORT_DEFAULT;
	}
}

static json_t *
broker_json(const char *public_host)
{
	char host[64];
	uint16_t port;

	broker_split(public_host, host, &port);
	return json_pack("{s:s, s:i}", "host", host, "port", (int)port);
}

static int
device_json(struct core *core, const struct credential_owner *owner, const struct store_certificate *leaf, struct buf *out,
    struct err *err)
{
	const struct profile *profile = profile_find(&core_config(core)->profiles, leaf->profile);
	char when[CLOCK_TEXT_MAX] = "";
	json_t *object;
	char *text;

	if (profile != NULL)
		clock_text(when, profile_renew_at(profile, leaf->not_before, leaf->not_after));
	object = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:s?}", "id", owner->id, "name",
	    owner->name, "kind", store_owner_kind_name(owner->kind), "broker",
	    broker_json(core_config(core)->settings.broker_public_host), "client_id", owner->id, "publish",
	    json_loads(owner->write_json, 0, NULL), "subscribe", json_loads(owner->read_json, 0, NULL), "renew_at",
	    when[0] != '\0' ? when : NULL);
	text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));

	json_decref(object);
	if (text == NULL)
		return err_nomem(err);
	buf_text(out, text);
	buf_byte(out, '\n');
	free(text);
	return buf_failed(out) ? err_nomem(err) : 0;
}

static void
readme_of_client(struct core *core, const struct credential_owner *owner, struct buf *out)
{
	char host[64];
	uint16_t port;

	broker_split(core_config(core)->settings.broker_public_host, host, &port);
	buf_printf(out,
	    "Credentials of %s %s, made by Muster.\n\n"
	    "  device.key   the private key; it exists nowhere else: keep it on the device\n"
	    "  device.crt   its certificate, and the issuing CA's\n"
	    "  ca.crt       what the device trusts; check the broker's certificate against it\n"
	    "  device.json  the id, the broker's address, the topics\n\n"
	    "The broker is %s, MQTT over TLS with client certificate. The MQTT client id is the id:\n\n"
	    "  mosquitto_pub --cafile ca.crt --cert device.crt --key device.key \\\n"
	    "      -h %s -p %d -i %s -t TOPIC -m hello\n",
	    store_owner_kind_name(owner->kind), owner->id, core_config(core)->settings.broker_public_host, host,
	    (int)port, owner->id);
}

static void
readme_of_broker(const struct credential_owner *owner, struct buf *out)
{
	buf_printf(out,
	    "Credentials of broker %s, made by Muster.\n\n"
	    "  device.key   the private key; it exists nowhere else\n"
	    "  device.crt   its certificate, and the issuing CA's\n"
	    "  ca.crt       what it trusts: the root and the issuing CAs, so that a client may send its own certificate alone\n\n"
	    "Keep them on the broker's machine, in a folder DIR that Mosquitto's user may read and nobody else. What the broker\n"
	    "is told is printed where Muster is:\n\n"
	    "  muster broker config mosquitto --files DIR --listen ADDRESS:PORT > mosquitto.conf\n",
	    owner->id);
}

static void
readme_of_operator(const struct core *core, const struct credential_owner *owner, struct buf *out)
{
	buf_printf(out,
	    "Credentials of operator %s, made by Muster.\n\n"
	    "  device.key   the private key; it exists nowhere else: keep it where nobody but you reads it\n"
	    "  device.crt   its certificate, and the issuing CA's\n"
	    "  ca.crt       the root that vouches for the server\n\n"
	    "With them the API is called:\n\n"
	    "  muster --url %s --ca ca.crt --client-cert device.crt --client-key device.key device list\n",
	    owner->name, core_config(core)->settings.api_public_url);
}

int
package_build(struct core *core, const struct credential_owner *owner, const struct secret *key_pem,
    const struct store_certificate *leaf, const char *password, struct buf *archive_out, struct err *err)
{
	struct buf certificate = {0}, trusted = {0}, json = {0}, readme = {0};
	size_t i;
	int rc;

	pem_encode(&certificate, "CERTIFICATE", leaf->der, leaf->der_len);
	buf_append(&certificate, core->issuing_pems[0].data, core->issuing_pems[0].len);
	buf_append(&trusted, core->roots.pem.data, core->roots.pem.len);
	if (owner->kind == OWNER_BROKER) {
		for (i = 0; i < core->issuers.n; i++)
			buf_append(&trusted, core->issuing_pems[i].data, core->issuing_pems[i].len);
		readme_of_broker(owner, &readme);
	} else if (owner->kind == OWNER_OPERATOR) {
		readme_of_operator(core, owner, &readme);
	} else {
		readme_of_client(core, owner, &readme);
	}
	if ((rc = device_json(core, owner, leaf, &json, err)) != 0)
		goto out;
	if (buf_failed(&certificate) || buf_failed(&trusted) || buf_failed(&readme)) {
		rc = err_nomem(err);
		goto out;
	}
	const struct archive_entry entries[] = {
	    {"device.key", key_pem->data, key_pem->len},
	    {"device.crt", certificate.data, certificate.len},
	    {"ca.crt", trusted.data, trusted.len},
	    {"device.json", json.data, json.len},
	    {"README.txt", readme.data, readme.len},
	};
	rc = archive_build(entries, sizeof entries / sizeof entries[0], password, archive_out, err);
out:
	buf_clear(&certificate);
	buf_clear(&trusted);
	buf_clear(&json);
	buf_clear(&readme);
	return rc;
}
