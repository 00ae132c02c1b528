"""`muster ca rollover`: another issuing CA under the same root, and no device that notices."""

import os
import re
import signal
import subprocess

import muster
import pytest
from doctor import do, doctor, sees
from muster import Broker, openssl, run, wait_for
from pluginbroker import PluginBroker


def register(home, name):
    made = home.json("device", "register", "--name", name, "--type", "pump", "--key", "ec-p256")
    return made, muster.open_package(home, made)


def rollover(home, *args, check=True):
    home.stop()
    said = home.cli("ca", "rollover", *args, check=check)
    home.start()
    return said


def key_id(home):
    return home.request("GET", "/v1/ca").json["issuing"]["key_id"]


def crl(home, issuer):
    """The complete list of ISSUER as text, verified."""
    der = home.pki(f"/crl/{issuer}.crl")
    assert der.status == 200
    ca = home.base / f"{issuer}.pem"
    ca.write_bytes(openssl("x509", "-inform", "DER", input=home.pki(f"/ca/{issuer}.crt").body).stdout)
    said = openssl("crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", ca, input=der.body)
    assert b"verify OK" in said.stdout + said.stderr
    return said.stdout.decode()


def number(text):
    return int(re.search(r"CRL Number: *\n? *(\w+)", text)[1], 0)


def ocsp(home, device, issuer):
    """What `openssl ocsp` says of the device's certificate, asked of its issuer's responder."""
    said = openssl("ocsp", "-issuer", home.base / f"{issuer}.pem", "-cert", device.dir / "device.crt", "-url",
                   f"http://127.0.0.1:{home.pki_port}/ocsp", "-CAfile", home.dir / "ca/root.crt", "-verify_other",
                   home.base / f"{issuer}.pem").stdout.decode()
    return re.search(r"device.crt: (\w+)", said)[1]


@pytest.fixture(scope="module")
def rolled(fresh_module):
    """A home with a device of the CA before, and one of today's."""
    home = fresh_module
    home.start()
    home.before = key_id(home)
    home.old_made, home.old = register(home, "old")
    home.numbers = [number(crl(home, home.before))]
    home.said = rollover(home).stdout.decode()
    home.after = key_id(home)
    home.new_made, home.new = register(home, "new")
    return home


@pytest.fixture(scope="module")
def fresh_module():
    home = muster.Home()
    yield home
    home.close()


def test_new_certificates_come_from_the_new_one(rolled):
    home = rolled
    assert home.after != home.before and home.after in home.said and home.before in home.said
    for device, issuer in ((home.old, home.before), (home.new, home.after)):
        crl(home, issuer)  # fetches its CA
        text = openssl("x509", "-noout", "-text", "-in", device.dir / "device.crt").stdout.decode()
        assert issuer.upper() in re.search(r"Authority Key Identifier: *\n *([0-9A-F:]+)", text)[1].replace(":", "")
        assert f"/ca/{issuer}.crt" in text and f"/crl/{issuer}.crl" in text
        said = openssl("verify", "-CAfile", home.dir / "ca/root.crt", "-untrusted", device.dir / "device.crt",
                       device.dir / "device.crt")
        assert b": OK" in said.stdout
    names = {re.search("CN = (.*)", openssl("x509", "-noout", "-subject", "-in", home.dir / file).stdout.decode())[1]
             for file in ("ca/issuing.crt", "ca/retired-1.crt")}
    assert len(names) == 2, names
    assert "ca.rollover" in [a["action"] for a in home.json("audit", "list", "--all")["items"]]


def test_both_are_told_by_cacerts_and_trusted_at_the_api(rolled):
    home = rolled
    pkcs7 = home.request("GET", "/.well-known/est/cacerts", token=None).body
    text = openssl("pkcs7", "-inform", "DER", "-print_certs", "-noout",
                   input=openssl("base64", "-d", "-A", input=pkcs7.replace(b"\n", b"").replace(b"\r", b"")).stdout).stdout
    assert text.count(b"subject=") == 3
    for device in (home.old, home.new):
        tls = home.tls(device.dir / "device.crt", device.dir / "device.key")
        # Known by its certificate: a device may not list, but it is somebody.
        assert home.request("GET", "/v1/devices", token=None, tls=tls).status == 403


