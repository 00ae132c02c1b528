"""The feed that brokers follow: whole, in order, at once, and at the cost of nobody else."""

import http.client
import json
import socket
import ssl
import statistics
import sys
import threading
import time
from pathlib import Path

import muster
import pytest
from follower import Follower, Stale, read_lines, seed, stored

sys.path.append(str(Path(__file__).resolve().parents[1] / "fault"))
from load import Load, make_csrs  # noqa: E402

CHUNK = 256 * 1024


def broker_tls(home):
    return home.tls(home.dir / "broker/broker.crt", home.dir / "broker/broker.key")


@pytest.fixture
def follower(home):
    f = Follower(home, broker_tls(home))
    yield f
    f.close()


def register(home, **members):
    reply = home.request("POST", "/v1/devices", {"name": "feed", "type": "pump", "key": "ec-p256", **members})
    assert reply.status == 201, reply.body
    return reply.json


def rss_kib(home):
    return int(Path(f"/proc/{home.child('api')}/status").read_text().split("VmRSS:")[1].split()[0])


def established(home):
    """The clients' ports of the API's connections that its side has not closed, as the kernel has them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(r[2].split(":")[1], 16) for r in rows if int(r[1].split(":")[1], 16) == home.api_port and r[3] == "01"}


def until_it_waits():
    """There is no sign from outside that a request that was sent waits; what comes before that takes milliseconds."""
    time.sleep(0.1 * muster.PATIENCE)


def in_background(fn, *args):
    box = []
    thread = threading.Thread(target=lambda: box.extend((fn(*args), time.monotonic())), daemon=True)
    thread.start()
    return thread, box


def waiting(*followers):
    """Each asks in the background, and waits for its answer."""
    for f in followers:
        f.asked.clear()
    background = [in_background(f.follow, 30) for f in followers]
    for f in followers:
        assert f.asked.wait(30 * muster.PATIENCE)
    until_it_waits()
    return background


def test_a_snapshot_is_what_may_connect(home, follower):
    one, two = register(home), register(home)
    service = home.json("service", "add", "feed-snapshot", "--read", "plant/#")
    home.request("POST", f"/v1/devices/{two['id']}/suspend", {})
    follower.snapshot()
    assert (follower.seq, follower.policies, follower.owners) == stored(home)
    assert follower.owners[one["id"]][3] == {(one["certificate"]["fingerprint"], seconds_of(one["certificate"]["not_after"]))}
    assert service["id"] in follower.owners and two["id"] not in follower.owners


def seconds_of(text):
    return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)


def test_news_is_told_at_once(home, follower):
    """A long poll answers on a registration and on a revocation at once: about when they are acknowledged."""
    follower.snapshot()
    took = {"register": [], "revoke": []}
    for _ in range(10):
        for action in took:
            ((thread, box),) = waiting(follower)
            assert thread.is_alive()
            if action == "register":
                id = register(home)["id"]
            else:
                assert home.request("POST", f"/v1/devices/{id}/revoke", {}).status == 200
            acknowledged = time.monotonic()
            thread.join(10)
            took[action].append((box[1] - acknowledged) * 1000)
            (news,) = box[0]
            assert news["id"] == id and news["status"] == {"register": "active", "revoke": "revoked"}[action]
    for action, ms in took.items():
        print(f"{action}: told {statistics.median(ms):.1f} ms after its acknowledgement, at most {max(ms):.1f} ms")
        assert statistics.median(ms) < 150 * muster.PATIENCE


def test_without_news_the_answer_comes_in_time(home, follower):
    follower.snapshot()
    for wait_s, least, most in ((0, 0, 1), (2, 2, 4)):
        begun = time.monotonic()
        assert follower.follow(wait_s) == []
        assert least <= time.monotonic() - begun < most * muster.PATIENCE


def test_every_operation_is_told(home, follower):
    follower.snapshot()
    id = register(home)["id"]
    for method, path, body in [("PATCH", f"/v1/devices/{id}", {"type": "valve"}), ("POST", f"/v1/devices/{id}/suspend", {}),
                               ("POST", f"/v1/devices/{id}/resume", {}), ("POST", f"/v1/devices/{id}/package", {"key": "ec-p256"}),
                               ("PUT", "/v1/policies/feed-op", {"write": ["a/{id}"], "read": []}), ("DELETE", "/v1/policies/feed-op", None),
                               ("POST", f"/v1/devices/{id}/revoke", {}),
                               ("POST", "/v1/services", {"name": "feed-op", "read": ["x/#"], "key": "ec-p256"}),
                               ("POST", "/v1/services/feed-op/package", {"key": "ec-p256"}), ("POST", "/v1/services/feed-op/revoke", {})]:
        before = follower.seq
        reply = home.request(method, path, body)
        assert reply.status in (200, 201, 204), (path, reply.body)
        follower.follow()
        assert follower.seq > before, path
        assert (follower.seq, follower.policies, follower.owners) == stored(home), path


def test_who_needs_a_snapshot(home, follower):
    follower.snapshot()
    last = follower.seq
    for epoch, seq in (("0" * 32, last), ("", last), (follower.epoch.upper(), last), (follower.epoch, last + 1),
                       (follower.epoch, 10 ** 18 - 1)):
        other = Follower(home, follower.tls)
        other.epoch, other.seq = epoch, seq
        with pytest.raises(Stale):
            other.follow(wait_s=20)
        other.close()


def test_what_is_no_question(home, follower):
    """A5, A6 on the feed's parameters."""
    follower.snapshot()
    good = f"epoch={follower.epoch}&after=0"
    for query in ("", f"epoch={follower.epoch}", "after=0", f"epoch={follower.epoch}&after=", f"epoch={follower.epoch}&after=-1",
                  f"epoch={follower.epoch}&after=1e1", f"epoch={follower.epoch}&after=1000000000000000000", f"{good}&wait_s=31",
                  f"{good}&wait_s=-1", f"{good}&more=1", f"{good}&after=1"):
        response = follower.get(f"/v1/feed?{query}")
        body = json.loads(response.read())
        assert response.status == 400 and body["errors"], query
    response = follower.get("/v1/feed/snapshot?after=1")
    assert response.status == 400 and response.read()


