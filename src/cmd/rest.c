/* Owns one exchange with the API, and what each way to fail means to the person at the terminal.
 * Never follows a redirection, never uses a proxy, a netrc or the system's list of CAs: the server
 * is the one that the given root vouches for, or none. */
#include "cmd/rest.h"

#include "base/fs.h"
#include "base/text.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (64UL * 1024 * 1024) /* a CRL of a million entries is about 37 MiB */
#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S 120L
#define SERVER_TEXT_MAX 200 /* of what the server says; the hint must fit behind it */

struct exchange {
	const char *method;
	const char *url; /* https://HOST:PORT, or NULL: over the home's socket */
	const char *path;
	const char *token, *idempotency_key, *tenant; /* NULL: none */
	const char *body; /* NULL: none */
	const char *cert, *key; /* the client's files; NULL: none */
	struct buf *out;
	long status;
	long retry_after_s;
	bool too_large;
	bool plain; /* the URL is http: nothing secret goes there */
};

/* ---- a transfer that failed ------------------------------------------------------------------ */

static int
no_socket(const struct cli *cli, long why, struct err *err)
{
	char conf[FS_PATH_MAX];
	struct err none = {0};

	if (why == EACCES || why == EPERM)
		return err_set(err, E_DENIED,
		    "no permission for %.120s/muster.sock\nBe root or the home's owner, or give "
		    "--url and an operator's "
		    "--token-file.",
		    cli->dir);
	if (fs_path(conf, cli->dir, "muster.conf", &none) == 0 && access(conf, F_OK) != 0 &&
	    errno == ENOENT)
		return err_set(err, E_BUSY,
		    "there is no Muster home in %.120s\nName it with --dir or MUSTER_DIR, make one "
		    "with `muster init`, or give "
		    "--url for a server elsewhere.",
		    cli->dir);
	return err_set(err, E_BUSY,
	    "no server answers on %.120s/muster.sock\nStart it with: muster --dir %.120s serve",
	    cli->dir, cli->dir);
}

static int
explain(const struct cli *cli, const struct exchange *x, CURL *curl, CURLcode code,
    const char *details, const char *ca, struct err *err)
{
	const char *peer = x->url != NULL ? x->url : "muster.sock";
	long why = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &why);
	if (x->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return err_set(
		    err, E_LIMIT, "%.120s: the answer is larger than %lu bytes", peer, ANSWER_MAX);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		if (x->url == NULL)
			return no_socket(cli, why, err);
		return err_set(err, E_BUSY,
		    "%.120s: %.120s\nCheck the address, and that the server runs.", peer, details);
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(err, E_DENIED,
		    "the server's certificate is not trusted: %.120s\nGive the server's "
		    "ca/root.crt with --ca (now %.100s), and "
		    "a host name that its certificate has.",
		    details, ca);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, E_INPUT,
		    "cannot read the root certificate %.120s\nCopy ca/root.crt from the server's "
		    "home and name it with --ca.",
		    ca);
	case CURLE_SSL_CERTPROBLEM:
		return err_set(err, E_INPUT, "cannot use the client certificate %.120s with the key %.120s: %.120s", x->cert,
		    x->key != NULL ? x->key : "(none)", details);
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(err, E_SYS, "%.120s: %.120s\nIs this the port of the HTTPS API?",
		    peer, details);
	case CURLE_URL_MALFORMAT:
		return err_set(err, E_INPUT, "%.120s is no URL: %.120s", peer, details);
	default:
		/* It left, and no whole answer came: nobody here knows whether it was done. */
		return err_set(err, E_SYS, "%.120s: %.120s%s", peer, details,
		    strcmp(x->method, "GET") == 0
			? ""
			: "\nIt may have been done all the same: look before you repeat it.");
	}
}

/* ---- an answer that is no success ------------------------------------------------------------ */

/* By status: what it means, and what to do. A field that the server names is hint enough for 400.
 */
