"""A bridge between two brokers of one service, used as `muster broker config mosquitto --bridge-to` prints it: a device at
one, a back end at the other."""

import shutil
import time

import muster
import pytest
from muster import wait_for
from pluginbroker import AddedBroker, At, PluginBroker, readable

pytestmark = pytest.mark.heavy


def add_service(home, name, *rights):
    made = home.json("service", "add", name, *rights)
    return muster.open_package(home, made)


@pytest.fixture(scope="module")
def bridge(home):
    """The service that the bridge is at the far broker."""
    files = add_service(home, "to-far", "--write", "devices/+/telemetry", "--read", "devices/+/commands/#",
                        "--write", "plant/#", "--read", "plant/#")
    readable(files)
    return files


@pytest.fixture(scope="module")
def far(home):
    broker = AddedBroker(home, "far")
    broker.said("muster: a new table of")
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def near(home, far, bridge):
    broker = PluginBroker(home, name="near", args=("--bridge-to", f"localhost:{far.port}", "--bridge-as", "to-far",
                                                   "--bridge-files", bridge.dir))
    try:
        broker.said("muster: a new table of")
        far.said(rf"New bridge connected from \S+ as {bridge.id}", 20)
        assert not [x for x in broker.process.lines if "Warning" in x or "Error" in x], broker.process.lines
        yield broker
    finally:
        broker.stop()


# Two of each, for who is connected twice under its id takes its own session over.


def onboard(home, near):
    made = home.json("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256")
    credentials = At(muster.open_package(home, made), near)
    wait_for(credentials.connects, 10, "the device in the table")
    return credentials


@pytest.fixture(scope="module")
def device(home, near):
    return onboard(home, near)


@pytest.fixture(scope="module")
def sensor(home, near):
    return onboard(home, near)


def serve(home, far, name, *rights):
    credentials = At(add_service(home, name, *rights), far)
    wait_for(credentials.connects, 10, "the service in the table")
    return credentials


@pytest.fixture(scope="module")
def backend(home, far):
    return serve(home, far, "backend", "--read", "devices/#", "--read", "plant/#")


@pytest.fixture(scope="module")
def control(home, far):
    return serve(home, far, "control", "--write", "devices/+/commands/#", "--write", "devices/+/telemetry", "--write", "plant/#")


def test_telemetry_crosses_and_a_command_crosses_back(device, sensor, backend, control):
    """Each once: nothing goes round."""
    commands = device.subscribe(f"devices/{device.id}/commands/#")
    telemetry = backend.subscribe("devices/#")
    for n in range(3):
        sensor.publish(f"devices/{sensor.id}/telemetry", f"hot {n}", check=True)
        control.publish(f"devices/{device.id}/commands/run", f"faster {n}", check=True)
    telemetry.wait_message(f"devices/{sensor.id}/telemetry", "hot 2")
    commands.wait_message(f"devices/{device.id}/commands/run", "faster 2")
    time.sleep(0.5)
    assert commands.messages() == [(f"devices/{device.id}/commands/run", f"faster {n}") for n in range(3)]
    assert sorted(telemetry.messages()) == sorted(
        [(f"devices/{sensor.id}/telemetry", f"hot {n}") for n in range(3)] + commands.messages())
    commands.stop()
    telemetry.stop()


def test_no_loop_where_a_topic_goes_both_ways(home, near, far, backend, control):
    speaker, hearer = serve(home, near, "speaker", "--write", "plant/#"), serve(home, near, "hearer", "--read", "plant/#")
    here, there = hearer.subscribe("plant/#"), backend.subscribe("plant/#")
    for n in range(3):
        speaker.publish("plant/line", f"from here {n}", check=True)
        control.publish("plant/line", f"from there {n}", check=True)
    for listener in (here, there):
        listener.wait_message("plant/line", "from here 2")
        listener.wait_message("plant/line", "from there 2")
    time.sleep(1)
    said = sorted(("plant/line", f"from {where} {n}") for where in ("here", "there") for n in range(3))
    assert sorted(here.messages()) == said and sorted(there.messages()) == said
    here.stop()
    there.stop()


