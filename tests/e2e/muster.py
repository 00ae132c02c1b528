"""What the end-to-end tests stand on: the real program, a real Mosquitto and its real clients, each in a folder of
its own on free loopback ports, each ended by its own process id."""

import atexit
import http.client
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import apispec

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MUSTER_BUILD", ROOT / "build")).resolve()
# Sanitizers map memory and read /proc in ways the sandbox forbids; one run of the suite has it on.
SANDBOX = os.environ.get("MUSTER_SANDBOX", "on")
PATIENCE = float(os.environ.get("MUSTER_PATIENCE", "1"))
# What a module's SETTINGS says where it is about the mode that is not the default.
ACL_FILE = {"broker.mode": "acl-file"}


def faked(offset=None, file=None):
    """An environment whose processes have another time: OFFSET from now, or what stands in FILE, whenever they look."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    env = {**os.environ, "LD_PRELOAD": str(library), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
    env.update({"FAKETIME": offset} if offset else {"FAKETIME_TIMESTAMP_FILE": str(file)})
    return env


def free_port():
    """Not one that bind() would choose: until a server listens on it, or while it restarts, the kernel might give that
    to anybody's outgoing connection."""
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def folder(prefix):
    """A folder that other users can pass through: the service runs as two of them when root starts it."""
    path = Path(tempfile.mkdtemp(prefix=f"muster-{prefix}-", dir="/tmp"))
    path.chmod(0o755)
    return path


