/* What the checks of `muster doctor` share. A check looks at one thing and answers with one sentence of finding and,
 * where something is to be done, one of remedy: a command to run where there is one. */
#ifndef MUSTER_CMD_DOCTOR_H
#define MUSTER_CMD_DOCTOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "cmd/commands.h"
#include "cmd/probe.h"
#include "core/settings.h"
#include "signer/issuers.h"
#include "x509/cert.h"
#include "x509/crl.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL, VERDICT_NONE };

struct finding {
	enum verdict verdict; /* VERDICT_NONE: not applicable, and the text says why */
	char text[640];
	char remedy[640]; /* "": nothing to be done */
};

/* What is known before any check runs; what a check may rely on is in its needs. */
struct doctor {
	const struct cli *cli;
	const char *dir;
	const char *id; /* the device asked about, or NULL */
	const char *cert_file, *key_file; /* the device's, or NULL */
	const char *package_dir;	  /* where they come from, or NULL */
	int64_t now;
	struct settings settings;
	struct err settings_err, api_err, device_err, broker_err;
	pid_t api_pid, broker_pid; /* 0: not running, or not here */
	json_t *ca;		   /* GET /v1/ca */
	json_t *device, *certificates;
	struct buf root_pem;
};

void finding_set(struct finding *f, enum verdict verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void finding_remedy(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR's text, and as the remedy what follows its first newline. */
void finding_err(struct finding *f, enum verdict verdict, const struct err *err);

/* Read NAME of the home without a trace in its access time. */
MUST_CHECK int doctor_read(
    const struct doctor *d, const char *name, size_t max, struct buf *out, struct err *err);

/* An issuing CA, from its certificate in the home, and its list in broker/crl.pem. E_NOTFOUND if the slot is empty, or what
 * is there has ended. */
struct doctor_list {
	struct buf der;
	struct crl_info info;
};
MUST_CHECK int doctor_issuer(const struct doctor *d, int slot, struct cert_issuer *out, struct err *err);
MUST_CHECK int doctor_list_read(
    const struct doctor *d, const struct cert_issuer *issuer, struct doctor_list *out, struct err *err);
void doctor_list_clear(struct doctor_list *list);

/* Does the server that PROBE knocks at present the certificate in FILE of the home? E_CONFLICT; else as probe.h. */
MUST_CHECK int doctor_presents(
    const struct doctor *d, const struct probe *probe, const char *file, struct err *err);

/* The text at KEY of OBJECT, or "". */
const char *doctor_text(const json_t *object, const char *key);

/* The time at KEY of OBJECT, or 0. */
int64_t doctor_time(const json_t *object, const char *key);

/* Does muster.conf, as far as it could be read, have broker.mode = plugin? */
bool doctor_is_plugin(const struct doctor *d);

/* The process that is PID's parent, or 0. */
pid_t doctor_parent(pid_t pid);

typedef void check_fn(struct doctor *d, struct finding *f);

/* doctor_home.c: files and limits */
check_fn check_home, check_permissions, check_disk, check_limits, check_clock, check_clock_sync,
    check_signer_log;

/* doctor_tls.c: certificates, and what presents them */
check_fn check_root_ca, check_issuing_ca, check_server_certificate, check_broker_certificate, check_https, check_pki, check_ocsp;

/* doctor_api.c: what the API itself tells */
check_fn check_server, check_registration, check_rates, check_audit, check_rotation;

/* doctor_broker.c */
check_fn check_broker, check_broker_strangers, check_broker_process, check_broker_config,
    check_broker_acl, check_broker_crl, check_broker_reload;

/* doctor_plugin.c: brokers that follow the feed, and what they report */
check_fn check_broker_service, check_broker_feed, check_broker_credentials, check_device_refusals;

/* doctor_device.c */
check_fn check_device, check_device_certificate, check_device_list, check_device_rights,
    check_device_files, check_device_connection;

#endif
