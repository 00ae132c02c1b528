/* Checks of the home and the machine: configuration, permissions, space, limits, clock, the signer's log. */
#include "cmd/doctor.h"

#include "base/clock.h"
#include "base/text.h"
#include "cmd/owners.h"
#include "signer/log.h"
#include "store/reserve.h"
#include "x509/chain.h"
#include "x509/pem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#define LIST_PEM_MAX (384UL * 1024 * 1024) /* in PEM, as large a list as crl.h reads */
#define MIB (1024ULL * 1024)
#define DISK_WARN_BYTES (256 * MIB)
#define DISK_WARN_PERCENT 10
#define FDS_BESIDES 64 /* descriptors that are no connections */
#define FDS_NEAR_PERCENT 90
#define MEMLOCK_BYTES (2 * MIB) /* what the api locks for keys and passwords */
#define CLOCK_SLACK_S 5

int
doctor_issuer(const struct doctor *d, int slot, struct cert_issuer *out, struct err *err)
{
	struct buf pem = {0}, der = {0};
	char name[ISSUERS_NAME_SIZE];
	int rc;

	issuers_cert_name(name, slot);
	if ((rc = doctor_read(d, name, CHAIN_PEM_MAX, &pem, err)) == 0 &&
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &der, err)) == 0 &&
	    (rc = cert_issuer_init(out, der.data, der.len, NULL, err)) == 0 && slot > 0 && out->not_after <= d->now)
		rc = err_set(err, E_NOTFOUND, "%s has ended", name);
	buf_clear(&pem);
	buf_clear(&der);
	return rc;
}

/* Its list is one of those that stand there one behind the other. */
int
doctor_list_read(const struct doctor *d, const struct cert_issuer *issuer, struct doctor_list *out, struct err *err)
{
	struct doctor_list list = {0};
	struct buf pem = {0};
	const char *at;
	int rc;

	if ((rc = doctor_read(d, "broker/crl.pem", LIST_PEM_MAX, &pem, err)) != 0)
		goto out;
	at = buf_str(&pem);
	rc = err_set(err, E_INPUT, "broker/crl.pem has no list of the issuing CA");
	while (rc != 0 && pem_next_block(&at, "X509 CRL", &list.der))
		rc = crl_info_read(list.der.data, list.der.len, issuer, &list.info, err);
out:
	buf_clear(&pem);
	if (rc == 0)
		*out = list;
	else
		doctor_list_clear(&list);
	return rc;
}

/* That of today's issuing CA. */
static int
list_of_today(const struct doctor *d, struct doctor_list *out)
{
	struct cert_issuer issuer;
	int rc;

	if ((rc = doctor_issuer(d, 0, &issuer, NULL)) == 0)
		rc = doctor_list_read(d, &issuer, out, NULL);
	return rc;
}

void
doctor_list_clear(struct doctor_list *list)
{
	buf_clear(&list->der);
}

void
check_home(struct doctor *d, struct finding *f)
{
	const struct err *err = &d->settings_err;

	switch (err->code) {
	case 0:
		finding_set(f, VERDICT_OK, "muster.conf is understood; the broker's mode is %s", d->settings.broker_mode);
		return;
	case E_DENIED:
		finding_set(f, VERDICT_NONE, "%s", err->text);
		return;
	case E_NOTFOUND:
		finding_err(f, VERDICT_FAIL, err);
		finding_remedy(f, "name it with --dir, or make one: muster --dir %s init", d->dir);
		return;
	default:
		finding_err(f, VERDICT_FAIL, err);
		finding_remedy(f, "correct %s in %s/muster.conf", err->field[0] != '\0' ? err->field : "it", d->dir);
	}
}

void
check_permissions(struct doctor *d, struct finding *f)
{
	struct err err = {0};

	if (owners_check(d->dir, d->settings.broker_group, &err) != 0)
		finding_err(f, VERDICT_FAIL, &err);
	else
		finding_set(f, VERDICT_OK, "owners and modes are those that init gave");
}

