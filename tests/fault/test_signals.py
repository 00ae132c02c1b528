"""I9 and the end: storms of signals, and SIGTERM under load."""

import http.client
import os
import random
import signal
import threading
import time

from muster import PATIENCE, wait_for


def test_sigterm_under_load_finishes_what_was_accepted(make):
    """SIGTERM: exit status 0 within 5 s, and all that was acknowledged is there. Three times, at another moment each."""
    service = make(csrs=30)
    for pause in (0.3, 0.7, 1.1):
        service.start()
        service.begin(threads=8)
        time.sleep(pause)
        process = service.home.process
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 5 * PATIENCE
        assert not any("killed" in x or "ended by" in x for x in process.lines), process.lines
        service.start()
        service.check()
        service.stop()
    assert service.load.answers[201] > 0


def test_sigterm_answers_what_it_has_and_takes_no_more(make):
    """A request that is being worked on is answered; a connection that comes later is refused."""
    service = make(csrs=0).start()
    home = service.home
    replies = []
    signer = home.child("signer")
    os.kill(signer, signal.SIGSTOP)  # so that it takes a while
    asking = threading.Thread(target=lambda: replies.append(home.request(
        "POST", "/v1/devices", {"name": "last", "type": "t", "key": "ec-p256"})))
    asking.start()
    time.sleep(0.5)
    home.process.child.send_signal(signal.SIGTERM)

    def refused():
        try:
            home.request("GET", "/healthz", token=None)
        except (OSError, http.client.HTTPException):
            return True
        return False

    wait_for(refused, 3, "new connections to be refused")
    os.kill(signer, signal.SIGCONT)
    asking.join(10)
    assert home.process.child.wait(5 * PATIENCE) == 0
    assert [r.status for r in replies] == [201]
    service.load.registered(replies[0])
    home.process = None
    service.start()
    service.check()


def test_a_storm_of_signals(service):
    """I9: SIGHUP and SIGPIPE to all three under load change nothing."""
    service.begin()
    rng = random.Random(9)
    pids = [service.home.process.child.pid, service.home.child("api"), service.home.child("signer")]
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        os.kill(rng.choice(pids), rng.choice([signal.SIGHUP, signal.SIGPIPE]))
        time.sleep(0.002)
    assert pids == [service.home.process.child.pid, service.home.child("api"), service.home.child("signer")]
    service.check()
    assert service.load.answers[201] > 0


def test_many_sigterms_are_one(make):
    """I9: whoever is impatient breaks nothing."""
    service = make(csrs=0).start()
    service.register()
    process = service.home.process
    for i in range(50):
        if process.child.poll() is None:
            process.child.send_signal(signal.SIGTERM if i % 3 else signal.SIGHUP)
        time.sleep(0.002)
    assert process.child.wait(5 * PATIENCE) == 0
    service.home.process = None
    service.start()
    service.check()
