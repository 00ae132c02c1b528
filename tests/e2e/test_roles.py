"""Who may call what: every route of the API as described, for every role, of the installation and bound to a tenant, over
HTTPS and over the home's socket. What is asked for is not there or not well said, so that whoever may ask is told that (400,
404, …) and nothing is changed. Then, for every route that names something: what is another tenant's is as what never was."""

import base64
import http.client
import json
import socket

import muster
import pytest
from apispec import check as fits
from maker import Maker

ROLES = ["admin", "operator", "enroller", "auditor", "broker"]
NO_TENANT = "no such tenant"
# How an operator stands to tenants: is it bound to acme, and what does it name?
STANDINGS = {"of the installation": (False, None), "of the installation, in acme": (False, "acme"), "bound to acme": (True, None),
             "bound to acme, in it": (True, "acme"), "bound to acme, in zeta": (True, "zeta"), "bound to acme, in none": (True, "nosuch")}


class SocketConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30 * muster.PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def bearer(made):
    return {"Authorization": f"Bearer {made['token']}"}


@pytest.fixture(scope="module")
def callers(home):
    """(role, is it bound) -> (headers, TLS) of somebody who has it; "nobody" has shown nothing."""
    for tenant in ("acme", "zeta"):
        home.cli("tenant", "add", tenant)
    who = {(role, False): (bearer(home.json("operator", "add", f"matrix-{role}", "--role", role)), None) for role in ROLES}
    who |= {(role, True): (bearer(home.json("--tenant", "acme", "operator", "add", f"matrix-{role}", "--role", role)), None)
            for role in ROLES if role != "broker"}
    token = home.json("token", "create", "--type", "matrix", "--uses", "1000")["token"]
    who["enrollee", False] = ({"Authorization": "Basic " + base64.b64encode(f"any:{token}".encode()).decode()}, None)
    device = muster.open_package(home, home.json("device", "register", "--name", "m", "--type", "m", "--key", "ec-p256"))
    who["device", False] = ({}, home.tls(device.dir / "device.crt", device.dir / "device.key"))
    maker = Maker(home.base)
    home.cli("trust", "add", maker.file, "--name", "matrix", "--type", "m", "--any-serial")
    who["idevid", False] = ({}, maker.make("M-1").tls(home))
    who["nobody", False] = ({}, None)
    return who


def routes(home):
    for path, item in home.request("GET", "/v1/openapi.json").json["paths"].items():
        target = path
        for name in ("id", "name", "fingerprint", "token", "label", "issuer", "request"):
            target = target.replace("{%s}" % name, "not-there")
        assert "{" not in target, path
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, target, operation


