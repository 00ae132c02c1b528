"""First enrolment by a manufacturer's certificate (IEEE 802.1AR): trust anchors, expected serial numbers, and what must not pass
for them. The clients are curl, strongSwan's pki and Python's TLS, which is OpenSSL's."""

import http.client
import shutil

import maker
import pytest
from agent import Agent
from doctor import doctor
from der import extension, integer, oid, sequence, tlv
from maker import BASIC_CONSTRAINTS, CLIENT_AUTH, EXT_KEY_USAGE, KEY_USAGE, SERVER_AUTH, Maker
from muster import run
from test_est import (EST, Device, answering, attesting, certificates, challenge, issued, leaf, post, rows,  # noqa: F401
                      token)


@pytest.fixture(scope="module")
def acme(home):
    """A manufacturer with a root and an intermediate CA; the service trusts the root, and expects nobody."""
    root = Maker(home.base, "Acme Root")
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--location", "hall 3", "--profile", "constrained")
    return Maker(home.base, "Acme Pumps", parent=root)


def expect(home, *serials, anchor="acme"):
    return home.json("trust", "expect", anchor, *serials)["added"]


def enrol(home, made, device=None, path="simpleenroll", **kwargs):
    device = device or Device(home, f"Pump {made.serial}")
    return device, post(home, path, device.request(**kwargs), tls=made.tls(home))


def enrolled(home, made, device=None, **kwargs):
    device, reply = enrol(home, made, device, **kwargs)
    device.keep(leaf(reply))
    return device


def test_curl_enrols(home, acme):
    """By curl and openssl alone; type, location and profile are the anchor's, the name the request's, the subject ours."""
    made = acme.make("PX-1")
    assert expect(home, "PX-1") == 1 and expect(home, "PX-1") == 0
    device = Device(home, "Pump one")
    body = device.dir / "req.b64"
    body.write_bytes(run("openssl", "base64", input=device.request()).stdout)
    answer = run("curl", "-sS", "--fail-with-body", "--cacert", home.dir / "ca/root.crt", "--cert", made.cert, "--key", made.key,
                 "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{body}",
                 f"https://localhost:{home.api_port}/.well-known/est/simpleenroll").stdout
    device.keep(run("openssl", "x509", "-outform", "DER", input=certificates(answer)[0].encode()).stdout)
    shown = home.json("device", "show", device.id)
    assert (shown["name"], shown["type"], shown["location"], shown["status"]) == ("Pump one", "pump", "hall 3", "active")
    assert rows(home, device)[0]["profile"] == "constrained" and "Acme" not in device.text("-subject")
    listed = home.json("trust", "serials", "acme")["items"]
    assert {"serial": "PX-1", "device_id": device.id, "enrolled": True} in listed
    audited = [r for r in home.request("GET", "/v1/audit?limit=1000").json["items"] if r["target"] == f"device:{device.id}"]
    assert [(r["action"], r["actor"]) for r in audited] == [("device.enrol", f"idevid:{made.fingerprint}")]




def test_gnutls_enrols(home, acme):
    """A client whose TLS keeps certificates back that the server does not ask for by their CA's name (GnuTLS, in wget)."""
    made = acme.make("PX-2")
    expect(home, "PX-2")
    device = Device(home, "Pump two")
    (device.dir / "body").write_text(maker.request_body(device.request()))
    answer = run("wget", "-q", "-O", "-", "--no-proxy", "--ca-certificate", home.dir / "ca/root.crt", "--certificate", made.cert,
                 "--private-key", made.key, "--header", "Content-Type: application/pkcs10", "--post-file", device.dir / "body",
                 f"https://localhost:{home.api_port}/.well-known/est/simpleenroll").stdout
    device.keep(run("openssl", "x509", "-outform", "DER", input=certificates(answer)[0].encode()).stdout)
    assert home.json("device", "show", device.id)["name"] == "Pump two"


