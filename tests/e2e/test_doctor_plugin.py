"""`muster doctor` where the broker has the plugin: what it finds then that it does not find in ACL-file mode. As in
test_doctor.py each test breaks one thing for real, and sees those checks fail that it must and no other."""

import re
import time

import muster
import pytest
from doctor import IN_EVERY_MODE, Findings, do, doctor, sees
from follower import Follower
from muster import run, wait_for
from pluginbroker import PluginBroker

pytestmark = pytest.mark.heavy

ALWAYS = {*IN_EVERY_MODE, "broker-service", "broker-feed", "broker-credentials"}
OF_A_DEVICE = {"device", "device-certificate", "device-revocation", "device-rights", "device-refusals", "device-files",
               "device-connection"}
FAKED = pytest.mark.release_only  # a sanitizer must be loaded first, and so must libfaketime


def follow(home, **kwargs):
    """A broker that has followed to the end."""
    broker = PluginBroker(home, **kwargs)
    wait_for(lambda: own(home)["behind"] == 0, 10, "the broker to follow")
    return broker


def own(home):
    (found,) = [b for b in home.json("broker", "list")["items"] if b["name"].startswith("home-")]
    return found


def onboard(home):
    made = home.json("device", "register", "--name", "patient", "--type", "pump", "--key", "ec-p256")
    credentials = muster.open_package(home, made)
    wait_for(lambda: sends(credentials), 5, "the device in the table")
    return credentials


def sends(device):
    return device.publish(f"devices/{device.id}/telemetry", "x").returncode == 0


@pytest.fixture(scope="module")
def broker(home):
    b = follow(home)
    yield b
    b.stop()


@pytest.fixture
def own_broker(fresh):
    """A home and its broker, for a test that breaks them."""
    home = fresh().start()
    broker = follow(home)
    yield home, broker
    broker.stop()


def test_a_healthy_installation(home, broker):
    findings = sees(home, {})
    assert set(findings.all) == ALWAYS
    for name, finding in findings.all.items():
        assert name == "clock-sync" or (finding["status"] == "ok" and finding["remedy"] is None), finding
    device = onboard(home)
    said = len(broker.process.lines)
    findings = sees(home, {}, device.id, "--package", device.dir)
    assert set(findings.all) == ALWAYS | OF_A_DEVICE
    assert all(findings[n]["status"] == "ok" for n in OF_A_DEVICE)
    assert f"devices/{device.id}/telemetry" in findings["device-rights"]["finding"]
    assert not [x for x in broker.process.lines[said:] if "muster: refused" in x]  # nor was anybody reported


def test_a_session_is_not_taken_over(home, broker):
    device = onboard(home)
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    sees(home, {}, device.id, "--package", device.dir)
    time.sleep(0.3)
    assert not [x for x in broker.process.lines if f"{device.id} already connected" in x]
    listener.stop()


def test_elsewhere(home, broker):
    result = run(muster.MUSTER, "--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt",
                 "--token", home.token, "--json", "doctor", check=False)
    findings = Findings(result)
    assert not findings.bad and findings["broker-feed"]["status"] == "ok"


def test_a_broker_of_the_other_mode(fresh):
    """broker.mode is plugin, the broker has the ACL file's configuration; and the other way round."""
    home = fresh().start()
    acl_file = home.base / "other.conf"
    acl_file.write_bytes(home.cli("broker", "config", "mosquitto", "--mode", "acl-file").stdout)
    process = muster.Process(["mosquitto", "-c", acl_file, "-v"])
    process.wait_line(r"mosquitto version .* running")
    try:
        findings = sees(home, {"broker-config": "fail", "broker-feed": "fail"})
        assert "broker.mode in muster.conf is plugin" in findings["broker-config"]["finding"]
        assert "never been heard" in findings["broker-feed"]["finding"]
    finally:
        process.stop()
    broker = follow(home)
    try:
        sees(home, {})
        home.stop()
        home.configure(muster.ACL_FILE)
        home.start()
        findings = doctor(home)
        assert findings.bad["broker-config"] == "fail"
        assert "broker.mode in muster.conf is acl-file" in findings["broker-config"]["finding"]
        assert "broker-feed" not in findings.all
    finally:
        broker.stop()


