"""Devices that make their own keys: enrolment tokens and EST, by clients nobody here wrote (strongSwan's pki, curl, openssl)."""

import base64
import email
import json
import re
import shutil
import subprocess
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import muster
import pytest
import signerlog
from muster import run, wait_for
from pluginbroker import Client, PluginBroker

EST = "/.well-known/est/"


class Device:
    """A device's own files: its key, its requests, its certificates."""

    def __init__(self, home, name, curve="P-256"):
        self.home, self.name = home, name
        self.dir = home.base / f"est-{time.monotonic_ns()}"
        self.dir.mkdir()
        self.key = self.new_key("device.key", curve)
        self.cert = self.dir / "device.crt"
        self.id = None

    def new_key(self, file, curve="P-256"):
        path = self.dir / file
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", path)
        return path

    def request(self, key=None, subject=None, extra=()):
        """PKCS#10, DER."""
        return run("openssl", "req", "-new", "-key", key or self.key, "-subj", subject or f"/CN={self.name}", "-outform",
                   "DER", *extra).stdout

    def keep(self, der):
        """Take a certificate, as the answer has it or as a client has taken it out."""
        self.cert.write_bytes(run("openssl", "x509", "-inform", "DER", input=der).stdout)
        self.id = re.search(r"CN ?= ?([0-9a-f-]{36})", self.text("-subject"))[1]

    def text(self, *what):
        return run("openssl", "x509", "-in", self.cert, "-noout", *what).stdout.decode()

    def tls(self, key=None):
        return self.home.tls(self.cert, key or self.key)

    def subject(self):
        """Of the certificate, as openssl req takes it."""
        line = self.text("-subject", "-nameopt", "RFC2253,sep_comma_plus").strip().removeprefix("subject=")
        return "/" + "/".join(reversed(line.strip().split(",")))


def token(home, **members):
    reply = home.request("POST", "/v1/tokens", {"type": "pump", **members})
    assert reply.status == 201, reply.body
    return reply.json


def basic(secret, user="any"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def post(home, path, der, secret=None, tls=None, body=None, headers=None):
    headers = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64", **(headers or {}),
               **(basic(secret) if secret else {})}
    return home.request("POST", EST + path, body if body is not None else base64.b64encode(der).decode(), token=None,
                        headers=headers, tls=tls)


def certificates(body):
    """The PEM certificates of a certs-only message, as openssl reads it."""
    said = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(body)).stdout.decode()
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", said, re.S)


def leaf(reply):
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert reply.headers["Content-Transfer-Encoding"] == "base64"
    found = certificates(reply.body)
    assert len(found) == 1
    return run("openssl", "x509", "-outform", "DER", input=found[0].encode()).stdout


def enrol(home, name="Pump", **members):
    device = Device(home, name)
    device.keep(leaf(post(home, "simpleenroll", device.request(), token(home, **members)["token"])))
    return device


def rows(home, device):
    return home.request("GET", f"/v1/devices/{device.id}/certificates").json["items"]


# ---- what everybody may fetch ------------------------------------------------------------------------------------------


def test_cacerts(home):
    for path in ("cacerts", "constrained/cacerts"):
        reply = home.request("GET", EST + path, token=None)
        assert reply.status == 200 and reply.headers["Content-Type"] == "application/pkcs7-mime"
        found = certificates(reply.body)
        assert {pem.strip() for pem in found} == {(home.dir / "ca" / f).read_text().strip() for f in ("issuing.crt", "root.crt")}


