/* Many devices that ask for certificates by EST, each with a key of its own and by the agent's own
 * means:
 *
 *   estload enrol URL CAFILE FOLDER N       as "device I", by the enrolment token in the
 * environment's TOKEN estload renew URL CAFILE FOLDER N       by the pair that it has
 *
 * Device I's pair is FOLDER/I.pem, key and leaf; a renewed one is FOLDER/I.next.pem. A line for
 * each: "done I ID MS" or "failed I WHY". THREADS of the environment (16) ask at once. */
#include "agent/est.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "x509/csr.h"
#include "x509/key.h"

#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define PAIR_MAX 65536
#define THREADS_MAX 256

static struct {
	bool renews;
	const char *url, *ca_path, *folder, *token;
	long n;
	atomic_long next, failed;
} load;

/* ---- names
 * -------------------------------------------------------------------------------------------------------
 */

static int
name_put(X509_NAME *name, struct buf *out, struct err *err)
{
	unsigned char *der = NULL;
	int len = name != NULL ? i2d_X509_NAME(name, &der) : -1;

	if (len < 0)
		return err_set(err, E_SYS, "no name");
	buf_append(out, der, (size_t)len);
	OPENSSL_free(der);
	return 0;
}

static int
name_make(long i, struct buf *out, struct err *err)
{
	X509_NAME *name = X509_NAME_new();
	char text[32];
	int rc;

	(void)snprintf(text, sizeof text, "device %ld", i);
	if (name == NULL || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				(const unsigned char *)text, -1, -1, 0) != 1)
		rc = err_set(err, E_SYS, "no name");
	else
		rc = name_put(name, out, err);
	X509_NAME_free(name);
	return rc;
}

/* The subject of the first certificate in PEM, and its CN, which is the device's id. */
static int
subject_read(const struct buf *pem, struct buf *out, char id_out[UUID_LEN + 1], struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int rc = E_SYS;

	if (cert == NULL || X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
				id_out, UUID_LEN + 1) != UUID_LEN)
		rc = err_set(err, E_INPUT, "a certificate that is none of a device");
	else
		rc = name_put(X509_get_subject_name(cert), out, err);
	X509_free(cert);
	BIO_free(bio);
	return rc;
}

/* ---- one device
 * --------------------------------------------------------------------------------------------------
 */

static void
pair_path(long i, const char *kind, char out[FS_PATH_MAX])
{
	(void)snprintf(out, FS_PATH_MAX, "%s/%ld%s.pem", load.folder, i, kind);
}

static int
pair_write(long i, const struct key *key, const struct buf *leaf, struct err *err)
{
	char path[FS_PATH_MAX];
	struct secret pem = {0};
	FILE *f = NULL;
	int rc;

	pair_path(i, load.renews ? ".next" : "", path);
	if ((rc = key_to_pem(key, &pem, err)) != 0)
		return rc;
	if ((f = fopen(path, "w")) == NULL || fwrite(pem.data, 1, pem.len, f) != pem.len ||
	    fwrite(leaf->data, 1, leaf->len, f) != leaf->len)
		rc = err_sys(err, "cannot write %s", path);
	if (f != NULL && fclose(f) != 0 && rc == 0)
		rc = err_sys(err, "cannot write %s", path);
	secret_clear(&pem);
	return rc;
}

static int
device_ask(long i, char id_out[UUID_LEN + 1], struct err *err)
{
	struct est est = {.url = load.url, .ca_path = load.ca_path};
	struct buf pair = {0}, subject = {0}, csr = {0}, leaf = {0}, rest = {0};
	char path[FS_PATH_MAX];
	struct key *key = NULL;
	int rc;

	if (load.renews) {
		pair_path(i, "", path);
		est.pair_path = path;
		if ((rc = fs_read(path, PAIR_MAX, &pair, err)) == 0)
			rc = subject_read(&pair, &subject, id_out, err);
	} else {
		est.token = load.token;
		rc = name_make(i, &subject, err);
	}
	if (rc == 0 && (rc = key_generate(KEY_EC_P256, &key, err)) == 0 &&
	    (rc = csr_build(key, subject.data, subject.len, "", &csr, err)) == 0 &&
	    (rc = est_enrol(&est, &csr, &leaf, NULL, err)) == 0 &&
	    (rc = subject_read(&leaf, &rest, id_out, err)) == 0)
		rc = pair_write(i, key, &leaf, err);
	key_free(key);
	buf_clear(&pair);
	buf_clear(&subject);
	buf_clear(&csr);
	buf_clear(&leaf);
	buf_clear(&rest);
	return rc;
}

static void *
thread_main(void *arg)
{
	char id[UUID_LEN + 1];
	struct err err;
	int64_t began;
	long i;

	(void)arg;
	while ((i = atomic_fetch_add(&load.next, 1)) < load.n) {
		err = (struct err){0};
		began = clock_mono_ms();
		if (device_ask(i, id, &err) == 0) {
			(void)printf(
			    "done %ld %s %lld\n", i, id, (long long)(clock_mono_ms() - began));
		} else {
			err.text[strcspn(err.text, "\n")] = '\0';
			(void)printf("failed %ld %s\n", i, err.text);
			atomic_fetch_add(&load.failed, 1);
		}
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	const char *threads = getenv("THREADS");
	long n_threads = threads != NULL ? strtol(threads, NULL, 10) : 16, i;
	pthread_t ids[THREADS_MAX];

	if (argc != 6 || (strcmp(argv[1], "enrol") != 0 && strcmp(argv[1], "renew") != 0) ||
	    n_threads < 1 || n_threads > THREADS_MAX) {
		(void)fputs("usage: estload enrol|renew URL CAFILE FOLDER N\n", stderr);
		return 2;
	}
	load.renews = strcmp(argv[1], "renew") == 0;
	load.url = argv[2];
	load.ca_path = argv[3];
	load.folder = argv[4];
	load.n = strtol(argv[5], NULL, 10);
	load.token = getenv("TOKEN");
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* whoever began it may have failed */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return 1;
	for (i = 0; i < n_threads; i++)
		if (pthread_create(&ids[i], NULL, thread_main, NULL) != 0)
			return 1;
	for (i = 0; i < n_threads; i++)
		(void)pthread_join(ids[i], NULL);
	return load.failed == 0 ? 0 : 1;
}
