import sys
from pathlib import Path

# The real program and its surroundings are the end-to-end tests'.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import pytest  # noqa: E402


@pytest.fixture
def make():
    """Makes services that a test may break; all are ended afterwards."""
    from service import Service
    made = []

    def make(*args, **kwargs):
        made.append(Service(*args, **kwargs))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.fixture(scope="module")
def service():
    """One that the tests of a file share."""
    from service import Service
    s = Service().start()
    yield s
    s.close()
