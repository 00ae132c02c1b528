"""Part 11, too: what the command line does when something is wrong, with the real server behind it."""

import json
import os
import socket
import stat
import subprocess
import threading

import muster
import pytest

HELP_ENDS = "Exit status:"


def remote(home, *args, url=None, token=None, ca=None):
    """As from another machine."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MUSTER_")}
    argv = [muster.MUSTER, "--dir", "/nonexistent", "--url", url or f"https://localhost:{home.api_port}",
            "--ca", ca or home.dir / "ca/root.crt", "--token", token or home.token, *args]
    return subprocess.run([str(a) for a in argv], capture_output=True, env=env, timeout=60)


def devices(home):
    return {d["id"] for d in home.json("device", "list", "--all")["items"]}


def request_and_key(home, name):
    key, csr = home.base / f"{name}.key", home.base / f"{name}.csr"
    muster.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    muster.openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-out", csr)
    return csr, key


@pytest.mark.parametrize("out", ["/nonexistent/device.crt", "/dev/null", "/tmp", "/proc/device.crt"])
def test_out_is_checked_before_anything_is_made(home, out):
    """The password is shown once: a file that cannot be written must be found out before."""
    before = devices(home)
    refused = home.cli("device", "register", "--name", "o", "--type", "t", "--key", "ec-p256", "--out", out, check=False)
    assert refused.returncode == 1 and refused.stderr and not refused.stdout
    assert devices(home) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_out_holds_the_chain(home):
    out = home.base / "chain.crt"
    made = home.cli("device", "register", "--name", "o", "--type", "t", "--key", "ec-p256", "--out", out)
    assert b"Password:" in made.stdout
    muster.openssl("verify", "-CAfile", home.dir / "ca/root.crt", "-untrusted", out, out)


def test_full_output_is_no_success(home):
    with open("/dev/full", "wb") as full:
        said = subprocess.run([str(muster.MUSTER), "--dir", str(home.dir), "device", "register", "--name", "f", "--type", "t",
                               "--key", "ec-p256"], stdout=full, stderr=subprocess.PIPE)
    assert said.returncode == 1 and b"standard output" in said.stderr


def test_a_private_key_is_never_sent(home):
    """Not even by mistake: --csr with the key's file, in each of its formats. The server here only counts calls."""
    csr, key = request_and_key(home, "slip")
    muster.openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", home.base / "p8.pem")
    muster.openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", home.base / "p8.der")
    muster.openssl("ec", "-in", key, "-outform", "DER", "-out", home.base / "sec1.der")
    (home.base / "both.pem").write_bytes(csr.read_bytes() + key.read_bytes())
    ear = home.base / "ear"
    ear.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(ear / "muster.sock"))
        listener.listen()
        listener.settimeout(0.1)

        def called(name):
            child = subprocess.Popen([muster.MUSTER, "--dir", ear, "device", "register", "--name", "k", "--type", "t",
                                      "--csr", home.base / name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while True:
                try:
                    listener.accept()[0].close()
                    child.communicate()
                    return True
                except TimeoutError:
                    if child.poll() is not None:
                        assert b"--csr" in child.communicate()[1]
                        return False

        for name in (key.name, "p8.pem", "p8.der", "sec1.der", "both.pem"):
            assert not called(name), name
        assert called(csr.name)


def test_request_in_der(home):
    csr, _ = request_and_key(home, "der")
    muster.openssl("req", "-in", csr, "-outform", "DER", "-out", home.base / "der.der")
    made = home.json("device", "register", "--name", "d", "--type", "t", "--csr", home.base / "der.der")
    assert made["package"] is None and made["certificate"]["key"] == "ec-p256"


def test_text_that_json_cannot_carry_is_refused(home):
    """Left out in silence, it would make another request of it: a revocation without its reason."""
    before = devices(home)
    argv = [os.fsencode(muster.MUSTER), b"--dir", os.fsencode(home.dir), b"device", b"register", b"--name", b"x", b"--type",
            b"t", b"--location", b"\xff"]
    said = subprocess.run(argv, capture_output=True)
    assert said.returncode == 2 and b"UTF-8" in said.stderr
    assert devices(home) == before


@pytest.mark.parametrize("content", ["", "\n", " muster_x"])
def test_token_file_without_a_token(home, content):
    path = home.base / "token"
    path.write_text(content)
    said = home.cli("--token-file", path, "--url", "https://localhost:1", "device", "list", check=False)
    assert said.returncode == 1 and b"token" in said.stderr


def test_token_file(home):
    path = home.base / "token"
    path.write_text(home.token + "\n")
    said = home.cli("--url", f"https://localhost:{home.api_port}", "--token-file", path, "--json", "profile", "list")
    assert "items" in json.loads(said.stdout)


def test_url_with_a_slash_at_its_end(home):
    assert remote(home, "device", "list", url=f"https://localhost:{home.api_port}/").returncode == 0


def test_name_that_the_certificate_has_not(home):
    said = remote(home, "device", "list", url=f"https://127.0.0.2:{home.api_port}")
    assert said.returncode == 1
    said = remote(home, "device", "list", url=f"http://localhost:{home.api_port}")
    assert said.returncode == 1 and b"https://" in said.stderr
    said = remote(home, "device", "list", url=f"https://localhost:{home.pki_port}")
    assert said.returncode == 1 and b"HTTPS" in said.stderr


@pytest.mark.parametrize("args", [["device", "list"], ["package", "fetch", "https://localhost:{port}/d/x"]])
def test_no_hint_skips_verification(home, args):
    args = [a.format(port=home.api_port) for a in args]
    said = remote(home, *args, ca="/etc/ssl/certs/ca-certificates.crt")
    assert said.returncode == 1 and b"--ca" in said.stderr
    assert b"insecure" not in said.stderr.lower() and b"skip" not in said.stderr.lower()
    missing = remote(home, *args, ca="/nonexistent")
    assert missing.returncode == 1 and b"/nonexistent" in missing.stderr


def test_all_pages(home):
    for i in range(3):
        home.cli("device", "register", "--name", f"page {i}", "--type", "paged", "--key", "ec-p256")
    by_one = home.json("device", "list", "--type", "paged", "--all", "--limit", "1")
    whole = home.json("device", "list", "--type", "paged")
    assert len(whole["items"]) == 3 and by_one == whole
    assert home.cli("device", "list", "--type", "paged", "--all", "--limit", "1").stdout == \
        home.cli("device", "list", "--type", "paged").stdout


def test_link_survives_what_is_wrong_here(home):
    """A fetch that cannot end well does not use the link up; one that can, does once."""
    made = home.json("device", "register", "--name", "l", "--type", "t", "--key", "ec-p256")
    url, there = made["package"]["url"], home.base / "there.zip"
    there.write_text("mine")
    for args in (["-o", there], ["-o", "/nonexistent/x.zip"], ["-f", "-o", home.base], ["-f", "-o", "/dev/null"]):
        refused = home.cli("package", "fetch", url, *args, check=False)
        assert refused.returncode == 1, args
    refused = home.cli("--ca", "/etc/ssl/certs/ca-certificates.crt", "package", "fetch", url, "-o", home.base / "p.zip",
                       check=False)
    assert refused.returncode == 1
    assert there.read_text() == "mine"
    home.cli("package", "fetch", url, "-f", "-o", there)
    assert stat.S_IMODE(there.stat().st_mode) == 0o600
    muster.run("7z", "t", f"-p{made['package']['password']}", there)
    again = home.cli("package", "fetch", url, "-o", home.base / "again.zip", check=False)
    assert again.returncode == 1 and b"device package" in again.stderr
    assert not (home.base / "again.zip").exists()


def test_one_fetch_of_many_gets_the_package(home):
    """E3, by the program that people use."""
    made = home.json("device", "register", "--name", "m", "--type", "t", "--key", "ec-p256")
    status = []

    def fetch(i):
        status.append(home.cli("package", "fetch", made["package"]["url"], "-o", home.base / f"m{i}.zip",
                               check=False).returncode)

    threads = [threading.Thread(target=fetch, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(status) == [0] + [1] * 7


def test_policy_without_topics_must_be_meant(home):
    assert home.cli("policy", "set", "mute", check=False).returncode == 2
    home.cli("policy", "set", "mute", "--none")
    assert home.json("policy", "show", "mute")["write"] == []
    assert home.cli("policy", "set", "mute", "--none", "--write", "x", check=False).returncode == 2


def test_labels_are_replaced_as_a_whole(home):
    id = home.json("device", "register", "--name", "b", "--type", "t", "--key", "ec-p256", "--label", "a=1", "--label",
                   "b=x=y")["id"]
    assert home.json("device", "show", id)["labels"] == {"a": "1", "b": "x=y"}
    assert home.json("device", "update", id, "--label", "c=3")["labels"] == {"c": "3"}
    assert home.json("device", "update", id, "--label", "=")["labels"] == {}
    assert home.cli("device", "update", id, "--label", "a=1", "--label", "a=2", check=False).returncode == 1
    assert home.cli("device", "update", id, check=False).returncode == 2


@pytest.mark.parametrize("id", ["..", ".", "a/b", "%2e%2e", "x?limit=1", "/"])
def test_an_id_stays_one_segment(home, id):
    for verb in ("show", "revoke"):
        refused = home.cli("device", verb, id, check=False)
        assert refused.returncode == 1 and not refused.stdout
    assert home.cli("device", "revoke", "", check=False).returncode == 2


@pytest.mark.parametrize("words,meant", [("devcie", "device"), ("devcie list", "device list"), ("ca root exprot", "ca root export"),
                                         ("servce", "serve"), ("device lst", "device list")])
def test_near_commands(fresh, words, meant):
    refused = fresh(init=False).cli(*words.split(), check=False)
    assert refused.returncode == 2 and f"`muster {meant}`".encode() in refused.stderr


def test_help_by_word(fresh):
    home = fresh(init=False)
    assert home.cli("help", "device", "register").stdout == home.cli("device", "register", "--help").stdout
    assert HELP_ENDS in home.cli("help", "device").stdout.decode()


@pytest.mark.needs_root
@pytest.mark.release_only  # LeakSanitizer does not work under strace
def test_secrets_stay_out_of_core_files(home):
    """Non-dumpable before anything is read: /proc/PID/mem and core files are closed to other programs of the user."""
    said = muster.run("strace", "-f", "-e", "trace=prctl,connect", "-o", home.base / "prctl", muster.MUSTER, "--dir", home.dir,
                      "profile", "list")
    assert said.returncode == 0
    lines = (home.base / "prctl").read_text().splitlines()
    dumpable = [i for i, line in enumerate(lines) if "PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in line]
    connect = [i for i, line in enumerate(lines) if "muster.sock" in line]
    assert dumpable and connect and dumpable[0] < connect[0]
