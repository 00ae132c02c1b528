"""B9 at the broker, and the ways in: two tenants with the same names, one Mosquitto with the plugin, real clients; enrolment
and renewal by EST."""

import muster
import pytest
from muster import wait_for
from pluginbroker import add_service, onboard
from test_est import Device, leaf, post
from test_plugin import subscribe

TENANTS = ("acme", "zeta")


@pytest.fixture(scope="module")
def both(home, following):
    """Tenant -> (device, service), of the same names, type and policy; and a service of the installation's that hears all."""
    made = {}
    for tenant, sessions in zip(TENANTS, (2, 1)):
        home.cli("tenant", "add", tenant)
        home.cli("--tenant", tenant, "policy", "set", "pumps", "--write", f"{{tenant}}/{tenant[0]}/{{id}}", "--read",
                 f"{{tenant}}/{tenant[0]}/to/{{id}}", "--sessions", str(sessions))
        made[tenant] = (onboard(home, tenant=tenant, policy="pumps"),
                        add_service(home, "backend", "--tenant", tenant, "--read", f"{tenant}/#", "--write", f"{tenant}/#"))
    witness = add_service(home, "backend", "--read", "#", "--write", "+/+/to/+")
    return made, witness


def other(tenant):
    return TENANTS[1 - TENANTS.index(tenant)]


def test_b9_each_hears_its_own(both):
    """B9 what a device may write, and a back end hear, is its own tenant's policy's, though all names are the same."""
    made, witness = both
    hears = {"all": witness.subscribe("#"), **{t: made[t][1].subscribe(f"{t}/#") for t in TENANTS}}
    for tenant in TENANTS:
        device = made[tenant][0]
        for topic in (f"{other(tenant)}/{other(tenant)[0]}/{device.id}", f"{tenant}/{other(tenant)[0]}/{device.id}",
                      f"{other(tenant)}/{tenant[0]}/{device.id}", f"{tenant}/{tenant[0]}/{made[other(tenant)][0].id}"):
            device.publish(topic, "not its own")
        device.publish(f"{tenant}/{tenant[0]}/{device.id}", "own", check=True)
        for who in ("all", tenant):
            hears[who].wait_message(f"{tenant}/{tenant[0]}/{device.id}", "own")
    assert len(hears["all"].messages()) == 2
    for tenant in TENANTS:
        assert {topic.split("/")[0] for topic, _ in hears[tenant].messages()} == {tenant}
    for subscriber in hears.values():
        subscriber.stop()


def test_b9_each_is_reached_by_its_own(both):
    """B9 a back end of the one tenant cannot speak to the other's devices, nor hear what they are told."""
    made, _ = both
    hears = {t: made[t][0].subscribe(f"{t}/{t[0]}/to/{made[t][0].id}") for t in TENANTS}
    for tenant in TENANTS:
        topic = f"{other(tenant)}/{other(tenant)[0]}/to/{made[other(tenant)][0].id}"
        made[tenant][1].publish(topic, "a stranger's")
    assert subscribe(made["acme"][1], "#", "zeta/#", "acme/#") == [128, 128, 1]
    for tenant in TENANTS:
        topic = f"{tenant}/{tenant[0]}/to/{made[tenant][0].id}"
        made[tenant][1].publish(topic, "from home", check=True)
        hears[tenant].wait_message(topic, "from home")
        assert hears[tenant].messages() == [(topic, "from home")]
        hears[tenant].stop()


def test_b9_a_tenant_s_devices_are_its_back_end_s(home, both):
    """B9 the topics of the built-in policy are everybody's, and devices/+/ a tenant's own: no other's device is heard or spoken to."""
    _, witness = both
    rights = ("--read", "devices/+/telemetry", "--write", "devices/+/commands/#")
    devices = {t: onboard(home, tenant=t) for t in TENANTS}
    ears, mouths = ({t: add_service(home, name, "--tenant", t, *rights) for t in TENANTS} for name in ("ears", "mouth"))
    foreign = f"devices/{devices['zeta'].id}/telemetry"
    assert subscribe(ears["acme"], foreign, "devices/#", "devices/+/telemetry") == [128, 128, 1]
    hears = {**{t: ears[t].subscribe("devices/+/telemetry") for t in TENANTS}, "all": witness.subscribe("devices/#")}
    told = {t: devices[t].subscribe(f"devices/{devices[t].id}/commands/#") for t in TENANTS}
    for tenant in TENANTS:
        mouths[tenant].publish(f"devices/{devices[other(tenant)].id}/commands/x", "a stranger's")
        mouths[tenant].publish(f"devices/{devices[tenant].id}/commands/x", "from home", check=True)
    for tenant in TENANTS:
        told[tenant].wait_message(f"devices/{devices[tenant].id}/commands/x", "from home")
        told[tenant].stop()
        assert {message for _, message in told[tenant].messages()} == {"from home"}
    for tenant in TENANTS:
        topic = f"devices/{devices[tenant].id}/telemetry"
        devices[tenant].publish(topic, tenant, check=True)
        for who in (tenant, "all"):
            hears[who].wait_message(topic, tenant)
    assert all({message for _, message in hears[t].messages()} == {t} for t in TENANTS)
    for subscriber in hears.values():
        subscriber.stop()


