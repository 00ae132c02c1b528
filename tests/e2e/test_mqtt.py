"""Parts 8, 9 and 10: services, revocation and a real Mosquitto in ACL-file mode."""

import time

import muster
import pytest
from muster import openssl, run, wait_for

SETTINGS = muster.ACL_FILE


def onboard(home, key="ec-p256", **options):
    args = [x for k, v in options.items() for x in (f"--{k}", v)]
    made = home.json("device", "register", "--name", "mqtt", "--type", "pump", "--key", key, *args)
    credentials = muster.open_package(home, made)
    wait_for(lambda: made["id"] in (home.dir / "broker/acl").read_text(), 5, "the device in the ACL file")
    time.sleep(0.3)  # the broker's SIGHUP follows the file
    return credentials


def revoked_serials(home, path="/crl/issuing.crl"):
    der = home.pki(path).body
    text = openssl("crl", "-inform", "DER", "-noout", "-text", input=der).stdout.decode()
    return text


def serial_of(credentials):
    said = openssl("x509", "-in", credentials.dir / "device.crt", "-noout", "-serial").stdout.decode()
    return said.strip().split("=")[1]


@pytest.mark.parametrize("key", ["ec-p256", "rsa-2048"])
def test_telemetry_reaches_the_service(home, broker, backend, key):
    device = onboard(home, key)
    listener = backend.subscribe("devices/#")
    device.publish(f"devices/{device.id}/telemetry", f"hello {key}", check=True)
    listener.wait_message(f"devices/{device.id}/telemetry", f"hello {key}")
    listener.stop()


def test_commands_reach_the_device(home, broker, backend):
    device = onboard(home)
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    backend.publish(f"devices/{device.id}/commands/start", "now", check=True)
    listener.wait_message(f"devices/{device.id}/commands/start", "now")
    listener.stop()


def test_a_device_reaches_its_own_topics_only(home, broker, backend):
    """C1: denials are proven by non-delivery, with an allowed message behind them as the marker."""
    device, other = onboard(home), onboard(home)
    listener = backend.subscribe("devices/#", "plant/#")
    for topic in (f"devices/{other.id}/telemetry", "plant/all", f"devices/{device.id}/commands/x",
                  f"devices/{device.id}/telemetry/deeper", "devices/telemetry"):
        device.publish(topic, "denied")
    device.publish(f"devices/{device.id}/telemetry", "marker", check=True)
    listener.wait_message(f"devices/{device.id}/telemetry", "marker")
    assert [m for m in listener.messages() if m[1] == "denied"] == []
    listener.stop()


def test_a_device_hears_its_own_topics_only(home, broker, backend):
    """C1: a subscription to everything delivers nothing but its own."""
    device, other = onboard(home), onboard(home)
    listener = device.subscribe("#", "devices/+/commands/#", "$SYS/#", "$share/g/devices/#")
    backend.publish(f"devices/{other.id}/commands/secret", "not yours", check=True)
    other.publish(f"devices/{other.id}/telemetry", "not yours", check=True)
    backend.publish(f"devices/{device.id}/commands/mine", "yours", check=True)
    listener.wait_message(f"devices/{device.id}/commands/mine", "yours")
    assert {m[1] for m in listener.messages()} == {"yours"}
    listener.stop()


def test_another_devices_client_id_takes_nothing_over(home, broker):
    """C2"""
    victim, thief = onboard(home), onboard(home)
    listener = victim.subscribe(f"devices/{victim.id}/commands/#")
    thief.publish(f"devices/{thief.id}/telemetry", "x", id=victim.id)
    time.sleep(0.5)
    assert listener.process.child.poll() is None
    assert not any("disconnect" in line.lower() for line in listener.process.lines)
    listener.stop()


def test_strangers_are_refused(home, broker):
    """C7 and clients without or with another CA's certificate."""
    device = onboard(home)
    base = ["mosquitto_pub", "-h", "localhost", "-p", home.broker_port, "--cafile", home.dir / "ca/root.crt", "-t",
            "x", "-m", "x"]
    assert run(*base, check=False).returncode != 0
    key, crt = home.base / "other.key", home.base / "other.crt"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-subj", f"/CN={device.id}",
            "-days", "1")
    assert run(*base, "--cert", crt, "--key", key, "-i", device.id, check=False).returncode != 0
    assert device.connects()


@pytest.mark.parametrize("reason, name", [("keyCompromise", "Key Compromise"),
                                          ("cessationOfOperation", "Cessation Of Operation"),
                                          ("unspecified", None)])
