"""The life of a fleet on one machine: N simulated devices make their keys and enrol by EST, connect to a real Mosquitto with
the plugin, publish, renew their certificates, come with the new ones, and are revoked. What became of each device is looked
up where it shows: in the certificate that it got, at the broker, with one who hears what was published, in the store and on
the CRL. tests/bench/fleet prints it, test_fleet.py judges it."""

import os
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import muster
from fleet import TOOLS, Load, QuietBroker, rss
from pluginbroker import add_service

# All come from one address, faster than any that is not a test.
SETTINGS = {"limits.register_per_min": "0", "limits.register_all_per_min": "0"}
REVOKERS = 8


class Phase:
    """What each of the fleet was to do: the ids that did (or numbers, before they have ids), what went wrong with others."""

    def __init__(self, name):
        self.name, self.did, self.failed, self.took_ms, self.seconds, self.memory = name, set(), {}, [], 0.0, {}

    def percentile(self, p):
        took = sorted(self.took_ms)
        return took[int((len(took) - 1) * p)] if took else 0.0

    def row(self):
        rate = len(self.did) / self.seconds if self.seconds else 0
        took = (f"{self.percentile(p):.0f}" if self.took_ms else "" for p in (0.5, 0.99))
        return (self.name, len(self.did), len(self.failed), f"{rate:.0f}", *took, *(
            f"{self.memory[w] / 2 ** 20:.0f}" for w in ("api", "signer", "broker")))


HEAD = ("phase", "devices", "failed", "a second", "p50 ms", "p99 ms", "api MiB", "signer MiB", "broker MiB")


def table(phases):
    rows = [HEAD, *(p.row() for p in phases)]
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(HEAD))]
    return "\n".join("  ".join(str(x).ljust(w) if i == 0 else str(x).rjust(w) for i, (x, w) in enumerate(zip(r, widths)))
                     for r in rows)


class Lines:
    """What a process has said since it was looked at last."""

    def __init__(self, process):
        self.process, self.at = process, 0

    def new(self):
        lines = self.process.lines[self.at:]
        self.at += len(lines)
        return [line.split(" ", 2) for line in lines]


