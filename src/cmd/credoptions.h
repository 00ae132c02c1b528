/* The options that every command which makes credentials shares, and showing what came of it. */
#ifndef MUSTER_CMD_CREDOPTIONS_H
#define MUSTER_CMD_CREDOPTIONS_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/commands.h"

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#define CREDOPTIONS_SANS_MAX 16

struct credoptions {
	const char *key, *csr_file, *profile, *valid, *out_file;
	const char *sans[CREDOPTIONS_SANS_MAX];
	size_t n_sans;
	int64_t link_ttl_s;
	bool qr;
};

/* For the `children` of a command's argp; its input is a struct credoptions. */
extern const struct argp credoptions_argp;

/* Put what was chosen into BODY, the CSR's text too, and find out whether --out can be written:
 * what the answer says is said once. E_INPUT, E_NOTFOUND, E_LIMIT, E_SYS, E_NOMEM. */
MUST_CHECK int credoptions_body(const struct credoptions *options, json_t *body, struct err *err);

/* Append as base64 the request that RAW is, PEM or DER. Whatever else is there stays here: who names the key's file by mistake must
 * not send the key. E_INPUT, E_NOMEM. */
MUST_CHECK int credoptions_csr(const struct buf *raw, struct buf *out, struct err *err);

/* Show a registration's or re-issue's answer: certificate, link, password, next steps; then write
 * --out. E_SYS. */
MUST_CHECK int credoptions_show(const struct cli *cli, const struct credoptions *options,
    const json_t *answer, struct err *err);

#endif
