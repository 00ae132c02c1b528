/* How the API shows things: each kind has one shape, whichever route answers with it. New
 * references; NULL when out of memory, which json_reply_take and jansson's packing pass on. Pure.
 */
#ifndef MUSTER_HTTP_SHAPE_H
#define MUSTER_HTTP_SHAPE_H

#include "core/audit.h"
#include "x509/checkpoint.h"
#include "core/broker.h"
#include "core/ca.h"
#include "core/core.h"
#include "core/control.h"
#include "core/credential.h"
#include "core/device.h"
#include "core/enrol.h"
#include "core/job.h"
#include "core/operator.h"
#include "core/policies.h"
#include "core/ratelimit.h"
#include "core/rekey.h"
#include "core/service.h"
#include "core/tenant.h"
#include "core/trust.h"
#include "x509/crl.h"

#include <jansson.h>

json_t *shape_device(const struct store_device *row);
json_t *shape_rotation(const struct store_rotation *row);
json_t *shape_rotation_page(const struct rekey_page *page);
json_t *shape_control(const struct control_info *info);
json_t *shape_service(const struct store_service *row);
json_t *shape_broker(const struct broker *broker);

/* With TOKEN, its secret, where it was just made; else NULL. */
json_t *shape_enrol_token(const struct store_enrol_token *row, const char *token);
json_t *shape_operator(const struct store_operator *row, const char *token);

/* With its certificate, PEM, only where WITH_PEM. */
json_t *shape_trust(const struct store_trust *row, bool with_pem);
json_t *shape_trust_serial(const struct store_trust_serial *row);

json_t *shape_tenant(const struct store_tenant *row);

/* WHY: why its rows wait; "" if they do not. */
json_t *shape_job(const struct store_job *row, int64_t now, const char *why, const struct settings *settings);
json_t *shape_job_row(const struct job_row *row);

json_t *shape_policy(const struct store_policy *row);
json_t *shape_profile(const struct profile *profile);
json_t *shape_limit(const char *name, const struct ratelimit_state *state, int64_t refused_at);
json_t *shape_audit(const struct store_audit *row);
json_t *shape_audit_link(const struct store_audit *row); /* exactly what its hash covers */
json_t *shape_audit_base(const struct store_audit_head *base);
json_t *shape_checkpoint(const struct checkpoint *checkpoint, const char *pem);

/* All that is known of a certificate; with its PEM only where WITH_PEM. */
json_t *shape_certificate(const struct store_certificate *row, bool with_pem);

/* The CA's certificate DER, whose fields are INFO, and its revocation list as published at URL. */
json_t *shape_ca(const struct cert_info *info, const uint8_t *der, size_t len);
json_t *shape_crl(const struct crl_info *info, const char *url);

/* OWNER, whose reference is taken, with the certificate and package that were just made for it: the
 * one place where a package's password is shown. */
json_t *shape_issued_take(
    json_t *owner, const struct credential *credential, const char *chain_pem);

/* {"items": ITEMS, "next": NEXT}; "" for the last page is null. Takes the reference. */
json_t *shape_page_take(json_t *items, const char *next);

#endif
