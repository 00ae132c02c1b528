"""Brokers: each with credentials of its own, how far each is, what they report; and one that is removed."""

import json
import shutil
import sqlite3
import threading
import time

import muster
from follower import Follower, stored

EPOCH = "0" * 32


class Client:
    """A broker that was added, by its package."""

    def __init__(self, home, name, *args):
        self.home, self.name = home, name
        self.made = home.json("broker", "add", name, *args)
        self.files = muster.open_package(home, self.made)
        self.id = self.made["id"]

    @property
    def tls(self):
        return self.home.tls(self.files.dir / "device.crt", self.files.dir / "device.key")

    def report(self, events=(), seq=0, dropped=0, epoch=EPOCH, **more):
        return self.home.request("POST", "/v1/brokers/reports", {
            "epoch": epoch, "seq": seq, "dropped": dropped, "events": list(events), **more}, token=None, tls=self.tls)


def listed(home, name):
    (found,) = [b for b in home.json("broker", "list")["items"] if b["name"] == name]
    return found


def event(kind, id, at=None, reason="", peer="192.0.2.9"):
    return {"kind": kind, "at": at or int(time.time()), "id": id, "peer": peer, "reason": reason}


def test_a_broker_is_added_followed_and_removed(home):
    broker = Client(home, "hall-1", "--key", "ec-p256")
    follower = Follower(home, broker.tls).snapshot()
    assert (follower.seq, follower.policies, follower.owners) == stored(home)
    assert listed(home, "hall-1")["behind"] is None  # it has not asked for changes yet
    follower.follow()
    assert listed(home, "hall-1")["behind"] == 0 and listed(home, "hall-1")["address"] == "127.0.0.1"
    for _ in range(3):
        home.json("device", "register", "--name", "b", "--type", "t", "--key", "ec-p256")
    assert listed(home, "hall-1")["behind"] == 3
    follower.follow()
    follower.follow()
    assert listed(home, "hall-1")["behind"] == 0
    shown = home.cli("broker", "list").stdout.decode()
    assert "hall-1" in shown and "BEHIND" in shown and any(line.startswith("home-") for line in shown.splitlines())
    assert home.cli("broker", "add", "hall-1", check=False).returncode == 1
    assert home.cli("broker", "add", check=False).returncode == 2
    home.cli("broker", "remove", "hall-1")
    assert home.cli("broker", "remove", "hall-1", check=False).returncode == 1
    assert not [b for b in home.json("broker", "list")["items"] if b["name"] == "hall-1"]
    follower.close()


def test_c9_removed_credentials_are_refused_at_once(home):
    """C9 the broker's own credentials revoked: refused on a connection that is open, one that waits among them, and on a
    new one; another broker goes on."""
    broker, other = Client(home, "c9", "--key", "ec-p256"), Client(home, "c9-other", "--key", "ec-p256")
    idle, waiting = Follower(home, broker.tls).snapshot(), Follower(home, broker.tls).snapshot()
    stays = Follower(home, other.tls).snapshot()
    answers = []

    def wait():
        response = waiting.get(f"/v1/feed?epoch={waiting.epoch}&after={waiting.seq}&wait_s=30")
        answers.append((response.status, time.monotonic(), response.read()))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5 * muster.PATIENCE)
    assert thread.is_alive()
    begun = time.monotonic()
    home.cli("broker", "remove", "c9", "--reason", "keyCompromise")
    thread.join(10)
    assert answers[0][0] == 401, answers
    print(f"who waited was refused {(answers[0][1] - begun) * 1000:.0f} ms after the command began")
    for path in ("/v1/feed/snapshot", f"/v1/feed?epoch={idle.epoch}&after={idle.seq}"):
        response = idle.get(path)
        assert response.status == 401 and response.read()
        assert home.request("GET", path, token=None, tls=broker.tls).status == 401
    assert broker.report().status == 401
    home.json("device", "register", "--name", "b", "--type", "t", "--key", "ec-p256")
    assert len(stays.follow(10)) == 1
    for f in (idle, waiting, stays):
        f.close()


def test_c9_the_home_s_own_broker(fresh):
    """C9 the certificate that `init` made is revoked like any other."""
    home = fresh().start()
    follower = Follower(home, home.tls(home.dir / "broker/broker.crt", home.dir / "broker/broker.key")).snapshot()
    (own,) = home.json("broker", "list")["items"]
    home.cli("broker", "remove", own["id"])
    response = follower.get("/v1/feed/snapshot")
    assert response.status == 401
    follower.close()


def test_a_broker_may_follow_and_report_and_nothing_else(home):
    """H1 a broker's certificate opens the feed and reports; nobody else's opens reports."""
    broker = Client(home, "h1", "--key", "ec-p256")
    spec = home.request("GET", "/v1/openapi.json").json["paths"]
    for path, item in spec.items():
        for method, operation in item.items():
            if method not in ("get", "post", "put", "patch", "delete") or operation["security"] == []:
                continue
            status = home.request(method.upper(), path.replace("{", "").replace("}", ""), token=None, tls=broker.tls).status
            assert (status == 403) == ("broker" not in operation["x-roles"]), (method, path, status)
    body = {"epoch": EPOCH, "seq": 0, "dropped": 0, "events": []}
    assert home.request("POST", "/v1/brokers/reports", body).status == 403  # the admin
    assert home.request("POST", "/v1/brokers/reports", body, token=None).status == 401


