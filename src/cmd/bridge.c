/* Mosquitto's bridge is an MQTT client of the other broker, where its id and certificate count as any service's. On its
 * own broker it is nobody's client: no plugin is asked about it there, and what it carries is what its lines of `topic`
 * say. So these are made of the service's rights, which the other broker holds it to. */
#include "cmd/bridge.h"

#include "authz/policy.h"
#include "base/text.h"
#include "cmd/rest.h"

#include <jansson.h>
#include <string.h>

#define MQTTS_PORT 8883
#define HOST_MAX 253
#define HOST_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"

static const char section[] =
    "\n# A bridge to another broker of this service, as the service %s. What it may write goes there, what it may\n"
    "# read comes from there; no message comes back to where it is from.\n"
    "connection muster-%s\n"
    "address %.*s:%lld\n"
    "# Its id there, and its certificate. Mosquitto opens these each time it connects: its user must be able to read them.\n"
    "remote_clientid %s\n"
    "bridge_cafile %s/ca.crt\n"
    "bridge_certfile %s/device.crt\n"
    "bridge_keyfile %s/device.key\n"
    "bridge_tls_version tlsv1.2\n"
    "bridge_insecure false\n"
    "# What is under way survives a connection that breaks, on both sides.\n"
    "cleansession false\n"
    "# It publishes nothing of itself: under $SYS nobody may write.\n"
    "notifications false\n"
    "# By this the other side knows it for a bridge, and sends nothing back that came over it.\n"
    "try_private true\n"
    "bridge_protocol_version mqttv311\n"
    "keepalive_interval 60\n"
    "restart_timeout 1 30\n";

/* Split TO; what could mean something else in the file is refused. */
static int
to_split(const char *to, size_t *host_len_out, int64_t *port_out, struct err *err)
{
	const char *colon = strchr(to, ':');
	size_t len = colon != NULL ? (size_t)(colon - to) : strlen(to);

	*port_out = MQTTS_PORT;
	if (len == 0 || len > HOST_MAX || strspn(to, HOST_CHARS) != len ||
	    (colon != NULL && !integer_parse(colon + 1, 1, 65535, port_out)))
		return err_set(err, E_INPUT, "--bridge-to must be HOST or HOST:PORT, not %.100s", to);
	*host_len_out = len;
	return 0;
}

/* Checked again, for a line of the file is made of each. */
static int
topics_print(struct buf *out, const json_t *filters, const char *direction, struct err *err)
{
	const char *filter;
	json_t *item;
	size_t i;
	int rc;

	json_array_foreach (filters, i, item) {
		if ((filter = json_string_value(item)) == NULL || !text_is_printable(filter, strlen(filter)) ||
		    strchr(filter, ' ') != NULL || strchr(filter, '"') != NULL)
			return err_set(err, E_INPUT, "a bridge cannot carry this topic of the service: %.100s",
			    filter != NULL ? filter : "(no text)");
		if ((rc = policy_filter_check(filter, err)) != 0)
			return rc;
		buf_printf(out, "topic %s %s 1\n", filter, direction);
	}
	return 0;
}

static int
service_get(const struct cli *cli, const char *name, json_t **out, struct err *err)
{
	struct buf path = {0};
	int rc;

	buf_text(&path, "/v1/services/");
	rest_segment(&path, name);
	rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, out, err);
	buf_clear(&path);
	return rc;
}

int
bridge_print(const struct cli *cli, const struct bridge_options *o, struct buf *out, struct err *err)
{
	const char *id, *name, *status;
	json_t *service = NULL;
	int64_t port;
	size_t len = 0;
	int rc;

	if ((rc = to_split(o->to, &len, &port, err)) != 0 || (rc = service_get(cli, o->as, &service, err)) != 0)
		goto out;
	id = json_string_value(json_object_get(service, "id"));
	name = json_string_value(json_object_get(service, "name"));
	status = json_string_value(json_object_get(service, "status"));
	if (id == NULL || name == NULL || status == NULL || !uuid_is_valid(id) || !text_is_printable(name, strlen(name))) {
		rc = err_set(err, E_SYS, "the API answered a service of another form");
		goto out;
	}
	if (strcmp(status, "active") != 0) {
		rc = err_set(err, E_CONFLICT, "the service %s is not active", name);
		goto out;
	}
	buf_printf(out, section, name, id, (int)len, o->to, (long long)port, id, o->files, o->files, o->files);
	if ((rc = topics_print(out, json_object_get(service, "write"), "out", err)) == 0 &&
	    (rc = topics_print(out, json_object_get(service, "read"), "in", err)) == 0 && buf_failed(out))
		rc = err_nomem(err);
out:
	json_decref(service);
	return rc;
}
