"""I6: every n-th allocation fails, in the api or in the signer, under load. What cannot be done is refused, what was
acknowledged stays, nothing is half done; and when there is memory again, all goes on."""

import mmap
import os
import struct
import time

import muster
import pytest
from muster import wait_for
from service import Service

LIBRARY = muster.PROGRAMS / "tests/fault/libfailmalloc.so"
LONG = os.environ.get("MUSTER_LONG") == "yes"


class Memory:
    """The words that the processes share with tests/fault/failmalloc.c."""

    def __init__(self, base):
        self.fd = os.open(base / "failmalloc", os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self.fd, 16)
        os.fchmod(self.fd, 0o666)
        self.words = mmap.mmap(self.fd, 16)
        self.env = {**os.environ, "MUSTER_FAILMALLOC_FD": str(self.fd), "LD_PRELOAD": str(LIBRARY)}

    def fail(self, pid, every):
        self.words[0:16] = struct.pack("=4I", pid, every, 0, 0)

    def failed(self):
        return struct.unpack("=4I", self.words[0:16])[3]


@pytest.fixture(scope="module")
def shared():
    s = Service(csrs=40)
    s.memory = Memory(s.home.base)
    yield s
    s.close()


EVERY = [3001, 907, 211, 53, 11]
if LONG:
    EVERY += [2003, 1009, 499, 101, 37, 29, 23, 19, 17, 13, 7, 5, 3, 2, 1]


# The signer asks for little memory: some ten times for a certificate.
@pytest.mark.parametrize("who, every", [("api", n) for n in EVERY] + [("signer", n) for n in EVERY if n < 300])
def test_every_nth_allocation_fails(shared, who, every):
    """I6"""
    shared.start(env=shared.memory.env, pass_fds=(shared.memory.fd,))
    try:
        shared.begin()
        time.sleep(0.2)
        pid = shared.home.child(who)
        shared.memory.fail(pid, every)
        wait_for(lambda: shared.memory.failed() > 0, 20, "an allocation to fail")
        time.sleep(1)
        shared.memory.fail(0, 0)
        acknowledged = shared.load.answers[201]
        wait_for(lambda: shared.load.answers[201] > acknowledged, 15, "registrations to go on")
        shared.check()
        print(*shared.home.process.lines, sep="\n")
        assert not any("signal 11" in x or "signal 6" in x for x in shared.home.process.lines)
    finally:
        shared.memory.fail(0, 0)
        shared.load.stop()
        shared.stop()
