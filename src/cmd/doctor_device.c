/* Checks of one device: what the API knows of it, what the broker's files say of it, and its own files. What brokers with
 * the plugin told of it is in doctor_plugin.c. */
#include "cmd/doctor.h"

#include "authz/aclfile.h"
#include "authz/policy.h"
#include "base/clock.h"
#include "base/text.h"
#include "cmd/probe.h"
#include "cmd/rest.h"
#include "x509/chain.h"
#include "x509/key.h"
#include "x509/pem.h"

#include <stdio.h>
#include <string.h>

#define ACL_MAX (256UL * 1024 * 1024)
#define JSON_MAX (1024 * 1024)
#define TENANT "default"
#define EXPIRY_WARN_PERCENT 10

static bool
is_active(const struct doctor *d)
{
	return strcmp(doctor_text(d->device, "status"), "active") == 0;
}

/* The device's certificate in use, or NULL. */
static const json_t *
active_certificate(const struct doctor *d)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(d->certificates, "items"), i, item)
		if (strcmp(doctor_text(item, "state"), "active") == 0)
			return item;
	return NULL;
}

void
check_device(struct doctor *d, struct finding *f)
{
	const char *status = doctor_text(d->device, "status");

	if (d->device == NULL) {
		finding_err(f, VERDICT_FAIL, &d->device_err);
		finding_remedy(f, "look for its id by its name: muster device list --search NAME");
	} else if (is_active(d)) {
		finding_set(f, VERDICT_OK, "%s is active", doctor_text(d->device, "name"));
	} else if (strcmp(status, "suspended") == 0) {
		finding_set(f, VERDICT_FAIL, "%s is suspended: the broker refuses it", doctor_text(d->device, "name"));
		finding_remedy(f, "muster device resume %s", d->id);
	} else {
		finding_set(f, VERDICT_FAIL, "%s is %s: the broker refuses it", doctor_text(d->device, "name"), status);
		finding_remedy(f, "register it anew: muster device register --name NAME --type TYPE");
	}
}

/* When a certificate that is renewed by itself has had its chance: half-way from its profile's time to its end. Without a word
 * of the profile near its end. */
static int64_t
overdue_at(const struct doctor *d, const json_t *cert, int64_t begin, int64_t end)
{
	int64_t percent, before_s, renew_at = end - (end - begin) * EXPIRY_WARN_PERCENT / 100 * 2;
	char number[16] = "";
	json_t *profile = NULL;
	struct buf path = {0};
	size_t len;

	buf_text(&path, "/v1/profiles/");
	rest_segment(&path, doctor_text(cert, "profile"));
	if (!buf_failed(&path) && rest_call(d->cli, "GET", buf_str(&path), NULL, &profile, NULL) == 0) {
		(void)text_copy(number, sizeof number, doctor_text(profile, "renew"));
		len = strlen(number);
		if (duration_parse(number, &before_s))
			renew_at = before_s < (end - begin) / 2 ? end - before_s : begin + (end - begin) / 2;
		else if (len > 0 && (number[len - 1] = '\0', integer_parse(number, 1, 99, &percent)))
			renew_at = begin + (end - begin) / 100 * percent;
	}
	json_decref(profile);
	buf_clear(&path);
	return renew_at + (end - renew_at) / 2;
}

void
check_device_certificate(struct doctor *d, struct finding *f)
{
	const json_t *cert = active_certificate(d);
	int64_t begin = doctor_time(cert, "not_before"), end = doctor_time(cert, "not_after");
	char text[CLOCK_TEXT_MAX];

	if (cert == NULL && !is_active(d)) {
		finding_set(f, VERDICT_NONE, "the device is %s", doctor_text(d->device, "status"));
		return;
	}
	if (cert == NULL) {
		finding_set(f, VERDICT_FAIL, "none of its certificates is in use any more");
	} else if (end <= d->now) {
		clock_text(text, end);
		finding_set(f, VERDICT_FAIL, "its certificate expired at %s", text);
	} else if (begin > d->now) {
		clock_text(text, begin);
		finding_set(f, VERDICT_FAIL, "its certificate is not valid before %s", text);
		finding_remedy(f, "set this machine's clock: timedatectl set-ntp true");
		return;
	} else if (d->now >= overdue_at(d, cert, begin, end)) {
		clock_text(text, end);
		finding_set(f, VERDICT_WARN, "its certificate expires at %s, and the time of its profile to renew it is over", text);
	} else {
		clock_text(text, end);
		finding_set(f, VERDICT_OK, "its certificate is valid until %s", text);
		return;
	}
	finding_remedy(f, "muster device package %s", d->id);
}

