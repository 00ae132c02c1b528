/* The format of the socket between api and signer, both ends of it: frames, and a typed body for each operation.
 * There are no others, and none that takes bytes to sign.
 *
 * A frame is u32 length of what follows, u8 type, u32 call id, body; integers big end first. Requests name an
 * operation, answers a status. Several calls may be under way; answers carry the id of their call. A request whose type has
 * PROTO_ABOUT has the id of the api's request before its body: for the log, and nothing else. */
#ifndef MUSTER_SIGNER_PROTO_H
#define MUSTER_SIGNER_PROTO_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/client.h"
#include "signer/profile.h"
#include "x509/cert.h"
#include "x509/ocsp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_FRAME_MAX 65536 /* bytes behind the length */
#define PROTO_HEADER 9	      /* length, type, call id */
#define PROTO_BODY_MAX (PROTO_FRAME_MAX - 5)

enum proto_op {
	PROTO_ISSUE = 1,   /* issue body -> DER */
	PROTO_NOTE,	   /* note body -> nothing */
	PROTO_CRL_ENTRIES, /* entries of the list that was begun under this call id; no answer */
	PROTO_CRL_SIGN,	   /* nothing; ends that list -> its number and signature, or what was wrong on the way */
	PROTO_CA_CERT,	   /* nothing -> DER */
	PROTO_LOG_READ,	   /* u64 after -> rows, each behind its u32 length, in parts; not all at once */
	PROTO_CRL_BEGIN,   /* crl body: begins a list under this call id; no answer */
	PROTO_OCSP,	   /* ocsp body -> u64 when the answers begin and u64 when the first ends, then each behind its u32
			    * length: 0 for one that the log does not bear out */
	PROTO_CHECKPOINT   /* u64 seq and hash of the audit trail's last row; seq 0: the last one again -> what it says, CMS */
};

enum proto_status {
	PROTO_DONE = 128, /* the last, or only, part of the answer */
	PROTO_MORE,	  /* a part; others follow */
	PROTO_FAILED	  /* an error body */
};

#define PROTO_ABOUT 64	  /* added to an operation */
#define PROTO_ABOUT_LEN 16

struct proto_frame {
	uint8_t type; /* enum proto_op or proto_status */
	uint32_t id;
	const uint8_t *about; /* PROTO_ABOUT_LEN bytes, borrowed; NULL: it is about nobody's request */
	const uint8_t *body; /* borrowed */
	size_t len;
};

/* The frame at the start of DATA. Returns its whole length in bytes, 0 if more bytes are needed, E_INPUT if the
 * length is out of bounds. */
MUST_CHECK int proto_frame_read(const uint8_t *data, size_t len, struct proto_frame *out, struct err *err);

/* Append a frame with BODY, at most PROTO_BODY_MAX bytes. */
void proto_frame_put(struct buf *out, unsigned type, uint32_t id, const void *body, size_t len);

/* The same of a request about ABOUT (PROTO_ABOUT_LEN bytes), with a body that is so much shorter at most. */
void proto_request_put(struct buf *out, enum proto_op op, uint32_t id, const uint8_t *about, const void *body, size_t len);

/* Append a whole answer of any length, in as many parts as it takes. */
void proto_answer_put(struct buf *out, uint32_t id, const void *body, size_t len);

/* Append the error as PROTO_FAILED, and read one back into ERR; returns its code. */
void proto_error_put(struct buf *out, uint32_t id, const struct err *error);
MUST_CHECK int proto_error_read(const struct proto_frame *frame, struct err *err);

/* An issue request as read: what signer_request points to, in one place. */
struct proto_issue {
	char profile[PROFILE_NAME_MAX + 1];
	char id[64];
	uint8_t spki[KEY_SPKI_MAX];
	size_t spki_len;
	int64_t valid_s;
	char names[CERT_SANS_MAX][CERT_SAN_SIZE];
	const char *sans[CERT_SANS_MAX];
	size_t n_sans;
};

void proto_issue_put(struct buf *body, const struct signer_request *request);
MUST_CHECK int proto_issue_read(const struct proto_frame *frame, struct proto_issue *out, struct err *err);

struct proto_note {
	uint8_t serial[SERIAL_LEN];
	enum crl_reason reason;
	int64_t at;
};

void proto_note_put(struct buf *body, const struct proto_note *note);
MUST_CHECK int proto_note_read(const struct proto_frame *frame, struct proto_note *out, struct err *err);

/* CRL entries: PROTO_ENTRY_LEN bytes each, as many as fit a frame. */
#define PROTO_ENTRY_LEN (SERIAL_LEN + 8 + 1)
#define PROTO_ENTRIES_MAX (PROTO_BODY_MAX / PROTO_ENTRY_LEN)

void proto_entry_put(struct buf *body, const struct crl_entry *entry);

/* Append them to DER_OUT as they stand in a list. E_INPUT for one that has no place in such a list. */
MUST_CHECK int proto_entries_read(const struct proto_frame *frame, bool is_delta, struct buf *der_out, struct err *err);

/* A list as it is begun. */
struct proto_crl {
	struct signer_crl crl;
	uint64_t entries_len; /* bytes of all its entries */
};

void proto_crl_put(struct buf *body, const struct proto_crl *crl);
MUST_CHECK int proto_crl_read(const struct proto_frame *frame, struct proto_crl *out, struct err *err);

/* Its answer; the signature is borrowed. */
void proto_signed_put(struct buf *body, uint64_t number, const struct buf *sig);
MUST_CHECK int proto_signed_read(
    const struct buf *body, uint64_t *number_out, const uint8_t **sig_out, size_t *sig_len_out, struct err *err);

/* OCSP answers: the issuer, how long they are to be valid, and each one's nonce and certificates. */
struct proto_ocsp {
	uint8_t issuer[KEY_ID_LEN]; /* its SKI */
	int64_t valid_s;
	size_t n;
	struct signer_ocsp wanted[SIGNER_OCSP_MAX]; /* lead into nonces and singles */
	struct ocsp_single singles[SIGNER_OCSP_SINGLES_MAX];
	uint8_t nonces[SIGNER_OCSP_MAX][OCSP_NONCE_MAX];
};

void proto_ocsp_put(struct buf *body, const uint8_t *issuer, int64_t valid_s, const struct signer_ocsp *wanted, size_t n);
MUST_CHECK int proto_ocsp_read(const struct proto_frame *frame, struct proto_ocsp *out, struct err *err);

void proto_checkpoint_put(struct buf *body, int64_t seq, const uint8_t *head);
MUST_CHECK int proto_checkpoint_read(
    const struct proto_frame *frame, int64_t *seq_out, uint8_t head_out[SHA256_LEN], struct err *err);

/* Its answer, before the message, which begins at *USED_OUT. */
void proto_checkpoint_signed_put(struct buf *body, const struct checkpoint *checkpoint);
MUST_CHECK int proto_checkpoint_signed_read(
    const struct buf *body, struct checkpoint *out, size_t *used_out, struct err *err);

void proto_log_read_put(struct buf *body, uint64_t after);
MUST_CHECK int proto_log_read_read(const struct proto_frame *frame, uint64_t *after_out, struct err *err);

#endif
