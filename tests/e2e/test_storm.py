"""A whole fleet that comes back at once, after its broker was away."""

import statistics

import muster
import pytest
from fleet import Fleet, QuietBroker, storm

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("n", [1000, pytest.param(10000, marks=pytest.mark.long)])
def test_all_come_back_at_once(fresh, n):
    """I11: nobody is refused but who is revoked meanwhile; of those who is back already is cut."""
    home = fresh(settings={"broker.mode": "plugin"})
    fleet = Fleet(home, n, n)
    home.start()
    broker = QuietBroker(home).start()
    broker.said("muster: a new table of")
    ids, pem = fleet.part(n)

    def revoke(id):
        reply = home.request("POST", f"/v1/devices/{id}/revoke", {})
        assert reply.status == 200, reply.body

    try:
        took, cut = storm(broker, ids, pem, revoke, 5, seconds=60 + n / 25)
    finally:
        broker.stop()
    print(f"{n} back in {took:.1f} s; the revoked cut after {statistics.median(cut):.2f} s, at most {max(cut):.2f} s")
    assert max(cut) < 5 * muster.PATIENCE
