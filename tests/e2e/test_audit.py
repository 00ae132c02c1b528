"""Part 12: the audit trail."""

import csv
import datetime
import gzip
import io
import json
import sqlite3

import muster
import pytest
from muster import openssl, run, wait_for


def rows(home, **kwargs):
    return home.json("audit", "list", "--limit", "1000", **kwargs)["items"]


def test_what_is_audited(fresh):
    home = fresh().start()
    made = home.json("device", "register", "--name", "a", "--type", "t", "--key", "ec-p256")
    home.cli("package", "fetch", made["package"]["url"], "-o", home.base / "a.zip")
    home.cli("device", "update", made["id"], "--policy", "default")
    home.cli("device", "suspend", made["id"])
    home.cli("device", "resume", made["id"])
    home.cli("device", "revoke", made["id"], "--reason", "keyCompromise")
    home.cli("policy", "set", "p", "--write", "x/{id}")
    home.cli("service", "add", "s", "--read", "x/#")
    home.request("GET", "/v1/devices", token="muster_wrong")
    listed = rows(home)
    actions = [r["action"] for r in listed]
    for action in ("operator.create", "device.register", "package.deliver", "device.suspend", "device.resume",
                   "device.revoke", "policy.set", "service.add", "authentication.fail"):
        assert action in actions, (action, actions)
    assert [r["seq"] for r in listed] == list(range(1, len(listed) + 1))
    revoke = next(r for r in listed if r["action"] == "device.revoke")
    assert revoke["target"] == f"device:{made['id']}" and revoke["detail"]["reason"] == "keyCompromise"
    assert next(r for r in listed if r["action"] == "device.update")["detail"]["policy"] == "default"
    assert next(r for r in listed if r["action"] == "service.add")["detail"]["name"] == "s"
    assert revoke["actor"] == "uid:0" or revoke["actor"].startswith("uid:")
    assert home.json("audit", "verify")["intact"] is True


def test_failed_logins_are_aggregated(fresh):
    """H7: a flood cannot fill the disk."""
    home = fresh(settings={"limits.auth_failures_per_min": "0"}).start()
    for _ in range(30):
        assert home.request("GET", "/v1/devices", token="muster_wrong").status == 401
    assert 1 <= sum(r["action"] == "authentication.fail" for r in rows(home)) <= 2


def test_who_came_in(fresh):
    """H9: operators who came in have a row each, not one for each request; and of what is secret, nothing is in the audit."""
    home = fresh().start()
    secrets = [home.token]
    operator = home.json("operator", "add", "alice", "--role", "operator")
    token = home.json("token", "create", "--type", "t")
    made = home.json("device", "register", "--name", "a", "--type", "t", "--key", "ec-p256")
    package = muster.open_package(home, made)
    secrets += [operator["token"], token["token"], made["package"]["password"], made["package"]["url"].rsplit("/")[-1]]
    secrets += [line for line in (package.dir / "device.key").read_text().splitlines() if len(line) > 60]
    for _ in range(5):
        for guess in (operator["token"], "muster_a-guess-of-somebody"):
            home.request("GET", "/v1/devices", token=guess)
    renewed = home.json("operator", "token", "alice")["token"]
    home.json("device", "package", made["id"])
    came = wait_for(lambda: [r for r in rows(home) if r["actor"] == "operator:alice"], 5, "who came in")
    assert [(r["action"], r["target"], r["detail"]) for r in came] == [
        ("authentication.success", "address:127.0.0.1", {"via": "token"})]
    assert sum(r["actor"].startswith("uid:") and r["action"] == "authentication.success" for r in rows(home)) == 1
    text = home.cli("audit", "export").stdout.decode()
    database = sqlite3.connect(home.dir / "muster.db")
    text += "".join(repr(row) for row in database.execute("SELECT * FROM audit"))
    database.close()
    for secret in (*secrets, renewed, "a-guess-of-somebody"):
        assert secret not in text, secret


