/* The one table of what can be called, by whom, and where it runs. Whatever is not in it is a 404. */
#include "http/routes.h"

#define READERS (ROLE_ADMIN | ROLE_OPERATOR | ROLE_AUDITOR)
#define WRITERS (ROLE_ADMIN | ROLE_OPERATOR)
#define AUDITORS (ROLE_ADMIN | ROLE_AUDITOR)
#define FOLLOWERS (ROUTE_WHOLE | ROLE_ADMIN | ROLE_BROKER)
/* Of the whole installation: not for those who are bound to a tenant. */
#define WHOLE_ADMIN (ROUTE_WHOLE | ROLE_ADMIN)
#define WHOLE_READERS (ROUTE_WHOLE | READERS)
#define WHOLE_AUDITORS (ROUTE_WHOLE | AUDITORS)
#define RENEWERS (ROLE_DEVICE | ROLE_LATE)
#define ON_BOTH (ON_API | ON_PKI)

/* clang-format off */
const struct route routes[] = {
    ROUTE("POST",   "/v1/devices", WRITERS | ROLE_ENROLLER, ROUTE_NORMAL, ON_API, api_devices_register),
    ROUTE("GET",    "/v1/devices", READERS, ROUTE_NORMAL, ON_API, api_devices_list),
    ROUTE("GET",    "/v1/devices/{id}", READERS, ROUTE_NORMAL, ON_API, api_devices_get),
    ROUTE("PATCH",  "/v1/devices/{id}", WRITERS, ROUTE_NORMAL, ON_API, api_devices_update),
    ROUTE("POST",   "/v1/devices/{id}/revoke", WRITERS, ROUTE_URGENT, ON_API, api_devices_revoke),
    ROUTE("POST",   "/v1/devices/{id}/suspend", WRITERS, ROUTE_URGENT, ON_API, api_devices_suspend),
    ROUTE("POST",   "/v1/devices/{id}/resume", WRITERS, ROUTE_NORMAL, ON_API, api_devices_resume),
    ROUTE("POST",   "/v1/devices/{id}/package", WRITERS, ROUTE_NORMAL, ON_API, api_devices_package),
    ROUTE("POST",   "/v1/devices/{id}/rotate", WRITERS, ROUTE_NORMAL, ON_API, api_devices_rotate),
    ROUTE("DELETE", "/v1/devices/{id}/rotate", WRITERS, ROUTE_NORMAL, ON_API, api_devices_rotate_cancel),
    ROUTE("POST",   "/v1/rotations", WRITERS, ROUTE_NORMAL, ON_API, api_rotations_ask),
    ROUTE("GET",    "/v1/rotations", READERS, ROUTE_NORMAL, ON_API, api_rotations_get),
    ROUTE("GET",    "/v1/devices/{id}/certificates", READERS, ROUTE_NORMAL, ON_API,
	api_devices_certificates),
    ROUTE("GET",    "/v1/certificates/{fingerprint}", READERS, ROUTE_NORMAL, ON_API,
	api_certificates_get),

    ROUTE("POST",   "/v1/jobs", WRITERS, ROUTE_NORMAL, ON_API, api_jobs_create),
    ROUTE("GET",    "/v1/jobs", READERS, ROUTE_NORMAL, ON_API, api_jobs_list),
    ROUTE("GET",    "/v1/jobs/{id}", READERS, ROUTE_NORMAL, ON_API, api_jobs_get),
    ROUTE("POST",   "/v1/jobs/{id}/rows", WRITERS, ROUTE_NORMAL, ON_API, api_jobs_rows_add),
    ROUTE("GET",    "/v1/jobs/{id}/rows", READERS, ROUTE_NORMAL, ON_API, api_jobs_rows_list),
    ROUTE("POST",   "/v1/jobs/{id}/start", WRITERS, ROUTE_NORMAL, ON_API, api_jobs_start),
    ROUTE("POST",   "/v1/jobs/{id}/cancel", WRITERS, ROUTE_NORMAL, ON_API, api_jobs_cancel),

    ROUTE("POST",   "/v1/services", WRITERS, ROUTE_NORMAL, ON_API, api_services_add),
    ROUTE("GET",    "/v1/services", READERS, ROUTE_NORMAL, ON_API, api_services_list),
    ROUTE("GET",    "/v1/services/{id}", READERS, ROUTE_NORMAL, ON_API, api_services_get),
    ROUTE("POST",   "/v1/services/{id}/revoke", WRITERS, ROUTE_URGENT, ON_API, api_services_revoke),
    ROUTE("POST",   "/v1/services/{id}/package", WRITERS, ROUTE_NORMAL, ON_API, api_services_package),

    ROUTE("POST",   "/v1/tokens", WRITERS, ROUTE_NORMAL, ON_API, api_tokens_create),
    ROUTE("GET",    "/v1/tokens", READERS, ROUTE_NORMAL, ON_API, api_tokens_list),
    ROUTE("POST",   "/v1/tokens/{id}/revoke", WRITERS, ROUTE_URGENT, ON_API, api_tokens_revoke),

    ROUTE("POST",   "/v1/trust", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_trust_add),
    ROUTE("GET",    "/v1/trust", READERS, ROUTE_NORMAL, ON_API, api_trust_list),
    ROUTE("GET",    "/v1/trust/{name}", READERS, ROUTE_NORMAL, ON_API, api_trust_get),
    ROUTE("DELETE", "/v1/trust/{name}", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_trust_remove),
    ROUTE("POST",   "/v1/trust/{name}/resume", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_trust_resume),
    ROUTE("GET",    "/v1/trust/{name}/serials", READERS, ROUTE_NORMAL, ON_API, api_trust_serials),
    ROUTE("POST",   "/v1/trust/{name}/serials", WRITERS, ROUTE_NORMAL, ON_API, api_trust_expect),
    ROUTE("POST",   "/v1/trust/{name}/serials/remove", WRITERS, ROUTE_NORMAL, ON_API, api_trust_unexpect),
    ROUTE("POST",   "/v1/trust/{name}/serials/forget", WRITERS, ROUTE_NORMAL, ON_API, api_trust_forget),

    ROUTE("POST",   "/v1/attest/challenge", WRITERS | ROLE_ENROLLER | ROLE_ENROLLEE | RENEWERS, ROUTE_NORMAL, ON_API,
	api_attest_challenge),

    ROUTE("GET",    "/v1/policies", READERS, ROUTE_NORMAL, ON_API, api_policies_list),
    ROUTE("GET",    "/v1/policies/{name}", READERS, ROUTE_NORMAL, ON_API, api_policies_get),
    ROUTE("PUT",    "/v1/policies/{name}", WRITERS, ROUTE_NORMAL, ON_API, api_policies_set),
    ROUTE("DELETE", "/v1/policies/{name}", WRITERS, ROUTE_NORMAL, ON_API, api_policies_remove),
    ROUTE("GET",    "/v1/profiles", READERS, ROUTE_NORMAL, ON_API, api_profiles_list),
    ROUTE("GET",    "/v1/profiles/{name}", READERS, ROUTE_NORMAL, ON_API, api_profiles_get),

    ROUTE("GET",    "/v1/limits", WHOLE_READERS, ROUTE_NORMAL, ON_API, api_limits_list),

    /* Urgent: by this a broker learns of a revocation. */
    ROUTE("GET",    "/v1/feed", FOLLOWERS, ROUTE_URGENT, ON_API, api_feed_changes),
    ROUTE("GET",    "/v1/feed/snapshot", FOLLOWERS, ROUTE_NORMAL, ON_API, api_feed_snapshot),

    ROUTE("POST",   "/v1/brokers", WHOLE_ADMIN, ROUTE_NORMAL, ON_API, api_brokers_add),
    ROUTE("GET",    "/v1/brokers", WHOLE_READERS, ROUTE_NORMAL, ON_API, api_brokers_list),
    ROUTE("POST",   "/v1/brokers/{id}/revoke", WHOLE_ADMIN, ROUTE_URGENT, ON_API, api_brokers_revoke),
    ROUTE("POST",   "/v1/brokers/reports", ROUTE_WHOLE | ROLE_BROKER, ROUTE_NORMAL, ON_API, api_brokers_report),

    ROUTE("POST",   "/v1/operators", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_operators_add),
    ROUTE("GET",    "/v1/operators", AUDITORS, ROUTE_NORMAL, ON_API, api_operators_list),
    ROUTE("POST",   "/v1/operators/{id}/token", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_operators_token),
    ROUTE("POST",   "/v1/operators/{id}/package", ROLE_ADMIN, ROUTE_NORMAL, ON_API, api_operators_package),
    ROUTE("POST",   "/v1/operators/{id}/revoke", ROLE_ADMIN, ROUTE_URGENT, ON_API, api_operators_revoke),

    ROUTE("POST",   "/v1/tenants", WHOLE_ADMIN, ROUTE_NORMAL, ON_API, api_tenants_add),
    ROUTE("GET",    "/v1/tenants", READERS, ROUTE_NORMAL, ON_API, api_tenants_list),
    ROUTE("GET",    "/v1/tenants/{name}", READERS, ROUTE_NORMAL, ON_API, api_tenants_get),
    ROUTE("PATCH",  "/v1/tenants/{name}", WHOLE_ADMIN, ROUTE_NORMAL, ON_API, api_tenants_update),
    ROUTE("DELETE", "/v1/tenants/{name}", WHOLE_ADMIN, ROUTE_NORMAL, ON_API, api_tenants_remove),

    ROUTE("GET",    "/v1/audit", AUDITORS, ROUTE_NORMAL, ON_API, api_audit_list),
    ROUTE("GET",    "/v1/audit/trail", WHOLE_AUDITORS, ROUTE_NORMAL, ON_API, api_audit_trail),
    ROUTE("GET",    "/v1/audit/verify", WHOLE_AUDITORS, ROUTE_NORMAL, ON_API, api_audit_verify),
    ROUTE("POST",   "/v1/audit/archive", WHOLE_ADMIN, ROUTE_NORMAL, ON_API, api_audit_archive),
    ROUTE("GET",    "/v1/audit/checkpoint", WHOLE_AUDITORS, ROUTE_NORMAL, ON_API, api_audit_checkpoint),
    ROUTE("GET",    "/v1/ca", READERS, ROUTE_NORMAL, ON_API, api_ca_get),
    ROUTE("GET",    "/v1/openapi.json", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, api_openapi_get),

    ROUTE("GET",    "/healthz", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, health_live),
    /* Not urgent: it asks the signer, and nobody's credentials are looked at, so it must not be able to
     * hold up a revocation. Drowned workers answer 503, which is the truth. */
    ROUTE("GET",    "/readyz", ROUTE_ANYBODY, ROUTE_NORMAL, ON_API, health_ready),
    ROUTE("GET",    "/metrics", WHOLE_AUDITORS, ROUTE_NORMAL, ON_API, metrics_get),
    /* For a monitoring system without credentials: [metrics] listen, by default nowhere. */
    ROUTE("GET",    "/metrics", ROUTE_ANYBODY, ROUTE_NORMAL, ON_METRICS, metrics_get),
    ROUTE("GET",    "/d/{token}", ROUTE_ANYBODY, ROUTE_NORMAL, ON_API, link_show),
    ROUTE("POST",   "/d/{token}", ROUTE_ANYBODY, ROUTE_NORMAL, ON_API, link_deliver),

    ROUTE("GET",    "/.well-known/est/cacerts", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, est_cacerts),
    ROUTE("GET",    "/.well-known/est/csrattrs", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, est_csrattrs),
    ROUTE("POST",   "/.well-known/est/simpleenroll", ROLE_ENROLLEE, ROUTE_NORMAL, ON_API, est_simpleenroll),
    ROUTE("POST",   "/.well-known/est/simplereenroll", RENEWERS, ROUTE_NORMAL, ON_API, est_simplereenroll),
    ROUTE("POST",   "/.well-known/est/serverkeygen", ROLE_ENROLLEE, ROUTE_NORMAL, ON_API, est_serverkeygen),
    ROUTE("GET",    "/.well-known/est/{label}/cacerts", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, est_cacerts),
    ROUTE("GET",    "/.well-known/est/{label}/csrattrs", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, est_csrattrs),
    ROUTE("POST",   "/.well-known/est/{label}/simpleenroll", ROLE_ENROLLEE, ROUTE_NORMAL, ON_API,
	est_simpleenroll),
    ROUTE("POST",   "/.well-known/est/{label}/simplereenroll", RENEWERS, ROUTE_NORMAL, ON_API,
	est_simplereenroll),
    ROUTE("POST",   "/.well-known/est/{label}/serverkeygen", ROLE_ENROLLEE, ROUTE_NORMAL, ON_API,
	est_serverkeygen),

    ROUTE("GET",    "/ca/root.crt", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, pki_root),
    ROUTE("GET",    "/ca/issuing.crt", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, pki_issuing),
    ROUTE("GET",    "/ca/chain.pem", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, pki_chain),
    ROUTE("GET",    "/ocsp/{request}", ROUTE_ANYBODY, ROUTE_MEMORY, ON_BOTH, ocsp_get),
    ROUTE("POST",   "/ocsp", ROUTE_ANYBODY, ROUTE_MEMORY, ON_BOTH, ocsp_post),
    ROUTE("GET",    "/ca/{name}", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, pki_issuer),
    ROUTE("GET",    "/crl/{name}", ROUTE_ANYBODY, ROUTE_INLINE, ON_BOTH, pki_crl),
};
/* clang-format on */
const size_t n_routes = sizeof routes / sizeof routes[0];
