"""Part 9 of issue 3: `muster doctor`, with a broker in ACL-file mode. Each test breaks one thing for real, sees that check fail and no other, mends it
as the remedy says, and sees it pass."""

import ctypes
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import muster
import pytest
from doctor import IN_EVERY_MODE, Findings, do, doctor, remedy_of, replace, sees
from muster import openssl, run, wait_for

pytestmark = pytest.mark.heavy

SETTINGS = muster.ACL_FILE
ALWAYS = {*IN_EVERY_MODE, "broker-reload", "broker-acl", "broker-crl"}
OF_A_DEVICE = {"device", "device-certificate", "device-revocation", "device-rights", "device-files",
               "device-connection"}


# A sanitizer must be loaded first, and so must libfaketime.
FAKED = pytest.mark.release_only


@pytest.fixture(scope="module")
def device(home, broker):
    made = home.json("device", "register", "--name", "patient", "--type", "pump", "--key", "ec-p256")
    credentials = muster.open_package(home, made)
    settle(home, made["id"])
    return credentials


def settle(home, *ids):
    """Until the broker has read that the devices are there. Looking at the file would hide that it did."""
    def read():
        findings = doctor(home, ids[0])
        return findings["device-rights"]["status"] == "ok" and not findings.bad
    wait_for(read, 10, "the device in the ACL file, and the broker's SIGHUP")


def test_a_healthy_installation(home, broker, device):
    findings = sees(home, {})
    assert set(findings.all) == ALWAYS
    for name, finding in findings.all.items():
        assert name == "clock-sync" or (finding["status"] == "ok" and finding["remedy"] is None), finding
    findings = sees(home, {}, device.id, "--package", device.dir)
    assert set(findings.all) == ALWAYS | OF_A_DEVICE
    assert all(findings[n]["status"] == "ok" for n in OF_A_DEVICE)
    assert f"devices/{device.id}/telemetry" in findings["device-rights"]["finding"]


def test_the_certificate_names_the_device(home, broker, device):
    by_id = doctor(home, device.id, "--cert", device.dir / "device.crt", "--key", device.dir / "device.key")
    by_cert = doctor(home, "--cert", device.dir / "device.crt", "--key", device.dir / "device.key")
    assert by_id.all.keys() == by_cert.all.keys() and not by_cert.bad
    assert by_cert["device"]["finding"] == "patient is active"


def test_without_its_files_a_device_is_not_tried(home, broker, device):
    findings = sees(home, {}, device.id)
    for name in ("device-files", "device-connection"):
        assert findings[name]["status"] == "n/a" and "--package" in findings[name]["finding"]


def test_as_text(home, broker):
    result = home.cli("doctor", check=False)
    text = result.stdout.decode()
    assert result.returncode == 0 and "\033" not in text
    lines = text.splitlines()
    places = {line.index(line.split(None, 2)[2]) for line in lines if re.match(r"(ok|warn|fail|n/a) ", line)}
    assert len(places) == 1  # aligned
    assert re.search(r"^\d+ ok, \d+ warn, 0 fail, 0 n/a$", lines[-1])


def on_terminal(home, **env):
    ours, theirs = pty.openpty()
    child = subprocess.Popen([muster.MUSTER, "--dir", home.dir, "doctor"], stdout=theirs, stderr=theirs,
                             env={**os.environ, **env})
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:
        pass
    os.close(ours)
    child.wait()
    return said


def test_colour_on_a_terminal_only(home, broker):
    assert b"\033[32mok" in on_terminal(home)
    assert b"\033" not in on_terminal(home, NO_COLOR="1")


def test_usage(home):
    for args in (["a", "b"], ["--cert", "x"], ["--key", "x"], ["--package", "d", "--cert", "x", "--key", "y"]):
        assert home.cli("doctor", *args, check=False).returncode == 2, args
    missing = home.cli("doctor", "--package", home.base / "none", check=False)
    assert missing.returncode == 1 and b"device.crt" in missing.stderr


def test_clock_sync_is_what_the_kernel_says(home):
    class Timex(ctypes.Structure):
        _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 512)]
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(Timex()))
    assert doctor(home)["clock-sync"]["status"] == ("warn" if state == 5 else "ok")


def test_elsewhere_only_what_the_api_tells(home, broker, device):
    args = ["--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--token", home.token]
    result = run(muster.MUSTER, *args, "--json", "doctor", device.id, "--package", device.dir, check=False)
    findings = Findings(result)
    assert not findings.bad and findings.status == 0
    assert set(findings.all) == {"clock-sync", "server", "registration", "rates", "audit", "rotation", "broker-feed", "broker-credentials",
                                 "device", "device-certificate", "device-revocation", "device-refusals", "device-files"}
    assert findings["broker-feed"]["status"] == "n/a"  # nobody follows, and the mode cannot be told from there
    result = run(muster.MUSTER, *args[:4], "--token", "wrong", "--json", "doctor", check=False)
    assert Findings(result).bad == {"server": "fail"}
    result = run(muster.MUSTER, "--url", f"https://localhost:{muster.free_port()}", "--ca", home.dir / "ca/root.crt",
                 "--json", "doctor", check=False)
    assert Findings(result).bad == {"server": "fail"}


