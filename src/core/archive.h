/* Encrypted archives: a WinZip-AES-256 zip, made in memory. The only user of libzip. */
#ifndef MUSTER_CORE_ARCHIVE_H
#define MUSTER_CORE_ARCHIVE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

#define ARCHIVE_ENTRIES_MAX 16
#define ARCHIVE_ENTRY_MAX (64 * 1024) /* bytes of one entry */
#define ARCHIVE_PASSWORD_MIN 26	      /* characters: the format's key derivation is weak */

/* One file. Both pointers are borrowed, and must stay as they are until archive_build returns. */
struct archive_entry {
	const char *name; /* a plain file name: policy_word_is_valid */
	const void *data;
	size_t len;
};

/* Append to OUT an archive of N entries, each stored uncompressed and encrypted by PASSWORD. Names, lengths and
 * the CRC-32 of entries of 20 bytes and more stay readable. Nothing touches the disk, and no copy of the
 * plaintext or of the password is left behind. About 1 ms an entry. E_INPUT for a bad name, a name given
 * twice or a short password, E_LIMIT for too many or too large entries, E_NOMEM, E_SYS. Any thread. */
MUST_CHECK int archive_build(const struct archive_entry *entries, size_t n, const char *password,
    struct buf *out, struct err *err);

#endif
