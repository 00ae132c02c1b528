"""OCSP as clients speak it: requests of any shape, written here by hand, and answers read and verified by
python3-cryptography, which shares nothing with Muster."""

import base64
import hashlib
import http.client
import urllib.parse
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

import der
import muster

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
STATUS = ocsp.OCSPResponseStatus
SHA1, SHA256, SHA512 = "2b0e03021a", "608648016503040201", "608648016503040203"
DIGESTS = {SHA1: hashlib.sha1, SHA256: hashlib.sha256, SHA512: hashlib.sha512}
NONCE = "2b0601050507300102"


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


class Issuer:
    """An issuing CA, as a request names it."""

    def __init__(self, cert):
        self.cert = cert
        spki = cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        point = cert.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        assert spki.endswith(point)
        self.name, self.key = cert.subject.public_bytes(), point

    def cert_id(self, serial, md=SHA1):
        digest = DIGESTS[md]
        return der.sequence(der.sequence(der.tlv(6, bytes.fromhex(md)), b"\5\0"), der.tlv(4, digest(self.name).digest()),
                            der.tlv(4, digest(self.key).digest()), der.integer(serial))


def request(ids, nonce=None, extensions=b""):
    """An OCSPRequest for these CertIDs; NONCE of None: none."""
    if nonce is not None:
        extensions += der.sequence(der.tlv(6, bytes.fromhex(NONCE)), der.tlv(4, der.tlv(4, nonce)))
    tail = der.tlv(0xa2, der.sequence(extensions)) if extensions else b""
    return der.sequence(der.sequence(der.sequence(*(der.sequence(i) for i in ids)), tail))


def verify(answer, issuer):
    """Signed by a responder that ISSUER has delegated and that is valid now; the answer is of now."""
    responder, = answer.certificates
    issuer.cert.public_key().verify(responder.signature, responder.tbs_certificate_bytes,
                                    ec.ECDSA(responder.signature_hash_algorithm))
    assert responder.issuer == issuer.cert.subject
    usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]
    responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    responder.public_key().verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    assert responder.not_valid_before <= now <= responder.not_valid_after
    for single in answer.responses:
        assert single.this_update <= now < single.next_update <= responder.not_valid_after


class Client:
    """One connection to a home's /ocsp, kept open; PORT is that of plain HTTP unless TLS is given."""

    def __init__(self, home, tls=False):
        self.issuer = Issuer(certificate(home.dir / "ca/issuing.crt"))
        self.http = (http.client.HTTPSConnection("localhost", home.api_port, context=home.tls(), timeout=30) if tls else
                     http.client.HTTPConnection("127.0.0.1", home.pki_port, timeout=30))

    def send(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/ocsp-request")
        self.http.request(method, path, body=body, headers=headers)
        response = self.http.getresponse()
        return muster.Reply(response, response.read())

    def post(self, data):
        reply = self.send("POST", "/ocsp", data)
        assert reply.status == 200 and reply.headers["Content-Type"] == "application/ocsp-response", reply.status
        return ocsp.load_der_ocsp_response(reply.body)

    def get(self, data, headers=None):
        return self.send("GET", path_of(data), headers=headers)

    def single(self, serial, md=SHA1, nonce=None, get=False):
        """The one status of SERIAL, whole and verified."""
        data = request([self.issuer.cert_id(serial, md)], nonce)
        answer = ocsp.load_der_ocsp_response(self.get(data).body) if get else self.post(data)
        assert answer.response_status == STATUS.SUCCESSFUL, answer.response_status
        verify(answer, self.issuer)
        one, = answer.responses
        assert one.serial_number == serial
        return one

    def status(self, serial, **kwargs):
        return self.single(serial, **kwargs).certificate_status


def path_of(data):
    return "/ocsp/" + urllib.parse.quote(base64.b64encode(data).decode(), safe="")


def serial_of(made):
    """The serial number of what `device register` or the API said."""
    return int(made["certificate"]["serial"], 16)
