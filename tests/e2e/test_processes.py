"""Part 3: supervisor, signer, api."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import muster
import pytest
from muster import run, wait_for

AS_ROOT = os.geteuid() == 0


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return line.split(":", 1)[1].split()
    raise KeyError(field)


def open_inside(pid, path, flags=0):
    """Have the process itself open PATH, by a debugger: its real credentials, its real sandbox. Returns errno."""
    script = [f"set $fd = (int)open(\"{path}\", {flags})", "print $fd", "print *(int *)__errno_location()",
              "call (int)close($fd)"]
    said = run("gdb", "-p", pid, "-batch", "-nx", *(x for c in script for x in ("-ex", c)), check=False).stdout.decode()
    values = [line.split("=")[1].strip() for line in said.splitlines() if line.startswith("$")]
    assert len(values) >= 2, said
    return 0 if int(values[0]) >= 0 else int(values[1])


def test_three_processes_none_dumpable(home):
    supervisor, api, signer = home.process.child.pid, home.child("api"), home.child("signer")
    assert len({supervisor, api, signer}) == 3
    assert [status(pid, "Name") for pid in (supervisor, api, signer)] == [["muster"], ["muster-api"], ["muster-signer"]]
    for pid in (supervisor, api, signer):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        # A process that is not dumpable belongs to root in /proc, whoever runs it.
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0


@pytest.mark.needs_root
def test_two_users_when_root(home):
    import pwd
    assert status(home.child("api"), "Uid") == [str(pwd.getpwnam("muster").pw_uid)] * 4
    assert status(home.child("signer"), "Uid") == [str(pwd.getpwnam("muster-signer").pw_uid)] * 4
    for name in ("api", "signer"):
        assert status(home.child(name), "CapEff") == ["0" * 16]


@pytest.mark.release_only  # the sandbox
def test_children_are_sandboxed(home):
    for name in ("api", "signer"):
        assert status(home.child(name), "Seccomp") == ["2"]
        assert status(home.child(name), "NoNewPrivs") == ["1"]


@pytest.mark.needs_root
def test_api_cannot_open_the_ca_key(home):
    api = home.child("api")
    assert open_inside(api, home.dir / "ca/private/issuing.key") != 0
    assert open_inside(api, home.dir / "signer.log") != 0
    assert open_inside(api, home.dir / "ca/issuing.crt") == 0  # the way of asking works


@pytest.mark.needs_root
@pytest.mark.release_only  # the sandbox
def test_landlock_alone_keeps_the_api_from_the_key():
    """Without root both processes are one user: only Landlock stands between the api and the key."""
    nobody = 65534

    def become():
        if AS_ROOT:
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)

    base = muster.folder("landlock")
    if AS_ROOT:
        os.chown(base, nobody, nobody)
    home = muster.Home(init=False)
    home.base, home.dir = base, base / "home"
    try:
        subprocess.run([muster.MUSTER, "--dir", home.dir, "init", "--host", "localhost"], check=True,
                       preexec_fn=become, capture_output=True)
        home.configure({"api.listen": "127.0.0.1:0", "pki.listen": "127.0.0.1:0"})
        home.start(preexec=become)
        api = home.child("api")
        assert open_inside(api, home.dir / "ca/private/issuing.key") == 13  # EACCES
        assert open_inside(api, home.dir / "ca/private") == 13
        assert open_inside(api, "/etc/passwd") == 13
        assert open_inside(api, home.dir / "ca/issuing.crt") == 0
    finally:
        home.close()
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.parametrize("name", ["api", "signer"])
def test_a_dead_child_is_back_within_a_second(fresh, name):
    home = fresh().start()
    before = home.child(name)
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()

    def works():
        try:
            return home.request("GET", "/readyz", token=None).status == 200
        except OSError:
            return False

    wait_for(lambda: home.child(name) != before, 5, f"a new {name}")
    assert time.monotonic() - began < 1.0 * muster.PATIENCE
    wait_for(works, 10, "ready again")
    assert home.json("device", "register", "--name", "after", "--type", "t", "--key", "ec-p256")["status"] == "active"


def test_children_die_with_the_supervisor(fresh):
    home = fresh().start()
    pids = [home.child("api"), home.child("signer")]
    home.process.child.kill()
    wait_for(lambda: not any(Path(f"/proc/{p}").exists() for p in pids), 5, "no children")


def test_a_second_server_on_the_home_refuses(fresh):
    """I15"""
    home = fresh().start()
    second = home.cli("serve", check=False)
    assert second.returncode == 1
    assert b"already" in second.stderr
    assert home.request("GET", "/healthz", token=None).status == 200


def test_sigterm_ends_with_0(fresh):
    home = fresh().start()
    began = time.monotonic()
    assert home.stop() == 0
    assert time.monotonic() - began < 5 * muster.PATIENCE
    home.start()  # and the home is whole


def test_sighup_keeps_connections_and_loads_the_certificate(fresh):
    home = fresh().start()
    home.process.child.send_signal(signal.SIGHUP)
    home.process.wait_line("certificate reloaded")
    assert home.request("GET", "/healthz", token=None).status == 200


def test_registration_survives_a_restart(fresh):
    home = fresh().start()
    made = home.json("device", "register", "--name", "kept", "--type", "t", "--key", "ec-p256")
    home.stop()
    home.start()
    assert home.json("device", "show", made["id"])["name"] == "kept"
