"""Issue 7, part 8: the Debian packages, built and installed on a bare Debian 12."""

import json
import re

import bare
import muster
import pytest
from muster import run

pytestmark = [pytest.mark.long, pytest.mark.needs_root, pytest.mark.release_only]

PACKAGES = ("muster", "mosquitto-muster", "muster-agent")
UNITS = "/lib/systemd/system/muster.service /lib/systemd/system/muster.socket /lib/systemd/system/muster-agent.service"


@pytest.fixture(scope="module")
def debian():
    """Bare, but for the time it saves to have apt's lists."""
    made = bare.Bare()
    made.run("apt-get update -q")
    yield made
    made.close()


@pytest.fixture(scope="module")
def built(debian):
    """The folder of another bare system in which the packages were built, with what debian/control asks for and no more."""
    builder = bare.Bare(copy_of=debian)
    source = builder.dir / "root/muster"
    source.mkdir()
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=muster.ROOT).stdout
    files = [name for name in tracked.decode().split("\0") if name and (muster.ROOT / name).exists()]
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", muster.ROOT / name, source / name)
    builder.run("apt-get install -q -y --no-install-recommends git dpkg-dev lintian")
    builder.run("cd /root/muster && apt-get build-dep -q -y --no-install-recommends -P nocheck .")
    # A clean checkout, and no network.
    builder.run("cd /root/muster && git init -q && git add -A && script/package /root/out", network=False)
    yield builder
    builder.close()


@pytest.fixture(scope="module")
def installed(debian, built):
    for name in PACKAGES:
        run("cp", next((built.dir / "root/out").glob(f"{name}_*.deb")), debian.dir / f"root/{name}.deb")
    said = debian.run("apt-get install -q -y --no-install-recommends " + " ".join(f"/root/{p}.deb" for p in PACKAGES))
    assert "muster init --host NAME" in said
    return debian


def test_lintian(built):
    """Not one error, and no warning that nobody has looked at."""
    said = built.run("lintian --allow-root --fail-on error,warning /root/out/muster_*.changes", check=False)
    assert not re.search(r"^[EW]:", said, re.M), said


def test_nothing_runs_before_there_is_a_home(installed):
    assert not (installed.dir / "var/lib/muster").exists()
    assert installed.run("getent passwd muster muster-signer muster-agent").count("/usr/sbin/nologin") == 3
    assert installed.run("stat -c '%U %a' /var/lib/muster-agent").strip() == "muster-agent 700"
    assert installed.run(f"systemd-analyze verify --man=no {UNITS}").strip() == ""


LIFE = """
muster --json init --host localhost >/dev/null
muster serve 2>/tmp/log & server=$!
until grep -q ' ready$' /tmp/log; do kill -0 $server; sleep 0.1; done
muster --json device register --name 'Pump 1' --type pump --key ec-p256 >/root/made.json
muster package fetch "$(sed -n 's/.*"url": "\\(.*\\)".*/\\1/p' /root/made.json)" -o /root/pump.zip >/dev/null
muster broker config mosquitto --state /var/lib/mosquitto >/etc/mosquitto/mosquitto.conf
mosquitto -c /etc/mosquitto/mosquitto.conf 2>/tmp/broker & broker=$!
until grep -q 'running$' /tmp/broker; do kill -0 $broker; sleep 0.1; done
muster --json token create --type pump | sed -n 's/.*"token": "\\(.*\\)".*/\\1/p' >/tmp/token
as_agent() { setpriv --reuid muster-agent --regid muster-agent --clear-groups "$@"; }
as_agent muster-agent enrol --url https://localhost:8443 --ca /var/lib/muster/ca/root.crt --token-file - \\
    --broker localhost:8883 --name 'Pump 2' </tmp/token >&2
echo 21.5 | as_agent muster-agent run --until-eof >&2
as_agent muster-agent status --json
kill $broker $server
wait $server
"""


def state(debian):
    """Every key, certificate and setting, byte by byte."""
    return debian.run("cd /var/lib && find muster/ca muster/tls muster/broker muster/muster.conf muster-agent -type f "
                      "-exec sha256sum {} + | sort -k2")


def test_a_life_in_a_chroot(installed):
    """Without systemd: a home, a service of two users, a device's package, another's agent at a Mosquitto with the plugin."""
    said = installed.run(LIFE, network=False)
    (status,) = re.findall(r"^\{.*\}$", said, re.M)
    assert json.loads(status)["connected_at"], said
    made = json.loads((installed.dir / "root/made.json").read_text())
    assert made["status"] == "active" and (installed.dir / "root/pump.zip").stat().st_size > 1000


def test_under_systemd(installed):
    """The unit starts with all that it gives up, restarts, is activated by its socket, and is enough for its service."""
    installed.run("apt-get install -q -y --no-install-recommends systemd-sysv curl")
    machine = bare.Booted(installed)
    try:
        machine.run("systemctl is-active muster")
        assert machine.run("stat -c '%A %G' /var/lib/muster/broker").strip() == "drwxr-s--- mosquitto"
        health = "curl -sS --fail --cacert /var/lib/muster/ca/root.crt https://localhost:8443/healthz"
        assert "ok" in machine.run(health)
        machine.run("systemctl reload muster && muster device list && systemctl stop muster && systemctl start muster.socket")
        assert machine.run("systemctl is-active muster", check=False).strip() == "inactive"
        assert "ok" in machine.run(health) and machine.run("systemctl is-active muster").strip() == "active"
        codes = machine.run(f"(systemctl restart muster; systemctl restart muster) & for i in $(seq 40); do {health} -o /dev/null "
                            "-w '%{http_code} '; done; wait")
        assert codes.split() == ["200"] * 40
        machine.run("systemctl disable --now muster.socket; systemctl start muster")
        said = machine.run("muster doctor", check=False)
        assert not re.search(r"^fail +(?!broker)", said, re.M), said
        machine.run("systemctl stop muster; systemctl start muster-agent; systemctl is-active muster-agent")
        assert "Permission denied" not in machine.run("journalctl -b -u muster -u muster-agent")
    finally:
        machine.close()


@pytest.mark.parametrize("how", ["remove", "purge"])
def test_keys_and_data_outlive_the_packages(installed, how):
    before = state(installed)
    for part in ("ca/private/issuing.key", "tls/server.key", "muster-agent/device.pem"):
        assert part in before
    said = installed.run(f"apt-get {how} -q -y {' '.join(PACKAGES)}")
    assert re.search(r"^muster: .*/var/lib/muster stay", said, re.M)
    assert re.search(r"^muster-agent: .*/var/lib/muster-agent stay", said, re.M)
    assert installed.run("ls /usr/bin/muster* /usr/lib/*/muster/* 2>/dev/null || true").strip() == ""
    assert state(installed) == before
    # And a package that comes back finds its home.
    installed.run("apt-get install -q -y --no-install-recommends " + " ".join(f"/root/{p}.deb" for p in PACKAGES))
    id = json.loads((installed.dir / "root/made.json").read_text())["id"]
    said = installed.run(f"""muster serve 2>/tmp/log & server=$!
        until grep -q ' ready$' /tmp/log; do kill -0 $server; sleep 0.1; done
        muster --json device show {id}; kill $server; wait $server""", network=False)
    assert '"Pump 1"' in said
