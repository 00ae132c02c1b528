/* An OCSP answer as a client sees it. OpenSSL's parser and verifier only: a mistake in our builder must not pass for
 * right because the same hand wrote both ends. */
#include "x509/ocsp.h"

#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "x509/alg.h"

#define SKEW_S 60 /* of this machine's clock and the responder's */

static int64_t
time_of(const ASN1_TIME *t)
{
	static const time_t zero = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, zero);
	int days = 0, seconds = 0;

	if (epoch == NULL || t == NULL || ASN1_TIME_diff(&days, &seconds, epoch, t) != 1)
		days = seconds = 0;
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

/* Signed by one whom the issuer has delegated; the issuer itself is trusted here, whatever its root. */
static int
check_signature(OCSP_BASICRESP *basic, X509 *issuer, int64_t *not_after_out, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *issuers = sk_X509_new_null();
	X509 *signer = NULL;
	int rc = 0;

	if (store == NULL || issuers == NULL || X509_STORE_add_cert(store, issuer) != 1 ||
	    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1 || sk_X509_push(issuers, issuer) <= 0)
		rc = alg_error(err, E_NOMEM, "cannot look at an OCSP answer");
	else if (OCSP_basic_verify(basic, issuers, store, 0) != 1 || OCSP_resp_get0_signer(basic, &signer, NULL) != 1)
		rc = alg_error(err, E_INPUT, "the OCSP answer is not signed by its issuer's responder");
	else
		*not_after_out = time_of(X509_get0_notAfter(signer));
	sk_X509_free(issuers);
	X509_STORE_free(store);
	return rc;
}

static int
read_status(OCSP_BASICRESP *basic, X509 *issuer, const uint8_t *serial, struct ocsp_info *out, struct err *err)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL, *next_update = NULL;
	BIGNUM *number = BN_bin2bn(serial, SERIAL_LEN, NULL);
	ASN1_INTEGER *integer = number != NULL ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
	OCSP_CERTID *id = NULL;
	int status = -1, reason, rc = 0;

	if (integer == NULL || (id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer),
				    X509_get0_pubkey_bitstr(issuer), integer)) == NULL)
		rc = alg_error(err, E_NOMEM, "cannot look at an OCSP answer");
	else if (OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &this_update, &next_update) != 1)
		rc = alg_error(err, E_INPUT, "the OCSP answer is about another certificate");
	else if (next_update == NULL || OCSP_check_validity(this_update, next_update, SKEW_S, -1) != 1)
		rc = alg_error(err, E_INPUT, "the OCSP answer is not current");
	if (rc == 0) {
		out->status = status == V_OCSP_CERTSTATUS_GOOD	  ? OCSP_GOOD
		    : status == V_OCSP_CERTSTATUS_REVOKED ? OCSP_REVOKED
							  : OCSP_UNKNOWN;
		out->this_update = time_of(this_update);
		out->next_update = time_of(next_update);
	}
	OCSP_CERTID_free(id);
	ASN1_INTEGER_free(integer);
	BN_free(number);
	return rc;
}

int
ocsp_verify(const uint8_t *der, size_t len, const struct buf *issuer_der, const uint8_t *serial,
    struct ocsp_info *out, struct err *err)
{
	const uint8_t *at = der, *issuer_at = issuer_der->data;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)len);
	X509 *issuer = d2i_X509(NULL, &issuer_at, (long)issuer_der->len);
	OCSP_BASICRESP *basic = NULL;
	struct ocsp_info info = {0};
	int rc;

	if (response == NULL || at != der + len || issuer == NULL) {
		rc = alg_error(err, E_INPUT, "what came is no OCSP answer");
		goto out;
	}
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		rc = err_set(err, E_INPUT, "the OCSP responder says %s",
		    OCSP_response_status_str(OCSP_response_status(response)));
		goto out;
	}
	if ((basic = OCSP_response_get1_basic(response)) == NULL) {
		rc = alg_error(err, E_INPUT, "what came is no OCSP answer");
		goto out;
	}
	if ((rc = check_signature(basic, issuer, &info.responder_not_after, err)) == 0 &&
	    (rc = read_status(basic, issuer, serial, &info, err)) == 0)
		*out = info;
out:
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	X509_free(issuer);
	return rc;
}
