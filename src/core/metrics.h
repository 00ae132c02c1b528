/* What the core counts of itself, and shows in Prometheus' text format (base/metric.h), with what the parts below it tell.
 * docs/monitoring.md says what to make of it. */
#ifndef MUSTER_CORE_METRICS_H
#define MUSTER_CORE_METRICS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "store/certificate.h"
#include "x509/crl.h"

#include <stddef.h>

struct metrics;

MUST_CHECK int metrics_new(struct metrics **metrics_out, struct err *err);
void metrics_free(struct metrics *metrics);

/* A certificate was signed and compared. In a table of METRICS_ISSUED_MAX owner kinds, profiles and key kinds; those beyond
 * are counted as "other". Any thread. */
#define METRICS_ISSUED_MAX 128
void metrics_issued(struct metrics *metrics, const struct store_certificate *certificate);

/* One of those came to nothing, and was revoked. Any thread. */
void metrics_abandoned(struct metrics *metrics);

/* N certificates were revoked, held or released. Any thread. */
void metrics_revoked(struct metrics *metrics, enum crl_reason reason, size_t n);

/* Append all of it to OUT, whose failure is to be looked at. What cannot be told now, for want of the store, is left out.
 * Blocks for a read of the store. */
void metrics_write(struct core *core, struct buf *out);

#endif
