"""What `meson install` puts where."""

import json
import os
import re
import stat

import muster
import pytest
from muster import run


@pytest.mark.release_only  # a sanitizer's build is not installed
def test_installed(tmp_path):
    """Programs, plugin, units, users, manual and completion below the prefix, and nothing else; what names a place names an installed one."""
    options = json.loads(run("meson", "introspect", "--buildoptions", muster.BUILD).stdout)
    prefix, bindir, libdir = (next(o["value"] for o in options if o["name"] == n) for n in ("prefix", "bindir", "libdir"))
    run("meson", "install", "-C", muster.BUILD, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": str(tmp_path)})
    top = tmp_path / prefix.lstrip("/")
    found = {str(p.relative_to(top)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()}
    programs = {f"{bindir}/muster", f"{bindir}/muster-agent"}
    units = {f"lib/systemd/system/muster{name}" for name in (".service", ".socket", "-agent.service")}
    users = {"lib/sysusers.d/muster.conf", "lib/sysusers.d/muster-agent.conf", "lib/tmpfiles.d/muster-agent.conf"}
    completion = {f"share/{where}{name}" for name in ("muster", "muster-agent")
                  for where in ("bash-completion/completions/", "zsh/site-functions/_")}
    manual = {f for f in found if re.fullmatch(r"share/man/man[15]/(muster|mosquitto_)[a-z.-]*\.[15]", f)}
    assert {"share/man/man1/muster.1", "share/man/man1/muster-agent.1", "share/man/man5/muster.conf.5"} <= manual
    assert found.keys() == programs | units | users | completion | manual | {f"{libdir}/muster/mosquitto_muster.so"}
    assert all(found[p] & 0o111 == 0o111 for p in programs) and all(found[u] == 0o644 for u in units | users | manual | completion)
    for unit, program in (("muster", "muster"), ("muster-agent", "muster-agent")):
        (start,) = re.findall(r"^ExecStart=(\S+) ", (top / f"lib/systemd/system/{unit}.service").read_text(), re.M)
        assert start == f"{prefix}/{bindir}/{program}"
    for program in programs:
        assert run(top / program, "--help").stdout
    # Where the program looks for the plugin, and for the agent, which is beside it.
    assert f"{prefix}/{libdir}/muster".encode() in (top / bindir / "muster").read_bytes()
    assert b"enrol" in run(top / bindir / "muster", "agent", "--help").stdout


def test_the_package_asks_for_what_the_build_needs():
    """Each library that script/setup installs to build with is in debian/control, and the other way round."""
    setup = re.search(r'^packages="(.*?)"', (muster.ROOT / "script/setup").read_text(), re.M | re.S)[1].split()
    control = (muster.ROOT / "debian/control").read_text().split("\n\n")[0]
    asked = re.findall(r"^ ([a-z0-9.-]+)", control.split("Build-Depends:")[1], re.M)
    libraries = {p for p in setup if p.endswith("-dev") and not p.startswith("libclang-rt")}
    assert libraries == {p for p in asked if p.endswith("-dev") and p != "systemd-dev"} and len(libraries) > 12
