"""A broker's side of the feed, written from its description alone: takes a snapshot, applies changes, and complains of
whatever a follower must be able to rely on. And a look at the store by other means, to hold it against."""

import http.client
import json
import os
import secrets
import sqlite3
import threading
import time
import uuid


class Stale(Exception):
    """A snapshot is required."""


def read_lines(lines, first_kind):
    """The first line and the objects of a whole body, checked for what frames them."""
    lines = [json.loads(line) for line in lines]
    first, objects, last = lines[0], lines[1:-1], lines[-1]
    assert first["kind"] == first_kind, first
    assert last == {"kind": "end", "count": len(objects)}, last
    return first, objects


class Follower:
    def __init__(self, home, tls):
        self.home, self.tls = home, tls
        self.connection = None
        self.epoch, self.seq = None, None
        self.policies, self.owners = {}, {}
        self.snapshots = 0
        self.asked = threading.Event()  # a question is on its way

    def get(self, path):
        """On one connection that is kept."""
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("localhost", self.home.api_port, context=self.tls, timeout=60)
        self.connection.request("GET", path)
        self.asked.set()
        return self.connection.getresponse()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def snapshot(self):
        response = self.get("/v1/feed/snapshot")
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "application/jsonl"
        first, objects = read_lines(response.read().splitlines(), "snapshot")
        assert first["version"] == 1
        self.policies, self.owners = {}, {}
        self.epoch, self.seq = first["epoch"], first["seq"]
        for o in objects:
            assert "seq" not in o and o.get("status", "active") == "active"
            self.apply(o)
        self.snapshots += 1
        return self

    def apply(self, o):
        if o["kind"] == "policy":
            key = o["tenant"], o["name"]
            if o.get("removed"):
                self.policies.pop(key, None)
            else:
                self.policies[key] = (o["write"], o["read"])
        elif o["status"] == "active":
            self.owners[o["id"]] = (o["kind"], o.get("type"), o.get("policy"), frozenset(map(tuple, o["fps"])))
        else:
            assert o["fps"] == []
            self.owners.pop(o["id"], None)

    def follow(self, wait_s=0):
        """One question; the objects that came with the answer."""
        response = self.get(f"/v1/feed?epoch={self.epoch}&after={self.seq}&wait_s={wait_s}")
        body = response.read()
        if response.status == 409:
            assert json.loads(body)["type"] == "urn:muster:problem:snapshot-required"
            raise Stale(json.loads(body)["detail"])
        assert response.status == 200, (response.status, body)
        first, objects = read_lines(body.splitlines(), "changes")
        assert (first["epoch"], first["after"]) == (self.epoch, self.seq)
        for o in objects:
            assert o["seq"] == self.seq + 1, "a gap"
            self.seq += 1
            self.apply(o)
        assert first["seq"] == self.seq
        return objects

    def catch_up(self, seq, seconds=30):
        until = time.monotonic() + seconds
        while self.seq < seq:
            assert time.monotonic() < until, (self.seq, seq)
            self.follow(wait_s=1)


def stored(home):
    """(last seq, policies, owners) as SQL sees them, in one read transaction."""
    db = sqlite3.connect(f"file:{home.dir}/muster.db?mode=ro", uri=True)
    db.execute("BEGIN")
    now = time.time()
    seq = db.execute("SELECT coalesce(max(seq), 0) FROM change").fetchone()[0]
    policies = {(tenant, name): (json.loads(write), json.loads(read)) for tenant, name, write, read in db.execute(
        "SELECT t.name, p.name, p.write, p.read FROM policy p JOIN tenant t ON t.id = p.tenant_id")}
    certificates = {}
    for owner, fingerprint, not_after in db.execute("SELECT owner_id, lower(hex(fingerprint)), not_after FROM certificate "
                                                    "WHERE state = 0 AND owner_kind IN (0, 1) AND not_after > ?", (now,)):
        certificates.setdefault(owner, set()).add((fingerprint, not_after))
    owners = {}
    for id, type, policy in db.execute("SELECT id, type, policy FROM device WHERE status = 1"):
        owners[id] = ("device", type, policy, frozenset(certificates.get(id, ())))
    for (id,) in db.execute("SELECT id FROM service WHERE status = 1"):
        owners[id] = ("service", None, None, frozenset(certificates.get(id, ())))
    db.close()
    return seq, policies, owners


def seed(home, n):
    """N active devices with a certificate each, straight into the database of a server that is not running. What is in
    the columns that the feed does not tell is not real."""
    db = sqlite3.connect(home.dir / "muster.db")
    db.execute("PRAGMA synchronous = OFF")
    now = int(time.time())
    ids = sorted(str(uuid.UUID(bytes=os.urandom(16), version=4)) for _ in range(n))
    db.executemany("INSERT INTO device (id, tenant_id, name, name_key, type, location, status, policy, created_at, updated_at)"
                   " VALUES (?, 1, ?, ?, 'pump', '', 1, 'default', ?, ?)",
                   ((id, f"Seeded {i}", f"seeded {i}", now, now) for i, id in enumerate(ids)))
    db.executemany("INSERT INTO certificate (serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, key, profile,"
                   " not_before, not_after, state, reason, revoked_at, der)"
                   " VALUES (?, 1, 0, ?, ?, ?, 'ec-p256', 'constrained', ?, ?, 0, 0, 0, zeroblob(500))",
                   ((secrets.token_bytes(20), id, secrets.token_bytes(32), secrets.token_bytes(32), now - 60, now + 86400 * 365)
                    for id in ids))
    db.commit()
    db.close()
    return ids