@pytest.mark.parametrize("line, instead, bad", [
    (r"plugin_opt_[a-z_]+ .*|plugin .*", "", {"broker-feed": "fail"}),
    (r"require_certificate true", "require_certificate false", {"broker-strangers": "fail"}),
    (r"per_listener_settings false", "use_subject_as_username true", {})])
def test_a_broker_of_another_configuration(fresh, line, instead, bad):
    home = fresh().start()
    broker = PluginBroker(home, start=False)
    broker.config.write_text(re.sub(line, instead, broker.config.read_text()))
    broker.start()
    try:
        wait_for(lambda: "broker-feed" in bad or not doctor(home)["broker-feed"]["status"] == "fail", 10, "the broker to follow")
        findings = sees(home, {"broker-config": "fail", **bad})
        do(findings["broker-config"]["remedy"].split(", and")[0])
        broker.stop()
        broker.start()
        wait_for(lambda: not doctor(home).bad, 10, "all well")
    finally:
        broker.stop()


def test_a_broker_that_was_stopped(own_broker):
    """It no longer answers, and no longer follows."""
    home, broker = own_broker
    broker.stop()
    home.cli("policy", "set", "missed", "--write", "x/{id}")
    findings = doctor(home)
    assert findings.bad == {"broker": "fail", "broker-process": "fail", "broker-feed": "fail"}
    assert "does not catch up" in findings["broker-feed"]["finding"]
    assert "127.0.0.1" in findings["broker-feed"]["remedy"]
    broker.start()
    wait_for(lambda: not doctor(home).bad, 10, "all well")


@FAKED
def test_a_broker_that_is_silent(own_broker):
    """Also when there is no news for it; and for longer than it would trust what it knows."""
    home, broker = own_broker
    broker.stop()
    later = doctor(home, prefix=["faketime", "-f", "+10m"])
    assert later.bad["broker-feed"] == "fail" and "a day after" in later["broker-feed"]["finding"]
    later = doctor(home, prefix=["faketime", "-f", "+25h"])
    assert "refuses new connections" in later["broker-feed"]["finding"]


def test_a_broker_that_does_not_catch_up(own_broker):
    """It is heard, and asks for nothing more."""
    home, _ = own_broker
    made = home.json("broker", "add", "slow", "--key", "ec-p256")
    findings = sees(home, {"broker-feed": "warn"})
    assert "slow has never been heard" in findings["broker-feed"]["finding"]
    files = muster.open_package(home, made)
    follower = Follower(home, home.tls(files.dir / "device.crt", files.dir / "device.key")).snapshot()
    follower.follow()
    sees(home, {})
    home.cli("policy", "set", "missed", "--write", "x/{id}")
    findings = sees(home, {"broker-feed": "fail"})
    assert "slow is 1 changes behind" in findings["broker-feed"]["finding"]
    follower.follow()
    follower.follow()
    sees(home, {})
    home.cli("broker", "remove", "slow")
    sees(home, {})
    follower.close()


@FAKED
def test_credentials_of_brokers_end(own_broker):
    home, _ = own_broker
    made = home.json("broker", "add", "short-lived", "--key", "ec-p256", "--profile", "short")
    files = muster.open_package(home, made)
    follower = Follower(home, home.tls(files.dir / "device.crt", files.dir / "device.key")).snapshot()
    follower.follow()
    sees(home, {})
    soon = doctor(home, prefix=["faketime", "-f", "+23h"])
    # which was not heard for 23 hours, as lists and answers were not renewed
    assert soon.bad == {"broker-feed": "fail", "broker-credentials": "warn", "ocsp": "fail", "pki": "warn"}
    late = doctor(home, prefix=["faketime", "-f", "+25h"])
    assert late.bad["broker-credentials"] == "fail"
    assert "short-lived ended" in late["broker-credentials"]["finding"]
    assert "muster broker add" in late["broker-credentials"]["remedy"]
    home.cli("broker", "remove", "short-lived")
    sees(home, {})
    follower.close()