@pytest.mark.heavy
def test_pruned(fresh):
    home = fresh(settings={"feed.keep": "1s", "feed.keep_changes": "2"}).start()
    follower = Follower(home, broker_tls(home)).snapshot()
    for _ in range(4):
        register(home)
    muster.wait_for(lambda: home.cli("--json", "device", "list") and rows(home) == 2, 30, "pruning")
    with pytest.raises(Stale, match="gone"):
        follower.follow()
    follower.seq = 2
    assert len(follower.follow()) == 2
    follower.snapshot()
    register(home)
    follower.follow()
    assert follower.seq == 5 and (follower.seq, follower.policies, follower.owners) == stored(home)
    follower.close()


def rows(home):
    return int(muster.run("sqlite3", f"file:{home.dir}/muster.db?mode=ro", "SELECT count(*) FROM change").stdout)


def test_who_may_follow(home):
    """H1 the feed is the brokers' and the admin's: nobody else's credentials open it."""
    device = muster.open_package(home, register(home))
    service = muster.open_package(home, home.json("service", "add", "feed-nobody", "--read", "x/#", "--key", "ec-p256"))
    for path in ("/v1/feed/snapshot", f"/v1/feed?epoch={'0' * 32}&after=0"):
        assert home.request("GET", path, token=None).status == 401
        assert home.request("GET", path, token="muster_" + "x" * 43).status == 401
        for c, status in ((device, 403), (service, 401)):  # a device is known, as one who renews its certificate
            tls = home.tls(c.dir / "device.crt", c.dir / "device.key")
            assert home.request("GET", path, token=None, tls=tls).status == status
        assert home.request("GET", path).status in (200, 409)  # the first operator is admin
        assert home.request("POST", path, {}).status == 405
        plain = http.client.HTTPConnection("127.0.0.1", home.pki_port, timeout=10)
        plain.request("GET", path)
        assert plain.getresponse().status == 404
        plain.close()
    tls = broker_tls(home)
    for path in ("/v1/devices", "/v1/audit", "/v1/services", "/v1/policies", "/v1/ca"):
        assert home.request("GET", path, token=None, tls=tls).status == 403
    assert home.request("POST", "/v1/devices", {"name": "x", "type": "t"}, token=None, tls=tls).status == 403


def test_followers_converge_under_load(fresh):
    """Several followers, one of whom starts anew again and again, and clients that do everything at once: in the end all
    have what the store has, and no change was missing or twice."""
    home = fresh().start()
    load = Load(home, make_csrs(home, 40), threads=4)
    tls = broker_tls(home)
    followers = [Follower(home, tls).snapshot() for _ in range(3)]
    restless = Follower(home, tls).snapshot()
    over = threading.Event()
    failures = []

    def run(f, again):
        try:
            while not over.is_set():
                f.follow(wait_s=1)
                if again:
                    f.snapshot()
        except BaseException as e:  # noqa: B902
            failures.append(e)

    threads = [threading.Thread(target=run, args=(f, f is restless)) for f in (*followers, restless)]
    load.start()
    for t in threads:
        t.start()
    muster.wait_for(lambda: failures or (rows(home) > 100 and restless.snapshots > 5), 120, "a hundred changes")
    load.stop()
    over.set()
    for t in threads:
        t.join(60)
    assert not failures and not load.errors, (failures, load.errors)
    seq, policies, owners = stored(home)
    for f in (*followers, restless, Follower(home, tls).snapshot()):
        f.catch_up(seq)
        assert (f.seq, f.policies, f.owners) == (seq, policies, owners)
        f.close()
    print(f"{seq} changes, {restless.snapshots} snapshots, {len(owners)} active")


