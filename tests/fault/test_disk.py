"""I2 and H7: no room on the disk. What is acknowledged stays, revocations go through, the rest is refused until there is
room again, and nobody has to restart anything."""

import os
import time

import checker
import muster
import pytest
from muster import openssl, run, wait_for
from service import SETTINGS, Service

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
MIB = 1024 * 1024
RESERVE, LOW = 16 * MIB, 4 * MIB


def mount_tmpfs(where, size):
    run(*ROOT, "mount", "-t", "tmpfs", "-o", f"size={size},mode=0755,uid={os.getuid()}", "muster-test", where)


def mount_ext4(where, size):
    # Blocks as large as pages: with smaller ones SQLite's -shm has holes that cannot be filled when the disk is full.
    image = where.with_suffix(".img")
    with open(image, "wb") as f:
        f.truncate(size)
    run("/sbin/mkfs.ext4", "-q", "-m", "0", "-b", "4096", "-E", f"root_owner={os.getuid()}:{os.getgid()}", image)
    run(*ROOT, "mount", "-o", "loop", image, where)
    image.unlink()


class Disk(Service):
    """A service whose home has a disk to itself."""

    def __init__(self, mount, size, **kwargs):
        self.place = muster.folder("disk")
        mount(self.place, size)
        base = self.place / "base"
        base.mkdir()
        super().__init__(home=muster.Home(base=base, settings=SETTINGS, **kwargs))
        self.ballast = base / "ballast"

    def fill(self, leave=0):
        with open(self.ballast, "ab", buffering=0) as f:
            for size in (MIB, 65536, 4096):
                try:
                    while self.room() > leave + size or leave == 0:
                        f.write(os.urandom(size))
                except OSError:
                    pass

    def room(self):
        s = os.statvfs(self.home.base)
        return s.f_bavail * s.f_frsize

    def empty(self):
        self.ballast.unlink()

    def close(self):
        try:
            super().close()
        finally:
            run(*ROOT, "umount", "-l", self.place)
            self.place.rmdir()


@pytest.fixture(params=[mount_tmpfs, mount_ext4], ids=["tmpfs", "ext4"])
def disk(request):
    d = Disk(request.param, 96 * MIB)
    yield d
    d.close()


def refused(reply):
    assert reply.status == 503, (reply.status, reply.body)
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json["type"] == "urn:muster:problem:disk-full"
    assert "disk is full" in reply.json["detail"]
    return True


def test_a_full_disk_takes_revocations_only(disk):
    """H7, I2"""
    disk.start()
    home = disk.home
    ids = [disk.register(f"d{i}") for i in range(4)]
    service = home.json("service", "add", "backend", "--read", "devices/#")
    link = sorted(disk.load.links)[0]
    wait_for(lambda: service["id"] in disk.acl(), 5, "all rights")
    disk.fill()
    assert disk.room() < 4096

    body = {"name": "late", "type": "t", "key": "ec-p256"}
    refused(home.request("POST", "/v1/devices", body))
    home.process.wait_line("the disk is full")
    refused(home.request("PUT", "/v1/policies/p", {"write": ["a/{id}"], "read": []}))
    refused(home.request("POST", f"/v1/devices/{ids[0]}/package", {}))
    refused(home.request("POST", link, token=None))
    assert home.request("GET", link, token=None).status == 200  # not consumed
    assert home.request("GET", "/v1/devices", token="").status == 200
    assert home.request("GET", "/healthz", token=None).status == 200
    signed = len(checker.signed(home))

    assert disk.revoke(ids[0]).status == 200
    assert home.request("POST", f"/v1/devices/{ids[1]}/suspend", {}).status == 200
    disk.load.states[ids[1]] = "suspended"
    assert home.request("POST", f"/v1/services/{service['id']}/revoke", {}).status == 200
    assert not any(x in disk.acl() for x in (ids[0], ids[1], service["id"]))
    serials = {disk.load.devices[i] for i in ids[:2]}
    assert serials <= checker.crl(home)[1]
    listed = openssl("crl", "-in", home.dir / "broker/crl.pem", "-noout", "-text").stdout.decode().lower()
    assert all(s.lstrip("0") in listed for s in serials)
    refused(home.request("POST", "/v1/devices", body))
    assert len(checker.signed(home)) == signed, "signed in vain"

    # A restart finds its way, too.
    disk.stop()
    disk.start()
    refused(home.request("POST", "/v1/devices", body))
    assert disk.revoke(ids[2]).status == 200

    # And where another program has taken even the reserve, what is there is shown.
    disk.stop()
    disk.fill()
    disk.start()
    assert home.request("GET", f"/v1/devices/{ids[3]}").json["status"] == "active"
    assert disk.revoke(ids[3]).status == 503

    disk.empty()
    home.process.wait_line("there is room on the disk again", 5)
    disk.register("late")
    assert disk.revoke(ids[3]).status in (200, 409)
    assert (home.dir / "muster.db-reserve").stat().st_size == RESERVE
    disk.check()
    assert not any("ended" in line for line in home.process.lines), "a process died"


def test_a_disk_that_fills_up_under_load(disk):
    """I2: whatever the moment."""
    disk.start()
    disk.begin(threads=6)
    time.sleep(0.3)
    # Refused before anything is signed. (The log that SQLite empties makes room now and then.)
    wait_for(lambda: disk.fill(leave=LOW // 2) or disk.load.answers[503] > 10, 10, "the disk to be full")
    disk.empty()
    served = disk.load.answers[201]
    wait_for(lambda: disk.load.answers[201] > served, 10, "registrations to go on")
    disk.fill()  # and now between any two steps
    time.sleep(0.5)
    disk.empty()
    served = disk.load.answers[201]
    wait_for(lambda: disk.load.answers[201] > served, 10, "registrations to go on")
    disk.check()