def test_what_the_service_may_not_does_not_cross(device, sensor, backend, control):
    """C1 in both directions: what is published at either broker under another topic stays there."""
    telemetry = backend.subscribe("devices/#")
    sensor.publish(f"devices/{sensor.id}/control/ack", "done", check=True)  # it may, the bridge may not
    sensor.publish(f"devices/{sensor.id}/telemetry", "marker", check=True)
    telemetry.wait_message(f"devices/{sensor.id}/telemetry", "marker")
    assert telemetry.messages() == [(f"devices/{sensor.id}/telemetry", "marker")]
    telemetry.stop()


def test_who_sends_its_certificate_alone_gets_in(home, near, far, device):
    """At the home's own broker, and at one that was added: both know the issuing CA."""
    alone = home.base / "alone"
    shutil.copytree(device.dir, alone)
    text = (alone / "device.crt").read_text()
    (alone / "device.crt").write_text(text[:text.index("-----END") + len("-----END CERTIFICATE-----\n")])
    credentials = muster.Credentials(home, alone, device.id)
    assert At(credentials, near).connects() and At(credentials, far).connects()
    said = (far.files.dir / "README.txt").read_text()
    assert "muster broker config mosquitto --files" in said and "mosquitto_pub" not in said


def test_while_the_far_broker_is_away(near, far, sensor, backend):
    """What is published meanwhile arrives when it is back."""
    far.stop()
    sensor.publish(f"devices/{sensor.id}/telemetry", "kept", check=True)
    far.start()
    telemetry = backend.subscribe("devices/#")
    telemetry.wait_message(f"devices/{sensor.id}/telemetry", "kept", 60)
    telemetry.stop()


def test_refusals(home):
    """Before anything is printed."""
    ok = ["--bridge-to", "localhost:8883", "--bridge-as", "refusing", "--bridge-files", "/etc/x"]
    add_service(home, "refusing", "--read", "a/#")
    assert home.cli("broker", "config", "mosquitto", *ok).returncode == 0
    for at, value, status in ((1, "localhost:0", 1), (1, "a b", 1), (1, "x\ny", 1), (1, "localhost:88833", 1), (1, "", 1),
                              (3, "nobody", 1), (5, "files", 1), (5, "/x\nlistener 1883", 1)):
        refused = home.cli("broker", "config", "mosquitto", *[value if i == at else x for i, x in enumerate(ok)], check=False)
        assert refused.returncode == status and refused.stderr and not refused.stdout, (value, refused)
    assert home.cli("broker", "config", "mosquitto", *ok[:4], check=False).returncode == 2
    refused = home.cli("broker", "config", "mosquitto", "--mode", "acl-file", *ok, check=False)
    assert refused.returncode == 1 and b"--mode plugin" in refused.stderr
    home.cli("service", "revoke", "refusing")
    assert home.cli("broker", "config", "mosquitto", *ok, check=False).returncode == 1


def test_a_revoked_bridge_is_cut_off(home, near, far, device, sensor, backend, control, bridge):
    """On both sides: the far broker ends the session and lets it in no more, so nothing crosses either way."""
    commands, telemetry = device.subscribe(f"devices/{device.id}/commands/#"), backend.subscribe("devices/#")
    began = time.monotonic()
    home.cli("service", "revoke", "to-far")
    far.said(rf"muster: cut off {bridge.id}: not an active device or service")
    print(f"cut off {1000 * (time.monotonic() - began):.0f} ms after the command began")
    far.said(rf"muster: refused {bridge.id} from \S+: not an active device or service", 40)
    sensor.publish(f"devices/{sensor.id}/telemetry", "late", check=True)
    control.publish(f"devices/{device.id}/commands/run", "late", check=True)
    control.publish(f"devices/{sensor.id}/telemetry", "later, there", check=True)
    telemetry.wait_message(f"devices/{sensor.id}/telemetry", "later, there")
    time.sleep(2)
    assert commands.messages() == []
    assert telemetry.messages() == [(f"devices/{device.id}/commands/run", "late"),
                                    (f"devices/{sensor.id}/telemetry", "later, there")]
    commands.stop()
    telemetry.stop()