def test_an_epoch_outlives_a_restart(fresh):
    home = fresh().start()
    follower = Follower(home, broker_tls(home)).snapshot()
    register(home)
    home.stop()
    home.start()
    follower.close()
    assert len(follower.follow()) == 1
    follower.close()


def test_waiting_takes_no_worker(fresh):
    """100 followers wait while there are 4 workers: others are served as ever, and one revocation reaches all of them."""
    home = fresh(settings={"server.workers": "4"}).start()
    id = register(home)["id"]
    tls = broker_tls(home)
    followers = [Follower(home, tls) for _ in range(100)]
    first = followers[0].snapshot()
    for f in followers:
        f.epoch, f.seq = first.epoch, first.seq
    there = waiting(*followers)
    assert all(t.is_alive() for t, _ in there)
    for _ in range(20):
        begun = time.monotonic()
        assert home.request("GET", "/v1/devices").status == 200
        assert time.monotonic() - begun < 1 * muster.PATIENCE
    assert home.request("POST", f"/v1/devices/{id}/revoke", {}).status == 200
    acknowledged = time.monotonic()
    for t, _ in there:
        t.join(20)
    assert all([o["id"] for o in box[0]] == [id] for _, box in there)
    print(f"the last of 100 was told {(max(box[1] for _, box in there) - acknowledged) * 1000:.0f} ms after the acknowledgement")
    for f in followers:
        f.close()


def test_a_stop_does_not_wait_for_those_who_wait(fresh):
    home = fresh().start()
    follower = Follower(home, broker_tls(home)).snapshot()
    ((thread, box),) = waiting(follower)
    begun = time.monotonic()
    assert home.stop() == 0
    assert time.monotonic() - begun < 8 * muster.PATIENCE
    thread.join(5)
    assert box[0] == []  # answered, not cut
    follower.close()


@pytest.mark.needs_root
def test_those_who_leave_leave_nothing(home, follower):
    """A13 a follower that goes while it waits."""
    follower.snapshot()
    fds = Path(f"/proc/{home.child('api')}/fd")
    before = len(list(fds.iterdir()))
    for _ in range(3):
        gone = [raw(home, f"/v1/feed?epoch={follower.epoch}&after={follower.seq}&wait_s=30") for _ in range(20)]
        until_it_waits()
        for s in gone:
            s.close()
    muster.wait_for(lambda: len(list(fds.iterdir())) <= before + 2, 10, "the connections' end")
    register(home)  # wakes nobody who is gone
    assert len(follower.follow()) == 1


def test_head(home, follower):
    follower.snapshot()
    for path in ("/v1/feed/snapshot", f"/v1/feed?epoch={follower.epoch}&after={follower.seq}&wait_s=1"):
        assert home.request("HEAD", path, token=None, tls=follower.tls).status == 200


def raw(home, path, minor=1, receive_buffer=None):
    """A connection on which PATH was asked for and nothing read."""
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect(("localhost", home.api_port))
    s = broker_tls(home).wrap_socket(s, server_hostname="localhost")
    s.settimeout(60 * muster.PATIENCE)
    s.sendall(f"GET {path} HTTP/1.{minor}\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".encode())
    return s


def read_to_end(s, pause=0.0, step=1 << 16):
    """Everything until the other end closes, or the body's last chunk."""
    data = bytearray()
    try:
        while not data.endswith(b"\r\n0\r\n\r\n"):
            piece = s.recv(step)
            if not piece:
                break
            data += piece
            if pause:
                time.sleep(pause)
    except (ssl.SSLError, OSError):
        pass
    return bytes(data)


@pytest.fixture(scope="module")
def large():
    """A server with 40,000 devices: a snapshot of about 10 MB, in many parts."""
    home = muster.Home(settings={"limits.request_timeout": "3s", "feed.keep": "1d"})
    home.ids = seed(home, 40_000)
    home.start()
    yield home
    home.close()


def test_a_large_snapshot_is_whole(large):
    follower = Follower(large, broker_tls(large)).snapshot()
    assert sorted(follower.owners) == large.ids
    assert (follower.seq, follower.policies, follower.owners) == stored(large)
    # The connection goes on.
    id = register(large)["id"]
    assert [o["id"] for o in follower.follow()] == [id]
    large.request("POST", f"/v1/devices/{id}/revoke", {})
    follower.close()


