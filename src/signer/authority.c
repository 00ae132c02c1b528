/* Opened before the sandbox; afterwards nothing here touches a file. */
#include "signer/authority.h"

#include "base/fs.h"

int
authority_key_read(const char *path, const struct cert_issuer *issuer, struct key **key_out, struct err *err)
{
	struct key *key = NULL;
	struct buf pem;
	int rc;

	buf_init_secret(&pem);
	if ((rc = fs_read(path, ISSUERS_PEM_MAX, &pem, err)) == 0 &&
	    (rc = key_from_pem(pem.data, pem.len, &key, err)) == 0 && !key_is_of(key, issuer->spki, issuer->spki_len))
		rc = err_set(err, E_INPUT, "it does not belong to the CA's certificate");
	buf_clear(&pem);
	if (rc == 0)
		*key_out = key;
	else
		key_free(key);
	return rc;
}

static int
key_open(const char *dir, const char *name, struct authority *a, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = fs_path(path, dir, name, err)) != 0)
		return rc;
	return authority_key_read(path, &a->issuer, &a->key, err);
}

int
authority_open(const char *dir, struct issuer_file *file, const char *pki_url, struct authority *out, struct err *err)
{
	char name[ISSUERS_NAME_SIZE];
	int rc;

	out->der = file->der;
	file->der = (struct buf){0};
	issuers_key_name(name, file->slot);
	if ((rc = authority_set_url(out, pki_url, err)) != 0)
		return rc;
	if ((rc = key_open(dir, name, out, err)) != 0 && file->slot == 0 &&
	    key_open(dir, ISSUERS_NEXT_KEY, out, &(struct err){0}) == 0)
		rc = 0;
	return rc == 0 ? 0 : err_prefix(err, "%s", name);
}

int
authority_set_url(struct authority *a, const char *pki_url, struct err *err)
{
	return cert_issuer_init(&a->issuer, a->der.data, a->der.len, pki_url, err);
}

void
authority_clear(struct authority *a)
{
	responder_clear(&a->responder);
	key_free(a->key);
	buf_clear(&a->der);
	*a = (struct authority){0};
}
