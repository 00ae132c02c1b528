"""The signer under valgrind, as `muster serve` starts it. (Its unit tests run there, too: tests/unit/meson.build.)"""

import os
import signal

import muster
import pytest
from muster import run

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
