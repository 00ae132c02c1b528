"""docs/scaling-brokers.md, built: two edges behind a real HAProxy in TCP mode, with the configuration that stands on that
page, and a core to which they have bridges. Devices come from different addresses of the loopback network."""

import contextlib
import os
import re
import shutil
import signal
import time
from types import SimpleNamespace

import muster
import pytest
from muster import ROOT, run, wait_for
from pluginbroker import AddedBroker, At, Client, PluginBroker, add_service, readable

pytestmark = pytest.mark.heavy

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
RIGHTS = ["--write", "devices/+/telemetry", "--read", "devices/+/commands/#"]


def configuration(port, edges):
    """What the page says, for these addresses, and not more connections than a test may have."""
    text = re.search(r"```haproxy\n(.*?)```", (ROOT / "docs/scaling-brokers.md").read_text(), re.S)[1]
    for here, there in (("maxconn 100000", "maxconn 1000"), ("bind :8883", f"bind 127.0.0.1:{port}"),
                        *((f"{e.name}.example.org:8883", f"127.0.0.1:{e.port}") for e in edges)):
        assert text.count(here) == 1, here
        text = text.replace(here, there)
    return text


class Proxy:
    def __init__(self, base, edges, edit=lambda text: text):
        self.port = muster.free_port()
        self.config = base / f"haproxy-{self.port}.cfg"
        self.config.write_text(edit(configuration(self.port, edges)))
        self.process = muster.Process([HAPROXY, "-db", "-f", self.config])
        wait_for(lambda: f":{self.port:04X} " in open("/proc/net/tcp").read(), 10, "HAProxy")

    def stop(self):
        self.process.child.kill()
        self.process.child.wait()


@pytest.fixture(scope="module")
def core(home):
    broker = PluginBroker(home, name="core")
    broker.said("muster: a new table of")
    yield broker
    broker.stop()


def make_edge(home, core, name):
    files = muster.open_package(home, home.json("service", "add", f"from-{name}", *RIGHTS))
    readable(files)
    edge = AddedBroker(home, name, args=("--bridge-to", f"localhost:{core.port}", "--bridge-as", f"from-{name}",
                                         "--bridge-files", files.dir))
    edge.name = name
    edge.said("muster: a new table of")
    core.said(f"New bridge connected from .* as {files.id}", 30)
    return edge


@pytest.fixture(scope="module")
def edges(home, core):
    with contextlib.ExitStack() as ends:
        made = []
        for name in ("edge-1", "edge-2"):
            made.append(make_edge(home, core, name))
            ends.callback(made[-1].stop)
        yield made


@pytest.fixture(scope="module")
def proxy(home, edges):
    p = Proxy(home.base, edges)
    yield p
    p.stop()


def was_at(edge, id, since=0):
    """How often it connected there."""
    return len([x for x in edge.process.lines[since:] if "New client connected" in x and f" as {id} " in x])


@pytest.fixture(scope="module")
def devices(home, proxy, edges):
    """Two at each edge, by their addresses: {edge: [device, device]}."""
    at = {edge: [] for edge in edges}
    for n in range(2, 60):
        made = home.json("device", "register", "--name", f"d{n}", "--type", "pump", "--key", "ec-p256")
        device = At(muster.open_package(home, made), proxy, f"127.0.0.{n}")
        wait_for(device.connects, 10, "the device in the tables")
        wait_for(lambda: any(was_at(e, device.id) for e in edges), 5, "its line in a log")
        (edge,) = [e for e in edges if was_at(e, device.id)]  # one
        at[edge].append(device)
        if all(len(x) >= 2 for x in at.values()):
            return SimpleNamespace(all=at, of=lambda e, n: at[e][n])
    raise AssertionError("all addresses at one edge")


@pytest.fixture(scope="module")
def backend(home, core):
    """At the core. Another one commands, for who connects twice ends his own session."""
    return add_service(home, "backend", "--read", "devices/#")


@pytest.fixture(scope="module")
def control(home, core):
    return add_service(home, "control", "--write", "devices/+/commands/#")


def listen(device, proxy, clean=True):
    """A session with a subscription to its commands."""
    client = Client(device, proxy, clean=clean)
    topic = f"devices/{device.id}/commands/#"
    client.send(0x82, b"\x00\x01" + len(topic).to_bytes(2, "big") + topic.encode() + b"\x01")
    assert client.socket.recv(5) == b"\x90\x03\x00\x01\x01"
    return client


def test_the_configuration_is_haproxys(home, edges):
    config = home.base / "check.cfg"
    config.write_text(configuration(muster.free_port(), edges))
    checked = run(HAPROXY, "-c", "-V", "-f", config)
    said = (checked.stdout + checked.stderr).decode()
    assert "Configuration file is valid" in said and not re.search("WARNING|ALERT|NOTICE", said), said


def test_tls_goes_through_to_the_broker(proxy, edges, devices):
    """C7: HAProxy lets everybody through, and the broker refuses who has no certificate of this CA."""
    device = devices.of(edges[0], 0)
    argv = device.mqtt()
    without = [x for i, x in enumerate(argv) if not {"--cert", "--key"} & {x, argv[i - 1]}]
    before = [len(e.process.lines) for e in edges]
    assert run("mosquitto_pub", *without, "-t", "x", "-m", "x", check=False).returncode != 0
    wait_for(lambda: any("peer did not return a certificate" in x for e, n in zip(edges, before)
                         for x in e.process.lines[n:]), 5, "the broker's refusal")


