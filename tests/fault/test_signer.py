"""I4: the signer dead, deaf, or too slow for what is asked of it."""

import os
import signal
import threading
import time

import checker
import signerlog
from muster import PATIENCE, wait_for


def test_killed_under_load_it_is_back_within_a_second(service):
    """I4"""
    service.begin(threads=8)
    time.sleep(0.5)
    before = service.home.child("signer")
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()
    wait_for(lambda: service.home.child("signer") != before and service.is_ready(), 5, "a new signer")
    assert time.monotonic() - began < 1.0 * PATIENCE
    time.sleep(0.5)
    service.check()
    assert service.load.answers[201] > 0


class Stopped:
    """The signer does not run while this lasts."""

    def __init__(self, service):
        self.pid = service.home.child("signer")

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *args):
        os.kill(self.pid, signal.SIGCONT)


def noted(service):
    return {row.serial for row in signerlog.read(service.home.dir / "signer.log") if row.kind == signerlog.REVOKED}


def test_a_deaf_signer_keeps_no_stolen_device_alive(service):
    """I4: the rights go within a call's deadline, and the next ones' at once; list and log follow."""
    first, second, third = (service.register(n) for n in ("first", "second", "third"))
    wait_for(lambda: third in service.acl(), 5, "their rights")
    with Stopped(service):
        began = time.monotonic()
        threads = [threading.Thread(target=service.revoke, args=(first,))]
        threads[0].start()
        wait_for(lambda: first not in service.acl(), 13, "the first one's rights to go")
        assert time.monotonic() - began < 12 * PATIENCE
        threads.append(threading.Thread(target=service.revoke, args=(second,)))
        threads[1].start()
        wait_for(lambda: second not in service.acl(), 5, "the second one's rights to go")
        assert service.home.request("GET", "/healthz", token=None).status == 200
        for t in threads:
            t.join(30)
        # Not acknowledged, for neither the log nor the list has it.
        assert service.load.asked.keys() == {first, second}
        assert service.home.json("device", "show", second)["status"] == "revoked"
        assert third in service.acl()
    serials = {service.load.devices[id] for id in (first, second)}
    wait_for(lambda: serials <= checker.crl(service.home)[1], 10, "the list")
    wait_for(lambda: serials <= noted(service), 10, "the log")
    service.check()


def test_the_queue_is_bounded(make):
    """I4: what finds no place is told so at once, and health answers."""
    service = make(settings={"server.workers": "4", "limits.queue": "16"}).start()
    replies, lock = [], threading.Lock()

    def ask(i):
        began = time.monotonic()
        reply = service.home.request("POST", "/v1/devices", {"name": f"n{i}", "type": "t", "key": "ec-p256"})
        with lock:
            service.load.registered(reply)
            replies.append((reply, time.monotonic() - began))

    with Stopped(service):
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(40)]
        for t in threads:
            t.start()
        # 3 workers, for one is kept for revocations, and 16 places.
        wait_for(lambda: len(replies) >= 40 - 3 - 16, 10, "the rest to be refused")
        began = time.monotonic()
        assert service.home.request("GET", "/healthz", token=None).status == 200
        assert time.monotonic() - began < 1.0 * PATIENCE
        refused = [r for r, _ in replies]
        assert {r.status for r in refused} == {503}
        assert all(int(r.headers["Retry-After"]) > 0 for r in refused)
    for t in threads:
        t.join(60)
    assert len(replies) == 40
    assert {r.status for r, _ in replies} <= {201, 503}
    service.check()
