"""The device's agent, with the real service and a real Mosquitto in plugin mode."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import threading
import time

import muster
import pytest
from agent import AGENT, Agent
from muster import MUSTER, run, wait_for
from pluginbroker import PluginBroker, add_service
from test_est import Device, leaf, post, token


@pytest.fixture
def make(home):
    """Makes agents; all are ended afterwards."""
    made = []

    def make(*args, **kwargs):
        made.append(Agent(home, *args, **kwargs))
        return made[-1]

    yield make
    for a in made:
        a.close()


def hears(service, id):
    return service.subscribe(f"devices/{id}/#")


# ---- enrolment ---------------------------------------------------------------------------------------------------------


def test_enrol(home, make):
    """H9: the token is neither in what is kept nor in what is said."""
    agent = make("Pump 7")
    secret = token(home)["token"]
    made = agent.enrol(secret=secret)
    shown = home.json("device", "show", agent.id)
    assert (shown["name"], shown["status"], shown["type"]) == ("Pump 7", "active", "pump")
    pair = agent.dir / "device.pem"
    assert stat.S_IMODE(pair.stat().st_mode) == 0o600 and stat.S_IMODE(agent.dir.stat().st_mode) == 0o700
    assert {p.name for p in agent.dir.iterdir()} == {"device.pem", "ca.crt", "agent.conf", "change.lock"}
    assert pair.read_text().count("BEGIN CERTIFICATE") == 2 and pair.read_text().count("PRIVATE KEY") == 2
    run("openssl", "verify", "-CAfile", agent.dir / "ca.crt", "-untrusted", pair, pair)
    key = run("openssl", "pkey", "-in", pair, "-pubout").stdout
    assert key == run("openssl", "x509", "-in", pair, "-noout", "-pubkey").stdout
    for path in agent.dir.iterdir():
        assert secret not in path.read_text()
    assert secret.encode() not in made.stdout + made.stderr
    status = agent.status()
    assert status["running"] is False and status["days_left"] >= 363 and "connected_at" not in status
    assert status["id"] in status["subject"] and status["next_pair"] is False
    # What is there is not given up by mistake.
    again = agent.enrol(check=False)
    assert again.returncode == 1 and b"--again" in again.stderr
    before = agent.id
    agent.enrol("--again")
    assert agent.id != before


def test_other_keys(home, make):
    agent = make("rsa")
    agent.enrol("--key", "rsa-2048", secret=token(home, profile="standard")["token"])
    assert agent.status()["key"] == "rsa-2048"
    refused = make("p384").enrol("--key", "ec-p384", "--wait", "0", secret=token(home, profile="standard")["token"], check=False)
    assert refused.returncode == 1 and b"does not take ec-p384" in refused.stderr and b"--key" in refused.stderr
    assert b"no kind of key" in make("dsa").enrol("--key", "dsa", check=False).stderr


def test_a_profile_that_wants_proof(fresh):
    """J1: the agent answers the challenge, at enrolment and at renewal."""
    home = fresh()
    with open(home.dir / "muster.conf", "a") as f:
        f.write("\n[profile proven]\nkeys = ec-p256\nattest = on\n")
    home.start()
    agent = Agent(home)
    agent.enrol(secret=token(home, profile="proven")["token"])
    agent.call("renew")
    assert [c["profile"] for c in agent.certificates()] == ["proven", "proven"]


def test_by_muster_agent(home, make):
    agent = make("both spellings")
    secret = agent.base / "token"
    secret.write_text(token(home, profile="constrained")["token"] + "\n")
    run(MUSTER, "agent", "enrol", "--dir", agent.dir, "--url", f"https://localhost:{home.api_port}", "--ca",
        home.dir / "ca/root.crt", "--token-file", secret, "--name", "x", "--label", "constrained")
    assert json.loads(run(MUSTER, "agent", "status", "--json", "--dir", agent.dir).stdout)["id"] == agent.id
    assert b"muster-agent" in run(MUSTER, "agent", "--help").stdout
    for command in ("enrol", "run", "renew", "status"):
        text = run(MUSTER, "agent", command, "--help").stdout.decode()
        assert "Exit status" in text and max(map(len, text.splitlines())) <= 80, text
    assert run(MUSTER, "agent", "nonsense", check=False).returncode == 2
    assert run(AGENT, "enrol", check=False).returncode == 2


def test_refused(home, make):
    """F6, F1: a wrong token, one that is used up, another CA's server: each says what to do, and leaves nothing in use."""
    agent = make("refused")
    wrong = agent.enrol(secret="muster_enrol_" + "A" * 43, check=False)
    assert wrong.returncode == 1 and b"muster token create" in wrong.stderr
    made = token(home)
    make("first").enrol(secret=made["token"])
    used = agent.enrol(secret=made["token"], check=False)
    assert used.returncode == 1 and b"410" in used.stderr and b"muster token create" in used.stderr
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        agent.base / "other.key", "-out", agent.base / "other.crt", "-subj", "/CN=other")
    began = time.monotonic()
    other = agent.enrol(ca=agent.base / "other.crt", check=False)
    assert other.returncode == 1 and b"vouches" in other.stderr and time.monotonic() - began < 10
    assert agent.enrol("--label", "no-such", "--wait", "0", check=False).returncode == 1
    assert agent.enrol(url="http://localhost", check=False).returncode == 1
    assert agent.enrol("--token-file", agent.base / "missing", check=False).returncode == 1
    assert not (agent.dir / "device.pem").exists()
    assert agent.call("status", check=False).returncode == 1
    refused = agent.call("run", check=False)
    assert refused.returncode == 1 and b"enrol" in refused.stderr
    agent.enrol()


