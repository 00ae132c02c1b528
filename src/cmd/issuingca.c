/* Verifiers look for an issuer, and for its CRL, by name before they compare keys: two CAs of one name would confuse some. */
#include "cmd/issuingca.h"

#include "base/secret.h"
#include "base/text.h"
#include "x509/cacert.h"
#include "x509/cert.h"

#include <stdio.h>

#define DAY 86400
#define DAYS 3650
#define BACKDATE_S 60 /* a device's clock may be a little behind */

bool
issuingca_kind_parse(const char *name, enum key_kind *kind_out)
{
	return key_kind_parse(name, kind_out) &&
	    (*kind_out == KEY_EC_P256 || *kind_out == KEY_EC_P384 || *kind_out == KEY_RSA_3072);
}

void
issuingca_name(char out[ISSUINGCA_NAME_SIZE], const char *what, const uint8_t *spki, size_t len)
{
	char hex[2 * SHA256_LEN + 1];
	uint8_t digest[SHA256_LEN];

	sha256(digest, spki, len);
	hex_encode(hex, digest, sizeof digest);
	(void)snprintf(out, ISSUINGCA_NAME_SIZE, "%s %.8s", what, hex);
}

int
issuingca_make(const struct issuingca *wanted, struct key **key_out, struct buf *der_out, struct err *err)
{
	struct cacert_spec spec = {.not_before = wanted->now - BACKDATE_S, .not_after = wanted->now + (int64_t)DAYS * DAY,
	    .country = wanted->country, .org = wanted->org};
	struct key *key = NULL;
	struct cert_info root;
	const uint8_t *spki;
	char name[ISSUINGCA_NAME_SIZE];
	size_t len;
	int rc;

	if ((rc = cert_info_read(wanted->root_der->data, wanted->root_der->len, &root, err)) != 0 ||
	    (rc = key_generate(wanted->kind, &key, err)) != 0 || (rc = cert_serial_make(spec.serial, err)) != 0)
		goto out;
	if (spec.not_after > root.not_after)
		spec.not_after = root.not_after;
	if (spec.not_before < root.not_before)
		spec.not_before = root.not_before;
	spki = key_spki(key, &len);
	issuingca_name(name, "Muster Issuing CA", spki, len);
	spec.common_name = name;
	if ((rc = cacert_make_issuing(&spec, spki, len, wanted->root_der->data, wanted->root_der->len, wanted->root_key,
		 der_out, err)) == 0) {
		*key_out = key;
		key = NULL;
	}
out:
	key_free(key);
	return rc;
}
