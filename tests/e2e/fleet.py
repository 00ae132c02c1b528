"""Fleets that are too large to be registered one by one, straight in the store and the log, and the load generator that
plays them: what tests/bench builds."""

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import muster
import pluginbroker

TOOLS = muster.BUILD / "tests/bench"
CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def many_files():
    """For a child that has thousands of connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def rss(pid, field="VmRSS"):
    """Bytes of a process's memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


class Fleet:
    """N devices in a home that is not being served, of which the first REAL can be played."""

    def __init__(self, home, n, real):
        self.home, self.n = home, n
        made = subprocess.run([TOOLS / "seed", home.dir, str(n), str(real)], stdout=subprocess.PIPE, check=True).stdout
        self.key, *self.certificates = made.decode().split(CERTIFICATE)
        with sqlite3.connect(home.dir / "muster.db") as db:
            self.ids = [id for (id,) in db.execute("SELECT id FROM device ORDER BY id LIMIT ?", (real,))]
        self.used = 0

    def part(self, n):
        """So many that nobody has yet: their ids, and the file for the load generator."""
        begin, self.used = self.used, self.used + n
        assert self.used <= len(self.certificates)
        path = self.home.base / f"fleet-{begin}.pem"
        path.write_text(CERTIFICATE.join([self.key, *self.certificates[begin:self.used]]))
        return self.ids[begin:self.used], path


class Load(muster.Process):
    """One that runs until SECONDS are over, or it is ended."""

    def __init__(self, mode, broker, pem, connections, seconds=0, flags=(), **options):
        args = [*flags, *(x for k, v in options.items() for x in (f"-{k}", v))]
        super().__init__([TOOLS / "mqttload", mode, "-p", broker.port, "-a", broker.home.dir / "broker/ca.pem", "-c",
                          connections, "-s", seconds, *args, pem], preexec=many_files)

    def result(self, stop=False):
        if stop:
            self.child.send_signal(signal.SIGTERM)
        self.child.wait()
        self.reader.join()
        try:
            return json.loads(self.lines[-1])
        except (IndexError, ValueError):
            raise AssertionError("\n".join(self.lines[-20:])) from None

    def told(self, what):
        """{id: when} of the lines that say so, the last of each."""
        words = (line.split() for line in list(self.lines) if line.startswith(what + " "))
        return {id: float(at) / 1e3 for _, id, at in words}


class QuietBroker(pluginbroker.PluginBroker):
    """As it runs in earnest: it says what it says by itself, into a file. BARE: with mutual TLS, and nobody asked."""

    def __init__(self, home, name="state", bare=False, extra="", port=None):
        super().__init__(home, start=False, name=name, extra=extra)
        self.log = self.dir / "log"
        text = self.config.read_text()
        if port:
            self.port = port
            text = text.replace(f"listener {home.broker_port} ", f"listener {port} ")
        if bare:
            text = "".join(line + "\n" for line in text.splitlines() if not line.startswith("plugin"))
            text = text.replace("allow_anonymous false", "allow_anonymous true")
        self.config.write_text(text)
        self.child = self.started_in = None

    def start(self, seconds=60):
        began = time.monotonic()
        with open(self.log, "w") as log:
            self.child = subprocess.Popen(["mosquitto", "-c", self.config], stdout=log, stderr=log, preexec_fn=many_files,
                                          env=pluginbroker.environment(self.dir))
        self.said("mosquitto version .* running", seconds)
        self.started_in = time.monotonic() - began
        return self

    def said(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds * muster.PATIENCE
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.log.read_text(errors="replace")):
                return match
            if self.child.poll() is not None:
                break
            time.sleep(0.005)
        raise AssertionError(f"not within {seconds} s: {pattern}\n{self.log.read_text()[-3000:]}")

    def cpu_s(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.child:
            self.child.terminate()
            status = self.child.wait()
            self.child = None
            assert status == 0, self.log.read_text()[-5000:]  # a sanitizer's report


def storm(broker, ids, pem, revoke=None, n_doomed=0, seconds=180):
    """All IDS lose their broker and come back at once, in their order. REVOKE is called at once for N_DOOMED of those who
    come last, and for as many of the first ones as soon as each is back. Nobody else may be refused. Returns how long it
    took until all were back, and how long each of the latter's sessions went on."""
    held = Load("hold", broker, pem, len(ids))
    held.wait_line("^all", seconds)
    broker.stop()
    muster.wait_for(lambda: len(held.told("lost")) == len(ids), seconds, "all sessions lost")
    broker.start()
    began, asked = time.monotonic(), {}
    first, last = ids[:n_doomed], ids[len(ids) - n_doomed:]
    for id in last:
        revoke(id)
    for id in first:
        muster.wait_for(lambda: f" as {id} " in broker.log.read_text(), seconds, "a client back")
        asked[id] = time.monotonic()
        revoke(id)

    def back():
        return [float(x.split()[2]) / 1e3 for x in list(held.lines) if x.startswith("all ")][1:]
    muster.wait_for(back, seconds, "all sessions back")
    muster.wait_for(lambda: set(held.told("refused")) >= {*first, *last}, 10, "the revoked ones refused")
    lost = held.told("lost")
    wrongly = set(held.told("refused")) - {*first, *last}
    held.result(stop=True)
    assert not wrongly, f"{len(wrongly)} were refused wrongly"
    return back()[0] - began, [lost[id] - at for id, at in asked.items()]
