/* Strict JSON: what jansson would let through and must not pass (deep nesting, -0) is found by one
 * look over the bytes before it parses them. Meaning is core's to check. */
#include "http/json.h"

#include "base/clock.h"
#include "base/jsonparse.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const content_types[] = {"application/json", "application/merge-patch+json"};

/* jansson's own texts quote the input; these do not. */
static const struct {
	enum json_error_code code;
	const char *text;
} reasons[] = {
    {json_error_duplicate_key, "a member is there twice"},
    {json_error_end_of_input_expected, "something follows the object"},
    {json_error_invalid_utf8, "the text is not UTF-8"},
    {json_error_null_byte_in_key, "a name holds a NUL"},
    {json_error_null_character, "a text holds a NUL"},
    {json_error_numeric_overflow, "a number is too large"},
    {json_error_premature_end_of_input, "the text ends too early"},
};

static bool
is_json(const char *content_type)
{
	size_t len = strcspn(content_type, "; \t"), i;

	for (i = 0; i < sizeof content_types / sizeof content_types[0]; i++)
		if (strlen(content_types[i]) == len &&
		    strncasecmp(content_type, content_types[i], len) == 0)
			return true;
	return false;
}

/* Everything but strings is judged by single bytes here; whether it is JSON at all, jansson tells.
 */
static int
scan(const uint8_t *text, size_t len, struct err *err)
{
	bool in_string = false;
	size_t depth = 0, i;

	for (i = 0; i < len; i++) {
		uint8_t next = i + 1 < len ? text[i + 1] : 0;

		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string && text[i] == '\\')
			i++;
		else if (in_string)
			continue;
		else if ((text[i] == '{' || text[i] == '[') && ++depth > JSON_DEPTH_MAX)
			return err_set(err, E_INPUT, "the JSON is nested deeper than %d levels",
			    JSON_DEPTH_MAX);
		else if ((text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
		else if (text[i] == '-' && next == '0')
			return err_set(err, E_INPUT, "the JSON holds a negative zero or fraction");
	}
	return 0;
}

static int
explain(const json_error_t *error, struct err *err)
{
	const char *text = "it is malformed";
	size_t i;

	if (json_error_code(error) == json_error_out_of_memory)
		return err_nomem(err);
	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].code == json_error_code(error))
			text = reasons[i].text;
	return err_set(err, E_INPUT, "the JSON cannot be read: %s (line %d, column %d)", text,
	    error->line, error->column);
}

int
json_body(const struct http_request *req, json_t **object_out, struct err *err)
{
	json_error_t error;
	json_t *object;
	int rc;

	if (req->body_len == 0)
		return err_set(err, E_INPUT, "the request needs a JSON object as its body");
	if (!is_json(req->content_type))
		return err_field(err, E_INPUT, "Content-Type", "must be application/json");
	if ((rc = scan(req->body, req->body_len, err)) != 0)
		return rc;
	object = jsonparse((const char *)req->body, req->body_len, &error);
	if (object == NULL)
		return explain(&error, err);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_set(err, E_INPUT, "the body must be a JSON object");
	}
	*object_out = object;
	return 0;
}

int
json_only(json_t *object, const char *const *names, struct err *err)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach (object, key, value) {
		for (i = 0; names[i] != NULL && strcmp(names[i], key) != 0; i++)
			continue;
		if (names[i] != NULL)
			continue;
		/* A cut or unprintable name would not be the one that was sent; an empty one names nothing. */
		if (key[0] == '\0' || strlen(key) >= ERR_FIELD_MAX || !text_is_printable(key, strlen(key)))
			key = "body";
		return err_field(err, E_INPUT, key, "is not known here");
	}
	return 0;
}

int
json_get_text(json_t *object, const char *name, bool required, const char **out, struct err *err)
{
	json_t *value = json_object_get(object, name);

	if (value == NULL || json_is_null(value))
		return required ? err_field(err, E_INPUT, name, "is required") : 0;
	if (!json_is_string(value))
		return err_field(err, E_INPUT, name, "must be text");
	*out = json_string_value(value);
	return 0;
}

int
json_get_int(
    json_t *object, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
	json_t *value = json_object_get(object, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < min ||
	    json_integer_value(value) > max)
		return err_field(err, E_INPUT, name, "must be a whole number from %lld to %lld",
		    (long long)min, (long long)max);
	*out = json_integer_value(value);
	return 0;
}

int
json_get_duration(json_t *object, const char *name, int64_t *seconds_out, struct err *err)
{
	const char *text = NULL;
	int rc;

	if ((rc = json_get_text(object, name, false, &text, err)) != 0)
		return rc;
	if (text != NULL && !duration_parse(text, seconds_out))
		return err_field(err, E_INPUT, name, "must be a duration such as 90d, 8h, 30m or 45s");
	return 0;
}

int
json_get_texts(
    json_t *object, const char *name, size_t max, const char ***out, size_t *n_out, struct err *err)
{
	json_t *array = json_object_get(object, name), *item;
	char field[ERR_FIELD_MAX];
	const char **texts;
	size_t i;

	if (array == NULL || json_is_null(array))
		return 0;
	if (!json_is_array(array))
		return err_field(err, E_INPUT, name, "must be an array of texts");
	if (json_array_size(array) > max)
		return err_field(err, E_INPUT, name, "must have at most %zu items", max);
	if ((texts = calloc(json_array_size(array) + 1, sizeof *texts)) == NULL)
		return err_nomem(err);
	json_array_foreach (array, i, item) {
		if ((texts[i] = json_string_value(item)) == NULL) {
			free(texts);
			(void)snprintf(field, sizeof field, "%s[%zu]", name, i);
			return err_field(err, E_INPUT, field, "must be text");
		}
	}
	*out = texts;
	*n_out = json_array_size(array);
	return 0;
}

static int
write_chunk(const char *text, size_t len, void *body)
{
	buf_append(body, text, len);
	return buf_failed(body) ? -1 : 0;
}

int
json_reply_take(struct http_reply *reply, int status, json_t *value, struct err *err)
{
	int rc;

	if (value == NULL)
		return err_nomem(err);
	/* It may hold a package's password: no copy of it on the way, and wiped at the end. */
	buf_clear(&reply->body);
	buf_init_secret(&reply->body);
	rc = json_dump_callback(value, write_chunk, &reply->body, JSON_COMPACT);
	json_decref(value);
	if (rc != 0) {
		buf_clear(&reply->body);
		return err_nomem(err);
	}
	reply->status = status;
	reply->content_type = NULL;
	return 0;
}

json_t *
json_time(int64_t when)
{
	char text[CLOCK_TEXT_MAX];

	clock_text(text, when);
	return json_string(text);
}