def test_revocation(home, broker, backend, reason, name):
    device = onboard(home)
    assert device.connects()
    listener = device.subscribe(f"devices/{device.id}/commands/#")
    home.cli("device", "revoke", device.id, "--reason", reason)
    began = time.monotonic()
    wait_for(lambda: serial_of(device) in revoked_serials(home), 2, "the serial on the CRL")
    assert time.monotonic() - began < 2 * muster.PATIENCE
    text = revoked_serials(home)
    entry = text[text.index(serial_of(device)):].split("Serial Number")[0]
    assert (name in entry) if name else ("Reason" not in entry)
    # the live session has no rights any more, and a new one is refused
    wait_for(lambda: device.id not in (home.dir / "broker/acl").read_text(), 2, "the device out of the ACL file")
    backend.publish(f"devices/{device.id}/commands/late", "too late", check=True)
    wait_for(lambda: not device.connects(), 5, "the refusal")
    assert [m for m in listener.messages() if m[1] == "too late"] == []
    listener.stop()
    # independent verifiers
    crl = home.base / "now.crl"
    crl.write_bytes(openssl("crl", "-inform", "DER", input=home.pki("/crl/issuing.crl").body).stdout)
    refused = openssl("verify", "-crl_check", "-CAfile", home.dir / "ca/root.crt", "-untrusted",
                      home.dir / "ca/issuing.crt", "-CRLfile", crl, device.dir / "device.crt", check=False)
    assert refused.returncode != 0 and b"revoked" in refused.stderr
    again = home.cli("device", "revoke", device.id, check=False)
    assert again.returncode == 1 and b"revoked" in again.stderr


def test_revoked_stays_refused_with_a_resumed_session(home, broker):
    """C6: a TLS session from before the revocation is no way in."""
    device = onboard(home)
    session = home.base / f"{device.id}.session"
    args = ["s_client", "-connect", f"localhost:{home.broker_port}", "-CAfile", device.dir / "ca.crt", "-cert",
            device.dir / "device.crt", "-key", device.dir / "device.key", "-tls1_2"]
    said = openssl(*args, "-sess_out", session, input=b"", check=False).stdout.decode()
    assert "Verify return code: 0" in said and session.exists()
    home.cli("device", "revoke", device.id)
    time.sleep(1)
    # An MQTT CONNECT over the resumed session must not be acknowledged (CONNACK is 0x20 0x02).
    connect = b"\x10\x30\x00\x04MQTT\x04\x02\x00\x3c\x00\x24" + device.id.encode()
    said = openssl(*args, "-quiet", "-sess_in", session, input=connect, check=False)
    assert b"\x20\x02" not in said.stdout
    assert not device.connects()


def test_suspend_and_resume(home, broker):
    device = onboard(home)
    home.cli("device", "suspend", device.id)
    assert home.json("device", "show", device.id)["status"] == "suspended"
    text = revoked_serials(home)
    assert "Certificate Hold" in text[text.index(serial_of(device)):].split("Serial Number")[0]
    wait_for(lambda: not device.connects(), 5, "the refusal")
    home.cli("device", "resume", device.id)
    assert serial_of(device) not in revoked_serials(home)  # G9
    wait_for(device.connects, 5, "connecting again")
    assert home.cli("device", "resume", device.id, check=False).returncode == 1


def test_crl_is_a_true_one(home):
    """G8, G10: number, signature and form, to OpenSSL and GnuTLS; by its name and by the issuer's."""
    der = home.pki("/crl/issuing.crl")
    assert der.headers["Content-Type"] == "application/pkix-crl"
    path = home.base / "true.crl"
    path.write_bytes(der.body)
    said = openssl("crl", "-inform", "DER", "-in", path, "-noout", "-text", "-verify", "-CAfile",
                   home.dir / "ca/issuing.crt")
    assert b"verify OK" in said.stderr + said.stdout
    assert b"X509v3 CRL Number" in said.stdout and b"Authority Key Identifier" in said.stdout
    run("certtool", "--crl-info", "--inder", "--infile", path)
    ski = openssl("x509", "-in", home.dir / "ca/issuing.crt", "-noout", "-ext", "subjectKeyIdentifier").stdout.decode()
    ski = ski.split("\n")[1].strip().replace(":", "").lower()
    assert home.pki(f"/crl/{ski}.crl").body == home.pki("/crl/issuing.crl").body
    assert home.pki("/crl/0000.crl").status == 404
    assert home.pki("/ca/root.crt").body == openssl("x509", "-in", home.dir / "ca/root.crt", "-outform", "DER").stdout


def test_crl_is_renewed_on_schedule_with_rising_numbers(fresh):
    home = fresh(settings={"pki.crl_renew": "1m", "pki.crl_validity": "10m"})

    def number():
        text = openssl("crl", "-inform", "DER", "-noout", "-crlnumber", input=home.pki("/crl/issuing.crl").body)
        return int(text.stdout.decode().strip().split("=")[1], 16)

    home.start()
    numbers = [number()]
    for _ in range(3):
        made = home.json("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256")
        home.cli("device", "revoke", made["id"])
        numbers.append(number())
    home.stop()
    home.start()
    numbers.append(number())
    assert numbers == sorted(set(numbers)), numbers


