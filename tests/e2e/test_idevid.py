"""First enrolment by a manufacturer's certificate (IEEE 802.1AR): trust anchors, expected serial numbers, and what must not pass
for them. The clients are curl, strongSwan's pki and Python's TLS, which is OpenSSL's."""

import maker
import pytest
from maker import Maker
from muster import run
from test_est import Device, certificates, leaf, post, rows


@pytest.fixture(scope="module")
def acme(home):
    """A manufacturer with a root and an intermediate CA; the service trusts the root, and expects nobody."""
    root = Maker(home.base, "Acme Root")
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--location", "hall 3", "--profile", "constrained")
    return Maker(home.base, "Acme Pumps", parent=root)


def expect(home, *serials, anchor="acme"):
    return home.json("trust", "expect", anchor, *serials)["added"]


def enrol(home, made, device=None, path="simpleenroll", **kwargs):
    device = device or Device(home, f"Pump {made.serial}")
    return device, post(home, path, device.request(**kwargs), tls=made.tls(home))


def enrolled(home, made, device=None, **kwargs):
    device, reply = enrol(home, made, device, **kwargs)
    device.keep(leaf(reply))
    return device


def test_curl_enrols(home, acme):
    """By curl and openssl alone; type, location and profile are the anchor's, the name the request's, the subject ours."""
    made = acme.make("PX-1")
    assert expect(home, "PX-1") == 1 and expect(home, "PX-1") == 0
    device = Device(home, "Pump one")
    body = device.dir / "req.b64"
    body.write_bytes(run("openssl", "base64", input=device.request()).stdout)
    answer = run("curl", "-sS", "--fail-with-body", "--cacert", home.dir / "ca/root.crt", "--cert", made.cert, "--key", made.key,
                 "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{body}",
                 f"https://localhost:{home.api_port}/.well-known/est/simpleenroll").stdout
    device.keep(run("openssl", "x509", "-outform", "DER", input=certificates(answer)[0].encode()).stdout)
    shown = home.json("device", "show", device.id)
    assert (shown["name"], shown["type"], shown["location"], shown["status"]) == ("Pump one", "pump", "hall 3", "active")
    assert rows(home, device)[0]["profile"] == "constrained" and "Acme" not in device.text("-subject")
    listed = home.json("trust", "serials", "acme")["items"]
    assert {"serial": "PX-1", "device_id": device.id, "enrolled": True} in listed
    audited = [r for r in home.request("GET", "/v1/audit?limit=1000").json["items"] if r["target"] == f"device:{device.id}"]
    assert [(r["action"], r["actor"]) for r in audited] == [("device.enrol", f"idevid:{made.fingerprint}")]




def test_gnutls_enrols(home, acme):
    """A client whose TLS keeps certificates back that the server does not ask for by their CA's name (GnuTLS, in wget)."""
    made = acme.make("PX-2")
    expect(home, "PX-2")
    device = Device(home, "Pump two")
    (device.dir / "body").write_text(maker.request_body(device.request()))
    answer = run("wget", "-q", "-O", "-", "--no-proxy", "--ca-certificate", home.dir / "ca/root.crt", "--certificate", made.cert,
                 "--private-key", made.key, "--header", "Content-Type: application/pkcs10", "--post-file", device.dir / "body",
                 f"https://localhost:{home.api_port}/.well-known/est/simpleenroll").stdout
    device.keep(run("openssl", "x509", "-outform", "DER", input=certificates(answer)[0].encode()).stdout)
    assert home.json("device", "show", device.id)["name"] == "Pump two"


def test_strongswan_asks_for_something_else(home, acme):
    """F7: strongSwan's client takes every certificate for one of ours that it renews: simplereenroll, which is no way in."""
    made = acme.make("PX-3")
    expect(home, "PX-3")
    device = Device(home, "Pump three")
    (device.dir / "req.der").write_bytes(device.request())
    url = f"https://localhost:{home.api_port}"
    refused = run("pki", "--est", "--url", url, "--cacert", home.dir / "ca/root.crt", "--cacert", acme.file, "--in",
                  device.dir / "req.der", "--cert", made.cert, "--key", made.key, check=False)
    assert refused.returncode != 0 and b"HTTP 403" in refused.stderr and not refused.stdout
    # What it is for: the certificate that the manufacturer's brought.
    enrolled(home, made, device)
    (device.dir / "next.der").write_bytes(device.request(device.new_key("next.key"), subject=device.subject()))
    renewed = run("pki", "--est", "--url", url, "--cacert", home.dir / "ca/root.crt", "--in", device.dir / "next.der", "--cert",
                  device.cert, "--key", device.key, "--outform", "pem").stdout
    assert device.id in run("openssl", "x509", "-noout", "-subject", input=renewed).stdout.decode()