def test_csrattrs(home):
    for path, expected in (("csrattrs", ["rsaEncryption", "sha256WithRSAEncryption"]),
                           ("constrained/csrattrs", ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"])):
        reply = home.request("GET", EST + path, token=None)
        assert reply.status == 200 and reply.headers["Content-Type"] == "application/csrattrs"
        said = run("openssl", "asn1parse", "-inform", "DER", input=base64.b64decode(reply.body)).stdout.decode()
        assert re.findall(r"OBJECT +:(\S+)", said) == expected, said
    assert home.request("GET", EST + "nothing/csrattrs", token=None).status == 404


# ---- clients of others -------------------------------------------------------------------------------------------------


def pki(*args, **kwargs):
    return run("pki", *args, **kwargs)


def test_strongswan_enrols_and_renews(home):
    """F2, F5: strongSwan's client does both halves; renewal keeps id and subject, and sends the new key."""
    made = token(home, name="line 3", location="hall 3", profile="constrained")
    base = home.base / "strongswan"
    base.mkdir()
    for name in ("one", "two"):
        (base / f"{name}.key").write_bytes(pki("--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem").stdout)
    (base / "one.req").write_bytes(pki("--req", "--type", "ecdsa", "--in", base / "one.key", "--dn", "CN=Pump 7",
                                       "--outform", "pem").stdout)
    url = f"https://localhost:{home.api_port}"
    trust = ("--cacert", home.dir / "ca/root.crt")
    fetched = base / "cacerts"
    pki("--estca", "--url", url, *trust, "--caout", fetched, "--outform", "pem", "--force")
    pems = b"".join(p.read_bytes() for p in base.glob("cacerts*"))
    assert pems.count(b"BEGIN CERTIFICATE") == 2
    (base / "one.crt").write_bytes(pki("--est", "--url", url, *trust, "--in", base / "one.req", "--userpass",
                                       f"any:{made['token']}", "--outform", "pem").stdout)
    device = Device(home, "Pump 7")
    device.keep(run("openssl", "x509", "-in", base / "one.crt", "-outform", "DER").stdout)
    shown = home.json("device", "show", device.id)
    assert (shown["name"], shown["type"], shown["location"], shown["status"]) == ("Pump 7", "pump", "hall 3", "active")
    run("openssl", "verify", "-CAfile", home.dir / "ca/root.crt", "-untrusted", home.dir / "ca/issuing.crt", base / "one.crt")
    # The subject that the certificate has, with a new key.
    dn = ", ".join(p.strip() for p in device.text("-subject", "-nameopt", "sep_comma_plus_space").strip()
                   .removeprefix("subject=").replace(" = ", "=").split(", "))
    (base / "two.req").write_bytes(pki("--req", "--type", "ecdsa", "--in", base / "two.key", "--dn", dn,
                                       "--outform", "pem").stdout)
    (base / "two.crt").write_bytes(pki("--est", "--url", url, *trust, "--in", base / "two.req", "--cert", base / "one.crt",
                                       "--key", base / "one.key", "--outform", "pem").stdout)
    assert device.id in run("openssl", "x509", "-in", base / "two.crt", "-noout", "-subject").stdout.decode()
    found = rows(home, device)
    assert [c["state"] for c in found] == ["active", "active"] and found[0]["profile"] == "constrained"
    assert found[1]["superseded_by"] == found[0]["serial"]


def test_curl_and_openssl(home):
    made = token(home)
    device = Device(home, "by curl")
    body = device.dir / "req.b64"
    body.write_bytes(base64.encodebytes(device.request()))  # wrapped at 76
    answer = run("curl", "-sS", "--fail-with-body", "--cacert", home.dir / "ca/root.crt", "--anyauth", "-u",
                 f"x:{made['token']}", "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{body}",
                 f"https://localhost:{home.api_port}{EST}simpleenroll").stdout
    device.keep(run("openssl", "x509", "-outform", "DER", input=certificates(answer)[0].encode()).stdout)
    assert home.json("device", "show", device.id)["name"] == "by curl"


@pytest.mark.parametrize("wrap", [None, "64", "crlf", "76"])
def test_bodies_wrapped_or_not(home, wrap):
    text = base64.b64encode(Device(home, f"wrap {wrap}").request()).decode()
    if wrap:
        text = ("\r\n" if wrap == "crlf" else "\n").join(textwrap.wrap(text, 64 if wrap in ("64", "crlf") else 76)) + "\n"
    reply = home.request("POST", EST + "simpleenroll", text, token=None,
                         headers={"Content-Type": "application/pkcs10", **basic(token(home)["token"])})
    leaf(reply)


def test_the_server_makes_the_key(home):
    """serverkeygen: key and certificate in one message, once."""
    made = token(home, name="keyless")
    asking = Device(home, "Keyless")
    reply = post(home, "serverkeygen", asking.request(), made["token"])
    assert reply.status == 200, reply.body
    message = email.message_from_bytes(b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n" + reply.body)
    key, certificate = message.get_payload()
    assert (key.get_content_type(), certificate.get_content_type()) == ("application/pkcs8", "application/pkcs7-mime")
    (asking.dir / "made.der").write_bytes(key.get_payload(decode=True))
    asking.keep(run("openssl", "x509", "-outform", "DER", input=certificates(certificate.get_payload())[0].encode()).stdout)
    public = run("openssl", "pkey", "-inform", "DER", "-in", asking.dir / "made.der", "-pubout").stdout.decode()
    assert public == asking.text("-pubkey")
    assert public != run("openssl", "pkey", "-in", asking.key, "-pubout").stdout.decode()
    assert post(home, "serverkeygen", asking.request(), made["token"]).status == 409
    secret = key.get_payload().replace("\n", "").encode()[60:120]  # what is before every key has
    assert all(secret not in p.read_bytes().replace(b"\n", b"") for p in home.dir.rglob("*") if p.is_file() and p.name != "server.key")


# ---- tokens ------------------------------------------------------------------------------------------------------------


def test_f6_a_token_is_used_up_expires_and_is_revoked(fresh):
    """F6"""
    home = fresh().start()
    counted = token(home, uses=2)
    for i in range(2):
        leaf(post(home, "simpleenroll", Device(home, f"d{i}").request(), counted["token"]))
    late = Device(home, "too late")
    assert post(home, "simpleenroll", late.request(), counted["token"]).status == 410
    assert home.json("token", "list", "--all")["items"][0]["uses"] == 2
    short = token(home, valid="1s")
    time.sleep(1.2)
    assert post(home, "simpleenroll", late.request(), short["token"]).status == 401
    taken = token(home, uses=5)
    home.cli("token", "revoke", taken["id"])
    assert post(home, "simpleenroll", late.request(), taken["token"]).status == 401
    assert home.request("POST", f"/v1/tokens/{taken['id']}/revoke").status == 409
    assert home.request("POST", "/v1/tokens/00000000-0000-4000-8000-000000000000/revoke").status == 404
    # Nothing was left behind by those that were refused, and nothing was signed for them.
    assert {d["name"] for d in home.json("device", "list", "--all")["items"]} == {"d0", "d1"}
    log = (home.dir / "signer.log").read_bytes()
    assert late.request(subject="/CN=x")[-10:] not in log


def test_f6_one_use_and_many_at_once(home):
    """F6: a token of one use makes one device, however many ask at the same time."""
    made = token(home, name="race")
    devices = [Device(home, f"race {i}") for i in range(8)]
    requests = [d.request() for d in devices]
    with ThreadPoolExecutor(8) as pool:
        found = [r.status for r in pool.map(lambda der: post(home, "simpleenroll", der, made["token"]), requests)]
    assert sorted(found) == [200] + [410] * 7
    assert len([d for d in home.json("device", "list", "--search", "race ", "--all")["items"]]) == 1


def test_f6_guesses_are_throttled(fresh):
    """F6"""
    home = fresh(settings={"limits.auth_failures_per_min": "5"}).start()
    der = Device(home, "guess").request()
    found = [post(home, "simpleenroll", der, f"muster_enrol_{i:043d}") for i in range(8)]
    assert [r.status for r in found] == [401] * 5 + [429] * 3
    assert found[0].headers["WWW-Authenticate"].startswith("Basic ")
    assert int(found[-1].headers["Retry-After"]) > 0


def test_f7_what_opens_nothing_else(home):
    """F7, H1: an enrolment token enrols and does nothing else; an operator's token, a device's or a broker's certificate does
    not enrol; a token does not renew."""
    made = token(home, uses=3)
    device = Device(home, "only")
    der = device.request()
    for headers in (basic(made["token"]), {"Authorization": f"Bearer {made['token']}"}):
        assert home.request("GET", "/v1/devices", token=None, headers=headers).status in (401, 403)
        assert home.request("POST", "/v1/devices", {"name": "x", "type": "t"}, token=None,
                            headers=headers).status in (401, 403)
    assert post(home, "simpleenroll", der).status == 401
    assert post(home, "simpleenroll", der, home.token).status == 401
    assert home.request("POST", EST + "simpleenroll", base64.b64encode(der).decode(),
                        headers={"Content-Type": "application/pkcs10"}).status == 403
    device.keep(leaf(post(home, "simpleenroll", der, made["token"])))
    other = Device(home, "other").request()
    assert post(home, "simpleenroll", other, tls=device.tls()).status == 403
    assert post(home, "simplereenroll", device.request(subject=device.subject()), made["token"]).status == 403
    broker = home.tls(home.dir / "broker/broker.crt", home.dir / "broker/broker.key")
    assert post(home, "simplereenroll", der, tls=broker).status == 403
    for path in ("/v1/devices", "/v1/feed", "/v1/audit"):
        assert home.request("GET", path, token=None, tls=device.tls()).status == 403


def test_a_token_says_what_the_device_becomes(home):
    home.cli("policy", "set", "gates", "--write", "gates/{id}")
    made = token(home, type="gate", location="yard", policy="gates", profile="short", name="gate")
    device = Device(home, "Gate 1")
    # Names and usages that a request asks for are not what decides.
    der = device.request(extra=("-addext", "subjectAltName=DNS:evil.example", "-addext", "basicConstraints=CA:TRUE"))
    assert post(home, "constrained/simpleenroll", der, made["token"]).status == 403
    device.keep(leaf(post(home, "short/simpleenroll", der, made["token"])))
    shown = home.json("device", "show", device.id)
    assert (shown["type"], shown["location"], shown["policy"]) == ("gate", "yard", "gates")
    assert rows(home, device)[0]["profile"] == "short"
    assert "evil.example" not in device.text("-ext", "subjectAltName") and "CA:TRUE" not in device.text("-text")
    for bad, field in (({"type": None}, "type"), ({"policy": "none"}, "policy"), ({"profile": "none"}, "profile"),
                       ({"uses": 0}, "uses"), ({"uses": 1.5}, "uses"), ({"valid": "400d"}, "valid"), ({"type": "a b"}, "type"),
                       ({"device_id": "x"}, "device_id"), ({"name": "x" * 65}, "name"), ({"colour": "red"}, "colour")):
        reply = home.request("POST", "/v1/tokens", {"type": "pump", **bad})
        assert reply.status in (400, 404) and reply.json["errors"][0]["field"] == field, (bad, reply.body)


def test_a_pending_device(home):
    """A device that is known before it has a key: one token, for it alone, once."""
    made = home.request("POST", "/v1/devices", {"name": "Awaited", "type": "valve", "pending": True}).json
    assert made["status"] == "pending" and made["certificate"] is None and made["package"] is None
    assert home.request("POST", "/v1/devices", {"name": "x", "type": "t", "pending": True, "key": "ec-p256"}).status == 400
    known = {"name": "Awaited", "type": "valve", "pending": True}
    again = [home.request("POST", "/v1/devices", known, headers={"Idempotency-Key": "awaited"}) for _ in range(2)]
    assert [r.status for r in again] == [201, 201] and again[0].json["id"] == again[1].json["id"]
    reply = home.request("POST", "/v1/tokens", {"device_id": made["id"], "type": "valve"})
    assert reply.status == 400 and reply.json["errors"][0]["field"] == "device_id"
    tokens = [json.loads(home.cli("--json", "token", "create", "--device", made["id"]).stdout) for _ in range(2)]
    device = Device(home, "whatever it says")
    device.keep(leaf(post(home, "simpleenroll", device.request(), tokens[0]["token"])))
    assert device.id == made["id"]
    shown = home.json("device", "show", device.id)
    assert (shown["name"], shown["status"]) == ("Awaited", "active")
    # Its other token is for a pending device, which it is no more.
    assert post(home, "simpleenroll", Device(home, "thief").request(), tokens[1]["token"]).status == 409
    assert home.request("POST", "/v1/tokens", {"device_id": made["id"]}).status == 409
    # One that is revoked before it came never comes.
    gone = json.loads(home.cli("--json", "device", "register", "--name", "Gone", "--type", "valve", "--pending").stdout)
    ticket = token(home, type=None, device_id=gone["id"])
    home.cli("device", "revoke", gone["id"])
    assert post(home, "simpleenroll", Device(home, "gone").request(), ticket["token"]).status == 409


# ---- renewal -----------------------------------------------------------------------------------------------------------


def test_f5_a_lost_reply_is_asked_for_again(home):
    """F5: the same key again, enrolment or renewal, one after the other or at once: the same certificate, one row."""
    made = token(home, name="lost")
    device = Device(home, "lost")
    der = device.request()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: leaf(post(home, "simpleenroll", der, made["token"])), range(4)))
    assert len(set(found)) == 1
    assert leaf(post(home, "simpleenroll", device.request(subject="/CN=another name"), made["token"])) == found[0]
    device.keep(found[0])
    assert len(rows(home, device)) == 1
    renewed = device.request(device.new_key("new.key"), device.subject())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: leaf(post(home, "simplereenroll", renewed, tls=device.tls())), range(4)))
    assert len(set(found)) == 1 and len(rows(home, device)) == 2
    # A revoked device is not given it again.
    home.cli("device", "revoke", device.id)
    assert post(home, "simpleenroll", der, made["token"]).status == 409
    assert post(home, "simplereenroll", renewed, tls=device.tls()).status == 401


