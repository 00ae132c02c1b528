/* How often in a second a library alone does what costs most of a registration: the side that it is held against.
 * alone archives|rsa-2048 THREADS SECONDS prints the number of them a second.
 * archives: libzip's, of a package's five entries, AES-256, with no key, no certificate and no database. rsa-2048: EVP_RSA_gen. */
#include "base/clock.h"
#include "core/archive.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long made;
static atomic_bool stop;

static void
archive(void)
{
	static char key[241], crt[1600], ca[700], json[420], readme[700];
	const struct archive_entry entries[] = {{"device.key", key, sizeof key}, {"device.crt", crt, sizeof crt},
	    {"ca.crt", ca, sizeof ca}, {"device.json", json, sizeof json}, {"README.txt", readme, sizeof readme}};
	struct buf out = {0};
	struct err err = {0};

	if (archive_build(entries, 5, "abcde-fghjk-mnpqr-stvwx-yz0123", &out, &err) != 0) {
		(void)fprintf(stderr, "alone: %s\n", err.text);
		exit(1);
	}
	buf_clear(&out);
}

static void
rsa(void)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);

	if (key == NULL) {
		(void)fprintf(stderr, "alone: no key\n");
		exit(1);
	}
	EVP_PKEY_free(key);
}

static void (*job)(void);

static void *
work(void *arg)
{
	(void)arg;
	while (!stop) {
		job();
		made++;
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	long threads, seconds, i;
	pthread_t id[64];
	int64_t began, ms;

	if (argc == 4)
		job = strcmp(argv[1], "archives") == 0 ? archive : strcmp(argv[1], "rsa-2048") == 0 ? rsa : NULL;
	if (job == NULL || (threads = strtol(argv[2], NULL, 10)) < 1 || threads > 64 || (seconds = strtol(argv[3], NULL, 10)) < 1) {
		(void)fprintf(stderr, "usage: alone archives|rsa-2048 THREADS SECONDS\n");
		return 2;
	}
	began = clock_mono_ms();
	for (i = 0; i < threads; i++)
		if (pthread_create(&id[i], NULL, work, NULL) != 0)
			return 1;
	while (clock_mono_ms() - began < seconds * 1000) {
		const struct timespec pause = {0, 10000000};

		(void)nanosleep(&pause, NULL);
	}
	stop = true;
	ms = clock_mono_ms() - began;
	for (i = 0; i < threads; i++)
		(void)pthread_join(id[i], NULL);
	(void)printf("%.1f\n", (double)made * 1000 / (double)ms);
	return 0;
}
