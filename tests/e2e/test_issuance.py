"""Part 4: what is in a certificate, for keys of every origin, as programs see it that nobody here wrote."""

import json
import re

import muster
import pytest
from muster import openssl, run


def text_of(path):
    return openssl("x509", "-in", path, "-noout", "-text").stdout.decode()


def make_csr(home, *, algorithm="EC", option="ec_paramgen_curve:P-256", subject="/CN=ignored", der=False, extra=()):
    key, csr = home.base / "csr.key", home.base / "csr.csr"
    openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", key)
    openssl("req", "-new", "-key", key, "-subj", subject, "-out", csr, *(["-outform", "DER"] if der else []), *extra)
    return key, csr


def check_leaf(home, path, id, rsa):
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", home.dir / "ca/root.crt", "-untrusted",
            home.dir / "ca/issuing.crt", path)
    text = text_of(path)
    assert re.search(rf"Subject: (C = .., )?(O = .+, )?CN = {id}\n", text)
    assert re.search(r"X509v3 Basic Constraints: critical\s+CA:FALSE", text)
    usage = "Digital Signature, Key Encipherment" if rsa else "Digital Signature"
    assert re.search(rf"X509v3 Key Usage: critical\s+{usage}\n", text)
    assert re.search(r"X509v3 Extended Key Usage:\s+TLS Web Client Authentication\n", text)
    assert f"DNS:{id}" in text
    for extension in ("X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier"):
        assert extension in text
    issuer = openssl("x509", "-in", home.dir / "ca/issuing.crt", "-noout", "-ext", "subjectKeyIdentifier").stdout.decode()
    ski = issuer.split("\n")[1].strip().replace(":", "").lower()
    assert f"URI:http://localhost:{home.pki_port}/crl/{ski}.crl" in text
    assert f"CA Issuers - URI:http://localhost:{home.pki_port}/ca/{ski}.crt" in text
    serial = openssl("x509", "-in", path, "-noout", "-serial").stdout.decode().strip().split("=")[1]
    assert 32 <= len(serial) <= 40 and int(serial[0:2], 16) < 0x80
    # An independent reader agrees.
    said = run("certtool", "-i", "--infile", path).stdout.decode()
    assert f"CN={id}" in said and f"DNSname: {id}" in said
    return text


