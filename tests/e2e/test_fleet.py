"""A whole fleet's life, and what became of each device of it (tests/e2e/life.py)."""

import life
import pytest

pytestmark = pytest.mark.heavy

PHASES = ["enrol", "connect", "publish", "renew", "reconnect", "publish again", "old session ends", "old one superseded",
          "old one refused", "revoke", "cut", "refused", "on the CRL"]


@pytest.mark.parametrize("n", [50, pytest.param(10000, marks=pytest.mark.long)])
def test_a_fleet_lives(fresh, n):
    """F4, C6, I11: none is lost on the way from its enrolment to its revocation, and all are cut off."""
    home = fresh(settings=life.SETTINGS).start()
    fleet = life.Life(home, n, say=print)
    phases = fleet.live()
    print(life.table(phases))
    assert [p.name for p in phases] == PHASES
    everybody = set(fleet.ids.values())
    assert len(fleet.ids) == len(everybody) == n
    for p in phases:
        assert not p.failed, (p.name, len(p.failed), next(iter(p.failed.items())))
        assert p.did == everybody, (p.name, len(everybody - p.did), "did not")
    home.cli("audit", "verify")