@pytest.mark.parametrize("sql", [  # the unit tests have every other way
    "UPDATE audit SET action = 'device.updatE' WHERE seq = 3",
    # The end cut off, and the head put back to match: the signer remembers.
    "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit);"
    "UPDATE setting SET value = (SELECT seq || ' ' || lower(hex(hash)) FROM audit ORDER BY seq DESC LIMIT 1) WHERE name = 'audit_head'"])
def test_tampering_is_detected(fresh, sql):
    """H6"""
    home = fresh().start()
    for i in range(4):
        home.cli("policy", "set", f"p{i}", "--write", "x/{id}")
    home.stop()
    database = sqlite3.connect(home.dir / "muster.db")
    database.executescript(sql)
    database.close()
    home.start()
    verdict = home.cli("audit", "verify", check=False)
    assert verdict.returncode == 1
    assert b"row" in verdict.stderr or b"seq" in verdict.stderr


def covered(home):
    """Until nothing is written any more, not even who came in, and a checkpoint is about all of it."""
    def is_all():
        last = rows(home)[-1]["seq"]
        return home.request("GET", "/v1/audit/checkpoint", token=home.token).json.get("seq") == last
    wait_for(is_all, 10, "a checkpoint")


def test_a_checkpoint_is_evidence(fresh):
    """H6: what `openssl cms -verify` alone says of a checkpoint, with the root and nothing else of ours."""
    home = fresh(settings={"audit.checkpoint": "1s"})
    file = home.base / "checkpoint.pem"
    assert home.start().cli("audit", "verify").returncode == 0
    home.cli("policy", "set", "p", "--write", "x/{id}")
    covered(home)
    home.cli("audit", "checkpoint", "-o", file)
    said = home.json("audit", "checkpoint")
    last = next(r for r in rows(home) if r["seq"] == said["seq"])
    assert said["head"] == last["hash"] and said["pem"] == file.read_text()
    verify = ("cms", "-verify", "-inform", "PEM", "-in", file, "-CAfile")
    text = openssl(*verify, home.dir / "ca/root.crt").stdout
    assert json.loads(text) == {"context": "muster audit checkpoint 1", **{k: said[k] for k in ("number", "seq", "head", "at", "previous")}}
    assert run("openssl", *verify, fresh().dir / "ca/root.crt", check=False).returncode != 0
    # A device has a certificate of the same CA, and yet its signature is worth nothing here.
    device = muster.open_package(home, home.json("device", "register", "--name", "m", "--type", "m", "--key", "ec-p256"))
    (home.base / "text").write_bytes(text.replace(last["hash"].encode(), b"0" * 64))
    openssl("cms", "-sign", "-binary", "-nodetach", "-in", home.base / "text", "-signer", device.dir / "device.crt", "-inkey",
            device.dir / "device.key", "-certfile", home.dir / "ca/issuing.crt", "-outform", "PEM", "-out", file)
    assert run("openssl", *verify, home.dir / "ca/root.crt", check=False).returncode != 0
    said = home.json("audit", "verify")
    assert said == {"archived": 0, "rows": said["rows"], "keyed_from": 1, "intact": True, "next": None} and said["rows"] <= len(rows(home))


def cut(home, keep):
    """Behind row KEEP, by who can write the database: the head, the checkpoints, and whatever else could tell."""
    database = sqlite3.connect(home.dir / "muster.db")
    database.executescript(f"""
        DELETE FROM audit WHERE seq > {keep};
        DELETE FROM audit_checkpoint WHERE seq > {keep};
        UPDATE setting SET value = (SELECT seq || ' ' || lower(hex(hash)) FROM audit ORDER BY seq DESC LIMIT 1) WHERE name = 'audit_head'""")
    database.close()


