/* Checks of the certificates in the home, and of the servers that present them. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/probe.h"
#include "cmd/rest.h"
#include "signer/profile.h"
#include "x509/chain.h"
#include "x509/key.h"
#include "x509/ocsp.h"
#include "x509/pem.h"

#include <stdio.h>
#include <string.h>

#define DAY 86400
#define EXPIRY_WARN_S (30LL * DAY)
/* From a warning to when something is cut short. A new root must reach all devices. */
#define PLAN_S (90LL * DAY)
#define ROOT_PLAN_S (2 * 365LL * DAY)

/* ---- pairs of key and certificate ------------------------------------------------------------ */

struct pair {
	const char *cert, *key;
	const char *host; /* NULL: not a server's */
	enum chain_use use;
	struct buf pem;
	struct cert_info info;
};

/* E_CONFLICT if KEY's file is not the key of the certificate. */
static int
pair_read(const struct doctor *d, struct pair *p, struct err *err)
{
	struct buf key_pem, der = {0};
	struct key *key = NULL;
	int rc;

	buf_init_secret(&key_pem);
	if ((rc = doctor_read(d, p->cert, CHAIN_PEM_MAX, &p->pem, err)) != 0)
		goto out;
	if ((rc = chain_leaf(buf_str(&p->pem), &der, err)) != 0 ||
	    (rc = cert_info_read(der.data, der.len, &p->info, err)) != 0) {
		(void)err_prefix(err, "%s", p->cert);
		goto out;
	}
	if ((rc = doctor_read(d, p->key, CHAIN_PEM_MAX, &key_pem, err)) != 0)
		goto out;
	if ((rc = key_from_pem(key_pem.data, key_pem.len, &key, err)) != 0) {
		(void)err_prefix(err, "%s", p->key);
		goto out;
	}
	if (!key_is_of(key, p->info.spki, p->info.spki_len))
		rc = err_set(err, E_CONFLICT, "%s is not the key of %s", p->key, p->cert);
out:
	key_free(key);
	buf_clear(&key_pem);
	buf_clear(&der);
	return rc;
}

static int
pair_judge(const struct doctor *d, struct pair *p, struct err *err)
{
	struct chain_question question = {.root_pem = buf_str(&d->root_pem), .use = p->use, .host = p->host, .now = d->now};
	int rc;

	if ((rc = pair_read(d, p, err)) != 0)
		return rc;
	question.pem = buf_str(&p->pem);
	if ((rc = chain_check(&question, err)) != 0)
		(void)err_prefix(err, "%s", p->cert);
	return rc;
}

static void
check_pair(struct doctor *d, struct finding *f, struct pair *p, const char *which, const char *setting)
{
	char end[CLOCK_TEXT_MAX];
	struct err err = {0};
	int rc = pair_judge(d, p, &err);

	if (rc == E_BUSY) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "set this machine's clock: timedatectl set-ntp true");
	} else if (rc == E_CONFLICT && strstr(err.text, "for the name") != NULL) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "correct %s in muster.conf, or stop the server and: muster --dir %s ca renew %s --host %s", setting,
		    d->dir, which, p->host);
	} else if (rc != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "stop the server and: muster --dir %s ca renew %s", d->dir, which);
	} else {
		clock_text(end, p->info.not_after);
		finding_set(f, VERDICT_OK, "%s is for %s, with its key and chain, until %s", p->cert, p->host, end);
		if (p->info.not_after - d->now < EXPIRY_WARN_S) {
			finding_set(f, VERDICT_WARN, "%s expires at %s", p->cert, end);
			finding_remedy(f, "stop the server and: muster --dir %s ca renew %s", d->dir, which);
		}
	}
	buf_clear(&p->pem);
}

void
check_server_certificate(struct doctor *d, struct finding *f)
{
	char host[CONF_TEXT_SIZE];
	struct pair pair = {.cert = "tls/server.crt", .key = "tls/server.key", .host = host, .use = CHAIN_SERVER};

	settings_host(host, sizeof host, d->settings.api_public_url);
	check_pair(d, f, &pair, "server", "api.public_url");
}

