"""Part 2: `muster init`."""

import os
import re
import stat

import muster
import pytest
from muster import openssl, run


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("kind, expected", [
    ("ec-p256", "prime256v1"), ("ec-p384", "secp384r1"), ("rsa-3072", "3072 bit")])
def test_makes_both_cas_of_the_kind(fresh, kind, expected):
    home = fresh("--key", kind, "--org", "Acme, Inc.", "--country", "DE")
    for name in ("root", "issuing"):
        text = openssl("x509", "-in", home.dir / f"ca/{name}.crt", "-noout", "-text").stdout.decode()
        assert expected in text
        assert "CA:TRUE" in text
        assert re.search(r"Subject: C = DE, O = \"Acme, Inc.\", CN = Muster", text)
    assert "pathlen:0" in text
    openssl("verify", "-x509_strict", "-CAfile", home.dir / "ca/root.crt", home.dir / "ca/issuing.crt")


def test_keys_are_private(fresh):
    home = fresh()
    assert mode(home.dir / "ca/private") == 0o700
    for name in ("root.key", "issuing.key"):
        assert mode(home.dir / "ca/private" / name) == 0o600
    assert mode(home.dir / "tls/server.key") == 0o600
    assert mode(home.dir / "muster.db") & 0o077 == 0
    assert mode(home.dir / "audit.key") == 0o600
    assert mode(home.dir / "signer.log") & 0o077 == 0
    assert mode(home.dir / "broker/broker.key") & 0o007 == 0


def test_server_certificates_name_every_host(fresh):
    home = fresh("--host", "muster.example.org,192.0.2.7,2001:db8::1")
    for name in ("tls/server.crt", "broker/broker.crt"):
        path = home.dir / name
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", home.dir / "ca/root.crt", "-untrusted",
                home.dir / "ca/issuing.crt", path)
        text = openssl("x509", "-in", path, "-noout", "-ext", "subjectAltName").stdout.decode()
        assert "DNS:muster.example.org" in text
        assert "IP Address:192.0.2.7" in text
        assert "IP Address:2001:DB8:0:0:0:0:0:1" in text


def test_the_next_steps_lead_to_a_broker_with_the_plugin(fresh):
    home = fresh(init=False)
    said = home.cli("init", "--host", "localhost").stdout.decode()
    assert "broker config mosquitto > mosquitto.conf" in said
    text = home.cli("broker", "config", "mosquitto").stdout.decode()
    assert "\nplugin /" in text and "\nplugin_opt_url https://localhost:8443\n" in text and "broker.mode" not in text


def test_refuses_a_home_that_exists(fresh):
    home = fresh()
    before = (home.dir / "ca/root.crt").read_bytes()
    again = home.cli("init", check=False)
    assert again.returncode == 1
    assert b"not empty" in again.stderr
    assert (home.dir / "ca/root.crt").read_bytes() == before


@pytest.mark.parametrize("args, status", [
    (["--host", "bad host"], 1), (["--host", "a\nb"], 1), (["--host", ","], 1), (["--country", "de"], 2),
    (["--key", "rsa-1024"], 2), (["--org", "x\ny"], 2), (["--nonsense"], 2)])
def test_bad_input_leaves_nothing(fresh, args, status):
    home = fresh(init=False)
    refused = home.cli("init", *args, check=False)
    assert refused.returncode == status
    assert [p.name for p in home.base.iterdir()] == ["run"]


def test_prints_what_it_made_and_what_to_do(fresh):
    home = fresh(init=False)
    said = home.cli("init", "--host", "localhost").stdout.decode()
    fingerprint = openssl("x509", "-in", home.dir / "ca/root.crt", "-noout", "-fingerprint", "-sha256").stdout.decode()
    assert fingerprint.split("=")[1].strip().replace(":", "").lower() in said
    assert re.search(r"^  muster_[A-Za-z0-9_-]{43}$", said, re.M)
    assert f"muster --dir {home.dir} serve" in said


def test_config_has_every_key_with_help(fresh):
    text = (fresh().dir / "muster.conf").read_text()
    for key in ("listen", "public_url", "mode", "pid_file", "group", "body_bytes", "register_per_min", "rsa_2048"):
        assert re.search(rf"^; .+\n{key} = ", text, re.M), key
    for profile in ("standard", "constrained", "short"):
        assert f"[profile {profile}]" in text


def test_root_key_goes_offline(fresh):
    """The root's key can be exported and removed, and everything but a new issuing CA goes on."""
    home = fresh()
    copy = home.base / "root-offline.key"
    missing = home.cli("ca", "root", "remove", copy, check=False)
    assert missing.returncode == 1
    home.cli("ca", "root", "export", copy)
    assert mode(copy) == 0o600
    assert home.cli("ca", "root", "export", copy, check=False).returncode == 1
    other = home.base / "other.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other)
    wrong = home.cli("ca", "root", "remove", other, check=False)
    assert wrong.returncode == 1 and (home.dir / "ca/private/root.key").exists()
    home.cli("ca", "root", "remove", copy)
    assert not (home.dir / "ca/private/root.key").exists()
    run("openssl", "pkey", "-in", copy, "-check", "-noout")
    home.start()
    made = home.json("device", "register", "--name", "d", "--type", "t", "--key", "ec-p256")
    home.cli("device", "revoke", made["id"])
    assert home.json("device", "show", made["id"])["status"] == "revoked"


def test_serve_without_a_home_says_what_to_do(fresh):
    home = fresh(init=False)
    refused = home.cli("serve", check=False)
    assert refused.returncode == 1
    assert b"init" in refused.stderr