def test_where_the_plugin_does_not_reach_the_service(home, broker):
    """api.public_url names a port where nobody is, another's, and a name that the server's certificate does not have."""
    try:
        for url, bad, says in (
                (f"https://localhost:{muster.free_port()}", {}, "connect"),
                (f"https://localhost:{home.broker_port}", {}, str(home.broker_port)),
                (f"https://other.localhost:{home.api_port}", {"server-certificate": "fail"}, "not trusted")):
            home.configure({"api.public_url": url})
            findings = sees(home, {"broker-service": "fail", **bad})
            assert says in findings["broker-service"]["finding"], findings["broker-service"]
            assert "api.public_url" in findings["broker-service"]["remedy"]
    finally:
        home.configure({"api.public_url": f"https://localhost:{home.api_port}"})
    sees(home, {})


def test_a_broker_whose_credentials_were_removed(own_broker):
    """C9: it goes on by what it knew. Who is revoked then is still let in there, and that is seen."""
    home, broker = own_broker
    device = onboard(home)
    args = [device.id, "--package", device.dir]
    sees(home, {}, *args)
    home.cli("broker", "remove", own(home)["id"])
    findings = sees(home, {"broker-service": "fail", "broker-feed": "fail"}, *args)
    assert "no broker" in findings["broker-feed"]["finding"] and "ca renew broker" in findings["broker-service"]["remedy"]
    home.cli("device", "revoke", device.id)
    assert sends(device)
    bad = {"broker-service": "fail", "broker-feed": "fail", "device": "fail", "device-connection": "fail"}
    wait_for(lambda: doctor(home, *args).bad == bad, 5, "the findings, when the list is published, too")
    findings = sees(home, bad, *args)
    assert "still lets it in" in findings["device-connection"]["finding"]
    broker.stop()
    home.stop()
    do(re.search(r"muster [^;]* ca renew broker", findings["broker-service"]["remedy"])[0])
    home.start()
    broker.start()
    wait_for(lambda: doctor(home, *args).bad == {"device": "fail"}, 10, "the broker to follow again")
    assert "refuses it" in doctor(home, *args)["device-connection"]["finding"]


def told(home, device, text):
    """The finding about refusals, once TEXT is in it: they are seen when the minute's sum is audited, which a restart hastens."""
    def look():
        home.stop()
        home.start()
        return text in doctor(home, device.id)["device-refusals"]["finding"]
    time.sleep(1.5 * muster.PATIENCE)  # the broker reports every quarter of a second: all of it goes into one sum
    wait_for(look, 30, text)
    wait_for(lambda: doctor(home, device.id).bad == {"device-refusals": "warn"}, 40, "the broker to follow again")
    return doctor(home, device.id)["device-refusals"]


def test_a_device_that_brokers_refused(own_broker):
    """Under another client id than its own; then a topic."""
    home, _ = own_broker
    device = onboard(home)
    for _ in range(3):
        assert device.publish(f"devices/{device.id}/telemetry", "x", id="pump-7").returncode != 0
    refusals = told(home, device, "a connection")
    assert re.search(r"[1-3] times", refusals["finding"]) and "client-id" in refusals["finding"]
    assert refusals["remedy"].endswith(device.id) and "device.json" in refusals["remedy"]
    time.sleep(1.1)  # the clock of audit and reports has seconds
    assert sends(device)
    wait_for(lambda: not doctor(home, device.id).bad, 40, "the report that it was let in")
    device.publish("plant/line", "x")
    assert "device update" in told(home, device, "a topic")["remedy"]