# ---- the home and the machine -----------------------------------------------------------------------------------


def test_no_home(tmp_path):
    home = muster.Home(init=False)
    try:
        findings = doctor(home)
        assert findings.bad == {"home": "fail", "server": "fail"}
        assert "init" in findings["home"]["remedy"]
    finally:
        shutil.rmtree(home.base)


def test_a_bad_configuration(home, broker):
    conf = home.dir / "muster.conf"
    before = conf.read_text()
    conf.write_text(before.replace("workers = ", "workers = many"))
    findings = sees(home, {"home": "fail"})
    assert "server.workers" in findings["home"]["remedy"]
    conf.write_text(before)
    sees(home, {})


@pytest.mark.parametrize("name, mode", [("tls/server.key", 0o644), ("ca/private", 0o711), ("muster.db", 0o660),
                                        ("broker", 0o700), ("broker/acl", 0o600), ("signer.log", 0o604),
                                        ("", 0o777)])
def test_permissions(home, broker, name, mode):
    path = home.dir / name
    before = path.stat()
    os.chmod(path, mode | (before.st_mode & 0o2000))
    try:
        findings = sees(home, {"permissions": "fail"})
        assert str(path) in findings["permissions"]["finding"]
        do(findings["permissions"]["remedy"])
        sees(home, {})
    finally:
        os.chmod(path, before.st_mode & 0o7777)


@pytest.mark.needs_root
@pytest.mark.parametrize("name", ["muster.db", "signer.log", "broker/crl.pem", "ca/private/issuing.key"])
def test_owners(home, broker, name):
    path = home.dir / name
    before = path.stat()
    try:
        for uid, gid in ((12345, -1), (-1, 12345)):
            os.chown(path, uid, gid)
            findings = sees(home, {"permissions": "fail"})
            assert str(path) in findings["permissions"]["finding"]
            do(findings["permissions"]["remedy"])
            sees(home, {})
    finally:
        os.chown(path, before.st_uid, before.st_gid)


