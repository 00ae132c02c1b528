"""Parts 5 and 6: the HTTPS API and what it stores."""

import json

import muster
import pytest
from muster import run


@pytest.fixture(scope="module")
def fleet(home):
    made = []
    for i in range(25):
        reply = home.request("POST", "/v1/devices", {
            "name": f"{'Pump' if i % 2 else 'valve'} {i:02}", "type": "pump" if i % 2 else "valve",
            "location": f"hall {i % 3}", "labels": {"n": str(i)}, "profile": "constrained"})
        assert reply.status == 201, reply.body
        made.append(reply.json)
    for m in made[:4]:
        assert home.request("POST", f"/v1/devices/{m['id']}/revoke").status == 200
    return made


def pages(home, query):
    items, after = [], None
    while True:
        reply = home.request("GET", f"/v1/devices?{query}" + (f"&after={after}" if after else ""))
        assert reply.status == 200, reply.body
        items += reply.json["items"]
        after = reply.json["next"]
        if after is None:
            return items


def test_expiring(home):
    """The next to end first, of those that have no successor; by the end that the certificate has."""
    made = [home.request("POST", "/v1/devices", {"name": f"ends {n}", "type": "ends", "key": "ec-p256", "valid": valid}).json
            for n, valid in enumerate(("20d", "5d", "90d", "10d"))]
    items = home.json("device", "list", "--expiring", "30d", "--type", "ends")["items"]
    assert [i["name"] for i in items] == ["ends 1", "ends 3", "ends 0"]
    assert items[0]["expires_at"] == made[1]["certificate"]["not_after"]
    assert items[0]["expires_at"] in home.cli("device", "list", "--expiring", "30d").stdout.decode()
    first = home.request("GET", "/v1/devices?expiring=30d&type=ends&limit=1").json
    rest = home.request("GET", f"/v1/devices?expiring=30d&type=ends&after={first['next']}").json
    assert [i["name"] for i in first["items"] + rest["items"]] == ["ends 1", "ends 3", "ends 0"] and rest["next"] is None
    home.cli("device", "revoke", made[1]["id"])
    home.cli("device", "suspend", made[3]["id"])
    assert [i["name"] for i in home.json("device", "list", "--expiring", "30d", "--type", "ends")["items"]] == ["ends 0"]
    for wrong in ("", "30", "-1d", "0d", "x", "99999999999d"):
        assert home.request("GET", f"/v1/devices?expiring={wrong}").status == 400, wrong
    assert home.request("GET", f"/v1/devices?after={first['next']}").status == 400


def test_registration_answers_as_described(home):
    reply = home.request("POST", "/v1/devices", {"name": "Größe 1 µm", "type": "sensor", "location": "Süd", "key": "ec-p256",
                                                 "labels": {"a": "b"}})
    assert reply.status == 201
    made = reply.json
    assert reply.headers["Location"] == f"/v1/devices/{made['id']}"
    assert set(made) >= {"id", "name", "type", "location", "labels", "status", "policy", "created_at", "certificate",
                         "package"}
    assert made["name"] == "Größe 1 µm" and made["labels"] == {"a": "b"} and made["status"] == "active"
    assert set(made["certificate"]) >= {"serial", "fingerprint", "key", "not_before", "not_after", "pem", "chain_pem"}
    assert set(made["package"]) == {"url", "expires_at", "password"}
    got = home.request("GET", f"/v1/devices/{made['id']}").json
    for field in ("id", "name", "type", "location", "labels", "status", "policy", "created_at"):
        assert got[field] == made[field]


def test_pages_are_complete_and_ordered(home, fleet):
    whole = pages(home, "limit=1000")
    assert [d["id"] for d in pages(home, "limit=7")] == [d["id"] for d in whole]
    assert len({d["id"] for d in whole}) == len(whole)
    names = [d["name"].lower() for d in whole]
    assert names == sorted(names)


def test_filters(home, fleet):
    assert len(pages(home, "type=valve&limit=5")) == 13
    assert len(pages(home, "location=hall%201&limit=3")) == 8
    assert {d["id"] for d in pages(home, "status=revoked&limit=3")} >= {d["id"] for d in fleet[:4]}  # and others' here
    assert len(pages(home, "status=revoked&type=pump")) == 2
    assert len(pages(home, "search=PUMP&limit=5")) == 12
    assert [d["id"] for d in pages(home, f"search={fleet[9]['id'][:13]}")] == [fleet[9]["id"]]
    assert pages(home, "search=%25") == [] and pages(home, "search=p_mp") == []  # B8


@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("status=dead", "status"),
    ("after=rubbish", "after"), ("nonsense=1", "nonsense"), ("limit=1&limit=2", "limit")])
def test_bad_queries_name_the_field(home, query, field):
    reply = home.request("GET", f"/v1/devices?{query}")
    assert reply.status == 400 and reply.json["errors"][0]["field"] == field


@pytest.mark.parametrize("body, field", [
    ({"type": "t"}, "name"), ({"name": "n"}, "type"), ({"name": 1, "type": "t"}, "name"), ({"name": "n", "type": "a b"}, "type"),
    ({"name": "n" * 65, "type": "t"}, "name"), ({"name": "n\n", "type": "t"}, "name"), ({"name": "n", "type": "t", "x": 1}, "x"),
    ({"name": "n", "type": "t", "labels": {"a": 1}}, "labels"), ({"name": "n", "type": "t", "policy": "none"}, "policy"),
    ({"name": "n", "type": "t", "location": "\u202egnp"}, "location"), ({"name": "n", "type": "../x"}, "type"),
    ({"name": "n", "type": "t", "san": "DNS:x"}, "san")])