static const struct {
	long status;
	int code;
	const char *hint;
} refusals[] = {
    {400, E_INPUT, NULL},
    {401, E_UNAUTH,
	"Give an operator's token with --token-file, --token or MUSTER_TOKEN, or a certificate with --client-cert; on the server's own "
	"host root and the home's "
	"owner need none."},
    {403, E_DENIED, "This needs an operator with another role."},
    {404, E_NOTFOUND, NULL},
    {409, E_CONFLICT, NULL},
    {410, E_GONE,
	"Have a new one made with `muster device package ID` or `muster service package NAME`."},
    {413, E_LIMIT, NULL},
    {422, E_CONFLICT, NULL},
    {429, E_LIMIT, NULL},
    {500, E_SYS, "The server's log says more."},
    {503, E_BUSY, "Try again in a moment; if it stays so, the server's log says why."},
};
#define N_REFUSALS (sizeof refusals / sizeof refusals[0])

/* The server's text at KEY, made harmless: it may hold what others wrote, and a newline would pass
 * for our hint. */
static void
server_text(char *out, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct buf safe = {0};

	text_escape(&safe, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
	(void)text_copy(out, SERVER_TEXT_MAX, buf_str(&safe));
	buf_clear(&safe);
}

/* What to do after the refusal at I in the table; beyond its end is what Muster does not answer. */
static void
hint_make(char *out, size_t size, size_t i, const struct exchange *x, const char *request_id)
{
	out[0] = '\0';
	if (x->status == 429 && x->retry_after_s > 0)
		(void)snprintf(out, size, "\nTry again in %ld s.", x->retry_after_s);
	else if (x->status == 500 && request_id[0] != '\0')
		(void)snprintf(out, size, "\n%s (request %s)", refusals[i].hint, request_id);
	else if (i == N_REFUSALS)
		(void)snprintf(out, size, "\nIs this the address of Muster's API?");
	else if (refusals[i].hint != NULL)
		(void)snprintf(out, size, "\n%s", refusals[i].hint);
}

/* RFC 9457, with `errors: [{field, reason}]`. */
static int
refused(const struct exchange *x, struct err *err)
{
	char field[SERVER_TEXT_MAX], text[SERVER_TEXT_MAX], id[SERVER_TEXT_MAX], hint[ERR_TEXT_MAX];
	json_t *problem = json_loadb(buf_str(x->out), x->out->len, 0, NULL);
	json_t *first = json_array_get(json_object_get(problem, "errors"), 0);
	size_t i = 0;

	server_text(field, first, "field");
	server_text(text, first, "reason");
	if (text[0] == '\0')
		server_text(text, problem, "detail");
	if (text[0] == '\0')
		(void)snprintf(text, sizeof text, "the server answered HTTP %ld", x->status);
	server_text(id, problem, "instance");
	json_decref(problem);
	while (i < N_REFUSALS && refusals[i].status != x->status)
		i++;
	hint_make(hint, sizeof hint, i, x, id);
	(void)err_field(err, i < N_REFUSALS ? refusals[i].code : E_SYS, field, "%s%s", text, hint);
	if (x->retry_after_s > 0 && x->retry_after_s < 86400)
		err->retry_after_s = (int)x->retry_after_s;
	return err->code;
}

/* ---- one exchange ---------------------------------------------------------------------------- */

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	x->too_large = size * n > ANSWER_MAX - x->out->len;
	if (x->too_large)
		return 0;
	buf_append(x->out, data, size * n);
	return buf_failed(x->out) ? 0 : size * n;
}

static bool
header_add(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);

	if (longer != NULL)
		*headers = longer;
	return longer != NULL;
}

static bool
is_posted(const struct exchange *x)
{
	return x->body != NULL || strcmp(x->method, "POST") == 0;
}

