/* What the bytes of a connection come to: where requests begin and end, however they arrive, held against a reader that
 * has only accepted bytes to read; then paths, queries and routes. */
#include "base/text.h"
#include "fuzz.h"
#include "http/framing.h"
#include "http/request.h"

#include <strings.h>

#define HEAD_MAX 2048
#define BODY_MAX 300

static int
nothing(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)core;
	(void)caller;
	(void)req;
	(void)reply;
	(void)err;
	return 0;
}

const struct route routes[] = {
    ROUTE("GET", "/", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, nothing),
    ROUTE("GET", "/v1/devices/{id}", ROLE_ADMIN, ROUTE_NORMAL, ON_API, nothing),
    ROUTE("POST", "/v1/{kind}/{id}/revoke", ROLE_ADMIN, ROUTE_URGENT, ON_API, nothing),
};
const size_t n_routes = sizeof routes / sizeof routes[0];

struct verdict {
	int rc, status;
	size_t good; /* bytes that evhttp would see */
	uint64_t n_whole;
};

/* Feed the bytes in pieces of STEP. */
static struct verdict
feed(const uint8_t *data, size_t len, size_t step)
{
	struct framing f = {.head_max = HEAD_MAX, .body_max = BODY_MAX};
	struct verdict v = {0};
	struct err err = {0};
	size_t n, good;

	for (v.good = 0; v.rc == 0 && v.good < len; v.good += v.rc == 0 ? n : good) {
		n = len - v.good < step ? len - v.good : step;
		v.rc = framing_feed(&f, data + v.good, n, &good, &v.status, &err);
		if (v.rc != 0) {
			FUZZ_ASSERT(good < n && v.status >= 400 && v.status < 600);
			FUZZ_ASSERT(err.code == v.rc && err.text[0] != '\0');
		}
	}
	v.n_whole = f.n_whole;
	return v;
}

/* The length of the body that HEAD (up to its blank line) announces. */
static size_t
body_of(const uint8_t *head, size_t len)
{
	static const char name[] = "\r\nContent-Length:";
	char *text = fuzz_text(head, len), *at = text;
	size_t i, n_lengths = 0, length = 0, spaces = 0;

	FUZZ_ASSERT(strlen(text) == len);
	FUZZ_ASSERT(strcasestr(text, "\r\nTransfer-Encoding:") == NULL);
	for (i = 0; i < len; i++)
		FUZZ_ASSERT((text[i] == '\r') == (i + 1 < len && text[i + 1] == '\n'));
	for (i = 0; text[i] != '\r'; i++)
		spaces += text[i] == ' ';
	FUZZ_ASSERT(spaces == 2 && text[strcspn(text, " ") + 1] == '/');
	FUZZ_ASSERT(strstr(text, "\r\n ") == NULL && strstr(text, "\r\n\t") == NULL);
	for (; (at = strcasestr(at, name)) != NULL; at += strlen(name), n_lengths++)
		length = strtoul(at + strlen(name), NULL, 10);
	FUZZ_ASSERT(n_lengths <= 1 && length <= BODY_MAX);
	free(text);
	return length;
}

static uint64_t
count_requests(const uint8_t *data, size_t len)
{
	const uint8_t *end;
	uint64_t n = 0;
	size_t head, body;

	while (len > 0 && (end = memmem(data, len, "\r\n\r\n", 4)) != NULL) {
		head = (size_t)(end - data);
		body = body_of(data, head + 2);
		head += 4;
		if (body > len - head)
			break;
		n++;
		data += head + body;
		len -= head + body;
	}
	return n;
}

static void
check_framing(const uint8_t *data, size_t len)
{
	struct verdict whole = feed(data, len, len > 0 ? len : 1), byte = feed(data, len, 1), seven = feed(data, len, 7);

	FUZZ_ASSERT(whole.rc == byte.rc && whole.rc == seven.rc);
	FUZZ_ASSERT(whole.status == byte.status && whole.status == seven.status);
	FUZZ_ASSERT(whole.good == byte.good && whole.good == seven.good);
	FUZZ_ASSERT(whole.n_whole == byte.n_whole && whole.n_whole == seven.n_whole);
	FUZZ_ASSERT(count_requests(data, whole.good) == whole.n_whole);
}

/* A12 */
static void
check_path(const uint8_t *data, size_t len)
{
	char *path = fuzz_text(data, len), params[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE], allow[64];
	const struct route *route = NULL;
	struct err err = {0};

	if (request_path_decode(path, &err) == 0) {
		FUZZ_ASSERT(path[0] == '/' && text_is_printable(path, strlen(path)));
		FUZZ_ASSERT(strstr(path, "//") == NULL && strstr(path, "/./") == NULL && strstr(path, "/../") == NULL);
		if (router_find("POST", path, ON_API, &route, params, allow, sizeof allow, &err) == 0) {
			FUZZ_ASSERT(route == &routes[2] && strchr(params[0], '/') == NULL && strchr(params[1], '/') == NULL);
			FUZZ_ASSERT(strlen(path) == strlen("/v1///revoke") + strlen(params[0]) + strlen(params[1]));
		}
	} else {
		FUZZ_ASSERT(err.code == E_NOTFOUND);
	}
	free(path);
}

static void
check_query(const uint8_t *data, size_t len)
{
	char *text = fuzz_text(data, len);
	struct http_query query = {0};
	const struct http_request req = {.query = &query};
	struct err err = {0};
	size_t i;

	if (request_query_parse(text, &query, &err) == 0) {
		FUZZ_ASSERT(query.n <= REQUEST_QUERY_MAX);
		for (i = 0; i < query.n; i++) {
			FUZZ_ASSERT(text_is_printable(query.items[i].name, strlen(query.items[i].name)));
			FUZZ_ASSERT(text_is_printable(query.items[i].value, strlen(query.items[i].value)));
			FUZZ_ASSERT(http_query_get(&req, query.items[i].name) != NULL);
		}
	} else {
		FUZZ_ASSERT(err.code == E_INPUT && strcmp(err.field, "query") == 0);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_framing(data, len);
	check_path(data, len);
	check_query(data, len);
	return 0;
}