def test_f2_another_subject(home):
    """F2"""
    device, other = enrol(home, "mine"), enrol(home, "theirs")
    key = device.new_key("new.key")
    for subject in ("/CN=mine", other.subject(), "/O=x" + device.subject(), device.subject() + "/OU=more"):
        reply = post(home, "simplereenroll", device.request(key, subject), tls=device.tls())
        assert reply.status == 400 and "subject" in reply.json["detail"], subject
    reply = post(home, "simplereenroll", device.request(key, device.subject(), ("-addext", "subjectAltName=DNS:more.example")),
                 tls=device.tls())
    assert reply.status == 400 and "subjectAltName" in reply.json["detail"]
    assert len(rows(home, device)) == 1
    # D7: with another device's key, or with its own old one
    assert post(home, "simplereenroll", device.request(other.key, device.subject()), tls=device.tls()).status == 409
    assert post(home, "simplereenroll", device.request(subject=device.subject()), tls=device.tls()).status == 409


def test_names_survive_a_renewal(home):
    """What the operator gave at registration (SANs) is in the renewed certificate, too."""
    device = Device(home, "named")
    made = home.request("POST", "/v1/devices", {"name": "named", "type": "t", "csr": run(
        "openssl", "req", "-inform", "DER", input=device.request()).stdout.decode(),
        "san": ["DNS:pump.example.org", "IP:192.0.2.9", "URI:urn:x:9"]}).json
    device.cert.write_text(made["certificate"]["pem"])
    names = device.text("-ext", "subjectAltName")
    key = device.new_key("new.key")
    device.keep(leaf(post(home, "simplereenroll", device.request(key, device.subject()), tls=device.tls())))
    assert device.text("-ext", "subjectAltName") == names and "192.0.2.9" in names


