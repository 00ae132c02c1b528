"""I1: kill -9 of any of the three processes at any time, under load; after each, the invariants of checker.py hold."""

import os
import random
import signal
import time

import pytest
from killed import KilledService
from load import make_csrs
from muster import wait_for

CYCLES = 200 if os.environ.get("MUSTER_LONG") == "yes" else 20


@pytest.fixture(scope="module")
def service():
    s = KilledService()
    yield s
    s.close()


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
