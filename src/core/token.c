/* Bearer secrets. Owns their form; knows nothing of what they open. */
#include "core/token.h"

#include "base/buf.h"
#include "base/random.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>

#define RANDOM_LEN 32

int
token_mint(const char *prefix, char *out, struct err *err)
{
	uint8_t raw[RANDOM_LEN];
	struct buf text;
	int rc;

	assert(strlen(prefix) <= TOKEN_PREFIX_MAX);
	buf_init_secret(&text);
	if ((rc = random_bytes(raw, sizeof raw, err)) != 0)
		return rc;
	buf_text(&text, prefix);
	base64url_encode(&text, raw, sizeof raw);
	if (buf_failed(&text))
		rc = err_nomem(err);
	else
		memcpy(out, buf_str(&text), text.len + 1);
	explicit_bzero(raw, sizeof raw);
	buf_clear(&text);
	return rc;
}

void
token_digest(const char *token, uint8_t *out)
{
	sha256(out, token, strlen(token));
}
