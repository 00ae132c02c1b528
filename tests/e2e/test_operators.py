"""Operators: who may call the API with a token, for how long, and how it ends."""

import http.client
import json
import threading
import time

import muster
import pytest


def add(home, name, role="operator", *args):
    return home.json("operator", "add", name, "--role", role, *args)


def status(home, token, method="GET", path="/v1/devices", body=None):
    return home.request(method, path, body, token=token).status


def listed(home):
    return {o["name"]: o for o in home.json("operator", "list", "--all")["items"] if not o["revoked_at"]}


def test_a_token_is_shown_once_and_works(home):
    made = add(home, "once", "enroller", "--valid", "30d")
    assert made["role"] == "enroller" and made["expires_at"] > made["created_at"] and made["revoked_at"] is None
    assert status(home, made["token"], "POST", body={"name": "d", "type": "t", "key": "ec-p256"}) == 201
    assert status(home, made["token"]) == 403  # it registers, nothing else
    row = listed(home)["once"]
    assert "token" not in row
    for place in ("/v1/operators", "/v1/audit?limit=1000"):
        assert made["token"].encode() not in home.request("GET", place).body
    assert made["token"] not in "".join(home.process.lines)


def test_the_remote_command_line(home):
    """Elsewhere a token is all that a person needs; on the server's host root needs none."""
    made = add(home, "remote", "auditor")
    there = ["--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--token", made["token"]]
    assert b"remote" in home.cli(*there, "operator", "list").stdout
    refused = home.cli(*there, "operator", "add", "other", "--role", "admin", check=False)
    assert refused.returncode == 1 and b"the role auditor may not do this" in refused.stderr


def test_bad_requests_name_the_field(home):
    add(home, "taken")
    for field, body in (("name", {"role": "admin"}), ("name", {"name": "a b", "role": "admin"}), ("role", {"name": "x"}),
                        ("role", {"name": "x", "role": "device"}), ("role", {"name": "x", "role": "enrollee"}),
                        ("valid", {"name": "x", "role": "admin", "valid": "soon"}),
                        ("valid", {"name": "x", "role": "admin", "valid": "9999d"})):
        reply = home.request("POST", "/v1/operators", body)
        assert reply.status == 400 and reply.json["errors"][0]["field"] == field, (body, reply.body)
    assert home.request("POST", "/v1/operators", {"name": "taken", "role": "admin"}).status == 409
    for verb in ("token", "revoke"):
        assert home.request("POST", f"/v1/operators/nobody/{verb}", {}).status == 404
    assert home.cli("operator", "add", "x", check=False).returncode == 2
    assert home.cli("operator", "remove", check=False).returncode == 2


def test_nobody_but_an_admin_makes_operators(home):
    """H1: otherwise each of them could make itself an admin."""
    for role in ("operator", "enroller", "auditor", "broker"):
        token = add(home, f"climbs-{role}", role)["token"]
        assert status(home, token, "POST", "/v1/operators", {"name": "mine", "role": "admin"}) == 403
        assert status(home, token, "POST", "/v1/operators/admin/token", {}) == 403
        assert status(home, token, "POST", "/v1/operators/admin/revoke", {}) == 403
    assert status(home, home.token) == 200


def test_h3_a_removed_operator_is_refused_at_once(home):
    """H3: also on a connection that is open, and in a call that waits for news."""
    token = add(home, "goes", "admin")["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    open_one = http.client.HTTPSConnection("localhost", home.api_port, context=home.tls(), timeout=30 * muster.PATIENCE)
    open_one.request("GET", "/v1/devices", headers=bearer)
    assert open_one.getresponse().read()
    snapshot = home.request("GET", "/v1/feed/snapshot", token=token)
    begin = json.loads(snapshot.body.splitlines()[0])
    box = []
    waits = threading.Thread(target=lambda: box.append(home.request(
        "GET", f"/v1/feed?epoch={begin['epoch']}&after={begin['seq']}&wait_s=25", token=token).status))
    waits.start()
    time.sleep(0.3)
    assert waits.is_alive()
    begun = time.monotonic()
    home.cli("operator", "remove", "goes")
    open_one.request("GET", "/v1/devices", headers=bearer)
    assert open_one.getresponse().status == 401
    waits.join(10)
    assert box == [401] and time.monotonic() - begun < 5 * muster.PATIENCE
    assert status(home, token) == 401
    assert home.cli("operator", "remove", "goes", check=False).returncode == 1
    assert add(home, "goes")["revoked_at"] is None  # the name is free again
    assert status(home, token) == 401


@pytest.fixture(scope="module")
def certified(home):
    """An operator's own key and certificate."""
    folder = home.base / "certified"
    folder.mkdir()
    muster.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key",
                   "-subj", "/CN=alice", "-out", folder / "csr")
    add(home, "certified", "auditor")
    home.cli("operator", "package", "certified", "--csr", folder / "csr", "--out", folder / "crt")
    return folder


def test_a_certificate_in_place_of_a_token(home, certified):
    there = ["--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--client-key", certified / "key"]
    assert b"certified" in home.cli(*there, "--client-cert", certified / "crt", "operator", "list").stdout
    refused = home.cli(*there, "--client-cert", certified / "crt", "operator", "remove", "certified", check=False)
    assert refused.returncode == 1 and b"the role auditor may not do this" in refused.stderr
    assert home.cli(*there, "operator", "list", check=False).returncode == 2  # a key without its certificate
    wrong = home.cli(*there, "--client-cert", home.dir / "tls/server.crt", "operator", "list", check=False)
    assert wrong.returncode == 1 and b"cannot use the client certificate" in wrong.stderr