void
check_broker_certificate(struct doctor *d, struct finding *f)
{
	char host[CONF_TEXT_SIZE];
	struct pair pair = {.cert = "broker/broker.crt", .key = "broker/broker.key", .host = host, .use = CHAIN_SERVER};

	settings_host(host, sizeof host, d->settings.broker_public_host);
	check_pair(d, f, &pair, "broker", "broker.public_host");
}

/* The most that a profile asks for: certificates of before it no longer fits are cut at their CA's end. */
static int64_t
longest_validity(const struct doctor *d)
{
	struct profiles profiles = {0};
	struct buf text = {0};
	int64_t longest_s = 0;
	size_t i;

	if (doctor_read(d, "muster.conf", CONF_FILE_MAX, &text, NULL) == 0 &&
	    profiles_parse(buf_str(&text), &profiles, NULL) == 0)
		for (i = 0; i < profiles.n; i++)
			if (profiles.list[i].validity_s > longest_s)
				longest_s = profiles.list[i].validity_s;
	buf_clear(&text);
	return longest_s;
}

static int
root_read(const struct doctor *d, struct cert_info *info, struct err *err)
{
	struct buf der = {0};
	int rc;

	if ((rc = chain_leaf(buf_str(&d->root_pem), &der, err)) == 0)
		rc = cert_info_read(der.data, der.len, info, err);
	buf_clear(&der);
	return rc == 0 ? 0 : err_prefix(err, "ca/root.crt");
}

void
check_root_ca(struct doctor *d, struct finding *f)
{
	bool is_old = d->root_pem.len > 0 && strstr(buf_str(&d->root_pem) + 1, "-----BEGIN CERTIFICATE") != NULL;
	char end[CLOCK_TEXT_MAX];
	struct cert_info root;
	struct err err = {0};

	if (root_read(d, &root, &err) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "stop the server and restore ca/ from the home's last backup");
		return;
	}
	clock_text(end, root.not_after);
	if (root.not_after <= d->now)
		finding_set(f, VERDICT_FAIL, "it ended at %s: nobody trusts anything below it", end);
	else if (root.not_after - d->now < longest_validity(d) + ROOT_PLAN_S)
		finding_set(f, VERDICT_WARN, "it ends at %s, and all CAs and certificates below it do", end);
	else {
		finding_set(f, VERDICT_OK, "%s valid until %s", is_old ? "two roots are trusted, today's is" : "it is", end);
		return;
	}
	finding_remedy(f, "stop the server and, with the root's key: muster --dir %s ca root rollover (docs/ca-rollover.md)", d->dir);
}

/* The CA of that slot, and its key. E_NOTFOUND without a text: none is there that has not ended. */
static int
slot_judge(const struct doctor *d, int slot, struct cert_info *info_out, struct err *err)
{
	char cert[ISSUERS_NAME_SIZE], key[ISSUERS_NAME_SIZE];
	struct pair pair = {.cert = cert, .key = key, .use = CHAIN_ANY};
	struct cert_issuer issuer;
	int rc = 0;

	issuers_cert_name(cert, slot);
	issuers_key_name(key, slot);
	if (slot > 0 && doctor_issuer(d, slot, &issuer, NULL) == E_NOTFOUND)
		return E_NOTFOUND;
	rc = pair_judge(d, &pair, err);
	*info_out = pair.info;
	buf_clear(&pair.pem);
	return rc;
}

/* A rollover that was cut short left today's key in its other place, where the signer finds it. */
static bool
is_cut_short(const struct doctor *d)
{
	struct pair pair = {.cert = "ca/issuing.crt", .key = ISSUERS_NEXT_KEY};
	bool is_there = pair_read(d, &pair, &(struct err){0}) == 0;

	buf_clear(&pair.pem);
	return is_there;
}

