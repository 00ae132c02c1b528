/* The configuration: whatever is accepted prints as a file that is accepted again and says the
 * same. */
#include "base/buf.h"
#include "base/conf.h"
#include "fuzz.h"

struct values {
	char text[CONF_TEXT_SIZE];
	char choice[CONF_TEXT_SIZE];
	int64_t number;
	int64_t duration;
	bool on;
};

static const struct conf_key keys[] = {
    {"api", "listen", CONF_TEXT, offsetof(struct values, text), "127.0.0.1:8443", "Text.", 0, 0,
	NULL},
    {"broker", "mode", CONF_CHOICE, offsetof(struct values, choice), "acl-file", "Mode.", 0, 0,
	"plugin|acl-file"},
    {"limits", "queue", CONF_INTEGER, offsetof(struct values, number), "64", "Queue.", -5, 100000,
	NULL},
    {"pki", "crl_validity", CONF_DURATION, offsetof(struct values, duration), "7d", "Validity.", 60,
	86400 * 365, NULL},
    {"server", "sandbox", CONF_SWITCH, offsetof(struct values, on), "on", "Sandbox.", 0, 0, NULL},
};
#define N_KEYS (sizeof keys / sizeof keys[0])

static int
on_other(void *ctx, const char *section, const char *name, const char *value, struct err *err)
{
	unsigned *calls = ctx;

	++*calls;
	FUZZ_ASSERT(section != NULL && name != NULL && value != NULL);
	return strncmp(section, "profile ", 8) == 0 ? 0 : err_set(err, E_INPUT, "no such section");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct values first, second;
	struct buf printed = {0};
	struct err err = {0};
	char *text = fuzz_text(data, len);
	unsigned others = 0;

	memset(&first, 0, sizeof first);
	memset(&second, 0, sizeof second);
	conf_defaults(keys, N_KEYS, &first);
	if (conf_parse(text, keys, N_KEYS, &first, on_other, &others, &err) == 0) {
		FUZZ_ASSERT(first.number >= -5 && first.number <= 100000);
		FUZZ_ASSERT(first.duration >= 60 && first.duration <= 86400 * 365);
		conf_print(&printed, keys, N_KEYS, &first);
		FUZZ_ASSERT(
		    conf_parse(buf_str(&printed), keys, N_KEYS, &second, NULL, NULL, &err) == 0);
		FUZZ_ASSERT(strcmp(first.text, second.text) == 0);
		FUZZ_ASSERT(strcmp(first.choice, second.choice) == 0);
		FUZZ_ASSERT(first.number == second.number);
		FUZZ_ASSERT(first.duration == second.duration);
		FUZZ_ASSERT(first.on == second.on);
	} else {
		FUZZ_ASSERT(err.code != 0 && err.text[0] != '\0');
	}
	buf_clear(&printed);
	free(text);
	return 0;
}
