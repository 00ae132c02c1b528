"""What a broker's plugin tells the service of connections: a real Mosquitto, and the service that it follows."""

import threading
import time

import muster
import pytest
from muster import Credentials, wait_for
from pluginbroker import Client, PluginBroker

PLUGIN_MODE = {"broker.mode": "plugin"}


@pytest.fixture
def pair(fresh):
    """A service and a broker that follows it."""
    brokers = []

    def make(settings=None, **kwargs):
        home = fresh(settings={**PLUGIN_MODE, **(settings or {})}).start()
        brokers.append(PluginBroker(home, **kwargs))
        brokers[-1].said(r"muster: a new table of \d+ devices and services, at change")
        return home, brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


def register(home, n=1):
    made = [muster.open_package(home, home.json("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256"))
            for _ in range(n)]
    return made if n > 1 else made[0]


def join(device, broker, **kwargs):
    """A session of its own, as soon as the broker has heard of the device."""
    def tried():
        try:
            return Client(device, broker, **kwargs)
        except AssertionError:
            return None
    return wait_for(tried, 5, "the new device in the table")


def seen(home, device):
    return home.json("device", "show", device.id)["last_seen_at"]


def rows(home, action):
    return [r for r in home.json("audit", "list", "--limit", "1000")["items"] if r["action"] == action]


def refusals(home, total):
    """{(target, reason): count} of TOTAL, as soon as they are known."""
    time.sleep(1.5)  # they are counted for a second, and told within a quarter: who finds the service away, waits for long
    return wait_for(lambda: (found := written(home)) and sum(found.values()) >= total and found, 30, f"{total} refusals")


def written(home):
    """The service writes them when a minute is over, or when it stops."""
    home.stop()
    home.start()
    counts = {}
    for row in rows(home, "connection.refusals"):
        key = row["target"], row["detail"]["reason"]
        counts[key] = counts.get(key, 0) + row["detail"]["count"]
    return counts


def publish(client, topic, n=1):
    body = len(topic).to_bytes(2, "big") + topic.encode() + b"x"
    for _ in range(n):
        client.send(0x30, body)


def test_a_connection_is_seen(pair):
    home, broker = pair()
    device, never = register(home, 2)
    assert seen(home, device) is None
    client = join(device, broker)
    began = time.monotonic()
    wait_for(lambda: seen(home, device), 5, "last_seen")
    print(f"a connection was seen after {time.monotonic() - began:.2f} s")
    assert seen(home, never) is None
    first = seen(home, device)
    time.sleep(1.1)
    client.close()
    wait_for(lambda: seen(home, device) > first, 5, "the disconnection")
    (listed,) = home.json("broker", "list")["items"]
    assert listed["behind"] == 0 and listed["dropped"] == 0
    home.json("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256")
    wait_for(lambda: home.json("broker", "list")["items"][0]["seq"] > listed["seq"], 5, "how far it is, without an event")


def test_refusals_are_audited_with_their_reasons(pair):
    """C2, C6, C7, H7: of a certificate that names no device, of one that was replaced, of a revoked device, and of another's
    client id: counted, not one a row."""
    home, broker = pair()
    device, victim, revoked, old = register(home, 4)
    join(device, broker).close()
    home.json("device", "package", old.id)
    join(revoked, broker).close()
    assert home.request("POST", f"/v1/devices/{revoked.id}/revoke", {}).status == 200
    wait_for(lambda: not revoked.connects(), 5, "the refusal")
    # The broker's own, which this CA signed.
    (own,) = home.json("broker", "list")["items"]
    stranger = Credentials(home, home.base / "stranger", own["id"])
    stranger.dir.mkdir()
    for name, source in (("ca.crt", "ca/root.crt"), ("device.crt", "broker/broker.crt"), ("device.key", "broker/broker.key")):
        (stranger.dir / name).write_bytes((home.dir / source).read_bytes())
    for _ in range(3):
        assert not revoked.connects() and not stranger.connects() and not old.connects()
        assert device.publish("x", "x", id=victim.id).returncode != 0
    counts = refusals(home, 4 * 3 + 1)
    assert counts.pop((f"device:{revoked.id}", "not-an-active-device-or-service")) >= 4
    counts.pop((f"device:{revoked.id}", "its-policy-lets-it-not-publish-there"), None)  # where it was let in once more
    assert counts == {(f"broker:{own['id']}", "no-certificate-of-a-device-or-service"): 3,
                      (f"device:{old.id}", "its-certificate-is-not-a-current-one"): 3,
                      (f"device:{device.id}", "its-client-id-must-be-its-id"): 3}
    assert len(rows(home, "connection.refusals")) < 4 * 3