static void
issuing_ca_remedy(const struct doctor *d, struct finding *f, int rc, const struct cert_info *today)
{
	struct cert_info root = {0};

	if (rc == E_BUSY)
		finding_remedy(f, "set this machine's clock: timedatectl set-ntp true");
	else if (rc != 0 && !(today->not_after > 0 && today->not_after <= d->now))
		finding_remedy(f, "stop the server and restore ca/ from the home's last backup with keys");
	else if (root_read(d, &root, &(struct err){0}) == 0 && root.not_after <= today->not_after)
		finding_remedy(f, "its root ends then, too: first, with the server stopped, muster --dir %s ca root rollover (docs/ca-rollover.md)", d->dir);
	else
		finding_remedy(f, "stop the server and, with the root's key: muster --dir %s ca rollover", d->dir);
}

void
check_issuing_ca(struct doctor *d, struct finding *f)
{
	int64_t longest_s = longest_validity(d);
	struct cert_info today = {0}, retired;
	char end[CLOCK_TEXT_MAX];
	struct err err = {0};
	int rc, slot, n = 0, one;

	if (is_cut_short(d)) {
		finding_set(f, VERDICT_WARN, "a rollover was cut short: the key of ca/issuing.crt is still in " ISSUERS_NEXT_KEY);
		finding_remedy(f, "stop the server and: muster --dir %s ca rollover", d->dir);
		return;
	}
	rc = slot_judge(d, 0, &today, &err);
	for (slot = 1; rc == 0 && slot <= ISSUERS_RETIRED_MAX; slot++) {
		if ((one = slot_judge(d, slot, &retired, &err)) == 0)
			n++;
		else if (one != E_NOTFOUND || err.text[0] != '\0')
			rc = one;
	}
	clock_text(end, today.not_after);
	if (rc != 0)
		finding_err(f, VERDICT_FAIL, &err);
	else if (today.not_after - d->now < longest_s)
		finding_set(f, VERDICT_WARN, "it ends at %s, and so does every certificate it issues: a profile asks for %lld days",
		    end, (long long)(longest_s / DAY));
	else if (today.not_after - d->now < longest_s + PLAN_S)
		finding_set(f, VERDICT_WARN, "it ends at %s: in %lld days a certificate for %lld days no longer fits", end,
		    (long long)((today.not_after - d->now - longest_s) / DAY), (long long)(longest_s / DAY));
	else {
		finding_set(f, VERDICT_OK, "it is valid until %s, and its key is here; %d before it go on", end, n);
		return;
	}
	issuing_ca_remedy(d, f, rc, &today);
}

/* ---- who presents them ------------------------------------------------------------------------ */

static bool
is_free_port(const char *listen)
{
	char host[64];
	uint16_t port;

	return settings_split_listen(listen, host, &port, NULL) == 0 && port == 0;
}

int
doctor_presents(const struct doctor *d, const struct probe *probe, const char *file, struct err *err)
{
	struct buf wire = {0}, disk = {0}, wire_der = {0}, disk_der = {0};
	int rc;

	if ((rc = probe_chain(probe, &wire, err)) == 0 &&
	    (rc = chain_leaf(buf_str(&wire), &wire_der, err)) == 0 &&
	    (rc = doctor_read(d, file, CHAIN_PEM_MAX, &disk, err)) == 0 &&
	    (rc = chain_leaf(buf_str(&disk), &disk_der, err)) == 0 &&
	    (wire_der.len != disk_der.len || memcmp(wire_der.data, disk_der.data, disk_der.len) != 0))
		rc = err_set(err, E_CONFLICT, "what listens on %s presents another certificate than %s", probe->listen, file);
	buf_clear(&wire);
	buf_clear(&disk);
	buf_clear(&wire_der);
	buf_clear(&disk_der);
	return rc;
}

void
check_https(struct doctor *d, struct finding *f)
{
	struct probe probe = {.listen = d->settings.api_listen};
	pid_t supervisor = doctor_parent(d->api_pid);
	char host[CONF_TEXT_SIZE];
	struct err err = {0};
	int rc;

	settings_host(host, sizeof host, d->settings.api_public_url);
	probe.name = host;
	if (is_free_port(d->settings.api_listen)) {
		finding_set(f, VERDICT_NONE, "api.listen has port 0: only the log tells which it is");
		return;
	}
	if ((rc = doctor_presents(d, &probe, "tls/server.crt", &err)) == 0) {
		finding_set(f, VERDICT_OK, "%s presents tls/server.crt", probe.listen);
		return;
	}
	finding_err(f, VERDICT_FAIL, &err);
	if (rc == E_CONFLICT && supervisor > 0)
		finding_remedy(f, "kill -HUP %d", (int)supervisor);
	else if (rc == E_BUSY && d->api_pid == 0)
		finding_remedy(f, "muster --dir %s serve", d->dir);
	else
		finding_remedy(f, "see who has the port (ss -ltnp), and restart the server after changing api.listen");
}