/* On failure, too, *HEADERS is to be freed. */
static int
headers_make(const struct cli *cli, const struct exchange *x, struct curl_slist **headers, struct err *err)
{
	char trace[sizeof "traceparent: " + TRACE_PARENT_SIZE] = "traceparent: ";
	struct buf auth, key = {0}, tenant = {0};
	bool ok = true;

	if (x->tenant != NULL && !text_is_printable(x->tenant, strlen(x->tenant)))
		return err_set(err, E_INPUT, "--tenant is a tenant's name: one word");
	buf_init_secret(&auth);
	if (is_posted(x)) /* libcurl would call an empty body a form */
		ok = header_add(
		    headers, x->body != NULL ? "Content-Type: application/json" : "Content-Type:");
	if (x->idempotency_key != NULL) {
		buf_printf(&key, "Idempotency-Key: %s", x->idempotency_key);
		ok = ok && !buf_failed(&key) && header_add(headers, buf_str(&key));
	}
	if (trace_make(cli->trace, trace + strlen(trace)))
		ok = ok && header_add(headers, trace);
	if (x->tenant != NULL) {
		buf_printf(&tenant, "Muster-Tenant: %s", x->tenant);
		ok = ok && !buf_failed(&tenant) && header_add(headers, buf_str(&tenant));
	}
	if (x->url != NULL && x->token != NULL) {
		buf_printf(&auth, "Authorization: Bearer %s", x->token);
		ok = ok && !buf_failed(&auth) && header_add(headers, buf_str(&auth));
	}
	buf_clear(&auth);
	buf_clear(&key);
	buf_clear(&tenant);
	return ok ? 0 : err_nomem(err);
}

static void
options_set(CURL *curl, struct exchange *x, const char *url, const char *ca)
{
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(
	    curl, CURLOPT_PATH_AS_IS, 1L); /* an ID of ".." is the server's to refuse */
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, x->url == NULL || x->plain ? "http" : "https");
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	if (x->cert != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_SSLCERT, x->cert);
		(void)curl_easy_setopt(curl, CURLOPT_SSLKEY, x->key);
	}
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->method);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(
	    curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)ANSWER_MAX); /* by its announced length */
	if (is_posted(x))
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->body != NULL ? x->body : "");
}

/* The whole URL of X into OUT. The token goes to a server only when TLS has shown who it is. */
static int
url_make(const struct exchange *x, struct buf *out, struct err *err)
{
	size_t len = x->url == NULL ? 0 : strlen(x->url);

	if (x->url != NULL && !x->plain &&
	    (strncasecmp(x->url, "https://", 8) != 0 || strpbrk(x->url, " \t\r\n") != NULL))
		return err_set(err, E_INPUT,
		    "%.120s is no https:// URL\nGive the API's address, such as "
		    "https://muster.example.org:8443.",
		    x->url);
	while (x->path[0] == '/' && len > 8 && x->url[len - 1] == '/')
		len--;
	if (x->url == NULL)
		buf_text(out, "http://localhost");
	else
		buf_append(out, x->url, len);
	buf_text(out, x->path);
	return buf_failed(out) ? err_nomem(err) : 0;
}

static int
perform(const struct cli *cli, struct exchange *x, struct err *err)
{
	char details[CURL_ERROR_SIZE] = "", socket[FS_PATH_MAX], ca[FS_PATH_MAX];
	struct curl_slist *headers = NULL;
	curl_off_t retry_after = 0;
	struct buf url = {0};
	CURL *curl = curl_easy_init();
	CURLcode code;
	int rc;

	if (curl == NULL)
		return err_nomem(err);
	if ((rc = fs_path(socket, cli->dir, "muster.sock", err)) != 0 ||
	    (rc = fs_path(ca, cli->dir, "ca/root.crt", err)) != 0 ||
	    (rc = url_make(x, &url, err)) != 0)
		goto out;
	if (cli->ca != NULL && !text_copy(ca, sizeof ca, cli->ca)) {
		rc = err_set(err, E_INPUT, "the name of --ca is too long");
		goto out;
	}
	if ((rc = headers_make(cli, x, &headers, err)) != 0)
		goto out;
	options_set(curl, x, buf_str(&url), ca);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details);
	/* The one option whose loss would send the request elsewhere. */
	if (x->url == NULL &&
	    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) != CURLE_OK) {
		rc = err_nomem(err);
		goto out;
	}
	if ((code = curl_easy_perform(curl)) != CURLE_OK) {
		rc = explain(cli, x, curl, code,
		    details[0] != '\0' ? details : curl_easy_strerror(code), ca, err);
		goto out;
	}
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
	if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK)
		x->retry_after_s = (long)retry_after;
