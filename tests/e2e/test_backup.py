"""Backup and restore: part 6 of the hardening, and threat I13."""

import base64
import fcntl
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import muster
import pytest
from maker import Maker
from muster import openssl, run, wait_for
from test_est import Device, post

pytestmark = pytest.mark.heavy

SETTINGS = muster.ACL_FILE
AS_ROOT = os.geteuid() == 0
PASSPHRASE = "correct horse battery staple"
CHUNK = 65536 + 16
HEADER = 33


class Clone(muster.Home):
    """A home out of a backup, whose operators' tokens have ended."""
    def start(self, *args, **kwargs):
        super().start(*args, **kwargs)
        self.token = self.json("operator", "token", "admin")["token"]
        return self


@pytest.fixture
def clones():
    """Makes homes from backups; all are ended afterwards."""
    made = []

    def make(old, file, *args):
        """The home of OLD's backup on a "new machine": another folder, the old one's addresses."""
        new = Clone(init=False)
        made.append(new)
        new.api_port, new.pki_port, new.broker_port = old.api_port, old.pki_port, old.broker_port
        new.pid_file = old.pid_file
        restore(new, file, *args)
        return new

    yield make
    for h in made:
        h.close()
        shutil.rmtree(h.base, ignore_errors=True)


def passphrase_file(home, text=PASSPHRASE):
    path = home.base / f"passphrase-{abs(hash(text))}"
    path.write_text(text + "\n")
    return path


def backup(home, *args, name=None, check=True, passphrase=PASSPHRASE):
    file = home.base / (name or f"backup-{time.monotonic_ns()}")
    result = home.cli("backup", file, "--passphrase-file", passphrase_file(home, passphrase), *args, check=check)
    return file if check else result


def restore(home, file, *args, check=True, passphrase=PASSPHRASE):
    return home.cli("restore", file, "--passphrase-file", passphrase_file(home, passphrase), *args, check=check)


def register(home, name="d"):
    return home.json("device", "register", "--name", name, "--type", "pump", "--key", "ec-p256")


def crl(home):
    """The published list as text, its number, and proof that it verifies."""
    der = home.pki("/crl/issuing.crl").body
    said = openssl("crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", home.dir / "ca/issuing.crt",
                   input=der)
    assert b"verify OK" in said.stderr + said.stdout
    text = said.stdout.decode()
    return text, int(re.search(r"X509v3 CRL Number: *\n? *(?:0x)?([0-9A-Fa-f]+)", text)[1],
                     16 if "0x" in text.split("CRL Number")[1][:40] else 10)


def entry(home, made):
    """The CRL's lines about a device's first certificate; None if it is not listed."""
    text, serial = crl(home)[0], made["certificate"]["serial"].upper()
    return text[text.index(serial):].split("Serial Number")[0] if serial in text else None


def acl(home):
    return (home.dir / "broker/acl").read_text()


def left_behind(home):
    return sorted(p.name for p in home.base.iterdir() if not p.name.startswith(("passphrase", "run")))


# ---- what is in it ---------------------------------------------------------------------------------------------------

def test_i13_backup_under_load_has_every_acknowledged_device(fresh, clones):
    """I13: what was acknowledged before the backup began is in it, and it is consistent whatever came meanwhile."""
    home = fresh(settings={"limits.register_per_min": "0"}).start()
    acknowledged, stop, failures = [], threading.Event(), []

    def load(n):
        i = 0
        while not stop.is_set():
            i += 1
            try:
                reply = home.request("POST", "/v1/devices", {"name": f"load-{n}-{i}", "type": "t", "key": "ec-p256"})
                assert reply.status == 201, reply.body
                acknowledged.append((reply.json["id"], time.monotonic()))
            except Exception as e:  # the test shows it
                failures.append(e)
                return

    threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: len(acknowledged) > 20 or failures, 20, "some load")
        backups = []
        for _ in range(3):
            began = time.monotonic()
            backups.append((began, backup(home, "--with-keys")))
            during = len([a for a in acknowledged if a[1] > began])
            assert during > 0, "the load stood still during the backup"
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not failures, failures[0]
    assert not (home.dir / "backup.tmp").exists()
    home.cli("audit", "verify")
    home.stop()
    for began, file in backups:
        new = clones(home, file)
        new.start()
        there = {d["id"]: d for d in new.json("device", "list", "--all")["items"]}
        for id, at in acknowledged:
            if at < began:
                assert there[id]["status"] == "active", id
        # What the log has beyond the database is on hold, never lost and never valid.
        for d in there.values():
            assert d["status"] == ("suspended" if d["type"] == "unknown" else "active"), d
        new.cli("audit", "verify")
        register(new)
        new.stop()