def test_f4_the_overlap_ends(fresh):
    """F4: old and new are good side by side, then the old one is refused by the api, on the CRL, and superseded."""
    home = fresh(settings={"rotation.overlap": "3s"}).start()
    device = enrol(home)
    old, key = device.tls(), device.new_key("new.key")
    leaf(post(home, "simplereenroll", device.request(device.new_key("lost.key"), device.subject()), tls=old))
    assert [c["state"] for c in rows(home, device)] == ["active", "active"]
    # Until then, the old one may renew once more: the new one may have been lost with its key.
    renewed = leaf(post(home, "simplereenroll", device.request(key, device.subject()), tls=old))
    wait_for(lambda: [c["state"] for c in rows(home, device)][2] == "revoked", 10, "the end of the overlap")
    found = rows(home, device)
    assert found[2]["reason"] == "superseded" and found[2]["superseded_by"] == found[1]["serial"]
    assert post(home, "simplereenroll", device.request(device.new_key("4.key"), device.subject()), tls=old).status == 401
    wait_for(lambda: found[2]["serial"].upper() in run("openssl", "crl", "-inform", "DER", "-noout", "-text", input=home.pki(
        "/crl/issuing.crl").body).stdout.decode(), 5, "its serial on the list")
    wait_for(lambda: [c["state"] for c in rows(home, device)] == ["active", "revoked", "revoked"], 10, "the lost one's end")
    device.keep(renewed)
    assert post(home, "simplereenroll", device.request(device.new_key("5.key"), device.subject()),
                tls=device.tls(key)).status == 200
    assert [r["action"] for r in home.json("audit", "list", "--all")["items"]].count("certificate.retire") >= 1
    home.cli("audit", "verify")


