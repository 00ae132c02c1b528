"""Tenants: made, bound to, acted in, counted, removed; and what is one's is nobody else's."""

import json
from concurrent.futures import ThreadPoolExecutor

import muster
import pytest


def ask(home, method, path, body=None, token="", tenant=None, **kwargs):
    headers = {"Muster-Tenant": tenant} if tenant is not None else {}
    return home.request(method, path, body, token=token, headers=headers, **kwargs)


def refused(reply, status, field=None):
    assert reply.status == status, reply.body
    if field:
        assert reply.json["errors"][0]["field"] == field, reply.body
    return reply.json["detail"]


def register(home, name="d", **kwargs):
    reply = ask(home, "POST", "/v1/devices", {"name": name, "type": "pump", "key": "ec-p256"}, **kwargs)
    assert reply.status == 201, reply.body
    return reply.json


def operator(home, tenant, name, role="admin"):
    return home.json("--tenant", tenant, "operator", "add", name, "--role", role)["token"]


@pytest.fixture(scope="module")
def bound(home):
    """Tenant -> the token of an admin who is bound to it; `acme` and `zeta` beside `default`."""
    for name in ("acme", "zeta"):
        home.cli("tenant", "add", name)
    return {name: operator(home, name, "boss") for name in ("default", "acme", "zeta")}


def test_a_tenant_s_life(home):
    made = home.json("tenant", "add", "life", "--quota", "2", "--profile", "short", "--profile", "standard")
    assert (made["name"], made["quota"], made["devices"], made["profiles"]) == ("life", 2, 0, ["short", "standard"])
    assert home.json("tenant", "show", "life") == made
    assert "life" in [t["name"] for t in home.json("tenant", "list", "--all")["items"]]
    assert home.json("tenant", "update", "life", "--quota", "0", "--any-profile") == {**made, "quota": None, "profiles": []}
    assert home.json("tenant", "update", "life", "--quota", "1")["quota"] == 1
    device = register(home, tenant="life")
    assert home.json("tenant", "show", "life")["devices"] == 1
    assert "devices" in refused(ask(home, "DELETE", "/v1/tenants/life"), 409)
    assert ask(home, "POST", f"/v1/devices/{device['id']}/revoke", {}, tenant="life").status == 200
    assert home.json("tenant", "show", "life")["devices"] == 0
    service = home.json("--tenant", "life", "service", "add", "backend", "--read", "life/#")
    assert "services" in refused(ask(home, "DELETE", "/v1/tenants/life"), 409)
    home.cli("service", "revoke", service["id"], "--tenant", "life")
    token = operator(home, "life", "last")
    assert "operators" in refused(ask(home, "DELETE", "/v1/tenants/life"), 409)
    home.cli("--tenant", "life", "operator", "remove", "last")
    assert b"Removed life." in home.cli("tenant", "remove", "life").stdout
    # It is gone, for everybody, and its name with it.
    for method, path in (("GET", "/v1/tenants/life"), ("DELETE", "/v1/tenants/life")):
        assert refused(ask(home, method, path), 404) == "no such tenant"
    assert refused(ask(home, "GET", "/v1/devices", tenant="life"), 404) == "no such tenant"
    assert ask(home, "GET", "/v1/devices", token=token).status == 401
    assert "life" not in [t["name"] for t in home.json("tenant", "list", "--all")["items"]]
    refused(ask(home, "POST", "/v1/tenants", {"name": "life"}), 409, "name")
    assert "stays" in refused(ask(home, "DELETE", "/v1/tenants/default"), 409)


@pytest.mark.parametrize("name", ["", "Acme", "1st", "a b", "a/b", "a.b", "a_b", "+", "#", "$SYS", "devices", "x" * 33, "é", "a\nb",
                                  "{id}", "-a", "..", None, 7])
def test_b2_a_tenant_s_name_is_a_word(home, name):
    """B2 it begins topics: nothing that means something there, or is somebody else's."""
    refused(ask(home, "POST", "/v1/tenants", {"name": name}), 400, "name")