def test_strongswan_asks_for_something_else(home, acme):
    """F7: strongSwan's client takes every certificate for one of ours that it renews: simplereenroll, which is no way in."""
    made = acme.make("PX-3")
    expect(home, "PX-3")
    device = Device(home, "Pump three")
    (device.dir / "req.der").write_bytes(device.request())
    url = f"https://localhost:{home.api_port}"
    refused = run("pki", "--est", "--url", url, "--cacert", home.dir / "ca/root.crt", "--cacert", acme.file, "--in",
                  device.dir / "req.der", "--cert", made.cert, "--key", made.key, check=False)
    assert refused.returncode != 0 and b"HTTP 403" in refused.stderr and not refused.stdout
    # What it is for: the certificate that the manufacturer's brought.
    enrolled(home, made, device)
    (device.dir / "next.der").write_bytes(device.request(device.new_key("next.key"), subject=device.subject()))
    renewed = run("pki", "--est", "--url", url, "--cacert", home.dir / "ca/root.crt", "--in", device.dir / "next.der", "--cert",
                  device.cert, "--key", device.key, "--outform", "pem").stdout
    assert device.id in run("openssl", "x509", "-noout", "-subject", input=renewed).stdout.decode()


# ---- who is not let in -------------------------------------------------------------------------------------------------


def refused(home, made, status, *words, **kwargs):
    """The person at the device is told which check failed."""
    reply = enrol(home, made, **kwargs)[1]
    assert reply.status == status and all(w in reply.json["detail"] for w in words), (reply.status, reply.body)


@pytest.fixture
def patient(fresh):
    """A home that takes as many bad certificates a minute as a test has."""
    return fresh(settings={"limits.auth_failures_per_min": "0", "limits.auth_failures_all_per_min": "0"}).start()


def test_nobody_is_expected_by_default(home, acme):
    """The list is the rule, `--any-serial` the exception."""
    made = acme.make("PX-10")
    refused(home, made, 403, "PX-10", "muster trust expect")
    expect(home, "PX-1O", "px-10", "PX-10 ", "PX-100")
    refused(home, made, 403, "PX-10")
    expect(home, "PX-10")
    enrolled(home, made)
    assert home.json("trust", "unexpect", "acme", "PX-10", "PX-999")["removed"] == 1
    refused(home, made, 403, "PX-10")
    # Of any, not of none.
    free = Maker(home.base, "Free CA")
    home.cli("trust", "add", free.file, "--name", "free", "--type", "valve", "--any-serial")
    assert home.json("device", "show", enrolled(home, free.make("anything at all")).id)["type"] == "valve"


def test_f1_not_what_it_says(patient):
    """F1: expired, not yet valid, self-signed, of another CA with the same name, of one that is not trusted, of an intermediate
    CA that is not shown, has expired, is none, or may not vouch for others; and a CA's own."""
    home = patient
    root = Maker(home.base, "Acme Root")
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--any-serial")
    sub = Maker(home.base, "Acme Pumps", parent=root)
    enrolled(home, sub.make("PX-1"))
    refused(home, sub.make("PX-2", ends=-60), 401, "expired at")
    refused(home, sub.make("PX-2", begins=3600), 401, "not valid before")
    refused(home, sub.make("PX-2", chain=False), 401, "not known here")
    refused(home, Maker(home.base, "Acme Root").make("PX-2"), 401, "manufacturer's certificate: ")
    refused(home, Maker(home.base, "Acme Root", key_ids=False).make("PX-2"), 401, "manufacturer's certificate: ")
    refused(home, Maker(home.base, "Acme Pumps", parent=Maker(home.base, "Acme Root")).make("PX-2"), 401, "manufacturer's certificate: ")
    refused(home, Maker(home.base, "Somebody").make("PX-2"), 401, "not known here")
    refused(home, Maker(home.base, "Acme Old", parent=root, ends=-60).make("PX-2"), 401, "a CA's certificate expired at")
    for extensions in ([], [extension(KEY_USAGE, b"\3\2\1\6", True)],  # keyCertSign by itself
                       [extension(BASIC_CONSTRAINTS, sequence(), True), extension(KEY_USAGE, b"\3\2\1\6", True)],
                       [extension(BASIC_CONSTRAINTS, sequence(tlv(1, b"\xff")), True), extension(KEY_USAGE, b"\3\2\7\x80", True)]):
        refused(home, Maker(home.base, "No CA", parent=root, extensions=extensions).make("PX-2"), 401, "manufacturer's certificate: ")
    level = [extension(BASIC_CONSTRAINTS, sequence(tlv(1, b"\xff"), integer(0)), True), extension(KEY_USAGE, b"\3\2\1\6", True)]
    flat = Maker(home.base, "Acme Flat", parent=root, extensions=level)
    enrolled(home, flat.make("PX-3"))
    refused(home, Maker(home.base, "Acme Deep", parent=flat).make("PX-2"), 401, "path length")
    # What a device vouches for: another device.
    thief = Maker(home.base, "x", parent=root)
    thief.key, thief.spki, thief.der, thief.subject = (made := sub.make("PX-4")).key, made.spki, made.der, made.subject
    thief.parent = sub
    refused(home, thief.make("PX-2"), 401, "manufacturer's certificate: ")
    # Self-signed, though by the name of the root; and the root itself.
    alone = Maker(home.base, "Acme Root", extensions=[])
    alone.serial, alone.tls = "PX-2", lambda h: h.tls(alone.file, alone.key)
    refused(home, alone, 401, "manufacturer's certificate: ")
    both = [extension(BASIC_CONSTRAINTS, sequence(tlv(1, b"\xff")), True), extension(KEY_USAGE, b"\3\2\1\x86", True)]
    refused(home, root.make("PX-2", extensions=both), 401, "a CA's, not a device's")
    assert {d["name"] for d in home.json("device", "list", "--all")["items"]} == {"Pump PX-1", "Pump PX-3"}