def test_each_has_its_list_and_its_answers(rolled):
    """G4: a certificate stands on the list of the CA that issued it, and that one's responder tells of it."""
    home = rolled
    made, device = register(home, "new and revoked")
    serials = {home.before: home.old_made, home.after: made}
    texts = {issuer: crl(home, issuer) for issuer in serials}
    assert all(ocsp(home, d, i) == "good" for d, i in ((home.old, home.before), (device, home.after)))
    assert min(number(t) for t in texts.values()) > home.numbers[0]
    home.cli("device", "revoke", home.old_made["id"])
    home.cli("device", "revoke", made["id"])
    for issuer, who, d in ((home.before, home.old_made, home.old), (home.after, made, device)):
        assert ocsp(home, d, issuer) == "revoked"
        mine = who["certificate"]["serial"].upper()
        other = next(w for i, w in serials.items() if i != issuer)["certificate"]["serial"].upper()
        text = wait_for(lambda: (t := crl(home, issuer)) and mine in t and t, 5, "the revocation on its list")
        assert other not in text
        delta = openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki(f"/crl/{issuer}-delta.crl").body).stdout
        assert mine in delta.decode() or number(text) == number(delta.decode())
    assert home.pki(f"/crl/{'0' * 40}.crl").status == 404 and home.pki(f"/ca/{'0' * 40}.crt").status == 404


def test_a_serial_asked_of_the_other_issuer_is_unknown(rolled):
    """G1: the name of another CA of ours does not make a certificate its."""
    home = rolled
    crl(home, home.before)
    serial = int(home.new_made["certificate"]["serial"], 16)
    said = openssl("ocsp", "-issuer", home.base / f"{home.before}.pem", "-serial", str(serial), "-url",
                   f"http://127.0.0.1:{home.pki_port}/ocsp", "-CAfile", home.dir / "ca/root.crt", "-verify_other",
                   home.base / f"{home.before}.pem").stdout.decode()
    assert "unknown" in said and "good" not in said


def test_a_retired_ca_is_ours_still(rolled):
    """D7: its key is nobody's, and it vouches for no manufacturer."""
    home = rolled
    request = openssl("req", "-new", "-key", home.dir / "ca/private/retired-1.key", "-subj", "/CN=x").stdout
    reply = home.request("POST", "/v1/devices", {"name": "x", "type": "pump", "csr": request.decode()})
    assert reply.status == 409 and b"the CA's own key" in reply.body
    refused = home.cli("trust", "add", home.dir / "ca/retired-1.crt", "--name", "x", "--type", "pump", check=False)
    assert refused.returncode == 1 and b"own CA" in refused.stderr


def test_the_api_s_own_certificate_is_stapled_still(rolled):
    """It is of the CA before."""
    home = rolled
    said = ""

    def stapled():
        nonlocal said
        said = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{home.api_port}", "-status", "-CAfile",
                               home.dir / "ca/root.crt"], input=b"", capture_output=True, timeout=30).stdout.decode()
        return "Cert Status: good" in said
    wait_for(stapled, 10, "a stapled answer")
    assert "Verify return code: 0" in said


def test_shown(rolled):
    """The one before is in GET /v1/ca, `muster ca show` and the figures, with its lists and its end."""
    home = rolled
    ca = home.request("GET", "/v1/ca").json
    (retired,) = ca["retired"]
    assert retired["issuing"]["key_id"] == home.before and retired["issuing"]["not_after"] <= ca["issuing"]["not_after"]
    assert home.before in retired["crl"]["url"] and retired["crl"]["number"] > 0 and home.before in retired["delta_crl"]["url"]
    shown = home.cli("ca", "show").stdout.decode()
    assert re.search(rf"Retired CA:.*\n +key id: +{home.before}\n", shown)
    text = home.request("GET", "/metrics").body.decode()
    ends = dict(re.findall(r'^muster_certificate_not_after_timestamp_seconds\{certificate="(\w+)"[^}]*\} (\d+)', text, re.M))
    assert int(ends["retired"]) <= int(ends["issuing"]) and f'certificate="retired",issuer="{home.before}"' in text
    for issuer in (home.before, home.after):
        assert re.search(rf'^muster_crl_number\{{issuer="{issuer}",kind="complete"\}} \d+', text, re.M)


