/* Errors are for the person at the terminal: what failed, and what to do about it. */
#include "cmd/rest.h"

#include "base/fs.h"
#include "base/text.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64L * 1024 * 1024)
#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S 120L

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct buf *out = arg;

	if (out->len + size * n > (size_t)ANSWER_MAX)
		return 0;
	buf_append(out, data, size * n);
	return buf_failed(out) ? 0 : size * n;
}

/* What a failed transfer means here. */
static int
explain(const struct cli *cli, CURLcode code, const char *url, const char *details, struct err *err)
{
	char ca[FS_PATH_MAX];

	(void)snprintf(ca, sizeof ca, "%s", cli->ca != NULL ? cli->ca : "");
	if (cli->ca == NULL)
		(void)snprintf(ca, sizeof ca, "%s/ca/root.crt", cli->dir);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (url == NULL)
			return err_set(err, E_BUSY, "no server answers on %s/muster.sock: start it with `muster --dir %s serve`",
			    cli->dir, cli->dir);
		return err_set(err, E_BUSY, "nobody answers at %s: %s", url, details);
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(err, E_DENIED,
		    "the server's certificate does not fit (%s): give the server's root certificate with --ca (now %s), and "
		    "a host name that its certificate has",
		    details, ca);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, E_INPUT, "cannot read the root certificate %s: give the server's with --ca", ca);
	default:
		return err_set(err, E_SYS, "%s: %s", url != NULL ? url : "muster.sock", details);
	}
}

struct exchange {
	const char *method;
	const char *url;	/* absolute, or NULL: PATH over the socket */
	const char *path;
	const char *token;
	const char *body;	/* NULL: none */
	struct buf *out;
	long status;
};

static int
perform(const struct cli *cli, struct exchange *x, struct err *err)
{
	char details[CURL_ERROR_SIZE] = "", socket[FS_PATH_MAX], ca[FS_PATH_MAX];
	struct curl_slist *headers = NULL;
	struct buf url = {0}, auth;
	CURL *curl = curl_easy_init();
	CURLcode code;
	int rc;

	buf_init_secret(&auth);
	if (curl == NULL)
		return err_nomem(err);
	if ((rc = fs_path(socket, cli->dir, "muster.sock", err)) != 0 ||
	    (rc = fs_path(ca, cli->dir, "ca/root.crt", err)) != 0)
		goto out;
	buf_printf(&url, "%s%s", x->url != NULL ? x->url : "http://localhost", x->path);
	if (x->url == NULL)
		(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	(void)curl_easy_setopt(curl, CURLOPT_URL, buf_str(&url));
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, x->url == NULL ? "http" : "https");
	(void)curl_easy_setopt(curl, CURLOPT_CAINFO, cli->ca != NULL ? cli->ca : ca);
	(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->method);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, x->out);
	if (x->body != NULL) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->body);
	} else if (strcmp(x->method, "POST") == 0) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
		headers = curl_slist_append(headers, "Content-Type:");
	}
	if (x->url != NULL && x->token != NULL) {
		buf_printf(&auth, "Authorization: Bearer %s", x->token);
		headers = curl_slist_append(headers, buf_str(&auth));
	}
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if ((code = curl_easy_perform(curl)) != CURLE_OK)
		rc = explain(cli, code, x->url, details[0] != '\0' ? details : curl_easy_strerror(code), err);
	else
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
out:
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	buf_clear(&url);
	buf_clear(&auth);
	return rc;
}

static int
code_of(long status)
{
	switch (status) {
	case 400:
		return E_INPUT;
	case 401:
		return E_UNAUTH;
	case 403:
		return E_DENIED;
	case 404:
		return E_NOTFOUND;
	case 409:
		return E_CONFLICT;
	case 410:
		return E_GONE;
	case 413:
	case 429:
		return E_LIMIT;
	case 503:
		return E_BUSY;
	default:
		return E_SYS;
	}
}

/* An answer that is no success, as the server's problem details tell it (RFC 9457). */
static int
refused(const struct cli *cli, const struct exchange *x, struct err *err)
{
	json_t *problem = json_loadb((const char *)x->out->data, x->out->len, 0, NULL);
	json_t *first = json_array_get(json_object_get(problem, "errors"), 0);
	const char *field = json_string_value(json_object_get(first, "field"));
	const char *reason = json_string_value(json_object_get(first, "reason"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));

	if (x->status == 401)
		(void)err_set(err, E_UNAUTH, "%s: give an operator's token with --token or MUSTER_TOKEN%s",
		    detail != NULL ? detail : "the server does not know the caller",
		    cli->url == NULL ? ", or be root or the home's owner" : "");
	else if (field != NULL && field[0] != '\0')
		(void)err_field(err, code_of(x->status), field, "%s", reason != NULL ? reason : "is refused");
	else
		(void)err_set(err, code_of(x->status), "%s", detail != NULL ? detail : "the server refused");
	if (detail == NULL && reason == NULL)
		(void)err_prefix(err, "HTTP %ld", x->status);
	json_decref(problem);
	return err->code;
}

int
rest_call(const struct cli *cli, const char *method, const char *path, json_t *body,
    json_t **answer_out, struct err *err)
{
	struct buf out = {0};
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	struct exchange x = {.method = method, .url = cli->url, .path = path, .token = cli->token, .body = text,
	    .out = &out};
	json_t *answer = NULL;
	int rc;

	if (body != NULL && text == NULL)
		rc = err_nomem(err);
	else if ((rc = perform(cli, &x, err)) == 0 && (x.status < 200 || x.status > 299))
		rc = refused(cli, &x, err);
	else if (rc == 0 && out.len > 0 && (answer = json_loadb((const char *)out.data, out.len, 0, NULL)) == NULL)
		rc = err_set(err, E_SYS, "the server answered something that is not JSON; is %s Muster's API?",
		    cli->url != NULL ? cli->url : "the socket");
	if (rc == 0)
		*answer_out = answer;
	json_decref(body);
	free(text);
	buf_clear(&out);
	return rc;
}

int
rest_get(const struct cli *cli, const char *path, struct buf *out, struct err *err)
{
	struct exchange x = {.method = "GET", .url = cli->url, .path = path, .token = cli->token, .out = out};
	int rc;

	if ((rc = perform(cli, &x, err)) == 0 && x.status != 200)
		rc = refused(cli, &x, err);
	return rc;
}

int
rest_fetch(const struct cli *cli, const char *url, struct buf *out, struct err *err)
{
	struct exchange x = {.method = "POST", .url = url, .path = "", .out = out};
	int rc;

	if (strncmp(url, "https://", 8) != 0)
		return err_set(err, E_INPUT, "a link begins with https://");
	if ((rc = perform(cli, &x, err)) == 0 && x.status != 200)
		rc = refused(cli, &x, err);
	return rc;
}

/* RFC 3986: everything but the unreserved characters is encoded. */
void
rest_segment(struct buf *path, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c) != NULL)
			buf_byte(path, c);
		else
			buf_printf(path, "%%%02X", c);
	}
}

void
rest_query(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "%c%s=", strchr(buf_str(path), '?') == NULL ? '?' : '&', name);
	rest_segment(path, value);
}
