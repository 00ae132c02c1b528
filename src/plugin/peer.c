/* Only what the table is asked for is read: the id, and which certificate it is. */
#include "plugin/peer.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

static int
subject_read(const X509 *cert, uint8_t *id_out, struct err *err)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	char text[UUID_LEN + 1];
	const ASN1_STRING *cn;

	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return err_set(err, E_INPUT, "the subject has not exactly one common name");
	cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	if (ASN1_STRING_length(cn) != UUID_LEN)
		return err_set(err, E_INPUT, "the common name is no id");
	memcpy(text, ASN1_STRING_get0_data(cn), UUID_LEN);
	text[UUID_LEN] = '\0';
	return uuid_parse(id_out, text) ? 0 : err_set(err, E_INPUT, "the common name is no id");
}

int
peer_read_take(X509 *cert, struct peer *out, struct err *err)
{
	struct peer p;
	int rc;

	if (cert == NULL)
		return err_set(err, E_INPUT, "no certificate");
	if ((rc = subject_read(cert, p.id, err)) != 0)
		goto out;
	if (X509_digest(cert, EVP_sha256(), p.sha256, NULL) != 1) {
		rc = err_set(err, E_SYS, "the certificate has no digest");
		goto out;
	}
	*out = p;
out:
	X509_free(cert);
	return rc;
}
