"""Structured logs: requests' ids and traces, a line for each request, and that nothing from outside forges either (B7)."""

import base64
import json
import re
import signal

import muster
import pytest
from test_threats_b import HOSTILE, TERMINAL
from threats import Wire, served

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module", params=["json", "text"])
def logged(request):
    with served(muster.Home(settings={"log.format": request.param, "log.requests": "on", "limits.auth_failures_per_min": "0"})) as h:
        h.format = request.param
        yield h


def read(home, line):
    """A line of either format as its members."""
    if home.format == "json":
        return json.loads(line)
    at = re.fullmatch(r"(?P<time>\S+) (?P<level>\w+) (?P<process>\w+): (\[(?P<request_id>\w+)( trace (?P<trace_id>\w+))?\] )?(?P<message>.*)", line)
    members = {k: v for k, v in at.groupdict().items() if v is not None}
    if members["message"].startswith("request "):
        members.update(part.split("=", 1) for part in members["message"].split(" ")[1:])
        members.update(message="request", status=int(members["status"]), duration_ms=int(members["duration_ms"]))
    return members


def lines_of(home, request_id, seconds=5):
    """Those about a request, as soon as the one is there that says how it ended."""
    def find():
        lines = [read(home, line) for line in list(home.process.lines) if request_id in line]
        return [m for m in lines if m["message"] == "request"] and lines
    return muster.wait_for(find, seconds, f"the line of request {request_id}")


def ended(home, reply):
    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["X-Request-Id"])
    (line,) = [m for m in lines_of(home, reply.headers["X-Request-Id"]) if m["message"] == "request"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line.pop("time"))
    assert (line.pop("level"), line.pop("process"), line.pop("message")) == ("info", "api", "request")
    assert 0 <= line.pop("duration_ms") < 30000
    assert line.pop("request_id") == reply.headers["X-Request-Id"]
    return line


def test_a_line_for_each_request(logged):
    made = logged.request("POST", "/v1/devices", {"name": "Pump 7", "type": "pump", "key": "ec-p256"})
    assert ended(logged, made) == {
        "method": "POST", "route": "/v1/devices", "status": 201, "caller": "operator:admin", "address": "127.0.0.1"}
    shown = logged.request("GET", f"/v1/devices/{made.json['id']}?x=1")
    assert shown.json["instance"] == shown.headers["X-Request-Id"]
    assert ended(logged, shown) == {
        "method": "GET", "route": "/v1/devices/{id}", "status": 400, "caller": "operator:admin", "address": "127.0.0.1"}
    assert ended(logged, logged.request("GET", "/nothing/here", token=None)) == {
        "method": "GET", "route": "-", "status": 404, "caller": "-", "address": "127.0.0.1"}
    # A link's path is its secret.
    path = "/d/" + made.json["package"]["url"].rsplit("/", 1)[1]
    assert ended(logged, logged.request("GET", path, token=None))["route"] == "/d/{token}"
    text = "\n".join(logged.process.lines)
    for secret in (path[3:], made.json["package"]["password"], logged.token):
        assert secret not in text


def test_the_audit_names_the_request(logged):
    """By which its lines are found, and the other way round."""
    made = logged.request("POST", "/v1/devices", {"name": "n", "type": "t", "key": "ec-p256"})
    row = next(r for r in logged.json("audit", "list", "--all")["items"] if r["target"] == f"device:{made.json['id']}")
    assert row["detail"]["request"] == made.headers["X-Request-Id"]
    assert ended(logged, made)["status"] == 201


def test_a_trace_is_carried_through(logged):
    first, second = (logged.request("GET", "/v1/devices", headers={"traceparent": PARENT}) for _ in range(2))
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert [ended(logged, r)["trace_id"] for r in (first, second)] == [TRACE, TRACE]
    assert "trace_id" not in ended(logged, logged.request("GET", "/v1/devices"))


@pytest.mark.parametrize("value", [
    "", "00", PARENT + "x", PARENT.upper(), f"ff{PARENT[2:]}", PARENT.replace(TRACE, "0" * 32), PARENT * 100, PARENT + ", " + PARENT,
    "00-<script>alert(1)</script>00000000-00f067aa0ba902b7-01", "\x1b[31m", "\u202e", "\xff", '","level":"debug'])
def test_b7_what_is_no_trace_is_ignored(logged, value):
    """B7: and comes back nowhere."""
    with Wire(logged) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\ntraceparent: " + value.encode() + b"\r\n\r\n")
        reply = wire.reply()
    assert reply.status == (400 if "\x1b" in value else 200)  # which no header may have
    if len(value) > 8:
        assert value.encode() not in reply.body and value not in str(reply.headers)
    assert "trace_id" not in ended(logged, reply)


