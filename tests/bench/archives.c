/* How many packages libzip alone makes in a second: the same five entries, AES-256, no key, no certificate, no
 * database. archives THREADS SECONDS prints archives/s. The side that registration with package is held against. */
#include "base/clock.h"
#include "core/archive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long made;
static atomic_bool stop;

static void *
work(void *arg)
{
	static char key[241], crt[1600], ca[700], json[420], readme[700];
	const struct archive_entry entries[] = {{"device.key", key, sizeof key}, {"device.crt", crt, sizeof crt},
	    {"ca.crt", ca, sizeof ca}, {"device.json", json, sizeof json}, {"README.txt", readme, sizeof readme}};
	struct err err = {0};

	(void)arg;
	while (!stop) {
		struct buf out = {0};

		if (archive_build(entries, 5, "abcde-fghjk-mnpqr-stvwx-yz0123", &out, &err) != 0) {
			(void)fprintf(stderr, "archives: %s\n", err.text);
			exit(1);
		}
		buf_clear(&out);
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

	if (argc != 3 || (threads = strtol(argv[1], NULL, 10)) < 1 || threads > 64 ||
	    (seconds = strtol(argv[2], NULL, 10)) < 1) {
		(void)fprintf(stderr, "usage: archives THREADS SECONDS\n");
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
