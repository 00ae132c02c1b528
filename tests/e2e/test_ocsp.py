"""The status of certificates by OCSP, asked by clients that nobody here wrote: openssl, GnuTLS' ocsptool, curl,
python3-cryptography."""

import base64
import email.utils
import http.client
import os
import random
import signal
import subprocess
import threading
import time
from datetime import timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

import muster
from ocspclient import GOOD, REVOKED, SHA1, SHA256, SHA512, STATUS, UNKNOWN, Client, Issuer, certificate, path_of, request, serial_of, verify

SETTINGS = {"limits.ocsp_per_min": "0"}
HOLD, UNSPECIFIED = x509.ReasonFlags.certificate_hold, None


@pytest.fixture(scope="module")
def client(home):
    return Client(home)


def register(home, **more):
    body = {"name": f"o-{time.monotonic_ns()}", "type": "t", "key": "ec-p256", **more}
    reply = home.request("POST", "/v1/devices", body)
    assert reply.status == 201, reply.body
    return reply.json


def act(home, device, what, body=None, status=200):
    reply = home.request("POST", f"/v1/devices/{device['id']}/{what}", body or {})
    assert reply.status == (201 if what == "package" else status), reply.body
    return reply.json


def error_of(client, data):
    return client.post(data).response_status


# ---- what is answered ------------------------------------------------------------------------------------------------

def test_good_by_every_way(home, client):
    """The same answer by GET and POST, over plain HTTP and HTTPS, for both digests, with a nonce and without."""
    serial = serial_of(register(home))
    over_tls = Client(home, tls=True)
    for c in (client, over_tls):
        for md in (SHA1, SHA256):
            for get in (False, True):
                assert c.status(serial, md=md, get=get) == GOOD
                assert c.status(serial, md=md, get=get, nonce=os.urandom(16)) == GOOD


def test_certificates_name_the_place(home, client):
    """AIA: the responder that a certificate names is the one that knows it."""
    cert = x509.load_pem_x509_certificate(register(home)["certificate"]["pem"].encode())
    places = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = [p.access_location.value for p in places if p.access_method == x509.oid.AuthorityInformationAccessOID.OCSP]
    assert urls == [f"http://localhost:{home.pki_port}/ocsp"]
    data = ocsp.OCSPRequestBuilder().add_certificate(cert, client.issuer.cert, hashes.SHA1()).build()
    answer = client.post(data.public_bytes(serialization.Encoding.DER))
    verify(answer, client.issuer)
    assert answer.certificate_status == GOOD


def test_g1_unknown_and_another_issuers(home, client):
    """G1: a serial that was never issued is "unknown", whatever it looks like; another issuer's is not ours to answer."""
    known = serial_of(register(home))
    for serial in (0, 1, 0x7f, 0x80, 2**63, known ^ 1, known ^ 2**100, known ^ 2**150, known >> 8, 2**159 - 1):
        for get in (False, True):
            assert client.status(serial, get=get) == UNKNOWN
    root = Issuer(certificate(home.dir / "ca/root.crt"))
    assert error_of(client, request([root.cert_id(known)])) == STATUS.UNAUTHORIZED
    assert error_of(client, request([client.issuer.cert_id(known, SHA512)])) == STATUS.UNAUTHORIZED
    assert error_of(client, request([client.issuer.cert_id(known), root.cert_id(known)])) == STATUS.UNAUTHORIZED
    assert client.get(request([client.issuer.cert_id(77)])).headers["Cache-Control"] == "no-store"


def test_g2_a_thousand_certificates(home, client):
    """G2: as many as the configuration says in one request, and not one more."""
    serials = [serial_of(register(home)) for _ in range(3)] + list(range(1, 14))
    ids = [client.issuer.cert_id(s, random.choice((SHA1, SHA256))) for s in serials]
    answer = client.post(request(ids, nonce=b"n"))
    verify(answer, client.issuer)
    assert [r.serial_number for r in answer.responses] == serials
    assert [r.certificate_status for r in answer.responses] == [GOOD] * 3 + [UNKNOWN] * 13
    assert error_of(client, request(ids + [client.issuer.cert_id(1)])) == STATUS.MALFORMED_REQUEST
    assert error_of(client, request([client.issuer.cert_id(s) for s in range(200)])) == STATUS.MALFORMED_REQUEST
    large = client.send("POST", "/ocsp", request([client.issuer.cert_id(2**150 + n) for n in range(1000)]))
    assert large.status == 413
    client.http.close()


