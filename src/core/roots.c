/* Reads what local commands have written. */
#include "core/roots.h"

#include "base/fs.h"
#include "x509/cert.h"
#include "x509/pem.h"

#include <string.h>

#define PEM_MAX 32768

static int
file_read(const char *dir, const char *name, struct buf *pem, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	return fs_read(path, PEM_MAX, pem, err);
}

static int
all_read(const char *dir, struct roots *out, struct err *err)
{
	struct cert_info info;
	struct buf der = {0};
	const char *at;
	int rc;

	if ((rc = file_read(dir, ROOTS_FILE, &out->pem, err)) != 0)
		return rc;
	at = buf_str(&out->pem);
	while (rc == 0 && out->n < ROOTS_MAX && pem_next_block(&at, "CERTIFICATE", &der)) {
		if ((rc = cert_info_read(der.data, der.len, &info, err)) == 0)
			sha256(out->key_hashes[out->n], info.spki, info.spki_len);
		out->ders[out->n++] = der;
		der = (struct buf){0};
	}
	buf_clear(&der);
	if (rc != 0)
		return err_prefix(err, ROOTS_FILE);
	if (out->n == 0 || strstr(at, "-----BEGIN") != NULL)
		return err_set(err, E_INPUT, ROOTS_FILE " does not hold one root's certificate, or two, in PEM form");
	return 0;
}

int
roots_read(const char *dir, struct roots *out, struct err *err)
{
	struct buf pem = {0};
	int rc;

	*out = (struct roots){0};
	if ((rc = all_read(dir, out, err)) == 0 && out->n > 1 && (rc = file_read(dir, ROOTS_CROSS, &pem, err)) == 0 &&
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", &out->cross, err)) != 0)
		(void)err_prefix(err, ROOTS_CROSS);
	buf_clear(&pem);
	return rc;
}

void
roots_clear(struct roots *roots)
{
	size_t i;

	buf_clear(&roots->pem);
	for (i = 0; i < ROOTS_MAX; i++)
		buf_clear(&roots->ders[i]);
	buf_clear(&roots->cross);
	roots->n = 0;
}

void
roots_put_chain(const struct roots *roots, const struct buf *issuing, struct buf *pem_out)
{
	struct cert_info below, cross;

	pem_encode(pem_out, "CERTIFICATE", issuing->data, issuing->len);
	if (roots->cross.len > 0 && cert_info_read(issuing->data, issuing->len, &below, NULL) == 0 &&
	    cert_info_read(roots->cross.data, roots->cross.len, &cross, NULL) == 0 &&
	    below.issuer_len == cross.subject_len && memcmp(below.issuer, cross.subject, cross.subject_len) == 0)
		pem_encode(pem_out, "CERTIFICATE", roots->cross.data, roots->cross.len);
}

bool
roots_have_key(const struct roots *roots, const uint8_t *hash)
{
	size_t i;

	for (i = 0; i < roots->n; i++)
		if (memcmp(roots->key_hashes[i], hash, SHA256_LEN) == 0)
			return true;
	return false;
}