def test_f4_the_new_certificate_at_the_broker_ends_the_old_one(fresh):
    """F4, C6: as soon as a broker has seen the new one, the old one is revoked, long before the overlap is over, and its
    session is cut; before that, both connect."""
    home = fresh().start()
    broker = PluginBroker(home)
    try:
        broker.said(r"muster: a new table of \d+ devices and services, at change")
        device = enrol(home, "at the broker")
        shutil.copy(home.dir / "ca/root.crt", device.dir / "ca.crt")
        old = muster.Credentials(home, device.dir, device.id)
        chain = (home.dir / "ca/issuing.crt").read_bytes()
        wait_for(old.connects, 5, "the new device at the broker")
        session = Client(old, broker)
        new = device.dir / "new"
        new.mkdir()
        renewed = leaf(post(home, "simplereenroll", device.request(device.new_key("new/device.key"), device.subject()),
                            tls=device.tls()))
        time.sleep(2.5)  # the old one's connections were reported meanwhile, and mean nothing
        assert [c["state"] for c in rows(home, device)] == ["active", "active"]
        assert old.connects()
        session = Client(old, broker)
        (new / "device.crt").write_bytes(run("openssl", "x509", "-inform", "DER", input=renewed).stdout + chain)
        shutil.copy(device.dir / "ca.crt", new)
        successor = muster.Credentials(home, new, device.id)
        assert successor.connects()
        wait_for(lambda: [c["state"] for c in rows(home, device)] == ["active", "revoked"], 10, "the old one's end")
        assert rows(home, device)[1]["reason"] == "superseded"
        wait_for(lambda: not old.connects(), 5, "the broker refuses the old one")
        assert successor.connects()
        session.close()
    finally:
        broker.stop()