def test_d4_weak_keys_and_signatures(patient):
    """D4, D6, D10: of the device, of a CA on the way, and what they sign with; usages that are not for clients."""
    home = patient
    root = Maker(home.base, "Acme Root", key="2048")
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--any-serial")
    enrolled(home, root.make("PX-1", key="2048"))
    enrolled(home, root.make("PX-2"))
    refused(home, root.make("PX-3", key="1024"), 401)
    refused(home, root.make("PX-3", key="p521"), 401)
    refused(home, Maker(home.base, "Acme Weak", parent=root, key="1024").make("PX-3"), 401, "key too weak")
    usage = extension(KEY_USAGE, b"\3\2\7\x80", True)
    refused(home, root.make("PX-3", extensions=[usage, extension(EXT_KEY_USAGE, sequence(oid(SERVER_AUTH)))]), 401, "purpose")
    enrolled(home, root.make("PX-4", extensions=[usage, extension(EXT_KEY_USAGE, sequence(oid(CLIENT_AUTH)))]))
    refused(home, root.make("PX-3", extensions=[usage, extension("1.2.3.4", b"\5\0", True)]), 401, "critical extension")
    root.digest, root.sigalg = "sha1", "1.2.840.113549.1.1.5"
    refused(home, root.make("PX-3"), 401, "too weak")
    weak = Maker(home.base, "Weak Root", key="1024")
    said = home.cli("trust", "add", weak.file, "--name", "weak", "--type", "pump", check=False)
    assert said.returncode == 1 and b"too weak" in said.stderr


@pytest.mark.parametrize("serial, tag", [(None, 0x13), ("", 0x13), ("x" * 65, 0x13), ('PX"1', 0x0c), ("PX\\1", 0x0c), ("PX\n1", 0x0c),
                                         ("PX\0" + "1", 0x0c), ("PX\u202e1", 0x0c), ("<b>", 0x0c), ("PX_1", 0x0c), ("PX-1", 0x1e)])
def test_b4_serial_numbers_that_are_none(home, free, serial, tag):
    """B4, B7: none, too long a one, or one with what no serial number has, whatever type it says that it is."""
    refused(home, free.make("x", subject=maker.name(None, serial, tag=tag)), 401, "serialNumber")


def test_two_serial_numbers(home, free):
    both = maker.sequence(*(tlv(0x31, sequence(oid("2.5.4.5"), tlv(0x13, s))) for s in (b"PX-1", b"PX-2")))
    refused(home, free.make("x", subject=both), 401, "serialNumber")


