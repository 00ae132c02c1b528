/* The CLI's client of the API: over the home's socket, or over HTTPS with a token. The only user of
 * libcurl. */
#ifndef MUSTER_CMD_REST_H
#define MUSTER_CMD_REST_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/commands.h"

#include <jansson.h>

/* Each call fails with ERR as cli_fail shows it: what and why, the field, and after a newline what
 * to do. E_BUSY: no server there. E_INPUT: its address or root certificate is wrong. E_UNAUTH: no
 * token, or a wrong one. E_DENIED: the server is not the one it should be, or the caller may not.
 * The other codes are the server's answers. */

/* Call METHOD PATH ("/v1/…") with BODY (whose reference is taken; NULL: none). *ANSWER_OUT is the
 * parsed answer, or NULL where there is none; free with json_decref. */
MUST_CHECK int rest_call(const struct cli *cli, const char *method, const char *path, json_t *body,
    json_t **answer_out, struct err *err);

/* GET PATH and append the raw answer, for what is not JSON. */
MUST_CHECK int rest_get(const struct cli *cli, const char *path, struct buf *out, struct err *err);

/* POST to the absolute https URL of a one-time link, without credentials; append the package. */
MUST_CHECK int rest_fetch(const struct cli *cli, const char *url, struct buf *out, struct err *err);

/* GET an absolute http URL of the public PKI pages, without credentials; append the answer. */
MUST_CHECK int rest_public(
    const struct cli *cli, const char *url, struct buf *out, struct err *err);

/* GET the absolute https URL as whoever CERT and KEY (files) are, where CA (a file) vouches for the server; *STATUS_OUT is
 * the answer's. Only what keeps an answer away fails. */
MUST_CHECK int rest_knock(const struct cli *cli, const char *url, const char *ca, const char *cert, const char *key,
    long *status_out, struct err *err);

/* Append NAME=VALUE to a path's query, encoded; the first with '?', the others with '&'. VALUE NULL
 * appends nothing. */
void rest_query(struct buf *path, const char *name, const char *value);

/* Append TEXT encoded as one segment of a path. */
void rest_segment(struct buf *path, const char *text);

/* Put NAME: VALUE into a request's BODY; VALUE is taken. A NULL value is one that memory did not
 * suffice for. E_NOMEM. */
MUST_CHECK int rest_set_take(json_t *body, const char *name, json_t *value, struct err *err);

/* The same with a text, which may be NULL: left out. E_NOMEM. */
MUST_CHECK int rest_set_text(json_t *body, const char *name, const char *value, struct err *err);

#endif