def test_renewals_are_bounded(home):
    device = enrol(home, "busy")
    for i in range(3):
        leaf(post(home, "simplereenroll", device.request(device.new_key(f"{i}.key"), device.subject()), tls=device.tls()))
    assert post(home, "simplereenroll", device.request(device.new_key("x.key"), device.subject()),
                tls=device.tls()).status == 409
    home.cli("device", "revoke", device.id)
    assert {c["state"] for c in rows(home, device)} == {"revoked"}


def test_f1_certificates_that_do_not_renew(home):
    """F1: revoked, on hold, self-signed, another CA's of the same name."""
    device = enrol(home, "held")
    key = device.new_key("new.key")
    der = device.request(key, device.subject())
    home.cli("device", "suspend", device.id)
    assert post(home, "simplereenroll", der, tls=device.tls()).status == 401
    home.cli("device", "resume", device.id)
    genuine = device.cert.read_bytes()
    issuer = device.text("-issuer", "-nameopt", "RFC2253,sep_comma_plus").strip().removeprefix("issuer=")
    subject = "/" + "/".join(reversed(issuer.split(",")))
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        device.dir / "ca2.key", "-out", device.dir / "ca2.crt", "-subj", subject)
    for extra in ((), ("-CA", device.dir / "ca2.crt", "-CAkey", device.dir / "ca2.key")):
        device.cert.write_bytes(run("openssl", "req", "-x509", "-key", device.key, "-subj", device.subject(), *extra).stdout)
        assert post(home, "simplereenroll", der, tls=device.tls()).status == 401, extra
    device.cert.write_bytes(genuine)
    leaf(post(home, "simplereenroll", der, tls=device.tls()))
    home.cli("device", "revoke", device.id)
    assert post(home, "simplereenroll", der, tls=device.tls()).status == 401


# ---- attestation -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attesting():
    """A service with a profile whose devices must answer a challenge, and one token for it."""
    h = muster.Home()
    with open(h.dir / "muster.conf", "a") as f:
        f.write("\n[profile proven]\nkeys = ec-p256\nattest = on\n")
    h.start()
    yield h
    h.close()
    shutil.rmtree(h.base, ignore_errors=True)