def test_names_and_numbers_at_the_limit(home):
    assert ask(home, "POST", "/v1/tenants", {"name": "x" * 32}).status == 201
    refused(ask(home, "POST", "/v1/tenants", {"name": "x" * 32}), 409, "name")
    for quota in (-1, 1000000001, 1.5, "7"):
        refused(ask(home, "POST", "/v1/tenants", {"name": "q", "quota": quota}), 400, "quota")
    for profiles in (["nosuch"], ["short", "no\"such"], "short", ["short"] * 17):
        assert refused(ask(home, "POST", "/v1/tenants", {"name": "q", "profiles": profiles}), 400)


def test_an_operator_of_the_installation_says_where(home, bound):
    here, there = register(home), register(home, tenant="acme")
    for tenant, mine, others in ((None, here, there), ("default", here, there), ("acme", there, here)):
        assert ask(home, "GET", f"/v1/devices/{mine['id']}", tenant=tenant).status == 200
        assert ask(home, "GET", f"/v1/devices/{others['id']}", tenant=tenant).status == 404
    for tenant in ("nosuch", "", "ACME", "acme ,zeta", "x" * 300, "%61cme"):
        assert refused(ask(home, "GET", "/v1/devices", tenant=tenant), 404) == "no such tenant"
    # on the command line, by option or environment, on the socket
    assert home.json("--tenant", "acme", "device", "show", there["id"])["id"] == there["id"]
    assert json.loads(home.cli("--json", "device", "show", there["id"], env={"MUSTER_TENANT": "acme"}).stdout)["id"] == there["id"]
    assert b"no such tenant" in home.cli("--tenant", "nosuch", "device", "list", check=False).stderr
    # What is of the whole installation is in no tenant, whatever is named.
    assert home.json("--tenant", "acme", "broker", "list") == home.json("broker", "list")


def test_a_bound_operator_is_nowhere_else(home, bound):
    """H1 naming another tenant is as naming none that exists; making operators and tenants does not lead out."""
    own = register(home, token=bound["acme"])
    assert ask(home, "GET", f"/v1/devices/{own['id']}", tenant="acme").status == 200
    assert ask(home, "GET", f"/v1/devices/{own['id']}", token=bound["acme"], tenant="acme").status == 200
    for tenant in ("zeta", "default", "nosuch"):
        assert refused(ask(home, "GET", "/v1/devices", token=bound["acme"], tenant=tenant), 404) == "no such tenant"
    assert [t["name"] for t in ask(home, "GET", "/v1/tenants", token=bound["acme"]).json["items"]] == ["acme"]
    for name in ("zeta", "default", "nosuch"):
        assert refused(ask(home, "GET", f"/v1/tenants/{name}", token=bound["acme"]), 404) == "no such tenant"
    for method, path in (("POST", ""), ("PATCH", "/acme"), ("DELETE", "/acme"), ("DELETE", "/zeta")):
        refused(ask(home, method, f"/v1/tenants{path}", {}, token=bound["acme"]), 403)
    made = ask(home, "POST", "/v1/operators", {"name": "alice", "role": "admin"}, token=bound["acme"])
    assert made.status == 201 and made.json["tenant"] == "acme"
    assert refused(ask(home, "GET", "/v1/devices", token=made.json["token"], tenant="zeta"), 404)
    refused(ask(home, "POST", "/v1/operators", {"name": "b", "role": "broker"}, token=bound["acme"]), 400, "role")
    # One name in three places is three operators.
    ids = {home.json(*where, "operator", "add", "alice", "--role", "auditor")["id"] for where in ([], ["--tenant", "zeta"])}
    assert len({made.json["id"], *ids}) == 3
    for where, who in (([], "null"), (["--tenant", "zeta"], '"zeta"'), (["--tenant", "acme"], '"acme"')):
        assert {json.dumps(o["tenant"]) for o in home.json(*where, "operator", "list", "--all")["items"]} == {who}
    for id in ids:
        for verb in ("token", "revoke", "package"):
            refused(ask(home, "POST", f"/v1/operators/{id}/{verb}", {}, token=bound["acme"]), 404)
    home.cli("operator", "remove", "alice")
    assert ask(home, "GET", "/v1/devices", token=made.json["token"]).status == 200
    # The audit tells them apart.
    actors = {a["actor"] for a in ask(home, "GET", "/v1/audit?limit=1000", tenant="acme").json["items"]}
    assert "operator:boss@acme" in actors and not any(a.endswith("@zeta") for a in actors)