def test_a_stopped_home_can_be_backed_up(fresh, clones):
    home = fresh()
    before = backup(home, "--with-keys")  # never started
    home.start()
    made = register(home)
    home.stop()
    after = backup(home, "--with-keys")
    for file, ids in ((before, []), (after, [made["id"]])):
        new = clones(home, file).start()
        assert [d["id"] for d in new.json("device", "list")["items"]] == ids
        new.stop()


def test_no_secret_is_readable_in_it(fresh):
    home = fresh().start()
    register(home, "Pumpe-Nordwest")
    home.stop()
    content = backup(home, "--with-keys").read_bytes()
    for path in ("ca/private/issuing.key", "ca/private/root.key", "tls/server.key", "broker/broker.key"):
        pem = (home.dir / path).read_bytes()
        der = openssl("pkey", "-in", home.dir / path, "-outform", "DER").stdout
        for piece in (pem[30:60], pem, der, der[-40:], der[36:60]):
            assert piece not in content, path
    assert b"SQLite format" not in content and b"Pumpe" not in content and b"BEGIN" not in content
    assert PASSPHRASE.encode() not in content
    assert os.stat(home.base / sorted(left_behind(home))[0]).st_mode & 0o077 == 0


def test_waiting_packages_stay_out(fresh, clones):
    """The archive exists until it is delivered or expires: no backup keeps it, and no restore brings its link back."""
    home = fresh().start()
    made = register(home)
    file = backup(home, "--with-keys")
    muster.open_package(home, made)  # the running service is none the worse for it
    home.stop()
    new = clones(home, file)
    database = (new.dir / "muster.db").read_bytes() + (new.dir / "muster.db-wal").read_bytes()
    assert b"PK\x03\x04" not in database
    new.start()
    token = made["package"]["url"].rsplit("/", 1)[1]
    assert new.request("POST", f"/d/{token}", token=None).status == 410
    again = new.json("device", "package", made["id"])
    muster.open_package(new, again)


# ---- never resurrects ----------------------------------------------------------------------------------------------

def test_i13_enrolment_tokens_do_not_come_back(fresh, clones):
    """I13, F6: no log tells which tokens were used up or revoked after the backup, so none of them enrols anybody."""
    home = fresh().start()
    made = [home.json("token", "create", "--type", "pump") for _ in range(2)]
    file = backup(home, "--with-keys")
    home.cli("token", "revoke", made[0]["id"])
    home.stop()
    new = clones(home, file).start()
    for token in made:
        secret = base64.b64encode(f"any:{token['token']}".encode()).decode()
        assert new.request("POST", "/.well-known/est/simpleenroll", "x", token=None, headers={
            "Content-Type": "application/pkcs10", "Authorization": f"Basic {secret}"}).status == 401
    assert all(t["revoked_at"] for t in new.json("token", "list", "--all")["items"])
    assert new.json("token", "create", "--type", "pump")["revoked_at"] is None
    new.cli("audit", "verify")


