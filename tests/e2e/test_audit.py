"""Part 12: the audit trail."""

import json
import sqlite3

import muster
import pytest
from muster import openssl, run, wait_for


def rows(home, **kwargs):
    return home.json("audit", "list", "--limit", "1000", **kwargs)["items"]


def test_what_is_audited(fresh):
    home = fresh().start()
    made = home.json("device", "register", "--name", "a", "--type", "t", "--key", "ec-p256")
    home.cli("package", "fetch", made["package"]["url"], "-o", home.base / "a.zip")
    home.cli("device", "update", made["id"], "--policy", "default")
    home.cli("device", "suspend", made["id"])
    home.cli("device", "resume", made["id"])
    home.cli("device", "revoke", made["id"], "--reason", "keyCompromise")
    home.cli("policy", "set", "p", "--write", "x/{id}")
    home.cli("service", "add", "s", "--read", "x/#")
    home.request("GET", "/v1/devices", token="muster_wrong")
    listed = rows(home)
    actions = [r["action"] for r in listed]
    for action in ("operator.create", "device.register", "package.deliver", "device.suspend", "device.resume",
                   "device.revoke", "policy.set", "service.add", "authentication.fail"):
        assert action in actions, (action, actions)
    assert [r["seq"] for r in listed] == list(range(1, len(listed) + 1))
    revoke = next(r for r in listed if r["action"] == "device.revoke")
    assert revoke["target"] == f"device:{made['id']}" and revoke["detail"]["reason"] == "keyCompromise"
    assert next(r for r in listed if r["action"] == "device.update")["detail"] == {"policy": "default"}
    assert next(r for r in listed if r["action"] == "service.add")["detail"] == {"name": "s"}
    assert revoke["actor"] == "uid:0" or revoke["actor"].startswith("uid:")
    assert home.json("audit", "verify")["intact"] is True


def test_failed_logins_are_aggregated(fresh):
    """H7: a flood cannot fill the disk."""
    home = fresh(settings={"limits.auth_failures_per_min": "0"}).start()
    for _ in range(30):
        assert home.request("GET", "/v1/devices", token="muster_wrong").status == 401
    assert 1 <= sum(r["action"] == "authentication.fail" for r in rows(home)) <= 2


@pytest.mark.parametrize("sql", [
    "UPDATE audit SET action = 'device.updatE' WHERE seq = 3", "DELETE FROM audit WHERE seq = 2",
    "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = -1",
    "UPDATE audit SET at = at + 1 WHERE seq = 1", "UPDATE audit SET mac = hash WHERE seq = 2",
    # The end cut off, and the head put back to match: the signer remembers.
    "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit);"
    "UPDATE setting SET value = (SELECT seq || ' ' || lower(hex(hash)) FROM audit ORDER BY seq DESC LIMIT 1) WHERE name = 'audit_head'"])
def test_tampering_is_detected(fresh, sql):
    """H6"""
    home = fresh().start()
    for i in range(4):
        home.cli("policy", "set", f"p{i}", "--write", "x/{id}")
    home.stop()
    database = sqlite3.connect(home.dir / "muster.db")
    database.executescript(sql)
    database.close()
    home.start()
    verdict = home.cli("audit", "verify", check=False)
    assert verdict.returncode == 1
    assert b"row" in verdict.stderr or b"seq" in verdict.stderr


def test_a_checkpoint_is_evidence(fresh):
    """H6: what `openssl cms -verify` alone says of a checkpoint, with the root and nothing else of ours."""
    home = fresh(settings={"audit.checkpoint": "1s"})
    file = home.base / "checkpoint.pem"
    assert home.start().cli("audit", "verify").returncode == 0
    home.cli("policy", "set", "p", "--write", "x/{id}")
    last = rows(home)[-1]
    wait_for(lambda: home.request("GET", "/v1/audit/checkpoint", token=home.token).json.get("seq") == last["seq"], 10, "a checkpoint")
    home.cli("audit", "checkpoint", "-o", file)
    said = home.json("audit", "checkpoint")
    assert said["head"] == last["hash"] and said["pem"] == file.read_text()
    verify = ("cms", "-verify", "-inform", "PEM", "-in", file, "-CAfile")
    text = openssl(*verify, home.dir / "ca/root.crt").stdout
    assert json.loads(text) == {"context": "muster audit checkpoint 1", **{k: said[k] for k in ("number", "seq", "head", "at", "previous")}}
    assert run("openssl", *verify, fresh().dir / "ca/root.crt", check=False).returncode != 0
    # A device has a certificate of the same CA, and yet its signature is worth nothing here.
    device = muster.open_package(home, home.json("device", "register", "--name", "m", "--type", "m", "--key", "ec-p256"))
    (home.base / "text").write_bytes(text.replace(last["hash"].encode(), b"0" * 64))
    openssl("cms", "-sign", "-binary", "-nodetach", "-in", home.base / "text", "-signer", device.dir / "device.crt", "-inkey",
            device.dir / "device.key", "-certfile", home.dir / "ca/issuing.crt", "-outform", "PEM", "-out", file)
    assert run("openssl", *verify, home.dir / "ca/root.crt", check=False).returncode != 0
    assert home.json("audit", "verify") == {"rows": len(rows(home)), "keyed_from": 1, "intact": True, "next": None}
