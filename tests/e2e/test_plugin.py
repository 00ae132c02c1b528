"""A real Mosquitto with the plugin, which decides from its snapshot alone: no service answers it."""

import hashlib
import json
import os
import shutil
import signal
import socket
import time

import muster
import pytest
from muster import openssl, run, wait_for
from pluginbroker import PluginBroker, environment, not_after

MAKE_SNAPSHOT = muster.BUILD / "tests/bench/make_snapshot"
EPOCH = "00112233445566778899aabbccddeeff"
DAY = 86400


def fingerprint(path):
    der = openssl("x509", "-in", path, "-outform", "DER").stdout
    return hashlib.sha256(der).hexdigest()


def device_line(credentials, status="active", policy="default", fps=None):
    crt = credentials.dir / "device.crt"
    if fps is None:
        fps = [[fingerprint(crt), not_after(crt)]]
    return {"kind": "device", "id": credentials.id, "tenant": "default", "status": status, "type": "pump",
            "policy": policy, "fps": fps if status == "active" else []}


def service_line(credentials, read, write):
    return {**{k: v for k, v in device_line(credentials).items() if k not in ("type", "policy")}, "kind": "service",
            "write": write, "read": read}


DEFAULT = {"kind": "policy", "tenant": "default", "name": "default", "sessions": 1,
           "write": ["devices/{id}/telemetry", "devices/{id}/control/ack"],
           "read": ["devices/{id}/commands/#", "devices/{id}/control/#"]}
SEVERAL = {**DEFAULT, "name": "several", "sessions": 2}


def write_table(broker, *lines, age=0):
    """The snapshot file that the plugin would have taken, AGE seconds ago."""
    broker.table.unlink(missing_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in [
        {"kind": "snapshot", "version": 1, "epoch": EPOCH, "seq": 7}, DEFAULT, SEVERAL, *lines,
        {"kind": "end", "count": 2 + len(lines)}])
    run(MAKE_SNAPSHOT, broker.table, int(time.time()) - age, input=text.encode())
    owner = broker.dir.stat().st_uid
    try:
        shutil.chown(broker.table, "mosquitto" if os.geteuid() == 0 else owner)
    except LookupError:
        pass


@pytest.fixture(scope="module")
def fleet(home):
    """Credentials of a CA that is real; no service is asked in the tests that use them."""
    def onboard(*command):
        return muster.open_package(home, home.json(*command))

    devices = [onboard("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256") for _ in range(3)]
    service = onboard("service", "add", "backend", "--read", "x", "--write", "x")
    return devices, service


@pytest.fixture
def alone(home, fleet):
    """A broker whose service does not answer."""
    made = []

    def make(*lines, age=0, settings=None, **kwargs):
        settings = {"plugin_opt_url": f"https://localhost:{muster.free_port()}", **(settings or {})}
        broker = PluginBroker(home, start=False, name=f"alone-{time.monotonic_ns()}", settings=settings, **kwargs)
        made.append(broker)
        if lines:
            write_table(broker, *lines, age=age)
        return broker.start()

    yield make
    for broker in made:
        broker.stop()


def service_of(fleet):
    return service_line(fleet[1], ["devices/#", "plant/#", "default/#"], ["devices/+/commands/#", "plant/#"])


def subscribe(credentials, *filters, version="mqttv311", id=None):
    """What SUBACK grants for each filter: 0, 1, or 128 and more for no."""
    argv = ["mosquitto_sub", *credentials.mqtt(id), "-V", version, "-d", "-W", "1"]
    for f in filters:
        argv += ["-t", f]
    said = run(*argv, check=False).stdout.decode()
    line = next((x for x in said.splitlines() if x.startswith("Subscribed")), None)
    assert line is not None, said
    return [int(x) for x in line.split("): ")[1].split(", ")]


def test_known_devices_connect_without_the_service(alone, fleet):
    """C8, C7: from the snapshot alone: known devices connect; revoked and unknown ones do not."""
    (known, revoked, unknown), service = fleet
    broker = alone(device_line(known), device_line(revoked, "revoked"), service_of(fleet))
    assert known.connects() and service.connects()
    assert not revoked.connects() and not unknown.connects()
    broker.said(rf"muster: refused {revoked.id} from 127.0.0.1: not an active device or service")
    broker.said(r"muster: cannot ask https://localhost:")
    listener = service.subscribe("devices/#")
    known.publish(f"devices/{known.id}/telemetry", "hello", check=True)
    listener.wait_message(f"devices/{known.id}/telemetry", "hello")
    listener.stop()


