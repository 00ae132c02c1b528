"""The invariants over all of the list of threats: what was acknowledged is present, what was signed is recorded and
revocable, whatever is unknown is refused, and nothing is half done. Looks from outside: at the files, the public pages
and what the clients wrote down."""

import hashlib
import re
import sqlite3
from contextlib import closing

import signerlog
from muster import openssl, wait_for

ACTIVE, HELD, REVOKED = 0, 1, 2
SUPERSEDED = 4  # of RFC 5280's reasons


def crl(home):
    """Number and revoked serials of the published list."""
    text = openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body).stdout.decode()
    number = re.search(r"X509v3 CRL Number:\s+(0x[0-9A-F]+|\d+)", text)[1]
    serials = {s.lower().rjust(40, "0") for s in re.findall(r"Serial Number: ([0-9A-F]+)", text)}
    return int(number, 0), serials


def rows(db, sql, values=()):
    return db.execute(sql, values).fetchall()


def database(home):
    return closing(sqlite3.connect(f"file:{home.dir / 'muster.db'}?mode=ro", uri=True))


def signed(home):
    return {row.serial for row in signerlog.read(home.dir / "signer.log") if row.kind == signerlog.ISSUED}


def recorded(home):
    with database(home) as db:
        return {serial.hex() for serial, in rows(db, "SELECT serial FROM certificate")}


def check_database(home):
    with database(home) as db:
        assert rows(db, "PRAGMA integrity_check") == [("ok",)]
        assert rows(db, "PRAGMA foreign_key_check") == []
        # Who is in the archive is revoked.
        devices = dict(rows(db, "SELECT id, status FROM device UNION ALL SELECT id, 3 FROM device_archive"))
        services = dict(rows(db, "SELECT id, status FROM service"))
        certificates = {
            serial.hex(): (kind, owner, state, der, reason, successor and successor.hex())
            for serial, kind, owner, state, der, reason, successor in
            rows(db, "SELECT serial, owner_kind, owner_id, state, der, reason, superseded_by FROM certificate")}
        assert rows(db, "SELECT spki_hash FROM certificate WHERE state <> 2 GROUP BY spki_hash HAVING count(*) > 1") == [], \
            "a key with two certificates"
        assert rows(db, "SELECT serial FROM certificate WHERE reason = 4 AND superseded_by IS NULL") == [], "superseded by nothing"
        assert rows(db, "SELECT count(*) FROM package WHERE (state = 0) <> (archive IS NOT NULL)") == [(0,)]
        packaged = {owner for owner, in rows(db, "SELECT owner_id FROM package")}
        assert packaged <= devices.keys() | services.keys(), "a package of nobody"
    return devices, services, certificates


def check_log(home, certificates):
    """What was signed is recorded; what no device has is revoked."""
    log = signerlog.read(home.dir / "signer.log")
    for row in log:
        if row.kind == signerlog.ISSUED:
            assert row.serial in certificates, f"signed and not recorded: {row.serial}"
            assert certificates[row.serial][3] == row.der
        elif row.kind == signerlog.REVOKED:
            assert row.serial in certificates
    assert signed(home) == certificates.keys(), "recorded and not signed"
    numbers = [row.number for row in log if row.kind == signerlog.CRL]
    assert numbers == sorted(set(numbers)), "a CRL number went down"
    return numbers[-1]


def check_pairs(load, devices, certificates):
    """What EST gave is there as it was given, as its device's own; and a device's last one is good as long as the device is,
    or another one of its own has taken over."""
    serial_of = {c[3]: serial for serial, c in certificates.items()}
    for id, pairs in load.pairs.items():
        for pair in pairs:
            assert pair.der in serial_of, f"acknowledged and gone: a certificate of {id}"
            assert certificates[serial_of[pair.der]][1] == id
        _, _, state, _, reason, successor = certificates[serial_of[pairs[-1].der]]
        if devices[id] == 1 and state != ACTIVE:
            assert (state, reason) == (REVOKED, SUPERSEDED) and certificates[successor][1] == id, (id, state, reason, successor)