void
check_disk(struct doctor *d, struct finding *f)
{
	unsigned long long free_bytes, percent;
	struct statvfs fs;
	bool no_inodes;

	if (statvfs(d->dir, &fs) != 0 || fs.f_blocks == 0) {
		finding_set(f, VERDICT_FAIL, "cannot look at the file system of %s", d->dir);
		return;
	}
	free_bytes = (unsigned long long)fs.f_bavail * fs.f_frsize;
	percent = (unsigned long long)fs.f_bavail * 100 / fs.f_blocks;
	no_inodes = fs.f_files > 0 && fs.f_favail == 0;
	finding_set(f, VERDICT_OK, "%llu MiB free (%llu %%)", free_bytes / MIB, percent);
	if (no_inodes)
		finding_set(f, VERDICT_FAIL, "the file system of %s has no inodes left", d->dir);
	else if (free_bytes <= RESERVE_LOW_BYTES)
		finding_set(f, VERDICT_FAIL, "the disk is full: %llu KiB free; registrations are refused",
		    free_bytes / 1024);
	else if (free_bytes < DISK_WARN_BYTES && percent < DISK_WARN_PERCENT)
		finding_set(f, VERDICT_WARN, "the disk is nearly full: %llu MiB free (%llu %%)", free_bytes / MIB, percent);
	else
		return;
	finding_remedy(f, "make room on the file system of %s: df -h %s", d->dir, d->dir);
}

/* The soft limit called NAME of PID, or of ourselves if that cannot be seen. */
static unsigned long long
limit_of(pid_t pid, const char *name, int resource)
{
	unsigned long long value = 0;
	struct buf text = {0};
	struct rlimit own;
	const char *line;
	char path[64];
	int64_t number;

	(void)snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
	if (fs_read(path, 65536, &text, NULL) == 0 && (line = strstr(buf_str(&text), name)) != NULL) {
		line += strlen(name);
		line += strspn(line, " ");
		text.data[(size_t)(line - buf_str(&text)) + strcspn(line, " \n")] = '\0';
		value = integer_parse(line, 0, INT64_MAX, &number) ? (unsigned long long)number : RLIM_INFINITY;
	} else if (getrlimit(resource, &own) == 0) {
		value = own.rlim_cur;
	}
	buf_clear(&text);
	return value;
}