def test_an_exported_checkpoint_and_the_root_are_enough(fresh):
    """H6: history that was rewritten by who has the whole server, its keys and the signer's log: the chain fits, the service
    calls it intact, and the exported checkpoint says that it is not what it was."""
    home = fresh(settings={"audit.checkpoint": "1s"})
    young = (home.dir / "signer.log").read_bytes()
    home.start()
    for i in range(3):
        home.cli("policy", "set", f"p{i}", "--write", "x/{id}")
    file = home.base / "checkpoint.pem"
    covered(home)
    home.cli("audit", "checkpoint", "-o", file)
    seq = home.json("audit", "checkpoint")["seq"]
    home.cli("policy", "set", "later", "--write", "x/{id}")
    said = home.json("audit", "verify", "--checkpoint", file)
    assert said["intact"] is True and said["checkpoint"]["seq"] == seq and seq < said["rows"] <= len(rows(home))
    assert f"up to row {seq}".encode() in home.cli("audit", "verify", "--checkpoint", file).stdout
    other = file.with_suffix(".other")
    other.write_text(file.read_text().replace("A", "B", 1))
    for bad in (other, home.base / "none", home.dir / "ca/root.crt"):
        assert home.cli("audit", "verify", "--checkpoint", bad, check=False).returncode == 1
    refused = home.cli("--ca", fresh().dir / "ca/root.crt", "audit", "verify", "--checkpoint", file, check=False)
    assert refused.returncode == 1 and b"not by a signer under this CA" in refused.stderr

    home.stop()
    cut(home, seq - 2)
    (home.dir / "signer.log").write_bytes(young)  # a signer that remembers nothing
    database = sqlite3.connect(home.dir / "muster.db")
    database.executescript("DELETE FROM audit_checkpoint; DELETE FROM setting WHERE name = 'signer_log_mark'")
    database.close()
    home.start()
    refused = home.cli("audit", "verify", "--checkpoint", file, check=False)
    assert refused.returncode == 1 and b"is missing: checkpoint" in refused.stderr, refused.stderr
    for i in range(3):
        home.cli("policy", "set", f"q{i}", "--write", "x/{id}")
    home.cli("audit", "verify")
    refused = home.cli("audit", "verify", "--checkpoint", file, check=False)
    assert refused.returncode == 1 and b"it was rewritten" in refused.stderr, refused.stderr


def test_filters_and_exports(fresh):
    """B6: cells that a spreadsheet would take for formulas, and what else a filter finds."""
    home = fresh().start()
    device = home.json("device", "register", "--name", "a", "--type", "t", "--key", "ec-p256")["id"]
    home.cli("device", "suspend", device)
    for i in range(5):
        home.cli("policy", "set", f"p{i}", "--write", "x/{id}")
    wait_for(lambda: "authentication.success" in [r["action"] for r in rows(home)], 5, "who came in")
    everything = rows(home)

    def listed(*args):
        return home.json("audit", "list", "--all", "--limit", "2", *args)["items"]

    assert listed("--target", f"device:{device}") == [r for r in everything if r["target"] == f"device:{device}"] != []
    assert listed("--action", "policy.set") == [r for r in everything if r["action"] == "policy.set"]
    assert listed("--action", "policy.set", "--actor", "nobody") == listed("--until", "2020-01-01") == []
    assert listed("--since", everything[0]["at"][:10])[:len(everything)] == everything
    assert home.cli("audit", "list", "--since", "yesterday", check=False).returncode == 2
    for query in ("since=2026-11-24", "until=x", "action=a&after=3", "after=1.2", "action=a&after=1.0", "who=me"):
        assert home.request("GET", f"/v1/audit?{query}", token=home.token).status == 400, query

    lines = home.cli("audit", "export", "--action", "policy.set").stdout.decode().splitlines()
    assert [json.loads(line) for line in lines] == listed("--action", "policy.set")
    home.stop()
    database = sqlite3.connect(home.dir / "muster.db")
    database.executescript("UPDATE audit SET actor = '=1+1', target = '@x' || char(10) || '\"', detail = '' WHERE seq = 2")
    database.close()
    home.start()
    table = list(csv.DictReader(io.StringIO(home.cli("audit", "export", "--format", "csv").stdout.decode(), newline="")))
    assert [(r["seq"], r["at"], r["hash"]) for r in table][:len(everything)] == [(str(r["seq"]), r["at"], r["hash"]) for r in everything]
    assert (table[1]["actor"], table[1]["target"], table[1]["detail"]) == ("'=1+1", "'@x\n\"", "{}")
    assert json.loads(table[-1]["detail"]) == rows(home)[-1]["detail"]