def test_the_doctor_looks_at_all_of_them(fresh):
    """G4: whose list has a device's certificates; and what a rollover that was cut short, or a lost key, asks for."""
    home = fresh(settings={"broker.mode": "acl-file"}).start()
    made, _ = register(home, "old")
    rollover(home)
    broker = Broker(home)
    try:
        assert sees(home, {}, made["id"])["issuing-ca"]["finding"].endswith("1 before it go on")
        again = home.json("device", "package", made["id"])
        assert again["certificate"]["serial"] != made["certificate"]["serial"]
        assert doctor(home, made["id"])["device-revocation"]["status"] == "ok"
        key, retired = (home.dir / f"ca/private/{n}.key" for n in ("issuing", "retired-1"))
        (home.dir / "ca/private/next.key").write_bytes(key.read_bytes())
        assert "cut short" in doctor(home)["issuing-ca"]["finding"]
        home.stop()
        do(doctor(home)["issuing-ca"]["remedy"].removeprefix("stop the server and: "))
        home.start()
        assert doctor(home)["issuing-ca"]["status"] == "ok"
        retired.rename(home.base / "lost.key")
        assert doctor(home)["issuing-ca"]["status"] == "fail" and "retired-1.key" in doctor(home)["issuing-ca"]["finding"]
        (home.base / "lost.key").rename(retired)
    finally:
        broker.stop()


@pytest.mark.release_only
def test_no_longer_than_the_root(fresh):
    """A CA that is made near the root's end ends with it, and the doctor says that the root must go first."""
    home = fresh()
    run("faketime", "-f", "+7000d", muster.MUSTER, "--dir", home.dir, "ca", "rollover")
    ends = [openssl("x509", "-in", home.dir / f"ca/{n}.crt", "-noout", "-enddate").stdout for n in ("root", "issuing")]
    assert ends[0] == ends[1]
    assert "root" in doctor(home, prefix=["faketime", "-f", "+7001d"])["issuing-ca"]["remedy"]


def test_no_device_notices(fresh):
    """The broker has both CAs' certificates and lists, whichever a device has; who is revoked does not come in."""
    home = fresh(settings={"broker.mode": "acl-file"}).start()
    made, old = register(home, "old")
    _, stays = register(home, "stays")
    home.stop()
    home.cli("ca", "rollover")
    home.start()
    _, new = register(home, "new")
    broker = Broker(home)
    try:
        assert (home.dir / "broker/crl.pem").read_text().count("BEGIN X509 CRL") == 2
        assert (home.dir / "broker/ca.pem").read_text().count("BEGIN CERTIFICATE") == 3
        wait_for(lambda: old.connects() and new.connects() and stays.connects(), 10, "all of them")
        home.cli("device", "revoke", made["id"])
        wait_for(lambda: not old.connects(), 5, "the refusal")
        assert new.connects() and stays.connects()
    finally:
        broker.stop()


def test_no_device_of_the_plugin_s_notices(rolled):
    """The broker goes on through it, with what it trusted before, and takes devices of either; who is revoked is cut off."""
    home = rolled
    home.stop()
    now, before = ((home.dir / f"ca/{n}.crt").read_text() for n in ("issuing", "retired-1"))
    trusted = home.dir / "broker/ca.pem"
    assert now in trusted.read_text() and before in trusted.read_text()
    trusted.write_text(trusted.read_text().replace(now, ""))  # a broker elsewhere, which has the old file
    home.start()
    made, device = register(home, "new, at a broker")
    broker = PluginBroker(home)
    try:
        wait_for(lambda: home.new.connects() and device.connects(), 10, "devices of today's CA")
        heard = device.subscribe(f"devices/{device.id}/commands/#")
        home.cli("device", "revoke", made["id"])
        wait_for(lambda: heard.process.child.poll() is not None, 5, "the cut")
        wait_for(lambda: not device.connects(), 5, "the refusal")
    finally:
        broker.stop()


@pytest.mark.release_only
def test_one_that_ends_meanwhile(fresh):
    """A signer that is started after a retired CA's end does not know it; lists and revocations of the others go on."""
    home = fresh(settings={"server.sandbox": "off"})
    home.cli("ca", "rollover", env=muster.faked("+1800d"))
    clock = home.base / "clock"
    clock.write_text("+3649d\n")
    clock.chmod(0o644)
    home.start(env=muster.faked(file=clock))
    (retired,) = home.json("ca", "show")["retired"]
    made = [home.json("device", "register", "--name", n, "--type", "pump", "--key", "ec-p256") for n in "ab"]
    home.cli("device", "revoke", made[0]["id"])
    ca = home.base / "retired.pem"
    ca.write_text(retired["issuing"]["pem"])
    ask = ("ocsp", "-issuer", ca, "-serial", "0x41", "-url", f"http://127.0.0.1:{home.pki_port}/ocsp", "-noverify")
    assert b"unknown\n" in openssl(*ask).stdout
    clock.write_text("+3651d\n")
    signer = home.child("signer")
    os.kill(signer, signal.SIGKILL)
    wait_for(lambda: home.child("signer") != signer
             and home.request("GET", "/readyz", token=None).status == 200, 10, "another signer")
    home.cli("device", "revoke", made[1]["id"])
    serial = made[1]["certificate"]["serial"].upper().encode()
    wait_for(lambda: serial in openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body
                                       ).stdout, 5, "the revocation")
    said = openssl(*ask, check=False)
    assert b"unauthorized" in said.stdout + said.stderr
    assert not [line for line in home.process.lines if "no such issuer" in line]


