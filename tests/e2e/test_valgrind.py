"""Under valgrind: the signer, as `muster serve` starts it, and the plugin in the real broker. (The signer's unit tests run
there, too: tests/unit/meson.build.)"""

import os
import signal

import muster
import pytest
from muster import run, wait_for
from pluginbroker import Client, PluginBroker, onboard, post

# A program that a sanitizer has been built into cannot run under valgrind.
pytestmark = pytest.mark.release_only

# The supervisor starts the signer by execv; with this preloaded, under valgrind.
SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
execv(const char *path, char *const argv[])
{
	char *with[32] = {"valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9", getenv("VALGRIND_LOG"),
	    getenv("VALGRIND_OF")};
	int i, n = 6, is_signer = 0;

	for (i = 1; argv[i] != NULL && n < 31; i++) {
		is_signer |= strcmp(argv[i], "signer-process") == 0;
		with[n++] = argv[i];
	}
	return is_signer ? execvp(with[0], with) : execve(path, argv, environ);
}
"""


def test_the_signer_under_valgrind(fresh):
    """It signs, refuses, revokes, lists and ends without an error or a lost byte."""
    home = fresh(settings={"server.sandbox": "off"})
    logs = home.base / "valgrind"
    logs.mkdir()
    logs.chmod(0o1777)  # for its own user, too
    shim = home.base / "shim.so"
    run("cc", "-shared", "-fPIC", "-x", "c", "-o", shim, "-", input=SHIM.encode())
    home.start(env={**os.environ, "LD_PRELOAD": str(shim), "VALGRIND_LOG": f"--log-file={logs}/%p",
                    "VALGRIND_OF": str(muster.MUSTER)})
    log = logs / str(home.child("signer"))
    assert log.exists(), "the signer does not run under valgrind"

    csr = home.base / "device.csr"
    muster.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                   home.base / "device.key", "-out", csr, "-subj", "/CN=any")
    one = home.json("device", "register", "--name", "one", "--type", "t", "--csr", csr)
    two = home.json("device", "register", "--name", "two", "--type", "t")
    home.json("device", "register", "--name", "three", "--type", "t", "--key", "ec-p256", "--san", "DNS:three.example")
    home.json("device", "suspend", two["id"])
    home.json("device", "resume", two["id"])
    home.json("device", "package", two["id"])
    refused = home.cli("device", "register", "--name", "no", "--type", "t", "--profile", "none", check=False)
    assert refused.returncode == 1
    assert home.json("device", "revoke", one["id"], "--reason", "keyCompromise")["status"] == "revoked"
    def listed():
        crl = muster.openssl("crl", "-inform", "DER", "-noout", "-text", input=home.pki("/crl/issuing.crl").body)
        return one["certificate"]["serial"].lstrip("0") in crl.stdout.decode().lower()

    muster.wait_for(listed, 10, "the revocation in the list")
    home.process.child.send_signal(signal.SIGHUP)
    home.json("device", "register", "--name", "four", "--type", "t", "--key", "ec-p256")
    assert home.stop() == 0
    # "--" begins what valgrind says of itself, such as that it does not know mlock2().
    assert not any(line.startswith("==") for line in log.read_text().splitlines()), log.read_text()


def test_the_plugin_in_the_broker_under_valgrind(fresh):
    """It lets in, delivers, denies, refuses, cuts off, reports, reloads and ends without an error or a lost byte."""
    home = fresh().start()
    log = home.base / "valgrind.log"
    # Its stacks are read when the broker has unloaded the plugin.
    broker = PluginBroker(home, under=("valgrind", "--quiet", "--vgdb=no", "--leak-check=full", "--keep-debuginfo=yes",
                                       "--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect",
                                       "--error-exitcode=9", f"--log-file={log}"))
    home.cli("policy", "set", "several", "--write", "plant/{type}/{id}", "--read", "plant/#", "--sessions", "2")
    one, two = onboard(home), onboard(home, policy="several")
    listener = two.subscribe("plant/#")
    two.publish("plant/pump/x", "denied", id=f"{two.id}/b")
    two.publish(f"plant/pump/{two.id}", "hello", id=f"{two.id}/b", check=True)
    listener.wait_message(f"plant/pump/{two.id}", "hello")
    assert one.publish("x", "x", id=two.id).returncode != 0
    client = Client(one, broker, will=(f"devices/{two.id}/telemetry", "denied"))
    client.send(0x82, b"\x00\x01\x00\x01#\x00")
    assert client.socket.recv(5)[4:] == b"\x80"
    broker.process.child.send_signal(signal.SIGHUP)
    broker.said("Reloading config")
    home.stop()
    broker.said("muster: cannot ask")
    home.start()
    post(home, one, "revoke")
    client.until_cut()
    home.cli("policy", "set", "several", "--none")
    wait_for(lambda: "is heard again" in "\n".join(broker.process.lines), 20, "the service")
    wait_for(lambda: home.json("device", "show", one.id)["last_seen_at"], 20, "a report")
    listener.stop()
    broker.stop()
    assert log.read_text() == ""