def test_an_operator_s_certificate_is_bound_as_it_is(home, bound):
    """F1 a certificate is of its operator's tenant, too."""
    home.json("--tenant", "acme", "operator", "add", "certified", "--role", "operator")
    made = home.json("--tenant", "acme", "operator", "package", "certified", "--key", "ec-p256")
    path = home.base / "certified"
    archive = path.with_suffix(".zip")
    home.cli("package", "fetch", made["package"]["url"], "-o", archive)
    muster.run("7z", "x", f"-p{made['package']['password']}", f"-o{path}", archive)
    tls = home.tls(path / "device.crt", path / "device.key")
    device = register(home, token=None, tls=tls)
    assert ask(home, "GET", f"/v1/devices/{device['id']}", tenant="acme").status == 200
    assert refused(ask(home, "GET", "/v1/devices", token=None, tls=tls, tenant="zeta"), 404) == "no such tenant"


@pytest.mark.parametrize("topic", ["#", "+/devices/#", "devices/#", "devices/+", "zeta/x", "acm/x", "acme", "acmex/#", "x/acme/#",
                                   "+/x", "devices/not-an-id/x", "devices/{foreign}/x", "devices/{foreign}x/x", "devices/{own}"])
def test_b9_a_service_has_its_tenant_s_topics_only(home, bound, topic):
    """B9 whoever makes it: a filter that could hear or reach another tenant's devices is refused."""
    own, foreign = register(home, token=bound["acme"])["id"], register(home, token=bound["zeta"])["id"]
    topic = topic.replace("{own}", own).replace("{foreign}", foreign)
    for who in ({"token": bound["acme"]}, {"tenant": "acme"}):
        for direction in ("read", "write"):
            reply = ask(home, "POST", "/v1/services", {"name": "greedy", direction: ["acme/ok", topic], "key": "ec-p256"}, **who)
            refused(reply, 403, f"{direction}[1]")
    body = {"name": f"fine-{own}", "read": ["acme/#", f"devices/{own}/#", "devices/+/telemetry"], "write": ["acme/+/x", "devices/+/#"], "key": "ec-p256"}
    assert ask(home, "POST", "/v1/services", body, token=bound["acme"]).status == 201


@pytest.mark.parametrize("topic", ["devices/#", "devices/+/x", "devices/{id}", "{type}/{id}/x", "zeta/{id}", "{id}/x", "x/{tenant}/y",
                                   "{tenant}{id}/x", "devices/{id}x/y"])
def test_b9_a_policy_has_its_tenant_s_topics_only(home, bound, topic):
    """B9 the same of templates."""
    for who in ({"token": bound["acme"]}, {"tenant": "acme"}):
        refused(ask(home, "PUT", "/v1/policies/greedy", {"read": ["{tenant}/x"], "write": [topic]}, **who), 403, "write[0]")
        refused(ask(home, "PUT", "/v1/policies/greedy", {"read": ["{tenant}/x", topic]}, **who), 403, "read[1]")
    fine = {"read": ["{tenant}/#", "acme/{type}/+"], "write": ["devices/{id}/#"]}
    assert ask(home, "PUT", "/v1/policies/fine", fine, token=bound["acme"]).status == 200


def test_who_is_bound_to_default_has_its_topics_only(home, bound):
    """B9 the installation's own operators name any topic, who is bound to `default` does not."""
    for name, token, status in (("mine", bound["default"], 403), ("theirs", "", 201)):
        for i, topic in enumerate(("#", "devices/+/telemetry")):
            body = {"name": f"{name}-{i}", "read": [topic], "key": "ec-p256"}
            assert ask(home, "POST", "/v1/services", body, token=token).status == status
        assert ask(home, "PUT", f"/v1/policies/{name}", {"read": ["plant/#"]}, token=token).status == (403 if status == 403 else 200)


