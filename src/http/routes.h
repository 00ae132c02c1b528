/* The handlers that the route table names, grouped by the file they live in. Each is an http_handler. */
#ifndef MUSTER_HTTP_ROUTES_H
#define MUSTER_HTTP_ROUTES_H

#include "http/router.h"

/* api_devices.c */
http_handler api_devices_register, api_devices_list, api_devices_get, api_devices_update;
http_handler api_devices_revoke, api_devices_suspend, api_devices_resume;
http_handler api_devices_package, api_devices_certificates;

/* api_certificates.c */
http_handler api_certificates_get;

/* api_services.c */
http_handler api_services_add, api_services_list, api_services_get;
http_handler api_services_revoke, api_services_package;

/* api_operators.c */
http_handler api_operators_add, api_operators_list, api_operators_token, api_operators_package,
    api_operators_revoke;

/* api_tenants.c */
http_handler api_tenants_add, api_tenants_list, api_tenants_get, api_tenants_update, api_tenants_remove;

/* api_tokens.c */
http_handler api_tokens_create, api_tokens_list, api_tokens_revoke;

/* api_trust.c */
http_handler api_trust_add, api_trust_list, api_trust_get, api_trust_remove, api_trust_resume;
http_handler api_trust_serials, api_trust_expect, api_trust_unexpect, api_trust_forget;

/* api_attest.c */
http_handler api_attest_challenge;

/* api_jobs.c */
http_handler api_jobs_create, api_jobs_list, api_jobs_get, api_jobs_rows_add, api_jobs_rows_list, api_jobs_start, api_jobs_cancel;

/* api_policies.c */
http_handler api_policies_list, api_policies_get, api_policies_set, api_policies_remove;

/* api_profiles.c */
http_handler api_profiles_list, api_profiles_get;

/* api_limits.c */
http_handler api_limits_list;

/* api_audit.c */
http_handler api_audit_list, api_audit_trail, api_audit_verify, api_audit_checkpoint,
    api_audit_archive;

/* api_brokers.c */
http_handler api_brokers_add, api_brokers_list, api_brokers_revoke, api_brokers_report;

/* api_feed.c */
http_handler api_feed_snapshot, api_feed_changes;

/* api_ca.c */
http_handler api_ca_get;

/* api_openapi.c */
http_handler api_openapi_get;

/* health.c */
http_handler health_live, health_ready;

/* metrics.c */
http_handler metrics_get;

/* pki.c */
http_handler pki_root, pki_issuing, pki_issuer, pki_chain, pki_crl;

/* ocsp.c */
http_handler ocsp_get, ocsp_post;

/* est.c */
http_handler api_devices_rotate, api_devices_rotate_cancel, api_rotations_ask, api_rotations_get;
http_handler est_cacerts, est_csrattrs, est_simpleenroll, est_simplereenroll, est_serverkeygen;

/* link.c */
http_handler link_show, link_deliver;

#endif