def test_h8_a_page_of_another_site(home, certified):
    """H8: A browser that has an operator's certificate shows it whoever makes it ask, so a page of another site gets nothing
    done; no answer lets such a page read it, and no cookie is given or taken."""
    tls = home.tls(certified / "crt", certified / "key")
    made = home.request("POST", "/v1/devices", {"name": "d", "type": "t", "key": "ec-p256"}).json
    path = f"/v1/devices/{made['id']}"
    own = f"https://localhost:{home.api_port}"
    for method, at, headers in [
            ("POST", f"{path}/suspend", {"Origin": "https://evil.example"}),
            ("POST", f"{path}/suspend", {"Origin": "null"}),
            ("POST", f"{path}/suspend", {"Origin": "http://localhost"}),
            ("POST", f"{path}/suspend", {"Origin": own, "Sec-Fetch-Site": "same-site"}),
            ("POST", f"{path}/suspend", {"Sec-Fetch-Site": "cross-site"}),
            ("GET", "/v1/devices", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
            ("GET", "/metrics", {"Origin": "https://evil.example"})]:
        for refused in (home.request(method, at, token=None, tls=tls, headers=headers),
                        home.request(method, at, headers={**headers, "Cookie": f"token={home.token}"})):
            assert refused.status == 403 and "another site" in refused.json["detail"], (at, headers, refused.body)
            assert not [h for h in refused.headers if h.lower().startswith("access-control-") or h.lower() == "set-cookie"]
    assert home.request("GET", path).json["status"] == "active"
    preflight = home.request("OPTIONS", f"{path}/suspend", token=None, headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status == 405 and not [h for h in preflight.headers if h.lower().startswith("access-control-")]
    cookie = home.request("GET", path, token=None, headers={"Cookie": f"token={home.token}; session={home.token}"})
    assert cookie.status == 401 and "Set-Cookie" not in cookie.headers
    # Its own pages, a person who types the address, and programs.
    for headers in ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert home.request("GET", path, token=None, tls=tls, headers=headers).status == 200
    assert home.request("POST", f"{path}/suspend", headers={"Origin": own, "Sec-Fetch-Site": "same-origin"}).status == 200


def test_another_certificate_supersedes_the_one_before(home):
    add(home, "superseded")
    ways = []
    for _ in range(2):
        made = home.json("operator", "package", "superseded", "--key", "ec-p256")
        c = muster.open_package(home, made)
        ways.append(home.tls(c.dir / "device.crt", c.dir / "device.key"))
    assert [home.request("GET", "/v1/devices", token=None, tls=tls).status for tls in ways] == [401, 200]


def test_h3_a_removed_operator_s_certificate_is_revoked(home):
    """H3: at the API at once, on an open connection too, and on the revocation list."""
    add(home, "lost", "admin")
    made = home.json("operator", "package", "lost", "--key", "ec-p256")
    c = muster.open_package(home, made)
    tls = home.tls(c.dir / "device.crt", c.dir / "device.key")
    open_one = http.client.HTTPSConnection("localhost", home.api_port, context=tls, timeout=30 * muster.PATIENCE)
    open_one.request("GET", "/v1/devices")
    response = open_one.getresponse()
    assert response.read() and response.status == 200
    home.cli("operator", "remove", "lost")
    open_one.request("GET", "/v1/devices")
    assert open_one.getresponse().status == 401
    assert home.request("GET", "/v1/devices", token=None, tls=tls).status == 401
    serial = made["certificate"]["serial"].upper()
    muster.wait_for(lambda: serial in muster.openssl("crl", "-inform", "DER", "-noout", "-text",
                                                     input=home.pki("/crl/issuing.crl").body).stdout.decode(),
                    5, "the certificate on the list")
    assert home.cli("operator", "package", "lost", check=False).returncode == 1


def test_an_operator_is_no_mqtt_client(home, certified):
    """Its certificate opens the API, not the broker."""
    feed = home.request("GET", "/v1/feed/snapshot").body.decode()
    operator = next(o for o in home.json("operator", "list", "--all")["items"] if o["name"] == "certified")
    assert operator["id"] not in feed


def test_another_token_ends_the_one_before(home):
    first = add(home, "renewed")["token"]
    second = home.json("operator", "token", "renewed", "--valid", "1h")
    assert status(home, first) == 401 and status(home, second["token"]) == 200
    gone = home.json("operator", "remove", "renewed")
    reply = home.request("POST", f"/v1/operators/{gone['id']}/token", {})
    assert reply.status == 409 and "removed" in reply.json["detail"]


def test_a_token_ends_by_itself(home):
    token = add(home, "brief", "operator", "--valid", "1s")["token"]
    muster.wait_for(lambda: status(home, token) == 401, 5, "the end of the token")
    assert listed(home)["brief"]["expires_at"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_when_it_was_last_used(fresh):
    """Kept in memory for its minute, and stored when the service ends."""
    home = fresh().start()
    used, idle = add(home, "used"), add(home, "idle")
    assert status(home, used["token"]) == 200
    home.stop()
    home.start()
    rows = listed(home)
    assert rows["used"]["last_used_at"] >= used["created_at"][:17] + "00Z" and rows["idle"]["last_used_at"] is None


def test_audited(home):
    """Who came, who got another token, who went; and a name that would forge a line is none."""
    add(home, "audited")
    home.cli("operator", "token", "audited")
    home.cli("operator", "remove", "audited")
    rows = [a["action"] for a in home.json("audit", "list", "--all")["items"] if a["target"] == "operator:audited"]
    assert rows == ["operator.create", "operator.token", "operator.revoke"], rows


@pytest.mark.parametrize("name", ["a\nb", "../x", "a;b", "x" * 65])
def test_names_that_are_none(home, name):
    assert home.request("POST", "/v1/operators", {"name": name, "role": "admin"}).status == 400