def test_i13_trust_anchors_are_on_hold(fresh, clones):
    """I13: no log tells which anchors and serial numbers were taken back after the backup, or which manufacturer's certificate was
    whose, so nobody enrols by one until an operator has looked; then a device that was known is the same, with what became of it."""
    home = fresh().start()
    acme, gone = Maker(home.base), Maker(home.base, "Gone CA")
    for maker, name in ((acme, "acme"), (gone, "gone")):
        home.cli("trust", "add", maker.file, "--name", name, "--type", "pump", "--any-serial")
    kept, stolen, late = acme.make("PX-1"), acme.make("PX-2"), acme.make("PX-3")

    def enrol(at, made):
        return post(at, "simpleenroll", Device(at, "x").request(), tls=made.tls(at))

    found = [enrol(home, made).status for made in (kept, stolen)]
    ids = {s["serial"]: s["device_id"] for s in home.json("trust", "serials", "acme")["items"]}
    assert found == [200, 200] and not ids  # no list
    file = backup(home, "--with-keys")
    by_time = [d["id"] for d in home.json("device", "list", "--all")["items"]]
    thief = next(r["target"].split(":")[1] for r in home.json("audit", "list", "--all")["items"]
                 if r["action"] == "device.enrol" and r["actor"].endswith(stolen.fingerprint))
    home.cli("device", "revoke", thief)
    home.cli("trust", "remove", "gone")
    assert enrol(home, late).status == 200
    log = home.base / "newest.log"
    shutil.copy(home.dir / "signer.log", log)
    home.stop()
    new = clones(home, file, "--signer-log", log).start()
    assert all(i["held"] for i in new.json("trust", "list")["items"]) and len(by_time) == 2
    for made in (kept, stolen, late, gone.make("PX-9")):
        reply = enrol(new, made)
        assert reply.status == 403 and "muster trust resume" in reply.json["detail"]
    new.cli("trust", "resume", "acme")
    assert enrol(new, kept).status == 200
    assert enrol(new, stolen).status == 409 and new.json("device", "show", thief)["status"] == "revoked"
    assert enrol(new, gone.make("PX-9")).status == 403
    new.cli("audit", "verify")


def test_i13_operators_do_not_come_back(fresh, clones):
    """I13, H3: no log tells which operators were removed after the backup, so no token of that time is good."""
    home = fresh().start()
    tokens = {name: home.json("operator", "add", name, "--role", "admin")["token"] for name in ("stays", "goes")}
    tokens["admin"] = home.token
    file = backup(home, "--with-keys")
    home.cli("operator", "remove", "goes")
    home.stop()
    new = clones(home, file).start()
    assert all(new.request("GET", "/v1/devices", token=t).status == 401 for t in tokens.values())
    assert new.request("GET", "/v1/devices", token=new.json("operator", "token", "stays")["token"]).status == 200
    new.cli("audit", "verify")


def test_i13_an_old_backup_with_the_newest_log_revives_nothing(fresh, clones):
    """I13: revoked after the backup stays revoked, unknown goes on hold, CRL numbers go on, brokers' files are right."""
    home = fresh().start()
    revoked, kept, rotated, held = (register(home, n) for n in ("revoked", "kept", "rotated", "held"))
    gone = home.json("service", "add", "gone", "--read", "devices/#")
    file = backup(home, "--with-keys")
    home.cli("device", "revoke", revoked["id"], "--reason", "keyCompromise")
    home.cli("device", "suspend", held["id"])
    home.cli("service", "revoke", "gone")
    rotation = home.json("device", "package", rotated["id"])
    late = register(home, "late")
    both = register(home, "late and revoked")
    home.cli("device", "revoke", both["id"])
    number = crl(home)[1]
    date = re.search(r"Revocation Date: (.*)", entry(home, revoked))[1]
    home.stop()
    home.start()  # moves the old database's mark, which the backup does not know
    home.stop()
    log = home.base / "newest.log"
    log.write_bytes((home.dir / "signer.log").read_bytes())
    shutil.rmtree(home.dir)

    new = clones(home, file, "--signer-log", log)
    assert "user " not in acl(new)  # a broker that starts first lets nobody do anything
    new.start()
    status = {d["id"]: d["status"] for d in new.json("device", "list")["items"]}
    assert status == {revoked["id"]: "revoked", kept["id"]: "active", rotated["id"]: "suspended",
                      held["id"]: "suspended", late["id"]: "suspended", both["id"]: "revoked"}
    assert [s["status"] for s in new.json("service", "list")["items"]] == ["revoked"]
    assert "Key Compromise" in entry(new, revoked)
    assert date in entry(new, revoked), "the date is that of the revocation, not of the restore"
    assert "Certificate Hold" in entry(new, late) and "Certificate Hold" in entry(new, rotation)
    assert "Certificate Hold" in entry(new, held)
    assert "Superseded" in entry(new, rotated)
    assert entry(new, both) and "Certificate Hold" not in entry(new, both)
    assert entry(new, gone) and entry(new, kept) is None
    assert crl(new)[1] > number
    wait_for(lambda: kept["id"] in acl(new), 5, "rights")
    assert not any(d["id"] in acl(new) for d in (revoked, rotated, held, late, both, gone))
    assert (new.dir / "broker/crl.pem").read_bytes() == openssl(
        "crl", "-inform", "DER", input=new.pki("/crl/issuing.crl").body).stdout
    actions = [a["action"] for a in new.json("audit", "list", "--all")["items"]]
    for action in ("restore", "device.revoke", "device.suspend", "device.recover", "certificate.hold", "service.revoke"):
        assert action in actions, action
    new.cli("audit", "verify")

    # The operator decides.
    new.cli("device", "resume", rotated["id"])
    assert entry(new, rotation) is None and "Superseded" in entry(new, rotated)
    new.cli("device", "update", late["id"], "--name", "late again")
    new.cli("device", "resume", late["id"])
    assert entry(new, late) is None and new.json("device", "show", late["id"])["name"] == "late again"
    assert new.cli("device", "resume", revoked["id"], check=False).returncode == 1
    new.cli("device", "revoke", late["id"])
    # And it is done once: the next start holds nothing.
    after = register(new, "after")
    new.stop()
    new.start()
    assert new.json("device", "show", after["id"])["status"] == "active"
    assert new.json("device", "show", rotated["id"])["status"] == "active"
    assert new.json("device", "show", late["id"])["status"] == "revoked"
    new.cli("audit", "verify")
    # The signer goes on from the backup's last checkpoint, though it had signed later ones.
    assert new.json("audit", "checkpoint")["seq"] <= new.json("audit", "list", "--all")["items"][-1]["seq"]