def reachable(build):
    """BUILD, or a copy of its programs where every user can reach them, which is not so in /root: the server, Mosquitto
    and its plugin become other users when root starts them."""
    if all(path.stat().st_mode & stat.S_IXOTH for path in (build, *build.parents)):
        return build
    copy = folder("build")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for name in ("src/cmd/muster", "src/cmd/muster-agent", "src/plugin/mosquitto_muster.so", "tests/fault/libfailmalloc.so"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (build / name).exists():  # not every build has all
            shutil.copy(build / name, copy / name)
    return copy


PROGRAMS = reachable(BUILD)
MUSTER = PROGRAMS / "src/cmd/muster"


def wait_for(condition, seconds=10, what="condition"):
    """The condition's value, as soon as it is true."""
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def run(*argv, check=True, **kwargs):
    """Run a program to its end; on failure show what it said."""
    result = subprocess.run([str(a) for a in argv], capture_output=True, timeout=120, **kwargs)
    if check and result.returncode != 0:
        raise AssertionError(
            f"{argv} ended with {result.returncode}\n{result.stdout.decode(errors='replace')}\n"
            f"{result.stderr.decode(errors='replace')}")
    return result


class Process:
    """A child whose output is read line by line while it runs."""

    def __init__(self, argv, env=None, cwd=None, preexec=None, pass_fds=()):
        self.lines = []
        self.new = queue.Queue()
        self.child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd,
                                      preexec_fn=preexec, pass_fds=pass_fds)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.child.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            self.lines.append(line)
            self.new.put(line)

    def wait_line(self, pattern, seconds=20):
        """The match of the first line, past or to come, in which PATTERN is found."""
        def find():
            for line in list(self.lines):
                match = re.search(pattern, line)
                if match:
                    return match
            if self.child.poll() is not None and not self.reader.is_alive():
                raise AssertionError(f"ended with {self.child.returncode}:\n" + "\n".join(self.lines))
            return None
        try:
            return wait_for(find, seconds, f"line {pattern!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n" + "\n".join(self.lines[-50:])) from None

    def stop(self, seconds=10):
        """End it as its own supervisor would; returns its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError("did not end at SIGTERM:\n" + "\n".join(self.lines[-50:])) from None
        self.reader.join(2)
        return self.child.returncode


class Reply:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


def described(method, path, reply):
    """REPLY, if api/openapi.json says that it is an answer to this."""
    apispec.check(method, path, reply.status, reply.headers.get("Content-Type"), reply.body)
    return reply


class Home:
    """A Muster home and, once started, its server."""

    def __init__(self, *init_args, settings=None, init=True, base=None):
        self.base = base or folder("home")
        self.dir = self.base / "home"
        self.api_port = free_port()
        self.pki_port = free_port()
        self.broker_port = free_port()
        # Started by root, Mosquitto becomes its own user before it writes this.
        (self.base / "run").mkdir()
        (self.base / "run").chmod(0o1777)
        self.pid_file = self.base / "run/mosquitto.pid"
        self.process = None
        self.token = None
        if init:
            made = self.cli("--json", "init", "--host", "localhost,127.0.0.1", *init_args)
            self.token = json.loads(made.stdout)["token"]
            self.configure({
                "server.sandbox": SANDBOX,
                "keypool.rsa_2048": "2",  # seconds of a core for each start, of which few tests want any
                "api.listen": f"127.0.0.1:{self.api_port}",
                "api.public_url": f"https://localhost:{self.api_port}",
                "pki.listen": f"127.0.0.1:{self.pki_port}",
                "pki.public_url": f"http://localhost:{self.pki_port}",
                "broker.listen": f"127.0.0.1:{self.broker_port}",
                "broker.public_host": f"localhost:{self.broker_port}",
                "broker.pid_file": str(self.pid_file),
                **(settings or {})})

    def configure(self, settings):
        """Set "section.key" values in muster.conf, as an operator with an editor would."""
        path = self.dir / "muster.conf"
        lines, section, left = [], "", dict(settings)
        for line in path.read_text().splitlines():
            if match := re.fullmatch(r"\[(.+)\]", line.strip()):
                section = match[1]
            elif match := re.match(r"([a-z0-9_]+) *=", line):
                name = f"{section}.{match[1]}"
                if name in left:
                    line = f"{match[1]} = {left.pop(name)}"
            lines.append(line)
        assert not left, f"no such keys: {left}"
        path.write_text("\n".join(lines) + "\n")

    def cli(self, *args, check=True, env=None, stdin=None):
        return run(MUSTER, "--dir", self.dir, *args, check=check,
                   env={**os.environ, **(env or {})}, input=stdin)

    def json(self, *args):
        """A command's --json output."""
        return json.loads(self.cli("--json", *args).stdout)

    def start(self, *args, preexec=None, env=None, pass_fds=()):
        self.process = Process([MUSTER, "--dir", self.dir, "serve", *args], preexec=preexec, env=env,
                               pass_fds=pass_fds)
        self.process.wait_line(r' ready("})?$')
        return self

    def stop(self):
        status = self.process.stop()
        self.process = None
        return status

    def child(self, name):
        """The process id of the api or the signer."""
        def find():
            for pid in children(self.process.child.pid):
                try:
                    if f"{name}-process" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                        return pid
                except OSError:
                    pass
            return None
        return wait_for(find, 5, f"the {name} process")

    def tls(self, cert=None, key=None):
        context = ssl.create_default_context(cafile=self.dir / "ca/root.crt")
        if cert:
            context.load_cert_chain(cert, key)
        return context

    def request(self, method, path, body=None, token="", headers=None, tls=None):
        """One HTTPS request with the first operator's token (None: without any)."""
        connection = http.client.HTTPSConnection("localhost", self.api_port, context=tls or self.tls(),
                                                 timeout=30 * PATIENCE)
        headers = dict(headers or {})
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token or self.token}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return described(method, path, Reply(response, response.read()))
        finally:
            connection.close()

    def pki(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.pki_port, timeout=10 * PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            reply = Reply(response, response.read())
            # What is not on this port is nothing, whatever it is on the other.
            return reply if reply.status == 404 else described("GET", path, reply)
        finally:
            connection.close()

    def close(self):
        if self.process:
            self.process.stop()


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Broker:
    """A real Mosquitto with the configuration that Muster prints for ACL-file mode, which must be the home's."""

    def __init__(self, home):
        self.home = home
        self.config = home.base / "mosquitto.conf"
        self.config.write_bytes(home.cli("broker", "config", "mosquitto").stdout)
        self.process = Process(["mosquitto", "-c", self.config, "-v"])
        self.process.wait_line(r"mosquitto version .* running")
        wait_for(home.pid_file.exists, 5, "the broker's pid file")

    def stop(self):
        self.process.stop()


class Credentials:
    """The files of an opened package, or of a CSR enrolment."""

    def __init__(self, home, path, id):
        self.home, self.dir, self.id = home, path, id

    def mqtt(self, id=None):
        return ["-h", "localhost", "-p", self.home.broker_port, "--cafile", self.dir / "ca.crt",
                "--cert", self.dir / "device.crt", "--key", self.dir / "device.key", "-i", id or self.id,
                "-V", "mqttv311", "-q", "1"]

    def publish(self, topic, message, id=None, check=False):
        return run("mosquitto_pub", *self.mqtt(id), "-t", topic, "-m", message, check=check)

    def connects(self):
        """Does the broker take this client? mosquitto_pub to a topic that anybody may be denied tells."""
        return run("mosquitto_pub", *self.mqtt(), "-t", f"probe/{self.id}", "-m", "x", check=False).returncode == 0

    def subscribe(self, *topics, lasting=False):
        return Subscriber(self, topics, lasting)


class Subscriber:
    """mosquitto_sub, as (topic, message) pairs. With LASTING what is sent while it is away waits for it."""

    def __init__(self, credentials, topics, lasting=False, args=()):
        # Without a terminal it would keep what it says to itself.
        argv = ["stdbuf", "-oL", "mosquitto_sub", *credentials.mqtt(), "-d", "-F", "> %t %p", *args]
        for topic in topics:
            argv += ["-t", topic]
        if lasting:
            argv += ["-c"]
        self.process = Process(argv)
        self.process.wait_line(r"Subscribed \(mid")

    def messages(self):
        return [tuple(line[2:].split(" ", 1)) for line in list(self.process.lines) if line.startswith("> ")]

    def wait_message(self, topic, message, seconds=10):
        wait_for(lambda: (topic, message) in self.messages(), seconds, f"{message!r} on {topic}")

    def stop(self):
        self.process.child.terminate()
        self.process.child.wait()


def open_package(home, made):
    """Fetch a package by its link with the CLI and open it with 7-Zip."""
    owner = made["id"]
    path = home.base / f"package-{owner}-{time.monotonic_ns()}"
    archive = path.with_suffix(".zip")
    home.cli("package", "fetch", made["package"]["url"], "-o", archive)
    run("7z", "x", f"-p{made['package']['password']}", f"-o{path}", archive)
    return Credentials(home, path, owner)


def openssl(*args, check=True, **kwargs):
    return run("openssl", *args, check=check, **kwargs)
