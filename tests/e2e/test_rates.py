"""Limits a minute: registrations, failed authentications, links; by client and in all; and who a client is (H4, H7)."""

import socket
import time

import muster

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
    return [i for i in items if i["action"].startswith("authentication.")]


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
    assert [ask(m, p, "192.0.2.1").status for m, p in (
        ("GET", paths[0]), ("POST", paths[0]), ("POST", paths[0]), ("GET", UNKNOWN))] == [200, 200, 410, 404]
    problem(ask("POST", paths[1], "192.0.2.1"))
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
