"""Revocation lists, complete and delta, as verifiers that nobody here wrote read them, and as caches fetch them."""

import base64
import datetime
import email.utils
import gzip
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

import muster
from muster import openssl, run, wait_for

COMPLETE, DELTA = "/crl/issuing.crl", "/crl/issuing-delta.crl"


def register(home, name="listed", **more):
    made = home.request("POST", "/v1/devices", {"name": name, "type": "pump", "key": "ec-p256", **more})
    assert made.status == 201, made.body
    return made.json


def does(home, device, what, **body):
    done = home.request("POST", f"/v1/devices/{device['id']}/{what}", body or None)
    assert done.status == 200, done.body


def serial(device):
    return int(device["certificate"]["serial"], 16)


def fetch(home, path=COMPLETE, headers=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", home.pki_port, timeout=20)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return muster.Reply(response, response.read())
    finally:
        connection.close()


def load(home, path=COMPLETE):
    return x509.load_der_x509_crl(fetch(home, path).body)


def number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base_of(delta):
    found = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert found.critical  # RFC 5280, section 5.2.4
    return found.value.crl_number


def reason(entry):
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return x509.ReasonFlags.unspecified


def entries(crl):
    return {e.serial_number: (e.revocation_date, reason(e)) for e in crl}


def combined(complete, delta):
    """What a relying party makes of the two (RFC 5280, section 5.2.4)."""
    out = entries(complete)
    for n, (date, why) in entries(delta).items():
        if why == x509.ReasonFlags.remove_from_crl:
            out.pop(n, None)
        else:
            out[n] = (date, why)
    return out


def pair(home, then=lambda complete: True):
    """Complete list and delta of one round, in which THEN holds."""
    def find():
        complete, delta = load(home), load(home, DELTA)
        return (complete, delta) if number(complete) == number(delta) and then(complete) else None
    return wait_for(find, 10, "a round of lists")


def listed(*serials):
    return lambda crl: set(serials) <= set(entries(crl))


def not_listed(*serials):
    return lambda crl: not set(serials) & set(entries(crl))


def pem(home, crl, name):
    path = home.base / name
    path.write_bytes(crl.public_bytes(Encoding.PEM))
    return path


def verdict(home, device, complete, delta=None):
    """OpenSSL's, with the deltas if there is one; "" for a good one."""
    leaf = home.base / f"{device['id']}.pem"
    leaf.write_text(device["certificate"]["pem"])
    args = ["-CRLfile", pem(home, complete, "complete.pem")]
    if delta:
        args += ["-use_deltas", "-extended_crl", "-CRLfile", pem(home, delta, "delta.pem")]
    said = openssl("verify", "-crl_check", "-CAfile", home.dir / "ca/root.crt", "-untrusted", home.dir / "ca/issuing.crt",
                   *args, leaf, check=False)
    return "" if said.returncode == 0 else (said.stdout + said.stderr).decode()


def test_g7_base_and_delta_are_the_complete_list(home):
    """G7: whatever came and went since the base, which any verifier may still have."""
    first = pair(home)[0]
    before = load(home)
    devices = [register(home, f"g7-{i}") for i in range(8)]
    does(home, devices[0], "revoke", reason="keyCompromise")
    does(home, devices[1], "revoke", reason="unspecified")
    for d in devices[2:6]:
        does(home, d, "suspend")
    for d in devices[3:5]:
        does(home, d, "resume")
    does(home, devices[5], "revoke", reason="cessationOfOperation")
    does(home, devices[4], "suspend")
    complete, delta = pair(home, lambda crl: listed(*(serial(devices[i]) for i in (0, 1, 2, 4, 5)))(crl)
                           and not_listed(serial(devices[3]))(crl))
    assert base_of(delta) <= number(first) < number(delta)
    for old in (first, before):  # any complete list since the base will do
        assert combined(old, delta) == entries(complete)
    assert entries(complete)[serial(devices[0])][1] == x509.ReasonFlags.key_compromise
    assert entries(complete)[serial(devices[1])][1] == x509.ReasonFlags.unspecified
    assert entries(complete)[serial(devices[5])][1] == x509.ReasonFlags.cessation_of_operation
    assert x509.ReasonFlags.remove_from_crl not in {why for _, why in entries(complete).values()}


def test_what_each_list_says_of_itself(home):
    """RFC 5280, sections 5.2.3 to 5.2.6: one number, the indicator in the delta alone, freshestCRL in the complete list alone,
    and in neither an issuingDistributionPoint."""
    complete, delta = pair(home)
    oids = [{e.oid for e in crl.extensions} for crl in (complete, delta)]
    common = {ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER}
    assert oids == [common | {ExtensionOID.FRESHEST_CRL}, common | {ExtensionOID.DELTA_CRL_INDICATOR}]
    assert complete.last_update == delta.last_update
    assert complete.next_update - complete.last_update == datetime.timedelta(days=7)
    assert delta.next_update - delta.last_update == datetime.timedelta(days=1)
    point, = complete.extensions.get_extension_for_class(x509.FreshestCRL).value
    url, = (name.value for name in point.full_name)
    assert url.startswith(f"http://localhost:{home.pki_port}/crl/") and url.endswith("-delta.crl")
    assert fetch(home, url.split(str(home.pki_port))[1]).body == fetch(home, DELTA).body
    told = home.request("GET", "/v1/ca").json
    assert told["delta_crl"]["url"] == url and told["delta_crl"]["number"] == told["crl"]["number"]


def test_g9_hold_then_remove(home):
    """G9: held in the delta, then taken back there, then held for good; a verifier that has the base and the delta agrees each
    time with one that has the complete list."""
    old = load(home)
    device = register(home, "g9")
    assert verdict(home, device, *pair(home)) == verdict(home, device, old) == ""
    does(home, device, "suspend")
    complete, delta = pair(home, listed(serial(device)))
    assert entries(delta)[serial(device)][1] == x509.ReasonFlags.certificate_hold
    assert "revoked" in verdict(home, device, complete) and "revoked" in verdict(home, device, old, delta)
    does(home, device, "resume")
    held, (complete, delta) = complete, pair(home, not_listed(serial(device)))
    assert entries(delta)[serial(device)][1] == x509.ReasonFlags.remove_from_crl
    assert verdict(home, device, complete) == verdict(home, device, held, delta) == verdict(home, device, old, delta) == ""
    assert "revoked" in verdict(home, device, held)  # without the delta it cannot know
    does(home, device, "revoke", reason="keyCompromise")
    complete, delta = pair(home, listed(serial(device)))
    assert "revoked" in verdict(home, device, complete) and "revoked" in verdict(home, device, old, delta)


def test_g10_three_verifiers(home):
    """G10: both lists are good to OpenSSL, GnuTLS and python3-cryptography; with one bit changed they are to none of them."""
    does(home, register(home, "g10"), "revoke")
    issuing = x509.load_pem_x509_certificate((home.dir / "ca/issuing.crt").read_bytes())
    for crl in pair(home):
        der = crl.public_bytes(Encoding.DER)
        for sound in (True, False):
            path = home.base / "g10.crl"
            path.write_bytes(der if sound else der[:-1] + bytes([der[-1] ^ 1]))
            said = openssl("crl", "-inform", "DER", "-in", path, "-noout", "-verify", "-CAfile", home.dir / "ca/issuing.crt",
                           check=False)
            assert (b"verify OK" in said.stderr + said.stdout) == sound
            text = "-----BEGIN X509 CRL-----\n" + base64.encodebytes(path.read_bytes()).decode() + "-----END X509 CRL-----\n"
            said = run("certtool", "--verify-crl", "--load-ca-certificate", home.dir / "ca/issuing.crt", input=text.encode(),
                       check=False)
            assert (said.returncode == 0 and b"Verified" in said.stdout) == sound, said
            assert x509.load_der_x509_crl(path.read_bytes()).is_signature_valid(issuing.public_key()) == sound


def test_g8_a_delta_without_entries(fresh):
    """G8: right behind its base a delta has nothing to say, and no revokedCertificates to say it in."""
    complete, delta = pair(fresh().start())
    assert base_of(delta) == number(delta) == number(complete)
    for crl in (complete, delta):
        said = openssl("asn1parse", "-inform", "DER", input=crl.public_bytes(Encoding.DER)).stdout.decode().splitlines()
        inner = [line for line in said if ":d=2 " in line]  # version, algorithm, issuer, two times, extensions, and what is behind
        assert "cont [ 0 ]" in inner[5], said
        assert len(crl) == 0


def test_g6_numbers_go_on_after_kills(home):
    """G6: whichever process is killed, and however often, numbers rise, and the base stays the base."""
    seen = [number(load(home))]
    first = base_of(load(home, DELTA))
    for name in ("signer", "api", "signer", "api"):
        os.kill(home.child(name), signal.SIGKILL)
        wait_for(lambda: is_ready(home), 20, "the service to be back")
        device = register(home, f"g6-{name}")
        does(home, device, "revoke")
        complete, delta = pair(home, listed(serial(device)))
        seen.append(number(complete))
        assert base_of(delta) == first
        assert combined(complete, delta) == entries(complete)
    assert seen == sorted(set(seen)), seen


def is_ready(home):
    try:
        return home.request("GET", "/readyz", token=None).status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("path", [COMPLETE, DELTA])
def test_conditional_requests(home, path):
    """Who has the list already is told so, by its tag or its time; its tag first."""
    first = fetch(home, path)
    tag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert first.status == 200 and tag.startswith('"')
    assert email.utils.parsedate_to_datetime(modified).replace(tzinfo=None) == x509.load_der_x509_crl(first.body).last_update
    before = email.utils.format_datetime(email.utils.parsedate_to_datetime(modified) - datetime.timedelta(seconds=1), usegmt=True)
    for headers, status in [({"If-None-Match": tag}, 304), ({"If-None-Match": f'"x", W/{tag}'}, 304), ({"If-None-Match": '"x"'}, 200),
                            ({"If-Modified-Since": modified}, 304), ({"If-Modified-Since": before}, 200),
                            ({"If-Modified-Since": modified, "If-None-Match": '"x"'}, 200), ({"If-Modified-Since": "yesterday"}, 200)]:
        for method in ("GET", "HEAD"):
            again = fetch(home, path, headers, method)
            assert again.status == status, headers
            assert again.body == (first.body if (status, method) == (200, "GET") else b"")
            assert again.headers["ETag"] == tag and again.headers["Cache-Control"] and again.headers["Vary"] == "Accept-Encoding"
    device = register(home, "conditional")
    does(home, device, "revoke")
    wait_for(lambda: fetch(home, path, {"If-None-Match": tag}).status == 200, 2, "the list to have changed")
    assert fetch(home, path).headers["ETag"] != tag


def test_what_caches_may_do(fresh):
    """A list may be kept for crl_max_age, and shown until its end while nobody answers."""
    home = fresh(settings={"pki.crl_max_age": "1h", "pki.delta_validity": "30m", "pki.crl_renew": "1h"}).start()
    for path, age, stale in ((COMPLETE, 3600, 7 * 86400 - 3600), (DELTA, 1800, 0)):  # never past the list's own end
        headers = fetch(home, path).headers
        said = dict(part.strip().partition("=")[::2] for part in headers["Cache-Control"].split(","))
        assert "public" in said and age - 20 <= int(said["max-age"]) <= age
        assert stale - 20 <= int(said.get("stale-if-error", 0)) <= stale
        until = email.utils.parsedate_to_datetime(headers["Expires"]) - email.utils.parsedate_to_datetime(headers["Date"])
        assert abs(until.total_seconds() - int(said["max-age"])) <= 1


def test_gzip_where_asked(home):
    """The same list, compressed, under another tag; only for who prefers that."""
    pair(home)
    plain = fetch(home)
    for accept, packed in [("gzip", True), ("gzip;q=0.5, identity;q=0.4", True), ("*", True), ("identity", False), ("gzip;q=0", False),
                           ("deflate", False), ("gzip;q=0.4, identity;q=0.5", False)]:
        got = fetch(home, COMPLETE, {"Accept-Encoding": accept})
        assert (got.headers["Content-Encoding"] == "gzip") == packed, accept
        assert got.headers["ETag"] != plain.headers["ETag"] if packed else got.headers["ETag"] == plain.headers["ETag"]
        assert (gzip.decompress(got.body) if packed else got.body) == plain.body
        assert fetch(home, COMPLETE, {"Accept-Encoding": accept}, "HEAD").headers["Content-Length"] == str(len(got.body))


@pytest.fixture(scope="module")
def many():
    """A home of 60,000 revoked: a list of three megabytes. They stand in its database alone; none was ever issued."""
    home = muster.Home(settings={"server.workers": "4"}).start()
    home.stop()
    now = int(time.time())
    db = sqlite3.connect(home.dir / "muster.db")
    db.executemany(
        "INSERT INTO certificate (serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, key, profile, not_before, not_after,"
        " state, reason, revoked_at, der) VALUES (?, 1, 0, 'x', ?, ?, 'ec-p256', 'constrained', ?, ?, 2, 1, ?, x'00')",
        ((b"\x41" + os.urandom(19), os.urandom(32), os.urandom(32), now - 9000, now + 9000000, now - 8000) for _ in range(60000)))
    db.commit()
    db.close()
    yield home.start()
    home.close()
    shutil.rmtree(home.base, ignore_errors=True)


def test_a_large_list(many):
    """It comes in parts, with its length ahead, to HTTP/1.0 too; compressed once somebody has asked."""
    whole = fetch(many)
    assert len(whole.body) > 3000000 and whole.headers["Content-Length"] == str(len(whole.body))
    assert len(entries(x509.load_der_x509_crl(whole.body))) == 60000
    assert fetch(many, method="HEAD").headers["Content-Length"] == str(len(whole.body))
    with socket.create_connection(("127.0.0.1", many.pki_port), timeout=20) as s:
        s.sendall(b"GET /crl/issuing.crl HTTP/1.0\r\n\r\n")
        got = b"".join(iter(lambda: s.recv(1 << 16), b""))
    assert got.split(b"\r\n\r\n", 1)[1] == whole.body
    packed = wait_for(lambda: r if (r := fetch(many, headers={"Accept-Encoding": "gzip"})).headers["Content-Encoding"] else None,
                      20, "the list to be compressed")
    assert gzip.decompress(packed.body) == whole.body and len(packed.body) < 0.7 * len(whole.body)
    assert fetch(many, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}).status == 304


def slow_reader(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.settimeout(20 * muster.PATIENCE)
    s.connect(("127.0.0.1", port))
    s.sendall(b"GET /crl/issuing.crl HTTP/1.1\r\nHost: x\r\n\r\n")
    return s, s.recv(1000)


def test_a10_slow_readers_of_a_large_list(many):
    """A10: more of them than there are workers hold up nobody, and get the list that they began with, though it is replaced
    meanwhile, to its last byte."""
    whole = fetch(many).body
    slow = [slow_reader(many.pki_port) for _ in range(24)]
    device = register(many, "quick")
    does(many, device, "revoke")
    wait_for(lambda: serial(device) in entries(load(many)), 2, "the revocation on the complete list")
    for s, begun in slow:
        head, body = begun.split(b"\r\n\r\n", 1)
        assert f"Content-Length: {len(whole)}".encode() in head
        while len(body) < len(whole) and (more := s.recv(1 << 20)):
            body += more
        assert body == whole
        s.close()
