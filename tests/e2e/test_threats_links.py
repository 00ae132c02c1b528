"""Group E of the list of threats: packages and their links."""

import os
import re
import select
import signal
import socket
import statistics
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import muster
import pytest

BODY = {"name": "linked", "type": "pump", "key": "ec-p256"}
NO_LIMITS = {"limits.auth_failures_per_min": "0", "limits.auth_failures_all_per_min": "0",
             "limits.links_per_min": "0", "limits.links_all_per_min": "0"}


def register(home, **extra):
    reply = home.request("POST", "/v1/devices", {**BODY, **extra})
    assert reply.status == 201, reply.body
    return reply.json


def token_of(made):
    return made["package"]["url"].rsplit("/", 1)[1]


def path_of(made):
    return "/d/" + token_of(made)


def audited(home, made, *actions):
    """How often each of these happened to the device."""
    target = f"device:{made['id']}"
    items = [i for i in home.json("audit", "list", "--all")["items"] if i["target"] == target]
    return [sum(i["action"] == action for i in items) for action in actions]


# ---- E1 ------------------------------------------------------------------------------------------------------------

def test_e1_guesses_are_throttled(fresh):
    """E1"""
    home = fresh(settings={"limits.auth_failures_per_min": "10"}).start()
    made = register(home)
    guesses = [f"/d/{chr(65 + i % 26)}{token_of(made)[1:]}" for i in range(40)]
    statuses = [home.request("POST" if i % 2 else "GET", g, token=None).status
                for i, g in enumerate(guesses) if g != path_of(made)]
    assert statuses[:10] == [404] * 10 and set(statuses[10:]) == {429}
    # Who guesses gets nothing any more, not even with the right one; the link itself is as it was.
    assert home.request("POST", path_of(made), token=None).status == 429
    assert audited(home, made, "package.deliver") == [0]
    assert home.json("device", "show", made["id"])["status"] == "active"


def test_e1_time_tells_nothing(fresh):
    """E1: Unknown, nearly right, used and malformed tokens take the same time, on one connection, in turns."""
    home = fresh(settings=NO_LIMITS).start()
    used, waiting = register(home), register(home)
    assert home.request("POST", path_of(used), token=None).status == 200
    right = token_of(waiting)
    flipped = "A" if right[-1] != "A" else "E"
    kinds = {"unknown": "A" * 43, "last letter wrong": right[:-1] + flipped,
             "first letter wrong": ("A" if right[0] != "A" else "B") + right[1:], "used": token_of(used),
             "malformed": "%25" * 14 + "x"}
    times = {kind: [] for kind in kinds}
    with home.tls().wrap_socket(socket.create_connection(("localhost", home.api_port)),
                                server_hostname="localhost") as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for round_ in range(320):
            for kind, token in kinds.items():
                begun = time.perf_counter()
                s.sendall(f"GET /d/{token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                answer = read_answer(s)
                if round_ >= 20:  # the first ones warm up, and have an audit row
                    times[kind].append(time.perf_counter() - begun)
                assert answer.split()[1] == (b"410" if kind == "used" else b"404")
    medians = {kind: statistics.median(t) for kind, t in times.items()}
    # Far below what a scan or a comparison byte by byte against many would show, far above the noise of a busy machine.
    margin = max(0.5e-3, 0.5 * min(medians.values()))
    assert max(medians.values()) - min(medians.values()) < margin, medians


def read_answer(s):
    """One whole answer with a Content-Length."""
    data, end, length = b"", -1, 0
    while end < 0 or len(data) < end + 4 + length:
        more = s.recv(65536)
        assert more, data
        data += more
        if end < 0 and (end := data.find(b"\r\n\r\n")) >= 0:
            length = int(re.search(rb"(?i)content-length: (\d+)", data[:end])[1])
    assert len(data) == end + 4 + length
    return data


# ---- E2, E3, E4, E5 --------------------------------------------------------------------------------------------------

def test_e2_replay(home):
    """E2"""
    made = register(home)
    assert home.request("POST", path_of(made), token=None).status == 200
    for method in ("POST", "GET", "HEAD", "POST"):
        reply = home.request(method, path_of(made), token=None)
        assert reply.status == 410 and b"PK" not in reply.body
    assert audited(home, made, "package.deliver") == [1]


def test_e3_a_hundred_at_once(home):
    """E3: Each with a connection of its own that is ready before any of them asks."""
    made = register(home)
    request = f"POST {path_of(made)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    sockets = [home.tls().wrap_socket(socket.create_connection(("localhost", home.api_port)),
                                      server_hostname="localhost") for _ in range(100)]
    answers, barrier = [], threading.Barrier(100)

    def redeem(s):
        barrier.wait()
        s.sendall(request)
        answers.append(read_answer(s))

    threads = [threading.Thread(target=redeem, args=(s,)) for s in sockets]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for s in sockets:
        s.close()
    assert sorted(a.split()[1] for a in answers) == [b"200"] + [b"410"] * 99
    assert sum(b"PK\3\4" in a for a in answers) == 1
    assert audited(home, made, "package.deliver") == [1]