out:
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	buf_clear(&url);
	return rc;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int
answer_parse(const struct exchange *x, json_t **answer_out, struct err *err)
{
	json_t *answer = NULL;

	if (x->out->len > 0 && (answer = json_loadb(buf_str(x->out), x->out->len, 0, NULL)) == NULL)
		return err_set(err, E_SYS, "the answer is not JSON\nIs %.120s Muster's API?",
		    x->url != NULL ? x->url : "muster.sock");
	*answer_out = answer;
	return 0;
}

int
rest_call(const struct cli *cli, const char *method, const char *path, json_t *body,
    json_t **answer_out, struct err *err)
{
	struct buf out;
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	struct exchange x = {.method = method,
	    .url = cli->url,
	    .path = path,
	    .token = cli->token,
	    .cert = cli->cert,
	    .key = cli->key,
	    .tenant = cli->tenant,
	    .idempotency_key = cli->idempotency_key,
	    .body = text,
	    .out = &out};
	int rc;

	buf_init_secret(&out); /* it may hold a package's password */
	if (body != NULL && text == NULL)
		rc = err_nomem(err);
	else if ((rc = perform(cli, &x, err)) == 0)
		rc = x.status < 200 || x.status > 299 ? refused(&x, err)
						      : answer_parse(&x, answer_out, err);
	json_decref(body);
	free(text);
	buf_clear(&out);
	return rc;
}

int
rest_get(const struct cli *cli, const char *path, struct buf *out, struct err *err)
{
	struct exchange x = {
	    .method = "GET", .url = cli->url, .path = path, .token = cli->token, .cert = cli->cert,
	    .key = cli->key, .tenant = cli->tenant, .out = out};
	int rc;

	if ((rc = perform(cli, &x, err)) == 0 && x.status != 200)
		rc = refused(&x, err);
	return rc;
}

int
rest_public(const struct cli *cli, const char *url, struct buf *out, struct err *err)
{
	struct exchange x = {.method = "GET", .url = url, .path = "", .out = out, .plain = true};
	int rc;

	if ((rc = perform(cli, &x, err)) == 0 && x.status != 200)
		rc = refused(&x, err);
	return rc;
}

int
rest_fetch(const struct cli *cli, const char *url, struct buf *out, struct err *err)
{
	struct exchange x = {.method = "POST", .url = url, .path = "", .out = out};
	int rc;

	if ((rc = perform(cli, &x, err)) == 0 && x.status != 200)
		rc = refused(&x, err);
	return rc;
}

int
rest_knock(const struct cli *cli, const char *url, const char *ca, const char *cert, const char *key,
    long *status_out, struct err *err)
{
	struct cli as = *cli;
	struct buf out = {0};
	struct exchange x = {.method = "GET", .url = url, .path = "", .out = &out, .cert = cert, .key = key};
	int rc;

	as.ca = ca;
	if ((rc = perform(&as, &x, err)) == 0)
		*status_out = x.status;
	buf_clear(&out);
	return rc;
}

/* ---- what calls are made of ------------------------------------------------------------------ */

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

int
rest_set_take(json_t *body, const char *name, json_t *value, struct err *err)
{
	return json_object_set_new(body, name, value) == 0 ? 0 : err_nomem(err);
}

int
rest_set_text(json_t *body, const char *name, const char *value, struct err *err)
{
	return value == NULL ? 0 : rest_set_take(body, name, json_string(value), err);
}
