"""I3 and I14: what the server says of a database that it cannot work with, and an upgrade that is killed midway."""

import os
import re
import sqlite3
import time
from contextlib import closing

import pytest
from muster import MUSTER, ROOT as SOURCE, Process, run, wait_for

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
MIGRATIONS = sorted((SOURCE / "src/store/migrations/sqlite").glob("[0-9]*.sql"))
NEWEST = len(MIGRATIONS)


def database(home):
    return closing(sqlite3.connect(home.dir / "muster.db", isolation_level=None))


def version(home):
    with database(home) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def overwrite(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def refuses(home, *patterns):
    """`muster serve` ends by itself, and says all that."""
    process = Process([MUSTER, "--dir", home.dir, "serve"])
    wait_for(lambda: process.child.poll() is not None, 20, "it to end")
    process.reader.join(5)
    said = "\n".join(process.lines)
    assert process.child.returncode == 1, said
    for p in patterns:
        assert re.search(p, said), said


@pytest.fixture
def stopped(make):
    """A home with a device, not running."""
    service = make(csrs=0).start()
    service.device = service.register()
    service.stop()
    yield service


def works_again(service):
    service.start()
    assert service.home.json("device", "show", service.device)["status"] == "active"
    service.check()


def test_missing(stopped):
    """I3"""
    path = stopped.home.dir / "muster.db"
    aside = path.with_suffix(".aside")
    path.rename(aside)
    refuses(stopped.home, r"muster\.db: no such database", r"muster restore")
    assert not path.exists(), "an empty one would forget everything"
    aside.rename(path)
    works_again(stopped)


def test_damaged_header(stopped):
    """I3"""
    path = stopped.home.dir / "muster.db"
    whole = path.read_bytes()
    overwrite(path, 0, b"no such thing as a database")
    refuses(stopped.home, r"muster\.db is not a Muster database, or is damaged.*restore a backup")
    path.write_bytes(whole)
    works_again(stopped)


def test_damaged_page(stopped):
    """I3: one that only some requests meet. They fail, what else is there is served."""
    home, path = stopped.home, stopped.home.dir / "muster.db"
    with database(home) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'policy'").fetchone()[0]
    whole = path.read_bytes()
    overwrite(path, (page - 1) * size, os.urandom(size))
    process = Process([MUSTER, "--dir", home.dir, "serve"])
    try:
        process.wait_line(r"the database is damaged .*restore a backup")
    finally:
        process.stop()
    path.write_bytes(whole)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).write_bytes(b"")
    works_again(stopped)


def test_locked_by_another_process(stopped):
    """I3: while serving it is 503 and passes; at the start it is said what is in the way."""
    home = stopped.home
    stopped.start()
    with database(home) as db:
        db.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        reply = home.request("POST", "/v1/devices", {"name": "x", "type": "t", "key": "ec-p256"})
        assert reply.status == 503 and time.monotonic() - began < 10
        assert int(reply.headers["Retry-After"]) > 0 and "another process" in reply.json["detail"]
        assert home.request("GET", "/v1/devices").status == 200
        db.execute("ROLLBACK")
    stopped.register("later")
    stopped.check()
    stopped.stop()
    with database(home) as db:
        db.execute("BEGIN IMMEDIATE")
        refuses(home, "another process is using the database")
    works_again(stopped)


def test_read_only(stopped):
    """I3"""
    path = stopped.home.dir / "muster.db"
    run(*ROOT, "mount", "--bind", path, path)
    try:
        run(*ROOT, "mount", "-o", "remount,bind,ro", path)
        refuses(stopped.home, r"muster\.db|the database cannot be written", "[Rr]ead-only|owner and mode")
    finally:
        run(*ROOT, "umount", path)
    works_again(stopped)


def test_newer(stopped):
    """I3"""
    with database(stopped.home) as db:
        db.execute(f"PRAGMA user_version = {NEWEST + 7}")
    refuses(stopped.home, f"schema {NEWEST + 7} and this program knows {NEWEST}.*restore a backup")
    with database(stopped.home) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (1,)
        db.execute(f"PRAGMA user_version = {NEWEST}")
    works_again(stopped)


def tables(db, schema):
    return {name for name, in db.execute(f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'table'")}


def downgrade(home):
    """As version 1 would have left it: its schema, and what that can hold of the rows."""
    path = home.dir / "muster.db"
    old, stat = path.with_suffix(".old"), path.stat()
    with database(home) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        application = db.execute("PRAGMA application_id").fetchone()[0]
    path.rename(old)
    with database(home) as db:
        db.execute(f"PRAGMA application_id = {application}")
        db.executescript(MIGRATIONS[0].read_text())
        db.execute("ATTACH ? AS old", (str(old),))
        for table in tables(db, "main") & tables(db, "old"):
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM old.{table}")
        db.execute("PRAGMA user_version = 1")
        db.execute("DETACH old")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old.unlink()
    (home.dir / "audit.key").unlink()
    os.chmod(path, stat.st_mode)
    os.chown(path, stat.st_uid, stat.st_gid)


def has_table(home):
    """Of the second version."""
    with database(home) as db:
        return "idempotency" in tables(db, "main")


def test_older(stopped):
    """I3"""
    downgrade(stopped.home)
    works_again(stopped)
    assert version(stopped.home) == NEWEST and has_table(stopped.home)


@pytest.mark.parametrize("call, when", [("fdatasync", 1), ("pwrite64", 1), ("pwrite64", 5), ("pwrite64", 8)])
def test_an_upgrade_killed_midway(stopped, call, when):
    """I14: all of it or nothing, and the next start goes on."""
    home = stopped.home
    downgrade(home)
    argv = ["strace", "-f", "-o", "/dev/null", "-P", home.dir / "muster.db-wal", "-e", f"trace={call}", "-e",
            f"inject={call}:signal=KILL:when={when}", MUSTER, "--dir", home.dir, "serve"]
    process = Process(argv)
    try:
        process.wait_line("api-process was ended by signal 9")
    finally:
        for pid in (home_supervisor(process), process.child.pid):
            if pid:
                os.kill(pid, 15)
        process.child.wait(20)
    assert 1 <= version(home) <= NEWEST
    assert has_table(home) == (version(home) > 1)
    works_again(stopped)
    assert version(home) == NEWEST and has_table(home)


def home_supervisor(process):
    """The service below strace."""
    from muster import children
    try:
        return next(iter(children(process.child.pid)), None)
    except OSError:
        return None