def test_a_quota_ends_registrations(home, bound):
    """Neither a registration, nor an enrolment, nor a pending device gets past it; what was revoked makes room."""
    home.cli("tenant", "add", "small", "--quota", "2")
    first = register(home, tenant="small")
    pending = ask(home, "POST", "/v1/devices", {"name": "p", "type": "t", "pending": True}, tenant="small")
    assert pending.status == 201, pending.body
    body = {"name": "d", "type": "pump", "key": "ec-p256"}
    assert "as many devices as it may have" in refused(ask(home, "POST", "/v1/devices", body, tenant="small"), 409)
    refused(ask(home, "POST", "/v1/devices", {"name": "p", "type": "t", "pending": True}, tenant="small"), 409)
    assert ask(home, "POST", f"/v1/devices/{first['id']}/suspend", {}, tenant="small").status == 200
    refused(ask(home, "POST", "/v1/devices", body, tenant="small"), 409)
    assert ask(home, "POST", f"/v1/devices/{first['id']}/revoke", {}, tenant="small").status == 200
    register(home, tenant="small")
    refused(ask(home, "POST", "/v1/devices", body, tenant="small"), 409)
    home.cli("tenant", "update", "small", "--quota", "3")
    register(home, tenant="small")
    home.cli("tenant", "update", "small", "--quota", "1")  # takes nothing away
    assert home.json("tenant", "show", "small")["devices"] == 3
    refused(ask(home, "POST", "/v1/devices", body, tenant="small"), 409)


def test_a_tenant_uses_its_profiles(home, bound):
    """Registrations, packages, services, tokens and anchors; who names none gets one of its that fits; and it sees no others."""
    home.cli("tenant", "add", "brief", "--profile", "short")
    device = register(home, tenant="brief")
    shown = ask(home, "GET", f"/v1/devices/{device['id']}/certificates", tenant="brief").json["items"][0]
    assert shown["profile"] == "short"
    assert [p["name"] for p in home.json("--tenant", "brief", "profile", "list")["items"]] == ["short"]
    assert refused(ask(home, "GET", "/v1/profiles/standard", tenant="brief"), 404) == \
        refused(ask(home, "GET", "/v1/profiles/nosuch", tenant="brief"), 404)
    for name in ("standard", "constrained"):
        credential = {"key": "ec-p256" if name == "constrained" else "rsa-2048", "profile": name}
        for method, path, body in (
                ("POST", "/v1/devices", {"name": "d", "type": "t", **credential}),
                ("POST", f"/v1/devices/{device['id']}/package", credential),
                ("POST", "/v1/services", {"name": "s", "read": ["brief/#"], **credential}),
                ("POST", "/v1/tokens", {"type": "t", "profile": name})):
            refused(ask(home, method, path, body, tenant="brief"), 403, "profile")
    # A key for which it has no profile.
    refused(ask(home, "POST", "/v1/devices", {"name": "d", "type": "t", "key": "rsa-4096"}, tenant="brief"), 400)
    home.cli("tenant", "update", "brief", "--any-profile")
    assert ask(home, "POST", "/v1/devices", {"name": "d", "type": "t", "key": "ec-p256", "profile": "constrained"}, tenant="brief").status == 201


def test_a_quota_is_exact(home, bound):
    """Of many registrations at once as many come in as there is room for."""
    home.cli("tenant", "add", "crowd", "--quota", "5")
    body = {"name": "d", "type": "t", "key": "ec-p256"}
    with ThreadPoolExecutor(12) as pool:
        said = sorted(pool.map(lambda _: ask(home, "POST", "/v1/devices", body, tenant="crowd").status, range(12)))
    assert said == [201] * 5 + [409] * 7
    assert home.json("tenant", "show", "crowd")["devices"] == 5
    assert len(home.json("--tenant", "crowd", "device", "list")["items"]) == 5