/* ---- revocation ------------------------------------------------------------------------------ */

static int
issuer_read(const char *pem, struct cert_issuer *out, struct err *err)
{
	struct buf der = {0};
	int rc;

	if ((rc = pem_decode(pem, strlen(pem), "CERTIFICATE", &der, err)) == 0)
		rc = cert_issuer_init(out, der.data, der.len, NULL, err);
	buf_clear(&der);
	return rc;
}

/* The issuing CA of a certificate, of those that the API tells of. E_NOTFOUND. */
static int
issuer_find(const struct doctor *d, const json_t *cert, struct cert_issuer *out, struct err *err)
{
	const json_t *ca = d->ca, *retired = json_object_get(d->ca, "retired");
	const char *pem = doctor_text(cert, "pem");
	struct buf der = {0};
	struct cert_info info;
	size_t i = 0;
	int rc;

	if ((rc = pem_decode(pem, strlen(pem), "CERTIFICATE", &der, err)) == 0)
		rc = cert_info_read(der.data, der.len, &info, err);
	buf_clear(&der);
	for (; rc == 0 && ca != NULL; ca = json_array_get(retired, i++))
		if ((rc = issuer_read(doctor_text(json_object_get(ca, "issuing"), "pem"), out, err)) == 0 &&
		    info.issuer_len == out->name_len && memcmp(info.issuer, out->name, out->name_len) == 0)
			return 0;
	return rc != 0 ? rc : err_set(err, E_NOTFOUND, "certificate %s is of no CA that is in use", doctor_text(cert, "serial"));
}

static int
list_read(const struct doctor *d, const struct cert_issuer *issuer, struct buf *der, struct err *err)
{
	struct doctor_list list = {0};
	char path[64 + sizeof issuer->key_id_hex];
	int rc;

	buf_reset(der);
	if (d->settings_err.code != 0) { /* elsewhere: the list as the API answers it */
		(void)snprintf(path, sizeof path, "/crl/%s.crl", issuer->key_id_hex);
		return rest_get(d->cli, path, der, err);
	}
	if ((rc = doctor_list_read(d, issuer, &list, err)) == 0)
		buf_append(der, list.der.data, list.der.len);
	doctor_list_clear(&list);
	return rc == 0 && buf_failed(der) ? err_nomem(err) : rc;
}

/* Is the certificate on the list exactly if it is not in use? One that has ended need not be there. */
static int
certificate_judge(const struct doctor *d, const struct buf *der, const json_t *cert, struct err *err)
{
	uint8_t serial[SERIAL_LEN];
	bool active = strcmp(doctor_text(cert, "state"), "active") == 0, listed;
	int rc;

	if (!hex_decode(serial, sizeof serial, doctor_text(cert, "serial")))
		return err_set(err, E_SYS, "the API answered a serial number of another length");
	if ((rc = crl_find(der->data, der->len, serial, &listed, err)) != 0)
		return rc;
	if (active && listed)
		return err_set(err, E_CONFLICT, "certificate %s is in use, but on the revocation list", doctor_text(cert, "serial"));
	if (!active && !listed && doctor_time(cert, "not_after") > d->now)
		return err_set(err, E_CONFLICT, "certificate %s is %s, but not on the revocation list: %s still accepts it",
		    doctor_text(cert, "serial"), doctor_text(cert, "state"),
		    doctor_is_plugin(d) ? "whoever goes by the list" : "the broker");
	return 0;
}

void
check_device_list(struct doctor *d, struct finding *f)
{
	struct cert_issuer issuer, before = {.key_id_hex = ""};
	struct buf der = {0};
	struct err err = {0};
	json_t *item;
	size_t i, n = 0;
	int rc = 0;

	json_array_foreach (json_object_get(d->certificates, "items"), i, item) {
		/* Nobody lists what a CA issued that has ended. */
		if ((rc = issuer_find(d, item, &issuer, &err)) == E_NOTFOUND && doctor_time(item, "not_after") <= d->now) {
			rc = 0;
			continue;
		}
		if (rc != 0 ||
		    (strcmp(issuer.key_id_hex, before.key_id_hex) != 0 && (rc = list_read(d, &issuer, &der, &err)) != 0) ||
		    (rc = certificate_judge(d, &der, item, &err)) != 0)
			break;
		before = issuer;
		n++;
	}
	buf_clear(&der);
	if (rc == 0) {
		finding_set(f, VERDICT_OK, "the revocation list says of its %zu certificates what the database says", n);
		return;
	}
	finding_err(f, VERDICT_FAIL, &err);
	finding_remedy(f, "restart the server: it has a new list signed when it starts: muster --dir %s serve", d->dir);
}