def test_service_lifecycle(home, broker, backend):
    made = home.json("service", "add", "bridge", "--read", "devices/+/telemetry", "--write", "plant/in/#")
    bridge = muster.open_package(home, made)
    taken = home.cli("service", "add", "bridge", "--read", "x", check=False)
    assert taken.returncode == 1
    assert "bridge" in home.cli("service", "list").stdout.decode()
    wait_for(lambda: made["id"] in (home.dir / "broker/acl").read_text(), 5, "the service in the ACL file")
    time.sleep(0.3)
    listener = backend.subscribe("plant/#")
    bridge.publish("plant/in/1", "from the bridge", check=True)
    listener.wait_message("plant/in/1", "from the bridge")
    bridge.publish("plant/out", "denied")
    home.cli("service", "revoke", "bridge")
    wait_for(lambda: not bridge.connects(), 5, "the refusal")
    assert ("plant/out", "denied") not in listener.messages()
    listener.stop()
    home.json("service", "add", "bridge", "--read", "x")  # the name is free again


def test_a_policy_changes_rights(home, broker, backend):
    home.cli("policy", "set", "pumps", "--write", "plant/{type}/{id}/state", "--read", "devices/{id}/commands/#")
    device = onboard(home, policy="pumps")
    listener = backend.subscribe("devices/#", "plant/#")
    device.publish(f"plant/pump/{device.id}/state", "allowed", check=True)
    listener.wait_message(f"plant/pump/{device.id}/state", "allowed")
    device.publish(f"devices/{device.id}/telemetry", "denied")
    home.cli("policy", "set", "pumps", "--write", "devices/{id}/telemetry")
    device.publish(f"plant/pump/{device.id}/state", "denied")
    device.publish(f"devices/{device.id}/telemetry", "now allowed", check=True)
    listener.wait_message(f"devices/{device.id}/telemetry", "now allowed")
    assert [m for m in listener.messages() if m[1] == "denied"] == []
    listener.stop()
    assert home.cli("policy", "remove", "pumps", check=False).returncode == 1  # in use
    assert home.cli("policy", "remove", "default", check=False).returncode == 1
    assert {p["name"] for p in home.json("policy", "list")["items"]} == {"default", "pumps"}


@pytest.mark.parametrize("template", ["#", "+/#", "$SYS/#", "a/{name}", "a/#/b", "a+b", "x\ny", "%c/x", ""])
def test_policies_refuse_what_is_too_wide_or_no_topic(home, template):
    """B1, B2"""
    reply = home.request("PUT", "/v1/policies/bad", {"write": ["ok/{id}", template], "read": []})
    assert reply.status == 400 and reply.json["errors"][0]["field"] == "write[1]", template


def test_acl_file_is_whole_and_closed(home, broker):
    """B1, C4: names from outside never reach it as more than words."""
    for name in ("x\ntopic readwrite #", "pattern readwrite #", "# comment"):
        home.request("POST", "/v1/devices", {"name": name, "type": "t", "key": "ec-p256"})
        refused = home.request("POST", "/v1/devices", {"name": "x", "type": name, "key": "ec-p256"})
        assert refused.status == 400
    acl = (home.dir / "broker/acl").read_text()
    for line in acl.splitlines():
        assert line == "" or line.startswith(("#", "user ", "topic read ", "topic write ", "topic readwrite ")), line
        assert not line.startswith("topic") or not line.endswith(" #")
    assert not list((home.dir / "broker").glob("*.new"))


def test_b9_a_tenant_s_back_end_in_the_acl_file(home, broker):
    """B9 devices/+/ of a tenant's service is that tenant's devices, though a static file cannot say so."""
    home.cli("tenant", "add", "acme")
    own, foreign = onboard(home, tenant="acme"), onboard(home)
    ears, mouth = (muster.open_package(home, home.json(
        "service", "add", name, "--tenant", "acme", "--read", "devices/+/telemetry", "--read", "devices/+/commands/#",
        "--write", "devices/+/commands/#")) for name in ("ears", "mouth"))
    wait_for(lambda: mouth.id in (home.dir / "broker/acl").read_text(), 5, "the services in the ACL file")
    time.sleep(0.3)  # the broker's SIGHUP follows the file
    listener = ears.subscribe("devices/#")
    told = {device: device.subscribe(f"devices/{device.id}/commands/#") for device in (own, foreign)}
    mouth.publish(f"devices/{foreign.id}/commands/x", "a stranger's")
    mouth.publish(f"devices/{own.id}/commands/x", "from home", check=True)
    told[own].wait_message(f"devices/{own.id}/commands/x", "from home")
    listener.wait_message(f"devices/{own.id}/commands/x", "from home")  # which it reads and writes
    for subscriber in told.values():
        subscriber.stop()
    assert told[foreign].messages() == []
    foreign.publish(f"devices/{foreign.id}/telemetry", "not for acme", check=True)
    own.publish(f"devices/{own.id}/telemetry", "own", check=True)
    listener.wait_message(f"devices/{own.id}/telemetry", "own")
    assert listener.messages() == [(f"devices/{own.id}/commands/x", "from home"), (f"devices/{own.id}/telemetry", "own")]
    listener.stop()
