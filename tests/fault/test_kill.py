"""I1: kill -9 at every numbered point between request and reply, under load; after each, the invariants
of checker.py hold. Runs on a build with -Dkillpoints=true; where the points are, script/killpoints lists."""

import os
import signal
import subprocess
import time

import muster
import pytest
from killed import KilledService
from load import make_csrs
from muster import wait_for

LISTED = [line.split("\t") for line in subprocess.run(
    [muster.ROOT / "script/killpoints"], check=True, capture_output=True, text=True).stdout.splitlines()]
# Those of the device's agent are test_agent_kill.py's, the rollover's test_rollover_kill.py's.
POINTS = [(int(n), what) for n, place, what in LISTED if not place.startswith(("src/agent/", "src/cmd/carollover", "src/cmd/carootrollover"))]


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
