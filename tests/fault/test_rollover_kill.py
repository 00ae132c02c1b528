"""`muster ca rollover`, `ca root rollover` and `ca root retire` killed at each of their numbered steps: the home has what was
before or what is to be, whole, and the same command again completes it. Runs on a build with -Dkillpoints=true."""

import json
import signal
import subprocess

import muster
import pytest
from killed import Points
from muster import MUSTER, openssl, wait_for
from test_kill import LISTED

OWN = {int(n): what for n, place, what in LISTED if place.startswith("src/cmd/carollover")}
DONE = [49, 50]  # from here on it is the new one
ROOT = {int(n): what for n, place, what in LISTED if place.startswith("src/cmd/carootrollover")}
RETIRED = [57, 58]
TWO_ROOTS = [54, 55, 56]  # from here on both are trusted


@pytest.fixture(scope="module")
def home():
    home = muster.Home().start()
    yield home
    home.close()


def register(home, name):
    made = home.json("device", "register", "--name", name, "--type", "pump", "--key", "ec-p256")
    return made, muster.open_package(home, made)


def key_id(home):
    return home.request("GET", "/v1/ca").json["issuing"]["key_id"]


def check_trusted(home, device):
    """By who has the root alone, and at the broker's trust."""
    for trusted in ("ca/root.crt", "broker/ca.pem"):
        assert b": OK" in openssl("verify", "-CAfile", home.dir / trusted, "-untrusted", device.dir / "device.crt",
                                  device.dir / "device.crt").stdout


def killed(home, number, *command):
    points = Points(home.base)
    points.arm(number)
    done = subprocess.run([MUSTER, "--dir", home.dir, *command], env=points.env, pass_fds=(points.fd,), capture_output=True,
                          timeout=60)
    assert done.returncode == -signal.SIGKILL and points.passed(number) == 1, done.stderr


def check_revocable(home, made, issuer):
    """G4: on the list of its own CA, whatever that is by now."""
    home.cli("device", "revoke", made["id"])
    serial = made["certificate"]["serial"].upper().encode()
    wait_for(lambda: serial in openssl("crl", "-inform", "DER", "-noout", "-text",
                                       input=home.pki(f"/crl/{issuer}.crl").body).stdout, 5, "the revocation")


@pytest.mark.parametrize("number", OWN)
def test_killed_in_a_rollover(home, number):
    """I1"""
    before = key_id(home)
    made, old = register(home, f"before {number}")
    home.stop()
    killed(home, number, "ca", "rollover")
    home.start()
    between = key_id(home)
    assert (between != before) == (number in DONE)
    _, device = register(home, f"between {number}")
    home.stop()
    again = json.loads(home.cli("--json", "ca", "rollover").stdout)
    assert again["only_finished"] == (number in DONE)
    assert not (home.dir / "ca/private/next.key").exists()
    home.start()
    assert key_id(home) == again["key_id"] != before and (again["key_id"] == between) == (number in DONE)
    _, new = register(home, f"after {number}")
    for d in (old, device, new):
        check_trusted(home, d)
    check_revocable(home, made, before)


@pytest.fixture
def alone():
    home = muster.Home().start()
    yield home
    home.close()


def roots(home):
    return (home.dir / "ca/root.crt").read_text().count("BEGIN CERTIFICATE")


@pytest.mark.parametrize("number", [n for n in ROOT if n not in RETIRED])
def test_killed_in_a_rollover_of_the_root(alone, number):
    """I1"""
    home = alone
    _, old = register(home, "before")
    trusted = home.base / "old.pem"
    trusted.write_bytes((home.dir / "ca/root.crt").read_bytes())
    home.stop()
    killed(home, number, "ca", "root", "rollover")
    home.start()
    assert roots(home) == (2 if number in TWO_ROOTS else 1)
    _, between = register(home, "between")
    home.stop()
    again = json.loads(home.cli("--json", "ca", "root", "rollover").stdout)
    assert again["only_finished"] == (number in TWO_ROOTS) and roots(home) == 2
    assert not (home.dir / "ca/private/next-root.key").exists() and (home.dir / "ca/private/old-root.key").exists()
    home.cli("ca", "rollover")
    home.start()
    _, new = register(home, "after")
    for device in (old, between, new):
        check_trusted(home, device)
        leaf = device.dir / "device.crt"
        assert b": OK" in openssl("verify", "-CAfile", trusted, "-untrusted", leaf, leaf).stdout


@pytest.mark.parametrize("number", RETIRED)
def test_killed_while_a_root_is_retired(alone, number):
    """I1"""
    home = alone
    made, _ = register(home, "before")
    before = key_id(home)
    home.stop()
    for command in (("root", "rollover"), ("rollover",), ("renew", "server"), ("renew", "broker")):
        home.cli("ca", *command)
    killed(home, number, "ca", "root", "retire", "--force")
    home.start()
    assert roots(home) == 1
    _, new = register(home, "after")
    check_revocable(home, made, before)
    home.stop()
    home.cli("ca", "root", "retire")
    assert not any((home.dir / f).exists() for f in ("ca/cross.crt", "ca/private/old-root.key"))
    home.start()
    check_trusted(home, new)
    assert (home.dir / "broker/ca.pem").read_text().count("BEGIN CERTIFICATE") == 3