/* Open descriptors of PID, or 0 if they cannot be seen. */
static unsigned long long
fds_of(pid_t pid)
{
	unsigned long long n = 0;
	char path[64];
	DIR *dir;

	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

void
check_limits(struct doctor *d, struct finding *f)
{
	unsigned long long fds, wanted = (unsigned long long)d->settings.connections + FDS_BESIDES, memory, used;

	if (d->api_pid == 0) {
		finding_set(f, VERDICT_NONE, "no server runs whose limits could be seen");
		return;
	}
	fds = limit_of(d->api_pid, "Max open files", RLIMIT_NOFILE);
	memory = limit_of(d->api_pid, "Max locked memory", RLIMIT_MEMLOCK);
	used = fds_of(d->api_pid);
	if (used * 100 >= fds * FDS_NEAR_PERCENT) {
		finding_set(f, VERDICT_FAIL, "%llu of the api's %llu file descriptors are in use", used, fds);
		finding_remedy(f, "raise LimitNOFILE= in the service's unit (or ulimit -n) and restart it; see who connects: ss -tnp");
	} else if (fds < wanted) {
		finding_set(f, VERDICT_WARN, "limits.connections is %lld, but the api may open only %llu file descriptors",
		    (long long)d->settings.connections, fds);
		finding_remedy(f, "set LimitNOFILE=%llu in the service's unit (or ulimit -n %llu) and restart it", wanted, wanted);
	} else if (memory < MEMLOCK_BYTES) {
		finding_set(f, VERDICT_WARN, "the api may lock only %llu KiB of memory: it will not start again", memory / 1024);
		finding_remedy(f, "set LimitMEMLOCK=8M in the service's unit (or ulimit -l 8192)");
	} else {
		finding_set(f, VERDICT_OK, "%llu of %llu file descriptors in use; memory for keys can be locked", used, fds);
	}
}

/* When the certificate in NAME begins, or 0. */
static int64_t
certificate_begin(const struct doctor *d, const char *name)
{
	struct buf pem = {0}, der = {0};
	struct cert_info info = {0};

	if (doctor_read(d, name, CHAIN_PEM_MAX, &pem, NULL) != 0 || chain_leaf(buf_str(&pem), &der, NULL) != 0 ||
	    cert_info_read(der.data, der.len, &info, NULL) != 0)
		info.not_before = 0;
	buf_clear(&pem);
	buf_clear(&der);
	return info.not_before;
}

/* Nothing that was made can be of later than now. */
void
check_clock(struct doctor *d, struct finding *f)
{
	static const char *const names[] = {"ca/issuing.crt", "tls/server.crt", "broker/broker.crt"};
	char now[CLOCK_TEXT_MAX], then[CLOCK_TEXT_MAX];
	const char *latest_name = "broker/crl.pem";
	struct doctor_list list = {0};
	int64_t latest = 0, begin;
	size_t i;

	if (list_of_today(d, &list) == 0)
		latest = list.info.this_update;
	doctor_list_clear(&list);
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if ((begin = certificate_begin(d, names[i])) <= latest)
			continue;
		latest = begin;
		latest_name = names[i];
	}
	clock_text(now, d->now);
	clock_text(then, latest);
	if (latest > d->now + CLOCK_SLACK_S) {
		finding_set(f, VERDICT_FAIL, "this machine's clock is behind: it says %s, but %s is of %s", now, latest_name, then);
		finding_remedy(f, "set the clock and keep it set: timedatectl set-ntp true");
	} else {
		finding_set(f, VERDICT_OK, "it is %s here, and nothing was made later", now);
	}
}

void
check_clock_sync(struct doctor *d, struct finding *f)
{
	struct timex tx = {0};
	int state = adjtimex(&tx);

	(void)d;
	if (state < 0) {
		finding_set(f, VERDICT_NONE, "the kernel does not tell whether the clock is synchronised");
	} else if (state == TIME_ERROR || (tx.status & STA_UNSYNC) != 0) {
		finding_set(f, VERDICT_WARN, "nothing keeps this machine's clock right");
		finding_remedy(f, "timedatectl set-ntp true (or install chrony)");
	} else {
		finding_set(f, VERDICT_OK, "the clock is synchronised");
	}
}

/* The list is looked at before the log: whoever signs it has logged its number before. */
void
check_signer_log(struct doctor *d, struct finding *f)
{
	struct signer_log *log = NULL;
	struct doctor_list list = {0};
	char path[FS_PATH_MAX];
	struct err err = {0};
	bool has_list = list_of_today(d, &list) == 0;
	int rc;

	doctor_list_clear(&list);
	if ((rc = fs_path(path, d->dir, "signer.log", &err)) != 0 ||
	    (rc = signer_log_open(path, true, &log, &err)) != 0) {
		finding_err(f, VERDICT_FAIL, &err);
		finding_remedy(f, "stop the server and restore the home from its last backup");
	} else if (has_list && list.info.number > signer_log_crl_number(log)) {
		finding_set(f, VERDICT_FAIL, "signer.log has lost its end: broker/crl.pem is number %llu, the log's last %llu",
		    (unsigned long long)list.info.number, (unsigned long long)signer_log_crl_number(log));
		finding_remedy(f, "stop the server and restore the home from its last backup");
	} else {
		finding_set(f, VERDICT_OK, "%llu rows, each bound to the one before; the last CRL number is %llu",
		    (unsigned long long)signer_log_last_seq(log), (unsigned long long)signer_log_crl_number(log));
	}
	signer_log_close(log);
}