def ask(connection, method, target, headers, tenant=None, body=b"{"):
    """By default no JSON, no CSR, no report."""
    named = {"Muster-Tenant": tenant} if tenant else {}
    connection.request(method, target, body=None if method in ("GET", "DELETE") else body,
                       headers={**headers, **named, "Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    fits(method, target, response.status, response.headers["Content-Type"], body)
    return response.status, body


def https(home, tls=None):
    return http.client.HTTPSConnection("localhost", home.api_port, context=tls or home.tls(), timeout=30 * muster.PATIENCE)


def expected(operation, role, standing):
    """The status of who may not; 0 for who may."""
    bound, named = STANDINGS[standing]
    if operation.get("security") == []:
        return 0
    if role == "nobody":
        return 401
    if bound and operation.get("x-installation"):
        return 403
    if bound and named not in (None, "acme"):
        return 404
    return 0 if role in operation["x-roles"] else 403


def check(home, connection, role, headers, standing="of the installation"):
    role = "enrollee" if role == "idevid" else role
    named = STANDINGS[standing][1]
    seen = 0
    for method, _, target, operation in routes(home):
        status, body = ask(connection, method, target, headers, named)
        refusal = expected(operation, role, standing)
        if refusal:
            assert status == refusal, (role, standing, method, target, status)
            assert refusal != 404 or json.loads(body)["detail"] == NO_TENANT, (role, standing, method, target, body)
        else:
            assert status not in (401, 403), (role, standing, method, target, status)
            assert NO_TENANT.encode() not in body or "/v1/tenants/" in target, (role, standing, method, target, body)
        seen += 1
    assert seen > 40
    connection.close()


@pytest.mark.parametrize("role, standing", [
    *((role, standing) for role in ROLES for standing, (bound, _) in STANDINGS.items() if not (bound and role == "broker")),
    *((role, "of the installation") for role in ("enrollee", "idevid", "device", "nobody"))])
def test_h1_each_route_for_each_role(home, callers, role, standing):
    """H1: over HTTPS."""
    headers, tls = callers[role, STANDINGS[standing][0]]
    before = home.json("audit", "list", "--all")["items"][-1]["seq"]
    check(home, https(home, tls), role, headers, standing)
    after = home.json("audit", "list", "--all", "--after", str(before))["items"]
    assert not [a for a in after if not a["action"].startswith("authentication.")], after


@pytest.mark.parametrize("role, standing", [*((role, "of the installation") for role in [*ROLES, "enrollee"]),
                                            *((role, "bound to acme") for role in ROLES if role != "broker"),
                                            ("admin", "bound to acme, in zeta")])
def test_h1_on_the_socket_a_token_counts_too(home, callers, role, standing):
    """H1: whoever shows a token there is its operator, not the admin that its user would be."""
    check(home, SocketConnection(home.dir / "muster.sock"), role, callers[role, STANDINGS[standing][0]][0], standing)


@pytest.mark.parametrize("standing", ["of the installation", "of the installation, in acme"])
def test_h1_on_the_socket_the_owner_is_admin(home, callers, standing):
    """H1: without a token."""
    check(home, SocketConnection(home.dir / "muster.sock"), "admin", {}, standing)


@pytest.fixture(scope="module")
def others(home, callers):
    """Path of the description -> what is zeta's and can stand there."""
    def make(*args):
        return home.json("--tenant", "zeta", *args)

    device = make("device", "register", "--name", "theirs", "--type", "t", "--key", "ec-p256")
    asked = make("device", "register", "--name", "asked", "--type", "t", "--key", "ec-p256")
    home.cli("--tenant", "zeta", "device", "rotate", asked["id"])
    home.cli("--tenant", "zeta", "policy", "set", "theirs", "--read", "zeta/x")
    maker = Maker(home.base, "zetas")
    home.cli("--tenant", "zeta", "trust", "add", maker.file, "--name", "theirs", "--type", "t")
    home.cli("--tenant", "zeta", "trust", "expect", "theirs", "S-1")
    service = make("service", "add", "theirs", "--read", "zeta/#")["id"]
    operator = make("operator", "add", "theirs", "--role", "auditor")["id"]
    job = home.request("POST", "/v1/jobs", {"kind": "device.import", "name": "theirs", "digest": "0" * 64, "total": 1},
                       headers={"Muster-Tenant": "zeta"}).json["id"]
    return {"/v1/devices/{id}": [device["id"], asked["id"]], "/v1/certificates/{fingerprint}": [device["certificate"]["fingerprint"]],
            "/v1/services/{id}": [service, "theirs"], "/v1/policies/{name}": ["theirs"], "/v1/trust/{name}": ["theirs"],
            "/v1/tokens/{id}": [make("token", "create", "--type", "t")["id"]], "/v1/operators/{id}": [operator, "theirs"],
            "/v1/jobs/{id}": [job], "/v1/tenants/{name}": ["zeta"]}


# Of the installation, of nobody, or of who holds the secret that stands there.
NOT_A_TENANTS = ("/v1/profiles/{name}", "/v1/brokers/{id}", "/d/{token}", "/crl/", "/ocsp/", "/.well-known/est/{label}/")
# What is asked of another's, where {} would be refused before anything is looked up.
BODIES = {("PATCH", "/v1/devices/{id}"): {"name": "x"}, ("POST", "/v1/trust/{name}/serials"): {"serials": ["S-1"]},
          ("POST", "/v1/trust/{name}/serials/remove"): {"serials": ["S-1"]},
          ("POST", "/v1/trust/{name}/serials/forget"): {"serial": "S-1"},
          ("POST", "/v1/jobs/{id}/rows"): {"first": 1, "rows": [{}]}}
UNKNOWN = {"/v1/devices/{id}": "00000000-0000-4000-8000-000000000000", "/v1/jobs/{id}": "00000000-0000-4000-8000-000000000000",
           "/v1/tokens/{id}": "00000000-0000-4000-8000-000000000000",
           "/v1/certificates/{fingerprint}": "0" * 64}


def told(body):
    """An answer without what is different in each."""
    return {k: v for k, v in json.loads(body).items() if k != "instance"}


def done_in_zeta(home):
    rows = home.json("--tenant", "zeta", "audit", "list", "--all")["items"]
    return [row for row in rows if not row["action"].startswith("authentication.")]  # who came in is written later


@pytest.mark.parametrize("way", ["https", "socket"])
@pytest.mark.parametrize("standing", ["bound to acme", "of the installation, in acme"])
def test_h2_what_is_another_tenant_s_is_as_what_never_was(home, callers, others, standing, way):
    """H2: each route that names something; an id, a name or a fingerprint of another tenant's is answered like one of nobody's."""
    bound, named = STANDINGS[standing]
    headers = callers["admin", bound][0]
    connection = https(home) if way == "https" else SocketConnection(home.dir / "muster.sock")
    before = done_in_zeta(home)
    seen = 0
    for method, path, _, operation in routes(home):
        if "{" not in path or path.startswith(NOT_A_TENANTS) or "admin" not in operation["x-roles"]:
            continue
        (prefix,) = [p for p in others if path.startswith(p)]  # a new kind of thing needs a line in others()
        body = json.dumps(BODIES.get((method, path), {})).encode()
        if (method, path) == ("PUT", "/v1/policies/{name}"):
            continue  # it makes one's own of that name, below
        if prefix == "/v1/tenants/{name}" and not bound:
            continue  # who is of the installation knows of all
        nothing = ask(connection, method, path.replace(prefix, prefix[:prefix.index("{")] + UNKNOWN.get(prefix, "not-there")), headers,
                      named, body)
        assert nothing[0] == (403 if bound and operation.get("x-installation") else 404), (method, path, nothing)
        for name in others[prefix]:
            answer = ask(connection, method, path.replace(prefix, prefix[:prefix.index("{")] + name), headers, named, body)
            assert (answer[0], told(answer[1])) == (nothing[0], told(nothing[1])), (method, path)
            seen += 1
    assert seen > 40
    status, _ = ask(connection, "PUT", "/v1/policies/theirs", headers, named, b'{"read": ["acme/y"]}')
    assert status == 200
    assert home.json("--tenant", "zeta", "policy", "show", "theirs")["read"] == ["zeta/x"]
    assert ask(connection, "DELETE", "/v1/policies/theirs", headers, named)[0] == 204
    assert done_in_zeta(home) == before
    connection.close()


@pytest.mark.parametrize("standing", ["bound to acme", "of the installation, in acme"])
def test_h2_lists_show_one_s_own(home, callers, others, standing):
    """H2: no list, filter, search or cursor shows another tenant's."""
    bound, named = STANDINGS[standing]
    headers = callers["admin", bound][0]
    theirs = {name for names in others.values() for name in names} - {"zeta", "theirs"}  # ids and fingerprints
    connection = https(home)
    seen = 0
    for method, path, _, operation in routes(home):
        if method != "GET" or "{" in path or not path.startswith("/v1/") or operation.get("x-installation") or operation["security"] == []:
            continue
        for query in ("", "?search=theirs", "?status=active", "?type=t", "?limit=1000"):
            status, body = ask(connection, method, path + query, headers, named)
            assert status in (200, 400), (path, query, status)
            assert not [name for name in theirs if name.encode() in body], (path, query, body)
            seen += status == 200
    assert seen > 10
    connection.close()