@pytest.mark.parametrize("key, rsa, bits", [("rsa-2048", True, "2048 bit"), ("ec-p256", False, "prime256v1")])
def test_key_made_by_the_server(home, key, rsa, bits):
    made = home.json("device", "register", "--name", f"made {key}", "--type", "pump", "--key", key)
    credentials = muster.open_package(home, made)
    text = check_leaf(home, credentials.dir / "device.crt", made["id"], rsa)
    assert bits in text
    # key and certificate belong together
    public = openssl("pkey", "-in", credentials.dir / "device.key", "-pubout").stdout
    assert public == openssl("x509", "-in", credentials.dir / "device.crt", "-noout", "-pubkey").stdout
    assert (credentials.dir / "device.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    run("certtool", "-k", "--infile", credentials.dir / "device.key")


@pytest.mark.parametrize("der", [False, True])
@pytest.mark.parametrize("algorithm, option, rsa", [
    ("EC", "ec_paramgen_curve:P-256", False), ("RSA", "rsa_keygen_bits:2048", True)])
def test_key_made_by_the_device(home, algorithm, option, rsa, der):
    key, csr = make_csr(home, algorithm=algorithm, option=option, der=der)
    made = home.json("device", "register", "--name", "own key", "--type", "pump", "--csr", csr)
    assert made["package"] is None
    path = home.base / "own.crt"
    path.write_text(made["certificate"]["pem"])
    check_leaf(home, path, made["id"], rsa)
    assert openssl("pkey", "-in", key, "-pubout").stdout == openssl("x509", "-in", path, "-noout", "-pubkey").stdout


def test_csr_by_gnutls(home):
    key, csr = home.base / "gnutls.key", home.base / "gnutls.csr"
    template = home.base / "gnutls.cfg"
    template.write_text('cn = "from gnutls"\n')
    run("certtool", "-p", "--key-type", "ecdsa", "--curve", "secp256r1", "--outfile", key)
    run("certtool", "-q", "--load-privkey", key, "--template", template, "--outfile", csr)
    made = home.json("device", "register", "--name", "gnutls", "--type", "pump", "--csr", csr)
    assert made["certificate"]["key"] == "ec-p256"


def test_csr_asking_for_more_gets_the_profile_alone(home):
    """D2"""
    config = home.base / "greedy.cnf"
    config.write_text("[req]\ndistinguished_name=dn\nreq_extensions=e\n[dn]\n[e]\nbasicConstraints=critical,CA:TRUE\n"
                      "keyUsage=keyCertSign,cRLSign\nextendedKeyUsage=anyExtendedKeyUsage\n"
                      "subjectAltName=DNS:admin.example.org\n")
    _, csr = make_csr(home, extra=["-config", config])
    made = home.json("device", "register", "--name", "greedy", "--type", "pump", "--csr", csr)
    path = home.base / "greedy.crt"
    path.write_text(made["certificate"]["pem"])
    text = check_leaf(home, path, made["id"], False)
    assert "admin.example.org" not in text and "CA:TRUE" not in text


def test_names_asked_for(home):
    made = home.json("device", "register", "--name", "san", "--type", "pump", "--key", "ec-p256", "--san",
                     "DNS:pump.example.org", "--san", "IP:192.0.2.9", "--san", "URI:urn:dev:mac:0024befffe804ff1")
    path = home.base / "san.crt"
    path.write_text(made["certificate"]["pem"])
    text = check_leaf(home, path, made["id"], False)
    assert re.search(rf"DNS:{made['id']}, DNS:pump.example.org, IP Address:192.0.2.9, "
                     r"URI:urn:dev:mac:0024befffe804ff1", text)


@pytest.mark.parametrize("san", ["DNS:localhost", "IP:127.0.0.1x", "DNS:bad host", "EMAIL:a@b",
                                 "DNS:6fa459ea-ee8a-4ca4-894e-db77e160355e"])
def test_names_refused(home, san):
    reply = home.request("POST", "/v1/devices", {"name": "x", "type": "t", "key": "ec-p256", "san": [san]})
    assert reply.status == 400
    assert reply.json["errors"][0]["field"] == "san[0]"


def test_validity_within_the_profile(home):
    made = home.json("device", "register", "--name", "v", "--type", "t", "--profile", "constrained", "--valid", "90d")
    c = made["certificate"]
    from datetime import datetime
    span = datetime.fromisoformat(c["not_after"][:-1]) - datetime.fromisoformat(c["not_before"][:-1])
    assert 90 * 86400 - 5 <= span.total_seconds() <= 90 * 86400 + 3600
    refused = home.request("POST", "/v1/devices", {"name": "v", "type": "t", "profile": "constrained", "valid": "366d"})
    assert refused.status == 400 and refused.json["errors"][0]["field"] == "valid"


def test_profiles_of_the_configuration(fresh):
    home = fresh()
    with open(home.dir / "muster.conf", "a") as f:
        f.write("\n[profile gateway]\nkeys = ec-p256\nvalidity = 30d\nserver_auth = on\nkey_agreement = on\n"
                "org = Plant 4\ncountry = DE\n")
    home.start()
    made = home.json("device", "register", "--name", "g", "--type", "gw", "--profile", "gateway")
    path = home.base / "g.crt"
    path.write_text(made["certificate"]["pem"])
    text = text_of(path)
    assert f"Subject: C = DE, O = Plant 4, CN = {made['id']}" in text
    assert "Digital Signature, Key Agreement" in text
    assert "TLS Web Client Authentication, TLS Web Server Authentication" in text
    names = [p["name"] for p in home.json("profile", "list")["items"]]
    assert {"standard", "constrained", "short", "gateway"} <= set(names)


@pytest.mark.parametrize("body, field", [
    ({"profile": "no-such"}, "profile"), ({"key": "rsa-1024"}, "key"), ({"key": "dsa"}, "key"),
    ({"profile": "constrained", "key": "rsa-2048"}, "key"), ({"valid": "10y"}, "valid"),
    ({"csr": "rubbish"}, "csr"), ({"csr": "", "key": "ec-p256"}, "key")])
def test_refusals_name_the_field(home, body, field):
    reply = home.request("POST", "/v1/devices", {"name": "x", "type": "t", **body})
    assert reply.status == 400, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["errors"][0]["field"] == field


def test_certificate_by_fingerprint(home):
    made = home.json("device", "register", "--name", "f", "--type", "t", "--key", "ec-p256")
    c = made["certificate"]
    path = home.base / "f.crt"
    path.write_text(c["pem"])
    said = openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").stdout.decode()
    assert said.split("=")[1].strip().replace(":", "").lower() == c["fingerprint"]
    got = home.request("GET", f"/v1/certificates/{c['fingerprint']}").json
    assert got["serial"] == c["serial"] and got["state"] == "active"
    assert json.dumps(got).count("PRIVATE") == 0
    assert home.request("GET", "/v1/certificates/" + "0" * 64).status == 404
    assert home.request("GET", "/v1/certificates/xyz").status == 400
