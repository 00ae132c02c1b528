"""Certificates of a day: the profile `short`, with a real agent, a real Mosquitto and the service, all under one faked clock."""

import datetime
import os

import muster
import pytest
from agent import Agent
from cryptography import x509
from muster import wait_for
from pluginbroker import PluginBroker
from test_est import token

# A sanitizer must be loaded first, and so must libfaketime, which the sandbox keeps from its file.
pytestmark = pytest.mark.release_only
SETTINGS = {"server.sandbox": "off", "pki.crl_renew": "1h"}
STEP_H = 20  # the agent renews somewhere behind two thirds of 24 hours


def listed(home):
    return {f"{e.serial_number:040x}" for e in x509.load_der_x509_crl(home.pki("/crl/issuing.crl").body)}


def test_three_days_of_short_certificates(fresh):
    """The agent renews each before its end, the broker sees it, and each certificate leaves the list once it was on one after its end:
    what is over needs no entry, however often is renewed."""
    home = fresh()
    clock = home.base / "clock"
    clock.write_text("+0\n")
    clock.chmod(0o644)
    faked = muster.faked(file=clock)
    home.start(env=faked)
    under = ["env", *(f"{k}={v}" for k, v in faked.items() if os.environ.get(k) != v)]
    broker = PluginBroker(home, under=under)
    broker.said(r"muster: a new table of \d+ devices and services, at change")
    agent = Agent(home, env=faked)
    try:
        agent.enrol(secret=token(home, profile="short")["token"])
        serials = [agent.certificates()[0]["serial"]]
        agent.start().said("connected")
        for step in range(1, 5):
            clock.write_text(f"+{step * STEP_H}h\n")
            wait_for(lambda: [c["state"] for c in agent.certificates()][:2] == ["active", "revoked"]
                     and len(agent.certificates()) == step + 1, 20, f"renewal {step}")
            new = agent.certificates()[0]
            assert new["profile"] == "short" and lasts(new) == datetime.timedelta(hours=24, minutes=1)
            serials.append(new["serial"])
            # The one before is superseded; the one before that has expired since the last base, and stands in this one.
            wait_for(lambda: listed(home) == set(serials[max(0, step - 2):step]), 10, f"the list of step {step}")
        wait_for(lambda: agent.status()["running"] and agent.status().get("connected_at"), 10, "a connection with the last one")
    finally:
        agent.close()
        broker.stop()


def lasts(certificate):
    begin, end = (datetime.datetime.fromisoformat(certificate[k].replace("Z", "+00:00")) for k in ("not_before", "not_after"))
    return end - begin