/* Lists that are current, but older than they should become. A delta is made anew at half its time. */
static void
check_lists_age(const struct doctor *d, const char *url, const struct crl_info *info, struct finding *f)
{
	const struct settings *s = &d->settings;
	int64_t delta_end = doctor_time(json_object_get(d->ca, "delta_crl"), "next_update");
	int64_t delta_s = s->delta_validity_s < s->crl_validity_s ? s->delta_validity_s : s->crl_validity_s;
	char until[CLOCK_TEXT_MAX];

	if (info->next_update - d->now < s->crl_validity_s - 2 * s->crl_renew_s) {
		clock_text(until, info->next_update);
		finding_set(f, info->next_update > d->now ? VERDICT_WARN : VERDICT_FAIL,
		    "the revocation list was not renewed when it should have been; verifiers refuse everybody from %s on", until);
	} else if (delta_end - d->now < delta_s / 4) {
		clock_text(until, delta_end);
		finding_set(f, VERDICT_WARN, "the delta list was not renewed when it should have been; it ends at %s", until);
	} else {
		finding_set(f, VERDICT_OK, "%s is the current revocation list", url);
		return;
	}
	finding_remedy(f, "see in the server's log why none can be signed; a restart makes new ones: muster --dir %s serve", d->dir);
}

/* The list that everybody can fetch must be the one that the API knows, or a newer one. */
void
check_pki(struct doctor *d, struct finding *f)
{
	int64_t number = json_integer_value(json_object_get(json_object_get(d->ca, "crl"), "number"));
	char url[CONF_TEXT_SIZE + 32];
	struct cert_issuer issuer;
	struct crl_info info;
	struct buf der = {0};
	struct err err = {0};
	int rc;

	if (is_free_port(d->settings.pki_listen)) {
		finding_set(f, VERDICT_NONE, "pki.listen has port 0: only the log tells which it is");
		return;
	}
	(void)snprintf(url, sizeof url, "http://%s/crl/issuing.crl", d->settings.pki_listen);
	if ((rc = doctor_issuer(d, 0, &issuer, &err)) == 0 && (rc = rest_public(d->cli, url, &der, &err)) == 0 &&
	    (rc = crl_info_read(der.data, der.len, &issuer, &info, &err)) == 0 && (int64_t)info.number < number)
		rc = err_set(&err, E_CONFLICT, "%s is number %llu, older than the API's %lld", url,
		    (unsigned long long)info.number, (long long)number);
	buf_clear(&der);
	if (rc == 0) {
		check_lists_age(d, url, &info, f);
		return;
	}
	finding_err(f, VERDICT_FAIL, &err);
	finding_remedy(f, "see who has the port (ss -ltnp), and restart the server after changing pki.listen");
}

/* A certificate that the service itself has, and whose it is. */
static int
own_certificate(const struct doctor *d, struct cert_issuer *issuer_out, int *slot_out, const char **file_out,
    uint8_t *serial_out, struct err *err)
{
	static const char *const files[] = {"tls/server.crt", "broker/broker.crt"};
	struct buf pem = {0}, der = {0};
	struct cert_info info;
	int rc = 0, slot;
	size_t i;

	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		buf_reset(&pem);
		buf_reset(&der);
		if ((rc = doctor_read(d, files[i], CHAIN_PEM_MAX, &pem, err)) != 0 ||
		    (rc = chain_leaf(buf_str(&pem), &der, err)) != 0 ||
		    (rc = cert_info_read(der.data, der.len, &info, err)) != 0)
			goto out;
		for (slot = 0; slot <= ISSUERS_RETIRED_MAX; slot++) {
			if (doctor_issuer(d, slot, issuer_out, NULL) != 0 || info.issuer_len != issuer_out->name_len ||
			    memcmp(info.issuer, issuer_out->name, info.issuer_len) != 0)
				continue;
			*file_out = files[i];
			*slot_out = slot;
			memcpy(serial_out, info.serial, SERIAL_LEN);
			goto out;
		}
	}
	rc = err_set(err, E_NOTFOUND, "neither the server's nor the broker's certificate is of these CAs'");