def test_b9_a_policy_is_changed_for_its_tenant_alone(home, both):
    """B9 what is set in one tenant alters no right and no session in the other."""
    made, witness = both
    subscriber = witness.subscribe("acme/#", "zeta/#")
    acme, zeta = made["acme"][0], made["zeta"][0]
    home.cli("--tenant", "acme", "policy", "set", "pumps", "--write", "{tenant}/new/{id}", "--sessions", "2")

    def says(device, topic):
        device.publish(topic, "changed")
        return (topic, "changed") in subscriber.messages()

    wait_for(lambda: says(acme, f"acme/new/{acme.id}"), 5, "the changed policy at the broker")
    zeta.publish(f"zeta/new/{zeta.id}", "no", check=False)
    zeta.publish(f"zeta/z/{zeta.id}", "as before", check=True)
    subscriber.wait_message(f"zeta/z/{zeta.id}", "as before")
    assert (f"zeta/new/{zeta.id}", "no") not in subscriber.messages()
    subscriber.stop()
    # how many sessions, too, is each one's own
    for device, second in ((acme, True), (zeta, False)):
        first = muster.Process(["mosquitto_sub", *device.mqtt(), "-t", f"probe/{device.id}", "-d"])
        first.wait_line("received CONNACK \\(0\\)")
        tried = muster.run("mosquitto_pub", *device.mqtt(f"{device.id}/2"), "-t", f"probe/{device.id}", "-m", "x", check=False)
        assert (tried.returncode == 0) == second, (device.id, tried.stderr)
        first.stop()


def test_f6_a_token_enrols_in_its_tenant(home, both):
    """F6 an enrolment token is its tenant's, whatever the device says, and its device nobody else's."""
    secret = home.json("--tenant", "acme", "token", "create", "--type", "pump")["token"]
    device = Device(home, "enrolled")
    refused = post(home, "simpleenroll", device.request(), secret, headers={"Muster-Tenant": "zeta"})
    assert refused.status == 404
    device.keep(leaf(post(home, "simpleenroll", device.request(), secret, headers={"Muster-Tenant": "acme"})))
    path = f"/v1/devices/{device.id}"
    assert home.request("GET", path, headers={"Muster-Tenant": "acme"}).json["name"] == "enrolled"
    for tenant in ("zeta", "default"):
        assert home.request("GET", path, headers={"Muster-Tenant": tenant}).status == 404
    # F1: it renews in its tenant, and in no other
    assert post(home, "simplereenroll", device.request(device.new_key("next.key"), device.subject()), tls=device.tls(),
                headers={"Muster-Tenant": "zeta"}).status == 404
    before = device.id
    device.key = device.dir / "next.key"
    device.keep(leaf(post(home, "simplereenroll", device.request(device.key, device.subject()), tls=device.tls(device.dir / "device.key"))))
    assert device.id == before
    assert len(home.request("GET", f"{path}/certificates", headers={"Muster-Tenant": "acme"}).json["items"]) == 2
    assert home.request("GET", f"{path}/certificates", headers={"Muster-Tenant": "zeta"}).status == 404


def test_d3_another_tenant_s_device_in_a_request(home, both):
    """D3, F2 a request that names another tenant's device makes a new one, or renews nothing."""
    made, _ = both
    foreign = made["zeta"][0]
    secret = home.json("--tenant", "acme", "token", "create", "--type", "pump", "--uses", "2")["token"]
    device = Device(home, foreign.id)
    device.keep(leaf(post(home, "simpleenroll", device.request(), secret)))
    assert device.id != foreign.id
    reply = post(home, "simplereenroll", device.request(device.new_key("next.key"), f"/CN={foreign.id}"), tls=device.tls())
    assert reply.status in (400, 403), reply.body
    # nor does a token of acme's for zeta's pending device
    pending = home.request("POST", "/v1/devices", {"name": "p", "type": "t", "pending": True}, headers={"Muster-Tenant": "zeta"}).json["id"]
    reply = home.request("POST", "/v1/tokens", {"device_id": pending}, headers={"Muster-Tenant": "acme"})
    nothing = home.request("POST", "/v1/tokens", {"device_id": "00000000-0000-4000-8000-000000000000"}, headers={"Muster-Tenant": "acme"})
    assert (reply.status, reply.json["errors"]) == (404, nothing.json["errors"])


def test_a_quota_ends_enrolment(home):
    """An enrolment past the quota is 409, uses its token up as little as a refused one, and is possible when there is room."""
    home.cli("tenant", "add", "full", "--quota", "1")
    secret = home.json("--tenant", "full", "token", "create", "--type", "pump", "--uses", "9")
    first, second = Device(home, "first"), Device(home, "second")
    first.keep(leaf(post(home, "simpleenroll", first.request(), secret["token"])))
    reply = post(home, "simpleenroll", second.request(), secret["token"])
    assert reply.status == 409 and b"as many devices" in reply.body
    assert [t["uses"] for t in home.json("--tenant", "full", "token", "list")["items"]] == [1]
    # who is in renews
    first.keep(leaf(post(home, "simplereenroll", first.request(first.new_key("n.key"), first.subject()), tls=first.tls())))
    home.cli("--tenant", "full", "device", "revoke", first.id)
    second.keep(leaf(post(home, "simpleenroll", second.request(), secret["token"])))


def test_a_device_renews_under_its_profile(home):
    """What a tenant may use no more is not for new devices; those that have it go on."""
    home.cli("tenant", "add", "narrowed")
    secret = home.json("--tenant", "narrowed", "token", "create", "--type", "pump", "--uses", "9", "--profile", "constrained")["token"]
    device = Device(home, "first")
    device.keep(leaf(post(home, "simpleenroll", device.request(), secret)))
    home.cli("tenant", "update", "narrowed", "--profile", "short")
    reply = post(home, "simpleenroll", Device(home, "second").request(), secret)
    assert reply.status == 403 and b"constrained" in reply.body
    device.keep(leaf(post(home, "simplereenroll", device.request(device.new_key("n.key"), device.subject()), tls=device.tls())))
    listed = home.request("GET", f"/v1/devices/{device.id}/certificates", headers={"Muster-Tenant": "narrowed"}).json["items"]
    assert [c["profile"] for c in listed] == ["constrained"] * 2