/* ---- topics ---------------------------------------------------------------------------------- */

struct filters {
	char text[POLICY_TEMPLATES_MAX][POLICY_TOPIC_MAX + 1];
	const char *list[POLICY_TEMPLATES_MAX];
	size_t n;
};

static int
filters_expand(const struct doctor *d, const json_t *templates, struct filters *out, struct err *err)
{
	const struct policy_subject subject = {d->id, TENANT, doctor_text(d->device, "type")};
	const char *text;
	json_t *item;
	size_t i;
	int rc;

	out->n = 0;
	json_array_foreach (templates, i, item) {
		if ((text = json_string_value(item)) == NULL || i >= POLICY_TEMPLATES_MAX)
			return err_set(err, E_SYS, "the API answered a policy of another form");
		if ((rc = policy_expand(text, &subject, out->text[i], err)) != 0)
			return rc;
		out->list[out->n++] = out->text[i];
	}
	return 0;
}

/* The lines that must stand in the ACL file for the device. */
static int
rights_expect(const struct doctor *d, struct buf *out, struct filters *write, struct filters *read, struct err *err)
{
	struct buf path = {0};
	json_t *policy = NULL;
	int rc;

	buf_text(&path, "/v1/policies/");
	rest_segment(&path, doctor_text(d->device, "policy"));
	if ((rc = rest_call(d->cli, "GET", buf_str(&path), NULL, &policy, err)) == 0 &&
	    (rc = filters_expand(d, json_object_get(policy, "write"), write, err)) == 0 &&
	    (rc = filters_expand(d, json_object_get(policy, "read"), read, err)) == 0)
		rc = aclfile_user(out, d->id, write->list, write->n, read->list, read->n, err);
	json_decref(policy);
	buf_clear(&path);
	return rc;
}

/* The user's lines in the ACL file TEXT, up to the next user's or the closing comment. */
static const char *
rights_find(const char *text, const char *id, size_t *len_out)
{
	char line[UUID_LEN + 8];
	const char *at, *end;

	(void)snprintf(line, sizeof line, "\nuser %s\n", id);
	if ((at = strstr(text, line)) == NULL)
		return NULL;
	at++;
	for (end = strchr(at, '\n') + 1; strncmp(end, "topic ", 6) == 0 && strchr(end, '\n') != NULL; end = strchr(end, '\n') + 1)
		;
	*len_out = (size_t)(end - at);
	return at;
}

/* "a, b" of the filters, for people. */
static void
filters_text(struct buf *out, const struct filters *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		buf_printf(out, "%s%s", i > 0 ? ", " : "", f->text[i]);
	if (f->n == 0)
		buf_text(out, "nothing");
}

static void
rights_show(struct finding *f, const struct filters *write, const struct filters *read)
{
	struct buf w = {0}, r = {0};

	filters_text(&w, write);
	filters_text(&r, read);
	finding_set(f, VERDICT_OK, "it may write %s and read %s, as its policy says", buf_str(&w), buf_str(&r));
	buf_clear(&w);
	buf_clear(&r);
}