PREVIEWS = ["WhatsApp/2.23.20.0", "TelegramBot (like TwitterBot)", "Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1",
            "Mozilla/5.0 (compatible; SkypeUriPreview Preview/0.5)", "Mozilla/5.0 Microsoft Teams"]


def test_e4_looking_consumes_nothing(home):
    """E4"""
    made = register(home)
    for agent in PREVIEWS:
        for method in ("GET", "HEAD"):
            for accept in ("text/html", "*/*", "application/zip", "image/*"):
                reply = home.request(method, path_of(made), token=None,
                                     headers={"User-Agent": agent, "Accept": accept, "Range": "bytes=0-65535"})
                assert reply.status == 200 and b"PK\3\4" not in reply.body
                assert reply.headers["Content-Type"].startswith("text/html")
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
        assert home.request(method, path_of(made), token=None).status == 405
    assert audited(home, made, "package.deliver") == [0]
    assert home.request("POST", path_of(made), token=None).status == 200


@pytest.mark.parametrize("ranges", ["bytes=0-0", "bytes=100-", "bytes=-5", "bytes=0-1,5-9", "bytes=9999999-", "lines=1-2"])
def test_e5_a_range_gives_the_whole(home, ranges):
    """E5"""
    made = register(home)
    reply = home.request("POST", path_of(made), token=None, headers={"Range": ranges, "If-Range": '"x"'})
    assert reply.status == 200
    assert "Content-Range" not in reply.headers and "Accept-Ranges" not in reply.headers
    assert reply.headers["Content-Length"] == str(len(reply.body))
    archive = home.base / "range.zip"
    archive.write_bytes(reply.body)
    muster.run("7z", "t", f"-p{made['package']['password']}", archive)


# ---- E6 --------------------------------------------------------------------------------------------------------------

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset


class Cutter:
    """A relay that passes on the first K bytes of what the server sends after arm(), and then resets both sides; or as
    soon as the client does."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = socket.create_connection(("127.0.0.1", port))
        self.left = 1 << 30
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def arm(self, k):
        self.left = k

    def step(self):
        """Pass on what there is; false at the end."""
        ready, _, _ = select.select([self.client, self.server], [], [])
        if self.client in ready:
            data = self.client.recv(65536)
            self.server.sendall(data)
            return data != b""
        left = self.left
        data = self.server.recv(min(65536, left)) if left > 0 else b""
        self.left = left - len(data)  # before the client has it, and may arm
        self.client.sendall(data)
        return data != b"" and left > len(data)

    def run(self):
        self.client, _ = self.listener.accept()
        self.listener.close()
        try:
            while self.step():
                pass
        except OSError:
            pass
        for s in (self.client, self.server):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            s.close()


def deliver_cut(home, made, k):
    """What came before the connection was reset at byte K of what TLS carries of a delivery; None: behind the last."""
    cutter = Cutter(home.api_port)
    with home.tls().wrap_socket(socket.create_connection(("127.0.0.1", cutter.port)),
                                server_hostname="localhost") as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_answer(s)  # whatever TLS has to say first is said
        if k is not None:
            cutter.arm(k)
        s.sendall(f"POST {path_of(made)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        got = b""
        try:
            if k is None:
                got = read_answer(s)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            while k is not None and (data := s.recv(65536)):
                got += data
        except OSError:
            pass
    cutter.thread.join()
    return got


@pytest.mark.parametrize("k", [0, 1, 5, 100, 1000, 3000, 4000, None])
def test_e6_cut_at_byte_k(home, k):
    """E6: Used up, audited as incomplete, nothing to be had by asking again; a new one can be issued. After the last byte,
    too: nobody can know that it arrived."""
    made = register(home)
    got = deliver_cut(home, made, k)
    assert b"PK\3\4" in got if k is None else len(got) < k + 1
    muster.wait_for(lambda: audited(home, made, "package.deliver", "package.incomplete") == [1, 1], 10,
                    "the audit of a delivery that was cut")
    for method in ("GET", "POST"):
        assert home.request(method, path_of(made), token=None).status == 410
    again = home.json("device", "package", made["id"])
    assert home.request("POST", path_of(again), token=None).status == 200


def test_e6_what_arrives_is_not_called_incomplete(home):
    """E6: However the client goes: it closes, asks for something else first, or leaves the connection open."""
    makes = [register(home) for _ in range(4)]
    home.cli("package", "fetch", makes[0]["package"]["url"], "-o", home.base / "whole.zip")
    muster.run("curl", "-sS", "--fail", "--cacert", home.dir / "ca/root.crt", "-X", "POST", "-o", home.base / "c.zip",
               makes[1]["package"]["url"])
    assert home.request("POST", path_of(makes[2]), token=None, headers={"Connection": "close"}).status == 200
    with home.tls().wrap_socket(socket.create_connection(("localhost", home.api_port)),
                                server_hostname="localhost") as s:
        s.sendall(f"POST {path_of(makes[3])} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        assert b"PK\3\4" in read_answer(s)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(s).split()[1] == b"200"
    time.sleep(0.5)
    for made in makes:
        assert audited(home, made, "package.deliver", "package.incomplete") == [1, 0]


# ---- E7, E8 ----------------------------------------------------------------------------------------------------------

def test_e7_secrets_are_nowhere(fresh):
    """E7: In no log with --debug, no audit row, no page and no header, whatever became of the link."""
    home = fresh().start("--debug")
    makes = [register(home) for _ in range(4)]
    pages = []
    for made in makes[:2]:
        pages.append(home.request("GET", path_of(made), token=None, headers={"Accept": "text/html"}))
    assert home.request("POST", path_of(makes[0]), token=None).status == 200
    pages.append(home.request("POST", path_of(makes[0]), token=None, headers={"Accept": "text/html"}))
    pages.append(home.request("GET", path_of(makes[0]) + "x", token=None, headers={"Accept": "text/html"}))
    pages.append(home.request("PUT", path_of(makes[1]), token=None))
    pages.append(home.request("GET", path_of(makes[1]) + "?a=%zz", token=None))
    pages.append(home.request("GET", path_of(makes[1]) + "/../" + token_of(makes[1]), token=None))
    deliver_cut(home, makes[1], 10)
    home.cli("device", "revoke", makes[2]["id"])
    home.cli("package", "fetch", makes[3]["package"]["url"], "-o", home.base / "e7.zip")
    audit = home.cli("--json", "audit", "list", "--all").stdout.decode()
    server = home.process
    assert home.stop() == 0
    log = "\n".join(server.lines)
    assert "/d/{token}" in log
    for made in makes:
        for secret in (token_of(made), made["package"]["password"]):
            assert secret not in log and secret not in audit
            for page in pages:
                assert secret.encode() not in page.body and secret not in str(page.headers)
    assert home.token not in log and home.token not in audit
    for page in pages:
        assert page.headers["Referrer-Policy"] == "no-referrer"


def test_e8_headers(home):
    """E8"""
    made = register(home)
    replies = [home.request(method, path_of(made), token=None, headers={"Accept": accept})
               for method, accept in (("GET", "text/html"), ("HEAD", "*/*"), ("POST", "*/*"), ("GET", "text/html"),
                                      ("GET", "application/json"), ("POST", "text/html"))]
    assert [r.status for r in replies] == [200, 200, 200, 410, 410, 410]
    for reply in replies:
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "script-src" not in policy
        assert reply.headers["Strict-Transport-Security"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in reply.headers
    assert replies[2].headers["Content-Disposition"].startswith("attachment")


# ---- E9, E10, E11 ----------------------------------------------------------------------------------------------------

def temporary_files():
    """Whatever of ours lies in the places for temporary files, but for a fuzzer's that runs beside."""
    return {p for place in ("/tmp", "/var/tmp", "/dev/shm") for p in Path(place).glob("muster*")
            if p.is_file() and not p.name.startswith("muster-fuzz-")}


def raw_files(home):
    """Every file of the home, and temporary ones."""
    found = [p for p in home.dir.rglob("*") if p.is_file()] + list(temporary_files())
    for pid in muster.children(home.process.child.pid):  # also those that have no name any more
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if fd.readlink().as_posix().endswith(" (deleted)"):
                    found.append(fd)
            except OSError:
                pass
    return found


def windows(data):
    """Pieces of 32 bytes, for whole pages may go and parts of them stay; but none of what every archive has, names and
    lengths: only where it looks random."""
    pieces = {data[i:i + 32] for i in range(0, len(data) - 31, 16)}
    return {p for p in pieces if len(set(p)) > 24}


