"""`muster ca rollover` killed at each of its numbered steps: the home has the old CA or the new one, whole, and the same
command again completes it. Runs on a build with -Dkillpoints=true."""

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
    points = Points(home.base)
    points.arm(number)
    done = subprocess.run([MUSTER, "--dir", home.dir, "ca", "rollover"], env=points.env, pass_fds=(points.fd,),
                          capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL and points.passed(number) == 1
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
