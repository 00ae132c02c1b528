"""Rotation by event: asked, told by the broker, done by the agent, over when the old certificate is; with the real service, a
real Mosquitto with the plugin, and its own clients."""

import hashlib
import json
import os
import shutil
import signal
import time

import doctor
import muster
import pytest
from agent import AGENT, Agent
from muster import run, wait_for
from pluginbroker import PluginBroker, add_service, not_after, onboard


SETTINGS = {"rotation.per_second": "500"}


def rotation(home, id):
    return home.request("GET", f"/v1/devices/{id}").json["rotation"]


def connection(home):
    return home.request("GET", "/v1/rotations").json["connection"]


def ask(home, id, status=202):
    reply = home.request("POST", f"/v1/devices/{id}/rotate", {})
    assert reply.status == status, reply.body
    return reply.json


def wait_state(home, id, *states, seconds=20):
    return wait_for(lambda: (r := rotation(home, id)) and r["state"] in states and r, seconds, f"the rotation to be {states}")


def retained(listener, id):
    """What the broker keeps for the device, as a newcomer would get it."""
    seen = run("mosquitto_sub", *listener.mqtt(), "-t", f"devices/{id}/control/rekey", "--retained-only", "-W", "1", check=False)
    return seen.stdout.decode().strip()


@pytest.fixture
def make(home):
    made = []

    def make(name):
        made.append(Agent(home, name))
        made[-1].enrol()
        return made[-1]

    yield make
    for a in made:
        a.close()


def test_one_device(home, service, make):
    """F4: asked, told, renewed, seen at the broker with the new certificate; then the old one is revoked as superseded and the
    broker keeps the instruction no more."""
    agent = make("one")
    agent.start()
    agent.said("connected to the broker$")
    assert rotation(home, agent.id) is None
    heard = service.subscribe(f"devices/{agent.id}/control/#")
    asked = ask(home, agent.id)
    assert asked["state"] == "waiting" and asked["device_id"] == agent.id and asked["told_at"] is None
    agent.said("connected to the broker with the new pair", 20)
    done = wait_state(home, agent.id, "done")
    agent.wait_superseded()
    assert [c["reason"] for c in agent.certificates()] == [None, "superseded"]
    assert done["told_at"] and done["ended_at"]
    heard.wait_message(f"devices/{agent.id}/control/rekey", "")
    said = [m for t, m in heard.messages() if t.endswith("/rekey") and m]
    assert len(said) == 1 and json.loads(said[0])["instruction"] == "rekey"
    answer = wait_for(lambda: rotation(home, agent.id)["answer"], 10, "the device's own word")
    assert (answer["status"], answer["reason"]) == ("done", None)
    heard.stop()
    assert retained(service, agent.id) == ""
    wait_for(lambda: connection(home)["state"] == "idle", 10, "nothing left to say")
    assert doctor.doctor(home)["rotation"]["status"] == "ok"


def test_away(home, following, service):
    """I5: a device that is away gets the instruction when it comes; what the broker keeps is the device's alone to read, and to
    the empty one that ends it nobody answers."""
    device, other = onboard(home), onboard(home)
    ask(home, device.id)
    wait_state(home, device.id, "told")
    kept = retained(device, device.id)
    assert json.loads(kept)["instruction"] == "rekey"
    assert retained(other, device.id) == "" and retained(service, device.id) == kept
    # Nobody is asked twice, and each instruction differs from the one before.
    assert ask(home, device.id)["state"] == "told"
    home.cli("device", "rotate", "--cancel", device.id)
    wait_for(lambda: retained(service, device.id) == "", 10, "the broker to forget it")
    assert rotation(home, device.id)["state"] == "cancelled"
    again = home.json("device", "rotate", device.id)
    assert again["state"] == "waiting"
    wait_state(home, device.id, "told")
    assert retained(device, device.id) not in ("", kept)
    shown = home.cli("device", "show", device.id).stdout.decode()
    assert "told" in shown
    # A device that is revoked is not told any more.
    home.cli("device", "revoke", device.id)
    assert rotation(home, device.id)["state"] == "void"
    wait_for(lambda: retained(service, device.id) == "", 10, "the broker to forget it")
    assert ask(home, device.id, 409)["title"]
    assert ask(home, "00000000-0000-4000-8000-000000000000", 404)