@pytest.fixture(scope="module")
def free(home):
    """Whoever it vouches for is let in."""
    root = Maker(home.base, "Everybody's CA")
    home.cli("trust", "add", root.file, "--name", "everybody", "--type", "lamp", "--any-serial")
    return root


def test_h7_bad_certificates_are_counted(fresh):
    """H7, F6: they use up the same attempts as bad tokens."""
    home = fresh(settings={"limits.auth_failures_per_min": "3"}).start()
    root = Maker(home.base)
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump")
    device = Device(home, "x")
    made, strange = root.make("PX-1"), Maker(home.base).make("PX-1")
    found = [enrol(home, m, device)[1].status for m in (made, strange, made, strange, made)]
    assert found == [403, 401, 403, 429, 429]
    last = home.json("audit", "list", "--all")["items"][-1]["detail"]
    assert last["via"] == "idevid" and "PX-1" in last["why"]


def test_the_doctor_says_which_check_failed(fresh):
    """What was told at the device is told beside the service, too."""
    home = fresh().start()
    root = Maker(home.base)
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--any-serial")
    audit = doctor(home)["audit"]
    assert audit["status"] == "ok"
    refused(home, root.make("PX-1", ends=-60), 401, "expired at")
    audit = doctor(home)["audit"]
    assert audit["status"] == "warn" and "the certificate expired at" in audit["finding"] and "muster trust list" in audit["remedy"]


# ---- which device it is ------------------------------------------------------------------------------------------------


def test_the_same_certificate_is_the_same_device(home, acme):
    """F2, F5: again with another key and another name: the same device, beside whose old certificate the new one is good until
    the overlap is over; again with the same key: the same certificate."""
    made = acme.make("PX-20")
    expect(home, "PX-20")
    first = enrolled(home, made)
    assert leaf(enrol(home, made, first)[1]) == run("openssl", "x509", "-in", first.cert, "-outform", "DER").stdout
    again = enrolled(home, made, Device(home, "somebody else"))
    assert again.id == first.id and home.json("device", "show", first.id)["name"] == "Pump PX-20"
    found = rows(home, first)
    assert [c["state"] for c in found] == ["active", "active"] and found[1]["superseded_by"] == found[0]["serial"]
    # D7: nobody else's key, and not its own old one.
    expect(home, "PX-21")
    other = enrolled(home, acme.make("PX-21"))
    refused(home, made, 409, "another device's", device=other)
    for device in (first, again):  # both are good
        key = device.new_key("next.key")
        assert post(home, "simplereenroll", device.request(key, device.subject()), tls=device.tls()).status == 200
    refused(home, made, 409, "4 certificates already")


def test_a_device_that_is_not_active(home, acme):
    """F3, F7: suspended or revoked, it stays so: neither its certificate nor the removal and return of its anchor or its serial
    number brings it back, until an operator says so."""
    made, root = acme.make("PX-30"), acme.parent
    expect(home, "PX-30")
    device = enrolled(home, made)
    home.cli("device", "suspend", device.id)
    refused(home, made, 409, device.id, "suspended", "muster device resume")
    refused(home, made, 409, "suspended", device=device)  # though the same key was answered before
    home.cli("device", "resume", device.id)
    enrolled(home, made)
    home.cli("device", "revoke", device.id)
    refused(home, made, 409, device.id, "revoked", "muster trust forget")
    home.cli("trust", "unexpect", "acme", "PX-30")
    expect(home, "PX-30")
    refused(home, made, 409, "revoked")
    home.cli("trust", "add", root.file, "--name", "acme-again", "--type", "pump")
    home.cli("trust", "unexpect", "acme", "PX-30")
    expect(home, "PX-30", anchor="acme-again")
    refused(home, made, 409, "revoked")
    assert home.json("trust", "forget", "acme-again", "PX-30")["device_id"] == device.id
    assert enrolled(home, made).id != device.id
    assert home.json("device", "show", device.id)["status"] == "revoked"
    home.cli("trust", "remove", "acme-again")


