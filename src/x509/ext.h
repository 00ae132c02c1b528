/* X.509 extensions (RFC 5280, section 4.2): one at a time written, a list of them read. */
#ifndef MUSTER_X509_EXT_H
#define MUSTER_X509_EXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "x509/der.h"

#define EXTS_MAX 32 /* extensions in one list */

/* Those below 256 are the last arc of 2.5.29 (id-ce). */
enum ext_id {
	EXT_NONE = 0, /* one this list does not name */
	EXT_SUBJECT_KEY_ID = 14,
	EXT_KEY_USAGE = 15,
	EXT_SUBJECT_ALT_NAME = 17,
	EXT_BASIC_CONSTRAINTS = 19,
	EXT_CRL_NUMBER = 20,
	EXT_REASON_CODE = 21,
	EXT_DELTA_CRL_INDICATOR = 27,
	EXT_CRL_DISTRIBUTION_POINTS = 31,
	EXT_AUTHORITY_KEY_ID = 35,
	EXT_KEY_USAGE_EXTENDED = 37,
	EXT_FRESHEST_CRL = 46,
	EXT_AUTHORITY_INFO_ACCESS = 256,
	EXT_OCSP_NONCE = 257,	 /* RFC 9654 */
	EXT_OCSP_NO_CHECK = 258	 /* RFC 6960, section 4.2.2.2.1 */
};

/* Begin an extension in OUT, append its value, end it. */
struct ext_mark {
	size_t whole, value;
};
struct ext_mark ext_begin(struct buf *out, enum ext_id id, bool critical);
void ext_end(struct buf *out, struct ext_mark mark);

/* The key identifiers: ID has KEY_ID_LEN bytes. */
void ext_put_subject_key_id(struct buf *out, const uint8_t *id);
void ext_put_authority_key_id(struct buf *out, const uint8_t *id);

/* A list of one distribution point, a URL: ID is EXT_CRL_DISTRIBUTION_POINTS or EXT_FRESHEST_CRL. */
void ext_put_crl_url(struct buf *out, enum ext_id id, const char *url);

/* keyUsage from the first octet of its BIT STRING (digitalSignature is 0x80); BITS is not 0.
 * Critical. */
void ext_put_key_usage(struct buf *out, uint8_t bits);

struct ext {
	enum ext_id id;
	struct der oid;
	bool critical;
	struct der value; /* the content of extnValue, itself DER */
};

/* Is EXTS, the content of an Extensions SEQUENCE, well formed, not empty, at most EXTS_MAX long and
 * free of duplicates (RFC 5280, section 4.2)? */
bool ext_list_is_sound(const struct der *exts);

/* Take the next extension. False at the end or if it is malformed. */
bool ext_next(struct der *exts, struct ext *out);

/* Find the one with ID in a sound list. */
bool ext_find(const struct der *exts, enum ext_id id, struct ext *out);

#endif
