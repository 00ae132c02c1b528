"""Limits a minute: registrations, failed authentications, links; by client and in all; and who a client is (H4, H7)."""

import json
import os
import re
import shutil
import signal
import socket
import time

import muster
import pytest
import test_est
from doctor import doctor
from test_roles import SocketConnection

BODY = {"name": "rated", "type": "pump", "key": "ec-p256"}
UNKNOWN = "/d/" + "A" * 43


def problem(reply, status=429):
    assert reply.status == status, reply.body
    assert 1 <= int(reply.headers["Retry-After"]) <= 61
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["status"] == status


def as_client(address):
    return {"X-Forwarded-For": address}


def failures(home):
    items = home.json("audit", "list", "--all")["items"]
    return [i for i in items if i["action"].startswith("authentication.fail")]


def test_registrations_by_client_and_in_all(fresh):
    home = fresh(settings={"limits.register_per_min": "3", "limits.register_all_per_min": "5",
                           "api.trusted_proxies": "127.0.0.0/8"}).start()

    def register(client, **kwargs):
        return home.request("POST", "/v1/devices", BODY, headers=as_client(client), **kwargs)

    assert [register("192.0.2.1").status for _ in range(3)] == [201] * 3
    problem(register("192.0.2.1"))
    # Another is not the first's business, until all together are too many.
    assert [register("192.0.2.2").status for _ in range(2)] == [201] * 2
    problem(register("192.0.2.3"))
    # F8: the socket is a client like others.
    refused = home.cli("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256", check=False)
    assert refused.returncode == 1 and b"Try again in" in refused.stderr
    # Nothing else is limited by it.
    assert home.request("GET", "/v1/devices").status == 200


def test_the_socket_has_a_limit_of_its_own(fresh):
    """F8"""
    home = fresh(settings={"limits.register_per_min": "2"}).start()
    command = ("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256")
    assert [home.cli(*command, check=False).returncode for _ in range(3)] == [0, 0, 1]
    assert home.request("POST", "/v1/devices", BODY).status == 201


def left(reply):
    """{limit: (allowed a minute, left, seconds until one more)} of an answer's structured fields."""
    policies = dict(re.fullmatch(r'"([a-z_-]+)";q=([0-9]+);w=60', p).groups() for p in reply.headers["RateLimit-Policy"].split(", "))
    states = {m[1]: (int(m[2]), int(m[3])) for m in (re.fullmatch(r'"([a-z_-]+)";r=([0-9]+);t=([0-9]+)', p)
                                                     for p in reply.headers["RateLimit"].split(", "))}
    return {name: (int(policies[name]), *state) for name, state in states.items()}


@pytest.fixture(scope="module")
def shared():
    """One that is told other limits by SIGHUP."""
    home = muster.Home(settings={"api.trusted_proxies": "127.0.0.1"}).start()
    home.set = {}
    yield home
    home.close()
    shutil.rmtree(home.base, ignore_errors=True)


@pytest.fixture
def limited(shared):
    """Sets limits of the shared one, and none again."""
    def limit(**values):
        names = {f"limits.{name}": str(value) for name, value in values.items()}
        if not names:
            return shared
        shared.set.update(names)
        seen = len(shared.process.lines)
        shared.configure(names)
        shared.process.child.send_signal(signal.SIGHUP)
        muster.wait_for(lambda: any("api: configuration reloaded" in line for line in shared.process.lines[seen:]), 10, "the reload")
        return shared

    yield limit
    limit(**{name.removeprefix("limits."): 0 for name in shared.set})


def operator(home, role="operator"):
    return home.request("POST", "/v1/operators", {"name": f"o-{time.monotonic_ns()}", "role": role}).json["token"]


def remote(home, token, *command):
    """The command line on another machine."""
    return home.cli("--url", f"https://localhost:{home.api_port}", *command, env={"MUSTER_TOKEN": token}, check=False)


