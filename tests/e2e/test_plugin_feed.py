"""A real Mosquitto with the plugin, and the service that it follows."""

import sqlite3
import statistics
import threading
import time

import muster
import pytest
from muster import run, wait_for
from pluginbroker import Client, PluginBroker, not_after, onboard, post


def test_a_new_device_is_known_at_once(home, following, service):
    device = onboard(home)
    listener = service.subscribe(f"devices/{device.id}/#")
    device.publish(f"devices/{device.id}/telemetry", "hello", check=True)
    listener.wait_message(f"devices/{device.id}/telemetry", "hello")
    listener.stop()


def test_revocation_cuts_the_session(home, following, service):
    """C6, C3: at once, without its will, with nothing behind it; and nobody else's."""
    never, other = onboard(home), onboard(home)
    bystander = Client(other, following)
    listener = service.subscribe("devices/#")
    took, answered = [], []
    for _ in range(10):
        device = onboard(home)
        topic = f"devices/{device.id}/telemetry"
        client = Client(device, following, will=(topic, "its will"))
        cut = []
        reader = threading.Thread(target=lambda: cut.append((client.until_cut(), time.monotonic())))
        reader.start()
        began = time.monotonic()
        post(home, device, "revoke", {"reason": "keyCompromise"})
        answered.append(time.monotonic() - began)
        reader.join(10 * muster.PATIENCE)
        assert cut and cut[0][0] == b"", cut
        took.append(cut[0][1] - began)
        assert not device.connects()
    post(home, never, "revoke")
    other.publish(f"devices/{other.id}/telemetry", "marker")  # takes its own session over
    listener.wait_message(f"devices/{other.id}/telemetry", "marker")
    assert not [m for m in listener.messages() if m[1] == "its will"]
    print(f"revoke to session cut: median {1000 * statistics.median(took):.0f} ms, worst {1000 * max(took):.0f} ms; "
          f"to its answer: median {1000 * statistics.median(answered):.0f} ms")
    assert statistics.median(took) < 0.5 * muster.PATIENCE, took
    assert not [x for x in following.process.lines if f"cut off {other.id}" in x or f"cut off {never.id}" in x]
    bystander.close()
    listener.stop()


def test_the_file_of_the_other_mode_grants_nothing(home, following):
    """C4: a broker that still reads it finds nobody's rights."""
    device = onboard(home)
    acl = (home.dir / "broker/acl").read_text()
    assert device.id not in acl and not [x for x in acl.splitlines() if x.startswith(("user", "topic", "pattern"))]


def test_nobody_else_is_cut(home, following):
    """C3: revoking who never connected leaves a session alone that is there."""
    bystander, never = onboard(home), onboard(home)
    client = Client(bystander, following)
    before = len(following.process.lines)
    post(home, never, "revoke")
    wait_for(lambda: not never.connects(), 5, "the refusal")
    time.sleep(0.3)
    client.send(0xc0, b"")
    assert client.socket.recv(2) == b"\xd0\x00"  # PINGRESP
    assert not [x for x in following.process.lines[before:] if "cut off" in x]
    client.close()


def test_what_waits_does_not_reach_the_revoked(home, following, speaker):
    """C6: neither what was queued nor what is retained."""
    device = onboard(home)
    topic = f"devices/{device.id}/commands/x"
    persistent = ["mosquitto_sub", *device.mqtt(), "-c", "-t", f"devices/{device.id}/commands/#"]
    run(*persistent, "-E")
    speaker.publish(topic, "waiting", check=True)
    run("mosquitto_pub", *speaker.mqtt(), "-t", topic, "-m", "retained", "-r")
    post(home, device, "suspend")
    time.sleep(0.5 * muster.PATIENCE)
    # Only lasting sessions here: any other one under this id would end what waits.
    assert run(*persistent, "-E", check=False).returncode != 0
    assert run(*persistent, "-C", "1", "-W", "1", check=False).stdout == b""
    post(home, device, "resume")
    heard = wait_for(lambda: run(*persistent, "-C", "2", "-W", "5", check=False).stdout, 5, "connecting again")
    assert set(heard.split()) == {b"waiting", b"retained"}


def test_suspending_cuts_and_resuming_lets_in(home, following):
    device = onboard(home)
    client = Client(device, following)
    post(home, device, "suspend")
    client.until_cut()
    wait_for(lambda: not device.connects(), 5, "the refusal")
    post(home, device, "resume")
    wait_for(device.connects, 5, "connecting again")


@pytest.mark.heavy
def test_a_certificate_that_expires_ends_the_session(home, following):
    """C5"""
    device = onboard(home, valid="15s")
    ends = not_after(device.dir / "device.crt")
    client = Client(device, following)
    client.socket.settimeout(75)
    client.until_cut()
    print(f"cut {time.time() - ends:.1f} s after its end")
    assert 0 <= time.time() - ends < 60
    following.said(rf"muster: cut off {device.id}: its certificate has expired")
    assert not device.connects()


def test_a_new_package_cuts_the_old_certificate(home, following):
    device = onboard(home)
    client = Client(device, following)
    made = home.json("device", "package", device.id)
    client.until_cut()
    following.said(rf"muster: cut off {device.id}: its certificate is not a current one")
    assert not device.connects()
    wait_for(muster.open_package(home, made).connects, 5, "the new certificate")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_revoked_stays_refused_with_a_resumed_tls_session(home, following, version):
    """C6"""
    device = onboard(home)
    session = home.base / f"{device.id}.session"
    connect = b"\x10\x30\x00\x04MQTT\x04\x02\x00\x3c\x00\x24" + device.id.encode()
    taken = b"\x20\x02\x00\x00"

    def answer(*args):
        return run("timeout", "2", "openssl", "s_client", "-connect", f"localhost:{following.port}", "-CAfile",
                   device.dir / "ca.crt", "-cert", device.dir / "device.crt", "-key", device.dir / "device.key", version,
                   "-ign_eof", *args, input=connect, check=False).stdout

    assert taken in answer("-sess_out", session)
    said = answer("-sess_in", session)
    assert b"Reused, TLS" in said and taken in said
    post(home, device, "revoke")
    wait_for(lambda: not device.connects(), 5, "the refusal")
    said = answer("-sess_in", session)
    assert b"Reused, TLS" in said and taken not in said


