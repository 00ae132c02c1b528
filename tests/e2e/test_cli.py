"""Part 11: the command line."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import muster
import pytest


def test_help_everywhere(fresh):
    home = fresh(init=False)
    overview = home.cli("--help").stdout.decode()
    assert max(map(len, overview.splitlines())) <= 80
    for word in ("init", "serve", "device", "package", "service", "policy", "profile", "ca", "audit", "broker"):
        assert re.search(rf"^ +{word}\b", overview, re.M), word
    for command in (["init"], ["serve"], ["device", "register"], ["device", "list"], ["device", "show"], ["device", "update"],
                    ["device", "revoke"], ["device", "suspend"], ["device", "resume"], ["device", "package"],
                    ["package", "fetch"], ["service", "add"], ["service", "list"], ["service", "revoke"], ["policy", "set"], ["token", "create"], ["token", "list"], ["token", "revoke"],
                    ["policy", "show"], ["policy", "list"], ["policy", "remove"], ["profile", "list"], ["profile", "show"],
                    ["ca", "show"], ["ca", "crl"], ["ca", "root", "export"], ["ca", "root", "remove"], ["audit", "list"],
                    ["audit", "verify"], ["broker", "config"]):
        text = home.cli(*command, "--help").stdout.decode()
        assert "Usage:" in text and "xit status" in text, command
        assert max(map(len, text.splitlines())) <= 80, command


@pytest.mark.parametrize("args", [[], ["nonsense"], ["device"], ["device", "nonsense"], ["device", "show"],
                                  ["device", "register", "--nonsense"], ["--nonsense"], ["device", "show", "a", "b"]])
def test_usage_errors_are_2(fresh, args):
    refused = fresh(init=False).cli(*args, check=False)
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr and not refused.stdout


def test_near_misses_are_named(fresh):
    refused = fresh(init=False).cli("devcie", "list", check=False)
    assert b"device" in refused.stderr


def test_server_not_running_says_what_to_do(fresh):
    refused = fresh().cli("device", "list", check=False)
    assert refused.returncode == 1
    assert b"serve" in refused.stderr


def test_tables_are_aligned(home):
    for name in ("short", "a much longer name"):
        home.cli("device", "register", "--name", name, "--type", "t", "--key", "ec-p256")
    lines = home.cli("device", "list").stdout.decode().splitlines()
    columns = [m.start() for m in re.finditer(r"\S+", lines[0])]
    assert len(columns) >= 4
    for line in lines[1:3]:
        for column in columns[1:4]:
            assert line[column - 1] == " " and line[column] != " ", (lines[0], line)


def test_json_is_the_rest_body(home):
    made = home.json("device", "register", "--name", "j", "--type", "t", "--key", "ec-p256")
    assert home.json("device", "show", made["id"]) == home.request("GET", f"/v1/devices/{made['id']}").json


def test_errors_name_field_and_remedy(home):
    refused = home.cli("device", "register", "--name", "x", "--type", "a b", check=False)
    assert refused.returncode == 1 and b"type" in refused.stderr and not refused.stdout
    assert len(refused.stderr.splitlines()) <= 3


def test_over_https_with_a_token(home):
    env = {"MUSTER_URL": f"https://localhost:{home.api_port}", "MUSTER_TOKEN": home.token,
           "MUSTER_CA": str(home.dir / "ca/root.crt")}
    said = subprocess.run([muster.MUSTER, "--json", "device", "list"], env={**os.environ, **env}, capture_output=True)
    assert said.returncode == 0 and "items" in json.loads(said.stdout)
    wrong = subprocess.run([muster.MUSTER, "device", "list"], env={**os.environ, **env, "MUSTER_TOKEN": "x"}, capture_output=True)
    assert wrong.returncode == 1 and b"token" in wrong.stderr
    no_ca = {**env, "MUSTER_CA": "/etc/ssl/certs/ca-certificates.crt"}
    untrusted = subprocess.run([muster.MUSTER, "device", "list"], env={**os.environ, **no_ca}, capture_output=True)
    assert untrusted.returncode == 1 and b"--ca" in untrusted.stderr
    assert b"insecure" not in untrusted.stderr and b"-k" not in untrusted.stderr


def test_hostile_text_does_not_reach_the_terminal(home):
    """B7: what the server lets through as text is still shown escaped."""
    refused = home.cli("device", "show", "\x1b[31mred", check=False)
    assert refused.returncode == 1 and b"\x1b" not in refused.stderr


def on_terminal(argv, columns=80):
    """Run on a pseudo-terminal; what it printed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.environ.pop("NO_COLOR", None)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        os.execv(argv[0], argv)
    out = b""
    try:
        while chunk := os.read(fd, 65536):
            out += chunk
    except OSError:
        pass
    os.waitpid(pid, 0)
    return out