def test_requests_by_operator(limited):
    """F8: an operator's limit is that operator's, from whatever address and over the socket, too; and what takes away access
    is never held up."""
    home = limited()
    alice, bob = operator(home), operator(home)
    made = home.request("POST", "/v1/devices", BODY).json
    limited(requests_operator_per_min=2)
    replies = [home.request("GET", "/v1/devices", token=alice, headers=as_client(f"192.0.2.{i}")) for i in range(2)]
    assert [r.status for r in replies] == [200] * 2
    assert [left(r)["requests-operator"][:2] for r in replies] == [(2, 1), (2, 0)]
    refused = home.request("GET", "/v1/devices", token=alice, headers=as_client("192.0.2.9"))
    problem(refused)
    assert left(refused)["requests-operator"] == (2, 0, int(refused.headers["Retry-After"]))
    again = remote(home, alice, "device", "list")
    assert again.returncode == 1 and b"more than 2 a minute from one operator" in again.stderr, again.stderr
    connection = SocketConnection(home.dir / "muster.sock")
    connection.request("GET", "/v1/devices", headers={"Authorization": f"Bearer {alice}"})
    assert connection.getresponse().status == 429
    connection.close()
    assert home.request("GET", "/v1/devices", token=bob).status == 200
    for action in ("suspend", "revoke"):
        reply = home.request("POST", f"/v1/devices/{made['id']}/{action}", {}, token=alice)
        assert reply.status == 200 and "RateLimit" not in reply.headers
    # Who may not do a thing is told that, and it costs nothing.
    assert [home.request("GET", "/v1/audit", token=bob).status for _ in range(4)] == [403] * 4


def test_requests_by_tenant_address_and_all(limited):
    home = limited(requests_tenant_per_min=4, requests_per_min=2)
    for i in range(2):
        told = left(home.request("GET", "/v1/devices", headers=as_client("2001:db8::%x" % (i + 1))))
        assert {name: state[:2] for name, state in told.items()} == {"requests-address": (2, 1 - i), "requests-tenant": (4, 3 - i)}
        assert 1 <= told["requests-tenant"][2] <= 15 and told["requests-address"][2] <= 30
    problem(home.request("GET", "/v1/devices", headers=as_client("2001:db8::ffff")))
    assert home.request("GET", "/v1/devices", headers=as_client("2001:db8:0:1::1")).status == 200
    # What is left of everybody's is not told, for it is what others did.
    limited(requests_tenant_per_min=0, requests_per_min=0, requests_all_per_min=2)
    assert "RateLimit" not in home.request("GET", "/v1/devices").headers
    assert home.request("GET", "/v1/devices").status == 200
    problem(home.request("GET", "/v1/devices"))


def test_a_tenant_does_not_hold_up_another(limited):
    """By whoever acts in it: one of the installation, or one who is bound to it."""
    home = limited()
    for name in ("loud", "quiet"):
        home.cli("tenant", "add", name)
    bound = home.json("--tenant", "loud", "operator", "add", "bound", "--role", "operator")["token"]
    limited(register_tenant_per_min=1)

    def register(tenant, token=""):
        return home.request("POST", "/v1/devices", BODY, token=token, headers={"Muster-Tenant": tenant})

    first = register("loud", bound)
    assert first.status == 201 and left(first) == {"register-tenant": (1, 0, 60)}
    problem(register("loud"))
    problem(register("loud", bound))
    assert register("quiet").status == 201


def test_registrations_by_operator_and_token(limited):
    """F8: REST, the socket and EST count alike: by who registers, whatever way it comes."""
    home = limited()
    carol = operator(home)
    tokens = [home.request("POST", "/v1/tokens", {"type": "pump", "uses": 10}).json["token"] for _ in range(2)]
    limited(register_operator_per_min=2, register_token_per_min=1)
    first = home.request("POST", "/v1/devices", BODY, token=carol)
    assert first.status == 201 and left(first)["register-operator"][:2] == (2, 1)
    command = ("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256")
    assert [remote(home, carol, *command).returncode for _ in range(2)] == [0, 1]
    problem(home.request("POST", "/v1/devices", BODY, token=carol))
    assert home.request("GET", "/v1/devices", token=carol).status == 200
    statuses = [test_est.post(home, "simpleenroll", test_est.Device(home, "Pump").request(), token).status
                for token in (tokens[0], tokens[0], tokens[1])]
    assert statuses == [200, 429, 200]


