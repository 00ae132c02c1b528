/* A backup's file: as it comes, which the first seal ends, and as what a vault may hold that opens. Whatever is taken
 * has names and lengths within their bounds, reads the same twice, and lies within the file. */
#include "../unit/vault_fixture.h"
#include "fuzz.h"

#define PASSPHRASE "fuzz"
#define COST_AT 8
#define COST_MAX 4 /* of scrypt, for an input that asks for more only takes longer */

struct seen {
	uint64_t n, bytes;
	uint8_t digest[SHA256_LEN];
};

/* Read everything; 0 at a sound end. */
static int
read_all(struct vault_reader *r, struct seen *seen)
{
	char name[VAULT_NAME_MAX + 1];
	uint8_t piece[300 + SHA256_LEN];
	struct err err = {0};
	uint64_t len;
	size_t n;
	int rc;

	memset(seen, 0, sizeof *seen);
	while ((rc = vault_next(r, name, &len, &err)) == 1) {
		n = strlen(name);
		FUZZ_ASSERT(n >= 1 && n <= VAULT_NAME_MAX && len <= VAULT_ENTRY_MAX);
		seen->n++;
		/* Every other entry is passed over, as verifying does. */
		while (len > 0 && seen->n % 2 == 1) {
			n = len < 300 ? (size_t)len : 300;
			if ((rc = vault_read(r, piece + SHA256_LEN, n, &err)) != 0)
				break;
			seen->bytes += n;
			len -= n;
			memcpy(piece, seen->digest, SHA256_LEN);
			sha256(seen->digest, piece, SHA256_LEN + n);
		}
		if (len > 0 && seen->n % 2 == 1)
			break;
	}
	FUZZ_ASSERT(rc == 0 || (rc == E_INPUT && err.text[0] != '\0'));
	return rc;
}

static void
check(const uint8_t *data, size_t len)
{
	struct secret passphrase = vault_passphrase(PASSPHRASE);
	struct vault_reader *r = NULL;
	struct seen first, second;
	struct err err = {0};
	int fd = vault_file(data, len), rc;

	if (vault_open(fd, &passphrase, &r, &err) == 0) {
		rc = read_all(r, &first);
		FUZZ_ASSERT(first.bytes <= len);
		FUZZ_ASSERT(vault_rewind(r, &err) == 0);
		FUZZ_ASSERT(read_all(r, &second) == rc);
		FUZZ_ASSERT(memcmp(&first, &second, sizeof first) == 0);
	} else {
		FUZZ_ASSERT(err.code == E_INPUT && err.text[0] != '\0');
	}
	vault_reader_free(r);
	(void)close(fd);
	secret_clear(&passphrase);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	struct buf file = {0};

	if (!ready)
		FUZZ_ASSERT(secret_heap_open(1024 * 1024, NULL) == 0);
	ready = true;
	buf_append(&file, data, len);
	if (len > COST_AT)
		file.data[COST_AT] = file.data[COST_AT] % (COST_MAX + 1);
	check(file.data, file.len);
	buf_clear(&file);
	vault_seal(&file, PASSPHRASE, data, len);
	check(file.data, file.len);
	buf_clear(&file);
	return 0;
}