def test_http_1_0_gets_it_to_the_end_of_the_connection(large):
    s = raw(large, "/v1/feed/snapshot", minor=0)
    head, body = read_to_end(s).split(b"\r\n\r\n", 1)
    assert b"Transfer-Encoding" not in head and b"Content-Length" not in head
    _, objects = read_lines(body.splitlines(), "snapshot")
    assert len(objects) > 40_000
    s.close()


def test_head_of_a_large_one(large):
    s = raw(large, "/v1/feed/snapshot")
    s.close()
    connection = http.client.HTTPSConnection("localhost", large.api_port, context=broker_tls(large), timeout=30)
    for _ in range(2):
        connection.request("HEAD", "/v1/feed/snapshot")
        response = connection.getresponse()
        assert response.status == 200 and response.read() == b""
    connection.close()


@pytest.mark.heavy
def test_slow_readers_take_no_memory(large):
    """A10 twenty who read nothing of a snapshot of 10 MB hold parts of it, not all; they are cut at their deadline, and
    others are served meanwhile."""
    # Each of the store's readers has its cache then.
    for thread, _ in [in_background(read_to_end, raw(large, "/v1/feed/snapshot")) for _ in range(16)]:
        thread.join(60)
    before = rss_kib(large)
    slow = [raw(large, "/v1/feed/snapshot", receive_buffer=4096) for _ in range(20)]
    most = 0
    for _ in range(20):
        time.sleep(0.1)
        most = max(most, rss_kib(large) - before)
        assert large.request("GET", "/v1/devices?limit=1").status == 200
    print(f"20 slow readers: {most} KiB more")
    assert muster.SANDBOX == "off" or most < 16 * 1024  # a sanitizer keeps everything
    # Cut: whatever comes, its end does not.
    ports = {s.getsockname()[1] for s in slow}
    muster.wait_for(lambda: not ports & established(large), 10, "their end")
    for s in slow:
        body = read_to_end(s)
        assert b'"kind":"end"' not in body
        s.close()


def test_a_long_transfer_is_not_cut(large):
    """One that takes longer than limits.request_timeout in all, because its reader is slow, and goes on all the time."""
    s = raw(large, "/v1/feed/snapshot", receive_buffer=65536)
    begun = time.monotonic()
    body = read_to_end(s, pause=0.01, step=1 << 14)
    took = time.monotonic() - begun
    assert took > 3.5, took
    assert body.endswith(b"\r\n0\r\n\r\n") and b'{"kind":"end","count":' in body[-200:]
    s.close()


@pytest.mark.needs_root
def test_leaving_in_the_middle(large):
    """A13 a follower that goes in the middle of a snapshot, again and again."""
    fds = Path(f"/proc/{large.child('api')}/fd")
    before = len(list(fds.iterdir()))
    for i in range(30):
        s = raw(large, "/v1/feed/snapshot")
        for _ in range(i % 5):
            s.recv(1 << 16)
        if i % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    muster.wait_for(lambda: len(list(fds.iterdir())) <= before + 2, 20, "the connections' end")
    assert len(Follower(large, broker_tls(large)).snapshot().owners) >= 40_000


def test_a_stop_in_the_middle_cuts(fresh):
    home = fresh()
    seed(home, 20_000)
    home.start()
    s = raw(home, "/v1/feed/snapshot", receive_buffer=4096)
    time.sleep(0.5)
    begun = time.monotonic()
    assert home.stop() == 0
    assert time.monotonic() - begun < 15 * muster.PATIENCE
    assert b'"kind":"end"' not in read_to_end(s)
    s.close()


@pytest.mark.long
def test_a_million_devices(fresh):
    """I12 for the feed: time and memory of a snapshot of 1,000,000 devices, which is whole, and what others notice."""
    home = fresh()
    seed(home, 1_000_000)
    home.start()
    follower = Follower(home, broker_tls(home))
    before, most, counted, longest = rss_kib(home), 0, 0, 0
    begun = time.monotonic()
    response = follower.get("/v1/feed/snapshot")
    first = json.loads(response.readline())
    while line := response.readline():
        counted += 1
        last = line
        if counted % 20_000 == 0:
            most = max(most, rss_kib(home))
            at = time.monotonic()
            assert home.request("GET", "/v1/devices?limit=1").status == 200
            longest = max(longest, time.monotonic() - at)
    took = time.monotonic() - begun
    print(f"snapshot of 1,000,000: {took:.1f} s, api {before} KiB before and {most} KiB at most; "
          f"a list page meanwhile took at most {longest * 1000:.0f} ms")
    assert json.loads(last) == {"kind": "end", "count": counted - 1}
    assert counted > 1_000_000 and most < 128 * 1024
    id = register(home)["id"]
    follower.epoch, follower.seq = first["epoch"], first["seq"]
    assert [o["id"] for o in follower.follow()] == [id]
    follower.close()