def test_denied_topics_are_counted_and_do_not_flood(pair):
    """C1, H7"""
    home, broker = pair()
    device, other = register(home, 2)
    client = join(device, broker)
    publish(client, f"devices/{other.id}/telemetry", 3000)
    for _ in range(7):
        client.send(0x82, b"\x00\x01\x00\x01#\x00")
    publish(client, f"devices/{device.id}/telemetry", 5)  # what it may
    client.send(0xc0, b"")
    wait_for(lambda: client.socket.recv(100).endswith(b"\xd0\x00"), 5, "the end of it")
    assert refusals(home, 3007) == {(f"device:{device.id}", "its-policy-lets-it-not-publish-there"): 3000,
                                    (f"device:{device.id}", "its-policy-lets-it-not-subscribe-to-that"): 7}
    assert len(rows(home, "connection.refusals")) < 20
    assert home.json("device", "show", device.id)["status"] == "active"  # off by default
    assert home.json("broker", "list")["items"][0]["dropped"] == 0
    client.close()


def test_who_asks_too_often_for_what_is_not_its_own_is_suspended(pair):
    home, broker = pair({"broker.refusals_per_min": "20"})
    device, other = register(home, 2)
    client, bystander = join(device, broker), join(other, broker)
    publish(client, f"devices/{other.id}/telemetry", 15)
    time.sleep(2)
    assert home.json("device", "show", device.id)["status"] == "active"
    cut = []
    reader = threading.Thread(target=lambda: cut.append(client.until_cut()))
    reader.start()
    # In one minute: at the end of one the first fifteen would not count any more.
    publish(client, f"devices/{other.id}/telemetry", 21)
    began = time.monotonic()
    reader.join(10 * muster.PATIENCE)
    assert cut, "the session was not cut"
    print(f"cut {time.monotonic() - began:.2f} s after the last denial")
    assert home.json("device", "show", device.id)["status"] == "suspended" and not device.connects()
    broker.said(rf"muster: cut off {device.id}: not an active device or service")
    (limit,) = rows(home, "connection.limit")
    assert limit["target"] == f"device:{device.id}" and limit["detail"]["denials_in_a_minute"] > 20
    (suspended,) = rows(home, "device.suspend")
    assert suspended["target"] == f"device:{device.id}" and suspended["actor"].startswith("broker:")
    bystander.send(0xc0, b"")
    assert bystander.socket.recv(2) == b"\xd0\x00"
    bystander.close()


@pytest.mark.heavy
def test_what_happened_while_the_service_was_away_comes_later(pair):
    home, broker = pair()
    devices = register(home, 3)
    for device in devices:
        join(device, broker).close()
    wait_for(lambda: all(seen(home, d) for d in devices), 5, "the first time")
    before = [seen(home, d) for d in devices]
    home.stop()
    time.sleep(1.1)
    for device in devices:
        Client(device, broker).close()
    assert devices[0].publish("x", "x", id="other").returncode != 0
    time.sleep(3)
    home.start()
    wait_for(lambda: all(seen(home, d) > b for d, b in zip(devices, before)), 40, "what happened meanwhile")
    assert refusals(home, 1) == {(f"device:{devices[0].id}", "its-client-id-must-be-its-id"): 1}
    assert home.json("broker", "list")["items"][0]["dropped"] == 0


def test_what_there_was_no_room_for_is_counted(pair):
    home, broker = pair(extra="plugin_opt_reports 16")
    device = register(home)
    join(device, broker).close()
    wait_for(lambda: seen(home, device), 5, "the first time")
    time.sleep(1)
    home.stop()
    for _ in range(30):
        Client(device, broker).close()
    broker.said("muster: more than 16 events wait to be reported", 5)
    home.start()
    wait_for(lambda: home.json("broker", "list")["items"][0]["dropped"], 40, "what was dropped")
    assert home.json("broker", "list")["items"][0]["dropped"] == 2 * 30 - 16


def test_a_broker_that_stops_tells_what_is_left(pair):
    home, broker = pair()
    device = register(home)
    time.sleep(0.5)
    client = Client(device, broker)
    broker.stop()
    assert seen(home, device)
    client.close()
    # And does not wait for a service that is away.
    broker.start()
    home.stop()
    client = Client(device, broker)
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 2 * muster.PATIENCE
    client.close()


def test_a_service_that_takes_small_reports_gets_small_ones(pair):
    home, broker = pair({"limits.body_bytes": "1024"})
    device = register(home)
    join(device, broker)
    for _ in range(9):
        Client(device, broker)
    assert device.publish("x", "x", id="other").returncode != 0
    assert refusals(home, 1) == {(f"device:{device.id}", "its-client-id-must-be-its-id"): 1}
    assert seen(home, device)
    broker.said("muster: the service answers reports with status 413")
    assert home.json("broker", "list")["items"][0]["dropped"] == 0