def test_a_service_that_is_away(fresh):
    """C8: enrolment goes on asking for as long as it was told, and works when the service comes."""
    home = fresh().start()
    agent = Agent(home)
    secret = token(home)["token"]
    home.stop()
    began = time.monotonic()
    gone = agent.enrol("--wait", "2s", secret=secret, check=False)
    assert gone.returncode == 1 and b"is the address right" in gone.stderr and 1.5 < time.monotonic() - began < 15
    asking = threading.Thread(target=agent.enrol, args=("--wait", "2m"), kwargs={"secret": secret})
    asking.start()
    time.sleep(1)
    home.start()
    asking.join(60)
    assert agent.status()["id"]


def test_import(home, make, service, following):
    """A package is as good as an enrolment, and is renewed."""
    made = home.json("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256")
    opened = muster.open_package(home, made)
    agent = make("imported")
    agent.call("enrol", "--from", opened.dir, "--url", f"https://localhost:{home.api_port}")
    assert agent.id == made["id"] and agent.status()["broker"] == f"localhost:{home.broker_port}"
    agent.call("renew")
    assert agent.status()["next_pair"] is True
    heard = hears(service, agent.id)
    agent.start()
    agent.said("connected to the broker with the new pair")
    agent.wait_superseded()
    agent.say("hello")
    heard.wait_message(f"devices/{agent.id}/telemetry", "hello")
    heard.stop()
    spoilt = make("spoilt")
    (opened.dir / "device.crt").write_text((agent.dir / "ca.crt").read_text())
    assert spoilt.call("enrol", "--from", opened.dir, check=False).returncode == 1


@pytest.mark.needs_root
def test_a_key_that_is_not_taken(home, make):
    """F5: a key that was left by an attempt whose certificate the service gave up, or by one of long ago, is refused for ever:
    the agent takes a fresh one, to renew and to enrol."""
    agent, other = make("left over"), Device(home, "its key is taken")
    other.keep(leaf(post(home, "simpleenroll", other.request(), token(home)["token"])))
    agent.dir.mkdir(mode=0o700)
    shutil.copy(other.key, agent.dir / "next.key")
    agent.enrol()
    shutil.copy(other.key, agent.dir / "next.key")
    agent.call("renew")
    assert agent.status()["next_pair"] is True
    assert len(agent.certificates()) == 2


def test_folders(home, make):
    """I2: a full disk, or a folder that cannot be written, is said, and the same command works afterwards."""
    agent = make("folders")
    secret = token(home)["token"]
    agent.dir.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", agent.dir)
    try:
        filler = agent.dir / "filler"
        with pytest.raises(OSError):
            filler.write_bytes(b"x" * 1000000)
        full = agent.enrol("--wait", "0", secret=secret, check=False)
        assert full.returncode == 1 and b"No space" in full.stderr, full.stderr
        filler.unlink()
        run("mount", "-o", "remount,ro", agent.dir)
        read_only = agent.enrol("--wait", "0", secret=secret, check=False)
        assert read_only.returncode == 1 and b"Read-only" in read_only.stderr
        run("mount", "-o", "remount,rw", agent.dir)
        agent.enrol(secret=secret)
        assert agent.status()["id"]
    finally:
        run("umount", agent.dir)