def test_a_job_counts_as_what_it_makes(limited):
    """F8: its devices are registrations of who started it, and wait for their time rather than fail."""
    home = limited()
    dave, erin = operator(home), operator(home)
    csrs = [json.loads(line)["csr"] for line in muster.run(muster.BUILD / "tests/bench/make_csrs", "muster", "4").stdout.splitlines()]
    limited(register_operator_per_min=2)

    def call(method, path, body=None, token=dave):
        reply = home.request(method, "/v1/jobs" + path, body, token=token)
        assert reply.status in (200, 201, 202), reply.body
        return reply.json

    at = "/" + call("POST", "", {"kind": "device.import", "name": "x", "digest": "cd" * 32, "total": 4})["id"]
    call("POST", f"{at}/rows", {"first": 1, "rows": [{"name": f"j{i}", "type": "job", "csr": csr} for i, csr in enumerate(csrs)]})
    call("POST", f"{at}/start", {})
    muster.wait_for(lambda: call("GET", at)["done"] == 2, 20, "the rows that may be made at once")
    problem(home.request("POST", "/v1/devices", BODY, token=dave))
    assert home.request("POST", "/v1/devices", BODY, token=erin).status == 201
    job = call("GET", at)
    assert (job["status"], job["done"], job["failed"]) == ("running", 2, 0)
    call("POST", f"{at}/cancel", {})


def test_a_device_that_has_gone_mad(limited):
    """By its certificate; others are not held up."""
    home = limited(requests_device_per_min=2)
    devices = [muster.open_package(home, home.request("POST", "/v1/devices", BODY).json) for _ in range(2)]

    def challenge(device):
        return home.request("POST", "/v1/attest/challenge", {}, token=None,
                            tls=home.tls(device.dir / "device.crt", device.dir / "device.key"))
    replies = [challenge(devices[0]) for _ in range(3)]
    assert [r.status for r in replies] == [201, 201, 429]
    assert left(replies[0]) == {"requests-device": (2, 1, 30)}
    assert challenge(devices[1]).status == 201


def test_limits_are_shown_and_told(limited):
    """To operators by GET /v1/limits, and by the doctor what was in the way."""
    home = limited()
    token = operator(home)
    limited(requests_operator_per_min=1, register_tenant_per_min=7)
    assert [home.request("GET", "/v1/limits", token=token).status for _ in range(2)] == [200, 429]
    shown = {i["name"]: i for i in home.request("GET", "/v1/limits").json["items"]}
    assert list(shown) == ["requests", "register", "auth_failures", "links", "ocsp"]
    assert (shown["requests"]["operator_per_min"], shown["register"]["tenant_per_min"]) == (1, 7)
    assert shown["requests"]["refused"] >= 1 and shown["requests"]["last_refused_at"]
    limited(requests_operator_per_min=50)
    found = doctor(home)["rates"]
    assert "limits.requests_per_min is near full" in found["finding"] and "50 from one operator" in found["finding"], found
    assert "raise requests_operator_per_min" in found["remedy"], found


def test_authentication_failures(fresh):
    """Who guesses waits, with the right token, too; the socket is never locked out."""
    home = fresh(settings={"limits.auth_failures_per_min": "5"}).start()
    for _ in range(5):
        assert home.request("GET", "/v1/devices", token="muster_wrong").status == 401
    problem(home.request("GET", "/v1/devices", token="muster_wrong"))
    problem(home.request("GET", "/v1/devices"))
    problem(home.request("GET", UNKNOWN, token=None))
    assert home.request("GET", "/healthz", token=None).status == 200
    home.cli("device", "list")


