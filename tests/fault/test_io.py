"""I2: a write, a sync or a rename fails, once or from then on, with EIO or ENOSPC. strace makes the system call fail in
the real process, sandbox and all."""

import os
import random
import signal
import subprocess
import time

import pytest
from muster import wait_for
from service import Service

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


class Failing:
    """System calls of one process fail while this lasts. WHEN is strace's: 3, 3+, 3+2 and so on, for each thread."""

    def __init__(self, pid, call, error, when, paths=()):
        argv = [*ROOT, "strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={call}", "-e",
                f"inject={call}:error={error}:when={when}"]
        for p in paths:
            argv += ["-P", str(p)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE)
        assert b"attached" in self.process.stderr.readline()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def shared():
    s = Service(csrs=40)
    yield s
    s.close()


LONG = os.environ.get("MUSTER_LONG") == "yes"
CASES = [
    ("api", "fdatasync", "EIO", "2", None),
    ("api", "fdatasync", "ENOSPC", "2", None),
    ("api", "pwrite64", "EIO", "9", None),
    ("api", "pwrite64", "ENOSPC", "9", None),
    ("api", "ftruncate", "EIO", "1", ["muster.db-wal"]),
    ("api", "openat", "ENOSPC", "1+2", ["broker/acl.new", "broker/crl.pem.new"]),
    ("api", "write", "ENOSPC", "1+2", ["broker/acl.new", "broker/crl.pem.new"]),
    ("api", "fsync", "EIO", "1+3", None),
    ("api", "rename", "EIO", "1+2", None),
    ("signer", "write", "EIO", "2", ["signer.log"]),
    ("signer", "fdatasync", "EIO", "2", None),
    ("signer", "fallocate", "ENOSPC", "1+", None),
]
if LONG:
    CASES += [
        # strace counts for each thread, and whichever leads a group of commits syncs for all.
        *(("api", call, error, str(when), None) for call, whens in (("pwrite64", (1, 3, 5, 20, 50, 100)),
          ("fdatasync", (1, 3, 5, 10))) for error in ("EIO", "ENOSPC") for when in whens),
        ("api", "pwrite64", "ENOSPC", "20+3", None),
        ("api", "write", "EIO", "2+2", ["broker/acl.new", "broker/crl.pem.new"]),
        ("api", "openat", "EIO", "3+4", ["broker/acl.new", "broker/crl.pem.new"]),
        ("signer", "write", "ENOSPC", "2", ["signer.log"]),
        *(("signer", "fdatasync", error, str(when), None) for error in ("EIO", "ENOSPC") for when in (1, 5, 30)),
    ]


def ends(process):
    return sum("api-process ended" in x for x in list(process.lines))


def try_to_register(service):
    service.load.register(random)
    return True


def test_a_disk_that_keeps_failing(shared):
    """I2: no sync of the database succeeds any more, for longer than a supervisor with a start limit would wait. When the
    disk is well again, so is the service, and nobody has to start it."""
    shared.start()
    try:
        shared.begin()
        time.sleep(10.5)  # what never ran for 10 s is given up
        shared.load.stop()
        with Failing(shared.home.process.child.pid, "fdatasync", "EIO", "1+", [shared.home.dir / "muster.db-wal"]):
            os.kill(shared.home.child("api"), signal.SIGKILL)  # strace sees what is started from now on
            wait_for(lambda: try_to_register(shared) and ends(shared.home.process) >= 7, 60, "the api to end again")
        shared.ready(35)
        shared.begin()
        wait_for(lambda: shared.load.answers[201] > 0, 10, "registrations to go on")
        shared.check()
        assert shared.home.process.child.poll() is None
    finally:
        shared.load.stop()
        shared.stop()


def told(process):
    """What went wrong, in the server's words. Room that is not yet needed is not missed."""
    return [x for x in list(process.lines) if (" error " in x or " warn " in x) and "broker not signalled" not in x]


@pytest.mark.parametrize("who, call, error, when, paths", CASES, ids=["-".join(c[:4]) for c in CASES])
def test_a_call_fails(shared, who, call, error, when, paths):
    """I2"""
    shared.start()
    try:
        shared.begin()
        paths = [shared.home.dir / p for p in paths or []]
        with Failing(shared.home.child(who), call, error, when, paths):
            time.sleep(1)
            if call != "fallocate":
                wait_for(lambda: told(shared.home.process), 15, "the failure to be told")
        acknowledged = shared.load.answers[201]
        wait_for(lambda: shared.load.answers[201] > acknowledged, 10, "registrations to go on")
        shared.check()
    finally:
        shared.load.stop()
        shared.stop()
