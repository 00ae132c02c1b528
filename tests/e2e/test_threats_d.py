"""Group D of the list of threats: certification requests. Each refusal names the field and the cause, and leaves
nothing behind: no row, and no certificate in the signer's log."""

import base64
import json
import math
import secrets
import sqlite3
import tempfile
import threading
from pathlib import Path

import der
import muster
import pytest
from muster import openssl
from threats import problem, served, traces


@pytest.fixture(scope="module")
def own():
    """A P-256 key of a device, its SPKI and what signs with it."""
    return EcKey()


@pytest.fixture(scope="module")
def primes():
    """Two primes of 1024 bits, for keys that are refused or compared; each takes a while here."""
    return der.prime(1024), der.prime(1024)


class EcKey:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.key, self.data = Path(self.folder.name) / "key", Path(self.folder.name) / "data"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        self.spki = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER").stdout

    def sign(self, data, digest="-sha256"):
        self.data.write_bytes(data)
        return openssl("dgst", digest, "-sign", self.key, self.data).stdout

    def request(self, **kwargs):
        return der.request(self.spki, self.sign, algorithm=der.SHA256_ECDSA, **kwargs)


def enrol(home, csr, **more):
    text = csr if isinstance(csr, str) else base64.b64encode(csr).decode()
    return home.request("POST", "/v1/devices", {"name": "d", "type": "t", "csr": text, **more})


def refused(home, csr, says, status=400):
    """CSR is refused in every form in which it may come."""
    before = traces(home)
    for form in [csr] if isinstance(csr, str) else [csr, der.pem(csr)]:
        problem(enrol(home, form), status, "csr", says)
    assert traces(home) == before


def rsa_csr(n, e, d=None):
    return der.request(der.rsa_spki(n, e), der.rsa_signer(n, d) if d else der.no_signature)


def rsa_key(p, q, e=65537):
    return p * q, e, pow(e, -1, (p - 1) * (q - 1))


def tool_csr(home, *genpkey, req=()):
    key, csr = home.base / "tool.key", home.base / "tool.csr"
    openssl("genpkey", "-out", key, *genpkey)
    openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-out", csr, *req)
    return csr.read_text()


def test_d_the_builder_makes_what_is_taken(home, own, primes):
    """Without it the refusals below would prove nothing: our own DER, signed by arithmetic or by OpenSSL, is taken."""
    assert enrol(home, own.request()).status == 201
    assert enrol(home, der.pem(rsa_csr(*rsa_key(*primes)))).status == 201


def test_d1_bad_self_signature(home, primes):
    """D1 a signature of other bytes, by another key, cut, empty, or of zeros."""
    key, other = EcKey(), EcKey()
    make = lambda sign: der.request(key.spki, sign, algorithm=der.SHA256_ECDSA)
    zeros = der.sequence(der.integer(0), der.integer(0))
    for sign in (lambda data: key.sign(data + b"x"), other.sign, lambda data: key.sign(data)[:-1], lambda _: b"",
                 lambda _: zeros, lambda data: key.sign(data) + b"\0"):
        refused(home, make(sign), "not signed by its own key")
    n, e, d = rsa_key(*primes)
    refused(home, rsa_csr(n, e, d + 2), "not signed by its own key")
    refused(home, der.request(der.rsa_spki(n, e), lambda _: bytes(256)), "not signed by its own key")
    # What was signed is changed afterwards.
    good = bytearray(make(key.sign))
    good[good.index(b"\x0c\x01x") + 2] = ord("y")
    refused(home, bytes(good), "not signed by its own key")
    assert enrol(home, make(key.sign)).status == 201


def extensions_of(pem):
    """The certificate's extensions as bytes, by id, without those that name the key or the device."""
    text = openssl("asn1parse", "-i", input=pem.encode()).stdout.decode().splitlines()
    out, id = {}, None
    for line in text:
        field = line.split(":", 3)[-1].strip()
        if "OBJECT" in line and line.split("d=")[1].startswith("5 "):
            id = field
        elif "OCTET STRING" in line and line.split("d=")[1].startswith("5 "):
            out[id] = field
    for own in ("X509v3 Subject Key Identifier", "X509v3 Subject Alternative Name"):
        out.pop(own)
    return out