@pytest.mark.needs_root
def test_a_full_disk(fresh):
    home = fresh()
    small = home.base / "small"
    small.mkdir(mode=0o755)
    run("mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "none", small)
    filler = small / "filler"
    try:
        run("cp", "-a", home.dir, small / "home")
        home.dir = small / "home"
        home.start()
        broker = muster.Broker(home)
        try:
            sees(home, {})
            with open(filler, "wb", buffering=0) as f:
                try:
                    while f.write(bytes(65536)) > 0:
                        pass
                except OSError:
                    pass
            findings = sees(home, {"disk": "fail"})
            assert "df -h" in findings["disk"]["remedy"]
            os.truncate(filler, 216 << 20)  # 16 MiB are the server's reserve
            assert sees(home, {"disk": "warn"}).status == 0
            filler.unlink()
            sees(home, {})
        finally:
            broker.stop()
            home.stop()
    finally:
        run("umount", "-l", small)


def test_few_file_descriptors(fresh):
    import resource
    home = fresh()
    home.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    broker = muster.Broker(home)
    try:
        findings = sees(home, {"limits": "warn"})
        assert "10000" in findings["limits"]["finding"] and "LimitNOFILE=" in findings["limits"]["remedy"]
        home.stop()
        home.start()
        wait_for(lambda: not doctor(home).bad, 10, "all well")
    finally:
        broker.stop()


@FAKED
def test_a_clock_that_is_behind(fresh):
    home = fresh().start()  # the CRL is a little younger than the certificates, which are backdated
    broker = muster.Broker(home)
    try:
        findings = sees(home, {"clock": "fail"}, prefix=["faketime", "-f", "-30s"])
        assert "broker/crl.pem" in findings["clock"]["finding"] and "timedatectl" in findings["clock"]["remedy"]
        sees(home, {})
    finally:
        broker.stop()


def test_a_damaged_signer_log(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    log = home.dir / "signer.log"
    whole = log.read_bytes()
    try:
        for damaged, says in ((whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], "damaged"),
                              (whole[:len(whole) // 2], "lost its end")):
            log.write_bytes(damaged)
            findings = sees(home, {"signer-log": "fail"})
            assert says in findings["signer-log"]["finding"] and "restore" in findings["signer-log"]["remedy"]
            log.write_bytes(whole)
            sees(home, {})
    finally:
        broker.stop()


# ---- the API ----------------------------------------------------------------------------------------------------


def test_no_server(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        home.stop()
        findings = sees(home, {"server": "fail", "https": "fail"})
        assert findings["limits"]["status"] == findings["pki"]["status"] == findings["registration"]["status"] == "n/a"
        assert findings["server"]["remedy"].endswith(f"muster --dir {home.dir} serve")
        assert findings["https"]["remedy"] == f"muster --dir {home.dir} serve"
        home.start()
        wait_for(lambda: not doctor(home).bad, 10, "all well")
    finally:
        broker.stop()


def test_a_stopped_signer(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    signer = home.child("signer")
    try:
        os.kill(signer, signal.SIGSTOP)
        findings = sees(home, {"server": "fail"})
        assert "signer" in findings["server"]["finding"]
    finally:
        os.kill(signer, signal.SIGCONT)
    wait_for(lambda: not doctor(home).bad, 10, "all well")
    broker.stop()


def test_a_stranger_on_the_api_port(home, broker):
    """muster.conf names another's port: what answers there is not the API."""
    try:
        for port, says in ((home.broker_port, "another certificate"), (home.pki_port, "no TLS")):
            home.configure({"api.listen": f"127.0.0.1:{port}"})
            findings = sees(home, {"https": "fail"})
            assert says in findings["https"]["finding"] and findings["https"]["remedy"]
    finally:
        home.configure({"api.listen": f"127.0.0.1:{home.api_port}"})
    sees(home, {})


def test_a_stranger_on_the_pki_port(home, broker):
    try:
        for port in (muster.free_port(), home.broker_port):
            home.configure({"pki.listen": f"127.0.0.1:{port}"})
            assert "pki.listen" in sees(home, {"pki": "fail", "ocsp": "fail"})["pki"]["remedy"]
    finally:
        home.configure({"pki.listen": f"127.0.0.1:{home.pki_port}"})
    sees(home, {})


@FAKED
def test_a_client_that_the_limits_keep_out(fresh):
    home = fresh(settings={"limits.auth_failures_per_min": "5", "limits.register_per_min": "100"}).start()
    broker = muster.Broker(home)
    try:
        for _ in range(7):
            home.request("GET", "/v1/devices", token="muster_wrong")
        home.stop()  # the minute's sum is audited
        home.start()
        wait_for(lambda: doctor(home).bad == {"audit": "warn"}, 10, "the finding")
        findings = doctor(home)
        assert "address:127.0.0.1 failed to authenticate 7 times" in findings["audit"]["finding"]
        assert "audit list" in findings["audit"]["remedy"]
        assert "100 registrations a minute" in findings["registration"]["finding"]
        assert doctor(home, prefix=["faketime", "-f", "+11m"])["audit"]["status"] == "ok"
    finally:
        broker.stop()


@FAKED
def test_limits_in_the_way(fresh):
    """Registrations that are refused for being too many are seen, until that was long ago."""
    home = fresh(settings={"limits.register_per_min": "2"}).start()
    broker = muster.Broker(home)
    body = {"name": "d", "type": "t", "key": "ec-p256"}
    try:
        sees(home, {})
        assert [home.request("POST", "/v1/devices", body).status for _ in range(4)] == [201, 201, 429, 429]
        limits = {x["name"]: x for x in home.request("GET", "/v1/limits").json["items"]}
        assert (limits["register"]["per_min"], limits["register"]["refused"]) == (2, 2)
        assert (limits["links"]["refused"], limits["links"]["last_refused_at"]) == (0, None)
        found = sees(home, {"rates": "warn"})["rates"]
        assert "limits.register_per_min is near full: 2 refused with 429" in found["finding"]
        assert "raise register_per_min" in found["remedy"]
        # By that remedy.
        home.configure({"limits.register_per_min": "1000"})
        home.process.child.send_signal(signal.SIGHUP)
        home.process.wait_line("configuration reloaded")
        assert home.request("POST", "/v1/devices", body).status == 201
        assert doctor(home, prefix=["faketime", "-f", "+11m"])["rates"]["status"] == "ok"
    finally:
        broker.stop()


def test_a_changed_audit(fresh):
    home = fresh().start()
    home.stop()
    database = sqlite3.connect(home.dir / "muster.db")
    database.execute("UPDATE audit SET action = 'operator.creatE' WHERE seq = 1")
    database.commit()
    database.close()
    home.start()
    broker = muster.Broker(home)
    try:
        assert "backup" in sees(home, {"audit": "fail"})["audit"]["remedy"]
    finally:
        broker.stop()


# ---- certificates -----------------------------------------------------------------------------------------------


PAIRS = [("server-certificate", "tls/server"), ("broker-certificate", "broker/broker")]


def renew(home, broker, remedy):
    """A remedy of the form "stop the server and: COMMAND", and what COMMAND asks for. Returns the new broker."""
    stop, command = remedy.split(": ", 1)
    assert stop == "stop the server and"
    home.stop()
    do(command)
    home.start()
    broker.stop()
    return muster.Broker(home)


@pytest.mark.parametrize("check, name", PAIRS)
def test_another_key(fresh, check, name):
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        replace(home.dir / f"{name}.key",
                openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").stdout)
        bad = {check: "fail"}
        if name == "broker/broker":  # the key with which the doctor itself knocks
            bad["broker"] = "fail"
        findings = sees(home, bad)
        assert f"{name}.key is not the key of {name}.crt" in findings[check]["finding"]
        broker = renew(home, broker, findings[check]["remedy"])
        sees(home, {})
    finally:
        broker.stop()


def resign(home, name, *args, prefix=(), ext="extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:localhost\n"):
    """Another certificate for the same key, by the issuing CA: its key is on this machine, after all."""
    csr, out, exts = home.base / "csr.pem", home.base / "out.pem", home.base / "ext.cnf"
    exts.write_text(ext)
    openssl("req", "-new", "-key", home.dir / f"{name}.key", "-subj", "/CN=localhost", "-out", csr)
    run(*prefix, "openssl", "x509", "-req", "-in", csr, "-CA", home.dir / "ca/issuing.crt", "-CAkey",
        home.dir / "ca/private/issuing.key", "-set_serial", "0x4142", "-extfile", exts, "-out", out, *args)
    return out.read_bytes()


@pytest.mark.parametrize("check, name", PAIRS)
def test_certificates(fresh, check, name):
    home = fresh().start()
    broker = muster.Broker(home)
    path = home.dir / f"{name}.crt"
    good = path.read_bytes()
    chain = (home.dir / "ca/issuing.crt").read_bytes()
    server = home.process.child
    if name == "broker/broker":
        server = broker.process.child

    def present(pem):
        replace(path, pem)
        server.send_signal(signal.SIGHUP)
        time.sleep(0.5)

    try:
        leaf = good[:good.index(b"-----END") + len(b"-----END CERTIFICATE-----\n")]
        cases = [
            (leaf, "incomplete"),
            (resign(home, name, "-days", "1", prefix=["faketime", "-f", "-10d"]) + chain, "expired"),
            (resign(home, name, "-days", "1", prefix=["faketime", "-f", "+2d"]) + chain, "not valid before"),
            (resign(home, name, "-days", "90", ext="extendedKeyUsage=serverAuth,clientAuth\n"
                                                    "subjectAltName=DNS:other.example\n") + chain, "localhost"),
            (resign(home, name, "-days", "90", ext="extendedKeyUsage=clientAuth\nsubjectAltName=DNS:localhost\n") + chain,
             "purpose"),
            (b"", "no certificate"),
        ]
        for pem, says in cases:
            present(pem)
            findings = doctor(home)
            assert findings.bad.pop(check) == "fail" and says in findings[check]["finding"], (says, findings.all)
            # With a pair that is unfit, neither the broker's clients nor our own knocking can succeed.
            assert findings.bad.keys() <= {"broker", "https", "clock", "ocsp"}, (says, findings.bad)
            present(good)
            wait_for(lambda: not doctor(home).bad, 5, "all well")
        present(resign(home, name, "-days", "20") + chain)
        # Nobody has recorded what was signed here.
        expected = {check: "warn", **({"ocsp": "warn"} if name == "tls/server" else {})}
        wait_for(lambda: doctor(home).bad == expected, 5, "a warning")
        present(good)
        wait_for(lambda: not doctor(home).bad, 5, "all well")
    finally:
        broker.stop()


@FAKED
def test_certificates_end_and_are_renewed(fresh):
    """A home of two and a half years ago, and then one of nine years ago."""
    home = muster.Home(init=False)
    try:
        run("faketime", "-f", "-900d", muster.MUSTER, "--dir", home.dir, "init", "--host", "localhost,127.0.0.1,::1")
        configure = {**SETTINGS, "server.sandbox": muster.SANDBOX, "api.listen": f"127.0.0.1:{home.api_port}",
                     "api.public_url": f"https://localhost:{home.api_port}", "pki.listen": f"127.0.0.1:{home.pki_port}",
                     "broker.listen": f"127.0.0.1:{home.broker_port}", "broker.pid_file": str(home.pid_file)}
        home.configure(configure)
        home.start()
        broker = muster.Broker(home)
        try:
            findings = doctor(home)
            assert findings.bad == {"server-certificate": "fail", "broker-certificate": "fail", "broker": "fail"}
            for check in ("server-certificate", "broker-certificate"):
                assert "expired" in findings[check]["finding"]
                broker = renew(home, broker, findings[check]["remedy"])
                assert check not in doctor(home).bad
            sees(home, {})
            for name in ("tls/server.crt", "broker/broker.crt"):
                names = openssl("x509", "-in", home.dir / name, "-noout", "-ext", "subjectAltName").stdout.decode()
                assert all(n in names for n in ("DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"))
        finally:
            broker.stop()
    finally:
        home.close()
        shutil.rmtree(home.base)


@FAKED
def test_an_issuing_ca_that_ends(fresh):
    """It warns before what it issues would end with it, and a server's renewed certificate does."""
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        findings = doctor(home, prefix=["faketime", "-f", "+3400d"])
        assert findings["issuing-ca"]["status"] == "warn" and "365 days" in findings["issuing-ca"]["finding"]
        assert "ca rollover" in findings["issuing-ca"]["remedy"]
        findings = doctor(home, prefix=["faketime", "-f", "+3200d"])
        assert findings["issuing-ca"]["status"] == "warn" and re.search(
            r"in 8[45] days a certificate for 365 days no longer fits", findings["issuing-ca"]["finding"])
        assert doctor(home, prefix=["faketime", "-f", "+3190d"])["issuing-ca"]["status"] == "ok"
        findings = doctor(home, prefix=["faketime", "-f", "+3700d"])
        assert findings["issuing-ca"]["status"] == "fail" and "expired" in findings["issuing-ca"]["finding"]
        assert "ca rollover" in findings["issuing-ca"]["remedy"] and findings["root-ca"]["status"] == "ok"
        # The root's own end is told of in time for all devices to hear of another.
        assert doctor(home, prefix=["faketime", "-f", "+6190d"])["root-ca"]["status"] == "ok"
        assert doctor(home, prefix=["faketime", "-f", "+6210d"])["root-ca"]["status"] == "warn"
        assert doctor(home, prefix=["faketime", "-f", "+7310d"])["root-ca"]["status"] == "fail"
        assert findings["registration"]["status"] == "fail"
        home.stop()
        run("faketime", "-f", "+3400d", muster.MUSTER, "--dir", home.dir, "ca", "renew", "server")
        ends = [openssl("x509", "-in", home.dir / n, "-noout", "-enddate").stdout for n in ("ca/issuing.crt", "tls/server.crt")]
        assert ends[0] == ends[1]
    finally:
        broker.stop()


def test_another_host_name(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        for setting, check, which in (("api.public_url", "server-certificate", "https://new.example:8443"),
                                      ("broker.public_host", "broker-certificate", "new.example:8883")):
            before = re.search(rf"^{setting.split('.')[1]} *= *(https.*|localhost:{home.broker_port})$",
                               (home.dir / "muster.conf").read_text(), re.M)[1]
            home.configure({setting: which})
            findings = sees(home, {check: "fail"})
            assert "new.example" in findings[check]["finding"] and setting in findings[check]["remedy"]
            broker = renew(home, broker, findings[check]["remedy"].split(", or ", 1)[1])
            sees(home, {})
            home.configure({setting: before})
            broker = renew(home, broker, doctor(home)[check]["remedy"].split(", or ", 1)[1])
            sees(home, {})
    finally:
        broker.stop()


def test_renewal_is_recorded_and_refuses_what_it_must(fresh):
    home = fresh().start()
    assert b"Stop it" in home.cli("ca", "renew", "server", check=False).stderr
    home.stop()
    before = (home.dir / "tls/server.crt").read_bytes()
    for args in ([], ["root"], ["server", "broker"]):
        assert home.cli("ca", "renew", *args, check=False).returncode == 2, args
    for host in ("", ",", "bad name", "*.example", "x" * 300, ",".join(f"h{i}.example" for i in range(17))):
        assert home.cli("ca", "renew", "server", "--host", host, check=False).returncode == 1, host
    replace(home.dir / "tls/server.crt", b"nothing")
    refused = home.cli("ca", "renew", "server", check=False)
    assert refused.returncode == 1 and b"--host" in refused.stderr
    replace(home.dir / "tls/server.crt", before)
    key = home.dir / "ca/private/issuing.key"
    whole = key.read_bytes()
    replace(key, (home.dir / "ca/private/root.key").read_bytes())
    assert b"is not the key" in home.cli("ca", "renew", "server", check=False).stderr
    replace(key, whole)
    assert (home.dir / "tls/server.crt").read_bytes() == before
    home.cli("ca", "renew", "server")
    after = (home.dir / "tls/server.crt").read_bytes()
    assert after != before
    home.start()
    fingerprint = openssl("x509", "-in", home.dir / "tls/server.crt", "-noout", "-fingerprint", "-sha256").stdout.decode()
    fingerprint = fingerprint.strip().split("=")[1].replace(":", "").lower()
    row = home.request("GET", f"/v1/certificates/{fingerprint}").json
    assert row["state"] == "active" and row["owner"]["kind"] == "server"
    assert home.request("GET", "/readyz", token=None).status == 200


def test_the_server_still_presents_the_old_certificate(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    path = home.dir / "tls/server.crt"
    try:
        replace(path, resign(home, "tls/server", "-days", "90") + (home.dir / "ca/issuing.crt").read_bytes())
        findings = sees(home, {"https": "fail", "ocsp": "warn"})  # nobody has recorded it
        assert findings["https"]["remedy"] == f"kill -HUP {home.process.child.pid}"
        do(findings["https"]["remedy"])
        wait_for(lambda: doctor(home).bad == {"ocsp": "warn"}, 5, "the new certificate")
    finally:
        broker.stop()


def test_another_issuing_key(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    path = home.dir / "ca/private/issuing.key"
    key = path.read_bytes()
    try:
        replace(path, (home.dir / "ca/private/root.key").read_bytes())
        findings = sees(home, {"issuing-ca": "fail"})
        assert "is not the key of" in findings["issuing-ca"]["finding"]
        replace(path, key)
        sees(home, {})
    finally:
        broker.stop()


# ---- the broker -------------------------------------------------------------------------------------------------


def test_no_broker(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        sees(home, {})
        pid = broker.process.child.pid
        broker.process.child.kill()
        broker.process.child.wait()
        assert home.pid_file.read_text().strip() == str(pid)  # stale now
        findings = sees(home, {"broker": "fail", "broker-process": "fail"})
        assert "no running process" in findings["broker-process"]["finding"]
        assert "broker config mosquitto" in findings["broker"]["remedy"]
        broker = muster.Broker(home)
        sees(home, {})
    finally:
        broker.stop()


def test_pid_files(home, broker):
    whole = home.pid_file.read_text()
    try:
        for content, says in (("999999999\n", "no running process"), (f"{os.getpid()}\n", "not mosquitto"),
                              ("", "no pid file"), ("many\n", "no pid file")):
            home.pid_file.write_text(content)
            findings = sees(home, {"broker-process": "fail"})
            assert says in findings["broker-process"]["finding"]
            assert "broker config mosquitto" in findings["broker-process"]["remedy"]
        home.pid_file.unlink()
        sees(home, {"broker-process": "fail"})
        home.configure({"broker.pid_file": ""})
        findings = sees(home, {"broker-process": "warn"})
        assert "set broker.pid_file" in findings["broker-process"]["remedy"]
    finally:
        home.configure({"broker.pid_file": str(home.pid_file)})
        home.pid_file.write_text(whole)
    sees(home, {})


class OtherBroker(muster.Broker):
    """A broker whose configuration somebody has changed."""

    def __init__(self, home, edit):
        self.config = home.base / "mosquitto.conf"
        self.config.write_text(edit(home.cli("broker", "config", "mosquitto").stdout.decode()))
        self.process = muster.Process(["mosquitto", "-c", self.config, "-v"])
        self.process.wait_line(r"mosquitto version .* running")
        wait_for(home.pid_file.exists, 5, "the broker's pid file")


@pytest.mark.needs_root
def test_a_server_that_may_not_signal_the_broker(fresh):
    """It runs as nobody, the broker as root."""
    nobody = 65534

    def become():
        os.setgroups([])
        os.setgid(nobody)
        os.setuid(nobody)

    home = fresh(init=False)
    os.chown(home.base, nobody, nobody)
    subprocess.run([muster.MUSTER, "--dir", home.dir, "init", "--host", "localhost"], check=True, preexec_fn=become,
                   capture_output=True)
    home.configure({**SETTINGS, "server.sandbox": muster.SANDBOX, "api.listen": f"127.0.0.1:{home.api_port}",
                    "pki.listen": f"127.0.0.1:{home.pki_port}", "broker.listen": f"127.0.0.1:{home.broker_port}",
                    "broker.public_host": f"localhost:{home.broker_port}", "broker.pid_file": str(home.pid_file)})
    home.start(preexec=become)
    broker = OtherBroker(home, lambda text: text + "\nuser root\n")
    try:
        findings = sees(home, {"broker-process": "fail"})
        assert "may not signal" in findings["broker-process"]["finding"]
        home.stop()
        home.start()  # as root, which the remedy names; it gives the home to its two users
        wait_for(lambda: not doctor(home).bad, 10, "all well")
    finally:
        broker.stop()


@pytest.mark.parametrize("line, instead, bad", [
    (r"crlfile .*", "", {}), (r"acl_file .*", "", {}), (r"acl_file .*", "acl_file {base}/other.acl", {}),
    (r"use_username_as_clientid true", "", {}),
    (r"require_certificate true", "require_certificate false",
     {"broker": "fail", "broker-strangers": "fail"})])
def test_a_broker_of_another_configuration(fresh, line, instead, bad):
    home = fresh().start()
    (home.base / "other.acl").write_bytes((home.dir / "broker/acl").read_bytes())
    broker = OtherBroker(home, lambda text: re.sub(line, instead.format(base=home.base), text))
    try:
        findings = sees(home, {"broker-config": "fail", **bad})
        assert line.split()[0] in findings["broker-config"]["finding"]
        do(findings["broker-config"]["remedy"].split(", and")[0])
        broker.stop()
        broker = OtherBroker(home, lambda text: broker.config.read_text())
        sees(home, {})
    finally:
        broker.stop()


def test_a_broker_with_a_second_door(fresh):
    home = fresh().start()
    broker = OtherBroker(home, lambda text: text + f"\nlistener {muster.free_port()} 127.0.0.1\n")
    try:
        findings = sees(home, {"broker-config": "warn"})
        assert "2 doors" in findings["broker-config"]["finding"]
    finally:
        broker.stop()


def test_a_broker_that_missed_a_change(home, broker, device):
    """The pid file was away when the change came, so nobody told the broker."""
    whole = home.pid_file.read_text()
    home.pid_file.unlink()
    home.cli("policy", "set", "missed", "--write", "x/{id}")  # done when it is published
    home.pid_file.write_text(whole)
    wait_for(lambda: doctor(home).bad, 10, "the finding")
    for _ in range(2):  # looking must not hide it
        findings = sees(home, {"broker-reload": "fail"})
    assert findings["broker-reload"]["remedy"] == f"kill -HUP {broker.process.child.pid}"
    do(findings["broker-reload"]["remedy"])
    wait_for(lambda: not doctor(home).bad, 5, "all well")


def test_a_damaged_acl_file(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    acl = home.dir / "broker/acl"
    try:
        for damage in (lambda text: text[:-10], lambda text: text + "topic readwrite #\n", lambda text: ""):
            replace(acl, damage(acl.read_text()).encode())
            findings = sees(home, {"broker-acl": "fail"})
            assert f"muster --dir {home.dir} serve" in findings["broker-acl"]["remedy"]
            home.stop()
            home.start()
            wait_for(lambda: not doctor(home).bad, 5, "all well")
    finally:
        broker.stop()


def test_an_old_revocation_list(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    path = home.dir / "broker/crl.pem"
    old = path.read_bytes()
    try:
        made = home.json("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256")
        credentials = muster.open_package(home, made)
        settle(home, made["id"])
        home.cli("device", "revoke", made["id"])
        wait_for(lambda: not credentials.connects(), 5, "the refusal")
        replace(path, old)
        broker.process.child.send_signal(signal.SIGHUP)
        wait_for(credentials.connects, 5, "the old list in force")
        args = [made["id"], "--package", credentials.dir]
        findings = sees(home, {"broker-crl": "fail", "device": "fail", "device-revocation": "fail",
                               "device-connection": "fail"}, *args)
        assert "is published" in findings["broker-crl"]["finding"]
        assert "still accepts" in findings["device-revocation"]["finding"]
        assert "still takes" in findings["device-connection"]["finding"]
        assert f"kill -HUP {broker.process.child.pid}" in findings["device-connection"]["remedy"]
        home.stop()
        home.start()  # as broker-crl's remedy says
        wait_for(lambda: doctor(home, *args).bad == {"device": "fail"}, 10, "the list of today in force")
        assert not credentials.connects()
    finally:
        broker.stop()


def test_an_expired_revocation_list(fresh):
    home = fresh()
    home.start(preexec=None)
    broker = muster.Broker(home)
    path = home.dir / "broker/crl.pem"
    whole = path.read_bytes()
    try:
        ca = ("[ca]\ndefault_ca=x\n[x]\ndatabase={b}/index\ncrlnumber={b}/number\ndefault_md=sha256\n"
              "default_crl_days=1\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n").format(b=home.base)
        (home.base / "ca.cnf").write_text(ca)
        (home.base / "index").write_text("")
        (home.base / "number").write_text("02\n")
        run("faketime", "-f", "-3d", "openssl", "ca", "-config", home.base / "ca.cnf", "-gencrl", "-cert",
            home.dir / "ca/issuing.crt", "-keyfile", home.dir / "ca/private/issuing.key", "-out", home.base / "old.pem")
        replace(path, (home.base / "old.pem").read_bytes())
        findings = sees(home, {"broker-crl": "fail"})
        assert "expired" in findings["broker-crl"]["finding"]
        home.stop()
        home.start()
        wait_for(lambda: not doctor(home).bad, 5, "all well")
        replace(path, whole[:-100])
        sees(home, {"broker-crl": "fail"})
    finally:
        broker.stop()


# ---- a device ---------------------------------------------------------------------------------------------------


def test_an_unknown_device(home, broker):
    for id in ("00000000-0000-4000-8000-000000000000", "../x", "pump-1"):
        findings = sees(home, {"device": "fail"}, id)
        assert "device list" in findings["device"]["remedy"]
        assert findings["device-rights"]["status"] == "n/a"


def test_a_suspended_device(home, broker, device):
    home.cli("device", "suspend", device.id)
    wait_for(lambda: not device.connects(), 5, "the refusal")
    findings = sees(home, {"device": "fail"}, device.id, "--package", device.dir)
    assert findings["device"]["remedy"] == f"muster device resume {device.id}"
    assert "refuses it" in findings["device-connection"]["finding"]
    home.cli(*findings["device"]["remedy"].split()[1:])
    settle(home, device.id)
    sees(home, {}, device.id, "--package", device.dir)


@pytest.mark.parametrize("damage, says", [
    (lambda lines, at: lines[:at] + [lines[-1]], "does not name it"),
    (lambda lines, at: lines[:at + 1] + lines[at + 2:], "other topics"),
    (lambda lines, at: lines[:at + 1] + ["topic readwrite plant/#\n"] + lines[at + 1:], "other topics")])
def test_a_device_without_its_topics(home, broker, device, damage, says):
    """Lines of broker/acl are gone, in a form that is still whole."""
    acl = home.dir / "broker/acl"
    lines = acl.read_text().splitlines(keepends=True)
    replace(acl, "".join(damage(lines, lines.index(f"user {device.id}\n"))).encode())
    findings = sees(home, {"device-rights": "fail"}, device.id)
    assert says in findings["device-rights"]["finding"]
    do(findings["device-rights"]["remedy"])
    wait_for(lambda: not doctor(home, device.id).bad, 5, "all well")


def test_files_of_a_device(home, broker, device):
    work = home.base / "files"

    def fails(says, bad, edit):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(device.dir, work)
        edit()
        findings = sees(home, bad, device.id, "--package", work)
        assert says in findings["device-files"]["finding"], findings["device-files"]
        return findings["device-files"]["remedy"]

    other = home.json("device", "register", "--name", "other", "--type", "pump", "--key", "ec-p256")
    others = muster.open_package(home, other)
    settle(home, device.id)
    files = {"device-files": "fail"}
    both = {"device-files": "fail", "device-connection": "fail"}
    remedy = fails("is not the key of", both, lambda: shutil.copy(others.dir / "device.key", work / "device.key"))
    assert f"muster device package {device.id}" in remedy

    def swap():
        for name in ("device.key", "device.crt"):
            shutil.copy(others.dir / name, work / name)
    fails(f"is {other['id']}'s", files, swap)

    leaf = (device.dir / "device.crt").read_text()
    leaf = leaf[:leaf.index("-----END") + len("-----END CERTIFICATE-----\n")]
    shutil.rmtree(work)
    shutil.copytree(device.dir, work)
    (work / "device.crt").write_text(leaf)
    findings = doctor(home, device.id, "--package", work)
    assert "incomplete" in findings["device-files"]["finding"] and "issuing CA" in findings["device-files"]["remedy"]

    document = json.loads((device.dir / "device.json").read_text())
    for change, says in (({"client_id": "pump"}, "client id"), ({"broker": {"host": "old.example", "port": 8883}}, "broker")):
        fails(says, files, lambda: (work / "device.json").write_text(json.dumps({**document, **change})))
    fails("no such file", both, lambda: (work / "device.key").unlink())


def test_files_of_before(home, broker):
    """A new package was made, and the device still has the old one."""
    made = home.json("device", "register", "--name", "old", "--type", "pump", "--key", "ec-p256")
    old = muster.open_package(home, made)
    settle(home, made["id"])
    again = home.json("device", "package", made["id"])
    wait_for(lambda: not old.connects(), 5, "the refusal of the old certificate")
    findings = sees(home, {"device-files": "fail", "device-connection": "fail"}, made["id"], "--package", old.dir)
    assert "certificate of today" in findings["device-files"]["finding"]
    new = muster.open_package(home, again)
    wait_for(lambda: not doctor(home, made["id"], "--package", new.dir).bad, 5, "all well")


@FAKED
def test_a_device_whose_certificate_ends(fresh):
    home = fresh().start()
    broker = muster.Broker(home)
    try:
        made = home.json("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256", "--profile", "short")
        credentials = muster.open_package(home, made)
        args = [made["id"], "--package", credentials.dir]
        settle(home, made["id"])
        soon = sees(home, {"device-certificate": "warn", "ocsp": "fail", "pki": "warn"}, *args, prefix=["faketime", "-f", "+23h"])
        assert f"muster device package {made['id']}" in soon["device-certificate"]["remedy"]
        late = sees(home, {"device-certificate": "fail", "device-files": "fail", "ocsp": "fail", "pki": "warn"}, *args, prefix=["faketime", "-f", "+25h"])
        assert "expired" in late["device-certificate"]["finding"] and "expired" in late["device-files"]["finding"]
    finally:
        broker.stop()
