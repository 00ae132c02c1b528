"""Idempotency-Key on POST /v1/devices: of equal requests one registers, whatever gets lost on the way."""

import json
import os
import signal
import threading
import time
import uuid

import muster

BODY = {"name": "idem", "type": "pump", "key": "ec-p256"}


def register(home, key, body=None, **kwargs):
    return home.request("POST", "/v1/devices", body or BODY, headers={"Idempotency-Key": key}, **kwargs)


def named(home, name):
    return home.request("GET", f"/v1/devices?search={name}&limit=1000").json["items"]


def test_replay_is_the_same_without_the_package(home):
    """F5"""
    key = str(uuid.uuid4())
    first, again = register(home, key), register(home, key)
    assert first.status == again.status == 201
    made, same = first.json, again.json
    assert made.pop("package")["password"] and same.pop("package") is None
    assert made == same
    assert first.headers["Location"] == again.headers["Location"] == f"/v1/devices/{made['id']}"


def test_another_body_is_refused(home):
    key = str(uuid.uuid4())
    made = register(home, key).json
    for body in ({**BODY, "name": "other-body"}, {**BODY, "link_ttl_s": 60}):
        reply = register(home, key, body)
        assert reply.status == 422, reply.body
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert [e["field"] for e in reply.json["errors"]] == ["Idempotency-Key"]
    assert named(home, "other-body") == []
    assert register(home, key).json["id"] == made["id"]


def test_a_key_belongs_to_its_caller(home):
    """Over the socket root is another caller than the operator with the token."""
    key = str(uuid.uuid4())
    mine = register(home, key).json
    local = muster.run("curl", "-sS", "--unix-socket", home.dir / "muster.sock", "-H", f"Idempotency-Key: {key}",
                       "-H", "Content-Type: application/json", "-d",
                       '{"name": "another caller", "type": "pump", "key": "ec-p256"}', "http://localhost/v1/devices")
    assert b'"package":{' in local.stdout and mine["id"].encode() not in local.stdout
    assert register(home, key).json["id"] == mine["id"]
    assert register(home, key, token="muster_" + "A" * 43).status == 401


def test_keys_that_are_none(home):
    before = len(named(home, "idem"))
    for key in ("", " ", "k" * 129, "k" * 5000, "a\tb", "a\x01b", "a\x7f", "\xff"):
        reply = register(home, key)
        assert reply.status == 400, (key, reply.body)
    twice = muster.run("curl", "-sS", "--cacert", home.dir / "ca/root.crt", "-o", "/dev/null", "-w", "%{http_code}",
                       "-H", f"Authorization: Bearer {home.token}", "-H", "Idempotency-Key: a", "-H",
                       "Idempotency-Key: b", "-H", "Content-Type: application/json", "-d",
                       '{"name": "idem", "type": "pump"}', f"https://localhost:{home.api_port}/v1/devices")
    assert twice.stdout == b"400"
    assert len(named(home, "idem")) == before
    assert register(home, "k" * 128).status == 201


def test_keys_that_look_like_others(home):
    base = f"a{uuid.uuid4().hex}"
    ids = [register(home, key).json["id"]
           for key in (base, base.upper(), base + "%", base + "_", base + "'--", base[:-1], base + "\xe9".encode().decode("latin-1"))]
    assert len(set(ids)) == len(ids)


def test_a_refused_request_keeps_no_key(home):
    key = str(uuid.uuid4())
    assert register(home, key, {**BODY, "policy": "nowhere"}).status == 400
    assert register(home, key).status == 201


def test_a_hundred_at_once_are_one(home):
    key, name = str(uuid.uuid4()), f"race-{uuid.uuid4().hex[:8]}"
    replies, barrier = [], threading.Barrier(100)

    def one():
        barrier.wait()
        replies.append(register(home, key, {**BODY, "name": name}))

    threads = [threading.Thread(target=one) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.status for r in replies] == [201] * 100
    assert len({r.json["id"] for r in replies}) == 1
    assert len({r.json["certificate"]["serial"] for r in replies}) == 1
    assert sum(r.json["package"] is not None for r in replies) == 1
    (device,) = named(home, name)
    # Nothing was signed for the losers.
    assert "certificate.abandon" not in [row["action"] for row in home.json("audit", "list", "--all")["items"]]
    assert len(home.request("GET", f"/v1/devices/{device['id']}/certificates").json["items"]) == 1