def given(home, pair):
    """DER and state of what the pair's key was given; of what it was asked for with, whether that is good."""
    spki = openssl("pkey", "-in", pair.key, "-pubout", "-outform", "DER").stdout
    with database(home) as db:
        found = rows(db, "SELECT der, state FROM certificate WHERE spki_hash = ?", (hashlib.sha256(spki).digest(),))
        asks = pair.shown is None or rows(db, "SELECT state FROM certificate WHERE der = ?", (pair.shown.der,)) == [(ACTIVE,)]
    return [der for der, state in found if state == ACTIVE], asks


def check_retries(home, load):
    """Who did not get an answer asks again with the same key, and gets what was stored for it, or none ever."""
    unanswered, load.unanswered = load.unanswered, []
    for id, pair in unanswered:
        stored, _ = given(home, pair)
        load.settle(pair, id)
        after, may_ask = given(home, pair)
        if pair.der:
            assert stored in ([], [pair.der]) and load.ask(pair) in (pair.der, False, None), "two answers for one key"
        elif (id, pair) not in load.unanswered and may_ask:
            assert not stored or after != stored, "stored for this key, and refused to it"


def check(home, load, last_number=0):
    """LOAD has stopped and the server is ready. Returns the CRL's number, for the next check."""
    errors, load.errors[:] = list(load.errors), []
    assert errors == [], errors[:5]
    check_retries(home, load)
    # A certificate whose answer was lost is settled within seconds.
    wait_for(lambda: signed(home) <= recorded(home), 10, "all that was signed to be recorded")

    def agreed():
        """Overlaps end all the while, so both are looked at anew until they say the same."""
        found, (number, revoked) = check_database(home), crl(home)
        return (*found, number, revoked) if revoked == {s for s, c in found[2].items() if c[2] != ACTIVE} else None

    # The publisher may be a round behind what was never acknowledged.
    devices, services, certificates, number, revoked = wait_for(agreed, 10, "the CRL to list what the database has revoked")
    logged = check_log(home, certificates)
    assert last_number <= number <= logged
    owned = {}
    for serial, (kind, owner, state, *_) in certificates.items():
        if kind > 1:
            continue
        if owner not in devices and owner not in services:
            assert state == REVOKED and serial in revoked, f"a certificate of nobody lives: {serial}"
        owned.setdefault(owner, []).append((serial, state))
    for id, status in devices.items():
        states = {state for _, state in owned.get(id, [])}
        assert states, f"device {id} without a certificate"
        assert {1: ACTIVE in states, 2: states <= {HELD, REVOKED}, 3: states == {REVOKED}}[status], (id, status, states)
    check_pairs(load, devices, certificates)
    check_acknowledged(home, load, devices, certificates, revoked)
    live = {i for i, s in devices.items() if s == 1} | {i for i, s in services.items() if s == 1}

    def acl_users():
        return set(re.findall(r"^user (\S+)$", (home.dir / "broker/acl").read_text(), re.M)) & (
            devices.keys() | services.keys())

    wait_for(lambda: acl_users() == live, 10, "the ACL file to name those that are active")
    home.cli("audit", "verify")
    return number


def check_acknowledged(home, load, devices, certificates, revoked):
    names = {1: "active", 2: "suspended", 3: "revoked"}
    for id, serial in load.devices.items():
        assert id in devices, f"acknowledged and gone: {id}"
        assert serial in certificates
        status, acknowledged = names[devices[id]], load.states[id]
        assert status in (acknowledged, load.asked.get(id)), (id, status, acknowledged, load.asked.get(id))
        if acknowledged == "revoked":
            assert status == "revoked" and serial in revoked
        # What turned out is known now.
        load.states[id] = status
    load.asked.clear()
    for path, n in load.delivered.items():
        assert n == 1, f"delivered {n} times: {path}"
        assert home.request("POST", path, token=None).status == 410
