/* One request a call, by libcurl. The token reaches the server in a header and nothing else. */
#include "agent/est.h"

#include "agent/jsonpeek.h"
#include "base/text.h"
#include "base/trace.h"
#include "x509/estmsg.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX 65536
#define CONNECT_TIMEOUT_S 10
#define TIMEOUT_S 60
#define RETRY_AFTER_MAX_S 86400
#define RENEW_AT "Muster-Renew-At:"

struct answer {
	struct buf body;
	long status;
	curl_off_t retry_after_s;
	int64_t renew_at; /* Muster's own header; 0: none */
};

int
est_url_check(const char *url, struct err *err)
{
	size_t len = strlen(url);

	if (strncmp(url, "https://", 8) != 0 || len == 8 || url[len - 1] == '/' || strchr(url + 8, '/') != NULL)
		return err_set(err, E_INPUT, "a service's URL is https://HOST:PORT, not %s", url);
	return 0;
}

bool
est_may_retry(int rc)
{
	return rc == E_BUSY || rc == E_LIMIT;
}

static size_t
on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct buf *body = ctx;

	if (size * n > ANSWER_MAX - body->len)
		return 0;
	buf_append(body, data, size * n);
	return buf_failed(body) ? 0 : size * n;
}

/* The certificate by which we are known; NULL: by none. */
static const char *
cert_path(const struct est *est)
{
	return est->pair_path != NULL ? est->pair_path : est->idevid_path;
}

static size_t
on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct answer *answer = ctx;
	size_t len = strlen(RENEW_AT), end = size * n;
	char number[24];

	while (end > 0 && (data[end - 1] == '\r' || data[end - 1] == '\n'))
		end--;
	if (end > len && end - len < sizeof number && strncasecmp(data, RENEW_AT, len) == 0) {
		memcpy(number, data + len, end - len);
		number[end - len] = '\0';
		(void)integer_parse(number + strspn(number, " "), 0, INT64_MAX / 2, &answer->renew_at);
	}
	return size * n;
}

static void
options_set(CURL *curl, const struct est *est, struct answer *answer)
{
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(curl, CURLOPT_CAINFO, est->ca_path);
	(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
	if (cert_path(est) != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_SSLCERT, cert_path(est));
		(void)curl_easy_setopt(curl, CURLOPT_SSLKEY, est->pair_path != NULL ? est->pair_path : est->idevid_key_path);
		(void)curl_easy_setopt(curl, CURLOPT_KEYPASSWD, ""); /* nobody is asked for one */
	}
	if (est->token != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		(void)curl_easy_setopt(curl, CURLOPT_USERNAME, "muster-agent");
		(void)curl_easy_setopt(curl, CURLOPT_PASSWORD, est->token);
	}
}

static int
curl_error(const struct est *est, CURLcode code, const char *details, struct err *err)
{
	const char *text = details[0] != '\0' ? details : curl_easy_strerror(code);

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return err_nomem(err);
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(err, E_DENIED,
		    "%s is not a server that %s vouches for (%s)\nget the root certificate of your service anew, from "
		    "whoever runs it; is this machine's clock right?", est->url, est->ca_path, text);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, E_INPUT, "cannot use %s: %s", est->ca_path, text);
	case CURLE_SSL_CERTPROBLEM:
		return err_set(err, E_INPUT, "cannot use %s: %s%s", cert_path(est), text,
		    est->pair_path != NULL ? "" : "\nit must be PEM, and --idevid-key its key, without a passphrase");
	case CURLE_WRITE_ERROR:
		return err_set(err, E_INPUT, "%s answers more than %d bytes", est->url, ANSWER_MAX);
	default:
		return err_set(err, E_BUSY,
		    "cannot ask %s: %s\nis the address right, the service running, and the network up?", est->url, text);
	}
}

/* What to do about a refusal, behind what the server said of it. */
static const struct {
	long status;
	int code;
	const char *remedy, *by_idevid; /* NULL: the same */
} refusals[] = {
    {400, E_INPUT, "choose another --key, --name or --label accordingly", NULL},
    {401, E_UNAUTH, "the token is wrong, expired or revoked, or so is the certificate: get a new token (`muster token create`) and enrol",
	"--idevid must hold the device's certificate and, behind it, those of the CAs up to the one that the service trusts "
	"(`muster trust list`)"},
    {403, E_DENIED, "ask for another profile (--label), or a token that is for this one",
	"whoever runs the service decides that; then the same command again"},
    {404, E_INPUT, "is that an EST server, and --label one of its profiles?", NULL},
    {409, E_CONFLICT, "see `muster device show ID`", NULL},
    {410, E_GONE, "get a new token (`muster token create`)", NULL},
    {413, E_INPUT, "choose a smaller key", NULL},
    {429, E_LIMIT, "wait", NULL},
};