def test_holds_across_a_restart(fresh):
    """F5"""
    home = fresh().start()
    made = register(home, "k").json
    assert home.stop() == 0
    home.start()
    again = register(home, "k")
    assert again.status == 201
    assert again.json["certificate"] == made["certificate"] and again.json["package"] is None
    assert register(home, "k", {**BODY, "name": "other-body"}).status == 422


def test_lost_replies_and_retries(fresh):
    """F5, I1: The api is killed again and again while clients, who retry with their key, register: each key has one device,
    what was signed for nobody is revoked, and every answer that a client got names the device that is there."""
    home = fresh().start()
    answers, retries, stop = {}, [0], threading.Event()

    def client(n):
        for i in range(20):
            name = f"client{n}-{i}"
            while not stop.is_set():
                try:
                    reply = register(home, name, {**BODY, "name": name})
                except OSError:
                    retries[0] += 1
                    time.sleep(0.05)
                    continue
                if reply.status == 201:
                    answers.setdefault(name, set()).add((reply.json["id"], reply.json["certificate"]["serial"]))
                    break
                assert reply.status == 503, reply.body

    threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    try:
        for _ in range(4):
            done = len(answers)
            muster.wait_for(lambda: len(answers) > done + 2, 20, "registrations between two deaths")
            os.kill(home.child("api"), signal.SIGKILL)
        muster.wait_for(lambda: not any(t.is_alive() for t in threads), 60, "the clients")
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert retries[0] > 0
    assert len(answers) == 6 * 20
    # Replays of all: the one device that was answered, and no other.
    for name, seen in answers.items():
        again = register(home, name, {**BODY, "name": name}).json
        seen.add((again["id"], again["certificate"]["serial"]))
        assert len(seen) == 1, name
    devices = [d for d in named(home, "client")]
    assert sorted(d["name"] for d in devices) == sorted(answers)
    # As many active certificates as devices: an orphan is in the audit as abandoned, and on the list.
    orphans = [row for row in home.json("audit", "list", "--all")["items"] if row["action"] == "certificate.abandon"]
    crl = muster.run("openssl", "crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body)
    listed = crl.stdout.decode().count("Serial Number:")
    assert listed == len(orphans)


def test_cli(home):
    """The same over the socket and over HTTPS, where the same key is another caller's."""
    register = ["device", "register", "--name", "cli-idem", "--type", "pump", "--key", "ec-p256", "--idempotency-key"]
    remote = ["--url", f"https://localhost:{home.api_port}"]
    env = {"MUSTER_TOKEN": home.token}
    made = []
    for where in ([], remote):
        first, again = (json.loads(home.cli("--json", *where, *register, "run 7", env=env).stdout) for _ in range(2))
        assert first.pop("package")["password"] and again.pop("package") is None
        assert first == again
        made.append(first["id"])
        shown = home.cli(*where, *register, "run 7", env=env).stdout.decode()
        assert first["id"] in shown and "done before under the same key" in shown and "muster device package" in shown
        other = home.cli(*where, *register, "run 7", "--location", "hall", env=env, check=False)
        assert other.returncode == 1
        assert b"Idempotency-Key" in other.stderr
    assert made[0] != made[1]
    assert len(named(home, "cli-idem")) == 2
    # It becomes a header, and none but itself.
    for bad in ("", "a\r\nAuthorization: Bearer x", "a\nb", "x" * 129):
        refused = home.cli(*register, bad, check=False)
        assert refused.returncode == 2
        assert b"--idempotency-key must be" in refused.stderr
    assert home.cli(*register, "x" * 128).returncode == 0
    assert len(named(home, "cli-idem")) == 3