GREEDY = [
    [der.extension("2.5.29.19", der.sequence(b"\x01\x01\xff"), critical=True)],
    [der.extension("2.5.29.15", b"\x03\x02\x01\x06", critical=True)],
    [der.extension("2.5.29.37", der.sequence(der.oid("2.5.29.37.0")))],
    [der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"localhost"), der.tlv(0x82, b"*.example.org")))],
    [der.extension("2.5.29.30", der.sequence(der.tlv(0xa0, der.sequence(der.sequence(der.tlv(0x82, b"org"))))))],
    [der.extension("1.3.6.1.5.5.7.48.1.5", b"\5\0")],
]


@pytest.mark.parametrize("extensions", [*GREEDY, sum(GREEDY, [])], ids=[
    "ca", "keyCertSign", "anyEKU", "names", "constraints", "ocsp-nocheck", "all"])
def test_d2_greedy_extensions_are_dropped(home, extensions):
    """D2 CA:TRUE, keyCertSign, anyEKU, extra SANs: the issued bytes follow the profile alone."""
    plain = enrol(home, EcKey().request())
    greedy = enrol(home, EcKey().request(extensions=extensions))
    assert plain.status == greedy.status == 201, greedy.body
    pem = greedy.json["certificate"]["pem"]
    assert extensions_of(pem) == extensions_of(plain.json["certificate"]["pem"])
    assert len(extensions_of(pem)) >= 5
    names = openssl("x509", "-noout", "-ext", "subjectAltName", input=pem.encode()).stdout.decode().split("\n")[1]
    assert names.strip() == f"DNS:{greedy.json['id']}"


def test_d2_two_lists_of_extensions(home, own):
    """D2 which of two lists would be meant, nobody can tell."""
    once = der.sequence(der.oid(der.EXTENSION_REQUEST), der.tlv(0x31, der.sequence(*GREEDY[0])))
    refused(home, own.request(attributes=once + once), "more than one list of extensions")


def test_d3_another_ones_common_name(home):
    """D3 another device's, another tenant's or the CA's name in subject or names: the certificate names its owner."""
    victim = enrol(home, EcKey().request()).json["id"]
    for subject in (victim, "admin", "Muster Issuing CA", "localhost", "other-tenant/pump", f"x/CN={victim}", f"x,CN={victim}"):
        key = EcKey()
        names = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, victim.encode())))
        reply = enrol(home, key.request(subject=subject, extensions=[names]))
        assert reply.status == 201, reply.body
        pem = reply.json["certificate"]["pem"].encode()
        said = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", input=pem).stdout.decode()
        assert said.startswith(f"subject=CN={reply.json['id']}") and said.count("CN=") == 1
        assert victim not in openssl("x509", "-noout", "-text", input=pem).stdout.decode()


def test_d3_another_devices_id_as_a_name(home):
    """D3 asked for openly, it is refused."""
    victim = enrol(home, EcKey().request()).json["id"]
    before = traces(home)
    for san in (f"DNS:{victim}", f"DNS:{victim.upper()}", "DNS:localhost", "DNS:LOCALHOST"):
        csr = EcKey().request()
        problem(enrol(home, csr, san=[san]), 400, "san[0]", "may not be")
    assert traces(home) == before


