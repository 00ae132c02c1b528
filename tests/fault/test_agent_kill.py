"""The device's agent killed at each of its numbered steps, and at random: at no moment is the device without a pair that
works, or with one that nobody would take back. Runs on a build with -Dkillpoints=true."""

import os
import random
import shutil
import signal
import time

import muster
import pytest
from agent import Agent
from killed import Points
from maker import Maker
from muster import wait_for
from pluginbroker import PluginBroker, add_service
from test_est import token
from test_kill import LISTED

OWN = {int(n): what for n, place, what in LISTED if place.startswith("src/agent/")}
SHARED = [19, 20]  # every file that it writes
FIRST_ONLY = [43]  # nothing of it happens in a renewal
AT_THE_BROKER = [44, 45]
CYCLES = 60 if os.environ.get("MUSTER_LONG") == "yes" else 10


@pytest.fixture(scope="module")
def site():
    """A service, its broker, and one who hears all devices."""
    home = muster.Home(settings={"limits.register_per_min": "0"}).start()
    broker = PluginBroker(home)
    broker.said(r"muster: a new table of \d+ devices and services, at change")
    yield home, add_service(home, "hears", "--read", "devices/#")
    broker.stop()
    home.close()
    shutil.rmtree(home.base, ignore_errors=True)


class Killed(Agent):
    def __init__(self, home):
        super().__init__(home)
        self.points = Points(self.base)
        self.env = self.points.env

    def arm(self, number):
        self.points.arm(number)
        return {"pass_fds": (self.points.fd,)}

    def check_died(self, number):
        assert self.points.armed() == 0 and self.points.passed(number) > 0

    def check_works(self, service):
        """The broker takes it, and its lines arrive."""
        heard = service.subscribe(f"devices/{self.id}/#")
        self.start()
        self.said("connected to the broker")
        self.say(f"alive {time.monotonic_ns()}")
        last = self.feed.read_text().splitlines()[-1]
        heard.wait_message(f"devices/{self.id}/telemetry", last, 20)
        heard.stop()
        assert self.stop() == 0


@pytest.mark.parametrize("number", [*SHARED, *OWN])
def test_killed_while_it_enrols(site, number):
    """I1, F5: the same command again finishes it, with one use of the token and one device."""
    home, service = site
    agent = Killed(home)
    made = token(home)
    assert agent.enrol(secret=made["token"], check=False, **agent.arm(number)).returncode == -signal.SIGKILL
    agent.check_died(number)
    before = {d["id"] for d in home.json("device", "list", "--all")["items"]}
    again = agent.enrol(secret=made["token"], check=False)
    if again.returncode != 0:
        assert number in AT_THE_BROKER and b"has enrolled" in again.stderr, again.stderr
    (row,) = [t for t in home.json("token", "list", "--all")["items"] if t["id"] == made["id"]]
    assert row["uses"] == 1
    after = {d["id"] for d in home.json("device", "list", "--all")["items"]}
    assert after - before <= {agent.id} and len(agent.certificates()) == 1
    agent.check_works(service)


@pytest.fixture(scope="module")
def acme(site):
    """A manufacturer whose devices are let in."""
    home, _ = site
    root = Maker(home.base)
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--any-serial")
    return root


@pytest.mark.parametrize("number", OWN)
def test_killed_while_it_enrols_by_its_manufacturers_certificate(site, acme, number):
    """I1, F5: the same command again finishes it, as one device with one certificate."""
    home, _ = site
    agent, made = Killed(home), acme.make(f"PX-{number}")
    command = ["--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--broker",
               f"localhost:{home.broker_port}", "--idevid", made.cert, "--idevid-key", made.key]
    assert agent.call("enrol", *command, check=False, **agent.arm(number)).returncode == -signal.SIGKILL
    agent.check_died(number)
    again = agent.call("enrol", *command, check=False)
    if again.returncode != 0:
        assert number in AT_THE_BROKER and b"has enrolled" in again.stderr, again.stderr
    assert [d["id"] for d in home.json("device", "list", "--search", f"PX-{number}")["items"]] == [agent.id]
    assert len(agent.certificates()) == 1


@pytest.mark.parametrize("number", [*SHARED, *(n for n in OWN if n not in FIRST_ONLY)])
def test_killed_while_it_renews(site, number):
    """I1, F4, F5: the old pair or the new one is in use, the renewal is finished by the next one, and is one."""
    home, service = site
    agent = Killed(home)
    agent.enrol()
    options = agent.arm(number)
    if number in AT_THE_BROKER:
        agent.call("renew")
        agent.start(**options)
        agent.process.child.wait(20)
        assert agent.process.child.returncode == -signal.SIGKILL
        agent.process = None
    else:
        assert agent.call("renew", check=False, **options).returncode == -signal.SIGKILL
    agent.check_died(number)
    agent.check_works(service)
    if number not in AT_THE_BROKER:
        agent.call("renew")
    agent.start()
    agent.said("connected to the broker")
    agent.wait_superseded()
    assert len(agent.certificates()) == (3 if number == 42 else 2)
    assert agent.stop() == 0


def test_killed_at_random(site):
    """I1: while it renews and talks."""
    home, service = site
    rng = random.Random(int(os.environ.get("MUSTER_SEED", "1")))
    agent = Agent(home)
    agent.enrol()
    heard = service.subscribe(f"devices/{agent.id}/#")
    for cycle in range(CYCLES):
        agent.start()
        agent.said("connected to the broker")
        agent.call("renew", check=False)
        time.sleep(rng.uniform(0, 0.5))
        agent.process.child.kill()
        agent.process.child.wait()
        agent.process = None
        # Faster than brokers report, old ones add up; but only to what the service gives.
        assert len([c for c in agent.certificates() if c["state"] == "active"]) <= 4, f"cycle {cycle}"
    agent.feed.write_text("")
    agent.start()
    agent.said("connected to the broker")
    agent.say("the end")
    heard.wait_message(f"devices/{agent.id}/telemetry", "the end", 20)
    heard.stop()
    wait_for(lambda: [c["state"] for c in agent.certificates()].count("active") == 1, 15, "all but the last to be superseded")
    assert agent.stop() == 0