def test_archives(fresh):
    """H6: rows that leave for a file are verified with it, and a command that is killed on the way loses none."""
    home = fresh(settings={"audit.checkpoint": "1s"}).start()
    first, second, third = (home.base / f"{n}.jsonl.gz" for n in ("first", "second", "third"))
    tomorrow = str(datetime.date.today() + datetime.timedelta(days=2))
    assert home.cli("audit", "archive", "--before", "2020-01-01", "-o", first, check=False).returncode == 1 and not first.exists()

    def some(name):
        home.cli("policy", "set", name, "--write", "x/{id}")
        covered(home)
        return rows(home)

    before = some("a")
    # Killed with the file written and no row removed.
    argv = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL:when=1", muster.MUSTER, "--dir",
            home.dir, "audit", "archive", "--before", tomorrow, "-o", first]
    assert run(*argv, check=False).returncode != 0
    assert rows(home)[:len(before)] == before
    home.cli("audit", "verify")
    assert home.cli("audit", "archive", "--before", tomorrow, "-o", first, check=False).returncode == 1  # it exists
    archived = home.json("audit", "archive", "--before", tomorrow, "-o", second)["archived"]
    assert archived >= before[-1]["seq"] and rows(home)[0]["seq"] == archived + 1
    note = rows(home)[0]
    assert note["action"] == "audit.archive" and note["target"] == f"audit:{archived}" and note["detail"]["head"] == before[-1]["hash"]
    some("b")
    home.cli("audit", "archive", "--before", tomorrow, "-o", third)
    last = some("c")[-1]["seq"]

    said = home.json("audit", "verify")
    assert said["intact"] is True and said["archived"] > archived
    alone = home.json("audit", "verify", "--archive", second, "--archive", third, "--offline")
    assert alone == {"intact": True, "seen": {"from": 1, "to": said["archived"]}}
    everything = home.json("audit", "verify", *(a for f in (first, second, third) for a in ("--archive", f)))  # the first overlaps
    assert everything["seen"]["from"] == 1 and everything["seen"]["to"] >= last
    kept = [json.loads(line) for f in (second, third) for line in gzip.open(f)]
    kept = [row for row in kept if "seq" in row]
    assert [r["seq"] for r in kept] == list(range(1, said["archived"] + 1))
    assert [(r["actor"], r["hash"]) for r in kept][:len(before)] == [(r["actor"], r["hash"]) for r in before]

    for files, reason in (([third, second], b"its rows are not what"), ([second], b"in an archive that was not named")):
        refused = home.cli("audit", "verify", *(a for f in files for a in ("--archive", f)), check=False)
        assert refused.returncode == 1 and reason in refused.stderr, refused.stderr
    lines = gzip.open(second).read().splitlines(keepends=True)
    for i, change in enumerate((lines[:-1], lines[:2] + lines[3:], [*lines[:2], lines[2].replace(b"policy", b"policz", 1), *lines[3:]],
                                [lines[0], lines[2], lines[1], *lines[3:]], [*lines, lines[1]], lines[1:])):
        bad = home.base / f"bad{i}"
        bad.write_bytes(gzip.compress(b"".join(change)))
        assert home.cli("audit", "verify", "--offline", "--archive", bad, check=False).returncode == 1, i
    bad.write_bytes(second.read_bytes()[:-9])
    assert b"cut off or damaged" in home.cli("audit", "verify", "--offline", "--archive", bad, check=False).stderr
    body = {"until": last, "head": "0" * 64, "file_sha256": "0" * 64}
    assert home.request("POST", "/v1/audit/archive", body, token=home.token).status == 403  # not from elsewhere