# ---- running -----------------------------------------------------------------------------------------------------------


def test_run(home, make, service, speaker):
    """Telemetry arrives, commands are handed over, memory is bounded, SIGTERM ends it."""
    agent = make("runs")
    agent.enrol()
    got = agent.base / "got"
    script = agent.base / "obey"
    script.write_text(f"#!/bin/sh\n{{ echo \"$# $1\"; cat; echo; }} >> {got}\n")
    script.chmod(0o755)
    heard = hears(service, agent.id)
    agent.start("--on-command", script)
    agent.said("connected to the broker")
    agent.say("21.5")
    heard.wait_message(f"devices/{agent.id}/telemetry", "21.5")
    for n in range(3):
        speaker.publish(f"devices/{agent.id}/commands/valve/{n}", f"open; $(touch {agent.base}/pwned) {n}", check=True)
    expected = "".join(f"1 devices/{agent.id}/commands/valve/{n}\nopen; $(touch {agent.base}/pwned) {n}\n" for n in range(3))
    wait_for(lambda: got.exists() and got.read_text() == expected, 10, "the commands in their order")
    assert not (agent.base / "pwned").exists()
    # Nothing is lost, however fast it comes, and little is kept.
    with agent.feed.open("a") as f:
        f.write("".join(f"line {i}\n" for i in range(5000)) + "x" * 70000 + "\nlast\n")
    heard.wait_message(f"devices/{agent.id}/telemetry", "last", 30)
    lines = [m for _, m in heard.messages() if m.startswith("line ")]
    assert lines == [f"line {i}" for i in range(5000)]
    agent.said("a line of more than")
    status = agent.status()
    assert status["running"] is True and status["pid"] == agent.process.child.pid and status["connected_at"]
    if "asan" not in str(muster.BUILD):
        assert 0 < status["memory_kb"] <= status["memory_peak_kb"] < 32768, status
    assert agent.call("run", check=False).returncode == 1  # one at a time
    assert b"end it first" in agent.enrol("--again", check=False).stderr
    heard.stop()
    assert agent.stop() == 0
    assert not [p for p in os.listdir("/proc") if p.isdigit() and str(agent.feed).encode() in cmdline(p)]


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_until_eof(home, make, service):
    agent = make("pipe")
    agent.enrol()
    heard = hears(service, agent.id)
    agent.call("run", "--until-eof", stdin=b"one\n\ntwo\nthree")
    for line in ("one", "two", "three"):
        heard.wait_message(f"devices/{agent.id}/telemetry", line)
    heard.stop()
    assert agent.call("run", "--topic", "devices/+/x", check=False).returncode == 1
    assert agent.call("run", "--on-command", agent.base / "missing", check=False).returncode == 1


def test_renewal_while_it_runs(home, make, service):
    """F4: a new pair, one short reconnection, the old certificate superseded because the new one was seen at the broker; not
    a line is lost."""
    agent = make("renews")
    agent.enrol()
    heard = hears(service, agent.id)
    agent.start()
    agent.said("connected to the broker$")
    stop = threading.Event()
    sent = []

    def talk():
        while not stop.is_set():
            sent.append(f"n {len(sent)}")
            agent.say(sent[-1])
            time.sleep(0.02)

    talker = threading.Thread(target=talk)
    talker.start()
    before = (agent.dir / "device.pem").read_bytes()
    try:
        agent.call("renew")
        agent.said("connected to the broker with the new pair")
        agent.wait_superseded()
    finally:
        stop.set()
        talker.join()
    assert (agent.dir / "device.pem").read_bytes() != before
    assert {p.name for p in agent.dir.iterdir()} == {"device.pem", "ca.crt", "agent.conf", "agent.state", "change.lock", "run.lock"}
    heard.wait_message(f"devices/{agent.id}/telemetry", sent[-1], 20)
    got = [m for _, m in heard.messages()]
    assert sorted(set(got), key=lambda m: int(m[2:])) == sent
    # A broker that is late to hear of the new certificate refuses it once; nothing else goes wrong.
    assert not [line for line in agent.process.lines if " warn " in line and "with the new pair" not in line]
    heard.stop()
    assert agent.stop() == 0


