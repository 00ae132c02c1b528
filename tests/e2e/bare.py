"""A bare Debian 12 in a folder (debootstrap), for what only shows where nothing of Muster's was ever installed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import muster
from muster import run

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLEAN = ["env", "-i", f"PATH={PATH}", "HOME=/root", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive", "bash", "-euc"]
# In namespaces of its own: nothing stays mounted, nothing stays running, and the ports are free.
ENTER = """mount -t proc proc $0/proc; mount --rbind /sys $0/sys; mount --rbind /dev $0/dev
mount -t tmpfs -o mode=1777 tmp $0/tmp; exec chroot "$0" "$@" """
CALLS = "@memlock landlock_create_ruleset landlock_add_rule landlock_restrict_self"


class Bare:
    def __init__(self, copy_of=None):
        self.dir = muster.folder("bare") / "debian"
        if copy_of:
            run("cp", "-a", copy_of.dir, self.dir)
            return
        made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", self.dir], capture_output=True)
        assert made.returncode == 0, made.stdout.decode()
        (self.dir / "etc/hosts").write_text("127.0.0.1\tlocalhost\n")  # debootstrap makes none

    def run(self, script, check=True, network=True):
        """A script as root, without systemd; what it said. Without NETWORK there is but a loopback of its own."""
        alone = [] if network else ["--net"]
        enter = ENTER if network else "ip link set lo up\n" + ENTER
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", *alone,
                               "bash", "-euc", enter, self.dir, *CLEAN, script],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)
        said = done.stdout.decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"{script}\nended with {done.returncode}\n{said[-8000:]}")
        return said

    def close(self):
        shutil.rmtree(self.dir.parent, ignore_errors=True)


class Booted:
    """The same tree with systemd running in it."""

    def __init__(self, bare):
        self.child = subprocess.Popen(["systemd-nspawn", "--directory", bare.dir, "--register=no", "--keep-unit", "--private-network",
                                       f"--system-call-filter={CALLS}", "--boot"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.leader = muster.wait_for(self.find, 20, "the container")
            muster.wait_for(lambda: self.run("systemctl is-system-running", check=False).strip() in ("running", "degraded"), 60,
                            "systemd in it")
        except BaseException:
            self.kill()
            raise

    def find(self):
        """Its first process, once that is systemd."""
        return next((pid for pid in muster.children(self.child.pid)
                     if Path(f"/proc/{pid}/comm").read_text() == "systemd\n"), None)

    def run(self, script, check=True):
        done = subprocess.run(["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                               *CLEAN, script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300)
        said = done.stdout.decode(errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"{script}\nended with {done.returncode}\n{said[-8000:]}")
        return said

    def close(self):
        self.child.send_signal(signal.SIGTERM)  # to nspawn: power off
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """nspawn, and what it does not take along: the first process, and so all."""
        if leader := self.find():
            os.kill(leader, signal.SIGKILL)
        self.child.kill()
        self.child.wait()