def find(home, needles, without=()):
    """The files that hold one of NEEDLES, which grep takes as lines: so none with a line's end."""
    files = [p for p in raw_files(home) if p.name not in without]
    lines = b"\n".join(n for n in needles if b"\n" not in n)
    found = muster.run("grep", "-laFf", "-", *files, check=False, input=lines, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    return found.stdout.decode().splitlines()


@pytest.mark.needs_root
def test_e9_nothing_remains_of_what_was_delivered(fresh):
    """E9"""
    home = fresh().start()
    makes = [register(home, key=key) for key in ("ec-p256", "rsa-2048", "ec-p256")]
    last = register(home)  # and one that stays, in pages that were used before
    bodies = [home.request("POST", path_of(made), token=None).body for made in makes]
    assert all(body[:4] == b"PK\3\4" for body in bodies)
    needles = set().union(*(windows(body) for body in bodies))
    for made, body in zip(makes, bodies):
        archive = home.base / f"{made['id']}.zip"
        archive.write_bytes(body)
        key = muster.run("7z", "x", f"-p{made['package']['password']}", "-so", archive, "device.key").stdout
        assert b"PRIVATE KEY" in key
        needles |= {line for line in key.splitlines() if len(line) > 20 and b"-----" not in line}
        archive.unlink()
        needles |= {token_of(made).encode(), made["package"]["password"].encode()}
    muster.wait_for(lambda: not find(home, needles), 15, "the end of every byte of the archives")
    # The search itself finds what is there.
    waiting = home.request("GET", path_of(last), token=None)
    assert waiting.status == 200
    assert find(home, [b"device.key"])
    assert home.stop() == 0
    home.start()
    assert not find(home, needles)
    body = home.request("POST", path_of(last), token=None).body
    muster.wait_for(lambda: not find(home, windows(body) | {b"device.key"}), 15, "the end of the last archive")


@pytest.mark.needs_root
@pytest.mark.parametrize("how", ["revoke", "package"])
def test_e9_nothing_remains_of_what_was_withdrawn(fresh, how):
    """E9"""
    home = fresh().start()
    made = register(home)
    assert find(home, [b"device.key"])
    again = home.json("device", how, made["id"])
    if how == "package":
        assert home.request("POST", path_of(again), token=None).status == 200
    muster.wait_for(lambda: not find(home, [b"device.key"]), 15, "the end of the withdrawn archive")


@pytest.mark.needs_root
def test_e10_a_crash_while_building_leaves_nothing(fresh):
    """E10: The api dies again and again amid registrations. Afterwards there are no more archives than devices, no key and
    no temporary file; and when those devices are withdrawn, nothing at all."""
    home = fresh().start()
    stop, acknowledged = threading.Event(), []

    def client():
        while not stop.is_set():
            try:
                reply = home.request("POST", "/v1/devices", BODY)
            except OSError:
                time.sleep(0.02)
                continue
            if reply.status == 201:
                acknowledged.append(reply.json)

    before = temporary_files()
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(4):  # one more, and the supervisor gives up
            done = len(acknowledged)
            muster.wait_for(lambda: len(acknowledged) > done + 5, 20, "registrations between two deaths")
            os.kill(home.child("api"), signal.SIGKILL)
        done = len(acknowledged)
        muster.wait_for(lambda: len(acknowledged) > done, 20, "registrations after the last death")
    finally:
        stop.set()
        for t in threads:
            t.join()
    # What was acknowledged last may be older than the last death.
    muster.wait_for(lambda: home.cli("device", "list", check=False).returncode == 0, 20, "the api after the last death")
    devices = home.json("device", "list", "--all")["items"]
    assert {made["id"] for made in acknowledged} <= {d["id"] for d in devices}
    # Keys of this home's own are PEM, too; those are not in these files.
    assert not find(home, [b"PRIVATE KEY"], without=OWN_KEYS)
    assert temporary_files() - before == set()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda d: home.request("POST", f"/v1/devices/{d['id']}/revoke", {}).status,
                            devices)) == {200}
    muster.wait_for(lambda: not find(home, [b"device.key"]), 20, "the end of every archive")


OWN_KEYS = ("root.key", "issuing.key", "server.key", "broker.key")


@pytest.mark.needs_root
def test_e11_an_expired_link(fresh):
    """E11"""
    home = fresh().start()
    made = register(home, link_ttl_s=1)
    muster.wait_for(lambda: home.request("GET", path_of(made), token=None).status == 410, 5, "the end of the link")
    for method in ("POST", "GET", "HEAD"):
        assert home.request(method, path_of(made), token=None).status == 410
    assert audited(home, made, "package.deliver") == [0]
    muster.wait_for(lambda: not find(home, [b"device.key"]), 30, "the end of the expired archive")
    again = home.json("device", "package", made["id"])
    assert home.request("POST", path_of(again), token=None).status == 200