def test_f1_another_certificate_for_the_same_serial_number(home, acme):
    """F1: whoever it is, it is not the device that has enrolled; an operator decides."""
    made, twin = acme.make("PX-40"), acme.make("PX-40")
    expect(home, "PX-40")
    device = enrolled(home, made)
    refused(home, twin, 409, "PX-40", device.id, "muster trust forget")
    # Nor one of another CA of the manufacturer's, below the same anchor, or one for the same key.
    refused(home, Maker(home.base, "Acme Valves", parent=acme.parent).make("PX-40"), 409, device.id)
    refused(home, acme.make("PX-40", like=made), 409, device.id)
    assert enrolled(home, made).id == device.id
    home.cli("trust", "forget", "acme", "PX-40")
    assert (successor := enrolled(home, twin)).id != device.id
    refused(home, made, 409, successor.id)
    assert home.json("device", "show", device.id)["status"] == "active"
    said = home.cli("trust", "forget", "acme", "PX-41", check=False)
    assert said.returncode == 1 and b"no device has enrolled with that" in said.stderr


def test_a_pending_device_by_its_serial_number(home, acme):
    """It becomes the one that was registered, with its name, type and policy, whatever the anchor says."""
    pending = home.json("device", "register", "--name", "Awaited", "--type", "gate", "--pending")
    made = acme.make("PX-50")
    assert home.json("trust", "expect", "acme", "PX-50", "--device", pending["id"])["added"] == 1
    assert {"serial": "PX-50", "device_id": pending["id"], "enrolled": False} in home.json("trust", "serials", "acme", "--all")["items"]
    device = enrolled(home, made)
    shown = home.json("device", "show", device.id)
    assert (device.id, shown["name"], shown["type"], shown["status"]) == (pending["id"], "Awaited", "gate", "active")
    assert enrolled(home, made).id == device.id
    for args, status, field in ((["PX-51", "PX-52"], 400, "device_id"), (["PX-51"], 409, "device_id")):
        reply = home.request("POST", "/v1/trust/acme/serials", {"serials": args, "device_id": device.id})
        assert reply.status == status and reply.json["errors"][0]["field"] == field
    # Revoked before it came; and come by a token meanwhile.
    for how in ("revoke", "token"):
        pending = home.json("device", "register", "--name", how, "--type", "gate", "--pending")
        made = acme.make(f"PX-{how}")
        home.cli("trust", "expect", "acme", made.serial, "--device", pending["id"])
        if how == "revoke":
            home.cli("device", "revoke", pending["id"])
        else:
            leaf(post(home, "simpleenroll", Device(home, "x").request(), token(home, type=None, device_id=pending["id"])["token"]))
        refused(home, made, 409, "the device is " + ("revoked" if how == "revoke" else "active"))


def test_the_name_is_the_requests_or_the_serial_number(home, acme):
    expect(home, "PX-60", "PX-61")
    for made, subject, name in ((acme.make("PX-60"), "/O=none", "PX-60"), (acme.make("PX-61"), "/CN=Pump sixty-one", "Pump sixty-one")):
        device = Device(home, "x")
        device.keep(leaf(post(home, "simpleenroll", device.request(subject=subject), tls=made.tls(home))))
        assert home.json("device", "show", device.id)["name"] == name


def test_the_server_makes_the_key(home, acme):
    """serverkeygen, and what is answered for another key (F7)."""
    made = acme.make("PX-70")
    expect(home, "PX-70")
    asking = Device(home, "keyless")
    for _ in range(2):  # the first time, and for the device that it is
        reply = post(home, "serverkeygen", asking.request(), tls=made.tls(home))
        assert reply.status == 200 and b"application/pkcs8" in reply.body
        assert post(home, "serverkeygen", asking.request(), tls=made.tls(home)).status == 409
        assert post(home, "simpleenroll", asking.request(), tls=made.tls(home)).status == 409
        asking = Device(home, "keyless")
    assert [i["enrolled"] for i in home.json("trust", "serials", "acme", "--all")["items"] if i["serial"] == "PX-70"] == [True]


def test_the_label_is_the_anchors_profile(home, acme):
    made = acme.make("PX-80")
    expect(home, "PX-80")
    assert enrol(home, made, path="short/simpleenroll")[1].status == 403
    assert enrol(home, made, path="standard/simpleenroll")[1].status == 403
    assert enrol(home, made, path="constrained/simpleenroll")[1].status == 200


