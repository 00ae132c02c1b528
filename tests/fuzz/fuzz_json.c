/* Bodies: what is read as a JSON object is one, of bounded depth and without NUL, and says the same when written and read
 * again; then the members that handlers share. */
#include "fuzz.h"
#include "http/args.h"
#include "http/json.h"
#include "http/request.h"

#define NAMES "name", "type", "labels", "reason", "n", "topics"

static void
check_value(const json_t *value, size_t depth)
{
	const char *key;
	json_t *item;
	size_t i;

	FUZZ_ASSERT(depth <= JSON_DEPTH_MAX);
	if (json_is_string(value))
		FUZZ_ASSERT(strlen(json_string_value(value)) == json_string_length(value));
	json_array_foreach(value, i, item)
		check_value(item, depth + (json_is_object(item) || json_is_array(item)));
	json_object_foreach((json_t *)value, key, item)
		check_value(item, depth + (json_is_object(item) || json_is_array(item)));
}

static void
check_again(json_t *object)
{
	struct http_reply reply = {0};
	struct http_request req = {.content_type = "application/json"};
	json_t *again = NULL;
	struct err err = {0};

	FUZZ_ASSERT(json_reply_take(&reply, 200, json_incref(object), &err) == 0);
	req.body = reply.body.data;
	req.body_len = reply.body.len;
	/* A real such as -0.1 is read, and written, but -0 before a digit is refused: only then may it differ. */
	if (json_body(&req, &again, &err) == 0)
		FUZZ_ASSERT(json_equal(object, again));
	else
		FUZZ_ASSERT(memmem(reply.body.data, reply.body.len, "-0", 2) != NULL);
	json_decref(again);
	buf_clear(&reply.body);
}

static void
check_refusal(const struct err *err)
{
	FUZZ_ASSERT((err->code == E_INPUT || err->code == E_LIMIT) && err->text[0] != '\0');
}

static void
check_members(json_t *body)
{
	struct args_credential args = {0};
	enum crl_reason reason = REASON_UNSPECIFIED;
	const char *text = NULL, **texts = NULL;
	struct err err = {0};
	int64_t number = 7;
	size_t n = 0, i;

	if (args_credential(body, &args, &err) == 0) {
		FUZZ_ASSERT(args.request.valid_s >= 0 && args.request.n_sans <= CERT_SANS_MAX);
		FUZZ_ASSERT(args.request.link_ttl_s >= 0 && args.request.link_ttl_s <= LINK_TTL_MAX_S);
		FUZZ_ASSERT(args.request.key == NULL || args.request.csr == NULL);
		for (i = 0; i < args.request.n_sans; i++)
			FUZZ_ASSERT(args.request.sans[i] != NULL);
	} else {
		check_refusal(&err);
		FUZZ_ASSERT(err.field[0] != '\0');
	}
	args_credential_clear(&args);
	if (args_reason(body, &reason, &err) != 0)
		FUZZ_ASSERT(strcmp(err.field, "reason") == 0);
	if (json_get_text(body, "name", true, &text, &err) == 0)
		FUZZ_ASSERT(text != NULL);
	if (json_get_int(body, "n", -3, 900, &number, &err) == 0)
		FUZZ_ASSERT(number >= -3 && number <= 900);
	if (json_get_texts(body, "topics", 3, &texts, &n, &err) == 0)
		FUZZ_ASSERT(n <= 3);
	free(texts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {NAMES, ARGS_CREDENTIAL_NAMES, NULL};
	static const struct http_query none = {0};
	uint8_t *bare = (uint8_t *)fuzz_text(data, len);
	struct http_request req = {.body = bare, .body_len = len, .content_type = "application/json", .query = &none};
	json_t *object = NULL, *body = NULL;
	struct err err = {0};

	if (json_body(&req, &object, &err) == 0) {
		FUZZ_ASSERT(json_is_object(object));
		check_value(object, 1);
		check_again(object);
		check_members(object);
	} else {
		check_refusal(&err);
	}
	json_decref(object);
	memset(&err, 0, sizeof err);
	if (args_body(&req, names, true, &body, &err) == 0)
		FUZZ_ASSERT(json_object_size(body) <= sizeof names / sizeof names[0] - 1);
	else
		check_refusal(&err);
	json_decref(body);
	free(bare);
	return 0;
}