def test_h5_what_a_restart_resets(fresh):
    """H5: a kill of the api grants whoever guesses one more burst and no second, a new configuration none; what is counted for
    good, a token's uses and a link's one, is in the store and outlives it."""
    home = fresh(settings={"limits.auth_failures_per_min": "3"}).start()

    def guesses():
        return [home.request("GET", "/v1/devices", token="muster_wrong").status for _ in range(5)]

    secret = home.json("token", "create", "--type", "pump", "--uses", "1")["token"]
    device = test_est.Device(home, "Pump")
    assert test_est.post(home, "simpleenroll", device.request(), secret).status == 200
    link = "/d/" + home.json("device", "register", "--name", "n", "--type", "t", "--key", "ec-p256")["package"]["url"].rsplit("/", 1)[1]
    assert home.request("POST", link, token=None).status == 200
    assert guesses() == [401, 401, 401, 429, 429]
    home.configure({"limits.links_per_min": "601"})
    home.process.child.send_signal(signal.SIGHUP)
    home.process.wait_line("configuration reloaded")
    assert home.request("GET", "/v1/devices", token="muster_wrong").status == 429
    old = home.child("api")
    os.kill(old, signal.SIGKILL)
    muster.wait_for(lambda: sum(line.endswith(" ready") for line in home.process.lines) > 1, 20, "the next api")
    assert home.child("api") != old
    assert home.request("POST", link, token=None).status == 410
    assert test_est.post(home, "simpleenroll", test_est.Device(home, "Other").request(), secret).status == 410
    assert guesses() == [401, 401, 401, 429, 429]


