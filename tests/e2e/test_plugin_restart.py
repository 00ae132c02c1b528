"""The broker with the plugin and its service go and come: what was revoked meanwhile stays out."""

import contextlib
import os
import sqlite3
import ssl
import threading
import time

import muster
import pytest
from muster import run, wait_for
from pluginbroker import Client, PluginBroker, add_service, onboard, post
from test_backup import backup, restore

pytestmark = pytest.mark.heavy

MANY = 10000


def database(home):
    return contextlib.closing(sqlite3.connect(home.dir / "muster.db", isolation_level=None))


def copies(db, table, like, n, unlike):
    """N rows of TABLE as the one where LIKE holds, each with what UNLIKE(i) says."""
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "n"]
    one = dict(zip(names, db.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {like[0]} = ?", like[1:]).fetchone()))
    db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                   ([{**one, **unlike(i)}[name] for name in names] for i in range(n)))


def many_devices(home, like):
    """MANY of them, of which nobody has a certificate: only the feed is to be full of them."""
    def id(i):
        return f"{i:08x}-0000-4000-8000-000000000000"

    with database(home) as db:
        db.execute("BEGIN")
        copies(db, "device", ("id", like.id), MANY, lambda i: {"id": id(i), "name": f"many-{i}", "name_key": f"many-{i}"})
        copies(db, "certificate", ("owner_id", like.id), MANY, lambda i: {
            "owner_id": id(i), "serial": b"\x01" + i.to_bytes(19, "big"), "fingerprint": os.urandom(32),
            "spki_hash": os.urandom(32)})
        db.execute("COMMIT")


def revoke_many(home):
    with database(home) as db:
        db.execute("BEGIN")
        n = db.execute("UPDATE device SET status = 3 WHERE name LIKE 'many-%'").rowcount
        db.execute("UPDATE certificate SET state = 2, revoked_at = 1764000000 WHERE owner_id IN"
                   " (SELECT id FROM device WHERE name LIKE 'many-%')")
        db.execute("INSERT INTO change (kind, id, at) SELECT 'device', id, unixepoch() FROM device WHERE name LIKE 'many-%'")
        db.execute("COMMIT")
        return n


class Knocking:
    """Devices that try to get in all the time."""

    def __init__(self, devices, broker):
        self.inside, self.tries, self.stop = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self._knock, args=(d, broker)) for d in devices]
        for t in self.threads:
            t.start()

    def _knock(self, device, broker):
        while not self.stop.is_set():
            try:
                Client(device, broker).close()
                self.inside.append(device.id)
            except (AssertionError, OSError, ssl.SSLError):
                self.tries += 1
            time.sleep(0.005)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        return self.inside


def test_i5_ten_thousand_revocations_while_the_broker_is_down(fresh):
    """I5: the broker comes up with a table in which all of them are active; none gets in, not even at first."""
    home = fresh().start()
    broker = PluginBroker(home)
    known, *lost = [onboard(home) for _ in range(5)]
    home.stop()
    broker.stop()
    many_devices(home, known)
    home.start()
    broker.table.unlink()
    broker.start()
    broker.said(rf"muster: a new table of {MANY + 5} devices and services")
    wait_for(lambda: all(d.connects() for d in lost), 10, "the last time")
    broker.stop()
    home.stop()
    assert revoke_many(home) == MANY
    home.start()
    for device in lost:
        post(home, device, "revoke")
    knocking = Knocking(lost, broker)
    broker.start()
    wait_for(lambda: known.connects(), 10, "who was not revoked")
    time.sleep(2)
    assert knocking.end() == [] and knocking.tries > 20, knocking.tries
    home.stop()
    broker.stop()
    broker.start()
    broker.said(r"muster: 1 devices and services from")
    assert known.connects() and not any(d.connects() for d in lost)
    broker.stop()


def test_what_a_revoked_device_left_retained_is_not_delivered(fresh):
    """C6: where the broker looks at who published it; 2.0.11 does not unless it is told to, whatever its manual says."""
    home = fresh().start()
    broker = PluginBroker(home, extra="check_retain_source true")
    device, other = onboard(home), onboard(home)
    service = add_service(home, "late", "--read", "devices/#")
    for one in (device, other):
        run("mosquitto_pub", *one.mqtt(), "-t", f"devices/{one.id}/telemetry", "-m", "kept", "-r")
    post(home, device, "revoke")
    wait_for(lambda: not device.connects(), 5, "the refusal")
    listener = service.subscribe("devices/#")
    listener.wait_message(f"devices/{other.id}/telemetry", "kept")
    time.sleep(0.3)
    assert listener.messages() == [(f"devices/{other.id}/telemetry", "kept")]
    listener.stop()
    broker.stop()


def test_the_service_comes_back_restored_from_a_backup(fresh):
    """C8: with another epoch, so that the broker takes a whole table: who was revoked since stays out, whom the backup
    does not know waits for the operator, and whom it knows goes on."""
    home = fresh().start()
    broker = PluginBroker(home)
    known, revoked = onboard(home), onboard(home)
    file = backup(home, "--with-keys")
    late = onboard(home)
    post(home, revoked, "revoke")
    session = Client(late, broker)
    stays = Client(known, broker)
    home.stop()
    old = home.dir.rename(home.base / "old")
    restore(home, file, "--signer-log", old / "signer.log")
    before = len(broker.process.lines)
    home.start()
    home.token = home.json("operator", "token", "admin")["token"]
    wait_for(lambda: [x for x in broker.process.lines[before:] if "a new table of" in x], 35, "a new table")
    session.until_cut()
    broker.said(rf"muster: cut off {late.id}: not an active device or service")
    stays.send(0xc0, b"")
    assert stays.socket.recv(2) == b"\xd0\x00"
    stays.close()
    assert known.connects() and not revoked.connects() and not late.connects()
    post(home, late, "resume")
    wait_for(late.connects, 5, "whom the operator lets in")
    broker.stop()
