/* libzip reads the caller's plaintext where it stands and encrypts it in the one buffer through
 * which it copies: entries are stored, not deflated, so that no compressor's window keeps a key.
 * The format (WinZip AE-1 and AE-2) is what 7-Zip and bsdtar open. */
#include "core/archive.h"

#include "authz/policy.h"

#include <string.h>
#include <zip.h>

/* 2020-01-01 00:00 in MS-DOS form: an archive says nothing of when it was made. */
#define DOS_DATE ((2020 - 1980) << 9 | 1 << 5 | 1)
#define DOS_TIME 0

/* -rw-------, in the upper half of a Unix entry's attributes. */
#define UNIX_MODE (0100600U << 16)

static int
zip_failed(zip_error_t *error, struct err *err)
{
	if (zip_error_code_zip(error) == ZIP_ER_MEMORY)
		return err_nomem(err);
	return err_set(err, E_SYS, "cannot make the archive: %s", zip_error_strerror(error));
}

static int
check_entries(const struct archive_entry *entries, size_t n, struct err *err)
{
	size_t i;

	if (n == 0 || n > ARCHIVE_ENTRIES_MAX)
		return err_set(err, E_LIMIT, "an archive has 1 to %d entries", ARCHIVE_ENTRIES_MAX);
	for (i = 0; i < n; i++) {
		if (!policy_word_is_valid(entries[i].name))
			return err_set(err, E_INPUT, "an archive's entry needs a plain file name");
		if (entries[i].len > ARCHIVE_ENTRY_MAX)
			return err_set(err, E_LIMIT, "%s has more than %d bytes", entries[i].name,
			    ARCHIVE_ENTRY_MAX);
	}
	return 0;
}

static int
add_entry(zip_t *zip, const struct archive_entry *entry, const char *password, struct err *err)
{
	zip_source_t *source;
	zip_int64_t i;

	if ((source = zip_source_buffer(zip, entry->data, entry->len, 0)) == NULL)
		return zip_failed(zip_get_error(zip), err);
	/* Without ZIP_FL_OVERWRITE a second entry of the same name is an error. */
	if ((i = zip_file_add(zip, entry->name, source, 0)) < 0) {
		zip_source_free(source);
		if (zip_error_code_zip(zip_get_error(zip)) == ZIP_ER_EXISTS)
			return err_set(err, E_INPUT, "an archive has two entries of the same name");
		return zip_failed(zip_get_error(zip), err);
	}
	if (zip_set_file_compression(zip, (zip_uint64_t)i, ZIP_CM_STORE, 0) != 0 ||
	    zip_file_set_encryption(zip, (zip_uint64_t)i, ZIP_EM_AES_256, password) != 0 ||
	    zip_file_set_dostime(zip, (zip_uint64_t)i, DOS_TIME, DOS_DATE, 0) != 0 ||
	    zip_file_set_external_attributes(zip, (zip_uint64_t)i, 0, ZIP_OPSYS_UNIX, UNIX_MODE) !=
		0)
		return zip_failed(zip_get_error(zip), err);
	return 0;
}

/* Append what has been written to MEMORY. */
static int
copy_out(zip_source_t *memory, struct buf *out, struct err *err)
{
	size_t before = out->len;
	zip_int64_t n = -1;
	zip_stat_t stat;
	uint8_t *at;

	if (zip_source_stat(memory, &stat) != 0 || zip_source_open(memory) != 0)
		return zip_failed(zip_source_error(memory), err);
	if ((at = buf_extend(out, (size_t)stat.size)) != NULL)
		n = zip_source_read(memory, at, stat.size);
	(void)zip_source_close(memory);
	if (at == NULL)
		return err_nomem(err);
	if (n < 0 || (zip_uint64_t)n != stat.size) {
		buf_cut(out, before);
		return err_set(err, E_SYS, "cannot read the archive back from memory");
	}
	return 0;
}

int
archive_build(const struct archive_entry *entries, size_t n, const char *password, struct buf *out,
    struct err *err)
{
	zip_source_t *memory = NULL;
	zip_t *zip = NULL;
	zip_error_t error;
	size_t i;
	int rc;

	if (strlen(password) < ARCHIVE_PASSWORD_MIN)
		return err_set(err, E_INPUT, "an archive's password has at least %d characters",
		    ARCHIVE_PASSWORD_MIN);
	if ((rc = check_entries(entries, n, err)) != 0)
		return rc;
	zip_error_init(&error);
	if ((memory = zip_source_buffer_create(NULL, 0, 0, &error)) == NULL ||
	    (zip = zip_open_from_source(memory, ZIP_TRUNCATE, &error)) == NULL) {
		rc = zip_failed(&error, err);
		goto out;
	}
	zip_source_keep(memory); /* zip_close gives one reference up */
	for (i = 0; i < n; i++)
		if ((rc = add_entry(zip, &entries[i], password, err)) != 0)
			goto out;
	if (zip_close(zip) != 0) {
		rc = zip_failed(zip_get_error(zip), err);
		goto out;
	}
	zip = NULL;
	rc = copy_out(memory, out, err);
out:
	if (zip != NULL)
		zip_discard(zip);
	zip_source_free(memory);
	zip_error_fini(&error);
	return rc;
}
