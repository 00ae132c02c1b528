"""What `muster broker config mosquitto` prints, used as it is: Mosquitto has nothing to complain of, and its limits bite."""

import contextlib
import re
import time

import muster
import pytest
from muster import wait_for
from pluginbroker import Client, PluginBroker, environment

# Whatever bounds what clients can use up, and what outlives the broker.
ALWAYS = {"per_listener_settings", "listener", "cafile", "certfile", "keyfile", "tls_version", "require_certificate",
          "allow_anonymous", "max_connections", "set_tcp_nodelay", "max_packet_size", "max_inflight_messages",
          "max_queued_messages", "max_queued_bytes", "log_dest", "log_timestamp_format", "pid_file", "persistence"}
STATE = {"persistence_location", "autosave_interval", "persistent_client_expiration"}
ONLY = {"plugin": {"plugin", "plugin_opt_url", "plugin_opt_cafile", "plugin_opt_certfile", "plugin_opt_keyfile",
                   "plugin_opt_snapshot", "plugin_opt_max_stale", *STATE},
        "acl-file": {"crlfile", "use_identity_as_username", "use_username_as_clientid", "acl_file"}}


@pytest.mark.parametrize("mode, args", [("plugin", []), ("acl-file", []), ("acl-file", ["--state"])])
def test_complete_and_without_a_warning(home, mode, args):
    state = home.base / f"state-{time.monotonic_ns()}"
    state.mkdir()
    state.chmod(0o777)
    if mode == "plugin" or args:
        args = ["--state", state]
    text = home.cli("broker", "config", "mosquitto", "--mode", mode, *args).stdout.decode()
    keys = [line.split()[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert len(keys) == len(set(keys))
    assert set(keys) == ALWAYS | ONLY[mode] | (STATE if args else set())
    for paragraph in text.strip().split("\n\n"):
        assert paragraph.startswith("# "), paragraph  # why
    assert max(len(line) for line in text.splitlines() if line.startswith("#")) <= 120
    config = state / "mosquitto.conf"
    config.write_text(text)
    broker = muster.Process(["mosquitto", "-c", config], env=environment(state))
    broker.wait_line(r"mosquitto version .* running")
    time.sleep(0.5)
    assert broker.stop() == 0
    assert not [x for x in broker.lines if re.search("warn|error|deprecat|invalid|unable", x, re.I)], broker.lines
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", x) for x in broker.lines if "starting" in x)


@pytest.fixture(scope="module")
def broker(home):
    b = PluginBroker(home)
    b.said("muster: a new table of")
    yield b
    b.stop()


def onboard(home):
    credentials = muster.open_package(home, home.json("device", "register", "--name", "d", "--type", "t", "--key", "ec-p256"))
    wait_for(credentials.connects, 5, "the device in the table")
    return credentials


def test_a_message_that_is_too_large_ends_the_session(home, broker):
    """A packet of a MiB is taken, one byte more is not; others go on."""
    device, other = onboard(home), onboard(home)
    topic = f"devices/{device.id}/telemetry"
    head = len(topic).to_bytes(2, "big") + topic.encode()
    bystander, client = Client(other, broker), Client(device, broker)
    client.send(0x30, head + bytes((1 << 20) - len(head) - 1))  # Mosquitto counts the first byte, and not the length
    client.send(0xc0, b"")
    assert client.socket.recv(2) == b"\xd0\x00"
    with contextlib.suppress(OSError):  # it may be cut before all of it has left
        client.send(0x30, head + bytes((1 << 20) - len(head)))
    assert client.until_cut() == b""
    bystander.send(0xc0, b"")
    assert bystander.socket.recv(2) == b"\xd0\x00"
    bystander.close()


def test_a_session_outlives_the_broker(home, broker):
    """Its subscription, and what waits for it."""
    device = onboard(home)
    made = home.json("service", "add", "speaks", "--write", "devices/+/commands/#")
    service = muster.open_package(home, made)
    wait_for(service.connects, 5, "the service in the table")
    client = Client(device, broker, clean=False)
    topic = f"devices/{device.id}/commands/run"
    client.send(0x82, b"\x00\x01" + len(topic).to_bytes(2, "big") + topic.encode() + b"\x01")
    assert client.socket.recv(5) == b"\x90\x03\x00\x01\x01"
    client.close()
    service.publish(topic, "waits", check=True)
    broker.stop()
    broker.start()
    client = Client(device, broker, clean=False)
    assert b"waits" in client.socket.recv(200)
    client.close()