# ---- how it ends -------------------------------------------------------------------------------------------------------


def test_f7_a_removed_anchor_lets_nobody_in(home):
    """F7: at once, on a connection that is open, too; devices that enrolled stay, and renew."""
    root = Maker(home.base, "Gone CA")
    home.cli("trust", "add", root.file, "--name", "gone", "--type", "pump", "--any-serial")
    made = root.make("PX-1")
    device = enrolled(home, made)
    connection = http.client.HTTPSConnection("localhost", home.api_port, context=made.tls(home))

    def ask():
        connection.request("POST", EST + "simpleenroll", maker.request_body(Device(home, "x").request()),
                           {"Content-Type": "application/pkcs10"})
        response = connection.getresponse()
        return response.status, response.read()

    assert ask()[0] == 200
    home.cli("trust", "remove", "gone")
    assert ask()[0] == 401 and home.cli("trust", "show", "gone", check=False).returncode == 1
    connection.close()
    assert post(home, "simplereenroll", device.request(device.new_key("next.key"), device.subject()),
                tls=device.tls()).status == 200
    # It comes back under another name, and with it the device that it was.
    home.cli("trust", "add", root.file, "--name", "back", "--type", "valve", "--any-serial")
    assert enrolled(home, made).id == device.id and home.json("device", "show", device.id)["type"] == "pump"
    home.cli("trust", "remove", "back")


def test_f7_one_way_at_a_time(home, acme):
    """F7: whoever names a token is asked about that alone; what the certificate opens, it opens to nobody without it, and our own
    CA is no manufacturer's."""
    made = acme.make("PX-90")
    device = Device(home, "PX-90")
    assert post(home, "simpleenroll", device.request(), "muster_enrol_" + "x" * 43, tls=made.tls(home)).status == 401
    device.keep(leaf(post(home, "simpleenroll", device.request(), token(home)["token"], tls=made.tls(home))))
    assert home.json("device", "show", device.id)["location"] is None
    assert home.request("GET", "/v1/devices", tls=made.tls(home)).status == 200  # an operator's token
    expect(home, "PX-90")
    assert home.request("GET", "/v1/devices", token=None, tls=made.tls(home)).status == 403
    assert post(home, "simplereenroll", device.request(subject=device.subject()), tls=made.tls(home)).status == 403
    assert post(home, "simpleenroll", Device(home, "x").request(), tls=device.tls()).status == 403
    for name in ("root.crt", "issuing.crt"):
        said = home.cli("trust", "add", home.dir / "ca" / name, "--name", "own", "--type", "pump", "--any-serial", check=False)
        assert said.returncode == 1 and b"own CA" in said.stderr


def test_two_anchors_for_one_device(home, acme):
    """The list that has the number goes before the anchor that takes any; of two alike neither is guessed to be meant."""
    made = acme.make("PX-100")
    home.cli("trust", "add", acme.parent.file, "--name", "any", "--type", "any", "--any-serial")
    expect(home, "PX-100")
    device = enrolled(home, made)
    assert home.json("device", "show", device.id)["type"] == "pump"
    home.cli("trust", "add", acme.file, "--name", "sub", "--type", "sub")  # an intermediate CA is one, too
    expect(home, "PX-100", "PX-101", anchor="sub")
    refused(home, made, 403, "more than one trust anchor")
    assert home.json("device", "show", enrolled(home, acme.make("PX-101")).id)["type"] == "sub"
    for name in ("any", "sub"):
        home.cli("trust", "remove", name)
    assert enrolled(home, made).id == device.id


# ---- attestation -------------------------------------------------------------------------------------------------------