def test_g3_malformed(home, client):
    """G3: what is no request of the one form is malformedRequest, whichever way it comes."""
    good = request([client.issuer.cert_id(serial_of(register(home)))])
    assert client.post(good).response_status == STATUS.SUCCESSFUL
    bad = [b"", b"\0", b"0", good + b"\0", good[:-1], good[1:], b"\x30\x80" + good[2:] + b"\0\0", b"GET / HTTP/1.1",
           request([]), request([client.issuer.cert_id(1)], nonce=b""), request([client.issuer.cert_id(1)], nonce=bytes(129))]
    for data in bad:
        assert error_of(client, data) == STATUS.MALFORMED_REQUEST, data
        if data:
            assert ocsp.load_der_ocsp_response(client.get(data).body).response_status == STATUS.MALFORMED_REQUEST
    text = base64.b64encode(good).decode()
    for tail in (text[:-1] + "*", "%", "%4", "%zz", "====", "A", text + "=", "%00", "../ca/root.crt", "%2e%2e/ca/root.crt",
                 text + "%0a", "-", "."):
        reply = client.send("GET", "/ocsp/" + tail)
        assert reply.status == 200, tail
        assert ocsp.load_der_ocsp_response(reply.body).response_status == STATUS.MALFORMED_REQUEST, tail
        assert reply.headers["Cache-Control"] == "no-store"
    assert client.send("GET", "/ocsp").status == 405
    assert client.send("GET", "/ocsp/").status == 404
    assert client.send("PUT", "/ocsp", good).status == 405
    client.http.close()


