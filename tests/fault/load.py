"""Clients that keep a server busy and write down what it acknowledged: the outside log that a checker holds against
database, CRL, ACL file and audit. What was asked and never answered may have happened or not; either is right, half of
it is not."""

import base64
import random
import re
import threading
import uuid
from collections import Counter

from muster import openssl

EST = "/.well-known/est/"
RENEWALS_MAX = 3  # of a device: more than that does the service not give while nobody uses them


def make_csrs(home, n):
    """N requests for P-256 keys of their own."""
    csrs = []
    for i in range(n):
        key, csr = home.base / f"load-{i}.key", home.base / f"load-{i}.csr"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        openssl("req", "-new", "-key", key, "-subj", "/CN=load", "-out", csr)
        csrs.append(csr.read_text())
    return csrs


class Pair:
    """A device's key and request, and what it was given for it: DER, or None as long as no answer came."""

    def __init__(self, shown, key, csr):
        self.shown, self.key, self.csr = shown, key, csr  # SHOWN: the pair that asks; None at first
        self.der = self.path = None

    def take(self, der):
        self.der, self.path = der, self.key.with_suffix(".crt")
        self.path.write_bytes(openssl("x509", "-inform", "DER", input=der).stdout)


def leaf(body):
    """DER of the one certificate in EST's answer."""
    pem = openssl("pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(body)).stdout
    return openssl("x509", "-outform", "DER", input=pem).stdout


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
        self.secret = None         # an enrolment token: then devices also enrol and renew by EST
        self.pairs = {}            # id -> its pairs, in the order of their answers
        self.unanswered = []       # pairs whose answer did not come
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

    def request(self, method, path, body=None, token="", right=(200, 201, 404, 409, 410), **kwargs):
        """None if there was no whole answer, or one that says «not now»."""
        try:
            reply = self.home.request(method, path, body, token, **kwargs)
        except Exception:  # refused, reset, cut short: the server died
            return None
        with self.lock:
            self.answers[reply.status] += 1
            # 429: too often. 500 and 503: it cannot now, because a part of it is dead. What it did is unknown.
            if reply.status not in (*right, 429, 500, 503):
                self.errors.append((method, path, reply.status, reply.body[:300]))
        return reply if reply.status < 500 else None

    def run(self, number):
        rng = random.Random(number)
        actions = [self.register, self.register, self.enrol, self.enrol_twice, self.revoke, self.revoke,
                   self.suspend, self.fetch, self.fetch, self.policy]
        if self.secret:
            actions += [self.enrol_by_est, self.renew, self.renew, self.ask_again]
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

    # ---- EST --------------------------------------------------------------------------------------------------------

    def ask(self, pair):
        """The certificate's DER; None if no answer came, False if it was refused."""
        headers = {"Content-Type": "application/pkcs10"}
        tls = None
        if pair.shown is None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"any:{self.secret}".encode()).decode()
        else:
            tls = self.home.tls(pair.shown.path, pair.shown.key)
        # 401: the certificate that is shown was revoked, or superseded.
        reply = self.request("POST", EST + ("simpleenroll" if tls is None else "simplereenroll"), base64.b64encode(pair.csr).decode(),
                             token=None, headers=headers, tls=tls, right=(200, 401, 409))
        if reply is None:
            return None
        return leaf(reply.body) if reply.status == 200 else False

    def new_pair(self, shown, name):
        key = self.home.base / f"est-{uuid.uuid4()}.key"
        csr = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj",
                      f"/CN={name}", "-outform", "DER").stdout
        return Pair(shown, key, csr)

    def settle(self, pair, id=None):
        """Ask, and write down what came of it."""
        der = self.ask(pair)
        if not der:
            if der is None:
                with self.lock:
                    self.unanswered.append((id, pair))
            return
        pair.take(der)
        text = openssl("x509", "-in", pair.path, "-noout", "-subject", "-serial").stdout.decode()
        owner, serial = re.search(r"CN ?= ?([0-9a-f-]{36})", text)[1], re.search(r"serial=([0-9A-F]+)", text)[1].lower().rjust(40, "0")
        with self.lock:
            if id not in (None, owner):
                self.errors.append(("renewed as another", id, owner))
            self.pairs.setdefault(owner, []).append(pair)
            if owner not in self.devices:
                self.devices[owner] = serial
                self.states[owner] = "active"
            self.answers[201] += id is None

    def enrol_by_est(self, rng):
        self.settle(self.new_pair(None, "by est"))

    def pick_pair(self, rng):
        with self.lock:
            ids = [i for i, p in self.pairs.items() if p and len(p) <= RENEWALS_MAX]
            if not ids:
                return None, None
            id = rng.choice(ids)
            return id, self.pairs[id][-1]

    def renew(self, rng):
        id, shown = self.pick_pair(rng)
        if id:
            self.settle(self.new_pair(shown, id), id)

    def ask_again(self, rng):
        """The same key again, within the day: what it was given before, or that it is not good any more."""
        id, pair = self.pick_pair(rng)
        if id and self.ask(pair) not in (None, False, pair.der):
            self.errors.append(("the same key was given two certificates", id))
