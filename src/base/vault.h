/* Named entries in one file that is sealed with a passphrase. Streaming both ways: a file may be larger than memory.
 * Whoever lacks the passphrase learns sizes, and can change nothing unnoticed: not a byte, not the order, not the end.
 * Reader and writer of the format are both here. One thread at a time. */
#ifndef MUSTER_BASE_VAULT_H
#define MUSTER_BASE_VAULT_H

#include "base/err.h"
#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

#define VAULT_COST 17		   /* log2 of scrypt's N: 128 MiB and about half a second */
#define VAULT_COST_MAX 20	   /* what a reader accepts: 1 GiB */
#define VAULT_NAME_MAX 64	   /* bytes of an entry's name */
#define VAULT_ENTRY_MAX (1LL << 40) /* bytes of an entry */

struct vault_writer;
struct vault_reader;

/* Begin a vault in FD, which stays the caller's. COST is VAULT_COST but in tests; MADE_AT can be read back. The
 * secret heap must be open for all that follows (128 KiB). E_NOMEM, E_SYS. */
MUST_CHECK int vault_create(int fd, const struct secret *passphrase, unsigned cost, int64_t made_at,
    struct vault_writer **writer_out, struct err *err);

/* Begin an entry of exactly LEN bytes, when the one before has all of its own. E_INPUT, E_SYS. */
MUST_CHECK int vault_entry(struct vault_writer *writer, const char *name, uint64_t len, struct err *err);

/* Add LEN bytes to the entry. E_INPUT if it would have more than it was to have, E_SYS. */
MUST_CHECK int vault_write(struct vault_writer *writer, const void *data, size_t len, struct err *err);

/* Write the end, without which no reader takes the file. Syncing FD is the caller's. E_INPUT if an entry lacks
 * bytes, E_SYS. */
MUST_CHECK int vault_finish(struct vault_writer *writer, struct err *err);
void vault_writer_free(struct vault_writer *writer);

/* Open the vault in FD, a file that can be read twice, which stays the caller's. E_INPUT: no vault, or of another
 * version, or the wrong passphrase, which cannot be told from a damaged beginning; E_NOMEM, E_SYS. */
MUST_CHECK int vault_open(
    int fd, const struct secret *passphrase, struct vault_reader **reader_out, struct err *err);
int64_t vault_made_at(const struct vault_reader *reader);

/* Go to the next entry, past what is unread of this one. Returns 1, or 0 behind the last: then every byte of the file
 * has been verified. E_INPUT: damaged, cut or not finished; E_SYS. Bytes are handed out before the whole file is
 * verified: who must not act on half of it walks through it first. */
MUST_CHECK int vault_next(struct vault_reader *reader, char name_out[VAULT_NAME_MAX + 1], uint64_t *len_out,
    struct err *err);

/* The entry's next LEN bytes. E_INPUT if it has fewer, or as vault_next. */
MUST_CHECK int vault_read(struct vault_reader *reader, void *data, size_t len, struct err *err);

/* Begin again at the first entry. E_SYS. */
MUST_CHECK int vault_rewind(struct vault_reader *reader, struct err *err);
void vault_reader_free(struct vault_reader *reader);

#endif
