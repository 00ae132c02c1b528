"""Issue 7, part 8: the service under systemd: its units, its notifications, sockets that were made before it."""

import fcntl
import os
import re
import signal
import socket

import muster
import pytest
from muster import run

UNITS = ("muster.service", "muster.socket", "muster-agent.service")


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The units as they are installed, but for where the programs are."""
    folder = tmp_path_factory.mktemp("units")
    for name in UNITS:
        text = next(p for p in (muster.BUILD / "src/cmd" / name, muster.ROOT / "packaging" / name) if p.exists()).read_text()
        (folder / name).write_text(re.sub(r"^ExecStart=\S+/", f"ExecStart={muster.PROGRAMS}/src/cmd/", text, flags=re.M))
    return folder


def test_units_are_understood(units):
    """systemd finds no word in them that it does not know, and nothing that is missing, the manual's pages included."""
    said = run("systemd-analyze", "verify", *(units / name for name in UNITS),
               env={**os.environ, "MANPATH": str(muster.BUILD / "docs/man")})
    assert not said.stdout and not said.stderr, said.stderr.decode()


@pytest.mark.parametrize("unit,most", [("muster.service", 3.1), ("muster-agent.service", 1.4)])
def test_what_a_unit_gives_up(units, unit, most):
    """systemd's own measure, 0 to 10: what is named as kept in the unit's comments, and no more."""
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", units / unit).stdout.decode()
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert float(exposure) <= most, said


class Systemd:
    """The two ends that systemd holds: listening sockets, and one by which it is told."""

    def __init__(self, home):
        self.home = home
        self.listeners = [socket.create_server(("127.0.0.1", port)) for port in (home.api_port, home.pki_port)]
        self.path = home.base / "run/notify"
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(self.path))
        self.path.chmod(0o777)
        self.told.settimeout(20 * muster.PATIENCE)

    def start(self):
        """Start the service as its socket unit does: with descriptors 3 and 4, whatever those are here."""
        fds = [fcntl.fcntl(listener, fcntl.F_DUPFD, 100) for listener in self.listeners]
        moved = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(fds))
        # LISTEN_PID is of whoever executes the program.
        self.home.process = muster.Process(
            ["bash", "-c", f'exec {moved}; LISTEN_PID=$$ LISTEN_FDS={len(fds)} exec "$@"', "bash", muster.MUSTER, "--dir",
             self.home.dir, "serve"], env={**os.environ, "NOTIFY_SOCKET": str(self.path)}, pass_fds=fds)
        for fd in fds:
            os.close(fd)

    def said(self):
        return self.told.recv(4096).decode().split("\n")

    def close(self):
        for s in (*self.listeners, self.told):
            s.close()


@pytest.fixture
def systemd(fresh):
    made = Systemd(fresh())
    yield made
    made.close()


def ask(tls):
    """The answer to the first request on a connection."""
    with tls:
        tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: tls.recv(4096), b""))


def test_a_restart_refuses_nobody(systemd):
    """Who connects while the service is being restarted waits for its answer; systemd hears of each step."""
    home = systemd.home
    systemd.start()
    assert systemd.said() == ["READY=1"]
    assert home.request("GET", "/healthz").status == 200
    home.process.child.send_signal(signal.SIGHUP)
    reloading = systemd.said()
    assert reloading[0] == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=\d+", reloading[1])
    assert systemd.said() == ["READY=1"]
    early = home.tls().wrap_socket(socket.create_connection(("127.0.0.1", home.api_port)), server_hostname="localhost")
    home.process.child.send_signal(signal.SIGTERM)
    assert systemd.said() == ["STOPPING=1"]
    assert b" 200 " in ask(early).split(b"\r\n")[0]
    assert home.stop() == 0
    waiting = [socket.create_connection(("127.0.0.1", port), 20 * muster.PATIENCE) for port in (home.api_port, home.pki_port)]
    systemd.start()
    assert b" 200 " in ask(home.tls().wrap_socket(waiting[0], server_hostname="localhost")).split(b"\r\n")[0]
    waiting[1].sendall(b"GET /ca/root.crt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert waiting[1].recv(4096).startswith(b"HTTP/1.1 200 ")
    waiting[1].close()
    assert systemd.said() == ["READY=1"]
    # A new api gets them, too, and nobody takes its end for the service's.
    os.kill(home.child("api"), 9)
    assert home.request("GET", "/healthz").status == 200
    assert systemd.said() == ["READY=1"]
    listening = [s.fileno() for s in systemd.listeners]
    signer = home.child("signer")
    sockets = {os.readlink(f"/proc/self/fd/{fd}") for fd in listening}
    assert not sockets & {os.readlink(f"/proc/{signer}/fd/{fd}") for fd in os.listdir(f"/proc/{signer}/fd")}


def test_a_socket_that_nobody_listens_on(systemd):
    """The socket unit and muster.conf disagree: the service says so, and does not leave clients waiting for ever."""
    home = systemd.home
    home.configure({"pki.listen": f"127.0.0.1:{muster.free_port()}"})
    systemd.start()
    home.process.wait_line(rf"a socket was given that listens on 127\.0\.0\.1:{home.pki_port}, .*muster\.conf")
    assert home.process.child.wait(20 * muster.PATIENCE) == 1
    home.process = None


def test_activated_by_the_first_connection(fresh):
    """systemd's own program listens, and starts the service when somebody connects."""
    home = fresh()
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(home.base / "run/notify"))
    (home.base / "run/notify").chmod(0o777)
    told.settimeout(20 * muster.PATIENCE)
    home.process = muster.Process(["systemd-socket-activate", "-E", f"NOTIFY_SOCKET={home.base}/run/notify",
                                   "-l", f"127.0.0.1:{home.api_port}", "-l", f"127.0.0.1:{home.pki_port}",
                                   muster.MUSTER, "--dir", home.dir, "serve"])
    home.process.wait_line(rf"Listening on 127\.0\.0\.1:{home.pki_port}")
    assert not muster.children(home.process.child.pid)  # nothing runs yet
    assert home.request("GET", "/healthz").status == 200
    assert told.recv(4096) == b"READY=1"
    assert home.pki("/ca/root.crt").status == 200
    told.close()