def test_an_instruction_to_rekey(home, make, service, following):
    """The retained instruction is obeyed once, acknowledged, and not again by the next connection."""
    controller = muster.open_package(home, home.json("service", "add", "rekeys", "--write", "devices/+/control/rekey"))
    wait_for(controller.connects, 5, "the service in the table")
    agent = make("rekeyed")
    agent.enrol()
    heard = hears(service, agent.id)
    topic = f"devices/{agent.id}/control/rekey"
    run("mosquitto_pub", *controller.mqtt(), "-t", topic, "-m", '{"id":"1"}', "-r")
    agent.start()
    agent.said("connected to the broker with the new pair", 20)
    agent.wait_superseded()
    wait_for(lambda: any(t.endswith("/control/ack") and json.loads(m)["status"] == "done" for t, m in heard.messages()), 10,
             "the acknowledgement")
    assert agent.stop() == 0
    agent.start()
    agent.said("connected to the broker$")
    wait_for(lambda: len([t for t, _ in heard.messages() if t.endswith("/control/ack")]) >= 2, 10, "the answer again")
    assert len(agent.certificates()) == 2
    # Another one that comes while it runs; the empty one that ends it is none.
    run("mosquitto_pub", *controller.mqtt(), "-t", topic, "-m", '{"id":"2"}', "-r")
    agent.said("with the new pair")
    run("mosquitto_pub", *controller.mqtt(), "-t", topic, "-n", "-r")
    wait_for(lambda: len(agent.certificates()) == 3, 10, "the third certificate")
    heard.stop()


def test_an_instruction_that_is_refused(home, make, service):
    """A refusal is acknowledged as one, with its kind, and the old pair goes on."""
    controller = muster.open_package(home, home.json("service", "add", "refused", "--write", "devices/+/control/rekey"))
    wait_for(controller.connects, 5, "the service in the table")
    agent = make("bounded")
    agent.enrol()
    # Three renewals that nobody used are all that the service gives.
    tls = home.tls(agent.dir / "device.pem", agent.dir / "device.pem")
    for n in range(3):
        key = agent.base / f"{n}.key"
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        der = run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={agent.id}", "-outform", "DER").stdout
        assert post(home, "simplereenroll", der, tls=tls).status == 200
    heard = hears(service, agent.id)
    agent.start()
    agent.said("connected to the broker$")
    run("mosquitto_pub", *controller.mqtt(), "-t", f"devices/{agent.id}/control/rekey", "-m", "now")
    agent.said("cannot renew: .* answers 409")
    acks = wait_for(lambda: [json.loads(m) for t, m in heard.messages() if t.endswith("/control/ack")], 10, "the answer")
    assert (acks[0]["status"], acks[0]["reason"]) == ("failed", "conflict")
    agent.say("still here")
    heard.wait_message(f"devices/{agent.id}/telemetry", "still here")
    heard.stop()


@pytest.mark.heavy
def test_renewal_in_time(home, make, service):
    """At two thirds of the certificate's time, by itself."""
    conf = home.dir / "muster.conf"
    conf.write_text(conf.read_text() + "\n[profile brief]\nkeys = ec-p256\nvalidity = 60s\n")
    home.process.child.send_signal(1)
    wait_for(lambda: b'"brief"' in home.request("GET", "/v1/profiles").body, 5, "the profile")
    agent = make("brief")
    agent.enrol(secret=token(home, profile="brief")["token"])
    # As if it had come at the certificate's beginning, which is a minute ago.
    began = time.time() - 59
    os.utime(agent.dir / "device.pem", (began, began))
    agent.start()
    agent.said("connected to the broker$")
    agent.said("connected to the broker with the new pair", 50)
    agent.wait_superseded()


