"""A manufacturer of devices: its CAs and the certificates (IEEE 802.1AR: IDevID) of what it makes, DER by hand, so that they can
be wrong in every way; the keys and signatures are OpenSSL's."""

import base64
import hashlib
import secrets
import time

from der import SHA256_ECDSA, SHA256_RSA, bits, extension, integer, oid, pem, sequence, tlv
from muster import run

FOREVER = "99991231235959Z"  # RFC 5280, section 4.1.2.5
BASIC_CONSTRAINTS, KEY_USAGE, EXT_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
SUBJECT_KEY_ID, AUTHORITY_KEY_ID = "2.5.29.14", "2.5.29.35"
CLIENT_AUTH, SERVER_AUTH = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"


def when(seconds):
    """GeneralizedTime or UTCTime, as RFC 5280 has it, of a text or of seconds from now."""
    if isinstance(seconds, str):
        text = seconds
    else:
        text = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    return tlv(0x17, text[2:].encode()) if text < "2050" else tlv(0x18, text.encode())


def name(common_name=None, serial=None, organization="Acme", tag=0x13):
    parts = [("2.5.4.10", organization, 0x0c), ("2.5.4.3", common_name, 0x0c), ("2.5.4.5", serial, tag)]
    return sequence(*(tlv(0x31, sequence(oid(id), tlv(t, text.encode()))) for id, text, t in parts if text is not None))


class Holder:
    """Somebody with a key and a certificate."""

    def __init__(self, folder, key="ec"):
        self.dir = folder / f"maker-{time.monotonic_ns()}"
        self.dir.mkdir()
        self.key = self.dir / "key.pem"
        options = {"ec": ("EC", "ec_paramgen_curve:P-256"), "p521": ("EC", "ec_paramgen_curve:P-521")}.get(
            key, ("RSA", f"rsa_keygen_bits:{key}"))
        run("openssl", "genpkey", "-algorithm", options[0], "-pkeyopt", options[1], "-out", self.key)
        self.rsa = options[0] == "RSA"
        self.spki = run("openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER").stdout
        self.digest, self.sigalg = "sha256", SHA256_RSA if self.rsa else SHA256_ECDSA
        self.der = self.subject = None

    @property
    def algorithm(self):
        return sequence(oid(self.sigalg), b"\5\0") if self.rsa else sequence(oid(self.sigalg))

    def sign(self, data):
        return run("openssl", "dgst", f"-{self.digest}", "-sign", self.key, input=data).stdout

    def key_id(self):
        return hashlib.sha1(self.spki).digest()


class Maker(Holder):
    """A CA: a root, or one that PARENT vouches for."""

    def __init__(self, folder, common_name="Acme Device CA", parent=None, key="ec", begins=-86400, ends=FOREVER,
                 extensions=None, key_ids=True):
        super().__init__(folder, key)
        self.folder, self.parent, self.key_ids = folder, parent, key_ids
        self.subject = name(common_name)
        if extensions is None:
            extensions = [extension(BASIC_CONSTRAINTS, sequence(tlv(1, b"\xff")), True), extension(KEY_USAGE, b"\3\2\1\6", True)]
        self.der = (parent or self).certify(self.subject, self.spki, begins, ends, list(extensions), ca=self)
        self.file = self.dir / "ca.pem"
        self.file.write_text(self.pem)

    @property
    def pem(self):
        return pem(self.der, "CERTIFICATE")

    def certify(self, subject, spki, begins=-86400, ends=FOREVER, extensions=(), ca=None, version=2):
        extensions = list(extensions)
        if ca is not None and self.key_ids:
            extensions.append(extension(SUBJECT_KEY_ID, tlv(4, ca.key_id())))
        if self.key_ids:
            extensions.append(extension(AUTHORITY_KEY_ID, sequence(tlv(0x80, self.key_id()))))
        tbs = sequence(*([tlv(0xa0, integer(version))] if version else []), integer(secrets.randbits(120)), self.algorithm,
                       self.subject, sequence(when(begins), when(ends)), subject, spki,
                       *([tlv(0xa3, sequence(*extensions))] if version and extensions else []))
        return sequence(tbs, self.algorithm, bits(self.sign(tbs)))

    def make(self, serial="PX-1001", key="ec", **options):
        return Made(self, serial, key, **options)


class Made(Holder):
    """A device as it leaves the factory."""

    def __init__(self, maker, serial, key="ec", subject=None, extensions=None, begins=-86400, ends=FOREVER, like=None,
                 chain=True, **options):
        super().__init__(maker.folder, key)
        if like is not None:
            self.key, self.spki = like.key, like.spki
        self.maker, self.serial = maker, serial
        self.subject = subject if subject is not None else name(None, serial)
        if extensions is None:
            extensions = [extension(KEY_USAGE, b"\3\2\7\x80", True)]
        self.der = maker.certify(self.subject, self.spki, begins, ends, extensions, **options)
        self.cert = self.dir / "idevid.pem"
        issuers, at = [], maker
        while chain and at.parent is not None:  # as a device has it: without the root
            issuers.append(at.pem)
            at = at.parent
        self.cert.write_text(pem(self.der, "CERTIFICATE") + "".join(issuers))

    def tls(self, home):
        context = home.tls()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it is the server that refuses
        context.load_cert_chain(self.cert, self.key)
        return context

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()


def request_body(der):
    return base64.b64encode(der).decode()