def test_j1_a_challenge_is_for_one_manufacturers_certificate(attesting):
    """J1, J4: the nonce was given to that certificate, on a connection that its key has signed; another device's, a token's, one
    that was used, and none attest nothing, and nothing is signed for them."""
    home = attesting
    root = Maker(home.base)
    home.cli("trust", "add", root.file, "--name", "acme", "--type", "pump", "--profile", "proven", "--any-serial")
    made, other, secret = root.make("PX-1"), root.make("PX-2"), token(home, profile="proven", uses=9)["token"]

    def give(who):
        return challenge(home, tls=who.tls(home))

    def ask(der, who=made, path="simpleenroll"):
        return post(home, path, der, tls=who.tls(home)).status

    device, good = Device(home, "x"), give(made)
    before = issued(home)
    for bad in (device.request(), answering(device, give(other)), answering(device, challenge(home, secret)),
                answering(device, "0" * 80)):
        assert ask(bad) == 403
    assert ask(answering(device, good), other) == 403  # by the one it was not given to
    assert post(home, "simpleenroll", answering(device, good), secret).status == 403
    assert ask(answering(device, good), path="serverkeygen") == 400
    assert issued(home) == before
    assert ask(answering(device, good)) == 200
    again = Device(home, "again")
    before = issued(home)
    assert ask(answering(again, good)) == 403 and issued(home) == before  # also of the device that it is by now
    assert ask(answering(again, give(made))) == 200
    assert len(home.json("device", "list", "--all")["items"]) == 1


# ---- the command line --------------------------------------------------------------------------------------------------


def test_many_serial_numbers(home):
    """More than one request's worth, from a file with blanks and blank lines; a mistake in it is told before anything is sent."""
    root = Maker(home.base, "Many CA")
    listed = home.base / "serials.txt"
    listed.write_text("\r\n".join(f"  M-{i:04} \t" for i in range(1234)) + "\n\n\n")
    wrong = home.base / "wrong.txt"
    wrong.write_text("M-1\nM_2\n")
    add = ["trust", "add", root.file, "--name", "many", "--type", "lamp"]
    said = home.cli(*add, "--serials", wrong, check=False)
    assert said.returncode == 1 and b"line 2" in said.stderr and home.cli("trust", "show", "many", check=False).returncode == 1
    assert home.cli(*add, "--serials", listed, "--any-serial", check=False).returncode == 2
    home.cli(*add, "--serials", listed)
    items = home.json("trust", "serials", "many", "--all")["items"]
    assert [i["serial"] for i in items] == [f"M-{i:04}" for i in range(1234)]
    assert b"0 of 1234" in home.cli("trust", "expect", "many", "--serials", listed).stdout
    device = enrolled(home, root.make("M-1233"))
    assert home.json("trust", "unexpect", "many", "--serials", listed) == {"removed": 1234}
    refused(home, root.make("M-0001"), 403, "M-0001")
    assert home.json("device", "show", device.id)["status"] == "active"
    assert home.json("trust", "serials", "many")["items"] == []


def test_what_add_refuses(home, acme):
    made = acme.make("PX-110")
    two = home.base / "two.pem"
    two.write_text(acme.pem + acme.parent.pem)
    gone = Maker(home.base, "Gone", ends=-60)
    for path, words in ((made.cert, b"certificate"), (two, b"exactly one"), (made.key, b"not a CERTIFICATE"),
                        (gone.file, b"expired"), (home.base / "not there", b"no such file")):
        said = home.cli("trust", "add", path, "--name", "bad", "--type", "pump", check=False)
        assert said.returncode == 1 and words in said.stderr, (path, said.stderr)
    for args, words in ((["--name", "a b", "--type", "pump"], b"name"), (["--name", "acme", "--type", "pump"], b"of that name"),
                        (["--name", "x", "--type", "a b"], b"type"), (["--name", "x", "--type", "t", "--policy", "no"], b"policy"),
                        (["--name", "x", "--type", "t", "--profile", "no"], b"profile")):
        said = home.cli("trust", "add", acme.file, *args, check=False)
        assert said.returncode == 1 and words in said.stderr, (args, said.stderr)
    for args in (["--name", "x"], ["--type", "t"], []):
        assert home.cli("trust", "add", acme.file, *args, check=False).returncode == 2
    assert b"Nobody is expected yet" in home.cli("trust", "add", acme.file, "--name", "x", "--type", "t").stderr
    home.cli("trust", "remove", "x")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/serials")):
        assert home.request(method, f"/v1/trust/nobody{path}").status == 404
    assert home.request("POST", "/v1/trust/nobody/serials", {"serials": ["x"]}).status == 404
    assert home.cli("trust", "resume", "acme", check=False).returncode == 1
    assert {i["name"] for i in home.json("trust", "list")["items"]} >= {"acme"}
    shown = home.json("trust", "show", "acme")
    assert shown["subject"] == "CN=Acme Root,O=Acme" and shown["not_after"] == "9999-12-31T23:59:59Z" and not shown["held"]