def test_authentication_failures_in_all_do_not_hold_up_a_revocation(fresh):
    home = fresh(settings={"limits.auth_failures_per_min": "2", "limits.auth_failures_all_per_min": "10",
                           "api.trusted_proxies": "127.0.0.1"}).start()
    made = home.request("POST", "/v1/devices", BODY).json
    for i in range(10):
        assert home.request("GET", "/v1/devices", token="muster_wrong",
                            headers=as_client(f"192.0.2.{i}")).status == 401
    problem(home.request("GET", "/v1/devices", headers=as_client("198.51.100.1")))
    # Guessing there is limited by address.
    path = f"/v1/devices/{made['id']}/revoke"
    statuses = [home.request("POST", path, {}, token="muster_wrong", headers=as_client("198.51.100.2")).status
                for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert home.request("POST", path, {}, headers=as_client("198.51.100.1")).status == 200


def test_links_by_client_and_in_all(fresh):
    home = fresh(settings={"limits.links_per_min": "4", "limits.links_all_per_min": "7",
                           "api.trusted_proxies": "127.0.0.1"}).start()
    made = [home.request("POST", "/v1/devices", BODY).json for _ in range(2)]
    paths = ["/d/" + m["package"]["url"].rsplit("/", 1)[1] for m in made]

    def ask(method, path, client):
        return home.request(method, path, token=None, headers=as_client(client))

    # GET and POST, good or bad, count alike.
    replies = [ask(m, p, "192.0.2.1") for m, p in (
        ("GET", paths[0]), ("POST", paths[0]), ("POST", paths[0]), ("GET", UNKNOWN))]
    assert [r.status for r in replies] == [200, 200, 410, 404]
    assert [left(r)["links-address"][:2] for r in replies] == [(4, 3), (4, 2), (4, 1), (4, 0)]
    refused = ask("POST", paths[1], "192.0.2.1")
    problem(refused)
    assert left(refused)["links-address"] == (4, 0, int(refused.headers["Retry-After"]))
    assert [ask("GET", paths[1], "192.0.2.2").status for _ in range(3)] == [200] * 3
    problem(ask("POST", paths[1], "192.0.2.3"))
    assert home.request("GET", "/v1/devices").status == 200


def test_guesses_at_links_count_as_failures(fresh):
    """E1"""
    home = fresh(settings={"limits.auth_failures_per_min": "5"}).start()
    for method in ("GET", "POST", "GET", "POST", "POST"):
        assert home.request(method, UNKNOWN, token=None).status == 404
    for method in ("GET", "POST"):
        problem(home.request(method, UNKNOWN, token=None))


def test_zero_is_no_limit(fresh):
    home = fresh(settings={f"limits.{name}": "0" for name in (
        "register_per_min", "register_all_per_min", "auth_failures_per_min", "auth_failures_all_per_min",
        "links_per_min", "links_all_per_min")}).start()
    for _ in range(100):
        assert home.request("GET", UNKNOWN, token=None).status == 404


def test_forwarded_for_is_not_believed_from_strangers(fresh):
    """H4: neither to get rid of a limit, nor to put it on somebody else."""
    home = fresh(settings={"limits.auth_failures_per_min": "3"}).start()
    for i in range(3):
        assert home.request("GET", "/v1/devices", token="muster_wrong",
                            headers=as_client(f"192.0.2.{i}")).status == 401
    problem(home.request("GET", "/v1/devices", token="muster_wrong", headers=as_client("192.0.2.99")))
    assert {i["target"] for i in failures(home)} == {"address:127.0.0.1"}


def test_forwarded_for_of_a_proxy(fresh):
    """H4: the client is who the proxy says, not who that client says."""
    home = fresh(settings={"limits.auth_failures_per_min": "3", "api.trusted_proxies": "127.0.0.1"}).start()
    for i in range(3):
        assert home.request("GET", "/v1/devices", token="muster_wrong",
                            headers=as_client(f"203.0.113.{i}, 2001:db8:5:6::{i + 1}")).status == 401
    problem(home.request("GET", "/v1/devices", headers=as_client("203.0.113.77, 2001:db8:5:6:ffff::1")))
    assert home.request("GET", "/v1/devices", headers=as_client("2001:db8:5:7::1")).status == 200
    assert {i["target"] for i in failures(home)} == {"address:2001:db8:5:6::/64"}
    # A delivery is audited with whom it went to.
    made = home.request("POST", "/v1/devices", BODY).json
    path = "/d/" + made["package"]["url"].rsplit("/", 1)[1]
    assert home.request("POST", path, token=None, headers=as_client("198.51.100.9")).status == 200
    deliver = [i for i in home.json("audit", "list", "--all")["items"] if i["action"] == "package.deliver"]
    assert deliver[0]["detail"]["peer"] == "198.51.100.9"


def test_a_bad_list_of_proxies_is_refused(fresh):
    home = fresh()
    home.configure({"api.trusted_proxies": "proxy.example.org"})
    refused = home.cli("serve", check=False)
    assert refused.returncode != 0 and b"api.trusted_proxies" in refused.stderr


def test_ipv6_clients_are_networks(fresh):
    """A real connection over IPv6."""
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::1", 0))
        port = s.getsockname()[1]
    home = fresh(settings={"api.listen": f"[::1]:{port}", "limits.auth_failures_per_min": "3"}).start()

    def ask(token):
        with home.tls().wrap_socket(socket.create_connection(("::1", port)), server_hostname="localhost") as s:
            s.sendall(f"GET /v1/devices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                      "Connection: close\r\n\r\n".encode())
            return int(s.recv(100).split()[1])

    assert [ask("muster_wrong") for _ in range(4)] == [401] * 3 + [429]
    assert {i["target"] for i in failures(home)} == {"address:::/64"}


def test_a_flood_is_counted(fresh):
    """H7: one row for the first, one for how many there were, whatever came."""
    home = fresh(settings={"limits.auth_failures_per_min": "20"}).start()
    if time.time() % 60 > 45:  # all in one minute
        time.sleep(61 - time.time() % 60)
    for i in range(120):
        assert home.request("GET", "/v1/devices", token="muster_wrong").status == (401 if i < 20 else 429)
    assert len(failures(home)) == 1
    assert home.stop() == 0
    home.start()
    first, total = failures(home)
    assert first["action"] == "authentication.fail" and first["detail"] == {"via": "token"}
    assert total["action"] == "authentication.failures" and total["target"] == "address:127.0.0.1"
    assert total["detail"]["count"] == 120
    assert home.json("audit", "verify")["intact"] is True
