"""`muster ca root rollover`: another root, while devices that know the old one alone go on; and the old one's end."""

import re
import ssl

import muster
import pytest
from agent import Agent
from doctor import doctor
from muster import Broker, openssl, run, wait_for

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


def register(home, name):
    made = home.json("device", "register", "--name", name, "--type", "pump", "--key", "ec-p256")
    return made, muster.open_package(home, made)


def subject(pem):
    return openssl("x509", "-noout", "-subject", input=pem).stdout.strip()


class Site:
    """A home in acl-file mode with its Mosquitto, which reads its files at a start."""

    def __init__(self, home):
        self.home, self.broker = home, None
        self.start()

    def start(self):
        self.home.start()
        self.broker = Broker(self.home)

    def stop(self):
        self.broker.stop()
        self.home.stop()

    def do(self, *commands):
        self.stop()
        for c in commands:
            self.home.cli(*c)
        self.start()

    def trusting(self, device, *roots):
        """The same device, which trusts ROOTS alone."""
        (device.dir / "ca.crt").write_bytes(b"".join(roots))
        return device

    def answers(self, *roots):
        """Is the API's certificate good for who trusts ROOTS alone?"""
        context = ssl.create_default_context(cadata=b"".join(roots).decode())
        try:
            return self.home.request("GET", "/healthz", token=None, tls=context).status == 200
        except ssl.SSLCertVerificationError:
            return False


@pytest.fixture(scope="module")
def site():
    home = muster.Home(settings={"broker.mode": "acl-file"})
    site = Site(home)
    (site.first,) = PEM.findall((home.dir / "ca/root.crt").read_bytes())
    site.before = home.request("GET", "/v1/ca").json
    site.old_made, site.old = register(home, "knows the old root")
    site.agent = Agent(home)
    site.agent.enrol()
    site.do(("ca", "root", "rollover"))
    site.second, again = PEM.findall((home.dir / "ca/root.crt").read_bytes())
    assert again == site.first != site.second
    site.between_made, site.between = register(home, "from between")
    site.connected_between = [d.connects() for d in (site.old, site.between)]
    site.said_between = home.request("GET", "/v1/ca").json
    site.do(("ca", "rollover"), ("ca", "renew", "server"), ("ca", "renew", "broker"))
    site.new_made, site.new = register(home, "from after")
    yield site
    site.agent.close()
    site.broker.stop()
    home.close()


def test_nobody_notices_the_new_root(site):
    """The issuing CA stays until it is rolled over, too; packages carry both roots."""
    assert site.connected_between == [True, True]
    assert site.said_between["issuing"] == site.before["issuing"]
    assert site.said_between["old_root"] == site.before["root"] and site.said_between["root"] != site.before["root"]
    assert PEM.findall((site.between.dir / "ca.crt").read_bytes()) == [site.second, site.first]
    assert subject(site.first) != subject(site.second)


def test_a_device_of_each_trust_connects(site):
    """Who trusts the old root alone, the new one alone, or both; with a certificate of either issuing CA."""
    for device in (site.old, site.new):
        for roots in ((site.first,), (site.second,), (site.first, site.second)):
            assert site.trusting(device, *roots).connects(), (device.id, len(roots))
    for roots in ((site.first,), (site.second,), (site.first, site.second)):
        assert site.answers(*roots)


def test_openssl_and_gnutls_verify(site):
    """A new certificate with what comes with it, by who has either root; an old one by who has the old one."""
    home = site.home
    files = {}
    for name, pem in (("first", site.first), ("second", site.second)):
        files[name] = home.base / f"{name}.pem"
        files[name].write_bytes(pem)

    def verifies(device, root):
        leaf = device.dir / "device.crt"
        return openssl("verify", "-x509_strict", "-CAfile", files[root], "-untrusted", leaf, leaf, check=False).returncode == 0
    assert verifies(site.new, "first") and verifies(site.new, "second")
    assert verifies(site.old, "first") and not verifies(site.old, "second")
    # GnuTLS, too, of which nobody here has a part.
    for root in files.values():
        said = run("certtool", "--verify", "--load-ca-certificate", root, "--infile", site.new.dir / "device.crt").stdout
        assert b"Chain verification output: Verified" in said
    leaf, issuing, cross = PEM.findall((site.new.dir / "device.crt").read_bytes())
    assert subject(cross) == subject(site.second)
    text = openssl("x509", "-noout", "-text", input=cross).stdout.decode()
    assert "CA:TRUE\n" in text and subject(site.first).decode().split("CN = ")[1] in text


