"""SIGHUP: what a new muster.conf changes, in the api and in the signer alike, without dropping a connection; and I9, a bad
one changes nothing."""

import http.client
import re
import signal
import time

import pytest
from muster import openssl, wait_for


def reload(service, expect, settings=None, append=""):
    home, process = service.home, service.home.process
    seen = len(process.lines)
    home.configure(settings or {})
    with open(home.dir / "muster.conf", "a") as f:
        f.write(append)
    process.child.send_signal(signal.SIGHUP)
    wait_for(lambda: any(re.search(expect, x) for x in process.lines[seen:]), 5, expect)
    wait_for(lambda: any("certificate reloaded" in x for x in process.lines[seen:]), 5, "the certificate, too")
    return process.lines[seen:]


def registered(service, **body):
    reply = service.home.request("POST", "/v1/devices", {"name": "n", "type": "t", "key": "ec-p256", **body})
    service.load.registered(reply)
    return reply


def test_a_new_configuration_is_used_by_both_processes(make):
    service = make(csrs=0).start()
    home = service.home
    pids = [home.process.child.pid, home.child("api"), home.child("signer")]
    kept = http.client.HTTPSConnection("localhost", home.api_port, context=home.tls(), timeout=30)

    def over_kept():
        kept.request("GET", "/healthz")
        return kept.getresponse().read()

    over_kept()
    port = kept.sock.getsockname()
    reload(service, "configuration reloaded", {
        "api.public_url": "https://new.example", "pki.public_url": "http://pki.example", "pki.crl_validity": "3d",
        "broker.public_host": "broker.example:8883", "limits.body_bytes": "2048"},
        append="\n[profile brief]\nkeys = ec-p256\nvalidity = 2h\n")
    over_kept()
    assert kept.sock.getsockname() == port, "the connection was dropped"
    # Links, certificates, profiles.
    made = wait_for(lambda: (r := registered(service, profile="brief")).status == 201 and r.json, 5, "a device")
    assert made["package"]["url"].startswith("https://new.example/d/")
    text = openssl("x509", "-noout", "-text", input=made["certificate"]["pem"].encode()).stdout.decode()
    assert "URI:http://pki.example/crl/" in text
    assert "brief" in {p["name"] for p in home.json("profile", "list")["items"]}
    # Limits, for connections that are there and for new ones.
    assert home.request("POST", "/v1/devices", b"x" * 3000).status == 413
    # The list is made anew for its new validity.
    def days():
        text = openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body).stdout.decode()
        update = [time.mktime(time.strptime(re.search(f"{k} Update: (.*) GMT", text)[1], "%b %d %H:%M:%S %Y"))
                  for k in ("Last", "Next")]
        return (update[1] - update[0]) / 86400
    wait_for(lambda: days() == 3, 5, "a list of three days")
    assert pids == [home.process.child.pid, home.child("api"), home.child("signer")]
    service.check()


def test_what_a_start_alone_can_change_is_named(make):
    service = make(csrs=0).start()
    lines = reload(service, "takes effect when `muster serve` is started again: server.workers, api.threads$",
                   {"server.workers": "7", "api.threads": "3", "limits.register_per_min": "1"})
    assert any("configuration reloaded" in x for x in lines)
    assert [registered(service).status for _ in range(2)] == [201, 429]
    reload(service, "configuration reloaded", {"limits.register_per_min": "0"})
    assert registered(service).status == 201
    reload(service, "configuration unchanged")


@pytest.mark.parametrize("name, value, append", [
    ("limits.body_bytes", "many", ""),
    ("pki.crl_renew", "7d", ""),  # of itself right, but not beside crl_validity
    ("limits.register_per_min", "1", "\n[profile brief]\nkeys = rot13\n"),
    ("limits.register_per_min", "1", "\n[nonsense]\nx = 1\n"),
    ("limits.register_per_min", "1", "\n" + "x" * 300000),
], ids=["value", "together", "profile", "section", "size"])
def test_a_bad_configuration_changes_nothing(service, name, value, append):
    """I9"""
    conf = service.home.dir / "muster.conf"
    good = conf.read_text()
    try:
        lines = reload(service, "configuration not reloaded, the old one stays: ", {name: value}, append)
        assert any("muster.conf" in x for x in lines)
        assert [registered(service).status for _ in range(2)] == [201, 201]
        assert "brief" not in {p["name"] for p in service.home.json("profile", "list")["items"]}
    finally:
        conf.write_text(good)
    reload(service, "configuration unchanged")


def test_a_restarted_signer_has_what_the_api_has(make):
    """A file that was edited and not loaded must not come in by the back door when one process dies."""
    import os
    service = make(csrs=0).start()
    home = service.home
    home.configure({"pki.public_url": "http://elsewhere.example"})
    signer = home.child("signer")
    os.kill(signer, signal.SIGKILL)
    wait_for(lambda: home.child("signer") != signer and service.is_ready(), 5, "a new signer")
    assert registered(service).status == 201
    service.check()


def test_reloads_under_load(make):
    """Every answer is a whole one, whatever is being changed."""
    service = make(csrs=10).start()
    service.begin()
    for i in range(6):
        reload(service, "configuration reloaded", {"pki.public_url": f"http://pki-{i % 2}.example",
                                                   "limits.idle_timeout": f"{50 + i}s"})
        time.sleep(0.2)
    acknowledged = service.load.answers[201]
    wait_for(lambda: service.load.answers[201] > acknowledged, 5, "registrations to go on")
    service.check()
    assert service.load.answers[500] == 0