def test_get_as_clients_send_it(home, client):
    """Escaped or not, in either alphabet, with padding or without."""
    while True:  # until all that is awkward occurs
        serial = serial_of(register(home))
        data = request([client.issuer.cert_id(serial, SHA256)], nonce=b"x" * random.randrange(1, 40))
        text = base64.b64encode(data).decode()
        if "/" in text and "+" in text and "=" in text:
            break
    for tail in (path_of(data)[6:], text, text.rstrip("="), text.replace("=", "%3d"), text.replace("/", "%2f").replace("+", "%2b"),
                 base64.urlsafe_b64encode(data).decode(), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        reply = client.send("GET", "/ocsp/" + tail)
        assert ocsp.load_der_ocsp_response(reply.body).serial_number == serial, tail


def test_nonces(home, client):
    """RFC 9654: 1 to 128 octets, echoed, and such an answer is made anew each time."""
    serial = serial_of(register(home))
    client.status(serial)
    for size in (1, 8, 32, 127, 128):
        nonce = os.urandom(size)
        data = request([client.issuer.cert_id(serial)], nonce)
        reply = client.get(data)
        assert reply.headers["Cache-Control"] == "no-store" and reply.headers["ETag"] is None
        answer = ocsp.load_der_ocsp_response(reply.body)
        echoed = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        assert echoed in (nonce, b"\4" + bytes([size]) + nonce, b"\4\x81" + bytes([size]) + nonce)
        assert client.get(data).body != reply.body
    with pytest.raises(x509.ExtensionNotFound):
        client.post(request([client.issuer.cert_id(serial)])).extensions.get_extension_for_class(x509.OCSPNonce)


# ---- what becomes of it ----------------------------------------------------------------------------------------------

def everywhere(home, serial):
    """The status of SERIAL as each kind of answer has it; some were in memory before, some are not."""
    c = Client(home)
    return [c.single(serial, md=md, get=get, nonce=nonce) for md in (SHA1, SHA256) for get in (True, False)
            for nonce in (None, b"now")]


def test_g4_a_revocation_is_in_the_next_answer(home, client):
    """G4: whatever was in memory, what is asked after the acknowledgement says revoked, when and why."""
    for what, reason in (({"reason": "keyCompromise"}, x509.ReasonFlags.key_compromise), ({}, UNSPECIFIED)):
        device = register(home)
        serial = serial_of(device)
        assert {s.certificate_status for s in everywhere(home, serial)} == {GOOD}
        before = int(time.time())
        act(home, device, "revoke", what)
        for single in everywhere(home, serial):
            assert single.certificate_status == REVOKED and single.revocation_reason == reason
            assert 0 <= single.revocation_time.replace(tzinfo=timezone.utc).timestamp() - before < 30
    device = register(home)
    serial = serial_of(device)
    assert {s.certificate_status for s in everywhere(home, serial)} == {GOOD}
    new = serial_of(act(home, device, "package", {"key": "ec-p256"}))
    assert {s.revocation_reason for s in everywhere(home, serial)} == {x509.ReasonFlags.superseded}
    assert {s.certificate_status for s in everywhere(home, new)} == {GOOD}


def test_g9_hold_and_release(home, client):
    """G9: on hold it is revoked as certificateHold, released it is good again, and once revoked it stays so."""
    device = register(home)
    serial = serial_of(device)
    for _ in range(2):
        assert {s.certificate_status for s in everywhere(home, serial)} == {GOOD}
        act(home, device, "suspend")
        assert {(s.certificate_status, s.revocation_reason) for s in everywhere(home, serial)} == {(REVOKED, HOLD)}
        act(home, device, "resume")
    act(home, device, "suspend")
    act(home, device, "revoke", {"reason": "privilegeWithdrawn"})
    act(home, device, "resume", status=409)
    assert {s.revocation_reason for s in everywhere(home, serial)} == {x509.ReasonFlags.privilege_withdrawn}


def race(home, cycles):
    """Hold and release a certificate while somebody else asks for it without pause: whoever asks after an acknowledgement
    hears of it, and an answer that was signed meanwhile never comes back."""
    device = register(home)
    serial, stop, asked = serial_of(device), threading.Event(), []

    def ask():
        c = Client(home)
        data = [request([c.issuer.cert_id(serial, md)]) for md in (SHA1, SHA256)]
        while not stop.is_set():
            assert c.get(data[0]).status == c.send("POST", "/ocsp", data[1]).status == 200
            asked.append(1)

    other = threading.Thread(target=ask)
    other.start()
    c = Client(home)
    data = [request([c.issuer.cert_id(serial, md)]) for md in (SHA1, SHA256)]
    api = http.client.HTTPSConnection("localhost", home.api_port, context=home.tls(), timeout=30)
    try:
        for cycle in range(cycles):
            for what, status in (("suspend", REVOKED), ("resume", GOOD)):
                api.request("POST", f"/v1/devices/{device['id']}/{what}", "{}", {
                    "Authorization": f"Bearer {home.token}", "Content-Type": "application/json"})
                reply = api.getresponse()
                body = reply.read()
                assert reply.status == 200, body
                for _ in range(3):
                    for d in data:
                        answer = ocsp.load_der_ocsp_response(c.get(d).body)
                        assert answer.response_status == STATUS.SUCCESSFUL
                        assert answer.certificate_status == status, f"after {what} number {cycle}"
    finally:
        stop.set()
        other.join()
    assert len(asked) > cycles


def test_g4_raced(home):
    """G4: 200 changes, raced."""
    race(home, 100)


@pytest.mark.long
def test_g4_raced_ten_thousand_times(home):
    """G4: the same, 10,000 times."""
    race(home, 5000)


# ---- for caches ------------------------------------------------------------------------------------------------------

def test_headers_for_caches(home, client):
    """RFC 5019, section 6: how long a cache may keep it, far short of nextUpdate; and a client that has it gets 304."""
    device = register(home)
    data = request([client.issuer.cert_id(serial_of(device))])
    reply = client.get(data)
    single = ocsp.load_der_ocsp_response(reply.body)
    headers = reply.headers
    age = dict(p.split("=") for p in headers["Cache-Control"].replace("public, ", "").split(", ") if "=" in p)["max-age"]
    assert headers["Cache-Control"].startswith("public") and 0 < int(age) <= 60
    at = email.utils.parsedate_to_datetime
    assert at(headers["Last-Modified"]).replace(tzinfo=None) == single.this_update
    assert at(headers["Date"]) < at(headers["Expires"]) and at(headers["Expires"]).replace(tzinfo=None) <= single.next_update
    again = client.get(data)
    assert (again.body, again.headers["ETag"]) == (reply.body, headers["ETag"])
    for condition in ({"If-None-Match": headers["ETag"]}, {"If-Modified-Since": headers["Last-Modified"]}):
        spared = client.get(data, condition)
        assert (spared.status, spared.body, spared.headers["ETag"]) == (304, b"", headers["ETag"])
    head = client.send("HEAD", path_of(data))
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", headers["ETag"])
    assert int(head.headers["Content-Length"]) == len(reply.body)
    act(home, device, "revoke")
    changed = client.get(data, {"If-None-Match": headers["ETag"]})
    assert changed.status == 200 and changed.headers["ETag"] != headers["ETag"]
    posted = client.send("POST", "/ocsp", data)
    assert posted.body == changed.body and posted.headers["Cache-Control"] == "no-store"


# ---- other clients ---------------------------------------------------------------------------------------------------

def openssl(home, *args, method="POST"):
    """What `openssl ocsp` prints for these certificates and serials; it must find the answer verified."""
    issuer, root = home.dir / "ca/issuing.crt", home.dir / "ca/root.crt"
    out = muster.run("openssl", "ocsp", "-issuer", issuer, "-CAfile", root, "-url",
                     f"http://127.0.0.1:{home.pki_port}/ocsp", *args)
    assert b"Response verify OK" in out.stderr, out.stderr
    return out.stdout.decode(), out.stderr.decode()


def test_openssl(home):
    """POST with a nonce and without, one certificate and several."""
    devices = [register(home) for _ in range(3)]
    act(home, devices[1], "revoke", {"reason": "keyCompromise"})
    act(home, devices[2], "suspend")
    serials = [f"0x{d['certificate']['serial']}" for d in devices] + ["0x1234"]
    said = ["good", "revoked", "revoked", "unknown"]
    for more in ([], ["-no_nonce"], ["-sha256"], ["-sha256", "-no_nonce"]):
        for serial, status in zip(serials, said):
            out, err = openssl(home, *more, "-serial", serial)
            assert f"{serial}: {status}" in out
            assert ("no nonce in response" in err) is False
        out, _ = openssl(home, *more, *sum((["-serial", s] for s in serials), []))
        for serial, status in zip(serials, said):
            assert f"{serial}: {status}" in out
        assert "Reason: keyCompromise" in out and "Reason: certificateHold" in out


def test_openssl_by_get(home):
    """A request that openssl wrote, by curl, and the answer read by openssl."""
    serial = f"0x{register(home)['certificate']['serial']}"
    issuer, asked, answered = home.dir / "ca/issuing.crt", home.base / "asked.der", home.base / "answered.der"
    muster.run("openssl", "ocsp", "-issuer", issuer, "-serial", serial, "-no_nonce", "-reqout", asked)
    muster.run("curl", "-sf", "-o", answered, f"http://127.0.0.1:{home.pki_port}{path_of(asked.read_bytes())}")
    out = muster.run("openssl", "ocsp", "-issuer", issuer, "-CAfile", home.dir / "ca/root.crt", "-serial", serial,
                     "-no_nonce", "-respin", answered)
    assert f"{serial}: good".encode() in out.stdout and b"Response verify OK" in out.stderr


def gnutls(home, pem, name):
    """What GnuTLS' ocsptool finds out about a certificate, from its AIA on."""
    path = home.base / f"{name}.pem"
    path.write_text(pem)
    out = subprocess.run(["ocsptool", f"--ask=http://localhost:{home.pki_port}/ocsp", "--load-cert", path, "--load-issuer",
                          home.dir / "ca/issuing.crt", "--load-trust", home.dir / "broker/ca.pem"],
                         capture_output=True, timeout=60, check=False)
    text = (out.stdout + out.stderr).decode()
    assert "OCSP Response Information:" in text and "Verifying OCSP Response: Success" in text, text
    return "revoked" if "Certificate Status: revoked" in text else "good" if "Certificate Status: good" in text else "unknown"


def agree(home, client, number, tools):
    """NUMBER random certificates in every state; every client says of each the same, and the truth. The tools, which take a
    process each, look at the first TOOLS."""
    rng = random.Random(number)
    states = {"good": None, "held": "suspend", "revoked": "revoke", "superseded": "package"}
    devices = []
    for i in range(number):
        device, state = register(home), rng.choice(list(states)) if i >= len(states) else list(states)[i]
        if states[state]:
            act(home, device, states[state], {"key": "ec-p256"} if state == "package" else None)
        devices.append((device, state))
    order = list(range(number))
    rng.shuffle(order)
    for i in order:
        device, state = devices[i]
        want = {"good": GOOD}.get(state, REVOKED)
        reason = {"held": HOLD, "superseded": x509.ReasonFlags.superseded}.get(state)
        for _ in range(2):  # from the signer, and from memory
            single = client.single(serial_of(device), md=rng.choice((SHA1, SHA256)), get=rng.random() < 0.5,
                                   nonce=rng.choice((None, b"z")))
            assert (single.certificate_status, single.revocation_reason) == (want, reason), state
    for i in order[:tools]:
        device, state = devices[i]
        want = "good" if state == "good" else "revoked"
        serial = f"0x{device['certificate']['serial']}"
        assert f"{serial}: {want}" in openssl(home, "-serial", serial)[0]
        assert gnutls(home, device["certificate"]["pem"], f"g{i}") == want


def test_clients_agree(home, client):
    """python3-cryptography, openssl and GnuTLS on certificates in every state."""
    agree(home, client, 40, 8)


@pytest.mark.long
def test_clients_agree_on_a_thousand(home, client):
    """The same on 1,000."""
    agree(home, client, 1000, 1000)


# ---- when something is away ------------------------------------------------------------------------------------------

@pytest.mark.long
def test_g5_the_signer_is_away(fresh):
    """G5: what is in memory goes on, the rest is tryLater, and a revocation that was stored meanwhile is in neither."""
    home = fresh().start()
    client = Client(home)
    kept, revoked, new = (register(home) for _ in range(3))
    for device in (kept, revoked):
        assert client.status(serial_of(device)) == GOOD
    pid = home.child("signer")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert client.status(serial_of(kept)) == GOOD
        # Stored, but not in the signer's log: it is not acknowledged, and not "good" any more either.
        assert home.request("POST", f"/v1/devices/{revoked['id']}/revoke", {}).status == 503
        for device in (revoked, new):
            assert error_of(client, request([client.issuer.cert_id(serial_of(device))])) == STATUS.TRY_LATER
        assert client.status(serial_of(kept)) == GOOD
    finally:
        os.kill(pid, signal.SIGCONT)
    muster.wait_for(lambda: error_of(client, request([client.issuer.cert_id(serial_of(new))])) == STATUS.SUCCESSFUL, 20, "answers")
    assert client.status(serial_of(revoked)) == REVOKED
    os.kill(home.child("signer"), signal.SIGKILL)
    assert client.status(serial_of(kept)) == GOOD
    muster.wait_for(lambda: error_of(client, request([client.issuer.cert_id(5)])) == STATUS.SUCCESSFUL, 20, "answers")


def test_strangers_are_limited(fresh):
    """Each address has its share of signatures; what is in memory costs nobody anything."""
    home = fresh(settings={"limits.ocsp_per_min": "20"}).start()
    client, device = Client(home), register(home)
    assert client.status(serial_of(device)) == GOOD
    answers = [client.send("POST", "/ocsp", request([client.issuer.cert_id(n)])) for n in range(25)]
    assert [a.status for a in answers].count(429) >= 5 and answers[-1].headers["Retry-After"]
    assert client.status(serial_of(device)) == GOOD
    limits = {limit["name"]: limit for limit in home.request("GET", "/v1/limits").json["items"]}
    assert limits["ocsp"]["per_min"] == 20 and limits["ocsp"]["refused"] >= 5


# ---- stapling --------------------------------------------------------------------------------------------------------

def stapled(home, *args):
    """What s_client says of the answer that came with the server's certificate; "" if none did."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{home.api_port}", "-servername", "localhost", "-status",
                          "-CAfile", home.dir / "ca/root.crt", *args], input=b"", capture_output=True, timeout=30, check=False)
    text = out.stdout.decode(errors="replace")
    assert "OCSP response:" in text, text
    return "" if "no response sent" in text else text


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_stapled(home, version):
    """The API's listener gives the answer about its own certificate along with it, to who asks."""
    text = muster.wait_for(lambda: stapled(home, version), 10, "an answer in the handshake")
    serial = certificate(home.dir / "tls/server.crt").serial_number
    assert "OCSP Response Status: successful" in text and "Cert Status: good" in text
    assert f"{serial:040X}" in text


def test_stapled_answer_of_another_certificate(fresh):
    """After a reload the answer is about the new certificate, never about the old; one of another CA's gets none, for its
    status is not ours to tell."""
    home = fresh().start()
    muster.wait_for(lambda: stapled(home), 10, "an answer in the handshake")
    key, made = home.dir / "tls/server.key", home.dir / "tls/server.crt"
    before = made.read_bytes()
    muster.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               home.base / "k.pem", "-out", home.base / "c.pem", "-subj", "/CN=localhost", "-days", "2")
    kept = key.read_bytes()
    key.write_bytes((home.base / "k.pem").read_bytes())
    made.write_bytes((home.base / "c.pem").read_bytes())
    reloaded = sum("certificate reloaded" in line for line in home.process.lines)

    def reload():
        nonlocal reloaded
        home.process.child.send_signal(signal.SIGHUP)
        reloaded += 1
        muster.wait_for(lambda: sum("certificate reloaded" in line for line in home.process.lines) >= reloaded, 10, "the reload")

    reload()
    assert stapled(home) == ""
    key.write_bytes(kept)
    made.write_bytes(before)
    reload()
    assert "Cert Status: good" in muster.wait_for(lambda: stapled(home), 10, "an answer in the handshake")
