"""Rotation by event: asked, told by the broker, done by the agent, over when the old certificate is; with the real service, a
real Mosquitto with the plugin, and its own clients."""

import json
import time

import pytest
from agent import Agent
from muster import run, wait_for
from pluginbroker import PluginBroker, add_service, onboard


def rotation(home, id):
    return home.request("GET", f"/v1/devices/{id}").json["rotation"]


def connection(home):
    return home.request("GET", "/v1/rotations").json["connection"]


def ask(home, id, status=202):
    reply = home.request("POST", f"/v1/devices/{id}/rotate", {})
    assert reply.status == status, reply.body
    return reply.json


def wait_state(home, id, *states, seconds=20):
    return wait_for(lambda: (r := rotation(home, id)) and r["state"] in states and r, seconds, f"the rotation to be {states}")


def retained(listener, id):
    """What the broker keeps for the device, as a newcomer would get it."""
    seen = run("mosquitto_sub", *listener.mqtt(), "-t", f"devices/{id}/control/rekey", "--retained-only", "-W", "1", check=False)
    return seen.stdout.decode().strip()


@pytest.fixture
def make(home):
    made = []

    def make(name):
        made.append(Agent(home, name))
        made[-1].enrol()
        return made[-1]

    yield make
    for a in made:
        a.close()


def test_one_device(home, service, make):
    """F4: asked, told, renewed, seen at the broker with the new certificate; then the old one is revoked as superseded and the
    broker keeps the instruction no more."""
    agent = make("one")
    agent.start()
    agent.said("connected to the broker$")
    assert rotation(home, agent.id) is None
    heard = service.subscribe(f"devices/{agent.id}/control/#")
    asked = ask(home, agent.id)
    assert asked["state"] == "waiting" and asked["device_id"] == agent.id and asked["told_at"] is None
    agent.said("connected to the broker with the new pair", 20)
    done = wait_state(home, agent.id, "done")
    agent.wait_superseded()
    assert [c["reason"] for c in agent.certificates()] == [None, "superseded"]
    assert done["told_at"] and done["ended_at"]
    heard.wait_message(f"devices/{agent.id}/control/rekey", "")
    said = [m for t, m in heard.messages() if t.endswith("/rekey") and m]
    assert len(said) == 1 and json.loads(said[0])["instruction"] == "rekey"
    answer = wait_for(lambda: rotation(home, agent.id)["answer"], 10, "the device's own word")
    assert (answer["status"], answer["reason"]) == ("done", None)
    heard.stop()
    assert retained(service, agent.id) == ""
    wait_for(lambda: connection(home)["state"] == "idle", 10, "nothing left to say")
