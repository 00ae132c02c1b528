"""Proof that the proofs bite: with one line of the program taken away, tests fail that pass with it. Each mutant is made
in a copy of the source, which is built and tested like the real one. It takes minutes: `script/test --long` runs it."""

import os
import re
import shutil
import subprocess

import muster
import pytest

# What is taken away: file, line, what stands there instead, and the tests that must notice.
MUTANTS = {
    "the signer's fsync": (
        "src/signer/log.c", "if (fdatasync(log->fd) != 0)\n\t\treturn err_sys(err, \"cannot sync the signer's log\");",
        "", ["fault:signer-fdatasync-EIO"]),
    "the database's fsync": (
        "src/store/sqlite.c", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF", ["fault:api-fdatasync-EIO"]),
    "the revocation check of a client certificate": (
        "src/core/operator.c", "row.state == CERTIFICATE_ACTIVE &&", "", ["unit:operator"]),
    "the revocation check of the ACL file": (
        "src/core/rights.c", "store_device_each(b->tx, DEVICE_ACTIVE, add_device",
        "store_device_each(b->tx, DEVICE_REVOKED, add_device", ["unit:rights"]),
    "the revocation list's condition": (
        "src/store/certificate.c", "WHERE state <> 0 AND not_after >= $1 AND issuer = $2", "WHERE state > 7 AND not_after >= $1 AND issuer = $2",
        ["unit:store_certificate"]),
    "the link's conditional update": (
        "src/store/package.c", " AND state = 0 AND expires_at > $1", " AND expires_at > $1 - 1000000000",
        ["unit:store_package"]),
    "the second look at what a renewal shows": (
        "src/core/rotation.c", "if ((rc = shown_read(tx, caller, r, err)) == 0 && (rc = room_check", "if ((rc = room_check",
        ["e2e:test_f3_a_renewal_that_races_a_revocation"]),
    "what a renewal's key was given before": (
        "src/core/rotation.c", "(rc = idempotency_note(tx, caller, &r->idempotency, r->id, certificate->serial, now, err)) == 0 &&",
        "", ["fault:test_killed_at_a_point[27]"]),
    "the MAC of an audit row": (
        "src/store/audit.c", "if (!row->has_mac || !secret_equal(mac, row->mac, sizeof mac))", "if (false)", ["unit:store_audit"]),
    "the row that tells of an archive": ("src/store/audit.c", "== 0 && !is_told)", "== 0 && false)", ["unit:auditpoint"]),
    "the signer's memory of the audit": ("src/signer/witness.c", "if (seq < last->seq)", "if (false)", ["unit:signer", "unit:auditpoint"]),
    "who may sign a checkpoint": ("src/x509/checkpoint.c", "X509_get_extended_key_usage(cert) == XKU_SMIME", "true", ["unit:checkpoint"]),
    "the tenant filter": (
        "src/store/device.c", "FROM device WHERE id = $1 AND tenant_id = $2", "FROM device WHERE id = $1 AND $2 = $2",
        ["unit:store_device"]),
    "the tenant that a bound operator may not name": (
        "src/core/tenant.c", "if (caller->is_bound && row.id != caller->tenant_id)", "if (false)", ["e2e:test_h1_each_route_for_each_role"]),
    "the routes of the whole installation": (
        "src/http/caller.c", "if ((route->who & ROUTE_WHOLE) != 0 && caller->is_bound)", "if (false)",
        ["e2e:test_h1_each_route_for_each_role"]),
    "whose device a message is of": (
        "src/plugin/verdict.c", "strcmp(table_tenant(t, device), tenant) == 0", "true", ["unit:verdict"]),
    "the topics that are a tenant's own": (
        "src/core/rights.c", "if (is_own)", "if (true)", ["e2e:test_b9_a_service_has_its_tenant_s_topics_only"]),
}


def build(copy):
    done = subprocess.run([copy / "script/build", "-Dkillpoints=true"], capture_output=True, text=True,
                          env={**os.environ, "MUSTER_BUILD": "build"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def passes(copy, test):
    kind, name = test.split(":")
    if kind == "unit":
        argv = ["meson", "test", "-C", copy / "build", "--no-rebuild", name]
    else:
        argv = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", copy / "tests" / kind, "-k", name]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=copy,
                          env={**os.environ, "MUSTER_BUILD": str(copy / "build"), "MUSTER_LONG": "no"})
    assert re.search(r"Ok: +1|\d+ (passed|failed)|Fail: +1", done.stdout), f"{test}: no such test\n{done.stdout[-2000:]}"
    return done.returncode == 0


@pytest.fixture(scope="module")
def copy():
    """The source as git has it, or as it is about to have it."""
    path = muster.folder("mutants")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=muster.ROOT,
                            check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(muster.ROOT / name, target)
    build(path)
    yield path
    shutil.rmtree(path)


def test_each_mutant_has_its_place():
    """In every run, for the mutants themselves are made in the long one alone."""
    for file, old, _, _ in MUTANTS.values():
        assert (muster.ROOT / file).read_text().count(old) == 1, f"{file} reads otherwise now: {old}"


@pytest.mark.long
@pytest.mark.parametrize("what", MUTANTS)
def test_a_mutant_is_noticed(copy, what):
    file, old, new, tests = MUTANTS[what]
    source = copy / file
    whole = source.read_text()
    assert all(passes(copy, t) for t in tests), "the tests fail without a mutation"
    try:
        source.write_text(whole.replace(old, new))
        build(copy)
        assert not all(passes(copy, t) for t in tests), f"nobody misses {what}"
    finally:
        source.write_text(whole)