def test_the_agent_learns_the_new_root(site):
    """When it renews, and because the old root vouches for it; nothing that the old one has not signed."""
    ca = site.agent.dir / "ca.crt"
    assert PEM.findall(ca.read_bytes()) == [site.first]
    site.agent.call("renew")
    assert PEM.findall(ca.read_bytes()) == [site.first, site.second]
    assert len(site.agent.certificates()) == 2


def test_told(site):
    """cacerts, chain.pem, GET /v1/ca, `muster ca show`, figures and doctor: both roots."""
    home = site.home
    pkcs7 = home.request("GET", "/.well-known/est/cacerts", token=None).body
    der = openssl("base64", "-d", "-A", input=pkcs7.replace(b"\n", b"").replace(b"\r", b"")).stdout
    text = openssl("pkcs7", "-inform", "DER", "-print_certs", input=der).stdout
    told = PEM.findall(text)
    assert len(told) == 5 and site.first in told and site.second in told
    ca = home.request("GET", "/v1/ca").json
    assert ca["old_root"]["pem"].encode() == site.first and ca["root"]["pem"].encode() == site.second
    shown = home.cli("ca", "show").stdout.decode()
    assert "Old root:" in shown and ca["old_root"]["fingerprint"] in shown
    assert b'certificate="old_root"' in home.request("GET", "/metrics").body
    assert openssl("x509", "-inform", "DER", input=home.pki("/ca/root.crt").body).stdout == site.second
    findings = doctor(home)
    assert all(findings[n]["status"] == "ok" for n in ("root-ca", "issuing-ca", "server-certificate", "broker-certificate", "ocsp"))
    assert "two roots" in findings["root-ca"]["finding"]


def test_one_at_a_time_and_offline(site):
    """A third root is refused, and what needs the root's key takes the new one's."""
    home = site.home
    site.stop()
    refused = home.cli("ca", "root", "rollover", check=False)
    assert refused.returncode == 1 and b"two at most" in refused.stderr
    old_key = home.dir / "ca/private/old-root.key"
    refused = home.cli("ca", "rollover", "--root-key", old_key, check=False)
    assert refused.returncode == 1 and b"is not the key of" in refused.stderr
    home.cli("ca", "root", "export", home.base / "root.key")
    site.start()


def test_the_old_root_s_end(site):
    """G4: not before the last certificate below it is replaced or revoked, which is on its CA's list until its end."""
    home = site.home
    home.cli("device", "revoke", site.agent.id)
    site.stop()
    refused = home.cli("ca", "root", "retire", check=False)
    assert refused.returncode == 1 and b"3 certificates below the old root are valid" in refused.stderr
    home.start()
    moved = muster.open_package(home, home.json("device", "package", site.old_made["id"]))
    home.cli("device", "revoke", site.between_made["id"])
    first, _ = sorted(home.json("broker", "list")["items"], key=lambda b: b["expires_at"])
    home.cli("broker", "remove", first["id"])
    home.stop()
    home.cli("ca", "root", "retire")
    assert not (home.dir / "ca/private/old-root.key").exists() and not (home.dir / "ca/cross.crt").exists()
    site.start()
    assert home.request("GET", "/v1/ca").json["old_root"] is None
    assert PEM.findall((moved.dir / "ca.crt").read_bytes()) == [site.second, site.first]
    assert site.trusting(moved, site.second).connects() and moved.connects()
    assert site.trusting(site.new, site.second).connects()
    trusted = PEM.findall((home.dir / "broker/ca.pem").read_bytes())
    assert site.first not in trusted and site.second in trusted
    leaf = site.between.dir / "device.crt"
    assert openssl("verify", "-CAfile", home.dir / "broker/ca.pem", leaf, check=False).returncode != 0
    issuer = site.before["issuing"]["key_id"]
    serial = site.between_made["certificate"]["serial"].upper().encode()
    wait_for(lambda: serial in openssl("crl", "-inform", "DER", "-noout", "-text",
                                       input=home.pki(f"/crl/{issuer}.crl").body).stdout, 5, "the revocation")
    refused = home.cli("ca", "root", "retire", check=False)
    assert refused.returncode == 1