# ---- the agent ---------------------------------------------------------------------------------------------------------


class Born(Agent):
    """One on a device that left its factory with a certificate."""

    def __init__(self, home, made, **kwargs):
        super().__init__(home, **kwargs)
        self.made = made

    def enrol(self, *args, cert=None, key=None, check=True, **kwargs):
        return self.call("enrol", "--url", f"https://localhost:{self.home.api_port}", "--ca", self.home.dir / "ca/root.crt",
                         "--idevid", cert or self.made.cert, "--idevid-key", key or self.made.key, "--wait", "0", *args, check=check,
                         **kwargs)


def test_the_agent(home, acme):
    """Enrols with it, answers no token's question, renews without it, and comes back with it as the same device."""
    expect(home, "PX-200")
    agent = Born(home, acme.make("PX-200"))
    agent.enrol()
    shown = home.json("device", "show", agent.id)
    assert (shown["name"], shown["type"], shown["status"]) == ("PX-200", "pump", "active")
    agent.call("renew")
    first = agent.id
    assert b"--again" in agent.enrol(check=False).stderr
    agent.enrol("--again", "--name", "another name")
    assert agent.id == first and home.json("device", "show", first)["name"] == "PX-200"
    shutil.rmtree(agent.dir)  # the device's memory is made anew in a repair
    agent.enrol()
    assert agent.id == first and len(agent.certificates()) == 4
    home.json("trust", "unexpect", "acme", "PX-200")
    agent.call("renew", check=False)
    assert agent.status()["id"] == first


def test_what_the_agent_says(home, acme):
    """Each refusal says what to do, and leaves nothing in use; then the same command works."""
    agent = Born(home, acme.make("PX-210", key="2048"))
    both = agent.base / "both.pem"
    both.write_bytes(agent.made.cert.read_bytes() + agent.made.key.read_bytes())
    locked = agent.base / "locked.key"
    run("openssl", "pkey", "-in", agent.made.key, "-aes128", "-passout", "pass:x", "-out", locked)
    for args, words in (({}, [b"PX-210", b"muster trust expect", b"same command again"]),
                        ({"cert": acme.make("PX-210", chain=False).cert}, [b"--idevid-key"]),  # not its key
                        ({"cert": agent.base / "none.pem"}, [b"none.pem", b"must be PEM"]),
                        ({"key": locked}, [b"--idevid-key", b"without a passphrase"])):
        said = agent.enrol(check=False, stdin=b"x\n", **args)
        assert said.returncode == 1 and all(w in said.stderr for w in words), (args, said.stderr)
    alone = acme.make("PX-210", chain=False)
    said = agent.enrol(check=False, cert=alone.cert, key=alone.key)
    assert said.returncode == 1 and b"those of the CAs" in said.stderr
    assert not (agent.dir / "device.pem").exists()
    for args in (["--idevid", both], ["--idevid", both, "--token-file", "-"], ["--from", ".", "--idevid", both]):
        assert agent.call("enrol", *args, *([] if "--from" in args else ["--url", "https://localhost:1"]), check=False).returncode == 2
    expect(home, "PX-210")
    agent.call("enrol", "--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--idevid", both)
    home.cli("device", "revoke", agent.id)
    said = agent.enrol("--again", check=False)
    assert said.returncode == 1 and b"is revoked" in said.stderr and b"muster trust forget" in said.stderr


def test_the_agent_answers_a_challenge(attesting):
    """J1"""
    home = attesting
    root = Maker(home.base, "Proving CA")
    home.cli("trust", "add", root.file, "--name", "proving", "--type", "pump", "--profile", "proven", "--any-serial")
    agent = Born(home, root.make("PX-9"))
    agent.enrol()
    agent.enrol("--again")
    assert [c["profile"] for c in agent.certificates()] == ["proven", "proven"]