def test_a_policy_changes_under_a_live_subscriber(home, following, service, speaker):
    """C1"""
    home.cli("policy", "set", "live", "--write", "plant/{type}/{id}/state", "--read", "plant/{type}/all")
    device = onboard(home, policy="live")
    listener = device.subscribe("plant/pump/all")
    hears = service.subscribe("plant/#")
    speaker.publish("plant/pump/all", "before", check=True)
    listener.wait_message("plant/pump/all", "before")
    home.cli("policy", "set", "live", "--write", "plant/{id}/new", "--read", "devices/{id}/commands/#")

    time.sleep(0.5 * muster.PATIENCE)
    speaker.publish("plant/pump/all", "after", check=True)
    time.sleep(0.5)
    assert [m for m in listener.messages() if m[1] == "after"] == []
    assert listener.process.child.poll() is None
    listener.stop()
    device.publish(f"plant/pump/{device.id}/state", "denied")
    device.publish(f"plant/{device.id}/new", "marker", check=True)
    hears.wait_message(f"plant/{device.id}/new", "marker")
    assert not [m for m in hears.messages() if m[1] == "denied"]
    hears.stop()


def test_the_service_goes_and_comes(fresh):
    """C8: while it is away known devices connect, and revoked ones do not, also where the broker starts anew; when it
    is back the broker learns what it has missed."""
    home = fresh().start()
    broker = PluginBroker(home)
    known, revoked, later = onboard(home), onboard(home), onboard(home)
    post(home, revoked, "revoke")
    wait_for(lambda: not revoked.connects(), 5, "the refusal")
    home.stop()
    assert known.connects() and not revoked.connects()
    broker.said("muster: cannot ask")
    broker.stop()
    broker.start()
    assert known.connects() and later.connects() and not revoked.connects()
    home.start()
    post(home, later, "revoke")
    wait_for(lambda: not later.connects(), 35, "what was revoked since")
    broker.said("is heard again")
    new = onboard(home)
    assert new.connects() and known.connects()
    broker.stop()


def test_a_broker_that_is_revoked_hears_nothing(fresh):
    """C9: it says so, and goes on with what it knows."""
    home = fresh().start()
    broker = PluginBroker(home)
    known = onboard(home)
    home.stop()
    with sqlite3.connect(home.dir / "muster.db") as db:
        assert db.execute("UPDATE certificate SET state = 2, revoked_at = 1 WHERE owner_kind = 3").rowcount == 1
    home.start()
    broker.said("refuses this broker's certificate .*: was it revoked\\?", 35)
    new = muster.open_package(home, home.json("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256"))
    time.sleep(1)
    assert known.connects() and not new.connects()
    broker.stop()


def sessions_of(device, *suffixes):
    """One subscriber each."""
    topic = f"devices/{device.id}/commands/#"
    subscribers = []
    for suffix in suffixes:
        one = muster.Process(["stdbuf", "-oL", "mosquitto_sub", *device.mqtt(device.id + suffix), "-d", "-F", "> %p",
                              "-t", topic])
        one.wait_line(r"Subscribed \(mid")
        subscribers.append(one)
    return subscribers


def test_several_sessions_of_one_device(home, following, speaker):
    """C2, C6: as many as its policy says, each under a client id of its own; revoking cuts all of them."""
    several = ("--write", "devices/{id}/telemetry", "--read", "devices/{id}/commands/#")
    home.cli("policy", "set", "several", *several, "--sessions", "2")
    assert home.json("policy", "show", "several")["sessions"] == 2
    device, single = onboard(home, policy="several"), onboard(home)
    live = sessions_of(device, "/a", "/b")
    for suffix in ("", "/c"):
        assert device.publish("x", "x", id=device.id + suffix).returncode != 0, suffix
        following.said(rf"refused {device.id}{suffix} from .*: it has as many sessions as its policy allows")
    assert single.publish("x", "x", id=f"{single.id}/a").returncode != 0
    following.said(rf"refused {single.id}/a from .*: its client id must be its id")
    speaker.publish(f"devices/{device.id}/commands/x", "both", check=True)
    for one in live:
        one.wait_line("^> both$")
    # Fewer: the later one goes. A policy that is set without --sessions has one, whose client id is the device's.
    home.cli("policy", "set", "several", *several, "--sessions", "3")
    wait_for(lambda: device.publish("x", "x", id=f"{device.id}/c").returncode == 0, 5, "a third one")
    live += sessions_of(device, "/c")
    home.cli("policy", "set", "several", *several, "--sessions", "2")
    following.said(rf"cut off {device.id}/c: it has as many sessions as its policy allows")
    speaker.publish(f"devices/{device.id}/commands/x", "still", check=True)
    for one in live[:2]:
        one.wait_line("^> still$")
    post(home, device, "revoke")
    for suffix in ("/a", "/b"):
        following.said(rf"cut off {device.id}{suffix}: not an active device or service")
    assert not device.connects()
    home.cli("policy", "set", "several", *several)
    assert home.json("policy", "show", "several")["sessions"] == 1
    for one in live:
        one.child.terminate()
        one.child.wait()
