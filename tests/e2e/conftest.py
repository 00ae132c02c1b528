import os
import shutil

import pytest

import muster
import pluginbroker


def pytest_collection_modifyitems(items):
    """What takes two minutes whatever else runs begins first, so that the others run beside it."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


def settings_of(module, **settings):
    """What its SETTINGS says of the homes that its tests get, then SETTINGS."""
    return {**getattr(module, "SETTINGS", {}), **settings}


@pytest.fixture(scope="module")
def home(request):
    """A running server; shared by the tests of one file."""
    h = muster.Home(settings=settings_of(request.module)).start()
    yield h
    h.close()
    shutil.rmtree(h.base, ignore_errors=True)


@pytest.fixture(scope="module")
def broker(home):
    b = muster.Broker(home)
    yield b
    b.stop()


@pytest.fixture(scope="module")
def following(home):
    """Mosquitto with the plugin."""
    b = pluginbroker.PluginBroker(home)
    b.said(r"muster: a new table of \d+ devices and services, at change")
    yield b
    b.stop()


@pytest.fixture(scope="module")
def service(home, following):
    """Hears all that was delivered there."""
    return pluginbroker.add_service(home, "hears", "--read", "devices/#", "--read", "plant/#")


@pytest.fixture(scope="module")
def speaker(home, following):
    """Another one, for a service that is connected twice under its id takes its own session over."""
    return pluginbroker.add_service(home, "speaks", "--write", "devices/+/commands/#", "--write", "plant/#")


@pytest.fixture
def fresh(request):
    """Makes homes that a test may break; all are ended afterwards."""
    made = []

    def make(*args, settings=None, **kwargs):
        made.append(muster.Home(*args, settings=settings_of(request.module, **(settings or {})), **kwargs))
        return made[-1]

    yield make
    for h in made:
        h.close()
        shutil.rmtree(h.base, ignore_errors=True)


@pytest.fixture(scope="module")
def backend(home, broker):
    """A service that hears every device: what it does not receive was not delivered."""
    made = home.json("service", "add", f"backend-{os.getpid()}-{id(home)}", "--read", "devices/#",
                     "--read", "plant/#", "--write", "devices/+/commands/#")
    credentials = muster.open_package(home, made)
    muster.wait_for(lambda: made["id"] in (home.dir / "broker/acl").read_text(), 5, "the service in the ACL file")
    return credentials