out:
	buf_clear(&pem);
	buf_clear(&der);
	return rc;
}

/* Ask for SERIAL's status as anybody does, and look at the answer as a client does. */
static int
ocsp_ask(const struct doctor *d, const struct cert_issuer *issuer, int slot, const uint8_t *serial,
    struct ocsp_info *out, struct err *err)
{
	char ca[ISSUERS_NAME_SIZE];
	struct buf request = {0}, url = {0}, answer = {0}, pem = {0}, issuing = {0};
	struct ocsp_issuer ids;
	int rc;

	if ((rc = ocsp_issuer_init(&ids, issuer, err)) != 0)
		return rc;
	issuers_cert_name(ca, slot);
	ocsp_request_put(&request, &ids, serial);
	buf_printf(&url, "http://%s/ocsp/", d->settings.pki_listen);
	base64url_encode(&url, request.data, request.len);
	if (buf_failed(&request) || buf_failed(&url))
		rc = err_nomem(err);
	else if ((rc = rest_public(d->cli, buf_str(&url), &answer, err)) == 0 &&
	    (rc = doctor_read(d, ca, CHAIN_PEM_MAX, &pem, err)) == 0 &&
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &issuing, err)) == 0)
		rc = ocsp_verify(answer.data, answer.len, &issuing, serial, out, err);
	buf_clear(&request);
	buf_clear(&url);
	buf_clear(&answer);
	buf_clear(&pem);
	buf_clear(&issuing);
	return rc;
}

void
check_ocsp(struct doctor *d, struct finding *f)
{
	static const char *const statuses[] = {"good", "revoked", "unknown"};
	char until[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];
	const char *file = NULL;
	uint8_t serial[SERIAL_LEN];
	struct cert_issuer issuer;
	struct ocsp_info info;
	struct err err = {0};
	int rc, slot = 0;

	if (is_free_port(d->settings.pki_listen)) {
		finding_set(f, VERDICT_NONE, "pki.listen has port 0: only the log tells which it is");
		return;
	}
	if ((rc = own_certificate(d, &issuer, &slot, &file, serial, &err)) != 0 ||
	    (rc = ocsp_ask(d, &issuer, slot, serial, &info, &err)) != 0) {
		finding_err(f, rc == E_NOTFOUND && file == NULL ? VERDICT_NONE : VERDICT_FAIL, &err);
		if (f->verdict == VERDICT_FAIL)
			finding_remedy(f, "see the server's log for its signer, and who has the port (ss -ltnp); restart the server "
					  "after changing pki.listen");
		return;
	}
	clock_text(until, info.next_update);
	clock_text(end, info.responder_not_after);
	finding_set(f, VERDICT_OK, "it says \"good\" of %s until %s; its responder's certificate ends at %s", file, until, end);
	if (info.status != OCSP_GOOD) { /* one that another hand has signed is unknown */
		finding_set(f, info.status == OCSP_UNKNOWN ? VERDICT_WARN : VERDICT_FAIL, "it says \"%s\" of %s", statuses[info.status], file);
		finding_remedy(f, "stop the server, muster --dir %s ca renew %s, and start it again", d->dir,
		    strcmp(file, "tls/server.crt") == 0 ? "server" : "broker");
	} else if (info.responder_not_after - d->now < DAY) {
		finding_set(f, VERDICT_WARN, "its responder's certificate was not renewed when it should have been; it ends at %s", end);
		finding_remedy(f, "see the signer's lines in the server's log (a full disk?)");
	}
}
