/* Checks of meaning; syntax was the edge's. Every refusal names its field. */
#include "core/check.h"

#include "authz/policy.h"
#include "base/jsonparse.h"
#include "base/text.h"
#include "core/device.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Characters of valid UTF-8: bytes that do not continue one. */
static size_t
count_chars(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

int
check_name(const char *field, const char *value, bool optional, struct err *err)
{
	if (value == NULL || value[0] == '\0') {
		if (optional)
			return 0;
		return err_field(err, E_INPUT, field, "is required");
	}
	if (!text_is_printable(value, strlen(value)))
		return err_field(err, E_INPUT, field,
		    "must be one line of printable UTF-8, without control or direction characters");
	if (count_chars(value) > STORE_NAME_CHARS)
		return err_field(err, E_INPUT, field, "must be at most %d characters", STORE_NAME_CHARS);
	return 0;
}

int
check_word(const char *field, const char *value, struct err *err)
{
	if (value == NULL || value[0] == '\0')
		return err_field(err, E_INPUT, field, "is required");
	if (!policy_word_is_valid(value))
		return err_field(err, E_INPUT, field,
		    "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, and not . or ..");
	return 0;
}

int
check_labels(const char *json, struct err *err)
{
	json_t *object, *value;
	const char *key, *text;
	json_error_t error;
	int rc = 0;

	if (json == NULL)
		return 0;
	if (strlen(json) > DEVICE_LABELS_MAX)
		return err_field(err, E_INPUT, "labels", "at most %d bytes in all", DEVICE_LABELS_MAX);
	object = jsonparse(json, strlen(json), &error);
	if (object == NULL && json_error_code(&error) == json_error_out_of_memory)
		return err_nomem(err);
	if (!json_is_object(object))
		rc = err_field(err, E_INPUT, "labels", "must be an object of texts");
	json_object_foreach(object, key, value) {
		if (rc != 0)
			break;
		text = json_string_value(value);
		if (!policy_word_is_valid(key))
			rc = err_field(err, E_INPUT, "labels",
			    "a label's name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -");
		else if (text == NULL || !text_is_printable(text, strlen(text)))
			rc = err_field(err, E_INPUT, "labels", "%s must be printable text", key);
	}
	json_decref(object);
	return rc;
}

int
check_id(const char *what, const char *id, struct err *err)
{
	if (strlen(id) != UUID_LEN || !uuid_is_valid(id))
		return err_set(err, E_NOTFOUND, "no such %s", what);
	return 0;
}

/* The same address, in whatever spelling? */
static bool
is_same_address(int family, const char *a, const char *b)
{
	struct in6_addr raw_a = {0}, raw_b = {0};

	return inet_pton(family, a, &raw_a) == 1 && inet_pton(family, b, &raw_b) == 1 &&
	    memcmp(&raw_a, &raw_b, sizeof raw_a) == 0;
}

/* Is NAME the host part of URL_OR_ADDRESS: https://HOST:8443, HOST:8883, [::1]:8080? */
static bool
is_host_of(const char *name, const char *url_or_address)
{
	char host[CONF_TEXT_SIZE];

	settings_host(host, sizeof host, url_or_address);
	return strcasecmp(name, host) == 0 || is_same_address(AF_INET, name, host) ||
	    is_same_address(AF_INET6, name, host);
}

/* Only a broker may have the name under which devices reach brokers. That may be the server's own name, too. */
static bool
is_taken(const struct settings *s, const char *name, bool is_broker)
{
	if (is_host_of(name, s->broker_public_host))
		return !is_broker;
	return is_host_of(name, s->api_public_url) || is_host_of(name, s->pki_public_url);
}

static int
check_san(struct core *core, const char *id, bool is_broker, const char *san, struct err *err)
{
	const struct settings *s = &core_config(core)->settings;
	char lower[CERT_SAN_SIZE];
	const char *value;
	int rc;

	if ((rc = san_check(san, err)) != 0)
		return rc;
	text_lower(lower, sizeof lower, san);
	value = strchr(lower, ':') + 1;
	if (strncmp(lower, "dns:", 4) == 0 && strlen(value) == UUID_LEN && uuid_is_valid(value) &&
	    strcmp(value, id) != 0)
		return err_set(err, E_INPUT, "may not be another device's id");
	if (strncmp(lower, "uri:", 4) != 0 && is_taken(s, value, is_broker))
		return err_set(err, E_INPUT, "may not be a host name of this server or its broker");
	return 0;
}

int
check_sans(struct core *core, const char *id, bool is_broker, const char *const *sans, size_t n, struct err *err)
{
	size_t i;
	int rc;

	if (n > CERT_SANS_MAX)
		return err_field(err, E_INPUT, "san", "at most %d names", CERT_SANS_MAX);
	for (i = 0; i < n; i++) {
		if ((rc = check_san(core, id, is_broker, sans[i], err)) != 0) {
			(void)snprintf(err->field, sizeof err->field, "san[%zu]", i);
			return rc;
		}
	}
	return 0;
}