def test_crl_numbers_go_on_without_the_newest_log(fresh, clones):
    """G6: a verifier that has a list of after the backup must take the restored home's."""
    home = fresh().start()
    file = backup(home, "--with-keys")
    for n in range(3):
        home.cli("device", "revoke", register(home, f"{n}")["id"])
    number = crl(home)[1]
    home.stop()
    new = clones(home, file)
    new.start()
    assert crl(new)[1] > number
    new.stop()
    again = backup(new, "--with-keys")
    assert crl(clones(home, again).start())[1] > number + 1


def test_each_restore_has_an_epoch_of_its_own(fresh, clones):
    home = fresh()
    file = backup(home, "--with-keys")
    epochs = set()
    for _ in range(2):
        new = clones(home, file)
        dump = run("sqlite3", f"file:{new.dir}/muster.db?mode=ro", "SELECT value FROM setting WHERE name='feed_epoch'")
        epochs.add(dump.stdout.strip())
    assert len(epochs) == 2 and all(re.fullmatch(b"[0-9a-f]{32}", e) for e in epochs)


def test_a_log_older_than_its_database_is_refused(fresh):
    home = fresh().start()
    old = (home.dir / "signer.log").read_bytes()
    register(home)
    home.stop()
    home.start()
    home.stop()
    (home.dir / "signer.log").write_bytes(old)
    refused = home.cli("serve", check=False)
    assert refused.returncode == 1
    assert b"muster restore" in refused.stderr


def test_only_the_backups_own_log_is_taken(fresh, clones):
    home, other = fresh(), fresh()
    home.start()
    register(home)
    early = home.base / "early.log"
    early.write_bytes((home.dir / "signer.log").read_bytes())
    register(home)
    home.stop()
    file = backup(home, "--with-keys")
    changed = home.base / "changed.log"
    changed.write_bytes((home.dir / "signer.log").read_bytes() + b"\x00\x01\xff\xfe" + bytes(33) + b"x" * 90)
    new = muster.Home(init=False)
    for log, reason in ((early, b"older"), (other.dir / "signer.log", b"not the log"), (changed, b"damaged"),
                        (home.base / "nothing", b"No such file"), (file, b"not the log")):
        refused = restore(new, file, "--signer-log", log, check=False)
        assert refused.returncode == 1 and reason in refused.stderr, refused.stderr
        assert left_behind(new) == []
    clones(home, file, "--signer-log", home.dir / "signer.log")


