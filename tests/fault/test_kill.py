"""I1: kill -9 at every numbered point between request and reply, and at random, under load; after each, the invariants
of checker.py hold. Runs on a build with -Dkillpoints=true; where the points are, script/killpoints lists."""

import mmap
import os
import random
import signal
import struct
import subprocess
import time

import muster
import pytest
from load import make_csrs
from muster import wait_for
from service import Service

LISTED = [line.split("\t") for line in subprocess.run(
    [muster.ROOT / "script/killpoints"], check=True, capture_output=True, text=True).stdout.splitlines()]
# Those of the device's agent are test_agent_kill.py's.
POINTS = [(int(n), what) for n, place, what in LISTED if not place.startswith("src/agent/")]
CYCLES = 200 if os.environ.get("MUSTER_LONG") == "yes" else 20
WORD = 4


class Points:
    """The file that all processes share: the armed point, then how often each was passed."""

    def __init__(self, base):
        self.fd = os.open(base / "killpoints", os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self.fd, 64 * WORD)
        os.fchmod(self.fd, 0o666)
        self.words = mmap.mmap(self.fd, 64 * WORD)
        self.env = {**os.environ, "MUSTER_KILLPOINTS_FD": str(self.fd)}

    def arm(self, number):
        self.words[0:WORD] = struct.pack("=I", number)

    def armed(self):
        return struct.unpack("=I", self.words[0:WORD])[0]

    def passed(self, number):
        return struct.unpack("=I", self.words[number * WORD:(number + 1) * WORD])[0]


class KilledService(Service):
    def __init__(self):
        # A signal to a broker that does not run is part of a round all the same.
        super().__init__(settings={"pki.crl_renew": "60s", "pki.crl_validity": "10m"}, csrs=60)
        self.points = Points(self.home.base)

    def start(self):
        return super().start(env=self.points.env, pass_fds=(self.points.fd,))


@pytest.fixture(scope="module")
def service():
    s = KilledService()
    yield s
    s.close()


@pytest.mark.parametrize("number, what", POINTS, ids=[str(n) for n, _ in POINTS])
def test_killed_at_a_point(service, number, what):
    """I1"""
    service.start()
    try:
        service.begin()
        if len(service.csrs) < 10:
            service.csrs += make_csrs(service.home, 20)
        service.points.arm(number)
        try:
            wait_for(lambda: service.points.armed() == 0, 3)
        except AssertionError:
            # One that only a start passes.
            os.kill(service.home.child("api"), signal.SIGKILL)
            wait_for(lambda: service.points.armed() == 0, 15, f"point {number} to be passed: {what}")
        time.sleep(0.3)  # under load it also comes back
        service.check()
        assert service.points.passed(number) > 0
    finally:
        service.points.arm(0)
        service.load.stop()
        service.stop()


def test_killed_at_random(service):
    """I1: any of the three processes, at any time."""
    rng = random.Random(int(os.environ.get("MUSTER_SEED", "1")))
    for cycle in range(CYCLES):
        if service.home.process is None:
            service.start()
        if len(service.csrs) < 10:
            service.csrs += make_csrs(service.home, 20)
        service.begin()
        time.sleep(rng.uniform(0.05, 0.8))
        victim = rng.choice(["api", "signer", "supervisor"])
        try:
            if victim == "supervisor":
                pids = [service.home.child(name) for name in ("api", "signer")]
                service.home.process.child.kill()
                service.home.process.child.wait()
                wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), 10, "the children to end")
                service.home.process = None
                service.start()
            else:
                os.kill(service.home.child(victim), signal.SIGKILL)
            service.check()
        except AssertionError as e:
            raise AssertionError(f"cycle {cycle}, {victim} killed: {e}") from e
        # A fresh supervisor counts quick deaths anew.
        service.stop()
    assert service.load.answers[201] > CYCLES
