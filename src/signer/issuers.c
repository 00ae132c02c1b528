/* Reads files that a local command has written whole; the processes do so before they enter their sandboxes. */
#include "signer/issuers.h"

#include "base/fs.h"
#include "x509/cert.h"
#include "x509/pem.h"

#include <stdio.h>
#include <string.h>

void
issuers_cert_name(char out[ISSUERS_NAME_SIZE], int slot)
{
	if (slot == 0)
		(void)snprintf(out, ISSUERS_NAME_SIZE, "ca/issuing.crt");
	else
		(void)snprintf(out, ISSUERS_NAME_SIZE, "ca/retired-%d.crt", slot);
}

void
issuers_key_name(char out[ISSUERS_NAME_SIZE], int slot)
{
	if (slot == 0)
		(void)snprintf(out, ISSUERS_NAME_SIZE, "ca/private/issuing.key");
	else
		(void)snprintf(out, ISSUERS_NAME_SIZE, "ca/private/retired-%d.key", slot);
}

static int
read_one(const char *dir, int slot, struct buf *der, struct err *err)
{
	char path[FS_PATH_MAX], name[ISSUERS_NAME_SIZE];
	struct buf pem = {0};
	int rc;

	issuers_cert_name(name, slot);
	if ((rc = fs_path(path, dir, name, err)) == 0 && (rc = fs_read(path, ISSUERS_PEM_MAX, &pem, err)) == 0 &&
	    (rc = pem_decode(buf_str(&pem), pem.len, "CERTIFICATE", der, err)) != 0)
		(void)err_prefix(err, "%s", name);
	buf_clear(&pem);
	return rc;
}

/* Between the copy of today's and its successor a rollover may have been cut short. */
static bool
is_there(const struct issuers *issuers, const struct buf *der)
{
	size_t i;

	for (i = 0; i < issuers->n; i++)
		if (issuers->all[i].der.len == der->len && memcmp(issuers->all[i].der.data, der->data, der->len) == 0)
			return true;
	return false;
}

static int
add_retired(const char *dir, int slot, int64_t now, struct issuers *out, struct err *err)
{
	struct cert_info info;
	struct buf der = {0};
	int rc;

	if ((rc = read_one(dir, slot, &der, err)) == 0 && (rc = cert_info_read(der.data, der.len, &info, err)) == 0 &&
	    info.not_after > now && !is_there(out, &der)) {
		out->all[out->n++] = (struct issuer_file){der, slot};
		der = (struct buf){0};
	}
	buf_clear(&der);
	return rc == E_NOTFOUND ? 0 : rc;
}

int
issuers_read(const char *dir, int64_t now, struct issuers *out, struct err *err)
{
	int rc, slot;

	*out = (struct issuers){0};
	if ((rc = read_one(dir, 0, &out->all[0].der, err)) != 0)
		return rc;
	out->n = 1;
	for (slot = 1; rc == 0 && slot <= ISSUERS_RETIRED_MAX; slot++)
		rc = add_retired(dir, slot, now, out, err);
	return rc;
}

void
issuers_clear(struct issuers *issuers)
{
	size_t i;

	for (i = 0; i < ISSUERS_MAX; i++)
		buf_clear(&issuers->all[i].der);
	issuers->n = 0;
}