void
check_device_rights(struct doctor *d, struct finding *f)
{
	static struct filters write, read; /* too large for the stack */
	struct buf expected = {0}, acl = {0};
	struct err err = {0};
	const char *found;
	size_t len = 0;
	int rc;

	if ((rc = rights_expect(d, &expected, &write, &read, &err)) != 0 ||
	    (!doctor_is_plugin(d) && (rc = doctor_read(d, "broker/acl", ACL_MAX, &acl, &err)) != 0)) {
		finding_err(f, VERDICT_FAIL, &err);
		goto out;
	}
	if (doctor_is_plugin(d) && is_active(d)) { /* the brokers have them from the same place */
		rights_show(f, &write, &read);
		goto out;
	}
	found = rights_find(buf_str(&acl), d->id, &len);
	if (!is_active(d) && found == NULL) {
		finding_set(f, VERDICT_OK, "it has no topics, for it is %s", doctor_text(d->device, "status"));
		goto out;
	}
	if (is_active(d) && found != NULL && len == expected.len && memcmp(found, expected.data, len) == 0) {
		rights_show(f, &write, &read);
		goto out;
	}
	if (!is_active(d)) {
		finding_set(f, VERDICT_FAIL, "it is %s, but broker/acl still gives it topics", doctor_text(d->device, "status"));
		finding_remedy(f, "restart the server: it writes the file anew when it starts: muster --dir %s serve", d->dir);
		goto out;
	}
	finding_set(f, VERDICT_FAIL, found == NULL ? "broker/acl does not name it: the broker denies it every topic"
						   : "broker/acl gives it other topics than its policy %s", doctor_text(d->device, "policy"));
	finding_remedy(f, "muster --dir %s device update %s --policy %s", d->dir, d->id, doctor_text(d->device, "policy"));
out:
	buf_clear(&expected);
	buf_clear(&acl);
}

/* ---- the device's own files ------------------------------------------------------------------ */

/* The chain must lead to the root that the device trusts: ours, or the package's where ours is not at hand. */
static int
root_read(const struct doctor *d, struct buf *root, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (d->root_pem.len > 0) {
		buf_append(root, d->root_pem.data, d->root_pem.len);
		return 0;
	}
	if (d->package_dir != NULL) {
		if ((rc = fs_path(path, d->package_dir, "ca.crt", err)) != 0)
			return rc;
		return fs_read(path, CHAIN_PEM_MAX, root, err);
	}
	if (d->ca == NULL)
		return err_set(err, E_NOTFOUND, "no root certificate is at hand to judge it by");
	buf_text(root, doctor_text(json_object_get(d->ca, "root"), "pem"));
	return 0;
}

static int
pair_judge(const struct doctor *d, const struct buf *cert_pem, struct cert_info *info, struct buf *der, struct err *err)
{
	struct buf key_pem;
	struct key *key = NULL;
	int rc;

	buf_init_secret(&key_pem);
	if ((rc = chain_leaf(buf_str(cert_pem), der, err)) != 0 ||
	    (rc = cert_info_read(der->data, der->len, info, err)) != 0 ||
	    (rc = fs_read(d->key_file, CHAIN_PEM_MAX, &key_pem, err)) != 0 ||
	    (rc = key_from_pem(key_pem.data, key_pem.len, &key, err)) != 0)
		goto out;
	if (!key_is_of(key, info->spki, info->spki_len))
		rc = err_set(err, E_CONFLICT, "%s is not the key of %s", d->key_file, d->cert_file);
	else if (strcmp(info->common_name, d->id) != 0)
		rc = err_set(err, E_CONFLICT, "%s is %s's, not %s's", d->cert_file, info->common_name, d->id);
out:
	key_free(key);
	buf_clear(&key_pem);
	return rc;
}

/* device.json must name the broker's address of today and the id as the client id. */
static int
json_judge(const struct doctor *d, struct err *err)
{
	char path[FS_PATH_MAX], host[64] = "";
	struct buf text = {0};
	json_t *object = NULL;
	uint16_t port = 0;
	const json_t *broker;
	int rc;

	if (d->package_dir == NULL || d->settings_err.code != 0)
		return 0;
	if ((rc = fs_path(path, d->package_dir, "device.json", err)) != 0 ||
	    (rc = fs_read(path, JSON_MAX, &text, err)) != 0)
		goto out;
	object = json_loadb(buf_str(&text), text.len, 0, NULL);
	broker = json_object_get(object, "broker");
	if (strcmp(doctor_text(object, "client_id"), d->id) != 0)
		rc = err_set(err, E_CONFLICT, "%s names another client id than the device's: it must be the id", path);
	else if (settings_split_listen(d->settings.broker_public_host, host, &port, NULL) == 0 &&
		 (strcmp(doctor_text(broker, "host"), host) != 0 ||
		     json_integer_value(json_object_get(broker, "port")) != port))
		rc = err_set(err, E_CONFLICT, "%s names another broker than broker.public_host, which is %s now", path,
		    d->settings.broker_public_host);
out:
	json_decref(object);
	buf_clear(&text);
	return rc;
}