def test_without_a_snapshot_nobody_connects(alone, fleet):
    """C10"""
    broker = alone()
    assert not any(d.connects() for d in fleet[0]) and not fleet[1].connects()
    broker.said(r"muster: there is no .*; everybody is refused until")
    broker.said(r"muster: refused .*: no snapshot from the service yet")


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "garbage"])
def test_a_broken_snapshot_lets_nobody_in(alone, fleet, harm):
    """C4"""
    broker = alone(device_line(fleet[0][0]))
    assert fleet[0][0].connects()
    broker.stop()
    data = broker.table.read_bytes()
    middle = len(data) // 2
    broker.table.write_bytes({"cut": data[:middle], "empty": b"", "garbage": os.urandom(len(data)),
                              "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]}[harm])
    broker.start()
    assert not fleet[0][0].connects()
    broker.said(r"muster: .* is broken at byte \d+; everybody is refused until")


def test_a_stale_snapshot_refuses_new_connections_loudly(alone, fleet):
    device = fleet[0][0]
    broker = alone(device_line(device), age=DAY + 60)
    assert not device.connects()
    broker.said(r"muster: .* has not been heard for longer than max_stale: new connections are refused")
    broker.said(r"muster: refused .*: the service has not been heard for longer than max_stale")
    broker.stop()
    write_table(broker, device_line(device), age=DAY - 600)
    broker.start()
    assert device.connects()


@pytest.mark.heavy
def test_live_sessions_outlive_max_stale(alone, fleet):
    device, _, other = fleet[0]
    broker = alone(device_line(device), device_line(other), service_of(fleet), age=50,
                   settings={"plugin_opt_max_stale": "1m"})
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    backend = muster.Subscriber(fleet[1], ["devices/#"])
    broker.said(r"muster: .* has not been heard for longer than max_stale", 30)
    assert not other.connects()
    assert listener.process.child.poll() is None and backend.process.child.poll() is None
    listener.stop()
    backend.stop()


def test_a_device_reaches_its_own_topics_only(alone, fleet):
    """C1: what is wider than its policy fails at SUBACK; what it may not publish reaches nobody."""
    (device, other, _), service = fleet
    alone(device_line(device), device_line(other), service_of(fleet))
    own = f"devices/{device.id}/commands"
    filters = [f"{own}/#", f"{own}/+", own, f"$share/g/{own}/#",
               "#", "+/#", f"devices/{device.id}/#", "devices/+/commands/#", f"devices/{other.id}/commands/#",
               "$SYS/#", "$SYS/broker/uptime", "$share/g/#", "$share/g/devices/#", "$CONTROL/#"]
    granted = subscribe(device, *filters)
    assert granted[:4] == [1] * 4 and granted[4:] == [128] * (len(filters) - 4), list(zip(filters, granted))
    assert subscribe(device, f"{own}/#", "#", version="mqttv5") == [1, 135]
    listener = service.subscribe("devices/#", "plant/#")
    for topic in (f"devices/{other.id}/telemetry", "plant/all", f"{own}/x", f"devices/{device.id}/telemetry/deeper",
                  "$SYS/broker/version", "$CONTROL/dynamic-security/v1"):
        device.publish(topic, "denied")
    device.publish(f"devices/{device.id}/telemetry", "marker", check=True)
    listener.wait_message(f"devices/{device.id}/telemetry", "marker")
    assert [m for m in listener.messages() if m[1] == "denied"] == []
    listener.stop()


def test_another_devices_client_id_takes_nothing_over(alone, fleet):
    """C2"""
    victim, thief, _ = fleet[0]
    broker = alone(device_line(victim), device_line(thief, policy="several"))
    listener = victim.subscribe(f"devices/{victim.id}/commands/#")
    for id in (victim.id, f"{victim.id}/2", "other", thief.id.upper(), f"{thief.id}x", f"{thief.id}/"):
        assert thief.publish(f"devices/{thief.id}/telemetry", "x", id=id).returncode != 0, id
    broker.said(rf"muster: refused {victim.id} from .*: its client id must be its id")
    assert listener.process.child.poll() is None
    listener.stop()


def test_several_sessions_where_the_policy_allows_them(alone, fleet):
    several, one, _ = fleet[0]
    broker = alone(device_line(several, policy="several"), device_line(one))
    first = muster.Subscriber(several, [f"devices/{several.id}/commands/#"])
    assert several.publish(f"devices/{several.id}/telemetry", "x", id=f"{several.id}/b").returncode == 0
    argv = ["stdbuf", "-oL", "mosquitto_sub", *several.mqtt(f"{several.id}/b"), "-d", "-t",
            f"devices/{several.id}/commands/#"]
    second = muster.Process(argv)
    second.wait_line(r"Subscribed \(mid")
    assert several.publish(f"devices/{several.id}/telemetry", "x", id=f"{several.id}/c").returncode != 0
    broker.said(r"muster: refused .*/c from .*: it has as many sessions as its policy allows")
    assert one.publish(f"devices/{one.id}/telemetry", "x", id=f"{one.id}/b").returncode != 0
    assert first.process.child.poll() is None and second.child.poll() is None
    first.stop()
    second.stop()


def test_the_name_alone_is_not_enough(home, alone, fleet):
    """C7: a certificate that this CA signed for the same name, but not one that is current now."""
    device = fleet[0][0]
    alone(device_line(device, fps=[["00" * 32, not_after(device.dir / "device.crt")]]))
    assert not device.connects()


def test_a_certificate_that_expires_cuts_the_session(alone, fleet):
    """C5"""
    device = fleet[0][0]
    crt = device.dir / "device.crt"
    broker = alone(device_line(device, fps=[[fingerprint(crt), int(time.time()) + 6]]))
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    broker.said(rf"muster: cut off {device.id}: its certificate has expired", 20)
    wait_for(lambda: not device.connects(), 2, "the refusal")
    listener.stop()


def test_sighup_changes_nothing(alone, fleet):
    """The broker asks again for all sessions, also for those of clients that are away."""
    (device, away, unknown), service = fleet
    broker = alone(device_line(device), device_line(away), service_of(fleet))
    persistent = [*away.mqtt(), "-c", "-t", f"devices/{away.id}/commands/#"]
    run("mosquitto_sub", *persistent, "-E")
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    for _ in range(3):
        broker.process.child.send_signal(signal.SIGHUP)
        broker.said("Reloading config")
        time.sleep(0.3)
    assert listener.process.child.poll() is None
    assert not unknown.connects() and device.publish("plant/x", "denied").returncode == 0
    service.publish(f"devices/{away.id}/commands/x", "waiting", check=True)
    said = run("mosquitto_sub", *persistent, "-C", "1", "-W", "5").stdout
    assert said == b"waiting\n"
    listener.stop()


def test_wills_are_decided_as_what_is_published(alone, fleet):
    """C1: a will to somebody else's topic is never published."""
    (device, other, _), service = fleet
    alone(device_line(device), device_line(other), service_of(fleet))
    listener = service.subscribe("devices/#", "plant/#")
    for topic, said in ((f"devices/{other.id}/telemetry", "denied"), (f"devices/{device.id}/telemetry", "my last")):
        client = muster.Process(["stdbuf", "-oL", "mosquitto_sub", *device.mqtt(), "-d", "-t",
                                 f"devices/{device.id}/commands/#", "--will-topic", topic, "--will-payload", said])
        client.wait_line(r"Subscribed \(mid")
        client.child.kill()
        client.child.wait()
    listener.wait_message(f"devices/{device.id}/telemetry", "my last")
    assert [m for m in listener.messages() if m[1] == "denied"] == []
    listener.stop()


def test_no_listener_without_a_certificate(alone, fleet):
    """A second door is shut: who shows no certificate is nobody, whatever name he gives."""
    device = fleet[0][0]
    port = muster.free_port()
    alone(device_line(device), extra=f"listener {port} 127.0.0.1")
    with socket.create_connection(("127.0.0.1", port)) as s:
        id = device.id.encode()
        body = b"\x00\x04MQTT\x04\x82\x00\x3c\x00\x24" + id + b"\x00\x24" + id
        s.sendall(bytes([0x10, len(body)]) + body)
        s.settimeout(5)
        assert s.recv(4) == b"\x20\x02\x00\x05"


@pytest.mark.parametrize("line, complaint", [
    ("plugin_opt_url http://localhost:1", "plugin_opt_url is there twice"),
    ("plugin_opt_wrong x", "plugin_opt_wrong is not one of the plugin's"),
    ("plugin_opt_max_stale 24h", "plugin_opt_max_stale is there twice"),
])
def test_options_are_checked_at_load(home, fleet, line, complaint):
    broker = PluginBroker(home, start=False, extra=line, name=f"options-{time.monotonic_ns()}")
    said = run("mosquitto", "-c", broker.config, check=False, env=environment(broker.dir))
    assert said.returncode != 0 and complaint in said.stderr.decode(), said.stderr
