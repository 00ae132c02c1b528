"""I8: a clock that is an hour behind, or ten years ahead. libfaketime, in all three processes."""


import checker
import pytest
from muster import faked, wait_for


@pytest.fixture
def stopped(make):
    """A home with a device that is active and one that is revoked, not running."""
    service = make(csrs=0).start()
    service.device, service.gone = service.register("kept"), service.register("gone")
    assert service.revoke(service.gone).status == 200
    service.check()
    service.stop()
    return service


def test_an_hour_behind(stopped):
    """I8: CRL numbers go on, the revoked stay revoked, and a revocation is one."""
    before = stopped.number
    stopped.start(env=faked("-1h"))
    number, revoked = checker.crl(stopped.home)
    assert number > before
    assert stopped.load.devices[stopped.gone] in revoked
    assert stopped.home.json("device", "show", stopped.gone)["status"] == "revoked"
    assert stopped.revoke(stopped.device).status == 200
    assert stopped.load.devices[stopped.device] in checker.crl(stopped.home)[1]
    stopped.check()
    stopped.stop()
    stopped.start()  # and the right time again
    stopped.register("after")
    stopped.check()


def test_ten_years_ahead(stopped):
    """I8: the issuing CA has expired. It says so, what is revoked stays so, and with the right time all is well."""
    before = stopped.number
    stopped.start(env=faked("+3660d"))
    home = stopped.home
    reply = home.request("POST", "/v1/devices", {"name": "late", "type": "t", "key": "ec-p256"})
    assert reply.status == 409 and "the issuing CA's certificate has expired" in reply.json["detail"]
    # After a year in the lists it is in the archive, and no less revoked.
    assert home.json("device", "show", stopped.gone)["status"] == "archived"
    assert stopped.revoke(stopped.device).status == 200
    assert checker.crl(home)[0] > before
    stopped.stop()
    stopped.start()
    assert {stopped.load.devices[d] for d in (stopped.gone, stopped.device)} <= checker.crl(home)[1]
    stopped.register("after")
    stopped.check()


def test_a_clock_that_is_set_while_serving(make):
    """I8: a step of an hour back, and of a day ahead. Without the sandbox, which keeps libfaketime from its file."""
    service = make(csrs=0, settings={"server.sandbox": "off"})
    file = service.home.base / "time"
    file.write_text("+0\n")
    file.chmod(0o644)
    service.start(env=faked(file=file))
    ids = [service.register(f"d{i}") for i in range(6)]
    last = 0
    for step in ("+0", "-1h", "+1d", "+0"):
        file.write_text(step + "\n")
        assert service.revoke(ids.pop()).status == 200
        number, revoked = checker.crl(service.home)
        assert number > last
        last = number
    service.register("after")
    service.check()
