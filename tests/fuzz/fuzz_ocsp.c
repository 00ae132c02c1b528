/* OCSP requests. In what both we and OpenSSL accept (it also reads the requestor's name and signature, which are nothing to
 * us) both read the same certificates, digests and nonce; of what we accept an answer can be made that OpenSSL reads. */
#include "fuzz.h"
#include "x509/ocsp.h"

#include <openssl/ocsp.h>
#include <stdlib.h>

static void
expect_octets(const ASN1_OCTET_STRING *theirs, const struct der *ours)
{
	FUZZ_ASSERT(der_equal(ours, ASN1_STRING_get0_data(theirs), (size_t)ASN1_STRING_length(theirs)));
}

static void
check_id(OCSP_CERTID *theirs, const struct ocsp_id *ours)
{
	static const int nids[OCSP_HASHES] = {NID_sha1, NID_sha256};
	ASN1_OCTET_STRING *name_hash, *key_hash;
	uint8_t padded[SERIAL_LEN] = {0};
	ASN1_INTEGER *serial;
	ASN1_OBJECT *md;
	int len;

	FUZZ_ASSERT(OCSP_id_get0_info(&name_hash, &md, &key_hash, &serial, theirs) == 1);
	expect_octets(name_hash, &ours->name_hash);
	expect_octets(key_hash, &ours->key_hash);
	if (ours->hash < OCSP_HASHES)
		FUZZ_ASSERT(OBJ_obj2nid(md) == nids[ours->hash]);
	else
		FUZZ_ASSERT(OBJ_obj2nid(md) != NID_sha1 && OBJ_obj2nid(md) != NID_sha256);
	len = ASN1_STRING_length(serial);
	FUZZ_ASSERT(len <= SERIAL_LEN && ASN1_STRING_type(serial) == V_ASN1_INTEGER);
	memcpy(padded + SERIAL_LEN - len, ASN1_STRING_get0_data(serial), (size_t)len);
	FUZZ_ASSERT(memcmp(padded, ours->serial, SERIAL_LEN) == 0);
}

static void
check_with_openssl(const struct ocsp_request *ours, const uint8_t *der, size_t len)
{
	const uint8_t *at = der;
	OCSP_REQUEST *theirs = d2i_OCSP_REQUEST(NULL, &at, (long)len);
	size_t i;
	int n;

	if (theirs == NULL)
		return;
	FUZZ_ASSERT(at == der + len);
	FUZZ_ASSERT(OCSP_request_onereq_count(theirs) == (int)ours->n);
	for (i = 0; i < ours->n; i++)
		check_id(OCSP_onereq_get0_id(OCSP_request_onereq_get0(theirs, (int)i)), &ours->ids[i]);
	n = OCSP_REQUEST_get_ext_by_NID(theirs, NID_id_pkix_OCSP_Nonce, -1);
	FUZZ_ASSERT((n >= 0) == (ours->nonce.len > 0));
	OCSP_REQUEST_free(theirs);
}

/* A request that is accepted can be answered, nonce, serials and all, by a responder who was made just now. */
static void
check_answer(const struct ocsp_request *req)
{
	static const struct ocsp_issuer issuer;
	static const uint8_t key_hash[OCSP_KEY_HASH_LEN];
	static struct key *key;
	struct buf nobody = {0}, out = {0};
	struct ocsp_single singles[OCSP_IDS_MAX];
	struct ocsp_spec spec = {.issuer = &issuer, .responder_key_hash = key_hash, .this_update = 1000,
	    .next_update = 2000, .singles = singles, .n = req->n, .nonce = req->nonce.at, .nonce_len = req->nonce.len};
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	const uint8_t *at;
	size_t i;

	FUZZ_ASSERT(key != NULL || key_generate(KEY_EC_P256, &key, NULL) == 0);
	for (i = 0; i < req->n; i++) {
		singles[i] = (struct ocsp_single){.hash = req->ids[i].hash, .status = (enum ocsp_status)(i % 3),
		    .revoked_at = 500, .reason = REASON_KEY_COMPROMISE};
		memcpy(singles[i].serial, req->ids[i].serial, SERIAL_LEN);
		if (req->ids[i].hash == OCSP_HASHES)
			return; /* nobody's: unauthorized */
	}
	FUZZ_ASSERT(ocsp_sign(&spec, key, &nobody, &out, NULL) == 0);
	at = out.data;
	FUZZ_ASSERT((response = d2i_OCSP_RESPONSE(NULL, &at, (long)out.len)) != NULL && at == out.data + out.len);
	FUZZ_ASSERT((basic = OCSP_response_get1_basic(response)) != NULL);
	FUZZ_ASSERT(OCSP_resp_count(basic) == (int)req->n);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ocsp_request req;

	if (ocsp_request_read(data, len, OCSP_IDS_MAX, &req, NULL) == 0) {
		FUZZ_ASSERT(req.n > 0 && req.n <= OCSP_IDS_MAX && req.nonce.len <= OCSP_NONCE_MAX);
		check_with_openssl(&req, data, len);
		check_answer(&req);
	}
	return 0;
}