def test_an_address_comes_to_the_same_broker(proxy, edges, devices):
    """With its session."""
    for edge, others in zip(edges, reversed(edges)):
        device = devices.of(edge, 0)
        before, other = was_at(edge, device.id), was_at(others, device.id)
        listen(device, proxy, clean=False).close()
        for _ in range(4):
            client = Client(device, proxy, clean=False)
            assert client.had_session
            client.close()
        wait_for(lambda: was_at(edge, device.id) == before + 5, 5, "its lines in the log")
        assert was_at(others, device.id) == other


def test_telemetry_and_commands_wherever_a_device_is(proxy, edges, devices, backend, control):
    listener = backend.subscribe("devices/#")
    for edge in edges:
        device, topic = devices.of(edge, 1), f"devices/{devices.of(edge, 1).id}"
        device.publish(f"{topic}/telemetry", "hot", check=True)
        listener.wait_message(f"{topic}/telemetry", "hot")
        client = listen(device, proxy)
        control.publish(f"{topic}/commands/run", f"at {edge.name}", check=True)
        assert f"at {edge.name}".encode() in client.socket.recv(200)
        client.close()
    assert len([m for m in listener.messages() if m[1] == "hot"]) == 2  # each once
    listener.stop()


def test_brokers_see_haproxy_as_the_peer(edges, devices):
    for edge in edges:
        came = [x for x in edge.process.lines if "New client connected" in x]
        assert came and all("from 127.0.0.1:" in x for x in came)
    assert devices.of(edges[0], 0).source != "127.0.0.1"


def test_mosquitto_does_not_take_the_proxy_protocol(home, edges, devices):
    other = Proxy(home.base, edges, lambda text: text.replace("default-server check", "default-server send-proxy check"))
    try:
        device = devices.of(edges[0], 0)
        assert not At(device.credentials, other, device.source).connects()
    finally:
        other.stop()


def test_a_revoked_device_is_cut_off_wherever_it_is(home, proxy, edges, devices):
    """C6"""
    for edge in edges:
        made = home.json("device", "register", "--name", "r", "--type", "pump", "--key", "ec-p256")
        device = At(muster.open_package(home, made), proxy, devices.of(edge, 0).source)
        wait_for(device.connects, 10, "the device in the tables")
        client = Client(device, proxy)
        wait_for(lambda: was_at(edge, device.id) >= 2, 5, "its line in the log")
        began = time.monotonic()
        home.cli("device", "revoke", device.id)
        assert client.until_cut() == b""
        print(f"{edge.name}: cut off {1000 * (time.monotonic() - began):.0f} ms after the command began")
        edge.said(f"muster: cut off {device.id}: not an active")
        for source in (device.source, devices.of(edges[1 - edges.index(edge)], 0).source):
            assert not At(device.credentials, proxy, source).connects()


def test_one_id_at_two_brokers(proxy, edges, devices, control):
    """Both go on, and a command goes to both; one that waits where the device was arrives when it is back there."""
    here = devices.of(edges[0], 1)
    there, topic = At(here.credentials, proxy, devices.of(edges[1], 1).source), f"devices/{here.id}/commands/run"
    first, second = listen(here, proxy, clean=False), listen(there, proxy)
    control.publish(topic, "to both", check=True)
    for client in (first, second):
        assert b"to both" in client.socket.recv(200)
    first.send(0x40, b"\x00\x01")  # PUBACK
    first.close()
    control.publish(topic, "once more", check=True)
    assert b"once more" in second.socket.recv(200)
    second.close()
    first = Client(here, proxy, clean=False)
    assert first.had_session and b"once more" in first.socket.recv(200)
    first.close()


def test_while_the_core_is_away(core, edges, devices, backend):
    core.stop()
    for edge in edges:
        device = devices.of(edge, 0)
        device.publish(f"devices/{device.id}/telemetry", f"kept at {edge.name}", check=True)
    core.start()
    listener = backend.subscribe("devices/#")
    for edge in edges:
        listener.wait_message(f"devices/{devices.of(edge, 0).id}/telemetry", f"kept at {edge.name}", 60)
    listener.stop()


def test_an_edge_dies(proxy, edges, devices):
    """Its devices get in at the other, at once and without their session; there, nobody notices; and it comes back."""
    dies, stays = edges
    device, bystander = devices.of(dies, 0), listen(devices.of(stays, 0), proxy)
    client = listen(device, proxy, clean=False)
    since = len(stays.process.lines)
    dies.process.child.send_signal(signal.SIGKILL)
    began = time.monotonic()
    assert client.until_cut() == b""
    client = wait_for(lambda: attempt(device, proxy), 10, "the other edge")
    print(f"in at the other edge {1000 * (time.monotonic() - began):.0f} ms after the first one was killed")
    assert not client.had_session
    wait_for(lambda: was_at(stays, device.id, since) == 1, 5, "its line in the other's log")
    bystander.send(0xc0, b"")
    assert bystander.socket.recv(2) == b"\xd0\x00"
    dies.process.child.wait()
    dies.start()
    since = len(dies.process.lines)

    def back():
        attempt(device, proxy).close()
        return was_at(dies, device.id)
    wait_for(back, 20, "the address to come to the first edge again")
    client.close()
    bystander.close()


def attempt(device, proxy):
    try:
        return Client(device, proxy, clean=False)
    except (OSError, AssertionError):
        return None