def test_reports(home):
    broker = Client(home, "reports", "--key", "ec-p256")
    device = home.json("device", "register", "--name", "seen", "--type", "t", "--key", "ec-p256")
    assert home.json("device", "show", device["id"])["last_seen_at"] is None
    assert broker.report([event("connect", device["id"], at=1795510800), event("refuse", "", reason="unknown certificate")],
                         seq=5, dropped=7).status == 204
    assert home.json("device", "show", device["id"])["last_seen_at"] == "2026-11-24T09:00:00Z"
    assert "2026-11-24T09:00:00Z" in home.cli("device", "show", device["id"]).stdout.decode()
    assert listed(home, "reports")["dropped"] == 7 and listed(home, "reports")["seq"] == 5
    # A later report of an earlier time changes nothing.
    assert broker.report([event("disconnect", device["id"], at=1795510000)], dropped=1).status == 204
    assert home.json("device", "show", device["id"])["last_seen_at"] == "2026-11-24T09:00:00Z"
    assert listed(home, "reports")["dropped"] == 8


def test_reports_that_are_none(home):
    """A6, B7 in reports: refused as a whole, with the member's name."""
    broker = Client(home, "bad-reports", "--key", "ec-p256")
    device = home.json("device", "register", "--name", "unseen", "--type", "t", "--key", "ec-p256")["id"]
    good = event("connect", device)
    for body in ({"events": [dict(good, kind="kick")]}, {"events": [dict(good, extra=1)]}, {"events": [dict(good, count=0)]}, {"events": [dict(good, at=0)]},
                 {"events": [dict(good, at="1")]}, {"events": [dict(good, id="../x")]}, {"events": [dict(good, reason="a\nb")]},
                 {"events": [dict(good, peer="x" * 64)]}, {"events": [event("refuse", "", at=1, peer="")] * 1001}, {"events": {}}, {"seq": -1}, {"epoch": "x"},
                 {"dropped": 1.5}, {"more": 1}):
        whole = {"epoch": EPOCH, "seq": 0, "dropped": 0, "events": [good], **body}
        reply = home.request("POST", "/v1/brokers/reports", json.dumps(whole, separators=(",", ":")), token=None,
                             tls=broker.tls, headers={"Content-Type": "application/json"})
        assert reply.status == 400, (body, reply.body)
    assert home.json("device", "show", device)["last_seen_at"] is None


def test_refusals_become_few_audit_rows(fresh):
    """H7 a flood of refusals is counted; the audit has a row a minute for each device and reason, and what a broker
    wrote as a reason is a word there."""
    home = fresh().start()
    broker = Client(home, "flood", "--key", "ec-p256")
    device = home.json("device", "register", "--name", "refused", "--type", "t", "--key", "ec-p256")["id"]
    for _ in range(20):
        assert broker.report([event("refuse", device, reason='not "yours" \\ {}') for _ in range(200)]).status == 204
    home.stop()  # writes what is counted
    home.start()
    rows = [r for r in home.json("audit", "list", "--limit", "1000")["items"] if r["action"] == "connection.refusals"]
    assert 1 <= len(rows) <= 2 and all(r["target"] == f"device:{device}" for r in rows)
    assert sum(r["detail"]["count"] for r in rows) == 4000 and {r["detail"]["reason"] for r in rows} == {"not-yours"}
    assert home.cli("audit", "verify").returncode == 0


def test_a_device_that_is_denied_too_often_is_suspended(fresh):
    home = fresh(settings={"broker.refusals_per_min": "5"}).start()
    broker = Client(home, "strict", "--key", "ec-p256")
    device = home.json("device", "register", "--name", "refused", "--type", "t", "--key", "ec-p256")["id"]
    follower = Follower(home, broker.tls).snapshot()
    now = int(time.time())
    assert broker.report([event("refuse", device, now, reason="session")] * 9).status == 204
    assert broker.report([event("deny", device, now, reason="topic")] * 5).status == 204
    assert home.json("device", "show", device)["status"] == "active"
    assert broker.report([{**event("deny", device, now, reason="topic"), "count": 2}]).status == 204
    assert home.json("device", "show", device)["status"] == "suspended"
    follower.follow()
    assert device not in follower.owners
    actions = [r["action"] for r in home.json("audit", "list", "--limit", "1000")["items"] if r["target"] == f"device:{device}"]
    assert "connection.limit" in actions and "device.suspend" in actions
    follower.close()


def set_back(home, version):
    """Give the home, which is not being served, a database as migration VERSION left it."""
    path = home.dir / "muster.db"
    old = home.base / "old.db"
    db = sqlite3.connect(old, isolation_level=None)
    for script in sorted((muster.ROOT / "src/store/migrations/sqlite").iterdir())[:version]:
        db.executescript(script.read_text())
    db.execute("ATTACH ? AS new", [str(path)])
    for table, in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"DELETE FROM main.{table}")
        db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    (program,) = db.execute("PRAGMA new.application_id").fetchone()
    db.execute(f"PRAGMA main.application_id = {program}")
    db.execute(f"PRAGMA main.user_version = {version}")
    db.close()
    shutil.copyfile(old, path)
    if version < 14:
        (home.dir / "audit.key").unlink()


def test_migration_names_the_brokers_that_are_there(fresh):
    """A home of before there were brokers in the database: its own is found."""
    home = fresh()
    set_back(home, 3)
    home.start()
    (own,) = home.json("broker", "list")["items"]
    assert own["name"] == f"home-{own['id'][:8]}" and own["status"] == "active"
    Follower(home, home.tls(home.dir / "broker/broker.crt", home.dir / "broker/broker.key")).snapshot().close()
