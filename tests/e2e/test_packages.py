"""Part 7: packages and links."""

import json
import re
import subprocess
import urllib.parse

import muster
from muster import openssl, run


def register(home, key="ec-p256", **extra):
    reply = home.request("POST", "/v1/devices", {"name": "packed", "type": "pump", "key": key, **extra})
    assert reply.status == 201, reply.body
    return reply.json


def path_of(made):
    return urllib.parse.urlsplit(made["package"]["url"]).path


def test_opens_in_7zip_and_bsdtar(home):
    for key in ("ec-p256", "rsa-2048"):
        made = register(home, key)
        archive = home.base / f"{key}.zip"
        home.cli("package", "fetch", made["package"]["url"], "-o", archive)
        listing = run("7z", "l", "-slt", archive).stdout.decode()
        assert listing.count("Method = AES-256") == 5
        assert listing.count("Encrypted = +") == 5
        names = set(re.findall(r"^Path = (?!/)(.+)$", listing, re.M))
        assert names == {"device.key", "device.crt", "ca.crt", "device.json", "README.txt"}
        for tool in (["7z", "x", f"-p{made['package']['password']}", "-so", archive, "device.key"],
                     ["bsdtar", "-xO", "--passphrase", made["package"]["password"], "-f", archive, "device.key"]):
            assert b"BEGIN PRIVATE KEY" in run(*tool).stdout
        assert run("7z", "t", "-pwrong", archive, check=False).returncode != 0
        # the README is stored, not compressed; nothing of it may be readable
        assert b"exists nowhere else" not in archive.read_bytes()


def test_contents(home):
    made = register(home)
    c = muster.open_package(home, made)
    device = json.loads((c.dir / "device.json").read_text())
    assert device["id"] == made["id"]
    assert device["broker"] == {"host": "localhost", "port": home.broker_port}
    assert f"devices/{made['id']}/telemetry" in device["publish"]
    assert f"devices/{made['id']}/commands/#" in device["subscribe"]
    assert (c.dir / "ca.crt").read_bytes() == (home.dir / "ca/root.crt").read_bytes()
    assert (c.dir / "device.crt").read_text().count("BEGIN CERTIFICATE") == 2
    openssl("verify", "-CAfile", c.dir / "ca.crt", "-untrusted", c.dir / "device.crt", c.dir / "device.crt")
    assert f"-h localhost -p {home.broker_port} -i {made['id']} " in (c.dir / "README.txt").read_text()


def test_password_is_random_and_shown_once(home):
    passwords = {register(home)["package"]["password"] for _ in range(5)}
    assert len(passwords) == 5
    assert all(len(p.replace("-", "")) >= 26 for p in passwords)
    made = register(home)
    shown = home.request("GET", f"/v1/devices/{made['id']}").body.decode()
    assert made["package"]["password"] not in shown


def test_link_delivers_once(home):
    """E2"""
    made = register(home)
    first = home.request("POST", path_of(made), token=None)
    assert first.status == 200
    assert first.headers["Content-Type"] == "application/zip"
    assert first.headers["Cache-Control"] == "no-store"  # E8
    assert "attachment" in first.headers["Content-Disposition"]
    for method in ("POST", "GET"):
        assert home.request(method, path_of(made), token=None).status == 410
    again = home.cli("package", "fetch", made["package"]["url"], "-o", home.base / "again.zip", check=False)
    assert again.returncode == 1 and not (home.base / "again.zip").exists()


def test_unknown_links(home):
    """E1"""
    for token in ("x", "A" * 43, "../v1/devices", "%00", "A" * 5000):
        reply = home.request("POST", f"/d/{token}", token=None)
        assert reply.status in (400, 404, 414), token
        assert b"PK" not in reply.body


def test_link_ttl_is_bounded(home):
    for ttl in (0, -1, 604801, 1.5, "1"):
        reply = home.request("POST", "/v1/devices", {"name": "x", "type": "t", "key": "ec-p256", "link_ttl_s": ttl})
        assert reply.status == 400 and reply.json["errors"][0]["field"] == "link_ttl_s", ttl


def test_reissue_supersedes(home):
    made = register(home)
    old = made["certificate"]
    again = home.json("device", "package", made["id"])
    assert again["certificate"]["serial"] != old["serial"]
    assert home.request("GET", path_of(made), token=None).status == 410  # the old link is withdrawn
    got = home.request("GET", f"/v1/certificates/{old['fingerprint']}").json
    assert got["state"] == "revoked" and got["reason"] == "superseded"
    assert got["superseded_by"] == again["certificate"]["serial"]
    fresh_key = muster.open_package(home, again)
    assert openssl("pkey", "-in", fresh_key.dir / "device.key", "-pubout").stdout == \
        openssl("x509", "-in", fresh_key.dir / "device.crt", "-noout", "-pubkey").stdout


def test_revocation_withdraws_the_link(home):
    made = register(home)
    home.cli("device", "revoke", made["id"])
    assert home.request("POST", path_of(made), token=None).status == 410


def test_fetch_refuses_to_overwrite_and_is_private(home):
    made = register(home)
    path = home.base / "mine.zip"
    path.write_text("precious")
    refused = home.cli("package", "fetch", made["package"]["url"], "-o", path, check=False)
    assert refused.returncode == 1 and path.read_text() == "precious"
    path.unlink()
    home.cli("package", "fetch", made["package"]["url"], "-o", path)  # the refusal consumed nothing
    assert path.stat().st_mode & 0o777 == 0o600


def test_qr_code_on_the_terminal(home):
    """The link as a QR code: what is drawn is decoded by a program of its own (zbar is not in the setup, so the
    blocks are compared with qrencode's library through its own tool where the CLI draws them)."""
    said = home.cli("device", "register", "--name", "qr", "--type", "t", "--key", "ec-p256", "--qr").stdout.decode()
    blocks = [line for line in said.splitlines() if re.search("[█▀▄]", line)]
    assert len(blocks) >= 15
    widths = {len(line.rstrip()) for line in blocks}
    assert max(widths) >= 25


def test_token_is_nowhere(home):
    """E7: not in the log, not in the audit."""
    made = register(home)
    token = path_of(made).rsplit("/", 1)[1]
    home.request("POST", path_of(made), token=None)
    home.request("POST", path_of(made), token=None)
    audit = home.cli("--json", "audit", "list", "--limit", "1000").stdout.decode()
    log = "\n".join(home.process.lines)
    for secret in (token, made["package"]["password"], home.token):
        assert secret not in audit and secret not in log
