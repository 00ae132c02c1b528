"""A device with the real agent on it."""

import json
import os
import time

import muster
from muster import run, wait_for
from test_est import token

AGENT = muster.PROGRAMS / "src/cmd/muster-agent"


class Agent:
    """A folder, and the agent that runs in it once it is started."""

    def __init__(self, home, name="pump", env=None):
        self.home, self.name = home, name
        self.base = home.base / f"agent-{time.monotonic_ns()}"
        self.base.mkdir()
        self.dir = self.base / "agent"
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.feed = self.base / "feed"
        self.feed.touch()

    def call(self, command, *args, check=True, stdin=None, **kwargs):
        return run(AGENT, command, "--dir", self.dir, *args, check=check, env=self.env, input=stdin, **kwargs)

    def enrol(self, *args, secret=None, ca=None, url=None, check=True, **kwargs):
        secret = secret or token(self.home, name=self.name)["token"]
        return self.call("enrol", "--url", url or f"https://localhost:{self.home.api_port}", "--ca",
                         ca or self.home.dir / "ca/root.crt", "--token-file", "-", "--name", self.name, "--broker",
                         f"localhost:{self.home.broker_port}", *args, check=check, stdin=secret.encode(), **kwargs)

    def status(self):
        return json.loads(self.call("status", "--json").stdout)

    @property
    def id(self):
        return self.status()["id"]

    def start(self, *args, program=(AGENT, "run"), **kwargs):
        """What say() appends is its input."""
        self.process = muster.Process([*program, "--dir", self.dir, "--exec", f"exec tail -n +1 -f {self.feed}", *args],
                                      env=self.env, **kwargs)
        return self

    def say(self, line):
        with self.feed.open("a") as f:
            f.write(line + "\n")

    def said(self, pattern, seconds=10):
        return self.process.wait_line(pattern, seconds)

    def stop(self):
        status = self.process.stop()
        self.process = None
        return status

    def certificates(self):
        """As the service has them, the newest first."""
        reply = self.home.request("GET", f"/v1/devices/{self.id}/certificates")
        return reply.json["items"]

    def wait_superseded(self, seconds=15):
        wait_for(lambda: [c["state"] for c in self.certificates()][:2] == ["active", "revoked"], seconds,
                 "the old certificate to be superseded")

    def close(self):
        if self.process:
            self.process.stop()