def test_bad_bodies_name_the_field(home, body, field):
    """A6, B2, B3, B4, B7"""
    reply = home.request("POST", "/v1/devices", body)
    assert reply.status == 400, reply.body
    assert reply.json["errors"][0]["field"] == field and reply.json["errors"][0]["reason"]


def test_update(home):
    made = home.request("POST", "/v1/devices", {"name": "before", "type": "t", "key": "ec-p256"}).json
    reply = home.request("PATCH", f"/v1/devices/{made['id']}", {"name": "after", "labels": {"x": "y"}})
    assert reply.status == 200 and reply.json["name"] == "after" and reply.json["type"] == "t"
    assert home.request("PATCH", f"/v1/devices/{made['id']}", {"status": "active"}).status == 400
    assert home.request("PATCH", f"/v1/devices/{made['id']}", {"policy": "none"}).status == 400
    home.request("POST", f"/v1/devices/{made['id']}/revoke", {"reason": "superseded"})
    assert home.request("PATCH", f"/v1/devices/{made['id']}", {"name": "x"}).status == 409


def test_revocation_reasons(home):
    made = home.request("POST", "/v1/devices", {"name": "r", "type": "t", "key": "ec-p256"}).json
    for reason in ("removeFromCRL", "certificateHold", "nonsense", 1):
        reply = home.request("POST", f"/v1/devices/{made['id']}/revoke", {"reason": reason})
        assert reply.status == 400 and reply.json["errors"][0]["field"] == "reason"
    reply = home.request("POST", f"/v1/devices/{made['id']}/revoke", {"reason": "keyCompromise"})
    assert reply.status == 200 and reply.json["status"] == "revoked"
    assert home.request("POST", f"/v1/devices/{made['id']}/revoke").status == 409
    assert home.request("POST", f"/v1/devices/{made['id']}/package").status == 409
    assert home.request("POST", f"/v1/devices/{made['id']}/resume").status == 409


def test_unknown_things_are_404(home):
    for path in ("/v1/devices/00000000-0000-4000-8000-000000000000", "/v1/devices/x", "/v1/nothing", "/",
                 "/v1/policies/none", "/v1/profiles/none", "/v1/services/none"):
        assert home.request("GET", path).status == 404, path


def test_wrong_method_is_405(home):
    reply = home.request("DELETE", "/v1/devices")
    assert reply.status == 405 and "GET" in reply.headers["Allow"] and "POST" in reply.headers["Allow"]


def test_authentication(home):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        reply = home.request("GET", "/v1/devices", token=None, headers=headers)
        assert reply.status == 401, headers
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_device_certificate_is_no_way_in(home):
    made = home.request("POST", "/v1/devices", {"name": "tls", "type": "t", "key": "ec-p256"}).json
    c = muster.open_package(home, made)
    tls = home.tls(c.dir / "device.crt", c.dir / "device.key")
    assert home.request("GET", "/v1/devices", token=None, tls=tls).status == 403
    # and TLS itself knows it: a healthy request goes through
    assert home.request("GET", "/healthz", token=None, tls=tls).status == 200


def test_socket_is_admin_without_a_token(home):
    said = run("curl", "-sS", "--unix-socket", home.dir / "muster.sock", "http://localhost/v1/devices?limit=1")
    assert "items" in json.loads(said.stdout)


def test_socket_is_nobody_for_another_user(home):
    said = run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "curl", "-sS", "--unix-socket",
               home.dir / "muster.sock", "http://localhost/v1/devices", check=False)
    assert said.returncode != 0 or json.loads(said.stdout)["status"] == 401


def test_health_and_readiness(home):
    assert home.request("GET", "/healthz", token=None).status == 200
    assert home.request("GET", "/readyz", token=None).status == 200


def test_common_headers(home):
    reply = home.request("GET", "/v1/devices")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Request-Id"]
    assert "Server" not in reply.headers


def test_openapi_is_served_and_matches_the_file(home):
    reply = home.request("GET", "/v1/openapi.json")
    assert reply.status == 200
    assert reply.json == json.loads((muster.ROOT / "api/openapi.json").read_text())


def test_how_many_sessions_a_policy_gives(home):
    """A5"""
    topics = {"write": ["a/{id}"]}
    for sessions, status in ((1, 200), (100, 200), (0, 400), (101, 400), (-1, 400), (1.5, 400), ("2", 400), (2 ** 64, 400)):
        reply = home.request("PUT", "/v1/policies/counted", {**topics, "sessions": sessions})
        assert reply.status == status, (sessions, reply.body)
        if status == 400:
            assert sessions == 2 ** 64 or reply.json["errors"][0]["field"] == "sessions"
        else:
            assert reply.json["sessions"] == sessions
    assert home.request("PUT", "/v1/policies/counted", topics).json["sessions"] == 1
    for given in ("0", "101", "two"):
        assert home.cli("policy", "set", "counted", "--none", "--sessions", given, check=False).returncode == 2
