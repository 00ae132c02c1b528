"""Clients that keep a server busy and write down what it acknowledged: the outside log that a checker holds against
database, CRL, ACL file and audit. What was asked and never answered may have happened or not; either is right, half of
it is not."""

import random
import threading
from collections import Counter

from muster import openssl


def make_csrs(home, n):
    """N requests for P-256 keys of their own."""
    csrs = []
    for i in range(n):
        key, csr = home.base / f"load-{i}.key", home.base / f"load-{i}.csr"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        openssl("req", "-new", "-key", key, "-subj", "/CN=load", "-out", csr)
        csrs.append(csr.read_text())
    return csrs


class Load:
    def __init__(self, home, csrs, threads=4):
        self.home, self.csrs = home, csrs
        self.lock = threading.Lock()
        self.devices = {}          # id -> serial, acknowledged
        self.asked = {}            # id -> what was asked of it without an answer
        self.states = {}           # id -> acknowledged status
        self.links = {}            # url path -> id, not yet redeemed
        self.delivered = Counter()  # url path -> whole packages received
        self.tried = set()         # url paths that were posted to
        self.policies = {}         # name -> last acknowledged write topic
        self.answers = Counter()   # statuses
        self.errors = []           # what no client should ever see
        self.stop_asked = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.stop_asked.set()
        for t in self.threads:
            if t.ident is not None:
                t.join(60)
                assert not t.is_alive()

    def request(self, method, path, body=None, token=""):
        """None if there was no whole answer, or one that says «not now»."""
        try:
            reply = self.home.request(method, path, body, token)
        except Exception:  # refused, reset, cut short: the server died
            return None
        with self.lock:
            self.answers[reply.status] += 1
            # 429: too often. 500 and 503: it cannot now, because a part of it is dead. What it did is unknown.
            if reply.status not in (200, 201, 404, 409, 410, 429, 500, 503):
                self.errors.append((method, path, reply.status, reply.body[:300]))
        return reply if reply.status < 500 else None

    def run(self, number):
        rng = random.Random(number)
        actions = [self.register, self.register, self.enrol, self.enrol_twice, self.revoke, self.revoke,
                   self.suspend, self.fetch, self.fetch, self.policy]
        while not self.stop_asked.is_set():
            rng.choice(actions)(rng)

    def registered(self, reply):
        if reply is None or reply.status != 201:
            return
        made = reply.json
        with self.lock:
            self.devices[made["id"]] = made["certificate"]["serial"]
            self.states[made["id"]] = "active"
            if made["package"]:
                self.links["/d/" + made["package"]["url"].rsplit("/", 1)[1]] = made["id"]

    def register(self, rng):
        self.registered(self.request("POST", "/v1/devices", {
            "name": f"load {rng.random()}", "type": "pump", "key": "ec-p256"}))

    def enrol(self, rng):
        with self.lock:
            csr = self.csrs.pop() if self.csrs else None
        if csr:
            self.registered(self.request("POST", "/v1/devices", {"name": "own key", "type": "pump", "csr": csr}))

    def enrol_twice(self, rng):
        """The same key twice at once: one wins, and the other's certificate must not live."""
        with self.lock:
            csr = self.csrs.pop() if self.csrs else None
        if not csr:
            return
        body = {"name": "same key", "type": "pump", "csr": csr}
        replies = []

        def ask():
            replies.append(self.request("POST", "/v1/devices", body))

        both = [threading.Thread(target=ask) for _ in range(2)]
        for t in both:
            t.start()
        for t in both:
            t.join()
        won = [r for r in replies if r is not None and r.status == 201]
        if len(won) > 1:
            self.errors.append(("two devices with one key", [r.json["id"] for r in won]))
        for r in won:
            self.registered(r)

    def pick(self, rng, states):
        with self.lock:
            ids = [i for i, s in self.states.items() if s in states and i not in self.asked]
            if not ids:
                return None
            id = rng.choice(ids)
            self.asked[id] = True
            return id

    def move(self, id, action, state, body=None):
        reply = self.request("POST", f"/v1/devices/{id}/{action}", body or {})
        with self.lock:
            if reply is not None and reply.status == 200:
                self.states[id] = state
                del self.asked[id]
            else:
                self.asked[id] = state  # it may have come to that

    def revoke(self, rng):
        if id := self.pick(rng, ("active", "suspended")):
            self.move(id, "revoke", "revoked", {"reason": rng.choice(["keyCompromise", "unspecified"])})

    def suspend(self, rng):
        if id := self.pick(rng, ("active", "suspended")):
            if self.states[id] == "active":
                self.move(id, "suspend", "suspended")
            else:
                self.move(id, "resume", "active")

    def fetch(self, rng):
        with self.lock:
            if not self.links:
                return
            path = rng.choice(sorted(self.links))
            self.tried.add(path)
        reply = self.request("POST", path, token=None)
        with self.lock:
            if reply is not None and reply.status == 200:
                self.delivered[path] += 1
            if reply is not None and reply.status in (200, 410):
                self.links.pop(path, None)

    def policy(self, rng):
        name = f"p{rng.randrange(3)}"
        topic = f"plant/{rng.randrange(10 ** 6)}/{{id}}"
        with self.lock:
            self.policies.pop(name, None)  # others write it, too: only an undisturbed answer counts
        self.request("PUT", f"/v1/policies/{name}", {"write": [topic], "read": []})
