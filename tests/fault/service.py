"""A home that is started, broken and started again many times, and what its clients know of it."""

import shutil

import checker
import muster
from load import Load, make_csrs
from muster import wait_for

KNOWN = ("devices", "asked", "states", "links", "delivered", "tried", "answers", "errors", "secret", "pairs", "unanswered")
# The load comes from one address, faster than anybody's; the checker looks into the ACL file.
SETTINGS = {**muster.ACL_FILE, "limits.links_per_min": "0", "limits.links_all_per_min": "0"}


class Service:
    def __init__(self, settings=None, csrs=12, home=None):
        self.home = home or muster.Home(settings={**SETTINGS, **(settings or {})})
        self.csrs = make_csrs(self.home, csrs)
        self.load = Load(self.home, self.csrs)
        self.number = 0

    def start(self, **kwargs):
        self.home.start(**kwargs)
        return self

    def is_ready(self):
        try:
            return self.home.request("GET", "/readyz", token=None).status == 200
        except Exception:  # refused, reset, cut short
            return False

    def ready(self, seconds=20):
        wait_for(self.is_ready, seconds, "the service to be ready again")

    def stop(self):
        return self.home.stop()

    def close(self):
        self.load.stop_asked.set()
        self.home.close()
        shutil.rmtree(self.home.base, ignore_errors=True)

    def begin(self, threads=4):
        """Go on with the same knowledge and new threads."""
        fresh = Load(self.home, self.csrs, threads)
        for name in KNOWN:
            setattr(fresh, name, getattr(self.load, name))
        self.load = fresh.start()

    def enrols_by_est(self):
        """From now on, the load has devices with keys of their own."""
        reply = self.home.request("POST", "/v1/tokens", {"type": "pump", "name": "load", "uses": 100000, "profile": "constrained"})
        assert reply.status == 201, reply.body
        self.load.secret = reply.json["token"]

    def check(self):
        self.load.stop()
        self.ready()
        self.number = checker.check(self.home, self.load, self.number)

    def register(self, name="one"):
        """A device that the checker knows of."""
        reply = self.home.request("POST", "/v1/devices", {"name": name, "type": "t", "key": "ec-p256"})
        assert reply.status == 201, reply.body
        self.load.registered(reply)
        return reply.json["id"]

    def revoke(self, id):
        """Returns the reply, with what it means noted for the checker."""
        reply = self.home.request("POST", f"/v1/devices/{id}/revoke", {})
        if reply.status == 200:
            self.load.states[id] = "revoked"
        else:
            self.load.asked[id] = "revoked"
        return reply

    def acl(self):
        return (self.home.dir / "broker/acl").read_text()
