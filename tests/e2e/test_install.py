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
    """Programs, plugin and unit below the prefix, and nothing else; what names a place names an installed one."""
    options = json.loads(run("meson", "introspect", "--buildoptions", muster.BUILD).stdout)
    prefix, bindir, libdir = (next(o["value"] for o in options if o["name"] == n) for n in ("prefix", "bindir", "libdir"))
    run("meson", "install", "-C", muster.BUILD, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": str(tmp_path)})
    top = tmp_path / prefix.lstrip("/")
    found = {str(p.relative_to(top)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()}
    programs = {f"{bindir}/muster", f"{bindir}/muster-agent"}
    unit = "lib/systemd/system/muster-agent.service"
    assert found.keys() == programs | {f"{libdir}/muster/mosquitto_muster.so", unit}
    assert all(found[p] & 0o111 == 0o111 for p in programs) and found[unit] == 0o644
    (start,) = re.findall(r"^ExecStart=(\S+) run$", (top / unit).read_text(), re.M)
    assert start == f"{prefix}/{bindir}/muster-agent"
    for program in programs:
        assert run(top / program, "--help").stdout
    # Where the program looks for the plugin, and for the agent, which is beside it.
    assert f"{prefix}/{libdir}/muster".encode() in (top / bindir / "muster").read_bytes()
    assert b"enrol" in run(top / bindir / "muster", "agent", "--help").stdout
