/* The serial number ends up in the database, in audit rows and as a device's name: it is held to the characters of its
 * type, whichever type its encoder chose. */
#include "x509/idevid.h"

#include "x509/cert.h"
#include "x509/chain.h"
#include "x509/der.h"
#include "x509/name.h"

#include <string.h>

bool
idevid_serial_is_sound(const char *text)
{
	static const char characters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?";
	size_t len = strlen(text);

	return len > 0 && len < IDEVID_SERIAL_SIZE && strspn(text, characters) == len;
}

static int
serial_read(const struct cert_info *info, char out[IDEVID_SERIAL_SIZE], struct err *err)
{
	struct der d = {info->subject, info->subject_len}, name;

	if (!der_get(&d, DER_SEQUENCE, &name) || !name_serial_number(&name, out, IDEVID_SERIAL_SIZE))
		return err_set(err, E_INPUT, "the manufacturer's certificate has a malformed subject");
	if (!idevid_serial_is_sound(out))
		return err_set(err, E_INPUT,
		    "the manufacturer's certificate does not say which device it is for: its subject needs one serialNumber of at "
		    "most %d letters, digits and the like (IEEE 802.1AR)",
		    IDEVID_SERIAL_SIZE - 1);
	return 0;
}

int
idevid_read(const char *pem, struct idevid *out, struct err *err)
{
	struct idevid idevid = {0};
	struct cert_info info;
	struct buf der = {0};
	enum key_kind kind;
	int rc;

	if ((rc = chain_leaf(pem, &der, err)) != 0)
		return rc;
	if ((rc = cert_info_read(der.data, der.len, &info, err)) != 0 ||
	    (rc = spki_check(info.spki, info.spki_len, &kind, err)) != 0)
		(void)err_prefix(err, "the manufacturer's certificate");
	else if (info.is_ca)
		rc = err_set(err, E_INPUT, "the certificate is a CA's, not a device's");
	else if ((rc = serial_read(&info, idevid.serial, err)) == 0) {
		sha256(idevid.fingerprint, der.data, der.len);
		*out = idevid;
	}
	buf_clear(&der);
	return rc;
}