def test_colour_only_on_a_terminal(home):
    argv = [str(muster.MUSTER), "--dir", str(home.dir), "policy", "list"]
    assert b"\x1b[" not in home.cli("policy", "list").stdout
    assert b"\x1b[1m" in on_terminal(argv)
    assert b"\x1b[" not in subprocess.run(argv, capture_output=True, env={**os.environ, "NO_COLOR": "1"}).stdout


def test_a_narrow_terminal_hides_nothing(home):
    name, location = "Press that stands in the far corner", "hall 3, between the two columns"
    made = home.json("device", "register", "--name", name, "--type", "narrow", "--location", location, "--key", "ec-p256")
    argv = [str(muster.MUSTER), "--dir", str(home.dir)]
    shown = re.sub(r"\x1b\[[0-9;]*m|\r", "", on_terminal([*argv, "device", "list", "--type", "narrow"], 80).decode())
    headings, *lines = shown.splitlines()
    assert lines[0].startswith(made["id"]) and len(lines) > 1 and all(len(line) <= 80 for line in lines)
    begin, end = headings.index("NAME"), headings.index("LOCATION")
    for cells, whole in ((slice(begin, end), name), (slice(end, None), location)):
        assert "".join(line[cells] for line in lines).replace(" ", "") == whole.replace(" ", "")
    listed = on_terminal([*argv, "audit", "list", "--all"], 60).decode()
    assert f"device:{made['id']} " in listed and made["certificate"]["fingerprint"] in listed


def test_register_tells_the_next_steps(home):
    said = home.cli("device", "register", "--name", "next", "--type", "t", "--key", "ec-p256").stdout.decode()
    assert re.search(r"https://localhost:\d+/d/[A-Za-z0-9_-]{43}", said)
    assert "password" in said.lower() and "package fetch" in said


def test_list_goes_on(home):
    whole = home.json("device", "list", "--limit", "1000")["items"]
    said = home.json("device", "list", "--limit", "1")
    assert len(said["items"]) == 1 and said["next"]
    assert "--after" in home.cli("device", "list", "--limit", "1").stdout.decode() + \
        home.cli("device", "list", "--limit", "1").stderr.decode()
    assert len(whole) >= 2


def test_broker_config_is_complete(home):
    text = home.cli("broker", "config", "mosquitto", "--mode", "acl-file").stdout.decode()
    for line in ("require_certificate true", "use_identity_as_username true", "use_username_as_clientid true",
                 "allow_anonymous false", "set_tcp_nodelay true", f"crlfile {home.dir}/broker/crl.pem",
                 f"acl_file {home.dir}/broker/acl"):
        assert line in text, line
    assert not re.search(r"^user root", text, re.M)
    assert "In muster.conf broker.mode is plugin: set it to acl-file" in text


def test_broker_config_for_the_plugin(home):
    """The default."""
    text = home.cli("broker", "config", "mosquitto", "--mode", "plugin", "--state", "/var/lib/x").stdout.decode()
    for line in ("per_listener_settings false", "require_certificate true", "allow_anonymous false",
                 f"plugin_opt_url https://localhost:{home.api_port}", f"plugin_opt_keyfile {home.dir}/broker/broker.key",
                 "plugin_opt_snapshot /var/lib/x/muster.table", "persistence_location /var/lib/x/"):
        assert f"\n{line}\n" in text, line
    for word in ("use_identity_as_username", "acl_file", "crlfile", "user root"):
        assert not re.search(rf"^{word}", text, re.M), word
    assert text == home.cli("broker", "config", "mosquitto", "--state", "/var/lib/x").stdout.decode()
    assert "In muster.conf broker.mode is" not in text
    assert "\npersistence true\n" in text
    for bad in (["--mode", "none"], ["--mode", "plugin", "--state", "x"], ["--mode", "plugin", "--plugin", "x.so"],
                ["--mode", "plugin", "--state", "/x\nlistener 1883"]):
        refused = home.cli("broker", "config", "mosquitto", *bad, check=False)
        assert refused.returncode != 0 and refused.stderr, bad