def test_a_renewed_servers_certificate_is_no_device(fresh, clones):
    """What `ca renew` made after the backup is lost with its key: revoked, and nobody is asked about it."""
    home = fresh()
    file = backup(home, "--with-keys")
    home.cli("ca", "renew", "server")
    serial = openssl("x509", "-in", home.dir / "tls/server.crt", "-noout", "-serial").stdout.decode().split("=")[1]
    new = clones(home, file, "--signer-log", home.dir / "signer.log").start()
    assert new.json("device", "list")["items"] == []
    text = crl(new)[0]
    assert "Hold" not in text[text.index(serial.strip()):].split("Serial Number")[0]
    assert new.request("GET", "/healthz", token=None).status == 200


# ---- a new machine ---------------------------------------------------------------------------------------------------

def test_a_new_machine_as_a_whole(fresh, clones):
    """Another folder, the old one gone; the broker and a device that knows nothing of all this."""
    home = fresh().start()
    broker = muster.Broker(home)
    device = muster.open_package(home, register(home))
    service = muster.open_package(home, home.json("service", "add", "hears", "--read", "devices/#"))
    lost = register(home, "lost")
    lost_device = muster.open_package(home, lost)
    wait_for(lambda: all(x.id in acl(home) for x in (device, service, lost_device)), 5, "rights")
    wait_for(device.connects, 5, "the device before")
    file = backup(home, "--with-keys")
    home.cli("device", "revoke", lost["id"])
    broker.stop()
    home.stop()
    log = home.base / "newest.log"
    log.write_bytes((home.dir / "signer.log").read_bytes())
    shutil.rmtree(home.dir)

    new = clones(home, file, "--signer-log", log)
    new.start()
    home.pid_file.unlink(missing_ok=True)
    broker = muster.Broker(new)
    try:
        wait_for(lambda: device.id in acl(new) and service.id in acl(new), 5, "rights")
        wait_for(device.connects, 5, "the device after")
        listener = service.subscribe("devices/#")
        device.publish(f"devices/{device.id}/telemetry", "still here", check=True)
        listener.wait_message(f"devices/{device.id}/telemetry", "still here")
        listener.stop()
        assert not lost_device.connects()
        fresh_one = muster.open_package(new, register(new))
        wait_for(lambda: fresh_one.id in acl(new), 5, "rights")
        wait_for(fresh_one.connects, 5, "a new device")
        new.cli("device", "revoke", device.id)
        wait_for(lambda: not device.connects(), 5, "the refusal")
        assert new.json("device", "list", "--limit", "1")["items"]
        assert new.request("GET", "/v1/devices", token=home.token).status == 401
    finally:
        broker.stop()


def test_without_keys_the_operator_puts_it_there(fresh, clones):
    home = fresh().start()
    made = register(home)
    home.stop()
    file = backup(home)
    new = clones(home, file)
    assert list((new.dir / "ca/private").iterdir()) == []
    refused = new.cli("serve", check=False)
    assert refused.returncode == 1
    assert b"ca/private/issuing.key is not there" in refused.stderr
    shutil.copy(home.dir / "ca/private/issuing.key", new.dir / "ca/private/issuing.key")
    new.start()
    assert new.json("device", "show", made["id"])["status"] == "active"
    register(new)


def test_the_restored_home_has_the_old_ones_owners_and_modes(fresh, clones):
    home = fresh().start()
    home.stop()
    new = clones(home, backup(home, "--with-keys"))

    def listing(base):
        return {str(p.relative_to(base)): (oct(p.stat().st_mode), p.stat().st_uid, p.stat().st_gid)
                for p in [base, *base.rglob("*")] if not p.name.endswith((".sock", ".lock"))}

    assert listing(new.dir) == listing(home.dir)


# ---- refusals ----------------------------------------------------------------------------------------------------------

