"""Certification requests that no tool would make: DER by hand, and the arithmetic of weak keys."""

import base64
import hashlib
import secrets

SHA256_RSA = "1.2.840.113549.1.1.11"
SHA256_ECDSA = "1.2.840.10045.4.3.2"
RSA = "1.2.840.113549.1.1.1"
EC = "1.2.840.10045.2.1"
P256 = "1.2.840.10045.3.1.7"
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
SUBJECT_ALT_NAME = "2.5.29.17"


def tlv(tag, content):
    n = len(content)
    length = bytes([n]) if n < 128 else (lambda b: bytes([0x80 | len(b)]) + b)(n.to_bytes((n.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + length + content


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def integer(n):
    return tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def bits(content):
    return tlv(3, b"\0" + content)


def oid(dotted):
    first, second, *rest = (int(n) for n in dotted.split("."))
    out = bytes([40 * first + second])
    for n in rest:
        digits = [n & 0x7f]
        while n := n >> 7:
            digits.append(0x80 | n & 0x7f)
        out += bytes(reversed(digits))
    return tlv(6, out)


def name(common_name):
    return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, common_name.encode()))))


def extension(id, value, critical=False):
    return sequence(oid(id), *([b"\x01\x01\xff"] if critical else []), tlv(4, value))


def rsa_spki(n, e):
    return sequence(sequence(oid(RSA), b"\5\0"), bits(sequence(integer(n), integer(e))))


def ec_spki(point, curve=oid(P256)):
    return sequence(sequence(oid(EC), curve), bits(point))


def request(spki, sign, *, algorithm=SHA256_RSA, subject="x", extensions=(), attributes=b""):
    """SIGN makes the signature of the bytes it is given."""
    if extensions:
        attributes += sequence(oid(EXTENSION_REQUEST), tlv(0x31, sequence(*extensions)))
    info = sequence(integer(0), name(subject), spki, tlv(0xa0, attributes))
    parameters = b"\5\0" if algorithm == SHA256_RSA else b""
    return sequence(info, sequence(oid(algorithm), parameters), bits(sign(info)))


def pem(der, label="CERTIFICATE REQUEST"):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def rsa_signer(n, d):
    """PKCS #1 v1.5 with SHA-256, as it was before anybody asked what the key is worth."""
    size = (n.bit_length() + 7) // 8

    def sign(data):
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(data).digest()
        padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
        return pow(int.from_bytes(padded, "big"), d, n).to_bytes(size, "big")
    return sign


def no_signature(_):
    return secrets.token_bytes(64)


def is_prime(n):
    if any(n % p == 0 for p in SMALL):
        return n in SMALL
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in SMALL[:12]:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


SMALL = [2]
while len(SMALL) < 126:
    SMALL.append(next(n for n in range(SMALL[-1] + 1, 1000) if all(n % p for p in SMALL)))


def prime(nbits, like=lambda n: n | 1):
    while True:
        n = like(secrets.randbits(nbits) | 3 << (nbits - 2))
        if n.bit_length() == nbits and is_prime(n):
            return n


def prime_after(n):
    n |= 1
    while not is_prime(n := n + 2):
        pass
    return n


def roca_prime(nbits):
    """As Infineon's library made them for RSA-2048 (CVE-2017-15361): k * M + (65537^a mod M)."""
    m = 1
    for p in SMALL:
        m *= p
    return prime(nbits, lambda n: n // m * m + pow(65537, secrets.randbits(256), m))
