/* Lines of the feed for the plugin's tests: device N of a fleet, its certificates, its policy. */
#ifndef MUSTER_TESTS_PLUGIN_FIXTURE_H
#define MUSTER_TESTS_PLUGIN_FIXTURE_H

#include "check.h"

#include "authz/feed.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH "00112233445566778899aabbccddeeff"
#define NOT_AFTER 2000000000

/* As random as a UUIDv4, and the same each time. */
static inline uint64_t
mixed(uint64_t n)
{
	n += 0x9e3779b97f4a7c15;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
	n = (n ^ n >> 27) * 0x94d049bb133111eb;
	return n ^ n >> 31;
}

static inline void
id_of(uint8_t *id, unsigned n)
{
	uint64_t a = mixed(2 * (uint64_t)n), b = mixed(2 * (uint64_t)n + 1);

	memcpy(id, &a, 8);
	memcpy(id + 8, &b, 8);
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

static inline void
fp_of(uint8_t *sha256_out, unsigned n, unsigned which)
{
	uint64_t seed = (uint64_t)which << 32 | n;

	sha256(sha256_out, &seed, sizeof seed);
}

static inline struct feed_line *
line_new(enum feed_kind kind)
{
	struct feed_line *line = calloc(1, sizeof *line);

	assert_non_null(line);
	line->kind = kind;
	strcpy(line->tenant, "default");
	strcpy(line->epoch, EPOCH);
	return line;
}

/* LINE becomes the active device N with N_FPS certificates. */
static inline void
line_device(struct feed_line *line, unsigned n, size_t n_fps)
{
	uint8_t id[UUID_BYTES];
	size_t i;

	line->kind = FEED_DEVICE;
	id_of(id, n);
	uuid_format(line->id, id);
	strcpy(line->type, "pump");
	strcpy(line->policy, "default");
	line->status = FEED_ACTIVE;
	line->n_fps = n_fps;
	for (i = 0; i < n_fps; i++) {
		fp_of(line->fps[i].sha256, n, (unsigned)i);
		line->fps[i].not_after = NOT_AFTER + (int64_t)i;
	}
}

static inline void
line_gone(struct feed_line *line, unsigned n, enum feed_status status)
{
	line_device(line, n, 0);
	line->status = status;
}

static inline void
topics_set(struct feed_topics *topics, const char *a, const char *b)
{
	topics->n = (size_t)(a != NULL) + (b != NULL);
	if (a != NULL)
		assert_true(text_copy(topics->topic[0], sizeof topics->topic[0], a));
	if (b != NULL)
		assert_true(text_copy(topics->topic[1], sizeof topics->topic[1], b));
}

static inline void
line_policy(struct feed_line *line, const char *name, int64_t sessions)
{
	line->kind = FEED_POLICY;
	line->removed = false;
	strcpy(line->name, name);
	line->sessions = sessions;
	topics_set(&line->write, "devices/{id}/telemetry", "plant/{type}/+");
	topics_set(&line->read, "devices/{id}/commands/#", "{tenant}/all");
}

static inline void
line_service(struct feed_line *line, unsigned n)
{
	line_device(line, n, 1);
	line->kind = FEED_SERVICE;
	topics_set(&line->write, "plant/out", NULL);
	topics_set(&line->read, "devices/#", "#");
}

#endif