def test_who_may(home, following, service, speaker):
    """C1: neither another device nor the device itself nor a service without the right can write an instruction, nor take one
    away; a device's acknowledgement is its own alone, and one that is forged or false changes nothing but what it says."""
    device, other = onboard(home), onboard(home)
    topic, ack = f"devices/{device.id}/control/rekey", f"devices/{device.id}/control/ack"
    for liar in (device, other, speaker):
        run("mosquitto_pub", *liar.mqtt(), "-t", topic, "-m", "forged", "-r", check=False)
    assert retained(service, device.id) == ""
    ask(home, device.id)
    wait_state(home, device.id, "told")
    kept = retained(service, device.id)
    for liar in (device, other, speaker):
        run("mosquitto_pub", *liar.mqtt(), "-t", topic, "-n", "-r", check=False)
    assert retained(service, device.id) == kept
    digest = hashlib.sha256(kept.encode()).hexdigest()

    def says(who, status, digest=digest, **more):
        text = json.dumps({"instruction": "rekey", "digest": digest, "status": status, **more})
        run("mosquitto_pub", *who.mqtt(), "-t", ack, "-m", text, check=False)

    says(other, "done")
    says(speaker, "done")
    says(device, "done", "00" * 32)  # of another instruction
    says(device, "done", reason="x" * 65)
    run("mosquitto_pub", *device.mqtt(), "-t", ack, "-m", "{" * 3000, check=False)
    says(device, "failed", reason="limit")
    answer = wait_for(lambda: rotation(home, device.id)["answer"], 10, "the device's word")
    assert (answer["status"], answer["reason"]) == ("failed", "limit")
    says(device, "done")
    wait_for(lambda: rotation(home, device.id)["answer"]["status"] == "done", 10, "the device's other word")
    now = rotation(home, device.id)
    assert now["state"] == "told" and now["ended_at"] is None and retained(service, device.id) == kept
    home.cli("device", "rotate", "--cancel", device.id)


def test_its_own_service(home, following, service):
    """H1: Muster's own service is to be seen, has what it needs and nothing else, and its credentials are for nobody; it may be
    revoked, and another takes its place."""
    device = onboard(home)
    ask(home, device.id)
    wait_state(home, device.id, "told")
    shown = home.json("service", "show", "$muster")
    assert (shown["write"], shown["read"]) == (["devices/+/control/rekey"], ["devices/+/control/ack"])
    assert "$muster" in [s["name"] for s in home.json("service", "list", "--all")["items"]]
    for name in ("$muster", shown["id"]):
        assert home.request("POST", f"/v1/services/{name}/package", {"key": "ec-p256"}).status == 403
    assert home.cli("service", "add", "$muster", "--write", "devices/+/control/rekey", check=False).returncode == 1
    home.cli("service", "revoke", "$muster")
    home.cli("device", "rotate", "--cancel", device.id)
    wait_for(lambda: retained(service, device.id) == "", 20, "the next one to have taken it back")
    assert home.json("service", "show", "$muster")["id"] != shown["id"]


def fleet(home, n, type):
    for i in range(n):
        reply = home.request("POST", "/v1/devices", {"name": f"{type} {i:03}", "type": type, "key": "ec-p256"})
        assert reply.status == 201