def challenge(home, secret=None, tls=None):
    reply = home.request("POST", "/v1/attest/challenge", token=None, headers=basic(secret) if secret else {}, tls=tls)
    assert reply.status == 201, reply.body
    return reply.json["nonce"]


def answering(device, nonce, key=None, subject=None):
    """A request with NONCE as challengePassword, by openssl."""
    names = "\n".join((subject or f"/CN={device.name}").strip("/").split("/"))
    config = device.dir / "req.cnf"
    config.write_text(f"[req]\nprompt = no\ndistinguished_name = dn\nattributes = at\nstring_mask = utf8only\n[dn]\n{names}\n"
                      f"[at]\nchallengePassword = {nonce}\n")
    return run("openssl", "req", "-new", "-key", key or device.key, "-config", config, "-outform", "DER").stdout


def issued(home):
    """The serial numbers of all that was ever signed for somebody, by the signer's own log: lists and the responder's own
    certificate come when they are due."""
    return {row.serial for row in signerlog.read(home.dir / "signer.log") if row.kind == signerlog.ISSUED}


def test_a_challenge_is_signed_with_the_key(attesting):
    home = attesting
    secret = token(home, profile="proven", uses=2)["token"]
    device = Device(home, "Proven")
    said = run("openssl", "asn1parse", "-inform", "DER", input=base64.b64decode(home.request(
        "GET", EST + "proven/csrattrs", token=None).body)).stdout.decode()
    assert ":challengePassword" in said
    device.keep(leaf(post(home, "simpleenroll", answering(device, challenge(home, secret)), secret)))
    # and for the renewal, by strongSwan
    key, nonce = device.new_key("new.key"), challenge(home, tls=device.tls())
    der = run("pki", "--req", "--type", "ecdsa", "--in", key, "--dn", f"CN={device.id}", "--password", nonce).stdout
    leaf(post(home, "simplereenroll", der, tls=device.tls()))
    # The answer was lost: the same request again is no replay.
    leaf(post(home, "simplereenroll", der, tls=device.tls()))
    # An operator's registration of a device's own key, too.
    other = Device(home, "By an operator")
    nonce = home.request("POST", "/v1/attest/challenge").json["nonce"]
    csr = run("openssl", "req", "-inform", "DER", input=answering(other, nonce)).stdout.decode()
    assert home.request("POST", "/v1/devices", {"name": "x", "type": "t", "profile": "proven", "csr": csr}).status == 201


def test_j1_replayed_and_foreign_challenges(attesting):
    """J1: a nonce that was used, another token's, another device's, an operator's, or one from before a restart."""
    home = attesting
    secret, other = (token(home, profile="proven", uses=9)["token"] for _ in range(2))
    device = Device(home, "first")
    nonce = challenge(home, secret)
    device.keep(leaf(post(home, "simpleenroll", answering(device, nonce), secret)))
    second = Device(home, "second")
    second.keep(leaf(post(home, "simpleenroll", answering(second, challenge(home, secret)), secret)))
    before = issued(home)
    attempts = [("replayed", nonce, secret), ("another token's", challenge(home, other), secret),
                ("an operator's", home.request("POST", "/v1/attest/challenge").json["nonce"], secret),
                ("a device's", challenge(home, tls=device.tls()), secret)]
    for what, value, by in attempts:
        reply = post(home, "simpleenroll", answering(Device(home, what), value), by)
        assert reply.status == 403 and "challenge" in reply.json["detail"], (what, reply.body)
    key = second.new_key("new.key")
    for value in (nonce, challenge(home, tls=device.tls()), challenge(home, secret)):
        assert post(home, "simplereenroll", answering(second, value, key, second.subject()), tls=second.tls()).status == 403
    assert issued(home) == before, "something was signed"
    late, kept = challenge(home, secret), Device(home, "late")
    home.stop()
    home.start()
    before = issued(home)
    assert post(home, "simpleenroll", answering(kept, late), secret).status == 403
    assert issued(home) == before, "something was signed"
    leaf(post(home, "simpleenroll", answering(kept, challenge(home, secret)), secret))