def test_b7_two_traces_are_none(logged):
    """B7"""
    with Wire(logged) as wire:
        wire.send(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\ntraceparent: {PARENT}\r\nTraceParent: {PARENT}\r\n\r\n".encode())
        assert "trace_id" not in ended(logged, wire.reply())


def test_b7_no_line_is_forged(logged):
    """B7: in either format each line stays one, and has no members but its own, whatever stands in paths, headers and bodies."""
    for text in [*TERMINAL[2::3], "a\nb", '"', "\\", '","level":"debug']:
        raw = text.encode()
        quoted = "".join(f"%{b:02x}" for b in raw)
        for path in (f"/{quoted}", f"/v1/devices/{quoted}", f"/v1/devices?{quoted}=1"):
            logged.request("GET", path)
        for header in (b"Authorization", b"X-Forwarded-For", b"traceparent", b"Muster-Tenant"):
            with Wire(logged) as wire:
                wire.send(b"POST /v1/devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n" + header + b": " + raw + b"\r\n\r\n{}")
                wire.reply()
        logged.request("POST", "/v1/devices", {"name": text, "type": text})
    with Wire(logged) as wire:  # what is no request at all
        wire.send("\x1b[31m\u202eGET / HTTP/1.1\r\n".encode())
        wire.reply()
    ended(logged, logged.request("GET", "/healthz"))
    members = {"time", "level", "process", "message", "request_id", "trace_id", "method", "route", "status", "duration_ms", "caller",
               "address", "cut"}
    lines = list(logged.process.lines)
    assert len(lines) > 60
    for line in lines:
        assert not HOSTILE.search(line), ascii(line)
        assert set(read(logged, line)) <= members, ascii(line)


@pytest.fixture(scope="module")
def talkative():
    with served(muster.Home(settings={"log.format": "json"}), "--debug") as h:
        h.format = "json"
        yield h


def test_the_signers_lines_of_a_request(talkative):
    """They have its id: what was signed for it, and what was refused."""
    def about(reply):
        request_id = reply.headers["X-Request-Id"]
        return muster.wait_for(lambda: [m["message"] for m in map(json.loads, list(talkative.process.lines))
                                        if m["process"] == "signer" and m.get("request_id") == request_id], 5, "the signer's lines")

    made = talkative.request("POST", "/v1/devices", {"name": "n", "type": "t", "key": "ec-p256"})
    assert about(made) == ["issue: done"]
    assert about(talkative.request("POST", f"/v1/devices/{made.json['id']}/revoke")) == ["note: done"]


def test_the_command_line_sends_a_trace(talkative):
    """Each command one of its own for all of its calls, or that of whoever started it."""
    def traces(**env):
        seen = len(talkative.process.lines)
        talkative.cli("device", "list", env=env)
        return muster.wait_for(lambda: {m["trace_id"] for m in map(json.loads, talkative.process.lines[seen:])
                                        if m["message"] == "request" and m["route"] == "/v1/devices"}, 5, "its line")
    assert traces(TRACEPARENT=PARENT) == {TRACE}
    first, second = traces(), traces(TRACEPARENT="nonsense")
    assert len(first | second) == 2 and all(re.fullmatch("[0-9a-f]{32}", t) for t in first | second)


def test_by_default_and_by_reload(logged):
    """Requests are logged when muster.conf says so, from the next SIGHUP on."""
    def switch(value):
        seen = len(logged.process.lines)
        logged.configure({"log.requests": value})
        logged.process.child.send_signal(signal.SIGHUP)
        muster.wait_for(lambda: any("configuration reloaded" in line for line in logged.process.lines[seen:]), 10, "the reload")

    switch("off")
    quiet = logged.request("GET", "/healthz").headers["X-Request-Id"]
    switch("on")
    ended(logged, logged.request("GET", "/healthz"))
    assert quiet not in "\n".join(logged.process.lines)


# A journald of the test's own, in a mount namespace of its own; the service's standard error goes there as systemd does it.
IN_A_JOURNAL = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
mount --bind "$1" /run/log/journal
mount --bind "$2" /etc/systemd/journald.conf
/lib/systemd/systemd-journald &
journal=$!
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
systemd-cat sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"' sh "$3" --dir "$4" serve --debug &
service=$!
trap 'kill $service; wait $service; kill $journal; wait; exit 0' TERM
wait
"""


@pytest.mark.needs_root
def test_b7_the_journal(fresh):
    """B7: a real journald gets each line as fields, from processes of two users, without being told to by the
    configuration; and what is hostile becomes no field of its own."""
    home = fresh(settings={"log.requests": "on"})
    entries, conf = home.base / "journal", home.base / "journald.conf"
    entries.mkdir()
    conf.write_text("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n")
    process = muster.Process(["unshare", "-m", "sh", "-ec", IN_A_JOURNAL, "sh", entries, conf, muster.MUSTER, home.dir])

    def journal(*match):
        said = muster.run("journalctl", "-D", entries, "-o", "json", "--no-pager", "-q", *match, check=False).stdout
        return [json.loads(line) for line in said.splitlines()]

    try:
        muster.wait_for(lambda: any(e["MESSAGE"].endswith(" ready") for e in journal("MUSTER_PROCESS=api")), 20, "the service")
        for text in TERMINAL[2::3]:
            home.request("GET", "/v1/devices/" + "".join(f"%{b:02x}" for b in text.encode()))
        with Wire(home) as wire:
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\ntraceparent: MESSAGE=forged\r\nX-Forwarded-For: PRIORITY=0\r\n\r\n")
            wire.reply()
        reply = home.request("GET", "/v1/devices", headers={"traceparent": PARENT})
        (entry,) = muster.wait_for(lambda: journal(f"MUSTER_REQUEST_ID={reply.headers['X-Request-Id']}"), 5, "its entry")
        assert {k: v for k, v in entry.items() if k.startswith("MUSTER_") and k not in ("MUSTER_DURATION_MS", "MUSTER_REQUEST_ID")} == {
            "MUSTER_PROCESS": "api", "MUSTER_TRACE_ID": TRACE, "MUSTER_METHOD": "GET", "MUSTER_ROUTE": "/v1/devices",
            "MUSTER_STATUS": "200", "MUSTER_CALLER": "operator:admin", "MUSTER_ADDRESS": "127.0.0.1"}
        assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["_COMM"]) == ("6", "muster", "muster-api")
        assert entry["MESSAGE"].startswith("request method=GET route=/v1/devices status=200 ")
        made = home.request("POST", "/v1/devices", {"name": "n", "type": "t", "key": "ec-p256"})
        of_it = muster.wait_for(lambda: len(e := journal(f"MUSTER_REQUEST_ID={made.headers['X-Request-Id']}")) > 1 and e, 5, "its entries")
        assert {(e["_COMM"], e["MESSAGE"].split(" ")[0]) for e in of_it} == {("muster-signer", "issue:"), ("muster-api", "request")}
        assert len({e["_UID"] for e in of_it}) == 2
        ours = journal("SYSLOG_IDENTIFIER=muster")
        assert not [e for e in ours if e["MESSAGE"] == "forged" or e["PRIORITY"] == "0"]
        assert {k for e in ours for k in e if not k.startswith(("_", "MUSTER_", "SYSLOG_"))} == {"MESSAGE", "PRIORITY"}
    finally:
        process.stop()


def test_h9_no_secret_is_in_a_line_or_a_row(talkative):
    """H9: tokens, passwords, links and keys, wherever they stand in a request, with all that can be logged being logged."""
    made = talkative.request("POST", "/v1/devices", {"name": "n", "type": "t", "key": "ec-p256"}, headers={"Idempotency-Key": "idem-secret"}).json
    link = made["package"]["url"].rsplit("/", 1)[1]
    token = talkative.request("POST", "/v1/tokens", {"type": "pump"}).json["token"]
    planted = ["planted-bearer", "planted-basic", "planted-cookie", "planted-query", "planted-path", "planted-body"]
    for path, token_shown, headers, body in (
            ("/v1/devices", planted[0], {}, None), ("/v1/devices", None, {"Authorization": "Basic " + base64.b64encode(b"u:planted-basic").decode()}, None),
            ("/v1/devices", "", {"Cookie": planted[2], "traceparent": planted[2]}, None), (f"/v1/devices?token={planted[3]}", "", {}, None),
            (f"/d/{planted[4]}", None, {}, None), (f"/d/{link}", None, {}, None), ("/v1/devices", "", {}, {"password": planted[5]})):
        talkative.request("POST" if body else "GET", path, body, token=token_shown, headers=headers)
    talkative.request("POST", f"/d/{link}", token=None)
    ended(talkative, talkative.request("GET", "/healthz"))
    text = "\n".join(talkative.process.lines) + talkative.cli("--json", "audit", "list", "--all").stdout.decode() + \
        talkative.request("GET", "/metrics").body.decode()
    for secret in [talkative.token, link, token, made["package"]["password"], "PRIVATE KEY", *planted]:
        assert secret not in text, secret


def test_the_journal_that_is_not_there(fresh):
    """Nothing is lost: what the journal does not take goes to standard error."""
    home = fresh(settings={"log.format": "journal"}).start()
    assert home.request("GET", "/healthz").status == 200


def test_what_is_no_format(fresh):
    home = fresh()
    home.configure({"log.format": "xml"})
    refused = home.cli("serve", check=False)
    assert refused.returncode == 1 and b"log.format: must be one of" in refused.stderr, refused.stderr