def many(home, service, n, type):
    """By type: each of them once, and a second run asks nobody; the broker has it all."""
    fleet(home, n, type)
    assert home.json("device", "rotate", "--type", type) == {"asked": n, "open": 0, "next": None}
    said = home.cli("device", "rotate", "--type", type).stdout.decode()
    assert said == f"0 devices asked, {n} had been asked already\n"
    first = home.request("POST", "/v1/rotations", {"type": type, "limit": 1}).json
    assert (first["asked"], first["open"]) == (0, 1) and first["next"]
    rest = home.json("device", "rotate", "--type", type, "--after", first["next"])
    assert (rest["asked"], rest["open"]) == (0, n - 1)
    ids = [d["id"] for d in home.json("device", "list", "--type", type, "--all")["items"]]
    wait_for(lambda: all(rotation(home, id)["state"] == "told" for id in ids), 30, "all of them told")
    got = run("mosquitto_sub", *service.mqtt(), "-t", "devices/+/control/rekey", "-F", "%t", "--retained-only", "-W", "1", check=False)
    assert {line.split("/")[1] for line in got.stdout.decode().split()} >= set(ids)


def test_many(home, following, service):
    many(home, service, 20, "fan")
    for wrong in ({"limit": 201}, {"limit": 0}, {"type": 1}, {"after": "x"}, {"status": "active"}):
        assert home.request("POST", "/v1/rotations", wrong).status == 400, wrong


@pytest.mark.long
def test_more_than_a_page(home, following, service):
    many(home, service, 450, "belt")


@pytest.mark.heavy
def test_broker_and_service_away(fresh):
    """I5, I1: what was asked while the broker was away is told when it is back, by a service that was killed meanwhile."""
    home = fresh().start()
    broker = PluginBroker(home)
    try:
        broker.said(r"muster: a new table of \d+ devices and services, at change")
        service, device = add_service(home, "hears", "--read", "devices/#"), onboard(home)
        broker.stop()
        ask(home, device.id)
        wait_for(lambda: connection(home)["state"] == "failed", 10, "the failure to be shown")
        assert "cannot reach" in connection(home)["why"] or "broker" in connection(home)["why"]
        assert rotation(home, device.id)["state"] == "waiting"
        found = doctor.doctor(home)["rotation"]
        assert found["status"] == "warn" and "cannot reach the broker" in found["finding"] and "broker.connect" in found["remedy"]
        os.kill(home.child("api"), signal.SIGKILL)
        broker.start()
        wait_for(lambda: answers(home) and rotation(home, device.id)["state"] == "told", 30, "it to be told")
        assert json.loads(retained(service, device.id))["instruction"] == "rekey"
        # And taken back by the one after that.
        os.kill(home.child("api"), signal.SIGKILL)
        wait_for(lambda: answers(home), 20, "the service")
        home.cli("device", "rotate", "--cancel", device.id)
        wait_for(lambda: retained(service, device.id) == "", 20, "the broker to forget it")
    finally:
        broker.stop()


def connects(home, agent, pair):
    return run("mosquitto_pub", "-h", "localhost", "-p", home.broker_port, "--cafile", agent.dir / "ca.crt", "--cert", pair, "--key",
               pair, "-i", f"probe-{time.monotonic_ns()}", "-q", "1", "-t", f"probe/{agent.id}", "-m", "x", check=False).returncode == 0


@pytest.mark.heavy
def test_with_an_acl_file(fresh):
    """F4: in ACL-file mode, too; nobody reports who connected, so the old pair is good for the overlap and not any longer."""
    home = fresh(settings={**muster.ACL_FILE, "rotation.overlap": "4s"}).start()
    broker = muster.Broker(home)
    agent = Agent(home, "by file")
    try:
        made = home.json("service", "add", "hears", "--read", "devices/#")
        service = muster.open_package(home, made)
        agent.enrol()
        wait_for(lambda: agent.id in (home.dir / "broker/acl").read_text(), 10, "the device in the ACL file")
        before = agent.base / "before.pem"
        shutil.copy(agent.dir / "device.pem", before)
        assert connects(home, agent, before)
        agent.start()
        agent.said("connected to the broker$")
        ask(home, agent.id)
        wait_state(home, agent.id, "renewed", "done", seconds=30)
        during = connects(home, agent, before)
        assert during or rotation(home, agent.id)["state"] == "done"
        agent.said("connected to the broker with the new pair", 20)
        wait_state(home, agent.id, "done")
        wait_for(lambda: not connects(home, agent, before), 10, "the old pair to be refused")
        assert connects(home, agent, agent.dir / "device.pem")
        wait_for(lambda: retained(service, agent.id) == "", 10, "the broker to forget it")
    finally:
        agent.close()
        broker.stop()