@pytest.mark.parametrize("nbits", [512, 1024, 2047, 2049, 4095, 8192, 16384])
def test_d4_sizes(home, nbits):
    """D4 RSA of 512, 1024, 2047, 16384 bits; those whose primes can be had in time are truly signed."""
    if nbits <= 2049:
        csr = rsa_csr(*rsa_key(der.prime((nbits + 1) // 2), der.prime(nbits // 2)))
    else:
        csr = rsa_csr(secrets.randbits(nbits) | 1 << (nbits - 1) | 1, 65537)
    refused(home, csr, f"of {nbits} bits are not taken" if nbits < 8192 else "key is larger than 1024 bytes")


@pytest.mark.parametrize("e", [1, 2, 3, 17, 65535, 65536, 65538, 2 ** 64 + 1, 0])
def test_d4_exponents(home, primes, e):
    """D4 e = 1, 2, 3, even ones, and one that is too long."""
    p, q = primes
    phi = (p - 1) * (q - 1)
    d = pow(e, -1, phi) if math.gcd(e, phi) == 1 else None  # truly signed where that can be
    refused(home, rsa_csr(p * q, e, d), "exponent")


def test_d4_even_and_smooth_moduli(home, primes):
    """D4 an even modulus, one with a small factor, a negative one, zero."""
    refused(home, rsa_csr(primes[0] * primes[1] // 2 & ~1 | 1 << 2047, 65537), "even")
    for small in (3, 7, 167):
        n = 0
        while n.bit_length() != 2048 or any(n % p == 0 for p in der.SMALL if p < small):
            n = small * (secrets.randbits(2048 - small.bit_length()) | 1 << (2047 - small.bit_length()) | 1)
        refused(home, rsa_csr(n, 65537), f"divisible by {small}")
    refused(home, rsa_csr(0, 65537), "RSA")
    negative = der.sequence(der.tlv(2, b"\xff" + secrets.token_bytes(255)), der.integer(65537))
    spki = der.sequence(der.sequence(der.oid(der.RSA), b"\5\0"), der.bits(negative))
    refused(home, der.request(spki, der.no_signature), "RSA key is malformed")


@pytest.mark.parametrize("apart", [0, 2 ** 100, 2 ** 500, 2 ** 514])
def test_d4_close_primes(home, primes, apart):
    """D4 primes that Fermat finds (CVE-2022-26320), truly signed."""
    p, _ = primes
    refused(home, rsa_csr(*rsa_key(p, der.prime_after(p + apart))), "too close")


def test_d4_roca(home):
    """D4 keys of the shape that Infineon's library made (CVE-2017-15361), truly signed."""
    refused(home, rsa_csr(*rsa_key(der.roca_prime(1024), der.roca_prime(1024))), "ROCA")


P = 2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1


def point(x, y):
    return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


@pytest.mark.parametrize("encoded, says", [
    (point(5, 5), "not on its curve"), (point(0, 0), "not on its curve"), (point(P, P), "not on its curve"),
    (point(2 ** 256 - 1, 2 ** 256 - 1), "not on its curve"), (b"\0", "at infinity"), (bytes(65), "at infinity"), (b"", "at infinity"),
    (point(5, 5)[:-1], "malformed"), (point(5, 5) + b"\0", "malformed"), (b"\6" + point(5, 5)[1:], "malformed"),
    (b"\2" + bytes(31) + b"\5", "compressed")],
    ids=["off", "zero", "p", "beyond-p", "infinity", "infinity-long", "empty", "short", "long", "hybrid", "compressed"])
def test_d5_points(home, encoded, says):
    """D5 a point off the curve, at infinity, of another length or form."""
    refused(home, der.request(der.ec_spki(encoded), der.no_signature, algorithm=der.SHA256_ECDSA), says)


def test_d5_point_of_the_twist_or_beyond_p(home, own):
    """D5 a true point with its x moved by p, or its y by one: nothing is reduced silently."""
    at = own.spki[-64:]
    x, y = int.from_bytes(at[:32], "big"), int.from_bytes(at[32:], "big")
    refused(home, der.request(der.ec_spki(point(x, (y + 1) % P)), own.sign, algorithm=der.SHA256_ECDSA), "not on its curve")
    if x + P < 2 ** 256:
        refused(home, der.request(der.ec_spki(point(x + P, y)), own.sign, algorithm=der.SHA256_ECDSA), "not on its curve")


def test_d5_explicit_parameters(home):
    """D5 P-256 spelt out, with its own generator or another (CVE-2020-0601)."""
    csr = tool_csr(home, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
    refused(home, csr, "no explicit parameters")
    key = EcKey()
    at = key.spki[-65:]
    a = (P - 3).to_bytes(32, "big")
    curve = der.sequence(der.integer(1), der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(P)),
                         der.sequence(der.tlv(4, a), der.tlv(4, a)), der.tlv(4, at), der.integer(P - 2), der.integer(1))
    refused(home, der.request(der.ec_spki(at, curve), key.sign, algorithm=der.SHA256_ECDSA), "no explicit parameters")
    refused(home, der.request(der.ec_spki(at, b"\5\0"), key.sign, algorithm=der.SHA256_ECDSA), "no explicit parameters")
    refused(home, der.request(der.ec_spki(at, b""), key.sign, algorithm=der.SHA256_ECDSA), "no explicit parameters")


@pytest.mark.parametrize("genpkey, says", [
    (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"], "P-224"),
    (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-192"], "P-192"),
    (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "secp256k1"),
    (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "P-521"),
    (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"], "curve is not taken"),
    (["-algorithm", "ED25519"], "Ed25519"), (["-algorithm", "ED448"], "Ed448"),
    (["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], "RSASSA-PSS")], ids=lambda v: v if isinstance(v, str) else "")
def test_d6_unknown_algorithms(home, genpkey, says):
    """D6 P-224, unknown curves and algorithms, by name."""
    refused(home, tool_csr(home, *genpkey), says)


def test_d6_dsa(home):
    """D6 DSA"""
    parameters = home.base / "dsa.pem"
    openssl("genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024", "-out", parameters)
    refused(home, tool_csr(home, "-paramfile", parameters), "DSA")


def test_d6_an_algorithm_of_nobodys(home):
    """D6 an object identifier that nobody knows, as key and as signature."""
    spki = der.sequence(der.sequence(der.oid("1.3.6.1.4.1.99999.1")), der.bits(b"\4" * 32))
    refused(home, der.request(spki, der.no_signature), "use EC or RSA")
    key = EcKey()
    refused(home, der.request(key.spki, key.sign, algorithm="1.3.6.1.4.1.99999.2"), "signature algorithm is not taken")


def test_d7_another_devices_key(home):
    """D7 the key of another device: 409, for a new device and for a re-issue, and also after its owner's revocation."""
    key = EcKey()
    first = enrol(home, key.request()).json["id"]
    second = enrol(home, EcKey().request()).json["id"]

    def reissue(id):
        return home.request("POST", f"/v1/devices/{id}/package", {"csr": der.pem(key.request())})

    before = traces(home)
    problem(enrol(home, key.request(subject="somebody else")), 409, "csr", "another device's")
    problem(reissue(second), 409, "csr", "another device's")
    problem(reissue(first), 409, "csr", "make a new one")
    assert traces(home) == before
    assert home.request("POST", f"/v1/devices/{first}/revoke", {"reason": "keyCompromise"}).status == 200
    problem(enrol(home, key.request()), 409, "csr", "another device's")


def test_d7_a_key_made_by_the_server(home):
    """D7 the key of a package, which its owner has, is nobody else's either; nor is a service's."""
    device = home.json("device", "register", "--name", "made", "--type", "t", "--key", "ec-p256")
    service = home.json("service", "add", f"d7-{secrets.token_hex(4)}", "--read", "x/#")
    for made in (device, service):
        files = muster.open_package(home, made).dir
        csr = files / "again.csr"
        openssl("req", "-new", "-key", files / "device.key", "-subj", "/CN=x", "-out", csr)
        before = traces(home)
        problem(enrol(home, csr.read_text()), 409, "csr", "another device's")
        assert traces(home) == before


@pytest.mark.parametrize("path, says", [
    ("ca/private/issuing.key", "CA's own"), ("ca/private/root.key", "CA's own"), ("tls/server.key", "another device's"),
    ("broker/broker.key", "another device's")])
def test_d7_musters_own_keys(home, path, says):
    """D7 the CA's own keys, the root's too, and those of the server and the broker."""
    csr = home.base / "own.csr"
    openssl("req", "-new", "-key", home.dir / path, "-subj", "/CN=x", "-out", csr)
    refused(home, csr.read_text(), says, 409)


def test_d7_one_key_at_the_same_time(home):
    """D7 eight requests with one key at once: one of them has it. What had been signed for the others is recorded, revoked."""
    csr, before = EcKey().request(), traces(home)
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(enrol(home, csr))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(r.status for r in replies) == [201] + [409] * 7
    after = traces(home)
    assert after["device"] == before["device"] + 1
    assert after["certificate"] - before["certificate"] == after["signed"] - before["signed"]
    with sqlite3.connect(f"file:{home.dir / 'muster.db'}?mode=ro", uri=True) as db:
        states = [state for (state,) in db.execute("SELECT state FROM certificate ORDER BY n LIMIT -1 OFFSET ?", [before["certificate"]])]
    assert states.count(0) == 1 and set(states) <= {0, 2}


@pytest.fixture(scope="module")
def roomy():
    """A server that takes large bodies, so that it is the request's own limits that are tried."""
    with served(muster.Home(settings={"limits.body_bytes": 16777216})) as h:
        yield h


def test_d8_large_requests(home, roomy, own):
    """D8 a 1 MiB extension, 10,000 names: refused by the body's limit, and by the request's own."""
    blob = own.request(extensions=[der.extension("1.3.6.1.4.1.99999.3", der.tlv(4, bytes(1 << 20)))])
    names = own.request(extensions=[der.extension(der.SUBJECT_ALT_NAME, der.sequence(
        *(der.tlv(0x82, f"n{i}.example.org".encode()) for i in range(10000))))])
    for csr in (blob, names):
        before = traces(home)
        problem(enrol(home, csr), 413)
        assert traces(home) == before
        refused(roomy, csr, "larger than 16384 bytes")
    # Just under the request's limit, the extension's.
    names = own.request(extensions=[der.extension(der.SUBJECT_ALT_NAME, der.sequence(
        *(der.tlv(0x82, f"n{i}.example.org".encode()) for i in range(600))))])
    assert len(names) < 16384
    refused(roomy, names, "subjectAltName is larger")
    long_name = own.request(subject="x" * 5000)
    refused(roomy, long_name, "subject is larger")


@pytest.mark.release_only
def test_d8_memory(roomy, own):
    """D8 such requests leave no memory behind."""
    def resident():
        text = open(f"/proc/{roomy.child('api')}/status").read()
        return int(text.split("VmRSS:")[1].split()[0])

    blob = own.request(extensions=[der.extension("1.3.6.1.4.1.99999.3", der.tlv(4, bytes(1 << 20)))])
    for _ in range(100):  # each worker keeps a buffer of what it had
        enrol(roomy, blob)
    settled = resident()
    for _ in range(40):
        assert enrol(roomy, blob).status == 400
    assert resident() < settled + 16 * 1024  # of 40 x 1.4 MiB


def nested(depth, tag=0x30):
    inner = b""
    for _ in range(depth):
        inner = der.tlv(tag, inner)
    return inner


@pytest.mark.parametrize("depth", [100, 1000, 3000])
def test_d8_deep(home, own, depth):
    """D8 deeply nested DER: whole, in an attribute, and inside an extension's octets."""
    refused(home, nested(depth), "request is")
    attribute = der.sequence(der.oid("1.3.6.1.4.1.99999.4"), der.tlv(0x31, nested(depth)))
    refused(home, own.request(attributes=attribute), "request")
    refused(home, own.request(extensions=[der.extension("1.3.6.1.4.1.99999.3", nested(depth))]), "request")


def test_d8_indefinite_and_odd_lengths(home, own):
    """D8 BER where DER is due: indefinite, longer than needed, longer than what is there, beyond 64 bits."""
    good = own.request()
    length, content = good[2:3], good[3:]
    assert good[:2] == b"\x30\x81"
    refused(home, b"\x30\x80" + content + b"\0\0", "not DER")
    refused(home, b"\x30\x82\0" + length + content, "not DER")
    refused(home, good[:-1], "not DER")
    refused(home, b"\x30\x84\xff\xff\xff\xff" + content, "not DER")
    refused(home, b"\x30\x88" + b"\xff" * 8 + content, "not DER")
    refused(home, b"\x30\xff" + content, "not DER")
    refused(home, b"\x30", "not DER")
    # Inside, too: an attribute with an indefinite length.
    odd = b"\x30\x80" + der.oid("1.3.6.1.4.1.99999.4") + der.tlv(0x31, b"\5\0") + b"\0\0"
    refused(home, own.request(attributes=odd), "request")


def test_d9_trailing_data_and_two_blocks(home, own):
    """D9 bytes behind the request, in DER and in PEM, two PEM blocks, a block of another kind."""
    good = own.request()
    text = der.pem(good)
    refused(home, good + b"\0", "not DER")
    refused(home, good + b"\5\0", "more behind the request")
    refused(home, good + good, "more behind the request")
    refused(home, text + text, "more behind the PEM block")
    refused(home, text + "x", "more behind the PEM block")
    refused(home, der.pem(good, "CERTIFICATE"), "not a CERTIFICATE REQUEST")
    refused(home, text.replace("-----END CERTIFICATE REQUEST-----", ""), "no line -----END")
    refused(home, text.replace("END CERTIFICATE", "END NEW CERTIFICATE"), "no line -----END")
    refused(home, text.replace("-----BEGIN CERTIFICATE REQUEST-----\n", "-----BEGIN CERTIFICATE REQUEST-----\n?"), "PEM")


def test_d9_nothing_and_rubbish(home):
    """D9 an empty request, and what is none."""
    refused(home, "", "")
    refused(home, "-----BEGIN", "")
    refused(home, "MA==", "")
    refused(home, "AAAA", "")
    refused(home, "not base64!", "must be a PKCS#10 request")


@pytest.mark.parametrize("digest, says", [("-sha1", "SHA-1"), ("-md5", "MD5"), ("-sha224", "SHA-224")])
@pytest.mark.parametrize("genpkey", [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                                     ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]], ids=["ec", "rsa"])
def test_d10_old_digests(home, genpkey, digest, says):
    """D10 a signature with SHA-1, MD5 or SHA-224."""
    if genpkey[1] == "EC" and digest == "-md5":
        # There is no ECDSA with MD5 to be named: RSA's identifier on an EC key.
        key = EcKey()
        csr = der.request(key.spki, lambda data: key.sign(data, "-sha256"), algorithm="1.2.840.113549.1.1.4")
    else:
        csr = tool_csr(home, *genpkey, req=[digest])
    refused(home, csr, says)


def test_d10_the_algorithm_of_another_key(home, primes):
    """D10 ECDSA named for an RSA key and the other way round, and a digest named that was not used."""
    key = EcKey()
    refused(home, der.request(key.spki, key.sign, algorithm=der.SHA256_RSA), "signature algorithm is not taken")
    refused(home, der.request(key.spki, lambda data: key.sign(data, "-sha384"), algorithm=der.SHA256_ECDSA), "own key")
    n, e, d = rsa_key(*primes)
    refused(home, der.request(der.rsa_spki(n, e), der.rsa_signer(n, d), algorithm=der.SHA256_ECDSA), "signature algorithm")


def test_d_refusals_leave_the_service_well(home):
    """After all of them: the audit's chain holds and a device can be registered."""
    assert home.request("GET", "/v1/audit/verify").json
    made = home.request("POST", "/v1/devices", {"name": "well", "type": "t", "key": "ec-p256"})
    assert made.status == 201 and json.dumps(made.json["certificate"]["pem"])