static int
status_error(const struct est *est, const struct answer *answer, struct err *err)
{
	const char *remedy = "look into the service's log";
	char detail[200], safe[256];
	struct buf text = {0};
	int code = E_BUSY;
	size_t i;

	if (!jsonpeek_text(buf_str(&answer->body), "detail", detail, sizeof detail))
		(void)text_copy(detail, sizeof detail, "no reason given");
	text_escape(&text, detail, strlen(detail));
	(void)text_copy(safe, sizeof safe, buf_str(&text));
	buf_clear(&text);
	for (i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		if (refusals[i].status == answer->status) {
			code = refusals[i].code;
			remedy = est->idevid_path != NULL && refusals[i].by_idevid != NULL ? refusals[i].by_idevid :
											      refusals[i].remedy;
		}
	}
	if (code == E_BUSY && answer->status < 500 && answer->status != 202)
		code = E_INPUT;
	(void)err_set(err, code, "%s answers %ld: %s\n%s", est->url, answer->status, safe, remedy);
	if (err != NULL && answer->retry_after_s > 0)
		err->retry_after_s = (int)(answer->retry_after_s < RETRY_AFTER_MAX_S ? answer->retry_after_s : RETRY_AFTER_MAX_S);
	return code;
}

/* GET of PATH, or POST of BODY under its TYPE. */
static int
ask(const struct est *est, const char *path, const char *type, const struct buf *body, struct answer *answer,
    struct err *err)
{
	char details[CURL_ERROR_SIZE] = "", trace[sizeof "traceparent: " + TRACE_PARENT_SIZE] = "traceparent: ";
	struct curl_slist *headers = NULL, *longer = NULL;
	CURL *curl = curl_easy_init();
	struct buf url = {0};
	CURLcode code;
	int rc = 0;

	buf_printf(&url, "%s%s", est->url, path);
	if (trace_make(getenv("TRACEPARENT"), trace + strlen(trace)))
		headers = curl_slist_append(NULL, trace);
	if (body != NULL && (longer = curl_slist_append(headers, type)) != NULL)
		headers = longer;
	if (curl == NULL || (body != NULL && longer == NULL) || buf_failed(&url)) {
		rc = err_nomem(err);
		goto out;
	}
	options_set(curl, est, answer);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details);
	(void)curl_easy_setopt(curl, CURLOPT_URL, buf_str(&url));
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (body != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body->data);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
	}
	if ((code = curl_easy_perform(curl)) != CURLE_OK)
		rc = curl_error(est, code, details, err);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	(void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &answer->retry_after_s);
out:
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	buf_clear(&url);
	return rc;
}

/* One of EST's operations, answered with certificates. */
static int
exchange(const struct est *est, const char *operation, const struct buf *body, struct buf *pem_out, int64_t *renew_at_out,
    struct err *err)
{
	bool labelled = est->label != NULL && est->label[0] != '\0';
	struct answer answer = {0};
	struct buf der = {0}, path = {0};
	int rc;

	buf_printf(&path, "/.well-known/est/%s%s%s", labelled ? est->label : "", labelled ? "/" : "", operation);
	if ((rc = buf_failed(&path) ? err_nomem(err) : 0) != 0 ||
	    (rc = ask(est, buf_str(&path), "Content-Type: application/pkcs10", body, &answer, err)) != 0)
		goto out;
	if (answer.status != 200)
		rc = status_error(est, &answer, err);
	else if ((rc = base64_decode(&der, buf_str(&answer.body), answer.body.len, err)) == 0)
		rc = estmsg_get_certs(der.data, der.len, pem_out, err);
	if (rc == 0 && renew_at_out != NULL)
		*renew_at_out = answer.renew_at;
out:
	buf_clear(&path);
	buf_clear(&der);
	buf_clear(&answer.body);
	return rc;
}

int
est_cacerts(const struct est *est, struct buf *pem_out, struct err *err)
{
	struct est anonymous = {.url = est->url, .label = est->label, .ca_path = est->ca_path};

	return exchange(&anonymous, "cacerts", NULL, pem_out, NULL, err);
}

int
est_challenge(const struct est *est, char nonce_out[EST_NONCE_SIZE], struct err *err)
{
	const struct buf nothing = {.data = (uint8_t *)"{}", .len = 2};
	struct answer answer = {0};
	char nonce[EST_NONCE_SIZE] = "";
	int rc = ask(est, "/v1/attest/challenge", "Content-Type: application/json", &nothing, &answer, err);

	if (rc == 0 && answer.status == 201) {
		if (!jsonpeek_text(buf_str(&answer.body), "nonce", nonce, sizeof nonce) || !text_is_printable(nonce, strlen(nonce)))
			rc = err_set(err, E_INPUT, "%s gives a challenge without a nonce", est->url);
	} else if (rc == 0 && answer.status != 404 && answer.status != 405)
		rc = status_error(est, &answer, err);
	if (rc == 0)
		memcpy(nonce_out, nonce, sizeof nonce);
	buf_clear(&answer.body);
	return rc;
}

int
est_enrol(const struct est *est, const struct buf *csr, struct buf *pem_out, int64_t *renew_at_out, struct err *err)
{
	struct buf body = {0};
	int rc;

	base64_encode(&body, csr->data, csr->len);
	rc = buf_failed(&body) ? err_nomem(err)
			       : exchange(est, est->pair_path != NULL ? "simplereenroll" : "simpleenroll", &body, pem_out,
				     renew_at_out, err);
	buf_clear(&body);
	return rc;
}
