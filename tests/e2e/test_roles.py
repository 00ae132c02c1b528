"""Who may call what: every route of the API as described, for every role, over HTTPS and over the home's socket. What is
asked for is not there or not well said, so that whoever may ask is told that (400, 404, …) and nothing is changed."""

import base64
import http.client
import socket

import apispec
import muster
import pytest
from maker import Maker

ROLES = ["admin", "operator", "enroller", "auditor", "broker"]


class SocketConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30 * muster.PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@pytest.fixture(scope="module")
def callers(home):
    """Role -> (headers, TLS) of somebody who has it; "nobody" has shown nothing."""
    who = {role: ({"Authorization": f"Bearer {home.json('operator', 'add', f'matrix-{role}', '--role', role)['token']}"}, None)
           for role in ROLES}
    token = home.json("token", "create", "--type", "matrix", "--uses", "1000")["token"]
    who["enrollee"] = ({"Authorization": "Basic " + base64.b64encode(f"any:{token}".encode()).decode()}, None)
    device = muster.open_package(home, home.json("device", "register", "--name", "m", "--type", "m", "--key", "ec-p256"))
    who["device"] = ({}, home.tls(device.dir / "device.crt", device.dir / "device.key"))
    maker = Maker(home.base)
    home.cli("trust", "add", maker.file, "--name", "matrix", "--type", "m", "--any-serial")
    who["idevid"] = ({}, maker.make("M-1").tls(home))
    who["nobody"] = ({}, None)
    return who


def routes(home):
    for path, item in home.request("GET", "/v1/openapi.json").json["paths"].items():
        target = path
        for name in ("id", "name", "fingerprint", "token", "label", "issuer", "request"):
            target = target.replace("{%s}" % name, "not-there")
        assert "{" not in target, path
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), target, operation


def ask(connection, method, target, headers):
    body = None if method in ("GET", "DELETE") else b"{"  # no JSON, no CSR, no report
    connection.request(method, target, body=body, headers={**headers, "Content-Type": "application/json"})
    response = connection.getresponse()
    apispec.check(method, target, response.status, response.headers.get("Content-Type"), response.read())
    return response.status


def check(home, connection, role, headers):
    role = "enrollee" if role == "idevid" else role
    seen = 0
    for method, target, operation in routes(home):
        status = ask(connection, method, target, headers)
        allowed = operation.get("security") == [] or role in operation["x-roles"]
        if allowed:
            assert status not in (401, 403), (role, method, target, status)
        else:
            assert status == (401 if role == "nobody" else 403), (role, method, target, status)
        seen += 1
    return seen


@pytest.mark.parametrize("role", [*ROLES, "enrollee", "idevid", "device", "nobody"])
def test_h1_each_route_for_each_role(home, callers, role):
    """H1: over HTTPS."""
    headers, tls = callers[role]
    connection = http.client.HTTPSConnection("localhost", home.api_port, context=tls or home.tls(),
                                             timeout=30 * muster.PATIENCE)
    before = home.json("audit", "list", "--all")["items"][-1]["seq"]
    assert check(home, connection, role, headers) > 40
    connection.close()
    after = home.json("audit", "list", "--all", "--after", str(before))["items"]
    assert not [a for a in after if a["action"] not in ("authentication.fail", "authentication.failures")], after


@pytest.mark.parametrize("role", [*ROLES, "enrollee"])
def test_h1_on_the_socket_a_token_counts_too(home, callers, role):
    """H1: whoever shows a token there is its operator, not the admin that its user would be."""
    connection = SocketConnection(home.dir / "muster.sock")
    assert check(home, connection, role, callers[role][0]) > 40
    connection.close()


def test_h1_on_the_socket_the_owner_is_admin(home):
    """H1: without a token."""
    connection = SocketConnection(home.dir / "muster.sock")
    assert check(home, connection, "admin", {}) > 40
    connection.close()
