"""`muster doctor` as its tests see it."""

import json
import os

import muster
from muster import run

# The checks of an installation that do not depend on broker.mode.
IN_EVERY_MODE = {"home", "permissions", "disk", "limits", "clock", "clock-sync", "signer-log", "root-ca", "issuing-ca",
                 "server-certificate", "broker-certificate", "server", "https", "pki", "ocsp", "registration", "rates", "audit", "rotation",
                 "broker", "broker-strangers", "broker-process", "broker-config"}


class Findings:
    def __init__(self, result):
        self.status = result.returncode
        self.all = {f["check"]: f for f in json.loads(result.stdout)}
        # Whether the test machine's clock is kept right is not ours to break.
        self.bad = {name: f["status"] for name, f in self.all.items()
                    if f["status"] in ("warn", "fail") and name != "clock-sync"}

    def __getitem__(self, name):
        return self.all[name]


def doctor(home, *args, prefix=(), env=None):
    result = run(*prefix, muster.MUSTER, "--dir", home.dir, "--json", "doctor", *args, check=False,
                 env={**os.environ, **(env or {})})
    findings = Findings(result)
    assert result.stderr == b""
    assert findings.status == (1 if "fail" in findings.bad.values() else 0)
    return findings


def sees(home, expected, *args, **kwargs):
    """The findings, in which exactly the checks EXPECTED are bad."""
    findings = doctor(home, *args, **kwargs)
    shown = {n: findings[n] for n in {*findings.bad, *expected}}
    assert findings.bad == expected, json.dumps(shown, indent=1)
    for name in expected:
        assert findings[name]["remedy"], shown
    return findings


def remedy_of(home, name, *args):
    return doctor(home, *args)[name]["remedy"]


def do(command, **kwargs):
    """Run a remedy that is a command."""
    run("sh", "-c", command.replace("muster ", f"{muster.MUSTER} ", 1), **kwargs)


def replace(path, data):
    """Other content, same owner and mode."""
    with open(path, "r+b") as f:
        f.truncate()
        f.write(data)