static int
files_judge(const struct doctor *d, struct err *err)
{
	struct chain_question question = {.use = CHAIN_CLIENT, .now = d->now};
	struct buf pem = {0}, root = {0}, der = {0};
	char serial[2 * SERIAL_LEN + 1];
	struct cert_info info;
	int rc;

	if ((rc = fs_read(d->cert_file, CHAIN_PEM_MAX, &pem, err)) != 0 ||
	    (rc = pair_judge(d, &pem, &info, &der, err)) != 0 || (rc = root_read(d, &root, err)) != 0)
		goto out;
	question.pem = buf_str(&pem);
	question.root_pem = buf_str(&root);
	hex_encode(serial, info.serial, SERIAL_LEN);
	if ((rc = chain_check(&question, err)) != 0)
		(void)err_prefix(err, "%s", d->cert_file);
	else if (active_certificate(d) != NULL && strcmp(doctor_text(active_certificate(d), "serial"), serial) != 0)
		rc = err_set(err, E_CONFLICT, "%s is not the device's certificate of today, which is %s", d->cert_file,
		    doctor_text(active_certificate(d), "serial"));
	else
		rc = json_judge(d, err);
out:
	buf_clear(&pem);
	buf_clear(&root);
	buf_clear(&der);
	return rc;
}

void
check_device_files(struct doctor *d, struct finding *f)
{
	struct err err = {0};
	int rc = files_judge(d, &err);

	if (rc == 0) {
		finding_set(f, VERDICT_OK, "its key, certificate and chain belong together and are today's");
		return;
	}
	finding_err(f, VERDICT_FAIL, &err);
	if (rc == E_BUSY)
		finding_remedy(f, "set the clock: timedatectl set-ntp true");
	else if (rc == E_NOTFOUND && strstr(err.text, "chain") != NULL)
		finding_remedy(f, "the device must present the issuing CA's certificate behind its own: the package's device.crt has both");
	else
		finding_remedy(f, "muster device package %s, and bring the new package to the device", d->id);
}

/* In plugin mode TLS takes whom the CA certified, and the plugin decides at CONNECT. Only who is not active is tried there:
 * a session of a device in use would be taken over. */
static int
is_taken(const struct doctor *d, const struct probe *probe, struct err *err)
{
	unsigned code = 0;
	int rc;

	if ((rc = probe_client(probe, err)) != 0 || !doctor_is_plugin(d) || is_active(d))
		return rc;
	if ((rc = probe_mqtt(probe, d->id, &code, err)) == 0 && code != 0)
		rc = err_set(err, E_DENIED, "the broker refuses it with code %u", code);
	return rc;
}

/* A device in use must be let in, any other must not. */
void
check_device_connection(struct doctor *d, struct finding *f)
{
	struct probe probe = {.listen = d->settings.broker_listen, .cert_file = d->cert_file, .key_file = d->key_file};
	struct err err = {0};
	int rc = is_taken(d, &probe, &err);

	if (rc == E_BUSY || rc == E_SYS) {
		finding_set(f, VERDICT_NONE, "%s", err.text);
	} else if (rc == 0 && is_active(d)) {
		finding_set(f, VERDICT_OK, "the broker takes its certificate");
	} else if (rc == 0 && doctor_is_plugin(d)) {
		finding_set(f, VERDICT_FAIL, "the device is %s, but the broker still lets it in: it is behind", doctor_text(d->device, "status"));
		finding_remedy(f, "see how far behind: muster broker list; and what the broker's log says after \"muster:\"");
	} else if (rc == 0) {
		finding_set(f, VERDICT_FAIL, "the device is %s, but the broker still takes its certificate", doctor_text(d->device, "status"));
		finding_remedy(f, d->broker_pid > 0 ? "kill -HUP %d, and see that its configuration has `crlfile`"
						    : "have the broker reload (SIGHUP), and see that its configuration has `crlfile`",
		    (int)d->broker_pid);
	} else if (rc == E_DENIED && !is_active(d)) {
		finding_set(f, VERDICT_OK, "the broker refuses it, for it is %s", doctor_text(d->device, "status"));
	} else if (doctor_is_plugin(d)) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "restart the broker with what `muster --dir %s broker config mosquitto` prints", d->dir);
	} else {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, d->broker_pid > 0 ? "have the broker reload: kill -HUP %d" : "have the broker reload (SIGHUP)", (int)d->broker_pid);
	}
}