def test_j4_no_error_ends_in_a_certificate(attesting):
    """J4: whatever is wrong with the challenge, or with the request that carries it, nothing is signed."""
    home = attesting
    secret = token(home, profile="proven", uses=9)["token"]
    device = Device(home, "unproven")
    good = challenge(home, secret)
    flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
    before = issued(home)
    assert post(home, "simpleenroll", device.request(), secret).status == 403
    for value in ("x", "0" * 80, good[:-2], good + "00", flipped, good[::-1], "0" + good[1:] if good[0] != "0" else "1" + good[1:]):
        reply = post(home, "simpleenroll", answering(device, value), secret)
        assert reply.status == 403 and "challenge" in reply.json["detail"], (value, reply.body)
    forged = bytearray(answering(device, good))
    forged[-1] ^= 1  # the signature over nonce and key
    assert post(home, "simpleenroll", bytes(forged), secret).status == 400
    stolen = answering(device, "a" * 80)
    assert post(home, "simpleenroll", stolen.replace(b"a" * 80, good.encode()), secret).status == 400
    # A key that the server makes has answered nothing.
    assert post(home, "serverkeygen", answering(device, good), secret).status == 400
    for body in ({"key": "ec-p256"}, {}):
        assert home.request("POST", "/v1/devices", {"name": "x", "type": "t", "profile": "proven", **body}).status == 400
    assert home.request("POST", "/v1/attest/challenge", token=None).status == 401
    assert home.request("POST", "/v1/services", {"name": "s", "read": ["x"], "profile": "proven", "csr": run(
        "openssl", "req", "-inform", "DER", input=answering(device, good)).stdout.decode()}).status == 400
    assert issued(home) == before
    leaf(post(home, "simpleenroll", answering(device, good), secret))  # none of them has used it up


# ---- bad input ---------------------------------------------------------------------------------------------------------


def test_what_is_no_request(home):
    """D1, D2, D4, D9 over EST (F8): the same refusals as over REST."""
    secret = token(home, uses=100)["token"]
    der = Device(home, "good").request()
    bad = bytearray(der)
    bad[-1] ^= 1
    weak = run("openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x", "-outform",
               "DER").stdout
    for what, body in (("empty", b""), ("text", b"hello"), ("flipped", bytes(bad)), ("cut", der[:-1]), ("behind", der + b"\0"),
                       ("weak", weak), ("no name", Device(home, "n").request(subject="/O=x"))):
        reply = post(home, "simpleenroll", body, secret)
        assert reply.status == 400 and reply.json["detail"], (what, reply.body)
    for body in ("***", base64.b64encode(der).decode()[:-3], base64.b64encode(der).decode() + "!", "=" * 100):
        assert post(home, "simpleenroll", b"", secret, body=body).status == 400, body
    assert post(home, "simpleenroll", b"", secret, body="A" * 60000).status in (400, 413)
    for kind in ("application/json", "", "application/pkcs10x", "text/plain"):
        assert post(home, "simpleenroll", der, secret, headers={"Content-Type": kind}).status == 400, kind
    for header in ("Basic", "Basic !!", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic " + "A" * 5000):
        reply = home.request("POST", EST + "simpleenroll", base64.b64encode(der).decode(), token=None,
                             headers={"Content-Type": "application/pkcs10", "Authorization": header})
        assert reply.status == 401, header
    assert post(home, "no-such-profile/simpleenroll", der, secret).status == 403
    assert home.json("token", "list", "--all")["items"][-1]["uses"] >= 0


def test_h9_the_secret_is_nowhere(fresh):
    """H9: neither log nor audit, database or list has the token."""
    home = fresh().start()
    made = token(home)
    leaf(post(home, "simpleenroll", Device(home, "quiet").request(), made["token"]))
    post(home, "simpleenroll", Device(home, "quiet").request(), made["token"])
    home.stop()
    secret = made["token"].encode()
    assert secret not in subprocess.run(["cat", *(p for p in home.dir.rglob("*") if p.is_file())],
                                        capture_output=True, check=False).stdout
    home.start()
    assert secret not in home.request("GET", "/v1/tokens").body and secret not in home.request("GET", "/v1/audit").body
