"""What goes on for long must not grow: connects, publishes, subscriptions, registrations, policy changes and revocations
against the real service and the real broker, two minutes in every run and an hour in a long one."""

import os
import re
import shutil
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import muster
import pytest
from fleet import Fleet, Load, QuietBroker
from muster import openssl
from pluginbroker import Client

LONG = os.environ.get("MUSTER_LONG") == "yes"
SECONDS = 3600 if LONG else 110
WARM_S = 300 if LONG else 30  # threads have had their turns, the ring of reports has been gone around
FLEET = 20000                 # far more than the database's caches hold
READS_S = 5                   # to fill them
PAUSE_S = 0.5                 # of the cycle, between its rounds
# What may come on top while it runs, in KiB: what an allocator keeps for later.
SLACK = {name: kib * (4 if LONG else 1) for name, kib in {"broker": 128, "api": 1024, "signer": 128}.items()}
# And for each device that came: the api's database caches what is new, up to 32 MiB, and the signer knows every serial.
PER_DEVICE = {"broker": 0, "api": 6, "signer": 0.3}


def memory(pid):
    """KiB that are the process's own: neither files nor what others have, too."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def growth(series):
    """KiB from the beginning to the end, of the line that half of all pairs of samples lie above (Theil and Sen): single
    peaks do not bend it."""
    step = max(1, len(series) // 200)
    s = series[::step]
    slopes = [(b - a) / (j - i) for i, a in enumerate(s) for j, b in enumerate(s[i + 1:], i + 1)]
    return statistics.median(slopes) * (len(s) - 1)


RANDOM_DEVICE = """
local ids = {}
for line in io.lines(os.getenv("IDS")) do ids[#ids + 1] = line end
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
function request() return wrk.format("GET", "/v1/devices/" .. ids[math.random(#ids)]) end
"""


def fill_caches(home, ids):
    """The api's database has a cache for each connection. Until all are full it grows, and that is as it should be."""
    (home.base / "ids").write_text("".join(f"{id}\n" for id in ids))
    script = home.base / "random.lua"
    script.write_text(RANDOM_DEVICE)
    reads = subprocess.Popen(["wrk", "-t1", "-c64", f"-d{READS_S}s", "-s", script, f"https://localhost:{home.api_port}"],
                             env={**os.environ, "IDS": str(home.base / "ids"), "TOKEN": home.token}, stdout=subprocess.PIPE)

    def change(part):
        for id in part:
            for action in ("suspend", "resume"):
                assert home.request("POST", f"/v1/devices/{id}/{action}", {}).status == 200

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(change, ids[i::len(ids) // 40]) for i in range(4)]:
            future.result()
    said = reads.communicate()[0].decode()
    assert reads.returncode == 0 and "Non-2xx" not in said, said
    print(re.search(r"\d+ requests in", said)[0], "to fill the caches")


class Cycle(threading.Thread):
    """A device is registered, connects, subscribes, publishes, and is revoked; now and then a policy changes."""

    def __init__(self, home, broker):
        super().__init__(daemon=True)
        self.home, self.broker = home, broker
        self.ends, self.done, self.failure = threading.Event(), 0, None

    def enrol(self):
        folder = self.home.base / "soak"
        folder.mkdir(exist_ok=True)
        key, csr = folder / "device.key", folder / "device.csr"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj",
                "/CN=soak", "-out", csr)
        made = self.home.request("POST", "/v1/devices", {"name": "soak", "type": "pump", "csr": csr.read_text()})
        assert made.status == 201, made.body
        (folder / "device.crt").write_text(made.json["certificate"]["pem"])
        shutil.copy(self.home.dir / "ca/root.crt", folder / "ca.crt")
        return muster.Credentials(self.home, folder, made.json["id"])

    def connect(self, device):
        """As soon as the broker has heard of it."""
        def try_it():
            try:
                return Client(device, self.broker)
            except AssertionError:
                return None
        return muster.wait_for(try_it, 10, "a new device let in")

    def round(self):
        device = self.enrol()
        client = self.connect(device)
        filter = f"devices/{device.id}/commands/#".encode()
        client.send(0x82, b"\0\1" + len(filter).to_bytes(2, "big") + filter + b"\1")
        assert client.socket.recv(5) == b"\x90\x03\0\1\1"
        topic = f"devices/{device.id}/telemetry".encode()
        client.send(0x32, len(topic).to_bytes(2, "big") + topic + b"\0\2" + b"x" * 100)
        assert client.socket.recv(4) == b"\x40\x02\0\2"
        for action in ("suspend", "resume", "revoke") if self.done % 4 == 0 else ("revoke",):
            reply = self.home.request("POST", f"/v1/devices/{device.id}/{action}", {})
            assert reply.status == 200, reply.body
        client.until_cut()
        client.close()
        if self.done % 4 == 0:
            write = [f"plant/{{id}}/{self.done}"]
            assert self.home.request("PUT", "/v1/policies/soak", {"write": write, "read": []}).status < 300

    def run(self):
        try:
            while not self.ends.wait(PAUSE_S):
                self.round()
                self.done += 1
        except Exception as e:
            self.failure = e

    def stop(self):
        self.ends.set()
        self.join(60)
        assert self.failure is None, self.failure


@pytest.mark.release_only
def test_nothing_grows(fresh):
    home = fresh(settings={"broker.mode": "plugin"})
    fleet = Fleet(home, FLEET, FLEET)
    home.start()
    # The ring of what is to be reported is there from the beginning; it has been gone around once before it counts.
    broker = QuietBroker(home, extra="plugin_opt_reports 500").start()
    broker.said("muster: a new table of")
    pids = {"broker": broker.child.pid, "api": home.child("api"), "signer": home.child("signer")}
    loads = [Load("connect", broker, fleet.part(100)[1], 2, r=20, f="devices/{id}/commands/#"),
             Load("publish", broker, fleet.part(20)[1], 20, q=1, r=300)]
    fill_caches(home, fleet.ids[1000:])
    cycle = Cycle(home, broker)
    cycle.start()
    series = {name: [] for name in pids}
    began = time.monotonic()
    try:
        while (now := time.monotonic() - began) < SECONDS and cycle.failure is None:
            if now > WARM_S:
                for name, pid in pids.items():
                    series[name].append(memory(pid))
            time.sleep(0.5)
        cycle.stop()
        done = [load.result(stop=True) for load in loads]
    finally:
        cycle.ends.set()
        for load in loads:
            load.child.terminate()
        broker.stop()
    said = {name: f"{s[0]} to {s[-1]} KiB, growth {growth(s):.0f}" for name, s in series.items()}
    print(f"{done[0]['done']} connects, {done[1]['done']} publishes, {cycle.done} devices come and gone; {said}")
    assert not any(x["failed"] for x in done) and cycle.done > SECONDS / 20, (done, cycle.done)
    slack = {name: SLACK[name] + PER_DEVICE[name] * cycle.done for name in SLACK}
    assert all(growth(s) < slack[name] for name, s in series.items()), (said, slack)
