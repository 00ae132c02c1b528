"""A real Mosquitto with mosquitto_muster.so, and a client of bytes, for what no client program does or tells."""

import os
import re
import shutil
import signal
import socket
import ssl
import time
from pathlib import Path

import muster
from muster import openssl, run, wait_for

PLUGIN = muster.BUILD / "src/plugin/mosquitto_muster.so"


def environment(folder):
    """A sanitizer in the plugin must be there before Debian's Mosquitto, which has none, and whose user may not pass to
    where the project is: it reads its list from FOLDER."""
    linked = run("ldd", PLUGIN).stdout.decode()
    known = shutil.copy(Path(__file__).with_name("mosquitto.lsan"), folder)
    return {**os.environ, "LD_PRELOAD": " ".join(re.findall(r"=> (\S*/lib(?:asan|tsan)\S*)", linked)),
            "LSAN_OPTIONS": f"suppressions={known}:print_suppressions=0"}


def not_after(path):
    text = openssl("x509", "-in", path, "-noout", "-enddate").stdout.decode().strip().split("=")[1]
    return int(time.mktime(time.strptime(text.replace(" GMT", ""), "%b %d %H:%M:%S %Y"))) - time.timezone


def add_service(home, name, *rights):
    credentials = muster.open_package(home, home.json("service", "add", name, *rights))
    wait_for(credentials.connects, 5, "the service in the table")
    return credentials


def onboard(home, **options):
    """A device that the broker knows."""
    args = [x for k, v in options.items() for x in (f"--{k}", v)]
    made = home.json("device", "register", "--name", "d", "--type", "pump", "--key", "ec-p256", *args)
    credentials = muster.open_package(home, made)
    wait_for(credentials.connects, 5, "the new device in the table")
    return credentials


def post(home, device, action, body=None):
    reply = home.request("POST", f"/v1/devices/{device.id}/{action}", body or {})
    assert reply.status == 200, reply.body


class PluginBroker:
    """Mosquitto with the configuration that Muster prints for the plugin, with ARGS. SETTINGS replaces lines of it, EXTRA
    follows; UNDER, a command, runs it."""

    def __init__(self, home, start=True, settings=None, extra="", name="state", args=(), under=()):
        self.home, self.under = home, under
        self.dir = home.base / name  # its own user's, who writes the table there
        self.dir.mkdir()
        self.dir.chmod(0o777)
        self.table = self.dir / "muster.table"
        self.port = home.broker_port
        self.config = self.dir / "mosquitto.conf"
        text = home.cli("broker", "config", "mosquitto", "--mode", "plugin", "--state", self.dir,
                        *args).stdout.decode()
        for key, value in (settings or {}).items():
            text, n = re.subn(rf"^{key} .*$", f"{key} {value}", text, flags=re.M)
            assert n == 1, key
        self.config.write_text(f"{text}\n{extra}\n")
        self.process = None
        if start:
            self.start()

    def start(self):
        self.process = muster.Process([*self.under, "mosquitto", "-c", self.config, "-v"], env=environment(self.dir))
        self.process.wait_line(r"mosquitto version .* running")
        return self

    def stop(self):
        if self.process:
            status = self.process.stop()
            assert status == 0, "\n".join(self.process.lines[-60:])  # a sanitizer's report
            self.process = None

    def said(self, pattern, seconds=10):
        return self.process.wait_line(pattern, seconds)


class AddedBroker(PluginBroker):
    """One that `muster broker add` made, with a port and credentials of its own."""

    def __init__(self, home, name, args=(), **kwargs):
        profile = "\n[profile both]\nkeys = ec-p256\nserver_auth = on\n"
        conf = home.dir / "muster.conf"
        if profile not in conf.read_text():
            conf.write_text(conf.read_text() + profile)
            home.process.child.send_signal(signal.SIGHUP)
            muster.wait_for(lambda: b'"both"' in home.request("GET", "/v1/profiles").body, 5, "the profile")
        made = home.json("broker", "add", name, "--profile", "both", "--san", "DNS:localhost")
        self.id, self.files = made["id"], muster.open_package(home, made)
        readable(self.files)
        port = muster.free_port()
        super().__init__(home, name=name, args=("--files", self.files.dir, "--listen", f"127.0.0.1:{port}", *args), **kwargs)
        self.port = port

    def behind(self):
        (found,) = [b for b in self.home.json("broker", "list")["items"] if b["id"] == self.id]
        return found["behind"]


def readable(files):
    """By Mosquitto, which is its own user where root starts it, as an operator would see to it."""
    if os.geteuid() == 0:
        for path in (files.dir, *files.dir.iterdir()):
            shutil.chown(path, "mosquitto")


class At:
    """A client's files, used at another broker than the home's, or under another address than the first."""

    def __init__(self, credentials, broker, source=None):
        self.credentials, self.broker, self.source = credentials, broker, source
        self.id, self.dir = credentials.id, credentials.dir

    def mqtt(self, id=None):
        argv = self.credentials.mqtt(id)
        argv[argv.index("-p") + 1] = self.broker.port
        return argv + (["-A", self.source] if self.source else [])

    publish, connects, subscribe = (getattr(muster.Credentials, n) for n in ("publish", "connects", "subscribe"))


class Client:
    """An MQTT 3.1.1 session under a device's id, whose every byte is seen."""

    def __init__(self, credentials, broker, will=None, clean=True):
        context = ssl.create_default_context(cafile=credentials.dir / "ca.crt")
        context.load_cert_chain(credentials.dir / "device.crt", credentials.dir / "device.key")
        source = getattr(credentials, "source", None)
        raw = socket.create_connection(("localhost", broker.port), source_address=(source, 0) if source else None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.socket.settimeout(10 * muster.PATIENCE)
        body = b"\x00\x04MQTT\x04" + bytes([(2 if clean else 0) | (0x0c if will else 0)]) + b"\x00\x00"
        for text in (credentials.id, *(will or ())):
            body += len(text).to_bytes(2, "big") + text.encode()
        self.send(0x10, body)
        answer = self.socket.recv(4)
        self.had_session, self.code = answer[2:3] == b"\x01", answer[3:4]
        assert self.code == b"\x00", self.code

    def send(self, kind, body):
        length, n = b"", len(body)
        while True:
            n, low = divmod(n, 128)
            length += bytes([low | (128 if n else 0)])
            if not n:
                break
        self.socket.sendall(bytes([kind]) + length + body)

    def until_cut(self):
        """All that still came."""
        said = b""
        try:
            while chunk := self.socket.recv(4096):
                said += chunk
        except (ConnectionError, ssl.SSLError):
            pass
        return said

    def close(self):
        self.socket.close()