def test_renewal_moves_a_device_to_the_new_one(rolled):
    home = rolled
    made, device = register(home, "moves")
    again = home.json("device", "package", made["id"])
    assert key_id(home) == home.after
    muster.open_package(home, again)
    text = home.request("GET", f"/v1/devices/{made['id']}/certificates").json["items"]
    assert [c["state"] for c in text] == ["active", "revoked"]


def test_refused(fresh):
    """While a server runs; without the root's key; with another key; and nothing is changed then."""
    home = fresh().start()
    refused = home.cli("ca", "rollover", check=False)
    assert refused.returncode == 1 and b"a server is running" in refused.stderr
    home.stop()
    before = {f: (home.dir / f).read_bytes() for f in ("ca/issuing.crt", "ca/private/issuing.key", "broker/ca.pem")}
    home.cli("ca", "root", "export", home.base / "root.key")
    home.cli("ca", "root", "remove", home.base / "root.key")
    refused = home.cli("ca", "rollover", check=False)
    assert refused.returncode == 1 and b"--root-key" in refused.stderr
    refused = home.cli("ca", "rollover", "--root-key", home.dir / "tls/server.key", check=False)
    assert refused.returncode == 1 and b"is not the key of" in refused.stderr
    assert all((home.dir / f).read_bytes() == content for f, content in before.items())
    assert not (home.dir / "ca/retired-1.crt").exists()
    assert home.cli("ca", "rollover", "--root-key", home.base / "root.key").returncode == 0
    home.start()
    register(home, "after")


def test_at_most_seven_are_kept(fresh):
    home = fresh()
    for _ in range(7):
        home.cli("ca", "rollover")
    refused = home.cli("ca", "rollover", check=False)
    assert refused.returncode == 1 and b"there is no room" in refused.stderr
    home.start()
    register(home, "of the eighth")
    assert (home.dir / "broker/crl.pem").read_text().count("BEGIN X509 CRL") == 8


@pytest.mark.heavy
def test_a_backup_holds_all_of_them(fresh):
    home = fresh().start()
    made, device = register(home, "old")
    before = key_id(home)
    rollover(home)
    (home.base / "pass").write_text("a long passphrase of words\n")
    home.cli("backup", home.base / "backup", "--passphrase-file", home.base / "pass", "--with-keys")
    home.stop()
    home.dir.rename(home.base / "gone")
    home.cli("restore", home.base / "backup", "--passphrase-file", home.base / "pass")
    home.start()
    home.cli("device", "revoke", made["id"])
    serial = made["certificate"]["serial"].upper()
    wait_for(lambda: serial in crl(home, before), 5, "the revocation on the list of the CA before")


@pytest.mark.heavy
def test_a_backup_of_before_a_rollover(fresh):
    """I13: what the newer CA issued stays shut out, who is revoked stays revoked, and the home goes on and rolls over."""
    home = fresh().start()
    revoked, old = register(home, "old")
    kept, _ = register(home, "kept")
    before = key_id(home)
    (home.base / "pass").write_text("a long passphrase of words\n")
    home.cli("backup", home.base / "backup", "--passphrase-file", home.base / "pass", "--with-keys")
    rollover(home)
    home.cli("device", "revoke", revoked["id"])
    newer, device = register(home, "newer")
    home.stop()
    home.dir.rename(home.base / "gone")
    home.cli("restore", home.base / "backup", "--passphrase-file", home.base / "pass", "--signer-log",
             home.base / "gone/signer.log")
    home.start()
    home.token = home.json("operator", "token", "admin")["token"]
    assert key_id(home) == before
    serial = revoked["certificate"]["serial"].upper()
    wait_for(lambda: serial in crl(home, before), 5, "the revocation on the list")
    assert ocsp(home, old, before) == "revoked"
    # Known to the log alone: there, and not let in.
    assert home.json("device", "show", newer["id"])["status"] == "suspended"
    tls = home.tls(device.dir / "device.crt", device.dir / "device.key")
    assert home.request("GET", "/v1/devices", token=None, tls=tls).status == 401
    assert home.json("device", "show", kept["id"])["status"] == "active"
    rollover(home)
    register(home, "after")