def test_damage_is_found_before_anything_is_made(fresh):
    home = fresh()
    file = backup(home, "--with-keys")
    whole = file.read_bytes()
    new = muster.Home(init=False)
    cases = [(b"wrong passphrase", whole, "another passphrase entirely")]
    for at in (0, 7, 8, 12, 20, HEADER, HEADER + 1000, HEADER + CHUNK - 1, HEADER + CHUNK, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        cases.append((b"", bytes(flipped), PASSPHRASE))
    for length in (0, 10, HEADER, HEADER + 15, HEADER + CHUNK, HEADER + CHUNK + 16, len(whole) - 1):
        cases.append((b"", whole[:length], PASSPHRASE))
    swapped = whole[:HEADER] + whole[HEADER + CHUNK:HEADER + 2 * CHUNK] + whole[HEADER:HEADER + CHUNK] + \
        whole[HEADER + 2 * CHUNK:]
    assert len(swapped) == len(whole)
    cases += [(b"", swapped, PASSPHRASE), (b"", whole + b"\0", PASSPHRASE), (b"not a backup", b"x" * 500, PASSPHRASE),
              (b"another version", b"MUSTBAK2" + whole[8:], PASSPHRASE)]
    bad = new.base / "passphrase-bad-file"
    for reason, content, passphrase in cases:
        bad.write_bytes(content)
        refused = restore(new, bad, check=False, passphrase=passphrase)
        assert refused.returncode == 1 and reason in refused.stderr, (reason, refused.stderr)
        assert bad.name.encode() in refused.stderr
        assert left_behind(new) == []
    bad.write_bytes(whole)
    restore(new, bad)
    shutil.rmtree(new.base)


def test_nothing_is_overwritten(fresh):
    home = fresh()
    file = backup(home)
    before = file.read_bytes()
    again = backup(home, name=file.name, check=False)
    assert again.returncode == 1 and b"exists" in again.stderr and file.read_bytes() == before
    refused = restore(home, file, check=False)
    assert refused.returncode == 1 and b"not empty" in refused.stderr
    empty = muster.Home(init=False)
    empty.dir.mkdir()
    restore(empty, file)
    assert (empty.dir / "muster.db").exists()
    shutil.rmtree(empty.base)


@pytest.mark.parametrize("passphrase", ["", "short", "eleven byte"])
def test_short_passphrases_are_refused(fresh, passphrase):
    home = fresh()
    refused = backup(home, check=False, passphrase=passphrase)
    assert refused.returncode == 1 and b"at least 12" in refused.stderr


def on_a_terminal(argv, answers):
    """Run ARGV with a terminal of its own; returns its status and all that the terminal showed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    said, deadline = b"", time.monotonic() + 30
    answers = list(answers)
    while time.monotonic() < deadline:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
        if said.endswith(b": ") and answers:
            os.write(fd, answers.pop(0) + b"\n")
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_the_passphrase_is_asked_twice_and_never_shown(fresh):
    home, new = fresh(), muster.Home(init=False)
    file = str(home.base / "asked")
    argv = [str(muster.MUSTER), "--dir", str(home.dir), "backup", file]
    status, said = on_a_terminal(argv, [b"one good passphrase", b"one bad passphrase!"])
    assert status == 1 and b"differ" in said and not os.path.exists(file)
    status, said = on_a_terminal(argv, [b"one good passphrase", b"one good passphrase"])
    assert status == 0 and b"good" not in said and b"100 %" in said
    back = [str(muster.MUSTER), "--dir", str(new.dir), "restore", file]
    status, said = on_a_terminal(back, [b"one wrong passphrase"])
    assert status == 1 and b"wrong passphrase, or" in said
    status, said = on_a_terminal(back, [b"one good passphrase"])
    assert status == 0 and b"good" not in said and said.count(b"Passphrase") == 1
    # Without a terminal it does not hang.
    refused = subprocess.run([*argv[:-1], file + "-2"], stdin=subprocess.DEVNULL, capture_output=True,
                             start_new_session=True)
    assert refused.returncode == 1 and b"--passphrase-file" in refused.stderr
    shutil.rmtree(new.base)


@pytest.mark.skipif(not AS_ROOT, reason="becoming somebody else needs root")
@pytest.mark.parametrize("user", ["nobody", "muster", "muster-signer", "mosquitto"])
def test_only_root_and_the_owner_can(fresh, user):
    home = fresh()
    folder = home.base / "theirs"
    folder.mkdir()
    folder.chmod(0o777)
    path = passphrase_file(home)
    path.chmod(0o644)
    refused = run("runuser", "-u", user, "--", muster.MUSTER, "--dir", home.dir, "backup", folder / "b", "--with-keys",
                  "--passphrase-file", path, check=False)
    assert refused.returncode == 1 and b"Permission denied" in refused.stderr, refused.stderr
    assert list(folder.iterdir()) == []
    assert not (home.dir / "backup.tmp").exists()


def test_links_are_not_followed(fresh):
    """What the api may write is not trusted to name another file of root's."""
    home = fresh()
    (home.dir / "broker/crl.pem").unlink()
    (home.dir / "broker/crl.pem").symlink_to("/etc/shadow")
    refused = backup(home, check=False)
    assert refused.returncode == 1 and b"crl.pem" in refused.stderr


# ---- faults --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def small_disk(request):
    """A tmpfs of 200 KB, or as large as the test says."""
    path = muster.folder("small")
    run("mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '200k')},mode=755", "tmpfs", path)
    yield path
    run("umount", path)
    path.rmdir()


@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_i2_a_full_disk_leaves_nothing(fresh, small_disk):
    home = fresh(settings={"limits.register_per_min": "0"}).start()
    for n in range(30):
        register(home, f"{n}")
    refused = home.cli("backup", small_disk / "b", "--passphrase-file", passphrase_file(home), check=False)
    assert refused.returncode == 1 and b"No space" in refused.stderr
    assert list(small_disk.iterdir()) == []
    assert not (home.dir / "backup.tmp").exists()
    register(home)
    file = backup(home, "--with-keys")
    refused = run(muster.MUSTER, "--dir", small_disk / "home", "restore", file, "--passphrase-file",
                  passphrase_file(home), check=False)
    assert refused.returncode == 1 and re.search(rb"No space|full", refused.stderr), refused.stderr
    assert list(small_disk.iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
@pytest.mark.parametrize("small_disk", ["20m"], indirect=True)
def test_a_backup_leaves_the_service_its_disk(fresh, small_disk):
    home = fresh()
    shutil.move(home.dir, small_disk / "home")
    home.dir = small_disk / "home"
    refused = backup(home, check=False)
    assert refused.returncode == 1 and b"MB left" in refused.stderr
    assert not (home.dir / "backup.tmp").exists()


def kill_within(argv, seconds):
    child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    return child.wait()


def test_i13_killed_in_the_middle(fresh, clones):
    """A killed backup leaves no FILE and a sound home, a killed restore no home; the next run tidies up."""
    home = fresh().start()
    register(home)
    path, random_ = passphrase_file(home), random.Random(7)
    killed = 0
    for n in range(8):
        file = home.base / f"killed-{n}"
        status = kill_within([muster.MUSTER, "--dir", home.dir, "backup", file, "--passphrase-file", path],
                             random_.uniform(0, 0.6))
        killed += status == -signal.SIGKILL
        assert file.exists() == (status == 0)
    assert killed > 0
    register(home)
    file = backup(home, "--with-keys")
    assert not (home.dir / "backup.tmp").exists()
    (home.dir / "backup.tmp").mkdir(mode=0o700)
    (home.dir / "backup.tmp/muster.db").write_bytes(b"what a killed one leaves")
    home.stop()
    home.start()
    assert not (home.dir / "backup.tmp").exists()
    home.stop()

    new = muster.Home(init=False)
    killed = 0
    for _ in range(8):
        status = kill_within([muster.MUSTER, "--dir", new.dir, "restore", file, "--passphrase-file", path],
                             random_.uniform(0, 0.5))
        killed += status == -signal.SIGKILL
        if status == 0:
            shutil.rmtree(new.dir)
        assert not new.dir.exists()
    assert killed > 0
    (new.base / "home.unfinished").mkdir(mode=0o700, exist_ok=True)
    (new.base / "home.unfinished/muster.db").write_bytes(b"what a killed one leaves")
    restore(new, file)
    assert left_behind(new) == ["home"]
    shutil.rmtree(new.base)


def test_one_at_a_time(fresh):
    home = fresh()
    (home.dir / "backup.tmp").mkdir(mode=0o700)
    holder = os.open(home.dir / "backup.tmp", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    refused = backup(home, name="other", check=False)
    assert refused.returncode == 1 and b"another process is at work" in refused.stderr
    assert (home.dir / "backup.tmp").exists() and not (home.base / "other").exists()
    os.close(holder)
    backup(home)