@pytest.mark.release_only  # a sanitizer must be loaded first, and so must libfaketime
def test_slept_through_its_end():
    """F1, F7: within its profile's grace a device whose certificate has ended renews it, by the agent, and does nothing else
    with it; without a grace, or once it was revoked, it is nobody."""
    home = muster.Home(init=False)
    try:
        run("faketime", "-f", "-9d", muster.MUSTER, "--dir", home.dir, "init", "--host", "localhost,127.0.0.1")
        home.configure({"server.sandbox": "off", "api.listen": f"127.0.0.1:{home.api_port}", "broker.pid_file": str(home.pid_file),
                        "api.public_url": f"https://localhost:{home.api_port}", "pki.listen": f"127.0.0.1:{home.pki_port}",
                        "broker.listen": f"127.0.0.1:{home.broker_port}"})
        profiles = "\n".join(f"[profile {n}]\nkeys = ec-p256\nvalidity = 1d\n{grace}" for n, grace in
                             (("sleepy", "grace = 30d\nrenew = 6h\n"), ("strict", "")))
        with (home.dir / "muster.conf").open("a") as f:
            f.write(f"\n{profiles}\n")
        # Not by faketime's program, which does not end its child.
        library = run("faketime", "-f", "-8d", "sh", "-c", "echo $LD_PRELOAD").stdout.decode().strip()
        home.process = muster.Process([muster.MUSTER, "--dir", home.dir, "serve"],
                                      env={**os.environ, "LD_PRELOAD": library, "FAKETIME": "-8d"})
        home.process.wait_line(" ready$")
        agents = {}
        for name, profile in (("sleepy", "sleepy"), ("strict", "strict"), ("stolen", "sleepy")):
            made = home.json("device", "register", "--name", name, "--type", "t", "--key", "ec-p256", "--profile", profile)
            agents[name] = Agent(home, name)
            files = muster.open_package(home, made)
            run("faketime", "-f", "-8d", AGENT, "enrol", "--dir", agents[name].dir, "--from", files.dir, "--url",
                f"https://localhost:{home.api_port}")
        assert json.loads((files.dir / "device.json").read_text())["renew_at"]
        home.stop()
        home.start()
        home.cli("device", "revoke", agents["stolen"].id)
        for name in ("strict", "stolen"):
            refused = agents[name].call("renew", check=False)
            assert refused.returncode == 1 and b"has expired" in refused.stderr and b"--again" in refused.stderr
        sleepy = agents["sleepy"]
        tls = home.tls(sleepy.dir / "device.pem", sleepy.dir / "device.pem")
        for method, path, status in (("GET", "/v1/devices", 403), ("POST", "/.well-known/est/simpleenroll", 403),
                                     ("GET", "/v1/feed/snapshot", 403)):
            assert home.request(method, path, token=None, tls=tls).status == status, path
        sleepy.call("renew")
        assert sleepy.status()["next_pair"] is True
        assert [c["state"] for c in home.json("device", "certificates", sleepy.id)["items"]] == ["active", "active"]
        # Six hours before its end, as the profile says, and the agent was told.
        kept = (sleepy.dir / "next.pem").read_text()
        assert int(kept.splitlines()[0].removeprefix("Renew-At: ")) == not_after(sleepy.dir / "next.pem") - 6 * 3600
    finally:
        home.close()
        shutil.rmtree(home.base)


def answers(home):
    try:
        return home.request("GET", "/readyz").status == 200
    except OSError:
        return False