class Life:
    def __init__(self, home, n, say=lambda text: None, patience_s=60):
        self.home, self.n, self.say = home, n, say
        self.dir = home.base / "devices"
        self.dir.mkdir()
        self.ids = {}  # number -> id
        self.phases = []
        self.deadline_s = patience_s + n / 20  # of each phase
        self.broker = QuietBroker(home)

    def live(self):
        self.broker.start()
        self.broker.said("muster: a new table of")
        hears = add_service(self.home, "hears", "--read", "devices/#")
        # With QoS 1 Mosquitto would send 20 and wait for their acknowledgement, which it reads behind 500 handshakes.
        ear = muster.Subscriber(hears, ["devices/#"], args=("-q", "0"))
        held = []
        try:
            self.ask("enrol")
            held.append(self.connect("connect", "", ear))
            self.ask("renew")
            held.append(self.connect("reconnect", ".next", ear, instead_of=held[0]))
            self.retire()
            self.revoke(held[1])
            self.look_up()
        finally:
            ear.stop()
            for load in held:
                load.child.terminate()
            self.broker.stop()
        return self.phases

    def phase(self, name):
        """The next one; the one before is over."""
        p = Phase(name)
        self.phases.append(p)
        return p

    def until_done(self, p, look, began=None):
        """LOOK again and again, until each device did, or failed, or it takes too long."""
        began = began or time.monotonic()
        said = began
        while True:
            look()
            now = time.monotonic()
            p.seconds = now - began
            over = len(p.did) + len(p.failed) >= self.n or p.seconds > self.deadline_s * muster.PATIENCE
            if over or now - said > 2:
                self.say(f"{p.name}: {len(p.did)} of {self.n}, {len(p.failed)} failed, {p.seconds:.0f} s")
                said = now
            if over:
                break
            time.sleep(0.02 + self.n / 20000)  # less often where there is much to look at
        pids = {"api": self.home.child("api"), "signer": self.home.child("signer"), "broker": self.broker.child.pid}
        p.memory = {name: rss(pid) for name, pid in pids.items()}
        if p.failed:
            self.say(f"{p.name}: for example: {next(iter(p.failed.items()))}")

    # ---- phases -------------------------------------------------------------------------------------------------------

    def ask(self, what):
        """Each makes a key and asks for a certificate."""
        p = self.phase(what)
        env = dict(os.environ)
        if what == "enrol":
            made = self.home.request("POST", "/v1/tokens", {"type": "pump", "name": "fleet", "uses": self.n, "profile": "constrained"})
            assert made.status == 201, made.body
            env["TOKEN"] = made.json["token"]
        process = muster.Process([TOOLS / "estload", what, f"https://localhost:{self.home.api_port}",
                                  self.home.dir / "ca/root.crt", self.dir, self.n], env=env)
        lines = Lines(process)

        def look():
            for kind, number, rest in lines.new():
                number = int(number)
                if kind != "done":
                    p.failed[number] = rest
                    continue
                id, ms = rest.split()
                if self.ids.setdefault(number, id) != id:
                    p.failed[number] = f"was {self.ids[number]}, became {id}"
                else:
                    p.did.add(id)
                    p.took_ms.append(float(ms))

        self.until_done(p, look)
        process.child.wait(10)

    def caught_up(self):
        """The broker knows of all that has been said before."""
        muster.wait_for(lambda: self.home.json("broker", "list")["items"][0]["behind"] == 0, self.deadline_s, "the broker's table")

    def pems(self, kind):
        path = self.home.base / f"fleet{kind}.pem"
        with open(path, "w") as f:
            for number in sorted(self.ids):
                f.write((self.dir / f"{number}{kind}.pem").read_text())
        return path

    def connect(self, what, kind, ear, instead_of=None):
        """Each comes and publishes, and is heard. Where it comes INSTEAD_OF an older session of its own, that one ends."""
        self.caught_up()
        p = self.phase(what)
        heard = self.phase("publish" if instead_of is None else "publish again")
        before = len(ear.process.lines)
        began = time.monotonic()
        # Of the first pair's sessions none comes back, as none of a device that has a newer one.
        load = Load("hold", self.broker, self.pems(kind), len(self.ids),
                    flags=("-t", "-o") if instead_of is None else ("-t",))
        lines, ears = Lines(load), Lines(ear.process)
        ears.at = before

        def look():
            for kind, id, rest in (x for x in lines.new() if len(x) == 3):
                if kind == "up":
                    p.did.add(id)
                    p.took_ms.append(float(rest.split()[1]))
                elif kind in ("refused", "lost"):
                    p.failed[id] = kind
            for _, topic, _ in (x for x in ears.new() if x[0] == ">"):
                heard.did.add(topic.split("/")[1])

        self.until_done(p, look, began)
        self.until_done(heard, look, began)
        if instead_of is not None:
            ended = self.phase("old session ends")
            old = Lines(instead_of)

            def look_at_old():
                for kind, id, _ in (x for x in old.new() if len(x) == 3):
                    if kind == "lost":
                        ended.did.add(id)
            self.until_done(ended, look_at_old, began)
        return load

    def database(self, sql):
        db = sqlite3.connect(f"file:{self.home.dir}/muster.db?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def retire(self):
        """The older certificate of each is revoked as superseded, for the newer one was seen; and the broker refuses it."""
        p = self.phase("old one superseded")

        def look():
            p.did = {owner for owner, in self.database(
                "SELECT owner_id FROM certificate WHERE owner_kind = 0 AND state = 2 AND reason = 4 AND superseded_by IS NOT NULL")}
        self.until_done(p, look)
        self.caught_up()
        p = self.phase("old one refused")
        load = Load("hold", self.broker, self.pems(""), len(self.ids), flags=("-t", "-o"))
        lines = Lines(load)

        def look_again():
            for kind, id, _ in (x for x in lines.new() if len(x) == 3):
                if kind == "refused":
                    p.did.add(id)
                elif kind == "up":
                    p.failed[id] = "was let in with a superseded certificate"
        self.until_done(p, look_again)
        load.child.terminate()

    def revoke(self, held):
        """Each is revoked by the API; its session is cut, and it does not come back."""
        p, cut, refused = self.phase("revoke"), self.phase("cut"), self.phase("refused")
        acknowledged, lost_at, began = {}, {}, time.monotonic()

        def revoke_one(id):
            at = time.monotonic()
            reply = self.home.request("POST", f"/v1/devices/{id}/revoke", {})
            acknowledged[id] = time.monotonic()
            return id, reply.status, (acknowledged[id] - at) * 1000

        lines = Lines(held)
        lines.at = len(held.lines)

        def look():
            for kind, id, at in (x for x in lines.new() if len(x) == 3):
                if kind == "lost":
                    cut.did.add(id)
                    lost_at[id] = float(at) / 1e3
                elif kind == "refused":
                    refused.did.add(id)
                elif kind == "up":
                    refused.failed[id] = "was let in after its revocation"

        with ThreadPoolExecutor(REVOKERS) as pool:
            waiting = [pool.submit(revoke_one, id) for id in self.ids.values()]
            at = 0

            def look_at_replies():
                nonlocal at
                while at < len(waiting) and waiting[at].done():
                    id, status, ms = waiting[at].result()
                    if status == 200:
                        p.did.add(id)
                    else:
                        p.failed[id] = f"answered {status}"
                    p.took_ms.append(ms)
                    at += 1
                look()
            self.until_done(p, look_at_replies, began)
        self.until_done(cut, look, began)
        cut.took_ms = [max(0, lost_at[id] - acknowledged[id]) * 1000 for id in cut.did if id in acknowledged]
        self.until_done(refused, look, began)

    def look_up(self):
        """In the store: each device revoked, with its two certificates; and each of those is on the CRL."""
        p = self.phase("on the CRL")
        devices = {id for id, in self.database("SELECT id FROM device WHERE status = 3")}
        certificates = {}
        for owner, state, serial in self.database("SELECT owner_id, state, serial FROM certificate WHERE owner_kind = 0"):
            certificates.setdefault(owner, []).append((state, serial.hex()))

        def look():
            said = subprocess.run(["openssl", "crl", "-inform", "DER", "-noout", "-text"], input=self.home.pki("/crl/issuing.crl").body,
                                  capture_output=True, check=True).stdout.decode()
            listed = {line.split(":")[1].strip().lower().rjust(40, "0") for line in said.splitlines() if "Serial Number:" in line}
            p.did = {id for id in self.ids.values() if id in devices and len(certificates.get(id, [])) == 2 and
                     all(state == 2 and serial in listed for state, serial in certificates[id])}
        self.until_done(p, look)
