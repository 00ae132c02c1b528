"""A device's next certificate races its revocation: by EST, where the device asks for it, and by REST, where an operator
gives it a new package. Who judges is outside: the database by SQL, the published CRL, a follower of the brokers' feed, and
the device's side, which tries what it got."""

import os
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import TOOLS
from follower import Follower
from muster import openssl, run, wait_for
from test_est import certificates, post, token

LONG = os.environ.get("MUSTER_LONG") == "yes"
RACES = 1000 if LONG else 50
AT_ONCE = 4
SETTINGS = {"limits.register_per_min": "0", "limits.register_all_per_min": "0", "limits.auth_failures_per_min": "0",
            "limits.auth_failures_all_per_min": "0"}


class Observer(threading.Thread):
    """A broker's view: what was said of each device, in order."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.follower = Follower(home, home.tls(home.dir / "broker/broker.crt", home.dir / "broker/broker.key")).snapshot()
        self.said, self.over, self.failure = {}, threading.Event(), None

    def run(self):
        try:
            while not self.over.is_set():
                for o in self.follower.follow(wait_s=1):
                    if o["kind"] == "device":
                        self.said.setdefault(o["id"], []).append(o["status"])
        except Exception as e:  # the test shows it
            self.failure = e

    def stop(self, seq):
        self.over.set()
        self.join(60)
        assert self.failure is None, self.failure
        self.follower.catch_up(seq)
        self.follower.close()


@pytest.fixture(scope="module")
def racers(home):
    """Takes as many devices of the fleet as a test wants: (id, file of key and certificate)."""
    folder = home.base / "racers"
    folder.mkdir()
    secret = token(home, uses=2 * (RACES + 1))["token"]
    said = run(TOOLS / "estload", "enrol", f"https://localhost:{home.api_port}", home.dir / "ca/root.crt", folder, 2 * (RACES + 1),
               env={**os.environ, "TOKEN": secret, "THREADS": "4"}).stdout.decode().splitlines()
    made = [(line.split()[2], folder / f"{line.split()[1]}.pem") for line in said]
    assert len(made) == 2 * (RACES + 1)
    return lambda: [made.pop() for _ in range(RACES + 1)]


def by_est(home, id, pair):
    """The request, ready to be sent."""
    der = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={id}", "-keyout",
                  pair.with_suffix(".new"), "-outform", "DER").stdout
    tls = home.tls(pair, pair)
    return lambda: post(home, "simplereenroll", der, tls=tls)


def by_rest(home, id, pair):
    return lambda: home.request("POST", f"/v1/devices/{id}/package", {"key": "ec-p256"})


def used(home, id, pair, reply):
    """What the service says to what the device got. By REST that is in an archive, whose link must not be good any more."""
    if reply.status == 201:
        return home.request("POST", "/d/" + reply.json["package"]["url"].rsplit("/", 1)[1], token=None).status
    key, crt = pair.with_suffix(".new"), pair.with_suffix(".crt")
    crt.write_text(certificates(reply.body)[0])
    der = openssl("req", "-new", "-key", key, "-subj", f"/CN={id}", "-outform", "DER").stdout
    return post(home, "simplereenroll", der, tls=home.tls(crt, key)).status


def listed(home):
    text = openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body).stdout.decode()
    return {line.split(":")[1].strip().lower().rjust(40, "0") for line in text.splitlines() if "Serial Number:" in line}


def stored(home, sql, *args):
    db = sqlite3.connect(f"file:{home.dir}/muster.db?mode=ro", uri=True)
    try:
        return db.execute(sql, args).fetchall()
    finally:
        db.close()


def state_of(home, id):
    return [(serial.hex(), state) for serial, state in stored(home, "SELECT serial, state FROM certificate WHERE owner_id = ?", id)]


def race(home, kind, id, pair, head_start):
    """The renewal is asked for so many seconds before the revocation. Did it come first?"""
    ask = kind(home, id, pair)
    with ThreadPoolExecutor(1) as pool:
        renewal = pool.submit(lambda: (time.sleep(max(0, -head_start)), ask())[1])
        time.sleep(max(0, head_start))
        revoked = home.request("POST", f"/v1/devices/{id}/revoke", {"reason": "keyCompromise"})
        assert revoked.status == 200, revoked.body
        # At once, while the renewal may still be on its way: nothing that is stored is good, nor will be.
        assert {state for _, state in state_of(home, id)} == {2}, (id, state_of(home, id))
        reply = renewal.result()
    assert reply.status in (200, 201, 401, 409), reply.body
    assert {state for _, state in state_of(home, id)} == {2}, (id, state_of(home, id))
    if reply.status in (200, 201):
        assert used(home, id, pair, reply) in (401, 410)
    return reply.status in (200, 201)


@pytest.mark.parametrize("kind", [by_est, by_rest])
def test_f3_a_renewal_that_races_a_revocation(home, racers, kind):
    """F3, F8: never a valid certificate after the revocation was acknowledged, whoever comes first."""
    rng = random.Random(int(os.environ.get("MUSTER_SEED", "1")))
    observer = Observer(home)
    observer.start()
    first, *fleet = racers()
    alone, began = kind(home, *first), time.monotonic()
    assert alone().status in (200, 201)
    took = time.monotonic() - began
    starts = [rng.uniform(-took, 4 * took) for _ in fleet]  # others race beside it
    with ThreadPoolExecutor(AT_ONCE) as pool:
        won = list(pool.map(lambda one, start: race(home, kind, *one, start), fleet, starts))
    ((last,),) = stored(home, "SELECT max(seq) FROM change")
    observer.stop(last)
    ids = {id for id, _ in fleet}
    print(f"{kind.__name__}: {sum(won)} of {RACES} renewals came first")
    assert 0 < sum(won) < RACES, "no race"
    # The feed: revoked is the last that was said of each, and nothing of an active one behind that.
    for id in ids:
        said = observer.said[id]
        assert said[-1] == "revoked" and "active" not in said[said.index("revoked"):], (id, said)
    assert not ids & observer.follower.owners.keys()
    # The list: all that each ever had, what was signed too late among it.
    wanted = {serial for id in ids for serial, _ in state_of(home, id)}
    assert len(wanted) >= RACES + sum(won)
    wait_for(lambda: wanted <= listed(home), 10, "all of them on the CRL")
