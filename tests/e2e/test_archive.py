"""Devices that were revoked long ago: out of the lists, found by id, dead as before."""

import time

import pytest
from cryptography import x509

import muster
from muster import openssl, wait_for


@pytest.fixture(scope="module")
def home():
    home = muster.Home(settings={"registry.archive_after": "1s"})
    home.start()
    yield home
    home.close()


def csr(base):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base / "key.pem",
        "-subj", "/CN=any", "-out", base / "req.pem")
    return (base / "req.pem").read_text()


def test_revoked_long_ago(home, tmp_path):
    request = csr(tmp_path)
    body = {"name": "old one", "type": "pump", "labels": {"site": "north"}, "csr": request}
    old = home.request("POST", "/v1/devices", body).json
    young = home.request("POST", "/v1/devices", {"name": "young one", "type": "pump", "key": "ec-p256"}).json
    path = f"/v1/devices/{old['id']}"
    assert home.request("POST", f"{path}/revoke", {"reason": "keyCompromise"}).status == 200
    time.sleep(2)
    home.stop()
    home.start()  # the sweeper begins with a round
    wait_for(lambda: home.request("GET", path).json["status"] == "archived", what="the archive")

    found = home.request("GET", path).json
    assert (found["name"], found["type"], found["labels"]) == ("old one", "pump", {"site": "north"})
    assert [d["id"] for d in home.request("GET", "/v1/devices").json["items"]] == [young["id"]]
    assert [d["id"] for d in home.json("device", "list", "--status", "archived")["items"]] == [old["id"]]
    assert home.request("GET", f"{path}/certificates").json["items"][0]["fingerprint"] == old["certificate"]["fingerprint"]
    assert home.request("GET", f"/v1/certificates/{old['certificate']['fingerprint']}").json["state"] == "revoked"
    assert "device.archive" in [row["action"] for row in home.json("audit", "list")["items"]]

    # It is as dead as it was: nothing can be done with it, its key is nobody's, the list still has it.
    for what in ("revoke", "suspend", "resume", "package", "rotate"):
        refused = home.request("POST", f"{path}/{what}")
        assert refused.status == 409 and "archived" in refused.json["detail"], (what, refused.body)
    refused = home.request("PATCH", path, {"name": "new one"})
    assert refused.status == 409 and "archived" in refused.json["detail"]
    assert home.request("POST", "/v1/devices", {**body, "name": "thief"}).status in (400, 409, 422)
    crl = x509.load_der_x509_crl(home.pki("/crl/issuing.crl").body)
    entry = crl.get_revoked_certificate_by_serial_number(int(old["certificate"]["serial"], 16))
    assert entry is not None
    assert b"archived" in home.cli("device", "show", old["id"]).stdout
