"""The plugin before paho, a client that nobody here wrote, in MQTT 5 and 3.1.1: what mosquitto's own does not show, or
does not do."""

import queue
import ssl
import time

import muster
import paho.mqtt.client as mqtt
import pytest
from muster import run, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pluginbroker import onboard, post

pytestmark = pytest.mark.heavy

NOT_AUTHORIZED = 135
VERSIONS = pytest.mark.parametrize("version", [mqtt.MQTTv5, mqtt.MQTTv311], ids=["5", "3.1.1"])


def code(reason):
    """Of paho's objects for MQTT 5, and of its numbers for 3.1.1."""
    return getattr(reason, "value", reason)


class Paho:
    """One connection, and what happens on it."""

    def __init__(self, credentials, port, version, id=None, will=None, properties=None, user=None):
        self.events = queue.Queue()
        self.heard = []
        self.version = version
        # Which callbacks version 2 is to call as version 1 did.
        like = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        self.client = mqtt.Client(*like, client_id=credentials.id if id is None else id, protocol=version)
        self.client.tls_set(str(credentials.dir / "ca.crt"), str(credentials.dir / "device.crt"),
                            str(credentials.dir / "device.key"), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        if user:
            self.client.username_pw_set(user, "secret")
        if will:
            self.client.will_set(will[0], will[1], qos=1, properties=will[2] if len(will) > 2 else None)
        self.client.on_connect = lambda client, data, flags, rc, *_: self.events.put(("connect", code(rc)))
        self.client.on_subscribe = lambda client, data, mid, codes, *_: self.events.put(("subscribe", [code(c) for c in codes]))
        self.client.on_publish = lambda client, data, mid: self.events.put(("publish", mid))
        self.client.on_disconnect = lambda client, data, rc, *_: self.events.put(("disconnect", code(rc)))
        self.client.on_message = lambda client, data, m: self.heard.append((m.topic, m.payload.decode()))
        self.client.reconnect_delay_set(60, 60)
        kwargs = {"properties": properties} if properties else {}
        self.client.connect("localhost", port, **kwargs)
        self.client.loop_start()

    def event(self, kind):
        while True:
            got = self.events.get(timeout=10 * muster.PATIENCE)
            if got[0] == kind:
                return got[1]

    def subscribe(self, *filters):
        self.client.subscribe([(f, mqtt.SubscribeOptions(qos=1) if self.version == mqtt.MQTTv5 else 1)
                               for f in filters])
        return self.event("subscribe")

    def publish(self, topic, text, **kwargs):
        self.client.publish(topic, text, qos=1, **kwargs)
        self.event("publish")

    def die(self):
        """Without a DISCONNECT."""
        self.client._sock_close()
        self.client.loop_stop()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listener(service):
    """Hears all that was delivered, and what is retained."""
    subscriber = service.subscribe("devices/#")
    yield subscriber
    subscriber.stop()


@VERSIONS
def test_subscriptions_are_answered_one_by_one(home, following, version):
    """C1: what is wider than the policy is refused in the SUBACK, and the rest of the same SUBSCRIBE is granted."""
    device, other = onboard(home), onboard(home)
    client = Paho(device, following.port, version)
    assert client.event("connect") == 0
    own = f"devices/{device.id}/commands"
    no = NOT_AUTHORIZED if version == mqtt.MQTTv5 else 128
    filters = [f"{own}/#", "#", f"$share/g/{own}/x", "+/#", f"devices/{other.id}/commands/#", "$SYS/#", "$share/g/#",
               "$CONTROL/#", f"devices/{device.id}/#", f"devices/+/commands/#", f"{own}/+"]
    assert client.subscribe(*filters) == [1, no, 1, no, no, no, no, no, no, no, 1]
    client.close()


@VERSIONS
def test_what_was_asked_for_in_vain_is_not_delivered(home, following, speaker, version):
    """C1: also where it is retained, and where a subscription covers both."""
    device, other = onboard(home), onboard(home)
    speaker.publish(f"devices/{device.id}/commands/now", "mine", check=True)
    for topic in (f"devices/{device.id}/commands/kept", f"devices/{other.id}/commands/kept", "plant/kept"):
        run("mosquitto_pub", *speaker.mqtt(), "-t", topic, "-m", "kept", "-r")
    client = Paho(device, following.port, version)
    client.subscribe("#", "plant/#", f"devices/{other.id}/commands/#", f"devices/{device.id}/commands/#")
    wait_for(lambda: client.heard, 5, "what was kept for it")
    speaker.publish(f"devices/{other.id}/commands/now", "not mine", check=True)
    speaker.publish(f"devices/{device.id}/commands/now", "mine", check=True)
    wait_for(lambda: (f"devices/{device.id}/commands/now", "mine") in client.heard, 5, "its own")
    own = f"devices/{device.id}/commands"
    assert sorted(client.heard) == [(f"{own}/kept", "kept"), (f"{own}/now", "mine")]
    client.close()


@VERSIONS
def test_a_user_name_and_a_client_id_change_nothing(home, following, listener, version):
    """C2: whatever a CONNECT says, it is the certificate that counts."""
    device, other = onboard(home), onboard(home)
    victim = Paho(other, following.port, version)
    assert victim.event("connect") == 0
    refused = NOT_AUTHORIZED if version == mqtt.MQTTv5 else 5
    for id in (other.id, "", f"{device.id}/x"):
        client = Paho(device, following.port, version, id=id)
        assert client.event("connect") == refused, id
        client.client.loop_stop()
    client = Paho(device, following.port, version, user=other.id)
    assert client.event("connect") == 0
    client.publish(f"devices/{other.id}/telemetry", "denied")
    client.publish(f"devices/{device.id}/telemetry", "allowed")
    listener.wait_message(f"devices/{device.id}/telemetry", "allowed")
    assert not [m for m in listener.messages() if m[1] == "denied"]
    victim.publish(f"devices/{other.id}/telemetry", "still there")
    listener.wait_message(f"devices/{other.id}/telemetry", "still there")
    for one in (client, victim):
        one.close()


def test_enhanced_authentication_is_no_way_in(home, following):
    """C7: MQTT 5's AUTH asks other callbacks than a CONNECT does."""
    device = onboard(home)
    post(home, device, "revoke")
    wait_for(lambda: not device.connects(), 5, "the refusal")
    for method in ("PLAIN", "SCRAM-SHA-256"):
        properties = Properties(PacketTypes.CONNECT)
        properties.AuthenticationMethod = method
        client = Paho(device, following.port, mqtt.MQTTv5, properties=properties)
        assert client.event("connect") >= 128
        client.client.loop_stop()


def test_a_topic_alias_carries_no_right(home, following, listener):
    """C1: an alias that was made for a topic that is denied, and one that is made anew for such a topic."""
    device, other = onboard(home), onboard(home)
    client = Paho(device, following.port, mqtt.MQTTv5)
    client.event("connect")

    def alias(n):
        properties = Properties(PacketTypes.PUBLISH)
        properties.TopicAlias = n
        return properties

    own, foreign = f"devices/{device.id}/telemetry", f"devices/{other.id}/telemetry"
    client.publish(foreign, "denied", properties=alias(1))
    client.publish(own, "allowed", properties=alias(2))
    client.publish(foreign, "denied", properties=alias(2))
    client.publish(own, "marker")
    listener.wait_message(own, "marker")
    assert [m for m in listener.messages() if m[0] in (own, foreign)] == [(own, "allowed"), (own, "marker")]
    client.close()


def test_a_denied_publish_says_so_in_mqtt_5(home, following):
    """C1"""
    device, other = onboard(home), onboard(home)
    for topic, denied in ((f"devices/{other.id}/telemetry", True), (f"devices/{device.id}/telemetry", False)):
        said = run("mosquitto_pub", *device.mqtt(), "-V", "mqttv5", "-d", "-t", topic, "-m", "x", check=False).stdout
        assert b"received PUBACK" in said and (b"RC:135" in said) == denied, said


@VERSIONS
def test_a_will_of_a_revoked_device_is_not_published(home, following, listener, version):
    """C6: not at once, and not when its delay is over; another one's is."""
    delay = None
    if version == mqtt.MQTTv5:
        delay = Properties(PacketTypes.WILLMESSAGE)
        delay.WillDelayInterval = 1
    lasting = None
    if version == mqtt.MQTTv5:
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
    device, other = onboard(home), onboard(home)
    clients = []
    for one in (device, other):
        clients.append(Paho(one, following.port, version, will=(f"devices/{one.id}/telemetry", "its will", delay),
                            properties=lasting))
        assert clients[-1].event("connect") == 0
    post(home, device, "revoke")
    clients[0].event("disconnect")
    clients[0].client.loop_stop()
    clients[1].die()
    listener.wait_message(f"devices/{other.id}/telemetry", "its will")
    time.sleep(2)
    assert [m for m in listener.messages() if m[1] == "its will"] == [(f"devices/{other.id}/telemetry", "its will")]


@VERSIONS
def test_what_is_in_flight_does_not_reach_the_revoked(home, following, speaker, version):
    """C6: a stream of commands ends with the revocation, and what was not acknowledged stays where it is."""
    device = onboard(home)
    lasting = None
    if version == mqtt.MQTTv5:
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
    client = Paho(device, following.port, version, properties=lasting)
    client.subscribe(f"devices/{device.id}/commands/#")
    source = Paho(speaker, following.port, version)
    source.event("connect")
    topic = f"devices/{device.id}/commands/x"
    stamps = []
    client.client.on_message = lambda c, data, m: stamps.append((time.monotonic(), m.payload.decode()))
    for n in range(100):
        source.client.publish(topic, f"before {n}", qos=1)
    wait_for(lambda: len(stamps) == 100, 10, "the stream")
    reply = home.request("POST", f"/v1/devices/{device.id}/revoke", {})
    assert reply.status == 200
    answered = time.monotonic()
    while time.monotonic() < answered + 0.5 * muster.PATIENCE:
        source.client.publish(topic, "after", qos=1)
        time.sleep(0.002)
    late = [at - answered for at, said in stamps if said == "after"]
    print(f"{len(late)} commands after the revocation's answer, the last {1000 * max(late, default=0):.0f} ms after it")
    assert max(late, default=0) < 0.25 * muster.PATIENCE
    client.event("disconnect")
    client.client.loop_stop()
    source.close()
    again = Paho(device, following.port, version, properties=lasting)
    assert again.event("connect") != 0
    again.client.loop_stop()