def test_a_new_pair_that_is_refused(home, make, service):
    """F4: the old pair goes on while the new one does not work, and the new one is given up in the end."""
    agent = make("falls back")
    agent.enrol()
    other = make("other")
    other.enrol()
    other_id = other.id
    # The pair of a device that was revoked: signed by the right CA, and refused.
    home.cli("device", "revoke", other_id)
    shutil.copy(other.dir / "device.pem", agent.dir / "next.pem")
    heard = hears(service, agent.id)
    agent.start()
    agent.said("with the new pair: ")
    agent.said("connected to the broker$")
    agent.say("still here")
    heard.wait_message(f"devices/{agent.id}/telemetry", "still here")
    heard.stop()


def test_broker_away(fresh):
    """I11, I5: it comes back by itself when the broker does, with what was said meanwhile."""
    home = fresh().start()
    broker = PluginBroker(home)
    try:
        broker.said(r"muster: a new table of \d+ devices and services, at change")
        service = add_service(home, "hears", "--read", "devices/#")
        agent = Agent(home)
        agent.enrol()
        agent.start()
        agent.said("connected to the broker")
        # It may be back later than the agent, and still hears what that had to say.
        heard = service.subscribe(f"devices/{agent.id}/#", lasting=True)
        broker.stop()
        agent.said("connection was lost|cannot reach")
        agent.say("while away")
        time.sleep(2)
        broker.start()
        heard.wait_message(f"devices/{agent.id}/telemetry", "while away", 30)
        heard.stop()
        assert agent.stop() == 0
    finally:
        broker.stop()


@pytest.mark.heavy
def test_service_away(fresh):
    """C8, I5: a renewal that is due waits for the service; the connection to the broker does not care."""
    home = fresh().start()
    broker = PluginBroker(home)
    try:
        broker.said(r"muster: a new table of \d+ devices and services, at change")
        service = add_service(home, "hears", "--read", "devices/#")
        controller = add_service(home, "tells", "--write", "devices/+/control/rekey")
        agent = Agent(home)
        agent.enrol()
        agent.start()
        agent.said("connected to the broker$")
        heard = hears(service, agent.id)
        home.stop()
        controller.publish(f"devices/{agent.id}/control/rekey", "now", check=True)
        agent.said("cannot renew: cannot ask")
        agent.say("meanwhile")
        heard.wait_message(f"devices/{agent.id}/telemetry", "meanwhile")
        home.start()
        agent.said("with the new pair", 40)
        agent.wait_superseded()
        heard.stop()
        assert agent.stop() == 0
    finally:
        broker.stop()


@pytest.mark.release_only  # a sanitizer must be loaded first, and so must libfaketime
def test_expired(home, make):
    """I8, F1: a certificate that has ended, or a clock that says so, is named, with what to do."""
    agent = make("late")
    agent.enrol()
    late = run("faketime", "-f", "+400d", AGENT, "renew", "--dir", agent.dir, check=False)
    assert late.returncode == 1 and b"has expired" in late.stderr and b"--again" in late.stderr
    early = run("faketime", "-f", "-400d", AGENT, "renew", "--dir", agent.dir, check=False)
    assert early.returncode == 1 and b"clock" in early.stderr
    assert not (agent.dir / "next.pem").exists()
    agent.call("renew")


@pytest.mark.heavy
def test_a_broker_that_says_nothing(home, make):
    """A10: neither a deaf broker nor one that is not there keeps the agent from ending."""
    agent = make("deaf")
    agent.enrol()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        agent.start("--broker", f"localhost:{deaf.getsockname()[1]}")
        agent.said("no answer from the broker: it takes too long", 40)
        began = time.monotonic()
        assert agent.stop() == 0 and time.monotonic() - began < 3
    agent.start("--broker", "localhost:1")
    agent.said("cannot reach the broker at localhost:1: Connection refused")
    assert agent.stop() == 0


# ---- its parts ---------------------------------------------------------------------------------------------------------


def test_what_it_needs():
    """OpenSSL, libcurl, libmosquitto, and nothing else."""
    needed = re.findall(r"NEEDED.*\[(.+?)\.so", subprocess.run(["readelf", "-d", AGENT], capture_output=True, text=True,
                                                                check=True).stdout)
    assert set(needed) - {"libasan", "libubsan", "libm", "ld-linux-x86-64"} <= {"libcurl", "libmosquitto", "libcrypto", "libssl", "libc"}
