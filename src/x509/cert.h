/* Certificates of devices, services and servers (RFC 5280): end entities only. Nothing in this module
 * can set CA:TRUE; that is cacert.h, which only local commands use. */
#ifndef MUSTER_X509_CERT_H
#define MUSTER_X509_CERT_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_LEN 20 /* always 20 octets on the wire, positive: first byte 0x01..0x7f, the rest random */
#define CERT_DER_MAX 8192
#define CERT_NAME_MAX 64    /* characters of C, O and CN (RFC 5280, appendix A: ub-common-name) */
#define CERT_SANS_MAX 16    /* names beyond the id itself */
#define CERT_SAN_SIZE 256   /* bytes of one name with its prefix and NUL */
#define CERT_URL_SIZE 256

enum key_usage { KU_DIGITAL_SIGNATURE = 1, KU_KEY_ENCIPHERMENT = 2, KU_KEY_AGREEMENT = 4 };
/* OCSP signing stands alone, and makes the certificate a responder's (RFC 6960, section 4.2.2.2): with
 * id-pkix-ocsp-nocheck, and without the places where its own status could be asked. */
enum ext_key_usage {
	EKU_CLIENT_AUTH = 1,
	EKU_SERVER_AUTH = 2,
	EKU_CODE_SIGNING = 4,
	EKU_OCSP_SIGNING = 8,
	EKU_EMAIL_PROTECTION = 16 /* for signed messages; no profile gives it (x509/checkpoint.c) */
};

/* What every certificate of one issuing CA has in common. Made by cert_issuer_init. */
struct cert_issuer {
	uint8_t name[512]; /* DER Name: the CA's subject */
	size_t name_len;
	uint8_t key_id[KEY_ID_LEN]; /* the CA's SKI */
	char key_id_hex[2 * KEY_ID_LEN + 1];
	uint8_t spki[KEY_SPKI_MAX];
	size_t spki_len;
	enum key_kind kind;
	int64_t not_before, not_after; /* the CA's own validity */
	char crl_url[CERT_URL_SIZE];   /* "" leaves the extension out */
	char delta_url[CERT_URL_SIZE]; /* of the delta list: freshestCRL in complete lists; "" leaves it out */
	char ca_url[CERT_URL_SIZE];    /* AIA caIssuers; "" leaves it out */
	char ocsp_url[CERT_URL_SIZE];  /* AIA OCSP; "" leaves it out */
};

/* Fill OUT from the issuing CA's certificate (DER) and the public URL of the PKI pages, without a slash
 * at its end: URL/crl/{ski}.crl, URL/crl/{ski}-delta.crl, URL/ca/{ski}.crt and URL/ocsp. PKI_URL NULL or "" leaves them out. E_INPUT. */
MUST_CHECK int cert_issuer_init(struct cert_issuer *out, const uint8_t *ca_der, size_t len,
    const char *pki_url, struct err *err);

/* One end-entity certificate, as asked for. All pointers are borrowed. */
struct cert_spec {
	uint8_t serial[SERIAL_LEN];
	int64_t not_before, not_after;
	const char *country, *org; /* NULL or "" leaves the attribute out */
	const char *common_name;
	const uint8_t *spki;
	size_t spki_len;
	const char *const *sans; /* "DNS:…", "IP:…" (v4 or v6), "URI:…", in order; san_check'ed */
	size_t n_sans;
	unsigned key_usage;	/* of enum key_usage */
	unsigned ext_key_usage; /* of enum ext_key_usage; in that order in the certificate */
};

/* Is TEXT a name that may stand in a certificate: a DNS: name of LDH labels (a leading "*." is refused),
 * an IP: address, an absolute URI: of printable ASCII? E_INPUT. */
MUST_CHECK int san_check(const char *text, struct err *err);

/* A fresh serial number: 1 + 158 random bits, never zero, never negative. E_SYS. */
MUST_CHECK int cert_serial_make(uint8_t *serial_out, struct err *err);

/* Append the DER TBSCertificate of SPEC under ISSUER: version 3, basicConstraints (critical, cA absent),
 * keyUsage (critical), extendedKeyUsage, subjectAltName, SKI, AKI, CRL distribution point, AIA.
 * Deterministic: the same input gives the same bytes, so the receiver of a signed certificate can build
 * what it expects and compare. E_INPUT for what does not fit RFC 5280. */
MUST_CHECK int cert_tbs_build(
    const struct cert_spec *spec, const struct cert_issuer *issuer, struct buf *tbs_out, struct err *err);

/* Sign TBS with the CA's key; append the whole certificate. E_SYS. */
MUST_CHECK int cert_sign(
    const uint8_t *tbs, size_t len, struct key *ca_key, struct buf *der_out, struct err *err);

/* Is DER what SPEC asks for, byte for byte but for the signature, which is by the algorithm of ISSUER's key? E_SYS with
 * what differs. */
MUST_CHECK int cert_says(const uint8_t *der, size_t len, const struct cert_spec *spec,
    const struct cert_issuer *issuer, struct err *err);

/* The same, and is it signed by ISSUER? That costs three times what making it does. */
MUST_CHECK int cert_matches(const uint8_t *der, size_t len, const struct cert_spec *spec,
    const struct cert_issuer *issuer, struct err *err);

/* What is read back from a certificate, to show it and to find its owner. */
struct cert_info {
	uint8_t serial[SERIAL_LEN]; /* right-aligned if shorter */
	size_t serial_len;
	int64_t not_before, not_after;
	char common_name[CERT_NAME_MAX + 1]; /* "" if none or unprintable */
	enum key_kind kind;
	uint8_t spki[KEY_SPKI_MAX];
	size_t spki_len;
	uint8_t subject[512], issuer[512]; /* DER Names */
	size_t subject_len, issuer_len;
	bool is_ca;
};

/* Read a DER certificate's fields; checks its form, not its signature. E_INPUT. */
MUST_CHECK int cert_info_read(
    const uint8_t *der, size_t len, struct cert_info *out, struct err *err);

/* The names in a certificate's subjectAltName that san_check takes, as it takes them, in their order; others are left out.
 * E_INPUT, E_LIMIT if there are more than MAX. */
MUST_CHECK int cert_sans_read(const uint8_t *der, size_t len, char (*sans_out)[CERT_SAN_SIZE], size_t max,
    size_t *n_out, struct err *err);

/* May a request with SUBJECT (DER Name) and SANS (DER GeneralNames; empty: it asks for none) renew the certificate DER? It
 * must name the same (RFC 7030, section 4.2.2); how the subject's texts are encoded does not matter. E_INPUT says what
 * differs. */
MUST_CHECK int cert_is_renewal(const uint8_t *der, size_t len, const uint8_t *subject, size_t subject_len,
    const uint8_t *sans, size_t sans_len, struct err *err);

#endif
